"""Migrations are applied once, in order, all or nothing a file; changed files are refused; the service's role can only use the result."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from voisnap_kit.migrate import MigrationError, create_role, grant, migrate, pending, read_migrations
from voisnap_kit.postgres import Database
from voisnap_testkit.databases import TestDatabase

pytestmark = pytest.mark.slice

KIT = ("kit/0001_outbox.sql", "kit/0002_inbox.sql", "kit/0003_isolation.sql")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_lamps.sql").write_text("CREATE TABLE lamps (id int PRIMARY KEY);")
    return tmp_path


@pytest.fixture
def owner_url(kit_database: TestDatabase) -> str:
    return kit_database.owner_url


async def test_files_are_applied_once_in_order_after_the_kits_own(owner_url: str, folder: Path) -> None:
    (folder / "0002_rooms.sql").write_text(
        "CREATE TABLE rooms (lamp int REFERENCES lamps); INSERT INTO lamps VALUES (1);"
    )
    assert await pending(owner_url, "house", folder) == (*KIT, "0001_lamps.sql", "0002_rooms.sql")
    assert await migrate(owner_url, "house", folder) == (*KIT, "0001_lamps.sql", "0002_rooms.sql")
    assert await migrate(owner_url, "house", folder) == ()
    assert await pending(owner_url, "house", folder) == ()


async def test_a_file_that_fails_changes_nothing_and_the_ones_before_it_stay(owner_url: str, folder: Path) -> None:
    (folder / "0002_broken.sql").write_text("CREATE TABLE rooms (id int); SELECT nonsense;")
    with pytest.raises(MigrationError, match=r"0002_broken\.sql failed on schema house: .*nonsense"):
        await migrate(owner_url, "house", folder)
    (folder / "0002_broken.sql").unlink()
    (folder / "0002_rooms.sql").write_text("CREATE TABLE rooms (id int);")
    assert await migrate(owner_url, "house", folder) == ("0002_rooms.sql",)


async def test_a_file_changed_after_it_was_applied_is_refused(owner_url: str, folder: Path) -> None:
    await migrate(owner_url, "house", folder)
    (folder / "0001_lamps.sql").write_text("CREATE TABLE lamps (id bigint PRIMARY KEY);")
    with pytest.raises(MigrationError, match=r"0001_lamps\.sql was changed after it was applied"):
        await migrate(owner_url, "house", folder)


async def test_processes_that_migrate_at_once_do_the_work_once(owner_url: str, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(owner_url, "house", folder) for _ in range(3)))
    assert sorted(len(names) for names in applied) == [0, 0, 4]


async def test_a_table_that_is_in_use_makes_the_migration_give_up(
    owner_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(owner_url, "house", folder)
    monkeypatch.setattr("voisnap_kit.migrate._LOCK_TIMEOUT", "100ms")
    (folder / "0002_more.sql").write_text("ALTER TABLE lamps ADD COLUMN room text;")
    async with await psycopg.AsyncConnection.connect(owner_url) as reader:
        await reader.execute("SELECT * FROM house.lamps")
        with pytest.raises(MigrationError, match="lock timeout"):
            await migrate(owner_url, "house", folder)
    assert await migrate(owner_url, "house", folder) == ("0002_more.sql",)


@pytest.mark.parametrize("names", [("1_lamps.sql",), ("0001_Lamps.sql",), ("0001_a.sql", "0001_b.sql")])
def test_files_must_be_named_and_numbered(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError):
        read_migrations(tmp_path)


async def test_databases_of_one_server_are_prepared_at_the_same_time(owner_url: str) -> None:
    other = f"{owner_url.rpartition('/')[0]}/postgres"
    for turn in range(5):
        role = f"voisnap_twice_{turn}"
        await asyncio.gather(*(create_role(url, role, "secret") for url in (owner_url, other)))
        async with await psycopg.AsyncConnection.connect(
            f"postgresql://{role}:secret@{other.rpartition('@')[2]}"
        ) as own:
            found = await (
                await own.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            ).fetchone()
        assert found == (False, False)


async def test_the_services_role_uses_the_schema_but_owns_nothing(
    owner_url: str, folder: Path, database_for: Callable[..., TestDatabase]
) -> None:
    await create_role(owner_url, "voisnap_house", "first")
    await create_role(owner_url, "voisnap_house", "secret")
    await migrate(owner_url, "house", folder)
    await grant(owner_url, "house", "voisnap_house")
    await grant(owner_url, "house", "voisnap_house")
    (folder / "0002_rooms.sql").write_text("CREATE TABLE rooms (id int GENERATED ALWAYS AS IDENTITY, name text);")
    await migrate(owner_url, "house", folder)
    url = owner_url.replace("//postgres", "//voisnap_house:secret", 1)
    url = f"postgresql://voisnap_house:secret@{owner_url.rpartition('@')[2]}"
    async with await Database.open(url) as database:
        async with database.transaction("ten_a", "live") as tx:
            await tx.exec("INSERT INTO rooms (name) VALUES ('hall')")
            assert await tx.one(str, "SELECT name FROM rooms") == "hall"
        for forbidden in (
            "ALTER TABLE rooms ADD COLUMN x int",
            "DROP TABLE lamps",
            "CREATE TABLE mine (id int)",
            "DELETE FROM schema_migrations",
            "ALTER TABLE outbox DISABLE ROW LEVEL SECURITY",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with database.transaction("ten_a", "live") as tx:
                    await tx.exec(forbidden)  # pyright: ignore[reportArgumentType] - the list above is literal
