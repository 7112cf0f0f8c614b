"""Vonage's media socket: frames of exactly 20 ms, sound as good as it came, marks that a clear silences, and nothing but MalformedMedia."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.carrier import (
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaStarted,
)
from voisnap_providers.vendors.vonage.media import MAX_FRAME, VonageMedia
from voisnap_testkit.vonage_carrier import VonageLine

pytestmark = pytest.mark.unit

CONNECTED = '{"event":"websocket:connected","content-type":"audio/l16;rate=16000","call_id":"c1","token":"t"}'


def started(rate: int = 16000) -> tuple[VonageMedia, VonageLine]:
    form = AudioFormat(codec=AudioCodec.L16, rate=rate)
    line, media = VonageLine(heard=form, spoken=form), VonageMedia()
    for frame in line.opening({}):
        media.read(frame)
    return media, line


def tone(rate: int, ms: float, hz: float = 300.0, after_ms: float = 0.0) -> Pcm:
    moments = (np.arange(round(rate * ms / 1000)) + rate * after_ms / 1000) / rate
    return Pcm.from_float32(0.5 * np.sin(2 * np.pi * hz * moments), rate)


def spoken(line: VonageLine, rate: int) -> Pcm:
    line.play()
    return Pcm.from_bytes(line.played, rate)


def notified(frame: str | bytes) -> str:
    """What Vonage says when it comes to a notify."""
    return json.dumps({"event": "websocket:notify", "payload": json.loads(frame)["payload"]})


def test_the_first_message_says_the_format_the_call_and_what_the_document_gave():
    (event,) = VonageMedia().read(
        '{"event":"websocket:connected","content-type":"audio/L16; rate=24000","call_id":"c1","token":"t","age":40,"vip":false,"roles":[1,2]}'
    )
    form = AudioFormat(codec=AudioCodec.L16, rate=24000)
    assert event == MediaStarted(
        call_id="c1",
        stream_id="c1",
        heard=form,
        spoken=form,
        parameters={"token": "t", "age": "40", "vip": "false", "roles": "[1,2]"},
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "audio/l16;rate=11025",
        "audio/l16;rate=48000",
        "audio/l16",
        "audio/pcmu;rate=8000",
        "audio/l16;rate=16000;channels=2",
        "",
        5,
        None,
    ],
)
def test_an_unknown_format_is_refused(content_type: object):
    with pytest.raises(MalformedMedia, match="audio/l16"):
        VonageMedia().read(json.dumps({"event": "websocket:connected", "content-type": content_type}))


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@given(pieces=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_sound_of_the_streams_rate_is_spoken_to_the_sample_whatever_its_pieces(rate: int, pieces: list[int], seed: int):
    media, line = started(rate)
    samples = np.random.default_rng(seed).integers(-32768, 32768, sum(pieces)).astype(np.int16)
    for piece in np.split(samples, np.cumsum(pieces)):
        line.take(media.audio(Pcm(piece, rate)))
    line.take(media.mark("end"))
    heard = spoken(line, rate)
    assert np.array_equal(heard.samples[: len(samples)], samples)
    padding = heard.samples[len(samples) :]
    assert not padding.any()
    assert len(padding) < rate // 50


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("given_rate", [8000, 22050, 24000, 48000])
def test_sound_of_another_rate_is_spoken_without_clicks_and_in_full(rate: int, given_rate: int):
    media, line = started(rate)
    for piece in range(40):
        line.take(media.audio(tone(given_rate, 20, after_ms=20 * piece)))
    line.take(media.mark("end"))
    heard = spoken(line, rate).as_float32()
    expected = tone(rate, 800).as_float32()
    assert 0 <= len(heard) - len(expected) < rate // 50
    inner = slice(rate // 100, len(expected) - rate // 100)
    assert np.abs(heard[: len(expected)] - expected)[inner].max() < 0.01
    # The last millisecond is not lost in the filter.
    assert np.abs(heard[: len(expected)][-rate // 1000 :]).max() > 0.1


@pytest.mark.parametrize("rate", [8000, 16000])
def test_marks_within_a_sentence_are_not_heard(rate: int):
    media, line = started(rate)
    for piece in range(40):
        line.take(media.audio(tone(24000, 20, hz=333.0, after_ms=20 * piece)))
        line.take(media.mark("so far"))
    heard, expected = spoken(line, rate).as_float32(), tone(rate, 800, hz=333.0).as_float32()
    assert len(heard) == len(expected)
    inner = slice(rate // 100, -rate // 100)
    assert np.abs(heard - expected)[inner].max() < 0.01


def test_sound_whose_rate_changes_keeps_its_length():
    media, line = started(8000)
    line.take(media.audio(tone(24000, 50)))
    line.take(media.audio(tone(16000, 50)))
    line.take(media.audio(tone(8000, 20)))
    line.take(media.mark("end"))
    assert spoken(line, 8000).duration_ms == 120


@given(seed=st.integers(0, 99), length=st.integers(0, 2000))
@settings(max_examples=30, deadline=None)
def test_the_other_side_is_heard_to_the_sample_at_its_own_rate(seed: int, length: int):
    media, _ = started(8000)
    samples = np.random.default_rng(seed).integers(-32768, 32768, length).astype("<i2")
    events = media.read(samples.tobytes())
    if not length:
        assert events == ()
        return
    (event,) = events
    assert isinstance(event, AudioHeard)
    assert event.audio.same_as(Pcm(samples.astype(np.int16), 8000))


def test_rest_that_fills_no_frame_waits_and_a_mark_pads_it():
    media, _ = started(8000)
    assert media.audio(Pcm(np.ones(100, np.int16), 8000)) == ()
    frame, notify = media.mark("m1")
    assert frame == np.concatenate([np.ones(100), np.zeros(60)]).astype("<i2").tobytes()
    assert json.loads(notify)["action"] == "notify"
    assert len(media.mark("m2")) == 1


def test_marks_are_told_once_and_in_order():
    media, line = started()
    said = [*line.take(media.audio(tone(16000, 40))), *line.take(media.mark("one")), *line.take(media.mark("one"))]
    said += [*line.take(media.audio(tone(16000, 20))), *line.take(media.mark("two"))]
    assert said == []
    told = line.play()
    assert [event for frame in told for event in media.read(frame)] == [
        MarkReached(name=name) for name in ("one", "one", "two")
    ]
    assert [event for frame in told for event in media.read(frame)] == []


def test_a_mark_tells_those_before_it_whose_notice_was_lost():
    media, _ = started()
    media.mark("one")
    (second,) = media.mark("two")
    assert media.read(notified(second)) == (MarkReached(name="one"), MarkReached(name="two"))


def test_marks_that_a_clear_dropped_are_never_told_also_when_their_notice_comes_late():
    media, line = started()
    line.take(media.audio(tone(16000, 30)))
    *_, dropped = media.mark("old")
    assert [json.loads(frame) for frame in media.clear()] == [{"action": "clear"}]
    *_, kept = media.mark("new")
    assert media.read('{"event":"websocket:cleared"}') == ()
    assert media.read(notified(dropped)) == ()
    assert media.read(notified(kept)) == (MarkReached(name="new"),)


def test_a_clear_drops_what_waits_for_a_whole_frame():
    media, line = started(8000)
    line.take(media.audio(tone(24000, 50)))
    line.take(media.clear())
    silence = Pcm.silence(24000, 40)
    line.take(media.audio(silence))
    line.take(media.mark("end"))
    assert not spoken(line, 8000).samples.any()


def test_clear_is_asked_even_when_nothing_is_queued_here():
    media, _ = started()
    assert media.clear() == ('{"action":"clear"}',)


@pytest.mark.parametrize("digit", [*"0123456789*#ABCD", 0, 7])
def test_keys_are_heard(digit: str | int):
    media, _ = started()
    assert media.read(json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})) == (
        KeyPressed(digit=str(digit)),
    )


@pytest.mark.parametrize(
    "frame",
    [
        '{"event":"websocket:dtmf","digit":"12"}',
        '{"event":"websocket:dtmf","digit":true}',
        '{"event":"websocket:dtmf","digit":""}',
        '{"event":"websocket:dtmf"}',
        '{"event":"websocket:notify"}',
        '{"event":"websocket:notify","payload":"m1"}',
        '{"event":"websocket:what"}',
        '{"event":["websocket:cleared"]}',
        "{}",
        "[]",
        "",
        "not json",
        "[" * 60000,
        '{"a":' * 10000,
        "\ud800",
        "x" * (MAX_FRAME + 1),
        bytes(MAX_FRAME + 2),
        bytes(641),
        CONNECTED,
    ],
)
def test_frames_that_the_protocol_does_not_know_are_refused_and_the_stream_goes_on(frame: str | bytes):
    media, _ = started()
    with pytest.raises(MalformedMedia):
        media.read(frame)
    assert len(media.read(bytes(640))) == 1


@pytest.mark.parametrize(
    "frame", [bytes(640), b"", '{"event":"websocket:dtmf","digit":"1"}', '{"event":"websocket:cleared"}']
)
def test_nothing_is_heard_before_the_start(frame: str | bytes):
    media = VonageMedia()
    with pytest.raises(MalformedMedia, match="websocket:connected"):
        media.read(frame)


def test_nothing_is_said_before_the_start():
    media = VonageMedia()
    with pytest.raises(MalformedMedia):
        media.audio(tone(16000, 20))
    with pytest.raises(MalformedMedia):
        media.mark("m1")
    assert media.clear() == ()


@pytest.mark.parametrize("mark", ["1", 1.0, True, 99, -1, None, 10**30])
def test_notices_of_marks_that_we_never_sent_tell_nothing(mark: object):
    media, _ = started()
    media.mark("m1")
    assert media.read(json.dumps({"event": "websocket:notify", "payload": {"mark": mark, "name": "m1"}})) == ()


@given(
    frames=st.lists(
        st.one_of(
            st.binary(max_size=700),
            st.text(max_size=60),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["event", "content-type", "digit", "payload", "mark", "name", "call_id"]),
                        inner,
                        max_size=4,
                    )
                ),
                max_leaves=8,
            ).map(json.dumps),
            st.fixed_dictionaries(
                {
                    "event": st.sampled_from(["connected", "dtmf", "notify", "cleared", "stop"]).map(
                        "websocket:{}".format
                    )
                },
                optional={
                    "content-type": st.sampled_from(["audio/l16;rate=8000", "audio/l16;rate=0", "x"]) | st.integers(),
                    "digit": st.text(max_size=2) | st.integers(),
                    "payload": st.dictionaries(st.just("mark"), st.integers(-2, 5)) | st.text(max_size=2),
                    "call_id": st.none() | st.lists(st.integers(), max_size=2),
                },
            ).map(json.dumps),
        ),
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_only_malformed_media_ever_escapes(frames: list[str | bytes]):
    media = VonageMedia()
    for frame in frames:
        try:
            media.read(frame)
            media.audio(tone(8000, 5))
            media.mark("m")
        except MalformedMedia:
            continue
