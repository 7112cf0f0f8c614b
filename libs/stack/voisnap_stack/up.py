"""`voisnap up`: the whole platform on one machine, from locks to the line `ready …`, and its ordered end."""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import os
import secrets as randomness
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voisnap_simulator.accounts import make_accounts_file

from . import demo, models
from .control import serve_control
from .home import Home, Locks, home_folder, note_processes, write_private
from .http_probe import serve_health
from .ports import LOOPBACK, is_free, keep_ports
from .servers import SERVERS, STOP_SECONDS, EmbeddedServers
from .services import (
    MOST_RUNTIMES,
    Addresses,
    as_role,
    caddy_spec,
    runtime_names,
    service_names,
    service_specs,
    simulator_spec,
    turn_spec,
)
from .supervise import Part, PartSpec, PartState, StackError, follow_parent

DEFAULT_PORT = 8080
HIGHEST_PORT = 65_535
DATABASE = "voisnap"
ROLES = {"voisnap_api": "api_password", "voisnap_admin": "admin_password"}
EXTERNAL = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "nats": "NATS_URL"}
HEALTH_AGE = 0.3
"""Seconds for which an aggregated health report is answered again."""

# The stop has five seconds in all (issue: "Ctrl-C or SIGTERM stops everything in order within 5 s").
CADDY_STOP, RUNTIME_HEAD_START, SERVICES_STOP, SERVERS_STOP = 0.7, 1.5, 3.8, 4.7
RESTART_SECONDS = 4.5
HAND_OVER_SECONDS = 30.0
"""What one of several runtimes may take to hand its calls over to the others before it is restarted."""

_ED25519_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What precedes the 32 bytes of an Ed25519 private key in PKCS#8 (RFC 8410 §7)."""

Specs = Callable[[Home, Mapping[str, str], Addresses, Path], dict[str, PartSpec]]


@dataclass(frozen=True, kw_only=True)
class UpSettings:
    """What the user chose."""

    home: Home
    port: int
    bind: str
    models: Path
    runtimes: int = 1
    """Runtime processes: one a core, at most."""

    @property
    def base_url(self) -> str:
        host = LOOPBACK if self.bind in (LOOPBACK, "0.0.0.0", "::") else self.bind  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"


def read_settings(environ: Mapping[str, str] = os.environ) -> UpSettings:
    """`PORT`, `BIND`, `VOISNAP_HOME`, `MODELS_DIR`, `RUNTIMES`. Raises StackError that names the variable."""
    text = environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        raise StackError(f"PORT is '{text}': give a number from 1 to {HIGHEST_PORT}")
    runtimes = environ.get("RUNTIMES") or "1"
    if not runtimes.isdecimal() or not 0 < int(runtimes) <= MOST_RUNTIMES:
        raise StackError(f"RUNTIMES is '{runtimes}': give a number from 1 to {MOST_RUNTIMES}")
    return UpSettings(
        home=home_folder(),
        port=int(text),
        bind=environ.get("BIND") or LOOPBACK,
        models=models.models_folder(environ),
        runtimes=int(runtimes),
    )


@dataclass(kw_only=True)
class Platform:
    """Everything that `voisnap up` runs. `specs` and `seeds` are replaced in tests of the launcher alone."""

    settings: UpSettings
    specs: Specs = service_specs
    seeds: bool = True
    fsync: bool = True
    say: Callable[[str], None] = field(default=lambda text: print(text, flush=True))
    parts: dict[str, Part] = field(default_factory=dict)
    demo: dict[str, str] | None = None
    is_ready: bool = False
    _servers: EmbeddedServers | None = None
    _listeners: list[asyncio.Server] = field(default_factory=list)
    _health: tuple[float, dict[str, Any]] = (0.0, {})

    @property
    def services(self) -> tuple[str, ...]:
        """The names of our own processes."""
        return service_names(self.settings.runtimes)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The names of the runtime processes."""
        return runtime_names(self.settings.runtimes)

    async def start(self, locks: Locks) -> None:
        """Start all in order and wait until every part is ready. Raises StackError with one line."""
        settings, home = self.settings, self.settings.home
        if not is_free(settings.bind, settings.port):
            raise StackError(
                f"port {settings.port} on {settings.bind} is taken or not allowed: choose another, for example "
                f"`PORT={settings.port + 1 if settings.port < HIGHEST_PORT else DEFAULT_PORT} make up`"
            )
        secrets = home.secrets()
        ports = await asyncio.to_thread(keep_ports, home.ports_file, (*self.services, "health", "turn", "simulator"))
        weights = asyncio.create_task(asyncio.to_thread(self._fetch_models))
        accounts = asyncio.create_task(asyncio.to_thread(self._simulator_accounts, ports["simulator"]))
        try:
            self._listeners.append(await serve_health(self.health, ports["health"]))
            self._listeners.append(await serve_control(home.control_socket, self.control))
            await self._launch_gateway(ports)
            self._servers = EmbeddedServers(home, locks, secrets, fsync=self.fsync)
            names = tuple(name for name in SERVERS if not os.environ.get(EXTERNAL[name]))
            await self._servers.launch(names)
            self.parts |= self._servers.parts
            addresses = self._addresses(ports, secrets, await accounts)
            await self._migrate(secrets)
            await weights
        except BaseException:
            weights.cancel()
            accounts.cancel()
            with contextlib.suppress(BaseException):
                await weights
            raise
        specs = self.specs(home, secrets, addresses, settings.models)
        if addresses.turn_urls and self.seeds:
            specs["turn"] = turn_spec(home, secrets, addresses)
        if addresses.simulator_file is not None:
            specs["simulator"] = simulator_spec(home, addresses, settings.models)
        self.demo = demo.read_demo(home) if home.read_state().get("seeded") else None
        try:
            async with asyncio.TaskGroup() as group:
                for spec in specs.values():
                    group.create_task(self._start_part(spec))
                if self.seeds and self.demo is None:
                    group.create_task(self._seed(addresses, secrets))
        except BaseExceptionGroup as faults:
            # Raised in an `except*` clause, an exception comes out bare or wrapped, as the patch release of Python 3.11 has it.
            raise _first_fault(faults) from None
        if self.demo is not None:
            demo.write_demo(home, self.demo, settings.base_url)
        self.is_ready = True
        self._health = (0.0, {})
        self._note()

    async def stop(self) -> None:
        """End everything in order within five seconds: runtime's drain, so that callers hear of it, gateway, services, servers."""
        self.is_ready = False
        began = time.monotonic()

        def left(limit: float) -> float:
            return max(0.1, limit - (time.monotonic() - began))

        for listener in self._listeners:
            listener.close()
        servers = self._servers.parts if self._servers else {}
        services = {name: part for name, part in self.parts.items() if name not in servers}
        # All at once, so that none of them hands its calls over to another that is about to go.
        running = [part for name in self.runtimes if (part := services.get(name)) and part.pid]
        for runtime in running:
            runtime.ask_to_end()
        if reaper := services.get("reaper"):
            reaper.ask_to_end()  # nothing is left for it to do, and it takes its time
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RUNTIME_HEAD_START):
                await asyncio.gather(*(runtime.process.wait() for runtime in running if runtime.process))
        if caddy := services.pop("caddy", None):
            await caddy.stop(CADDY_STOP)
        await asyncio.gather(*(part.stop(left(SERVICES_STOP)) for part in services.values()))
        await asyncio.gather(*(part.stop(left(SERVERS_STOP)) for part in servers.values()))
        for name in ("control.sock", "processes.json"):
            (self.settings.home.root / name).unlink(missing_ok=True)

    async def health(self) -> dict[str, Any]:
        """The state of every part, asked now."""
        asked_at, report = self._health
        if time.monotonic() - asked_at < HEALTH_AGE and report:
            return report
        has_started = self.is_ready  # parts that were asked before the start was over say nothing of a fault after it
        names = tuple(dict.fromkeys((*SERVERS, "caddy", *self.services, *self.parts)))
        states = await asyncio.gather(*(self._state_of(name) for name in names))
        parts = dict(zip(names, states, strict=True))
        ready = has_started and all(state["status"] == "ready" for state in states)
        report = {"status": "ready" if ready else "degraded" if has_started else "starting", "parts": parts}
        if has_started is self.is_ready:
            self._health = (time.monotonic(), report)
        return report

    async def control(self, verb: str, name: str | None) -> dict[str, Any]:
        """What `voisnap status` and `voisnap restart` ask for."""
        if verb == "status":
            pids = {name: part.pid for name, part in self.parts.items()}
            return {"health": await self.health(), "pids": pids, "baseUrl": self.settings.base_url}
        if verb != "restart":
            raise StackError(f"unknown request {verb}")
        part = self.parts.get(name or "")
        if part is None:
            raise StackError(f"there is no part {name} here; there are {', '.join(sorted(self.parts))}")
        began = time.monotonic()
        if name in self.runtimes:
            seconds = HAND_OVER_SECONDS if len(self.runtimes) > 1 else RESTART_SECONDS
        else:
            seconds = RESTART_SECONDS if name in self.services else STOP_SECONDS
        await part.restart(seconds)
        self._note()
        return {"seconds": round(time.monotonic() - began, 2)}

    async def _state_of(self, name: str) -> dict[str, str]:
        part = self.parts.get(name)
        if part is None:
            variable = EXTERNAL.get(name)
            if variable and os.environ.get(variable):
                return {"status": "ready", "detail": f"external: {variable}"}
            return {"status": "starting"}
        if part.state is not PartState.RUNNING:
            return {"status": part.state.value, **({"detail": part.detail} if part.detail else {})}
        missing = await part.spec.probe()
        return {"status": "ready"} if missing is None else {"status": "failed", "detail": missing}

    def _fetch_models(self) -> None:
        models.fetch(self.settings.models, show=models.ProgressBar("speech models"))

    async def _launch_gateway(self, ports: Mapping[str, int]) -> None:
        """Caddy comes first, so that `/healthz` answers 503 while the rest starts."""
        settings = self.settings
        addresses = Addresses(
            api_database_url="",
            admin_database_url="",
            redis_url="",
            nats_url="",
            public_url=settings.base_url,
            bind=settings.bind,
            public_port=settings.port,
            ports=ports,
            runtimes=self.runtimes,
        )
        await self._start_part(caddy_spec(settings.home, addresses))

    def _simulator_accounts(self, port: int) -> Path | None:
        """The file of the simulated carriers' accounts, made once; None where they are not wanted (`SIMULATOR=off`)."""
        if not self.seeds or os.environ.get("SIMULATOR", "").lower() == "off":
            return None
        path = self.settings.home.simulator_file
        make_accounts_file(path, f"http://{LOOPBACK}:{port}")
        return path

    def _addresses(
        self, ports: Mapping[str, int], secrets: Mapping[str, str], simulator_file: Path | None
    ) -> Addresses:
        servers = self._servers
        assert servers is not None
        owner = self._owner_url(secrets)
        return Addresses(
            api_database_url=as_role(owner, "voisnap_api", secrets["api_password"]),
            admin_database_url=as_role(owner, "voisnap_admin", secrets["admin_password"]),
            redis_url=os.environ.get("REDIS_URL") or servers.redis_url,
            nats_url=os.environ.get("NATS_URL") or servers.nats_url,
            public_url=os.environ.get("PUBLIC_URL") or self.settings.base_url,
            bind=self.settings.bind,
            public_port=self.settings.port,
            ports=ports,
            runtimes=self.runtimes,
            simulator_file=simulator_file,
            turn_urls="" if os.environ.get("TURN_URLS") else f"turn:{LOOPBACK}:{ports['turn']}?transport=udp",
        )

    def _owner_url(self, secrets: Mapping[str, str]) -> str:
        assert self._servers is not None
        given = os.environ.get("DATABASE_URL")
        return given or self._servers.database_url_for("postgres", secrets["postgres_password"], DATABASE)

    async def _migrate(self, secrets: Mapping[str, str]) -> None:
        """Skipped when neither the SQL files nor the database changed since the last time."""
        assert self._servers is not None
        if not self.seeds:
            return
        home, owner = self.settings.home, self._owner_url(secrets)
        external = os.environ.get("DATABASE_URL", "")
        stamp = f"{demo.migrations_digest()} {hashlib.sha256(external.encode()).hexdigest()[:12]}"
        state = home.read_state()
        if state.get("migrated") == stamp and not self._servers.is_new:
            return
        if self._servers.is_new or not state.get("migrated", "").endswith(stamp[-12:]):
            home.note_state(seeded=False)
        self.say("preparing the database …")
        create = None if external else (self._servers.database_url, DATABASE)
        await demo.migrate(owner, {role: secrets[key] for role, key in ROLES.items()}, create)
        home.note_state(migrated=stamp)

    async def _seed(self, addresses: Addresses, secrets: Mapping[str, str]) -> None:
        self.demo = await demo.seed(self.settings.home, addresses, secrets["demo_password"])
        self.settings.home.note_state(seeded=True)
        demo.write_demo(self.settings.home, self.demo, self.settings.base_url)

    async def _start_part(self, spec: PartSpec) -> None:
        part = Part(spec=spec, on_change=self._changed)
        self.parts[spec.name] = part
        try:
            await part.start()
        except StackError:
            if spec.name in self.runtimes:
                await self._blame_models()
            raise

    async def _blame_models(self) -> None:
        broken = await asyncio.to_thread(models.broken_files, self.settings.models)
        if broken and self.seeds:
            raise StackError(
                f"the speech model {self.settings.models / broken[0]} is damaged: "
                "run `.venv/bin/voisnap models fetch` and start again"
            )

    def _changed(self, part: Part) -> None:
        if not self.is_ready:
            return
        if part.state is PartState.WAITING:
            self.say(f"{part.spec.name}: {part.detail}; starting it again")
        elif part.state is PartState.FAILED:
            self.say(f"{part.spec.name}: {part.detail}. `voisnap restart {part.spec.name}` tries once more")
        elif part.state is PartState.RUNNING:
            self._note()

    def _note(self) -> None:
        note_processes(self.settings.home, {name: part.pid for name, part in self.parts.items() if part.pid})


def _first_fault(faults: BaseExceptionGroup) -> BaseException:
    """The part's own fault, if one is among what went wrong."""
    known = faults.subgroup(StackError) or faults
    first: BaseException = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def write_signing_key(home: Home) -> None:
    """The Ed25519 key that signs tokens, made once."""
    path = home.root / "keys" / "jwt.pem"
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    body = base64.b64encode(_ED25519_PKCS8 + randomness.token_bytes(32)).decode()
    write_private(path, f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")


async def run_platform(platform: Platform) -> int:
    """Run until a signal; 0 after an asked-for end, 1 with one clear line when it cannot start."""
    settings = platform.settings
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    locks = Locks(settings.home)
    try:
        settings.home.prepare()
        locks.acquire()
    except StackError as error:
        return _complain(error)
    try:
        write_signing_key(settings.home)
        starting = asyncio.create_task(platform.start(locks))
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, StackError):
                await starting
            return 0
        starting.result()
        _announce(platform)
        await waiting
        return 0
    except StackError as error:
        return _complain(error)
    except OSError as error:
        return _complain(StackError(_explain(error, settings.home)))
    finally:
        await platform.stop()
        locks.release()


def _explain(error: OSError, home: Home) -> str:
    what = error.strerror or str(error)
    if "space" in what:
        return f"the disk of {home.root} is full: free some space or set VOISNAP_HOME to a folder on another disk"
    return f"{what}: {error.filename or home.root}"


def _announce(platform: Platform) -> None:
    settings, found = platform.settings, platform.demo
    platform.say(f"console        {settings.base_url}/")
    if found is not None:
        platform.say(f"demo login     {found['email']}  {found['password']}")
        platform.say(f"demo live key  {found['apiKeyLive']}")
        platform.say(f"demo sandbox   {found['apiKeySandbox']}")
        platform.say(f"demo agent     {found['agentId']}")
    platform.say(f"state, logs    {settings.home.root}")
    platform.say(f"ready {settings.base_url}")


def _complain(error: StackError) -> int:
    print(f"voisnap: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return 1


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "up",
        help="run the whole platform on this machine",
        description=(
            "Starts servers and services, and stops them on Ctrl-C. PORT (8080), BIND (127.0.0.1), VOISNAP_HOME (.voisnap), MODELS_DIR; "
            "DATABASE_URL, REDIS_URL and NATS_URL name servers of your own, which are then not started; SIMULATOR=off leaves out the "
            "simulated carriers of the sandbox. With several runtimes (--runtimes "
            "or RUNTIMES) the calls are spread over them, and a call goes on in another one when its own ends or is killed."
        ),
    )
    parser.add_argument(
        "--runtimes",
        metavar="N",
        help=f"how many runtime processes take the calls, 1 to {MOST_RUNTIMES} (RUNTIMES, else 1): one a core",
    )


def run(args: argparse.Namespace) -> int:
    if os.environ.pop("VOISNAP_FOLLOW_PARENT", ""):
        follow_parent()
    try:
        chosen = {} if args.runtimes is None else {"RUNTIMES": args.runtimes or "''"}
        settings = read_settings({**os.environ, **chosen})
    except StackError as error:
        return _complain(error)
    return asyncio.run(run_platform(Platform(settings=settings)))
