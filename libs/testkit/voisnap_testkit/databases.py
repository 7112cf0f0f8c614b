"""A database a test: each service's migrations run once into a template, and a test gets a copy of it, or one that an earlier test gave
back and that was emptied: that takes about 10 ms, a copy of the API's template 100."""

import asyncio
import importlib
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
from psycopg import sql
from voisnap_kit.migrate import create_role, grant, migrate

_PASSWORD = "test"  # noqa: S105 - roles of throw-away servers

_USED_BYTES = 8 * 1024 * 1024
"""A database that grew by more than this isn't worth emptying: what was deleted stays in its files until a vacuum."""

_SHAPE = """
    SELECT (SELECT max(xmin::text::bigint) FROM pg_class), (SELECT max(xmin::text::bigint) FROM pg_attribute),
           (SELECT max(xmin::text::bigint) FROM pg_constraint), (SELECT max(xmin::text::bigint) FROM pg_proc),
           (SELECT max(xmin::text::bigint) FROM pg_policy), (SELECT max(xmin::text::bigint) FROM pg_trigger),
           (SELECT count(*) FROM pg_class WHERE relpersistence = 'p'),
           (SELECT count(*) FROM pg_db_role_setting)
"""
"""What every change of a definition changes: the newest transactions that wrote to the catalogues."""

_TABLES = """
    SELECT quote_ident(nspname) || '.' || quote_ident(relname), relkind FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname !~ '^(pg_|information_schema)' AND relkind IN ('r', 'S') ORDER BY 1
"""


class TestDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """One test's database. `url` is the service's own role, so that row-level security holds in tests; `owner_url` may do anything."""

    __test__ = False

    url: str
    owner_url: str
    schema: str
    role: str


_END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_END_SECONDS = 5.0


class _Pristine(msgspec.Struct, frozen=True, kw_only=True):
    """What a database was before its first test: definitions, the rows that migrations wrote, tables and sequences to empty."""

    shape: tuple[Any, ...]
    seeded: dict[str, tuple[Any, ...]]
    emptied: str
    size: int


class DatabaseFactory:
    """Makes databases for tests from templates; one a test run (and xdist worker)."""

    def __init__(self, server_url: str, worker: str) -> None:
        self._server_url = server_url
        self._worker = worker
        self._templates: dict[tuple[str, Path], str] = {}
        self._pristine: dict[str, _Pristine] = {}
        self._free: dict[str, list[TestDatabase]] = {}
        self._template_of: dict[str, str] = {}
        self._owners: dict[str, psycopg.Connection[Any]] = {}
        self._count = 0

    def create(self, package: str, migrations: Path | None = None) -> TestDatabase:
        """A fresh database of a service: `voisnap_api` has the schema `api`, the role `voisnap_api` and the folder `migrations`."""
        folder = migrations or Path(str(importlib.import_module(package).__file__)).parent / "migrations"
        schema, role = package.removeprefix("voisnap_"), package
        template = self._template(package, folder, schema, role)
        if free := self._free.get(template):
            return free.pop()
        self._count += 1
        name = f"t_{self._worker}_{self._count}"
        self._on_server(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._on_server(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        self._template_of[name] = template
        return TestDatabase(
            url=_with(self._server_url, database=name, user=role, password=_PASSWORD),
            owner_url=_with(self._server_url, database=name),
            schema=schema,
            role=role,
        )

    def give_back(self, database: TestDatabase) -> None:
        """A test is done with it: whatever is still connected is closed, and the next test gets it as the migrations left it. One that
        can't be had that way (a test changed definitions, or rows that migrations wrote, or dropped it) is removed."""
        name = urlsplit(database.owner_url).path.lstrip("/")
        template = self._template_of[name]
        try:
            if self._emptied(self._owner(name, database.owner_url), self._pristine[template]):
                self._free.setdefault(template, []).append(database)
                return
        except psycopg.Error:
            pass  # a test may end its server's connections, or the database
        if (owner := self._owners.pop(name, None)) is not None:
            owner.close()
        self._on_server(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self, package: str, folder: Path, schema: str, role: str) -> str:
        key = (package, folder)
        if key not in self._templates:
            name = f"template_{schema}_{self._worker}_{len(self._templates)}"
            self._on_server(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            self._on_server(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            url = _with(self._server_url, database=name)

            async def prepare() -> None:
                await create_role(url, role, _PASSWORD)
                await migrate(url, schema, folder)
                await grant(url, schema, role)

            run_apart(prepare())
            self._pristine[name] = self._look(url)
            self._templates[key] = name
        return self._templates[key]

    def _look(self, url: str) -> _Pristine:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            found = connection.execute(_TABLES).fetchall()
            marks = {name: _mark(connection, name) for name, kind in found if kind == "r"}
            tables = [
                f"DELETE FROM {name}"  # noqa: S608 - quoted by the server
                for name, kind in found
                if kind == "r" and marks[name][0] == 0
            ]
            sequences = [f"SELECT setval('{name}', 1, false)" for name, kind in found if kind == "S"]
            return _Pristine(
                shape=_one(connection, _SHAPE),
                seeded={name: mark for name, mark in marks.items() if mark[0]},
                # As a replica no trigger fires: neither foreign keys nor tables that let nobody delete get in the way.
                emptied="; ".join(["SET session_replication_role = replica", *tables, *sequences]),
                size=_one(connection, "SELECT pg_database_size(current_database())")[0],
            )

    def _owner(self, name: str, url: str) -> psycopg.Connection[Any]:
        """The connection that empties a database after each test: a new one would read all definitions anew, which takes longer."""
        owner = self._owners.get(name)
        if owner is None or owner.broken:
            owner = self._owners[name] = psycopg.connect(url, autocommit=True, connect_timeout=10)
        return owner

    @staticmethod
    def _emptied(connection: psycopg.Connection[Any], pristine: _Pristine) -> bool:
        until = time.monotonic() + _END_SECONDS
        while connection.execute(_END_OTHERS).fetchone() is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)  # the server tells nobody when another connection has ended
        if (
            _one(connection, _SHAPE) != pristine.shape
            or any(_mark(connection, name) != mark for name, mark in pristine.seeded.items())
            or _one(connection, "SELECT pg_database_size(current_database())")[0] > pristine.size + _USED_BYTES
        ):
            return False
        connection.execute(pristine.emptied.encode())
        return True

    def close(self) -> None:
        """End the connections that are kept."""
        for owner in self._owners.values():
            owner.close()
        self._owners.clear()

    def _on_server(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


def _one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row


def _mark(connection: psycopg.Connection[Any], table: str) -> tuple[Any, ...]:
    """How many rows a table has, and which transaction wrote last: the same again means the same rows."""
    return _one(connection, f"SELECT count(*), max(xmin::text::bigint) FROM {table}")  # noqa: S608 - quoted by the server


def _with(url: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or 5432}"
    credentials = f"{user}:{password}" if user else parts.netloc.rpartition("@")[0]
    return urlunsplit((parts.scheme, f"{credentials}@{host}" if credentials else host, f"/{database}", parts.query, ""))


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end from sync code, whether or not a loop is running here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
