"""What the callers of a load measurement say: real speech, cut where a voice detector hears its end."""

import msgspec
import numpy as np
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.vad import RATE, WINDOW, VadModel, VadState

FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
LOUD = 500
"""Samples beyond this are speech, of clean recordings at usual levels."""
HEARD, STILL_HEARD = 0.5, 0.15
"""Chances from which and down to which a window counts as voice: the second well below what detectors go by, so that the end is one for all."""
MAX_SECONDS = 2.4
MIN_SECONDS = 1.0
_STEP = RATE // 200
_ALIGNMENTS = tuple(range(0, WINDOW, 64))
_LEAD = RATE // 2


class Utterance(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Speech in whole frames: it begins with its first loud sample or just before, and ends with its last.

    `detector_ms` is how much later than that a voice detector that judges windows of 32 ms puts the end, for each way the windows may lie:
    no answer can be sooner than that without guessing.
    """

    audio: Pcm
    detector_ms: tuple[float, ...] = ()

    @property
    def frames(self) -> tuple[Samples, ...]:
        """The speech in pieces of 20 ms."""
        return tuple(np.split(self.audio.samples, len(self.audio) // FRAME))

    @property
    def lead_ms(self) -> float:
        """Silence before the first loud sample, below one frame."""
        return float(np.flatnonzero(np.abs(self.audio.samples) > LOUD)[0]) * 1000 / RATE


def utterance(speech: Pcm, vad: VadModel | None = None) -> Utterance:
    """Speech at 16 kHz made ready. With `vad` the end is put where the detector agrees that it is one, wherever its windows lie.

    Raises `ValueError` for another rate and for sound without speech.
    """
    if speech.rate != RATE:
        raise ValueError(f"callers speak at {RATE} Hz, got {speech.rate} Hz")
    loud = np.flatnonzero(np.abs(speech.samples) > LOUD)
    if not len(loud):
        raise ValueError("there is no speech in the sound")
    samples = speech.samples[loud[0] : min(loud[-1] + 1, loud[0] + int(MAX_SECONDS * RATE))]
    if vad is not None:
        for end in range(len(samples), min(len(samples), int(MIN_SECONDS * RATE)), -_STEP):
            offsets = _detected(vad, samples[:end])
            # An end that is heard within its own window, whichever that is: the rest is the detector's memory, not its grid.
            if min(offsets) > -_STEP * 1000 / RATE and max(offsets) < WINDOW * 1000 / RATE:
                return Utterance(audio=_framed(samples[:end]), detector_ms=offsets)
    return Utterance(audio=_framed(samples), detector_ms=() if vad is None else _detected(vad, samples))


def _framed(samples: Samples) -> Pcm:
    return Pcm(np.pad(samples, (-len(samples) % FRAME, 0)), RATE)


def _detected(vad: VadModel, samples: Samples) -> tuple[float, ...]:
    """Milliseconds from the end of the samples to the end of the last window with voice, for each alignment of the windows."""
    length = _LEAD + WINDOW + len(samples) + _LEAD
    streams = np.zeros((len(_ALIGNMENTS), length - length % WINDOW), np.float32)
    for row, shift in enumerate(_ALIGNMENTS):
        streams[row, _LEAD + shift : _LEAD + shift + len(samples)] = samples
    streams /= 32768
    states = [VadState() for _ in _ALIGNMENTS]
    voiced = np.zeros(len(_ALIGNMENTS), bool)
    last = np.zeros(len(_ALIGNMENTS))
    for start in range(0, streams.shape[1], WINDOW):
        chances = vad.probabilities(np.ascontiguousarray(streams[:, start : start + WINDOW]), states)
        voiced = chances >= np.where(voiced, STILL_HEARD, HEARD)
        last[voiced] = start + WINDOW
    ends = np.array([_LEAD + shift + len(samples) for shift in _ALIGNMENTS])
    return tuple(float(ms) for ms in (last - ends) * 1000 / RATE)
