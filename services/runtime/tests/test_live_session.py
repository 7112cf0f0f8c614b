"""One session from its claim to its end: told once, whatever happens on the way."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import LimitReached, NotFound
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.sessions.parts import SessionGone, SessionInUse

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SDP = "v=0"


@pytest.fixture
async def talking(house, make_audience):
    """A session in the middle of its call: (live, call, transport, audience)."""
    house.clock.follow(asyncio.get_running_loop())
    session = await house.open()
    live = await house.sessions.claim(session.plan.session_id)
    audience = make_audience()
    live.attach(audience, resumed=False)
    await live.answer(SDP, "offer")
    transport = house.transports[-1]
    transport.become("connected")
    call = house.calls[session.plan.session_id]
    await call.running.wait()
    return live, call, transport, audience


async def told(house, live) -> list:
    await live.over()
    assert await house.relay.drained(timeout=30)
    return house.events


async def ticks(house, seconds: int) -> None:
    """Let time pass, looked after once a second."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        await house.sessions.tick()


async def test_a_call_is_told_from_its_start_to_its_end(house, talking):
    live, call, transport, audience = talking
    call.say(1, "Hello!")
    call.say(2, "What time do you close?", speaker=Speaker.USER)
    await asyncio.sleep(12)
    call.done.set_result(EndReason.AGENT_ENDED)

    events = await told(house, live)

    assert [type(event) for event in events] == [SessionStarted, TurnFinished, TurnFinished, SessionEnded]
    end = events[-1]
    assert (end.reason, end.turns, end.duration_seconds) == (EndReason.AGENT_ENDED, 2, pytest.approx(12, abs=0.1))
    assert end.started_at == events[0].started_at
    assert end.ended_at - end.started_at == timedelta(seconds=12)
    assert end.usage.llm.output_tokens == 3
    assert (end.quality.packets_received, end.quality.packets_lost) == (50, 1)
    assert audience.names == ["started", "candidate", "told", "told", "ended"]
    assert audience.left
    assert transport.closed.is_set()
    assert house.pacer.pairs == {}
    assert len(house.sessions) == 0
    kept = await house.store.get(live.plan.session_id)
    assert (kept.state, kept.end_reason) == (SessionState.ENDED, EndReason.AGENT_ENDED)
    assert house.store.leases == {}
    assert house.store.tenants["ten_1"] == {}


async def test_the_caller_hears_nothing_before_media_are_connected(house, make_audience):
    session = await house.open()
    live = await house.sessions.claim(session.plan.session_id)
    live.attach(make_audience(), resumed=False)
    await live.answer(SDP, "offer")

    assert house.pacer.pairs == {}
    assert not house.calls[session.plan.session_id].running.is_set()
    house.transports[-1].become("connected")
    await house.calls[session.plan.session_id].running.wait()
    assert len(house.pacer.pairs) == 1


async def test_audio_before_the_call_began_is_dropped_and_then_reaches_it(house, talking):
    live, call, _, _ = talking
    live.feed("audio", 1.0)
    live.dtmf("5")

    assert (call.fed, call.digits) == (["audio"], ["5"])


async def test_hanging_up_ends_it_with_the_callers_reason_and_what_was_said_last(house, talking):
    live, call, _, audience = talking
    call.last_words = lambda: call.say(1, "Goodb")
    live.end(EndReason.USER_ENDED)
    live.end(EndReason.TIMEOUT)

    events = await told(house, live)

    assert [type(event) for event in events] == [SessionStarted, TurnFinished, SessionEnded]
    assert (events[-1].reason, events[-1].turns) == (EndReason.USER_ENDED, 1)
    assert audience.seen[-1] == ("ended", EndReason.USER_ENDED)


async def test_a_call_that_does_not_end_is_broken_off(house, talking):
    live, call, transport, _ = talking
    call.deaf = True
    before = asyncio.get_running_loop().time()
    live.end(EndReason.USER_ENDED)

    events = await told(house, live)

    assert asyncio.get_running_loop().time() - before < 3
    assert events[-1].reason is EndReason.USER_ENDED
    assert transport.closed.is_set()


async def test_a_call_that_fails_ends_as_an_error_and_says_so(house, talking):
    live, call, _, audience = talking
    call.done.set_exception(RuntimeError("a bug"))

    events = await told(house, live)

    assert events[-1].reason is EndReason.ERROR
    assert audience.names[-2:] == ["failed", "ended"]


async def test_a_fault_on_the_audio_path_ends_that_call_alone(house, talking):
    live, _, _, audience = talking
    house.pacer.on_fault(ValueError("a bug"))

    assert (await told(house, live))[-1].reason is EndReason.ERROR
    assert "failed" in audience.names


async def test_without_its_hub_the_call_goes_on_while_media_live(house, talking, make_audience):
    live, call, _, audience = talking
    live.detach(audience)
    for _ in range(40):
        live.feed("audio", asyncio.get_running_loop().time())
        await ticks(house, 1)
    assert len(house.sessions) == 1
    call.say(1, "still here")

    returned = make_audience()
    live.attach(returned, resumed=True)
    call.notify(call_events.AudioCleared())

    assert returned.seen == [("started", True), ("told", call_events.AudioCleared())]


async def test_a_page_that_is_gone_without_a_word_is_awaited_for_thirty_seconds(house, talking):
    live, _, _transport, audience = talking
    live.feed("audio", asyncio.get_running_loop().time())
    live.detach(audience)

    await ticks(house, 28)
    assert (await house.store.get(live.plan.session_id)).state is SessionState.RECONNECTING
    await ticks(house, 3)

    events = await told(house, live)
    assert events[-1].reason is EndReason.DISCONNECTED


async def test_lost_media_are_awaited_while_the_hub_is_there(house, talking):
    live, _call, transport, _ = talking
    transport.become("disconnected")
    await ticks(house, 20)
    assert (await house.store.get(live.plan.session_id)).state is SessionState.RECONNECTING
    transport.become("connected")
    await ticks(house, 2)
    assert (await house.store.get(live.plan.session_id)).state is SessionState.ACTIVE

    transport.become("failed")
    await ticks(house, 31)

    assert (await told(house, live))[-1].reason is EndReason.DISCONNECTED


async def test_an_offer_after_the_media_closed_gets_a_new_transport_for_the_same_call(house, talking):
    live, _call, first, _ = talking
    first.become("closed")

    await live.answer(SDP, "offer")
    second = house.transports[-1]
    second.become("connected")

    assert second is not first
    assert first.closed.is_set()
    assert [pair[1] for pair in house.pacer.pairs.values()] == [second]
    assert not live._ending.done()


async def test_a_second_offer_renegotiates_on_the_same_transport(house, talking):
    live, _, transport, _ = talking

    assert await live.answer("v=0 again", "offer") == ("v=0 again answered", "answer")

    assert house.transports == [transport]


async def test_a_caller_who_never_brings_media_is_let_go(house, make_audience):
    house.clock.follow(asyncio.get_running_loop())
    session = await house.open()
    live = await house.sessions.claim(session.plan.session_id)
    live.attach(make_audience(), resumed=False)

    await ticks(house, 121)

    (end,) = await told(house, live)
    assert (end.reason, end.started_at, end.duration_seconds) == (EndReason.TIMEOUT, None, 0.0)


async def test_a_session_never_outlives_its_deadline(house, talking):
    live, *_ = talking
    house.clock.follow(asyncio.get_running_loop())
    await asyncio.sleep(901)
    await house.sessions.tick()

    assert (await told(house, live))[-1].reason is EndReason.MAX_DURATION


async def test_leases_are_renewed_for_as_long_as_the_session_lives(house, talking):
    live, *_ = talking
    await ticks(house, 60)

    lease = await house.store.lease_of(live.plan.session_id)
    assert house.clock() < lease <= house.clock() + timedelta(seconds=15)


async def test_calls_go_on_while_the_store_is_away(house, talking):
    live, call, _, _ = talking
    house.store.away = True
    call.say(1, "Hello!")
    await ticks(house, 30)
    assert len(house.sessions) == 1
    house.store.away = False
    call.done.set_result(EndReason.AGENT_ENDED)

    events = await told(house, live)

    assert [type(event) for event in events] == [SessionStarted, TurnFinished, SessionEnded]


async def test_a_store_that_forgot_everything_is_told_again(house, talking):
    live, call, _, _ = talking
    house.store.sessions.clear()
    house.store.leases.clear()

    await ticks(house, 6)

    assert (await house.store.get(live.plan.session_id)).owner == "node_a"
    call.done.set_result(EndReason.AGENT_ENDED)
    assert (await told(house, live))[-1].reason is EndReason.AGENT_ENDED


async def test_a_session_that_another_node_took_stops_without_a_word_to_the_bus(house, talking):
    live, call, transport, audience = talking
    await house.relay.drained(timeout=5)
    await house.store.change(live.plan.session_id, lambda s: s.claimed(NodeId("node_b"), lease_until=house.clock()))
    call.say(1, "too late")

    await live.over()
    await house.relay.drained(timeout=5)

    assert [type(event) for event in house.events] == [SessionStarted]
    assert audience.names[-1] == "give way", "it has not ended: it goes on elsewhere"
    assert "ended" not in audience.names
    assert transport.closed.is_set()
    assert (await house.store.get(live.plan.session_id)).owner == "node_b"


async def test_only_one_hub_at_a_time_and_another_after_it(house, talking, make_audience):
    live, _, _, audience = talking
    with pytest.raises(SessionInUse):
        live.attach(make_audience(), resumed=True)

    live.detach(audience)
    live.attach(make_audience(), resumed=True)


async def test_claims_at_once_give_the_same_session(house):
    session = await house.open()

    claimed = await asyncio.gather(*(house.sessions.claim(session.plan.session_id) for _ in range(5)))

    assert len({id(live) for live in claimed}) == 1
    assert len(house.sessions) == 1


async def test_a_full_node_refuses_and_an_unknown_session_is_not_found(house, make_plan):
    for number in (1, 2):
        await house.open(make_plan(number), token=f"t{number}")
        await house.sessions.claim(SessionId(f"wrtc_{number}"))
    await house.open(make_plan(3), token="t3")

    with pytest.raises(LimitReached) as refusal:
        await house.sessions.claim(SessionId("wrtc_3"))
    assert refusal.value.code == "node-full"
    house.sessions.end(SessionId("wrtc_1"), EndReason.USER_ENDED)
    await house.sessions.get(SessionId("wrtc_1")).over()
    await asyncio.sleep(0)
    with pytest.raises(NotFound):
        await house.sessions.claim(SessionId("wrtc_9"))


async def test_a_session_that_is_over_cannot_be_claimed(house):
    await house.open()
    await house.store.change(
        SessionId("wrtc_1"), lambda s: s.moved(SessionState.ENDED, reason=EndReason.TIMEOUT, at=house.clock())
    )

    with pytest.raises(SessionGone):
        await house.sessions.claim(SessionId("wrtc_1"))


async def test_a_claimed_session_counts_towards_its_tenant_until_it_ends(house):
    session = await house.open()
    live = await house.sessions.claim(session.plan.session_id)
    assert house.store.tenants["ten_1"][session.plan.session_id] > session.deadline

    live.end(EndReason.USER_ENDED)
    await live.over()

    assert house.store.tenants["ten_1"] == {}


async def test_a_process_that_has_to_go_ends_its_sessions_properly(house, talking):
    _live, call, _, audience = talking
    call.deaf = True
    before = asyncio.get_running_loop().time()

    await house.sessions.close(timeout=2.5)

    assert asyncio.get_running_loop().time() - before <= 2.5
    assert await house.relay.drained(timeout=1)
    assert house.events[-1].reason is EndReason.NODE_LOST
    assert audience.left


async def test_a_process_that_has_to_go_takes_no_more_sessions(house):
    await house.open()
    await house.sessions.close(timeout=1)

    with pytest.raises(LimitReached):
        await house.sessions.claim(SessionId("wrtc_1"))


async def test_a_hundred_calls_leave_nothing_behind(house, make_plan, make_audience):
    tasks = len(asyncio.all_tasks())
    for number in range(100):
        await house.open(make_plan(number), token=f"t{number}")
        live = await house.sessions.claim(SessionId(f"wrtc_{number}"))
        live.attach(make_audience(), resumed=False)
        if number % 3:
            await live.answer(SDP, "offer")
            house.transports[-1].become("connected")
            await house.calls[live.plan.session_id].running.wait()
        live.end(EndReason.USER_ENDED)
        await live.over()
    await house.relay.drained(timeout=60)

    assert len(house.sessions) == 0
    assert len(asyncio.all_tasks()) == tasks
    assert (house.journal.backlog, house.relay.backlog) == (0, 0)
    assert not house.journal._waiting
    assert house.pacer.pairs == {}
    assert house.store.journal == house.store.leases == {}


async def test_a_call_that_cannot_be_made_ends_its_session(house, monkeypatch):
    session = await house.open()

    def refuse(*_):
        raise RuntimeError("no such voice")

    monkeypatch.setattr(house, "_make_call", refuse)
    house.sessions._parts = type(house.sessions._parts)(
        **{
            **{f: getattr(house.sessions._parts, f) for f in house.sessions._parts.__struct_fields__},
            "make_call": refuse,
        }
    )

    with pytest.raises(RuntimeError):
        await house.sessions.claim(session.plan.session_id)

    assert (await house.store.get(session.plan.session_id)).state is SessionState.ENDED
    assert house.store.leases == {}
    assert len(house.sessions) == 0


async def test_no_word_of_a_hipaa_call_is_written_down_but_its_caller_sees_them(house, make_plan, make_audience):
    house.clock.follow(asyncio.get_running_loop())
    plan = make_plan(recorded=True)
    config = msgspec.structs.replace(plan.agent.config, hipaa_compliant=True)
    plan = msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))
    await house.open(plan)
    live = await house.sessions.claim(plan.session_id)
    audience = make_audience()
    live.attach(audience, resumed=False)
    await live.answer(SDP, "offer")
    house.transports[-1].become("connected")
    call = house.calls[plan.session_id]
    await call.running.wait()
    call.say(1, "My test was positive.", speaker=Speaker.USER)
    call.done.set_result(EndReason.AGENT_ENDED)

    events = await told(house, live)

    turn = next(event.turn for event in events if isinstance(event, TurnFinished))
    assert (turn.sequence, turn.speaker, turn.text, turn.words) == (1, Speaker.USER, "", ())
    assert events[-1].recording is None
    assert "told" in audience.names


async def test_of_two_nodes_that_claim_at_once_only_the_faster_gets_the_session(house, monkeypatch):
    session = await house.open()
    change = house.store.change

    async def change_after_another_node(session_id, change_it, **rest):
        lease_until = house.clock() + timedelta(seconds=15)
        await change(
            session_id, lambda s: s.moved(SessionState.CONNECTING).claimed(NodeId("node_b"), lease_until=lease_until)
        )
        return await change(session_id, change_it, **rest)

    monkeypatch.setattr(house.store, "change", change_after_another_node)
    with pytest.raises(SessionInUse):
        await house.sessions.claim(session.plan.session_id)
    assert (await house.store.get(session.plan.session_id)).owner == "node_b"
    assert len(house.sessions) == 0


async def test_what_ended_sessions_held_is_swept_up_together_or_when_nobody_is_left(house, make_plan):
    swept: list[int] = []
    house.sessions._sweep = lambda: swept.append(len(house.sessions))
    for number in range(3):
        await house.open(make_plan(number))
    first, second = [await house.sessions.claim(make_plan(number).session_id) for number in range(2)]
    first.end(EndReason.USER_ENDED)
    await first.over()
    await ticks(house, 2)
    assert swept == []
    second.end(EndReason.USER_ENDED)
    await second.over()
    await ticks(house, 3)
    assert swept == [0]
