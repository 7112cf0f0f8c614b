"""PostgreSQL: a pool that survives a server restart, transactions that name their tenant, and rows as structs.

Row-level security reads two settings of the transaction, `app.tenant_id` and `app.environment`; a transaction that sets neither sees
nothing. `app.system=on` opens all tenants for code that works across them: worker, relay, login. It is set only by
`Database.transaction_as_system`, which makes each such place easy to find. The settings are local to the transaction, so a pooled
connection never carries them over.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, LiteralString, Self, TypeVar, cast

import msgspec
import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.json import JsonbDumper, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from voisnap_domain.tenants import Environment

from . import log
from .exchange import Connection, Outdated, Result, Statement
from .failures import Unavailable

_log = log.get(__name__)

T = TypeVar("T")

STATEMENT_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT = 5
ACQUIRE_TIMEOUT = 5.0
"""Seconds a transaction may wait for a working connection."""

_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout=30000 -c lock_timeout=5000 -c timezone=UTC"
    " -c jit=off"  # statements here are short: compiling one takes longer than running it
)


_SETTINGS = (
    "SELECT set_config('app.tenant_id', %(tenant_id)s, true), set_config('app.environment', %(environment)s, true),"
    " set_config('app.system', %(system)s, true), set_config('app.platform_admin', %(platform_admin)s, true)"
)
_READ_SETTINGS = _SETTINGS + ", set_config('transaction_read_only', 'on', true)"
_LIVELINESS = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A server that vanished without a word (its machine died, a firewall forgot the connection) is given up after so long, not after a quarter
of an hour. What the URL says of it counts more."""

_BEGIN, _COMMIT = Statement("BEGIN", {}), Statement("COMMIT", {})


class DatabaseError(Exception):
    """A statement failed; the subclasses are the failures a caller can act on."""


class UniqueViolated(DatabaseError):
    """A row with this key exists already; `constraint` names the rule."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class ForeignKeyViolated(DatabaseError):
    """A row points to one that does not exist, or is pointed to; `constraint` names the rule."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class CheckViolated(DatabaseError):
    """A CHECK or NOT NULL rule refused the row; `constraint` names it."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Contention(DatabaseError, Unavailable):
    """A deadlock, a lock time-out, a serialization failure or a schema that changed: the whole transaction may be tried again."""


class DatabaseUnavailable(DatabaseError, Unavailable):
    """No connection within the time-out, or it broke; nothing is known about a transaction in progress."""


class RowMissing(DatabaseError):
    """`Tx.one` found no row."""


class Tx:
    """One transaction. Statements are literal SQL with named parameters; rows become the type asked for.

    A type that is no struct takes the row's only column. Tuples and sets go in as arrays, structs and dicts as jsonb. The transaction begins
    with its first statement, in the same round trip: `connect` gives the connection on which that has been done, and what came of it.
    """

    def __init__(
        self, connect: Callable[[Sequence[Statement]], Awaitable[tuple[Connection, Sequence[Result]]]]
    ) -> None:
        self._connect = connect
        self._begun: Connection | None = None
        self._later: list[Statement] = []

    async def maybe(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T | None:
        """The first row, or None."""
        rows = await self._rows(Statement(sql, params))
        return _convert(rows[0], kind) if rows else None

    async def one(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T:
        """The first row. Raises RowMissing."""
        rows = await self._rows(Statement(sql, params))
        if not rows:
            raise RowMissing("the statement returned no row")
        return _convert(rows[0], kind)

    async def all(self, kind: type[T], sql: LiteralString, /, **params: Any) -> list[T]:
        """All rows, in order."""
        return [_convert(row, kind) for row in await self._rows(Statement(sql, params))]

    async def exec(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement; the number of rows it touched."""
        return (await self._run([Statement(sql, params)]))[-1].count

    async def exec_many(self, sql: LiteralString, rows: Sequence[dict[str, Any]]) -> None:
        """Run a statement once a row, in one round trip."""
        if rows:
            await self._run([Statement(sql, row) for row in rows])

    def exec_later(self, sql: LiteralString, /, **params: Any) -> None:
        """Run a statement with the next one or with the commit, in the same round trip; its failure comes there."""
        self._later.append(Statement(sql, params))

    async def commit(self) -> None:
        """Run what waits to be run, in order, and commit; nothing at all when nothing was asked. For `Database` alone."""
        if self._begun is None and self._later:
            await self._run([])
        if self._begun is not None and (await self._run([_COMMIT]))[-1].did != "COMMIT":
            raise DatabaseError("nothing was committed: a statement had failed")

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """A block whose failure undoes only the block."""
        await self._run([])
        with _Translated():
            async with cast(Connection, self._begun).transaction():
                try:
                    yield
                    await self._run([])
                except BaseException:
                    self._later.clear()  # what waited before the block has been run
                    raise

    async def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        return (await self._run([statement]))[-1].rows()

    async def _run(self, statements: Sequence[Statement]) -> Sequence[Result]:
        """Send what waits and these statements, beginning the transaction if need be."""
        if self._later:
            waiting, self._later = self._later, []
            statements = [*waiting, *statements]
        with _Translated():
            if self._begun is None:
                self._begun, results = await self._connect(statements)
                return results
            return await self._begun.exchange(statements) if statements else ()


class Reader(Tx):
    """Statements that only read, each a transaction of its own: settings and statement travel together, in one round trip.

    Two statements may see two states of the database; whoever needs one state, or writes, takes a transaction.
    """

    def __init__(self, database: "Database", settings: dict[str, str]) -> None:
        self._database = database
        self._settings = settings

    async def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        return await self._database.read(self._settings, statement)

    async def exec(self, sql: LiteralString, /, **params: Any) -> int:
        """Refused: a reader does not write."""
        raise TypeError("a reader does not write; take a transaction")

    async def exec_many(self, sql: LiteralString, rows: Sequence[dict[str, Any]]) -> None:
        """Refused: a reader does not write."""
        raise TypeError("a reader does not write; take a transaction")

    def exec_later(self, sql: LiteralString, /, **params: Any) -> None:
        """Refused: a reader does not write."""
        raise TypeError("a reader does not write; take a transaction")

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Refused: there is no transaction to save."""
        raise TypeError("a reader has no transaction")
        yield


class Wake:
    """Says that something was committed; any number of waiters of one event loop."""

    def __init__(self) -> None:
        self._events: set[asyncio.Event] = set()

    def set(self) -> None:
        for event in self._events:
            event.set()

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event that is set at every `set` from now on; the waiter clears it."""
        event = asyncio.Event()
        self._events.add(event)
        try:
            yield event
        finally:
            self._events.discard(event)


class Database:
    """A pool of connections to one database, as one role."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self.outbox_written = Wake()

    @classmethod
    async def open(cls, url: str, *, min_size: int = 1, max_size: int = 10) -> Self:
        """A pool on `url`; the server may still be starting. The role's search_path finds the schema (see `migrate.grant`)."""
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            kwargs={
                "prepare_threshold": None,
                "connect_timeout": CONNECT_TIMEOUT,
                "options": _OPTIONS,
                "application_name": "voisnap",
                **{name: value for name, value in _LIVELINESS.items() if name not in conninfo_to_dict(url)},
            },
            min_size=min_size,
            max_size=max_size,
            max_waiting=max_size * 20,
            timeout=ACQUIRE_TIMEOUT,
            reconnect_timeout=2,
            configure=_configure,
            open=False,
        )
        await pool.open(wait=False)
        return cls(pool)

    def transaction(
        self, tenant_id: str, environment: Environment | str, *, platform_admin: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        """A transaction in one tenant's environment: committed at the end, rolled back by an exception.

        `platform_admin` says that the caller operates the platform; only the admin service's policies read it.
        """
        return self._begin(_settings(tenant_id, environment, platform_admin=platform_admin))

    def transaction_as_system(self) -> AbstractAsyncContextManager[Tx]:
        """A transaction over all tenants, for code that has no caller."""
        return self._begin(_settings("", "", system=True))

    def reader(self, tenant_id: str, environment: Environment | str, *, platform_admin: bool = False) -> Reader:
        """Single statements that read in one tenant's environment."""
        return Reader(self, _settings(tenant_id, environment, platform_admin=platform_admin))

    async def read(self, settings: dict[str, str], statement: Statement) -> list[dict[str, Any]]:
        """The rows of one statement. A round trip without BEGIN is one transaction, so the settings hold for it and no longer."""
        taken: list[Connection] = []
        try:
            with _Translated():
                _, results = await self._exchanged([Statement(_READ_SETTINGS, settings), statement], taken)
                return results[-1].rows()
        except asyncio.CancelledError:
            for connection in taken:
                await connection.close()  # nobody knows what it still will say
            raise
        finally:
            for connection in taken:
                await self._pool.putconn(connection)

    async def check(self) -> None:
        """A readiness check: raise DatabaseUnavailable when the database does not answer."""
        async with self.transaction_as_system() as tx:
            await tx.one(int, "SELECT 1 AS answer")

    async def close(self) -> None:
        await self._pool.close(timeout=2)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def _begin(self, settings: dict[str, str]) -> AsyncGenerator[Tx]:
        taken: list[Connection] = []

        async def connect(statements: Sequence[Statement]) -> tuple[Connection, Sequence[Result]]:
            connection, results = await self._exchanged([_BEGIN, Statement(_SETTINGS, settings), *statements], taken)
            if connection.pgconn.transaction_status != TransactionStatus.INTRANS:
                raise DatabaseError("the transaction could not begin")
            return connection, results

        tx = Tx(connect)
        try:
            yield tx
            await tx.commit()
        except BaseException:
            for connection in taken:
                if not connection.closed:
                    with contextlib.suppress(psycopg.Error):
                        await connection.rollback()
            raise
        finally:
            for connection in taken:
                await self._pool.putconn(connection)

    async def _exchanged(
        self, statements: Sequence[Statement], taken: list[Connection]
    ) -> tuple[Connection, Sequence[Result]]:
        """A connection and the results of the first statements on it, in one round trip. `taken` holds it from the moment on that it must be
        given back. Those that died with the server are thrown away here, so no check costs a round trip, and those whose prepared statements
        the schema has left behind prepare anew: nothing may be committed by these statements, so that they can be sent again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACQUIRE_TIMEOUT
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        while True:
            connection = await self._pool.getconn(timeout=max(0.05, deadline - loop.time()))
            taken.append(connection)
            if task is not None and task.cancelling() > cancelled:
                # The pool waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes together with what it
                # waits for: whoever stops a task would wait for ever.
                raise asyncio.CancelledError
            try:
                try:
                    return connection, await connection.exchange(statements)
                except Outdated:
                    await connection.rollback()
                    return connection, await connection.exchange(statements)
            except psycopg.OperationalError as error:
                if not connection.closed or loop.time() >= deadline:
                    raise  # the server lives: a deadlock, a time-out
                _log.debug("database.connection_lost", error=repr(error))
            taken.remove(connection)
            await self._pool.putconn(connection)


def _settings(
    tenant_id: str, environment: Environment | str, *, platform_admin: bool = False, system: bool = False
) -> dict[str, str]:
    return {
        "tenant_id": tenant_id,
        "environment": str(environment),
        "system": "on" if system else "off",
        "platform_admin": "on" if platform_admin else "off",
    }


def _convert(row: dict[str, Any], kind: type[T]) -> T:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return msgspec.convert(row, kind)
    if len(row) != 1:
        raise TypeError(f"{kind!r} takes one column, the statement returns {len(row)}")
    return msgspec.convert(next(iter(row.values())), kind)


class _Translated:
    """psycopg's errors as ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: Any) -> None:
        match error:
            case errors.UniqueViolation():
                raise UniqueViolated(error.diag.constraint_name or "") from error
            case errors.ForeignKeyViolation():
                raise ForeignKeyViolated(error.diag.constraint_name or "") from error
            case errors.CheckViolation() | errors.NotNullViolation():
                raise CheckViolated(error.diag.constraint_name or error.diag.column_name or "") from error
            case errors.DeadlockDetected() | errors.SerializationFailure() | errors.LockNotAvailable() | Outdated():
                raise Contention(str(error)) from error
            case errors.QueryCanceled():
                raise DatabaseError(f"statement cancelled: {error}") from error
            case psycopg.OperationalError() | PoolTimeout() | errors.IdleInTransactionSessionTimeout():
                raise DatabaseUnavailable(str(error)) from error
            case _:
                pass


class _AsJsonb(JsonbDumper):
    """Structs and dicts as jsonb."""

    _dumps = staticmethod(msgspec.json.encode)


async def _configure(connection: Connection) -> None:
    set_json_loads(msgspec.json.decode, context=connection)
    connection.adapters.register_dumper(dict, _AsJsonb)
    connection.adapters.register_dumper(msgspec.Struct, _AsJsonb)
