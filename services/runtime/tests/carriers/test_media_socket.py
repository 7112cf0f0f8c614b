"""Carriers' calls over a real socket, in each protocol and codec: heard both ways, keys, hanging up, and whoever should not come in."""

import asyncio
import contextlib
import gc
import json
import weakref

import httpx
import numpy as np
import pytest
from voisnap_domain.calls import CallNotes, CarrierLeg
from voisnap_domain.errors import LimitReached
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_proto.requests import READMIT_SESSION, ReadmitSession, SessionReadmitted
from voisnap_providers.errors import ProviderError
from voisnap_runtime.carriers import door
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.slice


def likeness(one: Pcm, other: Pcm) -> float:
    """How alike two sounds are at the best shift of up to 10 ms, from -1 to 1."""
    rate = one.rate
    length = min(len(one), len(other)) - rate // 50
    best = 0.0
    for shift in range(rate // 100):
        a = one.samples[shift : shift + length].astype(float)
        b = other.samples[:length].astype(float)
        best = max(best, float(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))
    return best


def paced(desk, sound: Pcm, number: int = 1) -> None:
    """The agent says something, frame by frame as the pacer sends it, then nothing."""
    _, transport = desk.house.pacer.pairs[id(desk.call(number))]
    for at in range(0, len(sound), 480):
        transport.send(Pcm(sound.samples[at : at + 480], 24000))
    transport.send(None)


async def test_both_sides_hear_each_other_whatever_the_carrier_codes(desk, formats, tone, until):
    provider, heard, spoken = formats
    await desk.rung(provider)
    async with desk.dial(provider, heard, spoken) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        await carrier.say(tone(heard.rate, 0.3))
        await until(lambda: sum(len(audio) for audio in desk.call().fed) >= 16000 * 0.29)
        paced(desk, tone(24000, 0.5))
        reply = await carrier.hear(0.49)

    fed = Pcm.concat(desk.call().fed)
    assert fed.rate == 16000
    assert desk.call().narrow is (heard.rate == 8000)
    assert likeness(fed, tone(16000, 0.28)) > 0.97
    assert likeness(resample(reply, 24000), tone(24000, 0.45)) > 0.95


async def test_a_call_is_the_session_of_its_token_and_known_by_the_carriers_id(desk, provider, until):
    session = await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        line = desk.live().telephone
        await until(lambda: desk.house.store.sessions[session.plan.session_id].state is SessionState.ACTIVE)
        assert desk.house.store.sessions[session.plan.session_id].owner == "node_a"
        assert await desk.house.store.call_notes(session.plan.session_id) == CallNotes(call_id=line.call_id)
        assert len(line.call_id) > 20


async def test_keys_come_to_the_call(desk, provider, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        for key in "19*#":
            await carrier.press(key)
        await until(lambda: len(desk.call().digits) == 4)
        assert desk.call().digits == ["1", "9", "*", "#"]


async def test_a_caller_who_hangs_up_ends_the_session_and_nothing_is_hung_up_on_again(desk, provider, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        await carrier.hang_up()
        await asyncio.wait_for(live.over(), 3)

    assert desk.house.events[-1].reason is EndReason.USER_ENDED
    assert desk.exchange.control.hung_up == []


async def test_a_socket_that_breaks_leaves_the_session_waiting_for_its_call(desk, provider, until):
    session = await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        carrier.socket.transport.abort()
        await until(lambda: desk.live().is_away)

    assert desk.call().held
    kept = await desk.house.store.get(session.plan.session_id)
    assert kept.state is not SessionState.ENDED


async def test_a_call_that_comes_back_goes_on_in_the_same_conversation(desk, provider, tone, until):
    session = await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        carrier.socket.transport.abort()
        await until(lambda: desk.live().is_away)
    request = ReadmitSession(session_id=session.plan.session_id)
    readmitted = await desk.house.bus.request(READMIT_SESSION, request, SessionReadmitted)
    async with desk.dial(provider) as carrier:
        await carrier.open(readmitted.session_token)
        await until(lambda: not desk.live().is_away)
        assert not desk.call().held
        await carrier.say(tone(carrier.heard.rate, 0.1))
        await until(lambda: desk.call().fed)


async def test_an_agent_who_ends_the_call_is_heard_out_and_then_hangs_up(desk, provider, tone, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        call_id = live.telephone.call_id
        paced(desk, tone(24000, 0.3))
        desk.call().end(EndReason.AGENT_ENDED)
        await carrier.marked(2)
        await live.announced()
        await (await carrier.socket.ping())  # some turns of the server's loop
        assert desk.exchange.control.hung_up == []
        await carrier.play()
        assert await carrier.closed() == 1000
        await asyncio.wait_for(live.over(), 3)
        assert desk.exchange.control.hung_up == [call_id]

    assert desk.house.events[-1].reason is EndReason.AGENT_ENDED


async def test_a_carrier_that_cannot_hang_up_holds_up_no_end(desk, until):
    await desk.rung("twilio")
    desk.exchange.control.error = ProviderError("away", provider="twilio", kind="carrier", retryable=True)
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        live.end(EndReason.TIMEOUT)
        assert await carrier.closed() in (1000, 1012)
        await asyncio.wait_for(live.over(), 3)
    assert desk.house.events[-1].reason is EndReason.TIMEOUT


async def test_a_call_that_was_handed_over_is_not_hung_up_on(desk, provider, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        live = await desk.answered()
        live.end(EndReason.TRANSFER_COMPLETE)
        await asyncio.wait_for(live.over(), 3)
    assert desk.exchange.control.hung_up == []


async def test_a_stream_that_stops_for_a_transfer_is_no_hang_up(desk, until):
    await desk.rung("twilio")
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        desk.live().telephone.is_parted = True
        await carrier.hang_up()
        await until(lambda: desk.live().is_away)


# Who does not come in


@pytest.mark.parametrize("token", ["tel_tok_9", "", None, "x" * 5000])
async def test_without_its_token_nobody_comes_in_and_the_session_still_waits(desk, provider, token, until):
    session = await desk.rung(provider)
    async with desk.dial(provider) as stranger:
        await stranger.open(token)
        assert await stranger.closed() == 1008
    assert await desk.house.store.get(session.plan.session_id) == session
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()


async def test_a_token_opens_one_socket(desk, provider, tone, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier, desk.dial(provider) as second:
        await carrier.open("tel_tok_1")
        await desk.answered()
        await second.open("tel_tok_1")
        assert await second.closed() == 1008
        await carrier.say(tone(carrier.heard.rate, 0.04))
        await until(lambda: desk.call().fed)


async def test_a_token_of_another_carriers_call_is_refused_and_not_used_up(desk, until):
    await desk.rung("telnyx")
    async with desk.dial("twilio") as stranger:
        await stranger.open("tel_tok_1")
        assert await stranger.closed() == 1008
    async with desk.dial("telnyx") as carrier:
        await carrier.open("tel_tok_1")
        await until(lambda: desk.live() is not None)


async def test_the_token_of_a_browsers_session_opens_no_media_socket(desk):
    await desk.house.open(token="wrtc_tok_1")
    async with desk.dial("twilio") as stranger:
        await stranger.open("wrtc_tok_1")
        assert await stranger.closed() == 1008
    assert await desk.house.store.find_by_token("wrtc_tok_1") == "wrtc_1"


async def test_a_node_without_room_says_so_and_the_carrier_may_come_again(desk, monkeypatch):
    await desk.rung("twilio")

    async def full(*_args, **_options):
        raise LimitReached("full", code="node-full", retry_after=2)

    monkeypatch.setattr(desk.house.sessions, "claim", full)
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        assert await carrier.closed() == 1013


async def test_a_store_that_is_away_is_not_the_carriers_fault(desk):
    await desk.rung("twilio")
    desk.house.store.away = True
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        assert await carrier.closed() == 1011
    desk.house.store.away = False


async def test_audio_before_the_start_and_words_of_no_protocol_end_the_socket(desk, provider, tone):
    async with desk.dial(provider) as carrier:
        await carrier.say(tone(carrier.heard.rate, 0.02))
        assert await carrier.closed() == 1008
    async with desk.dial(provider) as carrier:
        await carrier.socket.send("HELO")
        assert await carrier.closed() == 1008


async def test_a_socket_that_says_nothing_is_closed(desk, monkeypatch, provider):
    monkeypatch.setattr(door, "START_SECONDS", 0.05)
    async with desk.dial(provider) as carrier:
        assert await carrier.closed() == 1008


async def test_a_call_gets_in_past_any_number_of_sockets_that_say_nothing(desk, provider, monkeypatch, until):
    monkeypatch.setattr(door, "MAX_STARTING", 8)
    monkeypatch.setattr(door, "START_SECONDS", 60)
    await desk.rung(provider)
    async with contextlib.AsyncExitStack() as strangers:
        silent = [await strangers.enter_async_context(desk.dial(provider)) for _ in range(12)]
        assert [await one.closed() for one in silent[:4]] == [1013] * 4, "whoever has been silent longest goes first"
        assert desk.sockets._door.taken == 8
        carrier = await strangers.enter_async_context(desk.dial(provider))
        assert await silent[4].closed() == 1013
        silent += [await strangers.enter_async_context(desk.dial(provider)) for _ in range(5)]
        await carrier.open("tel_tok_1")
        await desk.answered()
        silent += [await strangers.enter_async_context(desk.dial(provider)) for _ in range(12)]
        await until(lambda: desk.sockets._door.taken == 8)
        assert not desk.live().is_away, "who is let in is pushed out by nobody"
    await until(lambda: desk.sockets._door.taken == 0)


async def test_while_half_the_places_are_taken_silence_is_borne_for_a_shorter_time(desk, monkeypatch, until):
    monkeypatch.setattr(door, "MAX_STARTING", 2)
    monkeypatch.setattr(door, "START_SECONDS", 60)
    monkeypatch.setattr(door, "HURRIED_SECONDS", 0.05)
    async with contextlib.AsyncExitStack() as strangers:
        patient, hurried = [await strangers.enter_async_context(desk.dial("twilio")) for _ in range(2)]
        third = await strangers.enter_async_context(desk.dial("twilio"))
        assert await patient.closed() == 1013
        assert [await hurried.closed(), await third.closed()] == [1008, 1008]


async def test_who_has_said_whose_call_it_is_keeps_the_place_and_when_all_have_the_next_is_told_to_try_again(
    desk, monkeypatch, until
):
    monkeypatch.setattr(door, "MAX_STARTING", 1)
    monkeypatch.setattr(door, "HURRIED_SECONDS", 0.05)
    asked, may_answer = asyncio.Event(), asyncio.Event()
    find = desk.house.store.find_by_token

    async def slowly(token: str) -> object:
        asked.set()
        await may_answer.wait()
        return await find(token)

    monkeypatch.setattr(desk.house.store, "find_by_token", slowly)
    await desk.rung("twilio")
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await asked.wait()
        with pytest.raises(InvalidStatus) as refused:
            async with desk.dial("twilio"):
                pass
        assert refused.value.response.status_code == 403
        may_answer.set()
        await desk.answered()
    await until(lambda: desk.sockets._door.taken == 0)


async def test_other_paths_and_plain_requests_find_nothing(desk):
    for path in ("/carriers/acme/media", "/carriers/twilio", "/carriers/twilio/media/x", "/carriers/whatsapp/media"):
        with pytest.raises(InvalidStatus):
            async with connect(f"ws://127.0.0.1:{desk.port}{path}"):
                pass
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{desk.port}") as client:
        assert (await client.get("/carriers/twilio/media")).status_code == 426
        assert (await client.get("/carriers/acme/media")).status_code == 404


async def test_some_frames_that_make_no_sense_are_passed_over_and_a_flood_ends_the_socket(desk, provider, tone, until):
    await desk.rung(provider)
    async with desk.dial(provider) as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        await carrier.socket.send(json.dumps({"event": "party"}))
        await carrier.say(tone(carrier.heard.rate, 0.02))
        await until(lambda: desk.call().fed)
        for _ in range(60):
            await carrier.socket.send("{}")
        assert await carrier.closed() == 1008
        await until(lambda: desk.live().is_away)
    assert not desk.live().is_ending


async def test_a_call_of_which_nothing_can_be_read_ends_instead_of_coming_back_for_ever(desk, until):
    await desk.rung("vonage")
    async with desk.dial("vonage") as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        for _ in range(60):
            await carrier.socket.send(b"x" * 333)
        assert await carrier.closed() == 1008
    await until(lambda: desk.live() is None)
    assert desk.house.events[-1].reason is EndReason.ERROR
    assert len(desk.exchange.control.hung_up) == 1


async def test_audio_that_comes_much_too_fast_is_dropped(desk, tone, until):
    await desk.rung("twilio")
    async with desk.dial("twilio") as carrier:
        await carrier.open("tel_tok_1")
        await desk.answered()
        await carrier.say(tone(8000, 6.0))
        await carrier.press("1")
        await until(lambda: desk.call().digits)
        assert 1.9 < sum(audio.seconds for audio in desk.call().fed) < 3.5
        assert desk.live().telephone.dropped > 50


async def test_the_leg_of_an_inbound_call_names_it_where_the_stream_does_not(desk, until):
    leg = CarrierLeg(provider="twilio", account="platform", number="+14155550100", call_id="CA_known")
    await desk.rung("twilio", leg=leg)
    async with desk.dial("twilio") as carrier:
        connected, start = carrier.end.opening({"token": "tel_tok_1"})
        about = json.loads(start)
        about["start"]["callSid"] = ""
        await carrier.socket.send(connected)
        await carrier.socket.send(json.dumps(about))
        await until(lambda: desk.live() is not None)
        assert desk.live().telephone.call_id == "CA_known"


async def test_nothing_is_left_of_a_call_that_is_over(desk, provider, until):
    await desk.rung(provider)
    gc.disable()
    try:
        async with desk.dial(provider) as carrier:
            await carrier.open("tel_tok_1")
            live = await desk.answered()
            line = weakref.ref(live.telephone)
            await carrier.hang_up()
            await asyncio.wait_for(live.over(), 3)
        await until(lambda: line() is None)
    finally:
        gc.enable()
