import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.endpointing import (
    GateEvent,
    GateSettings,
    SpeechEnded,
    SpeechGate,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)

pytestmark = pytest.mark.unit


def heard(gate: SpeechGate, *stretches: tuple[float, int]) -> list[GateEvent]:
    """Feed stretches of (chance, windows)."""
    return [event for chance, windows in stretches for _ in range(windows) for event in gate.feed(chance)]


def test_speech_starts_with_its_first_voiced_window_and_ends_with_its_last():
    gate = SpeechGate(GateSettings(silence_duration_ms=320, pause_ms=96, pre_roll_ms=300))
    events = heard(gate, (0.1, 10), (0.9, 20), (0.1, 12))
    assert events == [
        SpeechStarted(at_ms=320, audio_from_ms=20, voiced_ms=64),
        SpeechPaused(at_ms=960, voiced_ms=640),
        SpeechEnded(at_ms=960, voiced_ms=640, detected_at_ms=1280),
    ]
    assert not gate.speaking
    assert gate.voiced_ms == 0


def test_a_single_voiced_window_is_noise():
    gate = SpeechGate()
    assert heard(gate, (0.9, 1), (0.1, 10), (0.9, 1), (0.1, 40)) == []


def test_a_beginning_may_contain_a_short_gap():
    gate = SpeechGate(GateSettings(min_speech_ms=64, max_gap_ms=64))
    (started,) = heard(gate, (0.9, 1), (0.1, 2), (0.9, 1))
    assert isinstance(started, SpeechStarted)
    assert started.at_ms == 0


def test_while_speaking_a_lower_chance_still_counts():
    gate = SpeechGate(GateSettings(silence_duration_ms=320))
    heard(gate, (0.9, 4))
    assert heard(gate, (0.4, 50)) == []
    assert gate.voiced_ms == 54 * 32
    quiet = SpeechGate()
    assert heard(quiet, (0.4, 50)) == []
    assert not quiet.speaking


def test_speech_resumes_after_a_pause():
    gate = SpeechGate(GateSettings(silence_duration_ms=500, pause_ms=96))
    events = heard(gate, (0.9, 10), (0.0, 5), (0.9, 10))
    assert events[1:] == [SpeechPaused(at_ms=320, voiced_ms=320), SpeechResumed(at_ms=480, paused_ms=160)]
    assert gate.voiced_ms == 640


def test_a_gap_shorter_than_a_pause_is_not_told():
    gate = SpeechGate(GateSettings(pause_ms=96))
    assert len(heard(gate, (0.9, 10), (0.0, 2), (0.9, 10))) == 1


def test_the_pre_roll_never_starts_before_the_stream():
    (started,) = heard(SpeechGate(GateSettings(pre_roll_ms=300)), (0.9, 2))
    assert isinstance(started, SpeechStarted)
    assert started.audio_from_ms == 0


def test_the_end_of_the_stream_ends_running_speech():
    gate = SpeechGate()
    heard(gate, (0.9, 5))
    assert gate.end() == (SpeechEnded(at_ms=160, voiced_ms=160, detected_at_ms=160),)
    assert gate.end() == ()


@given(st.lists(st.floats(0, 1), max_size=300), st.integers(32, 1000), st.integers(0, 500))
def test_events_always_come_in_a_sensible_order(chances: list[float], silence_ms: int, pause_ms: int):
    gate = SpeechGate(GateSettings(silence_duration_ms=silence_ms, pause_ms=pause_ms))
    speaking = paused = False
    last_at = 0
    for chance in chances:
        for event in gate.feed(chance):
            match event:
                case SpeechStarted():
                    assert not speaking
                    speaking = True
                case SpeechPaused():
                    assert speaking
                    assert not paused
                    paused = True
                case SpeechResumed():
                    assert paused
                    paused = False
                case SpeechEnded():
                    assert speaking
                    assert event.detected_at_ms - event.at_ms >= silence_ms
                    speaking = paused = False
            assert event.at_ms >= last_at
            last_at = event.at_ms
    assert gate.speaking == speaking
    assert gate.now_ms == len(chances) * 32
