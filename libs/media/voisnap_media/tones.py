"""Tones that machines make on a line: the beep of an answering machine, and those of the network (busy, ringing, "number not in service"), and of a fax.

A steady tone is what speech never is: for 160 ms or more, nearly all energy within a narrow band whose place does not move. `ToneDetector`
finds tones in windows of 32 ms; `LineTones` says what they mean by their length, pitch and order (ITU-T E.180, national plans alike enough).
"""

import math
from collections import deque
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

RATE = 16000
WINDOW = 512
WINDOW_MS = 32

LOWEST_HZ, HIGHEST_HZ = 380.0, 2700.0
LEAST_MS = 160.0
_LEAST_POWER = 10 ** (-45 / 10)
_LEAST_SHARE = 0.92
"""Share of a window's energy within the tone's band."""
_BAND = 3
"""Bins to each side of the peak that are the tone: the window's main lobe, and two tones 40 Hz apart that beat."""
_MOST_SHIFT_HZ = 16.0
"""From one window to the next, and within a tone from its mean."""
_MOST_STEP = 10 ** (6 / 10)
_BIN = RATE / WINDOW


class Tone(msgspec.Struct, frozen=True):
    """A steady tone that is over, in milliseconds of the stream; to a window's precision."""

    hertz: float
    start_ms: float
    end_ms: float

    @property
    def ms(self) -> float:
        """How long it was."""
        return self.end_ms - self.start_ms


class ToneDetector:
    """Steady tones of one stream."""

    def __init__(self) -> None:
        self._shape = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
        self._norm = 1.0 / float(np.square(self._shape).sum()) / (WINDOW / 2)
        self._low = math.floor(LOWEST_HZ / _BIN)
        self._high = math.ceil(HIGHEST_HZ / _BIN)
        self._start = 0.0
        self._count = 0
        self._hertz = 0.0
        self._power = 0.0

    @property
    def sounds(self) -> bool:
        """Whether something is on that may become a tone."""
        return self._count > 1

    def take(self, window: NDArray[np.float32], end_ms: float) -> Tone | None:
        """The next 512 samples, 1.0 full scale, which end at `end_ms`. Returns a tone that ended before them."""
        found = self._look(window)
        if found is not None and self._count and self._goes_on(*found):
            hertz, power = found
            self._hertz += (hertz - self._hertz) / (self._count + 1)
            self._power = power
            self._count += 1
            return None
        ended = self.end()
        if found is not None:
            self._hertz, self._power = found
            self._start = end_ms - WINDOW_MS
            self._count = 1
        return ended

    def end(self) -> Tone | None:
        """The stream is over: a tone that was on ends here."""
        ended = None
        if self._count * WINDOW_MS >= LEAST_MS:
            ended = Tone(self._hertz, self._start, self._start + self._count * WINDOW_MS)
        self._count = 0
        return ended

    def _goes_on(self, hertz: float, power: float) -> bool:
        return (
            abs(hertz - self._hertz) <= _MOST_SHIFT_HZ
            and self._power <= power * _MOST_STEP
            and power <= self._power * _MOST_STEP
        )

    def _look(self, window: NDArray[np.float32]) -> tuple[float, float] | None:
        """The pitch and power of a tone that is nearly all there is in the window."""
        spectrum = np.fft.rfft(window * self._shape)
        energy = np.square(spectrum.real) + np.square(spectrum.imag)
        energy[:3] = 0.0  # hum and offset are no part of what is said
        whole = float(energy.sum())
        if whole * self._norm < _LEAST_POWER:
            return None
        peak = self._low + int(energy[self._low : self._high].argmax())
        band = energy[peak - _BAND : peak + _BAND + 1]
        inside = float(band.sum())
        if inside < _LEAST_SHARE * whole:
            return None
        middle = float(band @ np.arange(-_BAND, _BAND + 1, dtype=np.float32)) / inside
        hertz = (peak + middle) * _BIN
        return (hertz, inside * self._norm) if LOWEST_HZ <= hertz <= HIGHEST_HZ else None


class LineSignal(StrEnum):
    """What tones on a line mean."""

    BEEP = "beep"
    RINGING = "ringing"
    BUSY = "busy"
    OUT_OF_SERVICE = "out_of_service"
    FAX = "fax"


SETTLE_MS = 160.0
"""Quiet after a tone before it is told what it was: the tones of "not in service" follow each other without a pause."""
_OUT_OF_SERVICE = ((900.0, 1000.0), (1350.0, 1450.0), (1750.0, 1850.0))
_RINGING_MS = 850.0
_RINGING_HZ = (400.0, 490.0)
_FAX_HZ, _FAX_MS = (2070.0, 2130.0), 1900.0
"""A machine that answers says so with 2,100 Hz for 2.6 s and more (ITU-T T.30 "CED", V.25); beeps are shorter."""
_BUSY_HZ = (380.0, 660.0)
_BUSY_MS = (150.0, 800.0)


class LineTones:
    """From tones to what they mean, told once they are over. Of a busy signal the first tone passes for a beep; the third tells."""

    def __init__(self) -> None:
        self._tones: deque[Tone] = deque(maxlen=3)
        self._untold = False

    def take(self, tone: Tone) -> None:
        """A tone ended."""
        self._tones.append(tone)
        self._untold = True

    def now(self, at_ms: float) -> LineSignal | None:
        """What the last tones were, as soon as it is sure; to be asked now and then, while no tone sounds."""
        if not self._untold or at_ms - self._tones[-1].end_ms < SETTLE_MS:
            return None
        self._untold = False
        if self._is_out_of_service():
            return LineSignal.OUT_OF_SERVICE
        last = self._tones[-1]
        if last.ms >= _RINGING_MS and _RINGING_HZ[0] <= last.hertz <= _RINGING_HZ[1]:
            return LineSignal.RINGING
        if last.ms >= _FAX_MS and _FAX_HZ[0] <= last.hertz <= _FAX_HZ[1]:
            return LineSignal.FAX
        return LineSignal.BUSY if self._is_busy() else LineSignal.BEEP

    def _is_out_of_service(self) -> bool:
        tones = self._tones
        return len(tones) == 3 and all(
            low <= tone.hertz <= high and tone.start_ms - before.end_ms < SETTLE_MS
            for tone, before, (low, high) in zip(tones, (tones[0], *tones), _OUT_OF_SERVICE, strict=False)
        )

    def _is_busy(self) -> bool:
        if len(self._tones) < 3:
            return False
        first, second, third = self._tones
        length = second.ms
        return (
            all(
                _BUSY_HZ[0] <= tone.hertz <= _BUSY_HZ[1] and abs(tone.hertz - second.hertz) < 10.0
                for tone in self._tones
            )
            and _BUSY_MS[0] <= length <= _BUSY_MS[1]
            and abs(first.ms - length) <= 100.0
            and abs(third.ms - length) <= 100.0
            and abs(second.start_ms - first.end_ms - length) <= 150.0
            and abs(third.start_ms - second.end_ms - length) <= 150.0
        )
