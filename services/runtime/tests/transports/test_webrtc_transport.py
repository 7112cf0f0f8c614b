import asyncio
import os
import random
import struct

import pytest
from voisnap_media.pcm import Pcm
from voisnap_runtime.transports.port import TransportState
from voisnap_runtime.transports.sdp import BadOffer

pytestmark = pytest.mark.media


async def test_audio_goes_both_ways_and_arrives_at_once(line):
    await line.connect()
    await line.ear.until(lambda ear: len(ear.loud_at) >= 4)
    await line.caller.until(lambda caller: len(caller.heard) >= 50)
    began = line.caller.beeps.began[-len(line.ear.loud_at) :]
    delays = sorted(heard - spoke for spoke, heard in zip(began, line.ear.loud_at, strict=True))
    # The middle one: a busy machine may hold up a single packet of the caller's.
    assert delays[(len(delays) - 1) // 2] < 0.030
    assert Pcm.concat(line.caller.heard[-25:]).rms_dbfs() > -20
    assert all(part.rate == 16000 for part in line.ear.audio)
    assert line.transport.quality().packets_lost == 0


async def test_the_answer_comes_with_host_candidates_and_they_are_told_afterwards(line):
    answer, kind = await line.transport.answer(await line.caller.offer())
    assert kind == "answer"
    assert "127.0.0.1" in answer
    assert line.candidates == []
    await asyncio.sleep(0)
    assert line.candidates[0]["candidate"].startswith("candidate:")
    assert line.candidates[0]["sdpMid"] == "0"
    assert line.candidates[0]["sdpMLineIndex"] == 0


async def test_states_are_told_in_order(line):
    assert line.transport.state == "new"
    await line.connect()
    await line.transport.close()
    assert line.states.seen == ["connecting", "connected", "closed"]


async def test_candidates_may_come_before_the_offer_and_afterwards(line):
    sdp = await line.caller.offer()
    lines = [text for text in sdp.splitlines() if text.startswith("a=candidate:")]
    await line.transport.add_candidate(lines[0].removeprefix("a="), "0", 0)
    bare = "\r\n".join(text for text in sdp.splitlines() if not text.startswith("a=candidate:")) + "\r\n"
    await line.caller.accept(await line.transport.answer(bare))
    for text in lines[1:]:
        await line.transport.add_candidate(text.removeprefix("a="), "0", 0)
    await line.transport.add_candidate("", "0", 0)
    await line.states.until(TransportState.CONNECTED)


@pytest.mark.parametrize(
    "candidate",
    [
        "nonsense",
        "candidate:1 1 udp 1 999.1.1.1 5 typ host",
        "candidate:1 1 udp x 127.0.0.1 5 typ host",
        "a b c d e f g h",
    ],
)
async def test_a_malformed_candidate_is_refused_clearly(line, candidate):
    await line.transport.answer(await line.caller.offer())
    with pytest.raises(ValueError, match="candidate"):
        await line.transport.add_candidate(candidate, "0", 0)


@pytest.mark.parametrize(
    "candidate",
    [
        "candidate:1 1 udp 2122194687 0b1c9d3e-6f8a-4e7e-9c51-3a5d0f4f4b11.local 50000 typ host",
        "candidate:1 1 tcp 1518214911 192.0.2.9 9 typ host tcptype active",
        "candidate:1 2 udp 2122194686 192.0.2.9 50001 typ host",
        "candidate:1 1 udp 2122194687 192.0.2.9 50000 typ host ufrag other",
    ],
)
async def test_candidates_of_no_use_do_no_harm(line, candidate):
    sdp = await line.caller.offer()
    answer = await line.transport.answer(sdp)
    await line.transport.add_candidate(candidate, "0", 0)
    await line.caller.accept(answer)
    await line.states.until(TransportState.CONNECTED)


async def test_an_offer_that_is_none_is_refused_and_a_good_one_still_works(line):
    for bad in ("", "v=0\r\n", "v=0\r\nm=audio 9 RTP/AVP 0\r\n"):
        with pytest.raises(BadOffer):
            await line.transport.answer(bad)
    with pytest.raises(BadOffer, match="rollback"):
        await line.transport.answer(await line.caller.offer(), "rollback")
    await line.connect()


async def test_a_second_offer_renegotiates_without_a_break(line):
    await line.connect()
    await line.ear.until(lambda ear: ear.seconds > 0.5)
    await line.caller.accept(await line.transport.answer(await line.caller.offer()))
    await line.ear.until(lambda ear: len(ear.loud_at) >= 2)
    assert line.states.seen == ["connecting", "connected"]


async def test_a_caller_on_hold_is_sent_nothing(line):
    await line.connect()
    await line.caller.until(lambda caller: len(caller.heard) > 10)
    await line.transport.answer((await line.caller.offer()).replace("a=sendrecv", "a=sendonly"))
    sent = line.transport.quality().packets_sent
    pulled = line.hum.pulled
    await line.ear.until(lambda _: line.hum.pulled > pulled + 25)
    assert line.transport.quality().packets_sent <= sent + 1


async def test_ice_restart_moves_the_call_to_a_new_way(line):
    await line.connect()
    await line.ear.until(lambda ear: len(ear.loud_at) >= 1)
    first = line.transport._leg
    after = await line.caller.restart_ice(line.transport)
    heard, loud = len(line.caller.heard), len(line.ear.loud_at)
    await line.ear.until(lambda ear: len(ear.loud_at) >= loud + 2)
    await line.caller.until(lambda caller: len(caller.heard) >= heard + 50)
    assert line.transport._leg is not first
    assert first._closed
    assert "failed" not in line.states.seen
    assert line.transport.state == "connected"
    await after.close()


async def test_a_page_loaded_anew_gets_a_new_connection(line, make_line):
    await line.connect()
    other = make_line()
    await other.caller.call(line.transport)
    line.states.seen.clear()
    await line.states.until(TransportState.CONNECTED)
    heard = line.ear.seconds
    await line.ear.until(lambda ear: ear.seconds > heard + 0.5)
    await other.caller.until(lambda caller: len(caller.heard) > 10)
    await other.close()


async def test_five_per_cent_of_lost_packets_are_made_up_for(line):
    await line.connect()
    chance = random.Random(5)  # noqa: S311 - a repeatable network
    line.caller.lose(lambda data: 127 < data[0] < 192 and not 192 <= data[1] <= 223 and chance.random() < 0.05)
    start = line.ear.seconds
    began = asyncio.get_running_loop().time()
    await line.ear.until(lambda ear: ear.seconds > start + 4)
    took = asyncio.get_running_loop().time() - began
    quality = line.transport.quality()
    assert quality.packets_lost >= 3
    assert took == pytest.approx(4.0, abs=0.25)


async def test_pressed_keys_arrive_once_each(line):
    sdp = await line.caller.offer()
    sdp = sdp.replace("UDP/TLS/RTP/SAVPF 96", "UDP/TLS/RTP/SAVPF 96 126")
    sdp = sdp.replace("a=rtpmap:96", "a=rtpmap:126 telephone-event/48000\r\na=rtpmap:96")
    answer, kind = await line.transport.answer(sdp)
    assert "a=rtpmap:126 telephone-event/48000" in answer
    plain = answer.replace(" 126\r\n", "\r\n").replace("a=rtpmap:126 telephone-event/48000\r\n", "")
    await line.caller.accept((plain.replace("a=fmtp:126 0-15\r\n", ""), kind))
    await line.states.until(TransportState.CONNECTED)
    line.pacer.start()
    line.pacer.add(line.hum, line.transport)
    dtls = line.caller.pc.getSenders()[0].transport
    await line.ear.until(lambda ear: ear.seconds > 0.3)
    for press, key in enumerate((1, 11)):
        for repeat in range(4):
            ended = 0x80 if repeat == 3 else 0
            payload = struct.pack("!BBH", key, ended | 10, 960 * (repeat + 1))
            header = struct.pack("!BBHII", 0x80, 126, 100 + press * 4 + repeat, 5000 * (press + 1), 4711)
            await dtls._send_rtp(header + payload)
    await line.ear.until(lambda ear: len(ear.digits) >= 2)
    assert line.ear.digits == "1#"


async def test_a_caller_without_opus_is_understood_in_g711(line):
    sdp = await line.caller.offer()
    kept = [text for text in sdp.splitlines() if "opus" not in text.lower() and "G722" not in text]
    sdp = "\r\n".join(kept).replace("SAVPF 96 9 0 8", "SAVPF 0 8") + "\r\n"
    await line.caller.accept(await line.transport.answer(sdp))
    await line.states.until(TransportState.CONNECTED)
    line.pacer.start()
    line.pacer.add(line.hum, line.transport)
    await line.ear.until(lambda ear: len(ear.loud_at) >= 2)
    await line.caller.until(lambda caller: len(caller.heard) >= 50)
    assert all(part.rate == 16000 for part in line.ear.audio)
    assert max(part.rms_dbfs() for part in line.caller.heard[-25:]) > -20


async def test_silence_costs_almost_no_packets_and_speech_starts_with_a_marker(line):
    await line.connect()
    await line.caller.until(lambda caller: len(caller.heard) > 10)
    line.hum.on = False
    pulled, sent = line.hum.pulled, line.transport.quality().packets_sent
    await line.ear.until(lambda _: line.hum.pulled >= pulled + 100)
    assert line.transport.quality().packets_sent - sent <= 5 + 5 + 1


async def test_a_caller_who_leaves_is_closed(line):
    await line.connect()
    await line.caller.close()
    await line.states.until(TransportState.CLOSED)


async def test_a_caller_who_never_comes_fails(make_line):
    one = make_line()
    one.transport._connect_seconds = 0.2
    await one.transport.answer(await one.caller.offer())
    await one.states.until(TransportState.FAILED, 5)
    await one.close()


async def test_opening_and_closing_leaves_nothing(make_line):
    tasks, sockets = len(asyncio.all_tasks()), _sockets()
    for round_ in range(20):
        one = make_line()
        if round_ % 2:
            await one.connect()
        else:
            await one.transport.answer(await one.caller.offer())
        await one.close()
        await one.transport.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks
    assert _sockets() <= sockets


def _sockets() -> int:
    folder = "/proc/self/fd"
    return sum(1 for entry in os.listdir(folder) if _target(f"{folder}/{entry}").startswith("socket:"))


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


async def test_error_correction_is_spent_only_on_a_network_that_loses(line):
    await line.connect()
    encoder = line.transport._media.outgoing._encoder
    await line.caller.until(lambda caller: len(caller.heard) > 20)
    assert encoder._loss == 0
    receiver = line.caller.pc.getReceivers()[0]
    for lost in (64, 0):
        block = struct.pack("!IIIIII", line.transport._ssrc, lost << 24 | 20, 5000, 0, 0, 0)
        report = struct.pack("!BBHI", 0x81, 201, 7, 4711) + block
        await receiver.transport._send_rtp(report)
    sent = line.transport.quality().packets_sent
    await line.ear.until(lambda _: line.transport.quality().packets_sent > sent + 5)
    # The stock peer's own reports of no loss may already have let it fade.
    assert 5 <= encoder._loss <= 25
