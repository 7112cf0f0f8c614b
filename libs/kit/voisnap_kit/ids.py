"""Identifiers: prefix, underscore, ULID. Ids made in one process sort in the order of their making."""

import secrets
import threading
import time
from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, as the ULID specification demands."""

_RANDOM_BITS = 80
_RANDOM_MAX = (1 << _RANDOM_BITS) - 1
_STEP_BITS = 64


class UlidSource:
    """A monotonic ULID generator: within one millisecond the random part rises (ULID specification, "Monotonicity").

    It rises by a random step, so that an id does not give away its neighbours.
    """

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        randbits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._clock_ms = clock_ms
        self._randbits = randbits
        self._lock = threading.Lock()
        self._last_ms = -1
        self._random = 0

    def next(self) -> str:
        """A 26-character ULID, greater than every one before it; never decreases when the clock steps back."""
        with self._lock:
            now = self._clock_ms()
            risen = self._random + 1 + self._randbits(_STEP_BITS)
            if now <= self._last_ms and risen <= _RANDOM_MAX:
                self._random = risen
            else:
                self._last_ms = max(now, self._last_ms + 1)
                self._random = self._randbits(_RANDOM_BITS)
            return _encode((self._last_ms << _RANDOM_BITS) | self._random)


def _encode(value: int) -> str:
    characters = []
    for _ in range(26):
        characters.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(characters))


_SOURCE = UlidSource()


def new_id(prefix: str) -> str:
    """A new identifier such as `agt_01HX…`."""
    return f"{prefix}_{_SOURCE.next()}"


def made_at(id: str) -> int:
    """When an identifier was made, in Unix milliseconds: the first ten characters of its ULID. 0 for a text that holds none."""
    value = 0
    for character in id.rpartition("_")[2][:10]:
        digit = _ALPHABET.find(character)
        if digit < 0:
            return 0
        value = value << 5 | digit
    return value
