"""The whole platform in processes of its own, started once a test run the way a person starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import redis

START_SECONDS = 180
VOISNAP = Path(sys.executable).with_name("voisnap")


@dataclass(frozen=True)
class Platform:
    """A running platform: where it is, its demo credentials, and the supervisor's process."""

    base_url: str
    home: Path
    demo: dict[str, Any]
    process: subprocess.Popen[bytes]
    output: Path

    def login(self) -> str:
        """A fresh access token of the demo user."""
        credentials = {"email": self.demo["email"], "password": self.demo["password"]}
        answer = httpx.post(f"{self.base_url}/api/v1/auth/login", json=credentials, timeout=10)
        answer.raise_for_status()
        return answer.json()["accessToken"]

    def get(self, path: str) -> httpx.Response:
        """GET below /api/v1 with the demo tenant's live key."""
        headers = {"Authorization": f"Bearer {self.demo['apiKeyLive']}"}
        return httpx.get(f"{self.base_url}/api/v1{path}", headers=headers, timeout=10)

    def voisnap(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the `voisnap` command against this platform."""
        environment = os.environ | {"VOISNAP_HOME": str(self.home)}
        return subprocess.run(
            [str(VOISNAP), *arguments], env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    @property
    def redis_url(self) -> str:
        """Where the live sessions are kept."""
        password = json.loads((self.home / "secrets.json").read_text())["valkey_password"]
        port = json.loads((self.home / "ports.json").read_text())["valkey"]
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def runtimes(self) -> dict[str, int]:
        """The runtime processes that live, by name (`runtime`, `runtime-2` …), and their process ids."""
        noted = json.loads((self.home / "processes.json").read_text())
        pids = {name: part["pid"] for name, part in noted.items() if name.partition("-")[0] == "runtime"}
        return {name: pid for name, pid in pids.items() if _lives(pid)}

    def owner_of(self, session_id: str) -> str | None:
        """The runtime process that holds the session now; None for one that nobody holds or that has ended."""
        with redis.Redis.from_url(self.redis_url) as client:
            kept: Any = client.hmget(f"vs:{{{session_id}}}:state", "owner", "state")
        owner, state = kept
        return owner.decode().rpartition("_")[0] if owner and state != b"ended" else None

    def words_of_agent(self, session_id: str) -> str:
        """What was heard of the agent's sentence in the making, as another process would find it."""
        with redis.Redis.from_url(self.redis_url) as client:
            kept: Any = client.hget(f"vs:{{{session_id}}}:state", "snapshot")
        speaking = json.loads(kept).get("agent") if kept else None
        return speaking["text"] if speaking else ""

    def owned_sessions(self, runtime: str) -> tuple[str, ...]:
        """The sessions that a runtime process holds."""
        with redis.Redis.from_url(self.redis_url) as client:
            found: Any = client.scan_iter("vs:{*}:state")
            names = [key.decode()[len("vs:{") : -len("}:state")] for key in found]
        return tuple(name for name in names if self.owner_of(name) == runtime)

    def signal(self, runtime: str, number: signal.Signals) -> int:
        """Send a runtime process a signal: SIGKILL, SIGTERM (drain), SIGSTOP, SIGCONT. Its process id."""
        pid = self.runtimes()[runtime]
        os.kill(pid, number)
        return pid

    def wait_for_runtimes(self, count: int, *, but: int | None = None, seconds: float = 60) -> None:
        """Wait until `count` runtime processes are ready, none of them the process `but`."""

        def are_back() -> bool:
            pids = self.runtimes().values()
            return len(pids) == count and but not in pids and self.is_ready()

        wait_until(are_back, seconds=seconds, what=f"{count} runtime processes")

    def is_ready(self) -> bool:
        """Whether the public health page says that every part is ready."""
        try:
            return httpx.get(f"{self.base_url}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


BESIDE = "VOISNAP_TEST_BESIDE"
"""Environment variable: how many processes compute beside these tests in what they leave of the machine. They make nothing slower, and so nobody
more patient."""

_LOOP_SECONDS = 0.015
"""CPU time of `_loop` on one core of the machine that the figures of the tests were measured on."""


def patience() -> float:
    """How many times longer than on two idle cores things may take here and now: 1.0 or more.

    The speed of a core times how many want each of them. Bounds in seconds are multiplied by it: they hold as written where nothing else
    runs, and a slow or busy machine fails no test that a quiet one passes.
    """
    beside = int(os.environ.get(BESIDE, "0"))
    wanted = (os.getloadavg()[0] - beside) / len(os.sched_getaffinity(0))
    return max(1.0, _slowness()) * max(1.0, wanted)


@cache
def _slowness() -> float:
    return min(_loop() for _ in range(3)) / _LOOP_SECONDS


def _loop() -> float:
    began, total = time.thread_time(), 0
    for number in range(500_000):
        total += number
    return time.thread_time() - began


def wait_until(holds: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Poll another process until `holds()` is truthy; its value. For processes only, which have no event to wait on. `seconds` are those
    of an idle machine (`patience`)."""
    began = time.monotonic()
    while time.monotonic() < began + seconds * patience():
        value = holds()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"Not within {seconds} s (times {patience():.1f}): {what}")


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def start_platform(home: Path, *, runtimes: int = 1, environment: dict[str, str] | None = None) -> Platform:
    """Start `voisnap up` on a free port with its state in `home`, and wait for its `ready` line."""
    port = free_port()
    output = home.parent / f"{home.name}-up.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [str(VOISNAP), "up"],
            env=os.environ
            | {"PORT": str(port), "VOISNAP_HOME": str(home), "RUNTIMES": str(runtimes), "VOISNAP_FOLLOW_PARENT": "1"}
            | (environment or {}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def is_up() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"voisnap up ended with {process.returncode}:\n{output.read_text()[-4000:]}")
        return f"ready http://127.0.0.1:{port}" in output.read_text()

    try:
        wait_until(is_up, seconds=START_SECONDS, what="the ready line of voisnap up")
    except BaseException:
        process.kill()
        raise
    demo = json.loads((home / "demo.json").read_text())
    return Platform(base_url=f"http://127.0.0.1:{port}", home=home, demo=demo, process=process, output=output)


def stop_platform(platform: Platform) -> int:
    """Stop it as Ctrl-C does; its exit code."""
    if platform.process.poll() is None:
        platform.process.send_signal(signal.SIGINT)
    try:
        return platform.process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        platform.process.kill()
        raise
