"""What happens in a conversation. `at_ms`: milliseconds of call audio since the caller was connected."""

import msgspec

from voisnap_domain.sessions import EndReason

from .rules import HOLD_AFTER_MS


class CallerConnected(msgspec.Struct, frozen=True):
    """The conversation begins."""

    at_ms: float


class CallResumed(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation goes on after a gap, at `at_ms` of it.

    `words`: the caller's turn that waits for an answer. `says`: there is something to say about the gap. `asked`: the agent's last words.
    `ending`: the call was about to end. The others are what the machine knew before.
    """

    at_ms: float
    words: str = ""
    says: bool = False
    asked: str = ""
    ending: EndReason | None = None
    prompts: int = 0
    warned: bool = False
    goodbye_said: bool = False


class CallerAway(msgspec.Struct, frozen=True):
    """The caller's line is broken: nothing that waits for him goes on, only the maximum duration."""

    at_ms: float


class CallerBack(msgspec.Struct, frozen=True):
    """The line is there again."""

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


class SpeechWasEcho(msgspec.Struct, frozen=True):
    """The voice since the recogniser was last asked was the agent's own, coming back from the caller's loudspeaker."""

    at_ms: float


class WordsHeard(msgspec.Struct, frozen=True):
    """The recogniser's words since the last flush; a final answers one `FinishTurn`.

    `is_prepared`: what a flush would give now, if nothing is said any more. `utterance_over`: the recogniser itself says that the caller
    is done.
    """

    at_ms: float
    text: str
    is_final: bool
    confidence: float = 1.0
    is_prepared: bool = False
    utterance_over: bool = False


class WordsFailed(msgspec.Struct, frozen=True):
    """The recogniser failed; a pending final will not come."""

    at_ms: float


class EndOfTurnLikely(msgspec.Struct, frozen=True):
    """How likely the turn is over by how it sounded, 0..1: the answer to `JudgeTurn` about the silence since `silent_since_ms`."""

    at_ms: float
    probability: float
    silent_since_ms: float


class AgentStarted(msgspec.Struct, frozen=True):
    """The first sound of the agent's words was played."""

    at_ms: float


class AgentFinished(msgspec.Struct, frozen=True):
    """All of the agent's words were played, `text`; empty when there was nothing to say. `wants_end`: the model asked to end the call."""

    at_ms: float
    text: str = ""
    wants_end: bool = False


class AgentInterrupted(msgspec.Struct, frozen=True):
    """What was heard of the agent's words before they were cut."""

    at_ms: float
    text: str


class KeyPressed(msgspec.Struct, frozen=True):
    """A DTMF digit: 0-9, *, #, A-D."""

    at_ms: float
    digit: str


class CallerWaits(msgspec.Struct, frozen=True):
    """The caller is being put through to somebody: his silence is no wonder, and he wants to hear now and then that it goes on."""

    at_ms: float


class WaitOver(msgspec.Struct, frozen=True):
    """He waits for nobody any more."""

    at_ms: float


class CallerJoined(msgspec.Struct, frozen=True):
    """Somebody has come on the line, and said `text` before he was listened to: it is answered."""

    at_ms: float
    text: str


class NoticeDue(msgspec.Struct, frozen=True):
    """Something is to be said that nobody asked for, as soon as nobody speaks."""

    at_ms: float
    text: str


class VoicemailReached(msgspec.Struct, frozen=True):
    """An answering machine records: say the message, whatever else was going on, and end the call."""

    at_ms: float


class TimePassed(msgspec.Struct, frozen=True):
    """Nothing else happened until now."""

    at_ms: float


TurnInput = (
    CallerConnected
    | CallResumed
    | CallerAway
    | CallerBack
    | SpeechStarted
    | SpeechContinued
    | SpeechEnded
    | SpeechWasEcho
    | WordsHeard
    | WordsFailed
    | EndOfTurnLikely
    | AgentStarted
    | AgentFinished
    | AgentInterrupted
    | KeyPressed
    | CallerWaits
    | WaitOver
    | CallerJoined
    | NoticeDue
    | VoicemailReached
    | TimePassed
)
