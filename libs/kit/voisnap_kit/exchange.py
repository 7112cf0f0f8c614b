"""A connection to PostgreSQL that sends many statements in one round trip, with one system call, and prepares each once.

psycopg's own pipeline asks the socket after every statement, which costs several times what the statements do. So what `postgres` sends goes
through libpq's pipeline mode here; connecting, cancelling, adapting values, errors and savepoints stay psycopg's.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import AsyncConnection, adapt, errors, generators
from psycopg.abc import PQGen, Transformer
from psycopg.adapt import PyFormat
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

MOST_PREPARED = 200
"""Of one connection; statements beyond it are sent with their text each time."""

_PLACE = re.compile(r"%(?:%|\((\w+)\)s|)")
_GOOD = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_REPLANNED = "RevalidateCachedQuery"
"""The function of the server that refuses a prepared statement whose columns are others by now; the code of its error has many uses."""


class Outdated(psycopg.Error):
    """The schema has changed below a prepared statement, or somebody else discarded it. The connection prepares anew from now on."""


class Statement(NamedTuple):
    """SQL with named parameters, and their values; tuples and sets go in as arrays."""

    sql: LiteralString
    params: dict[str, Any]


class Result:
    """What a statement gave."""

    def __init__(self, found: PGresult, transformer: Transformer) -> None:
        self._found = found
        self._transformer = transformer

    @property
    def count(self) -> int:
        """Rows touched or returned; -1 for a statement that has no such number."""
        touched = self._found.command_tuples
        return -1 if touched is None else touched

    @property
    def did(self) -> str:
        """The command as the server names it: `COMMIT`, `INSERT 0 1`."""
        return (self._found.command_status or b"").decode()

    def rows(self) -> list[dict[str, Any]]:
        """All rows, by the names of their columns."""
        found = self._found
        self._transformer.set_pgresult(found)
        names = [(found.fname(column) or b"").decode() for column in range(found.nfields)]
        return self._transformer.load_rows(0, found.ntuples, lambda values: dict(zip(names, values, strict=True)))


Key = tuple[bytes, tuple[int, ...]]
"""SQL and the types of its parameters, by which a statement is prepared."""


class _Sendable(NamedTuple):
    sql: bytes
    values: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[Any]


class Connection(AsyncConnection[TupleRow]):
    """psycopg's connection with `exchange`."""

    _transformer: Transformer | None = None
    _made = 0

    async def exchange(self, statements: Sequence[Statement]) -> list[Result]:
        """Run statements in order, in one round trip; those behind one that fails are not run, and its error is raised.

        Without BEGIN all of them are one transaction, which ends with the round trip. Raises psycopg's errors and Outdated.
        """
        if self._transformer is None:
            self._transformer = adapt.Transformer(self)
            self._names: dict[Key, bytes] = {}
        transformer = self._transformer
        sendable = [_sendable(statement, transformer) for statement in statements]
        try:
            async with self.lock:
                found = await self.wait(self._exchanged(sendable))
        except (errors.FeatureNotSupported, errors.InvalidSqlStatementName) as error:
            if isinstance(error, errors.FeatureNotSupported) and error.diag.source_function != _REPLANNED:
                raise
            self._names.clear()
            raise Outdated(*error.args) from error
        return [Result(one, transformer) for one in found]

    def _exchanged(self, statements: Sequence[_Sendable]) -> PQGen[list[PGresult]]:
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        try:
            sent = list(self._send(statements))
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            return (yield from self._fetched(sent))
        finally:
            if pgconn.status == ConnStatus.OK:
                pgconn.exit_pipeline_mode()

    def _send(self, statements: Sequence[_Sendable]) -> Iterator[Key | None]:
        """Hand statements to libpq. Of each answer to come: the statement that it is the preparation of, None for a statement's own."""
        pgconn = self.pgconn
        for sql, values, types, formats in statements:
            key = (sql, types)
            name = self._names.get(key)
            if name is None and len(self._names) < MOST_PREPARED:
                self._made += 1
                name = self._names[key] = b"v%d" % self._made
                pgconn.send_prepare(name, sql, types)
                yield key
            if name is None:
                pgconn.send_query_params(sql, values, types, formats)
            else:
                pgconn.send_query_prepared(name, values, formats)
            yield None

    def _fetched(self, sent: Sequence[Key | None]) -> PQGen[list[PGresult]]:
        found: list[PGresult] = []
        failure: psycopg.Error | None = None
        try:
            for key in (*sent, None):  # the last answer is that of the sync
                for result in (yield from generators.fetch_many(self.pgconn)):
                    if result.status == ExecStatus.FATAL_ERROR:
                        failure = failure or _failure(result)
                    if result.status not in _GOOD:
                        if key is not None:
                            self._names.pop(key, None)
                    elif key is None:
                        found.append(result)
        except psycopg.OperationalError:  # the connection broke; what the server said before tells more
            if failure is None:
                raise
        if failure is not None:
            raise failure
        return found


def _failure(result: PGresult) -> psycopg.Error:
    """The error without its details: those repeat rows (addresses, hashes of passwords), and errors are logged. `diag` has them still."""
    failure = errors.error_from_result(result, encoding="utf-8")
    failure.args = (failure.diag.message_primary or "",)
    return failure


def _sendable(statement: Statement, transformer: Transformer) -> _Sendable:
    sql, names, formats = _numbered(statement.sql)
    params = statement.params
    values = [params[name] for name in names]
    for place, value in enumerate(values):
        if isinstance(value, tuple | set | frozenset):
            values[place] = list(value)
    dumped = transformer.dump_sequence(values, formats)
    return _Sendable(sql, dumped, tuple(transformer.types or ()), transformer.formats or ())


@lru_cache(maxsize=2048)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...], tuple[PyFormat, ...]]:
    """SQL with `$1` for the first named parameter and so on, and the names in that order."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if not found[1]:
            raise psycopg.ProgrammingError("parameters are %(name)s, and a percent sign is %%")
        return f"${numbers.setdefault(found[1], len(numbers) + 1)}"

    text = _PLACE.sub(number, sql)
    return text.encode(), tuple(numbers), (PyFormat.AUTO,) * len(numbers)
