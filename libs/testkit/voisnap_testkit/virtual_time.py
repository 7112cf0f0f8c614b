"""An event loop whose clock jumps to the next timer when nothing else is to do: hours of a conversation pass in milliseconds.

For code that waits by the loop's clock (`asyncio.sleep`, `loop.call_at`, `asyncio.timeout`) and does no real I/O. A loop with nothing
ready and no timer would wait for ever; it raises Deadlock instead, which turns a hung test into a failing one.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Every task waits for something that nothing will do."""


class _VirtualSelector(selectors.BaseSelector):
    """Polls real descriptors without waiting; instead of the wait, time jumps."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0 or self.loop is None:
            return ready
        if self.loop.threads_at_work:
            return self._real.select(None)
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.loop.jump(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that starts at time 0 and never waits. While a thread of the executor is at work, time stands still."""

    def __init__(self) -> None:
        self._now = 0.0
        self.threads_at_work = 0
        selector = _VirtualSelector()
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Run something in a thread, which takes no virtual time. It must end: the clock waits for it."""
        self.threads_at_work += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self.threads_at_work -= 1
            raise
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        self.threads_at_work += 1  # the base class joins the executor in a thread of its own
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self.threads_at_work -= 1

    def _thread_done(self, _future: Any) -> None:
        self.threads_at_work -= 1


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time to its end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
