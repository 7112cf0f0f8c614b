"""Calls that are signalled by the simulated carriers while somebody else carries their sound."""

import asyncio
from typing import Any

import pytest
from voisnap_simulator.voice.wires import wire_of

pytestmark = [pytest.mark.slice, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("provider", ["twilio", "vonage", "telnyx"])
async def test_whoever_asked_for_a_call_is_told_where_its_sound_goes(network: Any, provider: str):
    call_id = await network.ring(provider, faults={"handsOver": True})
    call = network.exchange.calls[call_id]
    async with asyncio.timeout(8):
        while not (handed := [event for event in call.events if event.kind == "stream.handed"]):
            await call.changed.wait()
    detail = handed[0].detail
    assert detail["url"].endswith(f"/carriers/{provider}/media")
    assert wire_of(detail["wire"]).opening()
    assert network.platform.sockets == 0, "the carrier opened it itself"
    if provider == "telnyx":  # the platform's own commands are done, too
        async with asyncio.timeout(8):
            await network.platform.background
    assert (await network.http.post(f"/simulator/calls/{call_id}/hang-up")).status_code == 204
    assert (await network.over(call_id))["cause"] == "hung_up"
