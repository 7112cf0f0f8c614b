"""How much of the hubs one tenant may take, counted for all processes together: nobody fills a process for the others.

Sessions are bounded by the tenant's plan (`sessions.desk`, and connections a minute by the API); here it is what costs something without being
a session. The bounds are far above what a plan's sessions need, comings back after the loss of a process included. While Redis is away
nothing is counted and nobody is refused: no session can be opened then anyway.

    vs:rate:hub-negotiate:{tid}:{env}    negotiations, and sockets without one, in this minute
    vs:rate:hub-listen:{tid}:{env}       joins of listeners in this minute
    vs:hubs:{tid:env}:open               sorted set: open connections by the time until which they count
    vs:hubs:{tid:env}:idle               the same, of those without a session of their own
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from voisnap_domain.errors import LimitReached, TooManyRequests
from voisnap_domain.ids import NodeId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import log, ratelimit
from voisnap_kit.redis import Redis, RedisError, Script

_log = log.get(__name__)

WINDOW_SECONDS = 60
COUNTS_SECONDS = 60
"""How long a connection counts that nobody renews: of a process that was killed."""
RENEW_SECONDS = 20.0

_ENTER = Script("""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(ARGV[3])))
return 1
""")

_RENEW = Script("""
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i]) end
redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(ARGV[1])))
return 1
""")


class Account(Protocol):
    """Who is counted."""

    @property
    def tenant_id(self) -> TenantId: ...
    @property
    def environment(self) -> Environment: ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may have in one environment. `idle`: connections that hold no session, such as those of listeners."""

    negotiations_a_minute: int = 6_000
    joins_a_minute: int = 120
    connections: int = 5_000
    idle: int = 200


class Bounds(Protocol):
    """The part that hubs need. Every refusal is a LimitReached whose text the client may see."""

    async def negotiates(self, account: Account) -> None:
        """Count a negotiation, or a socket without one. Raises TooManyRequests."""
        ...

    async def joins(self, account: Account) -> None:
        """Count a listener who wants to hear a conversation. Raises TooManyRequests."""
        ...

    async def enters(self, account: Account, connection_id: str) -> None:
        """Count an open connection until it `leaves`. Raises LimitReached."""
        ...

    async def idles(self, account: Account, connection_id: str) -> None:
        """Count it as one without a session, too. Raises LimitReached."""
        ...

    async def leaves(self, account: Account, connection_id: str) -> None:
        """The connection is over; for one that was never counted nothing happens."""
        ...


class TenantBounds:
    """`Bounds` in Redis, for one process. `run` has to run, or connections stop counting after a minute."""

    def __init__(
        self, redis: Redis, node_id: NodeId, limits: Limits | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._client: Any = redis.client
        self._node_id = node_id
        self._limits = limits or Limits()
        self._now = now
        self._members: dict[str, set[str]] = {}

    async def negotiates(self, account: Account) -> None:
        await self._count("hub-negotiate", account, self._limits.negotiations_a_minute, "connections are opened")

    async def joins(self, account: Account) -> None:
        await self._count("hub-listen", account, self._limits.joins_a_minute, "conversations are listened to")

    async def enters(self, account: Account, connection_id: str) -> None:
        await self._enter(_key(account, "open"), connection_id, self._limits.connections, "open connections")

    async def idles(self, account: Account, connection_id: str) -> None:
        await self._enter(_key(account, "idle"), connection_id, self._limits.idle, "open connections without a session")

    async def leaves(self, account: Account, connection_id: str) -> None:
        member = self._member(connection_id)
        for kind in ("open", "idle"):
            key = _key(account, kind)
            members = self._members.get(key)
            if members is None or member not in members:
                continue
            self._forget(key, member)
            try:
                await self._client.zrem(key, member)
            except RedisError as error:  # it stops counting by itself
                _log.info("hub.connection_still_counted", error=repr(error))

    async def run(self) -> None:
        """Let the connections of this process go on counting, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except RedisError as error:
                _log.info("hub.connections_not_renewed", error=repr(error))

    async def renew(self) -> None:
        """Let them count for another minute, in one round trip. Raises RedisError."""
        until = self._now() + COUNTS_SECONDS
        runs = [((key,), (until, *members)) for key, members in self._members.items()]
        await _RENEW.each(self._redis, runs)

    async def _count(self, policy: str, account: Account, limit: int, what: str) -> None:
        key = f"{account.tenant_id}:{account.environment.value}"
        state = await ratelimit.check(self._redis, policy=policy, key=key, limit=limit, window=WINDOW_SECONDS)
        if not state.allowed:
            raise TooManyRequests(
                f"More than {limit} times a minute {what}. Try again in {state.reset} s.", retry_after=state.retry_after
            )

    async def _enter(self, key: str, connection_id: str, most: int, what: str) -> None:
        member = self._member(connection_id)
        self._members.setdefault(key, set()).add(member)
        now = self._now()
        try:
            counts = await _ENTER(self._redis, keys=(key,), args=(member, now, now + COUNTS_SECONDS, most))
        except RedisError as error:
            _log.warning("hub.connection_not_counted", error=repr(error))
            return
        if not counts:
            self._forget(key, member)
            raise LimitReached(f"The account has {most} {what} already.", code="connection-limit-reached")

    def _forget(self, key: str, member: str) -> None:
        members = self._members[key]
        members.discard(member)
        if not members:
            del self._members[key]

    def _member(self, connection_id: str) -> str:
        return f"{self._node_id}:{connection_id}"


class Boundless:
    """`Bounds` that refuse nobody."""

    async def negotiates(self, account: Account) -> None: ...
    async def joins(self, account: Account) -> None: ...
    async def enters(self, account: Account, connection_id: str) -> None: ...
    async def idles(self, account: Account, connection_id: str) -> None: ...
    async def leaves(self, account: Account, connection_id: str) -> None: ...


def _key(account: Account, kind: str) -> str:
    return f"vs:hubs:{{{account.tenant_id}:{account.environment.value}}}:{kind}"
