"""Who may speak: one pure state machine for the turns of a conversation.

    listening ──silence long enough──▶ thinking ──first agent audio──▶ speaking ──playout ended──▶ listening
        ▲                                 │ caller speaks                │ caller speaks
        │                                 ▼                              ▼
        └─────cut: it was an answer────  held  ──resume: a cough, "uh-huh"──▶ where it was before

Barge-in has two phases. Phase 1 holds the agent's sound as soon as some voice is heard; nothing is lost. Phase 2 decides: words or enough
voice cut what was being said; a noise or a backchannel lets it go on at the exact sample. A caller who goes on while the reply is still in
the making is treated alike: cutting a reply of which nothing was heard leaves no trace, and the caller's texts are joined.

Times are milliseconds of call audio, given by the caller of `step`: no clock here. `deadline` says when `step` wants a `TimePassed` next.
Whoever drives the machine carries out the commands in order and reports what the agent's playout really did.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol, assert_never

import msgspec

from .agents import AgentConfig, Endpointing, EndpointingProvider, FirstMessageMode, Sensitivity
from .sessions import EndReason

HOLD_AFTER_MS = 32.0
"""Voice over the agent's speech that holds the agent (phase 1): one window of the voice detector, so that he is silent soon enough."""
NOISE_MS = 64.0
"""Less voice than this, alone, is a click: it is forgotten as if it had never been."""
JUDGE_AFTER_MS = 250.0
"""Silence after such voice before its words are asked for, to decide what it was."""
PREPARE_AFTER_MS = 200.0
"""Silence after which the recogniser is told to prepare the turn's words."""
WORDS_PATIENCE_MS = 250.0
"""How much longer than its sensitivity asks voice without any recognised word is waited for before it cuts."""
BACKCHANNEL_LIMIT_MS = 1400.0
"""Voice longer than this is no backchannel, whatever its first words are."""
CONFIDENT = 0.5
"""Partial words below this confidence do not cut."""
TRANSCRIPT_WAIT_MS = 5000.0
"""A final transcript that has not come by then will not come."""
REPLY_WAIT_MS = 20_000.0
"""A reply of which nothing was heard by then is given up: the last resort behind the conversation's own timeouts."""
PROMPT_GRACE_MS = 3000.0
"""Time to answer "Are you still there?" before an idle call is ended."""
MAX_PROMPTS = 2
"""Silence prompts in a row, until the caller speaks."""
GOODBYE_MS = 5000.0
"""How long before the maximum duration the agent begins to take leave."""
KEYS_WAIT_MS = 2000.0
"""A pause after a pressed key that ends the caller's input."""
ASIDE_MS = 1500.0
"""A "yes" said over the agent's last words is an answer when the agent finishes within this time."""
VOICE_FOR_WORDS_MS = 150.0
"""Interim words on less voice than this are a recogniser's guess at a noise."""
MAX_KEYS = 64
"""Keys kept of one input."""

CUT_AFTER_MS: dict[Sensitivity, float] = {Sensitivity.LOW: 500.0, Sensitivity.MEDIUM: 300.0, Sensitivity.HIGH: 200.0}
"""Voice that cuts the agent without further evidence (phase 2)."""

HUMS = frozenset(
    (
        "uh",
        "huh",
        "uhhuh",
        "uhuh",
        "um",
        "umm",
        "mm",
        "mmm",
        "hm",
        "hmm",
        "mhm",
        "mmhm",
        "mmhmm",
        "ah",
        "ahh",
        "aha",
        "oh",
        "ooh",
        "wow",
        "really",
    )
)
"""Backchannels that answer nothing, not even a question asked at the same moment."""
NODS = frozenset(
    (
        "okay",
        "ok",
        "yeah",
        "yep",
        "yup",
        "yes",
        "right",
        "sure",
        "cool",
        "great",
        "good",
        "nice",
        "alright",
        "all",
        "gotcha",
        "got",
        "it",
        "i",
        "see",
    )
)
"""Backchannels that agree."""
BACKCHANNELS = HUMS | NODS
"""Words that say no more than "I am listening"; a short text of nothing else is a backchannel."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Floor(StrEnum):
    """What the agent is doing."""

    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    HELD = "held"
    ENDED = "ended"


class Saying(StrEnum):
    """What the agent's current or next words are."""

    OPENING = "opening"
    REPLY = "reply"
    PROMPT = "prompt"
    GOODBYE = "goodbye"


# --- what happens


class CallerConnected(msgspec.Struct, frozen=True):
    """The conversation begins."""

    at_ms: float


class SpeechStarted(msgspec.Struct, frozen=True):
    """Voice is heard; `voiced_ms` of it so far."""

    at_ms: float
    voiced_ms: float = HOLD_AFTER_MS


class SpeechContinued(msgspec.Struct, frozen=True):
    """More voice of the same burst; `voiced_ms` counts from the burst's start."""

    at_ms: float
    voiced_ms: float


class SpeechEnded(msgspec.Struct, frozen=True):
    """The burst is over; it ended at `ended_ms`, which lies before `at_ms`."""

    at_ms: float
    ended_ms: float


class WordsHeard(msgspec.Struct, frozen=True):
    """The recogniser's words since the last flush; a final answers one `FinishTurn`."""

    at_ms: float
    text: str
    is_final: bool
    confidence: float = 1.0


class WordsFailed(msgspec.Struct, frozen=True):
    """The recogniser failed; a pending final will not come."""

    at_ms: float


class AgentStarted(msgspec.Struct, frozen=True):
    """The first sound of the agent's words was played."""

    at_ms: float


class AgentFinished(msgspec.Struct, frozen=True):
    """All of the agent's words were played, `text`; empty when there was nothing to say. `wants_end`: the model asked to end the call."""

    at_ms: float
    text: str = ""
    wants_end: bool = False


class KeyPressed(msgspec.Struct, frozen=True):
    """A DTMF digit: 0-9, *, #, A-D."""

    at_ms: float
    digit: str


class TimePassed(msgspec.Struct, frozen=True):
    """Nothing else happened until now."""

    at_ms: float


TurnInput = (
    CallerConnected
    | SpeechStarted
    | SpeechContinued
    | SpeechEnded
    | WordsHeard
    | WordsFailed
    | AgentStarted
    | AgentFinished
    | KeyPressed
    | TimePassed
)


# --- what is to be done


class SayOpening(msgspec.Struct, frozen=True):
    """Speak the disclosure and the first message."""


class Pause(msgspec.Struct, frozen=True):
    """Be silent at once and keep the place."""


class Resume(msgspec.Struct, frozen=True):
    """Go on at the very sample."""


class Cut(msgspec.Struct, frozen=True):
    """Drop what is being said or prepared. `heard` tells whether any of it was played."""

    heard: bool


class PrepareTranscript(msgspec.Struct, frozen=True):
    """The caller may be done: let the recogniser prepare (`pause`)."""


class ForgetSpeech(msgspec.Struct, frozen=True):
    """What was heard since the last flush was no speech (`reset`)."""


class FinishTurn(msgspec.Struct, frozen=True):
    """Ask the recogniser for its final words (`flush`)."""


class Answer(msgspec.Struct, frozen=True):
    """The caller's turn is over and reads `text`: reply to it."""

    text: str


class SaySilencePrompt(msgspec.Struct, frozen=True):
    """Ask whether the caller is still there."""


class SayGoodbye(msgspec.Struct, frozen=True):
    """Take leave because of `reason`; the end follows when it was heard."""

    reason: EndReason


class ApologiseUnheard(msgspec.Struct, frozen=True):
    """Say that the caller was not understood for technical reasons."""


class End(msgspec.Struct, frozen=True):
    """The conversation is over."""

    reason: EndReason


TurnCommand = (
    SayOpening
    | Pause
    | Resume
    | Cut
    | PrepareTranscript
    | ForgetSpeech
    | FinishTurn
    | Answer
    | SaySilencePrompt
    | SayGoodbye
    | ApologiseUnheard
    | End
)


# --- rules


class EndOfTurnPolicy(Protocol):
    """How much silence ends a caller's turn. The seam for recogniser-driven and semantic end of turn."""

    def silence_ms(self, words: str) -> float:
        """Silence to wait for, given the turn's words as far as they are known."""
        ...


class FixedSilence(msgspec.Struct, frozen=True):
    """The same silence after every turn."""

    milliseconds: float

    def silence_ms(self, words: str) -> float:
        """Always the same."""
        return self.milliseconds


def end_of_turn_policy(endpointing: Endpointing) -> EndOfTurnPolicy:
    """The policy an agent configured. `stt` and `semantic` wait `utterance_end_ms` of silence until they have policies of their own."""
    if endpointing.provider is EndpointingProvider.VAD:
        return FixedSilence(float(endpointing.silence_duration_ms))
    return FixedSilence(float(endpointing.utterance_end_ms))


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's configuration says about turns; times in milliseconds. `max_duration_ms` is what is left of it."""

    end_of_turn: EndOfTurnPolicy
    interruptible: bool = True
    cut_after_ms: float = CUT_AFTER_MS[Sensitivity.MEDIUM]
    prompt_after_ms: float | None = 8000.0
    idle_after_ms: float = 15_000.0
    max_duration_ms: float = 600_000.0
    end_phrases: tuple[tuple[str, ...], ...] = ()
    keys_enabled: bool = True
    speaks_first: bool = True
    trusts_partials: bool = True

    @staticmethod
    def of(
        config: AgentConfig, *, speaks_first: bool | None = None, elapsed_ms: float = 0.0, trusts_partials: bool = True
    ) -> "TurnRules":
        """The rules of an agent. `speaks_first` overrides its first message mode; `trusts_partials`: the recogniser gives interim words."""
        silence = config.silence_detection
        first = config.first_message_mode is FirstMessageMode.ASSISTANT_SPEAKS_FIRST and bool(config.first_message)
        return TurnRules(
            end_of_turn=end_of_turn_policy(config.endpointing),
            interruptible=config.interruption.enabled,
            cut_after_ms=CUT_AFTER_MS[config.interruption.sensitivity],
            prompt_after_ms=silence.timeout_seconds * 1000.0 if silence.enabled and silence.message.strip() else None,
            idle_after_ms=config.max_idle_time_seconds * 1000.0,
            max_duration_ms=max(0.0, config.max_duration_seconds * 1000.0 - elapsed_ms),
            end_phrases=tuple(words for phrase in config.end_call_phrases if (words := words_of(phrase))),
            keys_enabled=config.dtmf_enabled,
            speaks_first=(first or bool(config.ai_disclosure_message)) if speaks_first is None else speaks_first,
            trusts_partials=trusts_partials,
        )


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation."""
    return tuple(word.lower().replace("’", "'") for word in _WORD.findall(text))


def says_one_of(text: str, phrases: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a text contains one of the phrases as whole words, whatever their case and punctuation."""
    words = words_of(text)
    return any(
        words[start : start + len(phrase)] == phrase
        for phrase in phrases
        for start in range(len(words) - len(phrase) + 1)
    )


def is_backchannel(text: str) -> bool:
    """Whether a text says no more than "I am listening". An empty text does not even say that."""
    words = words_of(text)
    return 0 < len(words) <= 4 and all(word in BACKCHANNELS for word in words)


def has_content(text: str) -> bool:
    """Whether a text says anything beyond a backchannel."""
    return bool(words_of(text)) and not is_backchannel(text)


# --- state


class TurnState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the machine knows. A new one is `TurnState()`; it waits for `CallerConnected`.

    `before_hold` is the floor a `Resume` goes back to. `open_speech`: the recogniser holds speech that was not asked for yet.
    `voiced_before_ms` and `burst_ms`: voice of that speech in earlier bursts and in the current one. `words`: final words of the caller's
    open turn. `partial`: interim words since. `finals_due`: finals asked for and not yet come. `reply_due`: the agent has words to play
    or in the making. `ending`: the reason for which the call ends once the agent's words were heard.
    `aside`: a backchannel said over the agent's words, and when.
    """

    floor: Floor = Floor.LISTENING
    before_hold: Floor = Floor.LISTENING
    connected: bool = False
    now_ms: float = 0.0
    start_ms: float = 0.0
    caller_speaks: bool = False
    open_speech: bool = False
    voiced_before_ms: float = 0.0
    burst_ms: float = 0.0
    silent_since_ms: float = 0.0
    prepared: bool = False
    words: str = ""
    partial: str = ""
    finals_due: int = 0
    final_due_ms: float = 0.0
    saying: Saying = Saying.OPENING
    reply_due: bool = False
    reply_due_ms: float = 0.0
    prompts: int = 0
    quiet_since_ms: float = 0.0
    prompted_ms: float | None = None
    keys: str = ""
    key_ms: float = 0.0
    aside: str = ""
    aside_ms: float = 0.0
    ending: EndReason | None = None
    goodbye_said: bool = False

    @property
    def voiced_ms(self) -> float:
        """Voice since the recogniser was last asked."""
        return self.voiced_before_ms + self.burst_ms

    @property
    def agent_was_heard(self) -> bool:
        """Whether any of the words being said were played."""
        return self.floor is Floor.SPEAKING or (self.floor is Floor.HELD and self.before_hold is Floor.SPEAKING)


class Step(msgspec.Struct, frozen=True):
    """What an input leads to."""

    state: TurnState
    commands: tuple[TurnCommand, ...] = ()


def step(rules: TurnRules, state: TurnState, happened: TurnInput) -> Step:
    """The state after `happened`, and what is to be done, in order. After the end nothing is done any more."""
    if state.floor is Floor.ENDED:
        return Step(state)
    state = _with(state, now_ms=max(state.now_ms, happened.at_ms))
    match happened:
        case CallerConnected():
            return _connected(rules, state)
        case SpeechStarted() | SpeechContinued():
            return _voice(rules, state, happened.voiced_ms)
        case SpeechEnded():
            return _silence(rules, state, happened)
        case WordsHeard():
            return _final(rules, state, happened.text) if happened.is_final else _partial(rules, state, happened)
        case WordsFailed():
            return _words_failed(rules, state)
        case AgentStarted():
            return _agent_started(state)
        case AgentFinished():
            return _agent_finished(rules, state, happened)
        case KeyPressed():
            return _key(rules, state, happened.digit)
        case TimePassed():
            return _time(rules, state)
        case _:
            assert_never(happened)


def deadline(rules: TurnRules, state: TurnState) -> float | None:
    """When `step` wants to be told that time passed, in milliseconds; None after the end and before the beginning."""
    due = _due(rules, state)
    return min((moment for moment, _ in due), default=None)


def _with(state: TurnState, **changes: Any) -> TurnState:
    return msgspec.structs.replace(state, **changes)


def _then(first: Step, action: Callable[[TurnState], Step]) -> Step:
    second = action(first.state)
    return Step(second.state, first.commands + second.commands)


# --- the beginning


def _connected(rules: TurnRules, state: TurnState) -> Step:
    if state.connected:
        return Step(state)
    now = state.now_ms
    state = _with(state, connected=True, start_ms=now, quiet_since_ms=now, silent_since_ms=now)
    if not rules.speaks_first:
        return Step(state)
    return Step(_about_to_say(state, Saying.OPENING), (SayOpening(),))


def _about_to_say(state: TurnState, saying: Saying) -> TurnState:
    return _with(state, floor=Floor.THINKING, saying=saying, reply_due=True, reply_due_ms=state.now_ms + REPLY_WAIT_MS)


# --- the caller's voice


def _voice(rules: TurnRules, state: TurnState, voiced_ms: float) -> Step:
    if not state.caller_speaks:
        state = _with(
            state, caller_speaks=True, open_speech=True, voiced_before_ms=state.voiced_ms, burst_ms=0.0, prepared=False
        )
    state = _with(state, burst_ms=voiced_ms)
    match state.floor:
        case Floor.THINKING if not state.reply_due:
            return Step(_with(state, floor=Floor.LISTENING))
        case Floor.THINKING | Floor.SPEAKING if _may_interrupt(rules, state):
            held = _with(state, floor=Floor.HELD, before_hold=state.floor)
            return _then(Step(held, (Pause(),)), lambda state: _judge_voice(rules, state))
        case Floor.HELD:
            return _judge_voice(rules, state)
        case _:
            return Step(state)


def _may_interrupt(rules: TurnRules, state: TurnState) -> bool:
    """A reply in the making is always held: the caller has not finished. Leave-taking because time is up is never."""
    if state.burst_ms < HOLD_AFTER_MS or state.ending is EndReason.MAX_DURATION:
        return False
    return rules.interruptible or state.floor is Floor.THINKING


def _judge_voice(rules: TurnRules, state: TurnState) -> Step:
    voiced = state.voiced_ms
    if is_backchannel(state.partial):
        enough = BACKCHANNEL_LIMIT_MS
    elif rules.trusts_partials and not state.partial:
        enough = rules.cut_after_ms + WORDS_PATIENCE_MS
    else:
        enough = rules.cut_after_ms
    return _cut(state) if voiced >= enough else Step(state)


def _cut(state: TurnState) -> Step:
    heard = state.agent_was_heard
    return Step(
        _with(
            state,
            floor=Floor.LISTENING,
            reply_due=False,
            ending=None,
            quiet_since_ms=state.now_ms,
            prompts=0,
            prompted_ms=None,
        ),
        (Cut(heard),),
    )


def _silence(rules: TurnRules, state: TurnState, ended: SpeechEnded) -> Step:
    if not state.caller_speaks:
        return Step(state)
    if state.voiced_ms < NOISE_MS:
        return _then(_click(rules, state), lambda state: _time(rules, state))
    state = _with(
        state,
        caller_speaks=False,
        silent_since_ms=min(ended.ended_ms, state.now_ms),
        voiced_before_ms=state.voiced_ms,
        burst_ms=0.0,
    )
    return _time(rules, state)


def _click(rules: TurnRules, state: TurnState) -> Step:
    forgotten = Step(_forget_speech(state), (ForgetSpeech(),))
    if state.floor is Floor.HELD:
        return forgotten if state.finals_due else _then(forgotten, _resume)
    return _then(forgotten, lambda state: _turn_over(rules, state))


# --- the caller's words


def _partial(rules: TurnRules, state: TurnState, heard: WordsHeard) -> Step:
    if not state.open_speech:
        return Step(state)
    state = _with(state, partial=heard.text)
    if state.floor is not Floor.HELD:
        return Step(state)
    if has_content(heard.text) and heard.confidence >= CONFIDENT and state.voiced_ms >= VOICE_FOR_WORDS_MS:
        return _cut(state)
    return _judge_voice(rules, state)


def _final(rules: TurnRules, state: TurnState, text: str) -> Step:
    if not state.finals_due:
        return Step(state)
    state = _with(state, finals_due=state.finals_due - 1, final_due_ms=state.now_ms + TRANSCRIPT_WAIT_MS)
    text = text.strip()
    if state.floor is Floor.HELD:
        return _judge_final(rules, state, text)
    if state.floor is Floor.SPEAKING and not has_content(text):
        return Step(_aside(state, text))
    state = _joined(state, text)
    return _turn_over(rules, state)


def _joined(state: TurnState, text: str) -> TurnState:
    if not text:
        return state
    state = _with(state, words=f"{state.words} {text}".strip(), prompts=0, prompted_ms=None)
    return _with(state, quiet_since_ms=state.now_ms)


def _judge_final(rules: TurnRules, state: TurnState, text: str) -> Step:
    if has_content(text):
        return _then(_cut(state), lambda state: _turn_over(rules, _joined(state, text)))
    state = _aside(state, text)
    return Step(state) if state.open_speech or state.finals_due else _resume(state)


def _aside(state: TurnState, text: str) -> TurnState:
    if all(word in HUMS for word in words_of(text)):
        return state
    return _with(state, aside=text, aside_ms=state.now_ms)


def _resume(state: TurnState) -> Step:
    floor = state.before_hold
    return Step(_with(state, floor=floor, reply_due_ms=state.now_ms + REPLY_WAIT_MS), (Resume(),))


def _turn_over(rules: TurnRules, state: TurnState) -> Step:
    """Answer when nothing is missing: no open speech, no final to come, silence long enough, the agent not busy."""
    if state.finals_due or state.reply_due:
        return Step(state)
    state = _with(state, floor=Floor.LISTENING)
    if state.open_speech or state.keys:
        return Step(state)
    if not words_of(state.words):
        return Step(_with(state, words=""))
    if state.now_ms < _turn_end_ms(rules, state):
        return Step(state)
    text = state.words
    state = _about_to_say(state, Saying.REPLY)
    if says_one_of(text, rules.end_phrases):
        state = _with(state, ending=EndReason.USER_ENDED)
    return Step(state, (Answer(text),))


def _turn_end_ms(rules: TurnRules, state: TurnState) -> float:
    return state.silent_since_ms + rules.end_of_turn.silence_ms(f"{state.words} {state.partial}".strip())


def _words_failed(rules: TurnRules, state: TurnState) -> Step:
    lost = state.finals_due > 0 or state.open_speech
    state = _forget_speech(_with(state, finals_due=0))
    if state.floor is Floor.HELD:
        return _resume(state)
    if not lost or state.reply_due:
        return Step(state)
    if words_of(state.words):
        return _turn_over(rules, state)
    return Step(_with(_about_to_say(state, Saying.REPLY), words=""), (ApologiseUnheard(),))


def _forget_speech(state: TurnState) -> TurnState:
    return _with(
        state,
        open_speech=False,
        caller_speaks=False,
        voiced_before_ms=0.0,
        burst_ms=0.0,
        partial="",
        prepared=False,
    )


# --- the agent's words


def _agent_started(state: TurnState) -> Step:
    """The caller's turn is on record from here on: what comes later is another one."""
    if not state.reply_due or state.agent_was_heard:
        return Step(state)
    if state.floor is Floor.HELD:
        return Step(_with(state, before_hold=Floor.SPEAKING, words="", aside=""))
    return Step(_with(state, floor=Floor.SPEAKING, words="", aside=""))


def _agent_finished(rules: TurnRules, state: TurnState, finished: AgentFinished) -> Step:
    if not state.reply_due:
        return Step(state)
    released: tuple[TurnCommand, ...] = (Resume(),) if state.floor is Floor.HELD else ()
    words = state.words if state.agent_was_heard else ""
    state = _with(state, floor=Floor.LISTENING, reply_due=False, words=words)
    reason = state.ending
    if reason is None and (finished.wants_end or says_one_of(finished.text, rules.end_phrases)):
        reason = EndReason.AGENT_ENDED
    if reason is not None:
        return _ended(state, reason)
    if state.saying is Saying.PROMPT:
        state = _with(state, prompted_ms=state.now_ms)
    else:
        state = _with(state, quiet_since_ms=state.now_ms, prompted_ms=None)
    if state.aside and state.now_ms - state.aside_ms <= ASIDE_MS and not state.words:
        state = _joined(state, state.aside)
    return _then(Step(_with(state, aside=""), released), lambda state: _turn_over(rules, state))


def _ended(state: TurnState, reason: EndReason) -> Step:
    return Step(_with(state, floor=Floor.ENDED), (End(reason),))


# --- keys


def _key(rules: TurnRules, state: TurnState, digit: str) -> Step:
    if not rules.keys_enabled or state.ending is EndReason.MAX_DURATION:
        return Step(state)
    if digit != "#" or not state.keys:
        state = _with(state, keys=(state.keys + digit)[:MAX_KEYS])
    state = _with(state, key_ms=state.now_ms, quiet_since_ms=state.now_ms, prompts=0, prompted_ms=None)
    interrupted = Step(state)
    if state.reply_due and (rules.interruptible or not state.agent_was_heard):
        interrupted = _cut(state)
    if digit == "#":
        return _then(interrupted, lambda state: _keys_over(rules, state))
    return interrupted


def _keys_over(rules: TurnRules, state: TurnState) -> Step:
    if state.reply_due:
        return Step(_with(state, key_ms=state.now_ms))
    pressed = f"Pressed {' '.join(state.keys)}."
    return _turn_over(rules, _with(_joined(state, pressed), keys=""))


# --- time


def _due(rules: TurnRules, state: TurnState) -> list[tuple[float, Callable[[TurnRules, TurnState], Step]]]:
    """Every moment at which something happens by itself, with what happens."""
    if state.floor is Floor.ENDED or not state.connected:
        return []
    over = state.start_ms + rules.max_duration_ms
    due: list[tuple[float, Callable[[TurnRules, TurnState], Step]]] = [(over, _too_long)]
    if not state.goodbye_said and rules.max_duration_ms > 2 * GOODBYE_MS:
        due.append((over - GOODBYE_MS, _take_leave))
    due += _speech_due(rules, state)
    if state.keys:
        due.append((state.key_ms + KEYS_WAIT_MS, _keys_over))
    if state.finals_due:
        due.append((state.final_due_ms, _final_lost))
    if state.reply_due and state.floor is Floor.THINKING:
        due.append((state.reply_due_ms, _reply_lost))
    if state.floor is Floor.LISTENING and not (state.open_speech or state.finals_due or state.keys or state.words):
        due += _quiet_due(rules, state)
    return due


def _speech_due(rules: TurnRules, state: TurnState) -> list[tuple[float, Callable[[TurnRules, TurnState], Step]]]:
    if state.caller_speaks:
        return []
    end = _turn_end_ms(rules, state)
    if state.open_speech:
        if state.floor is Floor.HELD:
            end = min(end, state.silent_since_ms + JUDGE_AFTER_MS)
        due = [(end, _finish_turn)]
        if not state.prepared:
            due.append((state.silent_since_ms + min(PREPARE_AFTER_MS, (end - state.silent_since_ms) / 2), _prepare))
        return due
    waits = bool(state.words) and not (state.reply_due or state.finals_due or state.keys)
    return [(end, _turn_over)] if waits and state.floor is Floor.LISTENING else []


def _quiet_due(rules: TurnRules, state: TurnState) -> list[tuple[float, Callable[[TurnRules, TurnState], Step]]]:
    idle = state.quiet_since_ms + rules.idle_after_ms
    if state.prompted_ms is not None:
        idle = max(idle, state.prompted_ms + PROMPT_GRACE_MS)
    due: list[tuple[float, Callable[[TurnRules, TurnState], Step]]] = [(idle, _idle)]
    if rules.prompt_after_ms is not None and state.prompts < MAX_PROMPTS:
        since = state.quiet_since_ms if state.prompted_ms is None else state.prompted_ms
        due.append((since + rules.prompt_after_ms, _prompt))
    return due


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
        done = act(rules, result.state)
        result = Step(done.state, result.commands + done.commands)
    return result


def _prepare(rules: TurnRules, state: TurnState) -> Step:
    return Step(_with(state, prepared=True), (PrepareTranscript(),))


def _finish_turn(rules: TurnRules, state: TurnState) -> Step:
    floor = Floor.THINKING if state.floor is Floor.LISTENING else state.floor
    state = _with(
        _forget_speech(state),
        floor=floor,
        finals_due=state.finals_due + 1,
        final_due_ms=state.now_ms + TRANSCRIPT_WAIT_MS,
    )
    return Step(state, (FinishTurn(),))


def _final_lost(rules: TurnRules, state: TurnState) -> Step:
    return _words_failed(rules, state)


def _reply_lost(rules: TurnRules, state: TurnState) -> Step:
    state = _with(state, floor=Floor.LISTENING, reply_due=False, words="", quiet_since_ms=state.now_ms)
    if state.ending is not None:
        cut = Step(state, (Cut(False),))
        return _then(cut, lambda state: _ended(state, state.ending or EndReason.ERROR))
    return Step(state, (Cut(False),))


def _prompt(rules: TurnRules, state: TurnState) -> Step:
    state = _with(_about_to_say(state, Saying.PROMPT), prompts=state.prompts + 1)
    return Step(state, (SaySilencePrompt(),))


def _idle(rules: TurnRules, state: TurnState) -> Step:
    state = _with(_about_to_say(state, Saying.GOODBYE), ending=EndReason.IDLE_TIMEOUT)
    return Step(state, (SayGoodbye(EndReason.IDLE_TIMEOUT),))


def _take_leave(rules: TurnRules, state: TurnState) -> Step:
    state = _with(state, goodbye_said=True)
    if state.ending is not None:
        return Step(state)
    stopped = _cut(state) if state.reply_due else Step(state)
    leaving = _with(_about_to_say(stopped.state, Saying.GOODBYE), ending=EndReason.MAX_DURATION)
    return Step(leaving, (*stopped.commands, SayGoodbye(EndReason.MAX_DURATION)))


def _too_long(rules: TurnRules, state: TurnState) -> Step:
    return _ended(state, EndReason.MAX_DURATION)
