"""Lists find and count exactly what a look at every row would, whatever is in segments, changed since, or in none yet."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.conversation_lists import usecases
from voisnap_api.conversation_lists.reconcilers import list_index
from voisnap_api.conversation_lists.records import Found, Position, Shard
from voisnap_api.conversations.records import Archived, ConversationFilter, Sort, opened_at
from voisnap_api.periods import Period
from voisnap_domain.conversations import ConversationStatus
from voisnap_domain.ids import TenantId
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller, begin, begin_as_system

pytestmark = pytest.mark.slice

START = datetime(2026, 1, 1, tzinfo=UTC)
SHARD = Shard(tenant_id="ten_a", environment=Environment.LIVE)
CALLER = Caller(tenant_id=TenantId("ten_a"), environment=Environment.LIVE, role="x")
TAGS = ("billing", "vip", "Größe, 12", "o'clock")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    agent_id: str
    channel: Channel
    direction: Direction
    status: ConversationStatus
    outcome: str | None
    seconds: float | None
    started_at: datetime
    archived: bool
    tags: tuple[str, ...]


class Calls:
    """Conversations in the database and, beside them, what is known of them here."""

    def __init__(self, database: Any, seed: int) -> None:
        self.database = database
        self.dice = random.Random(seed)  # noqa: S311
        self.rows: dict[str, Row] = {}

    def row(self, id: str) -> Row:
        dice = self.dice
        status = dice.choice(list(ConversationStatus))
        running = status is ConversationStatus.IN_PROGRESS
        return Row(
            id=id,
            agent_id=dice.choice(("agt_1", "agt_2", "agt_3")),
            channel=dice.choice((Channel.PHONE, Channel.WEBRTC)),
            direction=dice.choice(list(Direction)),
            status=status,
            outcome=dice.choice((None, "resolved", "escalated")),
            seconds=None if running else dice.choice((0.0, 29.5, 30.5, 31.49, 226.7, 10_000_000.0)),
            started_at=START + timedelta(minutes=dice.randrange(600)),
            archived=dice.random() < 0.2,
            tags=tuple(dice.sample(TAGS, dice.randrange(4))),
        )

    async def add(self, count: int) -> None:
        for _ in range(count):
            await self.put(self.row(f"conv_{self.dice.randrange(10**9):09d}"))

    async def put(self, row: Row) -> None:
        async with begin(self.database, CALLER) as work:
            await work.tx.exec(
                """
                INSERT INTO conversations (id, opened_at, tenant_id, environment, session_id, agent_id, agent_name, agent_version,
                    channel, direction, status, language, hipaa, recording_wanted, retention_days, started_at, duration_seconds,
                    caller, metadata, outcome, archived_at, tags)
                VALUES (%(id)s, %(opened_at)s, 'ten_a', 'live', 's', %(agent_id)s, 'n', 1, %(channel)s, %(direction)s, %(status)s,
                        'en', false, true, 90, %(started_at)s, %(seconds)s, '{}', '{}', %(outcome)s,
                        CASE WHEN %(archived)s THEN now() END, %(tags)s::text[])
                ON CONFLICT (opened_at, id) DO UPDATE
                   SET status = excluded.status, outcome = excluded.outcome, duration_seconds = excluded.duration_seconds,
                       archived_at = excluded.archived_at, tags = excluded.tags
                """,
                opened_at=opened_at(row.id),
                **msgspec.structs.asdict(row),
            )
        self.rows[row.id] = row

    async def change(self, count: int) -> None:
        for id in self.dice.sample(sorted(self.rows), count):
            old = self.rows[id]
            await self.put(
                msgspec.structs.replace(
                    self.row(id),
                    started_at=old.started_at,
                    agent_id=old.agent_id,
                    channel=old.channel,
                    direction=old.direction,
                )
            )

    async def delete(self, count: int) -> None:
        for id in self.dice.sample(sorted(self.rows), count):
            async with begin(self.database, CALLER) as work:
                await work.tx.exec("DELETE FROM conversations WHERE id = %(id)s", id=id)
            del self.rows[id]

    async def build(self, *, size: int = 16, most: int = 1000) -> int:
        built = 0
        for _ in range(most):
            async with begin_as_system(self.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
                count = await usecases.build_next(work, SHARD, size=size)
            built += count
            if not count:
                break
        return built

    def filter(self) -> ConversationFilter:
        dice = self.dice

        def maybe(*values: Any) -> Any:
            return dice.choice(values) if dice.random() < 0.3 else None

        start, before = (maybe(*(START + timedelta(minutes=m) for m in range(0, 600, 7))) for _ in range(2))
        return ConversationFilter(
            agent_id=maybe("agt_1", "agt_2", "agt_none"),
            channel=maybe(*Channel),
            direction=maybe(*Direction),
            status=maybe(*ConversationStatus),
            outcome=maybe("resolved", "lost"),
            period=Period(start=start, before=before),
            tags=maybe(("billing",), ("vip", "o'clock"), ("Größe, 12",), ("unknown",)) or (),
            min_duration=maybe(0, 1, 30, 31, 227, 500_000, 1_000_000),
            max_duration=maybe(0, 30, 31, 226, 500_000, 1_000_000),
            archived=dice.choice(list(Archived)),
            ascending=dice.random() < 0.5,
        )

    def expected(self, wanted: ConversationFilter) -> list[str]:
        found = [row for row in self.rows.values() if matches(row, wanted)]
        if wanted.sort is Sort.DURATION:
            found.sort(key=lambda row: (-1 if row.seconds is None else round(row.seconds), row.id))
        else:
            found.sort(key=lambda row: (row.started_at, row.id))
        return [row.id for row in (found if wanted.ascending else reversed(found))]

    async def find(self, wanted: ConversationFilter, *, limit: int, offset: int) -> Found:
        async with begin(self.database, CALLER) as work:
            return await usecases.find(work, wanted, limit=limit, offset=offset)

    async def walk(self, wanted: ConversationFilter, *, limit: int) -> list[str]:
        """Every id, page by page behind cursors."""
        page = await self.find(wanted, limit=limit, offset=0)
        ids = list(page.ids)
        while page.more:
            last = self.rows[ids[-1]]
            async with begin(self.database, CALLER) as work:
                position = Position(started_at=last.started_at, id=last.id)
                page = await usecases.find_after(work, wanted, position, limit=limit)
            ids += page.ids
        return ids

    async def check(self, times: int) -> None:
        for _ in range(times):
            wanted = self.filter()
            expected = self.expected(wanted)
            limit, offset = self.dice.choice((1, 5, 100)), self.dice.choice((0, 1, 17, 90))
            page = await self.find(wanted, limit=limit, offset=offset)
            assert list(page.ids) == expected[offset : offset + limit], wanted
            assert (page.total, page.more) == (len(expected), len(expected) > offset + limit), wanted
        assert await self.walk(wanted, limit=7) == expected
        for other in (wanted, self.filter(), ConversationFilter(archived=Archived.ALL)):
            longest = msgspec.structs.replace(other, sort=Sort.DURATION)
            expected = self.expected(longest)
            for offset in (0, 3, self.dice.randrange(len(expected) + 2), len(expected) - 1 if expected else 0):
                assert list((await self.find(longest, limit=7, offset=offset)).ids) == expected[offset : offset + 7], (
                    wanted
                )


def matches(row: Row, wanted: ConversationFilter) -> bool:
    seconds = None if row.seconds is None else round(row.seconds)
    low, high = wanted.min_duration, wanted.max_duration
    return (
        wanted.agent_id in {None, row.agent_id}
        and wanted.channel in {None, row.channel}
        and wanted.direction in {None, row.direction}
        and wanted.status in {None, row.status}
        and (wanted.outcome is None or wanted.outcome == row.outcome)
        and (wanted.period.start is None or row.started_at >= wanted.period.start)
        and (wanted.period.before is None or row.started_at < wanted.period.before)
        and set(wanted.tags) <= set(row.tags)
        and (low is None or (seconds is not None and seconds >= low))
        and (high is None or (seconds is not None and seconds <= high))
        and (wanted.archived is Archived.ALL or row.archived == (wanted.archived is Archived.YES))
    )


@pytest.mark.parametrize(("seed", "few", "dense"), [(1, 2000, 0), (2, 0, 0), (3, 2000, 10**9)])
async def test_every_list_is_what_a_look_at_every_row_would_find(database, monkeypatch, seed, few, dense):
    monkeypatch.setattr(usecases, "_FEW", few)
    monkeypatch.setattr(usecases, "_DENSE", dense)
    monkeypatch.setattr(usecases, "_VERY_FEW", 0 if few else 5)
    calls = Calls(database, seed)
    await calls.check(5)
    await calls.add(90)
    await calls.check(15)
    assert await calls.build() == 90 // 16
    await calls.check(30)
    for _ in range(3):
        await calls.change(6)
        await calls.add(15)  # most of them among those that are in segments
        await calls.delete(3)
        await calls.check(20)
        await calls.build(most=2)
        await calls.check(20)
    await calls.build()
    await calls.check(20)


async def test_segments_answer_for_their_rows_once_they_are_built(database):
    calls = Calls(database, 3)
    await calls.add(40)
    await calls.build()
    async with begin(database, CALLER) as work:
        parts = await usecases._parts(work, ConversationFilter(archived=Archived.ALL))
    assert [(part.clean, part.matches) for part in parts] == [(True, 16), (True, 16), (False, 8)]
    await calls.change(1)
    await calls.delete(1)
    async with begin(database, CALLER) as work:
        dirty = [part for part in await usecases._parts(work, ConversationFilter()) if not part.clean]
    assert len(dirty) in {2, 3}
    await calls.build()
    async with begin_as_system(database, CALLER) as work:
        assert await work.tx.one(int, "SELECT count(*) FROM conversation_marks") == 0


async def test_a_change_that_commits_while_its_segment_is_built_is_counted(database):
    calls = Calls(database, 4)
    await calls.add(32)
    await calls.build()
    changed = next(row for row in calls.rows.values() if not row.archived)
    async with begin(database, CALLER) as writing:
        await writing.tx.exec("UPDATE conversations SET archived_at = now() WHERE id = %(id)s", id=changed.id)
        await calls.change(0)
        await calls.build()  # does not see the change
    calls.rows[changed.id] = msgspec.structs.replace(changed, archived=True)
    await calls.check(10)
    await calls.build()
    await calls.check(10)


async def test_very_many_late_rows_in_one_segment_are_built_in_pieces(database, monkeypatch):
    monkeypatch.setattr(usecases, "_MOST_READ", 24)
    monkeypatch.setattr(usecases, "_CHUNK", 5)
    calls = Calls(database, 5)
    await calls.add(16)
    await calls.build(size=8)
    await calls.add(70)
    await calls.check(10)
    assert await calls.build(size=8, most=1) > 0
    await calls.check(10)
    await calls.build(size=8)
    await calls.check(10)
    async with begin(database, CALLER) as work:
        parts = await usecases._parts(work, ConversationFilter(archived=Archived.ALL))
    assert all(part.clean for part in parts[:-1])


async def test_recent_conversations_are_in_no_segment(database):
    calls = Calls(database, 6)
    await calls.add(20)
    for id, row in list(calls.rows.items()):
        async with begin(database, CALLER) as work:
            recent = datetime.now(UTC) - timedelta(minutes=30)
            await work.tx.exec("UPDATE conversations SET started_at = %(at)s WHERE id = %(id)s", at=recent, id=id)
        calls.rows[id] = msgspec.structs.replace(row, started_at=recent)
    assert await calls.build() == 0
    await calls.check(5)


async def test_the_worker_builds_for_every_tenant_and_shows_no_one_elses(database, monkeypatch):
    monkeypatch.setattr(usecases.build_next, "__kwdefaults__", {"size": 4})
    calls = Calls(database, 7)
    await calls.add(10)
    async with begin_as_system(database, CALLER) as work:
        await work.tx.exec("UPDATE conversations SET tenant_id = 'ten_b' WHERE id > 'conv_5'")
    reconciler = list_index(database)
    await reconciler.run_once()
    assert reconciler.last is not None
    mine = {id for id in calls.rows if id <= "conv_5"}
    assert reconciler.last.built == len(mine) // 4 + (10 - len(mine)) // 4
    found = await calls.find(ConversationFilter(archived=Archived.ALL), limit=100, offset=0)
    assert (set(found.ids), found.total) == (mine, len(mine))
