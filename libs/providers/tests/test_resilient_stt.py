"""A recogniser that fails in the middle: the next one hears what is owed, and the caller notices nothing but another voice in the log."""

import asyncio

import pytest
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.stt import SttCapabilities, Transcript
from voisnap_providers.resilience import Link, Policy
from voisnap_providers.resilient_stt import REPLAY_SECONDS, ResilientStt
from voisnap_providers.slots import AccountLimits
from voisnap_testkit.fakes_speech import FakeStt, FakeSttStream, listening, spoken

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

GERMAN = Transcription(provider=TranscriptionProvider.DEEPGRAM, language="de-DE", model="nova-3")


class Breaking(FakeStt):
    """A recogniser whose streams break when told to, or never give final words."""

    def __init__(self, error: ProviderError | None = None, *, mute: bool = False, **options) -> None:
        super().__init__(**options)
        self.broken = asyncio.Event()
        self.failure = error or ProviderError("cut", provider="breaking", kind="stt", retryable=True)
        self.mute = mute
        self.opened: list[Transcription] = []

    def open(self, settings, *, keyterms=()):
        self.opened.append(settings)
        stream = BreakingStream(self, settings.language)
        self.streams.append(stream)
        return stream


class BreakingStream(FakeSttStream):
    async def _iterate(self):
        results = super()._iterate()
        while True:
            result = asyncio.ensure_future(anext(results, None))
            broken = asyncio.ensure_future(self._owner.broken.wait())
            await asyncio.wait({result, broken}, return_when=asyncio.FIRST_COMPLETED)
            broken.cancel()
            if not result.done():
                result.cancel()
                raise self._owner.failure
            transcript = result.result()
            if transcript is None:
                return
            if not (self._owner.mute and transcript.is_final):
                yield transcript


class Caller:
    """Speaks into a chain and notes what is recognised."""

    def __init__(self, *links, policy: Policy | None = None, slots=None) -> None:
        self.stt = ResilientStt(links, policy=policy, random=lambda: 0.5, slots=slots)
        self.stream = self.stt.open(listening(language="en"))
        self.got: list[Transcript] = []
        self.finals: asyncio.Queue[Transcript] = asyncio.Queue()
        self.error: ProviderError | None = None
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for transcript in self.stream:
                self.got.append(transcript)
                if transcript.is_final:
                    self.finals.put_nowait(transcript)
        except ProviderError as error:
            self.error = error

    def says(self, text: str) -> None:
        for frame in _frames(spoken(text)):
            self.stream.push(frame)

    def silence(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.stream.push(Pcm.silence(16000, 20))

    async def final(self) -> Transcript:
        async with asyncio.timeout(30):
            return await self.finals.get()

    async def leave(self) -> None:
        await self.stream.aclose()
        await self.reader


def _frames(audio: Pcm) -> list[Pcm]:
    """The sound in pieces of 200 ms; the first holds the hidden text whole."""
    return [audio.slice(at, at + 200) for at in range(0, round(audio.duration_ms), 200)]


async def test_a_stream_that_dies_in_mid_utterance_loses_no_word_and_doubles_none():
    first, second = Breaking(), FakeStt()
    caller = Caller(Link(first), Link(second))
    caller.says("hello there")
    caller.stream.flush()
    assert (await caller.final()).text == "hello there"
    caller.says("I want to")
    await asyncio.sleep(0.1)
    first.broken.set()
    await asyncio.sleep(0.1)
    caller.says("book a table")
    caller.stream.flush()
    final = await caller.final()
    assert (final.text, final.utterance) == ("I want to book a table", 1)
    assert [one.text for one in caller.got if one.is_final] == ["hello there", "I want to book a table"]
    before = spoken("hello there").seconds
    assert final.words[0].start_time == pytest.approx(before, abs=0.02)
    assert final.words[-1].end_time == pytest.approx(
        before + spoken("I want to").seconds + spoken("book a table").seconds, abs=0.02
    )
    await caller.leave()
    assert first.streams[0].is_closed
    assert caller.error is None


async def test_a_final_that_was_asked_for_is_given_by_the_next_one_once():
    first, second = Breaking(delay_ms=5000), FakeStt()
    caller = Caller(Link(first), Link(second))
    caller.says("one")
    caller.stream.flush()
    caller.says("two")
    caller.stream.flush()
    caller.says("three")
    await asyncio.sleep(0)
    first.broken.set()
    assert [((await caller.final()).text) for _ in range(2)] == ["one", "two"]
    caller.stream.flush()
    final = await caller.final()
    assert (final.text, final.utterance) == ("three", 2)
    await caller.leave()


async def test_what_is_said_before_the_last_final_has_come_is_not_lost_with_it():
    first, second = Breaking(delay_ms=1000), FakeStt()
    caller = Caller(Link(first), Link(second))
    caller.says("one")
    caller.stream.flush()
    caller.says("two")
    assert (await caller.final()).text == "one"
    first.broken.set()
    await asyncio.sleep(0.1)
    caller.stream.flush()
    assert (await caller.final()).text == "two"
    await caller.leave()


@pytest.mark.parametrize(("is_last_resort", "seconds"), [(False, 2.0), (True, 4.0)])
async def test_a_recogniser_that_gives_no_final_words_is_left_in_time_where_another_waits(is_last_resort, seconds):
    other = Link(FakeStt(), is_last_resort=is_last_resort)
    caller = Caller(Link(Breaking(mute=True)), other, policy=Policy(first_timeout=2.0))
    caller.says("anybody")
    began = asyncio.get_running_loop().time()
    caller.stream.flush()
    assert (await caller.final()).text == "anybody"
    assert asyncio.get_running_loop().time() - began == pytest.approx(seconds, abs=0.01)
    caller.says("and on")
    caller.stream.flush()
    assert (await caller.final()).text == "and on"
    await caller.leave()


async def test_the_only_recogniser_is_given_all_the_time_the_turn_has():
    caller = Caller(Link(FakeStt(delay_ms=9000)), policy=Policy(first_timeout=2.0))
    caller.says("slow")
    caller.stream.flush()
    assert (await caller.final()).text == "slow"
    await caller.leave()


async def test_what_was_forgotten_stays_forgotten_and_long_silence_is_not_heard_again():
    first, second = Breaking(), FakeStt()
    caller = Caller(Link(first), Link(second))
    caller.says("a noise")
    caller.stream.reset()
    caller.silence(10)
    caller.says("real words")
    await asyncio.sleep(0.1)
    first.broken.set()
    await asyncio.sleep(0.1)
    caller.stream.flush()
    final = await caller.final()
    assert final.text == "real words"
    assert second.streams[0].heard_seconds < spoken("real words").seconds + 1.0
    begins = spoken("a noise").seconds + 10
    assert final.words[-1].end_time == pytest.approx(begins + spoken("real words").seconds, abs=0.05)
    await caller.leave()


async def test_each_recogniser_is_asked_in_its_own_settings_and_the_one_with_other_needs_is_told():
    first, second = Breaking(), Breaking()
    second.capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=True)
    caller = Caller(Link(first), Link(second, GERMAN))
    told: list[bool] = []
    caller.stream.adapted = lambda capabilities: told.append(capabilities.continuous)
    await asyncio.sleep(0)
    first.broken.set()
    await asyncio.sleep(0.1)
    assert [settings.language for settings in first.opened + second.opened] == ["en", "de-DE"]
    assert told == [True]
    await caller.leave()


async def test_when_all_fail_the_stream_ends_with_an_error_that_may_pass():
    refused = ProviderAuthError("no", provider="b", kind="stt")
    first, second = Breaking(), Breaking(refused)
    first.broken.set()
    second.broken.set()
    caller = Caller(Link(first), Link(second))
    await caller.reader
    assert caller.error is not None
    assert caller.error.retryable


async def test_audio_is_kept_for_half_a_minute_and_no_longer():
    first, second = Breaking(), FakeStt()
    caller = Caller(Link(first), Link(second))
    caller.says("x" * 900)
    assert caller.stream.dropped_seconds == pytest.approx(54 - REPLAY_SECONDS, abs=0.3)
    await asyncio.sleep(0)
    first.broken.set()
    await asyncio.sleep(0.1)
    assert second.streams[0].heard_seconds == pytest.approx(REPLAY_SECONDS, abs=0.3)
    await caller.leave()


async def test_a_full_account_leaves_the_call_to_the_next_recogniser():
    class Full:
        released = 0

        async def take(self, kind, account, limits, *, patience):
            await asyncio.sleep(patience)
            return None if account == "full" else self

        async def release(self):
            self.released += 1

    slots = Full()
    first, second = FakeStt(), FakeStt()
    limits = AccountLimits(concurrent=1)
    caller = Caller(
        Link(first, account="full", limits=limits), Link(second, account="free", limits=limits), slots=slots
    )
    caller.says("before anybody listens")
    caller.stream.flush()
    assert (await caller.final()).text == "before anybody listens"
    assert not first.streams
    await caller.leave()
    assert slots.released == 1
