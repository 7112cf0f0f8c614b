"""Load callers in virtual time: what they say and when, and that they measure what was heard."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_stack import load_callers
from voisnap_stack.load_audio import FRAME, Speaking, Utterance, Voice, described, rooms, utterance
from voisnap_stack.load_callers import Caller, CallerClock, Habits, Measured

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

LOUD, QUIET = b"loud", b"quiet"


@pytest.fixture(autouse=True)
def loop_clock(monkeypatch):
    monkeypatch.setattr(load_callers, "clock", lambda: asyncio.get_running_loop().time())


def speech(seconds: float) -> Utterance:
    return utterance(Pcm(np.full(round(seconds * 16000), 5000, np.int16), 16000))


class Agent:
    """The other end: answers `delay` seconds after the silence it waits for, and stops `reaction` after it is spoken into."""

    def __init__(self, *, silence: float = 0.5, delay: float = 0.05, reaction: float = 0.1, says: float = 2.0) -> None:
        self.silence, self.delay, self.reaction, self.says = silence, delay, reaction, says
        self.numbers: list[int | None] = []
        self.closed = False
        self.caller: Caller
        self._speech_ended: asyncio.TimerHandle | None = None
        self._stops_at = float("inf")
        self._talking: asyncio.Task[None] | None = None

    def send(self, number: int | None) -> None:
        self.numbers.append(number)
        loop = asyncio.get_running_loop()
        if number is None:
            return
        if self._talking is not None and not self._talking.done() and self._stops_at == float("inf"):
            # The frame's first sample is 20 ms old.
            self._stops_at = loop.time() - 0.02 + self.reaction
        if self._speech_ended is not None:
            self._speech_ended.cancel()
        if self.delay != float("inf"):
            self._speech_ended = loop.call_later(self.silence + self.delay, self._answer)

    def _answer(self) -> None:
        self._stops_at = float("inf")
        self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(round(self.says * 50)):
            if loop.time() >= self._stops_at:
                self.caller.told_to_stop(loop.time())
                return
            self.caller.heard(LOUD, loop.time())
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self.closed = True


async def talk(agent: Agent, seconds: float, habits: Habits) -> Measured:
    measured = Measured()
    caller = Caller((speech(1.0), speech(0.5)), habits, measured, is_loud=lambda data: data == LOUD)
    caller.line, agent.caller = agent, caller
    clock = CallerClock()
    clock.start()
    clock.add(caller)
    await asyncio.sleep(seconds)
    clock.stop()
    return measured


async def test_the_overhead_is_what_comes_on_top_of_the_silence():
    agent = Agent(delay=0.042)
    measured = await talk(agent, 30, Habits(interrupt_every=0))
    assert len(measured.overhead) >= 6
    assert list(measured.overhead) == pytest.approx([42] * len(measured.overhead), abs=1)
    assert measured.unanswered == measured.cut_off == 0
    assert max(measured.jitter) < 1


async def test_frames_go_out_in_real_time_and_utterances_by_turns():
    agent = Agent()
    await talk(agent, 20, Habits(interrupt_every=0))
    assert len(agent.numbers) == pytest.approx(1000, abs=2)
    said = [number for number in agent.numbers if number is not None]
    assert said[:75] == list(range(75))
    assert said[75:125] == list(range(50))


async def test_an_interruption_is_timed_from_its_first_sound_to_the_agents_last():
    agent = Agent(reaction=0.12)
    measured = await talk(agent, 60, Habits(interrupt_every=2, interrupt_after=0.8))
    assert len(measured.barge_in) >= 5
    assert list(measured.barge_in) == pytest.approx([120] * len(measured.barge_in), abs=21)
    assert list(measured.cleared) == pytest.approx([120] * len(measured.cleared), abs=21)
    assert measured.cut_off == 0


async def test_an_agent_that_never_answers_is_counted_and_asked_again():
    measured = await talk(Agent(delay=float("inf")), 40, Habits(patience=5))
    assert measured.unanswered >= 4
    assert not measured.overhead


async def test_an_answer_into_the_callers_words_is_a_cut_off_and_no_turn():
    agent = Agent(silence=0.0, delay=0.0, says=0.3)

    def early(number: int | None, send: Callable[[int | None], None] = agent.send) -> None:
        send(number)
        if number == 10:
            agent.caller.heard(LOUD, asyncio.get_running_loop().time())

    agent.send = early
    measured = await talk(agent, 5, Habits(interrupt_every=0, silence=0.0))
    assert measured.cut_off >= 1


async def test_jitter_is_the_distance_from_twenty_milliseconds_within_one_stretch_of_speech():
    measured = Measured()
    caller = Caller((speech(1.0),), Habits(), measured, is_loud=lambda data: True)
    for now in (0.0, 0.02, 0.045, 0.06, 5.0, 5.02):
        caller.heard(LOUD, now)
    assert list(measured.jitter) == pytest.approx([0, 5, 5, 0])


async def test_silent_frames_are_no_answer():
    measured = Measured()
    agent = Agent(delay=float("inf"))
    caller = Caller((speech(0.5),), Habits(), measured, is_loud=lambda data: data == LOUD)
    caller.line = agent
    clock = CallerClock()
    clock.start()
    clock.add(caller)
    await asyncio.sleep(2)
    caller.heard(QUIET, asyncio.get_running_loop().time())
    assert not measured.overhead
    caller.heard(LOUD, asyncio.get_running_loop().time())
    assert len(measured.overhead) == 1
    clock.stop()


async def test_a_line_that_breaks_is_counted_once_and_left_alone():
    measured = Measured()
    agent = Agent()
    caller = Caller((speech(0.5),), Habits(), measured, is_loud=lambda data: True)
    caller.line = agent
    caller.was_lost()
    caller.was_lost()
    caller.tick(1.0)
    assert measured.lost == 1
    assert agent.numbers == []


def test_speech_is_cut_to_whole_frames_that_end_with_its_last_sound():
    sound = np.concatenate([np.zeros(5000, np.int16), np.full(4321, 5000, np.int16), np.zeros(700, np.int16)])
    made = utterance(Pcm(sound, 16000))
    assert len(made.audio) % FRAME == 0
    assert made.audio.samples[-1] == 5000
    assert np.count_nonzero(made.audio.samples) == 4321
    assert 0 <= made.lead_ms < 20
    with pytest.raises(ValueError, match="no speech"):
        utterance(Pcm(np.zeros(16000, np.int16), 16000))
    with pytest.raises(ValueError, match="16000 Hz"):
        utterance(Pcm(sound, 8000))


def test_rooms_are_as_loud_as_they_say_and_no_two_callers_hear_the_same():
    made = rooms(4)
    for room in made:
        level = 20 * np.log10(np.sqrt(np.mean(np.square(room.noise.astype(float)))) / 32768)
        assert level == pytest.approx(room.level_dbfs, abs=0.1)
        assert all(len(piece) == FRAME and np.abs(piece).max() > 32 for piece in room.frames)
        # Pink: as much in one octave as in the next.
        spectrum = np.square(np.abs(np.fft.rfft(room.noise)))
        hertz = np.fft.rfftfreq(len(room.noise), 1 / 16000)
        low, high = (spectrum[(hertz >= start) & (hertz < 2 * start)].sum() for start in (250, 2000))
        assert low == pytest.approx(high, rel=0.1)
    assert [made[0].level_dbfs, made[-1].level_dbfs] == [-60, -50]
    assert np.array_equal(rooms(4)[2].noise, made[2].noise)
    assert abs(np.corrcoef(made[0].noise, made[1].noise)[0, 1]) < 0.05


def test_a_caller_sends_noise_without_a_gap_and_speech_over_it():
    made = rooms(2)
    one = speech(0.5)
    voices = tuple(Voice.of((one,), room, lambda heard: heard.tobytes()) for room in made)
    first, second, third = (Speaking(voices, number) for number in range(3))
    pause = np.frombuffer(b"".join(first.frame(None) for _ in range(400)), np.int16)
    assert all(np.abs(piece).max() > 32 for piece in np.split(pause, 400))
    assert first.frame(None) != second.frame(None) != third.frame(None) != first.frame(None)
    said = np.frombuffer(first.frame(3), np.int16).astype(int) - one.frames[3]
    assert 0 < np.sqrt(np.mean(np.square(said))) < 100
    loud = made[1].with_speech(np.full(FRAME, 32767, np.int16))
    assert loud.min() > 30000


def test_the_report_says_what_callers_send():
    assert "-60 to -50 dBFS" in described(rooms(), (speech(1.0),))
