"""Usage is counted where it flows."""

import asyncio

import msgspec
import pytest
from voisnap_domain.agents import Llm, LlmProvider, Voice, VoiceProvider
from voisnap_domain.costs import LlmUsage, SttUsage, TtsUsage, Usage
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LlmRequest, LlmUsed, Message, Role, TextDelta
from voisnap_testkit.fakes_speech import FakeStt, FakeTts, ScriptedLlm, listening

pytestmark = pytest.mark.unit

VOICE = Voice(provider=VoiceProvider.LOCAL, voice_id="x")
REQUEST = LlmRequest(
    messages=(Message(role=Role.USER, content="one two three"),),
    settings=Llm(provider=LlmProvider.SCRIPTED, model="demo"),
)


async def test_a_call_adds_up_what_it_used():
    meter = CallMeter()
    llm = meter.llm(ScriptedLlm({"demo": "otherwise -> four five"}))
    for _ in range(2):
        _ = [delta async for delta in llm.answer(REQUEST)]
    _ = [chunk async for chunk in meter.tts(FakeTts()).speak("Hello there.", VOICE)]
    stream = meter.stt(FakeStt(["x"])).open(listening(language="en", model="tiny"))
    stream.push(Pcm.silence(16000, 1500))
    await stream.aclose()
    usage = meter.usage
    assert msgspec.structs.replace(usage, legs=()) == Usage(
        llm=LlmUsage(provider="scripted", model="demo", input_tokens=6, output_tokens=4),
        tts=TtsUsage(provider="fake", characters=12),
        stt=SttUsage(provider="fake", model="tiny", audio_seconds=1.5),
    )
    assert [(leg.kind, leg.requests, leg.voice, leg.estimated) for leg in usage.legs] == [
        ("llm", 2, None, False),
        ("tts", 1, "x", False),
        ("stt", 1, None, False),
    ]


async def test_every_model_voice_and_account_has_a_leg_of_its_own():
    meter = CallMeter()
    script = ScriptedLlm({"demo": "otherwise -> four five", "other": "otherwise -> six"})
    other = msgspec.structs.replace(REQUEST, settings=msgspec.structs.replace(REQUEST.settings, model="other"))
    for llm, request in (
        (meter.llm(script), REQUEST),
        (meter.llm(script, account="pcr_1.2"), REQUEST),
        (meter.llm(script), other),
    ):
        _ = [delta async for delta in llm.answer(request)]
    assert [(leg.model, leg.account, leg.output_tokens) for leg in meter.usage.legs] == [
        ("demo", "platform", 2),
        ("demo", "pcr_1.2", 2),
        ("other", "platform", 1),
    ]
    assert meter.usage.llm == LlmUsage(provider="scripted", model="demo", input_tokens=9, output_tokens=5)


async def test_a_voice_is_paid_for_by_the_model_that_speaks_it():
    meter, voice = CallMeter(), FakeTts()
    voice.model = "eleven_flash_v2_5"
    _ = [chunk async for chunk in meter.tts(voice).speak("Hello there.", VOICE)]
    assert [(leg.model, leg.voice, leg.characters) for leg in meter.usage.legs] == [("eleven_flash_v2_5", "x", 12)]


async def test_the_cached_part_of_the_input_and_the_open_time_of_streams_are_counted():
    now = 100.0
    meter = CallMeter(clock=lambda: now)
    meter.add_llm("openai", "gpt-4o", LlmUsed(input_tokens=1000, output_tokens=10, cached_tokens=896))
    first = meter.stt(FakeStt(["x"])).open(listening(language="en", model="tiny"))
    now = 130.0
    second = meter.stt(FakeStt(["x"])).open(listening(language="en", model="tiny"))
    now = 140.0
    assert meter.usage.legs[1].session_seconds == 50, "40 and 10 of those that are open"
    await first.aclose()
    await first.aclose()
    now = 150.0
    await second.aclose()
    now = 999.0
    llm, stt = meter.usage.legs
    assert (llm.input_tokens, llm.cached_tokens, llm.output_tokens) == (1000, 896, 10)
    assert (stt.session_seconds, stt.requests) == (60, 2)


class Failing(ScriptedLlm):
    """Says `words`, then fails."""

    words = 0

    async def answer(self, request):
        for _ in range(self.words):
            yield TextDelta(text="four ")
        raise ProviderError("away", provider="scripted", kind="llm", retryable=True)


@pytest.mark.parametrize(("words", "requests"), [(0, 0), (3, 1)])
async def test_a_reply_that_failed_counts_only_when_it_had_begun(words, requests):
    meter = CallMeter()
    model = Failing({})
    model.words = words
    with pytest.raises(ProviderError):
        _ = [delta async for delta in meter.llm(model).answer(REQUEST)]
    assert sum(leg.requests for leg in meter.usage.legs) == requests


class Mute:
    """A model and a voice that never begin."""

    provider = "fake"
    capabilities = None

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def answer(self, request):
        self.asked.set()
        await asyncio.Event().wait()
        yield TextDelta(text="never")

    async def speak(self, text, voice):
        self.asked.set()
        await asyncio.Event().wait()
        yield None


async def test_what_was_asked_for_and_dropped_before_it_began_is_estimated():
    meter, mute = CallMeter(), Mute()
    for stream in (meter.llm(mute).answer(REQUEST), meter.tts(mute).speak("Hello.", VOICE)):
        mute.asked.clear()
        waiting = asyncio.ensure_future(anext(stream))
        await mute.asked.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    llm, tts = meter.usage.legs
    assert (llm.input_tokens, llm.output_tokens, llm.estimated) == (4, 0, True)
    assert (tts.characters, tts.estimated) == (6, True)


async def test_a_reply_that_was_cut_short_is_estimated():
    meter = CallMeter()
    reply = meter.llm(ScriptedLlm({"demo": "otherwise -> four five six"})).answer(REQUEST)
    await anext(reply)
    await reply.aclose()
    assert meter.usage.llm == LlmUsage(provider="scripted", model="demo", input_tokens=4, output_tokens=1)
    assert meter.usage.legs[0].estimated


async def test_speech_interrupted_after_its_start_counts_whole_and_unspoken_speech_not_at_all():
    meter = CallMeter()
    speech = meter.tts(FakeTts()).speak("Hello there. And more.", VOICE)
    await anext(speech)
    await speech.aclose()
    _ = [chunk async for chunk in meter.tts(FakeTts()).speak("...", VOICE)]
    assert meter.usage.tts == TtsUsage(provider="fake", characters=22)
    assert meter.usage.stt is None
