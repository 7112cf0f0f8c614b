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
        if timeout is None:
            if self.loop.threads_may_call:
                return self._real.select(None)
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
    """A loop that starts at time 0 and never waits. `threads_may_call` allows an idle wait for a worker thread's call_soon_threadsafe."""

    def __init__(self) -> None:
        self._now = 0.0
        self.threads_may_call = False
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
        """Allowed, but time stands still only until the next timer: keep threads out of what virtual time is to prove."""
        self.threads_may_call = True
        return super().run_in_executor(executor, func, *args)


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time to its end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
