"""A server that transcribes live audio as AssemblyAI's streaming API (v3) does, and really hears what is said. What the real one refuses is
refused with its codes and kept in `violations`.

async with AssemblyAiEmulator(LocalWords(moonshine)) as emulator:
    emulator.plan(FailedAfter("3005", 1.0), None, NeverFinal())
    ... emulator.url, emulator.key ...
    emulator.streams[0].settings, emulator.streams[0].texts

As a process: python -m voisnap_testkit.assemblyai_emulator --port 8712 (see emulator_process).
"""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import msgspec
import numpy as np
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

from .emulated_faults import CutAfter, FailedAfter, Fault, Faults, NeverFinal, Refused
from .emulated_segments import LOUD, WordsOf
from .emulated_words import HiddenWords
from .emulator_process import control, run_emulator
from .local_server import HttpRequest, answer, read_request, served

RATE = 16000
INTERIM_SECONDS = 0.5
SHORTEST_MS, LONGEST_MS = 50, 1000
AHEAD_SECONDS = 2.0
"""How far audio may run ahead of real time."""
SESSION_SECONDS = 3 * 3600.0
FLAGS = frozenset({"true", "false", "True", "False"})
"""The vendor's own client writes them large."""
MODELS = frozenset(
    {
        "universal-streaming-english",
        "universal-streaming-multilingual",
        "u3-rt-pro",
        "universal-3-5-pro",
        "universal-3-6",
        "universal-3-6-pro",
        "whisper-rt",
    }
)
_QUERY: Mapping[str, frozenset[str] | None] = {
    "sample_rate": frozenset({"16000"}),
    "encoding": frozenset({"pcm_s16le"}),
    "speech_model": MODELS,
    "format_turns": FLAGS,
    "filter_profanity": FLAGS,
    "language_codes": None,
    "language_detection": FLAGS,
    "keyterms_prompt": None,
    "end_of_turn_confidence_threshold": None,
    "min_turn_silence": None,
    "max_turn_silence": None,
    "vad_threshold": None,
    "inactivity_timeout": None,
    "token": None,
}


class AssemblyAiStream(msgspec.Struct, kw_only=True):
    """One session as its client opened and used it."""

    settings: dict[str, str]
    headers: dict[str, str]
    audio_seconds: float = 0.0
    sizes_ms: list[float] = msgspec.field(default_factory=list)
    """Lengths of the messages of audio."""
    messages: list[str] = msgspec.field(default_factory=list)
    texts: list[str] = msgspec.field(default_factory=list)
    """Final texts that were sent."""
    is_over: bool = False


class AssemblyAiEmulator:
    """`url` and `key` open it. `speed` is its clock: 10 takes audio ten times as fast as real time, and sessions live a tenth as long."""

    def __init__(
        self,
        recogniser: WordsOf | None = None,
        *,
        key: str = "aai-test",
        speed: float = 1.0,
        session_seconds: float = SESSION_SECONDS,
        port: int = 0,
        voice: Any = None,
    ) -> None:
        del voice
        self.key = key
        self.url = ""
        self.streams: list[AssemblyAiStream] = []
        self.violations: list[str] = []
        self.speed = speed
        self.session_seconds = session_seconds
        self.recogniser = recogniser or HiddenWords()
        self._faults = Faults()
        self._port = port
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = await self._stack.enter_async_context(served(self._serve, port=self._port))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def plan(self, *faults: Fault | None) -> None:
        """What the next sessions meet; None: nothing. A refusal with 401 is the code 1008 after the opening, as the vendor does it."""
        self._faults.plan(*faults)

    def seen(self) -> list[AssemblyAiStream]:
        """What was asked."""
        return self.streams

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        if await control(self, scope, send, request):
            return
        fault = await self._faults.next()
        if scope["type"] != "websocket" or request.path != "/v3/ws":
            await answer(scope, send, 404, b"", {})
            return
        if isinstance(fault, Refused) and fault.status != 401:
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            await answer(scope, send, fault.status, b'{"error":"Something is wrong."}', headers)
            return
        stream = AssemblyAiStream(settings=dict(request.query), headers=request.headers)
        self.streams.append(stream)
        await receive()
        await send({"type": "websocket.accept"})
        session = _Session(self, stream, fault, send)
        try:
            if isinstance(fault, Refused) or self.key not in {
                request.headers.get("authorization"),
                stream.settings.get("token"),
            }:
                await session.close(1008, "Not authorized")
            elif wrong := _wrong(request):
                await session.refuse(3006, wrong)
            else:
                await session.run(receive)
        finally:
            stream.is_over = True


class _Session:
    """One session: turns of speech, ended by silence or on demand."""

    def __init__(self, emulator: AssemblyAiEmulator, stream: AssemblyAiStream, fault: Fault | None, send: Any) -> None:
        self._emulator = emulator
        self.stream = stream
        self._fault = fault
        self._send = send
        self._audio = np.zeros(0, np.int16)
        self._settled = 0
        self._told = 0
        self._turn = 0
        self._is_always_formatted = not stream.settings.get("speech_model", "").startswith("universal-streaming")
        self._formats = stream.settings.get("format_turns", "").lower() == "true"
        self._began = time.monotonic()

    @property
    def _elapsed(self) -> float:
        return (time.monotonic() - self._began) * self._emulator.speed

    async def run(self, receive: Any) -> None:
        await self._say(type="Begin", id=str(uuid.uuid4()), expires_at=int(time.time()) + int(SESSION_SECONDS))
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        reader = asyncio.create_task(_read(receive, waiting))
        try:
            while await self._step(waiting):
                pass
        finally:
            reader.cancel()

    async def _step(self, waiting: asyncio.Queue[dict[str, Any]]) -> bool:
        left = (self._emulator.session_seconds - self._elapsed) / self._emulator.speed
        try:
            async with asyncio.timeout(max(left, 0.0)):
                message = await waiting.get()
        except TimeoutError:
            await self._error(3008, "Session expired: Maximum session duration exceeded")
            return False
        if message["type"] == "websocket.disconnect":
            return False
        if message.get("bytes") is None:
            return await self._told_to(message.get("text") or "")
        if not await self._takes(message["bytes"]):
            return False
        if waiting.empty():
            await self._listened()
        return await self._meets_no_fault()

    async def _takes(self, data: bytes) -> bool:
        ms = len(data) / 2 / RATE * 1000
        self.stream.sizes_ms.append(ms)
        if not SHORTEST_MS <= ms <= LONGEST_MS or len(data) % 2:
            await self.refuse(3007, f"Input Duration Violation: {ms:g} ms. Expected between 50 and 1000 ms")
            return False
        self._audio = np.concatenate([self._audio, np.frombuffer(data, np.int16)])
        self.stream.audio_seconds = len(self._audio) / RATE
        if self.stream.audio_seconds > self._elapsed + AHEAD_SECONDS:
            text = f"Received {self.stream.audio_seconds:.1f} sec. audio in {self._elapsed:.1f} sec"
            await self.refuse(3007, f"Audio Transmission Rate Exceeded: {text}")
            return False
        return True

    async def _listened(self) -> None:
        loud = np.flatnonzero(np.abs(self._audio[self._settled :].astype(np.int32)) > LOUD)
        if not len(loud):
            return
        silence_ms = (len(self._audio) - self._settled - int(loud[-1]) - 1) / RATE * 1000
        if silence_ms >= int(self.stream.settings.get("min_turn_silence", "400")):
            await self._end()
        elif len(self._audio) - self._told >= INTERIM_SECONDS * RATE:
            self._told = len(self._audio)
            words = await self._words()
            if words:
                await self._say_turn(words, is_over=False, is_formatted=self._is_always_formatted)

    async def _told_to(self, text: str) -> bool:
        try:
            kind = json.loads(text).get("type")
        except (ValueError, AttributeError):
            kind = None
        self.stream.messages.append(str(kind))
        match kind:
            case "KeepAlive" | "UpdateConfiguration":
                return True
            case "ForceEndpoint":
                await self._end()
                return True
            case "Terminate":
                await self._end()
                await self._say(
                    type="Termination",
                    audio_duration_seconds=round(self.stream.audio_seconds),
                    session_duration_seconds=round(self._elapsed),
                )
                await self.close(1000)
                return False
            case _:
                await self.refuse(3006, f"Invalid message of type {kind}")
                return False

    async def _meets_no_fault(self) -> bool:
        match self._fault:
            case CutAfter(seconds=seconds) if self.stream.audio_seconds >= seconds:
                raise ConnectionError("cut on purpose")
            case FailedAfter(code=code, seconds=seconds, message=message) if self.stream.audio_seconds >= seconds:
                await self._error(int(code), message)
                return False
            case _:
                return True

    async def _end(self) -> None:
        """End the turn, if there is one: with formatting apart it is said twice."""
        words = await self._words()
        if not words or isinstance(self._fault, NeverFinal):
            return
        await self._say_turn(words, is_over=True, is_formatted=self._is_always_formatted)
        if self._formats and not self._is_always_formatted:
            await self._say_turn(words, is_over=True, is_formatted=True)
        self._settled = self._told = len(self._audio)
        self._turn += 1

    async def _words(self) -> tuple[Word, ...]:
        audio = self._audio[self._settled :]
        if len(audio) < RATE // 50 or np.abs(audio.astype(np.int32)).max() <= LOUD:
            return ()
        since = self._settled / RATE
        return tuple(
            msgspec.structs.replace(word, start_time=since + word.start_time, end_time=since + word.end_time)
            for word in await self._emulator.recogniser.words(Pcm(audio, RATE))
        )

    async def _say_turn(self, words: tuple[Word, ...], *, is_over: bool, is_formatted: bool) -> None:
        said = [
            {
                "text": word.word if is_formatted else word.word.strip(".?!,").lower(),
                "start": round(word.start_time * 1000),
                "end": round(word.end_time * 1000),
                "confidence": round(word.confidence, 4),
                "word_is_final": is_over or at < len(words) - 1,
            }
            for at, word in enumerate(words)
        ]
        text = " ".join(str(one["text"]) for one in said if one["word_is_final"])
        is_last = is_over and (is_formatted or self._is_always_formatted or not self._formats)
        if is_last:
            self.stream.texts.append(text)
        await self._say(
            type="Turn",
            turn_order=self._turn,
            turn_is_formatted=is_formatted,
            end_of_turn=is_over,
            transcript=text,
            utterance=text if is_over else "",
            end_of_turn_confidence=0.9 if is_over else 0.1,
            words=said,
        )

    async def _say(self, **message: Any) -> None:
        await self._send({"type": "websocket.send", "text": json.dumps(message)})

    async def refuse(self, code: int, text: str) -> None:
        """Something the client did wrong."""
        self._emulator.violations.append(text)
        await self._error(code, text)

    async def _error(self, code: int, text: str) -> None:
        await self._say(type="Error", error_code=code, error=text)
        await self.close(code, text)

    async def close(self, code: int, reason: str = "") -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason[:120]})


async def _read(receive: Any, waiting: asyncio.Queue[dict[str, Any]]) -> None:
    while True:
        message = await receive()
        waiting.put_nowait(message)
        if message["type"] == "websocket.disconnect":
            return


def _wrong(request: HttpRequest) -> str | None:
    given = dict(request.query)
    for name in ("sample_rate", "speech_model"):
        if name not in given:
            return f"Missing {name}"
    for name, value in request.query:
        if name not in _QUERY:
            return f"Unknown parameter {name}"
        allowed = _QUERY[name]
        if (allowed is not None and value not in allowed) or not value:
            return f"Invalid {name}: {value}"
    for name in ("language_codes", "keyterms_prompt"):
        try:
            msgspec.json.decode(given.get(name, "[]"), type=list[str])
        except msgspec.DecodeError:
            return f"Invalid {name}"
    return None


if __name__ == "__main__":
    run_emulator(AssemblyAiEmulator, port=8712)
