"""A small service of the kit's own, with one table."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from voisnap_kit.postgres import Database
from voisnap_testkit.databases import TestDatabase

MIGRATIONS = Path(__file__).parent / "migrations"


@pytest.fixture
def kit_database(database_for: Callable[..., TestDatabase]) -> TestDatabase:
    return database_for("voisnap_kit", MIGRATIONS)


@pytest.fixture
async def database(kit_database: TestDatabase) -> AsyncIterator[Database]:
    async with await Database.open(kit_database.url, max_size=4) as opened:
        yield opened
