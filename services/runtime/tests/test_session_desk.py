"""Opening and ending sessions over the bus."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from voisnap_domain.errors import Conflict, LimitReached
from voisnap_domain.ids import NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, EndReason, SessionState
from voisnap_kit.settings import Secret
from voisnap_proto.requests import END_SESSION, OPEN_SESSION, EndSession, OpenSession, SessionEnding, SessionOpened
from voisnap_runtime.sessions.desk import Desk, DeskSettings, end_session_at
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.sessions.tokens import IceSettings

pytestmark = pytest.mark.unit

ICE = IceSettings(
    stun_urls=("stun:stun.example:3478",),
    turn_urls=("turn:turn.example:3478?transport=udp", "turn:turn.example:3478?transport=tcp"),
    turn_secret=Secret("shared"),
)


class Room:
    def __init__(self) -> None:
        self.live: set[str] = set()
        self.ended: list[tuple[str, EndReason]] = []

    @property
    def load(self) -> int:
        return len(self.live)

    def end(self, session_id, reason) -> bool:
        self.ended.append((session_id, reason))
        return session_id in self.live


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def lag():
    return [0.0]


@pytest.fixture
def refuse():
    """Providers that are not set up."""
    return set()


@pytest.fixture
async def desk(house, room, lag, refuse):
    def check(plan) -> None:
        if plan.agent.config.voice.voice_id in refuse:
            raise Conflict("The voice is not set up.", code="provider-not-configured")

    made = Desk(
        DeskSettings(node_id=NodeId("node_a"), max_sessions=2, ice=ICE),
        house.store,
        house.bus,
        room,
        check_providers=check,
        now=house.clock,
        random_bytes=lambda count: b"\x07" * count,
        lateness=lambda: lag[0],
    )
    await made.listen()
    yield made
    await made.close()


@pytest.fixture
def open_session(house, desk):
    async def send(plan) -> SessionOpened:
        return await house.bus.request(OPEN_SESSION, OpenSession(plan=plan), SessionOpened)

    return send


@pytest.fixture
def end_session(house, desk):
    async def send(session_id, reason=EndReason.USER_ENDED) -> bool:
        request = EndSession(session_id=SessionId(session_id), reason=reason)
        return (await house.bus.request(END_SESSION, request, SessionEnding)).found

    return send


async def test_an_opened_session_waits_for_its_caller(house, open_session, make_plan):
    opened = await open_session(make_plan())

    assert (opened.session_id, opened.conversation_id, opened.node_id) == ("wrtc_1", "conv_1", "node_a")
    assert opened.session_token.startswith("wrtc_tok_")
    assert len(base64.urlsafe_b64decode(opened.session_token.removeprefix("wrtc_tok_") + "=")) == 32
    assert opened.expires_at == house.clock() + timedelta(minutes=5)
    assert await house.store.find_by_token(opened.session_token) == "wrtc_1"
    session = await house.store.get("wrtc_1")
    assert (session.state, session.owner) == (SessionState.CREATED, None)
    assert session.deadline == opened.expires_at + timedelta(seconds=600 + 60)


async def test_turn_credentials_are_of_the_session_and_die_with_it(house, open_session, make_plan):
    opened = await open_session(make_plan())

    stun, turn = opened.ice_servers
    assert (stun.urls, stun.username, stun.credential) == (ICE.stun_urls, None, None)
    deadline = (await house.store.get("wrtc_1")).deadline
    assert turn.username == f"{int(deadline.timestamp())}:wrtc_1"
    digest = hmac.new(b"shared", turn.username.encode(), hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()


async def test_a_tenant_over_its_limit_is_refused_until_a_session_ends(open_session, end_session, make_plan):
    await open_session(make_plan(1, max_concurrent=1))
    with pytest.raises(LimitReached) as refusal:
        await open_session(make_plan(2, max_concurrent=1))
    assert refusal.value.code == "session-limit-reached"

    assert await end_session("wrtc_1")

    await open_session(make_plan(3, max_concurrent=1))


async def test_a_tenant_has_so_many_browser_calls_waiting_whatever_its_plan_allows(
    house, open_session, end_session, make_plan, monkeypatch
):
    monkeypatch.setattr("voisnap_runtime.sessions.desk.MAX_WAITING", 5)
    for number in range(5):
        await open_session(make_plan(number, max_concurrent=None))
    with pytest.raises(LimitReached, match="wait for their callers") as refusal:
        await open_session(make_plan(200, max_concurrent=None))
    assert refusal.value.code == "session-limit-reached"

    await open_session(make_plan(201, max_concurrent=None, tenant_id=TenantId("ten_2")))
    await open_session(make_plan(202, max_concurrent=None, channel=Channel.PHONE))
    for claimed in ("wrtc_202", "wrtc_1"):
        await house.sessions.claim(SessionId(claimed))
    assert await end_session("wrtc_2")
    await open_session(make_plan(203, max_concurrent=None))
    await open_session(make_plan(204, max_concurrent=None))
    with pytest.raises(LimitReached):
        await open_session(make_plan(205, max_concurrent=None))


async def test_a_full_or_late_node_refuses(open_session, room, lag, make_plan):
    room.live = {"a", "b"}
    with pytest.raises(LimitReached) as refusal:
        await open_session(make_plan())
    assert refusal.value.code == "node-full"

    room.live = set()
    lag[0] = 0.3
    with pytest.raises(LimitReached) as refusal:
        await open_session(make_plan())
    assert refusal.value.code == "node-full"


async def test_while_the_store_is_away_callers_are_asked_to_come_back(house, open_session, make_plan):
    house.store.away = True

    with pytest.raises(LimitReached) as refusal:
        await open_session(make_plan())

    assert (refusal.value.code, refusal.value.retry_after) == ("node-full", 2)


async def test_an_agent_whose_providers_are_not_set_up_is_refused_and_counts_nothing(
    house, open_session, refuse, make_plan
):
    refuse.add("heart")

    with pytest.raises(Conflict) as refusal:
        await open_session(make_plan())

    assert refusal.value.code == "provider-not-configured"
    assert house.store.sessions == {}
    assert house.store.tenants == {}


async def test_an_unclaimed_session_is_ended_at_the_desk(house, open_session, end_session, make_plan):
    await open_session(make_plan())

    assert await end_session("wrtc_1", EndReason.TIMEOUT)

    session = await house.store.get("wrtc_1")
    assert (session.state, session.end_reason) == (SessionState.ENDED, EndReason.TIMEOUT)
    assert not await end_session("wrtc_1")
    assert not await end_session("wrtc_unknown")


async def test_a_session_of_this_node_is_ended_here(house, open_session, end_session, room, make_plan):
    await open_session(make_plan())
    await house.store.change("wrtc_1", lambda s: s.claimed(NodeId("node_a"), lease_until=house.clock()))
    room.live = {"wrtc_1"}

    assert await end_session("wrtc_1")

    assert room.ended == [("wrtc_1", EndReason.USER_ENDED)]


async def test_a_session_of_another_node_is_ended_there(house, open_session, end_session, make_plan):
    await open_session(make_plan())
    await house.store.change("wrtc_1", lambda s: s.claimed(NodeId("node_b"), lease_until=house.clock()))
    asked: list[EndSession] = []

    async def elsewhere(request: EndSession) -> SessionEnding:
        asked.append(request)
        return SessionEnding(found=True)

    subscription = await house.bus.respond(end_session_at(NodeId("node_b")), "node_b", EndSession, elsewhere)

    assert await end_session("wrtc_1")
    assert asked == [EndSession(session_id=SessionId("wrtc_1"), reason=EndReason.USER_ENDED)]
    await subscription.close()


async def test_a_desk_that_closed_answers_no_more(house, desk, open_session, make_plan):
    from voisnap_kit.bus import NoResponders

    await desk.close()

    with pytest.raises(NoResponders):
        await open_session(make_plan())


@pytest.mark.parametrize("owner", [None, NodeId("node_b")])
async def test_a_conversation_that_nobody_holds_is_ended_by_the_reaper_as_asked(
    house, open_session, end_session, make_plan, owner
):
    """Handed over and not claimed yet, or its process is gone."""
    await open_session(make_plan())
    claimed = NodeId("node_b")
    await house.store.change(
        "wrtc_1", lambda s: s.moved(SessionState.CONNECTING).claimed(claimed, lease_until=house.clock())
    )
    await house.store.change("wrtc_1", lambda s: s.moved(SessionState.ACTIVE, at=house.clock()))
    house.clock.advance(seconds=30)
    if owner is None:
        until = house.clock() + timedelta(seconds=30)
        await house.store.change("wrtc_1", lambda s: s.handed_over(lease_until=until, seamless=True))

    assert await end_session("wrtc_1", EndReason.TRANSFER_COMPLETE)

    reaper = Reaper(
        house.store,
        house.node_id,
        house.recordings,
        publish=house.relay.wake,
        now=house.clock,
        new_event_id=house.new_event_id,
        neighbours=house.neighbours,
    )
    assert (await reaper.reap()).ended == 1
    assert await house.relay.drained(timeout=5)
    assert (house.events[-1].reason, house.events[-1].duration_seconds) == (EndReason.TRANSFER_COMPLETE, 30)
