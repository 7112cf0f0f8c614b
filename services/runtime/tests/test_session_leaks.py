"""A thousand short sessions on a real store, ended in every way there is: nothing of them is left."""

import asyncio
import gc
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, Session, SessionPlan, SessionState
from voisnap_kit.redis import Redis
from voisnap_proto.events import SessionEnded, SessionStarted
from voisnap_proto.requests import EndSession, OpenSession
from voisnap_runtime.sessions.desk import Desk, DeskSettings
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.sessions.store import RedisStore, Seat
from voisnap_runtime.transports.port import LinkQuality

pytestmark = pytest.mark.slice

SESSIONS = 1000
AT_ONCE = 20


class Line:
    """Media over a hub."""

    state = "connected"

    def quality(self) -> LinkQuality:
        return LinkQuality(packets_received=1)

    def send(self, audio: Any) -> None: ...
    async def close(self) -> None: ...


class Platform:
    """Two processes on one store, and somebody who opens sessions."""

    def __init__(self, store: RedisStore, houses: tuple[Any, Any], desk: Desk, make_audience: Any) -> None:
        self.store = store
        self.first, self.second = houses
        self.desk = desk
        self.make_audience = make_audience

    async def open(self, plan: SessionPlan) -> None:
        await self.desk.open(OpenSession(plan=plan))

    async def talk(self, house: Any, session_id: SessionId, *, takes_over: bool = False) -> tuple[Any, Any, Any]:
        """A caller on a hub of that process: the session, its call and its audience."""
        live = await house.sessions.claim(session_id, takes_over=takes_over)
        audience = self.make_audience()
        live.attach(audience, resumed=takes_over)
        await live.connect(Line())
        for _ in range(20):
            if house.calls[session_id].running.is_set():
                break
            await asyncio.sleep(0)
        seat = Seat(
            session_id=session_id,
            tenant_id=live.plan.tenant_id,
            environment=live.plan.environment,
            account="usr_1",
            hub="voice",
        )
        await house.sessions.remember(f"digest of {session_id}", seat)
        call = house.calls[session_id]
        call.say(1, "Hello!")
        return live, call, audience

    async def forget(self, live: Any) -> None:
        """Its process is gone, as `kill -9` takes it: nothing of what it would have written is written."""
        live._void = True
        live.end(EndReason.NODE_LOST)
        await live.over()


async def ended_by_the_agent(platform: Platform, plan: SessionPlan) -> None:
    live, call, _ = await platform.talk(platform.first, plan.session_id)
    call.done.set_result(EndReason.AGENT_ENDED)
    await live.over()


async def hung_up(platform: Platform, plan: SessionPlan) -> None:
    live, _, _ = await platform.talk(platform.second, plan.session_id)
    live.end(EndReason.USER_ENDED)
    await live.over()


async def refused(platform: Platform, plan: SessionPlan) -> None:
    platform.first.sessions._parts = msgspec.structs.replace(platform.first.sessions._parts, max_sessions=0)
    try:
        with pytest.raises(DomainError):
            await platform.first.sessions.claim(plan.session_id)
    finally:
        platform.first.sessions._parts = msgspec.structs.replace(platform.first.sessions._parts, max_sessions=100)
    await platform.desk.end(EndSession(session_id=plan.session_id, reason=EndReason.ERROR))


async def never_came(platform: Platform, plan: SessionPlan) -> None:
    await platform.store.renew({plan.session_id: datetime.now(UTC) - timedelta(seconds=1)})


async def half_open(platform: Platform, plan: SessionPlan) -> None:
    live = await platform.first.sessions.claim(plan.session_id)
    audience = platform.make_audience()
    live.attach(audience, resumed=False)
    live.detach(audience)
    live.end(EndReason.DISCONNECTED)
    await live.over()


async def failed(platform: Platform, plan: SessionPlan) -> None:
    live, call, _ = await platform.talk(platform.first, plan.session_id)
    call.done.set_exception(RuntimeError("a bug"))
    await live.over()


async def killed_and_taken_over(platform: Platform, plan: SessionPlan) -> None:
    live, _, _ = await platform.talk(platform.first, plan.session_id)
    await platform.first.journal.flushed(plan.session_id, timeout=5)
    await platform.forget(live)
    resumed, call, _ = await platform.talk(platform.second, plan.session_id, takes_over=True)
    call.done.set_result(EndReason.AGENT_ENDED)
    await resumed.over()


async def killed_for_good(platform: Platform, plan: SessionPlan) -> None:
    live, _, _ = await platform.talk(platform.first, plan.session_id)
    await platform.first.journal.flushed(plan.session_id, timeout=5)
    await platform.forget(live)
    await platform.store.renew({plan.session_id: datetime.now(UTC) - timedelta(seconds=60)})


async def came_back_elsewhere(platform: Platform, plan: SessionPlan) -> None:
    live, _, audience = await platform.talk(platform.first, plan.session_id)
    live.detach(audience)
    resumed, call, _ = await platform.talk(platform.second, plan.session_id, takes_over=True)
    await live.over()
    call.done.set_result(EndReason.AGENT_ENDED)
    await resumed.over()


async def handed_over_to_nobody(platform: Platform, plan: SessionPlan) -> None:
    live, _, _ = await platform.talk(platform.second, plan.session_id)
    assert await live.hand_over(seamless=True, until=datetime.now(UTC) - timedelta(seconds=1))
    await live.over()


FATES = (
    ended_by_the_agent,
    hung_up,
    refused,
    never_came,
    half_open,
    failed,
    killed_and_taken_over,
    killed_for_good,
    came_back_elsewhere,
    handed_over_to_nobody,
)
STARTED = {
    ended_by_the_agent,
    hung_up,
    failed,
    killed_and_taken_over,
    killed_for_good,
    came_back_elsewhere,
    handed_over_to_nobody,
}
TOLD = STARTED | {half_open}


@pytest.fixture
async def platform(redis_url, house, build_house, clock, make_audience):
    clock.advance(seconds=(datetime.now(UTC) - clock()).total_seconds())
    clock.follow(asyncio.get_running_loop())
    async with await Redis.open(redis_url, max_connections=8) as redis:
        store = RedisStore(redis)
        houses = (house, await build_house("node_b", max_sessions=100))
        for made in houses:
            made.use(store, max_sessions=100)
        desk = Desk(
            DeskSettings(node_id=NodeId("node_a"), max_sessions=100),
            store,
            house.bus,
            house.sessions,
            check_providers=lambda _: None,
            now=clock,
            random_bytes=os.urandom,
        )
        yield Platform(store, houses, desk, make_audience)


async def pass_through(platform: Platform, plans: list[SessionPlan]) -> None:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, plan: SessionPlan) -> None:
        async with free:
            await platform.open(plan)
            await FATES[number % len(FATES)](platform, plan)

    await asyncio.gather(*(one(number, plan) for number, plan in enumerate(plans)))


async def settled(platform: Platform, reaper: Reaper) -> None:
    """Until the reaper has found everything and everything is told."""
    while (await reaper.reap()).ended:
        pass
    for house in (platform.first, platform.second):
        assert await house.relay.drained(timeout=10)
        assert (house.journal.backlog, house.relay.backlog, len(house.sessions)) == (0, 0, 0)


def held() -> tuple[int, int]:
    """Tasks and file descriptors."""
    gc.collect()
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def test_a_thousand_sessions_leave_nothing_behind(platform, make_plan):
    store = platform.store
    reaper = Reaper(
        store,
        NodeId("reaper"),
        platform.second.recordings,
        publish=platform.second.relay.wake,
        now=lambda: datetime.now(UTC),
        new_event_id=platform.second.new_event_id,
        neighbours=platform.second.neighbours,
    )
    plans = [make_plan(number) for number in range(SESSIONS + 50)]
    await pass_through(platform, plans[SESSIONS:])  # connections and caches that stay
    await settled(platform, reaper)
    before = held()
    counted = len(platform.first.bus.published)

    await pass_through(platform, plans[:SESSIONS])
    await settled(platform, reaper)

    events = platform.first.bus.published[counted:]
    fates = [FATES[number % len(FATES)] for number in range(SESSIONS)]
    assert sum(isinstance(event, SessionStarted) for event in events) == sum(fate in STARTED for fate in fates)
    ends = [event.session_id for event in events if isinstance(event, SessionEnded)]
    assert len(ends) == len(set(ends)) == sum(fate in TOLD for fate in fates)
    tasks, files = held()
    assert tasks <= before[0]
    assert files <= before[1] + 2
    for house in (platform.first, platform.second):
        assert not house.pacer.pairs
        assert not house.sessions._live
        assert not house.sessions._locks
        assert not house.sessions._tasks
        assert not house.journal._waiting
    assert await _unexpected(store) == {}


async def _unexpected(store: RedisStore) -> dict[str, int]:
    """Keys that are neither an ended session nor one of its tickets, or that stay for longer than a minute or so."""
    client = store._client
    keys = [key async for key in client.scan_iter("vs:*", count=1000)]
    async with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.ttl(key)
        lasting = await pipeline.execute()
    kinds = (b":state", b"vs:tok:", b"vs:seat:", b":lock")
    found = {
        key.decode(): seconds
        for key, seconds in zip(keys, lasting, strict=True)
        if not any(kind in key for kind in kinds) or not 0 <= seconds <= 62
    }
    states = [key for key in keys if b":state" in key]
    async with client.pipeline(transaction=False) as pipeline:
        for key in states:
            pipeline.hmget(key, "session", "snapshot")
        kept = await pipeline.execute()
    assert {msgspec.json.decode(session, type=Session).state for session, _ in kept} == {SessionState.ENDED}
    assert {snapshot for _, snapshot in kept} == {None}
    return found
