"""Reconcilers: periodic tasks without input that look at the world, put right what is wrong, and return what they found."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from prometheus_client import Counter

from . import log, trace
from .backoff import Backoff
from .health import Beat

_log = log.get(__name__)

_RUNS = Counter("voisnap_reconciler_runs_total", "Runs of reconcilers", ["name", "outcome"])

Status = TypeVar("Status", bound=msgspec.Struct)


class Reconciler(Generic[Status]):
    """Runs `task` about every `every` seconds (±10 %), sooner after `wake`, and backs off while it fails. `last` is its latest status."""

    def __init__(
        self,
        name: str,
        every: float,
        task: Callable[[], Awaitable[Status]],
        *,
        timeout: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self.last: Status | None = None
        self.beat = Beat(limit=3 * every + timeout)
        self._every = every
        self._task = task
        self._timeout = timeout
        self._uniform = uniform
        self._woken = asyncio.Event()
        self._backoff = Backoff(first=min(1.0, every), cap=max(every, 30.0), uniform=uniform)

    def wake(self) -> None:
        """Run soon: something may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()
            pause = await self.run_once()
            self.beat.touch()
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def run_once(self) -> float:
        """One run, at most `timeout` seconds; the pause before the next."""
        try:
            async with asyncio.timeout(self._timeout):
                with trace.span(f"reconcile {self.name}"):
                    self.last = await self._task()
        except Exception as error:
            pause = self._backoff.next()
            _RUNS.labels(self.name, "failed").inc()
            _log.error("reconciler.failed", name=self.name, error=repr(error), retry_in=round(pause, 2))
            return pause
        self._backoff.reset()
        _RUNS.labels(self.name, "ok").inc()
        _log.debug("reconciler.ran", name=self.name, status=_plain(self.last))
        return self._uniform(0.9, 1.1) * self._every


def _plain(status: Any) -> Any:
    return msgspec.to_builtins(status) if isinstance(status, msgspec.Struct) else status
