import io
import time

import numpy as np
import pytest
from voisnap_media import files
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import (
    RecordedSegment,
    Recorder,
    RecordingFormat,
    RecordingSettings,
    SegmentEncoder,
    envelope,
)

pytestmark = pytest.mark.media

FORMATS = list(RecordingFormat)


def tone(rate: int, frame: int, hertz: float = 500.0, loudness: int = 8000) -> Pcm:
    time_axis = (np.arange(rate // 50) + frame * (rate // 50)) / rate
    return Pcm((loudness * np.sin(2 * np.pi * hertz * time_axis)).astype(np.int16), rate)


def recorded(
    settings: RecordingSettings, frames: int, caller: range, agent: range, loudness: int = 8000
) -> list[bytes]:
    """The encoded segments of a call where each side speaks in its range of 20-ms frames."""
    recorder, encoder, segments = Recorder(settings), SegmentEncoder(settings), []
    for frame in range(frames):
        recorder.write(
            tone(16000, frame, loudness=loudness) if frame in caller else None,
            tone(24000, frame, loudness=loudness) if frame in agent else None,
        )
        if segment := recorder.take_segment():
            segments.append(encoder.encode(segment))
    segments.append(encoder.encode(recorder.take_last()))
    return segments


def file_of(settings: RecordingSettings, segments: list[bytes]) -> io.BytesIO:
    body = b"".join(segments)
    around = envelope(settings, len(body))
    return io.BytesIO(around.header + body + around.trailer)


def spoken_seconds(audio: Pcm) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(audio.samples) > 2500)
    return (0.0, 0.0) if not len(loud) else (loud[0] / audio.rate, loud[-1] / audio.rate)


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("file_format", FORMATS)
def test_both_sides_are_where_they_were_spoken_and_the_length_is_right(file_format: RecordingFormat, rate: int):
    settings = RecordingSettings(format=file_format, rate=rate, segment_seconds=2)
    segments = recorded(settings, 513, caller=range(50, 75), agent=range(300, 350))
    left, right = files.read_stereo(file_of(settings, segments))
    assert left.seconds == pytest.approx(10.26, abs=0.06)
    assert spoken_seconds(left) == pytest.approx((1.0, 1.5), abs=0.05)
    assert spoken_seconds(right) == pytest.approx((6.0, 7.0), abs=0.05)


@pytest.mark.parametrize("file_format", FORMATS)
def test_mono_holds_both_sides_without_wrapping(file_format: RecordingFormat):
    settings = RecordingSettings(format=file_format, stereo=False, segment_seconds=2)
    segments = recorded(settings, 200, caller=range(50, 100), agent=range(50, 150), loudness=30000)
    mixed = files.read(file_of(settings, segments))
    assert mixed.seconds == pytest.approx(4.0, abs=0.06)
    assert spoken_seconds(mixed) == pytest.approx((1.0, 3.0), abs=0.05)
    both, alone = mixed.slice(1200, 1800), mixed.slice(2200, 2800)
    assert both.rms_dbfs() > alone.rms_dbfs()


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_a_crash_leaves_plays(file_format: RecordingFormat):
    settings = RecordingSettings(format=file_format, segment_seconds=2)
    segments = recorded(settings, 500, caller=range(0), agent=range(0, 500))
    left, right = files.read_stereo(file_of(settings, segments[:3]))
    assert 4.9 <= left.seconds <= 6.06
    assert right.slice(500, 4500).rms_dbfs() > -20


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_call_resumed_elsewhere_appends(file_format: RecordingFormat):
    settings = RecordingSettings(format=file_format, segment_seconds=2)
    before = recorded(settings, 300, caller=range(0, 300), agent=range(0))[:3]
    after = recorded(settings, 200, caller=range(0), agent=range(0, 200))
    left, right = files.read_stereo(file_of(settings, before + after))
    assert left.seconds == pytest.approx(10.0, abs=1.1)
    assert left.slice(500, 4500).rms_dbfs() > -20
    assert right.slice(7000, 8500).rms_dbfs() > -20


def test_segments_are_due_by_their_duration_and_numbered():
    recorder = Recorder(RecordingSettings(segment_seconds=2), first_number=7)
    for _ in range(99):
        recorder.write(None, None)
    assert recorder.take_segment() is None
    recorder.write(None, None)
    segment = recorder.take_segment()
    assert isinstance(segment, RecordedSegment)
    assert (segment.number, segment.seconds, segment.last) == (7, 2.0, False)
    assert recorder.take_segment() is None
    last = recorder.take_last()
    assert (last.number, last.seconds, last.last) == (8, 0.0, True)
    assert recorder.seconds == 2.0


def test_an_empty_call_makes_no_bytes_that_break():
    for file_format in FORMATS:
        settings = RecordingSettings(format=file_format)
        segment = Recorder(settings).take_last()
        assert isinstance(SegmentEncoder(settings).encode(segment), bytes)


def test_segments_nobody_takes_do_not_fill_the_memory():
    recorder = Recorder(RecordingSettings(segment_seconds=1))
    for frame in range(175):
        recorder.write(tone(16000, frame), None)
    assert recorder.lost_seconds == 2.0
    assert recorder.take_last().seconds == 1.5


def test_short_and_long_frames_keep_both_sides_aligned():
    recorder = Recorder(RecordingSettings(segment_seconds=1))
    recorder.write(Pcm(np.full(100, 5, np.int16), 16000), Pcm(np.full(600, 7, np.int16), 24000))
    recorder.write(None, Pcm.silence(24000, 20))
    last = recorder.take_last()
    assert (len(last.caller), len(last.agent)) == (640, 960)
    assert last.caller.samples[:101].tolist() == [5] * 100 + [0]
    assert last.agent.samples[479:481].tolist() == [7, 0]
    with pytest.raises(ValueError, match="8000"):
        Recorder(RecordingSettings()).write(Pcm.silence(8000, 20), None)


def test_what_is_written_after_the_end_is_dropped_with_the_buffer():
    recorder = Recorder(RecordingSettings(segment_seconds=1))
    recorder.write(tone(16000, 0), tone(24000, 0))
    assert recorder.take_last().seconds == 0.02
    for frame in range(120):
        recorder.write(tone(16000, frame), None)
    assert not recorder.segment_due
    assert (recorder.seconds, recorder.take_last().seconds) == (0.02, 0.0)


def test_writing_costs_microseconds():
    recorder, frame = Recorder(RecordingSettings(segment_seconds=4)), (tone(16000, 0), tone(24000, 0))
    best = min(_seconds_of_100_writes(recorder, frame) for _ in range(10))
    assert best / 100 < 50e-6


def _seconds_of_100_writes(recorder: Recorder, frame: tuple[Pcm, Pcm]) -> float:
    started = time.perf_counter()
    for _ in range(100):
        recorder.write(*frame)
    return time.perf_counter() - started
