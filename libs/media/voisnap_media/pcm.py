"""Sound with its rate: what flows between every part that touches audio."""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""One channel of signed 16-bit samples."""

SILENCE_DBFS = -100.0
"""What `Pcm.rms_dbfs` says of digital silence."""


class Pcm(msgspec.Struct, frozen=True, eq=False):
    """Mono sound: 16-bit samples and their rate in Hz.

    Never changes after creation: every method returns a new `Pcm` (sharing samples where it can), and nobody writes
    into `samples`. Two sounds are equal when `same_as` says so; `==` compares identity, since arrays have no single
    truth.
    """

    samples: Samples
    rate: int

    @staticmethod
    def silence(rate: int, ms: float) -> "Pcm":
        """`ms` milliseconds of zeros."""
        return Pcm(np.zeros(round(rate * ms / 1000), dtype=np.int16), rate)

    @staticmethod
    def empty(rate: int) -> "Pcm":
        """No sound at all."""
        return Pcm(np.zeros(0, dtype=np.int16), rate)

    @staticmethod
    def from_bytes(data: bytes | bytearray | memoryview, rate: int) -> "Pcm":
        """From little-endian 16-bit samples. Raises `ValueError` for an odd number of bytes."""
        if len(data) % 2:
            raise ValueError(f"16-bit sound has an even number of bytes, got {len(data)}")
        return Pcm(np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False), rate)

    @staticmethod
    def from_float32(samples: NDArray[np.floating], rate: int) -> "Pcm":
        """From floats where 1.0 is full scale; louder ones are clipped."""
        return Pcm(np.rint(np.clip(samples * 32768.0, -32768.0, 32767.0)).astype(np.int16), rate)

    def to_bytes(self) -> bytes:
        """Little-endian 16-bit samples."""
        return self.samples.astype("<i2", copy=False).tobytes()

    def as_float32(self) -> NDArray[np.float32]:
        """Floats where 1.0 is full scale."""
        return self.samples.astype(np.float32) * np.float32(1 / 32768)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.rate

    @property
    def duration_ms(self) -> float:
        """Duration in milliseconds."""
        return len(self.samples) * 1000 / self.rate

    def slice(self, start_ms: float, end_ms: float | None = None) -> "Pcm":
        """The part between two moments; moments outside the sound are moved to its edge."""
        start = max(0, round(start_ms * self.rate / 1000))
        end = len(self.samples) if end_ms is None else max(start, round(end_ms * self.rate / 1000))
        return Pcm(self.samples[start:end], self.rate)

    @staticmethod
    def concat(parts: Iterable["Pcm"], rate: int | None = None) -> "Pcm":
        """One sound after the other. `rate` is needed only when there may be no parts.

        Raises `ValueError` for parts of different rates, and for no parts without a rate.
        """
        sounds = tuple(parts)
        if not sounds:
            if rate is None:
                raise ValueError("no parts and no rate given")
            return Pcm.empty(rate)
        expected = rate if rate is not None else sounds[0].rate
        for sound in sounds:
            if sound.rate != expected:
                raise ValueError(f"cannot join sound of {sound.rate} Hz to sound of {expected} Hz")
        if len(sounds) == 1:
            return sounds[0]
        return Pcm(np.concatenate([sound.samples for sound in sounds]), expected)

    def rms_dbfs(self) -> float:
        """Loudness: root mean square in dB below full scale, `SILENCE_DBFS` for silence."""
        if not len(self.samples):
            return SILENCE_DBFS
        floats = self.samples.astype(np.float64)
        power = float(floats @ floats) / len(floats) / (32768.0 * 32768.0)
        return max(SILENCE_DBFS, 10.0 * float(np.log10(power))) if power > 0 else SILENCE_DBFS

    def gain(self, factor: float) -> "Pcm":
        """The same sound louder or softer, clipped at full scale."""
        scaled = np.rint(self.samples.astype(np.float32) * np.float32(factor))
        return Pcm(np.clip(scaled, -32768, 32767).astype(np.int16), self.rate)

    def same_as(self, other: "Pcm") -> bool:
        """Whether rate and every sample are equal."""
        return self.rate == other.rate and np.array_equal(self.samples, other.samples)
