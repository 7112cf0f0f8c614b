"""Amazon Transcribe, against the emulator with its verified signatures and its clock of idle streams."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.stt import SttStream, Transcript
from voisnap_providers.vendors.aws import stt as transcribe
from voisnap_providers.vendors.aws.event_stream import audio_event
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.aws_signature import AwsAccess
from voisnap_testkit.emulated_faults import CutAfter, FailedAfter, Fault, NeverFinal, Refused
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.fakes_speech import spoken

pytestmark = pytest.mark.conformance

TEXT = "We are open on Monday."


@pytest.fixture
async def emulator() -> AsyncIterator[AwsEmulator]:
    async with AwsEmulator() as running:
        yield running


def recogniser(emulator: AwsEmulator, **secrets: str) -> transcribe.TranscribeStt:
    account = Account(id="platform", provider="aws", secrets=emulator.secrets | secrets, options=emulator.options)
    return transcribe.make(account)


def listening(**changes) -> Transcription:
    return Transcription(provider=TranscriptionProvider.AWS, **changes)


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


async def test_settings_reach_the_wire(emulator):
    stream = recogniser(emulator).open(listening(language="de", model="my-words"))
    assert (await said(stream, spoken(TEXT))).text == TEXT
    await stream.aclose()
    stream = recogniser(emulator).open(listening(language="en-GB", model="default"))
    await said(stream, spoken(TEXT))
    await stream.aclose()
    one, other = (taken.settings for taken in emulator.transcribe.streams)
    assert (one["language-code"], one["media-encoding"], one["sample-rate"]) == ("de-DE", "pcm", "16000")
    assert (one["language-model-name"], one["enable-partial-results-stabilization"]) == ("my-words", "true")
    assert other["language-code"] == "en-GB"
    assert "language-model-name" not in other


@pytest.mark.parametrize(
    ("language", "sent"), [("en", "en-US"), ("es", "es-US"), ("cs", "cs-CZ"), ("nb", "no-NO"), ("en-AU", "en-AU")]
)
def test_a_language_alone_becomes_the_variety_that_the_vendor_has(language: str, sent: str):
    keys = {"access_key_id": "AKID", "secret_access_key": "secret"}
    stt = transcribe.make(Account(id="x", provider="aws", secrets=keys, options={"region": "eu-west-1"}))
    url = stt.url(listening(language=language))
    assert url.startswith("wss://transcribestreaming.eu-west-1.amazonaws.com:8443/stream-transcription-websocket?")
    assert f"language-code={sent}&" in url


async def test_punctuation_is_left_out_where_it_is_not_wanted(emulator):
    stream = recogniser(emulator).open(listening(punctuate=False))
    final = await said(stream, spoken(TEXT))
    assert final.text == "We are open on Monday"
    assert [word.word for word in final.words] == final.text.split()
    await stream.aclose()


async def test_interim_results_come_before_the_final_one(emulator):
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(TEXT))
    async with asyncio.timeout(5):
        interim = await anext(aiter(stream))
    assert not interim.is_final
    assert TEXT.startswith(interim.text.rstrip("."))
    await stream.aclose()


async def test_a_temporary_key_is_signed_with_its_token():
    async with AwsEmulator(access=AwsAccess(session_token="token+/=", region="eu-central-1")) as emulator:
        stream = recogniser(emulator).open(listening())
        assert (await said(stream, spoken(TEXT))).text == TEXT
        await stream.aclose()


async def test_a_stream_outlives_the_idle_limit_and_closes_tidily(monkeypatch):
    monkeypatch.setattr(transcribe, "RULES", msgspec.structs.replace(transcribe.RULES, keep_alive=0.2))
    async with AwsEmulator(idle_seconds=0.4) as emulator:
        stream = recogniser(emulator).open(listening())
        await said(stream, spoken(TEXT))
        before = emulator.transcribe.streams[0].audio_seconds
        # until silence has kept it for longer than the limit
        await emulator.transcribe.until_heard(before + 3 * transcribe.RULES.silence_instead)
        again = await said(stream, spoken(TEXT))
        assert again.text == TEXT
        assert again.words[0].start_time >= spoken(TEXT).seconds
        await stream.aclose()
        assert len(emulator.transcribe.streams) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Refused(503),
        CutAfter(0.5),
        FailedAfter("InternalFailureException", 0.5),
        FailedAfter("BadRequestException", 0.5, "Your request timed out because no new audio was received."),
    ],
)
async def test_no_word_is_lost_with_a_connection(emulator, fault: Fault):
    emulator.plan(fault)
    stream = recogniser(emulator).open(listening())
    assert (await said(stream, spoken(TEXT))).text == TEXT
    await stream.aclose()


async def test_without_any_final_words_the_best_known_are_given(emulator, monkeypatch):
    monkeypatch.setattr(transcribe, "RULES", msgspec.structs.replace(transcribe.RULES, finalise_timeout=0.3))
    emulator.plan(NeverFinal())
    stream = recogniser(emulator).open(listening())
    final = await said(stream, spoken(TEXT))
    assert final.text == TEXT
    assert all(0 < word.confidence <= 1 for word in final.words)
    await stream.aclose()


async def test_what_no_second_try_heals_ends_the_stream(emulator):
    emulator.plan(FailedAfter("BadRequestException", 0.2))
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(TEXT))
    with pytest.raises(ProviderError) as caught:
        await final(stream)
    assert not caught.value.retryable
    await stream.aclose()
    stream = recogniser(emulator).open(listening(language="xx"))
    with pytest.raises(ProviderError, match="BadRequest"):
        await final(stream)
    await stream.aclose()


async def test_a_refused_key_is_told_as_such_and_not_tried_again(emulator):
    stream = recogniser(emulator, secret_access_key="other").open(listening())
    with pytest.raises(ProviderAuthError) as caught:
        await final(stream)
    assert "Signature=" not in str(caught.value)
    await stream.aclose()


async def test_messages_that_are_damaged_are_noticed(emulator):
    event = bytearray(audio_event(b"\0\0" * 160))
    event[-1] ^= 1
    connection = await transcribe.TranscribeConnection.opened(recogniser(emulator).url(listening()), listening())
    await connection._socket.send(bytes(event))
    with pytest.raises(ProviderError, match="SerializationException"):
        await anext(aiter(connection))
    await connection.aclose()
    assert emulator.violations == ["not an event: ChecksumMismatch"]
    emulator.violations.clear()


async def test_real_speech_is_recognised(registry, say: Callable[[str], Pcm]):
    async with AwsEmulator(recogniser=LocalWords(registry.part("moonshine"))) as emulator:
        stream = recogniser(emulator).open(listening())
        for text in (TEXT, "Where can I park my car?"):
            final = await said(stream, say(text))
            assert final.text.lower().rstrip(".?") == text.lower().rstrip(".?")
        await stream.aclose()
