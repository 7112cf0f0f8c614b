"""Slots of provider accounts, counted in Redis for all processes together.

    vs:slots:{<kind>:<account>}            sorted set: leases by the moment they end at
    vs:slots:{<kind>:<account>}:queue      sorted set: who waits, by ticket
    vs:slots:{<kind>:<account>}:seen       hash: when each of them asked last
    vs:slots:{<kind>:<account>}:minute     sorted set: requests of the last minute

A lease lasts a few seconds and is renewed while its process lives, all of a process in one round trip; what a dead process held is free soon.
Who waits asks again and again; whoever came first is served first, and who has not asked for a moment has gone. Redis's own clock counts.
Without Redis everybody gets a lease: an outage of the counter must not silence a call.
"""

import asyncio
from collections.abc import Callable

from voisnap_kit import log
from voisnap_kit.redis import Redis, RedisError, Script
from voisnap_providers.slots import AccountLimits

LEASE_SECONDS = 15.0
RENEW_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.025
GONE_SECONDS = 0.5
"""Who waits and has not asked for so long does not wait any more."""

_log = log.get(__name__)

_TAKE = Script("""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local leases, queue, seen, minute = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, concurrent, per_minute = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease_ms, gone_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('ZSCORE', leases, id) then return 1 end
redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
redis.call('ZREMRANGEBYSCORE', minute, '-inf', now - 60000)
while true do
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  if not first or first == id then break end
  local asked = tonumber(redis.call('HGET', seen, first) or '0')
  if now - asked <= gone_ms then break end
  redis.call('ZREM', queue, first)
  redis.call('HDEL', seen, first)
end
local first = redis.call('ZRANGE', queue, 0, 0)[1]
local has_room = (concurrent < 0 or redis.call('ZCARD', leases) < concurrent)
  and (per_minute < 0 or redis.call('ZCARD', minute) < per_minute)
if has_room and (not first or first == id) then
  redis.call('ZREM', queue, id)
  redis.call('HDEL', seen, id)
  redis.call('ZADD', leases, now + lease_ms, id)
  redis.call('PEXPIRE', leases, lease_ms * 4)
  if per_minute >= 0 then
    redis.call('ZADD', minute, now, id)
    redis.call('PEXPIRE', minute, 61000)
  end
  return 1
end
if not redis.call('ZSCORE', queue, id) then
  local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', queue, (tonumber(last) or 0) + 1, id)
end
redis.call('HSET', seen, id, now)
redis.call('PEXPIRE', queue, 60000)
redis.call('PEXPIRE', seen, 60000)
return 0
""")

_GIVE_BACK = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
""")

_RENEW = Script("""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 4)
return 1
""")


class RedisSlots:
    """The slots as one process sees them. `run` belongs in the background. `spent(account)` says whether an account's money is used up."""

    def __init__(
        self, redis: Redis, *, new_id: Callable[[], str], spent: Callable[[str], bool] = lambda account: False
    ) -> None:
        self._redis = redis
        self._new_id = new_id
        self._spent = spent
        self._held: dict[str, tuple[str, ...]] = {}

    async def take(self, kind: str, account: str, limits: AccountLimits, *, patience: float) -> "RedisLease | None":
        """A lease within `patience` seconds, or None."""
        if self._spent(account):
            return None
        lease = RedisLease(self, self._new_id(), _keys(kind, account))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        taken = False
        try:
            while True:
                taken = await self._ask(lease, limits)
                if taken or loop.time() + ASK_AGAIN_SECONDS > deadline:
                    break
                await asyncio.sleep(ASK_AGAIN_SECONDS)
        finally:
            if not taken:
                await lease.release()
        return lease if taken else None

    async def run(self) -> None:
        """Renew what is held, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            runs = tuple(((keys[0],), (lease_id, _ms(LEASE_SECONDS))) for lease_id, keys in self._held.items())
            try:
                await _RENEW.each(self._redis, runs)
            except (RedisError, OSError) as error:
                _log.warning("slots.not_renewed", leases=len(runs), error=repr(error))

    async def give_back(self, lease_id: str, keys: tuple[str, ...]) -> None:
        """A lease is over, or nobody waits for it any more. Never raises."""
        self._held.pop(lease_id, None)
        try:
            await _GIVE_BACK.joined(self._redis, keys=keys[:3], args=(lease_id,))
        except (RedisError, OSError) as error:
            _log.warning("slots.not_given_back", error=repr(error))

    async def _ask(self, lease: "RedisLease", limits: AccountLimits) -> bool:
        args = (
            lease.id,
            _or_none(limits.concurrent),
            _or_none(limits.per_minute),
            _ms(LEASE_SECONDS),
            _ms(GONE_SECONDS),
        )
        try:
            answer = await _TAKE.joined(self._redis, keys=lease.keys, args=args)
        except (RedisError, OSError) as error:
            _log.warning("slots.skipped", error=repr(error))
            return True
        if answer == 1:
            self._held[lease.id] = lease.keys
        return answer == 1


class RedisLease:
    """One slot."""

    def __init__(self, slots: RedisSlots, lease_id: str, keys: tuple[str, ...]) -> None:
        self.id = lease_id
        self.keys = keys
        self._slots = slots
        self._is_over = False

    async def release(self) -> None:
        """Give it back."""
        if not self._is_over:
            self._is_over = True
            await asyncio.shield(self._slots.give_back(self.id, self.keys))


def _keys(kind: str, account: str) -> tuple[str, ...]:
    leases = f"vs:slots:{{{kind}:{account}}}"
    return (leases, f"{leases}:queue", f"{leases}:seen", f"{leases}:minute")


def _or_none(limit: int | None) -> int:
    return -1 if limit is None else limit


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
