"""Telephone calls whose media are lost, whose process dies or stops, and what other processes are told of them."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from voisnap_domain.calls import AnsweredBy, CarrierLeg
from voisnap_domain.conversations import Speaker
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_proto.events import SessionStarted
from voisnap_proto.requests import (
    NOTE_ANSWERER,
    READMIT_SESSION,
    AnswererNoted,
    NoteAnswerer,
    ReadmitSession,
    SessionReadmitted,
)
from voisnap_runtime.carriers.admission import MAX_READMITTED
from voisnap_runtime.sessions.neighbours import Neighbours
from voisnap_runtime.sessions.reaper import Reaper

pytestmark = pytest.mark.slice

SESSION = SessionId("wrtc_1")


@pytest.fixture
async def other(build_house, build_desk):
    """Another process with a door for carriers."""
    return await build_desk(await build_house("node_b"))


@pytest.fixture
def readmitted(house):
    """`await readmitted()`: a fresh token for the call, as the API asks for it."""

    async def ask(session_id: SessionId = SESSION) -> str | None:
        request = ReadmitSession(session_id=session_id)
        return (await house.bus.request(READMIT_SESSION, request, SessionReadmitted)).session_token

    return ask


async def test_a_call_whose_process_was_killed_goes_on_in_another_one(
    house, desk, other, provider, readmitted, tone, until
):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        desk.call().say(1, "Hello, this is Aria.")
        desk.call().say(2, "What time do you close?", speaker=Speaker.USER)
        await house.journal.flushed(SESSION, timeout=1)
        await desk.switchboard.close()
        await house.kill()
        killed = asyncio.get_running_loop().time()
        token = await readmitted()

    async with other.dial(provider) as carrier:
        await carrier.open(token)
        await other.answered()
        assert asyncio.get_running_loop().time() - killed < 1
        resumption = other.call().resumption
        assert [turn.text for turn in resumption.turns] == ["Hello, this is Aria.", "What time do you close?"]
        assert not resumption.seamless
        await carrier.say(tone(carrier.heard.rate, 0.04))
        await until(lambda: other.call().fed)
    assert len([event for event in house.events if isinstance(event, SessionStarted)]) == 1


async def test_a_process_that_stops_lets_the_carrier_come_back_to_another_one(
    house, desk, other, provider, readmitted, until
):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        await house.sessions.hand_over(timeout=1)
        assert await carrier.closed() == 1012
    assert desk.exchange.control.hung_up == []

    async with other.dial(provider) as carrier:
        await carrier.open(await readmitted())
        await other.answered()
        assert other.call().resumption.seamless


async def test_a_call_that_comes_back_while_its_old_socket_seems_alive_takes_over(desk, provider, readmitted, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier, desk.dial(provider) as again:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        first = live.telephone
        await again.open(await readmitted())
        await until(lambda: live.telephone is not first)
        await carrier.closed()
        await until(lambda: desk.live() is live and not live.is_ending)
        await again.press("7")
        await until(lambda: desk.call().digits == ["7"])


async def test_a_call_that_is_over_is_not_let_in_again(house, desk, readmitted, until):
    await desk.rung("twilio")
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        await carrier.hang_up()
        await asyncio.wait_for(live.over(), 3)
    assert await readmitted() is None
    assert await readmitted(SessionId("wrtc_unknown")) is None


async def test_a_session_that_is_no_telephone_call_is_not_let_in(house, desk, readmitted):
    await house.open()
    assert await readmitted() is None


async def test_a_call_that_waited_too_long_is_not_let_in_again(house, desk, other, readmitted, until):
    await desk.rung("twilio")
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
    await desk.switchboard.close()
    await house.kill()
    await house.store.renew({SESSION: house.clock() - timedelta(seconds=60)})
    assert await readmitted() is None


async def test_a_call_that_never_arrives_is_not_let_in_for_ever(desk, readmitted):
    await desk.rung("twilio")
    tokens = [await readmitted() for _ in range(MAX_READMITTED + 2)]
    assert len(set(tokens[:MAX_READMITTED]) - {None}) == MAX_READMITTED
    assert tokens[MAX_READMITTED:] == [None, None]


async def test_a_token_of_a_readmission_is_good_once_and_not_for_long(house, desk, readmitted, until):
    await desk.rung("twilio")
    token = await readmitted()
    _, until_when = house.store.tokens[token]
    assert until_when - house.clock() <= timedelta(seconds=60)
    assert token.startswith("tel_tok_")


# Who answered


@pytest.fixture
def noted(house):
    async def tell(answered_by: AnsweredBy, session_id: SessionId = SESSION) -> bool:
        request = NoteAnswerer(session_id=session_id, answered_by=answered_by)
        return (await house.bus.request(NOTE_ANSWERER, request, AnswererNoted)).found

    return tell


@pytest.fixture
def screened(house, monkeypatch):
    """What the calls of the house were told."""
    told: list[AnsweredBy] = []
    made = house.sessions._parts.make_call

    def make_call(*arguments):
        call = made(*arguments)
        call.note_answerer = told.append
        return call

    house.sessions._parts = msgspec.structs.replace(house.sessions._parts, make_call=make_call)
    return told


async def test_whoever_answered_is_told_to_the_call_wherever_it_lives(desk, other, screened, noted):
    await desk.rung("twilio")
    await other.switchboard.close()
    await other.switchboard.listen()
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        for _ in range(2):  # whichever process takes it
            assert await noted(AnsweredBy.MACHINE_BEEP)
    assert screened == [AnsweredBy.MACHINE_BEEP] * 2


async def test_what_is_told_before_the_call_is_there_is_not_lost(desk, screened, noted, until):
    await desk.rung("twilio")
    assert await noted(AnsweredBy.MACHINE)
    assert screened == []
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await until(lambda: screened == [AnsweredBy.MACHINE])


async def test_nobody_answers_for_a_session_that_is_unknown(desk, noted):
    assert not await noted(AnsweredBy.HUMAN, SessionId("wrtc_unknown"))


# Calls that nobody holds any more


async def test_a_call_whose_session_is_lost_for_good_is_hung_up_on(house, desk, composer_of_nothing):
    await desk.rung("telnyx", leg=CarrierLeg(provider="telnyx", account="platform", number="+1", call_id="v3:old"))
    async with desk.dial("telnyx") as carrier:
        await carrier.open("tel_tok_1")
        call_id = (await desk.answered()).telephone.call_id
        await house.kill()
    await house.store.renew({SESSION: house.clock() - timedelta(seconds=60)})
    ended: list[tuple[str, str]] = []
    reaper = Reaper(
        house.store,
        house.node_id,
        composer_of_nothing,
        publish=lambda session_id: None,
        now=house.clock,
        new_event_id=house.new_event_id,
        neighbours=Neighbours(house.bus, house.node_id),
        hang_up=lambda plan, known_as: ended.append((plan.session_id, known_as)),
    )
    assert (await reaper.reap()).ended == 1
    assert ended == [(SESSION, call_id)]
    kept = await house.store.get(SESSION)
    assert (kept.state, kept.end_reason) == (SessionState.ENDED, EndReason.NODE_LOST)


@pytest.fixture
def composer_of_nothing():
    class Composer:
        async def compose(self, plan, *, elapsed=0.0):
            return None

        def finish_later(self, plan): ...

    return Composer()
