"""Slots of accounts on a real Redis: as many as allowed, first come first served, and nothing held by the dead."""

import asyncio
from itertools import count

import pytest
from voisnap_kit.redis import Redis
from voisnap_providers.slots import AccountLimits
from voisnap_runtime import slots as module
from voisnap_runtime.slots import RedisSlots

pytestmark = pytest.mark.slice

ONE = AccountLimits(concurrent=1)


@pytest.fixture
async def processes(redis_url):
    """`processes()`: the slots as another process sees them."""
    async with await Redis.open(redis_url) as redis:
        await redis.client.flushdb()
        numbers = count(1)
        yield lambda **options: RedisSlots(redis, new_id=lambda: f"slot_{next(numbers)}", **options)


async def queued(slots: RedisSlots, wanted: int) -> None:
    """Return when so many wait for account a."""
    while await slots._redis.client.zcard("vs:slots:{llm:a}:queue") < wanted:
        continue


async def test_two_processes_share_the_slots_of_an_account_and_kinds_do_not(processes):
    here, there = processes(), processes()
    lease = await here.take("llm", "openai:platform", ONE, patience=0)
    assert lease is not None
    assert await there.take("llm", "openai:platform", ONE, patience=0.06) is None
    assert await there.take("tts", "openai:platform", ONE, patience=0) is not None
    assert await there.take("llm", "openai:cred_1.1", ONE, patience=0) is not None
    await lease.release()
    assert await there.take("llm", "openai:platform", ONE, patience=0) is not None


async def test_who_came_first_is_served_first(processes):
    slots = processes()
    lease = await slots.take("llm", "a", ONE, patience=0)
    order: list[int] = []

    async def wait(number: int) -> None:
        got = await slots.take("llm", "a", ONE, patience=5)
        order.append(number)
        await got.release()

    waiting = []
    for number in range(4):
        waiting.append(asyncio.create_task(wait(number)))
        await queued(slots, number + 1)
    await lease.release()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3]


async def test_who_gives_up_waiting_holds_nobody_up(processes):
    slots = processes()
    lease = await slots.take("llm", "a", ONE, patience=0)
    waiting = asyncio.create_task(slots.take("llm", "a", ONE, patience=60))
    await queued(slots, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await lease.release()
    assert await slots.take("llm", "a", ONE, patience=0) is not None


async def test_what_a_dead_process_held_and_its_place_in_the_queue_are_free_soon(processes, monkeypatch):
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.1)
    monkeypatch.setattr(module, "GONE_SECONDS", 0.05)
    dead, alive = processes(), processes()
    assert await dead.take("llm", "a", ONE, patience=0) is not None
    lost = module.RedisLease(dead, "slot_lost", module._keys("llm", "a"))
    assert not await dead._ask(lost, ONE)
    assert await alive.take("llm", "a", ONE, patience=3) is not None


async def test_what_is_held_is_renewed(processes, monkeypatch):
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.05)
    here, there = processes(), processes()
    renewing = asyncio.create_task(here.run())
    assert await here.take("stt", "a", ONE, patience=0) is not None
    assert await there.take("stt", "a", ONE, patience=0.5) is None
    renewing.cancel()


async def test_requests_a_minute_are_counted_also_when_they_are_over(processes):
    slots = processes()
    twice = AccountLimits(per_minute=2)
    for _ in range(2):
        lease = await slots.take("llm", "a", twice, patience=0)
        assert lease is not None
        await lease.release()
    assert await slots.take("llm", "a", twice, patience=0.05) is None


async def test_an_account_without_money_gives_nothing(processes):
    slots = processes(spent=lambda account: account == "openai:platform")
    many = AccountLimits(concurrent=9, usd_per_month=5)
    assert await slots.take("llm", "openai:platform", many, patience=5) is None
    assert await slots.take("llm", "cohere:platform", many, patience=0) is not None


async def test_without_redis_everybody_goes_on():
    async with await Redis.open("redis://127.0.0.1:1", timeout=0.05) as redis:
        slots = RedisSlots(redis, new_id=lambda: "slot_1")
        lease = await slots.take("llm", "a", ONE, patience=0)
        assert lease is not None
        await lease.release()
