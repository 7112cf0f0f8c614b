"""Turns while the caller is put through to somebody, and what the agent says without being asked."""

import pytest
from voisnap_domain.sessions import EndReason
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentStarted,
    CallerAway,
    CallerBack,
    CallerConnected,
    CallerWaits,
    Cut,
    End,
    FixedSilence,
    Floor,
    NoticeDue,
    SayComfort,
    SayGoodbye,
    SayNotice,
    SaySilencePrompt,
    SpeechContinued,
    SpeechEnded,
    SpeechStarted,
    TimePassed,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    WaitOver,
    WordsHeard,
    deadline,
    step,
)

pytestmark = pytest.mark.unit

RULES = TurnRules(
    end_of_turn=FixedSilence(700.0), speaks_first=False, prompt_after_ms=4000.0, max_duration_ms=120_000.0
)
BEGIN = CallerConnected(0)


def run(*inputs: TurnInput) -> tuple[TurnState, list[tuple[float, TurnCommand]]]:
    """The state after all inputs, deadlines in between included, and every command with its moment. What is said takes a second."""
    state, commands, waiting = TurnState(), [], list(inputs)
    while waiting:
        due = deadline(RULES, state)
        happened = waiting[0]
        happened = TimePassed(max(due, state.now_ms)) if due is not None and due < happened.at_ms else waiting.pop(0)
        done = step(RULES, state, happened)
        state = done.state
        for command in done.commands:
            commands.append((state.now_ms, command))
            if isinstance(command, SayComfort | SayNotice | SaySilencePrompt):
                said = (AgentStarted(state.now_ms + 100), AgentFinished(state.now_ms + 1100, "Said."))
                waiting = sorted([*waiting, *said], key=lambda one: one.at_ms)
    return state, commands


def speech(start: float, end: float) -> tuple[TurnInput, ...]:
    bursts = [SpeechContinued(at, at - start) for at in range(int(start) + 96, int(end), 32)]
    return (SpeechStarted(start + 64), *bursts, SpeechEnded(end + 96, end))


def test_whoever_waits_hears_now_and_then_that_it_goes_on_and_is_not_asked_whether_he_is_there() -> None:
    state, commands = run(BEGIN, CallerWaits(1000), TimePassed(33_000))
    assert commands == [(moment, SayComfort()) for moment in (7000, 15_100, 23_200, 31_300)]
    assert state.floor is not Floor.ENDED


def test_a_wait_that_is_over_counts_silence_anew() -> None:
    _, commands = run(BEGIN, CallerWaits(0), WaitOver(6500), TimePassed(10_600))
    assert commands == [(10_500, SaySilencePrompt())]


def test_a_wait_does_not_outlast_the_call() -> None:
    _, commands = run(BEGIN, CallerWaits(0), TimePassed(120_000))
    ends = [(moment, command) for moment, command in commands if isinstance(command, SayGoodbye | End)]
    assert ends == [(115_000, SayGoodbye(EndReason.MAX_DURATION)), (120_000, End(EndReason.MAX_DURATION))]


def test_a_notice_is_said_at_once_when_nobody_speaks() -> None:
    _, commands = run(BEGIN, NoticeDue(500, "One."), TimePassed(600))
    assert commands == [(500, SayNotice("One."))]


def test_a_notice_waits_until_the_caller_and_the_agent_are_done_and_several_are_one() -> None:
    heard = WordsHeard(3000, "what are your hours", True, 0.9)
    _, commands = run(
        BEGIN,
        *speech(1000, 2000),
        NoticeDue(2100, "One."),
        heard,
        NoticeDue(3100, "Two."),
        AgentStarted(3200),
        AgentFinished(5000, "From nine to five."),
        TimePassed(5500),
    )
    assert [(moment, command) for moment, command in commands if isinstance(command, SayNotice)] == [
        (5000, SayNotice("One. Two."))
    ]


def test_a_notice_waits_for_a_caller_whose_line_is_broken() -> None:
    _, commands = run(BEGIN, CallerAway(100), NoticeDue(500, "One."), CallerBack(3000), TimePassed(3100))
    assert commands == [(3000, SayNotice("One."))]


def test_a_notice_can_be_interrupted_like_everything_else() -> None:
    done, commands = TurnState(), []
    partial = WordsHeard(1500, "wait a moment please", False, 0.9)
    for happened in (BEGIN, NoticeDue(500, "One."), AgentStarted(600), *speech(900, 1400), partial):
        result = step(RULES, done, happened)
        done, commands = result.state, [*commands, *result.commands]
    assert Cut(True) in commands
