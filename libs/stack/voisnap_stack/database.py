"""Roles, database and grants, made with the services' own migrations. Runs as a process of its own: `python -m voisnap_stack.database`.

It imports the database driver, which the launcher itself never does: a second start has nothing to migrate and should not pay for it.
"""

import asyncio
import json
import os
import sys

import psycopg
from psycopg import sql
from voisnap_kit.migrate import MigrationError, create_role, grant

SCHEMAS = {"api": "voisnap_api", "admin": "voisnap_admin"}
"""Schema and the role that alone uses it, of each service with SQL."""


async def make_database(url: str, name: str) -> None:
    """Create the database unless it is there. `url` may create databases."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=10) as connection:
        found = await (await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))).fetchone()
        if found is None:
            await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


async def prepare(url: str, passwords: dict[str, str], create: tuple[str, str] | None) -> None:
    """Database (`create`: superuser URL and name), roles, both migrations side by side, grants."""
    if create is not None:
        await make_database(*create)
    for role in SCHEMAS.values():
        await create_role(url, role, passwords[role])
    outcomes = await asyncio.gather(*(_migrate(role, url) for role in SCHEMAS.values()))
    for outcome in outcomes:
        if outcome is not None:
            raise MigrationError(outcome)
    for schema, role in SCHEMAS.items():
        await grant(url, schema, role)


async def _migrate(module: str, url: str) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "migrate"),
        env={**os.environ, "MIGRATE_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    sys.stderr.write(output.decode(errors="replace"))
    if process.returncode == 0:
        return None
    return (output.decode(errors="replace").strip().splitlines() or [f"{module} migrate failed"])[-1]


def main() -> int:
    """Reads {url, passwords, create} as JSON on stdin, so that no password is seen in a process list."""
    request = json.load(sys.stdin)
    create = tuple(request["create"]) if request["create"] else None
    try:
        asyncio.run(prepare(request["url"], request["passwords"], create))
    except (psycopg.Error, MigrationError) as error:
        sys.stderr.write(f"\n{' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
