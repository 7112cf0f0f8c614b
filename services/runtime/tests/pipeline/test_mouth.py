import asyncio

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord
from voisnap_runtime.pipeline.mouth import FADE, FRAME, MAX_BUFFERED_SECONDS, RATE, Heard, Mouth

pytestmark = pytest.mark.unit


class Played:
    """A mouth with a clock that a pull moves by 20 ms."""

    def __init__(self) -> None:
        self.now = 0.0
        self.started = 0
        self.texts: list[str] = []
        self.finished: list[Heard] = []
        self.mouth = Mouth(
            clock=lambda: self.now, started=self._start, begun=self.texts.append, finished=self.finished.append
        )

    def _start(self) -> None:
        self.started += 1

    def pull(self, frames: int = 1) -> list[Pcm | None]:
        pulled = []
        for _ in range(frames):
            pulled.append(self.mouth.pull())
            self.now += 0.02
        return pulled


def chunk(text: str, seconds: float = 1.0, first: int = 1000) -> SpeechChunk:
    """A ramp, so that every sample tells its place; words share the time evenly."""
    size = round(seconds * RATE)
    words = text.split()
    share = seconds / len(words)
    return SpeechChunk(
        audio=Pcm((np.arange(size) % 20_000 + first).astype(np.int16), RATE),
        text=text,
        words=tuple(SpokenWord(word=word, start=share * i, end=share * (i + 1)) for i, word in enumerate(words)),
    )


def samples(frames: list[Pcm | None]) -> np.ndarray:
    return np.concatenate([frame.samples for frame in frames if frame is not None])


async def test_everything_is_played_once_and_told():
    played = Played()
    speech = chunk("one two three four", 1.01)
    played.mouth.begin()
    await played.mouth.add(speech)
    played.mouth.close()
    frames = played.pull(60)
    assert np.array_equal(samples(frames)[: len(speech.audio)], speech.audio.samples)
    assert all(len(frame) == FRAME for frame in frames if frame is not None)
    assert played.started == 1
    (heard,) = played.finished
    assert heard.complete
    assert heard.text == "one two three four"
    assert heard.end == pytest.approx(1.01)
    assert [word.word for word in heard.words] == ["one", "two", "three", "four"]
    assert not played.mouth.is_busy


async def test_speech_that_others_may_play_too_is_left_as_it_is():
    played = Played()
    speech = chunk("one two three four", 0.5)
    before = speech.audio.samples.copy()
    speech.audio.samples.setflags(write=False)
    played.mouth.begin()
    played.mouth.put(speech)
    played.mouth.close()
    played.pull(5)
    played.mouth.pause()
    played.pull(2)
    played.mouth.resume()
    played.pull(30)
    assert np.array_equal(speech.audio.samples, before)
    assert len(played.finished) == 1


async def test_nothing_to_say_finishes_without_a_start():
    played = Played()
    played.mouth.begin()
    played.mouth.close()
    assert played.pull() == [None]
    assert played.finished == [Heard()]
    assert played.started == 0


async def test_a_cut_tells_the_words_of_which_half_was_heard():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("one, two three four.", 0.8))
    played.pull(20)
    assert played.mouth.cut().text == "one, two"
    played.mouth.begin()
    await played.mouth.add(chunk("one two three four", 0.8))
    played.pull(26)
    heard = played.mouth.cut()
    assert heard.text == "one two three"
    assert heard.words[-1].end <= heard.end
    assert not heard.complete


async def test_a_cut_in_the_second_chunk_keeps_the_first_whole():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("One two.", 0.4))
    await played.mouth.add(chunk("Three four.", 0.4))
    played.pull(30)
    assert played.mouth.cut().text == "One two. Three"
    assert played.texts == ["One two.", "One two. Three four."]


async def test_a_pause_is_silent_within_five_milliseconds_and_resume_goes_on_at_the_sample():
    played = Played()
    speech = chunk("one two three four", 1.0)
    played.mouth.begin()
    await played.mouth.add(speech)
    before = played.pull(10)
    played.mouth.pause()
    tail, *rest = played.pull(10)
    assert tail is not None
    assert not tail.samples[FADE:].any()
    assert rest == [None] * 9
    played.mouth.resume()
    after = samples(played.pull(10))
    at = len(samples(before))
    assert np.array_equal(after[FADE:], speech.audio.samples[at + FADE : at + len(after)])
    assert abs(int(after[0])) < 50


async def test_words_after_a_pause_have_the_times_they_were_heard():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("one two", 0.8))
    played.mouth.close()
    played.pull(20)
    played.mouth.pause()
    played.pull(50)
    played.mouth.resume()
    played.pull(30)
    one, two = played.finished[0].words
    assert (one.start, two.start) == (pytest.approx(0.0), pytest.approx(1.4))
    assert played.finished[0].end == pytest.approx(1.8)


async def test_a_pause_before_the_first_sound_holds_it_back():
    played = Played()
    played.mouth.pause()
    played.mouth.begin()
    await played.mouth.add(chunk("one", 0.2))
    assert played.pull(5) == [None] * 5
    assert played.started == 0
    played.mouth.resume()
    assert played.pull()[0] is not None
    assert played.started == 1


async def test_a_gap_between_chunks_is_silence_and_times_follow():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("one", 0.2))
    played.pull(20)
    await played.mouth.add(chunk("two", 0.2))
    played.mouth.close()
    played.pull(12)
    assert played.finished[0].words[1].start == pytest.approx(0.4)


async def test_a_cut_after_a_pause_lets_the_next_utterance_sound():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("one", 0.4))
    played.pull(5)
    played.mouth.pause()
    played.mouth.cut()
    played.mouth.begin()
    await played.mouth.add(chunk("two", 0.4))
    assert any(frame is not None for frame in played.pull(2))


async def test_adding_waits_while_enough_is_queued():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("long", MAX_BUFFERED_SECONDS + 0.1))
    adding = asyncio.create_task(played.mouth.add(chunk("more", 1.0)))
    await asyncio.sleep(0)
    assert not adding.done()
    played.pull(10)
    await asyncio.wait_for(adding, 1)


async def test_a_cut_releases_whoever_waits_to_add():
    played = Played()
    played.mouth.begin()
    await played.mouth.add(chunk("long", MAX_BUFFERED_SECONDS + 0.1))
    adding = asyncio.create_task(played.mouth.add(chunk("more", 1.0)))
    await asyncio.sleep(0)
    adding.cancel()
    played.mouth.cut()
    await asyncio.gather(adding, return_exceptions=True)
    assert played.pull(3)[1:] == [None, None]


async def test_other_rates_are_refused():
    played = Played()
    played.mouth.begin()
    speech = SpeechChunk(audio=Pcm.silence(16000, 20), text="x", words=())
    with pytest.raises(ValueError, match="24000"):
        await played.mouth.add(speech)


async def test_a_pause_that_is_over_before_it_was_heard_leaves_no_trace():
    played = Played()
    speech = chunk("one two three four", 1.0)
    played.mouth.begin()
    await played.mouth.add(speech)
    before = played.pull(10)
    played.mouth.pause()
    played.mouth.resume()
    heard = samples([*before, *played.pull(10)])
    assert np.array_equal(heard, speech.audio.samples[: len(heard)])
