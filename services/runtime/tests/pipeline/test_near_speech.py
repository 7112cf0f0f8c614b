"""Voices behind the caller are told from his own by their level. Levels are in dB, one for each window of 32 ms."""

import pytest
from voisnap_runtime.pipeline.near_speech import KNOWN_PATIENCE_MS, PATIENCE_MS, NearSpeech

pytestmark = pytest.mark.unit

CALLER = -22.0
WINDOW_MS = 32


class Line:
    """What is heard, window by window."""

    def __init__(self) -> None:
        self.near = NearSpeech()
        self.at_ms = 0.0
        self.agent_sounds = False

    def voice(self, level: float, ms: float = 640) -> float:
        """Voice of that level, softer and louder by turns as speech is; the share of it that is heard."""
        heard = []
        for number in range(round(ms / WINDOW_MS)):
            self.at_ms += WINDOW_MS
            swing = (2.0, 0.0, -6.0, 1.0, -1.0)[number % 5]
            chance = self.near.judge(level + swing, 0.9, at_ms=self.at_ms, agent_sounds=self.agent_sounds)
            assert chance in {0.0, 0.9}
            heard.append(chance > 0)
        return sum(heard) / len(heard)

    def pause(self, ms: float = 800) -> None:
        self.at_ms += ms

    def turn(self, level: float, ms: float = 1600, confidence: float = 0.9) -> float:
        heard = self.voice(level, ms)
        self.near.understood(confidence)
        self.pause()
        return heard


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def spoken(line):
    """The caller has said something; nobody was heard behind him."""
    line.turn(CALLER)
    return line


@pytest.fixture
def known(spoken):
    """And somebody was heard behind him."""
    spoken.voice(CALLER - 14, 640)
    spoken.near.not_understood()
    spoken.pause()
    spoken.voice(CALLER, 640)
    spoken.near.understood(0.9)
    spoken.pause()
    return spoken


@pytest.mark.parametrize("level", [-10.0, -22.0, -40.0, -55.0])
def test_until_a_caller_was_understood_every_voice_is_his_however_quiet(line, level):
    assert line.voice(level, 5000) == 1.0
    line.near.understood(0.9)
    line.pause()
    assert line.voice(level) == 1.0


@pytest.mark.parametrize("below", [4.0, 9.0, 12.0, 25.0])
def test_a_line_with_nobody_behind_the_caller_hears_every_voice_at_once(spoken, below):
    assert spoken.voice(CALLER - below, 256) == 1.0
    assert not spoken.near.doubts(0.9)


def test_the_first_voice_behind_him_is_found_and_its_words_do_not_count(spoken):
    assert 0 < spoken.voice(CALLER - 15, 1600) < 0.3
    assert spoken.near.doubts(0.95)
    assert not spoken.near.understood(0.95)
    spoken.pause()
    assert spoken.voice(CALLER - 15, 960) == 0.0
    spoken.pause(61_000)
    assert spoken.voice(CALLER - 15, 256) == 1.0, "it is gone"


def test_the_first_voice_in_the_wake_of_his_own_is_found_too(spoken):
    assert spoken.voice(CALLER, 960) == 1.0
    assert spoken.voice(CALLER - 16, 2400) < 0.5
    assert spoken.voice(CALLER - 16, 960) == 0.0
    assert spoken.near.understood(0.9), "what he said counts"


@pytest.mark.parametrize("below", [13.0, 15.0, 25.0])
def test_a_voice_far_below_the_caller_is_not_heard_and_he_is(known, below):
    assert known.voice(CALLER - below, 3000) == 0.0
    known.pause()
    assert known.voice(CALLER) == 1.0


def test_it_does_not_keep_his_turn_open(known):
    assert known.voice(CALLER, 960) == 1.0
    assert known.voice(CALLER - 16, 320) < 0.95, "what is left of his voice fades from the mean"
    assert known.voice(CALLER - 16, 1500) == 0.0


def test_a_caller_who_gets_softer_in_a_sentence_is_heard_to_its_end(known):
    assert known.voice(CALLER, 960) == 1.0
    assert known.voice(CALLER - 9, 960) == 1.0


def test_the_level_follows_a_caller_who_becomes_quieter_or_louder(known):
    for level in (CALLER - 6, CALLER - 9, CALLER - 12, CALLER - 15):
        assert known.turn(level) == 1.0
        assert known.turn(level) == 1.0
    assert known.near.caller == pytest.approx(CALLER - 13, abs=3)
    assert known.turn(CALLER) == 1.0
    assert known.near.caller > CALLER - 7
    known.pause()
    known.voice(CALLER - 20, 640)
    known.pause()
    assert known.voice(CALLER - 20, 2000) == 0.0


def test_a_lone_voice_far_below_is_the_caller_after_some_seconds(known):
    assert known.voice(CALLER - 20, PATIENCE_MS - 200) == 0.0
    known.pause(400)
    assert known.voice(CALLER - 20, 960) > 0.7
    known.near.understood(0.9)
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
    assert known.turn(CALLER) == 1.0
    assert known.voice(CALLER - 17, KNOWN_PATIENCE_MS - 500) == 0.0
    known.turn(CALLER)
    assert known.voice(CALLER - 30, PATIENCE_MS + 200) > 0, "another voice, another patience"


def test_words_of_a_soft_voice_have_to_be_clear(known):
    known.voice(CALLER - 9, 960)
    assert known.near.doubts(0.4)
    assert not known.near.doubts(0.9)
    assert not known.near.doubts(0.0), "a recogniser that does not tell"
    assert not known.near.understood(0.4)
    assert known.near.caller == pytest.approx(CALLER, abs=2), "nothing is learned from it"
    known.pause()
    known.voice(CALLER, 960)
    assert known.near.understood(0.4), "he may mumble as he likes"


def test_a_turn_of_a_word_teaches_no_level(line):
    line.turn(-40.0, 320)
    assert line.near.caller is None
    line.voice(-40.0, 960)
    line.near.not_understood()
    assert line.near.caller is None
