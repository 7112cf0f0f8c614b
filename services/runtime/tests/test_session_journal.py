"""What a session did reaches JetStream in order, whoever is away meanwhile."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_kit import trace
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.sessions.journal import Journal
from voisnap_runtime.sessions.store import Progress

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

NODE = NodeId("node_a")


@pytest.fixture
async def owned(house):
    session = await house.open()
    return await house.store.change(
        session.plan.session_id,
        lambda s: s.moved(SessionState.CONNECTING).claimed(NODE, lease_until=house.clock() + timedelta(seconds=15)),
    )


@pytest.fixture
def turn_finished(make_turn):
    def build(session, number: int) -> TurnFinished:
        plan = session.plan
        return TurnFinished(
            tenant_id=plan.tenant_id,
            environment=plan.environment,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            turn=make_turn(number, f"turn {number}"),
        )

    return build


def started(session, clock) -> SessionStarted:
    plan = session.plan
    return SessionStarted(
        tenant_id=plan.tenant_id,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        node_id=NODE,
        plan=plan,
        started_at=clock(),
    )


def texts(events) -> list[str]:
    return [event.turn.text for event in events if isinstance(event, TurnFinished)]


async def test_events_are_published_in_the_order_they_were_written(house, owned, turn_finished):
    for number in range(1, 200):
        house.journal.write(owned.plan.session_id, turn_finished(owned, number), Progress(turns=number))

    assert await house.journal.flushed(owned.plan.session_id, timeout=5)
    assert await house.relay.drained(timeout=5)

    assert texts(house.events) == [f"turn {number}" for number in range(1, 200)]
    assert house.store.journal == {}
    assert (await house.store.progress(owned.plan.session_id)).turns == 199


async def test_an_event_is_published_within_the_trace_it_was_written_in(house, owned, turn_finished, monkeypatch):
    seen: list[str] = []
    real = house.bus.publish

    async def publish(event, *, event_id, tenant_id):
        seen.append(trace.trace_id())
        await real(event, event_id=event_id, tenant_id=tenant_id)

    monkeypatch.setattr(house.bus, "publish", publish)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    house.journal.write(owned.plan.session_id, turn_finished(owned, 1), trace=parent)

    assert await house.journal.flushed(owned.plan.session_id, timeout=5)
    assert await house.relay.drained(timeout=5)
    assert seen == ["trace_0af7651916cd43dd8448eb211c80319c"]


async def test_a_started_session_becomes_active_with_its_event(house, owned, clock):
    house.journal.write(owned.plan.session_id, started(owned, clock))
    await house.journal.flushed(owned.plan.session_id, timeout=5)

    session = await house.store.get(owned.plan.session_id)
    assert (session.state, session.connected_at) == (SessionState.ACTIVE, clock())


async def test_while_nats_is_away_events_wait_in_the_store(house, owned, turn_finished):
    house.bus.away = True
    house.journal.write(owned.plan.session_id, turn_finished(owned, 1))
    house.journal.write(owned.plan.session_id, turn_finished(owned, 2))
    await house.journal.flushed(owned.plan.session_id, timeout=5)
    assert not await house.relay.drained(timeout=60)
    assert len(house.store.journal[owned.plan.session_id]) == 2

    house.bus.away = False

    assert await house.relay.drained(timeout=10)
    assert texts(house.events) == ["turn 1", "turn 2"]


async def test_an_entry_published_but_not_dropped_is_told_once(house, owned, turn_finished, monkeypatch):
    real = house.store.published
    forgets = iter([True])

    async def published(session_id, positions):
        if next(forgets, False):
            house.store.away = True
        try:
            await real(session_id, positions)
        finally:
            house.store.away = False

    monkeypatch.setattr(house.store, "published", published)
    house.journal.write(owned.plan.session_id, turn_finished(owned, 1))

    assert await house.journal.flushed(owned.plan.session_id, timeout=5)
    assert await house.relay.drained(timeout=10)
    assert texts(house.events) == ["turn 1"]


async def test_while_redis_is_away_writing_costs_nothing_and_loses_nothing(house, owned, turn_finished, tmp_path):
    house.store.away = True
    for number in range(1, 4):
        house.journal.write(owned.plan.session_id, turn_finished(owned, number))
    assert not await house.journal.flushed(owned.plan.session_id, timeout=30)
    spooled = (tmp_path / "spool" / f"journal-{NODE}.jsonl").read_bytes()
    assert spooled.count(b"\n") == 3

    house.store.away = False

    assert await house.journal.flushed(owned.plan.session_id, timeout=10)
    assert await house.relay.drained(timeout=10)
    assert texts(house.events) == ["turn 1", "turn 2", "turn 3"]
    assert not list((tmp_path / "spool").glob("journal-*"))


async def test_what_a_killed_process_spooled_is_written_by_the_next(house, owned, turn_finished, tmp_path):
    house.store.away = True
    house.journal.write(owned.plan.session_id, turn_finished(owned, 1))
    house.journal.write(owned.plan.session_id, turn_finished(owned, 2))
    await house.journal.flushed(owned.plan.session_id, timeout=5)
    spool = tmp_path / "spool" / f"journal-{NODE}.jsonl"
    next_spool = tmp_path / "next"
    next_spool.mkdir()
    (next_spool / spool.name).write_bytes(spool.read_bytes() + b'{"session_id":"wrtc_1","no')  # killed while writing
    house.store.away = False
    woken: list[SessionId] = []
    successor = Journal(
        house.store, NodeId("node_b"), spool=next_spool, new_event_id=house.new_event_id, written=woken.append
    )

    assert successor.recover() == 2
    writing = asyncio.create_task(successor.run())
    assert await successor.flushed(owned.plan.session_id, timeout=5)
    writing.cancel()

    written = [msgspec.json.decode(e.body, type=TurnFinished) for _, e in house.store.journal["wrtc_1"]]
    assert texts(written)[:2] == ["turn 1", "turn 2"]
    assert woken == ["wrtc_1", "wrtc_1"]


async def test_a_session_taken_by_another_node_is_reported_and_nothing_is_written(
    house, owned, turn_finished, monkeypatch
):
    lost: list[SessionId] = []
    monkeypatch.setattr(house.journal, "_lost", lost.append)
    await house.store.change(owned.plan.session_id, lambda s: s.claimed(NodeId("node_b"), lease_until=house.clock()))

    house.journal.write(owned.plan.session_id, turn_finished(owned, 1))
    await house.journal.flushed(owned.plan.session_id, timeout=5)

    assert lost == [owned.plan.session_id]
    assert house.store.journal == {}


async def test_the_end_is_written_once_even_when_only_its_answer_was_lost(house, owned, clock, monkeypatch):
    real, answers = house.store.change, iter([True])

    async def change(*args, **kwargs):
        changed = await real(*args, **kwargs)
        if next(answers, False):
            house.store.away = True
            house.store._reach()
        return changed

    monkeypatch.setattr(house.store, "change", change)
    lost: list[SessionId] = []
    monkeypatch.setattr(house.journal, "_lost", lost.append)
    plan = owned.plan
    house.journal.write(
        plan.session_id,
        SessionEnded(
            tenant_id=plan.tenant_id,
            environment=plan.environment,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            plan=plan,
            started_at=None,
            ended_at=clock(),
            duration_seconds=0,
            reason=EndReason.USER_ENDED,
            turns=0,
            usage={},
            quality={},
            recording=None,
        ),
    )
    assert not await house.journal.flushed(plan.session_id, timeout=1)
    house.store.away = False

    assert await house.journal.flushed(plan.session_id, timeout=10)
    assert await house.relay.drained(timeout=10)
    assert [type(event) for event in house.events] == [SessionEnded]
    assert lost == []


async def test_a_note_that_cannot_be_written_holds_back_no_other(house, owned, turn_finished, monkeypatch):
    append = house.store.append
    broken = iter([ValueError("unwritable")])

    async def append_after_a_fault(*arguments):
        for fault in broken:
            raise fault
        return await append(*arguments)

    monkeypatch.setattr(house.store, "append", append_after_a_fault)
    house.journal.write(owned.plan.session_id, turn_finished(owned, 1))
    house.journal.write(owned.plan.session_id, turn_finished(owned, 2))

    assert await house.journal.flushed(owned.plan.session_id, timeout=5)
    assert await house.relay.drained(timeout=5)
    assert texts(house.events) == ["turn 2"]
