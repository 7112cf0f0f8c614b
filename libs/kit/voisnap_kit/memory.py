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


YOUNG, MIDDLE = 700, 5
"""New objects before the young ones are walked, and walks of those before the middle ones are: less than a millisecond each."""
NEVER = 1_000_000_000
"""Walks of the middle generation before everything is walked. That takes 20 ms and more with hundreds of calls, in which all of them stand still."""


class loading:  # noqa: N801 - read as a word: `with loading():`
    """Around a process's imports. Nothing of theirs is ever garbage, and to look for it again and again takes a sixth of their time."""

    def __enter__(self) -> None:
        gc.disable()

    def __exit__(self, *_error: object) -> None:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """What is there now stays for ever: no collection walks it any more, and what loading it took is given back. Takes a second or so.

    From now on nothing is walked as a whole but by `sweep`: whoever calls this lets go of what has ended, and sweeps when it does not matter.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)
    give_back()


def let_go(*parts: object) -> None:
    """Empty objects that nobody asks anything any more: what they held of each other is free at once, without a collection."""
    for part in parts:
        vars(part).clear()


def sweep() -> None:
    """Free what is only held by itself, and give it back from a thread of the running loop. Takes tens of milliseconds with many calls."""
    gc.collect()
    if _trim is not None:
        asyncio.get_running_loop().run_in_executor(None, give_back)


def give_back() -> None:
    """Hand free heap to the operating system (glibc `malloc_trim`); nothing where there is no such thing."""
    if _trim is not None:
        _trim(0)
