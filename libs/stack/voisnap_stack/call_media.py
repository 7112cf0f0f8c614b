"""What the caller of `voisnap call` says and hears, with the times both happened."""

import asyncio
import fractions
import importlib
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from av import AudioFrame
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample

RATE = 48000
FRAME = 960
FRAME_SECONDS = 0.02
VOICE_DBFS = -45.0
"""A frame louder than this is somebody speaking."""
MAX_HEARD_SECONDS = 3600
"""How much received sound is kept."""
MAX_LATE_SECONDS = 0.2
_MICROPHONE_FRAMES = 25


class Voice(MediaStreamTrack):
    """The caller's side: silence, until something is to be said or a microphone is open. Sent in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.last_voiced_at: float | None = None
        """Event-loop time at which the last frame with voice had been sent."""
        self.voiced_since: float | None = None
        """Event-loop time at which the first frame with voice was sent; whoever wants the next one clears it."""
        self._queued: deque[np.ndarray] = deque()
        self._spoken = asyncio.Event()
        self._spoken.set()
        self._frame = 0
        self._start: float | None = None
        self._microphone: Any = None

    async def say(self, audio: Pcm) -> None:
        """Speak a sound; returns when its last frame has been sent."""
        samples = resample(audio, RATE).samples
        samples = np.pad(samples, (0, -len(samples) % FRAME))
        self._queued.extend(np.split(samples, len(samples) // FRAME) if len(samples) else ())
        if self._queued:
            self._spoken.clear()
        await self._spoken.wait()

    def open_microphone(self) -> None:
        """Speak what the machine's microphone hears. Raises `MicrophoneMissing`."""
        loop = asyncio.get_running_loop()

        def captured(data: np.ndarray, *_: object) -> None:
            frame = data[:, 0].copy()
            loop.call_soon_threadsafe(self._keep, frame)

        self._microphone = _device("InputStream", captured)
        self._microphone.start()

    def _keep(self, frame: np.ndarray) -> None:
        self._queued.append(frame)
        # A sound card that runs faster than our clock must not add up to a delay.
        while len(self._queued) > _MICROPHONE_FRAMES:
            self._queued.popleft()

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when it is time for them (called by aiortc)."""
        loop = asyncio.get_running_loop()
        self._start = self._start if self._start is not None else loop.time()
        due = self._start + self._frame * FRAME_SECONDS
        if loop.time() - due > MAX_LATE_SECONDS:  # nobody asked for a while: go on from now, not all at once
            self._start, due = loop.time() - self._frame * FRAME_SECONDS, loop.time()
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        samples = self._queued.popleft() if self._queued else None
        if not self._queued:
            self._spoken.set()
        if samples is None:
            samples = np.zeros(FRAME, np.int16)
        elif Pcm(samples, RATE).rms_dbfs() > VOICE_DBFS:
            self.last_voiced_at = loop.time()
            self.voiced_since = self.voiced_since or self.last_voiced_at
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frame * FRAME, fractions.Fraction(1, RATE)
        self._frame += 1
        return frame

    def stop(self) -> None:
        """Close the microphone too."""
        super().stop()
        if self._microphone is not None:
            self._microphone.close()
            self._microphone = None


class MicrophoneMissing(Exception):
    """There is no way to the machine's microphone or loudspeaker; the text says what to do."""


def _device(kind: str, callback: Callable[..., None]) -> Any:
    try:
        sounddevice = importlib.import_module("sounddevice")
        return getattr(sounddevice, kind)(
            samplerate=RATE, channels=1, dtype="int16", blocksize=FRAME, callback=callback
        )
    except ImportError as error:
        raise MicrophoneMissing(
            "--mic needs the package 'sounddevice' (pip install sounddevice); --wav speaks a file without it"
        ) from error
    except Exception as error:  # the package raises its own class, which is unknown here
        raise MicrophoneMissing(f"the microphone or loudspeaker cannot be used: {error}") from error


class Hearing:
    """The agent's side as it arrives: when it became loud and quiet, and the sound itself on its own timeline."""

    def __init__(self) -> None:
        self.loud_since: float | None = None
        """When the agent's present stretch of speech began; None while he is silent."""
        self.last_loud_at: float | None = None
        self.on_loud: Callable[[float], None] | None = None
        """Told when the agent begins to be heard."""
        self.last_frame_at: float | None = None
        """When anything arrived last, silence included."""
        self._first_frame_at: float | None = None
        self._parts: list[tuple[int, np.ndarray]] = []
        self._loudspeaker: Any = None
        self._playing: deque[np.ndarray] = deque(maxlen=_MICROPHONE_FRAMES)

    def open_loudspeaker(self) -> None:
        """Also play what is heard. Raises `MicrophoneMissing`."""

        def wanted(data: np.ndarray, *_: object) -> None:
            data[:, 0] = self._playing.popleft() if self._playing else 0

        self._loudspeaker = _device("OutputStream", wanted)
        self._loudspeaker.start()

    def place_of(self, now: float) -> int:
        """Where a stream that begins now lies on the timeline of the whole call."""
        return 0 if self._first_frame_at is None else round((now - self._first_frame_at) * RATE)

    def frame(self, samples: np.ndarray, at_sample: int, now: float) -> None:
        """Take the next received frame: 48 kHz mono, `at_sample` on the sender's timeline."""
        self.last_frame_at = now
        self._first_frame_at = now if self._first_frame_at is None else self._first_frame_at
        if at_sample < MAX_HEARD_SECONDS * RATE:
            self._parts.append((at_sample, samples))
        if self._loudspeaker is not None:
            self._playing.append(samples)
        loud = Pcm(samples, RATE).rms_dbfs() > VOICE_DBFS
        self.settle(now)
        if not loud:
            return
        self.last_loud_at = now
        if self.loud_since is None:
            self.loud_since = now
            if self.on_loud is not None:
                self.on_loud(now)

    def settle(self, now: float, pause: float = 0.4) -> bool:
        """Whether the agent is silent: nothing loud for `pause` seconds. In silence hardly any packet comes to say so."""
        if self.last_loud_at is None or now - self.last_loud_at > pause:
            self.loud_since = None
        return self.loud_since is None

    def sound(self) -> Pcm:
        """Everything heard, silences included."""
        if not self._parts:
            return Pcm.empty(RATE)
        length = max(start + len(samples) for start, samples in self._parts)
        whole = np.zeros(min(length, MAX_HEARD_SECONDS * RATE), np.int16)
        for start, samples in self._parts:
            room = whole[start : start + len(samples)]
            room[:] = samples[: len(room)]
        return Pcm(whole, RATE)

    def close(self) -> None:
        """Close the loudspeaker."""
        if self._loudspeaker is not None:
            self._loudspeaker.close()
            self._loudspeaker = None


def mono(frame: AudioFrame) -> np.ndarray:
    """The samples of a decoded frame, two channels as one."""
    samples = frame.to_ndarray()[0]
    return np.ascontiguousarray(samples[:: len(frame.layout.channels)])
