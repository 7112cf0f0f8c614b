"""Azure's voices, against the emulator that reads their SSML."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import azure.cognitiveservices.speech as speechsdk
import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_providers.vendors.azure import tts as azure
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.emulated_faults import CutAfter, Fault, NoSound, Refused, SlowStart
from voisnap_testkit.emulated_voice import LocalVoice

pytestmark = pytest.mark.conformance

TEXT = 'Fish & chips for <two>? It\'s "nice".'


@pytest.fixture
async def emulator() -> AsyncIterator[AzureEmulator]:
    async with AzureEmulator() as running:
        yield running


@pytest.fixture
async def tts(emulator: AzureEmulator) -> AsyncIterator[azure.AzureTts]:
    made = azure.make(Account(id="platform", provider="azure", secrets=emulator.secrets, options=emulator.options))
    yield made
    await made.aclose()


def voice(voice_id: str = "en-US-JennyNeural", **changes) -> Voice:
    return Voice(provider=VoiceProvider.AZURE, voice_id=voice_id, **changes)


async def spoken(tts: azure.AzureTts, text: str, by: Voice) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.speak(text, by)]


async def test_text_arrives_unharmed_with_voice_language_speed_and_style(emulator, tts):
    await tts.warm()
    chunks = await spoken(tts, TEXT, voice("en-GB-SoniaNeural#cheerful", speed=1.2, style=0.6))
    assert " ".join(chunk.text for chunk in chunks) == TEXT
    (request,) = emulator.voice.requests
    assert (request.text, request.voice, request.language) == (TEXT, "en-GB-SoniaNeural", "en-GB")
    assert (request.speed, request.style, request.style_degree) == (1.2, "cheerful", 1.2)
    assert request.headers["x-microsoft-outputformat"] == "raw-24khz-16bit-mono-pcm"


async def test_signs_that_no_document_may_hold_are_left_out(emulator, tts):
    assert await spoken(tts, "One \x00two \x1b three\ufffe.", voice())
    assert emulator.voice.requests[0].text.split() == ["One", "two", "three", "."]


async def test_a_voice_with_a_colon_in_its_name_speaks(emulator, tts):
    await spoken(tts, "Hello.", voice("en-US-Ava:DragonHDLatestNeural"))
    assert emulator.voice.requests[0].voice == "en-US-Ava:DragonHDLatestNeural"


@pytest.mark.parametrize(
    ("wanted", "used"), [("de-DE-KatjaNeural#cheerful", "de-DE-KatjaNeural"), ("heart", "en-US-JennyNeural")]
)
async def test_an_unknown_style_or_voice_is_replaced_and_remembered(emulator, tts, wanted: str, used: str):
    for _ in range(2):
        assert await spoken(tts, "Hello.", voice(wanted))
    assert [(request.voice, request.style) for request in emulator.voice.requests] == [(used, None)] * 2


async def test_the_speed_stays_within_what_the_vendor_takes(emulator, tts):
    for speed in (0.25, 4.0):
        assert await spoken(tts, "Hello.", voice(speed=speed))
    assert [request.speed for request in emulator.voice.requests] == [0.5, 2.0]


@pytest.mark.parametrize(
    ("fault", "retryable", "wait"),
    [
        (Refused(429, retry_after=2), True, 2.0),
        (Refused(500), True, None),
        (Refused(503), True, None),
        (Refused(415), False, None),
        (NoSound(), True, None),
        (CutAfter(0.4), True, None),
    ],
)
async def test_faults_of_the_vendor_are_told_and_the_next_sentence_is_spoken(
    emulator, tts, fault: Fault, retryable: bool, wait: float | None
):
    emulator.plan(fault)
    with pytest.raises(ProviderError) as caught:
        await spoken(tts, "My secret is blue.", voice())
    error = caught.value
    assert (error.retryable, error.retry_after, error.provider, error.kind) == (retryable, wait, "azure", "tts")
    assert "secret" not in str(error)
    assert await spoken(tts, "Again.", voice())


async def test_a_refused_key_is_told_as_such(emulator):
    tts = azure.make(Account(id="x", provider="azure", secrets={"key": "other"}, options=emulator.options))
    with pytest.raises(ProviderAuthError):
        await spoken(tts, "Hello.", voice())
    await tts.aclose()


def test_without_a_region_nothing_is_set_up():
    with pytest.raises(ProviderUnconfigured, match="AZURE_SPEECH_REGION"):
        azure.make(Account(id="x", provider="azure", secrets={"key": "k"}))


async def test_an_interrupted_sentence_ends_at_the_vendor_too(emulator, tts):
    await tts.warm()
    emulator.asked.clear()
    emulator.plan(SlowStart(60))
    waiting = asyncio.ensure_future(spoken(tts, "A sentence nobody wants any more.", voice()))
    async with asyncio.timeout(5):
        await emulator.asked.wait()
        waiting.cancel()
        await emulator.hung_up.wait()
    assert await spoken(tts, "Again.", voice())


async def test_the_native_sdk_takes_the_emulator_for_the_vendor(emulator, tts):
    config = speechsdk.SpeechConfig(subscription=emulator.key, host=emulator.options["stt_url"])
    config.speech_synthesis_voice_name = "en-US-JennyNeural"
    config.set_speech_synthesis_output_format(speechsdk.SpeechSynthesisOutputFormat.Raw24Khz16BitMonoPcm)
    synthesizer = speechsdk.SpeechSynthesizer(config, None)
    words: list[str] = []
    all_told = threading.Event()

    def note(event: Any) -> None:
        words.append(event.text)
        if len(words) >= len(TEXT.split()):
            all_told.set()

    synthesizer.synthesis_word_boundary.connect(note)
    result = await asyncio.to_thread(lambda: synthesizer.speak_text_async(TEXT).get())
    assert result.reason == speechsdk.ResultReason.SynthesizingAudioCompleted
    await asyncio.to_thread(
        all_told.wait, 10
    )  # a thread of the SDK's own tells words, after the result where it is late
    assert words == TEXT.split()
    assert emulator.voice.requests[0].text == TEXT
    ours = Pcm.concat([chunk.audio for chunk in await spoken(tts, TEXT, voice())])
    assert Pcm.from_bytes(result.audio_data, 24000).same_as(ours)


async def test_real_speech_comes_with_its_words(registry, hibari):
    async with AzureEmulator(voice=LocalVoice(hibari)) as emulator:
        tts = azure.make(Account(id="x", provider="azure", secrets=emulator.secrets, options=emulator.options))
        text = "Your appointment is on Friday. Can I help you with anything else?"
        chunks = await spoken(tts, text, voice())
        sound = Pcm.concat([chunk.audio for chunk in chunks])
        heard = registry.part("moonshine")(resample(sound, 16000).as_float32()).text
        assert heard.startswith(text.rstrip("?"))
        assert " ".join(word.word for chunk in chunks for word in chunk.words) == text
        await tts.aclose()
