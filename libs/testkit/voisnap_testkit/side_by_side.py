"""`python -m voisnap_testkit.side_by_side`: what `make test` runs.

Calls wait most of their time, because somebody speaks, and a third of two cores is idle meanwhile. Tests that only compute, in virtual time or
against a fake, take as long as they may: they run beside the calls, with a low claim to the machine. What measures time or starts servers,
browsers and processes follows the calls.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

from voisnap_stack.supervise import ends_with_parent

from .platform import BESIDE

_PYTEST = str(Path(sys.executable).with_name("pytest"))
_BY_FILE = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder")
IN_TURN = ((_PYTEST, *_BY_FILE, "-m", "e2e or media"), (_PYTEST, *_BY_FILE, "-m", "slice or hub"))
MEANWHILE = (_PYTEST, "-m", "unit or conformance")

_LOW = 10
"""Of nice(2): a ninth of the claim of others, so that what has a time limit is not stopped where these need everything."""
_END_SECONDS = 30
_ends_with_this = ends_with_parent(signal.SIGINT)


def main(in_turn: Sequence[Sequence[str]] = IN_TURN, meanwhile: Sequence[str] = MEANWHILE) -> int:
    """Run them; 0 if all end with 0. The output of `meanwhile` is shown after that of the others."""
    signal.signal(signal.SIGTERM, _terminated)
    told = _Told(sys.stdout.buffer)
    beside = subprocess.Popen(
        meanwhile,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A session of its own, because kernels that group processes by session share the machine out among groups.
        start_new_session=True,
        preexec_fn=_heeds_interrupts,
    )
    _step_back(beside.pid)
    assert beside.stdout is not None
    reader = threading.Thread(target=told.follow, args=(beside.stdout.fileno(),))
    reader.start()
    has_failed = False
    try:
        for command in in_turn:
            has_failed |= _ran(command) != 0
        told.show()
        has_failed |= beside.wait() != 0
    finally:
        _end(beside)
        reader.join(timeout=5)
        beside.stdout.close()
    return int(has_failed)


def _ran(command: Sequence[str]) -> int:
    process = subprocess.Popen(command, env=os.environ | {BESIDE: "1"})
    try:
        return process.wait()
    finally:
        _end(process)


class _Told:
    """What a process prints: kept until it is asked for, from then on passed on."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._lock = threading.Lock()
        self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        self._is_shown = False

    def follow(self, file: int) -> None:
        """Until its end."""
        while part := os.read(file, 65536):
            with self._lock:
                self._write(part)

    def show(self) -> None:
        """What was kept, and all that comes."""
        with self._lock:
            self._is_shown = True
            self._kept.seek(0)
            self._write(self._kept.read())
            self._kept.close()

    def _write(self, part: bytes) -> None:
        if not self._is_shown:
            self._kept.write(part)
            return
        self._to.write(part)
        self._to.flush()


def _heeds_interrupts() -> None:
    """Also where a shell that put this in the background has it ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _ends_with_this()


def _step_back(pid: int) -> None:
    """Give a process, and all that it starts, a low claim to the machine."""
    os.setpriority(os.PRIO_PROCESS, pid, max(_LOW, os.getpriority(os.PRIO_PROCESS, 0)))
    with contextlib.suppress(OSError):  # not every kernel groups by session
        Path(f"/proc/{pid}/autogroup").write_text(str(_LOW))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have pytest stop as Ctrl-C does, so that it stops what it started; kill it if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
