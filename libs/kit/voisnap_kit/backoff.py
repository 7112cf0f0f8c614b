"""Waiting times between attempts: exponential with full jitter, so that many clients do not come back at once."""

import random
from collections.abc import Callable


class Backoff:
    """`next()` gives the seconds to wait before the next attempt: a random part of first·2ⁿ, at least a quarter of it, at most `cap`."""

    def __init__(self, *, first: float, cap: float, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._first = first
        self._cap = cap
        self._uniform = uniform
        self.attempts = 0

    def next(self) -> float:
        ceiling = min(self._cap, self._first * 2 ** min(self.attempts, 30))
        self.attempts += 1
        return self._uniform(ceiling / 4, ceiling)

    def reset(self) -> None:
        """The last attempt worked: start over."""
        self.attempts = 0
