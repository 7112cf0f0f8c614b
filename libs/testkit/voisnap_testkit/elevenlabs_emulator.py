"""A server that speaks ElevenLabs' HTTP voices as the real one does, and says really what it is asked to say. What the real one refuses,
and what it lets pass though nobody means it (unknown fields), is refused and kept in `violations`.

async with ElevenLabsEmulator() as emulator:
    emulator.plan(Refused(429, retry_after=2), None, CutAfter(0.5))
    ... emulator.url, emulator.key ...
    emulator.requests[0].body, emulator.requests[0].outcome

As a process: python -m voisnap_testkit.elevenlabs_emulator --port 8701 (see emulator_process).
"""

import asyncio
import base64
import json
import random
import re
from contextlib import AsyncExitStack
from typing import Any, Literal, Self

import msgspec

from .emulated_faults import CutAfter, Fault, Faults, NoSound, Refused
from .emulated_voice import EmulatedVoice, Speech, SpokenSign, ToneVoice, encoded
from .emulator_process import control, run_emulator
from .local_server import HttpRequest, answer, read_request, served

MODELS = ("eleven_v3", "eleven_multilingual_v2", "eleven_turbo_v2_5", "eleven_flash_v2_5", "eleven_flash_v2")
PCM_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_CHARS = 40_000

_PATH = re.compile(r"/v1/text-to-speech/([A-Za-z0-9]{1,64})(/stream)?(/with-timestamps)?")
_QUERY = frozenset({"output_format", "enable_logging", "optimize_streaming_latency"})
_FIELDS = frozenset(
    [
        "text",
        "model_id",
        "language_code",
        "voice_settings",
        "pronunciation_dictionary_locators",
        "seed",
        "previous_text",
        "next_text",
        "previous_request_ids",
        "next_request_ids",
        "use_pvc_as_ivc",
        "apply_text_normalization",
        "apply_language_text_normalization",
    ]
)
_SETTINGS = {
    "stability": (0.0, 1.0),
    "similarity_boost": (0.0, 1.0),
    "style": (0.0, 1.0),
    "speed": (0.7, 1.2),
}
_REFUSALS = {
    400: ("invalid_request", "The request is not valid."),
    401: ("invalid_api_key", "Invalid API key"),
    404: ("voice_not_found", "A voice with this id was not found."),
    429: ("too_many_concurrent_requests", "Too many concurrent requests."),
    500: ("internal_server_error", "Something went wrong."),
    503: ("system_busy", "The system is busy. Try again later."),
}


class Seen(msgspec.Struct, kw_only=True):
    """A request for speech. `outcome`: everything was sent, the client left before, or a fault came between."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    outcome: Literal["open", "whole", "left", "fault"] = "open"


class _Piece(msgspec.Struct, frozen=True):
    """Some of the audio and the characters that begin in it."""

    start: float
    end: float
    audio: bytes
    signs: tuple[SpokenSign, ...]


class ElevenLabsEmulator:
    """`url` and `key` open it. `voice` speaks; `pace` in seconds of audio a second (None: at once); `voices` those it knows (None:
    any). Times of characters count from the beginning of the request, or from that of their piece if `times_restart`."""

    def __init__(
        self,
        voice: EmulatedVoice | None = None,
        *,
        key: str = "xi-test",
        voices: frozenset[str] | None = None,
        pace: float | None = None,
        times_restart: bool = False,
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.key = key
        self.url = ""
        self._faults = Faults()
        self.requests: list[Seen] = []
        self.violations: list[str] = []
        self.peers: set[tuple[str, int]] = set()
        """Who connected, one a connection."""
        self._voice = voice or ToneVoice()
        self._voices = voices
        self._pace = pace
        self._times_restart = times_restart
        self._port = port
        self._random = random.Random(seed)  # noqa: S311 - where to cut
        self._stack = AsyncExitStack()
        self._done = asyncio.Condition()

    async def __aenter__(self) -> Self:
        port = await self._stack.enter_async_context(served(self._serve, port=self._port))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def plan(self, *faults: Fault | None) -> None:
        """What the next requests meet; None: nothing."""
        self._faults.plan(*faults)

    def seen(self) -> list[Seen]:
        """What was asked."""
        return self.requests

    async def finished(self, number: int = 0) -> Seen:
        """The request of this number once it is over."""
        async with self._done:
            await self._done.wait_for(lambda: len(self.requests) > number and self.requests[number].outcome != "open")
        return self.requests[number]

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        self.peers.add(tuple(scope["client"]))
        if await control(self, scope, send, request):
            return
        if request.headers.get("xi-api-key") != self.key:
            await _refuse(scope, send, Refused(401))
            return
        if request.path == "/v1/models" and request.method == "GET":
            await _answer_json(scope, send, 200, [{"model_id": model, "name": model} for model in MODELS])
            return
        path = _PATH.fullmatch(request.path)
        if path is None or request.method != "POST":
            self.violations.append(f"{request.method} {request.path}")
            await _answer_json(scope, send, 404, {"detail": "Not Found"})
            return
        await self._speak(scope, receive, send, request, path)

    async def _speak(self, scope: Any, receive: Any, send: Any, request: HttpRequest, path: re.Match[str]) -> None:
        query = dict(request.query)
        fault, body = self._judged(request, query)
        seen = Seen(path=request.path, query=query, headers=request.headers, body=body)
        self.requests.append(seen)
        try:
            if fault is None and self._voices is not None and path[1] not in self._voices:
                fault = Refused(404)
            planned = await self._faults.next() if fault is None else fault
            if isinstance(planned, Refused):
                seen.outcome = "fault"
                await _refuse(scope, send, planned)
                return
            settings = body.get("voice_settings") or {}
            speech = await self._voice.say(body["text"], speed=settings.get("speed") or 1.0)
            pieces = [] if isinstance(planned, NoSound) else self._cut(speech, query.get("output_format", ""))
            has_times = path[3] is not None
            if path[2] is None:
                await _answer_whole(scope, send, pieces, has_times=has_times)
                seen.outcome = "whole"
                return
            until = planned.seconds if isinstance(planned, CutAfter) else None
            await self._stream(receive, send, seen, pieces, has_times=has_times, until=until)
        finally:
            async with self._done:
                self._done.notify_all()

    async def _stream(
        self, receive: Any, send: Any, seen: Seen, pieces: list[_Piece], *, has_times: bool, until: float | None
    ) -> None:
        kind = b"application/json" if has_times else b"audio/pcm"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        left = asyncio.create_task(_disconnected(receive))
        try:
            for piece in pieces:
                if until is not None and piece.start >= until:
                    seen.outcome = "fault"
                    raise ConnectionAbortedError("cut as planned")
                data = self._line(piece) if has_times else piece.audio
                # the network splits as it likes, in the middle of samples and lines, too
                at = self._random.randrange(len(data)) if data else 0
                for part in (data[:at], data[at:]):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    await asyncio.sleep(0)
                if self._pace is not None:
                    await asyncio.wait({left}, timeout=(piece.end - piece.start) / self._pace)
                if left.done():
                    seen.outcome = "left"
                    return
            seen.outcome = "whole"
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            left.cancel()

    def _line(self, piece: _Piece) -> bytes:
        shift = piece.start if self._times_restart else 0.0
        return json.dumps(_timed(piece.audio, piece.signs, shift)).encode() + b"\n"

    def _cut(self, speech: Speech, output_format: str) -> list[_Piece]:
        """Pieces of 50 to 400 ms, the odd byte included; every character goes with the piece it begins in."""
        rate, encoding = _format(output_format)
        data = encoded(speech.audio, encoding, rate)
        per_second = rate * (2 if encoding == "pcm_s16le" else 1)
        signs = list(speech.signs())
        pieces: list[_Piece] = []
        at = 0
        while at < len(data):
            end = min(len(data), at + int(self._random.uniform(0.05, 0.4) * per_second))
            until = end / per_second
            own = [sign for sign in signs if sign.start < until or end == len(data)]
            signs = signs[len(own) :]
            pieces.append(_Piece(at / per_second, until, data[at:end], tuple(own)))
            at = end
        return pieces

    def _judged(self, request: HttpRequest, query: dict[str, str]) -> tuple[Refused | None, dict[str, Any]]:
        """What is wrong with a request, and its body."""
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self.violations.append("the body is no JSON object")
            return Refused(422), {}
        wrong = list(_faults_of(query, body))
        if not request.headers.get("content-type", "").startswith("application/json"):
            wrong.append("content-type")
        self.violations += wrong
        return (Refused(422, message="; ".join(wrong)) if wrong else None), body


def _faults_of(query: dict[str, str], body: dict[str, Any]) -> list[str]:
    wrong = [f"query {name}" for name in query if name not in _QUERY]
    wrong += [f"field {name}" for name in body if name not in _FIELDS]
    if not isinstance(body.get("text"), str) or not 0 < len(body["text"]) <= MAX_CHARS:
        wrong.append("text")
    if body.get("model_id", MODELS[1]) not in MODELS:
        wrong.append(f"model_id {body['model_id']!r}")
    if body.get("model_id") == "eleven_v3" and (body.get("previous_text") or body.get("next_text")):
        wrong.append("previous_text with eleven_v3")
    try:
        _format(query.get("output_format", "pcm_24000"))
    except ValueError:
        wrong.append(f"output_format {query['output_format']!r}")
    settings = body.get("voice_settings") or {}
    for name, value in settings.items():
        if name == "use_speaker_boost":
            is_right = isinstance(value, bool)
        else:
            least, most = _SETTINGS.get(name, (1.0, 0.0))
            is_right = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        if not is_right:
            wrong.append(f"voice_settings.{name} {value!r}")
    return wrong


def _format(name: str) -> tuple[int, Literal["pcm_s16le", "mulaw", "alaw"]]:
    kind, _, rate = name.partition("_")
    if kind == "pcm" and rate.isdigit() and int(rate) in PCM_RATES:
        return int(rate), "pcm_s16le"
    if name in {"ulaw_8000", "alaw_8000"}:
        return 8000, "mulaw" if kind == "ulaw" else "alaw"
    raise ValueError(f"no such format here: {name}")


def _timed(audio: bytes, signs: tuple[SpokenSign, ...], shift: float) -> dict[str, Any]:
    alignment = {
        "characters": [sign.sign for sign in signs],
        "character_start_times_seconds": [round(sign.start - shift, 3) for sign in signs],
        "character_end_times_seconds": [round(sign.end - shift, 3) for sign in signs],
    }
    said = alignment if signs else None
    return {"audio_base64": base64.b64encode(audio).decode(), "alignment": said, "normalized_alignment": said}


async def _answer_whole(scope: Any, send: Any, pieces: list[_Piece], *, has_times: bool) -> None:
    audio = b"".join(piece.audio for piece in pieces)
    if has_times:
        await _answer_json(scope, send, 200, _timed(audio, tuple(sign for piece in pieces for sign in piece.signs), 0))
        return
    await answer(scope, send, 200, audio, {"content-type": "audio/pcm"})


async def _refuse(scope: Any, send: Any, refused: Refused) -> None:
    headers = {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
    if refused.status == 422:
        fault = {"loc": ["body"], "msg": refused.message or "Value is not valid", "type": "value_error"}
        await _answer_json(scope, send, 422, {"detail": [fault]}, headers)
        return
    code, message = _REFUSALS.get(refused.status, ("error", "Error"))
    detail = {"status": refused.code or code, "message": refused.message or message}
    await _answer_json(scope, send, refused.status, {"detail": detail}, headers)


async def _answer_json(scope: Any, send: Any, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    await answer(
        scope, send, status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}
    )


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _make(*, voice: EmulatedVoice, recogniser: Any, port: int) -> ElevenLabsEmulator:
    return ElevenLabsEmulator(voice, port=port)


if __name__ == "__main__":
    run_emulator(_make, port=8701)
