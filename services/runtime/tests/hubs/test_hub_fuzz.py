"""Nonsense sent to every method of every hub: it is refused in words, nothing breaks inside, and nobody else notices."""

import asyncio
import json
import logging
import random

import msgspec
import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.transports.webrtc import WebRtcTransport

pytestmark = pytest.mark.hub

COMMON = ("EndSessionAsync", "RequestReconnectionAsync")
METHODS = {
    "voice": ("SendAudioAsync", "SendDtmfAsync", "UploadAudio", "JoinAsListenerAsync", "StopListeningAsync"),
    "chat": ("SendMessageAsync", "TypingAsync", "CancelAsync"),
    "webrtc": ("SendOfferAsync", "SendIceCandidateAsync"),
}
ROUNDS = 150


def nonsense(dice: random.Random, depth: int = 0) -> object:
    """Any JSON value: numbers beyond all bounds, strings of all kinds, deep and wide things."""
    kinds = ["null", "bool", "int", "float", "text", "long", "odd"] + ([] if depth > 2 else ["list", "dict", "known"])
    match dice.choice(kinds):
        case "null":
            return None
        case "bool":
            return dice.random() < 0.5
        case "int":
            return dice.choice((0, -1, 2**31, 2**63, -(2**70), dice.randrange(1000)))
        case "float":
            return dice.choice((0.5, -1e308, 1e-320))
        case "text":
            return "".join(chr(dice.choice((dice.randrange(32, 127), dice.randrange(0x250, 0x2FFF)))) for _ in range(9))
        case "long":
            return dice.choice("aA=/") * dice.randrange(1, 20_000)
        case "odd":
            return dice.choice(
                ("", " ", "\x00", "\u202e", "${jndi:x}", "../../etc", "conv_1", "AAA=", "5", "٣", "offer")
            )
        case "list":
            return [nonsense(dice, depth + 1) for _ in range(dice.randrange(4))]
        case "dict":
            return {str(nonsense(dice, 9))[:20]: nonsense(dice, depth + 1) for _ in range(dice.randrange(4))}
        case _:
            names = ("content", "metadata", "sdp", "type", "candidate", "sdpMid", "sdpMLineIndex")
            return {name: nonsense(dice, depth + 1) for name in dice.sample(names, 3)}


@pytest.mark.parametrize("hub", ["voice", "chat", "webrtc"])
async def test_nonsense_is_refused_and_leaves_others_alone(
    house, voice, connect_hub, port, keys, caplog, hub, gallery, outcome_of
):
    dice = random.Random(20261121)  # noqa: S311 - the same nonsense every time
    claims = {"scopes": ("hub", "conversations:read")}
    seen: set[bool] = set()
    await house.open()
    query = {"agentId": "agt_1", "sessionToken": "wrtc_tok_1", "access_token": keys.token(**claims)}
    async with voice() as victim, connect_hub(port, query, hub=hub) as client:
        await victim.until("SessionStarted")
        await client.until("SessionStarted")
        with caplog.at_level(logging.WARNING):
            for _ in range(ROUNDS):
                target = dice.choice((*METHODS[hub], "RequestReconnectionAsync", "Unknown", "constructor"))
                arguments = [nonsense(dice) for _ in range(dice.choice((0, 1, 1, 1, 2, 3)))]
                error = await outcome_of(client, target, *arguments)
                assert not any(inner in error for inner in ("closed", "Traceback", "has no attribute")), (target, error)
                seen.add(bool(error))
        call = house.calls[SessionId("call_1")]
        call.notify(call_events.AudioCleared())
        await victim.until("AudioCleared")
    assert seen == {True, False}
    assert [record.message for record in caplog.records if "failed" in record.message] == []


@pytest.mark.parametrize(
    "frame",
    [
        "x" * 70_000,
        '{"type":1,"target":"SendAudioAsync","arguments":["' + "A" * 70_000 + '"]}\x1e',
        '{"type":1,"target":"SendAudioAsync"}\x1e',
        '{"type":1}\x1e',
        "[]\x1e",
        "\x1e\x1e\x1e{\x1e",
        '{"type":2,"invocationId":"nobody","item":1}\x1e{"type":"1"}\x1e',
        b"\xff\xfe\x00\x1e",
    ],
)
async def test_broken_frames_close_their_own_connection_and_its_session_waits(house, voice, left_alone, frame):
    async with voice() as victim, voice() as client:
        await victim.until("SessionStarted")
        await client.until("SessionStarted")
        live = house.sessions.get(SessionId("call_2"))
        await client._socket.send(frame)
        with pytest.raises((AssertionError, json.JSONDecodeError)):
            await client.until("SessionEnded", seconds=5)
        await left_alone(live)
        house.calls[SessionId("call_1")].notify(call_events.AudioCleared())
        await victim.until("AudioCleared")
        assert not live.is_ending


OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:4ZcD
a=ice-pwd:2/1muCWoOi3uLifh0NuRHlig
a=ice-options:trickle
a=fingerprint:sha-256 75:74:5A:A6:A4:E5:52:F4:A7:67:4C:01:C7:EE:91:3F:21:3D:A2:E3:53:7B:6F:30:86:F2:30:AA:65:FB:04:24
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:126 telephone-event/8000
"""


def broken_offers(dice: random.Random, count: int):
    """The offer with lines left out, doubled, cut, or with something else in them."""
    lines = OFFER.splitlines()
    yield "\n".join(line for line in lines if not line.startswith(("m=", "a=rtpmap", "a=fmtp")))
    yield OFFER.replace("m=audio", "m=video")
    yield OFFER.replace("m=audio 9", "m=audio 0")
    yield ""
    yield "v=0\n"
    for _ in range(count):
        broken = list(lines)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(broken))
            match dice.randrange(4):
                case 0:
                    del broken[at]
                case 1:
                    broken.insert(at, broken[at])
                case 2:
                    broken[at] = broken[at][: dice.randrange(len(broken[at]) + 1)]
                case _:
                    broken[at] = broken[at].replace(
                        dice.choice("019a:/ "), dice.choice(("", "99999999999", "\x00", "é", "-"))
                    )
        yield "\r\n".join(broken) + "\r\n"


async def test_offers_and_candidates_that_make_no_sense_are_refused_in_words(
    house, port, keys, connect_hub, caplog, outcome_of
):
    made: list[WebRtcTransport] = []

    def make(sink, on_state, on_candidate):
        made.append(WebRtcTransport((), sink=sink, on_state=on_state, on_local_candidate=on_candidate))
        return made[-1]

    house.sessions._parts = msgspec.structs.replace(house.sessions._parts, make_transport=make)
    await house.open()
    dice = random.Random(7)  # noqa: S311 - the same nonsense every time
    refused = 0
    async with connect_hub(port, f"sessionToken=wrtc_tok_1&access_token={keys.token()}") as client:
        await client.until("SessionStarted")
        for sdp in broken_offers(dice, 40):
            error = await outcome_of(client, "SendOfferAsync", {"sdp": sdp, "type": "offer"})
            assert error or "m=audio 9" in sdp, sdp
            assert not error or "The offer can't be used" in error, sdp
            refused += bool(error)
        for candidate in (
            "candidate:",
            "candidate:1 1 udp x 1.2.3.4 5 typ host",
            "nonsense",
            "candidate:" + "9" * 5000,
        ):
            error = await outcome_of(client, "SendIceCandidateAsync", {"candidate": candidate, "sdpMid": "0"})
            assert not error or "The candidate can't be used" in error, candidate
        live = house.sessions.get(SessionId("wrtc_1"))
        assert not live.is_ending
        live.end(EndReason.USER_ENDED)
        await live.over()
    await asyncio.gather(*(transport.close() for transport in made))
    assert refused >= 10
    assert [record.message for record in caplog.records if "failed" in record.message] == []
