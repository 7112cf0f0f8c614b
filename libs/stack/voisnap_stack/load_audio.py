"""What the callers of a load measurement send: real speech, cut where a voice detector hears its end, and the noise of their rooms all the time.

Digital silence would favour a server that does not judge it: no microphone sends any.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
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
ROOMS = 8
NOISE_DBFS = (-60.0, -50.0)
"""The level (RMS) of the quietest and of the loudest room."""
NOISE_SECONDS = 3
HUM_HZ = 60.0
"""Below this microphones and telephones let nothing through."""
_SEED = 20_261_121
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


def utterance(speech: Pcm, vad: VadModel | None = None, rooms: Sequence["Room"] = ()) -> Utterance:
    """Speech at 16 kHz made ready. With `vad` the end is put where the detector agrees that it is one, wherever its windows lie and in the
    quietest and the loudest of `rooms`.

    Raises `ValueError` for another rate and for sound without speech.
    """
    if speech.rate != RATE:
        raise ValueError(f"callers speak at {RATE} Hz, got {speech.rate} Hz")
    loud = np.flatnonzero(np.abs(speech.samples) > LOUD)
    if not len(loud):
        raise ValueError("there is no speech in the sound")
    samples = speech.samples[loud[0] : min(loud[-1] + 1, loud[0] + int(MAX_SECONDS * RATE))]
    if vad is not None:
        # Noise keeps the detector listening for a window more; and it takes a run for each room.
        step, windows = (2 * _STEP, 2) if rooms else (_STEP, 1)
        for end in range(len(samples), min(len(samples), int(MIN_SECONDS * RATE)), -step):
            offsets = _detected(vad, samples[:end], rooms)
            # An end that is heard within its own window, whichever that is: the rest is the detector's memory, not its grid.
            if min(offsets) > -_STEP * 1000 / RATE and max(offsets) < windows * WINDOW * 1000 / RATE:
                return Utterance(audio=_framed(samples[:end]), detector_ms=offsets)
    return Utterance(audio=_framed(samples), detector_ms=() if vad is None else _detected(vad, samples, rooms))


class Room(msgspec.Struct, frozen=True, eq=False):
    """The noise of one room: whole frames that can be repeated without a seam, at `level_dbfs` (RMS, of full scale)."""

    noise: Samples
    level_dbfs: float

    @property
    def frames(self) -> tuple[Samples, ...]:
        """What is heard of it while nobody speaks, in pieces of 20 ms."""
        return tuple(np.split(self.noise, len(self.noise) // FRAME))

    def with_speech(self, speech: Samples) -> Samples:
        """Speech as it is heard in this room."""
        noise = np.resize(self.noise, len(speech)).astype(np.int32)
        return np.clip(speech + noise, -32768, 32767).astype(np.int16)


SILENT_ROOM = Room(np.zeros(FRAME, np.int16), -math.inf)


def rooms(count: int = ROOMS, seed: int = _SEED) -> tuple[Room, ...]:
    """Rooms with pink noise, from the quietest to the loudest; the same seed makes the same."""
    quietest, loudest = NOISE_DBFS
    return tuple(
        _room(quietest + (loudest - quietest) * number / max(1, count - 1), np.random.default_rng([seed, number]))
        for number in range(count)
    )


def _room(level_dbfs: float, random: np.random.Generator) -> Room:
    return Room(np.rint(pink(NOISE_SECONDS * RATE, level_dbfs, random)).astype(np.int16), level_dbfs)


def pink(size: int, level_dbfs: float, random: np.random.Generator) -> NDArray[np.float64]:
    """So many samples of noise with as much in one octave as in the next, which can be repeated without a seam."""
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    shape = np.where(hertz >= HUM_HZ, 1 / np.sqrt(np.maximum(hertz, HUM_HZ)), 0.0)
    noise = np.fft.irfft(shape * np.exp(2j * np.pi * random.random(len(hertz))), size)
    return noise * (32768 * 10 ** (level_dbfs / 20) / math.sqrt(float(np.mean(np.square(noise)))))


class Voice(msgspec.Struct, frozen=True, eq=False):
    """What one caller sends, ready for the wire: frames of speech by their number, and frames of the room between them."""

    speech: tuple[bytes, ...]
    pause: tuple[bytes, ...]

    @staticmethod
    def of(utterances: Sequence[Utterance], room: Room, wire: Callable[[Samples], bytes]) -> "Voice":
        """Every frame is made once, for all callers in this room."""
        heard = [room.with_speech(one.audio.samples) for one in utterances]
        return Voice(
            tuple(wire(samples) for speech in heard for samples in np.split(speech, len(speech) // FRAME)),
            tuple(wire(samples) for samples in room.frames),
        )


class Speaking:
    """Where caller `number` is in what he sends: callers in one room are not in step."""

    def __init__(self, voices: Sequence[Voice], number: int) -> None:
        voice = voices[number % len(voices)]
        self._speech, self._pause = voice.speech, voice.pause
        self._at = number * 37

    def frame(self, number: int | None) -> bytes:
        """A frame of speech by its number, or the room's next."""
        if number is not None:
            return self._speech[number]
        self._at = (self._at + 1) % len(self._pause)
        return self._pause[self._at]


def described(callers_rooms: Sequence[Room], utterances: Sequence[Utterance]) -> str:
    """What callers send, for people."""
    seconds = ", ".join(f"{len(one.audio) / RATE:.1f}" for one in utterances)
    levels = [room.level_dbfs for room in callers_rooms]
    return (
        f"callers send {RATE // 1000} kHz audio without a gap: speech ({seconds} s) over pink noise of their rooms,"
        f" {min(levels):g} to {max(levels):g} dBFS, in the pauses too"
    )


def _framed(samples: Samples) -> Pcm:
    return Pcm(np.pad(samples, (-len(samples) % FRAME, 0)), RATE)


def _detected(vad: VadModel, samples: Samples, rooms: Sequence[Room]) -> tuple[float, ...]:
    """Milliseconds from the end of the samples to the end of the last window with voice, for each alignment of the windows."""
    length = _LEAD + WINDOW + len(samples) + _LEAD
    length -= length % WINDOW
    heard = [(shift, room) for room in ((rooms[0], rooms[-1]) if rooms else (SILENT_ROOM,)) for shift in _ALIGNMENTS]
    streams = np.stack([np.resize(room.noise, length) for _, room in heard]).astype(np.float32)
    ends = np.array([_LEAD + shift + len(samples) for shift, _ in heard])
    for row, end in enumerate(ends):
        streams[row, end - len(samples) : end] += samples
    streams /= 32768
    states = [VadState() for _ in heard]
    voiced = np.zeros(len(heard), bool)
    last = np.zeros(len(heard))
    for start in range(0, length, WINDOW):
        chances = vad.probabilities(np.ascontiguousarray(streams[:, start : start + WINDOW]), states)
        voiced = chances >= np.where(voiced, STILL_HEARD, HEARD)
        last[voiced] = start + WINDOW
    return tuple(float(ms) for ms in (last - ends) * 1000 / RATE)
