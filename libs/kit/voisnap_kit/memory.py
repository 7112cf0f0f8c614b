"""Memory that is not needed any more goes back to the operating system.

A process that holds models for ever and calls for minutes needs two nudges. Its collector counts objects, not the buffers they hold, so
ended calls would wait by the hundred for it. And glibc keeps freed memory for itself, in one heap for each thread.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library: it has its own ways
        return None


_trim = _find_trim()


SELDOM = 1000
"""Collections of the middle generation between two full ones. A full one walks every live call, 20 ms and more with hundreds of them; what
calls leave behind is swept up when they have ended."""


def settle() -> None:
    """What is there now stays for ever: no collection walks it any more, and what loading it took is given back. Takes a second or so.

    Full collections become rare from now on: whoever calls this calls `sweep` when there is something to sweep.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], SELDOM)
    give_back()


def sweep() -> None:
    """Free what is only held by itself, and give it back from a thread of the running loop. Takes some milliseconds."""
    gc.collect()
    if _trim is not None:
        asyncio.get_running_loop().run_in_executor(None, give_back)


def give_back() -> None:
    """Hand free heap to the operating system (glibc `malloc_trim`); nothing where there is no such thing."""
    if _trim is not None:
        _trim(0)
