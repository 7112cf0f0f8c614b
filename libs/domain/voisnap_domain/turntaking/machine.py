"""`step`: what an input leads to. `deadline`: when it wants to be told that time passed."""

from collections.abc import Callable
from typing import assert_never

from voisnap_domain.sessions import EndReason

from . import agent, caller
from .commands import (
    Answer,
    Cut,
    End,
    SayComfort,
    SayGoodbye,
    SayNotice,
    SayOpening,
    SayResumption,
    SaySilencePrompt,
    SayTimeWarning,
)
from .inputs import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    CallerAway,
    CallerBack,
    CallerConnected,
    CallerJoined,
    CallerWaits,
    CallResumed,
    EndOfTurnLikely,
    KeyPressed,
    NoticeDue,
    SpeechContinued,
    SpeechEnded,
    SpeechStarted,
    SpeechWasEcho,
    TimePassed,
    TurnInput,
    VoicemailReached,
    WaitOver,
    WordsFailed,
    WordsHeard,
)
from .moves import about_to_say, cut, draft_dropped, ended, speech_forgotten, turn_over
from .rules import (
    CLICK_WAIT_MS,
    COMFORT_AFTER_MS,
    GOODBYE_MS,
    JUDGE_AFTER_MS,
    KEYS_WAIT_MS,
    MAX_PROMPTS,
    NOISE_MS,
    PREPARE_AFTER_MS,
    PROMPT_GRACE_MS,
    TurnRules,
)
from .slots import expected_answer
from .state import Floor, Saying, Step, TurnState, changed, then, turn_end_ms

Deed = Callable[[TurnRules, TurnState], Step]
Due = tuple[float, Deed]


def step(rules: TurnRules, state: TurnState, happened: TurnInput) -> Step:
    """The state after `happened`, and what is to be done, in order. After the end nothing is done any more."""
    if state.floor is Floor.ENDED:
        return Step(state)
    state = changed(state, now_ms=max(state.now_ms, happened.at_ms))
    match happened:
        case CallerConnected():
            return _connected(rules, state)
        case CallResumed():
            return _resumed(rules, state, happened)
        case CallerAway():
            return Step(state if state.away_since_ms is not None else changed(state, away_since_ms=state.now_ms))
        case CallerBack():
            return _back(rules, state)
        case SpeechStarted() | SpeechContinued():
            return caller.voice(rules, state, happened.voiced_ms)
        case SpeechEnded():
            return then(caller.silence(rules, state, happened), lambda state: _time(rules, state))
        case SpeechWasEcho():
            return caller.was_echo(rules, state)
        case WordsHeard():
            return caller.words(rules, state, happened)
        case WordsFailed():
            return caller.words_failed(rules, state)
        case EndOfTurnLikely():
            return then(caller.judged(state, happened), lambda state: _time(rules, state))
        case AgentStarted():
            return agent.started(state)
        case AgentFinished():
            return agent.finished(rules, state, happened)
        case AgentInterrupted():
            return agent.interrupted(rules, state, happened)
        case KeyPressed():
            return caller.key(rules, state, happened.digit)
        case CallerJoined():
            return _joined(state, happened.text)
        case CallerWaits():
            return Step(changed(state, waits=True))
        case WaitOver():
            return _wait_over(rules, state)
        case NoticeDue():
            return _time(rules, changed(state, notice=f"{state.notice} {happened.text}".strip()))
        case VoicemailReached():
            return _voicemail(state)
        case TimePassed():
            return _time(rules, state)
        case _:
            assert_never(happened)


def deadline(rules: TurnRules, state: TurnState) -> float | None:
    """When `step` wants to be told that time passed, in milliseconds; None after the end and before the beginning."""
    return min((moment for moment, _ in _due(rules, state)), default=None)


# --- beginnings and gaps


def _connected(rules: TurnRules, state: TurnState) -> Step:
    if state.connected:
        return Step(state)
    now = state.now_ms
    state = changed(state, connected=True, start_ms=now, quiet_since_ms=now, silent_since_ms=now)
    if not rules.speaks_first:
        return Step(state)
    return Step(about_to_say(state, Saying.OPENING), (SayOpening(),))


def _resumed(rules: TurnRules, state: TurnState, resumed: CallResumed) -> Step:
    if state.connected:
        return Step(state)
    state = changed(
        state,
        connected=True,
        quiet_since_ms=state.now_ms,
        silent_since_ms=state.now_ms,
        expected=expected_answer(resumed.asked, rules.language),
        ending=resumed.ending,
        prompts=resumed.prompts,
        warned=resumed.warned,
        goodbye_said=resumed.goodbye_said,
    )
    if resumed.words:
        return Step(changed(about_to_say(state, Saying.REPLY), words=resumed.words), (Answer(resumed.words),))
    if resumed.says:
        return Step(about_to_say(state, Saying.OPENING), (SayResumption(),))
    return Step(state) if resumed.ending is None else ended(state, resumed.ending)


def _voicemail(state: TurnState) -> Step:
    dropped = draft_dropped(speech_forgotten(state))
    stopped = then(dropped, cut) if state.reply_due else dropped
    start = state.start_ms if state.connected else state.now_ms
    state = changed(stopped.state, connected=True, start_ms=start, away_since_ms=None, words="", keys="", finals_due=0)
    leaving = changed(about_to_say(state, Saying.GOODBYE), goodbye_said=True, ending=EndReason.VOICEMAIL)
    return Step(leaving, (*stopped.commands, SayGoodbye(EndReason.VOICEMAIL)))


def _joined(state: TurnState, text: str) -> Step:
    dropped = draft_dropped(speech_forgotten(state))
    stopped = then(dropped, cut) if state.reply_due else dropped
    state = changed(about_to_say(stopped.state, Saying.REPLY), words=text, keys="", finals_due=0)
    return Step(state, (*stopped.commands, Answer(text)))


def _wait_over(rules: TurnRules, state: TurnState) -> Step:
    if not state.waits:
        return Step(state)
    return _time(rules, changed(state, waits=False, quiet_since_ms=state.now_ms, prompts=0, prompted_ms=None))


def _back(rules: TurnRules, state: TurnState) -> Step:
    """Whatever waited for the caller waits on from where it was."""
    if state.away_since_ms is None:
        return Step(state)
    gap = state.now_ms - state.away_since_ms
    state = changed(
        state,
        away_since_ms=None,
        quiet_since_ms=min(state.now_ms, state.quiet_since_ms + gap),
        prompted_ms=None if state.prompted_ms is None else min(state.now_ms, state.prompted_ms + gap),
        reply_due_ms=state.reply_due_ms + gap,
    )
    return _time(rules, state)


# --- time


def _due(rules: TurnRules, state: TurnState) -> list[Due]:
    """Every moment at which something happens by itself, with what happens."""
    if state.floor is Floor.ENDED or not state.connected:
        return []
    over = state.start_ms + rules.max_duration_ms
    due: list[Due] = [(over, _too_long), *_speech_due(rules, state)]
    if state.keys:
        due.append((state.key_ms + KEYS_WAIT_MS, caller.keys_over))
    if state.finals_due:
        due.append((state.final_due_ms, caller.words_failed))
    if state.away_since_ms is not None:
        return due
    if not state.goodbye_said and rules.max_duration_ms > 2 * GOODBYE_MS:
        due.append((over - GOODBYE_MS, _take_leave))
    if state.reply_due and state.floor is Floor.THINKING:
        due.append((state.reply_due_ms, _reply_lost))
    if state.is_quiet:
        due += _quiet_due(rules, state)
    return due


def _speech_due(rules: TurnRules, state: TurnState) -> list[Due]:
    if state.caller_speaks:
        return []
    if state.open_speech and state.floor is Floor.HELD and state.voiced_ms < NOISE_MS:
        return [(state.silent_since_ms + CLICK_WAIT_MS, caller.click)]
    end = turn_end_ms(rules, state)
    if state.open_speech:
        if state.floor is Floor.HELD:
            end = min(end, state.silent_since_ms + JUDGE_AFTER_MS)
        due: list[Due] = [(end, caller.finish_turn)]
        if not state.prepared:
            wait = min(PREPARE_AFTER_MS, (end - state.silent_since_ms) / 2)
            due.append((state.silent_since_ms + wait, caller.prepare))
        return due
    waits = bool(state.words) and not (state.reply_due or state.finals_due or state.keys)
    return [(end, turn_over)] if waits and state.floor is Floor.LISTENING else []


def _quiet_due(rules: TurnRules, state: TurnState) -> list[Due]:
    if state.notice:
        return [(state.now_ms, _notice)]
    if state.waits:
        return [(state.quiet_since_ms + COMFORT_AFTER_MS, _comfort), *_warning_due(rules, state)]
    idle = state.quiet_since_ms + rules.idle_after_ms
    if state.prompted_ms is not None:
        idle = max(idle, state.prompted_ms + PROMPT_GRACE_MS)
    due: list[Due] = [(idle, _idle)]
    if rules.prompt_after_ms is not None and state.prompts < MAX_PROMPTS:
        since = state.quiet_since_ms if state.prompted_ms is None else state.prompted_ms
        due.append((since + rules.prompt_after_ms, _prompt))
    return [*due, *_warning_due(rules, state)]


def _warning_due(rules: TurnRules, state: TurnState) -> list[Due]:
    if state.warned or state.goodbye_said:
        return []
    return [(state.start_ms + rules.max_duration_ms - rules.warning_ms, _warn)]


def _time(rules: TurnRules, state: TurnState) -> Step:
    """Do what is due, the oldest first; each deed may make other things due or not due any more."""
    result = Step(state)
    for _ in range(8):
        due = [
            (moment, index, act)
            for index, (moment, act) in enumerate(_due(rules, result.state))
            if moment <= result.state.now_ms
        ]
        if not due:
            return result
        act = min(due, key=lambda item: item[:2])[2]
        result = then(result, lambda state, act=act: act(rules, state))
    return result


def _reply_lost(rules: TurnRules, state: TurnState) -> Step:
    reason = state.ending
    freed = changed(state, floor=Floor.LISTENING, reply_due=False, words="", quiet_since_ms=state.now_ms)
    lost = Step(freed, (Cut(False),))
    return lost if reason is None else then(lost, lambda state: ended(state, reason))


def _notice(rules: TurnRules, state: TurnState) -> Step:
    return Step(changed(about_to_say(state, Saying.NOTICE), notice=""), (SayNotice(state.notice),))


def _comfort(rules: TurnRules, state: TurnState) -> Step:
    return Step(about_to_say(state, Saying.NOTICE), (SayComfort(),))


def _prompt(rules: TurnRules, state: TurnState) -> Step:
    state = changed(about_to_say(state, Saying.PROMPT), prompts=state.prompts + 1)
    return Step(state, (SaySilencePrompt(),))


def _idle(rules: TurnRules, state: TurnState) -> Step:
    state = changed(about_to_say(state, Saying.GOODBYE), ending=EndReason.IDLE_TIMEOUT)
    return Step(state, (SayGoodbye(EndReason.IDLE_TIMEOUT),))


def _warn(rules: TurnRules, state: TurnState) -> Step:
    return Step(changed(about_to_say(state, Saying.WARNING), warned=True), (SayTimeWarning(),))


def _take_leave(rules: TurnRules, state: TurnState) -> Step:
    state = changed(state, goodbye_said=True)
    if state.ending is not None:
        return Step(state)
    stopped = cut(state) if state.reply_due else Step(state)
    leaving = changed(about_to_say(stopped.state, Saying.GOODBYE), ending=EndReason.MAX_DURATION)
    return Step(leaving, (*stopped.commands, SayGoodbye(EndReason.MAX_DURATION)))


def _too_long(rules: TurnRules, state: TurnState) -> Step:
    return Step(changed(state, floor=Floor.ENDED), (End(EndReason.MAX_DURATION),))
