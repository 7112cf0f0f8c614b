"""The state folder (`VOISNAP_HOME`): its locks, its secrets, its layout.

Two locks: `supervisor.lock` belongs to the one running `voisnap up`; `lock` is inherited by every server, so it stays held until
the last server of an earlier run has really let go of its data.
"""

import base64
import fcntl
import json
import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .supervise import StackError

LEFTOVER_SECONDS = 6.0
"""How long servers of an ended run may take to close their data before they are ended by force."""
SPACE_NEEDED_FIRST, SPACE_NEEDED = 300_000_000, 50_000_000

_GENERATED = (
    "postgres_password",
    "api_password",
    "admin_password",
    "valkey_password",
    "nats_token",
    "blobs_signing_key",
    "turn_secret",
    "demo_password",
)


@dataclass(frozen=True, kw_only=True)
class Home:
    """Paths below the state folder."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets_file(self) -> Path:
        return self.root / "secrets.json"

    @property
    def ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def state_file(self) -> Path:
        return self.root / "state.json"

    @property
    def demo_file(self) -> Path:
        return self.root / "demo.json"

    @property
    def simulator_file(self) -> Path:
        """The accounts of the simulated carriers."""
        return self.root / "simulator.json"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    def prepare(self) -> None:
        """Create the folder. Raises StackError when the disk has no room or the folder cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # As root the database runs as another user, who has to pass through; every secret has its own mode.
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            space = os.statvfs(self.root)
            needed = SPACE_NEEDED if self.state_file.exists() else SPACE_NEEDED_FIRST
            if space.f_bavail * space.f_frsize < needed:
                raise StackError(
                    f"the disk of {self.root} is full: {needed // 1_000_000} MB are needed; "
                    "free some space or set VOISNAP_HOME to a folder on another disk"
                )
        except OSError as error:
            raise StackError(
                f"cannot use the state folder {self.root}: {error.strerror or error}; set VOISNAP_HOME to another folder"
            ) from error

    def read_state(self) -> dict[str, Any]:
        """What earlier runs noted, empty if nothing."""
        return _read_json(self.state_file)

    def note_state(self, **values: object) -> None:
        write_private(self.state_file, json.dumps({**self.read_state(), **values}, indent=1))

    def secrets(self) -> dict[str, str]:
        """Random passwords and keys, made once. The file is readable by its owner only."""
        known: dict[str, str] = _read_json(self.secrets_file)
        # Hexadecimal, since a password that begins with "-" is taken for an option on a command line.
        made = {name: secrets.token_hex(20) for name in _GENERATED if name not in known}
        if "secrets_key" not in known:
            made["secrets_key"] = base64.b64encode(secrets.token_bytes(32)).decode()
        if "sealing_keys" not in known:
            made["sealing_keys"] = f"home:{base64.b64encode(secrets.token_bytes(32)).decode()}"
        if made:
            known |= made
            write_private(self.secrets_file, json.dumps(known, indent=1))
        self.secrets_file.chmod(0o600)
        return known


def home_folder() -> Home:
    """`VOISNAP_HOME`, else `.voisnap` in the current folder."""
    return Home(root=Path(os.environ.get("VOISNAP_HOME") or ".voisnap").absolute())


def write_private(path: Path, text: str) -> None:
    """Replace a file at once; mode 0600 from its first byte."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


class Locks:
    """The two locks of a state folder, held by this process until `release`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.supervisor = -1
        self.servers = -1

    def acquire(self) -> None:
        """Raises StackError at once if another run uses the folder; waits for servers that an ended run left behind."""
        try:
            self.supervisor = _open_lock(self._home.root / "supervisor.lock")
            if not _try_lock(self.supervisor):
                raise StackError(
                    f"another `voisnap up` is using {self._home.root}: stop it, or set VOISNAP_HOME (and PORT) to run a second one"
                )
            self.servers = _open_lock(self._home.root / "lock")
            self._wait_for_leftovers()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        for descriptor in (self.supervisor, self.servers):
            if descriptor >= 0:
                os.close(descriptor)
        self.supervisor = self.servers = -1

    def _wait_for_leftovers(self) -> None:
        started = time.monotonic()
        forced = False
        while not _try_lock(self.servers):
            waited = time.monotonic() - started
            if waited > LEFTOVER_SECONDS and not forced:
                forced = True
                end_leftovers(self._home)
            if waited > LEFTOVER_SECONDS + 4:
                raise StackError(
                    f"servers of an earlier run still use {self._home.root} and do not end: see `ps`, end them and start again"
                )
            time.sleep(0.02)


def note_processes(home: Home, pids: dict[str, int]) -> None:
    """Remember this run's children, for the next run to end what a lost parent left."""
    noted = {name: {"pid": pid, "started": started_at(pid)} for name, pid in pids.items()}
    write_private(home.root / "processes.json", json.dumps(noted))


def end_leftovers(home: Home) -> None:
    """Kill the process groups noted by an earlier run; a process id that was given to somebody else meanwhile is left alone."""
    for noted in _read_json(home.root / "processes.json").values():
        if started_at(noted["pid"]) == noted["started"] is not None:
            try:
                os.killpg(noted["pid"], signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def started_at(pid: int) -> str | None:
    """When a process started, in the kernel's ticks since boot (proc(5), field 22); None where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StackError(f"cannot open {path}: {error.strerror}; set VOISNAP_HOME to another folder") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
