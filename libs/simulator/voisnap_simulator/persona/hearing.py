"""What a simulated person understands of the other side: the house's voice detector cuts the line's sound into stretches of speech, and the
local recogniser (English) writes them down. Loaded when somebody first listens."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from voisnap_media.pcm import Samples

SETTLE_SECONDS = 3.0
"""How long the last words may take when the call is over."""
MAX_HELD = 100
"""Stretches of speech whose texts nobody took."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech, and when it began and ended, in seconds of the line; `confidence` 0 to 1."""

    text: str
    began: float
    ended: float
    confidence: float = 1.0


class Listening(Protocol):
    """One line's ear. `hear` takes 20 ms at 16 kHz."""

    def hear(self, frame: "Samples") -> None: ...

    @property
    def is_waiting(self) -> bool:
        """Whether speech was heard whose text is still to come."""
        ...

    def texts(self) -> AsyncIterator[Heard]:
        """Everything that is said, as it is understood; ends after `finish`."""
        ...

    async def finish(self) -> None:
        """The line is closed: what was begun is written down, and that is all."""
        ...


class Ears(Protocol):
    """Makes ears. `pause` is how much silence ends a stretch of speech, in seconds."""

    async def open(self, *, pause: float) -> Listening: ...


class LocalEars(Ears):
    """The detector and the recogniser that the platform itself hears with."""

    def __init__(self, models: Path | None) -> None:
        self._models = models
        self._lock = asyncio.Lock()
        self._vad: Any = None
        self._registry: Any = None

    async def open(self, *, pause: float) -> Listening:
        """Raises ProviderError, OSError, ValueError where the models are not there."""
        from voisnap_domain.agents import Transcription, TranscriptionProvider  # noqa: PLC0415 - see the module

        async with self._lock:
            if self._registry is None:
                await self._load()
        settings = Transcription(provider=TranscriptionProvider.LOCAL, language="en-US")
        registry: Any = self._registry
        return _Ear(self._vad, registry.stt("local").open(settings), pause)

    async def _load(self) -> None:
        from voisnap_media.vad import VadModel  # noqa: PLC0415 - see the module
        from voisnap_providers.registry import ProviderSettings, Registry  # noqa: PLC0415

        if self._models is None:
            raise ValueError("MODELS_DIR is not set, so nobody can listen")
        registry = Registry(ProviderSettings(models_dir=self._models, threads=1))
        try:
            self._vad = await asyncio.to_thread(VadModel.load, self._models / "silero-vad" / "silero_vad.onnx")
            await registry.warm(("stt",))
        except BaseException:
            await registry.aclose()
            raise
        self._registry = registry

    async def aclose(self) -> None:
        """Free the models."""
        if self._registry is not None:
            await self._registry.aclose()


class _Ear(Listening):
    """One line. The recogniser is given speech with what came just before it, as a call's own ear does."""

    def __init__(self, vad: Any, stream: Any, pause: float) -> None:
        # Sound is loaded with the first call: a simulator that nobody uses does without.
        import numpy as np  # noqa: PLC0415
        from voisnap_media import endpointing  # noqa: PLC0415
        from voisnap_media.pcm import Pcm  # noqa: PLC0415
        from voisnap_media.vad import WINDOW, VadState  # noqa: PLC0415

        self._np, self._pcm, self._events = np, Pcm, endpointing
        self._window = WINDOW
        self._vad, self._state, self._stream = vad, VadState(), stream
        self._gate = endpointing.SpeechGate(endpointing.GateSettings(silence_duration_ms=round(pause * 1000)))
        self._waiting = np.zeros(0, np.int16)
        self._before: deque[Any] = deque(maxlen=16)
        self._begun_at = 0.0
        self._spans: deque[tuple[float, float]] = deque()
        """Stretches whose texts are to come."""
        self._settled = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        return self._gate.speaking or bool(self._spans)

    def hear(self, frame: "Samples") -> None:
        np = self._np
        waiting = np.concatenate([self._waiting, frame]) if len(self._waiting) else frame
        while len(waiting) >= self._window:
            self._judge(waiting[: self._window])
            waiting = waiting[self._window :]
        self._waiting = waiting

    def _judge(self, window: "Samples") -> None:
        np, gate, pcm = self._np, self._events, self._pcm
        chance = float(self._vad.probabilities(window.astype(np.float32)[None] / 32768, [self._state])[0])
        was_speaking = self._gate.speaking
        events = self._gate.feed(chance)
        if was_speaking:
            self._stream.push(pcm(window, 16_000))
        else:
            self._before.append(window)
        for event in events:
            match event:
                case gate.SpeechStarted(at_ms=at):
                    self._begun_at = at / 1000
                    self._stream.push(pcm(np.concatenate(self._before), 16_000))
                    self._before.clear()
                case gate.SpeechPaused():
                    self._stream.pause()
                case gate.SpeechEnded(at_ms=at):
                    self._end(at / 1000)

    def _end(self, at: float) -> None:
        if len(self._spans) >= MAX_HELD:
            self._stream.reset()
            return
        self._spans.append((self._begun_at, at))
        self._stream.flush()

    async def texts(self) -> AsyncIterator[Heard]:
        async for one in self._stream:
            if not one.is_final:
                continue
            began, ended = self._spans.popleft() if self._spans else (0.0, 0.0)
            if not self._spans:
                self._settled.set()
            if one.text.strip():
                yield Heard(text=one.text.strip(), began=began, ended=ended, confidence=round(one.confidence, 2))

    async def finish(self) -> None:
        for event in self._gate.end():
            self._end(event.at_ms / 1000)
        if self._spans:
            self._settled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._settled.wait()
        await self._stream.aclose()
