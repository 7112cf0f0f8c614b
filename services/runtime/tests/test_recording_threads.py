"""Encoding stands back where calls need the core."""

import os
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from voisnap_media.recorder import SegmentEncoder
from voisnap_runtime.recording import ENCODING_NICENESS, Recordings

pytestmark = pytest.mark.unit


class Looks:
    """An encoder that looks at its own thread instead."""

    def encode(self, taken: Any) -> bytes:
        return str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
async def test_segments_are_encoded_behind_the_calls_and_the_loop_keeps_its_priority(tmp_path: Path):
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    unused: Any = None
    recordings = Recordings(unused, spool=tmp_path)
    niceness = int(await recordings.encode(cast(SegmentEncoder, Looks()), unused))
    assert niceness == ENCODING_NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    await recordings.close()
