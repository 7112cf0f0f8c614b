"""Work beside an application ends with it."""

import asyncio

import pytest
from voisnap_kit.http import background

pytestmark = pytest.mark.unit


async def test_work_that_loses_a_cancellation_still_ends():
    cancellations = 0

    async def deaf() -> None:
        nonlocal cancellations
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1
                if cancellations > 1:
                    raise

    async with asyncio.timeout(5):
        async with background(deaf()):
            await asyncio.sleep(0)
    assert cancellations == 2
