"""What the caller does: voice, words, keys."""

from voisnap_domain.sessions import EndReason

from .commands import (
    ApologiseUnheard,
    Draft,
    FinishTurn,
    ForgetSpeech,
    JudgeTurn,
    Pause,
    PrepareTranscript,
)
from .endings import LIKELY
from .inputs import EndOfTurnLikely, SpeechEnded, WordsHeard
from .moves import about_to_say, cut, draft_dropped, joined, resume, speech_forgotten, turn_over
from .rules import (
    BACKCHANNEL_LIMIT_MS,
    CONFIDENT,
    CONFIDENT_OF_FEW,
    FEW_WORDS,
    HOLD_AFTER_MS,
    MAX_DRAFTS,
    MAX_KEYS,
    NOISE_MS,
    TRANSCRIPT_WAIT_MS,
    VOICE_FOR_WORDS_MS,
    TurnRules,
)
from .slot_words import Slot
from .slots import is_unfinished
from .state import Floor, Saying, Step, TurnState, changed, then
from .words import ends_open, has_content, is_backchannel, is_farewell, is_hum, stops, words_of

LAST_WORDS = frozenset({EndReason.MAX_DURATION, EndReason.VOICEMAIL})
"""Endings whose last words are not interrupted."""

# --- voice


def voice(rules: TurnRules, state: TurnState, voiced_ms: float) -> Step:
    """The caller's voice, `voiced_ms` of the current burst so far."""
    if not state.caller_speaks:
        state = changed(
            state,
            caller_speaks=True,
            open_speech=True,
            voiced_before_ms=state.voiced_ms,
            burst_ms=0.0,
            prepared=False,
            likely_over=None,
            utterance_over=False,
        )
    state = changed(state, burst_ms=voiced_ms)
    goes_on = draft_dropped(state) if voiced_ms >= NOISE_MS else Step(state)
    return then(goes_on, lambda state: _barge_in(rules, state))


def _barge_in(rules: TurnRules, state: TurnState) -> Step:
    match state.floor:
        case Floor.THINKING if not state.reply_due:
            return Step(changed(state, floor=Floor.LISTENING))
        case Floor.THINKING | Floor.SPEAKING if _may_interrupt(rules, state):
            held = changed(state, floor=Floor.HELD, before_hold=state.floor)
            return then(Step(held, (Pause(),)), lambda state: _judge_voice(rules, state))
        case Floor.HELD:
            return _judge_voice(rules, state)
        case _:
            return Step(state)


def _may_interrupt(rules: TurnRules, state: TurnState) -> bool:
    """A reply in the making is always held: the caller has not finished. Leave-taking because time is up is never."""
    if state.burst_ms < HOLD_AFTER_MS or state.ending in LAST_WORDS:
        return False
    return rules.interruptible or state.floor is Floor.THINKING


def _judge_voice(rules: TurnRules, state: TurnState) -> Step:
    if is_backchannel(state.partial, rules.language, unfinished=True):
        enough = BACKCHANNEL_LIMIT_MS
    elif rules.trusts_partials and not state.says_something:
        enough = rules.wordless_ms
    else:
        enough = rules.cut_after_ms
    return cut(state, blindly=not state.says_something) if state.voiced_ms >= enough else Step(state)


def silence(rules: TurnRules, state: TurnState, ended: SpeechEnded) -> Step:
    """The burst is over."""
    if not state.caller_speaks:
        return Step(state)
    if state.voiced_ms < NOISE_MS and state.floor is not Floor.HELD:
        return click(rules, state)
    state = changed(
        state,
        caller_speaks=False,
        silent_since_ms=min(ended.ended_ms, state.now_ms),
        voiced_before_ms=state.voiced_ms,
        burst_ms=0.0,
    )
    if rules.end_of_turn.wants_judgement and state.floor is Floor.LISTENING:
        return Step(state, (JudgeTurn(state.silent_since_ms),))
    return Step(state)


def click(rules: TurnRules, state: TurnState) -> Step:
    """What was heard was no voice."""
    forgotten = Step(speech_forgotten(state), (ForgetSpeech(),))
    if state.floor is Floor.HELD:
        return forgotten if state.finals_due else then(forgotten, resume)
    return then(forgotten, lambda state: turn_over(rules, state))


def was_echo(rules: TurnRules, state: TurnState) -> Step:
    """What was heard was the agent: as if nothing had been heard."""
    return click(rules, state) if state.open_speech else Step(state)


def judged(state: TurnState, likely: EndOfTurnLikely) -> Step:
    """How the turn sounded; an answer about an earlier silence says nothing."""
    if state.caller_speaks or likely.silent_since_ms != state.silent_since_ms:
        return Step(state)
    return Step(changed(state, likely_over=likely.probability))


def prepare(rules: TurnRules, state: TurnState) -> Step:
    """The caller may be done."""
    return Step(changed(state, prepared=True), (PrepareTranscript(),))


def finish_turn(rules: TurnRules, state: TurnState) -> Step:
    """The caller has been silent long enough: ask for his words."""
    floor = Floor.THINKING if state.floor is Floor.LISTENING else state.floor
    state = changed(
        speech_forgotten(state),
        floor=floor,
        finals_due=state.finals_due + 1,
        final_due_ms=state.now_ms + TRANSCRIPT_WAIT_MS,
    )
    return Step(state, (FinishTurn(),))


# --- words


def words(rules: TurnRules, state: TurnState, heard: WordsHeard) -> Step:
    """What the recogniser understood."""
    return _final(rules, state, heard) if heard.is_final else _partial(rules, state, heard)


def _partial(rules: TurnRules, state: TurnState, heard: WordsHeard) -> Step:
    if not state.open_speech:
        return Step(state)
    if heard.text != state.partial and not heard.is_prepared:
        state = changed(state, partial_ms=state.now_ms)
    state = changed(
        state,
        partial=heard.text,
        says_something=_says_something(rules, state, heard),
        utterance_over=heard.utterance_over and not state.caller_speaks,
    )
    if state.floor is not Floor.HELD:
        return _draft(rules, state) if heard.is_prepared else Step(state)
    if _cuts_at_once(rules, state, heard):
        return cut(state)
    return _judge_voice(rules, state) if state.caller_speaks else Step(state)


def _cuts_at_once(rules: TurnRules, state: TurnState, heard: WordsHeard) -> bool:
    if state.voiced_ms < VOICE_FOR_WORDS_MS or not state.says_something:
        return False
    return len(words_of(heard.text)) >= rules.words_to_cut or stops(heard.text, rules.language)


def _says_something(rules: TurnRules, state: TurnState, heard: WordsHeard) -> bool:
    """Whether words over the agent's speech are meant for it. A word or two that the recogniser is not sure of are a hum or a noise; and who
    says goodbye while the agent does, does not interrupt."""
    unfinished = not heard.is_final
    if not has_content(heard.text, rules.language, unfinished=unfinished):
        return False
    if state.ending is not None and is_farewell(heard.text, rules.language, unfinished=unfinished):
        return False
    few = len(set(words_of(heard.text))) <= FEW_WORDS
    least = CONFIDENT_OF_FEW if few else CONFIDENT
    return not 0 < heard.confidence < least or (heard.is_final and stops(heard.text, rules.language))


def _draft(rules: TurnRules, state: TurnState) -> Step:
    """Begin a reply early when the words are whole as far as anybody can tell."""
    if not rules.drafts or state.caller_speaks or state.floor is not Floor.LISTENING or state.drafts >= MAX_DRAFTS:
        return Step(state)
    text = state.text
    unlikely = state.likely_over is not None and state.likely_over <= LIKELY
    asked = state.expected is not None and is_unfinished(state.expected, text)
    if state.finals_due or state.keys or unlikely or asked or not words_of(text) or ends_open(text, rules.language):
        return Step(state)
    dropped = Step(state) if words_of(state.drafted) == words_of(text) else draft_dropped(state)
    if dropped.state.drafted:
        return dropped
    state = changed(dropped.state, drafted=text, drafts=state.drafts + 1)
    return Step(state, (*dropped.commands, Draft(text)))


def _final(rules: TurnRules, state: TurnState, heard: WordsHeard) -> Step:
    if not state.finals_due:
        return Step(state)
    text = heard.text.strip()
    state = changed(state, finals_due=state.finals_due - 1, final_due_ms=state.now_ms + TRANSCRIPT_WAIT_MS)
    if state.floor is Floor.HELD:
        return _judge_final(rules, state, heard, text)
    if state.floor is Floor.SPEAKING and not has_content(text, rules.language):
        return Step(_aside(rules, state, text))
    if state.cut_blindly and not _says_something(rules, state, heard):
        return turn_over(rules, _aside(rules, state, text))
    return turn_over(rules, joined(state, text))


def _judge_final(rules: TurnRules, state: TurnState, heard: WordsHeard, text: str) -> Step:
    if _says_something(rules, state, heard):
        return then(cut(state), lambda state: turn_over(rules, joined(state, text)))
    state = _aside(rules, state, text)
    return Step(state) if state.open_speech or state.finals_due else resume(state)


def _aside(rules: TurnRules, state: TurnState, text: str) -> TurnState:
    answers = is_backchannel(text, rules.language) and not is_hum(text, rules.language)
    return changed(state, aside=text, aside_ms=state.now_ms) if answers else state


def words_failed(rules: TurnRules, state: TurnState) -> Step:
    """What was said since the last final is lost."""
    lost = state.finals_due > 0 or state.open_speech
    dropped = draft_dropped(state)
    state = speech_forgotten(changed(dropped.state, finals_due=0))
    if state.floor is Floor.HELD:
        return then(dropped, lambda _: resume(state))
    if not lost or state.reply_due:
        return Step(state, dropped.commands)
    if words_of(state.words):
        return then(Step(state, dropped.commands), lambda state: turn_over(rules, state))
    return Step(changed(about_to_say(state, Saying.REPLY), words=""), (*dropped.commands, ApologiseUnheard()))


# --- keys


def key(rules: TurnRules, state: TurnState, digit: str) -> Step:
    """The caller pressed a key."""
    if not rules.keys_enabled or state.ending in LAST_WORDS:
        return Step(state)
    if digit != "#" or not state.keys:
        state = changed(state, keys=(state.keys + digit)[:MAX_KEYS])
    state = changed(state, key_ms=state.now_ms, quiet_since_ms=state.now_ms, prompts=0, prompted_ms=None)
    pressed = draft_dropped(state)
    if state.reply_due and (rules.interruptible or not state.agent_was_heard):
        pressed = then(pressed, cut)
    if digit == "#" or _all_keys(state):
        return then(pressed, lambda state: keys_over(rules, state))
    return pressed


def _all_keys(state: TurnState) -> bool:
    """Whether as many keys were pressed as the agent asked for."""
    expected = state.expected
    if expected is None or expected.slot is not Slot.DIGITS or len(expected.counts) != 1:
        return False
    return len(state.keys) == expected.counts[0] and state.keys.isdecimal()


def keys_over(rules: TurnRules, state: TurnState) -> Step:
    """The keys are a turn, or a part of one."""
    if state.reply_due:
        return Step(changed(state, key_ms=state.now_ms))
    pressed = f"Pressed {' '.join(state.keys)}."
    return turn_over(rules, changed(joined(state, pressed), keys=""))
