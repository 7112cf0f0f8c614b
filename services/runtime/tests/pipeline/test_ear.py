from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from voisnap_domain.conversations import Word
from voisnap_domain.turntaking import SpeechContinued, SpeechEnded, SpeechStarted, TurnInput
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.stt import SttCapabilities, Transcript
from voisnap_runtime.pipeline.ear import RING_SECONDS, Ear, VadTicker

pytestmark = pytest.mark.unit

LOUD = 5000


class Stream:
    """A recogniser that keeps what it gets."""

    def __init__(self) -> None:
        self.pushed: list[np.ndarray] = []
        self.calls: list[str] = []

    def push(self, audio: Pcm) -> None:
        self.pushed.append(audio.samples)

    def pause(self) -> None:
        self.calls.append("pause")

    def flush(self) -> None:
        self.calls.append("flush")

    def reset(self) -> None:
        self.calls.append("reset")

    def __aiter__(self) -> AsyncIterator[Transcript]:
        raise NotImplementedError

    async def aclose(self) -> None:
        return

    @property
    def audio(self) -> np.ndarray:
        return np.concatenate(self.pushed or [np.zeros(0, np.int16)])


class Counting:
    """Loud is voice; counts runs and their width."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def probabilities(self, windows, states):
        self.widths.append(len(windows))
        return (np.abs(windows).max(axis=1) > 0.05).astype(np.float32)


class Rig:
    """An ear fed by hand: `hear` feeds packets of 20 ms in step with the clock."""

    def __init__(
        self, *, continuous: bool = False, model: Counting | None = None, ticker: VadTicker | None = None, **ear: Any
    ) -> None:
        self.stream = Stream()
        self.events: list[TurnInput] = []
        capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=continuous)
        self.ear = Ear(self.stream, capabilities, self.events.append, **ear)
        self.vad = VadTicker(model or Counting()) if ticker is None else ticker
        self.vad.add(self.ear)
        self.now = 100.0
        self.ear.start(self.now)

    def hear(self, ms: int, level: int = 0) -> None:
        for _ in range(ms // 20):
            self.now += 0.02
            self.ear.feed(Pcm(np.full(320, level, np.int16), 16000), self.now)
            self.vad.tick(self.now)

    def hear_sound(self, sound: np.ndarray) -> None:
        samples = np.concatenate([sound, np.zeros(-len(sound) % 320)]).astype(np.int16)
        for packet in samples.reshape(-1, 320):
            self.now += 0.02
            self.ear.feed(Pcm(packet, 16000), self.now)
            self.vad.tick(self.now)

    def nothing_comes(self, ms: int) -> None:
        for _ in range(ms // 10):
            self.now += 0.01
            self.vad.tick(self.now)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def test_voice_is_told_with_its_times():
    rig = Rig()
    rig.hear(1000)
    rig.hear(640, LOUD)
    rig.hear(500)
    (started,) = rig.of(SpeechStarted)
    (ended,) = rig.of(SpeechEnded)
    assert started.at_ms == pytest.approx(1032, abs=33)
    assert ended.ended_ms == pytest.approx(1640, abs=0.1)
    assert 96 <= ended.at_ms - ended.ended_ms < 96 + 32
    assert rig.of(SpeechContinued)[-1].voiced_ms == pytest.approx(640, abs=33)


@pytest.mark.parametrize("after_ms", [640, 660, 680, 700, 720])
def test_the_end_of_a_voice_is_where_its_sound_ends_wherever_the_windows_lie(after_ms: int):
    rig = Rig()
    rig.hear(after_ms)
    rig.hear(640, LOUD)
    rig.hear(500, 40)  # 43 dB below: the room
    (ended,) = rig.of(SpeechEnded)
    assert ended.ended_ms == pytest.approx(after_ms + 640, abs=0.1)


class Lingering(Counting):
    """Hears voice for two windows more than there is."""

    def __init__(self) -> None:
        super().__init__()
        self._after = 0

    def probabilities(self, windows, states):
        chances = super().probabilities(windows, states)
        self._after = 2 if chances[0] else self._after - 1
        return np.ones_like(chances) if self._after >= 0 else chances


def test_ears_on_telephones_are_judged_by_every_second_sample_and_beside_the_others():
    model = Counting()
    ticker = VadTicker(model)
    wide, narrow = Rig(ticker=ticker), Rig(ticker=ticker)
    seen: list[tuple[int, int]] = []
    model.probabilities = lambda windows, states: (  # type: ignore[method-assign]
        seen.append(windows.shape),
        (np.abs(windows).max(axis=1) > 0.05).astype(np.float32),
    )[1]
    narrow.ear.narrow(True)
    for rig in (wide, narrow):
        rig.ear.feed(Pcm(np.full(512, LOUD, np.int16), 16000), rig.now)
    ticker.tick(100.032)
    assert sorted(seen) == [(1, 256), (1, 512)]


def test_a_line_that_becomes_a_telephone_is_judged_anew():
    rig = Rig()
    rig.ear.voice_state.remembered = np.ones(320, np.float32)
    rig.ear.narrow(False)
    assert rig.ear.voice_state.remembered is not None
    rig.ear.narrow(True)
    assert rig.ear.voice_state.remembered is None


def test_a_detector_that_lingers_does_not_move_the_end_of_a_voice():
    rig = Rig(model=Lingering())
    rig.hear(640)
    rig.hear(640, LOUD)
    rig.hear(500)
    (ended,) = rig.of(SpeechEnded)
    assert ended.ended_ms == pytest.approx(1280, abs=0.1)
    assert ended.at_ms - ended.ended_ms == pytest.approx(96 + 64, abs=0.1)


def test_a_voice_that_does_not_fade_ends_with_its_last_window():
    rig = Rig()
    rig.hear(660)
    rig.hear(640, LOUD)
    rig.hear(500, 1000)  # noise, 18 dB below
    (ended,) = rig.of(SpeechEnded)
    assert 1300 <= ended.ended_ms <= 1332
    assert ended.at_ms - ended.ended_ms == pytest.approx(96, abs=0.1)


def test_the_recogniser_gets_speech_with_its_pre_roll_and_no_silence():
    rig = Rig()
    rig.hear(2000)
    assert not rig.stream.pushed
    rig.hear(500, LOUD)
    audio = rig.stream.audio
    first = np.flatnonzero(audio)[0]
    assert first / 16 == pytest.approx(300, abs=33)
    assert (audio != 0).sum() == 500 * 16


def test_silence_after_the_preparation_is_kept_back_until_voice_comes_again():
    rig = Rig()
    rig.hear(500, LOUD)
    rig.hear(200)
    rig.ear.prepare()
    held = len(rig.stream.audio)
    rig.hear(300)
    assert len(rig.stream.audio) == held
    rig.hear(100, LOUD)
    assert (rig.stream.audio != 0).sum() == 600 * 16
    assert len(rig.stream.audio) == 1100 * 16
    assert rig.stream.calls == ["pause"]


def test_a_flush_starts_a_new_piece_that_does_not_repeat_the_old():
    rig = Rig()
    rig.hear(300, LOUD)
    rig.hear(200)
    rig.ear.flush()
    before = len(rig.stream.audio)
    rig.hear(100)
    rig.hear(100, LOUD)
    assert len(rig.stream.audio) - before <= 200 * 16
    assert (rig.stream.audio != 0).sum() == 400 * 16


def test_a_continuous_recogniser_gets_everything():
    rig = Rig(continuous=True)
    rig.hear(1000)
    rig.ear.prepare()
    rig.ear.flush()
    rig.hear(1000)
    assert len(rig.stream.audio) == 2000 * 16


def test_words_get_the_times_of_the_call():
    rig = Rig()
    rig.hear(2000)
    rig.hear(1000, LOUD)
    word = Word(word="a", start_time=0.3, end_time=0.5, confidence=1.0)
    (placed,) = rig.ear.words_in_call((word,))
    assert placed.start_time == pytest.approx(2.0, abs=0.04)
    rig.ear.flush()
    rig.hear(3000)
    pushed = len(rig.stream.audio) / 16000
    rig.hear(500, LOUD)
    later = Word(word="b", start_time=pushed + 0.3, end_time=pushed + 0.5, confidence=1.0)
    (placed,) = rig.ear.words_in_call((later,))
    assert placed.start_time == pytest.approx(6.0, abs=0.04)


def test_silence_passes_when_nothing_comes():
    rig = Rig()
    rig.hear(500, LOUD)
    rig.nothing_comes(500)
    (ended,) = rig.of(SpeechEnded)
    assert ended.ended_ms == pytest.approx(500, abs=33)
    assert rig.ear.now_ms(rig.now) == pytest.approx(1000, abs=1)


def test_audio_that_comes_late_in_a_burst_is_heard_and_does_not_move_the_clock():
    rig = Rig()
    rig.hear(500, LOUD)
    for _ in range(10):
        rig.nothing_comes(200)
        for _ in range(10):
            rig.ear.feed(Pcm(np.full(320, LOUD, np.int16), 16000), rig.now)
        rig.vad.tick(rig.now)
    assert rig.ear.now_ms(rig.now) == pytest.approx((rig.now - 100) * 1000, abs=30)
    assert (rig.stream.audio != 0).sum() >= 2000 * 16


def test_call_audio_and_the_loops_clock_translate_into_each_other():
    rig = Rig()
    rig.hear(400)
    assert rig.ear.loop_time(rig.ear.now_ms(rig.now)) == pytest.approx(rig.now)
    assert rig.ear.loop_time(100) == pytest.approx(100.1)
    assert rig.ear.now_ms(rig.now + 0.05) == pytest.approx(450)


def test_one_inference_a_tick_for_all_ears():
    model = Counting()
    ticker = VadTicker(model)
    rigs = [Rig(ticker=ticker) for _ in range(5)]
    now = 100.0
    for _ in range(8):
        now += 0.02
        for rig in rigs:
            rig.ear.feed(Pcm(np.full(320, 100, np.int16), 16000), now)
        ticker.tick(now)
    assert set(model.widths) == {5}
    assert len(model.widths) == 5
    ticker.remove(rigs[0].ear)
    ticker.remove(rigs[0].ear)
    assert len(ticker) == 4


def test_silence_costs_nothing_once_it_has_settled_and_a_voice_is_heard_at_once():
    model = Counting()
    rig = Rig(model=model)
    rig.hear(5120)
    assert len(model.widths) == 16
    rig.hear(320, 8000)
    rig.hear(320)
    assert len(model.widths) == 36
    rig.hear(5120)
    assert len(model.widths) < 60
    assert rig.of(SpeechStarted)
    assert rig.of(SpeechEnded)


def test_an_ear_that_falls_behind_stays_bounded_and_goes_on():
    rig = Rig()
    for _ in range(400):
        rig.now += 0.02
        rig.ear.feed(Pcm(np.zeros(320, np.int16), 16000), rig.now)
    assert rig.ear.lost_samples == 400 * 320 - RING_SECONDS * 16000
    rig.hear(6000)
    rig.hear(500, LOUD)
    rig.hear(500)
    assert len(rig.of(SpeechEnded)) == 1


def test_other_rates_are_refused():
    rig = Rig()
    with pytest.raises(ValueError, match="16000"):
        rig.ear.feed(Pcm.silence(8000, 20), rig.now)


def test_a_recording_gets_the_samples_in_order_and_silence_where_there_are_none():
    rig = Rig()
    copies = []
    for number in range(100):
        rig.now += 0.02
        rig.ear.feed(Pcm(np.full(320, number + 1, np.int16), 16000), rig.now)
        copy = rig.ear.copy(320, until_ms=rig.ear.now_ms(rig.now) - 80)
        if copy is not None:
            copies.append(copy.samples[0])
    assert copies == list(range(1, 97))
    assert rig.ear.copy(320, until_ms=rig.ear.now_ms(rig.now) + 500) is None


class Keys:
    """Notes keys heard, with their times since the call began."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.holds: list[float] = []

    def heard(self, key: str, at: float) -> None:
        self.told.append((key, at - 100.0))

    def held(self, at: float) -> None:
        self.holds.append(at - 100.0)

    @property
    def pressed(self) -> str:
        return "".join(key for key, _ in self.told)


def key_sound(key: str, ms: int, level: float = 3000) -> np.ndarray:
    low, high = {"1": (697, 1209), "5": (770, 1336), "#": (941, 1477)}[key]
    times = np.arange(ms * 16) / 16000
    return level * (np.sin(2 * np.pi * low * times) + np.sin(2 * np.pi * high * times))


def test_keys_in_the_audio_are_told_once_and_are_no_speech():
    keys = Keys()
    rig = Rig(keys=keys)
    rig.hear(500)
    for key in "15#":
        rig.hear_sound(key_sound(key, 100))
        rig.hear(100)
    rig.hear(500)
    assert keys.pressed == "15#"
    assert [at for _, at in keys.told] == pytest.approx([0.55, 0.75, 0.95], abs=0.05)
    assert keys.holds
    assert rig.of(SpeechContinued) == []


def test_a_key_pressed_while_somebody_speaks_is_hardly_given_to_the_recogniser():
    rig = Rig(keys=Keys())
    rig.hear(400, LOUD)
    before = len(rig.stream.audio)
    rig.hear_sound(key_sound("5", 400))
    rig.hear(40)
    tone = rig.stream.audio[before:]
    assert np.abs(tone).max() > 1000
    assert (np.abs(tone) > 1000).sum() <= 0.1 * 16000
    assert np.abs(tone[1600:]).max() == 0


def test_speech_after_a_key_is_recognised_without_the_key():
    rig = Rig(keys=Keys())
    rig.hear(400)
    rig.hear_sound(key_sound("5", 200))
    rig.hear(100)
    rig.hear(300, LOUD)
    audio = rig.stream.audio
    assert (audio == LOUD).sum() >= 0.28 * 16000
    assert (np.abs(audio[audio != LOUD]) > 0).sum() < 16 * 20


def test_without_a_listener_keys_cost_nothing():
    rig = Rig()
    assert rig.ear.key_tracker is None
    rig.hear_sound(key_sound("5", 200))
    assert rig.of(SpeechStarted)


def test_some_ears_want_keys_and_others_do_not():
    ticker, keys = VadTicker(Counting()), Keys()
    deaf, keen, idle = Rig(ticker=ticker), Rig(ticker=ticker, keys=keys), Rig(ticker=ticker, keys=Keys())
    sound = np.concatenate([np.zeros(1600), key_sound("#", 96), np.zeros(1664)]).reshape(-1, 320)
    now = 100.0
    for packet in sound:
        now += 0.02
        for rig in (deaf, keen, idle):
            audible = packet if rig is not idle else np.zeros(320)
            rig.ear.feed(Pcm(audible.astype(np.int16), 16000), now)
        ticker.tick(now)
    assert keys.pressed == "#"
    assert not idle.events


def test_the_turn_can_be_listened_to_again_from_its_beginning():
    rig = Rig(memory_seconds=8)
    rig.hear(3000)
    assert len(rig.ear.turn_audio()) == 0
    rig.hear(500, LOUD)
    rig.hear(400)
    rig.hear(500, LOUD)
    turn = rig.ear.turn_audio()
    assert turn.seconds == pytest.approx(1.7, abs=0.05)
    assert (turn.samples != 0).sum() == 1000 * 16
    rig.hear(200)
    rig.ear.flush()
    assert len(rig.ear.turn_audio()) == 0
    rig.hear(12000, LOUD)
    assert rig.ear.turn_audio().seconds == pytest.approx(8.0)
    rig.ear.forget()
    assert len(rig.ear.turn_audio()) == 0


def test_a_turn_is_remembered_for_a_recogniser_that_hears_everything():
    rig = Rig(continuous=True)
    rig.hear(1000)
    rig.hear(500, LOUD)
    assert rig.ear.turn_audio().seconds == pytest.approx(0.8, abs=0.05)


def test_a_broken_ear_is_given_up_and_the_others_go_on():
    ticker = VadTicker(Counting())
    broken, well = Rig(ticker=ticker), Rig(ticker=ticker)
    faults: list[Exception] = []
    ticker.add(broken.ear, on_fault=faults.append)
    broken.stream.push = _raise  # type: ignore[method-assign]
    now = 100.0
    for _ in range(20):
        now += 0.02
        for rig in (broken, well):
            rig.ear.feed(Pcm(np.full(320, LOUD, np.int16), 16000), now) if rig is well or not faults else None
        ticker.tick(now)
    assert [str(error) for error in faults] == ["a bug"]
    assert len(ticker) == 1
    assert well.of(SpeechStarted)
    assert well.of(SpeechContinued)


def _raise(audio: Pcm) -> None:
    raise RuntimeError("a bug")
