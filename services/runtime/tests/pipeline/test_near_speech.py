"""Voices behind the caller are told from his own by their level. Levels are in dB, one for each window of 32 ms."""

from collections.abc import Sequence

import pytest
from voisnap_runtime.pipeline.near_speech import (
    FOUND_MS,
    HUSHED_MS,
    KNOWN_PATIENCE_MS,
    MEMORY_MS,
    PATIENCE_MS,
    TRAIL_MS,
    NearSpeech,
)

pytestmark = pytest.mark.unit

CALLER = -22.0
WINDOW_MS = 32
SWING = (2.0, 0.0, -6.0, 1.0, -1.0)
"""Speech is softer and louder by turns."""


class Line:
    """What is heard, window by window."""

    def __init__(self) -> None:
        self.near = NearSpeech()
        self.at_ms = 0.0
        self.agent_sounds = False

    def voice(self, level: float, ms: float = 640, swing: Sequence[float] = SWING) -> float:
        """Voice of that level; the share of it that is heard."""
        heard = []
        for number in range(round(ms / WINDOW_MS)):
            self.at_ms += WINDOW_MS
            power = 10 ** ((level + swing[number % len(swing)]) / 10)
            chance = self.near.judge(power, 0.9, at_ms=self.at_ms, agent_sounds=self.agent_sounds)
            assert chance in {0.0, 0.9}
            heard.append(chance > 0)
        return sum(heard) / len(heard)

    def pause(self, ms: float = 800) -> None:
        self.at_ms += ms

    def turn(self, level: float, ms: float = 1600) -> float:
        heard = self.voice(level, ms)
        assert self.near.understood()
        self.pause()
        return heard

    def over_agent(self, level: float, ms: float) -> float:
        """Voice while the agent speaks; there are no words in it."""
        self.agent_sounds = True
        heard = self.voice(level, ms)
        self.agent_sounds = False
        self.near.not_understood()
        return heard


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def spoken(line):
    """The caller has said something; nobody was heard behind him."""
    line.turn(CALLER)
    line.pause(TRAIL_MS)
    return line


@pytest.fixture
def known(spoken):
    """And somebody was heard behind him."""
    spoken.over_agent(CALLER - 15, FOUND_MS + 200)
    spoken.pause(TRAIL_MS)
    return spoken


# --- one voice alone is the caller's


@pytest.mark.parametrize("level", [-10.0, -22.0, -40.0, -55.0])
def test_until_a_caller_was_understood_every_voice_is_his_however_quiet(line, level):
    line.agent_sounds = True
    assert line.voice(level, 5000) == 1.0
    assert line.near.understood()
    line.pause()
    assert line.voice(level) == 1.0


@pytest.mark.parametrize("below", [4.0, 12.0, 16.0, 25.0])
def test_who_speaks_softer_is_heard_to_the_end_while_nobody_was_found_behind_him(spoken, below):
    assert spoken.voice(CALLER - below, 5000) == 1.0
    assert not spoken.near.doubts()
    assert spoken.near.understood()


@pytest.mark.parametrize("below", [9.0, 14.0, 20.0])
def test_who_trails_off_is_heard_to_the_end(spoken, below):
    assert spoken.voice(CALLER, 640) == 1.0
    assert spoken.voice(CALLER - below, 3000) == 1.0


@pytest.mark.parametrize("below", [9.0, 14.0, 20.0])
def test_who_trails_off_is_heard_even_when_somebody_is_known_to_be_behind_him(known, below):
    assert known.voice(CALLER, 640) == 1.0
    assert known.voice(CALLER - below, TRAIL_MS - 100) == 1.0
    assert known.voice(CALLER, 640) == 1.0


def test_who_interrupts_and_gets_softer_is_heard(known):
    known.agent_sounds = True
    assert known.voice(CALLER, 640) == 1.0
    assert known.voice(CALLER - 14, 960) == 1.0


def test_who_answers_softly_into_the_agents_last_sound_is_understood(spoken):
    spoken.agent_sounds = True
    assert spoken.voice(CALLER - 15, HUSHED_MS + 96) < 1.0
    spoken.agent_sounds = False
    assert spoken.voice(CALLER - 15, 960) == 1.0
    assert not spoken.near.doubts()
    assert spoken.near.understood()


# --- somebody behind him


def test_the_first_far_voice_over_the_agents_words_is_hushed_and_its_words_do_not_count(spoken):
    spoken.agent_sounds = True
    assert spoken.voice(CALLER - 15, HUSHED_MS - WINDOW_MS) == 1.0, "interrupting is never slower"
    assert spoken.voice(CALLER - 15, 1500) < 0.1
    assert spoken.near.doubts()
    assert not spoken.near.understood()
    assert spoken.voice(CALLER) > 0.9, "the caller himself interrupts"


def test_a_voice_that_talked_on_over_the_agent_is_behind_the_caller(spoken):
    spoken.over_agent(CALLER - 15, FOUND_MS - 200)
    assert spoken.voice(CALLER - 15, 960) == 1.0, "it might be the caller"
    spoken.near.not_understood()
    spoken.over_agent(CALLER - 15, FOUND_MS + 100)
    assert spoken.voice(CALLER - 15, 960) == 0.0
    spoken.pause(61_000)
    assert spoken.voice(CALLER - 15, 960) == 1.0, "it is gone"


@pytest.mark.parametrize("below", [14.0, 16.0, 25.0])
def test_a_known_voice_far_below_the_caller_begins_no_turn_and_he_does(known, below):
    assert known.voice(CALLER - below, 3000) == 0.0
    known.pause()
    assert known.voice(CALLER) > 0.8
    known.agent_sounds = True
    known.pause(2000)
    assert known.voice(CALLER - below, 3000) == 0.0
    known.pause()
    assert known.voice(CALLER) > 0.8


def test_a_known_voice_does_not_keep_his_turn_open(known):
    assert known.voice(CALLER, 960) == 1.0
    known.voice(CALLER - 16, TRAIL_MS + MEMORY_MS)
    assert known.voice(CALLER - 16, 1500) == 0.0
    assert known.near.understood(), "what he said counts"
    assert known.near.caller == pytest.approx(CALLER, abs=3), "and is what the level is learned from"


def test_loud_syllables_of_a_known_voice_are_not_taken_for_the_caller(known):
    assert known.voice(CALLER - 15, 3000, swing=(8.0, 6.0, 0.0, -8.0, -8.0, -8.0, -8.0, -8.0)) == 0.0


def test_the_level_follows_a_caller_who_becomes_quieter_or_louder(known):
    for level in (CALLER - 6, CALLER - 9, CALLER - 12, CALLER - 15):
        known.turn(level)
        assert known.turn(level) > 0.7
    assert known.near.caller == pytest.approx(CALLER - 13, abs=3)
    assert known.turn(CALLER) == 1.0
    assert known.near.caller > CALLER - 9
    known.pause(TRAIL_MS)
    known.over_agent(CALLER - 26, FOUND_MS + 200)
    assert known.voice(CALLER - 26, 2000) == 0.0


def test_a_lone_voice_far_below_is_the_caller_after_some_seconds(known):
    assert known.voice(CALLER - 20, PATIENCE_MS - 200) == 0.0
    known.pause(400)
    assert known.voice(CALLER - 20, 960) > 0.7
    assert known.near.understood()
    known.pause()
    assert known.voice(CALLER - 20) == 1.0


def test_while_the_agent_speaks_nobody_is_waited_for(known):
    known.agent_sounds = True
    assert known.voice(CALLER - 20, 3 * PATIENCE_MS) == 0.0
    known.agent_sounds = False
    assert known.voice(CALLER - 20, PATIENCE_MS - 200) == 0.0


def test_a_voice_that_the_caller_spoke_after_is_behind_him_and_has_to_go_on_for_longer(known):
    assert known.voice(CALLER - 17, 2000) == 0.0
    known.pause()
    assert known.turn(CALLER) > 0.9
    known.pause(TRAIL_MS)
    assert known.voice(CALLER - 17, KNOWN_PATIENCE_MS - 500) == 0.0
    known.turn(CALLER)
    known.pause(TRAIL_MS)
    assert known.voice(CALLER - 30, PATIENCE_MS + 200) > 0, "another voice, another patience"


def test_a_turn_of_a_word_teaches_no_level(line):
    line.turn(-40.0, 320)
    assert line.near.caller is None
    line.voice(-40.0, 960)
    line.near.not_understood()
    assert line.near.caller is None
