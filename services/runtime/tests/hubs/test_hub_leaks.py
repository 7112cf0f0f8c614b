"""Connections that come and go, well or badly, leave nothing behind in the process."""

import asyncio
import contextlib

import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason

pytestmark = pytest.mark.hub

ROUNDS = 12


async def settled(count: int) -> int:
    """The number of tasks, once it is down to `count` or a while has passed."""
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > count:  # noqa: ASYNC110 - other tasks end one by one
            await asyncio.sleep(0.01)
    return len(asyncio.all_tasks())


async def test_ended_refused_lost_and_listening_connections_leave_no_task_and_no_session(
    house, voice, chat, pen, gallery, refused
):
    async with voice() as first:  # what is made once
        await first.ask("EndSessionAsync")
    live = house.sessions.get(SessionId("call_1"))
    if live is not None:
        await live.over()
    before = await settled(len(asyncio.all_tasks()))

    for _ in range(ROUNDS):
        async with voice(agentId="agt_unknown") as client:
            await refused(client)
        async with voice() as client, voice({"scopes": ("hub", "conversations:read")}, agentId="") as listener:
            started = await client.until("SessionStarted")
            live = house.sessions.get(SessionId(started["sessionId"]))
            await live.begun()
            await listener.ask("JoinAsListenerAsync", started["conversationId"])
            async with voice(sessionId=started["sessionId"]) as again:
                await again.until("SessionStarted")
                with contextlib.suppress(AssertionError):
                    await client.until("SessionEnded")
        house.sessions.end(live.plan.session_id, EndReason.USER_ENDED)
        await live.over()
        async with chat() as client:
            await client.until("SessionStarted")
            await client.ask("SendMessageAsync", "Hi")
            pen.write("One")
            await client.until("MessageReceived")
            await client.ask("EndSessionAsync")
            await client.until("SessionEnded")
    await settled(before)
    assert len(house.sessions) == 0
    assert len(gallery) == 0
    assert house.pacer.pairs == {}
    assert house.store.tenants["ten_1"] == {}
