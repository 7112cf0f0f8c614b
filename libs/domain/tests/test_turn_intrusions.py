"""What breaks into turns from outside: the agent's own voice coming back, and an answering machine that records."""

import pytest
from voisnap_domain.sessions import EndReason
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentStarted,
    Answer,
    CallerAway,
    CallerConnected,
    Cut,
    End,
    FixedSilence,
    Floor,
    ForgetSpeech,
    KeyPressed,
    Pause,
    Resume,
    SayGoodbye,
    SpeechContinued,
    SpeechStarted,
    SpeechWasEcho,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    VoicemailReached,
    WordsHeard,
    deadline,
    step,
)

pytestmark = pytest.mark.unit

RULES = TurnRules(end_of_turn=FixedSilence(700.0))


def after(*inputs: TurnInput, state: TurnState | None = None) -> tuple[TurnState, list[TurnCommand]]:
    state, commands = state or TurnState(), []
    for happened in inputs:
        done = step(RULES, state, happened)
        state = done.state
        commands += done.commands
    return state, commands


def speaking() -> TurnState:
    """The agent has been heard for a second."""
    return after(CallerConnected(0.0), AgentStarted(100.0))[0]


def test_echo_lets_the_agent_go_on_at_the_sample_and_leaves_nothing_behind():
    state, commands = after(
        SpeechStarted(1000.0), SpeechContinued(1064.0, 96.0), SpeechWasEcho(1064.0), state=speaking()
    )
    assert commands == [Pause(), ForgetSpeech(), Resume()]
    assert state.floor is Floor.SPEAKING
    assert not state.open_speech
    assert state.voiced_ms == 0


def test_echo_that_nobody_spoke_of_changes_nothing():
    state, commands = after(SpeechWasEcho(1064.0), state=speaking())
    assert commands == []
    assert state.floor is Floor.SPEAKING


def test_words_that_come_after_an_echo_was_taken_back_are_no_turn():
    state, commands = after(
        SpeechStarted(1000.0),
        SpeechWasEcho(1064.0),
        WordsHeard(1100.0, "once upon a time", False),
        WordsHeard(1200.0, "once upon a time", True),
        AgentFinished(3000.0, "Once upon a time."),
        state=speaking(),
    )
    assert not [command for command in commands if isinstance(command, Answer | Cut)]
    assert state.words == ""


def test_a_machine_gets_the_message_even_before_the_conversation_began():
    state, commands = after(VoicemailReached(9000.0))
    assert commands == [SayGoodbye(EndReason.VOICEMAIL)]
    state, commands = after(AgentStarted(9200.0), AgentFinished(12_000.0, "Please call back."), state=state)
    assert commands == [End(EndReason.VOICEMAIL)]
    assert deadline(RULES, state) is None


def test_what_the_agent_was_saying_gives_way_to_the_message():
    away, _ = after(CallerAway(1500.0), state=speaking())
    for state in (speaking(), away):
        state, commands = after(VoicemailReached(2000.0), state=state)
        assert commands == [Cut(True), SayGoodbye(EndReason.VOICEMAIL)]
        assert state.away_since_ms is None


def test_neither_voice_nor_keys_interrupt_the_message():
    state, _ = after(VoicemailReached(9000.0), AgentStarted(9200.0))
    state, commands = after(
        SpeechStarted(9500.0),
        SpeechContinued(11_000.0, 1500.0),
        WordsHeard(11_000.0, "stop stop stop", False),
        KeyPressed(11_100.0, "1"),
        state=state,
    )
    assert commands == []
    assert state.floor is Floor.SPEAKING
