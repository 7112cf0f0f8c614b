"""Telephony carriers: one contract for what a call is, what its media socket says, and what it can be told.

Three faces of a carrier, each without the others: `CarrierWebhooks` reads and checks what it posts, `MediaWire` translates one call's media
socket (pure: no I/O, no clock), `CallControl` asks its REST API. The shapes are ours; what a carrier calls them stays in its folder.
"""

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase

if TYPE_CHECKING:  # it comes with numpy: 120 ms and 25 MB of every process that handles no sound
    from voisnap_media.pcm import Pcm


class AudioCodec(StrEnum):
    PCMU = "pcmu"
    PCMA = "pcma"
    L16 = "l16"


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the wire. G.711 (`pcmu`, `pcma`) is always 8000 samples a second; `l16` is little-endian in our three carriers' sockets."""

    codec: AudioCodec
    rate: int


# The media socket ---------------------------------------------------------------------------------------------------


class MediaStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The first word of a call's audio. `parameters` are those that our answer document gave the stream (the one-time token among them);
    `caller` and `callee` are known where the carrier says them here. The formats are the stream's own, never assumed."""

    call_id: str
    stream_id: str
    heard: AudioFormat
    spoken: AudioFormat
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    caller: str | None = None
    callee: str | None = None


class AudioHeard(msgspec.Struct, frozen=True, kw_only=True):
    """Audio of the other side, in order and at the stream's own rate (`MediaStarted.heard`). Gaps of the network are not filled."""

    audio: "Pcm"


class KeyPressed(msgspec.Struct, frozen=True, kw_only=True):
    """A telephone key: `0`–`9`, `*`, `#`, `A`–`D`."""

    digit: str


class MarkReached(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was sent before the mark has been played. Marks that a `clear` dropped are not told: whoever sent `clear` knows them."""

    name: str


class MediaStopped(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier says that no more comes. A socket that closes without it is a stop too."""

    reason: str = ""


class MediaFault(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier complains about something we sent; the stream goes on."""

    code: str
    detail: str


MediaEvent = MediaStarted | AudioHeard | KeyPressed | MarkReached | MediaStopped | MediaFault


class MalformedMedia(Exception):
    """A frame of the media socket that the carrier's protocol does not know: the text names what is wrong, never the payload."""


class MediaWire(Protocol):
    """One call's media socket, both ways. `read` is told every frame; the others give the frames to send."""

    def read(self, frame: str | bytes) -> tuple[MediaEvent, ...]:
        """What a frame says; nothing for one that only keeps order. Raises MalformedMedia, also for audio before the start."""
        ...

    def audio(self, sound: "Pcm") -> tuple[str | bytes, ...]:
        """Frames that play `sound` (any rate, any length) after what is queued. Rest that fills no frame waits for the next call or `mark`.
        Raises MalformedMedia before the start."""
        ...

    def mark(self, name: str) -> tuple[str | bytes, ...]:
        """Frames that ask for `MarkReached(name)` when everything before has been played."""
        ...

    def clear(self) -> tuple[str | bytes, ...]:
        """Frames that drop what is queued and has not been played. Marks sent before are forgotten, whatever the carrier still says of them."""
        ...


# Webhooks -----------------------------------------------------------------------------------------------------------


class InboundCall(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody rings one of our numbers, and the carrier asks what to do. Numbers are E.164 with `+`; `caller` is None when withheld."""

    call_id: str
    caller: str | None
    callee: str
    country: str | None = None
    event_id: str | None = None


class CallProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call. `seconds` are the carrier's own, where it says them; `event_id` repeats when it repeats itself. `hand_over` is the
    one that this call was made for, where the carrier repeats what we gave it."""

    call_id: str
    phase: CallPhase
    event_id: str | None = None
    seconds: float | None = None
    cause: str = ""
    hand_over: "HandOverRef | None" = None


class HandOverRef(msgspec.Struct, frozen=True, kw_only=True):
    """The call whose caller was to be handed over, and our name of the other side's (`HandOverCourse.attempt_id`)."""

    call_id: str
    attempt_id: str = ""


class HandOverEnded(msgspec.Struct, frozen=True, kw_only=True):
    """`CallControl.transfer` is over for the call `call_id`, which waits for what comes next: `phase` is how the other side's call ended.
    Whoever was not reached leaves a caller behind who is to be told so."""

    call_id: str
    phase: CallPhase
    event_id: str | None = None


class MachineDetected(msgspec.Struct, frozen=True, kw_only=True):
    call_id: str
    answered_by: AnsweredBy
    event_id: str | None = None


class MediaLost(msgspec.Struct, frozen=True, kw_only=True):
    """A call's media socket broke or could not be opened, and the call waits: the answer may connect it anew (`connect`), else it ends.
    From carriers that post it where the call's progress goes too (Vonage to `resume_url`). Where `connect` is empty, `CallControl.connect`
    does it; Telnyx also posts it of a call that has ended or was handed over. A `stranded` one is with us alone: where nobody goes on with
    it, it is to be hung up. `may_be_wanted`: the carrier says the same where we stopped the stream ourselves. `not_reached`: it was to be
    handed over to somebody who did not answer, and its caller waits to be told so."""

    call_id: str
    event_id: str | None = None
    cause: str = ""
    stranded: bool = False
    may_be_wanted: bool = False
    not_reached: bool = False


class RecordingSaved(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier has a recording of a call ready to be fetched (`CallControl.fetch_recording`). `recording_id` is what the carrier knows it
    by, `call_id` whose it is where the carrier says so: of a conference or a conversation the address does. `seconds` are None where the
    carrier does not tell the length."""

    recording_id: str
    call_id: str = ""
    seconds: float | None = None
    event_id: str | None = None
    hand_over: HandOverRef | None = None


class RecordingFailed(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing to fetch: the carrier could not record, or nothing was said."""

    recording_id: str = ""
    call_id: str = ""
    cause: str = ""
    event_id: str | None = None


CarrierEvent = (
    InboundCall | CallProgress | MachineDetected | MediaLost | HandOverEnded | RecordingSaved | RecordingFailed
)


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the carrier made it: `url` is the public one that it was told, with its query; header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class BadSignature(Exception):
    """The request is not the carrier's, or too old to be believed. The text says which for the log, never the expected signature."""


class BadWebhook(Exception):
    """Signed, and still nothing that the carrier's documentation knows."""


TOKEN_PARAMETER = "token"  # noqa: S105 - a name
"""The name under which a `StreamTarget`'s token comes back in `MediaStarted.parameters`."""


class StreamTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call's audio shall go. `token` opens the media socket once; `parameters` come back in `MediaStarted`."""

    url: str
    token: str
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    resume_url: str | None = None
    call_id: str = ""
    """For a carrier whose media socket does not say whose call it carries (Vonage): it comes back in `MediaStarted`."""


class AnswerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook is answered with."""

    body: bytes
    content_type: str
    status: int = 200


class CarrierWebhooks(Protocol):
    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """Raises BadSignature unless the carrier signed it. `now` is Unix time in seconds."""
        ...

    def read(self, request: WebhookRequest) -> tuple[CarrierEvent, ...]:
        """What a verified request says; nothing for events that don't matter here. Raises BadWebhook."""
        ...

    def connect(self, target: StreamTarget) -> AnswerDocument:
        """The answer to an `InboundCall` that connects it to a media socket. For a carrier that is commanded over REST it is empty."""
        ...

    def refuse(self, text: str, language: str) -> AnswerDocument:
        """The answer that says a reason aloud and hangs up."""
        ...

    def over(self) -> AnswerDocument:
        """The answer to whoever asks what comes next of a call that is over here: it ends, unless it has been handed to somebody else."""
        ...


# Commands -----------------------------------------------------------------------------------------------------------


class MachineDetection(StrEnum):
    OFF = "off"
    ANSWER = "answer"
    """Says who answered as soon as it is known."""
    GREETING = "greeting"
    """Says of a machine when its greeting is over, too."""


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to reach somebody. `callee` is a number in E.164 or a SIP address, `caller` a number of ours. Whoever answers is connected
    to `target` at once; everything that becomes of the call is posted to `events_url`. `digits` are pressed when somebody answers
    (`w` waits half a second)."""

    attempt_id: str
    callee: str
    caller: str
    target: StreamTarget
    events_url: str
    ring_seconds: int = 30
    longest_seconds: int = 3600
    detection: MachineDetection = MachineDetection.OFF
    digits: str = ""


class RecordingFormat(StrEnum):
    """What all three carriers record."""

    MP3 = "mp3"
    WAV = "wav"


class RecordingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that the carrier makes, both sides in one file, each on a channel of its own where `is_stereo`. What becomes of it is posted
    to `events_url`, by carriers that have an address for it."""

    events_url: str
    format: RecordingFormat = RecordingFormat.MP3
    is_stereo: bool = False


class HandOverCourse(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told of a call that somebody else takes over: what becomes of the other side's call is posted to `events_url`, and `after_url` is
    asked what comes next when it is over (`HandOverEnded`). `attempt_id` is our name of the other side's call."""

    attempt_id: str
    events_url: str
    after_url: str


class CallControl(Protocol):
    """What a carrier is asked over REST, for one account. Raises ProviderError with the kind `carrier`; a number that cannot be dialled and
    a call that is over are not retryable."""

    async def dial(self, order: Dial) -> str:
        """The id of the call. Raises DialUncertain when nobody knows whether the carrier dials; any other error says that it does not."""
        ...

    async def connect(self, call_id: str, target: StreamTarget) -> None:
        """Connects a call to a media socket, in place of what it does now; where calls are answered over REST, answers it first."""
        ...

    async def refuse(self, call_id: str, text: str, language: str) -> None:
        """Says a reason aloud to a call that rings or waits, and ends it, where no answer to a webhook can (`CarrierWebhooks.refuse` is empty);
        nothing elsewhere."""
        ...

    async def hang_up(self, call_id: str) -> None:
        """Ends a call in whatever phase it is; one that is over already is fine."""
        ...

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Presses keys of the telephone (`0`–`9`, `*`, `#`, `A`–`D`, `w` waits half a second) without ending the stream. Raises
        DigitsUnsent where the carrier can't: then their tones are spoken instead (`voisnap_media.key_tones`)."""
        ...

    async def transfer(
        self,
        call_id: str,
        *,
        callee: str,
        caller: str,
        ring_seconds: int = 30,
        course: HandOverCourse | None = None,
        recording: RecordingOrder | None = None,
    ) -> None:
        """Hands the call over to somebody else and leaves it: the stream ends. `caller` is the number that is shown. Without a `course`
        nothing is told of it, and the call ends with the other side's. `recording` is made of what both say to each other."""
        ...

    async def bridge(
        self, call_id: str, other_call_id: str, *, name: str, recording: RecordingOrder | None = None
    ) -> None:
        """Joins two answered calls: each hears the other, both leave their streams, and when one hangs up the other ends too. `name` is one
        that nothing else was joined by (letters, digits, `_` and `-`, up to 64). Asking again does no harm. When it raises, `call_id` is
        where it was; the other may have left its stream, and is to be hung up."""
        ...

    async def start_recording(self, call_id: str, order: RecordingOrder) -> str:
        """Has the carrier record an answered call from now on, beside whatever it does; the recording's id, empty where only its event names
        it. Raises RecordingUnavailable where the carrier records only what is handed over (`transfer`, `bridge`)."""
        ...

    async def pause_recording(self, call_id: str, recording_id: str) -> None:
        """Leaves out what is said from now on, such as the number of a card; silence stands for it where the carrier can. Raises
        RecordingUnavailable where it can't."""
        ...

    async def resume_recording(self, call_id: str, recording_id: str) -> None:
        """Records again after `pause_recording`."""
        ...

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        """Ends a recording that `start_recording` began; one that is over is fine."""
        ...

    def fetch_recording(self, recording_id: str, format: RecordingFormat, *, most: int) -> AsyncIterator[bytes]:
        """The recording in pieces, from the carrier's own hosts alone. Raises ProviderError: not retryable when it is not there (any more),
        or has more than `most` bytes."""
        ...

    async def delete_recording(self, recording_id: str) -> None:
        """Deletes a recording at the carrier; one that is gone is fine, and so is a carrier that deletes by itself and has no command."""
        ...

    async def aclose(self) -> None: ...
