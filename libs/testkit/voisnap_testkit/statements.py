"""Finds every SQL statement in a package's `store.py` files and plans it on the migrated schema, so that none is wrong unseen."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from .databases import TestDatabase

_PARAMETER = re.compile(r"%\((\w+)\)s")
_VERB = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE)\b", re.IGNORECASE)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One literal statement and where it stands."""

    place: str
    sql: str


def statements_in(folder: Path) -> Iterator[Statement]:
    """Every SQL literal in the `store.py` files below a folder."""
    for path in sorted(folder.rglob("store.py")):
        nodes = tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in docstrings or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if _VERB.match(node.value):
                yield Statement(place=f"{path.parent.name}/{path.name}:{node.lineno}", sql=node.value)


async def plan_statements(database: TestDatabase, folder: Path) -> int:
    """Plan all of them as the service's role; how many. Raises AssertionError with the place of the first that can't be planned."""
    planned = 0
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        for statement in statements_in(folder):
            numbers: dict[str, int] = {}
            generic = _PARAMETER.sub(lambda found, n=numbers: f"${n.setdefault(found[1], len(n) + 1)}", statement.sql)
            try:
                await connection.execute(f"EXPLAIN (GENERIC_PLAN) {generic.replace('%%', '%')}".encode())
            except psycopg.Error as error:
                raise AssertionError(f"{statement.place}: {error}") from error
            planned += 1
    return planned
