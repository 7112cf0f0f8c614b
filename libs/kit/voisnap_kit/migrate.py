"""Forward-only migrations: numbered SQL files, each applied once in its own transaction, and the roles that use the result.

A migration must be safe while the previous version of the service still runs; there is no way back but another migration.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from . import log
from .failures import SetUpFault

_log = log.get(__name__)

_KIT_FOLDER = Path(__file__).with_name("sql")
_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_LOCK_KEY = 0x766F6973  # "vois"
_LOCK_TIMEOUT = "10s"
"""How long a migration waits for a table's lock before it gives up, rather than queue all traffic behind itself."""
_ROLE_TRIES = 5


class MigrationError(SetUpFault):
    """The database and the migration files disagree, or a file failed; the text says what to do."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `name` is recorded; the kit's own files are prefixed with `kit/`."""

    name: str
    checksum: str
    text: str


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """The kit's fragments (outbox, inbox, isolation), then the folder's files in the order of their numbers."""
    own = tuple(_read(folder, prefix=""))
    numbers = [migration.name[:4] for migration in own]
    if len(set(numbers)) != len(numbers):
        raise MigrationError(f"two migrations in {folder} have the same number")
    return (*_read(_KIT_FOLDER, prefix="kit/"), *own)


async def migrate(url: str, schema: str, folder: Path) -> tuple[str, ...]:
    """Bring `schema` up to date as the owner role in `url`; the names applied now. Several processes may call it at once: one works, the
    others wait. Raises MigrationError for a file that changed after it was applied."""
    migrations = await asyncio.to_thread(read_migrations, folder)
    async with await _connect(url) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (_LOCK_KEY, schema))
        try:
            return await _apply_all(connection, schema, migrations)
        finally:
            if not connection.closed:
                await connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_LOCK_KEY, schema))


async def create_role(url: str, role: str, password: str) -> None:
    """Create or update a service's login role: no superuser, no bypass of row-level security. `url` may create roles."""
    for left in reversed(range(_ROLE_TRIES)):
        try:
            await _write_role(url, role, password)
            return
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation, psycopg.errors.InternalError_):
            # Roles belong to the server, and the lock to a database: whoever prepares another one there may be writing the same role.
            if not left:
                raise


async def _write_role(url: str, role: str, password: str) -> None:
    async with await _connect(url) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_LOCK_KEY,))
        exists = await (await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))).fetchone()
        statement = sql.SQL(
            "{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {password}"
        )
        await connection.execute(
            statement.format(
                verb=sql.SQL("ALTER") if exists else sql.SQL("CREATE"),
                role=sql.Identifier(role),
                password=sql.Literal(password),
            )
        )


async def grant(url: str, schema: str, role: str) -> None:
    """Let `role` read and write the rows of `schema`, now and after later migrations by the same owner, and look there first."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    async with await _connect(url) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_LOCK_KEY,))
        for statement in (
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON {schema}.schema_migrations FROM {role}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {role}",
        ):
            await connection.execute(sql.SQL(statement).format(**names))
        wanted = f"search_path={schema}, public"
        row = await (
            await connection.execute(
                "SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
                " WHERE r.rolname = %s AND s.setdatabase = 0 AND %s = ANY (s.setconfig)",
                (role, wanted),
            )
        ).fetchone()
        if row is None:
            await connection.execute(sql.SQL("ALTER ROLE {role} SET search_path = {schema}, public").format(**names))


async def pending(url: str, schema: str, folder: Path) -> tuple[str, ...]:
    """Names of the files that `migrate` would apply."""
    migrations = await asyncio.to_thread(read_migrations, folder)
    async with await _connect(url) as connection:
        found = await (await connection.execute("SELECT to_regclass(%s)", (f"{schema}.schema_migrations",))).fetchone()
        applied = await _applied(connection, schema) if found and found[0] else {}
    return tuple(migration.name for migration in migrations if migration.name not in applied)


def _read(folder: Path, *, prefix: str) -> Iterator[Migration]:
    for path in sorted(folder.glob("*.sql")):
        if not _NAME.match(path.name):
            raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql")
        text = path.read_text(encoding="utf-8")
        yield Migration(name=prefix + path.name, checksum=hashlib.sha256(text.encode()).hexdigest(), text=text)


async def _connect(url: str) -> AsyncConnection[TupleRow]:
    return await AsyncConnection.connect(url, autocommit=True, connect_timeout=10)


async def _apply_all(
    connection: AsyncConnection[TupleRow], schema: str, migrations: tuple[Migration, ...]
) -> tuple[str, ...]:
    await _prepare(connection, schema)
    applied = await _applied(connection, schema)
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{migration.name} was changed after it was applied to schema {schema}; restore the file and write a new migration"
            )
    fresh = [migration for migration in migrations if migration.name not in applied]
    for migration in fresh:
        await _apply(connection, schema, migration)
    return tuple(migration.name for migration in fresh)


async def _prepare(connection: AsyncConnection[TupleRow], schema: str) -> None:
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    await connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}.schema_migrations"
            " (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(sql.Identifier(schema))
    )


async def _applied(connection: AsyncConnection[TupleRow], schema: str) -> dict[str, str]:
    cursor = await connection.execute(
        sql.SQL("SELECT name, checksum FROM {}.schema_migrations").format(sql.Identifier(schema))
    )
    return {str(name): str(checksum) for name, checksum in await cursor.fetchall()}


async def _apply(connection: AsyncConnection[TupleRow], schema: str, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(sql.SQL("SET LOCAL search_path = {}, public").format(sql.Identifier(schema)))
            await connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_TIMEOUT))
            # A migration file is our own source, read from the package: it cannot be a literal for the type checker.
            await connection.execute(cast(bytes, migration.text.encode()))
            await connection.execute(
                sql.SQL("INSERT INTO {}.schema_migrations (name, checksum) VALUES (%s, %s)").format(
                    sql.Identifier(schema)
                ),
                (migration.name, migration.checksum),
            )
    except psycopg.Error as error:
        raise MigrationError(f"{migration.name} failed on schema {schema}: {error}") from error
    _log.info("migration.applied", schema=schema, migration=migration.name)
