"""What only Telnyx's media socket has: frames in any order, two formats on one stream, a token in its first frame."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaFault,
    MediaStarted,
    MediaStopped,
    StreamTarget,
)
from voisnap_providers.vendors.telnyx.connecting import stream_command
from voisnap_providers.vendors.telnyx.media import MAX_FRAME, SPOKEN_PARAMETER, TelnyxMedia, spoken_word
from voisnap_testkit.telnyx_carrier import CALL, STREAM, TelnyxLine

pytestmark = pytest.mark.unit

MULAW = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
ALAW = AudioFormat(codec=AudioCodec.PCMA, rate=8000)
WIDE = AudioFormat(codec=AudioCodec.L16, rate=16000)


def start_frame(**changes: Any) -> str:
    """The start that Telnyx documents, a field of it changed; None leaves one out."""
    start = {
        "call_control_id": CALL,
        "from": "+13122010094",
        "to": "+13122123456",
        "custom_parameters": {},
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    } | changes
    start = {name: value for name, value in start.items() if value is not None}
    return json.dumps({"event": "start", "sequence_number": "1", "stream_id": STREAM, "start": start})


def media_frame(sound: bytes, chunk: int | str | None = None, **changes: Any) -> str:
    media = {"track": "inbound", "payload": base64.b64encode(sound).decode(), "timestamp": "5"} | changes
    if chunk is not None:
        media["chunk"] = chunk
    return json.dumps({"event": "media", "sequence_number": "4", "stream_id": STREAM, "media": media})


def streaming(heard: AudioFormat = MULAW, spoken: AudioFormat = MULAW) -> tuple[TelnyxMedia, TelnyxLine]:
    wire, line = TelnyxMedia(), TelnyxLine(heard=heard, spoken=spoken)
    told(wire, line.opening({}))
    return wire, line


def told(wire: TelnyxMedia, frames: Iterable[str | bytes]) -> list[MediaEvent]:
    return [event for frame in frames for event in wire.read(frame)]


def started(frame: str) -> MediaStarted:
    (event,) = TelnyxMedia().read(frame)
    assert isinstance(event, MediaStarted)
    return event


def heard_samples(events: Iterable[MediaEvent]) -> list[int]:
    """What was heard, where every frame holds one value."""
    return [int(event.audio.samples[0]) for event in events if isinstance(event, AudioHeard)]


def numbered(number: int) -> str:
    """A frame whose sound says its number."""
    return media_frame(np.full(320, number, "<i2").tobytes(), str(number))


# The start ----------------------------------------------------------------------------------------------------------


def test_the_two_directions_have_formats_of_their_own() -> None:
    start = started(
        start_frame(
            media_format={"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
            custom_parameters={SPOKEN_PARAMETER: "l16/24000", "agent": "a_1"},
        )
    )
    assert (start.heard, start.spoken) == (ALAW, AudioFormat(codec=AudioCodec.L16, rate=24000))
    assert start.parameters == {"agent": "a_1"}


def test_what_the_command_asks_for_is_what_the_stream_says_of_itself() -> None:
    target = StreamTarget(url="wss://voice.example.com/media", token="t0k3n", parameters={"agent": "a_1"})
    command = stream_command(target, command_id="c_1", spoken=WIDE)
    said = {entry["name"]: entry["value"] for entry in command["custom_parameters"]}
    assert (command["stream_bidirectional_codec"], command["stream_bidirectional_sampling_rate"]) == ("L16", 16000)
    assert command["stream_bidirectional_mode"] == "rtp"
    assert command["stream_track"] == "inbound_track"
    assert command["stream_auth_token"] == "t0k3n"
    assert "t0k3n" not in command["stream_url"] + str(said)
    start = started(start_frame(custom_parameters=said))
    assert (start.spoken, start.parameters) == (WIDE, {"agent": "a_1"})


def test_a_format_that_telnyx_does_not_take_is_never_asked_for() -> None:
    target = StreamTarget(url="wss://voice.example.com/media", token="t0k3n")
    for form in (AudioFormat(codec=AudioCodec.PCMU, rate=16000), AudioFormat(codec=AudioCodec.L16, rate=44100)):
        with pytest.raises(ValueError, match="does not take"):
            stream_command(target, command_id="c_1", spoken=form)


def test_the_token_is_read_wherever_the_first_frame_has_it() -> None:
    field = "x-telnyx-streaming-auth-token"
    for first in ({field: "t0k3n"}, {"connected": {field: "t0k3n"}}):
        wire = TelnyxMedia()
        assert wire.read(json.dumps({"event": "connected", "version": "1.0.0"} | first)) == ()
        # A parameter cannot take its place.
        (start,) = wire.read(start_frame(custom_parameters={TOKEN_PARAMETER: "forged"}))
        assert isinstance(start, MediaStarted)
        assert start.parameters == {TOKEN_PARAMETER: "t0k3n"}
    assert TOKEN_PARAMETER not in started(start_frame()).parameters


def test_numbers_are_read_as_texts_and_as_numbers_and_parameters_as_object_and_list() -> None:
    start = started(
        start_frame(
            media_format={"encoding": "L16", "sample_rate": "16000", "channels": "1"},
            custom_parameters=[{"name": "a", "value": "b"}, {"name": "n", "value": 5}, {"name": "nothing"}],
        )
    )
    assert start.heard == WIDE
    assert start.parameters == {"a": "b", "n": "5"}


def test_a_withheld_caller_is_nobody() -> None:
    for number in ("anonymous", "Restricted", "+266696687", "sip:anonymous@anonymous.invalid", "", None):
        start = started(start_frame(**{"from": number}))
        assert (start.caller, start.callee) == (None, "+13122123456")
    assert started(start_frame(**{"from": "sip:+4930901820@sip.telnyx.com"})).caller == "+4930901820"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"encoding": "G722", "sample_rate": 8000}, "G722"),
        ({"encoding": "OPUS", "sample_rate": 48000}, "OPUS"),
        ({"encoding": "AMR-WB", "sample_rate": 16000}, "AMR-WB"),
        ({"encoding": "PCMU", "sample_rate": 16000}, "16000 Hz"),
        ({"encoding": "L16", "sample_rate": 44100}, "44100 Hz"),
        ({"encoding": "L16", "sample_rate": 0}, "0 Hz"),
        ({"encoding": "PCMA", "sample_rate": 8000, "channels": 2}, "2 channels"),
        ({"encoding": "PCMA"}, "sample_rate"),
        (None, "media_format"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused_by_its_name(said: dict[str, Any] | None, text: str) -> None:
    with pytest.raises(MalformedMedia, match=text):
        TelnyxMedia().read(start_frame(media_format=said))


def test_a_start_that_names_nothing_is_refused_and_a_right_one_may_follow() -> None:
    wire = TelnyxMedia()
    for bad in (
        start_frame(call_control_id=None),
        start_frame(call_control_id=""),
        start_frame(custom_parameters={SPOKEN_PARAMETER: "opus/48000"}),
        start_frame(custom_parameters={SPOKEN_PARAMETER: "pcmu/16000"}),
        start_frame(custom_parameters={SPOKEN_PARAMETER: "l16"}),
        start_frame().replace(STREAM, ""),
        start_frame().replace(f'"stream_id": "{STREAM}"', '"x": 1'),
    ):
        with pytest.raises(MalformedMedia):
            wire.read(bad)
    assert isinstance(wire.read(start_frame())[0], MediaStarted)


# What is heard ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=400))
def test_every_sample_comes_through_as_well_as_its_codec_can(values: list[int]) -> None:
    meant = Pcm(np.array(values, np.int16), 8000)
    for form, payload in ((MULAW, g711.mulaw_encode(meant)), (ALAW, g711.alaw_encode(meant))):
        wire, line = streaming(heard=form)
        (event,) = told(wire, [line.speech(payload)])
        assert isinstance(event, AudioHeard)
        wrong = np.abs(event.audio.samples.astype(int) - np.clip(values, -32635, 32635))
        # Sixteen steps to an octave: half a step of the widest is 512, and near silence the smallest is 16.
        assert np.all(wrong <= np.maximum(np.abs(values) / 16, 16))
    wire, line = streaming(heard=AudioFormat(codec=AudioCodec.L16, rate=8000))
    (event,) = told(wire, [line.speech(meant.to_bytes())])
    assert isinstance(event, AudioHeard)
    assert event.audio.same_as(meant)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_frames_that_overtake_each_other_are_heard_in_order(lateness: list[int]) -> None:
    wire, _ = streaming(heard=WIDE)
    sent = sorted(range(1, len(lateness) + 1), key=lambda number: number + lateness[number - 1])
    events = told(wire, [numbered(number) for number in sent])
    assert heard_samples([*events, *wire.read(json.dumps({"event": "stop", "stream_id": STREAM}))]) == sorted(sent)


def test_a_frame_in_its_turn_is_heard_at_once() -> None:
    wire, _ = streaming(heard=WIDE)
    for number in range(1, 6):
        assert heard_samples(told(wire, [numbered(number)])) == [number]


def test_a_frame_that_never_comes_holds_the_others_up_for_60_ms_only() -> None:
    wire, _ = streaming(heard=WIDE)
    assert [heard_samples(told(wire, [numbered(number)])) for number in (1, 3, 4, 5, 6, 7)] == [
        [1],
        [],
        [],
        [],
        [3, 4, 5, 6],
        [7],
    ]
    assert heard_samples(told(wire, [numbered(2)])) == []


def test_a_repeated_frame_is_heard_once() -> None:
    wire, _ = streaming(heard=WIDE)
    assert heard_samples(told(wire, [numbered(number) for number in (1, 1, 2, 4, 4, 3, 3, 5)])) == [1, 2, 3, 4, 5]


def test_a_carrier_that_counts_anew_is_heard_again() -> None:
    wire, _ = streaming(heard=WIDE)
    told(wire, [numbered(number) for number in range(1, 3)])
    assert len(told(wire, [media_frame(np.full(320, 7, "<i2").tobytes(), 10**20 + number) for number in range(6)])) == 6
    again = heard_samples(told(wire, [numbered(number) for number in range(1, 41)]))
    assert again == list(range(10, 41))


def test_frames_without_a_number_are_heard_as_they_come() -> None:
    wire, _ = streaming(heard=WIDE)
    frames = [media_frame(np.full(320, number, "<i2").tobytes()) for number in (5, 3, 4)]
    assert heard_samples(told(wire, frames)) == [5, 3, 4]


def test_our_own_voice_is_not_heard() -> None:
    wire, _ = streaming()
    assert wire.read(media_frame(b"\xff" * 160, "1", track="outbound")) == ()
    with pytest.raises(MalformedMedia, match="track"):
        wire.read(media_frame(b"\xff" * 160, "1", track="sideways"))


def test_frames_of_another_stream_are_refused_and_those_that_name_none_are_ours() -> None:
    wire, line = streaming()
    for frame in (line.speech(b"\xff" * 160), line.key("5"), *line.closing()):
        assert isinstance(frame, str)
        with pytest.raises(MalformedMedia, match="another stream"):
            wire.read(frame.replace(STREAM, "3A"))
    assert wire.read('{"event":"dtmf","dtmf":{"digit":"5"}}') == (KeyPressed(digit="5"),)


def test_audio_that_is_damaged_is_refused_without_telling_it() -> None:
    wire, _ = streaming(heard=WIDE)
    secret = "c2VjcmV0"
    for frame in (
        media_frame(b"\0\0\0", "1"),
        media_frame(b"", "1", payload=secret + "!"),
        media_frame(b"", "1", payload=secret + "A"),
        media_frame(b"", "1", payload=None),
        media_frame(b"\0\0", "first" + secret),
        media_frame(b"\0\0", "1", track=5),
        json.dumps({"event": "media", "stream_id": STREAM}),
        media_frame(b"\0" * MAX_FRAME, "1"),
    ):
        with pytest.raises(MalformedMedia) as raised:
            wire.read(frame)
        assert secret not in str(raised.value)
    with pytest.raises(MalformedMedia, match="binary"):
        wire.read(media_frame(b"\0\0", "1").encode())


def test_keys_of_every_telephone_are_told_and_no_others() -> None:
    wire, line = streaming()
    pressed = told(wire, [line.key(key) for key in "0*#ABCDd"])
    assert pressed == [KeyPressed(digit=key) for key in "0*#ABCDD"]
    assert wire.read('{"event":"dtmf","dtmf":{"digit":0}}') == (KeyPressed(digit="0"),)
    for digit in ("", "10", "E", "w", "½", "ä"):
        with pytest.raises(MalformedMedia, match="key"):
            wire.read(json.dumps({"event": "dtmf", "dtmf": {"digit": digit}}))


def test_a_complaint_of_the_carrier_is_told_and_the_stream_goes_on() -> None:
    wire, line = streaming()
    payload = {"code": 100004, "title": "Invalid media", "detail": "The payload is no base64." + "x" * 5000}
    (fault,) = wire.read(json.dumps({"event": "error", "stream_id": STREAM, "payload": payload}))
    assert isinstance(fault, MediaFault)
    assert fault.code == "100004"
    assert fault.detail.startswith("Invalid media: The payload is no base64.")
    assert len(fault.detail) <= 200
    assert wire.read('{"event":"error"}') == (MediaFault(code="", detail=""),)
    assert told(wire, [line.key("1")]) == [KeyPressed(digit="1")]


def test_at_the_end_what_waited_for_its_turn_is_heard() -> None:
    wire, line = streaming(heard=WIDE)
    told(wire, [numbered(1), numbered(3), numbered(4)])
    events = told(wire, line.closing())
    assert heard_samples(events) == [3, 4]
    assert events[-1] == MediaStopped()
    assert (wire.audio(Pcm.silence(8000, 100)), wire.mark("m"), wire.clear()) == ((), (), ())


# What is said -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=8), st.sampled_from([MULAW, ALAW, WIDE]))
def test_frames_are_whole_20_ms_up_to_200_ms_and_nothing_is_lost(lengths: list[int], form: AudioFormat) -> None:
    wire, line = streaming(spoken=form)
    size = form.rate // 50 * (2 if form.codec is AudioCodec.L16 else 1)
    values = np.arange(sum(lengths)) % 200 * 100
    sent = []
    for at, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
        sent += wire.audio(Pcm(values[at : at + length].astype(np.int16), form.rate))
    assert sum(lengths) - sum(len(payload(frame)) for frame in sent) * form.rate // 50 // size < form.rate // 50
    sent += wire.mark("end")
    for frame in sent[:-1]:
        assert len(payload(frame)) % size == 0
        assert size <= len(payload(frame)) <= 10 * size
    assert told(wire, line.take(sent)) + told(wire, line.play()) == [MarkReached(name="end")]
    decode = {
        MULAW: lambda data: g711.mulaw_decode(data).samples,
        ALAW: lambda data: g711.alaw_decode(data).samples,
        WIDE: lambda data: np.frombuffer(data, "<i2"),
    }[form]
    said = decode(line.played).astype(int)
    assert np.all(np.abs(said[: len(values)] - values) <= (0 if form is WIDE else np.maximum(values / 16, 16)))
    assert np.all(np.abs(said[len(values) :]) <= 8)


def payload(frame: str | bytes) -> bytes:
    return base64.b64decode(json.loads(frame)["media"]["payload"], validate=True)


@pytest.mark.parametrize("rate", [16000, 24000])
def test_after_a_clear_nothing_is_left_of_what_was_said(rate: int) -> None:
    wire, line = streaming(spoken=WIDE)
    # Neither the part of a frame nor what the resampler holds back.
    line.take(wire.audio(Pcm(np.full(rate * 35 // 1000, 20000, np.int16), rate)))
    line.take(wire.clear())
    line.take([*wire.audio(Pcm.silence(rate, 100)), *wire.mark("m")])
    line.play()
    assert len(line.played) == 3200
    assert not np.any(np.frombuffer(line.played, "<i2"))


def test_marks_that_come_in_the_wrong_order_are_told_in_the_right_one() -> None:
    wire, line = streaming()
    for name in ("a", "b", "c"):
        line.take([*wire.audio(Pcm.silence(8000, 40)), *wire.mark(name)])
    first, second, third = line.play()
    assert told(wire, [second]) == [MarkReached(name="a"), MarkReached(name="b")]
    assert told(wire, [first]) == []
    assert told(wire, [third]) == [MarkReached(name="c")]


def test_marks_that_we_never_set_are_not_told() -> None:
    wire, _ = streaming()
    for name in ("", "greeting", "0", "1", "m1", "-1"):
        assert wire.read(json.dumps({"event": "mark", "stream_id": STREAM, "mark": {"name": name}})) == ()


def test_a_format_word_says_what_it_was_made_of() -> None:
    assert [spoken_word(form) for form in (MULAW, ALAW, WIDE)] == ["pcmu/8000", "pcma/8000", "l16/16000"]


@pytest.mark.parametrize("order", ["<i2", ">i2"])
@pytest.mark.parametrize("loudness", [3.0, 300.0, 9000.0], ids=["hiss", "soft", "loud"])
def test_which_byte_of_a_sample_comes_first_is_learned_from_its_sound_and_what_we_say_follows(
    order: str, loudness: float
) -> None:
    wire, _ = streaming(heard=WIDE, spoken=WIDE)
    noise = np.random.default_rng(7)
    samples = loudness * (np.sin(np.arange(16_000) * 2 * np.pi * 200 / 16_000) + 0.1 * noise.standard_normal(16_000))
    sound = np.rint(samples).astype(np.int16)
    for start in range(0, 16_000, 320):
        told = wire.read(media_frame(sound[start : start + 320].astype(order).tobytes()))
        if start >= 5 * 320:
            (heard,) = told
            assert isinstance(heard, AudioHeard)
            assert np.array_equal(heard.audio.samples, sound[start : start + 320])
    frames = (*wire.audio(Pcm(sound, 16_000)), *wire.mark("end"))
    said = b"".join(
        base64.b64decode(frame["media"]["payload"]) for frame in map(json.loads, frames) if "media" in frame
    )
    assert np.array_equal(np.frombuffer(said, dtype=order)[:16_000], sound)


def test_silence_says_nothing_of_the_order_of_bytes() -> None:
    wire, _ = streaming(heard=WIDE, spoken=WIDE)
    for _ in range(50):
        wire.read(media_frame(bytes(640)))
    sound = np.rint(900 * np.sin(np.arange(320) / 10)).astype(np.int16)
    for _ in range(6):
        told = wire.read(media_frame(sound.astype(">i2").tobytes()))
    (heard,) = told
    assert isinstance(heard, AudioHeard)
    assert np.array_equal(heard.audio.samples, sound)
