"""AssemblyAI against an emulator of it: what is asked, what is heard, the pace of audio, and every way sessions end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from assemblyai.streaming.v3 import (
    AsyncRealTimeTranscriber,
    Encoding,
    RealTimeEvents,
    RealTimeParameters,
    RealTimeTranscriberOptions,
    SpeechModel,
    TerminationEvent,
    TurnEvent,
)
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured
from voisnap_providers.live_stt import LiveSttRules
from voisnap_providers.ports.stt import SttStream, Transcript
from voisnap_providers.vendors import sockets
from voisnap_providers.vendors.assemblyai import stt as assemblyai
from voisnap_testkit.assemblyai_emulator import AssemblyAiEmulator
from voisnap_testkit.emulated_faults import CutAfter, FailedAfter, NeverFinal, Refused
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.fakes_speech import spoken

pytestmark = pytest.mark.conformance

FIRST, SECOND = "We are open on Monday.", "Where can I park my car?"
SPEED = 20.0
"""The emulator's clock, and with it what counts as real time."""


def account(emulator: AssemblyAiEmulator, key: str | None = None) -> Account:
    return Account(
        id=PLATFORM,
        provider="assemblyai",
        secrets={"api_key": key or emulator.key},
        options={"base_url": emulator.url},
    )


def rules(**changes: float) -> LiveSttRules:
    return msgspec.structs.replace(assemblyai.RULES, **{"fastest": SPEED, "finalise_timeout": 0.5, **changes})


def recogniser(emulator: AssemblyAiEmulator, **changes: float) -> assemblyai.AssemblyAiStt:
    return assemblyai.AssemblyAiStt(account(emulator), rules=rules(**changes))


def listening(**changes: object) -> Transcription:
    return Transcription(provider=TranscriptionProvider.ASSEMBLYAI, **changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def emulator() -> AsyncIterator[AssemblyAiEmulator]:
    async with AssemblyAiEmulator(speed=SPEED) as running:
        yield running
        assert running.violations == []


def push(stream: SttStream, audio: Pcm, *, ms: int = 20) -> None:
    for start in range(0, round(audio.duration_ms), ms):
        stream.push(audio.slice(start, start + ms))


async def until(stream: SttStream, wanted: Callable[[Transcript], bool]) -> Transcript:
    async with asyncio.timeout(10):
        async for transcript in stream:
            if wanted(transcript):
                return transcript
    raise AssertionError("the stream ended")


async def final(stream: SttStream) -> Transcript:
    return await until(stream, lambda transcript: transcript.is_final)


async def error_of(stream: SttStream) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await final(stream)
    return caught.value


# -- what is asked


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        (
            {"language": "en-US"},
            {"speech_model": "universal-streaming-english", "format_turns": "true", "filter_profanity": "false"},
        ),
        (
            {"language": "es-ES", "smart_format": False, "punctuate": False, "profanity_filter": True},
            {
                "speech_model": "universal-streaming-multilingual",
                "format_turns": "false",
                "filter_profanity": "true",
                "language_codes": '["es"]',
            },
        ),
        ({"model": "u3-rt-pro", "language": "fr"}, {"speech_model": "u3-rt-pro", "language_codes": '["fr"]'}),
    ],
)
async def test_settings_and_keyterms_reach_the_wire(emulator, settings, asked):
    stream = recogniser(emulator).open(listening(**settings), keyterms=("Voisnap", "Frau Müller"))
    push(stream, spoken(FIRST))
    stream.flush()
    text = (await final(stream)).text
    (seen,) = emulator.streams
    assert asked.items() <= seen.settings.items()
    assert json.loads(seen.settings["keyterms_prompt"]) == ["Voisnap", "Frau Müller"]
    assert seen.headers["assemblyai-version"] == "2025-05-12"
    is_plain = asked.get("format_turns") == "false"
    assert text == ("we are open on monday" if is_plain else FIRST)
    await stream.aclose()


async def test_without_a_key_there_is_no_recogniser():
    with pytest.raises(ProviderUnconfigured, match="ASSEMBLYAI_API_KEY"):
        assemblyai.make(Account(id=PLATFORM, provider="assemblyai"))


# -- what is heard


async def test_the_first_end_of_a_turn_ends_the_utterance_and_the_formatted_one_is_the_text(emulator):
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(FIRST))
    stream.pause()
    over = await until(stream, lambda item: item.ends_utterance)
    assert over.text == "we are open on monday"
    formatted = await until(stream, lambda item: item.text == FIRST)
    assert (formatted.is_final, formatted.is_prepared) == (False, True)
    stream.flush()
    heard = await final(stream)
    assert (heard.text, [word.word for word in heard.words]) == (FIRST, FIRST.split())
    assert emulator.streams[0].messages == []
    push(stream, spoken(SECOND))
    stream.flush()
    assert (await final(stream)).text == SECOND
    assert emulator.streams[0].messages == ["ForceEndpoint"]
    await stream.aclose()


async def test_interim_results_hold_words_that_may_still_change(emulator):
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(FIRST))
    assert (await until(stream, lambda item: bool(item.text))).text.endswith("monday")
    await stream.aclose()


async def test_where_nothing_was_said_the_vendor_says_nothing_and_the_final_is_empty(emulator):
    stream = recogniser(emulator).open(listening())
    push(stream, Pcm.silence(16000, 900))
    stream.flush()
    assert (await final(stream)).text == ""
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert len(emulator.streams) == 1
    await stream.aclose()


async def test_messages_hold_50_to_1000_ms_and_the_shortest_turn_still_fits(emulator):
    stream = recogniser(emulator).open(listening())
    stream.push(spoken("Hi", ms_per_char=15))
    stream.flush()
    assert (await final(stream)).text == "Hi"
    push(stream, spoken(FIRST))
    stream.flush()
    await final(stream)
    sizes = emulator.streams[0].sizes_ms
    assert min(sizes) == 50
    assert max(sizes) <= 500
    await stream.aclose()


# -- how sessions end


async def test_a_session_that_expires_is_replaced_and_one_is_renewed_before_it_does(emulator):
    emulator.session_seconds = 8.0
    renewing = recogniser(emulator, max_age=8.0 / SPEED)
    stream = renewing.open(listening())
    await asyncio.sleep(0.5)
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    await stream.aclose()
    expiring = recogniser(emulator)
    began = len(emulator.streams)
    stream = expiring.open(listening())
    await asyncio.sleep(0.5)
    push(stream, spoken(SECOND))
    stream.flush()
    assert (await final(stream)).text == SECOND
    assert len(emulator.streams) == began + 2
    await stream.aclose()


@pytest.mark.parametrize("fault", [CutAfter(1.0), FailedAfter("3005", 1.0), FailedAfter("3008", 1.0)])
async def test_a_session_lost_in_mid_sentence_loses_no_word(emulator, fault):
    emulator.plan(fault)
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert len(emulator.streams) == 2
    await stream.aclose()


async def test_a_refused_key_is_final_and_told_without_the_key(emulator):
    stream = assemblyai.make(account(emulator, "wrong-key")).open(listening())
    error = await error_of(stream)
    assert isinstance(error, ProviderAuthError)
    assert "wrong-key" not in str(error)
    assert len(emulator.streams) == 1
    await stream.aclose()


async def test_too_many_sessions_and_an_account_without_money_are_told_apart(emulator):
    stt = recogniser(emulator)
    emulator.plan(Refused(429, retry_after=5))
    stream = stt.open(listening())
    error = await error_of(stream)
    assert (error.retryable, error.retry_after) == (True, 5.0)
    await stream.aclose()
    emulator.plan(FailedAfter("4002", 0.05))
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    assert not (await error_of(stream)).retryable
    await stream.aclose()


async def test_an_unknown_model_is_told_at_once(emulator):
    stream = recogniser(emulator).open(listening(model="universal-9"))
    error = await error_of(stream)
    assert not error.retryable
    assert emulator.violations == ["Invalid speech_model: universal-9"]
    emulator.violations.clear()
    await stream.aclose()


async def test_without_finals_the_last_interim_words_are_taken(emulator):
    emulator.plan(NeverFinal())
    stream = recogniser(emulator).open(listening())
    push(stream, spoken(FIRST))
    await until(stream, lambda item: bool(item.text))
    stream.flush()
    assert (await final(stream)).text == "we are open on monday"
    await stream.aclose()


async def test_nobody_at_the_address_is_an_error_that_may_pass():
    away = Account(
        id=PLATFORM, provider="assemblyai", secrets={"api_key": "k"}, options={"base_url": "http://127.0.0.1:9"}
    )
    stream = assemblyai.make(away).open(listening())
    error = await error_of(stream)
    assert error.retryable
    assert not isinstance(error, ProviderTimeout)
    await stream.aclose()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ((bytes(640),), 3007),
        ((bytes(34000),), 3007),
        ((bytes(32000),) * 3, 3007),
        (('{"type":"Finalize"}',), 3006),
    ],
)
async def test_the_emulator_minds_the_length_and_the_pace_of_audio(messages: tuple[str | bytes, ...], code: int):
    async with AssemblyAiEmulator() as emulator:
        url = emulator.url.replace("http", "ws") + "/v3/ws?sample_rate=16000&speech_model=universal-streaming-english"
        socket = await sockets.open_socket(url, {"Authorization": emulator.key}, provider="assemblyai")
        for message in messages:
            await socket.send(message)
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert (socket.close_code, len(emulator.violations)) == (code, 1)


# -- the emulator, judged by AssemblyAI's own client, and real speech in real time


async def test_assemblyais_own_client_understands_the_emulator_with_real_speech(registry, say):
    async with AssemblyAiEmulator(LocalWords(registry.part("moonshine")), speed=SPEED) as emulator:
        client = AsyncRealTimeTranscriber(
            RealTimeTranscriberOptions(api_key=emulator.key, api_host=emulator.url.replace("http", "ws"))
        )
        turns: asyncio.Queue[TurnEvent] = asyncio.Queue()
        ended: asyncio.Queue[TerminationEvent] = asyncio.Queue()

        async def turned(_client: object, event: TurnEvent) -> None:
            turns.put_nowait(event)

        async def terminated(_client: object, event: TerminationEvent) -> None:
            ended.put_nowait(event)

        client.on(RealTimeEvents.Turn, turned)
        client.on(RealTimeEvents.Termination, terminated)
        await client.connect(
            RealTimeParameters(
                sample_rate=16000,
                encoding=Encoding.pcm_s16le,
                speech_model=SpeechModel.universal_streaming_english,
                format_turns=True,
            )
        )
        audio = say(FIRST).to_bytes()
        for start in range(0, len(audio) // 3200 * 3200, 3200):
            await client.stream(audio[start : start + 3200])
        await client.force_endpoint()
        async with asyncio.timeout(5):
            event = await turns.get()
            while not (event.end_of_turn and event.turn_is_formatted):
                event = await turns.get()
            await client.disconnect(terminate=True)
            assert (await ended.get()).audio_duration_seconds == round(emulator.streams[0].audio_seconds)
        assert event.transcript.lower() == FIRST.lower()
        assert emulator.violations == []


async def test_real_speech_goes_out_no_faster_than_real_time(registry, say):
    async with AssemblyAiEmulator(LocalWords(registry.part("moonshine"))) as emulator:
        stream = assemblyai.make(account(emulator)).open(listening())
        push(stream, say(SECOND))
        stream.flush()
        assert (await final(stream)).text.lower() == SECOND.lower()
        await stream.aclose()
        assert emulator.violations == []
