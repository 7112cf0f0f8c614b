"""Transactions, isolation of tenants, rows as structs, errors, and life after a broken connection."""

import asyncio
import contextlib
import traceback
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
import pytest
from voisnap_kit.postgres import (
    CheckViolated,
    Contention,
    Database,
    DatabaseError,
    DatabaseUnavailable,
    RowMissing,
    Tx,
    UniqueViolated,
)
from voisnap_testkit.databases import TestDatabase
from voisnap_testkit.embedded import EmbeddedTestServers

pytestmark = pytest.mark.slice


class Colour(StrEnum):
    RED = "red"


class Details(msgspec.Struct, frozen=True, kw_only=True):
    colour: Colour
    sizes: tuple[int, ...] = ()


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    tags: tuple[str, ...]
    details: Details
    made_at: datetime


async def insert(tx: Tx, id: str, *, tenant: str = "ten_a", environment: str = "live", name: str = "bolt") -> None:
    await tx.exec(
        "INSERT INTO things (id, tenant_id, environment, name) VALUES (%(id)s, %(tenant)s, %(environment)s, %(name)s)",
        id=id,
        tenant=tenant,
        environment=environment,
        name=name,
    )


async def ids(tx: Tx) -> list[str]:
    return await tx.all(str, "SELECT id FROM things ORDER BY id")


async def test_rows_with_arrays_and_jsonb_become_structs(database: Database) -> None:
    made_at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    thing = Thing(
        id="t1", name="bolt", tags=("a", "b"), details=Details(colour=Colour.RED, sizes=(1, 2)), made_at=made_at
    )
    async with database.transaction("ten_a", "live") as tx:
        stored = await tx.one(
            Thing,
            """
            INSERT INTO things (id, tenant_id, environment, name, tags, details, made_at)
            VALUES (%(id)s, 'ten_a', 'live', %(name)s, %(tags)s, %(details)s, %(made_at)s)
            RETURNING id, name, tags, details, made_at
            """,
            id=thing.id,
            name=thing.name,
            tags=thing.tags,
            details=thing.details,
            made_at=thing.made_at,
        )
    assert stored == thing


async def test_a_tenant_sees_only_its_rows_without_any_where(database: Database) -> None:
    for tenant, environment in (("ten_a", "live"), ("ten_a", "sandbox"), ("ten_b", "live")):
        async with database.transaction(tenant, environment) as tx:
            await insert(tx, f"{tenant}-{environment}", tenant=tenant, environment=environment)
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == ["ten_a-live"]
    async with database.transaction("ten_b", "sandbox") as tx:
        assert await ids(tx) == []
    async with database.transaction_as_system() as tx:
        assert await ids(tx) == ["ten_a-live", "ten_a-sandbox", "ten_b-live"]


async def test_writing_another_tenants_row_is_refused(database: Database) -> None:
    with pytest.raises((DatabaseError, psycopg.Error), match="row-level security"):
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1", tenant="ten_b")


async def test_settings_of_one_transaction_do_not_reach_the_next_on_its_connection(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, max_size=1) as database:
        async with database.transaction_as_system() as tx:
            await insert(tx, "t1")
        async with database._pool.connection() as connection:
            rows = await (await connection.execute("SELECT count(*) FROM things")).fetchone()
        async with database.transaction("", "") as tx:
            assert await ids(tx) == []
        assert rows == (0,)


async def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
            raise RuntimeError
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == []


async def test_a_cancelled_transaction_is_undone_and_its_connection_usable(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, max_size=1) as database:
        started = asyncio.Event()

        async def work() -> None:
            async with database.transaction("ten_a", "live") as tx:
                await insert(tx, "t1")
                started.set()
                await tx.exec("SELECT pg_sleep(30)")

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.transaction("ten_a", "live") as tx:
            assert await ids(tx) == []


async def test_a_cancellation_that_comes_with_the_connection_is_not_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = database._pool.getconn

    async def forget(**of: Any) -> Any:
        found = await take(**of)
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        with contextlib.suppress(asyncio.CancelledError):  # as `asyncio.wait_for` does
            await asyncio.sleep(0)
        return found

    async def look() -> None:
        async with database.transaction("ten_a", "live") as tx:
            await ids(tx)

    with monkeypatch.context() as patch:
        patch.setattr(database._pool, "getconn", forget)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(look())
    await look()


async def test_a_failed_savepoint_leaves_the_rest(database: Database) -> None:
    async with database.transaction("ten_a", "live") as tx:
        await insert(tx, "t1")
        with pytest.raises(UniqueViolated):
            async with tx.savepoint():
                await insert(tx, "t1")
        await insert(tx, "t2")
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == ["t1", "t2"]


async def test_what_waited_inside_a_failed_savepoint_is_undone_with_it(database: Database) -> None:
    async with database.transaction("ten_a", "live") as tx:
        insert_later(tx, "t1")
        with pytest.raises(RuntimeError):
            async with tx.savepoint():
                insert_later(tx, "t2")
                raise RuntimeError
        insert_later(tx, "t3")
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == ["t1", "t3"]


async def test_a_transaction_that_goes_on_after_a_failure_does_not_pass_for_committed(database: Database) -> None:
    with pytest.raises(DatabaseError, match="nothing was committed"):
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
            with contextlib.suppress(UniqueViolated):
                await insert(tx, "t1")


async def test_errors_do_not_repeat_rows_because_they_are_logged(database: Database) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="type json") as failed:
        await database.reader("ten_a", "live").one(str, "SELECT %(said)s::jsonb::text", said="words of a caller")
    assert "words" in (failed.value.diag.message_detail or "") + (failed.value.diag.context or "")
    assert "words" not in "".join(traceback.format_exception_only(failed.value))


async def test_violations_name_their_rule(database: Database) -> None:
    with pytest.raises(UniqueViolated) as unique:
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
            await insert(tx, "t1")
    with pytest.raises(CheckViolated) as check:
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1", name="")
    assert unique.value.constraint == "things_pkey"
    assert check.value.constraint == "things_name_check"


async def test_one_without_a_row_and_structs_without_their_columns_are_faults(database: Database) -> None:
    async with database.transaction("ten_a", "live") as tx:
        with pytest.raises(RowMissing):
            await tx.one(str, "SELECT id FROM things")
        assert await tx.maybe(str, "SELECT id FROM things") is None
        with pytest.raises(TypeError, match="one column"):
            await tx.one(int, "SELECT 1 AS a, 2 AS b")


async def test_many_rows_go_in_one_call(database: Database) -> None:
    rows = [{"id": f"t{n}", "name": "nut"} for n in range(50)]
    async with database.transaction("ten_a", "live") as tx:
        await tx.exec_many(
            "INSERT INTO things (id, tenant_id, environment, name) VALUES (%(id)s, 'ten_a', 'live', %(name)s)", rows
        )
        assert await tx.one(int, "SELECT count(*) AS n FROM things") == 50


async def test_connections_that_the_server_closed_are_replaced_unnoticed(
    database: Database, kit_database: TestDatabase
) -> None:
    async with database.transaction("ten_a", "live") as tx:
        await insert(tx, "t1")
    async with await psycopg.AsyncConnection.connect(kit_database.owner_url, autocommit=True) as killer:
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == ["t1"]


async def test_a_transaction_that_lost_its_connection_says_so(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction("ten_a", "live") as tx:
            pid = await tx.one(int, "SELECT pg_backend_pid() AS pid")
            async with database.transaction_as_system() as other:
                await other.exec("SELECT pg_terminate_backend(%(pid)s)", pid=pid)
            await tx.exec("SELECT 1")
    await database.check()


async def test_an_absent_server_is_reported_within_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voisnap_kit.postgres.ACQUIRE_TIMEOUT", 0.2)
    async with await Database.open("postgresql://nobody@127.0.0.1:1/none") as database:
        with pytest.raises(DatabaseUnavailable):
            await database.check()


async def test_a_lock_held_elsewhere_is_contention(database: Database) -> None:
    async with database.transaction("ten_a", "live") as tx:
        await insert(tx, "t1")
    async with database.transaction("ten_a", "live") as tx:
        await tx.one(str, "SELECT id FROM things FOR UPDATE")
        with pytest.raises(Contention):
            async with database.transaction("ten_a", "live") as other:
                await other.one(str, "SELECT id FROM things FOR UPDATE NOWAIT")


async def test_a_server_that_was_killed_and_came_back_later_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voisnap_kit.postgres.ACQUIRE_TIMEOUT", 0.3)
    servers = EmbeddedTestServers()
    try:
        async with await Database.open(servers.start_postgres(), max_size=2) as database:
            await database.check()
            servers.kill("postgres")
            with pytest.raises(
                DatabaseUnavailable
            ):  # a connection's own process may outlive the server that was killed for a moment
                async with asyncio.timeout(10):
                    while True:
                        await database.check()
            loop = asyncio.get_running_loop()
            gone_at = loop.time()
            while loop.time() - gone_at < 2.5:  # longer than the pool goes on trying by itself
                with pytest.raises(DatabaseUnavailable):
                    await database.check()
            servers.revive("postgres")
            async with asyncio.timeout(5):
                while True:
                    try:
                        await database.check()
                        break
                    except DatabaseUnavailable:
                        continue
    finally:
        servers.stop()


async def test_a_reader_sees_its_tenants_rows_and_leaves_nothing_on_its_connection(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, min_size=1, max_size=1) as database:
        for tenant, id in (("ten_a", "t1"), ("ten_a", "t2"), ("ten_b", "t3")):
            async with database.transaction(tenant, "live") as tx:
                await insert(tx, id, tenant=tenant)
        reader = database.reader("ten_a", "live")
        for _ in range(8):  # beyond the count after which statements are prepared
            assert await ids(reader) == ["t1", "t2"]
            assert await reader.maybe(str, "SELECT id FROM things WHERE id = %(id)s", id="t3") is None
            assert await ids(database.reader("ten_a", "sandbox")) == []
        async with database.transaction("ten_b", "live") as tx:
            assert await ids(tx) == ["t3"]
            await insert(tx, "t4", tenant="ten_b")
        async with database.transaction("", "") as tx:
            assert await ids(tx) == []
        assert await database.reader("ten_b", "live").one(int, "SELECT count(*) FROM things") == 2
        with pytest.raises(RowMissing):
            await reader.one(str, "SELECT id FROM things WHERE id = 'none'")


async def test_a_reader_writes_nothing_even_by_a_statement_that_reads(database: Database) -> None:
    reader = database.reader("ten_a", "live")
    with pytest.raises(TypeError):
        await insert(reader, "t1")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await reader.all(
            str,
            "INSERT INTO things (id, tenant_id, environment, name) VALUES ('t1', 'ten_a', 'live', 'x') RETURNING id",
        )
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == []


async def test_a_readers_connection_that_the_server_closed_is_replaced_and_a_cancelled_one_too(
    kit_database: TestDatabase,
) -> None:
    async with await Database.open(kit_database.url, min_size=1, max_size=1) as database:
        reader = database.reader("ten_a", "live")
        pid = await reader.one(int, "SELECT pg_backend_pid()")
        async with await psycopg.AsyncConnection.connect(kit_database.owner_url, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        assert await reader.one(int, "SELECT pg_backend_pid()") != pid
        sleeping = asyncio.create_task(reader.one(str, "SELECT pg_sleep(30)::text"))
        async with await psycopg.AsyncConnection.connect(kit_database.owner_url, autocommit=True) as other:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
            while not (await (await other.execute(waiting)).fetchone() or (0,))[0]:
                pass
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
        assert await ids(reader) == ["t1"]


async def test_statements_that_may_wait_are_there_for_the_next_one_and_after_the_commit(database: Database) -> None:
    async with database.transaction("ten_a", "live") as tx:
        for id in ("t1", "t2"):
            insert_later(tx, id)
        assert await ids(tx) == ["t1", "t2"]
        async with tx.savepoint():
            insert_later(tx, "t3")
        insert_later(tx, "t4")
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == ["t1", "t2", "t3", "t4"]


async def test_a_statement_that_waited_and_fails_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(UniqueViolated):
        async with database.transaction("ten_a", "live") as tx:
            for id in ("t1", "t2", "t1"):
                insert_later(tx, id)
    with pytest.raises(UniqueViolated):
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
            insert_later(tx, "t1")
            await ids(tx)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction("ten_a", "live") as tx:
            insert_later(tx, "t5")
            raise ZeroDivisionError
    async with database.transaction("ten_a", "live") as tx:
        assert await ids(tx) == []
        await insert(tx, "t6")
    with pytest.raises(TypeError):
        insert_later(database.reader("ten_a", "live"), "t7")


def insert_later(tx: Tx, id: str) -> None:
    tx.exec_later(
        "INSERT INTO things (id, tenant_id, environment, name) VALUES (%(id)s, 'ten_a', 'live', 'x')",
        id=id,
    )


async def test_a_transaction_takes_a_connection_with_its_first_statement(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, max_size=1) as database:
        async with database.transaction("ten_a", "live"), database.transaction("ten_b", "live") as tx:
            await insert(tx, "t1", tenant="ten_b")
        async with database.transaction("ten_b", "live") as tx:
            assert await ids(tx) == ["t1"]


async def test_a_first_statement_that_fails_leaves_its_connection_usable(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, max_size=1) as database:
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
        for _ in range(2):
            with pytest.raises(UniqueViolated):
                async with database.transaction("ten_a", "live") as tx:
                    await insert(tx, "t1")
        with pytest.raises(UniqueViolated):
            async with database.transaction("ten_a", "live") as tx:
                tx.exec_later(
                    "INSERT INTO things (id, tenant_id, environment, name) VALUES ('t1', 'ten_a', 'live', 'bolt')"
                )
        async with database.transaction("ten_a", "live") as tx:
            assert await ids(tx) == ["t1"]


async def test_a_statement_is_used_again_after_the_schema_changed_below_it(kit_database: TestDatabase) -> None:
    async with (
        await Database.open(kit_database.url, max_size=1) as database,
        await psycopg.AsyncConnection.connect(kit_database.owner_url, autocommit=True) as owner,
    ):
        async with database.transaction("ten_a", "live") as tx:
            await insert(tx, "t1")
        reader = database.reader("ten_a", "live")
        assert await reader.one(Named, "SELECT * FROM things") == Named(name="bolt")
        schema = await reader.one(str, "SELECT current_schema()")
        await owner.execute(f"ALTER TABLE {schema}.things ADD COLUMN later text".encode())
        try:
            assert await reader.one(Named, "SELECT * FROM things") == Named(name="bolt")
        finally:
            await owner.execute(f"ALTER TABLE {schema}.things DROP COLUMN later".encode())
        async with database.transaction("ten_a", "live") as tx:  # first its statement that has other columns again
            assert await tx.one(Named, "SELECT * FROM things") == Named(name="bolt")
            await insert(tx, "t2")
        assert await reader.all(str, "SELECT id FROM things ORDER BY id") == ["t1", "t2"]
        with pytest.raises(Contention, match="does not exist"):
            async with database.transaction("ten_a", "live") as tx:
                await insert(tx, "t3")
                await tx.exec("DEALLOCATE ALL")
                await insert(tx, "t4")
        assert await reader.all(str, "SELECT id FROM things ORDER BY id") == ["t1", "t2"]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    name: str


async def test_statements_beyond_those_that_are_prepared_and_percent_signs_work(
    kit_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voisnap_kit.exchange.MOST_PREPARED", 4)
    async with await Database.open(kit_database.url, max_size=1) as database:
        async with database.transaction("ten_a", "live") as tx:
            await tx.exec_many(
                "INSERT INTO things (id, tenant_id, environment, name) VALUES (%(id)s, 'ten_a', 'live', %(name)s)",
                [{"id": f"t{number}", "name": "100%"} for number in range(3)],
            )
            for limit in (1, 40_000, 3_000_000_000):  # three types of parameters
                assert await tx.one(int, "SELECT count(*) FROM things WHERE 0 < %(limit)s", limit=limit) == 3
            assert await tx.all(str, "SELECT id FROM things WHERE name LIKE '%%0%%' ORDER BY id LIMIT 2") == [
                "t0",
                "t1",
            ]
            prepared = await tx.one(int, "SELECT count(*) FROM pg_prepared_statements")
        assert prepared == 4
        with pytest.raises(psycopg.ProgrammingError, match="percent sign"):
            await database.reader("ten_a", "live").all(str, "SELECT id FROM things WHERE name LIKE '0%'")


async def test_statements_whose_preparation_failed_are_prepared_anew(kit_database: TestDatabase) -> None:
    async with await Database.open(kit_database.url, max_size=1) as database:
        reader = database.reader("ten_a", "live")
        for _ in range(2):
            with pytest.raises(psycopg.errors.UndefinedTable):
                await reader.all(str, "SELECT id FROM nothings")
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                async with database.transaction("ten_a", "live") as tx:
                    tx.exec_later("SELECT 'x'::int")
                    await ids(tx)
        assert await ids(reader) == []
