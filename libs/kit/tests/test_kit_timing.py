"""Reconcilers, backoff, ids and loop lag: whatever depends on time, in virtual time."""

import asyncio
import time
from itertools import pairwise

import msgspec
import pytest
from voisnap_kit.backoff import Backoff
from voisnap_kit.health import LoopLag
from voisnap_kit.http import background
from voisnap_kit.ids import UlidSource, new_id
from voisnap_kit.reconcile import Reconciler
from voisnap_testkit.virtual_time import Deadlock, run_virtual

pytestmark = pytest.mark.unit


class Found(msgspec.Struct, frozen=True):
    count: int


def middle(low: float, high: float) -> float:
    return (low + high) / 2


@pytest.mark.virtual_time
async def test_a_reconciler_runs_at_its_pace_and_keeps_its_last_status() -> None:
    runs: list[float] = []

    async def task() -> Found:
        runs.append(asyncio.get_running_loop().time())
        return Found(len(runs))

    reconciler = Reconciler("count", 60, task, uniform=middle)
    async with background(reconciler.run()):
        await asyncio.sleep(150)
    assert runs == pytest.approx([0, 60, 120])
    assert reconciler.last == Found(3)


@pytest.mark.virtual_time
async def test_a_reconciler_that_is_woken_runs_at_once() -> None:
    runs: list[float] = []

    async def task() -> Found:
        runs.append(asyncio.get_running_loop().time())
        return Found(0)

    reconciler = Reconciler("count", 60, task, uniform=middle)
    async with background(reconciler.run()):
        await asyncio.sleep(10)
        reconciler.wake()
        await asyncio.sleep(65)
    assert runs == pytest.approx([0, 10, 70])


@pytest.mark.virtual_time
async def test_a_reconciler_that_fails_backs_off_and_recovers() -> None:
    runs: list[float] = []

    async def task() -> Found:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) <= 3:
            raise RuntimeError("not yet")
        return Found(1)

    reconciler = Reconciler("count", 60, task, uniform=lambda low, high: high)
    async with background(reconciler.run()):
        await asyncio.sleep(50)
    assert runs == pytest.approx([0, 1, 3, 7])
    assert reconciler.last == Found(1)


@pytest.mark.virtual_time
async def test_a_run_that_hangs_is_cut_off() -> None:
    runs: list[float] = []

    async def task() -> Found:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) == 1:
            await asyncio.Event().wait()
        return Found(1)

    reconciler = Reconciler("count", 60, task, timeout=5, uniform=lambda low, high: high)
    async with background(reconciler.run()):
        await asyncio.sleep(10)
    assert runs == pytest.approx([0, 6])


def test_backoff_grows_to_its_cap_and_starts_over() -> None:
    backoff = Backoff(first=0.1, cap=1.0, uniform=lambda low, high: high)
    assert [backoff.next() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)


def test_backoff_is_spread_and_never_nothing() -> None:
    backoff = Backoff(first=1.0, cap=1.0)
    waits = [backoff.next() for _ in range(200)]
    assert min(waits) >= 0.25
    assert max(waits) <= 1.0
    assert max(waits) - min(waits) > 0.5


def test_ids_made_in_one_millisecond_still_sort() -> None:
    source = UlidSource(clock_ms=lambda: 1_700_000_000_000, randbits=lambda bits: 5)
    made = [source.next() for _ in range(100)]
    assert made == sorted(set(made))
    assert made[0] == "01HF7YAT00" + "0000000000000005"


def test_ids_survive_a_clock_that_steps_back_and_a_random_part_that_is_used_up() -> None:
    times = iter([1000, 500, 1000, 1001])
    full = (1 << 80) - 1
    source = UlidSource(clock_ms=lambda: next(times), randbits=lambda bits: full)
    made = [source.next() for _ in range(4)]
    assert made == sorted(set(made))


def test_an_id_is_prefix_and_ulid() -> None:
    made = new_id("agt")
    assert made.startswith("agt_")
    assert len(made) == 30
    assert set(made[4:]) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


async def test_a_blocked_loop_shows_as_lag() -> None:
    lag = LoopLag(period=0.01, window=20)
    async with background(lag.run()):
        await asyncio.sleep(0.03)
        time.sleep(0.08)  # noqa: ASYNC251 - the point: the loop is blocked
        await asyncio.sleep(0.03)
    assert 0.06 < lag.worst < 1.0


def test_virtual_time_passes_without_waiting() -> None:
    async def hours() -> float:
        await asyncio.sleep(3600)
        async with asyncio.timeout(7200):
            await asyncio.gather(asyncio.sleep(1800), asyncio.sleep(3600))
        return asyncio.get_running_loop().time()

    before = time.monotonic()
    assert run_virtual(hours()) == pytest.approx(7200)
    assert time.monotonic() - before < 2


def test_virtual_time_keeps_the_order_of_timers() -> None:
    async def order() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        for delay, name in ((3, "c"), (1, "a"), (2, "b"), (1, "a2")):
            loop.call_later(delay, seen.append, name)
        await asyncio.sleep(4)
        return seen

    assert run_virtual(order()) == ["a", "a2", "b", "c"]


def test_waiting_for_nothing_in_virtual_time_is_an_error() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(hang())


def test_a_thread_takes_no_virtual_time_and_no_time_out_overtakes_it() -> None:
    async def threads() -> tuple[int, float]:
        async with asyncio.timeout(1):
            answer = await asyncio.to_thread(lambda: (time.sleep(0.02), 7)[1])
        return answer, asyncio.get_running_loop().time()

    assert run_virtual(threads()) == (7, 0.0)


def test_an_id_does_not_give_away_the_next_one_of_the_same_millisecond():
    source = UlidSource(clock_ms=lambda: 1_700_000_000_000)
    made = [source.next() for _ in range(200)]
    assert made == sorted(set(made))
    assert all(one[:18] != two[:18] or one[18:22] != two[18:22] for one, two in pairwise(made))
