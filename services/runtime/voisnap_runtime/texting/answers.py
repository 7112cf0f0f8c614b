"""Which messages a written conversation has been given, and what each was answered, so that none is answered twice.

vs:{sid}:texts      hash: message id → `Given` (JSON), of the latest messages; stays a week after the last one
"""

from datetime import timedelta
from typing import Any, Protocol

import msgspec
from voisnap_domain.ids import SessionId
from voisnap_kit.redis import Redis
from voisnap_proto.requests import TextExchanged

KEEP = timedelta(days=8)
"""Longer than a written conversation lasts: of a session that is not known any more it says that there was one."""

MOST_KEPT = 32
"""Messages of a conversation that are remembered. They come one after the other, so that only the latest are asked for again."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a conversation was given. What is on record behind turn `after` belongs to it: what the person wrote and the agent's
    answers. `answer` is there once it is complete."""

    after: int
    answer: TextExchanged | None = None


class Answers(Protocol):
    """Where it is kept. Every method raises RedisError while the store is away."""

    async def given(self, session_id: SessionId, message_id: str) -> Given | None:
        """What is known of a message."""
        ...

    async def knows(self, session_id: SessionId) -> bool:
        """Whether the conversation was given any message."""
        ...

    async def give(self, session_id: SessionId, message_id: str, *, after: int) -> Given:
        """Note a message before it is said; one that is noted stays as it was."""
        ...

    async def answered(self, session_id: SessionId, message_id: str, given: Given) -> None:
        """Keep the answer."""
        ...


class RedisAnswers:
    """`Answers` on Redis or Valkey."""

    def __init__(self, redis: Redis) -> None:
        self._client: Any = redis.client

    async def given(self, session_id: SessionId, message_id: str) -> Given | None:
        found = await self._client.hget(_key(session_id), message_id)
        return None if found is None else msgspec.json.decode(found, type=Given)

    async def knows(self, session_id: SessionId) -> bool:
        return bool(await self._client.exists(_key(session_id)))

    async def give(self, session_id: SessionId, message_id: str, *, after: int) -> Given:
        key = _key(session_id)
        given = Given(after=after)
        if await self._client.hsetnx(key, message_id, msgspec.json.encode(given)):
            await self._client.expire(key, int(KEEP.total_seconds()))
            return given
        return await self.given(session_id, message_id) or given

    async def answered(self, session_id: SessionId, message_id: str, given: Given) -> None:
        key = _key(session_id)
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, message_id, msgspec.json.encode(given))
            pipeline.expire(key, int(KEEP.total_seconds()))
            pipeline.hlen(key)
            *_, count = await pipeline.execute()
        if count > MOST_KEPT:
            await self._forget_oldest(key)

    async def _forget_oldest(self, key: str) -> None:
        found = await self._client.hgetall(key)
        by_age = sorted(found, key=lambda message_id: msgspec.json.decode(found[message_id], type=Given).after)
        await self._client.hdel(key, *by_age[: MOST_KEPT // 2])


def _key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:texts"
