"""Readiness checks and event-loop lag. Liveness is the loop turning; readiness is every dependency answering."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec
from prometheus_client import Gauge

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency works, raises when it does not; the exception's text becomes the detail."""

_LAG = Gauge("voisnap_event_loop_lag_seconds", "How late the event loop woke up, worst of the last period")


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check found."""

    status: Literal["ok", "failed"]
    detail: str | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `GET /readyz`."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, CheckResult]

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


async def readiness(checks: Mapping[str, Check], *, timeout: float = 2.0) -> Readiness:
    """Run all checks at once, each within `timeout` seconds."""
    results = await asyncio.gather(*(_run(check, timeout) for check in checks.values()))
    named = dict(zip(checks, results, strict=True))
    ready = all(result.status == "ok" for result in results)
    return Readiness(status="ready" if ready else "not_ready", checks=named)


async def _run(check: Check, timeout: float) -> CheckResult:
    try:
        async with asyncio.timeout(timeout):
            await check()
    except TimeoutError:
        return CheckResult(status="failed", detail=f"no answer within {timeout:g} s")
    except Exception as error:
        return CheckResult(status="failed", detail=str(error) or type(error).__name__)
    return CheckResult(status="ok")


class DrainGate:
    """A readiness check that fails once the process drains."""

    def __init__(self) -> None:
        self.draining = False

    def close(self) -> None:
        """From now on the process reports itself as not ready."""
        self.draining = True

    async def check(self) -> None:
        """Raise after `close`."""
        if self.draining:
            raise RuntimeError("draining")


class LoopLag:
    """Measures how late the event loop wakes up: `worst` over the last `window` samples, in seconds."""

    def __init__(self, *, period: float = 0.1, window: int = 50) -> None:
        self._period = period
        self._samples: list[float] = [0.0] * window
        self._next = 0

    @property
    def worst(self) -> float:
        return max(self._samples)

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(self._period)
            self._samples[self._next] = max(0.0, loop.time() - before - self._period)
            self._next = (self._next + 1) % len(self._samples)
            _LAG.set(self.worst)


class Beat:
    """A heartbeat that a background task touches; `check` fails when it has been silent for longer than `limit` seconds."""

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._last = clock()

    def touch(self) -> None:
        self._last = self._clock()

    async def check(self) -> None:
        """Raise when the task has been silent for too long."""
        silence = self._clock() - self._last
        if silence > self._limit:
            raise RuntimeError(f"silent for {silence:.0f} s")
