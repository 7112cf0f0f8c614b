"""The hop from a call to a text: asked for once, told with the session's events, for the caller's number."""

import msgspec
import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import Caller, Channel
from voisnap_proto.events import TextRequested
from voisnap_providers.ports.llm import ToolCall
from voisnap_runtime.pipeline.tools import Toolbox
from voisnap_runtime.texting.tool import SEND_TEXT, TextRequests, text_tools_of

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SESSION = SessionId("call_1")


@pytest.fixture
def plan(make_plan):
    return make_plan(
        session_id=SESSION, channel=Channel.PHONE, caller=Caller(phone_number="+491701234567"), can_text=True
    )


def call_of(text: str, call_id: str = "tool_1") -> ToolCall:
    return ToolCall(call_id=call_id, name=SEND_TEXT, arguments=msgspec.json.encode({"text": text}).decode())


async def used(toolbox: Toolbox, call: ToolCall, *, turn: int = 1):
    task, _ = toolbox.start(call, turn=turn, spoke=True)
    return await task


async def test_an_agent_that_promises_a_link_sends_it_once(house, plan, make_audience):
    await house.open(plan)
    live = await house.sessions.claim(SESSION)
    live.attach(make_audience(), resumed=False)
    requests = TextRequests(lambda: house.sessions, now=house.clock)
    toolbox = Toolbox(SESSION, text_tools_of(plan, requests), notify=lambda event: None)

    first = await used(toolbox, call_of("https://acme.test/book"))
    again = await used(toolbox, call_of("https://acme.test/book", "tool_2"))
    await house.journal.flushed(SESSION, timeout=1)
    await house.relay.drained(timeout=5)

    assert (first.success, again.content) == (True, "The text message is on its way to the caller.")
    (event,) = [event for event in house.events if isinstance(event, TextRequested)]
    assert (event.phone_number, event.text) == ("+491701234567", "https://acme.test/book")
    assert event.request_id.startswith("call_1:")


async def test_a_call_sends_so_many_texts_and_no_empty_one(house, plan, make_audience):
    await house.open(plan)
    live = await house.sessions.claim(SESSION)
    live.attach(make_audience(), resumed=False)
    toolbox = Toolbox(
        SESSION, text_tools_of(plan, TextRequests(lambda: house.sessions, now=house.clock)), notify=lambda event: None
    )
    assert not (await used(toolbox, call_of("  "))).success
    sent = [(await used(toolbox, call_of(f"Text {number}"), turn=number)).success for number in range(12)]
    assert sent == [True] * 10 + [False] * 2


def test_who_has_no_number_or_calls_from_none_is_offered_nothing(plan):
    for change in ({"can_text": False}, {"caller": Caller()}):
        assert text_tools_of(msgspec.structs.replace(plan, **change), lambda *_: True) == ()
