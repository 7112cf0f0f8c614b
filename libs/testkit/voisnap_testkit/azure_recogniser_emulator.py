"""Azure's speech recogniser over its WebSocket protocol ("USP"), as the native SDK speaks it in conversation mode.

Text frames are headers, an empty line and JSON; binary frames are the length of their headers, the headers and audio. A turn begins with
`speech.context`, then comes audio (a WAV header first); audio of no length ends it.
"""

import asyncio
import json
import re
import struct
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from voisnap_media.pcm import Pcm

from .emulated_faults import CutAfter, FailedAfter, Faults, NeverFinal, Refused
from .emulated_segments import HeardSegment, Segments, WordsOf
from .local_server import HttpRequest, answer

PATH = re.compile(r"/speech/recognition/(interactive|conversation|dictation)/cognitiveservices/v1")
TICKS = 10_000_000
KNOWN_OPTIONS = frozenset(
    {
        "language",
        "format",
        "profanity",
        "wordLevelTimestamps",
        "wordLevelConfidence",
        "postprocessing",
        "initialSilenceTimeoutMs",
        "endSilenceTimeoutMs",
        "storeAudio",
        "cid",
        "lidEnabled",
    }
)
LANGUAGE = re.compile(r"(?!xx)[a-z]{2,3}(-[A-Z][a-z]{3})?-[A-Z]{2}")
"""What may be one: all real tags have this form."""
DEFAULT_SILENCE_SECONDS = 0.5


class AzureStream(msgspec.Struct, kw_only=True):
    """One connection as its client opened and used it."""

    options: dict[str, str]
    headers: dict[str, str]
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    contexts: list[dict[str, Any]] = msgspec.field(default_factory=list)
    audio_seconds: float = 0.0
    texts: list[str] = msgspec.field(default_factory=list)
    """Final texts that were sent."""


class _Turn(msgspec.Struct, kw_only=True):
    request_id: str
    segments: Segments
    begun: bool = False
    has_header: bool = False


class AzureRecogniser:
    """Serves connections whose key is good. Plain words become a sentence with a capital letter and a full stop, as a display text has."""

    def __init__(self, recogniser: WordsOf, faults: Faults) -> None:
        self._recogniser = recogniser
        self._faults = faults
        self.streams: list[AzureStream] = []
        self.violations: list[str] = []

    async def serve(self, scope: Any, receive: Any, send: Any, request: HttpRequest) -> None:
        """One connection."""
        fault = await self._faults.next()
        if isinstance(fault, Refused):
            retry = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
            await answer(scope, send, fault.status, (fault.message or "").encode(), retry)
            return
        options = dict(request.query)
        if unknown := set(options) - KNOWN_OPTIONS:
            self.violations.append(f"unknown options {sorted(unknown)}")
        if "USP" not in scope.get("subprotocols", []):
            self.violations.append("the subprotocol is not USP")
        if not LANGUAGE.fullmatch(options.get("language", "")):
            await answer(scope, send, 400, b"Unsupported language", {})
            return
        stream = AzureStream(options=options, headers=request.headers)
        self.streams.append(stream)
        await send({"type": "websocket.accept", "subprotocol": "USP"})
        await _Connection(self, stream, fault, receive, send).run()


class _Connection:
    def __init__(self, owner: AzureRecogniser, stream: AzureStream, fault: Any, receive: Any, send: Any) -> None:
        self._owner = owner
        self._stream = stream
        self._fault = fault
        self._receive = receive
        self._send = send
        self._turn: _Turn | None = None

    async def run(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                head, _, body = message["text"].partition("\r\n\r\n")
                self._take_text(_headers(head), body)
                continue
            data = message["bytes"]
            length = int.from_bytes(data[:2], "big")
            if not await self._take_audio(_headers(data[2 : 2 + length].decode()), data[2 + length :]):
                return

    def _take_text(self, headers: Mapping[str, str], body: str) -> None:
        match headers.get("path"):
            case "speech.config":
                self._stream.config = json.loads(body)
                self._expect("system" in self._stream.config.get("context", {}), "speech.config without a system")
            case "speech.context":
                context = json.loads(body)
                request_id = headers.get("x-requestid", "")
                self._expect(bool(self._stream.config), "speech.context before speech.config")
                self._expect(re.fullmatch("[0-9A-Fa-f]{32}", request_id) is not None, "a request id has 32 digits")
                self._stream.contexts.append(context)
                segments = Segments(
                    self._owner._recogniser,
                    silence_seconds=_silence_of(context),
                    is_ever_final=not isinstance(self._fault, NeverFinal),
                )
                self._turn = _Turn(request_id=request_id, segments=segments)
            case "telemetry":
                json.loads(body)
            case other:
                self._expect(False, f"unexpected path {other}")

    async def _take_audio(self, headers: Mapping[str, str], data: bytes) -> bool:
        """Whether the connection goes on."""
        turn = self._turn
        self._expect(headers.get("path") == "audio", f"binary frame with path {headers.get('path')}")
        if turn is None or headers.get("x-requestid") != turn.request_id:
            self._expect(turn is None or not data, "audio of no turn")
            return True
        if not turn.begun:
            turn.begun = True
            await self._tell("turn.start", {"context": {"serviceTag": uuid.uuid4().hex}})
        if not data:
            await self._end_turn(turn)
            return True
        if not turn.has_header:
            turn.has_header = True
            self._judge_header(headers, data)
            return True
        self._expect(len(data) % 2 == 0 and len(data) <= 32000, f"audio of {len(data)} bytes")
        await self._hear(turn, Pcm.from_bytes(data, 16000))
        return await self._goes_on(turn)

    async def _hear(self, turn: _Turn, audio: Pcm) -> None:
        self._stream.audio_seconds += audio.seconds
        had_begun = turn.segments.has_begun
        heard = await turn.segments.take(audio)
        if turn.segments.has_begun and not had_begun:
            await self._tell("speech.startDetected", {"Offset": _ticks(turn.segments.seconds)})
        for segment in heard:
            await self._tell_segment(segment)

    async def _goes_on(self, turn: _Turn) -> bool:
        match self._fault:
            case CutAfter(seconds=seconds) if turn.segments.seconds >= seconds:
                raise ConnectionError("cut on purpose")
            case FailedAfter(code=code, seconds=seconds, message=message) if turn.segments.seconds >= seconds:
                await self._send({"type": "websocket.close", "code": int(code), "reason": message})
                return False
            case _:
                return True

    async def _end_turn(self, turn: _Turn) -> None:
        for segment in await turn.segments.end() if not isinstance(self._fault, NeverFinal) else []:
            await self._tell_segment(segment)
        await self._tell("speech.endDetected", {"Offset": _ticks(turn.segments.seconds)})
        await self._tell("turn.end", {})
        self._turn = None

    async def _tell_segment(self, segment: HeardSegment) -> None:
        place = {"Offset": _ticks(segment.words[0].start_time), "Channel": 0, "Id": uuid.uuid4().hex}
        place["Duration"] = _ticks(segment.words[-1].end_time) - place["Offset"]
        lexical = segment.text.lower().strip(".?!,")
        if not segment.is_final:
            await self._tell("speech.hypothesis", {**place, "Text": lexical})
            return
        display = segment.text if segment.text.endswith((".", "?", "!")) else f"{segment.text}."
        display = f"{display[0].upper()}{display[1:]}"
        self._stream.texts.append(display)
        phrase: dict[str, Any] = {**place, "RecognitionStatus": "Success", "DisplayText": display}
        if self._stream.options.get("format") == "detailed":
            best: dict[str, Any] = {
                "Confidence": min(word.confidence for word in segment.words),
                "Lexical": lexical,
                "ITN": lexical,
                "MaskedITN": lexical,
                "Display": display,
            }
            if self._stream.options.get("wordLevelTimestamps") == "true":
                best["Words"] = [
                    {
                        "Word": word.word.lower().strip(".?!,"),
                        "Offset": _ticks(word.start_time),
                        "Duration": _ticks(word.end_time) - _ticks(word.start_time),
                    }
                    for word in segment.words
                ]
            phrase["NBest"] = [best]
        await self._tell("speech.phrase", phrase)

    async def _tell(self, path: str, body: Mapping[str, Any]) -> None:
        request_id = self._turn.request_id if self._turn else ""
        head = f"X-RequestId:{request_id}\r\nPath:{path}\r\nContent-Type:application/json; charset=utf-8\r\n\r\n"
        await self._send({"type": "websocket.send", "text": head + json.dumps(body)})
        await asyncio.sleep(0)

    def _judge_header(self, headers: Mapping[str, str], data: bytes) -> None:
        self._expect(headers.get("content-type") == "audio/x-wav", "the first audio is a WAV header")
        is_wav = len(data) == 44 and data[:4] == b"RIFF" and data[8:12] == b"WAVE"
        self._expect(is_wav, "no WAV header of 44 bytes")
        if is_wav:
            coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
            self._expect((coding, channels, rate, bits) == (1, 1, 16000, 16), f"audio of {rate} Hz, {bits} bits")

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self._owner.violations.append(what)


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _silence_of(context: Mapping[str, Any]) -> float:
    detection = context.get("phraseDetection", {})
    segmentation = detection.get(detection.get("mode", ""), {}).get("segmentation", {})
    return float(segmentation.get("segmentationSilenceTimeoutMs", DEFAULT_SILENCE_SECONDS * 1000)) / 1000


def _ticks(seconds: float) -> int:
    return int(seconds * TICKS)
