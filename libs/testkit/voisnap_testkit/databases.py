"""A database a test: each service's migrations run once into a template, and a test gets a copy of it in about 15 ms."""

import asyncio
import importlib
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


class TestDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """One test's database. `url` is the service's own role, so that row-level security holds in tests; `owner_url` may do anything."""

    __test__ = False

    url: str
    owner_url: str
    schema: str
    role: str


class DatabaseFactory:
    """Makes databases for tests from templates; one a test run (and xdist worker)."""

    def __init__(self, server_url: str, worker: str) -> None:
        self._server_url = server_url
        self._worker = worker
        self._templates: dict[tuple[str, Path], str] = {}
        self._count = 0

    def create(self, package: str, migrations: Path | None = None) -> TestDatabase:
        """A fresh database of a service: `voisnap_api` has the schema `api`, the role `voisnap_api` and the folder `migrations`."""
        folder = migrations or Path(str(importlib.import_module(package).__file__)).parent / "migrations"
        schema, role = package.removeprefix("voisnap_"), package
        template = self._template(package, folder, schema, role)
        self._count += 1
        name = f"t_{self._worker}_{self._count}"
        self._on_server(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._on_server(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return TestDatabase(
            url=_with(self._server_url, database=name, user=role, password=_PASSWORD),
            owner_url=_with(self._server_url, database=name),
            schema=schema,
            role=role,
        )

    def drop(self, database: TestDatabase) -> None:
        """Remove a test's database, closing whatever is still connected."""
        name = urlsplit(database.owner_url).path.lstrip("/")
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
            self._templates[key] = name
        return self._templates[key]

    def _on_server(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


def _with(url: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or 5432}"
    credentials = f"{user}:{password}" if user else parts.netloc.rpartition("@")[0]
    return urlunsplit((parts.scheme, f"{credentials}@{host}" if credentials else host, f"/{database}", parts.query, ""))


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end from sync code, whether or not a loop is running here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
