"""Change of sample rate between rates of a simple ratio, for live streams of short frames.

A frame of 20 ms gives exactly 20 ms, 1.5 ms late, for a ninth of `resample.Resampler`'s cost: a telephone call changes rates a hundred times
a second.
"""

from functools import lru_cache
from math import gcd
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from voisnap_media.pcm import Pcm, Samples

TAPS = 24
"""Samples of the lower rate that count for each one: images and aliases are below -60 dB beyond 9/16 of the lower rate."""
_PASSES = 0.94
_MOST = 6
_TOGETHER = 8
"""Steps of the ratio that one product makes: matrices of these shapes are multiplied fastest. A stretch that is no multiple of 1 ms leaves
its end to the next one."""


def is_simple(from_rate: int, to_rate: int) -> bool:
    """Whether the ratio of two rates is one for `Polyphase`."""
    common = gcd(from_rate, to_rate)
    return max(from_rate, to_rate) <= _MOST * common


class Polyphase:
    """One direction of one stream; feed it stretches of any length, in order, in the thread that made it. Raises ValueError for rates of no
    simple ratio."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        if not is_simple(from_rate, to_rate):
            raise ValueError(f"{from_rate} Hz to {to_rate} Hz is no simple ratio")
        self.from_rate = from_rate
        self.to_rate = to_rate
        common = gcd(from_rate, to_rate)
        self._step = _TOGETHER * from_rate // common
        self._weights = _weights(_TOGETHER * to_rate // common, self._step)
        self._kept = self._weights.shape[0] - self._step
        """Samples from before that count for the next one."""
        self._usual = from_rate // 50
        self._room = _room(*self._weights.shape, self._step, self._usual // self._step, get_ident())
        self._before = np.zeros(self._kept, np.float32)
        self._waiting = _NOTHING

    def process(self, audio: Pcm) -> Pcm:
        """The next stretch of sound. Raises ValueError for sound of another rate than announced."""
        if audio.rate != self.from_rate:
            raise ValueError(f"this resampler takes {self.from_rate} Hz, got {audio.rate} Hz")
        samples = audio.samples
        if len(samples) != self._usual or len(self._waiting):
            return Pcm(self._odd(samples), self.to_rate)
        return Pcm(self._mixed(samples, self._room), self.to_rate)

    def finish(self) -> Pcm:
        """What is still inside at the end of a stretch; the next one follows nothing."""
        rest = self._odd(np.zeros(-(-self._kept // 2 // self._step) * self._step, np.int16))
        self.drop()
        return Pcm(rest, self.to_rate)

    def drop(self) -> None:
        """Forget what is still inside."""
        self._before[:] = 0.0
        self._waiting = _NOTHING

    def _odd(self, samples: Samples) -> Samples:
        """A stretch that is not 20 ms; what makes no whole step waits for the next one."""
        samples = np.concatenate((self._waiting, samples)) if len(self._waiting) else samples
        count, left = divmod(len(samples), self._step)
        self._waiting = samples[len(samples) - left :].copy() if left else _NOTHING
        if not count:
            return _NOTHING
        room = _room(*self._weights.shape, self._step, count, get_ident())
        return self._mixed(samples[: count * self._step], room)

    def _mixed(self, samples: Samples, room: "_Room") -> Samples:
        """The new samples. Everything is written into room that all streams of a thread share: it is there already, and at hand."""
        sound, windows, rows, mixed = room
        kept = self._kept
        sound[:kept] = self._before
        sound[kept:] = samples
        self._before[:] = sound[-kept:]
        rows[:] = windows
        np.dot(rows, self._weights, mixed)
        np.minimum(mixed, 32767, out=mixed)
        np.maximum(mixed, -32768, out=mixed)
        return mixed.astype(np.int16).ravel()


_NOTHING = np.zeros(0, np.int16)
_Room = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@lru_cache(maxsize=64)
def _room(size: int, made: int, step: int, count: int, thread: int) -> _Room:
    """For `count` steps: the sound with what was before it, a window of it for each step, the same side by side, and what comes of it."""
    sound = np.zeros(size - step + count * step, np.float32)
    windows = np.ndarray((count, size), np.float32, sound, 0, (4 * step, 4))
    return sound, windows, np.empty((count, size), np.float32), np.empty((count, made), np.float32)


@lru_cache
def _weights(up: int, down: int) -> NDArray[np.float32]:
    """How `up` new samples are made of `down` old ones and those before them: a column each, oldest sample first."""
    widest = max(up, down) // _TOGETHER
    length = TAPS * widest
    lowpass = np.sinc((np.arange(length) - (length - 1) / 2) * _PASSES / widest) * np.kaiser(length, 6.5)
    phases = up // _TOGETHER
    before = -(-length // phases) - 1
    weights = np.zeros((before + down, up), np.float32)
    for new in range(up):
        for old in range(-before, down):
            distance = new * down // _TOGETHER - old * phases
            if 0 <= distance < length:
                weights[old + before, new] = lowpass[distance]
        weights[:, new] /= weights[:, new].sum()
    return weights
