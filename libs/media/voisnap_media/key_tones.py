"""Keys of a telephone pressed by sound, for lines that press none themselves: the tone pairs of ITU-T Q.23."""

import numpy as np

from voisnap_media.dtmf import HIGH_HZ, KEYS, LOW_HZ
from voisnap_media.pcm import Pcm

TONE_MS, GAP_MS, WAIT_MS = 100, 100, 500
"""Exchanges ask for 40 ms each (ITU-T Q.24); machines behind bad lines want more. A `w` waits half a second, as carriers read it."""
MAX_KEYS = 64
_LOW_LEVEL, _HIGH_LEVEL = 10 ** (-12 / 20), 10 ** (-10 / 20)
"""-9 and -7 dBm0 where a full-scale sine has 3 dBm0: the high tone is a little louder, since lines swallow more of it (ITU-T Q.23)."""
_EDGE_MS = 4
"""A tone that begins at once clicks."""


def key_tones(keys: str, rate: int) -> Pcm:
    """The sound of pressing `keys` (`0`–`9`, `*`, `#`, `A`–`D`, and `w` to wait) one after the other, with a gap after each.
    Raises ValueError for anything else and for more than 64."""
    if len(keys) > MAX_KEYS:
        raise ValueError(f"{len(keys)} keys, more than {MAX_KEYS}")
    return Pcm.concat([_sound(key, rate) for key in keys.upper()], rate)


def _sound(key: str, rate: int) -> Pcm:
    if key == "W":
        return Pcm.silence(rate, WAIT_MS)
    place = KEYS.find(key)
    if place < 0:
        raise ValueError(f"{key!r} is no key of a telephone")
    at = np.arange(rate * TONE_MS // 1000) / rate
    edge = np.minimum(1.0, np.minimum(at, at[::-1]) * 1000 / _EDGE_MS)
    low = _LOW_LEVEL * np.sin(2 * np.pi * LOW_HZ[place // 4] * at)
    high = _HIGH_LEVEL * np.sin(2 * np.pi * HIGH_HZ[place % 4] * at)
    return Pcm.concat([Pcm.from_float32(edge * (low + high), rate), Pcm.silence(rate, GAP_MS)])
