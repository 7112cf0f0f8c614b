"""A load measurement: so many callers, for so long, and what it cost; then more callers."""

import asyncio
import math
from array import array
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from .load_callers import Caller, CallerClock, Measured
from .load_socket import CallRefused

OVERHEAD_LIMIT_MS = 100.0
"""A platform that adds more than this to every twentieth answer has too many callers."""
JOIN_SECONDS = 0.1
"""Between one caller and the next: a real platform's callers do not come all at once."""
JOINING_AT_ONCE = 4
SETTLE_SECONDS = 2.0
"""From the last caller's connection to the first figure that counts."""
MAX_GENERATOR_LATE_MS = 10.0
"""A generator whose own clock is later than this for every twentieth beat measures itself."""
MAX_FAILED = 0.01
"""Share of turns without an answer and of lines lost, beyond which a step counts as failed."""


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """p50, p95, p99 and the largest; NaN without values."""

    count: int = 0
    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan
    largest: float = math.nan


class ServerUse(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's processes needed in one step; None where it cannot be seen."""

    core_percent: float | None = None
    """CPU time, 100 for one core."""
    waited_percent: float | None = None
    """Time in which the main thread was ready to run and had no core: others used it, or threads of its own."""
    memory_mb: float | None = None
    """Resident memory at the end of the step."""
    worst_stall_ms: float | None = None
    instructions_per_second: float | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of so many callers; times in milliseconds."""

    channel: str
    server: str
    callers: int
    seconds: float
    overhead: Percentiles
    barge_in: Percentiles
    cleared: Percentiles
    jitter: Percentiles
    unanswered: int
    cut_off: int
    lost: int
    generator_late: Percentiles
    use: ServerUse = ServerUse()
    idle_memory_mb: float | None = None
    refused: str | None = None
    """Why no more callers could be added; the figures then are of those who were."""

    @property
    def holds(self) -> bool:
        """Whether the platform carried these callers well."""
        turns = self.overhead.count + self.unanswered
        failed = self.unanswered + self.lost
        return self.refused is None and self.overhead.p95 < OVERHEAD_LIMIT_MS and failed <= MAX_FAILED * turns

    @property
    def generator_was_late(self) -> bool:
        """Whether the callers themselves were too late to tell anything."""
        return self.generator_late.p95 > MAX_GENERATOR_LATE_MS

    @property
    def core_percent_per_call(self) -> float | None:
        return None if self.use.core_percent is None or not self.callers else self.use.core_percent / self.callers

    @property
    def cpu_ms_per_call_second(self) -> float | None:
        """CPU time of the server for one second of one call."""
        return None if self.core_percent_per_call is None else self.core_percent_per_call * 10

    @property
    def memory_mb_per_call(self) -> float | None:
        if self.use.memory_mb is None or self.idle_memory_mb is None or not self.callers:
            return None
        return (self.use.memory_mb - self.idle_memory_mb) / self.callers

    @property
    def instructions_per_call_second(self) -> float | None:
        """Millions."""
        if self.use.instructions_per_second is None or not self.callers:
            return None
        return self.use.instructions_per_second / self.callers / 1e6


class Probe(Protocol):
    """Watches the server's processes."""

    def memory_mb(self) -> float | None: ...
    async def begin(self) -> None: ...
    async def end(self) -> ServerUse: ...


class NoProbe:
    """A server that cannot be looked into."""

    def memory_mb(self) -> float | None:
        return None

    async def begin(self) -> None: ...
    async def end(self) -> ServerUse:
        return ServerUse()


Join = Callable[[int, Measured], Awaitable[Caller]]
"""Connects caller number n; its `line` is open when it returns. Raises `CallRefused` or `OSError`."""


class Measurement:
    """Callers of one channel against one server. `join` makes them, `clock` is shared by all measurements of the process."""

    def __init__(
        self,
        join: Join,
        clock: CallerClock,
        *,
        channel: str,
        server: str,
        probe: Probe | None = None,
        told: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._join = join
        self._clock = clock
        self._channel = channel
        self._server = server
        self._probe = probe or NoProbe()
        self._told = told
        self._callers: list[Caller] = []
        self._count = 0
        self._measured = Measured()
        self._idle_memory = self._probe.memory_mb()
        self._began = 0.0
        self._refused: str | None = None

    @property
    def callers(self) -> int:
        """Callers who are connected."""
        return len(self._callers)

    @property
    def has_begun(self) -> bool:
        """Whether a step is being measured."""
        return self._began > 0

    @property
    def elapsed(self) -> float:
        """Seconds since the step began to count."""
        return asyncio.get_running_loop().time() - self._began if self._began else 0.0

    async def step(self, callers: int, seconds: float) -> Step:
        """Bring the callers to this number and measure for so many seconds. Fewer join when the platform refuses some."""
        self._began = 0.0
        await self._grow(callers)
        await asyncio.sleep(SETTLE_SECONDS)
        self._measured.clear()
        self._clock.late.clear()
        self._began = asyncio.get_running_loop().time()
        await self._probe.begin()
        try:
            await asyncio.sleep(seconds)
        finally:
            use = await self._probe.end()
        return self.figures(use)

    def figures(self, use: ServerUse | None = None) -> Step:
        """What was measured since the step began."""
        measured = self._measured
        return Step(
            channel=self._channel,
            server=self._server,
            callers=self.callers,
            seconds=round(self.elapsed, 1),
            overhead=percentiles(measured.overhead),
            barge_in=percentiles(measured.barge_in),
            cleared=percentiles(measured.cleared),
            jitter=percentiles(measured.jitter),
            unanswered=measured.unanswered,
            cut_off=measured.cut_off,
            lost=measured.lost,
            generator_late=percentiles(self._clock.late),
            use=use or ServerUse(),
            idle_memory_mb=self._idle_memory,
            refused=self._refused,
        )

    async def close(self) -> None:
        """Hang up every caller."""
        callers, self._callers = self._callers, []
        for caller in callers:
            self._clock.remove(caller)
        for start in range(0, len(callers), 20):
            await asyncio.gather(
                *(caller.line.close() for caller in callers[start : start + 20] if caller.line is not None),
                return_exceptions=True,
            )

    async def _grow(self, callers: int) -> None:
        self._callers = [caller for caller in self._callers if not caller.is_lost]
        joining: set[asyncio.Task[None]] = set()
        while self.callers + len(joining) < callers and self._refused is None:
            joining.add(asyncio.create_task(self._add(self._count)))
            self._count += 1
            await asyncio.sleep(JOIN_SECONDS)
            done = {task for task in joining if task.done()}
            joining -= done
            while len(joining) >= JOINING_AT_ONCE:
                _, joining = await asyncio.wait(joining, return_when=asyncio.FIRST_COMPLETED)
            self._told(f"{self.callers} of {callers} callers are connected")
        if joining:
            await asyncio.wait(joining)

    async def _add(self, number: int) -> None:
        try:
            caller = await self._join(number, self._measured)
        except (CallRefused, OSError) as error:
            self._refused = self._refused or str(error)
            return
        self._callers.append(caller)
        self._clock.add(caller)


def largest_that_holds(steps: Iterable[Step]) -> int:
    """The most callers that were carried well; 0 when none were."""
    return max((step.callers for step in steps if step.holds), default=0)


def percentiles(values: Iterable[float]) -> Percentiles:
    """Nearest-rank percentiles."""
    ordered = sorted(values if not isinstance(values, array) else values.tolist())
    if not ordered:
        return Percentiles()

    def at(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)

    return Percentiles(count=len(ordered), p50=at(0.5), p95=at(0.95), p99=at(0.99), largest=round(ordered[-1], 2))
