"""Twilio's Media Streams, where its own protocol says more than all carriers' does."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.carrier import (
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaStarted,
    MediaStopped,
)
from voisnap_providers.vendors.twilio.media import TwilioMedia

pytestmark = pytest.mark.unit

STREAM = "MZXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
CALL = "CAXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"


def start(stream: str = STREAM, **form: Any) -> str:
    """The message of Twilio's documentation, with another format."""
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
                "streamSid": stream,
                "callSid": CALL,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1} | form,
                "customParameters": {"FirstName": "Jane", "LastName": "Doe"},
            },
            "streamSid": stream,
        }
    )


def media(payload: str = "fn7/fg==", **changes: Any) -> str:
    sound = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload}
    return json.dumps({"event": "media", "sequenceNumber": "3", "streamSid": STREAM, "media": sound} | changes)


def begun(**form: Any) -> TwilioMedia:
    wire = TwilioMedia()
    wire.read(start(**form))
    return wire


def audio_of(frames: tuple[str, ...]) -> list[bytes]:
    read = [json.loads(frame) for frame in frames]
    return [base64.b64decode(frame["media"]["payload"], validate=True) for frame in read if frame["event"] == "media"]


def test_the_documented_messages_are_read() -> None:
    wire = TwilioMedia()
    assert wire.read('{"event":"connected","protocol":"Call","version":"1.0.0"}') == ()
    mulaw = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
    assert wire.read(start()) == (
        MediaStarted(
            call_id=CALL,
            stream_id=STREAM,
            heard=mulaw,
            spoken=mulaw,
            parameters={"FirstName": "Jane", "LastName": "Doe"},
        ),
    )
    (heard,) = wire.read(media())
    assert isinstance(heard, AudioHeard)
    assert heard.audio.same_as(g711.mulaw_decode(b"\x7e\x7e\xff\x7e"))
    (frame,) = wire.mark("my label")
    back = {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": json.loads(frame)["mark"]}
    assert wire.read(json.dumps(back)) == (MarkReached(name="my label"),)
    dtmf = {"event": "dtmf", "streamSid": STREAM, "sequenceNumber": "5"}
    assert wire.read(json.dumps(dtmf | {"dtmf": {"track": "inbound_track", "digit": "1"}})) == (KeyPressed(digit="1"),)
    stop = {"event": "stop", "sequenceNumber": "5", "streamSid": STREAM, "stop": {"accountSid": "AC", "callSid": CALL}}
    assert wire.read(json.dumps(stop).encode()) == (MediaStopped(),)


def test_our_frames_are_the_documented_ones() -> None:
    wire = begun()
    codes = bytes(range(128, 256)) + bytes(range(40))
    (sound,) = wire.audio(g711.mulaw_decode(codes))
    payload = base64.b64encode(codes).decode()
    assert json.loads(sound) == {"event": "media", "streamSid": STREAM, "media": {"payload": payload}}
    (mark,) = wire.mark("a")
    assert json.loads(mark).keys() == {"event", "streamSid", "mark"}
    assert json.loads(mark)["mark"].keys() == {"name"}
    assert [json.loads(frame) for frame in wire.clear()] == [{"event": "clear", "streamSid": STREAM}]


def test_an_odd_stream_id_stays_within_its_text() -> None:
    odd = 'MZ"},"event":"clear\\\x00ü'
    wire = TwilioMedia()
    wire.read(start(stream=odd))
    frames = (*wire.audio(Pcm.silence(8000, 20)), *wire.mark("a"), *wire.clear())
    assert [(read["event"], read["streamSid"]) for read in map(json.loads, frames)] == [
        ("media", odd),
        ("mark", odd),
        ("clear", odd),
    ]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}, (AudioCodec.PCMU, 8000)),
        ({"encoding": "audio/PCMU"}, (AudioCodec.PCMU, 8000)),
        ({"encoding": "audio/x-alaw"}, (AudioCodec.PCMA, 8000)),
        ({"encoding": "PCMA"}, (AudioCodec.PCMA, 8000)),
        ({"encoding": "audio/L16", "sampleRate": "16000"}, (AudioCodec.L16, 16000)),
        ({"encoding": "audio/x-l16", "sampleRate": 24000}, (AudioCodec.L16, 24000)),
    ],
)
def test_the_format_is_the_streams(form: dict[str, Any], expected: tuple[AudioCodec, int]) -> None:
    (started,) = TwilioMedia().read(start(**form))
    assert isinstance(started, MediaStarted)
    assert (started.heard.codec, started.heard.rate) == expected
    assert started.spoken == started.heard


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"encoding": "audio/opus"}, "opus"),
        ({"encoding": ""}, "not known"),
        ({"sampleRate": 16000}, "16000"),
        ({"encoding": "audio/l16", "sampleRate": 11025}, "11025"),
        ({"channels": 2}, "2 channels"),
        ({"sampleRate": "fast"}, "sampleRate"),
        ({"encoding": None}, "encoding"),
    ],
)
def test_a_format_that_is_not_known_is_named(form: dict[str, Any], named: str) -> None:
    wire = TwilioMedia()
    with pytest.raises(MalformedMedia, match=named):
        wire.read(start(**form))
    with pytest.raises(MalformedMedia):
        wire.audio(Pcm.silence(8000, 20))


@pytest.mark.parametrize(
    "frame",
    [
        media("fn7/f"),
        media("fn7 /fg="),
        media("_-8="),
        media(payload=5),  # type: ignore[arg-type]
        media(streamSid="MZother"),
        media(streamSid=None),
        media(media={"track": "inbound"}),
        start(),
        start(stream="MZother"),
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        json.dumps({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "12"}}),
        json.dumps({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "E"}}),
        json.dumps({"event": "mark", "streamSid": "MZother", "mark": {"name": "1"}}),
        json.dumps({"event": "stop", "streamSid": "MZother", "stop": {}}),
    ],
)
def test_a_frame_that_is_wrong_is_refused_and_the_call_goes_on(frame: str) -> None:
    wire = begun()
    wire.mark("still on its way")
    with pytest.raises(MalformedMedia) as refused:
        wire.read(frame)
    assert "fn7" not in str(refused.value)
    assert len(wire.read(media())) == 1
    back = {"event": "mark", "streamSid": STREAM, "mark": {"name": "1"}}
    assert wire.read(json.dumps(back)) == (MarkReached(name="still on its way"),)


def test_half_a_sample_is_refused() -> None:
    wire = begun(encoding="audio/l16", sampleRate=16000)
    with pytest.raises(MalformedMedia, match="odd"):
        wire.read(media(base64.b64encode(bytes(639)).decode()))


def test_what_is_nobodys_speech_is_not_heard() -> None:
    wire = begun()
    assert wire.read(media("")) == ()
    assert wire.read(media(media={"track": "outbound", "payload": "fn7/fg=="})) == ()


def test_a_key_may_be_a_number_or_a_small_letter() -> None:
    wire = begun()
    keys = [json.dumps({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": digit}}) for digit in (0, "d", "*")]
    assert [event for key in keys for event in wire.read(key)] == [KeyPressed(digit=digit) for digit in "0D*"]


def test_frames_hold_20_to_200_ms_but_the_last_before_a_mark() -> None:
    wire = begun()
    frames = audio_of(wire.audio(Pcm.silence(8000, 5)))
    assert frames == []
    frames = [*audio_of(wire.audio(Pcm.silence(8000, 15))), *audio_of(wire.audio(Pcm.silence(8000, 1010)))]
    assert [len(frame) for frame in frames] == [160, 1600, 1600, 1600, 1600, 1600]
    assert [len(frame) for frame in audio_of(wire.mark("end"))] == [80]
    assert [len(frame) for frame in audio_of(wire.mark("end again"))] == []


def test_a_mark_of_before_a_clear_never_passes_for_one_of_after_it() -> None:
    wire = begun()
    (old,) = wire.mark("end")
    wire.clear()
    (new,) = wire.mark("end")
    assert wire.read(old) == ()
    assert wire.read(new) == (MarkReached(name="end"),)
    assert wire.read(json.dumps({"event": "mark", "streamSid": STREAM, "mark": {"name": "end"}})) == ()


@settings(max_examples=40, deadline=None)
@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=600),
    cuts=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    law=st.sampled_from(["audio/x-mulaw", "audio/x-alaw"]),
)
def test_speech_survives_both_laws_within_their_error(samples: list[int], cuts: list[int], law: str) -> None:
    wire = begun(encoding=law)
    spoken = np.array(samples, np.int16)
    frames: list[str] = []
    at = 0
    while at < len(spoken):
        cut = cuts[at % len(cuts)]
        frames += wire.audio(Pcm(spoken[at : at + cut], 8000))
        at += cut
    frames += wire.mark("end")
    sent = audio_of(tuple(frames))
    echoed = [event for payload in sent for event in wire.read(media(base64.b64encode(payload).decode()))]
    back = np.concatenate([event.audio.samples for event in echoed if isinstance(event, AudioHeard)])
    assert len(back) == len(spoken)
    # Sixteen steps a segment, each segment twice as wide: half a step is 1/32 of the sample, and the loudest codes stop at 32124.
    wrong = np.abs(back.astype(int) - spoken.astype(int))
    assert np.all(wrong <= np.maximum(np.abs(spoken.astype(int)) / 32 + 8, np.abs(spoken.astype(int)) - 32124 + 512))
