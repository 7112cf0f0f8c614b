"""Google's recogniser against an emulator of it: what is asked, what is heard, streams that end, and every way it fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import grpc.aio
import msgspec
import pytest
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.stt import SttStream, Transcript
from voisnap_providers.vendors.google import stt as google
from voisnap_testkit.emulated_faults import CutAfter, Fault, Refused
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.fakes_speech import spoken
from voisnap_testkit.google_speech_emulator import GoogleSpeechEmulator

pytestmark = pytest.mark.conformance

FIRST, SECOND = "we are open on monday", "where can I park my car"


def account(emulator: GoogleSpeechEmulator, **options: str) -> Account:
    return Account(
        id=PLATFORM, provider="google", options={"speech_endpoint": emulator.url, "project": "voisnap-test", **options}
    )


def listening(**changes: object) -> Transcription:
    return Transcription(provider=TranscriptionProvider.GOOGLE, **changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def emulator() -> AsyncIterator[GoogleSpeechEmulator]:
    async with GoogleSpeechEmulator() as running:
        yield running
        assert running.violations == []


@pytest.fixture
async def stt(emulator: GoogleSpeechEmulator) -> AsyncIterator[google.GoogleStt]:
    made = google.make(account(emulator))
    yield made
    await made.aclose()


def push(stream: SttStream, audio: Pcm, *, ms: int = 20) -> None:
    for start in range(0, round(audio.duration_ms), ms):
        stream.push(audio.slice(start, start + ms))


async def heard(stream: SttStream, *, finals: int = 1) -> list[Transcript]:
    """All transcripts up to the last of so many finals."""
    found: list[Transcript] = []
    async with asyncio.timeout(20):
        async for transcript in stream:
            found.append(transcript)
            finals -= transcript.is_final
            if not finals:
                return found
    return found


async def test_the_agents_settings_reach_the_wire(emulator: GoogleSpeechEmulator):
    stt = google.make(account(emulator, location="eu"))
    settings = listening(language="de", model="telephony", punctuate=False, profanity_filter=True)
    stream = stt.open(settings, keyterms=("Voisnap", "Hibari"))
    push(stream, spoken(FIRST))
    stream.flush()
    (*_, final) = await heard(stream)
    assert final.text == FIRST
    await stream.aclose()
    await stt.aclose()
    sent = emulator.streams[0]
    assert sent.recognizer == "projects/voisnap-test/locations/eu/recognizers/_"
    assert sent.config["config"]["model"] == "telephony"
    assert sent.config["config"]["language_codes"] == ["de-DE"]
    features = sent.config["config"]["features"]
    assert (features.get("enable_automatic_punctuation", False), features["profanity_filter"]) == (False, True)
    assert features["enable_word_time_offsets"]
    (phrases,) = sent.config["config"]["adaptation"]["phrase_sets"]
    assert [phrase["value"] for phrase in phrases["inline_phrase_set"]["phrases"]] == ["Voisnap", "Hibari"]
    assert sent.config["streaming_features"] == {"interim_results": True}


async def test_interim_results_come_before_the_final_with_words_and_confidences(emulator, stt):
    stream = stt.open(listening())
    audio = spoken(FIRST)
    push(stream, audio)
    async with asyncio.timeout(5):
        interim = await anext(aiter(stream))
    stream.flush()
    (*_, final) = await heard(stream)
    await stream.aclose()
    assert (interim.text, interim.is_final) == (FIRST, False)
    assert final.text == FIRST
    assert [word.word for word in final.words] == FIRST.split()
    assert final.words[-1].end_time <= audio.seconds
    assert final.confidence == pytest.approx(0.93, abs=0.01)


async def test_final_words_that_came_after_a_silence_are_neither_lost_nor_doubled_by_the_flush(emulator, stt):
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    push(stream, Pcm.silence(16000, 700))
    push(stream, spoken(SECOND))
    push(stream, Pcm.silence(16000, 700))
    async with asyncio.timeout(5):
        await emulator.heard(3.9)
    stream.flush()
    (*_, final) = await heard(stream)
    assert final.text == f"{FIRST} {SECOND}"
    await stream.aclose()


@pytest.mark.parametrize("fault", [CutAfter(0.4), Refused(503), Refused(500)])
async def test_a_stream_that_is_lost_is_replaced_without_losing_a_word(emulator, stt, fault: Fault):
    emulator.plan(fault)
    stream = stt.open(listening())
    for text in (FIRST, SECOND):
        push(stream, spoken(text))
        stream.flush()
    finals = [one.text for one in await heard(stream, finals=2) if one.is_final]
    await stream.aclose()
    assert finals == [FIRST, SECOND]


async def test_a_stream_is_renewed_before_the_service_ends_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(google, "RULES", msgspec.structs.replace(google.RULES, max_age=0.4))
    async with GoogleSpeechEmulator(stream_seconds=0.5) as emulator:
        stt = google.make(account(emulator))
        stream = stt.open(listening())
        texts = [f"{FIRST} {number}" for number in ("one", "two", "three", "four")]
        found: list[str] = []
        for text in texts:
            push(stream, spoken(text, ms_per_char=20))
            await asyncio.sleep(0.25)
            stream.flush()
            found += [one.text for one in await heard(stream) if one.is_final]
        await stream.aclose()
        await stt.aclose()
        assert found == texts
        assert len(emulator.streams) > 1
        assert emulator.violations == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_ends_the_stream_at_once(emulator, stt, status: int):
    emulator.plan(*[Refused(status)] * 5)
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    stream.flush()
    with pytest.raises(ProviderAuthError):
        await heard(stream)
    assert stream.unfinished_audio().seconds == pytest.approx(spoken(FIRST).seconds, abs=0.01)
    await stream.aclose()


async def test_a_model_that_is_none_is_not_asked_for_again():
    async with GoogleSpeechEmulator() as emulator:
        stt = google.make(account(emulator))
        stream = stt.open(listening(model="no-such-model"))
        push(stream, spoken(FIRST))
        stream.flush()
        with pytest.raises(ProviderError) as caught:
            await heard(stream)
        assert not caught.value.retryable
        assert set(emulator.violations) == {"model 'no-such-model'"}
        await stream.aclose()
        await stt.aclose()


async def test_a_project_is_needed():
    with pytest.raises(ProviderUnconfigured, match="GOOGLE_CLOUD_PROJECT"):
        google.make(Account(id=PLATFORM, provider="google", options={"speech_endpoint": "http://127.0.0.1:9"}))


def test_results_without_word_times_get_them_shared_out():
    connection = google.GoogleConnection(None)
    results = [
        cloud_speech.StreamingRecognitionResult(
            alternatives=[cloud_speech.SpeechRecognitionAlternative(transcript=text)],
            is_final=True,
            result_end_offset=timedelta(seconds=until),
        )
        for text, until in (("hello there", 2), (" old friend", 3))
    ]
    heard = connection._heard(results)
    assert [(word.word, word.start_time >= 0, word.end_time) for word in heard[0].words][-1] == ("there", True, 2.0)
    assert heard[1].words[0].start_time == 2.0
    assert heard[1].text == "old friend"
    assert all(word.confidence == 0.8 for one in heard for word in one.words)


async def test_the_vendors_own_library_and_real_speech_are_understood(say: Callable[..., Pcm], registry):
    async with GoogleSpeechEmulator(recogniser=LocalWords(registry.part("moonshine"))) as emulator:
        await require_understood(emulator, say("Where can I park my car?"))
        stt = google.make(account(emulator))
        stream = stt.open(listening())
        push(stream, say("We are open on Monday."))
        stream.flush()
        (*_, final) = await heard(stream)
        await stream.aclose()
        await stt.aclose()
        assert "open on Monday" in final.text
        assert emulator.violations == []


async def require_understood(emulator: GoogleSpeechEmulator, audio: Pcm) -> None:
    data = audio.to_bytes()

    async def asked() -> AsyncIterator[cloud_speech.StreamingRecognizeRequest]:
        decoding = cloud_speech.ExplicitDecodingConfig(
            encoding="LINEAR16", sample_rate_hertz=16000, audio_channel_count=1
        )
        config = cloud_speech.RecognitionConfig(
            explicit_decoding_config=decoding, model="long", language_codes=["en-US"]
        )
        yield cloud_speech.StreamingRecognizeRequest(
            recognizer="projects/p/locations/global/recognizers/_",
            streaming_config=cloud_speech.StreamingRecognitionConfig(config=config),
        )
        for at in range(0, len(data), 6400):
            yield cloud_speech.StreamingRecognizeRequest(audio=data[at : at + 6400])

    async with grpc.aio.insecure_channel(emulator.url.removeprefix("http://")) as channel:
        client = SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel))
        answers = [answer async for answer in await client.streaming_recognize(requests=asked())]
    results = [result for answer in answers for result in answer.results]
    assert all(result.is_final for result in results)
    assert "park my car" in " ".join(result.alternatives[0].transcript for result in results)
