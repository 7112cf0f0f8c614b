import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_runtime.transports.sdp import (
    Answering,
    BadOffer,
    Fingerprint,
    chosen_codecs,
    parse_offer,
    write_answer,
)

pytestmark = pytest.mark.unit

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 126 110",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:ab+1",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 AA:BB",
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:63 red/48000/2",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:126 telephone-event/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=candidate:1 1 udp 2122194687 192.0.2.2 50000 typ host",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:1",
        "a=rtpmap:96 VP8/90000",
        "",
    ]
)

OURS = Answering(
    session_id=1,
    version=2,
    ice_username="user",
    ice_password="p" * 22,
    fingerprints=(Fingerprint(algorithm="sha-256", value="CC:DD"),),
    setup="active",
    candidates=("1 1 udp 1 127.0.0.1 4000 typ host",),
    ssrc=77,
    cname="name",
)


def test_a_browsers_offer_is_understood():
    audio = parse_offer(OFFER).audio
    assert (audio.index, audio.mid, audio.direction, audio.setup) == (0, "0", "sendrecv", "actpass")
    assert (audio.ice_username, audio.ice_password) == ("ab+1", "0123456789012345678901")
    assert audio.fingerprints == (Fingerprint(algorithm="sha-256", value="AA:BB"),)
    assert audio.candidates == ("1 1 udp 2122194687 192.0.2.2 50000 typ host",)
    assert [(codec.name, codec.payload_type) for codec in chosen_codecs(audio)] == [
        ("opus", 111),
        ("pcmu", 0),
        ("pcma", 8),
        ("telephone-event", 126),
        ("telephone-event", 110),
    ]


def test_the_answer_takes_the_voice_and_refuses_the_picture():
    answer = write_answer(parse_offer(OFFER), OURS).split("\r\n")
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126 110" in answer
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96" in answer
    assert "a=group:BUNDLE 0" in answer
    assert "a=setup:active" in answer
    assert "a=candidate:1 1 udp 1 127.0.0.1 4000 typ host" in answer
    assert answer[-1] == ""


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_directions_are_mirrored(offered: str, answered: str):
    answer = write_answer(parse_offer(OFFER.replace("a=sendrecv", f"a={offered}")), OURS)
    assert f"a={answered}\r\n" in answer
    assert ("a=ssrc:77" in answer) == (answered in ("sendrecv", "sendonly"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (("a=ice-ufrag:ab+1\r\n", ""), "ICE"),
        (("a=fingerprint:sha-256 AA:BB\r\n", ""), "fingerprint"),
        (("111 63 9 0 8 126 110", "63 9"), "codec"),
        (("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"), "SRTP"),
        (("m=audio 9", "m=audio 0"), "no audio"),
        (("a=rtpmap:111 opus/48000/2", "a=rtpmap:opus"), "rtpmap"),
        (("v=0", "hello"), "v=0"),
        (("s=-", "s=" + "x" * 70000), "too long"),
    ],
)
def test_what_cannot_be_answered_is_said(change: tuple[str, str], complaint: str):
    with pytest.raises(BadOffer, match=complaint):
        parse_offer(OFFER.replace(*change))


@given(st.lists(st.sampled_from(OFFER.split("\r\n")) | st.text(max_size=30), max_size=40))
def test_any_text_is_read_or_refused(lines: list[str]):
    with contextlib.suppress(BadOffer):
        write_answer(parse_offer("\r\n".join(lines)), OURS)
