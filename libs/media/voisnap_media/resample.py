"""Streaming change of sample rate.

libsamplerate's `sinc_fastest` keeps its state between frames, answers every frame with a full frame after 1–3 ms of
lag and rejects images by more than 60 dB; faster libraries were measured to deliver in bursts of up to 118 ms, which a
live call cannot use.
"""

import samplerate

from voisnap_media.pcm import Pcm

_LAG_MS = 20
"""More than the filter ever holds back."""


class Resampler:
    """One direction of one stream from one rate to another; feed it frames in order."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate = from_rate
        self.to_rate = to_rate
        self._ratio = to_rate / from_rate
        self._converter = None if from_rate == to_rate else samplerate.Resampler("sinc_fastest", channels=1)
        self._taken = 0
        self._given = 0

    def process(self, audio: Pcm) -> Pcm:
        """The next stretch of sound, unchanged when both rates are equal.

        Raises `ValueError` for sound of another rate than announced.
        """
        if audio.rate != self.from_rate:
            raise ValueError(f"this resampler takes {self.from_rate} Hz, got {audio.rate} Hz")
        if self._converter is None:
            return audio
        converted = Pcm.from_float32(self._converter.process(audio.as_float32(), self._ratio), self.to_rate)
        self._taken += len(audio)
        self._given += len(converted)
        return converted

    def finish(self) -> Pcm:
        """What is still inside at the end of the stream, to the sample; the resampler starts anew afterwards."""
        if self._converter is None:
            return Pcm.empty(self.to_rate)
        owed = max(0, round(self._taken * self._ratio) - self._given)
        rest = self.process(Pcm.silence(self.from_rate, _LAG_MS))
        self._converter.reset()
        self._taken = self._given = 0
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
