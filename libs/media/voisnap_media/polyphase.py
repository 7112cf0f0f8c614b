"""Change of sample rate between rates of a simple ratio, for live streams of short frames.

A frame of 20 ms gives exactly 20 ms, 1.5 ms late, for a ninth of `resample.Resampler`'s cost: a telephone call changes rates a hundred times
a second.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

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
_MOST_TOGETHER = 32
"""Streams in one product: what it needs stays in the cache."""


def is_simple(from_rate: int, to_rate: int) -> bool:
    """Whether the ratio of two rates is one for `Polyphase`."""
    common = gcd(from_rate, to_rate)
    return max(from_rate, to_rate) <= _MOST * common


class Polyphase:
    """One direction of one stream; feed it stretches of any length, in order. Raises ValueError for rates of no simple ratio."""

    __slots__ = ("_before", "_step", "_usual", "_waiting", "_weights", "from_rate", "to_rate")

    def __init__(self, from_rate: int, to_rate: int) -> None:
        if not is_simple(from_rate, to_rate):
            raise ValueError(f"{from_rate} Hz to {to_rate} Hz is no simple ratio")
        self.from_rate = from_rate
        self.to_rate = to_rate
        common = gcd(from_rate, to_rate)
        self._step = _TOGETHER * from_rate // common
        self._weights = _weights(_TOGETHER * to_rate // common, self._step)
        self._usual = from_rate // 50
        self.drop()

    @property
    def _kept(self) -> int:
        """Samples from before that count for the next one."""
        return len(self._weights) - self._step

    def process(self, audio: Pcm) -> Pcm:
        """The next stretch of sound. Raises ValueError for sound of another rate than announced."""
        if audio.rate != self.from_rate:
            raise ValueError(f"this resampler takes {self.from_rate} Hz, got {audio.rate} Hz")
        samples = audio.samples
        if len(self._waiting):
            samples = np.concatenate((self._waiting, samples))
        count, left = divmod(len(samples), self._step)
        self._waiting = samples[len(samples) - left :].copy() if left else _NOTHING
        if not count:
            return Pcm(_NOTHING, self.to_rate)
        sound = np.concatenate((self._before, samples[: count * self._step]))
        self._before = sound[len(sound) - self._kept :]
        return Pcm(_mixed(sound.reshape(1, -1), self._weights, self._step)[0], self.to_rate)

    def finish(self) -> Pcm:
        """What is still inside at the end of a stretch; the next one follows nothing."""
        rest = self.process(Pcm(np.zeros(-(-self._kept // 2 // self._step) * self._step, np.int16), self.from_rate))
        self.drop()
        return rest

    def drop(self) -> None:
        """Forget what is still inside."""
        self._before = np.zeros(self._kept, np.int16)
        self._waiting = _NOTHING


def process_together(streams: Sequence[Polyphase], sounds: Sequence[Pcm]) -> list[Pcm]:
    """What each stream's `process` makes of its sound, for a fifth of the cost: one product for all that get their usual 20 ms.

    All streams are of one ratio, and none is there twice. Raises ValueError for sound of another rate than announced, and for other streams.
    """
    if not streams:
        return []
    weights, step, usual, rate = streams[0]._weights, streams[0]._step, streams[0]._usual, streams[0].from_rate
    kept = len(weights) - step
    pieces: list[Samples] = []
    odd: list[int] = []
    for place, stream in enumerate(streams):
        sound = sounds[place]
        if stream._weights is not weights or sound.rate != rate:
            raise ValueError(f"these streams take {rate} Hz, all of one ratio")
        samples = sound.samples
        if len(samples) != usual or len(stream._waiting):
            odd.append(place)
            continue
        pieces.append(stream._before)
        pieces.append(samples)
        stream._before = samples[usual - kept :]
    to_rate = streams[0].to_rate
    made: list[Pcm] = []
    for first in range(0, len(pieces), 2 * _MOST_TOGETHER):
        some = np.concatenate(pieces[first : first + 2 * _MOST_TOGETHER]).reshape(-1, kept + usual)
        # Copies: a view would keep what all streams made for as long as somebody holds one of them.
        made += [Pcm(new.copy(), to_rate) for new in _mixed(some, weights, step)]
    for place in odd:
        made.insert(place, streams[place].process(sounds[place]))
    return made


_NOTHING = np.zeros(0, np.int16)


def _mixed(sounds: Samples, weights: NDArray[np.float32], step: int) -> Samples:
    """The new samples of each row of `sounds`, which begins with what was before it."""
    size, made = weights.shape
    streams, length = sounds.shape
    count = (length - size) // step + 1
    windows = np.ndarray((streams, count, size), np.int16, sounds, 0, (2 * length, 2 * step, 2))
    mixed = windows.astype(np.float32).reshape(streams * count, size) @ weights
    np.minimum(mixed, 32767, out=mixed)
    np.maximum(mixed, -32768, out=mixed)
    return mixed.astype(np.int16).reshape(streams, count * made)


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
