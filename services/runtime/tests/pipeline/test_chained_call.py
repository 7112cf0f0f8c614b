"""A call whose providers fail while others wait: the caller is answered in the same turn, and nobody is told of a fault."""

from collections.abc import AsyncGenerator

import msgspec
import pytest
from voisnap_domain.agents import Voice
from voisnap_domain.conversations import Speaker
from voisnap_providers.errors import ProviderError
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.stt import SttCapabilities, Transcript
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_providers.resilience import Link, ResilientLlm, ResilientTts
from voisnap_providers.resilient_stt import ResilientStt
from voisnap_runtime.pipeline.events import Fault
from voisnap_testkit.fakes_speech import FakeStt, FakeSttStream, FakeTts, ScriptedLlm

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
HOURS = "We are open from nine to five."


class Breaking(FakeStt):
    """A recogniser whose connection breaks instead of its first final."""

    def open(self, settings, *, keyterms=()):
        stream = BreakingStream(self, settings.language)
        self.streams.append(stream)
        return stream


class BreakingStream(FakeSttStream):
    async def _iterate(self) -> AsyncGenerator[Transcript]:
        async for transcript in super()._iterate():
            if transcript.is_final:
                raise ProviderError("gone", provider="breaking", kind="stt", retryable=True)
            yield transcript


class Failing(ScriptedLlm):
    async def answer(self, request):
        raise ProviderError("down", provider="failing", kind="llm", retryable=True)
        yield


class Half(FakeTts):
    """A voice that speaks three words of a sentence, at 16 kHz, and breaks."""

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        async for chunk in super().speak(text, voice):
            words = chunk.words[:3]
            audio = chunk.audio.slice(0, words[-1].end * 1000)
            yield msgspec.structs.replace(chunk, audio=audio, words=words, text=" ".join(word.word for word in words))
            raise ProviderError("cut", provider="half", kind="tts", retryable=True)


def recognisers(*chain) -> ResilientStt:
    return ResilientStt(tuple(map(Link, chain)), random=lambda: 0.5)


async def test_a_recogniser_that_wants_all_audio_goes_on_for_one_that_wanted_speech_alone(lines):
    first, second = Breaking(delay_ms=30), FakeStt(delay_ms=30)
    second.capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=True)
    line = await lines(stt=recognisers(first, second), meter=CallMeter())
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, HOURS)]
    began = line.now
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.spoken_turns[2:] == [(USER, "what are your hours"), (AGENT, HOURS)]
    assert not line.of(Fault)
    assert (len(first.streams), len(second.streams)) == (1, 1)
    heard_before = sum(turn.end_time - turn.start_time for turn in line.turns if turn.speaker is USER)
    assert second.streams[0].heard_seconds > heard_before + 1.0  # silence too, from then on
    silence = 0.7  # which it hears as well, and spreads its words over
    assert line.turns[2].end_time == pytest.approx(began + 19 * 0.06 + silence, abs=0.2)


async def test_a_recogniser_that_wants_speech_alone_goes_on_for_one_that_wanted_all_audio(lines):
    first, second = Breaking(delay_ms=30), FakeStt(delay_ms=30)
    first.capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=True)
    line = await lines(stt=recognisers(first, second), meter=CallMeter())
    await line.wait(8.0)
    for turns in (2, 4):
        line.says("what are your hours")
        await line.until_turns(turns)
    assert [text for speaker, text in line.spoken_turns if speaker is USER] == ["what are your hours"] * 2
    assert second.streams[0].heard_seconds < 6.0
    assert not line.of(Fault)


async def test_the_next_model_answers_in_the_same_turn(lines):
    llm = ResilientLlm((Link(Failing()), Link(ScriptedLlm())), random=lambda: 0.5)
    line = await lines(llm=llm, meter=CallMeter())
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns[1] == (AGENT, HOURS)
    assert not line.of(Fault)
    assert line.turns[1].latency.llm_ms < 100


async def test_the_next_voice_goes_on_within_the_sentence_at_its_own_rate(lines):
    half, whole = Half(sample_rate=16000), FakeTts(sample_rate=8000)
    line = await lines(tts=ResilientTts((Link(half), Link(whole)), random=lambda: 0.5), meter=CallMeter())
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns[1] == (AGENT, HOURS)
    assert whole.spoken == ["from nine to five."]
    assert line.turns[1].end_time - line.turns[1].start_time == pytest.approx(len(HOURS) * 0.06, abs=0.15)
    assert not line.of(Fault)
