"""`python -m voisnap_admin`: serve · `migrate` · `seed --json -` · `openapi`."""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from voisnap_kit.memory import loading

with loading():
    import msgspec
    from voisnap_kit import log, trace
    from voisnap_kit.bus import Bus
    from voisnap_kit.health import DrainGate
    from voisnap_kit.migrate import migrate
    from voisnap_kit.postgres import Database
    from voisnap_kit.serve import run, serve
    from voisnap_kit.settings import SettingsError, load
    from voisnap_kit.tokens import JwksClient

    from .seed import SeedRequest, seed_tenant
    from .settings import MigrationSettings, SeedSettings, Settings

SCHEMA = "admin"
MIGRATIONS = Path(__file__).with_name("migrations")
_JWKS_PATIENCE = 1.0
"""Seconds to wait for the key set at start; while it is missing the service is not ready and asks again."""


async def serve_admin() -> None:
    """Serve until SIGTERM."""
    with loading():
        from .app import build  # noqa: PLC0415 - 0.2 s that the other commands do without

    settings = load(Settings, os.environ)
    log.configure("admin", settings.log_level, settings.log_format)
    trace.configure("admin", settings.otel_exporter_otlp_endpoint)
    gate = DrainGate()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.database_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, "admin"))
        tokens = await JwksClient.open(settings.jwks_url, patience=_JWKS_PATIENCE)
        stack.push_async_callback(tokens.close)
        app = build(settings, database=database, bus=bus, tokens=tokens, gate=gate)
        await serve(app, settings.http_host, settings.http_port, on_drain=gate.close)


async def migrate_admin() -> None:
    """Bring the schema up to date."""
    settings = load(MigrationSettings, os.environ)
    log.configure("admin-migrate", settings.log_level, settings.log_format)
    await migrate(settings.migrate_database_url, SCHEMA, MIGRATIONS)


async def seed() -> None:
    """Read a tenant on stdin, make it unless it is there, print it as one line of JSON."""
    settings = load(SeedSettings, os.environ)
    log.configure("admin-seed", settings.log_level, settings.log_format)
    try:
        request = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.read), type=SeedRequest)
    except msgspec.DecodeError as error:
        raise SettingsError((f"stdin: {error}",)) from None
    async with await Database.open(settings.database_url) as database:
        tenant = await seed_tenant(database, request)
    sys.stdout.write(msgspec.json.encode(tenant).decode() + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m voisnap_admin", description="The Admin service.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="bring the database schema up to date (MIGRATE_DATABASE_URL)")
    seeding = commands.add_parser("seed", help="make a tenant unless it is there")
    seeding.add_argument("--json", choices=["-"], required=True, help="read {tenantId, name, slug, owner} from stdin")
    contract = commands.add_parser("openapi", help="print the OpenAPI document, or write it to a file")
    contract.add_argument("path", nargs="?", type=Path)
    contract.add_argument("--check", action="store_true", help="fail if the file differs")
    arguments = parser.parse_args()
    if arguments.command == "openapi":
        _write_document(arguments.path, check=arguments.check)
        return
    run({None: serve_admin, "migrate": migrate_admin, "seed": seed}[arguments.command])


def _write_document(path: Path | None, *, check: bool) -> None:
    from .openapi import document  # noqa: PLC0415 - see serve_admin

    text = document()
    if path is None:
        sys.stdout.write(text)
    elif not check:
        path.write_text(text, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path} is out of date: run `make proto`")


if __name__ == "__main__":
    main()
