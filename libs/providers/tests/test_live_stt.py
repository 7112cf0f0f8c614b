"""Recognisers over a connection: batches, finals, silence, loss and renewal, in virtual time against a scripted vendor."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import numpy as np
import pytest
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.live_stt import Heard, LiveSttRules, LiveSttStream, fitted, within
from voisnap_providers.ports.stt import Transcript

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

RATE = 16000
WORD_SECONDS = 0.5


def sound(first: int, count: int = 1) -> Pcm:
    """Words, each half a second of its number: `first`, `first + 1`, …"""
    return Pcm(np.repeat(np.arange(first, first + count), round(WORD_SECONDS * RATE)).astype(np.int16), RATE)


def quiet(seconds: float) -> Pcm:
    return Pcm.silence(RATE, seconds * 1000)


def lost(retryable: bool = True, **more: float) -> ProviderError:
    return ProviderError("gone", provider="test", kind="stt", retryable=retryable, **more)


class Vendor:
    """A vendor who hears numbers: a run of the same sample of at least 0.3 s is a word. `delay`: seconds to an answer."""

    def __init__(self, rules: LiveSttRules | None = None, *, delay: float = 0.2) -> None:
        self.rules = rules or LiveSttRules()
        self.delay = delay
        self.connections: list[Connection] = []
        self.faults: deque[ProviderError] = deque()
        self.connect_seconds = 0.05
        self.answers = True
        self.interims = False

    async def connect(self) -> "Connection":
        await asyncio.sleep(self.connect_seconds)
        if self.faults:
            raise self.faults.popleft()
        self.connections.append(Connection(self))
        return self.connections[-1]

    def open(self) -> LiveSttStream:
        return LiveSttStream(self.connect, self.rules, provider="test")

    @property
    def last(self) -> "Connection":
        return self.connections[-1]


class Connection:
    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.sends: list[tuple[float, int]] = []
        self.kept_alive: list[float] = []
        self.finalised: list[float] = []
        self.audio = np.zeros(0, np.int16)
        self.settled = 0
        self.is_closed = False
        self.results: asyncio.Queue[tuple[float, Heard | ProviderError | None]] = asyncio.Queue()

    async def send(self, audio: bytes) -> None:
        assert not self.is_closed
        self.sends.append((asyncio.get_running_loop().time(), len(audio) // 2))
        self.audio = np.concatenate([self.audio, np.frombuffer(audio, np.int16)])
        if self.vendor.interims:
            heard = self.heard(is_final=False)
            if heard.text:
                self.say(heard)

    async def finalise(self) -> None:
        self.finalised.append(asyncio.get_running_loop().time())
        if self.vendor.answers:
            self.say(self.heard(is_final=True, answers_finalise=True))
            self.settled = len(self.audio)
            if self.vendor.rules.finalise_ends_connection:
                self.say(None)

    async def keep_alive(self) -> None:
        self.kept_alive.append(asyncio.get_running_loop().time())

    def heard(self, *, is_final: bool, **more: bool) -> Heard:
        words = numbers(self.audio, self.settled)
        text = " ".join(word.word for word in words)
        until = len(self.audio) / RATE if is_final else None
        return Heard(text=text, is_final=is_final, confidence=0.9, words=words, until=until, **more)

    def say(self, result: Heard | ProviderError | None) -> None:
        self.results.put_nowait((asyncio.get_running_loop().time() + self.vendor.delay, result))

    def settle(self, **more: bool) -> None:
        """Final words of the vendor's own accord."""
        self.say(self.heard(is_final=True, **more))
        self.settled = len(self.audio)

    async def __aiter__(self) -> AsyncIterator[Heard]:
        while True:
            at, result = await self.results.get()
            await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
            if result is None:
                return
            if isinstance(result, ProviderError):
                raise result
            yield result

    async def aclose(self) -> None:
        self.is_closed = True


def numbers(audio: np.ndarray, start: int) -> tuple[Word, ...]:
    edges = [start, *(np.flatnonzero(np.diff(audio[start:])) + 1 + start), len(audio)]
    return tuple(
        Word(word=str(audio[first]), start_time=first / RATE, end_time=last / RATE, confidence=0.9)
        for first, last in pairwise(edges)
        if last - first >= 0.3 * RATE and audio[first]
    )


async def say(stream: LiveSttStream, audio: Pcm) -> None:
    """In real time, in packets of 20 ms."""
    for start in range(0, round(audio.duration_ms), 20):
        stream.push(audio.slice(start, start + 20))
        await asyncio.sleep(0.02)


async def until(stream: LiveSttStream, wanted: Callable[[Transcript], bool]) -> Transcript:
    async with asyncio.timeout(60):
        async for transcript in stream:
            if wanted(transcript):
                return transcript
    raise AssertionError("the stream ended")


async def final(stream: LiveSttStream) -> Transcript:
    return await until(stream, lambda transcript: transcript.is_final)


async def error_of(stream: LiveSttStream) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await final(stream)
    return caught.value


def now() -> float:
    return asyncio.get_running_loop().time()


# -- sending


async def test_it_connects_at_once_and_sends_audio_in_batches_rather_than_packets():
    vendor = Vendor(LiveSttRules(batch=0.1))
    stream = vendor.open()
    await asyncio.sleep(0.1)
    assert len(vendor.connections) == 1
    await say(stream, sound(1, 2))
    assert [count for _, count in vendor.last.sends] == [1600] * 10
    await stream.aclose()
    assert vendor.last.is_closed


async def test_what_was_said_before_the_connection_stood_is_sent_too_at_the_pace_that_is_allowed():
    vendor = Vendor(LiveSttRules(fastest=2.0, burst=0.5, largest=0.5))
    vendor.connect_seconds = 3.0
    stream = vendor.open()
    await say(stream, sound(1, 5))
    stream.flush()
    assert (await final(stream)).text == "1 2 3 4 5"
    began = vendor.last.sends[0][0]
    for at, _ in vendor.last.sends:
        sent = sum(count for moment, count in vendor.last.sends if moment <= at) / RATE
        assert sent <= (at - began) * 2.0 + 0.5 + 0.5 + 1e-6
    assert vendor.last.sends[-1][0] - began > 0.5
    await stream.aclose()


async def test_no_message_is_shorter_or_longer_than_the_vendor_takes_and_times_stay_right():
    vendor = Vendor(LiveSttRules(batch=0.1, least=0.1, largest=0.3))
    stream = vendor.open()
    await asyncio.sleep(0.1)
    stream.push(sound(7))
    stream.push(quiet(0.13))
    stream.flush()
    assert (await final(stream)).audio_seconds == pytest.approx(0.63)
    stream.push(sound(8))
    stream.flush()
    assert {count for _, count in vendor.last.sends[:3]} == {4800, 1600}
    assert all(1600 <= count <= 4800 for _, count in vendor.last.sends)
    word = (await final(stream)).words[0]
    assert (word.word, word.start_time, word.end_time) == ("8", pytest.approx(0.63), pytest.approx(1.13))
    await stream.aclose()


async def test_through_silence_a_connection_is_kept_alive_and_words_after_it_keep_their_times():
    vendor = Vendor(LiveSttRules(keep_alive=4.0))
    stream = vendor.open()
    await asyncio.sleep(13)
    assert vendor.last.kept_alive == pytest.approx([4.05, 8.05, 12.05])
    await stream.aclose()

    vendor = Vendor(LiveSttRules(keep_alive=4.0, silence_instead=0.1, lead_in=0.2))
    stream = vendor.open()
    await asyncio.sleep(13)
    stream.push(sound(3))
    stream.flush()
    heard = await final(stream)
    assert vendor.last.kept_alive == []
    assert [count for _, count in vendor.last.sends[:4]] == [3200, 1600, 1600, 1600]
    assert (heard.words[0].start_time, heard.words[0].end_time) == (0.0, 0.5)
    await stream.aclose()


async def test_another_rate_is_refused():
    stream = Vendor().open()
    with pytest.raises(ValueError, match="16000 Hz"):
        stream.push(Pcm.silence(8000, 20))
    await stream.aclose()


# -- finals


async def test_each_flush_gives_one_final_with_times_since_the_first_sample():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1, 2))
    stream.flush()
    await say(stream, sound(3))
    stream.flush()
    stream.flush()
    found = [await final(stream) for _ in range(3)]
    assert [(item.text, item.utterance) for item in found] == [("1 2", 0), ("3", 1), ("", 2)]
    assert found[1].words[0].start_time == pytest.approx(1.0)
    assert found[0].confidence == pytest.approx(0.9)
    await stream.aclose()


async def test_pieces_and_interim_results_are_one_growing_text():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1))
    vendor.last.settle()
    vendor.interims = True
    await say(stream, sound(2))
    partial = await until(stream, lambda item: item.text == "1 2")
    assert not partial.is_final
    stream.flush()
    heard = await final(stream)
    assert (heard.text, [word.word for word in heard.words]) == ("1 2", ["1", "2"])
    await stream.aclose()


async def test_a_pause_prepares_the_final_which_then_comes_at_the_flush_itself():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(4))
    stream.pause()
    prepared = await until(stream, lambda item: item.is_prepared)
    assert (prepared.text, prepared.is_final) == ("4", False)
    flushed = now()
    stream.flush()
    assert (await final(stream)).text == "4"
    assert now() == flushed
    assert len(vendor.last.finalised) == 1
    await stream.aclose()


async def test_speech_after_a_pause_goes_out_at_once_and_belongs_to_the_same_final():
    vendor = Vendor(delay=0.4)
    stream = vendor.open()
    await say(stream, sound(4))
    stream.pause()
    await say(stream, sound(5))
    assert sum(count for at, count in vendor.last.sends) == RATE
    stream.flush()
    assert (await final(stream)).text == "4 5"
    await stream.aclose()


async def test_a_flush_waits_no_longer_than_allowed_and_takes_what_is_known():
    vendor = Vendor(LiveSttRules(finalise_timeout=1.5))
    vendor.answers, vendor.interims = False, True
    stream = vendor.open()
    await say(stream, sound(6))
    await asyncio.sleep(0.5)
    flushed = now()
    stream.flush()
    assert (await final(stream)).text == "6"
    assert now() - flushed == pytest.approx(1.5, abs=0.05)
    vendor.answers = True
    vendor.connections[0].say(Heard(text="6", is_final=True, answers_finalise=True))
    await say(stream, sound(7))
    stream.flush()
    assert (await final(stream)).text == "7"
    await stream.aclose()


async def test_a_vendor_that_says_nothing_of_half_a_second_heard_nothing():
    vendor = Vendor()
    vendor.answers = False
    stream = vendor.open()
    stream.push(sound(1).slice(0, 500))
    stream.flush()
    assert (await final(stream)).text == ""
    assert len(vendor.connections) == 1
    await stream.aclose()


async def test_a_vendor_that_says_nothing_of_whole_sentences_is_asked_once_more_and_then_given_up():
    vendor = Vendor(LiveSttRules(finalise_timeout=1.0))
    vendor.answers = False
    stream = vendor.open()
    await say(stream, sound(1, 4))
    stream.flush()
    error = await error_of(stream)
    assert isinstance(error, ProviderTimeout)
    assert len(vendor.connections) == 2
    assert numbers(stream.unfinished_audio().samples, 0)[-1].word == "4"
    await stream.aclose()


async def test_only_a_moment_is_waited_for_silence_after_the_last_final_words():
    vendor = Vendor(LiveSttRules(prepares=False))
    stream = vendor.open()
    await say(stream, sound(1))
    vendor.last.settle()
    await asyncio.sleep(0.3)
    vendor.answers = False
    stream.push(quiet(0.3))
    flushed = now()
    stream.flush()
    assert (await final(stream)).text == "1"
    assert now() - flushed < 0.6
    late = Word(word="1", start_time=0.0, end_time=0.5, confidence=0.9)
    vendor.last.say(Heard(text="1", is_final=True, words=(late,)))
    vendor.answers = True
    await say(stream, sound(2))
    stream.flush()
    assert (await final(stream)).text == "2"
    await stream.aclose()


async def test_final_words_that_reach_the_end_need_no_request():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1))
    vendor.last.settle()
    await asyncio.sleep(0.3)
    stream.flush()
    assert (await final(stream)).text == "1"
    assert vendor.last.finalised == []
    await stream.aclose()


async def test_audio_after_a_flush_waits_for_the_answer_and_words_said_again_in_it_are_nobodys():
    vendor = Vendor()
    vendor.answers = False
    stream = vendor.open()
    await say(stream, sound(1))
    stream.pause()
    await asyncio.sleep(0.1)
    stream.flush()
    sent = len(vendor.last.audio)
    vendor.last.settle()
    assert (await final(stream)).text == "1"
    await say(stream, sound(2))
    assert len(vendor.last.audio) == sent
    vendor.last.say(Heard(text="1", is_final=True, answers_finalise=True))
    await asyncio.sleep(0.3)
    assert len(vendor.last.audio) == sent + len(sound(2))
    vendor.answers = True
    stream.flush()
    assert (await final(stream)).text == "2"
    await stream.aclose()


async def test_a_reset_forgets_and_what_the_vendor_says_of_it_later_is_nobodys_text():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1))
    stream.reset()
    await say(stream, sound(2))
    stream.flush()
    heard = await final(stream)
    assert (heard.text, heard.utterance) == ("2", 0)
    stream.push(quiet(0.02))
    stream.reset()
    stream.push(sound(3))
    stream.flush()
    assert (await final(stream)).text == "3"
    await stream.aclose()


async def test_before_there_is_a_connection_a_reset_costs_nothing():
    vendor = Vendor()
    stream = vendor.open()
    stream.push(sound(1))
    stream.reset()
    stream.push(sound(2))
    stream.flush()
    assert (await final(stream)).text == "2"
    assert len(vendor.last.finalised) == 1
    await stream.aclose()


# -- vendors who judge by themselves


async def test_silence_follows_a_pause_and_the_vendors_word_for_an_end_is_told_and_final():
    vendor = Vendor(LiveSttRules(prepares=False, silence_after_pause=1.0))
    stream = vendor.open()
    await say(stream, sound(1))
    stream.pause()
    await asyncio.sleep(0.65)
    assert len(vendor.last.audio) == pytest.approx(1.1 * RATE, abs=0.11 * RATE)
    vendor.last.settle(ends_utterance=True)
    told = await until(stream, lambda item: item.ends_utterance)
    assert (told.text, told.is_final, told.is_prepared) == ("1", False, True)
    stream.flush()
    assert (await final(stream)).text == "1"
    assert vendor.last.finalised == []
    await asyncio.sleep(5)
    assert len(vendor.last.audio) <= 1.6 * RATE
    await say(stream, sound(2))
    stream.flush()
    assert (await final(stream)).words[0].start_time == pytest.approx(0.5)
    await stream.aclose()


async def test_a_vendor_whose_connection_ends_with_the_answer_gets_the_next_utterance_on_another():
    vendor = Vendor(LiveSttRules(finalise_ends_connection=True, prepares=False))
    stream = vendor.open()
    await say(stream, sound(1))
    stream.flush()
    await say(stream, sound(2))
    stream.flush()
    assert [(await final(stream)).text for _ in range(2)] == ["1", "2"]
    assert [len(connection.finalised) for connection in vendor.connections[:2]] == [1, 1]
    await say(stream, sound(3))
    stream.reset()
    await say(stream, sound(4))
    stream.flush()
    assert (await final(stream)).text == "4"
    await stream.aclose()


# -- loss and renewal


async def test_no_word_is_lost_or_doubled_when_the_connection_breaks_in_mid_sentence():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1, 2))
    vendor.last.settle()
    await say(stream, sound(3))
    vendor.last.say(lost())
    await say(stream, sound(4, 2))
    stream.flush()
    heard = await final(stream)
    assert heard.text == "1 2 3 4 5"
    assert [word.start_time for word in heard.words] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    assert numbers(vendor.last.audio, 0)[0].word == "3"
    assert len(vendor.connections) == 2
    await stream.aclose()


async def test_interim_words_whose_audio_is_too_old_to_be_said_again_are_kept():
    vendor = Vendor()
    vendor.interims = True
    stream = vendor.open()
    await say(stream, sound(1, 80))
    vendor.last.say(lost())
    await asyncio.sleep(0.5)
    stream.flush()
    heard = await final(stream)
    assert heard.text.split() == [str(number) for number in range(1, 81)]
    assert stream.dropped_seconds == 0.0
    assert len(vendor.connections) == 2
    await stream.aclose()


async def test_a_connection_that_ends_while_its_answer_is_awaited_is_replaced_and_asked_again():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1, 2))
    vendor.answers = False
    stream.flush()
    await asyncio.sleep(0.1)
    vendor.answers = True
    vendor.last.say(lost())
    assert (await final(stream)).text == "1 2"
    await stream.aclose()


async def test_a_connection_closed_in_silence_is_replaced_before_anybody_speaks():
    vendor = Vendor()
    stream = vendor.open()
    await asyncio.sleep(30)
    vendor.last.say(None)
    await asyncio.sleep(1)
    assert len(vendor.connections) == 2
    await say(stream, sound(1))
    stream.flush()
    assert (await final(stream)).text == "1"
    await stream.aclose()


async def test_a_connection_is_renewed_in_silence_before_it_is_too_old_and_the_new_one_stands_first():
    vendor = Vendor(LiveSttRules(max_age=300.0, keep_alive=4.0))
    stream = vendor.open()
    await asyncio.sleep(275)
    assert len(vendor.connections) == 2
    assert vendor.connections[0].is_closed
    await say(stream, sound(1))
    stream.flush()
    assert (await final(stream)).text == "1"
    assert vendor.connections[0].sends == []
    await stream.aclose()


async def test_a_caller_who_never_stops_is_moved_over_without_losing_a_word():
    vendor = Vendor(LiveSttRules(max_age=10.0))
    stream = vendor.open()
    for number in range(1, 25):
        await say(stream, sound(number))
        if number % 4 == 0:
            vendor.last.settle()
    stream.flush()
    heard = await final(stream)
    assert heard.text == " ".join(str(number) for number in range(1, 25))
    assert len(vendor.connections) >= 2
    await stream.aclose()


async def test_a_new_connection_does_not_wait_for_ever_for_a_silent_moment():
    vendor = Vendor(LiveSttRules(max_age=10.0))
    stream = vendor.open()
    await say(stream, sound(1, 26))
    assert len(vendor.connections) == 2
    assert vendor.connections[0].is_closed
    stream.flush()
    assert (await final(stream)).text.split() == [str(number) for number in range(1, 27)]
    await stream.aclose()


async def test_a_refused_key_ends_the_stream_at_once():
    vendor = Vendor()
    vendor.faults.append(ProviderAuthError("no", provider="test", kind="stt"))
    stream = vendor.open()
    stream.push(sound(1))
    assert isinstance(await error_of(stream), ProviderAuthError)
    assert now() < 0.1
    assert stream.unfinished_audio().same_as(sound(1))
    assert isinstance(await error_of(stream), ProviderAuthError)
    await stream.aclose()


async def test_three_healable_failures_in_a_row_end_the_stream_and_two_do_not():
    vendor = Vendor()
    vendor.faults.extend([lost(), lost()])
    stream = vendor.open()
    stream.push(sound(1))
    stream.flush()
    assert (await final(stream)).text == "1"
    vendor.faults.extend([lost(), lost(), lost()])
    vendor.last.say(lost())
    error = await error_of(stream)
    assert error.retryable
    assert len(vendor.faults) == 1
    await stream.aclose()


async def test_a_vendor_who_asks_to_wait_for_long_is_left():
    vendor = Vendor()
    vendor.faults.append(lost(retry_after=30.0))
    stream = vendor.open()
    assert (await error_of(stream)).retry_after == 30.0
    await stream.aclose()


async def test_a_connection_that_does_not_come_is_a_timeout():
    vendor = Vendor(LiveSttRules(connect_timeout=1.0))
    vendor.connect_seconds = 100.0
    stream = vendor.open()
    assert isinstance(await error_of(stream), ProviderTimeout)
    assert now() < 5.0
    await stream.aclose()


async def test_audio_beyond_half_a_minute_without_connection_is_dropped_and_counted():
    vendor = Vendor(LiveSttRules(connect_timeout=100.0))
    vendor.connect_seconds = 50.0
    stream = vendor.open()
    await say(stream, sound(1, 80))
    assert stream.dropped_seconds == pytest.approx(10.5, abs=1.0)
    assert stream.unfinished_audio().seconds <= 30.0
    stream.flush()
    words = (await final(stream)).words
    assert words[-1].word == "80"
    assert words[-1].end_time == pytest.approx(40.0)
    await stream.aclose()


async def test_results_nobody_reads_do_not_pile_up():
    vendor = Vendor(delay=0.0)
    stream = vendor.open()
    await asyncio.sleep(0.1)
    for number in range(2000):
        vendor.last.say(Heard(text=f"text {number}", is_final=False))
    await asyncio.sleep(1)
    assert stream._results.qsize() <= 256
    await stream.aclose()


async def test_a_closed_stream_ends_and_leaves_no_connection_open():
    vendor = Vendor()
    stream = vendor.open()
    await say(stream, sound(1))
    await stream.aclose()
    stream.push(sound(2))
    stream.flush()
    assert [item async for item in stream if item.is_final] == []
    assert vendor.last.is_closed
    waiting = vendor.open()
    await waiting.aclose()
    await stream.aclose()


async def test_closing_waits_for_connections_to_close_but_not_for_ever():
    vendor = Vendor(LiveSttRules(finalise_ends_connection=True), delay=1.0)
    stream = vendor.open()
    await say(stream, sound(1))
    stream.flush()
    await asyncio.sleep(0.5)
    used, ready = vendor.connections  # the second stands for the next utterance already
    used.aclose, ready.aclose = closing(used, 0.5), closing(ready, 1000.0)
    began = now()
    await stream.aclose()
    assert (used.is_closed, ready.is_closed) == (True, False)
    assert now() - began == pytest.approx(2.0, abs=0.1)
    await asyncio.sleep(0.1)
    assert not stream._closing


def closing(connection: Connection, seconds: float):
    async def aclose() -> None:
        await asyncio.sleep(seconds)
        connection.is_closed = True

    return aclose


async def test_a_connection_that_takes_no_audio_is_replaced_and_no_word_is_lost():
    vendor = Vendor()
    stream = vendor.open()
    await asyncio.sleep(0.1)

    async def stuck(audio: bytes) -> None:
        await asyncio.sleep(1000)

    vendor.last.send = stuck
    began = now()
    await say(stream, sound(1, 2))
    stream.flush()
    assert (await final(stream)).text == "1 2"
    assert 5.0 < now() - began < 7.0
    assert [connection.is_closed for connection in vendor.connections] == [True, False]
    await stream.aclose()


# -- words


def test_words_are_made_to_say_what_the_text_says():
    said = tuple(
        Word(word=word, start_time=at, end_time=at + 1, confidence=0.5) for at, word in enumerate(["twenty", "one"])
    )
    assert [word.word for word in fitted("Twenty one.", said)] == ["Twenty", "one."]
    (one,) = fitted("21", said)
    assert (one.word, one.start_time, one.end_time, one.confidence) == ("21", 0, 2, 0.5)
    assert fitted("21", ()) == ()
    inside = within(said, 0.5, 1.5)
    assert [(word.start_time, word.end_time) for word in inside] == [(0.5, 1.0), (1.0, 1.5)]
