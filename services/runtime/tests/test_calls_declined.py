"""Somebody who wants no more calls: it is told with the session's events, of the number that was talked to."""

import pytest
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import Caller, Channel
from voisnap_proto.events import CallsDeclined

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SESSION = SessionId("call_1")
NUMBER = Caller(phone_number="+491701234567")


def turn(sequence: int, speaker: Speaker, text: str) -> Turn:
    return Turn(
        sequence=sequence, speaker=speaker, text=text, start_time=sequence, end_time=sequence + 0.5, confidence=1.0
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"channel": Channel.PHONE, "caller": NUMBER}, ["+491701234567"]),
        ({"channel": Channel.PHONE, "caller": Caller()}, []),
        ({"channel": Channel.WEBRTC, "caller": NUMBER}, []),
    ],
    ids=["phone", "withheld number", "browser"],
)
async def test_who_wants_no_more_calls_is_told_of(house, make_plan, make_audience, changes, told):
    await house.open(make_plan(session_id=SESSION, **changes))
    live = await house.sessions.claim(SESSION)
    live.attach(make_audience(), resumed=False)
    for said in (
        turn(1, Speaker.AGENT, "Stop calling me, is that what you want?"),
        turn(2, Speaker.USER, "Stop calling me Bob."),
        turn(3, Speaker.USER, "Take me off your list."),
    ):
        live.record.finished(said)
    await house.journal.flushed(SESSION, timeout=1)
    await house.relay.drained(timeout=5)
    declined = [event for event in house.events if isinstance(event, CallsDeclined)]
    assert [event.phone_number for event in declined] == told


@pytest.mark.parametrize(("between", "told"), [(Speaker.USER, 1), (Speaker.AGENT, 0)], ids=["pause", "answer"])
async def test_a_wish_said_with_a_pause_is_one_wish(house, make_plan, make_audience, between, told):
    await house.open(make_plan(session_id=SESSION, channel=Channel.PHONE, caller=NUMBER))
    live = await house.sessions.claim(SESSION)
    live.attach(make_audience(), resumed=False)
    for said in (
        turn(1, Speaker.AGENT, "Good morning."),
        turn(2, Speaker.USER, "Please take me off"),
        turn(3, between, "your"),
        turn(4, Speaker.USER, "list."),
    ):
        live.record.finished(said)
    await house.journal.flushed(SESSION, timeout=1)
    await house.relay.drained(timeout=5)
    assert len([event for event in house.events if isinstance(event, CallsDeclined)]) == told
