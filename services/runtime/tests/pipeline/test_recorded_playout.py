"""Where the agent's sound stands in a recording when it takes a while to be heard."""

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_runtime.pipeline.both_sides import BEHIND, BothSides

pytestmark = pytest.mark.unit


class Recorder:
    def __init__(self) -> None:
        self.agent: list[int | None] = []

    def write(self, caller: Pcm, agent: Pcm | None) -> None:
        self.agent.append(None if agent is None else int(agent.samples[0]))


class Ear:
    def copy(self, count: int, *, until_ms: float) -> Pcm:
        return Pcm(np.zeros(count, np.int16), 16000)


class Way:
    """A way that takes 100 ms."""

    seconds = 0.1

    def delay(self) -> float:
        return self.seconds

    def clear(self) -> None: ...


class Recorded:
    def __init__(self) -> None:
        self.recorder = Recorder()
        self.sides = BothSides(self.recorder, Ear())  # type: ignore[arg-type]
        self.beat = 0

    def pull(self, *marks: int | None) -> None:
        for mark in marks:
            frame = None if mark is None else Pcm(np.full(480, mark, np.int16), 24000)
            self.sides.pulled(frame, self.beat * 0.02)
            self.beat += 1

    def at(self, mark: int) -> int:
        return self.recorder.agent.index(mark)


@pytest.fixture
def recorded():
    return Recorded()


def test_what_is_heard_at_once_stands_where_it_was_pulled(recorded):
    recorded.pull(None, None, 1, 2, 3, *[None] * 20)
    assert recorded.recorder.agent[:6] == [None, None, 1, 2, 3, None]


def test_what_is_heard_later_stands_later(recorded):
    recorded.sides.playout = Way()
    recorded.pull(None, None, 1, 2, 3, *[None] * 20)
    assert recorded.recorder.agent[:10] == [None] * 7 + [1, 2, 3]


def test_a_way_that_turns_out_longer_moves_the_next_utterance_only(recorded):
    recorded.sides.playout = way = Way()
    recorded.pull(1, 2, *[None] * 10)
    way.seconds = 0.2
    recorded.pull(3, 4, *[None] * 20)
    assert [recorded.at(mark) for mark in (1, 2, 3, 4)] == [5, 6, 22, 23]


def test_a_short_pause_stays_as_long_as_it_was(recorded):
    recorded.sides.playout = Way()
    recorded.pull(1, None, None, 2, *[None] * 20)
    assert recorded.at(2) - recorded.at(1) == 3


def test_what_was_dropped_on_its_way_is_not_recorded(recorded):
    recorded.sides.playout = Way()
    recorded.pull(*range(1, 21))
    recorded.sides.clear()
    recorded.pull(*[None] * 30)
    heard = [mark for mark in recorded.recorder.agent if mark is not None]
    assert heard == list(range(1, 21 - 5))
    assert len(recorded.recorder.agent) == 50 - BEHIND
