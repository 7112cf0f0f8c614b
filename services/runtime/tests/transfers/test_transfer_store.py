"""Transfers in Redis: taken by one process, offered once, found when nobody looks after them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_domain.calls import TransferAcceptance, TransferMode
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.transfers import TransferOrder
from voisnap_kit.redis import Redis
from voisnap_runtime.transfers.store import KeptTransfer, Offer, RedisTransfers

pytestmark = pytest.mark.slice

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=15)
SESSION = SessionId("call_1")
KEPT = KeptTransfer(
    session_id=SESSION,
    owner=NodeId("node_1"),
    order=TransferOrder(
        transfer_id="xfer_1",
        to="+14155550123",
        name="Sales",
        mode=TransferMode.WARM,
        requested_by="agent",
        summary="Ünï",
    ),
)
OFFER = Offer(
    session_id=SESSION,
    transfer_id="xfer_1",
    owner=NodeId("node_1"),
    provider="twilio",
    acceptance=TransferAcceptance.STAY,
    opening="Hello.",
    ask="Stay.",
    again="Again.",
    thanks="Thanks.",
)


@pytest.fixture
async def transfers(redis_url: str) -> AsyncIterator[RedisTransfers]:
    async with await Redis.open(redis_url) as redis:
        yield RedisTransfers(redis)


async def test_a_transfer_is_found_by_its_session_until_it_is_over(transfers: RedisTransfers) -> None:
    assert await transfers.get(SESSION) is None
    await transfers.keep(KEPT, until=LATER)
    named = msgspec.structs.replace(KEPT, call_id="other")
    await transfers.keep(named, until=LATER)
    assert await transfers.get(SESSION) == named
    await transfers.forget(SESSION)
    assert await transfers.get(SESSION) is None
    assert await transfers.left(LATER, limit=9) == ()


async def test_what_nobody_looks_after_is_left_and_is_taken_once(transfers: RedisTransfers) -> None:
    await transfers.keep(KEPT, until=LATER)
    await transfers.keep(msgspec.structs.replace(KEPT, session_id=SessionId("call_2")), until=LATER)
    assert await transfers.left(NOW, limit=9) == ()
    await transfers.renew(SESSION, until=LATER + timedelta(seconds=60))
    await transfers.renew(SessionId("call_unknown"), until=LATER)
    assert await transfers.left(LATER, limit=9) == ("call_2",)
    assert await transfers.take(SESSION) == KEPT
    assert await transfers.take(SESSION) is None
    assert await transfers.get(SESSION) is None


async def test_an_offer_is_made_once(transfers: RedisTransfers, redis_url: Any) -> None:
    await transfers.offer("secret-token", OFFER, seconds=60)
    async with await Redis.open(redis_url) as redis:
        (key,) = await redis.client.keys("vs:leg:*")
        assert b"secret-token" not in key
        assert 0 < await redis.client.ttl(key) <= 60
    assert await transfers.take_offer("another") is None
    assert await transfers.take_offer("secret-token") == OFFER
    assert await transfers.take_offer("secret-token") is None
