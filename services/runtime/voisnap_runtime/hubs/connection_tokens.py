"""Negotiated hub connections in Redis, so that any process of the runtime can open them."""

import hashlib
from typing import Any

import msgspec
from voisnap_kit.redis import Redis, RedisError, Script
from voisnap_signalr import ConnectionInUseError, NegotiatedConnection, Refused

OPEN_SECONDS = 60
"""How long an open connection's token is remembered at most: a second socket is then told that there is no such connection,
not that it is open. A process that was killed leaves nothing behind for longer than that."""

_OPEN = b"open"

_CLAIM = Script("""
local kept = redis.call('GET', KEYS[1])
if kept and kept ~= 'open' then redis.call('SET', KEYS[1], 'open', 'EX', ARGV[1]) end
return kept
""")


class RedisConnectionTokens:
    """`ConnectionTokens` in Redis. Refuses with 503 while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._client: Any = redis.client

    async def issue(self, connection: NegotiatedConnection, *, ttl_s: float) -> bool:
        """Remember it for `ttl_s` seconds."""
        try:
            key = _key(connection.connection_token)
            return bool(await self._client.set(key, msgspec.json.encode(connection), px=int(ttl_s * 1000)))
        except RedisError as error:
            raise Refused(503, f"no connection tokens: {error!r}", retry_after_s=1) from error

    async def claim(self, connection_token: str) -> NegotiatedConnection | None:
        """Hand it out once. Raises ConnectionInUseError the second time."""
        try:
            kept = await _CLAIM(self._redis, keys=(_key(connection_token),), args=(OPEN_SECONDS,))
        except RedisError as error:
            raise Refused(503, f"no connection tokens: {error!r}", retry_after_s=1) from error
        if kept == _OPEN:
            raise ConnectionInUseError
        return None if kept is None else msgspec.json.decode(kept, type=NegotiatedConnection)

    async def release(self, connection_token: str) -> None:
        """Forget the token; a token that cannot be forgotten now dies by itself."""
        try:
            await self._client.delete(_key(connection_token))
        except RedisError:
            return


def _key(connection_token: str) -> str:
    return f"vs:hub:{hashlib.sha256(connection_token.encode()).hexdigest()}"
