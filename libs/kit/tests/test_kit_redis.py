"""Scripts, rate limits, and a Redis that is away, on a real server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from voisnap_kit import ratelimit
from voisnap_kit.redis import Redis, RedisError, Script
from voisnap_testkit.embedded import EmbeddedTestServers

pytestmark = pytest.mark.conformance


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with await Redis.open(redis_url) as opened:
        yield opened


async def test_a_script_runs_and_runs_again_after_the_server_forgot_it(redis: Redis) -> None:
    add = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await add(redis, keys=("sum",), args=(3,)) == 3
    await redis.client.script_flush()
    assert await add(redis, keys=("sum",), args=(4,)) == 7
    assert await add(redis, keys=("sum",), args=(1,)) == 8


async def test_runs_that_ask_at_once_each_get_their_own_answer_and_count_once(redis: Redis) -> None:
    add = Script(
        "if ARGV[1] == 'x' then return redis.error_reply('no number') end return redis.call('INCRBY', KEYS[1], ARGV[1])"
    )
    sums = await asyncio.gather(*(add.joined(redis, keys=("sum",), args=(1,)) for _ in range(600)))
    assert sorted(sums) == list(range(1, 601))
    given_up = asyncio.create_task(add.joined(redis, keys=("sum",), args=(1,)))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await add.joined(redis, keys=("other",), args=(5,)) == 5
    assert given_up.cancelled()
    with pytest.raises(RedisError):
        await add.joined(redis, keys=("sum",), args=("x",))
    assert await add.joined(redis, keys=("other",), args=(1,)) == 6


async def test_requests_up_to_the_limit_pass_and_the_next_waits(redis: Redis) -> None:
    results = [await ratelimit.check(redis, policy="auth-strict", key="1.2.3.4", limit=3, window=60) for _ in range(5)]
    assert [(result.allowed, result.remaining) for result in results] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    assert results[0].retry_after is None
    assert results[3].retry_after == results[3].reset
    assert 55 <= results[3].reset <= 60
    assert results[3].headers()["Retry-After"] == str(results[3].retry_after)
    assert "Retry-After" not in results[0].headers()


async def test_keys_and_policies_are_counted_apart(redis: Redis) -> None:
    for policy, key in (("a", "x"), ("a", "y"), ("b", "x")):
        assert (await ratelimit.check(redis, policy=policy, key=key, limit=1, window=60)).allowed
    assert not (await ratelimit.check(redis, policy="a", key="x", limit=1, window=60)).allowed


async def test_a_window_that_passed_starts_over(redis: Redis) -> None:
    await ratelimit.check(redis, policy="a", key="x", limit=1, window=60)
    assert await redis.client.pexpire("vs:rate:a:x", 0) == 1  # the window's end, brought forward
    assert (await ratelimit.check(redis, policy="a", key="x", limit=1, window=60)).allowed


async def test_a_counter_that_lost_its_expiry_gets_one(redis: Redis) -> None:
    await redis.client.set("vs:rate:a:x", 10)
    assert not (await ratelimit.check(redis, policy="a", key="x", limit=1, window=60)).allowed
    assert 0 < await redis.client.pttl("vs:rate:a:x") <= 60_000


async def test_without_redis_nothing_is_limited_and_the_check_says_so() -> None:
    async with await Redis.open("redis://127.0.0.1:1", timeout=0.2) as absent:
        result = await ratelimit.check(absent, policy="a", key="x", limit=1, window=60)
        assert (result.allowed, result.limit) == (True, 1)
        with pytest.raises(RedisError):
            await absent.ping()


async def test_commands_go_on_after_the_server_was_killed_and_came_back() -> None:
    servers = EmbeddedTestServers()
    try:
        async with await Redis.open(servers.start_redis()) as redis:
            await redis.client.set("a", 1)
            servers.kill("valkey")
            with pytest.raises(RedisError):
                await redis.ping()
            servers.revive("valkey")
            await redis.client.set("b", 2)
            assert await redis.client.get("b") == b"2"
    finally:
        servers.stop()
