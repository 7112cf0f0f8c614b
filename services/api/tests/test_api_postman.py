"""What a worker does about messages at the same time."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from voisnap_api.messaging.postman import Postman

pytestmark = pytest.mark.unit


async def test_people_are_answered_while_a_network_does_not_give_what_others_have_sent() -> None:
    fetching, never, answered = 0, asyncio.Event(), 0
    enough = asyncio.Event()

    async def due() -> float:
        return 0.0

    async def nothing() -> int:
        return 0

    async def fetch() -> int:
        nonlocal fetching
        fetching += 1
        try:
            await never.wait()
        finally:
            fetching -= 1
        return 1

    async def answer() -> int:
        nonlocal answered
        answered += 1
        if answered == 40:
            enough.set()
        return 1

    keeper: Any = SimpleNamespace(seconds_to_next=due, keep_due=fetch, discard=nothing)
    outbox: Any = SimpleNamespace(seconds_to_next=due, send_due=nothing, clear_up=nothing)
    exchanges: Any = SimpleNamespace(answer_due=answer)
    working = asyncio.create_task(Postman(exchanges, outbox, keeper, SimpleNamespace()).run())  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await enough.wait()
    assert fetching == 1
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert fetching == 0
