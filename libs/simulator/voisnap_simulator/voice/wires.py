"""The carriers' ends of their media sockets: what they say, and what they take. Pure: no I/O and no clock.

Twilio: https://www.twilio.com/docs/voice/media-streams/websocket-messages, Vonage:
https://developer.vonage.com/en/voice/voice-api/concepts/websockets, Telnyx:
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

import itertools
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat

Frame = str | bytes
FRAME_MS = 20
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Audio(msgspec.Struct, frozen=True):
    """Play this."""

    data: bytes


class Mark(msgspec.Struct, frozen=True):
    """Say when everything before has been played. `label` is what comes back."""

    label: Any


class Clear(msgspec.Struct, frozen=True):
    """Drop what has not been played."""


class Untaken(msgspec.Struct, frozen=True):
    """The carrier can't use what it was sent. `answer` is what it says of it, `ends` whether it ends the stream."""

    why: str
    answer: Frame | None = None
    ends: bool = False


Asked = Audio | Mark | Clear | Untaken


class Wire(Protocol):
    """One stream. `heard` is what the platform is sent, `spoken` what it sends. `buffered_seconds` is how much the carrier keeps."""

    heard: AudioFormat
    spoken: AudioFormat
    buffered_seconds: float
    is_ordered: bool
    """Whether frames come in the order of their numbers."""

    def opening(self) -> tuple[Frame, ...]: ...

    def media(self, payload: bytes) -> Frame:
        """20 ms of the telephone."""
        ...

    def key(self, digit: str) -> Frame: ...

    def take(self, frame: Frame) -> Asked: ...

    def reached(self, mark: Any) -> Frame: ...

    def cleared(self, marks: tuple[Any, ...]) -> tuple[Frame, ...]:
        """What it says of a clear that dropped these marks."""
        ...

    def closing(self) -> tuple[Frame, ...]: ...

    def described(self) -> dict[str, Any]:
        """What makes another wire of this stream (`wire_of`): whoever carries its sound elsewhere speaks by the same rules."""
        ...


class TwilioWire(Wire):
    """A Media Stream: JSON texts, numbers as texts, every mark comes back."""

    buffered_seconds = 600.0
    is_ordered = True

    def __init__(
        self,
        *,
        stream_sid: str,
        account_sid: str,
        call_sid: str,
        parameters: Mapping[str, str],
        form: AudioFormat,
        tracks: tuple[str, ...] = ("inbound",),
    ) -> None:
        self.heard = self.spoken = form
        self._stream, self._account, self._call = stream_sid, account_sid, call_sid
        self._parameters, self._tracks = dict(parameters), tracks
        self._sequence, self._chunk = itertools.count(1), itertools.count(1)

    def described(self) -> dict[str, Any]:
        return {
            "carrier": "twilio",
            "stream_sid": self._stream,
            "account_sid": self._account,
            "call_sid": self._call,
            "parameters": self._parameters,
            "form": _plain(self.heard),
            "tracks": list(self._tracks),
        }

    def opening(self) -> tuple[Frame, ...]:
        encoding = {AudioCodec.PCMU: "audio/x-mulaw", AudioCodec.PCMA: "audio/x-alaw", AudioCodec.L16: "audio/l16"}
        start = {
            "accountSid": self._account,
            "streamSid": self._stream,
            "callSid": self._call,
            "tracks": list(self._tracks),
            "mediaFormat": {"encoding": encoding[self.heard.codec], "sampleRate": self.heard.rate, "channels": 1},
            "customParameters": self._parameters,
        }
        return _text({"event": "connected", "protocol": "Call", "version": "1.0.0"}), self._said("start", start)

    def media(self, payload: bytes) -> Frame:
        chunk = next(self._chunk)
        content = {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(FRAME_MS * (chunk - 1)),
            "payload": b64encode(payload).decode(),
        }
        return self._said("media", content)

    def key(self, digit: str) -> Frame:
        return self._said("dtmf", {"track": "inbound_track", "digit": digit})

    def take(self, frame: Frame) -> Asked:
        said = _object(frame)
        if said is None or said.get("streamSid") != self._stream:
            return Untaken("31951: no message of Media Streams, or of another stream", ends=True)
        match said:
            case {"event": "media", "media": {"payload": str(payload)}}:
                data = _base64(payload)
                if data is None:
                    return Untaken("31951: a payload that is no base64", ends=True)
                return Audio(data)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
        return Untaken("31951: no message of Media Streams", ends=True)

    def reached(self, mark: Any) -> Frame:
        return self._said("mark", {"name": mark})

    def cleared(self, marks: tuple[Any, ...]) -> tuple[Frame, ...]:
        return tuple(self.reached(mark) for mark in marks)

    def closing(self) -> tuple[Frame, ...]:
        return (self._said("stop", {"accountSid": self._account, "callSid": self._call}),)

    def _said(self, event: str, content: Mapping[str, Any]) -> str:
        number = str(next(self._sequence))
        return _text({"event": event, "sequenceNumber": number, event: dict(content), "streamSid": self._stream})


class VonageWire(Wire):
    """A media socket: binary frames of exactly 20 ms both ways, texts around them; of marks that a clear dropped it says nothing."""

    buffered_seconds = 3072 * FRAME_MS / 1000
    is_ordered = True

    def __init__(self, *, rate: int, headers: Mapping[str, Any]) -> None:
        self.heard = self.spoken = AudioFormat(codec=AudioCodec.L16, rate=rate)
        self._headers = dict(headers)
        self._size = rate * FRAME_MS // 1000 * 2

    def described(self) -> dict[str, Any]:
        return {"carrier": "vonage", "rate": self.heard.rate, "headers": self._headers}

    def opening(self) -> tuple[Frame, ...]:
        about = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self.heard.rate}"}
        return (_text({**about, **self._headers}),)

    def media(self, payload: bytes) -> Frame:
        return payload

    def key(self, digit: str) -> Frame:
        return _text({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def take(self, frame: Frame) -> Asked:
        if isinstance(frame, bytes):
            if len(frame) != self._size:
                return Untaken(f"a frame of {len(frame)} bytes, and {self._size} are 20 ms")
            return Audio(frame)
        match _object(frame):
            case {"action": "clear"}:
                return Clear()
            case {"action": "notify", "payload": dict() as payload}:
                return Mark(payload)
        return Untaken("a text that is no action")

    def reached(self, mark: Any) -> Frame:
        return _text({"event": "websocket:notify", "payload": mark})

    def cleared(self, marks: tuple[Any, ...]) -> tuple[Frame, ...]:
        del marks
        return (_text({"event": "websocket:cleared"}),)

    def closing(self) -> tuple[Frame, ...]:
        return ()


class TelnyxWire(Wire):
    """Media streaming in RTP mode: JSON texts, a codec for each direction, frames in any order."""

    buffered_seconds = 600.0
    is_ordered = False

    def __init__(
        self,
        *,
        stream_id: str,
        call_control_id: str,
        call_session_id: str,
        caller: str,
        callee: str,
        heard: AudioFormat,
        spoken: AudioFormat,
        token: str | None,
        parameters: Mapping[str, Any],
        client_state: str | None,
        user_id: str,
    ) -> None:
        self.heard, self.spoken = heard, spoken
        self._stream = stream_id
        self._token = token
        self._user, self._call = user_id, call_control_id
        self._start = {
            "user_id": user_id,
            "call_control_id": call_control_id,
            "call_session_id": call_session_id,
            "from": caller,
            "to": callee,
            "tags": [],
            "client_state": client_state,
            "custom_parameters": dict(parameters),
            "media_format": {"encoding": heard.codec.upper(), "sample_rate": heard.rate, "channels": 1},
        }
        self._sequence, self._chunk = itertools.count(1), itertools.count(1)

    def described(self) -> dict[str, Any]:
        start = self._start
        return {
            "carrier": "telnyx",
            "stream_id": self._stream,
            "call_control_id": self._call,
            "call_session_id": start["call_session_id"],
            "caller": start["from"],
            "callee": start["to"],
            "heard": _plain(self.heard),
            "spoken": _plain(self.spoken),
            "token": self._token,
            "parameters": start["custom_parameters"],
            "client_state": start["client_state"],
            "user_id": self._user,
        }

    def opening(self) -> tuple[Frame, ...]:
        connected: dict[str, Any] = {"event": "connected", "version": "1.0.0"}
        if self._token is not None:
            connected["x-telnyx-streaming-auth-token"] = self._token
        return _text(connected), self._said("start", self._start)

    def media(self, payload: bytes) -> Frame:
        chunk = next(self._chunk)
        content = {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(FRAME_MS * (chunk - 1)),
            "payload": b64encode(payload).decode(),
        }
        return self._said("media", content)

    def key(self, digit: str) -> Frame:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return self._said("dtmf", {"digit": digit}, occurred_at=now)

    def take(self, frame: Frame) -> Asked:
        match _object(frame):
            case {"event": "media", "media": {"payload": str(payload)}}:
                data = _base64(payload)
                wide = 2 if self.spoken.codec is AudioCodec.L16 else 1
                if data is None or len(data) % wide:
                    return self._fault(100004, "Invalid media")
                milliseconds = len(data) / wide * 1000 / self.spoken.rate
                if not FRAME_MS <= milliseconds <= 30_000:
                    return self._fault(100004, f"Invalid media: {milliseconds:g} ms in one chunk")
                return Audio(data)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
            case None:
                return self._fault(100003, "Malformed frame")
        return self._fault(100002, "Unknown error")

    def reached(self, mark: Any) -> Frame:
        return self._said("mark", {"name": mark})

    def cleared(self, marks: tuple[Any, ...]) -> tuple[Frame, ...]:
        return tuple(self.reached(mark) for mark in marks)

    def closing(self) -> tuple[Frame, ...]:
        return (self._said("stop", {"user_id": self._user, "call_control_id": self._call}),)

    def _fault(self, code: int, title: str) -> Untaken:
        answer = _text(
            {"event": "error", "stream_id": self._stream, "payload": {"code": code, "title": title, "detail": title}}
        )
        return Untaken(f"{code}: {title}", answer)

    def _said(self, event: str, content: Mapping[str, Any], **more: object) -> str:
        number = str(next(self._sequence))
        return _text(
            {"event": event, "sequence_number": number, event: dict(content), "stream_id": self._stream, **more}
        )


def wire_of(described: Mapping[str, Any]) -> Wire:
    """The wire that another one's description makes. Raises KeyError, TypeError, ValueError for what is none."""
    given: dict[str, Any] = dict(described)
    carrier = given.pop("carrier")
    for name in ("form", "heard", "spoken"):
        if name in given:
            codec, rate = given[name]
            given[name] = AudioFormat(codec=AudioCodec(codec), rate=rate)
    if carrier == "twilio":
        return TwilioWire(**{**given, "tracks": tuple(given["tracks"])})
    return {"vonage": VonageWire, "telnyx": TelnyxWire}[carrier](**given)


def _plain(form: AudioFormat) -> list[Any]:
    return [form.codec.value, form.rate]


def _text(document: object) -> str:
    return msgspec.json.encode(document).decode()


def _object(frame: Frame) -> dict[str, Any] | None:
    if isinstance(frame, bytes):
        return None
    try:
        return _decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (BadBase64, ValueError):
        return None
