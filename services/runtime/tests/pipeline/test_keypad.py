import pytest
from voisnap_runtime.pipeline.keypad import Keypad

pytestmark = pytest.mark.unit


class Rig:
    def __init__(self) -> None:
        self.pressed = ""
        self.pad = Keypad(self._note)

    def _note(self, key: str) -> None:
        self.pressed += key


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_each_way_alone_counts_every_press(rig: Rig):
    for number in range(3):
        rig.pad.event("5", 1.0 + number * 0.06)
    for number in range(3):
        rig.pad.heard("7", 2.0 + number * 0.06)
    assert rig.pressed == "555777"


@pytest.mark.parametrize("apart", [0.0, 0.06, 0.149])
def test_a_press_told_both_ways_counts_once_whichever_is_first(rig: Rig, apart: float):
    rig.pad.event("5", 1.0)
    rig.pad.heard("5", 1.0 + apart)
    rig.pad.heard("6", 2.0)
    rig.pad.event("6", 2.0 + apart)
    assert rig.pressed == "56"


def test_what_is_too_far_apart_or_another_key_is_another_press(rig: Rig):
    rig.pad.event("5", 1.0)
    rig.pad.heard("5", 1.16)
    rig.pad.event("6", 2.0)
    rig.pad.heard("9", 2.01)
    assert rig.pressed == "5569"


def test_two_presses_told_both_ways_are_two(rig: Rig):
    for at in (1.0, 1.12):
        rig.pad.event("5", at)
        rig.pad.heard("5", at + 0.05)
    assert rig.pressed == "55"


def test_an_event_at_the_end_of_a_long_tone_is_the_same_press(rig: Rig):
    rig.pad.heard("5", 1.0)
    for at in (1.2, 1.6, 2.0):
        rig.pad.held(at)
    rig.pad.event("5", 2.1)
    assert rig.pressed == "5"
    rig.pad.event("5", 2.2)
    assert rig.pressed == "55"


def test_thousands_of_keys_leave_nothing_behind(rig: Rig):
    for number in range(5000):
        rig.pad.event("1", number * 0.2)
    assert len(rig.pressed) == 5000
    assert len(rig.pad._alone) <= 16
