"""A carrier's own end of a call, for tests: strict about what we send, exact about what it sends.

Written from the carriers' documentation and their own libraries, never from our adapters.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from voisnap_domain.calls import CallPhase
from voisnap_providers.ports.carrier import AnswerDocument, AudioFormat, StreamTarget, WebhookRequest

Frame = str | bytes


class Untaken(AssertionError):
    """We sent what the carrier would not take."""


class LineEnd(Protocol):
    """The carrier's end of one media socket. What we sent is queued until `play`."""

    played: bytes
    """Audio that the other side has heard, in the bytes of `spoken`."""

    def __init__(self, *, heard: AudioFormat, spoken: AudioFormat) -> None: ...

    def opening(self, parameters: Mapping[str, str]) -> tuple[Frame, ...]:
        """Its first words, with the parameters that the stream was given."""
        ...

    def speech(self, payload: bytes) -> Frame:
        """20 ms of the other side, in the bytes of `heard`."""
        ...

    def key(self, digit: str) -> Frame: ...

    def take(self, frames: Iterable[Frame]) -> tuple[Frame, ...]:
        """What it says at once to frames of ours, such as marks that a `clear` sent back. Raises Untaken."""
        ...

    def play(self) -> tuple[Frame, ...]:
        """Plays all that is queued; what it says of the marks on the way."""
        ...

    def closing(self) -> tuple[Frame, ...]:
        """Its last words; none where it just closes the socket."""
        ...


class DeskEnd(Protocol):
    """What posts a carrier's webhooks, signed by the carrier's own library where it can sign. `at` is Unix time in seconds."""

    def inbound(self, *, call_id: str, caller: str, callee: str, at: float) -> WebhookRequest:
        """A call to one of our numbers, both in E.164 with `+`; the caller may be `anonymous`."""
        ...

    def progress(self, *, call_id: str, phase: CallPhase, at: float) -> WebhookRequest: ...

    def machine(self, *, call_id: str, at: float) -> WebhookRequest:
        """An answering machine picked up."""
        ...

    def unrelated(self, *, call_id: str, at: float) -> WebhookRequest:
        """Something it posts that matters to nobody here."""
        ...

    def recorded(self, recording_id: str, *, call_id: str, at: float) -> WebhookRequest:
        """A recording of 12 seconds is ready; carriers that name a host for it name one that is none of theirs."""
        ...

    def nonsense(self, *, at: float) -> WebhookRequest:
        """Well signed, and nothing its documentation knows."""
        ...

    def stream_of(self, document: AnswerDocument) -> StreamTarget | None:
        """Where an answer sends the call's audio, as the carrier reads it; None for a carrier that is commanded over REST, whose answers
        are empty. Raises Untaken."""
        ...

    def said_of(self, document: AnswerDocument) -> str | None:
        """What an answer says aloud before it hangs up; None as above."""
        ...
