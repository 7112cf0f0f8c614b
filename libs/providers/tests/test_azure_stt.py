"""Azure's recogniser: its native SDK against the emulator of its WebSocket protocol."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers import live_stt
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.stt import SttStream, Transcript
from voisnap_providers.vendors.azure import stt as azure
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.emulated_faults import CutAfter, FailedAfter, Fault, NeverFinal, Refused
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.fakes_speech import spoken

pytestmark = pytest.mark.conformance

TEXT = "We are open on Monday."


@pytest.fixture
async def emulator() -> AsyncIterator[AzureEmulator]:
    async with AzureEmulator() as running:
        yield running


def recogniser(emulator: AzureEmulator, **secrets: str) -> azure.AzureStt:
    account = Account(id="platform", provider="azure", secrets=emulator.secrets | secrets, options=emulator.options)
    return azure.make(account)


def listening(**changes) -> Transcription:
    return Transcription(provider=TranscriptionProvider.AZURE, **changes)


def push(stream: SttStream, audio: Pcm) -> None:
    for start in range(0, round(audio.duration_ms), 20):
        stream.push(audio.slice(start, start + 20))


async def final(stream: SttStream) -> Transcript:
    async with asyncio.timeout(10):
        return await anext(item async for item in stream if item.is_final)


async def said(stream: SttStream, audio: Pcm) -> Transcript:
    push(stream, audio)
    stream.flush()
    return await final(stream)


async def test_settings_and_terms_reach_the_wire(emulator):
    stream = recogniser(emulator).open(
        listening(language="de", profanity_filter=True, smart_format=True), keyterms=("Voisnap", "Quarkbällchen")
    )
    assert (await said(stream, spoken(TEXT))).text == TEXT
    await stream.aclose()
    (taken,) = emulator.recogniser.streams
    assert taken.options["language"] == "de-DE"
    assert taken.options["format"] == "detailed"
    assert taken.options["profanity"] == "masked"
    assert taken.options["wordLevelTimestamps"] == "true"
    assert taken.options["postprocessing"] == "TrueText"
    context = taken.contexts[0]
    assert context["phraseDetection"]["CONVERSATION"]["segmentation"]["segmentationSilenceTimeoutMs"] == 500
    assert all(term in json.dumps(context["dgi"], ensure_ascii=False) for term in ("Voisnap", "Quarkbällchen"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (listening(punctuate=False, smart_format=False), "we are open on monday"),
        (listening(punctuate=False), "we are open on monday"),
        (listening(smart_format=False), TEXT),
    ],
)
async def test_the_text_has_the_form_that_is_wanted(emulator, settings: Transcription, text: str):
    stream = recogniser(emulator).open(settings)
    final = await said(stream, spoken(TEXT))
    assert final.text == text
    assert [word.word for word in final.words] == text.split()
    assert ("postprocessing" in emulator.recogniser.streams[0].options) == settings.smart_format
    assert emulator.recogniser.streams[0].options["profanity"] == "raw"
    await stream.aclose()


async def test_interim_results_come_before_the_final_one(emulator):
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(TEXT))
    async with asyncio.timeout(5):
        interim = await anext(aiter(stream))
    assert not interim.is_final
    assert "we are open on monday".startswith(interim.text)
    await stream.aclose()


@pytest.mark.parametrize("fault", [Refused(503), CutAfter(0.5), FailedAfter("1011", 0.5)])
async def test_no_word_is_lost_with_a_connection(emulator, fault: Fault):
    emulator.plan(fault)
    stream = recogniser(emulator).open(listening())
    assert (await said(stream, spoken(TEXT))).text == TEXT
    await stream.aclose()


async def test_without_any_final_words_the_best_known_are_given(emulator, monkeypatch):
    monkeypatch.setattr(azure, "RULES", msgspec.structs.replace(azure.RULES, finalise_timeout=0.3))
    emulator.plan(NeverFinal())
    stream = recogniser(emulator).open(listening())
    assert (await said(stream, spoken(TEXT))).text == "we are open on monday"
    await stream.aclose()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_told_as_such_and_not_tried_again(emulator, status: int):
    if status == 403:
        emulator.plan(Refused(403))
    stream = recogniser(emulator, **({"key": "other"} if status == 401 else {})).open(listening())
    with pytest.raises(ProviderAuthError):
        await final(stream)
    await stream.aclose()
    assert len(emulator.recogniser.streams) == 0


async def test_a_language_it_does_not_know_is_no_passing_fault(emulator):
    stream = recogniser(emulator).open(listening(language="xx-XX"))
    with pytest.raises(ProviderError) as caught:
        await final(stream)
    assert not caught.value.retryable
    await stream.aclose()


async def test_a_vendor_that_is_away_is_a_passing_fault(monkeypatch):
    monkeypatch.setattr(live_stt, "MOST_FAILURES", 1)
    async with AzureEmulator() as emulator:
        away = recogniser(emulator)
    stream = away.open(listening())
    push(stream, spoken(TEXT))
    with pytest.raises(ProviderError) as caught:
        await final(stream)
    assert caught.value.retryable
    assert stream.unfinished_audio().seconds == pytest.approx(spoken(TEXT).seconds)
    await stream.aclose()


def test_without_a_region_nothing_is_set_up():
    with pytest.raises(ProviderUnconfigured, match="AZURE_SPEECH_REGION"):
        azure.make(Account(id="x", provider="azure", secrets={"key": "k"}))


async def test_real_speech_is_recognised(registry, say: Callable[[str], Pcm]):
    async with AzureEmulator(recogniser=LocalWords(registry.part("moonshine"))) as emulator:
        stream = recogniser(emulator).open(listening())
        for text in (TEXT, "Where can I park my car?"):
            final = await said(stream, say(text))
            assert final.text.lower().rstrip(".?") == text.lower().rstrip(".?")
        await stream.aclose()
