"""Azure's text to speech: SSML in, audio in pieces out, by REST or over the WebSocket of the native SDK, which also gets words with times.
Knows some styles, and refuses what the service refuses."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import msgspec

from .emulated_faults import CutAfter, Faults, NoSound, Refused
from .emulated_voice import EmulatedVoice, Encoding, encoded
from .local_server import HttpRequest, answer

PATH = "/cognitiveservices/v1"
SOCKET_PATH = "/cognitiveservices/websocket/v1"
TICKS = 10_000_000
SPEAK = "{http://www.w3.org/2001/10/synthesis}"
MSTTS = "{http://www.w3.org/2001/mstts}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
CHUNK_BYTES = 4801
"""Odd on purpose: a sample may lie in two chunks."""
FORMATS: dict[str, tuple[Encoding, int]] = {
    "raw-8khz-8bit-mono-mulaw": ("mulaw", 8000),
    "raw-8khz-8bit-mono-alaw": ("alaw", 8000),
    "raw-16khz-16bit-mono-pcm": ("pcm_s16le", 16000),
    "raw-24khz-16bit-mono-pcm": ("pcm_s16le", 24000),
    "riff-24khz-16bit-mono-pcm": ("wav", 24000),
}
VOICE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?-[A-Z]{2}(-[a-z]+)?-[A-Z][A-Za-z]*(:[A-Za-z]+)?Neural")
"""What may be one: all names have this form."""
STYLES: dict[str, tuple[str, ...]] = {
    "en-US-JennyNeural": ("cheerful", "sad", "customerservice"),
    "en-GB-SoniaNeural": ("cheerful", "sad"),
    "fr-FR-DeniseNeural": ("cheerful", "sad"),
}


class SpokenSsml(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it was taken."""

    text: str
    voice: str
    language: str
    speed: float
    style: str | None
    style_degree: float
    ssml: str
    headers: dict[str, str]


class SsmlFault(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class AzureVoice:
    """Answers requests whose key is good."""

    def __init__(self, voice: EmulatedVoice, faults: Faults) -> None:
        self._voice = voice
        self._faults = faults
        self.requests: list[SpokenSsml] = []

    async def serve(self, scope: Any, send: Any, request: HttpRequest) -> None:
        """One request."""
        try:
            if request.path != PATH or request.method != "POST":
                raise SsmlFault("", 404 if request.path != PATH else 405)
            spoken, (encoding, rate) = _judged(request)
            fault = await self._faults.next()
            if isinstance(fault, Refused):
                retry = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
                await answer(scope, send, fault.status, (fault.message or "").encode(), retry)
                return
            self.requests.append(spoken)
            speech = await self._voice.say(spoken.text, speed=spoken.speed)
            payload = b"" if isinstance(fault, NoSound) else encoded(speech.audio, encoding, rate)
            if isinstance(fault, CutAfter):
                payload = payload[: int(fault.seconds * rate * 2)]
            headers = [(b"content-type", b"audio/basic"), (b"transfer-encoding", b"chunked"), (b"x-requestid", b"test")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for at in range(0, len(payload), CHUNK_BYTES):
                await send({"type": "http.response.body", "body": payload[at : at + CHUNK_BYTES], "more_body": True})
            if not isinstance(fault, CutAfter):  # a handler that returns without an end breaks the connection
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except SsmlFault as fault:
            await answer(scope, send, fault.status, str(fault).encode(), {"content-type": "text/plain"})

    async def serve_socket(self, scope: Any, receive: Any, send: Any, request: HttpRequest) -> None:
        """One connection: `speech.config`, then for each text `synthesis.context` and `ssml`."""
        fault = await self._faults.next()
        if isinstance(fault, Refused):
            await answer(scope, send, fault.status, b"", {})
            return
        await send({"type": "websocket.accept", "subprotocol": "USP" if "USP" in scope["subprotocols"] else None})
        context: dict[str, Any] = {}
        while (message := await receive())["type"] != "websocket.disconnect":
            head, _, body = (message.get("text") or "").partition("\r\n\r\n")
            headers = {name.strip().lower(): value.strip() for name, _, value in _pairs(head)}
            match headers.get("path"):
                case "speech.config":
                    json.loads(body)
                case "synthesis.context":
                    context = json.loads(body)["synthesis"]["audio"]
                case "ssml":
                    try:
                        await self._speak_over(send, context, body, headers["x-requestid"], request.headers)
                    except (SsmlFault, ElementTree.ParseError) as error:
                        await send({"type": "websocket.close", "code": 1007, "reason": str(error)[:100]})
                        return
                case _:
                    await send({"type": "websocket.close", "code": 1007, "reason": "unknown path"})
                    return

    async def _speak_over(
        self, send: Any, context: Mapping[str, Any], ssml: str, request_id: str, headers: dict[str, str]
    ) -> None:
        if context.get("outputFormat") not in FORMATS:
            raise SsmlFault("Unsupported output format")
        encoding, rate = FORMATS[context["outputFormat"]]
        spoken = _read(ssml, headers)
        self.requests.append(spoken)
        speech = await self._voice.say(spoken.text, speed=spoken.speed)
        stream_id = uuid.uuid4().hex

        async def tell(path: str, body: Mapping[str, Any]) -> None:
            head = f"X-RequestId:{request_id}\r\nPath:{path}\r\nContent-Type:application/json; charset=utf-8\r\n\r\n"
            await send({"type": "websocket.send", "text": head + json.dumps(body)})

        service = {"context": {"serviceTag": uuid.uuid4().hex}}
        await tell("turn.start", service)
        await tell("response", {**service, "audio": {"type": "inline", "streamId": stream_id}})
        if context.get("metadataOptions", {}).get("wordBoundaryEnabled"):
            for word in speech.words:
                text = {"Text": word.word, "Length": len(word.word), "BoundaryType": "WordBoundary"}
                times = {"Offset": int(word.start * TICKS), "Duration": int((word.end - word.start) * TICKS)}
                await tell("audio.metadata", {"Metadata": [{"Type": "WordBoundary", "Data": {**times, "text": text}}]})
        payload = encoded(speech.audio, encoding, rate)
        head = f"X-RequestId:{request_id}\r\nX-StreamId:{stream_id}\r\nPath:audio\r\n".encode()
        for at in range(0, len(payload) + 4800, 4800):  # the last piece is empty: no more comes
            frame = len(head).to_bytes(2, "big") + head + payload[at : at + 4800]
            await send({"type": "websocket.send", "bytes": frame})
        await tell(
            "audio.metadata",
            {"Metadata": [{"Type": "SessionEnd", "Data": {"Offset": int(speech.audio.seconds * TICKS)}}]},
        )
        await tell("turn.end", {})


def _pairs(head: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in head.split("\r\n")]


def _judged(request: HttpRequest) -> tuple[SpokenSsml, tuple[Encoding, int]]:
    if request.headers.get("content-type") != "application/ssml+xml":
        raise SsmlFault("Unsupported media type", 415)
    if not request.headers.get("user-agent") or len(request.headers["user-agent"]) > 255:
        raise SsmlFault("User-Agent is required, shorter than 255 characters")
    wanted = FORMATS.get(request.headers.get("x-microsoft-outputformat", ""))
    if wanted is None:
        raise SsmlFault("Unsupported output format")
    try:
        return _read(request.body.decode(), request.headers), wanted
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise SsmlFault(f"Invalid SSML: {error}") from None


def _read(ssml: str, headers: dict[str, str]) -> SpokenSsml:
    root = ElementTree.fromstring(ssml)  # noqa: S314 - from the adapter under test
    voices = root.findall(f"{SPEAK}voice")
    if root.tag != f"{SPEAK}speak" or root.get("version") != "1.0" or not root.get(LANG) or len(root) != len(voices):
        raise SsmlFault("speak must have version 1.0, xml:lang and voices")
    if len(voices) != 1 or not VOICE.fullmatch(voices[0].get("name") or ""):
        raise SsmlFault(f"Unsupported voice {voices[0].get('name') if voices else None}.")
    name = voices[0].get("name") or ""
    speed, style, degree = 1.0, None, 1.0
    for node in list(voices[0].iter())[1:]:
        if node.tag == f"{SPEAK}prosody":
            speed = _speed(node.get("rate", "0%"))
        elif node.tag == f"{MSTTS}express-as":
            style, degree = node.get("style"), float(node.get("styledegree", "1"))
            if style not in STYLES.get(name, ()) or not 0.01 <= degree <= 2:
                raise SsmlFault(f"Unsupported style {style}")
        elif node.tag not in {f"{SPEAK}break", f"{SPEAK}p", f"{SPEAK}s"}:
            raise SsmlFault(f"Unsupported element {node.tag}")
    return SpokenSsml(
        text="".join(root.itertext()),
        voice=name,
        language=root.get(LANG) or "",
        speed=speed,
        style=style,
        style_degree=degree,
        ssml=ssml,
        headers=headers,
    )


def _speed(rate: str) -> float:
    """`+20%` is a change."""
    if not rate.endswith("%") or rate[0] not in "+-0":
        raise SsmlFault(f"Unsupported rate {rate}")
    speed = 1 + float(rate[:-1]) / 100
    if not 0.5 <= speed <= 2:
        raise SsmlFault(f"Unsupported rate {rate}")
    return speed
