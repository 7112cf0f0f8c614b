"""`python -m voisnap_api`: serve · `migrate` · `seed-demo --json -` · `openapi [--check] FILE`."""

import argparse
import asyncio
import gc
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
    from voisnap_kit.redis import Redis
    from voisnap_kit.serve import run, serve
    from voisnap_kit.settings import SettingsError, load
    from voisnap_kit.tokens import TokenSigner
    from voisnap_providers.vendors.blobs import blobs_from_url

    from .demo import DemoRequest, seed_demo
    from .settings import MigrationSettings, SeedSettings, Settings

SCHEMA = "api"
MIGRATIONS = Path(__file__).with_name("migrations")


async def serve_api() -> None:
    """Serve until SIGTERM."""
    with loading():
        from .app import build  # noqa: PLC0415 - 0.4 s that the other commands do without

    settings = load(Settings, os.environ)
    log.configure("api", level=settings.log_level, fmt=settings.log_format)
    trace.configure("api", settings.otel_exporter_otlp_endpoint)
    signer = await asyncio.to_thread(_signer, settings)
    gate = DrainGate()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.database_url, max_size=20))
        redis = await stack.enter_async_context(await Redis.open(settings.redis_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, "api"))
        blobs = blobs_from_url(settings.blobs_url)
        app = build(settings, database=database, redis=redis, bus=bus, blobs=blobs, signer=signer, gate=gate)
        gc.freeze()  # what is there now stays: no collection has to walk it between requests
        await serve(app, settings.http_host, settings.http_port, on_drain=gate.close)


async def migrate_api() -> None:
    """Bring the schema up to date."""
    settings = load(MigrationSettings, os.environ)
    log.configure("api-migrate", level=settings.log_level, fmt=settings.log_format)
    await migrate(settings.migrate_database_url, SCHEMA, MIGRATIONS)


async def seed() -> None:
    """Read a request on stdin, make what is missing, print the result as one line of JSON."""
    settings = load(SeedSettings, os.environ)
    log.configure("api-seed", level=settings.log_level, fmt=settings.log_format)
    request = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.read), type=DemoRequest)
    async with await Database.open(settings.database_url) as database:
        seeded = await seed_demo(database, request)
    sys.stdout.write(msgspec.json.encode(seeded).decode() + "\n")


def write_openapi(path: Path, *, check: bool) -> int:
    """Write the OpenAPI document, or only compare it; the exit status."""
    from .app import openapi_document  # noqa: PLC0415 - see serve_api

    document = openapi_document()
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == document:
        return 0
    sys.stderr.write(f"{path} differs from the code; run `make proto` and commit it\n")
    return 1


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m voisnap_api", description="The Main API.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="bring the database schema up to date (MIGRATE_DATABASE_URL)")
    seeding = commands.add_parser("seed-demo", help="make the demo tenant's owner, keys and agent")
    seeding.add_argument("--json", choices=["-"], required=True, help="read {tenantId, email, password} from stdin")
    documenting = commands.add_parser("openapi", help="write the OpenAPI document")
    documenting.add_argument("path", type=Path, help="the file, such as proto/openapi/api.json")
    documenting.add_argument("--check", action="store_true", help="write nothing; fail when the file differs")
    arguments = parser.parse_args()
    if arguments.command == "openapi":
        sys.exit(write_openapi(arguments.path, check=arguments.check))
    run({None: serve_api, "migrate": migrate_api, "seed-demo": seed}[arguments.command])


def _signer(settings: Settings) -> TokenSigner:
    others = tuple(_key("JWT_OTHER_KEY_FILES", Path(name)) for name in settings.jwt_other_key_files)
    path = settings.jwt_private_key_file
    try:
        return TokenSigner(_key("JWT_PRIVATE_KEY_FILE", path), others)
    except ValueError as error:
        raise SettingsError((f"JWT_PRIVATE_KEY_FILE or JWT_OTHER_KEY_FILES can't be used: {error}",)) from None


def _key(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError((f"{variable}: {path} can't be used: {error}",)) from None


if __name__ == "__main__":
    main()
