"""Amazon Transcribe streaming over WebSocket: event-stream messages in both directions, checked by botocore's reader.

Message format: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
"""

import asyncio
import json
import struct
import uuid
from binascii import crc32
from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.session import get_session
from voisnap_media.pcm import Pcm

from .emulated_faults import CutAfter, FailedAfter, Faults, NeverFinal, Refused
from .emulated_segments import HeardSegment, Segments, WordsOf
from .local_server import HttpRequest, answer

PATH = "/stream-transcription-websocket"
SILENCE_SECONDS = 0.7
MAX_AUDIO_BYTES = 32_000
LANGUAGES = frozenset(get_session().get_service_model("transcribe").shape_for("LanguageCode").enum)
SETTINGS: Mapping[str, frozenset[str] | None] = {
    "language-code": LANGUAGES,
    "media-encoding": frozenset({"pcm"}),
    "sample-rate": None,
    "enable-partial-results-stabilization": frozenset({"true", "false"}),
    "partial-results-stability": frozenset({"high", "medium", "low"}),
    "vocabulary-name": None,
    "vocabulary-filter-name": None,
    "vocabulary-filter-method": frozenset({"remove", "mask", "tag"}),
    "language-model-name": None,
    "session-id": None,
}
_STATUS_CODES = {429: "LimitExceededException", 403: "AccessDeniedException", 503: "ServiceUnavailableException"}


class TranscribeStream(msgspec.Struct, kw_only=True):
    """One stream as its client opened and used it."""

    settings: dict[str, str]
    audio_seconds: float = 0.0
    events: int = 0
    texts: list[str] = msgspec.field(default_factory=list)
    """Final texts that were sent."""


class TranscribeEmulator:
    """Serves streams whose signature is good. The clock of its idle limit is `idle_seconds`."""

    def __init__(self, recogniser: WordsOf, faults: Faults, *, idle_seconds: float) -> None:
        self._recogniser = recogniser
        self._faults = faults
        self._idle_seconds = idle_seconds
        self.streams: list[TranscribeStream] = []
        self.violations: list[str] = []
        self._heard = asyncio.Event()

    async def until_heard(self, seconds: float) -> None:
        """Wait until the last stream has so much audio."""
        while not self.streams or self.streams[-1].audio_seconds < seconds:
            self._heard.clear()
            await self._heard.wait()

    async def serve(self, scope: Any, receive: Any, send: Any, request: HttpRequest) -> None:
        """One stream."""
        fault = await self._faults.next()
        if isinstance(fault, Refused):
            code = fault.code or _STATUS_CODES.get(fault.status, "InternalFailureException")
            body = json.dumps({"message": fault.message or "Something is wrong."}).encode()
            await answer(scope, send, fault.status, body, {"x-amzn-ErrorType": code})
            return
        settings = {name: value for name, value in request.query if not name.startswith("X-Amz-")}
        stream = TranscribeStream(settings=settings)
        self.streams.append(stream)
        await send({"type": "websocket.accept", "headers": [(b"x-amzn-request-id", uuid.uuid4().hex.encode())]})
        segments = Segments(
            self._recogniser, silence_seconds=SILENCE_SECONDS, is_ever_final=not isinstance(fault, NeverFinal)
        )
        if wrong := _wrong(settings):
            await _except(send, "BadRequestException", wrong)
            return
        while (audio := await self._next_audio(receive, send, stream)) is not None:
            for heard in await segments.end() if not len(audio) else await segments.take(audio):
                await _tell(send, stream, heard)
            if not len(audio):
                await send({"type": "websocket.close", "code": 1000})
                return
            match fault:
                case CutAfter(seconds=seconds) if segments.seconds >= seconds:
                    raise ConnectionError("cut on purpose")
                case FailedAfter(code=code, seconds=seconds, message=message) if segments.seconds >= seconds:
                    await _except(send, code, message)
                    return
                case _:
                    pass

    async def _next_audio(self, receive: Any, send: Any, stream: TranscribeStream) -> Pcm | None:
        """The audio of one event, empty at the end of the stream; None when the connection is over."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await receive()
        except TimeoutError:
            text = "Your request timed out because no new audio was received for 15 seconds."
            await _except(send, "BadRequestException", text)
            return None
        if message["type"] == "websocket.disconnect":
            return None
        try:
            buffer = EventStreamBuffer()
            buffer.add_data(message.get("bytes") or b"")
            event = buffer.next()
        except (ParserError, StopIteration) as error:
            self.violations.append(f"not an event: {type(error).__name__}")
            await _except(send, "SerializationException", "Could not deserialize the event.")
            return None
        headers = {
            ":message-type": "event",
            ":event-type": "AudioEvent",
            ":content-type": "application/octet-stream",
        }
        if event.headers != headers or len(event.payload) % 2 or len(event.payload) > MAX_AUDIO_BYTES:
            self.violations.append(f"an audio event with {event.headers} and {len(event.payload)} bytes")
        stream.events += 1
        audio = Pcm.from_bytes(event.payload, 16000)
        stream.audio_seconds += audio.seconds
        self._heard.set()
        return audio


def _wrong(settings: Mapping[str, str]) -> str | None:
    for name in ("language-code", "media-encoding", "sample-rate"):
        if name not in settings:
            return f"{name} is required."
    for name, value in settings.items():
        if name not in SETTINGS:
            return f"Unknown parameter {name}."
        allowed = SETTINGS[name]
        if allowed is not None and value not in allowed:
            return f"Value '{value}' at '{name}' failed to satisfy constraint: Member must satisfy enum value set."
    if settings["sample-rate"] != "16000":
        return "Only 16000 Hz is emulated."
    if "vocabulary-filter-method" in settings and "vocabulary-filter-name" not in settings:
        return "vocabulary-filter-method needs vocabulary-filter-name."
    return None


async def _tell(send: Any, stream: TranscribeStream, segment: HeardSegment) -> None:
    text = segment.text if segment.text.endswith((".", "?", "!")) else f"{segment.text}."
    is_stable = stream.settings.get("enable-partial-results-stabilization") == "true"
    items: list[dict[str, Any]] = []
    for at, word in enumerate(segment.words):
        content = word.word.rstrip(".?!,")
        times = {"StartTime": round(word.start_time, 3), "EndTime": round(word.end_time, 3)}
        items.append({**times, "Type": "pronunciation", "Content": content, "VocabularyFilterMatch": False})
        if segment.is_final:
            items[-1]["Confidence"] = round(word.confidence, 4)
        if is_stable:
            items[-1]["Stable"] = segment.is_final or at < len(segment.words) - 2
        sign = word.word[len(content) :] or ("." if at == len(segment.words) - 1 else "")
        if sign:
            end = {"StartTime": times["EndTime"], "EndTime": times["EndTime"]}
            items.append({**end, "Type": "punctuation", "Content": sign, "VocabularyFilterMatch": False})
    if segment.is_final:
        stream.texts.append(text)
    result = {
        "ResultId": f"segment-{segment.number}",
        "StartTime": round(segment.start, 3),
        "EndTime": round(segment.end, 3),
        "IsPartial": not segment.is_final,
        "ChannelId": "ch_0",
        "Alternatives": [{"Transcript": text, "Items": items}],
    }
    body = json.dumps({"Transcript": {"Results": [result]}}).encode()
    headers = {":message-type": "event", ":event-type": "TranscriptEvent", ":content-type": "application/json"}
    await send({"type": "websocket.send", "bytes": event_message(headers, body)})


async def _except(send: Any, code: str, message: str) -> None:
    headers = {":message-type": "exception", ":exception-type": code, ":content-type": "application/json"}
    await send({"type": "websocket.send", "bytes": event_message(headers, json.dumps({"Message": message}).encode())})
    await send({"type": "websocket.close", "code": 1000})


def event_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message of the event stream: lengths, their checksum, headers that are strings (type 7), payload, checksum of all."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))
