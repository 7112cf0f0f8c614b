"""Who answered an outbound call: a person, an answering machine, somebody's call screening, a menu. And what to do about a machine.

    listening ──short greeting, then silence──▶ over to the conversation ──"leave a message after the tone"──▶ machine
        │                                            ▲                                                          ▲  │
        ├──"say your name", "press 1 to be connected"─▶ screened: told who calls, until somebody answers ───────┤  │
        └──long greeting, machine's words, beep─────────────────────────────────────────────────────────────────┘  ▼
                                                                              hang up, or wait for the beep and leave the message

A person says "Hello?" and waits; a machine talks on, says so, and beeps. Each alone may mislead, so what was said has the last word where it
is known. A wrong "person" is mended: for a while the machine's words are listened for in the conversation, too.

The carrier may say who answered, too. Its beep ends a greeting, and its word counts where what was said does not tell.

Pure: times are milliseconds of call audio, `deadline` says when `step` wants a `TimePassed`. Inputs are those of the turn machine, the
tones of the line and the carrier's word.
"""

import re
import unicodedata
from enum import StrEnum
from typing import Any, assert_never

import msgspec

from .agents import VoicemailAction, VoicemailDetection
from .calls import AnsweredBy
from .sessions import Channel, Direction, SessionPlan
from .turntaking import SpeechContinued, SpeechEnded, SpeechStarted, TimePassed, WordsHeard

ASK_AFTER_MS = 240.0
"""Silence after which the recogniser is asked for its words."""
SURE_PAUSE_MS = 480.0
"""Silence after words that only a person says."""
PAUSE_MS = 700.0
"""Silence after which a greeting is over."""
WORDS_WAIT_MS = 600.0
"""How much longer words that were asked for are waited for."""
LONG_GREETING_MS = 4000.0
"""Speech without a pause longer than people answer with."""
FIRST_VOICE_MS = 3500.0
"""Silence after which the agent begins: somebody listens and waits."""
AFTER_GREETING_MS = 2500.0
"""Silence after a machine's greeting that stands for a beep that was not heard."""
BEEP_WAIT_MS = 30_000.0
"""How long a beep is waited for, from the moment the machine was recognised."""
WATCH_MS = 20_000.0
"""How long a conversation is watched for a machine's words."""
MOST_LISTENING_MS = 15_000.0
"""After this the conversation begins whoever it is: hold music, a crowd."""
CLICK_MS = 64.0
SCREENED_MS = 60_000.0
"""How long somebody is waited for behind a call screening after it was told who calls."""
MOST_INTRODUCTIONS = 3
"""How often a call screening that asks again is told."""
MOST_KEYS = 2
"""How often a key is pressed for one."""


class Answerer(StrEnum):
    """Who answered."""

    PERSON = "person"
    MACHINE = "machine"
    SCREENING = "screening"
    MENU = "menu"
    NOBODY = "nobody"


class LineSignal(StrEnum):
    """Tones of the line, as `voisnap_media.tones` finds them."""

    BEEP = "beep"
    RINGING = "ringing"
    BUSY = "busy"
    OUT_OF_SERVICE = "out_of_service"
    FAX = "fax"


class SignalHeard(msgspec.Struct, frozen=True):
    """A tone of the line is over."""

    at_ms: float
    signal: LineSignal


class CarrierSays(msgspec.Struct, frozen=True):
    """The carrier's judgement of who answered."""

    at_ms: float
    answered_by: AnsweredBy


class CallAnswered(msgspec.Struct, frozen=True):
    """The line is open; nobody spoke yet."""

    at_ms: float


ScreenInput = (
    CallAnswered | SpeechStarted | SpeechContinued | SpeechEnded | WordsHeard | SignalHeard | CarrierSays | TimePassed
)


class AskWords(msgspec.Struct, frozen=True):
    """Ask the recogniser for what was said so far."""


class Converse(msgspec.Struct, frozen=True):
    """Begin the conversation with `answerer`, who said `text`."""

    answerer: Answerer
    text: str


class Introduce(msgspec.Struct, frozen=True):
    """Tell a call screening that said `text` who calls, for whom and why: the first time, and whenever it asks again."""

    text: str
    again: bool = False


class Overheard(msgspec.Struct, frozen=True):
    """Somebody said `text`, and nothing is to be said to it."""

    text: str


class PressKey(msgspec.Struct, frozen=True):
    """Press `key`: who said `text` connects nobody without."""

    key: str
    text: str


class FallSilent(msgspec.Struct, frozen=True):
    """It is a machine after all: stop talking to it."""


class LeaveMessage(msgspec.Struct, frozen=True):
    """Speak the message now, then hang up."""

    text: str


class HangUp(msgspec.Struct, frozen=True):
    """There is nothing to say to whoever answered."""

    answerer: Answerer
    text: str


ScreenCommand = AskWords | Converse | Introduce | Overheard | PressKey | FallSilent | LeaveMessage | HangUp


class Phase(StrEnum):
    """What the screen is doing. Screened: a call screening has been told who calls, and somebody is waited for. Waiting: for a beep. Watching:
    the conversation runs. Over: it has nothing to say any more."""

    LISTENING = "listening"
    SCREENED = "screened"
    WAITING = "waiting"
    WATCHING = "watching"
    OVER = "over"


class ScreenState(msgspec.Struct, frozen=True, kw_only=True):
    """All it knows. `voiced_ms` counts the greeting without pauses, `burst_ms` its current burst; `words` are final, `partial` is not.
    `is_human`: so the carrier says. `was_told`: the words of whoever the conversation began with said who it is. `introductions`, `keys`: how
    often a call screening was told who calls, and a key was pressed for it."""

    phase: Phase = Phase.LISTENING
    now_ms: float = 0.0
    since_ms: float = 0.0
    speaks: bool = False
    silent_since_ms: float = 0.0
    voiced_ms: float = 0.0
    burst_ms: float = 0.0
    words: str = ""
    partial: str = ""
    asked: int = 0
    is_open: bool = False
    is_human: bool = False
    was_told: bool = False
    introductions: int = 0
    keys: int = 0

    @property
    def text(self) -> str:
        """All that was said, as far as it is known."""
        return f"{self.words} {self.partial}".strip()


class Screened(msgspec.Struct, frozen=True):
    """What an input leads to."""

    state: ScreenState
    commands: tuple[ScreenCommand, ...] = ()


def screens(plan: SessionPlan) -> bool:
    """Whether a call is one that a machine may answer: placed by us, to a phone, by an agent that wants to know.

    `voicemailDetection: true` in the session's metadata asks for it on any channel.
    """
    if not plan.agent.config.voicemail_detection.enabled:
        return False
    asked = plan.metadata.get("voicemailDetection") is True
    return asked or (plan.direction is Direction.OUTBOUND and plan.channel is Channel.PHONE)


def step(settings: VoicemailDetection, state: ScreenState, happened: ScreenInput) -> Screened:
    """The state after `happened`, and what is to be done, in order."""
    if state.phase is Phase.OVER:
        return Screened(state)
    state = _with(state, now_ms=max(state.now_ms, happened.at_ms))
    match happened:
        case CallAnswered():
            return Screened(_with(state, since_ms=state.now_ms, silent_since_ms=state.now_ms))
        case SpeechStarted() | SpeechContinued():
            return _voice(settings, state, happened.voiced_ms)
        case SpeechEnded():
            return _silence(settings, state, happened)
        case WordsHeard():
            return _words(settings, state, happened)
        case SignalHeard():
            return _signal(settings, state, happened.signal)
        case CarrierSays():
            return _told(settings, state, happened.answered_by)
        case TimePassed():
            return _time(settings, state)
        case _:
            assert_never(happened)


def deadline(state: ScreenState) -> float | None:
    """When `step` wants to be told that time passed, in milliseconds."""
    match state.phase:
        case Phase.OVER:
            return None
        case Phase.WATCHING:
            return state.since_ms + WATCH_MS
        case Phase.WAITING:
            return min(_waiting_due(state))
        case Phase.LISTENING | Phase.SCREENED:
            return min(_listening_due(state))


def _with(state: ScreenState, **changes: Any) -> ScreenState:
    return msgspec.structs.replace(state, **changes)


# --- voice and words


def _voice(settings: VoicemailDetection, state: ScreenState, burst_ms: float) -> Screened:
    if state.phase is Phase.WATCHING:
        return Screened(state)
    if not state.speaks:
        state = _with(state, speaks=True, is_open=True, burst_ms=0.0)
    state = _with(state, voiced_ms=state.voiced_ms + max(0.0, burst_ms - state.burst_ms), burst_ms=burst_ms)
    talks_on = state.voiced_ms >= LONG_GREETING_MS and not state.is_human
    if state.phase is Phase.LISTENING and talks_on and answerer_of(state.text) in _TALKS_ON:
        return _machine(settings, state)
    return Screened(state)


def _silence(settings: VoicemailDetection, state: ScreenState, ended: SpeechEnded) -> Screened:
    if not state.speaks:
        return Screened(state)
    state = _with(state, speaks=False, silent_since_ms=min(ended.ended_ms, state.now_ms), burst_ms=0.0)
    return _time(settings, state)


def _words(settings: VoicemailDetection, state: ScreenState, heard: WordsHeard) -> Screened:
    text = heard.text.strip()
    if heard.is_final:
        state = _with(state, words=f"{state.words} {text}".strip(), partial="", asked=max(0, state.asked - 1))
        if not state.words and state.phase in _LISTENS and not state.asked and not state.is_open:
            return Screened(_with(state, voiced_ms=0.0))  # a noise: the greeting is still to come
    else:
        state = _with(state, partial=text)
    if state.phase in _LISTENS and answerer_of(state.text) is Answerer.MACHINE:
        return _machine(settings, state)
    if state.phase is Phase.WAITING and answerer_of(state.text) is Answerer.SCREENING:
        return _screening(settings, state)  # it talked as long as machines do before its words were known
    if state.phase is Phase.WATCHING:
        return _watched(settings, state, is_final=heard.is_final)
    return _time(settings, state) if heard.is_final else Screened(state)


def _watched(settings: VoicemailDetection, state: ScreenState, *, is_final: bool) -> Screened:
    """Words in the conversation. Only what no person says to somebody who calls makes it a machine's."""
    if is_surely_a_machine(state.text):
        found = _machine(settings, state)
        return Screened(found.state, (FallSilent(), *found.commands)) if settings.action in _SILENCING else found
    return Screened(_with(state, words="", partial="") if is_final else state)


def _signal(settings: VoicemailDetection, state: ScreenState, signal: LineSignal) -> Screened:
    match signal:
        case LineSignal.RINGING:
            return Screened(_with(state, since_ms=state.now_ms, silent_since_ms=state.now_ms))
        case LineSignal.BUSY | LineSignal.OUT_OF_SERVICE | LineSignal.FAX:
            if state.phase is Phase.WATCHING:
                return Screened(state)
            return Screened(_with(state, phase=Phase.OVER), (HangUp(Answerer.NOBODY, state.text),))
        case LineSignal.BEEP:
            return _beep(settings, state)


def _beep(settings: VoicemailDetection, state: ScreenState) -> Screened:
    if state.phase is Phase.WATCHING or (state.phase is Phase.SCREENED and not state.text):
        return Screened(state)  # of a screening that is told: its own tones
    if state.phase in _LISTENS and answerer_of(state.text) is Answerer.SCREENING:
        return _screening(settings, state)  # "say your name after the tone"
    if state.phase in _LISTENS:
        found = _machine(settings, state)
        if found.state.phase is not Phase.WAITING:
            return found
        state = found.state
    return _leave(state)


# --- what the carrier says


def _told(settings: VoicemailDetection, state: ScreenState, answered_by: AnsweredBy) -> Screened:
    match answered_by:
        case AnsweredBy.UNKNOWN:
            return Screened(state)
        case AnsweredBy.FAX:
            return Screened(_with(state, phase=Phase.OVER), (HangUp(Answerer.NOBODY, state.text),))
        case AnsweredBy.HUMAN:
            return _told_human(state)
        case AnsweredBy.MACHINE:
            if state.phase in _LISTENS:
                return _machine(settings, state) if answerer_of(state.text) in _TALKS_ON else Screened(state)
            return (
                _told_late(settings, state) if state.phase is Phase.WATCHING and not state.was_told else Screened(state)
            )
        case AnsweredBy.MACHINE_BEEP:
            return _told_late(settings, state) if state.phase is Phase.WATCHING else _beep(settings, state)
        case _:
            assert_never(answered_by)


def _told_human(state: ScreenState) -> Screened:
    """Whoever it is has the floor as long as he speaks. Words that no person says make the carrier wrong."""
    if state.phase in {Phase.WATCHING, Phase.SCREENED} or answerer_of(state.text) in {
        Answerer.MACHINE,
        Answerer.SCREENING,
    }:
        return Screened(state)
    if not state.speaks:
        return _converse(state, Answerer.PERSON)
    return Screened(_with(state, phase=Phase.LISTENING, is_human=True))


def _told_late(settings: VoicemailDetection, state: ScreenState) -> Screened:
    """The conversation has begun, and it is a machine that has said its greeting."""
    found = _machine(settings, state)
    if settings.action is VoicemailAction.LEAVE_MESSAGE:
        found = _leave(found.state)
    return Screened(found.state, (FallSilent(), *found.commands)) if settings.action in _SILENCING else found


# --- time


def _listening_due(state: ScreenState) -> tuple[float, ...]:
    screened = state.phase is Phase.SCREENED
    most = state.since_ms + (SCREENED_MS if screened else MOST_LISTENING_MS)
    if state.speaks:
        return (most,)
    if not state.voiced_ms:
        return (most if screened else state.since_ms + FIRST_VOICE_MS,)
    if state.is_open:
        return (state.silent_since_ms + ASK_AFTER_MS,)
    is_sure = state.is_human or answerer_of(state.text) is Answerer.PERSON
    pause = SURE_PAUSE_MS if not state.asked and is_sure else PAUSE_MS
    return (most, state.silent_since_ms + pause + (WORDS_WAIT_MS if state.asked else 0.0))


def _waiting_due(state: ScreenState) -> tuple[float, ...]:
    due = (state.since_ms + BEEP_WAIT_MS,)
    if state.speaks:
        return due
    if state.is_open:
        return (*due, state.silent_since_ms + ASK_AFTER_MS)
    return (*due, state.silent_since_ms + AFTER_GREETING_MS)


def _time(settings: VoicemailDetection, state: ScreenState) -> Screened:
    due = deadline(state)
    if due is None or state.now_ms < due:
        return Screened(state)
    match state.phase:
        case Phase.WATCHING:
            return Screened(_with(state, phase=Phase.OVER))
        case Phase.WAITING:
            if state.is_open and not state.speaks and state.now_ms < state.since_ms + BEEP_WAIT_MS:
                return Screened(_with(state, is_open=False, asked=state.asked + 1), (AskWords(),))
            return _leave(state)
        case Phase.LISTENING | Phase.SCREENED if state.is_open and not state.speaks:
            if state.voiced_ms < CLICK_MS:
                return Screened(_with(state, is_open=False, voiced_ms=0.0), (AskWords(),))
            return Screened(_with(state, is_open=False, asked=state.asked + 1), (AskWords(),))
        case _:
            return _greeted(settings, state)


def _greeted(settings: VoicemailDetection, state: ScreenState) -> Screened:
    """A greeting is over, or none came."""
    if state.keys < MOST_KEYS and (key := key_wanted(state.text)) is not None:
        pressed = _screened_anew(state, keys=state.keys + 1)
        return Screened(pressed, (PressKey(key, state.text),))
    if state.phase is Phase.SCREENED:
        return _answered_after(settings, state)
    answerer = answerer_of(state.text)
    if answerer is Answerer.SCREENING:
        return _screening(settings, state)
    if answerer is Answerer.NOBODY:
        talks_on = state.voiced_ms >= LONG_GREETING_MS and not state.is_human
        answerer = Answerer.MACHINE if talks_on else Answerer.PERSON
    if answerer is Answerer.MACHINE and settings.action is not VoicemailAction.CONTINUE:
        return _machine(settings, state)
    return _converse(state, answerer)


def _screening(settings: VoicemailDetection, state: ScreenState) -> Screened:
    """A call screening asks who calls. One that does not understand what it is told is waited for, and told no more."""
    told = _screened_anew(state, introductions=state.introductions + 1)
    if state.introductions >= MOST_INTRODUCTIONS:
        return Screened(_screened_anew(state), (Overheard(state.text),))
    return Screened(told, (Introduce(state.text, again=state.introductions > 0),))


def _answered_after(settings: VoicemailDetection, state: ScreenState) -> Screened:
    """Something was said after a call screening was told who calls, or nothing for too long."""
    if not state.voiced_ms or state.now_ms >= state.since_ms + SCREENED_MS:
        return _converse(state, Answerer.PERSON)
    answerer = answerer_of(state.text)
    if answerer is not Answerer.PERSON and asks_again(state.text):
        return _screening(settings, state)
    waits = not state.text or asks_to_wait(state.text) or answerer is Answerer.SCREENING
    if answerer is not Answerer.PERSON and waits:
        return Screened(_screened_anew(state, since_ms=state.since_ms), (Overheard(state.text),) if state.text else ())
    return _converse(state, Answerer.PERSON)


def _screened_anew(state: ScreenState, **changes: Any) -> ScreenState:
    """Waiting for whoever comes after the screening; what was said so far counts no more."""
    fresh = {
        "phase": Phase.SCREENED,
        "since_ms": state.now_ms,
        "words": "",
        "partial": "",
        "voiced_ms": 0.0,
        "asked": 0,
    }
    return _with(state, **(fresh | changes))


def _converse(state: ScreenState, answerer: Answerer) -> Screened:
    watching = _with(
        state,
        phase=Phase.WATCHING,
        since_ms=state.now_ms,
        words="",
        partial="",
        was_told=answerer_of(state.text) is not Answerer.NOBODY,
    )
    return Screened(watching, (Converse(answerer, state.text),))


def _machine(settings: VoicemailDetection, state: ScreenState) -> Screened:
    match settings.action:
        case VoicemailAction.HANG_UP:
            return Screened(_with(state, phase=Phase.OVER), (HangUp(Answerer.MACHINE, state.text),))
        case VoicemailAction.CONTINUE:
            over = state.phase is Phase.WATCHING
            return Screened(_with(state, phase=Phase.OVER) if over else state)  # else when its greeting is over
        case VoicemailAction.LEAVE_MESSAGE:
            silent_since = state.now_ms if state.phase is Phase.WATCHING else state.silent_since_ms
            return Screened(
                _with(state, phase=Phase.WAITING, since_ms=state.now_ms, silent_since_ms=silent_since, asked=0)
            )
        case _:
            assert_never(settings.action)


def _leave(state: ScreenState) -> Screened:
    return Screened(_with(state, phase=Phase.OVER), (LeaveMessage(state.text),))


# --- what words tell

_TONE = (
    r"(?:after|at|wait for|following|hear) (?:the |a )?(?:tone|beep)",
    r"despues (?:de la senal|del tono)|apres le (?:bip|signal)|nach dem (?:ton|piep\w*|signal\w*)",
    r"apos o (?:sinal|bip)|dopo il (?:segnale|bip|tono)|na de (?:piep|toon)",
)
_MACHINE_ONLY = (
    *_TONE,
    r"please (?:leave|record) (?:me |us |your |a |an |the )",
    r"leave (?:me |us )?your (?:\w+ )?(?:name|number|message)",
    r"(?:has been|is being) forwarded to|record your message|mailbox is full",
    r"reached the (?:voice ?mail|mailbox)|automated voice messag\w+",
)
_MACHINE = (
    *_MACHINE_ONLY,
    r"(?:leave|record) (?:me |us |your |a |an |the )*(?:\w+ )?(?:message|voicemail|voice mail)",
    r"voice ?mail(?:box)?|voice messag\w+|mailbox|answering (?:machine|service)|messaging (?:system|service)",
    r"(?:ca n?not|cannot|can't|unable to|not able to) (?:\w+ ){0,2}?(?:take|answer|come to|get to|pick up)\b.{0,20}?\b(?:call|phone)",
    r"(?:person|party|number|customer|subscriber) .{0,40}?\b(?:not available|unavailable|not answering|switched off)",
    r"(?:i am|i'm|we are|we're) (?:currently |either )?(?:not available|unavailable|away from (?:my|our|the)) ",
    r"(?:get back to you|return your call|call you back) (?:as soon|when|later)",
    r"dej[ae] (?:su|tu|un) mensaje|buzon de voz",
    r"laiss(?:ez|er) (?:un|votre|nous un|moi un) message|messagerie vocale",
    r"(?:hinterlassen|sprechen) sie .{0,30}?nachricht|mailbox von|anrufbeantworter",
    r"deixe (?:a sua|sua|uma|o seu) mensagem|caixa postal|correio de voz",
    r"lasci(?:a|ate|are)? (?:un|il suo) messaggio|segreteria telefonica",
    r"spreek .{0,20}?(?:bericht|boodschap) in|voicemail van",
)
"""What a greeting says; the first ones nobody says to a caller in a conversation."""
_NAME_WANTED = (
    r"(?:record|state|say|speak|tell (?:me|us)|give) (?:me |us )?your (?:full |first )?name",
    r"(?:nennen|sagen|sprechen) sie .{0,20}?ihren namen|(?:diga|indique|grabe) su nombre|(?:dites|indiquez|enregistrez|donnez) votre nom",
    r"(?:diga|informe|grave) (?:o )?seu nome|(?:dica|registri|indichi) il suo nome|(?:noem|zeg|spreek) .{0,10}?uw naam",
)
_MESSAGE_WANTED = (
    r"message|voice ?mail|mailbox|nachricht|anrufbeantworter|mensaje|buzon|messagerie|mensagem|messaggio|segreteria|bericht",
    r"name (?:and |your |a |the )*(?:phone |telephone |callback |contact )?number",
)
"""With it, whoever wants a name wants a message after it."""
_SCREENING = (
    r"(?:record|state|say|tell me|give) your name",
    r"(?:reason|purpose) (?:for|of) (?:your |the |this )?call",
    r"(?:who|what) (?:is|are|'s) (?:calling and|you calling (?:about|for|from)|this regarding)",
    r"why you(?:'re| are) calling",
    r"(?:nennen|sagen|hinterlassen) sie .{0,20}?ihren namen|grund (?:ihres|fur ihren) anruf",
    r"(?:diga|indique|grabe) su nombre|(?:motivo|razon) de (?:su|la) llamada",
    r"(?:dites|indiquez|enregistrez|donnez) votre nom|(?:raison|motif|objet) de (?:votre |l')appel",
    r"(?:diga|informe|grave) (?:o )?seu nome|motivo d[ae] (?:sua )?(?:ligacao|chamada)",
    r"(?:dica|registri|indichi) il suo nome|motivo della (?:sua )?chiamata",
    r"(?:noem|zeg|spreek) .{0,10}?uw naam|reden van uw (?:telefoontje|gesprek|oproep)",
)
_SCREENING_ITSELF = (
    r"see if (?:this|the|that) person is available|screening service|call assist|call screen\w*|before i try to connect",
)
"""How a screening speaks of itself, which asks nothing."""
_WAIT = (
    r"\b(?:hold|stay on|wait|bear with)\b|(?:one|just a|a) (?:moment|second|minute|sec)|connect(?:ing)? you|trying to (?:reach|connect)",
    r"(?:i will|i'll|let me) (?:see|check|try|ask|find out)|see if .{0,30}?available|(?:put|transfer)(?:ting|ring)? you (?:through|over)",
    r"^(?:ok|okay|great|got it|alright|thanks|thank you)(?: very much| so much)?$|^(?:thank you|thanks) (?:for|we|i)\b",
    r"bleiben sie|einen (?:moment|augenblick)|bitte warten|verbinde|vielen dank|danke",
    r"no cuelgue|espere|un momento|en linea|gracias|ne quittez pas|patientez|un instant|merci",
    r"aguarde|nao desligue|obrigad[oa]|resti in linea|attenda|grazie|blijf aan de lijn|moment geduld|dank u",
)
"""What a screening says that has heard who calls."""
_AGAIN = (
    r"(?:didn't|did not|couldn't|can't|could not) (?:quite )?(?:catch|hear|understand|get) (?:that|you)|(?:say|repeat) (?:that|it) again|repeat that",
    r"tell me more|say more|more about|(?:is it|is this|calling about something) urgent|what(?:'s| is) (?:it|this|that) (?:about|regarding)",
    r"nicht verstanden|wiederholen|worum geht es|ist es dringend|no (?:le )?he entendido|repit[ae]|pas compris|repeter|nao entendi|repet[ai]",
    r"non ho capito|ripet[ae]|niet verstaan|herhalen",
)
_COMES_ON = (r"\b(?:hello|hi|hey|hallo|hola|allo|pronto|alo|speaking)$",)
"""How somebody comes on the line whom a screening has announced just before."""
_DIGITS = {
    **{str(digit): str(digit) for digit in range(10)},
    **{
        word: str(digit)
        for digit, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
    },
    **{"star": "*", "pound": "#", "hash": "#"},
    **{"eins": "1", "uno": "1", "un": "1", "um": "1", "een": "1"},
}
_KEY = r"(?:press|dial|enter|push|hit|drucken sie(?: die)?|pulse|presione|marque|appuyez sur|tapez|pressione|digite|prema|druk op|toets)"
_PRESS = re.compile(
    rf"{_KEY} (?:the )?(?:key |taste |tecla |tasto |toets |number |el |la |o |il )?(?P<key>{'|'.join(_DIGITS)})\b"
)
_TO_BE_CONNECTED = re.compile(
    r"(?:to|and|um|para|pour|per|om) (?:\w+ ){0,3}?(?:accept|connect\w*|continue|complete|proceed|confirm|go through|put through|be put"
    r"|verbunden|fortzufahren|verbinden|conectar|continuar|aceptar|aceitar|poursuivre|continuer|accepter|continuare|accettare|proseguire|verder)"
    r"|(?:not|no) (?:a )?(?:robot|robocall\w*|telemarketer\w*)"
)
_MENU = (
    r"press (?:the )?(?:\d|one|two|three|four|five|six|seven|eight|nine|zero|pound|star|hash)",
    r"main menu|menu (?:options|has changed)|listen (?:carefully|closely)|dial by name|(?:enter|dial) (?:your party's |the |an )?extension",
    r"your call (?:is|may be) (?:very )?(?:important|answered)|next available (?:agent|representative|operator)|all of our \w+ are",
    r"for (?:english|sales|support|billing|service)\b",
)
_PERSON = (
    r"^(?:hello|hi|hey|yes|yeah|yep|good (?:morning|afternoon|evening)|hola|diga|bueno|allo|oui|ja|hallo|pronto|alo|sim)\b(?: \w+){0,3}$",
    r"^(?:\w+ ){0,4}speaking$",
    r"(?:who is|who's|who am i) (?:this|that|it|calling|speaking)",
    r"(?:how|what) (?:can|may|could) (?:i|we) (?:help|do for) you|can i help you",
)
_OFFERS = (
    r"(?:would you like|do you want|want me|may i|can i|could i|shall i) (?:\w+ ){0,2}?(?:leave|take) (?:a|the) message",
)
"""What a person says who answers for another."""


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_MACHINE_SAYS, _SCREENING_SAYS, _MENU_SAYS, _PERSON_SAYS = map(_any_of, (_MACHINE, _SCREENING, _MENU, _PERSON))
_WANTS_NAME, _WANTS_MESSAGE = map(_any_of, (_NAME_WANTED, _MESSAGE_WANTED))
_WAIT_SAYS, _AGAIN_SAYS, _COMES_ON_SAYS, _ITSELF_SAYS = map(_any_of, (_WAIT, _AGAIN, _COMES_ON, _SCREENING_ITSELF))
_ONLY_MACHINES_SAY, _PERSON_OFFERS = map(_any_of, (_MACHINE_ONLY, _OFFERS))
_SILENCING = frozenset({VoicemailAction.HANG_UP, VoicemailAction.LEAVE_MESSAGE})
_TALKS_ON = frozenset({Answerer.MACHINE, Answerer.NOBODY})
_LISTENS = frozenset({Phase.LISTENING, Phase.SCREENED})


def answerer_of(text: str) -> Answerer:
    """Who says this, by its words; `NOBODY` when they do not tell."""
    words = _plain(text)
    if _PERSON_OFFERS.search(words) and not _ONLY_MACHINES_SAY.search(words):
        return Answerer.PERSON
    if _WANTS_NAME.search(words):
        return Answerer.MACHINE if _WANTS_MESSAGE.search(words) else Answerer.SCREENING
    if _MACHINE_SAYS.search(words):
        return Answerer.MACHINE
    if _SCREENING_SAYS.search(words) or _ITSELF_SAYS.search(words):
        return Answerer.SCREENING
    if _MENU_SAYS.search(words):
        return Answerer.MENU
    return Answerer.PERSON if _PERSON_SAYS.search(words) else Answerer.NOBODY


def asks_to_wait(text: str) -> bool:
    """Whether a call screening that was told who calls has nothing more to ask, and nobody has come on the line yet."""
    words = _plain(text)
    return _WAIT_SAYS.search(words) is not None and _COMES_ON_SAYS.search(words) is None


def asks_again(text: str) -> bool:
    """Whether a call screening that was told who calls has not understood, or wants to know more."""
    words = _plain(text)
    return _AGAIN_SAYS.search(words) is not None or _SCREENING_SAYS.search(words) is not None


def key_wanted(text: str) -> str | None:
    """The key that has to be pressed so that a call is connected at all; None for menus, which offer several, and for everything else."""
    words = _plain(text)
    found = {_DIGITS[match["key"]] for match in _PRESS.finditer(words)}
    return found.pop() if len(found) == 1 and _TO_BE_CONNECTED.search(words) else None


def is_surely_a_machine(text: str) -> bool:
    """Whether only an answering machine says this, in the middle of a conversation, too."""
    return _ONLY_MACHINES_SAY.search(_plain(text)) is not None


def _plain(text: str) -> str:
    """Lower case, without accents and punctuation, one space between words."""
    folded = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(sign))
    return " ".join(re.findall(r"[\w']+", folded.replace("’", "'")))
