"""Worker threads for models that compute: the event loop never waits for them, and urgent work goes first.

One `InferencePool` a process. Jobs wait in one bounded queue ordered by priority, then age; onnxruntime and numpy release the GIL while
they compute, so threads are enough. A queue that is full refuses partial results first: they are the only work nobody misses.
"""

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

CLOSE_SECONDS = 2.0


class Priority(IntEnum):
    """What is computed first. A caller waits in silence for the first two."""

    FINAL = 0
    FIRST_SENTENCE = 1
    ANSWER = 1
    SENTENCE = 2
    BACKGROUND = 3
    PARTIAL = 4


class PoolFullError(Exception):
    """The queue is full of work at least as urgent."""


class PoolClosedError(Exception):
    """The pool takes no more work."""


class PoolStats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start; times in seconds."""

    queued: int
    running: int
    done: int
    refused: int
    wait_seconds: float
    longest_wait_seconds: float


class Job(Generic[T]):
    """One computation on its way. `future` belongs to the event loop that submitted it."""

    __slots__ = ("_loop", "_pool", "created_at", "future", "is_dropped", "priority", "work")

    def __init__(self, pool: "InferencePool", work: Callable[[], T], priority: Priority) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self.work = work
        self.priority = priority
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.created_at = time.perf_counter()
        self.is_dropped = False

    def cancel(self) -> None:
        """Take the job out of the queue; a job that runs already goes on, and its result is forgotten."""
        self.is_dropped = True
        self._pool._forget(self)
        if not self.future.done():
            self.future.cancel()

    def _finish(self, result: Any, error: BaseException | None) -> None:
        def settle() -> None:
            if self.future.done():
                return
            if error is not None:
                self.future.set_exception(error)
            else:
                self.future.set_result(result)

        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop closed meanwhile: nobody is left to tell


class InferencePool:
    """`threads` workers, at most `capacity` jobs waiting. `on_wait(priority, seconds)` is called from a worker as it takes a job."""

    def __init__(
        self,
        threads: int = 2,
        *,
        capacity: int = 128,
        on_wait: Callable[[Priority, float], None] | None = None,
    ) -> None:
        self._capacity = capacity
        self._on_wait = on_wait
        self._order = itertools.count()
        self._queue: list[tuple[int, int, Job[Any]]] = []
        self._wake = threading.Condition()
        self._closed = False
        self._waiting = self._running = self._done = self._refused = 0
        self._waited = self._longest_wait = 0.0
        self._threads = tuple(
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True) for number in range(threads)
        )
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T], priority: Priority) -> Job[T]:
        """Queue a computation; call from the event loop. Raises `PoolFullError`, `PoolClosedError`."""
        job = Job(self, work, priority)
        with self._wake:
            if self._closed:
                raise PoolClosedError("the inference pool is closed")
            if self._waiting >= self._capacity:
                self._make_room(priority)
            heapq.heappush(self._queue, (int(priority), next(self._order), job))
            self._waiting += 1
            self._wake.notify()
        return job

    async def run(self, work: Callable[[], T], priority: Priority) -> T:
        """Compute and wait; cancelling the waiting takes the job out of the queue."""
        job = self.submit(work, priority)
        try:
            return await job.future
        except asyncio.CancelledError:
            job.cancel()
            raise

    @property
    def is_busy(self) -> bool:
        """Whether a job submitted now would have to wait: a reason to skip a partial result."""
        with self._wake:
            return self._waiting + self._running >= len(self._threads)

    def stats(self) -> PoolStats:
        """Where the pool stands."""
        with self._wake:
            return PoolStats(
                queued=self._waiting,
                running=self._running,
                done=self._done,
                refused=self._refused,
                wait_seconds=self._waited,
                longest_wait_seconds=self._longest_wait,
            )

    async def aclose(self) -> None:
        """Drop what waits, let what runs end (at most 2 s)."""
        with self._wake:
            self._closed = True
            dropped = [job for _, _, job in self._queue]
            self._queue.clear()
            self._waiting = 0
            self._wake.notify_all()
        for job in dropped:
            if not job.future.done():
                job.future.cancel()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _make_room(self, priority: Priority) -> None:
        entry = max((entry for entry in self._queue if not entry[2].is_dropped), default=None)
        if entry is None or entry[0] <= priority:
            self._refused += 1
            raise PoolFullError("the inference queue is full")
        _, _, job = entry
        job.is_dropped = True
        self._waiting -= 1
        self._refused += 1
        job._finish(None, PoolFullError("gave way to more urgent work"))

    def _forget(self, job: Job[Any]) -> None:
        with self._wake:
            before = len(self._queue)
            self._queue = [entry for entry in self._queue if entry[2] is not job]
            if len(self._queue) != before:
                heapq.heapify(self._queue)
                self._waiting -= 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            result, error = None, None
            try:
                result = job.work()
            except BaseException as failure:
                error = failure
            with self._wake:
                self._running -= 1
                self._done += 1
            job._finish(result, error)
            del job, result, error

    def _next(self) -> Job[Any] | None:
        with self._wake:
            while True:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return None
                _, _, job = heapq.heappop(self._queue)
                if job.is_dropped:
                    continue
                waited = time.perf_counter() - job.created_at
                self._waiting -= 1
                self._running += 1
                self._waited += waited
                self._longest_wait = max(self._longest_wait, waited)
                break
        if self._on_wait is not None:
            self._on_wait(job.priority, waited)
        return job
