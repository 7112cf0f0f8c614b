"""A session goes on in another process: killed, stopped or asked for it, and always as one conversation."""

import asyncio
from datetime import timedelta

import pytest
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_domain.tenants import Environment
from voisnap_kit.redis import RedisError
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.sessions.parts import SessionGone, SessionInUse
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.sessions.store import Seat

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SESSION = SessionId("wrtc_1")


@pytest.fixture
async def other(build_house):
    return await build_house("node_b")


class HubMedia:
    """Audio over a hub connection."""

    def __init__(self) -> None:
        self.state = "connected"
        self.closed = False

    def quality(self):
        from voisnap_runtime.transports.port import LinkQuality

        return LinkQuality(packets_received=10)

    def send(self, audio) -> None: ...

    async def close(self) -> None:
        self.closed = True


async def call_on(house, audience, *, takes_over: bool = False, resumed: bool = False):
    """A hub connection of the session on a house, its media connected: (live, call)."""
    live = await house.sessions.claim(SESSION, takes_over=takes_over)
    live.attach(audience, resumed=resumed)
    await live.connect(HubMedia())
    for _ in range(50):
        call = house.calls[SESSION]
        if call.running.is_set():
            return live, call
        await asyncio.sleep(0)
    raise AssertionError("the call does not begin")


@pytest.fixture
async def talking(house, make_audience, make_plan):
    """A recorded session in the middle of its call over a hub, two turns old: (live, call, audience)."""
    house.clock.follow(asyncio.get_running_loop())
    await house.open(make_plan(recorded=True))
    audience = make_audience()
    live, call = await call_on(house, audience)
    call.say(1, "Hello, this is Aria.")
    await asyncio.sleep(2)
    call.say(2, "What time do you close?", speaker=Speaker.USER)
    await house.journal.flushed(SESSION, timeout=1)
    return live, call, audience


def in_flight(make_turn, sequence: int = 3, text: str = "We close at") -> CallSnapshot:
    return CallSnapshot(
        elapsed=1.5, next_sequence=sequence, agent=make_turn(sequence, text), rest="six in the evening.", disclosed=True
    )


async def events_of(*houses) -> list:
    for house in houses:
        await house.relay.drained(timeout=30)
    return houses[0].events


async def ticks(seconds: float, *houses) -> None:
    for _ in range(round(seconds)):
        await asyncio.sleep(1)
        for house in houses:
            await house.sessions.tick()


async def test_a_killed_process_loses_nothing_but_the_sentence_in_flight(
    house, other, talking, make_audience, make_turn
):
    _, call, _ = talking
    call.stands_at = in_flight(make_turn)
    await house.sessions.keep()
    await house.kill()
    await asyncio.sleep(1.5)

    resumed_by = make_audience()
    live, went_on = await call_on(other, resumed_by, resumed=True)

    resumption = went_on.resumption
    assert [turn.text for turn in resumption.turns] == ["Hello, this is Aria.", "What time do you close?"]
    assert resumption.snapshot == in_flight(make_turn)
    assert resumption.elapsed == pytest.approx(3.5, abs=0.6)
    assert not resumption.seamless
    went_on.say(3, "We close at")
    went_on.say(4, "Sorry, we were cut off. We close at six.")
    went_on.done.set_result(EndReason.AGENT_ENDED)
    await live.over()
    events = await events_of(other)
    assert [type(event) for event in events] == [SessionStarted, *[TurnFinished] * 4, SessionEnded]
    assert [event.turn.sequence for event in events[1:-1]] == [1, 2, 3, 4]
    end = events[-1]
    assert (end.turns, end.reason) == (4, EndReason.AGENT_ENDED)
    assert end.started_at == events[0].started_at
    assert end.duration_seconds == pytest.approx((end.ended_at - end.started_at).total_seconds(), abs=0.01)
    assert (end.usage.llm.input_tokens, end.quality.packets_received) == (14, 20), "of both processes"
    assert end.quality.latency_p50_ms == 700
    assert resumed_by.names[0] == "started"
    assert house.store.finished == house.store.snapshots == house.store.leases == {}


async def test_the_recording_of_both_processes_is_one_with_silence_between(house, other, talking, make_audience):
    _, call, _ = talking
    call.speak(4)
    await house.sessions.get(SESSION)._recording._store(last=False)
    call.speak(1)
    await house.kill()
    await asyncio.sleep(6)
    live, went_on = await call_on(other, make_audience(), resumed=True)
    went_on.speak(2)
    went_on.done.set_result(EndReason.AGENT_ENDED)
    await live.over()

    end = (await events_of(other))[-1]

    assert end.recording.duration_seconds == pytest.approx(8 + 2, abs=0.1), "from 0 to 4 s and from 8 to 10 s"
    assert list(house.blobs.objects) == [end.recording.key]


async def test_an_owner_whose_caller_is_gone_hands_the_session_over(house, other, talking, make_audience, make_turn):
    live, call, audience = talking
    call.stands_at = in_flight(make_turn)
    call.is_quiet = False
    live.detach(audience)
    assert call.held, "nobody listens"

    _, went_on = await call_on(other, make_audience(), resumed=True)

    assert went_on.resumption.snapshot.rest == "six in the evening."
    assert not went_on.resumption.seamless
    assert house.sessions.get(SESSION) is None
    await live.over()
    assert len(house.sessions) == 0
    assert (await house.store.get(SESSION)).owner == "node_b"
    assert "ended" not in audience.names
    assert (await house.store.get(SESSION)).state is SessionState.ACTIVE


async def test_words_that_are_broken_off_by_the_hand_over_are_told_once(
    house, other, talking, make_audience, make_turn
):
    live, call, audience = talking
    call.stands_at = in_flight(make_turn)
    live.detach(audience)
    await other.sessions.claim(SESSION)
    call.say(3, "We close at")
    await live.over()

    events = await events_of(house, other)

    assert [event.turn.sequence for event in events if isinstance(event, TurnFinished)] == [1, 2]


async def test_a_connected_caller_is_left_alone_unless_somebody_proves_to_be_him(house, other, talking, make_audience):
    live, _, audience = talking
    with pytest.raises(SessionInUse):
        await other.sessions.claim(SESSION)
    assert not live.is_ending

    await other.sessions.claim(SESSION, takes_over=True)
    await live.over()

    assert audience.names[-1] == "give way"
    assert (await house.store.get(SESSION)).owner == "node_b"


async def test_of_two_processes_that_claim_at_once_one_gets_it(house, build_house, talking):
    rivals = [await build_house("node_b"), await build_house("node_c")]
    await house.kill()

    claims = await asyncio.gather(*(rival.sessions.claim(SESSION) for rival in rivals), return_exceptions=True)

    assert sorted(type(claim).__name__ for claim in claims) == ["LiveSession", "SessionInUse"], claims
    assert sorted(len(rival.sessions) for rival in rivals) == [0, 1]


async def test_an_owner_that_slept_finds_its_session_gone_and_says_nothing(
    house, other, talking, make_audience, make_turn
):
    live, call, audience = talking
    await house.neighbours.close()  # it does not answer
    _, went_on = await call_on(other, make_audience(), resumed=True)

    call.stands_at = in_flight(make_turn)
    await house.sessions.keep()
    call.say(3, "I have been asleep.")
    await live.over()

    assert audience.names[-1] == "give way"
    went_on.say(3, "Where were we?")
    went_on.done.set_result(EndReason.AGENT_ENDED)
    await other.sessions.get(SESSION).over()
    events = await events_of(house, other)
    assert [event.turn.text for event in events if isinstance(event, TurnFinished)][2:] == ["Where were we?"]
    assert [type(event) for event in events].count(SessionEnded) == 1


async def test_an_owner_that_was_cut_off_ends_nothing_of_what_goes_on_elsewhere(
    house, other, talking, make_audience, make_turn
):
    live, call, audience = talking
    call.speak(1)
    await house.neighbours.close()  # the bus is away: it does not hear that it is asked
    went_on, _ = await call_on(other, make_audience(), resumed=True)
    await house.store.add_token("res_tok_1", SESSION, until=went_on.session.deadline)

    live.end(EndReason.DISCONNECTED)  # its own caller never came back
    await live.over()

    assert audience.names[-1] == "give way"
    assert set(house.store.leases) == {SESSION}, "as the new owner has it"
    assert SESSION in house.store.tenants["ten_1"]
    assert house.store.tokens["res_tok_1"][1] == went_on.session.deadline
    assert not any(key.endswith("conv_1.wav") for key in house.blobs.objects), "the call is still being recorded"
    assert [type(event) for event in await events_of(house)].count(SessionEnded) == 0


async def test_an_owner_that_learns_at_the_end_that_it_is_none_leaves_the_session_to_the_other(
    house, other, talking, make_audience, monkeypatch
):
    live, _, _ = talking
    await house.neighbours.close()
    moved, real = [], house.journal.write

    def write(session_id, event, *rest, **named):
        if isinstance(event, SessionEnded):  # right before it is written, another process takes the session
            moved.append(house.store.sessions[session_id])
            house.store.sessions[session_id] = moved[0].claimed(other.node_id, lease_until=house.clock())
        real(session_id, event, *rest, **named)

    monkeypatch.setattr(house.journal, "write", write)
    live.end(EndReason.USER_ENDED)
    await live.over()

    assert moved
    assert set(house.store.leases) == {SESSION}
    assert SESSION in house.store.tenants["ten_1"]


async def test_an_owner_that_wakes_while_it_is_asked_yields_to_nobody(house, other, talking, make_audience):
    live, _, audience = talking
    await house.neighbours.close()
    await call_on(other, make_audience(), resumed=True)
    live.detach(audience)

    given = await live.hand_over(seamless=True, until=house.clock() + timedelta(seconds=30))
    await live.over()

    assert not given
    kept = await house.store.get(SESSION)
    assert (kept.owner, kept.seamless) == ("node_b", False)


async def test_a_snapshot_older_than_the_last_turn_repeats_nothing(house, other, talking, make_audience, make_turn):
    _, call, _ = talking
    call.stands_at = in_flight(make_turn, 2, "What time do")
    await house.sessions.keep()
    await house.kill()

    _, went_on = await call_on(other, make_audience(), resumed=True)

    snapshot = went_on.resumption.snapshot
    assert (snapshot.agent, snapshot.rest, snapshot.next_sequence, snapshot.disclosed) == (None, "", 3, True)


async def test_a_session_that_nobody_was_connected_to_yet_is_claimed_without_a_past(house, other):
    await house.open()
    await house.sessions.claim(SESSION)
    await house.kill()

    await other.sessions.claim(SESSION)

    assert other.calls[SESSION].resumption is None


async def test_after_the_window_it_is_too_late(house, other, talking):
    await house.kill()
    await asyncio.sleep(60)

    with pytest.raises(SessionGone):
        await other.sessions.claim(SESSION)


async def test_a_caller_who_comes_back_at_the_last_moment_is_let_in(house, other, talking):
    await ticks(6, house)
    await house.kill()
    await asyncio.sleep(29)
    reaper = Reaper(
        other.store,
        other.node_id,
        other.recordings,
        publish=other.relay.wake,
        now=other.clock,
        new_event_id=other.new_event_id,
        neighbours=other.neighbours,
    )
    assert (await reaper.reap()).ended == 0

    assert (await other.sessions.claim(SESSION)).plan.session_id == SESSION


async def test_the_end_of_a_session_whose_caller_never_brought_media_holds_its_last_words(
    house, other, talking, make_audience, make_turn
):
    _, call, _ = talking
    call.stands_at = in_flight(make_turn)
    await house.sessions.keep()
    await house.kill()
    live = await other.sessions.claim(SESSION)

    await ticks(31, other)
    await live.over()

    events = await events_of(other)
    assert (events[-2].turn.sequence, events[-2].turn.text) == (3, "We close at")
    assert (events[-1].reason, events[-1].turns) == (EndReason.DISCONNECTED, 3)


# Away callers


async def test_a_caller_who_lost_the_hub_is_awaited_in_silence_and_goes_on(house, talking, make_audience):
    live, call, audience = talking
    live.detach(audience)
    assert call.held
    await ticks(25, house)
    assert (await house.store.get(SESSION)).state is SessionState.RECONNECTING

    live = await house.sessions.claim(SESSION)
    live.attach(make_audience(), resumed=True)
    await live.connect(HubMedia())
    await ticks(2, house)

    assert not call.held
    assert (await house.store.get(SESSION)).state is SessionState.ACTIVE


async def test_a_caller_who_stays_away_ends_the_session_after_the_window(house, talking):
    live, _, audience = talking
    live.detach(audience)

    await ticks(29, house)
    assert not live.is_ending
    await ticks(2, house)
    await live.over()

    assert (await events_of(house))[-1].reason is EndReason.DISCONNECTED


async def test_the_maximum_duration_goes_on_while_the_caller_is_away(house, talking):
    live, _, audience = talking
    house.clock.advance(seconds=900)
    live.detach(audience)
    await live.over()

    assert (await events_of(house))[-1].reason is EndReason.MAX_DURATION


# Draining


async def test_a_process_that_stops_hands_its_calls_over_at_a_silent_moment(house, other, talking, make_audience):
    live, call, audience = talking
    call.is_quiet = False
    draining = asyncio.create_task(house.sessions.hand_over(timeout=20))
    await asyncio.sleep(3)
    assert not live.is_ending

    call.is_quiet = True
    await draining

    assert audience.names[-1] == "come back"
    assert "ended" not in audience.names
    assert len(house.sessions) == 0
    kept = await house.store.get(SESSION)
    assert (kept.owner, kept.seamless, kept.state) == (None, True, SessionState.RECONNECTING)
    _, went_on = await call_on(other, make_audience(), resumed=True)
    assert went_on.resumption.seamless
    assert not (await house.store.get(SESSION)).seamless, "only once"
    with pytest.raises(LimitReached):
        await house.sessions.claim(SESSION)


async def test_a_call_without_a_silent_moment_is_handed_over_when_the_time_is_up(house, other, talking):
    _, call, _ = talking
    call.is_quiet = False

    await house.sessions.hand_over(timeout=5)

    kept = await house.store.get(SESSION)
    assert (kept.owner, kept.seamless) == (None, False)


async def test_a_store_that_is_away_keeps_the_calls_here(house, talking):
    live, call, _ = talking
    house.store.away = True

    await house.sessions.hand_over(timeout=1)
    house.store.away = False

    assert not live.is_ending
    assert not call.held
    with pytest.raises(RedisError):
        house.store.away = True
        await live.hand_over(seamless=True, until=house.clock())
    house.store.away = False
    assert house.sessions.get(SESSION) is live


async def test_a_handed_over_session_to_which_nobody_came_ends_as_disconnected(house, other, talking, make_turn):
    _, call, _ = talking
    call.stands_at = in_flight(make_turn)
    await house.sessions.hand_over(timeout=1)
    handed_over_at = house.clock()
    reaper = Reaper(
        other.store,
        other.node_id,
        other.recordings,
        publish=other.relay.wake,
        now=other.clock,
        new_event_id=other.new_event_id,
        neighbours=other.neighbours,
    )
    await asyncio.sleep(29)
    assert (await reaper.reap()).ended == 0
    await asyncio.sleep(2)
    assert (await reaper.reap()).ended == 1

    events = await events_of(house, other)
    assert (events[-1].reason, events[-1].turns) == (EndReason.DISCONNECTED, 3)
    assert events[-1].ended_at == handed_over_at
    assert events[-2].turn.text == "We close at"


# Whose connection was it


def seat(**changes) -> Seat:
    fields = {
        "session_id": SESSION,
        "tenant_id": TenantId("ten_1"),
        "environment": Environment.LIVE,
        "account": "usr_1",
        "hub": "voice",
    }
    return Seat(**(fields | changes))


async def test_a_client_is_recognised_by_its_former_connection(house, other, talking):
    live, _, audience = talking
    await house.sessions.remember("digest_1", seat())

    async def found(**changes):
        agent_id = changes.pop("agent_id", "agt_1")
        return await other.sessions.find_resumable(("digest_0", "digest_1"), seat(**changes), agent_id=agent_id)

    assert await found() is None, "its caller is connected: another tab"
    live.detach(audience)
    assert await found() == SESSION
    assert await house.sessions.find_resumable(("digest_1",), seat(), agent_id=None) == SESSION
    assert await found(account="usr_2") is None
    assert await found(tenant_id=TenantId("ten_2")) is None
    assert await found(environment=Environment.SANDBOX) is None
    assert await found(hub="chat") is None
    assert await found(agent_id="agt_2") is None


async def test_a_client_whose_connection_is_dead_without_anybody_knowing_is_recognised(house, other, talking):
    live, _, _ = talking
    await house.sessions.remember("digest_1", seat())

    async def found() -> SessionId | None:
        return await other.sessions.find_resumable(("digest_1",), seat(), agent_id="agt_1")

    await asyncio.sleep(20)
    assert await found() is None, "it may be a client that only sends when somebody speaks"
    live.feed("audio", asyncio.get_running_loop().time())
    await asyncio.sleep(7)
    assert await found() is None
    await asyncio.sleep(2)
    assert await found() == SESSION


async def test_a_client_of_a_dead_process_is_recognised(house, other, talking):
    await house.sessions.remember("digest_1", seat())
    await house.kill()

    assert await other.sessions.find_resumable(("digest_1",), seat(), agent_id="agt_1") == SESSION
    await asyncio.sleep(60)
    assert await other.sessions.find_resumable(("digest_1",), seat(), agent_id="agt_1") is None


async def test_a_client_whose_process_died_before_it_could_tell_of_the_session_gets_that_session(house, other):
    house.clock.follow(asyncio.get_running_loop())
    session = await house.open()
    await house.sessions.claim(session.plan.session_id)
    await house.sessions.remember("digest_1", seat())
    await house.kill()

    assert await other.sessions.find_resumable(("digest_1",), seat(), agent_id="agt_1") == SESSION
    live = await other.sessions.claim(SESSION)
    assert not live.is_connected


async def test_two_sessions_left_behind_are_one_too_many(house, talking, make_plan, make_audience):
    live, _, audience = talking
    live.detach(audience)
    await house.open(make_plan(2), token="t2")
    second = await house.sessions.claim(SessionId("wrtc_2"))
    watcher = make_audience()
    second.attach(watcher, resumed=False)
    await second.connect(HubMedia())
    second.detach(watcher)
    await house.sessions.remember("digest_1", seat())
    await house.sessions.remember("digest_2", seat(session_id=SessionId("wrtc_2")))

    assert await house.sessions.find_resumable(("digest_1", "digest_2"), seat(), agent_id=None) is None
    assert await house.sessions.find_resumable(("digest_2",), seat(), agent_id=None) == "wrtc_2"


# Claims


async def test_a_claim_that_waits_holds_up_no_other_one(house, build_house, make_plan, monkeypatch):
    roomy = await build_house("node_d", max_sessions=5)
    for number in (1, 2):
        await house.open(make_plan(number), token=f"t{number}")
    stuck, real = asyncio.Event(), house.store.get

    async def get(session_id):
        if session_id == SESSION:
            await stuck.wait()
        return await real(session_id)

    monkeypatch.setattr(house.store, "get", get)
    waiting = asyncio.create_task(roomy.sessions.claim(SESSION))

    assert (await roomy.sessions.claim(SessionId("wrtc_2"))).plan.session_id == "wrtc_2"

    assert not waiting.done()
    stuck.set()
    await waiting
    assert not roomy.sessions._locks
    assert not roomy.sessions._claimers


async def test_claims_under_way_count_towards_the_cap(house, make_plan, monkeypatch):
    for number in range(1, 4):
        await house.open(make_plan(number), token=f"t{number}")

    claims = await asyncio.gather(
        *(house.sessions.claim(SessionId(f"wrtc_{number}")) for number in range(1, 4)), return_exceptions=True
    )

    assert [type(claim).__name__ for claim in claims].count("LimitReached") >= 1
    assert len(house.sessions) <= 2


# Snapshots


async def test_a_snapshot_is_written_when_something_changed_and_else_not(house, talking, make_turn, monkeypatch):
    live, call, _ = talking
    written: list[int] = []
    real = house.store.keep

    async def keep(node_id, snapshots):
        written.append(len(snapshots))
        return await real(node_id, snapshots)

    monkeypatch.setattr(house.store, "keep", keep)
    call.stands_at = in_flight(make_turn)
    await house.sessions.keep()
    call.stands_at = CallSnapshot(**{**_fields(in_flight(make_turn)), "elapsed": 9.0})
    await house.sessions.keep()
    assert written == [1], "time alone is no change"

    call.stands_at = in_flight(make_turn, text="We close at six")
    await house.sessions.keep()
    assert written == [1, 1]
    call.notify(call_events.Warned(text="nothing to do with it"))
    house.store.away = True
    call.stands_at = in_flight(make_turn, text="We close at six in")
    with pytest.raises(RedisError):
        await house.sessions.keep()
    house.store.away = False
    await house.sessions.keep()
    assert house.store.snapshots[SESSION].agent.text == "We close at six in", "written when the store is back"
    live.end(EndReason.USER_ENDED)
    await live.over()
    await house.sessions.keep()
    assert house.store.snapshots == {}


def _fields(struct) -> dict:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


async def test_a_store_that_forgot_everything_has_turns_and_snapshot_again(
    house, other, talking, make_audience, make_turn
):
    _, call, _ = talking
    await house.sessions.keep()
    for kept in (house.store.sessions, house.store.leases, house.store.finished, house.store.snapshots):
        kept.clear()
    call.stands_at = in_flight(make_turn)
    await house.sessions.keep()
    await house.sessions.keep()
    await house.kill()

    _, went_on = await call_on(other, make_audience(), resumed=True)

    assert [turn.sequence for turn in went_on.resumption.turns] == [1, 2]
    assert went_on.resumption.snapshot.rest == "six in the evening."


async def test_a_process_that_slept_past_everything_gives_up_what_the_store_has_forgotten(house, talking):
    live, call, _ = talking
    await ticks(2, house)
    for kept in (house.store.sessions, house.store.leases):
        kept.clear()
    await asyncio.sleep(200)
    await house.sessions.tick()
    call.say(3, "I have been asleep.")
    await live.over()

    assert house.store.sessions == {}
    assert SessionEnded not in [type(event) for event in await events_of(house)]


async def test_callers_who_are_away_leave_room_for_others(house, talking, make_plan, make_audience):
    live, _, audience = talking
    for number in range(2, 7):
        await house.open(make_plan(number), token=f"t{number}")
    live.detach(audience)
    first = await house.sessions.claim(SessionId("wrtc_2"))
    second = await house.sessions.claim(SessionId("wrtc_3"))
    with pytest.raises(LimitReached):
        await house.sessions.claim(SessionId("wrtc_4"))
    assert (len(house.sessions), house.sessions.load) == (3, 2)

    for other in (first, second):
        watcher = make_audience()
        other.attach(watcher, resumed=False)
        await other.connect(HubMedia())
        await house.calls[other.plan.session_id].running.wait()
        other.detach(watcher)
    await house.sessions.claim(SessionId("wrtc_4"))
    assert (len(house.sessions), house.sessions.load) == (4, 2), "of those who are away only as many again"
    with pytest.raises(LimitReached):
        await house.sessions.claim(SessionId("wrtc_5"))


async def test_the_call_of_a_dead_process_may_exceed_the_cap(house, build_house, talking, make_plan):
    full = await build_house("node_full", max_sessions=1)
    await house.open(make_plan(2), token="t2")
    await full.sessions.claim(SessionId("wrtc_2"))
    await house.open(make_plan(3), token="t3")
    with pytest.raises(LimitReached):
        await full.sessions.claim(SessionId("wrtc_3"))
    await house.kill()

    assert (await full.sessions.claim(SESSION)).plan.session_id == SESSION
