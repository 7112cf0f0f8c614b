"""Whatever fails around a session, it ends in a known way and leaves nothing behind."""

import asyncio

import pytest
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.transports.port import LinkQuality

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SLOW_SECONDS = 12
"""More than any end may take."""


class Line:
    """Media over a hub."""

    def __init__(self) -> None:
        self.state = "connected"
        self.stuck = False

    def quality(self) -> LinkQuality:
        return LinkQuality()

    def send(self, audio) -> None: ...

    async def close(self) -> None:
        if self.stuck:
            await asyncio.Event().wait()


@pytest.fixture
async def talking(house, make_audience, make_plan):
    """A recorded call over a hub, one turn old: (live, call, audience, line)."""
    house.clock.follow(asyncio.get_running_loop())
    session = await house.open(make_plan(recorded=True))
    live = await house.sessions.claim(session.plan.session_id)
    audience, line = make_audience(), Line()
    live.attach(audience, resumed=False)
    await live.connect(line)
    call = house.calls[session.plan.session_id]
    await call.running.wait()
    call.say(1, "Hello!")
    call.speak(3)
    return live, call, audience, line


async def ticks(house, seconds: int) -> None:
    for _ in range(seconds):
        await asyncio.sleep(1)
        await house.sessions.tick()


async def told(house, live) -> list:
    async with asyncio.timeout(SLOW_SECONDS):
        await live.over()
    assert await house.relay.drained(timeout=60)
    return house.events


def nothing_is_left(house) -> bool:
    store = house.store
    return (
        len(house.sessions) == 0
        and not house.pacer.pairs
        and not store.leases
        and not store.finished
        and not store.snapshots
        and not any(store.tenants.values())
        and not house.sessions._locks
    )


async def test_the_bus_away_for_half_a_minute_delays_what_is_told_and_nothing_else(house, talking):
    live, call, _, _ = talking
    await house.relay.drained(timeout=5)
    house.bus.away = True
    call.say(2, "What time do you close?", speaker=Speaker.USER)
    await ticks(house, 30)
    call.say(3, "At six.")
    call.done.set_result(EndReason.AGENT_ENDED)
    async with asyncio.timeout(SLOW_SECONDS):
        await live.over()
    assert nothing_is_left(house)
    assert [type(event) for event in house.events] == [SessionStarted, TurnFinished]
    house.bus.away = False

    assert await house.relay.drained(timeout=60)

    assert [type(event) for event in house.events[2:]] == [TurnFinished, TurnFinished, SessionEnded]


async def test_a_store_away_longer_than_the_window_neither_ends_nor_loses_a_call(house, talking, build_house):
    live, call, _, _ = talking
    house.store.away = True
    call.say(2, "What time do you close?", speaker=Speaker.USER)
    await ticks(house, 45)
    assert not live.is_ending
    house.store.away = False
    await ticks(house, 2)
    assert house.store.leases[live.plan.session_id] > house.clock()
    call.done.set_result(EndReason.AGENT_ENDED)

    events = await told(house, live)

    assert [type(event) for event in events] == [SessionStarted, TurnFinished, TurnFinished, SessionEnded]
    assert nothing_is_left(house)


async def test_a_store_that_lost_everything_gets_the_end_of_the_call_all_the_same(house, talking):
    live, call, _, _ = talking
    await house.journal.flushed(live.plan.session_id, timeout=1)
    await house.relay.drained(timeout=5)
    for kept in (house.store.sessions, house.store.leases, house.store.finished, house.store.journal):
        kept.clear()
    call.say(2, "What time do you close?", speaker=Speaker.USER)
    await ticks(house, 6)
    kept = await house.store.get(live.plan.session_id)
    assert (kept.state, kept.connected_at) == (SessionState.ACTIVE, live.known.connected_at)
    call.done.set_result(EndReason.USER_ENDED)

    events = await told(house, live)

    assert [type(event) for event in events] == [SessionStarted, TurnFinished, TurnFinished, SessionEnded]
    assert nothing_is_left(house)


async def test_a_call_that_can_no_longer_hear_ends_with_an_error(house, talking):
    live, call, audience, _ = talking
    call.done.set_result(EndReason.ERROR)

    assert (await told(house, live))[-1].reason is EndReason.ERROR
    assert audience.seen[-1] == ("ended", EndReason.ERROR)
    assert nothing_is_left(house)


async def test_a_call_that_does_not_even_stop_when_it_is_cancelled_holds_up_nobody(house, talking):
    live, call, audience, _ = talking
    call.deaf = True
    free = asyncio.Event()
    call.freed_by = free
    live.end(EndReason.USER_ENDED)

    events = await told(house, live)

    assert events[-1].reason is EndReason.USER_ENDED
    assert audience.left
    assert nothing_is_left(house)
    free.set()


async def test_hanging_media_a_hanging_hub_and_hanging_storage_do_not_hold_up_the_end(house, talking, monkeypatch):
    live, call, audience, line = talking
    line.stuck = True
    for_ever = asyncio.Event()

    async def hang(*_args, **_more) -> None:
        await for_ever.wait()

    monkeypatch.setattr(audience, "leave", hang)
    monkeypatch.setattr(house.blobs, "put", hang)
    monkeypatch.setattr(house.blobs, "put_stream", hang)
    call.done.set_result(EndReason.AGENT_ENDED)

    events = await told(house, live)

    assert (events[-1].reason, events[-1].warnings) == (EndReason.AGENT_ENDED, ("recording-late",))
    assert nothing_is_left(house)
    for_ever.set()


async def test_a_hub_that_hangs_does_not_hold_up_the_hand_over(house, talking, monkeypatch):
    live, _, audience, line = talking
    line.stuck = True

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(audience, "come_back", hang)
    async with asyncio.timeout(SLOW_SECONDS):
        await house.sessions.hand_over(timeout=1)

    assert len(house.sessions) == 0
    assert live.has_left


async def test_a_session_that_fails_when_it_is_looked_after_ends_and_the_others_go_on(
    house, talking, make_plan, make_audience, monkeypatch
):
    live, call, _, _ = talking
    await house.open(make_plan(2), token="t2")
    second = await house.sessions.claim("wrtc_2")
    second.attach(make_audience(), resumed=False)
    await second.connect(Line())

    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(live, "look_after", fail)
    monkeypatch.setattr(call, "snapshot", fail)
    await ticks(house, 6)

    assert (await told(house, live))[-1].reason is EndReason.ERROR
    assert not second.is_ending
    assert house.store.leases["wrtc_2"] > house.clock()
    second.end(EndReason.USER_ENDED)
    await second.over()


async def test_a_caller_whose_media_never_come_is_let_go(house, make_audience, make_plan):
    house.clock.follow(asyncio.get_running_loop())
    await house.open(make_plan())
    live = await house.sessions.claim("wrtc_1")
    live.attach(make_audience(), resumed=False)
    await live.answer("v=0", "offer")
    house.transports[-1].become("connecting")

    await ticks(house, 121)

    assert (await told(house, live))[-1].reason is EndReason.TIMEOUT
    assert nothing_is_left(house)


async def test_a_claim_without_a_hub_is_let_go(house, make_plan):
    house.clock.follow(asyncio.get_running_loop())
    await house.open(make_plan())
    live = await house.sessions.claim("wrtc_1")

    await ticks(house, 11)

    assert (await told(house, live))[-1].reason is EndReason.DISCONNECTED
    assert nothing_is_left(house)


async def test_a_call_whose_notes_are_not_written_yet_rather_stays_than_loses_them(house, talking):
    live, call, _, _ = talking
    house.store.away = True
    call.say(2, "What time do you close?", speaker=Speaker.USER)

    assert not await live.hand_over(seamless=True, until=house.clock())

    assert not live.is_ending
    assert not call.held
    house.store.away = False
    call.done.set_result(EndReason.AGENT_ENDED)
    assert [event.turn.sequence for event in (await told(house, live))[1:-1]] == [1, 2]
