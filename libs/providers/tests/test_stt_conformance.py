"""What every recogniser must do: the fake and those of vendors, against their emulators, on hidden texts, the local one on real speech."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.ports.stt import SpeechToText, SttStream, Transcript
from voisnap_providers.vendors.assemblyai.stt import RULES, AssemblyAiStt
from voisnap_providers.vendors.aws.stt import TranscribeStt
from voisnap_providers.vendors.azure.stt import AzureStt
from voisnap_providers.vendors.deepgram.stt import DeepgramStt
from voisnap_providers.vendors.google.stt import GoogleStt
from voisnap_testkit.assemblyai_emulator import AssemblyAiEmulator
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.deepgram_emulator import DeepgramEmulator
from voisnap_testkit.fakes_speech import FakeStt, listening, spoken
from voisnap_testkit.google_speech_emulator import GoogleSpeechEmulator

pytestmark = pytest.mark.conformance

FIRST, SECOND = "We are open on Monday.", "Where can I park my car?"


@pytest.fixture
async def aws() -> AsyncIterator[SpeechToText]:
    async with AwsEmulator() as emulator:
        yield TranscribeStt(Account(id=PLATFORM, provider="aws", secrets=emulator.secrets, options=emulator.options))


@pytest.fixture
async def azure() -> AsyncIterator[SpeechToText]:
    async with AzureEmulator() as emulator:
        yield AzureStt(Account(id=PLATFORM, provider="azure", secrets=emulator.secrets, options=emulator.options))


@pytest.fixture
async def deepgram() -> AsyncIterator[SpeechToText]:
    async with DeepgramEmulator() as emulator:
        secrets, options = {"api_key": emulator.key}, {"base_url": emulator.url}
        yield DeepgramStt(Account(id=PLATFORM, provider="deepgram", secrets=secrets, options=options))
        assert emulator.violations == []


@pytest.fixture
async def assemblyai() -> AsyncIterator[SpeechToText]:
    async with AssemblyAiEmulator(speed=20.0) as emulator:
        secrets, options = {"api_key": emulator.key}, {"base_url": emulator.url}
        account = Account(id=PLATFORM, provider="assemblyai", secrets=secrets, options=options)
        yield AssemblyAiStt(account, rules=msgspec.structs.replace(RULES, fastest=20.0, finalise_timeout=0.6))
        assert emulator.violations == []


@pytest.fixture
async def google() -> AsyncIterator[SpeechToText]:
    async with GoogleSpeechEmulator() as emulator:
        options = {"speech_endpoint": emulator.url, "project": "voisnap-test"}
        recogniser = GoogleStt(Account(id=PLATFORM, provider="google", options=options))
        yield recogniser
        await recogniser.aclose()
        assert emulator.violations == []


VENDORS = ("aws", "azure", "deepgram", "assemblyai", "google")
"""Fixtures of vendors' recognisers."""


@pytest.fixture(params=["fake", "local", *VENDORS])
def stt(request: pytest.FixtureRequest) -> SpeechToText:
    match request.param:
        case "local":
            return request.getfixturevalue("registry").stt("local")
        case "fake":
            return FakeStt()
        case vendor:
            return request.getfixturevalue(vendor)


@pytest.fixture
def speech(stt: SpeechToText, request: pytest.FixtureRequest) -> Callable[[str], Pcm]:
    return request.getfixturevalue("say") if stt.provider == "local" else spoken


async def finals(stream: SttStream, count: int) -> list[Transcript]:
    found = []
    async with asyncio.timeout(20):
        async for transcript in stream:
            if transcript.is_final:
                found.append(transcript)
            if len(found) == count:
                return found
    return found


def bare(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum() or sign == " ")


def push(stream: SttStream, audio: Pcm, *, ms: int = 20) -> None:
    for start in range(0, round(audio.duration_ms), ms):
        stream.push(audio.slice(start, start + ms))


async def test_each_flush_gives_one_final_in_order(stt: SpeechToText, speech: Callable[[str], Pcm]):
    stream = stt.open(listening(language="en-US"))
    for text in (FIRST, SECOND):
        push(stream, speech(text))
        stream.flush()
    transcripts = await finals(stream, 2)
    assert [bare(item.text) for item in transcripts] == [bare(FIRST), bare(SECOND)]
    assert [item.utterance for item in transcripts] == [0, 1]
    await stream.aclose()


async def test_words_are_in_order_inside_their_audio_and_count_from_the_first_sample(stt, speech):
    stream = stt.open(listening(language="en"))
    total = 0.0
    for text in (FIRST, SECOND):
        audio = speech(text)
        push(stream, audio)
        stream.flush()
        (final,) = await finals(stream, 1)
        assert final.audio_seconds == pytest.approx(audio.seconds, abs=0.01)
        assert " ".join(word.word for word in final.words) == final.text
        moments = [moment for word in final.words for moment in (word.start_time, word.end_time)]
        assert moments == sorted(moments)
        assert total <= moments[0]
        assert moments[-1] <= total + audio.seconds + 0.001
        assert all(0 < word.confidence <= 1 for word in final.words)
        total += audio.seconds
    await stream.aclose()


async def test_a_flush_without_speech_gives_an_empty_final(stt, speech):
    stream = stt.open(listening(language="en"))
    stream.flush()
    stream.push(Pcm.silence(16000, 700))
    stream.flush()
    assert [item.text for item in await finals(stream, 2)] == ["", ""]
    await stream.aclose()


async def test_a_pause_changes_nothing_whether_speech_goes_on_or_not(stt, speech):
    stream = stt.open(listening(language="en"))
    push(stream, speech(FIRST))
    stream.pause()
    push(stream, Pcm.silence(16000, 300))
    stream.flush()
    push(stream, speech(FIRST))
    stream.pause()
    push(stream, speech(SECOND))
    stream.flush()
    only, both = await finals(stream, 2)
    assert bare(only.text) == bare(FIRST)
    assert bare(both.text) == bare(f"{FIRST} {SECOND}")
    await stream.aclose()


async def test_a_reset_forgets_the_audio_and_no_final_follows(stt, speech):
    stream = stt.open(listening(language="en"))
    push(stream, speech(FIRST))
    stream.pause()
    stream.reset()
    push(stream, speech(SECOND))
    stream.flush()
    (final,) = await finals(stream, 1)
    assert bare(final.text) == bare(SECOND)
    assert final.utterance == 0
    await stream.aclose()


async def test_closing_ends_the_iteration_and_later_calls_do_nothing(stt, speech):
    stream = stt.open(listening(language="en"))
    push(stream, speech(FIRST))
    await stream.aclose()
    stream.push(Pcm.silence(16000, 20))
    stream.flush()
    assert [item async for item in stream if item.is_final] == []
    await stream.aclose()


async def test_audio_of_another_rate_is_refused(stt, speech):
    stream = stt.open(listening(language="en"))
    with pytest.raises(ValueError, match="16000 Hz"):
        stream.push(Pcm.silence(8000, 20))
    await stream.aclose()
