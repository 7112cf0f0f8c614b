"""Child processes that live and die with this one: start, readiness, restart with back-off, ordered stop.

Each child leads its own process group (the terminal's Ctrl-C reaches only the parent) and asks the kernel for a signal when the
parent's thread ends. Start children from a thread that lasts, or they end with it.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

PR_SET_PDEATHSIG = 1
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
CRASHES_ALLOWED = 6
CRASH_WINDOW = 60.0
"""A part that crashes more often than CRASHES_ALLOWED in CRASH_WINDOW seconds is left alone."""
CONFIGURATION_FAULT = 2
"""Exit status of a service whose fault a restart will not cure."""
LOGS_KEPT = 3

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Probe = Callable[[], Awaitable[str | None]]
"""Answers None when the part is ready, else what is missing."""


class StackError(Exception):
    """The platform cannot start or go on; the text is one line and says what to do."""


class PartState(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """Crashed; it starts again after a pause."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """How one part is run. `probe` is polled until it answers None; `detail` of a failure goes to people."""

    name: str
    command: tuple[str, ...]
    probe: Probe
    environment: Mapping[str, str]
    folder: Path
    log: Path
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGTERM
    """Sent by the kernel when the parent is gone."""
    start_seconds: float = 30.0
    keep_open: tuple[int, ...] = ()
    """Descriptors the child inherits."""
    restarts: bool = True


@dataclass(kw_only=True)
class Part:
    """One supervised process."""

    spec: PartSpec
    on_change: Callable[["Part"], None] = field(default=lambda part: None)
    state: PartState = PartState.STOPPED
    detail: str | None = None
    process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    _crashes: list[float] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.returncode is None else None

    async def start(self) -> None:
        """Start and wait until ready. Raises StackError with the end of the log if it ends or does not answer in time."""
        rotate(self.spec.log)
        await self._spawn()
        await self._until_ready()
        self._become(PartState.RUNNING)
        if self.spec.restarts:
            self._watch = asyncio.create_task(self._keep_running(), name=f"watch {self.spec.name}")

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and kill its process group after `seconds`."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        await self._end(seconds)
        self._become(PartState.STOPPED)

    def ask_to_end(self) -> None:
        """Send the stop signal without waiting; `stop` still has to follow."""
        if self._watch is not None:
            self._watch.cancel()
        if self.process is not None and self.process.returncode is None:
            self._signal(self.spec.stop_signal)

    async def restart(self, seconds: float) -> None:
        await self.stop(seconds)
        self._crashes.clear()
        self._become(PartState.STARTING)
        await self.start()

    def log_tail(self, lines: int = 3) -> str:
        """The last lines of its log on one line."""
        try:
            text = self.spec.log.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())

    async def _spawn(self) -> None:
        self._become(PartState.STARTING)
        try:
            with self.spec.log.open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *self.spec.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(self.spec.environment),
                    cwd=self.spec.folder,
                    user=self.spec.user,
                    start_new_session=True,
                    pass_fds=self.spec.keep_open,
                    preexec_fn=ends_with_parent(self.spec.orphan_signal),
                )
        except OSError as error:
            raise StackError(f"{self.spec.name} cannot be started: {error}") from error

    async def _until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + self.spec.start_seconds
        missing: str | None = "no answer"
        pause = 0.01
        while time.monotonic() < deadline:
            if self.process.returncode is not None:
                raise StackError(self._why_it_ended())
            missing = await self.spec.probe()
            if missing is None:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        raise StackError(
            f"{self.spec.name} is not ready after {self.spec.start_seconds:.0f} s ({missing}): see {self.spec.log}"
        )

    def _why_it_ended(self) -> str:
        tail = self.log_tail(1)
        code = self.process.returncode if self.process else None
        if "No space left on device" in self.log_tail(20):
            return f"{self.spec.name} ended: the disk is full; free some space and start again (see {self.spec.log})"
        return f"{self.spec.name} ended with status {code}: {tail or 'it said nothing'} (see {self.spec.log})"

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE
        while True:
            assert self.process is not None
            status = await self.process.wait()
            now = time.monotonic()
            self._crashes = [at for at in self._crashes if now - at < CRASH_WINDOW] + [now]
            if status == CONFIGURATION_FAULT or len(self._crashes) > CRASHES_ALLOWED:
                self._become(PartState.FAILED, f"{self._why_it_ended()}; it is not started again")
                return
            self._become(PartState.WAITING, self._why_it_ended())
            self._kill_group()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE) if len(self._crashes) > 1 else FIRST_PAUSE
            try:
                await self._spawn()
                await self._until_ready()
            except StackError as error:
                self.detail = str(error)
                await self._end(1.0)
                continue
            self._become(PartState.RUNNING)

    async def _end(self, seconds: float) -> None:
        if self.process is None:
            return
        if self.process.returncode is None:
            self._signal(self.spec.stop_signal)
            try:
                async with asyncio.timeout(max(seconds, 0)):
                    await self.process.wait()
            except TimeoutError:
                self._kill_group()
                await self.process.wait()
        self._kill_group()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            assert self.process is not None
            self.process.send_signal(number)

    def _kill_group(self) -> None:
        """End what the child left behind; its group outlives it only if it had children of its own."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _become(self, state: PartState, detail: str | None = None) -> None:
        self.state, self.detail = state, detail
        self.on_change(self)


def ends_with_parent(number: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: the child gets `number` when the thread that started it is gone."""
    parent = os.getpid()

    def ask_kernel() -> None:
        # Runs after the change of user, which would clear it (prctl(2)). The parent may be gone already.
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def follow_parent() -> None:
    """Have this process itself terminated when its parent is gone."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def rotate(log: Path) -> None:
    """Keep the last logs of a part as `.1` (latest) to `.3`; the new run begins with an empty file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if not log.exists():
        return
    for number in range(LOGS_KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))
