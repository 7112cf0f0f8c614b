"""Transfers in Redis: what another process has to know of them, and by which token the other side's media come in.

vs:{sid}:transfer    JSON: the transfer of a session, who carries it out, the other side's call
vs:transfers         sorted set: session id by the time until which its transfer is looked after
vs:leg:<sha256>      one-time token → what whoever answers is told; for whichever process his media come to
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
from voisnap_domain.calls import TransferAcceptance
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.transfers import TransferOrder
from voisnap_kit.redis import Redis

KEEP = timedelta(minutes=15)
"""Longer than a transfer takes."""


class KeptTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that `owner` carries out. `call_id`: of the other side, once it is known and while it lives. `is_told`: others know that it
    came to nothing, only the caller does not."""

    session_id: SessionId
    order: TransferOrder
    owner: NodeId
    call_id: str = ""
    is_told: bool = False


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever answers hears, and how he takes the call. `owner` wants to know what comes of it."""

    session_id: SessionId
    transfer_id: str
    owner: NodeId
    provider: str
    acceptance: TransferAcceptance
    opening: str
    ask: str
    again: str
    thanks: str


class TransferStore(Protocol):
    """Where transfers are kept. Every method raises RedisError when the store is away."""

    async def keep(self, kept: KeptTransfer, *, until: datetime) -> None:
        """Write a transfer that is looked after `until` then."""
        ...

    async def renew(self, session_id: SessionId, *, until: datetime) -> None: ...
    async def get(self, session_id: SessionId) -> KeptTransfer | None: ...

    async def forget(self, session_id: SessionId) -> None:
        """The transfer is over."""
        ...

    async def left(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        """Sessions whose transfers nobody looks after any more."""
        ...

    async def take(self, session_id: SessionId) -> KeptTransfer | None:
        """A transfer to clear up after, for the one who asks first."""
        ...

    async def offer(self, token: str, offer: Offer, *, seconds: int) -> None:
        """Keep what the media that bring this token are for."""
        ...

    async def take_offer(self, token: str) -> Offer | None:
        """The same, once."""
        ...


_LEFT_BEHIND = "vs:transfers"


class RedisTransfers:
    """The transfers of all processes together."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._client: Any = redis.client

    async def keep(self, kept: KeptTransfer, *, until: datetime) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(_key(kept.session_id), msgspec.json.encode(kept), ex=int(KEEP.total_seconds()))
            pipeline.zadd(_LEFT_BEHIND, {kept.session_id: until.timestamp()})
            await pipeline.execute()

    async def renew(self, session_id: SessionId, *, until: datetime) -> None:
        await self._client.zadd(_LEFT_BEHIND, {session_id: until.timestamp()}, xx=True)

    async def get(self, session_id: SessionId) -> KeptTransfer | None:
        kept = await self._client.get(_key(session_id))
        return None if kept is None else msgspec.json.decode(kept, type=KeptTransfer)

    async def forget(self, session_id: SessionId) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.delete(_key(session_id))
            pipeline.zrem(_LEFT_BEHIND, session_id)
            await pipeline.execute()

    async def left(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        found = await self._client.zrangebyscore(_LEFT_BEHIND, "-inf", now.timestamp(), start=0, num=limit)
        return tuple(SessionId(one.decode()) for one in found)

    async def take(self, session_id: SessionId) -> KeptTransfer | None:
        # Two keys of different slots: a cluster would have them apart, so they are taken one after the other.
        if not await self._client.zrem(_LEFT_BEHIND, session_id):
            return None
        kept = await self._client.getdel(_key(session_id))
        return None if kept is None else msgspec.json.decode(kept, type=KeptTransfer)

    async def offer(self, token: str, offer: Offer, *, seconds: int) -> None:
        await self._client.set(_token_key(token), msgspec.json.encode(offer), ex=seconds)

    async def take_offer(self, token: str) -> Offer | None:
        kept = await self._client.getdel(_token_key(token))
        return None if kept is None else msgspec.json.decode(kept, type=Offer)


def _key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:transfer"


def _token_key(token: str) -> str:
    return f"vs:leg:{hashlib.sha256(token.encode()).hexdigest()}"
