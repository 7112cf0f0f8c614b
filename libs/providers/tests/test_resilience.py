"""Chains of providers: what is repeated, what falls back, what goes on as an error."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from voisnap_domain.agents import Llm, LlmProvider, Voice, VoiceProvider
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import LlmCapabilities, LlmRequest, TextDelta
from voisnap_providers.resilience import CircuitBreaker, Link, Policy, ResilientEmbedder, ResilientLlm, ResilientTts
from voisnap_providers.resilient_stt import ResilientStt
from voisnap_testkit.fakes_speech import FakeStt, FakeTts, listening

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

REQUEST = LlmRequest(messages=(), settings=Llm(provider=LlmProvider.LOCAL, model="x"))
VOICE = Voice(provider=VoiceProvider.LOCAL, voice_id="x")


def failure(*, retryable: bool = True) -> ProviderError:
    return ProviderError("down", provider="p", kind="llm", retryable=retryable)


class Model:
    """Plays one behaviour a call: words, an error, a pause in seconds."""

    capabilities = LlmCapabilities()

    def __init__(self, *behaviours: list, provider: str = "p") -> None:
        self.provider = provider
        self.behaviours = list(behaviours)
        self.calls = self.closed = 0

    async def answer(self, request: LlmRequest) -> AsyncGenerator[TextDelta]:
        self.calls += 1
        behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        try:
            for step in behaviour:
                match step:
                    case str():
                        yield TextDelta(text=step)
                    case Exception():
                        raise step
                    case _:
                        await asyncio.sleep(step)
        finally:
            self.closed += 1

    async def aclose(self) -> None: ...


def chain(*models: Model, **options) -> ResilientLlm:
    return ResilientLlm(tuple(map(Link, models)), policy=Policy(**options), random=lambda: 1.0)


async def words(llm: ResilientLlm) -> list[str]:
    return [delta.text async for delta in llm.answer(REQUEST)]


async def test_a_failed_call_is_repeated_after_a_pause():
    model = Model([failure()], ["hi"])
    began = asyncio.get_running_loop().time()
    assert await words(chain(model, backoff=0.2)) == ["hi"]
    assert model.calls == 2
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.2)


async def test_what_cannot_be_repeated_goes_to_the_next_provider_at_once():
    first, second = Model([failure(retryable=False)]), Model(["from second"])
    assert await words(chain(first, second)) == ["from second"]
    assert first.calls == 1


async def test_after_the_first_word_there_is_no_second_try():
    first, second = Model(["half", failure()]), Model(["other"])
    heard = []
    with pytest.raises(ProviderError, match="down"):
        async for delta in chain(first, second).answer(REQUEST):
            heard.append(delta.text)
    assert heard == ["half"]
    assert second.calls == 0


async def test_a_silent_provider_is_left_for_the_next_one_in_time():
    silent, second = Model([60.0, "late"]), Model(["quick"])
    began = asyncio.get_running_loop().time()
    assert await words(chain(silent, second, first_timeout=1.0, attempts=1)) == ["quick"]
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)
    assert silent.closed == 1


async def test_a_pause_in_the_middle_of_an_answer_ends_it():
    with pytest.raises(ProviderTimeout):
        await words(chain(Model(["a", 30.0, "b"]), gap_timeout=2.0))


async def test_all_failing_gives_the_last_error_and_total_time_is_bounded():
    model = Model([40.0])
    began = asyncio.get_running_loop().time()
    with pytest.raises(ProviderTimeout):
        await words(chain(model, first_timeout=50.0, total_timeout=10.0, attempts=9))
    assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)
    assert model.calls == 1


async def test_closing_the_answer_closes_the_provider_s():
    model = Model(["a", "b", "c"])
    answer = chain(model).answer(REQUEST)
    assert (await anext(answer)).text == "a"
    await answer.aclose()
    assert model.closed == 1


async def test_a_provider_that_keeps_failing_is_left_alone_and_tried_again_later():
    first, second = Model([failure(retryable=False)]), Model(["second"])
    llm = chain(first, second)
    for _ in range(8):
        await words(llm)
    assert first.calls == 5
    await asyncio.sleep(20)
    first.behaviours = [["first is back"]]
    assert await words(llm) == ["first is back"]
    assert await words(llm) == ["first is back"]


def test_a_breaker_lets_one_probe_through_at_a_time():
    now = 0.0
    breaker = CircuitBreaker(failures=2, rest_seconds=10, clock=lambda: now)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    now = 11.0
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()


async def test_voices_and_recognisers_fall_back_too():
    down = ProviderError("no voice", provider="a", kind="tts", retryable=False)
    tts = ResilientTts((Link(FakeTts(error=down)), Link(FakeTts())), random=lambda: 0.5)
    assert [chunk.text async for chunk in tts.speak("Hello. Bye.", VOICE)] == ["Hello.", "Bye."]

    class Deaf(FakeStt):
        def open(self, *_, **__):
            raise ProviderError("deaf", provider="a", kind="stt", retryable=False)

    working = FakeStt(["hi"])
    ResilientStt((Link(Deaf()), Link(working)), random=lambda: 0.5).open(listening(language="en"))
    assert len(working.streams) == 1


async def test_embedding_is_repeated_by_the_same_model():
    class Flaky:
        provider, model, dimensions = "p", "m", 2
        calls = 0

        async def embed(self, texts):
            self.calls += 1
            if self.calls == 1:
                raise failure()
            return np.ones((len(texts), 2), np.float32)

        async def aclose(self): ...

    vectors = await ResilientEmbedder(Flaky(), random=lambda: 0.0).embed(("a", "b"))
    assert vectors.shape == (2, 2)
