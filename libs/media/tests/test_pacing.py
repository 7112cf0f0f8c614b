import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.pacing import PacingClock

pytestmark = pytest.mark.unit


def test_one_frame_is_due_at_once_and_one_every_twenty_ms():
    clock = PacingClock(100.0)
    assert [clock.due(100.0 + ms / 1000) for ms in (0, 0, 10, 20, 30, 40, 60)] == [1, 0, 0, 1, 0, 1, 1]
    assert clock.next_at == pytest.approx(100.08)


def test_a_late_asker_catches_up():
    clock = PacingClock(0.0, max_catch_up=5)
    assert clock.due(0.0) == 1
    assert clock.due(0.0801) == 4
    assert clock.skipped == 0


def test_a_long_stall_is_not_sent_in_a_burst():
    clock = PacingClock(0.0, max_catch_up=5)
    clock.due(0.0)
    assert clock.due(1.0) == 5
    assert clock.skipped == 45
    assert clock.due(1.0) == 0
    assert clock.next_at == pytest.approx(1.02)


@given(st.lists(st.floats(0.0, 0.09), min_size=1, max_size=200))
def test_the_clock_never_drifts_however_irregularly_it_is_asked(steps: list[float]):
    clock, now, sent = PacingClock(0.0), 0.0, 0
    for step in steps:
        now += step
        sent += clock.due(now)
    assert abs(sent - (now / 0.02 + 1)) <= 1.1
    assert clock.skipped == 0


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="positive"):
        PacingClock(0.0, frame_seconds=0)
