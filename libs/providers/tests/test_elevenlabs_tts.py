"""ElevenLabs' voices against an emulator of it: what is asked, what is heard, and every way it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
from elevenlabs import AsyncElevenLabs, VoiceSettings
from elevenlabs.core.api_error import ApiError
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord
from voisnap_providers.vendors.elevenlabs import tts as elevenlabs
from voisnap_testkit.elevenlabs_emulator import ElevenLabsEmulator
from voisnap_testkit.emulated_faults import CutAfter, NoSound, Refused
from voisnap_testkit.emulated_voice import ToneVoice

pytestmark = pytest.mark.conformance

TEXT = "Hello there. Your order costs $12, is that right?"
RACHEL = "21m00Tcm4TlvDq8ikWAM"


def account(emulator: ElevenLabsEmulator, key: str | None = None, **options: str) -> Account:
    return Account(
        id=PLATFORM,
        provider="elevenlabs",
        secrets={"api_key": key or emulator.key},
        options={"base_url": emulator.url, **options},
    )


def rachel(**changes: float) -> Voice:
    return Voice(provider=VoiceProvider.ELEVENLABS, voice_id=RACHEL, **changes)


@pytest.fixture
async def emulator() -> AsyncIterator[ElevenLabsEmulator]:
    async with ElevenLabsEmulator() as running:
        yield running
        assert running.violations == []


@pytest.fixture
async def tts(emulator: ElevenLabsEmulator) -> AsyncIterator[elevenlabs.ElevenLabsTts]:
    made = elevenlabs.make(account(emulator))
    yield made
    await made.aclose()


async def said(tts: elevenlabs.ElevenLabsTts, text: str = TEXT, **changes: float) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.speak(text, rachel(**changes))]


def in_time(chunks: list[SpeechChunk]) -> list[SpokenWord]:
    since, words = 0.0, []
    for chunk in chunks:
        words += [SpokenWord(word=w.word, start=since + w.start, end=since + w.end) for w in chunk.words]
        since += chunk.audio.seconds
    return words


async def test_what_the_voice_says_comes_out_sample_by_sample_with_the_times_it_told(tts):
    chunks = await said(tts)
    speech = await ToneVoice().say(TEXT)
    assert Pcm.concat([chunk.audio for chunk in chunks]).same_as(speech.audio)
    for word, told in zip(in_time(chunks), speech.words, strict=True):
        assert word.word == told.word
        assert (word.start, word.end) == (pytest.approx(told.start, abs=0.003), pytest.approx(told.end, abs=0.003))


async def test_times_that_begin_anew_with_every_piece_give_the_same_words():
    async with ElevenLabsEmulator(times_restart=True) as emulator:
        tts = elevenlabs.make(account(emulator))
        words = in_time(await said(tts))
        await tts.aclose()
    for word, told in zip(words, (await ToneVoice().say(TEXT)).words, strict=True):
        assert word.start == pytest.approx(told.start, abs=0.003)


async def test_settings_and_the_accounts_model_reach_the_wire(emulator):
    tts = elevenlabs.make(account(emulator, model="eleven_multilingual_v2"))
    await said(
        tts, "**Hello** 😀 there.", stability=0.2, similarity_boost=0.9, style=0.4, use_speaker_boost=False, speed=3.0
    )
    await tts.aclose()
    (request,) = emulator.requests
    assert request.path == f"/v1/text-to-speech/{RACHEL}/stream/with-timestamps"
    assert request.query == {"output_format": "pcm_24000"}
    assert request.body == {
        "text": "Hello there.",
        "model_id": "eleven_multilingual_v2",
        "voice_settings": {
            "stability": 0.2,
            "similarity_boost": 0.9,
            "style": 0.4,
            "use_speaker_boost": False,
            "speed": 1.2,
        },
    }


async def test_a_voice_id_stays_one_segment_of_the_path(emulator):
    tts = elevenlabs.make(account(emulator))
    with pytest.raises(ProviderError, match="404"):
        await anext(tts.speak("Hello.", Voice(provider=VoiceProvider.ELEVENLABS, voice_id="../voices?x=1#")))
    assert emulator.violations == ["POST /v1/text-to-speech/../voices?x=1#/stream/with-timestamps"]
    emulator.violations.clear()
    await tts.aclose()


async def test_the_first_words_come_while_the_voice_still_speaks_and_closing_stops_it():
    async with ElevenLabsEmulator(pace=2.0) as emulator, aclosing(elevenlabs.make(account(emulator))) as tts:
        async with aclosing(tts.speak("Hello there, " + "and so on " * 200, rachel())) as speech:
            first = await anext(speech)
            assert first.text.startswith("Hello")
            assert first.audio.seconds < 1.0
            assert emulator.requests[0].outcome == "open"
        async with asyncio.timeout(3):
            assert (await emulator.finished()).outcome == "left"


async def test_a_connection_is_opened_ahead_and_used_again(emulator, tts):
    await tts.warm()
    await tts.warm()
    for _ in range(3):
        await said(tts, "Hello.")
    assert len(emulator.requests) == 3
    assert len(emulator.peers) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "retryable", "retry_after"),
    [
        (Refused(401), ProviderAuthError, False, None),
        (Refused(401, code="quota_exceeded"), ProviderError, False, None),
        (Refused(404), ProviderError, False, None),
        (Refused(429, retry_after=7), ProviderError, True, 7.0),
        (Refused(503), ProviderError, True, None),
        (CutAfter(0.0), ProviderError, True, None),
        (NoSound(), ProviderError, True, None),
    ],
)
async def test_failures_say_whether_to_try_again(emulator, tts, fault, kind, retryable, retry_after):
    emulator.plan(fault)
    with pytest.raises(ProviderError) as caught:
        await said(tts)
    assert (type(caught.value), caught.value.retryable, caught.value.retry_after) == (kind, retryable, retry_after)
    assert "Hello" not in caught.value.detail
    assert [chunk.text for chunk in await said(tts, "Again.")] == ["Again."]


async def test_a_connection_that_breaks_in_mid_sentence_leaves_what_was_said(emulator, tts):
    emulator.plan(CutAfter(1.5))
    heard = []
    with pytest.raises(ProviderError, match="connection") as caught:
        async for chunk in tts.speak(TEXT, rachel()):
            heard.append(chunk.text)
    assert caught.value.retryable
    assert TEXT.startswith(" ".join(heard))
    assert heard


async def test_a_voice_that_does_not_answer_is_given_up(emulator, tts, monkeypatch):
    stuck = asyncio.Event()

    async def never() -> None:
        await stuck.wait()

    monkeypatch.setattr(emulator._faults, "next", never)
    tts._client.timeout = 0.05
    with pytest.raises(ProviderTimeout):
        await said(tts)
    stuck.set()


async def test_no_key_is_told_by_its_variable_and_a_key_is_never_shown():
    with pytest.raises(ProviderUnconfigured, match="ELEVENLABS_API_KEY"):
        elevenlabs.make(Account(id=PLATFORM, provider="elevenlabs"))


async def test_warming_never_fails():
    nowhere = Account(
        id=PLATFORM, provider="elevenlabs", secrets={"api_key": "k"}, options={"base_url": "http://127.0.0.1:9"}
    )
    tts = elevenlabs.make(nowhere)
    await tts.warm()
    await tts.aclose()


async def test_the_vendors_own_library_understands_the_emulator(emulator):
    async with httpx.AsyncClient() as http:
        await require_understood(emulator, http)


async def require_understood(emulator: ElevenLabsEmulator, http: httpx.AsyncClient) -> None:
    client = AsyncElevenLabs(api_key=emulator.key, base_url=emulator.url, httpx_client=http)
    speech = await ToneVoice().say(TEXT, speed=1.1)
    whole = b"".join(
        [
            part
            async for part in client.text_to_speech.stream(
                RACHEL,
                text=TEXT,
                model_id="eleven_flash_v2_5",
                output_format="pcm_24000",
                voice_settings=VoiceSettings(stability=0.5, speed=1.1),
            )
        ]
    )
    assert Pcm.from_bytes(whole, 24000).same_as(speech.audio)
    signs = []
    async for piece in client.text_to_speech.stream_with_timestamps(RACHEL, text=TEXT, output_format="pcm_24000"):
        assert piece.audio_base_64
        signs += piece.alignment.characters if piece.alignment else []
    assert "".join(signs) == TEXT
    with pytest.raises(ApiError) as caught:
        await AsyncElevenLabs(api_key="wrong", base_url=emulator.url, httpx_client=http).models.list()
    assert caught.value.status_code == 401
