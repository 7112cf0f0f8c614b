"""The carriers' ends of media sockets: what is played when, and what of ours they refuse."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.pcm import Pcm
from voisnap_providers.carriers import media_wire
from voisnap_providers.ports.carrier import (
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MarkReached,
    MediaStarted,
    MediaStopped,
)
from voisnap_simulator.voice.playout import Playout
from voisnap_simulator.voice.sound import RATE, Coder, Decoder, bytes_per_frame, framed, mixed, tone
from voisnap_simulator.voice.wires import Audio, Clear, Mark, TelnyxWire, TwilioWire, Untaken, VonageWire, Wire

pytestmark = pytest.mark.unit

PCMU = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
PCMA = AudioFormat(codec=AudioCodec.PCMA, rate=8000)
L16 = AudioFormat(codec=AudioCodec.L16, rate=16000)
L24 = AudioFormat(codec=AudioCodec.L16, rate=24000)


def twilio(form: AudioFormat = PCMU) -> Wire:
    return TwilioWire(
        stream_sid="MZ1", account_sid="AC1", call_sid="CA" + "1" * 32, parameters={"token": "t"}, form=form
    )


def vonage(rate: int = 16000) -> Wire:
    return VonageWire(rate=rate, headers={"token": "t", "call_id": "u-1"})


def telnyx(heard: AudioFormat = PCMA, spoken: AudioFormat = PCMU) -> Wire:
    return TelnyxWire(
        stream_id="S1",
        call_control_id="v3:1",
        call_session_id="s",
        caller="+13122010094",
        callee="+13122123456",
        heard=heard,
        spoken=spoken,
        token="t",
        parameters={"voisnap-spoken": f"{spoken.codec}/{spoken.rate}"},
        client_state=None,
        user_id="u",
    )


@pytest.mark.parametrize(
    ("provider", "wire"),
    [
        ("twilio", twilio()),
        ("twilio", twilio(PCMA)),
        ("twilio", twilio(L24)),
        ("vonage", vonage(8000)),
        ("vonage", vonage()),
        ("vonage", vonage(24000)),
        ("telnyx", telnyx()),
        ("telnyx", telnyx(PCMU, L16)),
        ("telnyx", telnyx(L16, PCMA)),
    ],
)
def test_our_own_end_understands_every_codec_and_direction(provider: str, wire: Wire):
    ours = media_wire(provider)
    said = [event for frame in wire.opening() for event in ours.read(frame)]
    (started,) = said
    assert isinstance(started, MediaStarted)
    assert (started.heard, started.spoken, started.parameters["token"]) == (wire.heard, wire.spoken, "t")
    coder = Coder(wire.heard)
    heard = [
        event.audio
        for frame in framed(tone((440.0,), 0.4))
        for event in ours.read(wire.media(coder.coded(frame)))
        if isinstance(event, AudioHeard)
    ]
    assert {len(audio) for audio in heard} == {wire.heard.rate // 50}
    assert _pitch(np.concatenate([audio.samples for audio in heard]), wire.heard.rate) == pytest.approx(440, abs=4)
    assert ours.read(wire.key("#")) == (KeyPressed(digit="#"),)

    decoder, playout = Decoder(wire.spoken), Playout[object](bytes_per_frame(wire.spoken), b"\0", 10**7)
    frames = [*ours.audio(Pcm(tone((660.0,), 0.4), RATE)), *ours.mark("end")]
    marks = []
    for frame in frames:
        match wire.take(frame):
            case Audio(data=data):
                assert playout.put(data)
            case Mark(label=label):
                assert not playout.mark(label)
                marks.append(label)
            case other:
                raise AssertionError(other)
    played = []
    told: list[object] = []
    for _ in range(30):
        payload, reached = playout.tick()
        told += [event for mark in reached for event in ours.read(wire.reached(mark))]
        if payload is not None:
            assert not told
            played.append(decoder.frame(payload))
    assert told == [MarkReached(name="end")]
    assert len(played) in (20, 21)
    assert _pitch(np.concatenate(played), RATE) == pytest.approx(660, abs=4)
    for frame in wire.closing():
        assert ours.read(frame) == (MediaStopped(),)


@pytest.mark.parametrize(
    ("provider", "wire", "comes_back"), [("twilio", twilio(), 1), ("vonage", vonage(), 1), ("telnyx", telnyx(), 1)]
)
def test_a_clear_drops_what_waits_and_our_end_hears_of_no_mark(provider: str, wire: Wire, comes_back: int):
    ours = media_wire(provider)
    for frame in wire.opening():
        ours.read(frame)
    playout = Playout[object](bytes_per_frame(wire.spoken), b"\0", 10**7)
    for frame in (*ours.audio(Pcm(tone((660.0,), 1.0), RATE)), *ours.mark("end")):
        asked = wire.take(frame)
        if isinstance(asked, Audio):
            playout.put(asked.data)
        elif isinstance(asked, Mark):
            playout.mark(asked.label)
    playout.tick()
    (clear,) = ours.clear()
    assert wire.take(clear) == Clear()
    answers = wire.cleared(playout.clear())
    assert len(answers) == comes_back
    assert [event for frame in answers for event in ours.read(frame)] == []
    assert playout.tick() == (None, ())


@pytest.mark.parametrize(
    ("wire", "frame"),
    [
        (twilio(), "no json"),
        (twilio(), b"\0" * 160),
        (twilio(), json.dumps({"event": "media", "streamSid": "MZ2", "media": {"payload": ""}})),
        (twilio(), json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": "%%%"}})),
        (vonage(), b"\0" * 320),
        (vonage(), b"\0" * 642),
        (vonage(), json.dumps({"action": "dance"})),
        (telnyx(), b"\0" * 160),
        (telnyx(), json.dumps({"event": "media", "media": {"payload": base64.b64encode(b"\0" * 80).decode()}})),
        (
            telnyx(PCMU, L16),
            json.dumps({"event": "media", "media": {"payload": base64.b64encode(b"\0" * 641).decode()}}),
        ),
        (telnyx(), json.dumps({"event": "media", "media": {"payload": base64.b64encode(b"\0" * 240_001).decode()}})),
    ],
)
def test_frames_that_a_carrier_does_not_take_are_refused_as_it_refuses_them(wire: Wire, frame: str | bytes):
    asked = wire.take(frame)
    assert isinstance(asked, Untaken)
    assert asked.ends == isinstance(wire, TwilioWire)
    if isinstance(wire, TelnyxWire):
        assert json.loads(str(asked.answer))["event"] == "error"


@given(st.lists(st.one_of(st.integers(1, 700), st.just("mark"), st.just("tick"), st.just("clear")), max_size=60))
def test_a_mark_comes_once_and_never_before_its_audio(steps: list[int | str]):
    playout = Playout[int](160, b"\xff", 10**6)
    put = taken = name = 0
    at: dict[int, int] = {}
    told: list[int] = []
    for step in (*steps, *["tick"] * 200):
        match step:
            case "mark":
                name += 1
                at[name] = put
                if playout.mark(name):
                    assert put <= taken
                    told.append(name)
            case "tick":
                waiting = playout.waiting_bytes
                payload, reached = playout.tick()
                assert all(at[mark] <= taken for mark in reached)
                told += reached
                assert (payload is None) == (waiting == 0)
                assert payload is None or len(payload) == 160
                taken += min(waiting, 160)
            case "clear":
                dropped = playout.clear()
                assert not set(dropped) & set(told)
                for mark in dropped:
                    del at[mark]
                taken = put
            case int(count):
                assert playout.put(b"\0" * count)
                put += count
    assert told == sorted(set(told)) == sorted(at)


def test_what_a_carrier_has_no_room_for_is_dropped_and_counted():
    playout = Playout[str](160, b"\xff", 320)
    assert playout.put(b"\0" * 320)
    assert not playout.put(b"\0")
    assert (playout.waiting_bytes, playout.dropped_bytes) == (320, 1)


def test_several_at_once_are_heard_together_and_never_wrap_around():
    loud = np.full(320, 30_000, np.int16)
    assert mixed([None, None]) is None
    assert mixed([loud, None]) is loud
    both = mixed([loud, loud])
    assert both is not None
    assert both.max() == 32_767


def _pitch(samples: np.ndarray, rate: int) -> float:
    middle = samples[len(samples) // 4 : len(samples) * 3 // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 16))
    return float(np.argmax(spectrum)) * rate / (1 << 16)
