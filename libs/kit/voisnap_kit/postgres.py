"""PostgreSQL: a pool that survives a server restart, transactions that name their tenant, and rows as structs.

Row-level security reads two settings of the transaction, `app.tenant_id` and `app.environment`; a transaction that sets neither sees
nothing. `app.system=on` opens all tenants for code that works across them: worker, relay, login. It is set only by
`Database.transaction_as_system`, which makes each such place easy to find. The settings are local to the transaction, so a pooled
connection never carries them over.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, LiteralString, NamedTuple, Self, TypeVar, cast

import msgspec
import psycopg
from psycopg import AsyncConnection, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import AsyncRowFactory, TupleRow, dict_row
from psycopg.types.json import JsonbDumper, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from voisnap_domain.tenants import Environment

from . import log
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


_READ_SETTINGS = (
    "SELECT set_config('transaction_read_only', 'on', true), set_config('app.tenant_id', %s, true),"
    " set_config('app.environment', %s, true), set_config('app.system', %s, true), set_config('app.platform_admin', %s, true)"
)


_SETTINGS = (
    "SELECT set_config('app.tenant_id', %s, true), set_config('app.environment', %s, true),"
    " set_config('app.system', %s, true), set_config('app.platform_admin', %s, true)"
)


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
    """A deadlock, a lock time-out or a serialization failure: the whole transaction may be tried again."""


class DatabaseUnavailable(DatabaseError, Unavailable):
    """No connection within the time-out, or it broke; nothing is known about a transaction in progress."""


class RowMissing(DatabaseError):
    """`Tx.one` found no row."""


class Statement(NamedTuple):
    """What is sent: SQL with named parameters, and their values as the driver takes them."""

    sql: LiteralString
    params: dict[str, Any]

    @classmethod
    def of(cls, sql: LiteralString, params: dict[str, Any]) -> "Statement":
        """With tuples and sets as arrays."""
        return cls(sql, _parameters(params))


Cursor = psycopg.AsyncCursor[dict[str, Any]]


class Tx:
    """One transaction. Statements are literal SQL with named parameters; rows become the type asked for.

    A type that is no struct takes the row's only column. Tuples and sets go in as arrays, structs and dicts as jsonb. The transaction begins
    with its first statement, in the same round trip: `connect` gives the connection on which that has been done, and the statement's cursor.
    """

    def __init__(
        self,
        connect: Callable[
            [Sequence[Statement], Statement | None], Awaitable[tuple[AsyncConnection[TupleRow], Cursor | None]]
        ],
    ) -> None:
        self._connect = connect
        self._begun: AsyncConnection[TupleRow] | None = None
        self._later: list[Statement] = []

    async def maybe(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T | None:
        """The first row, or None."""
        with _translated():
            row = await (await self._execute(Statement.of(sql, params))).fetchone()
        return None if row is None else _convert(row, kind)

    async def one(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T:
        """The first row. Raises RowMissing."""
        with _translated():
            row = await (await self._execute(Statement.of(sql, params))).fetchone()
        if row is None:
            raise RowMissing("the statement returned no row")
        return _convert(row, kind)

    async def all(self, kind: type[T], sql: LiteralString, /, **params: Any) -> list[T]:
        """All rows, in order."""
        with _translated():
            rows = await (await self._execute(Statement.of(sql, params))).fetchall()
        return [_convert(row, kind) for row in rows]

    async def exec(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement; the number of rows it touched."""
        with _translated():
            return (await self._execute(Statement.of(sql, params))).rowcount

    async def exec_many(self, sql: LiteralString, rows: Sequence[dict[str, Any]]) -> None:
        """Run a statement once a row, in one round trip."""
        if not rows:
            return
        with _translated():
            connection = await self._ready()
            async with connection.cursor() as cursor:
                await cursor.executemany(sql, [_parameters(row) for row in rows])

    def exec_later(self, sql: LiteralString, /, **params: Any) -> None:
        """Run a statement with the next one or with the commit, in the same round trip as others like it; its failure comes there."""
        self._later.append(Statement.of(sql, params))

    async def commit(self) -> None:
        """Run what waits to be run, in order, and commit; nothing at all when nothing was asked. For `Database` alone."""
        waiting, self._later = self._later, []
        if self._begun is None and not waiting:
            return
        with _translated():
            if self._begun is None:
                self._begun, _ = await self._connect(waiting, None)
                await self._begun.commit()
            elif waiting:
                async with self._begun.pipeline():
                    for sql, params in waiting:
                        await self._begun.execute(sql, params)
                    await self._begun.commit()
            else:
                await self._begun.commit()

    @property
    def begun(self) -> AsyncConnection[TupleRow] | None:
        """The connection, once a statement was sent. For `Database` alone."""
        return self._begun

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """A block whose failure undoes only the block."""
        with _translated():
            connection = await self._ready()
            async with connection.transaction():
                yield
                await self._ready()

    async def _ready(self) -> AsyncConnection[TupleRow]:
        """The connection, with everything sent that waited."""
        waiting, self._later = self._later, []
        if self._begun is None:
            self._begun, _ = await self._connect(waiting, None)
        elif waiting:
            async with self._begun.pipeline():
                for sql, params in waiting:
                    await self._begun.execute(sql, params)
        return self._begun

    async def _execute(self, statement: Statement) -> Cursor:
        if self._begun is None:
            waiting, self._later = self._later, []
            self._begun, cursor = await self._connect(waiting, statement)
            return cast(Cursor, cursor)
        connection = await self._ready() if self._later else self._begun
        cursor = _cursor(connection)
        await cursor.execute(statement.sql, statement.params)
        return cursor


class Reader(Tx):
    """Statements that only read, each a transaction of its own: settings and statement travel together, in one round trip.

    Two statements may see two states of the database; whoever needs one state, or writes, takes a transaction.
    """

    def __init__(self, database: "Database", settings: tuple[str, str, str, str]) -> None:
        self._database = database
        self._settings = settings

    async def maybe(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T | None:
        """The first row, or None."""
        rows = await self._database.read(self._settings, sql, _parameters(params))
        return _convert(rows[0], kind) if rows else None

    async def one(self, kind: type[T], sql: LiteralString, /, **params: Any) -> T:
        """The first row. Raises RowMissing."""
        rows = await self._database.read(self._settings, sql, _parameters(params))
        if not rows:
            raise RowMissing("the statement returned no row")
        return _convert(rows[0], kind)

    async def all(self, kind: type[T], sql: LiteralString, /, **params: Any) -> list[T]:
        """All rows, in order."""
        return [_convert(row, kind) for row in await self._database.read(self._settings, sql, _parameters(params))]

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

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]) -> None:
        self._pool = pool
        self.outbox_written = Wake()

    @classmethod
    async def open(cls, url: str, *, min_size: int = 1, max_size: int = 10) -> Self:
        """A pool on `url`; the server may still be starting. The role's search_path finds the schema (see `migrate.grant`)."""
        pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            url,
            kwargs={"connect_timeout": CONNECT_TIMEOUT, "options": _OPTIONS, "application_name": "voisnap"},
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

    @asynccontextmanager
    async def transaction(
        self, tenant_id: str, environment: Environment | str, *, platform_admin: bool = False
    ) -> AsyncGenerator[Tx]:
        """A transaction in one tenant's environment: committed at the end, rolled back by an exception.

        `platform_admin` says that the caller operates the platform; only the admin service's policies read it.
        """
        settings = (tenant_id, str(environment), "off", "on" if platform_admin else "off")
        async with self._begin(settings) as tx:
            yield tx

    @asynccontextmanager
    async def transaction_as_system(self) -> AsyncGenerator[Tx]:
        """A transaction over all tenants, for code that has no caller."""
        async with self._begin(("", "", "on", "off")) as tx:
            yield tx

    def reader(self, tenant_id: str, environment: Environment | str, *, platform_admin: bool = False) -> Reader:
        """Single statements that read in one tenant's environment."""
        return Reader(self, (tenant_id, str(environment), "off", "on" if platform_admin else "off"))

    async def read(
        self, settings: tuple[str, str, str, str], sql: LiteralString, params: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The rows of one statement. A pipeline without BEGIN is one transaction, so the settings hold for it and no longer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACQUIRE_TIMEOUT
        while True:
            with _translated():
                connection = await self._pool.getconn(timeout=max(0.05, deadline - loop.time()))
            try:
                await connection.set_autocommit(True)
                async with connection.pipeline():
                    await connection.execute(_READ_SETTINGS, settings)
                    cursor = _cursor(connection)
                    await cursor.execute(sql, params)
                return await cursor.fetchall()
            except psycopg.OperationalError as error:
                if not connection.closed or loop.time() >= deadline:
                    with _translated():
                        raise
                _log.debug("database.connection_lost", error=repr(error))  # it died with the server: try another
            except psycopg.Error:
                with _translated():
                    raise
            except BaseException:
                await connection.close()  # cancelled in the middle: nobody knows what it still will say
                raise
            finally:
                if not connection.closed:
                    await connection.set_autocommit(False)
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
    async def _begin(self, settings: tuple[str, str, str, str]) -> AsyncGenerator[Tx]:
        taken: list[AsyncConnection[TupleRow]] = []

        async def connect(
            waiting: Sequence[Statement], first: Statement | None
        ) -> tuple[AsyncConnection[TupleRow], Cursor | None]:
            return await self._begun_connection(settings, waiting, first, taken)

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

    async def _begun_connection(
        self,
        settings: tuple[str, str, str, str],
        waiting: Sequence[Statement],
        first: Statement | None,
        taken: list[AsyncConnection[TupleRow]],
    ) -> tuple[AsyncConnection[TupleRow], Cursor | None]:
        """A connection with the transaction begun, what waited run, and the cursor of the first statement: one round trip. `taken` holds it
        from the moment on that it must be given back. Those that died with the server are thrown away here, so no check costs a round trip."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACQUIRE_TIMEOUT
        while True:
            connection = await self._pool.getconn(timeout=max(0.05, deadline - loop.time()))
            taken.append(connection)
            cursor: Cursor | None = None
            try:
                async with connection.pipeline():
                    await connection.execute(_SETTINGS, settings)  # carries BEGIN
                    for sql, params in waiting:
                        await connection.execute(sql, params)
                    if first is not None:
                        cursor = _cursor(connection)
                        await cursor.execute(first.sql, first.params)
            except psycopg.OperationalError as error:
                if not connection.closed:
                    raise  # the server lives: a deadlock, a time-out
                taken.remove(connection)
                await self._pool.putconn(connection)
                if loop.time() >= deadline:
                    raise DatabaseUnavailable(str(error)) from error
            else:
                if connection.info.transaction_status is TransactionStatus.INTRANS:
                    return connection, cursor
                raise DatabaseError("the transaction could not begin")


def _cursor(connection: AsyncConnection[TupleRow]) -> Cursor:
    return connection.cursor(row_factory=cast(AsyncRowFactory[dict[str, Any]], dict_row))


def _convert(row: dict[str, Any], kind: type[T]) -> T:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return msgspec.convert(row, kind)
    if len(row) != 1:
        raise TypeError(f"{kind!r} takes one column, the statement returns {len(row)}")
    return msgspec.convert(next(iter(row.values())), kind)


def _parameters(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple | set | frozenset) else value for name, value in params.items()
    }


@contextmanager
def _translated() -> Iterator[None]:
    """psycopg's errors as ours."""
    try:
        yield
    except errors.UniqueViolation as error:
        raise UniqueViolated(error.diag.constraint_name or "") from error
    except errors.ForeignKeyViolation as error:
        raise ForeignKeyViolated(error.diag.constraint_name or "") from error
    except (errors.CheckViolation, errors.NotNullViolation) as error:
        raise CheckViolated(error.diag.constraint_name or error.diag.column_name or "") from error
    except (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable) as error:
        raise Contention(str(error)) from error
    except errors.QueryCanceled as error:
        raise DatabaseError(f"statement cancelled: {error}") from error
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise DatabaseUnavailable(str(error)) from error


class _AsJsonb(JsonbDumper):
    """Structs and dicts as jsonb."""

    _dumps = staticmethod(msgspec.json.encode)


async def _configure(connection: AsyncConnection[TupleRow]) -> None:
    set_json_loads(msgspec.json.decode, context=connection)
    connection.adapters.register_dumper(dict, _AsJsonb)
    connection.adapters.register_dumper(msgspec.Struct, _AsJsonb)
