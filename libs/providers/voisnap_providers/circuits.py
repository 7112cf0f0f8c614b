"""How providers are doing, known to all calls of a process: circuit breakers, health and pace.

What one call finds out spares the next one the same wait. A circuit belongs to one access to one vendor (`Account`) and one kind of work:
a tenant's refused key is no reason to leave the platform's alone, a voice service that is down none to leave the recogniser alone.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable

Clock = Callable[[], float]

LONGEST_REST = 120.0
"""Seconds; whatever a vendor's Retry-After says, it is asked again after this."""
REFUSED_SECONDS = 60.0
"""How long a key that was refused is left alone: somebody has to change it first. One that worked within this time is not what was refused."""
MOST_CIRCUITS = 4096
WEIGHT = 0.25
"""Of the latest call in health and pace."""


class CircuitBreaker:
    """Opens after `failures` in a row and lets one call through every `rest_seconds` until one succeeds."""

    def __init__(self, *, failures: int = 5, rest_seconds: float = 20.0, clock: Clock | None = None) -> None:
        self._limit = failures
        self._rest = rest_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._failed = 0
        self._closed_until = 0.0
        self._asked_until = 0.0
        self._worked_at = -math.inf
        self._paces: dict[str, float] = {}
        self.health = 1.0
        """1 when every call of late went well, 0 when none did."""

    def allows(self) -> bool:
        """Whether to call now; a probe that is let through delays the next one."""
        now = self._clock()
        if now < self._asked_until:
            return False
        if self._failed < self._limit:
            return True
        if now < self._closed_until:
            return False
        self._closed_until = now + self._rest
        return True

    @property
    def is_open(self) -> bool:
        """Whether a call now would be refused, or be a probe."""
        return self._failed >= self._limit or self._clock() < self._asked_until

    def succeeded(self) -> None:
        """A call went well."""
        self._failed = 0
        self._asked_until = 0.0
        self._worked_at = self._clock()
        self.health += WEIGHT * (1.0 - self.health)

    def failed(self, *, retry_after: float | None = None) -> None:
        """A call failed. A vendor that asked to be left alone for `retry_after` seconds is."""
        self.health -= WEIGHT * self.health
        if retry_after is not None:
            self._asked_until = max(self._asked_until, self._clock() + min(retry_after, LONGEST_REST))
            return
        self._failed += 1
        if self._failed >= self._limit:
            self._closed_until = self._clock() + self._rest

    def refused(self) -> bool:
        """A call was refused for its key: no call with it works until somebody changes it. Not where another one has just worked: then a model
        or a voice is none of the account's, which whoever named it must not close for all others. Whether it was the key."""
        if self._clock() - self._worked_at < REFUSED_SECONDS:
            return False
        self.health = 0.0
        self._failed = max(self._failed, self._limit)
        self._closed_until = self._clock() + max(self._rest, REFUSED_SECONDS)
        return True

    def began(self, of: str, seconds: float) -> None:
        """The first output of a call of `of` (a model, a voice) took so long."""
        before = self._paces.get(of)
        if before is None and len(self._paces) >= MOST_CIRCUITS:
            self._paces.clear()
        self._paces[of] = seconds if before is None else before + WEIGHT * (seconds - before)

    def pace(self, of: str) -> float | None:
        """Seconds that the first output of `of` takes of late; None when nobody knows yet."""
        return self._paces.get(of)


class Circuits:
    """The circuits of one process, at most `most`: those not asked for longest are forgotten."""

    def __init__(
        self,
        *,
        failures: int = 4,
        rest_seconds: float = 15.0,
        clock: Clock | None = None,
        most: int = MOST_CIRCUITS,
    ) -> None:
        self._make = lambda: CircuitBreaker(failures=failures, rest_seconds=rest_seconds, clock=clock)
        self._most = most
        self._circuits: OrderedDict[tuple[str, str, str], CircuitBreaker] = OrderedDict()

    def of(self, kind: str, provider: str, account: str) -> CircuitBreaker:
        """The circuit of one kind of work at one provider with one account."""
        key = (kind, str(provider), account)
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = self._make()
            if len(self._circuits) > self._most:
                self._circuits.popitem(last=False)
        self._circuits.move_to_end(key)
        return circuit
