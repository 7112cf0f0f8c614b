"""`voisnap doctor`: looks at everything an installation needs and says, for each thing that is not right, what to change.

It changes nothing, and works beside a running platform as well as without one.
"""

import argparse
import asyncio
import importlib.metadata
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from aioice import Candidate, Connection
from aioice.stun import TransactionError
from voisnap_providers.accounts import PROVIDERS, platform_accounts
from voisnap_providers.vendors.factories import VENDORS
from voisnap_simulator.accounts import launch

from . import models
from .control import ask
from .home import SPACE_NEEDED_FIRST, Home
from .http_probe import get
from .ports import LOOPBACK, is_free
from .servers import script
from .services import SERVICES, source_tree
from .supervise import StackError
from .turn import credentials
from .up import EXTERNAL, UpSettings, read_settings

PROBE_SECONDS = 3.0
CLOCK_TOLERANCE = 5.0
"""Seconds that two clocks may differ before fresh tokens are refused."""
MODELS_BYTES = 300_000_000
GIGABYTE = 1e9


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report; `change` says what to do unless all is well."""

    about: str
    verdict: Verdict
    found: str
    change: str = ""


def _ok(about: str, found: str) -> Finding:
    return Finding(about=about, verdict=Verdict.OK, found=found)


def _warn(about: str, found: str, change: str) -> Finding:
    return Finding(about=about, verdict=Verdict.WARN, found=found, change=change)


def _fail(about: str, found: str, change: str) -> Finding:
    return Finding(about=about, verdict=Verdict.FAIL, found=found, change=change)


def check_python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - the doctor may be run by hand with another Python
        return [_fail("python", version, "install Python 3.11 or newer and run `make up`")]
    return [_ok("python", f"{version} in {sys.prefix}")]


def check_packages() -> list[Finding]:
    """Installed versions against the lock, and the programs of the server wheels."""
    lock = (source_tree() / "requirements.lock").read_text()
    wrong = [
        f"{name} {found or 'missing'}, locked {wanted}"
        for name, wanted, marker in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)( ;)?", lock, re.MULTILINE)
        if not marker and (found := _installed(name)) != wanted
    ]
    findings = (
        [_fail("packages", "; ".join(wrong[:4]), "run `make up` or `make test`, which install requirements.lock")]
        if wrong
        else [_ok("packages", "as in requirements.lock")]
    )
    programs = {"nats-server": script("nats-server"), "caddy": script("caddy")}
    missing = [name for name, path in programs.items() if path is None or not os.access(path, os.X_OK)]
    if missing:
        change = (
            "these wheels have no program for this platform: set DATABASE_URL, REDIS_URL, NATS_URL to other servers"
        )
        findings.append(_fail("server programs", ", ".join(missing), change))
    return findings


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_models(settings: UpSettings) -> list[Finding]:
    broken = models.broken_files(settings.models)
    if not broken:
        return [_ok("models", f"all files right by sha256 in {settings.models}")]
    return [_fail("models", f"missing or damaged: {', '.join(broken)}", "run `.venv/bin/voisnap models fetch`")]


def check_disk(settings: UpSettings) -> list[Finding]:
    findings: list[Finding] = []
    needs = {"state": (settings.home.root, SPACE_NEEDED_FIRST), "models": (settings.models, MODELS_BYTES)}
    for what, (folder, needed) in needs.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        found = f"{free / GIGABYTE:.1f} GB free for {folder}"
        change = f"free some space, or set {'VOISNAP_HOME' if what == 'state' else 'MODELS_DIR'} to another disk"
        findings.append(_ok(f"disk ({what})", found) if free > needed else _fail(f"disk ({what})", found, change))
    return findings


def check_secrets(home: Home) -> list[Finding]:
    """Files with passwords must be readable by their owner alone."""
    files = (
        home.secrets_file,
        home.demo_file,
        home.root / "keys" / "jwt.pem",
        home.control_socket,
        home.simulator_file,
    )
    present = [path for path in files if path.exists()]
    open_to_others = [path for path in present if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        names = " ".join(str(path) for path in open_to_others)
        return [_fail("secrets", f"others can read {names}", f"run `chmod 600 {names}`")]
    return [_ok("secrets", f"{len(present)} files, readable by their owner only")]


def check_providers(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Which vendors the platform itself may call, by its environment; names of variables, never their values."""
    findings: list[Finding] = []
    ready = platform_accounts(environ)
    for provider, values in PROVIDERS.items():
        given = [value.variable for value in values if environ.get(value.variable, "").strip()]
        absent = [value.variable for value in values if value.required and value.variable not in given]
        if provider in ready:
            kinds = sorted(kind for kind, name in VENDORS if name == provider)
            findings.append(_ok(f"provider {provider}", f"{', '.join(kinds)} by {', '.join(given)}"))
        elif given:
            change = f"set {' and '.join(absent)}, or unset {' and '.join(given)}"
            findings.append(_warn(f"provider {provider}", f"{' and '.join(absent)} missing", change))
    if not ready:
        findings.append(_ok("providers", "local speech and language only: no vendor's key is set"))
    return findings


def check_sandbox(home: Home, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Whether calls and messages of the sandbox have carriers, which are simulated ones always."""
    if environ.get("SIMULATOR", "").lower() == "off":
        change = "unset SIMULATOR, and start again, for sandbox keys to call and write"
        return [_warn("sandbox carriers", "left out by SIMULATOR=off", change)]
    if not home.simulator_file.exists():
        return [_ok("sandbox carriers", "`make up` makes their accounts")]
    try:
        known = launch(home.simulator_file)
    except ValueError:
        change = f"remove {home.simulator_file} and start again: new ones are made"
        return [_fail("sandbox carriers", f"{home.simulator_file} can't be read", change)]
    return [_ok("sandbox carriers", f"{', '.join(sorted(known.accounts))}, simulated")]


async def check_platform(settings: UpSettings) -> list[Finding]:
    """The running platform's own report; without one, whether its port is free."""
    try:
        answer = await asyncio.to_thread(ask, settings.home.control_socket, "status")
    except StackError:
        return [_idle_port(settings)]
    findings = [
        _ok(f"part {name}", part.get("detail", "ready"))
        if part["status"] == "ready"
        else _fail(
            f"part {name}",
            f"{part['status']}: {part.get('detail', '')}".rstrip(": "),
            f"read `voisnap logs {name}`, then `voisnap restart {name}`",
        )
        for name, part in answer["health"]["parts"].items()
    ]
    port = urlsplit(answer["baseUrl"]).port or settings.port
    status, _ = await get(port, "/healthz", timeout=PROBE_SECONDS)
    if status == 0:
        findings.append(_fail("public port", f"{answer['baseUrl']} does not answer", "run `voisnap restart caddy`"))
    else:
        findings.append(_ok("public port", f"{answer['baseUrl']} answers {status}"))
    return findings


def _idle_port(settings: UpSettings) -> Finding:
    if is_free(settings.bind, settings.port):
        return _ok("public port", f"{settings.port} is free; no platform is running on {settings.home.root}")
    return _fail("public port", f"{settings.port} is taken by another program", "choose another: `PORT=9000 make up`")


async def check_servers() -> list[Finding]:
    """Servers of the user's own must take connections."""
    findings: list[Finding] = []
    for name, variable in EXTERNAL.items():
        if not (url := os.environ.get(variable)):
            continue
        where = urlsplit(url.split(",")[0])
        default = {"postgres": 5432, "valkey": 6379, "nats": 4222}[name]
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                _, writer = await asyncio.open_connection(where.hostname, where.port or default)
                writer.close()
            findings.append(_ok(f"server {name}", f"{where.hostname} takes connections"))
        except (OSError, TimeoutError) as error:
            reason = str(error) or "no answer"
            findings.append(_fail(f"server {name}", reason, f"start it or correct {variable}"))
    return findings or [_ok("servers", "embedded (DATABASE_URL, REDIS_URL and NATS_URL are not set)")]


async def check_clock(settings: UpSettings) -> list[Finding]:
    """Tokens are refused when clocks differ; jumps of the wall clock show against the monotonic one."""
    wall, steady = time.time(), time.monotonic()
    await asyncio.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    findings: list[Finding] = []
    if drift > 0.05:
        findings.append(_warn("clock", f"it jumped by {drift:.2f} s while looked at", "let one time service set it"))
    elif time.gmtime().tm_year < 2026:
        findings.append(_fail("clock", time.strftime("%Y-%m-%d"), "set the clock: tokens and TLS need the right time"))
    else:
        findings.append(_ok("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())))
    synchronised = await asyncio.to_thread(_is_synchronised)
    if synchronised is False:
        findings.append(_warn("time service", "the clock is not synchronised", "run `timedatectl set-ntp true`"))
    elif synchronised:
        findings.append(_ok("time service", "synchronised"))
    return findings


def _is_synchronised() -> bool | None:
    """Whether a time service sets the clock; None where that cannot be asked."""
    if shutil.which("timedatectl") is None:
        return None
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer.stdout.strip())


async def check_media(settings: UpSettings) -> list[Finding]:
    """The ICE candidates that a call's peer would get from here: host, then STUN's and TURN's."""
    findings: list[Finding] = []
    hosts = await _candidates(Connection(ice_controlling=True, components=1))
    found = ", ".join(sorted({candidate.host for candidate in hosts if candidate.type == "host"}))
    if found:
        findings.append(_ok("media host candidates", found))
    else:
        change = "no network address is up; calls from this machine still work over loopback"
        findings.append(_warn("media host candidates", "none", change))
    findings += await _check_stun()
    findings += await _check_turn(settings)
    return findings


async def _check_stun() -> list[Finding]:
    urls = [url for url in os.environ.get("STUN_URLS", "").split(",") if url]
    if not urls:
        change = "fine on one machine; callers elsewhere need STUN_URLS=stun:host:3478, or a public address"
        return [_warn("STUN", "STUN_URLS is not set", change)]
    findings: list[Finding] = []
    for url in urls:
        server = _server_of(url)
        found = [
            candidate.host
            for candidate in await _candidates(Connection(ice_controlling=True, components=1, stun_server=server))
            if candidate.type == "srflx"
        ]
        change = "check that UDP to it is open in the firewall, or name another in STUN_URLS"
        findings.append(_ok("STUN", f"{url} sees us as {found[0]}") if found else _fail("STUN", f"{url}: none", change))
    return findings


async def _check_turn(settings: UpSettings) -> list[Finding]:
    urls = [url for url in os.environ.get("TURN_URLS", "").split(",") if url]
    secret = os.environ.get("TURN_SECRET", "")
    if not urls:
        if not await asyncio.to_thread(_is_running, settings):
            return [_ok("TURN", "`voisnap up` starts a relay on loopback")]
        ports = json.loads(settings.home.ports_file.read_text())
        urls, secret = [f"turn:{LOOPBACK}:{ports['turn']}?transport=udp"], settings.home.secrets()["turn_secret"]
    if not secret:
        return [_fail("TURN", "TURN_URLS is set without TURN_SECRET", "set TURN_SECRET to the server's shared secret")]
    findings: list[Finding] = []
    for url in urls:
        user, password = credentials(secret, "doctor", expires_at=time.time() + 60)
        made = Connection(
            ice_controlling=True,
            components=1,
            turn_server=_server_of(url),
            turn_username=user,
            turn_password=password,
            turn_transport="tcp" if "transport=tcp" in url else "udp",
        )
        found = [candidate.host for candidate in await _candidates(made) if candidate.type == "relay"]
        change = "check that the server runs, that UDP to it is open, and that TURN_SECRET is the one it was given"
        findings.append(_ok("TURN", f"{url} relays") if found else _fail("TURN", f"{url}: no relay candidate", change))
    return findings


def _is_running(settings: UpSettings) -> bool:
    try:
        ask(settings.home.control_socket, "status")
    except StackError:
        return False
    return True


def _server_of(url: str) -> tuple[str, int]:
    """Host and port of a `stun:` or `turn:` URL (RFC 7064, RFC 7065)."""
    host, _, port = url.partition(":")[2].partition("?")[0].rpartition(":")
    return (host, int(port)) if host and port.isdecimal() else (url.partition(":")[2].partition("?")[0], 3478)


async def _candidates(connection: Connection) -> list[Candidate]:
    try:
        async with asyncio.timeout(PROBE_SECONDS * 2):
            await connection.gather_candidates()
        return list(connection.local_candidates)
    except (OSError, TimeoutError, TransactionError, ValueError):
        return []
    finally:
        await connection.close()


async def examine(settings: UpSettings) -> list[Finding]:
    """All findings, in the order in which to read them."""
    findings = [*check_python(), *await asyncio.to_thread(check_packages)]
    findings += await asyncio.to_thread(check_models, settings)
    findings += check_disk(settings)
    findings += check_secrets(settings.home)
    findings += check_providers()
    findings += check_sandbox(settings.home)
    for more in (check_servers(), check_platform(settings), check_clock(settings), check_media(settings)):
        findings += await more
    return findings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation and say what to change",
        description=f"Looks at Python, packages, models, disk, secrets, providers, servers, {', '.join(SERVICES)}, clock, STUN and TURN. "
        "Exit status 1 if anything fails; warnings do not count.",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        findings = asyncio.run(examine(read_settings()))
    except StackError as error:
        print(f"voisnap: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.verdict:4}  {finding.about:22} {finding.found}")
            if finding.change:
                print(f"{'':28} → {finding.change}")
    return 1 if any(finding.verdict is Verdict.FAIL for finding in findings) else 0
