"""Chains of models and voices: who is asked with what, who takes over where, and what all calls of a process know of a provider."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from voisnap_domain.agents import Llm, LlmProvider, Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.circuits import CircuitBreaker, Circuits
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.llm import LlmCapabilities, LlmRequest, LlmUsed, TextDelta
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord, TtsCapabilities
from voisnap_providers.resilience import Link, Policy, ResilientLlm, ResilientTts, words_in
from voisnap_providers.slots import AccountLimits

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

FIRST = Llm(provider=LlmProvider.OPENAI, model="first-model")
SECOND = Llm(provider=LlmProvider.ANTHROPIC, model="second-model", temperature=0.1)
REQUEST = LlmRequest(messages=(), settings=FIRST)
ALICE = Voice(provider=VoiceProvider.ELEVENLABS, voice_id="alice")
BOB = Voice(provider=VoiceProvider.AWS, voice_id="bob", speed=1.2)


def down(provider: str = "p", *, retryable: bool = True, retry_after: float | None = None) -> ProviderError:
    return ProviderError("down", provider=provider, kind="llm", retryable=retryable, retry_after=retry_after)


class Model:
    """Plays steps: words, a pause in seconds, an error; the same ones each time, or the next list each time."""

    capabilities = LlmCapabilities()

    def __init__(self, provider: str, *plays: list) -> None:
        self.provider = provider
        self.plays = list(plays)
        self.asked: list[LlmRequest] = []
        self.stopped = self.warmed = 0

    async def answer(self, request: LlmRequest) -> AsyncGenerator[TextDelta | LlmUsed]:
        self.asked.append(request)
        steps = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        ended = False
        try:
            for step in steps:
                match step:
                    case str():
                        yield TextDelta(text=step)
                    case LlmUsed():
                        yield step
                    case Exception():
                        raise step
                    case _:
                        await asyncio.sleep(step)
            ended = True
        finally:
            self.stopped += not ended

    async def warm(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None: ...


def chained(*links: Link, **options) -> ResilientLlm:
    return ResilientLlm(links, policy=Policy(**options), random=lambda: 1.0)


async def words(llm: ResilientLlm) -> list[str]:
    return [delta.text async for delta in llm.answer(REQUEST) if isinstance(delta, TextDelta)]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_each_model_is_asked_with_its_own_settings():
    first, second = Model("a", [down()]), Model("b", ["hi"])
    assert await words(chained(Link(first, FIRST), Link(second, SECOND))) == ["hi"]
    assert [first.asked[0].settings, second.asked[0].settings] == [FIRST, SECOND]


async def test_a_model_that_fails_is_left_at_once_where_another_waits():
    began = now()
    assert await words(chained(Link(Model("a", [down()])), Link(Model("b", ["hi"])))) == ["hi"]
    assert now() == began


async def test_all_of_a_chain_are_asked_once_more_after_a_pause():
    first, second = Model("a", [down()], ["back"]), Model("b", [down()])
    began = now()
    assert await words(chained(Link(first), Link(second), backoff=0.2, rest_seconds=0)) == ["back"]
    assert now() - began == pytest.approx(0.2)


async def test_what_cannot_be_repeated_is_not_asked_in_the_second_round():
    first, second = Model("a", [down(retryable=False)]), Model("b", [down()], ["back"])
    assert await words(chained(Link(first), Link(second), rest_seconds=0)) == ["back"]
    assert len(first.asked) == 1


async def test_a_model_that_is_silent_is_left_sooner_the_quicker_it_usually_is():
    circuit = CircuitBreaker()
    for _ in range(8):
        circuit.began("first-model", 0.3)
    began = now()
    llm = chained(Link(Model("a", [60.0]), FIRST, circuit=circuit), Link(Model("b", ["hi"])))
    assert await words(llm) == ["hi"]
    assert now() - began == pytest.approx(0.9)


async def test_a_slow_model_is_given_the_time_that_it_takes():
    circuit = CircuitBreaker()
    circuit.began("first-model", 3.5)
    llm = chained(
        Link(Model("a", [3.9, "thought about it"]), FIRST, circuit=circuit), Link(Model("b", ["hi"])), first_timeout=6.0
    )
    assert await words(llm) == ["thought about it"]


async def test_after_a_silence_the_same_call_does_not_wait_for_that_model_again():
    first, second = Model("a", [60.0]), Model("b", ["hi"])
    llm = chained(Link(first), Link(second))
    await words(llm)
    began = now()
    await words(llm)
    assert now() == began
    assert len(first.asked) == 1


async def test_an_empty_reply_is_none():
    first, second = Model("a", [LlmUsed(input_tokens=5, output_tokens=0)]), Model("b", ["hi"])
    assert await words(chained(Link(first), Link(second))) == ["hi"]


async def test_what_one_call_learns_spares_the_next_one():
    circuits = Circuits(failures=2)
    first = Model("a", [down()])

    def call() -> ResilientLlm:
        return chained(
            Link(first, circuit=circuits.of("llm", "a", "platform")),
            Link(Model("b", ["hi"]), circuit=circuits.of("llm", "b", "platform")),
        )

    for _ in range(5):
        assert await words(call()) == ["hi"]
    assert len(first.asked) == 2
    other = Model("a", ["mine"])
    assert await words(chained(Link(other, circuit=circuits.of("llm", "a", "cred_1.2")))) == ["mine"]
    await asyncio.sleep(15)
    first.plays = [["back"]]
    assert await words(call()) == ["back"]


async def test_a_refused_key_closes_its_account_at_once():
    circuits = Circuits()
    first = Model("a", [ProviderAuthError("no", provider="a", kind="llm")])
    for _ in range(3):
        link = Link(first, circuit=circuits.of("llm", "a", "platform"))
        assert await words(chained(link, Link(Model("b", ["hi"])))) == ["hi"]
    assert len(first.asked) == 1


async def test_a_model_that_an_account_may_not_use_closes_it_for_nobody_else_as_long_as_it_works_for_others():
    circuits = Circuits()
    refused, works = Model("a", [ProviderAuthError("no", provider="a", kind="llm")]), Model("a", ["mine"])

    def link(model: Model) -> Link:
        return Link(model, circuit=circuits.of("llm", "a", "platform"))

    assert await words(chained(link(works))) == ["mine"]
    foul = chained(link(refused), Link(Model("b", ["hi"])))
    for _ in range(3):
        assert await words(foul) == ["hi"]
    assert len(refused.asked) == 1, "in this call it is not asked again"
    assert await words(chained(link(works))) == ["mine"]
    await asyncio.sleep(60)
    assert await words(foul) == ["hi"]
    with pytest.raises(ProviderError, match="not called"):
        await words(chained(link(works)))


async def test_a_wrong_model_name_of_one_agent_is_no_fault_of_the_provider():
    circuit = CircuitBreaker(failures=1)
    for _ in range(9):
        await words(chained(Link(Model("a", [down(retryable=False)]), circuit=circuit), Link(Model("b", ["hi"]))))
    assert circuit.allows()
    assert circuit.health == 1.0


async def test_a_provider_that_asks_to_be_left_alone_is_for_as_long_as_it_said():
    circuit = CircuitBreaker()
    first = Model("a", [down(retry_after=7.0)], ["back"])

    def call() -> ResilientLlm:
        return chained(Link(first, circuit=circuit), Link(Model("b", ["hi"])))

    assert await words(call()) == ["hi"]
    await asyncio.sleep(6.9)
    assert await words(call()) == ["hi"]
    assert len(first.asked) == 1
    await asyncio.sleep(0.2)
    assert await words(call()) == ["back"]


async def test_of_the_others_the_healthiest_is_first_and_the_platform_s_own_last():
    ill, well, platform = CircuitBreaker(), CircuitBreaker(), CircuitBreaker()
    for _ in range(3):
        ill.failed()
    chain = chained(
        Link(Model("a", [down()])),
        Link(Model("ill", ["ill"]), circuit=ill),
        Link(Model("platform", ["platform"]), circuit=platform, is_last_resort=True),
        Link(Model("well", ["well"]), circuit=well),
    )
    assert await words(chain) == ["well"]


async def test_a_hedged_request_is_won_by_whoever_begins_and_the_other_is_stopped():
    first, second = Model("a", [2.0, "late"]), Model("b", [0.1, "quick", "er"])
    began = now()
    assert await words(chained(Link(first, FIRST), Link(second, SECOND), hedge_after=0.5)) == ["quick", "er"]
    assert now() - began == pytest.approx(0.6)
    assert first.stopped == 1
    assert second.asked[0].settings == SECOND


async def test_a_hedged_request_costs_nothing_while_the_first_is_quick():
    first, second = Model("a", [0.2, "in", "time"]), Model("b", ["never"])
    assert await words(chained(Link(first), Link(second), hedge_after=0.5)) == ["in", "time"]
    assert second.asked == []


async def test_a_hedged_request_alone_is_asked_twice_and_survives_the_failure_of_one():
    model = Model("a", [1.0, down()], [0.9, "second"])
    assert await words(chained(Link(model), hedge_after=0.5, attempts=1)) == ["second"]


async def test_a_caller_who_interrupts_stops_both_sides_of_a_hedged_request():
    first, second = Model("a", [9.0, "x"]), Model("b", [9.0, "y"])
    asking = asyncio.create_task(words(chained(Link(first), Link(second), hedge_after=0.5, switch_timeout=30)))
    await asyncio.sleep(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (first.stopped, second.stopped) == (1, 1)


async def test_connections_of_the_first_two_are_opened_beforehand():
    models = [Model(name, ["x"]) for name in "abc"]
    await chained(*map(Link, models)).warm()
    assert [model.warmed for model in models] == [1, 1, 0]


async def test_a_full_account_is_passed_over_and_no_fault():
    class Slots:
        taken: list[str]

        def __init__(self) -> None:
            self.taken, self.released = [], 0

        async def take(self, kind, account, limits, *, patience):
            self.taken.append(account)
            await asyncio.sleep(patience)
            return self if account == "free" else None

        async def release(self):
            self.released += 1

    slots, circuit = Slots(), CircuitBreaker(failures=1)
    limits = AccountLimits(concurrent=1)
    links = (
        Link(Model("a", ["never"]), account="full", limits=limits, circuit=circuit),
        Link(Model("b", ["hi"]), account="free", limits=limits),
    )
    began = now()
    assert await words(ResilientLlm(links, random=lambda: 1.0, slots=slots)) == ["hi"]
    assert (slots.taken, slots.released) == (["full", "free"], 1)
    assert circuit.allows()
    assert now() - began < 1.0


# --- voices


class Speaker:
    """Speaks a word every 200 ms of sound, one chunk a word, and breaks after so many words."""

    def __init__(
        self, provider: str, *, breaks_after: int | None = None, mute: bool = False, rate: int = 24000
    ) -> None:
        self.provider = provider
        self.capabilities = TtsCapabilities(sample_rate=rate)
        self.breaks_after = breaks_after
        self.mute = mute
        self.asked: list[tuple[str, str]] = []

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        self.asked.append((text, voice.voice_id))
        if self.mute:
            return
        rate = self.capabilities.sample_rate
        for number, word in enumerate(text.split()):
            if number == self.breaks_after:
                raise ProviderError("cut", provider=self.provider, kind="tts", retryable=True)
            audio = Pcm(np.full(rate // 5, 900, np.int16), rate)
            yield SpeechChunk(audio=audio, text=word, words=(SpokenWord(word=word, start=0.0, end=0.2),))

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


async def said(tts: ResilientTts, text: str) -> str:
    return " ".join([chunk.text async for chunk in tts.speak(text, ALICE)])


async def test_a_voice_that_breaks_in_mid_sentence_is_followed_from_the_word_it_got_to():
    first, second = Speaker("a", breaks_after=3), Speaker("b", rate=16000)
    tts = ResilientTts((Link(first, ALICE), Link(second, BOB)), random=lambda: 1.0)
    assert await said(tts, "one two three four five.") == "one two three four five."
    assert second.asked == [("four five.", "bob")]


async def test_the_voice_that_took_over_stays():
    first, second, third = Speaker("a", mute=True), Speaker("b"), Speaker("c")
    links = (Link(first, ALICE), Link(second, BOB), Link(third, BOB))
    tts = ResilientTts(links, random=lambda: 1.0)
    assert await said(tts, "Hello there.") == "Hello there."
    first.mute = False
    links[1].circuit.health = 0.2
    assert await said(tts, "And on.") == "And on."
    assert [len(voice.asked) for voice in (first, second, third)] == [1, 2, 0]


async def test_success_without_sound_is_a_failure_unless_there_is_nothing_to_say():
    first, second = Speaker("a", mute=True), Speaker("b")
    tts = ResilientTts((Link(first), Link(second)), random=lambda: 1.0)
    assert await said(tts, "…") == ""
    assert second.asked == []
    assert await said(tts, "Sound, please.") == "Sound, please."


async def test_all_voices_failing_is_an_error_after_what_was_spoken():
    tts = ResilientTts(
        (Link(Speaker("a", breaks_after=1)), Link(Speaker("b", breaks_after=0))),
        policy=Policy(attempts=1),
        random=lambda: 1.0,
    )
    heard = []
    with pytest.raises(ProviderError, match="cut"):
        async for chunk in tts.speak("one two", ALICE):
            heard.append(chunk.text)
    assert heard == ["one"]


def test_a_word_that_goes_on_after_its_audio_is_not_counted():
    audio = Pcm(np.zeros(2400, np.int16), 24000)
    words = (SpokenWord(word="whole", start=0.0, end=0.09), SpokenWord(word="half", start=0.09, end=0.2))
    assert words_in(SpeechChunk(audio=audio, text="whole half", words=words)) == 1
