"""Fixed-window rate limits counted in Redis. Without Redis the limit is open: an outage of the counter must not stop the product."""

import msgspec

from . import log
from .redis import Redis, RedisError, Script

_log = log.get(__name__)

_COUNT = Script(
    """
    local count = redis.call('INCR', KEYS[1])
    if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 then
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        left = tonumber(ARGV[1])
    end
    return {count, left}
    """
)


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one counter after this request. `reset` and `retry_after` are whole seconds; `retry_after` is None when allowed."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int | None

    def headers(self) -> dict[str, str]:
        """The answer's rate-limit headers."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


async def check(redis: Redis, *, policy: str, key: str, limit: int, window: int) -> RateLimit:
    """Count one request of `key` under `policy`: at most `limit` in `window` seconds, from its first request on."""
    try:
        count, left_ms = await _COUNT.joined(redis, keys=(f"vs:rate:{policy}:{key}",), args=(window * 1000,))
    except (RedisError, OSError) as error:
        _log.warning("ratelimit.skipped", policy=policy, error=repr(error))
        return RateLimit(allowed=True, limit=limit, remaining=limit, reset=window, retry_after=None)
    seconds = max(1, -(-int(left_ms) // 1000))
    allowed = int(count) <= limit
    return RateLimit(
        allowed=allowed,
        limit=limit,
        remaining=max(0, limit - int(count)),
        reset=seconds,
        retry_after=None if allowed else seconds,
    )
