"""Does a microphone pick up what a loudspeaker plays? A cross-correlation that finds one sound in another, late and faint.

Both sounds are reduced to 4 kHz by averaging, which costs next to nothing and is the same for both, and freed of their slope; then the best
match of the last 190 ms of the one is sought in the other, up to 600 ms earlier. Speech through a room and a telephone line is still alike to
0.5 to 1; other speech to 0.1 to 0.35.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from voisnap_media.pcm import Samples

RATE = 4000
"""Hz at which sounds are compared."""
PER_MS = RATE // 1000
HEARD_MS = 192
"""How much of the microphone's sound is looked for."""
LATEST_MS = 600
"""The longest delay that is looked for."""
HEARD = HEARD_MS * PER_MS
PLAYED = HEARD + LATEST_MS * PER_MS
"""Samples of the played sound that are searched."""

_FFT = 3200
_FAINT = 1e-3
"""Played sound this much weaker than the loudest in reach cannot be what is heard."""
_BLOCK = 16 * PER_MS
_DECAY = 10 ** (-1.6 / 10)
"""How fast sound dies away in a room, for each block of 16 ms: 60 dB in 0.6 s."""


class Match(msgspec.Struct, frozen=True):
    """How alike the microphone's sound is to what was played `delay_ms` before: 0 not at all, 1 the same but for its loudness.

    `loudness` compares the power of the one with that of the other, as it dies away in a room: about the same from moment to moment as long as
    nothing else is heard.
    """

    likeness: float
    delay_ms: float
    loudness: float


NO_MATCH = Match(0.0, 0.0, 0.0)


def reduced(samples: Samples, rate: int) -> NDArray[np.float32]:
    """Sound at 4 kHz; `rate` is a multiple of it, and samples that do not fill the last average are left out."""
    step = rate // RATE
    if step * RATE != rate:
        raise ValueError(f"{rate} Hz is no multiple of {RATE} Hz")
    count = len(samples) // step
    total = samples[: count * step : step].astype(np.float32)
    for offset in range(1, step):
        total += samples[offset : count * step : step]
    return total


def match(heard: NDArray[np.float32], played: NDArray[np.float32], *, usual_ms: float | None = None) -> Match:
    """Look for `heard`, 192 ms, in `played`, the 792 ms that end at the same time; both reduced to 4 kHz.

    `usual_ms`: the delay at which loudness is compared, when it is known better than this moment can tell. Raises `ValueError` for other lengths.
    """
    if len(heard) != HEARD or len(played) != PLAYED:
        raise ValueError(f"expected {HEARD} and {PLAYED} samples, got {len(heard)} and {len(played)}")
    wanted, where = np.diff(heard), np.diff(played)
    energy = float(wanted @ wanted)
    powers = np.square(where)
    sums = np.concatenate([[0.0], np.cumsum(powers, dtype=np.float64)])
    energies = sums[len(wanted) :] - sums[: -len(wanted)]
    loudest = float(energies.max())
    if energy <= 0.0 or loudest <= 0.0:
        return NO_MATCH
    product = np.conj(np.fft.rfft(wanted, _FFT)) * np.fft.rfft(where, _FFT)
    found = np.abs(np.fft.irfft(product, _FFT)[: len(energies)])
    alike = found / np.sqrt(np.maximum(energies, loudest * _FAINT))
    best = int(alike.argmax())
    delay_ms = (len(energies) - 1 - best) / PER_MS
    expected = _dying_away(powers, delay_ms if usual_ms is None else usual_ms)
    return Match(min(1.0, float(alike[best]) / energy**0.5), delay_ms, energy / max(expected, loudest * _FAINT))


def _dying_away(powers: NDArray[np.float32], delay_ms: float) -> float:
    """The energy of a sound over the last 192 ms when it comes `delay_ms` late and leaves a room slowly."""
    blocks = (len(powers) + 1) // _BLOCK
    energies = np.add.reduceat(powers, np.arange(blocks) * _BLOCK)
    fading = _DECAY ** np.arange(blocks)
    lasting = np.maximum.accumulate(energies / fading) * fading
    last = max(1, blocks - round(delay_ms * PER_MS / _BLOCK))
    return float(lasting[max(0, last - HEARD // _BLOCK) : last].sum())
