"""When marks are set, and what they tell when they come back."""

import itertools

import pytest
from voisnap_runtime.carriers.playout import FIRST_MARK_FRAMES, MARK_FRAMES, MOST_SECONDS, USUAL_SECONDS, Marks

pytestmark = pytest.mark.unit


def paced(marks: Marks, frames: int, since: float = 0.0) -> list[tuple[str, float]]:
    """The marks of so many frames, and when they were set."""
    found = [(marks.paced(since + 0.02 * number), since + 0.02 * number) for number in range(frames)]
    return [(name, at) for name, at in found if name is not None]


def test_the_first_mark_comes_soon_and_then_one_each_half_second():
    times = [at for _, at in paced(Marks(), 100)]
    assert times[0] == pytest.approx(0.02 * (FIRST_MARK_FRAMES - 1))
    assert [later - at for at, later in itertools.pairwise(times)] == pytest.approx([0.02 * MARK_FRAMES] * 3)


def test_a_pause_is_marked_and_the_next_utterance_begins_anew():
    marks = Marks()
    paced(marks, 3)
    assert marks.sounds
    marks.paused(0.06)
    assert not marks.sounds
    assert len(paced(marks, FIRST_MARK_FRAMES)) == 1


def test_the_delay_is_the_median_of_the_last_marks():
    marks = Marks()
    assert marks.delay(0.0) == USUAL_SECONDS
    for name, at in paced(marks, 110):
        marks.reached(name, at + 0.02 + (1.0 if at > 1.5 and at < 2 else 0.2))
    assert marks.delay(9.0) == pytest.approx(0.2)


def test_an_overdue_mark_tells_that_it_takes_longer_but_not_without_end():
    marks = Marks()
    (first, at), *_ = paced(marks, 60)
    marks.reached(first, at + 0.22)
    assert marks.delay(0.8) == pytest.approx(0.2)
    assert marks.delay(1.7) == pytest.approx(1.7 - 0.02 * 34 - 0.02, abs=0.03)
    assert marks.delay(99.0) == MOST_SECONDS


def test_a_carrier_that_answers_no_marks_has_the_usual_delay():
    marks = Marks()
    paced(marks, 5000)
    assert marks.delay(100.0) == USUAL_SECONDS


def test_a_later_mark_stands_for_those_before_it():
    marks = Marks()
    names = paced(marks, 90)
    last, at = names[-1]
    assert marks.reached(last, at + 0.3) == pytest.approx(0.28)
    assert not marks.awaits
    assert marks.reached(names[0][0], at + 0.4) is None


def test_marks_of_what_was_cleared_and_strangers_tell_nothing():
    marks = Marks()
    (name, at), *_ = paced(marks, 20)
    marks.cleared()
    assert marks.reached(name, at + 2.0) is None
    assert marks.reached("probe", at + 2.0) is None
    assert marks.delay(at + 2.0) == USUAL_SECONDS
    assert paced(marks, 20)[0][0] != name
