"""What the turn machine wants done, in order."""

import msgspec

from voisnap_domain.sessions import EndReason


class SayOpening(msgspec.Struct, frozen=True):
    """Speak the disclosure and the first message."""


class SayResumption(msgspec.Struct, frozen=True):
    """Speak about the gap and say where it was."""


class Pause(msgspec.Struct, frozen=True):
    """Be silent at once and keep the place."""


class Resume(msgspec.Struct, frozen=True):
    """Go on at the very sample."""


class Cut(msgspec.Struct, frozen=True):
    """Drop what is being said or prepared. `heard` tells whether any of it was played."""

    heard: bool


class GoOn(msgspec.Struct, frozen=True):
    """What cut the agent was nothing: say the rest, from the start of the sentence that was cut."""


class PrepareTranscript(msgspec.Struct, frozen=True):
    """The caller may be done: let the recogniser prepare (`pause`)."""


class ForgetSpeech(msgspec.Struct, frozen=True):
    """What was heard since the last flush was no speech (`reset`)."""


class FinishTurn(msgspec.Struct, frozen=True):
    """Ask the recogniser for its final words (`flush`)."""


class JudgeTurn(msgspec.Struct, frozen=True):
    """Find out how likely the turn is over by how it sounds, and tell it as `EndOfTurnLikely`."""

    silent_since_ms: float


class Draft(msgspec.Struct, frozen=True):
    """The caller's turn is likely over and reads `text`: begin a reply to it, unheard and unseen."""

    text: str


class DropDraft(msgspec.Struct, frozen=True):
    """The caller goes on: forget the reply that was begun."""


class Answer(msgspec.Struct, frozen=True):
    """The caller's turn is over and reads `text`: reply to it. `warns`: say before that time is running out."""

    text: str
    warns: bool = False


class SaySilencePrompt(msgspec.Struct, frozen=True):
    """Ask whether the caller is still there."""


class SayNotice(msgspec.Struct, frozen=True):
    """Say `text`, which nobody asked for."""

    text: str


class SayComfort(msgspec.Struct, frozen=True):
    """Let a caller who waits for somebody know that he is not forgotten."""


class SayTimeWarning(msgspec.Struct, frozen=True):
    """Say that the time of the call is running out."""


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
    | SayResumption
    | Pause
    | Resume
    | Cut
    | GoOn
    | PrepareTranscript
    | ForgetSpeech
    | FinishTurn
    | JudgeTurn
    | Draft
    | DropDraft
    | Answer
    | SaySilencePrompt
    | SayNotice
    | SayComfort
    | SayTimeWarning
    | SayGoodbye
    | ApologiseUnheard
    | End
)
