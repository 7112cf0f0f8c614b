"""What the processes of a server need while they are measured: CPU, memory, instructions, the longest stall."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from .load_steps import ServerUse

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
STALL_METRIC = "voisnap_pacer_late_max_seconds"
"""The runtime's own longest stall since it was last asked."""


class ProcessProbe:
    """Watches processes of this machine through /proc (Linux), `perf` when it may be used, and `/metrics` when there is one."""

    def __init__(self, pids: Sequence[int], *, metrics_url: str | None = None) -> None:
        self._pids = tuple(pids)
        self._metrics_url = metrics_url
        self._began = 0.0
        self._cpu = self._waited = 0.0
        self._perf: asyncio.subprocess.Process | None = None

    def memory_mb(self) -> float | None:
        """Resident memory of all of them now."""
        try:
            pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids)
        except (OSError, IndexError, ValueError):
            return None
        return pages * _PAGE_MB

    async def begin(self) -> None:
        """A step begins."""
        await self._stall_ms()  # forgets what was before
        self._began = time.monotonic()
        self._cpu, self._waited = self._cpu_seconds(), self._waited_seconds()
        perf = shutil.which("perf")
        if perf is not None:
            self._perf = await asyncio.create_subprocess_exec(
                perf,
                "stat",
                "-x,",
                "-e",
                "instructions",
                "-p",
                ",".join(map(str, self._pids)),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )

    async def end(self) -> ServerUse:
        """The step is over."""
        seconds = time.monotonic() - self._began
        cpu, waited = self._cpu_seconds(), self._waited_seconds()
        instructions = await self._instructions()
        return ServerUse(
            core_percent=round((cpu - self._cpu) / seconds * 100, 2) if cpu and seconds else None,
            waited_percent=round((waited - self._waited) / seconds * 100, 2) if cpu and seconds else None,
            memory_mb=self.memory_mb(),
            worst_stall_ms=await self._stall_ms(),
            instructions_per_second=None if instructions is None else instructions / seconds,
        )

    def _cpu_seconds(self) -> float:
        ticks = 0
        for pid in self._pids:
            with suppress(OSError, IndexError, ValueError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def _waited_seconds(self) -> float:
        waited = 0
        for pid in self._pids:
            with suppress(OSError, IndexError, ValueError):
                waited += int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
        return waited / 1e9

    async def _instructions(self) -> float | None:
        perf, self._perf = self._perf, None
        if perf is None:
            return None
        with suppress(ProcessLookupError):
            perf.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(3):
                _, output = await perf.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                perf.kill()
            return None
        for line in output.decode(errors="replace").splitlines():
            fields = line.split(",")
            if len(fields) > 2 and fields[2].startswith("instructions") and fields[0].isdigit():
                return float(fields[0])
        return None

    async def _stall_ms(self) -> float | None:
        if self._metrics_url is None:
            return None
        try:
            async with httpx.AsyncClient(timeout=2) as http:
                text = (await http.get(self._metrics_url)).text
        except httpx.HTTPError:
            return None
        for line in text.splitlines():
            if line.startswith(STALL_METRIC):
                return round(float(line.split()[-1]) * 1000, 2)
        return None
