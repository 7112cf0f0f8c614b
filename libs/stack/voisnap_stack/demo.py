"""The demo tenant that a new installation starts with: database, seed and `demo.json`."""

import asyncio
import hashlib
import json
import secrets as randomness
import signal
import sys
from collections.abc import Mapping
from typing import Any

from .home import Home, write_private
from .services import Addresses, bare_environment, package_folder
from .supervise import StackError, ends_with_parent

EMAIL = "demo@voisnap.local"
DEADLINE = 90.0
_ID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def migrations_digest() -> str:
    """Changes with any SQL file of the kit, the API or Admin."""
    digest = hashlib.sha256()
    for package in ("voisnap_kit", "voisnap_api", "voisnap_admin"):
        for path in sorted(package_folder(package).rglob("*.sql")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


async def migrate(url: str, passwords: Mapping[str, str], create: tuple[str, str] | None) -> None:
    """Database, roles, migrations and grants. Raises StackError with the first fault."""
    request = {"url": url, "passwords": dict(passwords), "create": create}
    await _run("the database cannot be prepared", ("-m", "voisnap_stack.database"), request, {})


async def seed(home: Home, addresses: Addresses, password: str) -> dict[str, str]:
    """Make the demo tenant where it is missing; the contents of `demo.json` but for the base URL."""
    tenant_id = home.read_state().get("demo_tenant") or _new_tenant_id()
    home.note_state(demo_tenant=tenant_id)
    request = {"tenantId": tenant_id, "email": EMAIL, "password": password}
    seeded = await _run(
        "the demo tenant cannot be seeded",
        ("-m", "voisnap_api", "seed-demo", "--json", "-"),
        request,
        {"DATABASE_URL": addresses.api_database_url},
    )
    owner = {"id": seeded["userId"], "email": EMAIL, "name": "Demo Owner"}
    await _run(
        "the demo tenant cannot be seeded",
        ("-m", "voisnap_admin", "seed", "--json", "-"),
        {"tenantId": tenant_id, "name": "Demo", "slug": "demo", "owner": owner},
        {"DATABASE_URL": addresses.admin_database_url},
    )
    keys = ("apiKeyLive", "apiKeySandbox", "agentId")
    return {"email": EMAIL, "password": password, **{key: seeded[key] for key in keys}}


def read_demo(home: Home) -> dict[str, str] | None:
    """What `demo.json` holds, None unless it is whole."""
    try:
        demo = json.loads(home.demo_file.read_text())
    except (OSError, ValueError):
        return None
    wanted = {"email", "password", "apiKeyLive", "apiKeySandbox", "agentId"}
    return demo if isinstance(demo, dict) and wanted <= demo.keys() else None


def write_demo(home: Home, demo: Mapping[str, str], base_url: str) -> None:
    write_private(home.demo_file, json.dumps({**demo, "baseUrl": base_url}, indent=2) + "\n")


async def _run(what: str, arguments: tuple[str, ...], request: object, extra: dict[str, str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=bare_environment() | extra,
        preexec_fn=ends_with_parent(signal.SIGKILL),
    )
    try:
        async with asyncio.timeout(DEADLINE):
            output, errors = await process.communicate(json.dumps(request).encode())
    except TimeoutError:
        raise StackError(f"{what}: no answer within {DEADLINE:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
    if any("No space left" in line for line in said):
        raise StackError(f"{what}: the disk is full; free some space and start again")
    if process.returncode != 0:
        raise StackError(f"{what}: {said[-1] if said else f'status {process.returncode}'}")
    lines = output.decode().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def _new_tenant_id() -> str:
    return "ten_0" + "".join(randomness.choice(_ID_ALPHABET) for _ in range(25))
