"""A server that transcribes live audio as Deepgram does, in both versions of its protocol, and really hears what is said. What the real one
refuses or takes for audio is refused and kept in `violations`.

async with DeepgramEmulator(LocalWords(moonshine)) as emulator:
    emulator.plan(Refused(429, retry_after=1), None, CutAfter(1.5))
    ... emulator.url, emulator.key ...
    emulator.streams[0].settings, emulator.streams[0].texts

As a process: python -m voisnap_testkit.deepgram_emulator --port 8711 (see emulator_process).
"""

import asyncio
import json
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
INTERIM_SECONDS = 1.0
UPDATE_SECONDS = 0.25
EAGER_SECONDS = 0.2
END_SECONDS = 0.5
MODELS = frozenset(
    {"nova-3", "nova-3-general", "nova-3-medical", "nova-2", "nova-2-phonecall", "nova-2-conversationalai"}
)
FLUX_MODELS = frozenset({"flux-general-en", "flux-general-multi"})
FLAGS = frozenset({"true", "false"})

_QUERY: Mapping[str, frozenset[str] | None] = {
    "model": MODELS,
    "language": None,
    "encoding": frozenset({"linear16"}),
    "sample_rate": frozenset({"16000"}),
    "channels": frozenset({"1"}),
    "multichannel": FLAGS,
    "interim_results": FLAGS,
    "punctuate": FLAGS,
    "smart_format": FLAGS,
    "profanity_filter": FLAGS,
    "endpointing": None,
    "utterance_end_ms": None,
    "vad_events": FLAGS,
    "keyterm": None,
    "keywords": None,
    "numerals": FLAGS,
    "filler_words": FLAGS,
    "no_delay": FLAGS,
    "mip_opt_out": FLAGS,
    "tag": None,
}
_FLUX_QUERY: Mapping[str, frozenset[str] | None] = {
    "model": FLUX_MODELS,
    "encoding": frozenset({"linear16"}),
    "sample_rate": frozenset({"16000"}),
    "eot_threshold": None,
    "eager_eot_threshold": None,
    "eot_timeout_ms": None,
    "keyterm": None,
    "language_hint": None,
    "profanity_filter": FLAGS,
    "numerals": FLAGS,
    "mip_opt_out": FLAGS,
    "tag": None,
}
_REFUSALS = {401: "INVALID_AUTH", 402: "ASR_PAYMENT_REQUIRED", 429: "TOO_MANY_REQUESTS", 503: "SERVICE_UNAVAILABLE"}


class DeepgramStream(msgspec.Struct, kw_only=True):
    """One connection as its client opened and used it."""

    path: str
    settings: dict[str, str]
    keyterms: tuple[str, ...] = ()
    audio_seconds: float = 0.0
    messages: list[str] = msgspec.field(default_factory=list)
    """Types of the client's text messages."""
    texts: list[str] = msgspec.field(default_factory=list)
    """Final texts that were sent."""
    is_over: bool = False


class DeepgramEmulator:
    """`url` and `key` open it. `idle_seconds` is its clock for connections without audio. A Finalize with less than `unanswered_seconds` of
    audio since the last final words gets no answer, as the vendor reserves."""

    def __init__(
        self,
        recogniser: WordsOf | None = None,
        *,
        key: str = "dg-test",
        idle_seconds: float = 10.0,
        unanswered_seconds: float = 0.0,
        port: int = 0,
        voice: Any = None,
    ) -> None:
        del voice
        self.key = key
        self.url = ""
        self.streams: list[DeepgramStream] = []
        self.violations: list[str] = []
        self.idle_seconds = idle_seconds
        self.unanswered_seconds = unanswered_seconds
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
        """What the next connections meet; None: nothing."""
        self._faults.plan(*faults)

    def seen(self) -> list[DeepgramStream]:
        """What was asked."""
        return self.streams

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        if await control(self, scope, send, request):
            return
        fault = await self._faults.next()
        if refusal := self._judge(scope, request, fault):
            status, code, text, headers = refusal
            body = json.dumps({"err_code": code, "err_msg": text, "request_id": str(uuid.uuid4())}).encode()
            await answer(scope, send, status, body, {"content-type": "application/json", "dg-error": code, **headers})
            return
        stream = DeepgramStream(
            path=request.path,
            settings=dict(request.query),
            keyterms=tuple(value for name, value in request.query if name in {"keyterm", "keywords"}),
        )
        self.streams.append(stream)
        await receive()  # the opening itself
        await send({"type": "websocket.accept", "headers": [(b"dg-request-id", str(uuid.uuid4()).encode())]})
        session = (_Flux if request.path.startswith("/v2") else _Listen)(self, stream, fault, send)
        try:
            await session.run(receive)
        finally:
            stream.is_over = True

    def _judge(
        self, scope: Any, request: HttpRequest, fault: Fault | None
    ) -> tuple[int, str, str, dict[str, str]] | None:
        queries = {"/v1/listen": _QUERY, "/v2/listen": _FLUX_QUERY}
        if scope["type"] != "websocket" or request.path not in queries:
            return 404, "NOT_FOUND", "There is nothing here.", {}
        if request.headers.get("authorization") not in {f"Token {self.key}", f"token {self.key}"}:
            return 401, "INVALID_AUTH", "Invalid credentials.", {}
        if isinstance(fault, Refused):
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            code = fault.code or _REFUSALS.get(fault.status, "INTERNAL_SERVER_ERROR")
            return fault.status, code, fault.message or "Something is wrong.", headers
        if wrong := _wrong(request, queries[request.path]):
            self.violations.append(wrong)
            return 400, "INVALID_QUERY_PARAMETER", wrong, {}
        return None


class _Session:
    """A connection: takes audio and messages in order, and says what it hears when there is nothing else to take."""

    def __init__(self, emulator: DeepgramEmulator, stream: DeepgramStream, fault: Fault | None, send: Any) -> None:
        self._emulator = emulator
        self.stream = stream
        self.fault = fault
        self._send = send
        self.audio = np.zeros(0, np.int16)
        self.settled = 0
        self.told = 0
        self.waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self, receive: Any) -> None:
        await self.opened()
        reader = asyncio.create_task(self._read(receive))
        try:
            while await self._step():
                pass
        finally:
            reader.cancel()

    async def _read(self, receive: Any) -> None:
        while True:
            message = await receive()
            self.waiting.put_nowait(message)
            if message["type"] == "websocket.disconnect":
                return

    async def _step(self) -> bool:
        """Take one message; whether there may be more."""
        try:
            async with asyncio.timeout(self._emulator.idle_seconds):
                message = await self.waiting.get()
                while not len(self.audio) and not message.get("bytes") and message["type"] != "websocket.disconnect":
                    await self._take_text(
                        message.get("text") or ""
                    )  # nothing keeps a connection before its first audio
                    message = await self.waiting.get()
        except TimeoutError:
            reason = "Deepgram did not receive audio data or a text message within the timeout window. See NET-0001"
            await self._send({"type": "websocket.close", "code": 1011, "reason": reason})
            return False
        if message["type"] == "websocket.disconnect":
            return False
        if message.get("bytes") is None:
            return await self._take_text(message.get("text") or "")
        await self._take_audio(message["bytes"])
        return await self._meets_no_fault()

    async def _take_audio(self, data: bytes) -> None:
        if (data.startswith(b'{"') and data.endswith(b"}")) or len(data) % 2:
            self.violation(f"{len(data)} bytes that are no samples")
        self.audio = np.concatenate([self.audio, np.frombuffer(data[: len(data) // 2 * 2], np.int16)])
        self.stream.audio_seconds = len(self.audio) / RATE
        if self.waiting.empty():
            await self.listened()

    async def _take_text(self, text: str) -> bool:
        try:
            kind = json.loads(text).get("type")
        except (ValueError, AttributeError):
            kind = None
        self.stream.messages.append(str(kind))
        return await self.told_to(str(kind))

    async def _meets_no_fault(self) -> bool:
        match self.fault:
            case CutAfter(seconds=seconds) if self.stream.audio_seconds >= seconds:
                raise ConnectionError("cut on purpose")
            case FailedAfter(code=code, seconds=seconds, message=message) if self.stream.audio_seconds >= seconds:
                await self._send({"type": "websocket.close", "code": int(code), "reason": message})
                return False
            case _:
                return True

    def violation(self, what: str) -> None:
        self._emulator.violations.append(what)

    async def words(self, start: int, end: int) -> tuple[Word, ...]:
        """What is heard between two samples, with times since the first."""
        if end - start < RATE // 50 or np.abs(self.audio[start:end].astype(np.int32)).max() <= LOUD:
            return ()
        found = await self._emulator.recogniser.words(Pcm(self.audio[start:end], RATE))
        since = start / RATE
        return tuple(
            msgspec.structs.replace(word, start_time=since + word.start_time, end_time=since + word.end_time)
            for word in found
        )

    async def say(self, **message: Any) -> None:
        await self._send({"type": "websocket.send", "text": json.dumps(message)})

    async def opened(self) -> None: ...

    async def listened(self) -> None: ...

    async def told_to(self, kind: str) -> bool:
        raise NotImplementedError


class _Listen(_Session):
    """The first version: results of stretches of audio."""

    async def listened(self) -> None:
        silence = self.stream.settings.get("endpointing", "10")
        if silence != "false" and self._silence() * 1000 >= max(int(silence), 100) and self._has_sound():
            await self._result(is_final=True, speech_final=True)
        elif len(self.audio) - self.told >= INTERIM_SECONDS * RATE:
            self.told = len(self.audio)
            if self.stream.settings.get("interim_results") == "true":
                await self._result(is_final=False)

    def _has_sound(self) -> bool:
        return bool((np.abs(self.audio[self.settled :].astype(np.int32)) > LOUD).any())

    def _silence(self) -> float:
        loud = np.flatnonzero(np.abs(self.audio[self.settled :].astype(np.int32)) > LOUD)
        return (len(self.audio) - self.settled - (int(loud[-1]) + 1 if len(loud) else 0)) / RATE

    async def told_to(self, kind: str) -> bool:
        match kind:
            case "KeepAlive":
                return True
            case "Finalize":
                if (len(self.audio) - self.settled) / RATE >= self._emulator.unanswered_seconds:
                    await self._result(is_final=True, from_finalize=True)
                return True
            case "CloseStream":
                if self._has_sound():
                    await self._result(is_final=True)
                seconds = self.stream.audio_seconds
                await self.say(
                    type="Metadata",
                    transaction_key="deprecated",
                    request_id=str(uuid.uuid4()),
                    sha256="0" * 64,
                    created="2026-11-21T00:00:00.000Z",
                    duration=seconds,
                    channels=1,
                )
                await self._send({"type": "websocket.close", "code": 1000})
                return False
            case _:
                self.violation(f"a message of type {kind}")
                reason = "DATA-0000: a message that cannot be read"
                await self._send({"type": "websocket.close", "code": 1008, "reason": reason})
                return False

    async def _result(self, *, is_final: bool, speech_final: bool = False, from_finalize: bool = False) -> None:
        if is_final and isinstance(self.fault, NeverFinal):
            return
        start, end = self.settled, len(self.audio)
        words = await self.words(start, end)
        formats = "true" in (self.stream.settings.get("punctuate"), self.stream.settings.get("smart_format"))
        text = " ".join(word.word if formats else _bare(word.word) for word in words)
        if is_final:
            self.settled = self.told = end
            if text:
                self.stream.texts.append(text)
        said = []
        for word in words:
            one = {"word": _bare(word.word), "start": round(word.start_time, 3), "end": round(word.end_time, 3)}
            one["confidence"] = round(word.confidence, 4)
            said.append(one | ({"punctuated_word": word.word} if formats else {}))
        best = {"transcript": text, "confidence": words[0].confidence if words else 0.0, "words": said}
        info = {"name": self.stream.settings.get("model", ""), "version": "2026-01-01.0", "arch": "emulated"}
        await self.say(
            type="Results",
            channel_index=[0, 1],
            duration=(end - start) / RATE,
            start=start / RATE,
            is_final=is_final,
            speech_final=speech_final,
            from_finalize=from_finalize,
            channel={"alternatives": [best]},
            metadata={"request_id": str(uuid.uuid4()), "model_info": info, "model_uuid": str(uuid.uuid4())},
        )


class _Flux(_Session):
    """The second version: the state of the present turn."""

    turn = 0
    sequence = 0
    words_so_far: tuple[Word, ...] = ()
    is_eager = False

    async def opened(self) -> None:
        await self._tell(type="Connected")

    async def listened(self) -> None:
        if len(self.audio) - self.told < UPDATE_SECONDS * RATE:
            return
        self.told = len(self.audio)
        loud = np.flatnonzero(np.abs(self.audio[self.settled :].astype(np.int32)) > LOUD)
        silence = (len(self.audio) - self.settled - (int(loud[-1]) + 1)) / RATE if len(loud) else 0.0
        if not len(loud):
            await self._turn_info("Update", ())
        elif silence < EAGER_SECONDS:
            words = await self.words(self.settled, len(self.audio))
            event = "Update" if self.words_so_far else "StartOfTurn" if words else "Update"
            if self.is_eager:
                event, self.is_eager = "TurnResumed", False
            self.words_so_far = words
            await self._turn_info(event, words)
        else:
            await self._silence(silence)

    async def _silence(self, silence: float) -> None:
        if silence >= END_SECONDS:
            await self._end("model")
        elif not self.is_eager and "eager_eot_threshold" in self.stream.settings:
            self.words_so_far = await self.words(self.settled, len(self.audio))
            if self.words_so_far:
                self.is_eager = True
                await self._turn_info("EagerEndOfTurn", self.words_so_far)

    async def _end(self, trigger: str) -> None:
        if isinstance(self.fault, NeverFinal):
            return
        words = self.words_so_far if self.is_eager else await self.words(self.settled, len(self.audio))
        if not words:
            self.settled = len(self.audio)
            return
        self.stream.texts.append(" ".join(word.word for word in words))
        await self._turn_info("EndOfTurn", words, trigger=trigger)
        self.settled, self.turn, self.words_so_far, self.is_eager = len(self.audio), self.turn + 1, (), False

    async def told_to(self, kind: str) -> bool:
        match kind:
            case "ForceEndTurn":
                await self._end("manual")
                return True
            case "CloseStream":
                await self._send({"type": "websocket.close", "code": 1000})
                return False
            case _:
                self.violation(f"a message of type {kind}")
                await self._tell(type="Error", code="UNPARSABLE_CLIENT_MESSAGE", description="It cannot be read.")
                await self._send({"type": "websocket.close", "code": 1008})
                return False

    async def _turn_info(self, event: str, words: tuple[Word, ...], *, trigger: str | None = None) -> None:
        said = [
            {
                "word": word.word,
                "confidence": round(word.confidence, 4),
                "start": round(word.start_time, 3),
                "end": round(word.end_time, 3),
            }
            for word in words
        ]
        await self._tell(
            type="TurnInfo",
            event=event,
            turn_index=self.turn,
            audio_window_start=self.settled / RATE,
            audio_window_end=len(self.audio) / RATE,
            transcript=" ".join(word.word for word in words),
            words=said,
            end_of_turn_confidence=0.9 if event == "EndOfTurn" else 0.5 if event == "EagerEndOfTurn" else 0.01,
            **({} if trigger is None else {"trigger": trigger}),
        )

    async def _tell(self, **message: Any) -> None:
        await self.say(request_id=str(uuid.uuid4()), sequence_id=self.sequence, **message)
        self.sequence += 1


def _is_message(data: bytes) -> bool:
    """Whether a text message came as a binary one: samples may begin with a brace, but make no document."""
    try:
        return data.startswith(b"{") and isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _bare(word: str) -> str:
    return word.strip(".?!,").lower()


def _wrong(request: HttpRequest, known: Mapping[str, frozenset[str] | None]) -> str | None:
    given = dict(request.query)
    for name in ("model", "encoding", "sample_rate"):
        if name not in given:
            return f"{name} is missing"
    for name, value in request.query:
        if name not in known:
            return f"unknown parameter {name}"
        allowed = known[name]
        if (allowed is not None and value not in allowed) or not value:
            return f"{name} must not be {value!r}"
    endpointing = given.get("endpointing", "10")
    if endpointing != "false" and not endpointing.isdigit():
        return f"endpointing must not be {endpointing!r}"
    if "keyterm" in given and given["model"].startswith("nova-2"):
        return "keyterm is for nova-3 and flux"
    if "keywords" in given and given["model"].startswith("nova-3"):
        return "keywords are for older models"
    if "utterance_end_ms" in given and given.get("interim_results") != "true":
        return "utterance_end_ms needs interim_results"
    if "language_hint" in given and not given["model"].endswith("multi"):
        return "language_hint is for flux-general-multi"
    if "eager_eot_threshold" in given and not 0.3 <= float(given["eager_eot_threshold"]) <= 0.9:
        return "eager_eot_threshold must be 0.3 to 0.9"
    return None


if __name__ == "__main__":
    run_emulator(DeepgramEmulator, port=8711)
