"""One tenant can't take the hubs from the others: negotiations, connections and listeners are counted for all processes together."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from voisnap_domain.errors import LimitReached, TooManyRequests
from voisnap_domain.ids import NodeId, SessionId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.redis import Redis
from voisnap_runtime.hubs.auth import HubUser, authenticator
from voisnap_runtime.hubs.bounds import COUNTS_SECONDS, Limits, TenantBounds
from voisnap_runtime.hubs.chat import ChatHub
from voisnap_runtime.hubs.voice import VoiceHub
from voisnap_signalr import HubApp
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.hub

LIMITS = Limits(negotiations_a_minute=6, joins_a_minute=1, connections=3, idle=1)
LISTENER = {"scopes": ("hub", "conversations:read")}


def account(tenant: str = "ten_1", environment: Environment = Environment.LIVE) -> HubUser:
    return HubUser(account="usr_1", tenant_id=TenantId(tenant), environment=environment)


class Hands:
    """A clock that is moved by hand, in Unix seconds; a server's own time must not be behind it."""

    at = 4_000_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
async def redis(redis_url) -> AsyncIterator[Redis]:
    async with await Redis.open(redis_url) as opened:
        yield opened


@pytest.fixture
def bounds(redis, hands):
    return TenantBounds(redis, NodeId("node_a"), LIMITS, now=hands)


@pytest.fixture
def elsewhere(redis, hands):
    """The same tenants' bounds in another process."""
    return TenantBounds(redis, NodeId("node_b"), LIMITS, now=hands)


@pytest.fixture
def reception(reception, bounds):
    return msgspec.structs.replace(reception, bounds=bounds)


@pytest.fixture
async def port(reception, keys, bounds, listening):
    hubs = HubApp(
        {"voice": lambda: VoiceHub(reception), "chat": lambda: ChatHub(reception)},
        authenticate=authenticator(keys, bounds=bounds),
    )
    async with listening(hubs) as port:
        yield port


async def test_negotiations_beyond_the_bound_are_429_for_that_tenant_alone(port, keys, connect_hub):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/hubs/chat") as http:

        async def negotiated(**claims) -> httpx.Response:
            return await http.post("/negotiate", params={"access_token": keys.token(**claims), "negotiateVersion": "1"})

        answers = [await negotiated() for _ in range(LIMITS.negotiations_a_minute)]
        assert {answer.status_code for answer in answers} == {200}
        refused = await negotiated(user="usr_2")
        assert (refused.status_code, 1 <= int(refused.headers["Retry-After"]) <= 60) == (429, True)
        with pytest.raises(InvalidStatus) as unnegotiated:
            async with connect_hub(port, {"access_token": keys.token()}, hub="chat"):
                pass
        assert unnegotiated.value.response.status_code == 429
        for others in ({"tenant": "ten_2"}, {"environment": "sandbox"}):
            assert (await negotiated(**others)).status_code == 200


async def test_a_connection_beyond_the_bound_is_told_and_closed_until_another_one_goes(
    bounds, elsewhere, voice, refused, redis
):
    for connection in ("there_1", "there_2"):
        await elsewhere.enters(account(), connection)
    async with voice() as client:
        await client.until("SessionStarted")
        async with voice() as third:
            error = await refused(third)
            assert (error["code"], error["message"]) == (
                "SESSION_LIMIT_REACHED",
                "The account has 3 open connections already.",
            )
        await bounds.enters(account("ten_2"), "other")

        await elsewhere.leaves(account(), "there_1")
        async with voice() as third:
            await third.until("SessionStarted")
    async with asyncio.timeout(5):
        while await redis.client.zcard("vs:hubs:{ten_1:live}:open") > 1:  # noqa: ASYNC110 - the server notices in its own time
            await asyncio.sleep(0.01)


async def test_connections_without_a_session_are_few(voice, refused):
    async with voice(LISTENER, agentId="") as first, voice(LISTENER, agentId="") as second:
        assert (await refused(second))["code"] == "SESSION_LIMIT_REACHED"
        async with voice() as caller:
            await caller.until("SessionStarted")
        await first.ask("StopListeningAsync")


async def test_listeners_may_join_so_many_times_a_minute(house, voice, gallery, error_of):
    async with voice() as caller, voice(LISTENER, agentId="") as listener:
        started = await caller.until("SessionStarted")
        await house.sessions.get(SessionId(started["sessionId"])).begun()
        for _ in range(LIMITS.joins_a_minute):
            await listener.ask("JoinAsListenerAsync", started["conversationId"])
        text = await error_of(listener, "JoinAsListenerAsync", started["conversationId"])
        assert "More than 1 times a minute conversations are listened to" in text
        await caller.ask("SendDtmfAsync", "2")


async def test_connections_of_a_killed_process_stop_counting_and_those_of_a_living_one_do_not(bounds, elsewhere, hands):
    await bounds.enters(account(), "mine")
    for connection in ("killed_1", "killed_2"):
        await elsewhere.enters(account(), connection)
    hands.at += COUNTS_SECONDS - 1
    await bounds.renew()
    with pytest.raises(LimitReached):
        await bounds.enters(account(), "more")

    hands.at += 2
    await bounds.enters(account(), "more")
    await bounds.enters(account(), "yet_more")
    with pytest.raises(LimitReached):
        await bounds.enters(account(), "too_many")


async def test_one_that_was_refused_is_not_counted_and_nothing_is_left_when_all_are_gone(bounds, redis):
    for number in range(LIMITS.connections):
        await bounds.enters(account(), f"c{number}")
    await bounds.idles(account(), "c0")
    with pytest.raises(LimitReached):
        await bounds.enters(account(), "refused")
    await bounds.leaves(account(), "refused")
    await bounds.leaves(account(), "c0")
    await bounds.renew()
    await bounds.enters(account(), "refused")
    for connection in ("refused", "c1", "c2", "never_counted"):
        await bounds.leaves(account(), connection)

    await bounds.renew()
    assert await redis.client.keys("vs:hubs:*") == []


async def test_without_redis_nobody_is_refused_for_a_bound():
    async with await Redis.open("redis://127.0.0.1:1", timeout=0.05) as nowhere:
        bounds = TenantBounds(nowhere, NodeId("node_a"), Limits(negotiations_a_minute=0, connections=0, idle=0))

        await bounds.negotiates(account())
        await bounds.enters(account(), "c1")
        await bounds.leaves(account(), "c1")


async def test_a_rate_names_when_to_try_again(bounds):
    for _ in range(LIMITS.joins_a_minute):
        await bounds.joins(account())
    with pytest.raises(TooManyRequests) as refusal:
        await bounds.joins(account())
    assert 1 <= refusal.value.retry_after <= 60
