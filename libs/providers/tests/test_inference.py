"""The worker threads: order, bound, cancelling, errors."""

import threading

import pytest
from voisnap_providers.inference import InferencePool, PoolClosedError, PoolFullError, Priority

pytestmark = pytest.mark.unit


class Gate:
    """Holds the only worker until it is opened, so that what queues behind it can be looked at."""

    def __init__(self, pool: InferencePool) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self.job = pool.submit(self._wait, Priority.FINAL)
        assert self._reached.wait(2)

    def _wait(self) -> None:
        self._reached.set()
        assert self._open.wait(5)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def pool():
    made = InferencePool(1, capacity=3)
    yield made
    await made.aclose()


async def test_urgent_work_overtakes_partials_and_equals_keep_their_order(pool: InferencePool):
    gate = Gate(pool)
    order: list[str] = []
    jobs = [
        pool.submit(lambda: order.append("partial"), Priority.PARTIAL),
        pool.submit(lambda: order.append("final 1"), Priority.FINAL),
        pool.submit(lambda: order.append("final 2"), Priority.FINAL),
    ]
    gate.open()
    for job in jobs:
        await job.future
    assert order == ["final 1", "final 2", "partial"]


async def test_a_full_queue_gives_up_a_partial_for_a_final_and_refuses_more_partials(pool: InferencePool):
    gate = Gate(pool)
    ran: list[int] = []
    partials = [pool.submit(lambda at=at: ran.append(at), Priority.PARTIAL) for at in range(3)]
    with pytest.raises(PoolFullError):
        pool.submit(lambda: "one more", Priority.PARTIAL)
    final = pool.submit(lambda: "final", Priority.FINAL)
    gate.open()
    assert await final.future == "final"
    with pytest.raises(PoolFullError):
        await partials[-1].future
    for job in partials[:2]:
        await job.future
    await pool.run(lambda: None, Priority.PARTIAL)
    assert ran == [0, 1]
    assert pool.stats().refused == 2


async def test_a_cancelled_job_never_runs_and_frees_its_place(pool: InferencePool):
    gate = Gate(pool)
    ran: list[int] = []
    jobs = [pool.submit(lambda: ran.append(1), Priority.FINAL) for _ in range(3)]
    jobs[0].cancel()
    assert pool.stats().queued == 2
    pool.submit(lambda: ran.append(2), Priority.FINAL)
    gate.open()
    await jobs[2].future
    await pool.run(lambda: None, Priority.PARTIAL)
    assert ran == [1, 1, 2]


async def test_an_error_reaches_the_one_who_asked(pool: InferencePool):
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0, Priority.FINAL)
    assert await pool.run(lambda: 7, Priority.FINAL) == 7


async def test_waiting_is_measured_by_priority():
    waits: list[Priority] = []
    pool = InferencePool(1, on_wait=lambda priority, seconds: waits.append(priority))
    await pool.run(lambda: None, Priority.SENTENCE)
    assert waits == [Priority.SENTENCE]
    assert pool.stats().done == 1
    await pool.aclose()


async def test_a_closed_pool_drops_what_waits_and_takes_nothing(pool: InferencePool):
    gate = Gate(pool)
    waiting = pool.submit(lambda: None, Priority.FINAL)
    gate.open()
    await pool.aclose()
    assert waiting.future.done()
    with pytest.raises(PoolClosedError):
        pool.submit(lambda: None, Priority.FINAL)
