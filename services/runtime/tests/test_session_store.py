"""One suite for the store of live sessions, on the fake and on a real server."""

import asyncio
from datetime import timedelta

import pytest
from voisnap_domain.calls import AnsweredBy, CallNotes
from voisnap_domain.costs import SttUsage, Usage
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import EventId, NodeId, SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_domain.tenants import Environment
from voisnap_kit.redis import Redis
from voisnap_runtime.sessions.store import Entry, Progress, RedisStore, Seat
from voisnap_testkit.fakes_sessions import MemoryStore

pytestmark = pytest.mark.conformance

NODE = NodeId("node_a")
OTHER = NodeId("node_b")
TENANT = TenantId("ten_1")


@pytest.fixture(params=["memory", "redis"])
async def store(request, clock, make_session):
    if request.param == "memory":
        yield MemoryStore(Progress, clock=clock)
        return
    from datetime import UTC, datetime

    clock.advance(seconds=(datetime.now(UTC) - clock()).total_seconds())  # a server knows what time it is
    async with await Redis.open(request.getfixturevalue("redis_url")) as redis:
        yield RedisStore(redis)


@pytest.fixture
def session(make_session, clock):
    return make_session(deadline=clock() + timedelta(minutes=15))


@pytest.fixture
async def opened(store, session, clock):
    await store.create(session, token="wrtc_tok_1", token_until=clock() + timedelta(minutes=5))
    return session


def entry(number: int) -> Entry:
    return Entry(
        id=EventId(f"evt_{number}"),
        tenant_id=TENANT,
        tag="session.ended.v1",
        body=b'{"n":%d}' % number,
        trace=f"00-{number}",
    )


async def claim(store, session, node, clock):
    return await store.change(
        session.plan.session_id, lambda s: s.claimed(node, lease_until=clock() + timedelta(seconds=15))
    )


async def test_a_created_session_is_found_whole_by_id_and_by_token(store, opened):
    session_id = opened.plan.session_id

    assert await store.find_by_token("wrtc_tok_1") == session_id
    assert await store.get(session_id) == opened


async def test_an_unknown_token_or_session_is_nothing(store, opened):
    assert await store.find_by_token("wrtc_tok_2") is None
    assert await store.get(SessionId("wrtc_unknown")) is None
    with pytest.raises(NotFound):
        await store.change(SessionId("wrtc_unknown"), lambda s: s)


async def test_a_second_token_opens_the_same_session(store, opened, clock):
    await store.add_token("wrtc_tok_2", opened.plan.session_id, until=clock() + timedelta(minutes=1))

    assert await store.find_by_token("wrtc_tok_2") == opened.plan.session_id


async def test_a_token_that_is_used_up_opens_nothing_for_anybody_else(store, opened, clock):
    await store.add_token("tel_tok_2", opened.plan.session_id, until=clock() + timedelta(minutes=1))

    assert [await store.use_token("tel_tok_2") for _ in range(2)] == [opened.plan.session_id, None]
    assert await store.find_by_token("tel_tok_2") is None
    assert await store.use_token("tel_tok_3") is None
    assert await store.find_by_token("wrtc_tok_1") == opened.plan.session_id


async def test_what_is_known_of_a_telephone_call_is_kept_apart_and_together(store, opened):
    session_id = opened.plan.session_id
    assert await store.call_notes(session_id) == CallNotes()

    await store.note_call(session_id, answered_by=AnsweredBy.MACHINE)
    await store.note_call(session_id, call_id="CA1")

    assert await store.call_notes(session_id) == CallNotes(call_id="CA1", answered_by=AnsweredBy.MACHINE)


async def test_how_often_a_call_was_let_in_again_counts_until_it_is_there(store, opened):
    session_id = opened.plan.session_id
    assert [await store.readmitted(session_id) for _ in range(3)] == [1, 2, 3]
    await store.note_call(session_id, call_id="CA1")
    assert await store.readmitted(session_id) == 1


async def test_a_change_writes_the_session_and_its_entries_together(store, opened, clock):
    changed = await store.change(
        opened.plan.session_id, lambda s: s.moved(SessionState.CONNECTING), entries=(entry(1), entry(2))
    )

    assert changed.state is SessionState.CONNECTING
    assert await store.get(opened.plan.session_id) == changed
    assert [e for _, e in await store.pending(opened.plan.session_id, limit=10)] == [entry(1), entry(2)]
    assert await store.journals() == (opened.plan.session_id,)


async def test_a_change_that_changes_nothing_writes_no_entries(store, opened):
    await store.change(opened.plan.session_id, lambda s: s, entries=(entry(1),))

    assert await store.pending(opened.plan.session_id, limit=10) == ()


async def test_a_refused_change_leaves_everything_as_it_was(store, opened):
    def refuse(session):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.change(opened.plan.session_id, refuse, entries=(entry(1),))

    assert await store.get(opened.plan.session_id) == opened
    assert await store.pending(opened.plan.session_id, limit=10) == ()


async def test_of_changes_at_once_each_sees_the_one_before(store, opened, clock):
    until = clock() + timedelta(seconds=15)
    nodes = [NodeId(f"node_{number}") for number in range(6)]

    await asyncio.gather(
        *(store.change(opened.plan.session_id, lambda s, n=n: s.claimed(n, lease_until=until)) for n in nodes)
    )

    assert (await store.get(opened.plan.session_id)).revision == opened.revision + len(nodes)


async def test_the_owner_appends_entries_and_progress(store, opened, clock):
    await claim(store, opened, NODE, clock)
    progress = Progress(turns=2, elapsed=4.5, usage=Usage(stt=SttUsage(provider="local", audio_seconds=3.5)))

    assert await store.append(opened.plan.session_id, NODE, (entry(1),), progress)

    assert await store.progress(opened.plan.session_id) == progress
    assert [e for _, e in await store.pending(opened.plan.session_id, limit=10)] == [entry(1)]


async def test_nobody_but_the_owner_appends(store, opened, clock):
    await claim(store, opened, OTHER, clock)

    assert not await store.append(opened.plan.session_id, NODE, (entry(1),), Progress(turns=9))

    assert await store.pending(opened.plan.session_id, limit=10) == ()
    assert await store.progress(opened.plan.session_id) == Progress()


async def test_nothing_is_appended_to_an_ended_session(store, opened, clock):
    await claim(store, opened, NODE, clock)
    await store.change(
        opened.plan.session_id, lambda s: s.moved(SessionState.ENDED, reason=EndReason.ERROR, at=clock())
    )

    assert not await store.append(opened.plan.session_id, NODE, (entry(1),), None)


async def test_entries_of_a_session_the_store_forgot_are_kept(store):
    assert await store.append(SessionId("wrtc_forgotten"), NODE, (entry(1),), Progress(turns=1))

    assert [e for _, e in await store.pending(SessionId("wrtc_forgotten"), limit=10)] == [entry(1)]


async def test_published_entries_are_dropped_and_the_rest_stays_in_order(store, opened, clock):
    await claim(store, opened, NODE, clock)
    await store.append(opened.plan.session_id, NODE, tuple(entry(n) for n in range(1, 5)), None)
    positions = [position for position, _ in await store.pending(opened.plan.session_id, limit=2)]

    await store.published(opened.plan.session_id, positions)

    assert [e for _, e in await store.pending(opened.plan.session_id, limit=10)] == [entry(3), entry(4)]
    assert await store.journals() == (opened.plan.session_id,)
    await store.published(opened.plan.session_id, [p for p, _ in await store.pending(opened.plan.session_id, limit=10)])
    assert await store.journals() == ()


async def test_a_session_expires_with_its_lease_and_not_before(store, opened, clock):
    session_id = opened.plan.session_id
    assert await store.expired(clock() + timedelta(minutes=4), limit=10) == ()
    assert await store.expired(clock() + timedelta(minutes=6), limit=10) == (session_id,)

    assert await store.renew({session_id: clock() + timedelta(minutes=10)}) == ()

    assert await store.expired(clock() + timedelta(minutes=6), limit=10) == ()
    assert await store.lease_of(session_id) == clock() + timedelta(minutes=10)


async def test_a_session_that_left_has_no_lease_to_renew(store, opened, clock):
    await store.leave(opened.plan.session_id)

    assert await store.renew({opened.plan.session_id: clock() + timedelta(minutes=10)}) == (opened.plan.session_id,)
    assert await store.lease_of(opened.plan.session_id) is None
    assert await store.expired(clock() + timedelta(minutes=20), limit=10) == ()


async def test_a_tenant_holds_no_more_sessions_than_its_limit(store, clock):
    until = clock() + timedelta(minutes=5)

    async def reserve(name: str, *, limit: int | None = 2) -> bool:
        return await store.reserve(TENANT, SessionId(name), limit=limit, now=clock(), until=until)

    assert [await reserve("a"), await reserve("b"), await reserve("c")] == [True, True, False]
    assert await reserve("a"), "counted once"
    assert await reserve("d", limit=None), "no limit"
    assert await store.reserve(TenantId("ten_2"), SessionId("e"), limit=1, now=clock(), until=until), "other tenant"
    await store.release(TENANT, SessionId("a"))
    await store.release(TENANT, SessionId("d"))
    assert await reserve("c")


async def test_sessions_that_nobody_has_claimed_are_those_that_count_for_the_shortest_time(store, clock):
    now, to_connect = clock(), timedelta(minutes=5)
    for name, until in (
        ("over", now),
        ("a", now + to_connect),
        ("b", now + to_connect),
        ("claimed", now + timedelta(minutes=16)),
    ):
        assert await store.reserve(TENANT, SessionId(name), limit=None, now=now - to_connect, until=until)

    assert await store.waiting(TENANT, now=now, until=now + to_connect) == 2
    assert await store.waiting(TenantId("ten_2"), now=now, until=now + to_connect) == 0


async def test_a_reservation_that_is_over_makes_room(store, clock):
    soon = clock() + timedelta(minutes=1)
    assert await store.reserve(TENANT, SessionId("a"), limit=1, now=clock(), until=soon)
    later = clock() + timedelta(minutes=2)

    assert await store.reserve(TENANT, SessionId("b"), limit=1, now=later, until=later + timedelta(minutes=1))


async def test_of_reservations_at_once_only_as_many_as_allowed_succeed(store, clock):
    until = clock() + timedelta(minutes=5)

    results = await asyncio.gather(
        *(store.reserve(TENANT, SessionId(f"s{n}"), limit=3, now=clock(), until=until) for n in range(10))
    )

    assert sum(results) == 3


async def test_one_process_at_a_time_holds_the_lock(store, opened):
    assert await store.lock(opened.plan.session_id, NODE, seconds=30)
    assert not await store.lock(opened.plan.session_id, OTHER, seconds=30)


async def test_a_forgotten_session_is_restored_with_its_lease(store, session, clock):
    await store.restore(session, lease_until=clock() + timedelta(seconds=15))

    assert await store.get(session.plan.session_id) == session
    assert await store.lease_of(session.plan.session_id) == clock() + timedelta(seconds=15)


async def test_finished_turns_are_kept_in_order_until_the_session_ends(store, opened, clock, make_turn):
    session_id = opened.plan.session_id
    await claim(store, opened, NODE, clock)
    turns = (make_turn(1, "Hello!"), make_turn(2, "What time do you close?"))
    for number, finished in enumerate(turns):
        assert await store.append(session_id, NODE, (entry(number),), Progress(turns=number), finished)

    assert await store.turns(session_id) == turns
    await store.change(session_id, lambda s: s.moved(SessionState.ENDED, reason=EndReason.ERROR, at=clock()))

    assert await store.turns(session_id) == ()


async def test_a_turn_that_another_node_writes_is_not_kept(store, opened, clock, make_turn):
    session_id = opened.plan.session_id
    await claim(store, opened, OTHER, clock)

    assert not await store.append(session_id, NODE, (entry(1),), None, make_turn(1, "too late"))
    assert await store.append(SessionId("wrtc_forgotten"), NODE, (entry(2),), None, make_turn(1, "whose?"))

    assert await store.turns(session_id) == ()
    assert await store.turns(SessionId("wrtc_forgotten")) == ()


async def test_the_owner_keeps_snapshots_and_is_told_of_sessions_that_are_not_its_own(
    store, session, clock, make_session, make_plan
):
    until = clock() + timedelta(minutes=5)
    ids = [SessionId(f"wrtc_{number}") for number in (1, 2, 3)]
    for number in (1, 2, 3):
        made = make_session(make_plan(number), deadline=session.deadline)
        await store.create(made, token=f"t{number}", token_until=until)
        await claim(store, made, OTHER if number == 2 else NODE, clock)
    await store.change(ids[2], lambda s: s.moved(SessionState.ENDED, reason=EndReason.ERROR, at=clock()))
    snapshot = CallSnapshot(elapsed=4.5, next_sequence=3, rest="and then")

    assert await store.keep(NODE, dict.fromkeys(ids, snapshot)) == (ids[1], ids[2])
    assert await store.keep(NODE, {}) == ()

    assert [await store.snapshot(session_id) for session_id in ids] == [snapshot, None, None]
    await store.change(ids[0], lambda s: s.moved(SessionState.ENDED, reason=EndReason.ERROR, at=clock()))
    assert await store.snapshot(ids[0]) is None


async def test_a_session_handed_over_takes_no_more_of_its_former_owner(store, opened, clock, make_turn):
    session_id = opened.plan.session_id
    await claim(store, opened, NODE, clock)
    until = clock() + timedelta(seconds=30)

    await store.change(session_id, lambda s: s.handed_over(lease_until=until, seamless=True))

    kept = await store.get(session_id)
    assert (kept.owner, kept.seamless, kept.state) == (None, True, opened.state)
    assert not await store.append(session_id, NODE, (entry(1),), None, make_turn(1, "too late"))
    assert await store.keep(NODE, {session_id: CallSnapshot()}) == (session_id,)


async def test_a_restored_session_has_its_turns_and_progress_again(store, session, clock, make_turn):
    turns = (make_turn(1, "Hello!"), make_turn(2, "Hi."))
    until = clock() + timedelta(seconds=15)
    for _ in range(2):
        await store.restore(session, lease_until=until, turns=turns, progress=Progress(turns=2))

    assert await store.turns(session.plan.session_id) == turns
    assert (await store.progress(session.plan.session_id)).turns == 2


async def test_a_session_that_the_store_has_is_not_written_back(store, opened, clock, make_turn):
    """Who restores it read it before: what was written since counts."""
    session_id = opened.plan.session_id
    read = await claim(store, opened, NODE, clock)
    await store.append(session_id, NODE, (entry(1),), Progress(turns=1), make_turn(1, "Hello!"))
    ended = await store.change(session_id, lambda s: s.moved(SessionState.ENDED, reason=EndReason.ERROR, at=clock()))
    await store.leave(session_id)

    until = clock() + timedelta(seconds=15)
    await store.restore(read, lease_until=until, turns=(make_turn(1, "Hi."),), progress=Progress(turns=7))

    assert await store.get(session_id) == ended
    assert (await store.turns(session_id), (await store.progress(session_id)).turns) == ((), 1)
    assert await store.lease_of(session_id) == until


async def test_a_seat_is_found_by_its_connection_while_it_is_kept(store, clock):
    def seat(number: int) -> Seat:
        return Seat(
            session_id=SessionId(f"wrtc_{number}"),
            tenant_id=TENANT,
            environment=Environment.LIVE,
            account="usr_1",
            hub="voice",
        )

    await store.seat("digest_1", seat(1), until=clock() + timedelta(minutes=1))
    await store.seat("digest_2", seat(2), until=clock() + timedelta(minutes=1))

    assert await store.seats(("digest_2", "digest_0", "digest_1")) == (seat(2), seat(1))
    assert await store.seats(()) == ()


async def test_tokens_and_seats_of_a_session_that_left_go_soon(store, opened, clock):
    session_id = opened.plan.session_id
    seat = Seat(session_id=session_id, tenant_id=TENANT, environment=Environment.LIVE, account="usr_1", hub="voice")
    await store.add_token("res_tok_1", session_id, until=clock() + timedelta(hours=1))
    await store.seat("digest_1", seat, until=clock() + timedelta(hours=1))

    await store.leave(session_id)

    assert await store.find_by_token("res_tok_1") == session_id, "for a minute, to say that it is over"
    assert await store.seats(("digest_1",)) == (seat,)
    if isinstance(store, MemoryStore):
        clock.advance(seconds=61)
        assert await store.find_by_token("res_tok_1") is None
        assert await store.seats(("digest_1",)) == ()
    else:
        lasting = {key: await store._client.ttl(key) for key in await store._client.keys("vs:*")}
        assert {key for key in lasting if b"tok:" in key or b"seat:" in key}
        assert all(0 < seconds <= 60 for key, seconds in lasting.items() if b":state" not in key), lasting


async def test_a_change_of_what_was_known_looks_again_when_it_has_changed_since(store, opened, clock):
    first = await store.change(opened.plan.session_id, lambda s: s.claimed(NODE, lease_until=clock()), known=opened)
    assert (first.owner, first.revision) == (NODE, opened.revision + 1)

    seen = []

    def claimed(kept):
        seen.append(kept.owner)
        return kept.claimed(OTHER, lease_until=clock())

    second = await store.change(opened.plan.session_id, claimed, known=opened)
    assert (seen[-1], second.owner, second.revision) == (NODE, OTHER, opened.revision + 2)
    assert await store.get(opened.plan.session_id) == second
