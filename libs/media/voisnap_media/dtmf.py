"""Keys pressed on a telephone, heard in the audio: the sixteen tone pairs of ITU-T Q.23.

Sound is judged in blocks of 16 ms: the power at the eight frequencies against all power of the block. One product of matrices does it for
any number of streams (`measure`); what the blocks of one stream add up to is a small state machine (`KeyTracker`), which is asked only
while there is something to tell. `DtmfDetector` is both for a single stream.

A key counts after about 32 ms of tone, at levels down to -42 dBFS a tone, a twist between -9 and +7 dB and noise 5 dB below it. A gap of 40 ms parts
two presses of one key, one of 10 ms does not (ITU-T Q.24 asks for about that).
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from voisnap_media.pcm import Samples

BLOCK_MS = 16
LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = "123A456B789C*0#D"
"""Row by row: `KEYS[4 * low + high]`."""

LEAST_POWER = 10 ** (-42 / 10) / 2
"""Power of each tone below which nobody presses a key; a full-scale sine has a half."""
LEAST_SHARE = 0.47
"""Share of a block's power that lies at a key's two frequencies, even 5 dB above white noise and 1.5 % off."""
CLEAN_SHARE = 0.62
"""The same in the better of two blocks that begin a press: what speech hardly ever has."""
FAIR_SHARE = 0.55
"""The same in the best of three or more."""
MOST_TWIST = 10 ** (8 / 10)
LEAST_TWIST = 10 ** (-10.5 / 10)
"""The high tone over the low one; wider than what is promised, since a block's ends and a tone that is off take their share."""
NEXT_BEST = 10 ** (-5 / 10)
"""Any other tone of its group is weaker than a key's by this."""
GAP = 10 ** (-8 / 10)
"""Less than this share of the press's power is a gap in it."""
OFF_BLOCKS = 2
"""So many blocks of gap end a press."""
BLURRED_BLOCKS = 4
"""So many blocks may have its power and not be recognised as the key, as under noise."""

NONE = -1
_TOGETHER = 64
"""Blocks in one product. A larger one is spread over threads, and whoever waits for threads on a busy machine waits for milliseconds."""


class Blocks(msgspec.Struct, frozen=True, eq=False):
    """What `ToneBank` found in blocks: each one's key as index in `KEYS` or `NONE`, the power of the two tones, and all power."""

    key: NDArray[np.intp]
    tones: NDArray[np.float32]
    whole: NDArray[np.float32]


class ToneBank:
    """The eight frequencies at one sample rate. Holds no stream: one serves a process."""

    def __init__(self, rate: int) -> None:
        if rate < 4000 or rate * BLOCK_MS % 1000:
            raise ValueError(f"keys are not heard at {rate} Hz")
        self.rate = rate
        self.block = rate * BLOCK_MS // 1000
        """Samples of a block."""
        angles = 2 * np.pi * np.outer(np.arange(self.block) / rate, LOW_HZ + HIGH_HZ)
        scale = np.sqrt(2.0) / self.block
        self._waves = (np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * scale).astype(np.float32)

    def measure(self, blocks: NDArray[np.float32]) -> "Blocks":
        """Judge blocks, [blocks, samples], 1.0 full scale, each by itself."""
        waves = np.empty((len(blocks), 16), np.float32)
        for first in range(0, len(blocks), _TOGETHER):
            np.matmul(blocks[first : first + _TOGETHER], self._waves, out=waves[first : first + _TOGETHER])
        waves *= waves
        powers = waves[:, :8] + waves[:, 8:]
        groups = powers.reshape(-1, 2, 4)
        best = groups.max(axis=2)
        both = best[:, 0] + best[:, 1]
        whole = np.einsum("ij,ij->i", blocks, blocks)
        whole *= np.float32(1 / self.block)
        likely = (best.min(axis=1) >= LEAST_POWER) & (both >= np.float32(LEAST_SHARE) * whole)
        keys = np.full(len(blocks), NONE)
        for index in np.flatnonzero(likely):
            keys[index] = _key_of(groups[index])
        return Blocks(keys, both, whole)


def _key_of(powers: NDArray[np.float32]) -> int:
    """The key whose two tones stand out of both groups, [2, 4], and are about as strong as each other."""
    low, high = powers.argmax(axis=1)
    (_, _, low_rival, low_power), (_, _, high_rival, high_power) = np.sort(powers, axis=1)
    stands_out = low_rival <= NEXT_BEST * low_power and high_rival <= NEXT_BEST * high_power
    matches = LEAST_TWIST * low_power <= high_power <= MOST_TWIST * low_power
    return int(4 * low + high) if stands_out and matches else NONE


class KeyTracker:
    """What the blocks of one stream add up to: each press once."""

    __slots__ = ("_blocks", "_blurred", "_candidate", "_gaps", "_power", "_share", "down")

    def __init__(self) -> None:
        self.down = ""
        """The key that is being pressed."""
        self._candidate = NONE
        self._power = 0.0
        self._share = 0.0
        self._blocks = 0
        self._gaps = 0
        self._blurred = 0

    @property
    def is_idle(self) -> bool:
        """Nothing is pressed or about to be: a block without a key changes nothing."""
        return self._candidate == NONE and not self.down

    def take(self, key: int, power: float, whole: float) -> str:
        """The next block, as `Blocks` has it. Returns a key that is pressed now, once for each press, else ""."""
        if self.down:
            if self._holds(key, power):
                return ""
            self.down, self._candidate = "", NONE
        share = power / whole if whole > 0 else 0.0
        if key == NONE or key != self._candidate:
            self._candidate, self._power, self._share, self._blocks = key, power, share, 1
            return ""
        self._blocks += 1
        self._share, self._power = max(self._share, share), max(self._power, power)
        if self._share < (CLEAN_SHARE if self._blocks == 2 else FAIR_SHARE):
            return ""
        self.down, self._gaps, self._blurred = KEYS[key], 0, 0
        return self.down

    def _holds(self, key: int, power: float) -> bool:
        if power >= GAP * self._power and key in {self._candidate, NONE}:
            self._gaps = 0
            self._blurred = self._blurred + 1 if key == NONE else 0
            self._power = max(self._power, power)
            return self._blurred <= BLURRED_BLOCKS
        self._gaps += 1
        return self._gaps < OFF_BLOCKS


class DtmfDetector:
    """The keys of one stream, in packets of any length."""

    def __init__(self, rate: int) -> None:
        """Raises `ValueError` for a rate at which keys are not heard."""
        self._bank = ToneBank(rate)
        self._tracker = KeyTracker()
        self._rest: Samples = np.zeros(0, np.int16)

    def feed(self, samples: Samples) -> str:
        """The next samples. Returns the keys that were pressed in them, in order, mostly none."""
        waiting = np.concatenate([self._rest, samples])
        count = len(waiting) // self._bank.block
        self._rest = waiting[count * self._bank.block :]
        blocks = waiting[: count * self._bank.block].reshape(count, self._bank.block).astype(np.float32)
        blocks *= np.float32(1 / 32768)
        found = self._bank.measure(blocks)
        return "".join(map(self._tracker.take, found.key.tolist(), found.tones.tolist(), found.whole.tolist()))
