"""Google's voices against an emulator of it: streams and single answers, what is asked, what is heard, and every way it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.cloud.texttospeech_v1 import TextToSpeechAsyncClient
from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcAsyncIOTransport
from google.cloud.texttospeech_v1.types import cloud_tts
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured
from voisnap_providers.vendors.google import tts as google
from voisnap_testkit.emulated_faults import CutAfter, Fault, NoSound, Refused
from voisnap_testkit.emulated_voice import ToneVoice
from voisnap_testkit.google_speech_emulator import GoogleSpeechEmulator

pytestmark = pytest.mark.conformance

TEXT = "Hello there. Your order costs $12, is that right?"
CHIRP, NEURAL = "en-US-Chirp3-HD-Charon", "de-DE-Neural2-B"


def account(emulator: GoogleSpeechEmulator) -> Account:
    return Account(id=PLATFORM, provider="google", options={"tts_endpoint": emulator.url})


def of(voice_id: str, **changes: float) -> Voice:
    return Voice(provider=VoiceProvider.GOOGLE, voice_id=voice_id, **changes)


@pytest.fixture
async def emulator() -> AsyncIterator[GoogleSpeechEmulator]:
    async with GoogleSpeechEmulator() as running:
        yield running
        assert running.violations == []


@pytest.fixture
async def tts(emulator: GoogleSpeechEmulator) -> AsyncIterator[google.GoogleTts]:
    made = google.make(account(emulator))
    yield made
    await made.aclose()


@pytest.mark.parametrize("voice_id", [CHIRP, NEURAL])
async def test_what_the_voice_says_comes_out_sample_by_sample(tts: google.GoogleTts, voice_id: str):
    chunks = [chunk async for chunk in tts.speak(TEXT, of(voice_id))]
    assert Pcm.concat([chunk.audio for chunk in chunks]).same_as((await ToneVoice().say(TEXT)).audio)
    assert " ".join(chunk.text for chunk in chunks) == TEXT


async def test_chirp_streams_and_others_are_asked_for_sentence_by_sentence(emulator, tts):
    for voice_id in (CHIRP, NEURAL):
        async for _ in tts.speak(f"**{TEXT}**", of(voice_id, speed=1.2)):
            pass
    first, *others = emulator.spoken
    assert (first.method, first.text, first.language) == ("StreamingSynthesize", TEXT, "en-US")
    assert [(one.method, one.text) for one in others] == [
        ("SynthesizeSpeech", "Hello there."),
        ("SynthesizeSpeech", "Your order costs $12, is that right?"),
    ]
    assert {(one.voice, one.language) for one in others} == {(NEURAL, "de-DE")}
    assert {one.speaking_rate for one in emulator.spoken} == {1.2}


@pytest.mark.parametrize(("speed", "asked"), [(0.1, 0.25), (3.0, 2.0)])
async def test_speeds_beyond_the_services_are_its_nearest(emulator, tts, speed: float, asked: float):
    async for _ in tts.speak("Hello.", of(CHIRP, speed=speed)):
        pass
    assert emulator.spoken[0].speaking_rate == asked


async def test_the_first_words_come_while_the_voice_still_speaks_and_closing_stops_it():
    async with GoogleSpeechEmulator(pace=4.0) as emulator, aclosing(google.make(account(emulator))) as tts:
        async with aclosing(tts.speak("Hello there, " + "and so on " * 100, of(CHIRP))) as speech:
            first = await anext(speech)
            assert first.text.startswith("Hello")
            assert first.audio.seconds < 2.0
            assert emulator.spoken[0].outcome == "open"
        async with asyncio.timeout(3):
            assert (await emulator.finished()).outcome == "left"


@pytest.mark.parametrize("voice_id", [CHIRP, NEURAL])
@pytest.mark.parametrize(
    ("fault", "kind", "retryable", "retry_after"),
    [
        (Refused(401), ProviderAuthError, False, None),
        (Refused(403), ProviderAuthError, False, None),
        (Refused(400), ProviderError, False, None),
        (Refused(429, retry_after=7), ProviderError, True, 7.0),
        (Refused(503), ProviderError, True, None),
        (Refused(504), ProviderTimeout, True, None),
        (NoSound(), ProviderError, True, None),
    ],
)
async def test_failures_say_whether_to_try_again(
    emulator, tts, voice_id: str, fault: Fault, kind: type, retryable: bool, retry_after: float | None
):
    emulator.plan(fault)
    with pytest.raises(ProviderError) as caught:
        await anext(tts.speak(TEXT, of(voice_id)))
    assert (type(caught.value), caught.value.retryable, caught.value.retry_after) == (kind, retryable, retry_after)
    assert "Hello" not in caught.value.detail
    assert [chunk.text async for chunk in tts.speak("Again.", of(voice_id))] == ["Again."]


async def test_a_stream_that_breaks_in_mid_sentence_leaves_what_was_said(emulator, tts):
    emulator.plan(CutAfter(1.5))
    heard = []
    with pytest.raises(ProviderError, match="UNAVAILABLE") as caught:
        async for chunk in tts.speak(TEXT, of(CHIRP)):
            heard.append(chunk.text)
    assert caught.value.retryable
    assert heard
    assert TEXT.startswith(" ".join(heard))


async def test_warming_opens_the_connection_and_never_fails(emulator, tts, monkeypatch):
    await tts.warm()
    assert tts._calls().grpc_channel.get_state() is grpc.ChannelConnectivity.READY
    monkeypatch.setattr(google, "CONNECT_SECONDS", 0.05)
    nowhere = google.make(Account(id=PLATFORM, provider="google", options={"tts_endpoint": "http://127.0.0.1:9"}))
    await nowhere.warm()
    await nowhere.aclose()


@pytest.mark.parametrize("address", ["http://speech.example.com:80", "http://10.0.0.1:80", "http://127.0.0.1"])
def test_without_credentials_only_the_loopback_interface_is_asked(address: str):
    with pytest.raises(ProviderUnconfigured, match="loopback"):
        google.make(Account(id=PLATFORM, provider="google", options={"tts_endpoint": address}))


@pytest.mark.parametrize("key", ["", "no json", "[]", json.dumps({"type": "service_account", "private_key": "x"})])
async def test_a_key_that_is_none_is_told_by_its_variable_and_never_shown(key: str):
    with pytest.raises(ProviderUnconfigured, match="GOOGLE_SERVICE_ACCOUNT_JSON") as caught:
        made = google.make(Account(id=PLATFORM, provider="google", secrets={"service_account": key}))
        await anext(made.speak("Hello.", of(CHIRP)))
    assert "private_key" not in str(caught.value)


@pytest.mark.parametrize("location", ["evil.example.com/", "evil.example.com:443/?", "eu.evil", "EU", "-eu", "a" * 80])
def test_a_location_leads_to_google_only(location: str):
    options = {"location": location, "tts_endpoint": "http://127.0.0.1:9"}
    with pytest.raises(ProviderUnconfigured, match="location of google"):
        google.make(Account(id="cred_1.1", provider="google", options=options))


async def test_a_key_signs_requests_itself_and_its_addresses_are_not_used():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    key = {
        "type": "service_account",
        "project_id": "voisnap-test",
        "client_email": "voice@voisnap-test.iam.gserviceaccount.com",
        "private_key": private.decode(),
        "token_uri": "https://evil.example.com/token",
        "universe_domain": "evil.example.com",
    }
    made = google.make(
        Account(
            id="cred_1.1",
            provider="google",
            secrets={"service_account": json.dumps(key)},
            options={"location": "eu"},
        )
    )
    assert made._calls().host == "eu-texttospeech.googleapis.com:443"
    assert "evil" not in repr(vars(made._calls()._credentials))
    await made.aclose()


@pytest.mark.parametrize("text", ["a" * 9001, "word " * 3000, "é" * 4500, "日本語 " * 1000])
def test_long_texts_are_cut_into_parts_that_the_service_takes(text: str):
    parts = google.parts(text)
    assert "".join(parts) == text
    assert max(len(part.encode()) for part in parts) <= google.MAX_INPUT_BYTES


async def test_the_vendors_own_library_understands_the_emulator(emulator):
    async with grpc.aio.insecure_channel(emulator.url.removeprefix("http://")) as channel:
        client = TextToSpeechAsyncClient(transport=TextToSpeechGrpcAsyncIOTransport(channel=channel))
        answer = await client.synthesize_speech(
            input=cloud_tts.SynthesisInput(text=TEXT),
            voice=cloud_tts.VoiceSelectionParams(language_code="en-US", name="en-US-Neural2-A"),
            audio_config=cloud_tts.AudioConfig(audio_encoding=cloud_tts.AudioEncoding.LINEAR16),
        )
        assert answer.audio_content.startswith(b"RIFF")

        async def asked() -> AsyncIterator[cloud_tts.StreamingSynthesizeRequest]:
            config = cloud_tts.StreamingSynthesizeConfig(
                voice=cloud_tts.VoiceSelectionParams(language_code="en-US", name=CHIRP),
                streaming_audio_config=cloud_tts.StreamingAudioConfig(audio_encoding=cloud_tts.AudioEncoding.PCM),
            )
            yield cloud_tts.StreamingSynthesizeRequest(streaming_config=config)
            yield cloud_tts.StreamingSynthesizeRequest(input=cloud_tts.StreamingSynthesisInput(text=TEXT))

        pieces = [piece.audio_content async for piece in await client.streaming_synthesize(requests=asked())]
        assert b"".join(pieces) == answer.audio_content[44:]
