"""Usage is counted where it flows."""

import pytest
from voisnap_domain.agents import Llm, LlmProvider, Voice, VoiceProvider
from voisnap_domain.costs import LlmUsage, SttUsage, TtsUsage, Usage
from voisnap_media.pcm import Pcm
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LlmRequest, Message, Role
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
    assert meter.usage == Usage(
        llm=LlmUsage(provider="scripted", model="demo", input_tokens=6, output_tokens=4),
        tts=TtsUsage(provider="fake", characters=12),
        stt=SttUsage(provider="fake", model="tiny", audio_seconds=1.5),
    )


async def test_a_reply_that_was_cut_short_is_estimated():
    meter = CallMeter()
    reply = meter.llm(ScriptedLlm({"demo": "otherwise -> four five six"})).answer(REQUEST)
    await anext(reply)
    await reply.aclose()
    assert meter.usage.llm == LlmUsage(provider="scripted", model="demo", input_tokens=4, output_tokens=1)


async def test_speech_interrupted_after_its_start_counts_whole_and_unspoken_speech_not_at_all():
    meter = CallMeter()
    speech = meter.tts(FakeTts()).speak("Hello there. And more.", VOICE)
    await anext(speech)
    await speech.aclose()
    _ = [chunk async for chunk in meter.tts(FakeTts()).speak("...", VOICE)]
    assert meter.usage.tts == TtsUsage(provider="fake", characters=22)
    assert meter.usage.stt is None
