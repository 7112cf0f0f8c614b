"""The test kit's own promises: isolated databases, Redis and NATS; statements that are planned; categories that are asked for."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from voisnap_kit.bus import Bus
from voisnap_kit.redis import Redis
from voisnap_testkit.databases import DatabaseFactory, TestDatabase
from voisnap_testkit.servers import TestServers, containers_wanted
from voisnap_testkit.statements import statements_in

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.slice

MIGRATION = "CREATE TABLE lamps (id int PRIMARY KEY, name text);"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "0001_lamps.sql").write_text(MIGRATION)
    return tmp_path


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_each_database_is_migrated_empty_and_its_own(database_for: Callable[..., TestDatabase], house: Path) -> None:
    first, second = database_for("voisnap_house", house), database_for("voisnap_house", house)
    assert query(first.url, "INSERT INTO lamps VALUES (1, 'desk') RETURNING id") == [(1,)]
    assert query(second.url, "SELECT count(*) FROM lamps") == [(0,)]
    assert query(first.url, "SELECT current_user::text, current_schema()::text") == [("voisnap_house", "house")]


def test_what_a_test_wrote_is_gone_when_the_next_one_gets_its_database(servers: TestServers, house: Path) -> None:
    with closing(DatabaseFactory(servers.database_url, "returned")) as databases:
        first = databases.create("voisnap_house", house)
        left_open = psycopg.connect(first.url)
        query(first.url, "INSERT INTO lamps VALUES (1, 'desk') RETURNING id")
        databases.give_back(first)
        again = databases.create("voisnap_house", house)
        assert again == first
        assert query(again.url, "SELECT count(*) FROM lamps") == [(0,)]
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("SELECT 1")


def test_a_test_may_end_every_connection_to_its_database(servers: TestServers, house: Path) -> None:
    with closing(DatabaseFactory(servers.database_url, "ended")) as databases:
        databases.give_back(databases.create("voisnap_house", house))
        second = databases.create("voisnap_house", house)
        with psycopg.connect(second.owner_url, autocommit=True) as connection:
            connection.execute("INSERT INTO house.lamps VALUES (1, 'desk')")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        databases.give_back(second)
        third = databases.create("voisnap_house", house)
        assert query(third.url, "SELECT count(*) FROM lamps") == [(0,)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE house.lamps ADD COLUMN colour text",
        "CREATE FUNCTION house.one() RETURNS int RETURN 1",
        "GRANT ALL ON house.lamps TO public",
        "DELETE FROM house.schema_migrations",
        "INSERT INTO house.lamps SELECT n, repeat('x', 2000) FROM generate_series(1, 10000) n",
    ],
)
def test_a_database_that_a_test_changed_for_good_is_not_given_to_the_next(
    servers: TestServers, house: Path, change: str
) -> None:
    with closing(DatabaseFactory(servers.database_url, "changed")) as databases:
        first = databases.create("voisnap_house", house)
        with psycopg.connect(first.owner_url, autocommit=True) as connection:
            connection.execute(change.encode())
        databases.give_back(first)
        again = databases.create("voisnap_house", house)
        assert again != first
        assert query(again.url, "SELECT count(*) FROM lamps") == [(0,)]


def test_a_databases_url_is_that_of_a_role_without_privileges(
    database_for: Callable[..., TestDatabase], house: Path
) -> None:
    database = database_for("voisnap_house", house)
    found = query(
        database.url, "SELECT rolsuper OR rolbypassrls OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )
    assert found == [(False,)]


async def test_redis_is_empty_for_each_test(redis_url: str) -> None:
    async with await Redis.open(redis_url) as redis:
        assert await redis.client.dbsize() == 0
        await redis.client.set("left", "behind")


async def test_redis_is_empty_for_each_test_again(redis_url: str) -> None:
    await test_redis_is_empty_for_each_test(redis_url)


async def test_nats_has_no_streams_for_each_test(nats_url: str) -> None:
    async with await Bus.connect(nats_url, "test", ensure=False) as bus:
        assert await bus._js.streams_info() == []
        await bus.ensure_stream()


async def test_nats_has_no_streams_for_each_test_again(nats_url: str) -> None:
    await test_nats_has_no_streams_for_each_test(nats_url)


STORE = '''
"""SELECT is the first word of no statement here."""

async def get(tx, lamp_id):
    return await tx.maybe(int, """
        SELECT id FROM lamps WHERE id = %(lamp_id)s AND name LIKE %(name)s || '%%'
    """, lamp_id=lamp_id)

async def add(tx):
    await tx.exec("INSERT INTO lamps (id) VALUES (%(id)s)", id=1)
'''


async def test_every_statement_of_a_store_is_planned(
    database_for: Callable[..., TestDatabase],
    plan_statements: Callable[[TestDatabase, Path], Awaitable[int]],
    house: Path,
    tmp_path: Path,
) -> None:
    package = tmp_path / "package" / "lamps"
    package.mkdir(parents=True)
    (package / "store.py").write_text(STORE)
    database = database_for("voisnap_house", house)
    assert await plan_statements(database, package.parent) == 2
    (package / "store.py").write_text(STORE.replace("lamps WHERE", "candles WHERE"))
    with pytest.raises(AssertionError, match=r"lamps/store\.py:5: relation \"candles\" does not exist"):
        await plan_statements(database, package.parent)
    assert len(list(statements_in(package.parent))) == 2


def test_containers_are_used_only_when_asked_for_and_an_engine_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def engine(status: int) -> None:
        docker = tmp_path / "docker"
        docker.write_text(f"#!/bin/sh\nexit {status}\n")
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    asked = {"VOISNAP_TEST_SERVERS": "containers"}
    engine(0)
    assert containers_wanted(asked)
    assert not containers_wanted({})
    engine(1)
    assert not containers_wanted(asked)


def test_servers_that_are_given_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://given")
    monkeypatch.setenv("TEST_REDIS_URL", "redis://given")
    monkeypatch.setenv("TEST_NATS_URL", "nats://given")
    monkeypatch.delenv("VOISNAP_TEST_STARTED", raising=False)
    servers = TestServers()
    assert (servers.database_url, servers.redis_url, servers.nats_url) == (
        "postgresql://given",
        "redis://given",
        "nats://given",
    )
    assert servers.nats_is_given
    servers.stop()


def test_a_test_without_a_category_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_something(): pass")
    result = pytester.runpytest_subprocess("-p", "voisnap_testkit.plugin", "-p", "no:valkey")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no category marker*test_a_test_without_a_category_is_refused.py*"])


def test_virtual_time_is_a_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio, pytest

        @pytest.mark.unit
        @pytest.mark.virtual_time
        async def test_an_hour():
            await asyncio.sleep(3600)
            assert asyncio.get_running_loop().time() >= 3600
        """
    )
    pytester.makeini("[pytest]\nasyncio_mode = auto\nmarkers =\n    unit: pure")
    result = pytester.runpytest_subprocess("-p", "voisnap_testkit.plugin", "-p", "no:valkey", "--strict-markers")
    result.assert_outcomes(passed=1)
