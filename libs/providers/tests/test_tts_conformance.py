"""What every voice must do: the fake, the scripted and the local one, and those of vendors against their emulators."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.ports.tts import TextToSpeech
from voisnap_providers.vendors.aws.tts import PollyTts
from voisnap_providers.vendors.azure.tts import AzureTts
from voisnap_providers.vendors.elevenlabs.tts import ElevenLabsTts
from voisnap_providers.vendors.google.tts import GoogleTts
from voisnap_providers.vendors.scripted.tts import ScriptedTts
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.elevenlabs_emulator import ElevenLabsEmulator
from voisnap_testkit.fakes_speech import FakeTts
from voisnap_testkit.google_speech_emulator import GoogleSpeechEmulator

pytestmark = pytest.mark.conformance

TEXT = "Hello there. Your order costs $12, is that right?"


@pytest.fixture
async def elevenlabs() -> AsyncIterator[TextToSpeech]:
    async with ElevenLabsEmulator() as emulator:
        account = Account(
            id=PLATFORM,
            provider="elevenlabs",
            secrets={"api_key": emulator.key},
            options={"base_url": emulator.url},
        )
        voice = ElevenLabsTts(account)
        yield voice
        await voice.aclose()
        assert emulator.violations == []


@pytest.fixture
async def google() -> AsyncIterator[TextToSpeech]:
    async with GoogleSpeechEmulator() as emulator:
        voice = GoogleTts(Account(id=PLATFORM, provider="google", options={"tts_endpoint": emulator.url}))
        yield voice
        await voice.aclose()
        assert emulator.violations == []


@pytest.fixture
async def aws() -> AsyncIterator[TextToSpeech]:
    async with AwsEmulator() as emulator:
        voice = PollyTts(Account(id=PLATFORM, provider="aws", secrets=emulator.secrets, options=emulator.options))
        yield voice
        await voice.aclose()


@pytest.fixture
async def azure() -> AsyncIterator[TextToSpeech]:
    async with AzureEmulator() as emulator:
        voice = AzureTts(Account(id=PLATFORM, provider="azure", secrets=emulator.secrets, options=emulator.options))
        yield voice
        await voice.aclose()


VENDORS = ("elevenlabs", "google", "aws", "azure")
"""Fixtures of vendors' voices."""


@pytest.fixture(params=["fake", "scripted", "local", *VENDORS])
def tts(request: pytest.FixtureRequest) -> TextToSpeech:
    match request.param:
        case "local":
            return request.getfixturevalue("registry").tts("local")
        case "fake":
            return FakeTts()
        case "scripted":
            return ScriptedTts()
        case vendor:
            return request.getfixturevalue(vendor)


def voice(**changes) -> Voice:
    return Voice(provider=VoiceProvider.LOCAL, voice_id="heart", **changes)


async def test_all_text_comes_out_once_in_order_at_the_promised_rate(tts: TextToSpeech):
    chunks = [chunk async for chunk in tts.speak(TEXT, voice())]
    assert " ".join(chunk.text for chunk in chunks) == TEXT
    assert {chunk.audio.rate for chunk in chunks} == {tts.capabilities.sample_rate}
    assert all(np.abs(chunk.audio.samples).max() > 1000 for chunk in chunks)


async def test_words_are_those_written_in_order_and_inside_the_audio(tts: TextToSpeech):
    for chunk in [chunk async for chunk in tts.speak(TEXT, voice())]:
        assert [word.word for word in chunk.words] == chunk.text.split()
        moments = [moment for word in chunk.words for moment in (word.start, word.end)]
        assert moments == sorted(moments)
        assert moments[0] >= 0
        assert moments[-1] <= chunk.audio.seconds + 0.001
        assert all(word.end > word.start for word in chunk.words)


@pytest.mark.parametrize("nothing", ["", "   ", "...", "😀", "—"])
async def test_nothing_to_say_is_nothing(tts: TextToSpeech, nothing: str):
    assert [chunk async for chunk in tts.speak(nothing, voice())] == []


async def test_faster_speech_is_shorter(tts: TextToSpeech):
    lengths = []
    for speed in (0.8, 1.2):
        lengths.append(
            sum([chunk.audio.seconds async for chunk in tts.speak("How can I help you today?", voice(speed=speed))])
        )
    assert lengths[1] < lengths[0] * 0.8


async def test_stopping_early_is_clean_and_the_voice_speaks_again(tts: TextToSpeech):
    speech = tts.speak("One. Two. Three. Four.", voice())
    assert (await anext(speech)).text == "One."
    await speech.aclose()
    assert [chunk.text async for chunk in tts.speak("Again.", voice())] == ["Again."]


async def test_an_unknown_voice_still_speaks(tts: TextToSpeech):
    unknown = Voice(provider=VoiceProvider.LOCAL, voice_id="EXAVITQu4vr4xnSDxMaL")
    assert [chunk.text async for chunk in tts.speak("Hello.", unknown)] == ["Hello."]
