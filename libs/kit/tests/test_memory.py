"""Memory goes back to the operating system."""

import asyncio
import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from voisnap_kit import memory

pytestmark = pytest.mark.unit


class Ended:
    """Something that holds itself, and a buffer."""

    def __init__(self) -> None:
        self.me = self
        self.buffer = bytearray(1000)


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


async def test_what_only_holds_itself_is_freed_by_a_sweep(no_collector):
    ended = weakref.ref(Ended())
    assert ended() is not None
    memory.sweep()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert ended() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(memory._trim is None, reason="another C library than glibc")
def test_freed_heap_is_given_back():
    pieces = [np.ones(10_000) for _ in range(600)]  # 48 MB
    some = pieces[::8]  # hold the heap open
    del pieces
    before = _resident()
    memory.give_back()
    assert len(some) == 75
    assert before - _resident() > 20e6


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
