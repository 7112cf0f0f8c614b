"""Streaming change of sample rate.

libsamplerate's `sinc_fastest` keeps its state between frames, answers every frame with a full frame after 1–3 ms of
lag and rejects images by more than 60 dB; faster libraries were measured to deliver in bursts of up to 118 ms, which a
live call cannot use.
"""

import numpy as np
import samplerate
from numpy.typing import NDArray

from voisnap_media.pcm import Pcm

_LAG_MS = 20
"""More than the filter ever holds back."""


class Resampler:
    """One direction of one stream from one rate to another; feed it frames in order."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate = from_rate
        self.to_rate = to_rate
        self._ratio = to_rate / from_rate
        self._lag = from_rate * _LAG_MS // 1000
        self._converter = None if from_rate == to_rate else samplerate.Resampler("sinc_fastest", channels=1)
        self._begin()

    def _begin(self) -> None:
        self._taken = self._given = 0
        self._early = 0
        """Samples that `settle` gave before the filter did."""
        self._recent = np.zeros(0, np.float32)

    def process(self, audio: Pcm) -> Pcm:
        """The next stretch of sound, unchanged when both rates are equal.

        Raises `ValueError` for sound of another rate than announced.
        """
        if audio.rate != self.from_rate:
            raise ValueError(f"this resampler takes {self.from_rate} Hz, got {audio.rate} Hz")
        if self._converter is None:
            return audio
        samples = audio.as_float32()
        self._recent = (samples if len(samples) >= self._lag else np.concatenate([self._recent, samples]))[
            -self._lag :
        ].copy()
        converted = self._converter.process(samples, self._ratio)
        if self._early:
            converted, self._early = converted[self._early :], max(0, self._early - len(converted))
        self._taken += len(audio)
        self._given += len(converted)
        return Pcm.from_float32(converted, self.to_rate)

    def settle(self) -> Pcm:
        """What is still inside, to the sample, where the stream may go on: the next stretch follows without a click, and without a gap.

        The filter looks ahead of what it gives; here it is shown the last of the sound mirrored at its end.
        """
        owed = round(self._taken * self._ratio) - self._given
        if self._converter is None or owed <= 0:
            return Pcm.empty(self.to_rate)
        ahead = np.zeros(self._lag, np.float32)
        mirrored = 2 * self._recent[-1] - self._recent[-2::-1]
        ahead[: len(mirrored)] = mirrored[: self._lag]
        given = self._converter.clone().process(ahead, self._ratio)[self._early :][:owed]
        self._early += len(given)
        self._given += len(given)
        return Pcm.from_float32(given, self.to_rate)

    def finish(self) -> Pcm:
        """What is still inside at the end of the stream, to the sample; the resampler starts anew afterwards."""
        if self._converter is None:
            return Pcm.empty(self.to_rate)
        owed = max(0, round(self._taken * self._ratio) - self._given)
        rest = self.process(Pcm.silence(self.from_rate, _LAG_MS))
        self._converter.reset()
        self._begin()
        return Pcm(rest.samples[:owed], self.to_rate)


def resample(audio: Pcm, to_rate: int) -> Pcm:
    """A whole sound at another rate, its length right to the sample."""
    if audio.rate == to_rate:
        return audio
    converted = samplerate.resample(audio.as_float32(), to_rate / audio.rate, "sinc_medium")
    wanted = round(len(audio) * to_rate / audio.rate)
    sound = Pcm.from_float32(converted[:wanted], to_rate)
    missing = wanted - len(sound)
    return Pcm.concat([sound, Pcm.silence(to_rate, missing * 1000 / to_rate)]) if missing else sound


class ThreeHalves:
    """One stream to one and a half times its rate, in blocks of any even length: a fifth of `Resampler`'s cost for long ones.

    A polyphase filter of 24 taps a phase; passes up to 7/16 of the old rate. Sound keeps its time: the first block gives 18 samples less,
    which `finish` hands out.
    """

    def __init__(self, from_rate: int) -> None:
        self.from_rate = from_rate
        self.to_rate = from_rate * 3 // 2
        self._begin()

    def _begin(self) -> None:
        self._before = np.zeros(_TAPS, np.float32)
        self._early = _LAG

    def process(self, audio: Pcm) -> Pcm:
        """The next stretch of sound. Raises `ValueError` for another rate and for an odd number of samples."""
        if audio.rate != self.from_rate or len(audio) % 2:
            raise ValueError(f"this resampler takes pairs of samples at {self.from_rate} Hz")
        if not len(audio):
            return Pcm.empty(self.to_rate)
        samples = np.concatenate([self._before, audio.samples.astype(np.float32)])
        self._before = samples[-_TAPS:]
        # Two samples come in and three go out: each from the 24 samples before, by its own third of the filter.
        windows = np.lib.stride_tricks.sliding_window_view(samples[1:], _TAPS + 1)[::2]
        mixed = np.rint(windows @ _PHASES).ravel()[self._early :]
        self._early = max(0, self._early - len(windows) * 3)
        return Pcm(np.clip(mixed, -32768, 32767).astype(np.int16), self.to_rate)

    def finish(self) -> Pcm:
        """What is still inside at the end of the stream; the resampler starts anew afterwards."""
        rest = self.process(Pcm(np.zeros(_LAG * 2 // 3, np.int16), self.from_rate))
        self._begin()
        return rest


_TAPS = 24
_LAG = 18
"""Samples of the new rate by which the filter lags: half its 72 taps at three times the old one."""


def _phases() -> NDArray[np.float32]:
    """For each of the three outputs the weights of the last 25 samples, oldest first."""
    length = 3 * _TAPS
    moments = np.arange(length) - (length - 1) / 2
    lowpass = np.sinc(moments * 0.94 / 3) * 0.94 * np.kaiser(length, 6.5)
    weights = np.zeros((_TAPS + 1, 3), np.float32)
    for out, (phase, newest) in enumerate(((0, 1), (2, 1), (1, 0))):
        # `newest`: how many samples before the newest one this output's own newest lies.
        taps = lowpass[phase::3]
        taps = taps / taps.sum()
        weights[_TAPS - newest - np.arange(_TAPS), out] = taps
    return weights


_PHASES = _phases()
