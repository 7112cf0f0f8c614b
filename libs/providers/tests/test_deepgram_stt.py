"""Deepgram against an emulator of it: what is asked, what is heard, how connections live, and every way they fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured
from voisnap_providers.live_stt import Heard
from voisnap_providers.ports.stt import SttStream, Transcript
from voisnap_providers.vendors import sockets
from voisnap_providers.vendors.deepgram import stt as deepgram
from voisnap_providers.vendors.deepgram import wire
from voisnap_testkit.deepgram_emulator import DeepgramEmulator
from voisnap_testkit.emulated_faults import CutAfter, Fault, NeverFinal, Refused
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.fakes_speech import spoken

pytestmark = pytest.mark.conformance

FIRST, SECOND = "We are open on Monday.", "Where can I park my car?"


def account(emulator: DeepgramEmulator, key: str | None = None) -> Account:
    return Account(
        id=PLATFORM,
        provider="deepgram",
        secrets={"api_key": key or emulator.key},
        options={"base_url": emulator.url},
    )


def listening(**changes: object) -> Transcription:
    return Transcription(provider=TranscriptionProvider.DEEPGRAM, **changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def emulator() -> AsyncIterator[DeepgramEmulator]:
    async with DeepgramEmulator() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def stt(emulator: DeepgramEmulator) -> deepgram.DeepgramStt:
    return deepgram.make(account(emulator))


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


async def test_settings_and_keyterms_reach_the_wire(emulator, stt):
    stream = stt.open(
        listening(language="en-GB", smart_format=False, punctuate=True, profanity_filter=True),
        keyterms=("Voisnap", "Frau Müller"),
    )
    stream.flush()
    push(stream, spoken(FIRST))
    stream.flush()
    await final(stream)
    await final(stream)
    (seen,) = emulator.streams
    assert seen.path == "/v1/listen"
    wanted = {
        "model": "nova-3",
        "language": "en-GB",
        "encoding": "linear16",
        "sample_rate": "16000",
        "interim_results": "true",
        "smart_format": "false",
        "punctuate": "true",
        "profanity_filter": "true",
    }
    assert wanted.items() <= seen.settings.items()
    assert seen.keyterms == ("Voisnap", "Frau Müller")
    await stream.aclose()


async def test_older_models_get_keywords(emulator, stt):
    stream = stt.open(listening(model="nova-2"), keyterms=("Voisnap",))
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert emulator.streams[0].settings["keywords"] == "Voisnap"
    await stream.aclose()


async def test_without_a_key_there_is_no_recogniser():
    with pytest.raises(ProviderUnconfigured, match="DEEPGRAM_API_KEY"):
        deepgram.make(Account(id=PLATFORM, provider="deepgram"))


# -- what is heard


async def test_a_pause_finalises_and_the_flush_then_costs_no_message(emulator, stt):
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    stream.pause()
    prepared = await until(stream, lambda item: item.is_prepared)
    assert (prepared.text, prepared.is_final) == (FIRST, False)
    stream.flush()
    heard = await final(stream)
    assert heard.text == FIRST
    assert heard.confidence == pytest.approx(0.93)
    assert emulator.streams[0].messages == ["Finalize"]
    await stream.aclose()


async def test_interim_results_come_while_somebody_speaks(stt):
    stream = stt.open(listening())
    push(stream, spoken(FIRST, ms_per_char=80))
    partial = await until(stream, lambda item: item.text == FIRST)
    assert (partial.is_final, partial.is_prepared) == (False, False)
    await stream.aclose()


async def test_a_finalize_that_is_not_answered_costs_a_moment_and_no_word(emulator, stt):
    emulator.unanswered_seconds = 0.5
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    stream.pause()
    await until(stream, lambda item: item.is_prepared)
    push(stream, Pcm.silence(16000, 300))
    began = asyncio.get_running_loop().time()
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert asyncio.get_running_loop().time() - began < 1.0
    push(stream, spoken(SECOND))
    stream.flush()
    assert (await final(stream)).text == SECOND
    assert len(emulator.streams) == 1
    await stream.aclose()


async def test_flux_drafts_at_an_eager_end_and_says_when_the_caller_is_done(emulator, stt):
    stream = stt.open(listening(model="flux-general-en", profanity_filter=True), keyterms=("Voisnap",))
    push(stream, spoken(FIRST))
    stream.pause()
    eager = await until(stream, lambda item: item.is_prepared)
    over = await until(stream, lambda item: item.ends_utterance)
    assert (eager.text, eager.ends_utterance, over.text) == (FIRST, False, FIRST)
    stream.flush()
    heard = await final(stream)
    assert heard.text == FIRST
    assert [word.word for word in heard.words] == FIRST.split()
    seen = emulator.streams[0]
    assert seen.path == "/v2/listen"
    assert (seen.settings["profanity_filter"], seen.keyterms) == ("true", ("Voisnap",))
    assert seen.messages == []
    await stream.aclose()


async def test_flux_is_told_when_the_ear_knows_better(emulator, stt):
    stream = stt.open(listening(model="flux-general-multi", language="de-DE"))
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    push(stream, spoken(SECOND))
    stream.flush()
    heard = await final(stream)
    assert heard.text == SECOND
    assert heard.words[0].start_time >= spoken(FIRST).seconds
    assert emulator.streams[0].messages == ["ForceEndTurn", "ForceEndTurn"]
    assert emulator.streams[0].settings["language_hint"] == "de"
    await stream.aclose()


def test_an_utterance_end_tells_that_the_caller_is_done_and_unknown_messages_nothing():
    connection = deepgram.DeepgramConnection(None)  # pyright: ignore[reportArgumentType]
    read = wire.read('{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.1}')
    assert read is not None
    assert connection._understood(read) == Heard(text="", is_final=False, ends_utterance=True)
    assert wire.read('{"type":"SpeechStarted","timestamp":1.0}') is None
    with pytest.raises(ProviderError, match="no message"):
        wire.read('{"type":"Results","channel":[]}')


# -- how connections live and fail


async def test_a_silent_connection_is_kept_and_one_that_closes_for_idleness_is_replaced(emulator):
    emulator.idle_seconds = 0.3
    kept = deepgram.DeepgramStt(account(emulator), nova=msgspec.structs.replace(deepgram.NOVA, keep_alive=0.1))
    stream = kept.open(listening())
    await asyncio.sleep(0.8)
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert len(emulator.streams) == 1
    assert emulator.streams[0].messages.count("KeepAlive") >= 3
    await stream.aclose()

    stream = deepgram.make(account(emulator)).open(listening())
    await asyncio.sleep(0.5)
    push(stream, spoken(SECOND))
    stream.flush()
    assert (await final(stream)).text == SECOND
    assert len(emulator.streams) == 3
    await stream.aclose()


async def test_a_cut_in_mid_sentence_loses_no_word(emulator, stt):
    emulator.plan(CutAfter(1.0))
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    assert len(emulator.streams) == 2
    await stream.aclose()


async def test_a_refused_key_is_final_and_told_without_the_key(emulator):
    stream = deepgram.make(account(emulator, "wrong-key")).open(listening())
    error = await error_of(stream)
    assert isinstance(error, ProviderAuthError)
    assert "wrong-key" not in str(error)
    assert emulator.streams == []
    await stream.aclose()


@pytest.mark.parametrize(
    ("faults", "retryable", "wait"),
    [
        ((Refused(400),), False, None),
        ((Refused(402),), False, None),
        ((Refused(429, retry_after=7),), True, 7.0),
        ((Refused(503), Refused(503), Refused(503)), True, None),
    ],
)
async def test_a_refused_connection_is_tried_again_only_where_that_may_help(
    emulator, stt, faults: tuple[Fault, ...], retryable: bool, wait: float | None
):
    emulator.plan(*faults)
    stream = stt.open(listening())
    error = await error_of(stream)
    assert (error.retryable, error.retry_after, emulator.streams) == (retryable, wait, [])
    await stream.aclose()


async def test_one_refusal_that_passes_is_not_noticed(emulator, stt):
    emulator.plan(Refused(503))
    stream = stt.open(listening())
    push(stream, spoken(FIRST))
    stream.flush()
    assert (await final(stream)).text == FIRST
    await stream.aclose()


async def test_an_unknown_model_is_told_at_once(emulator, stt):
    stream = stt.open(listening(model="nova-99"))
    error = await error_of(stream)
    assert not error.retryable
    assert emulator.violations == ["model must not be 'nova-99'"]
    emulator.violations.clear()
    await stream.aclose()


async def test_without_finals_the_last_interim_words_are_taken(emulator):
    emulator.plan(NeverFinal())
    hasty = deepgram.DeepgramStt(account(emulator), nova=msgspec.structs.replace(deepgram.NOVA, finalise_timeout=0.3))
    stream = hasty.open(listening())
    push(stream, spoken(FIRST, ms_per_char=80))
    await until(stream, lambda item: item.text == FIRST)
    stream.flush()
    assert (await final(stream)).text == FIRST
    await stream.aclose()


async def test_nobody_at_the_address_is_an_error_that_may_pass(emulator):
    away = Account(
        id=PLATFORM, provider="deepgram", secrets={"api_key": "k"}, options={"base_url": "http://127.0.0.1:9"}
    )
    stream = deepgram.make(away).open(listening())
    error = await error_of(stream)
    assert error.retryable
    assert not isinstance(error, ProviderTimeout)
    await stream.aclose()


@pytest.mark.parametrize(
    ("path", "message", "violation"),
    [
        ("/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000", b'{"type":"KeepAlive"}', "no samples"),
        ("/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000", '{"type":"ForceEndTurn"}', "ForceEndTurn"),
        ("/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000", '{"type":"KeepAlive"}', "KeepAlive"),
    ],
)
async def test_the_emulator_minds_what_is_no_part_of_the_protocol(path: str, message: str | bytes, violation: str):
    async with DeepgramEmulator() as emulator:
        headers = {"Authorization": f"Token {emulator.key}"}
        socket = await sockets.open_socket(emulator.url.replace("http", "ws") + path, headers, provider="deepgram")
        await socket.send(b"{" + bytes(639))
        await socket.send(message)
        await socket.send('{"type":"CloseStream"}')
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert [violation in found for found in emulator.violations] == [True]


# -- the emulator, judged by Deepgram's own client, and real speech


@pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")
async def test_deepgrams_own_client_understands_the_emulator_with_real_speech(models_dir: Path, registry, say):
    async with DeepgramEmulator(LocalWords(registry.part("moonshine"))) as emulator:
        environment = DeepgramClientEnvironment(
            base=emulator.url,
            production=emulator.url.replace("http", "ws"),
            agent=emulator.url,
            agent_rest=emulator.url,
        )
        client = AsyncDeepgramClient(api_key=emulator.key, environment=environment)
        audio = say(FIRST).to_bytes()
        texts = []
        async with client.listen.v1.connect(
            model="nova-3", encoding="linear16", sample_rate="16000", punctuate="true"
        ) as connection:
            for start in range(0, len(audio), 3200):
                await connection.send_media(audio[start : start + 3200])
            await connection.send_close_stream()
            with contextlib.suppress(StopAsyncIteration):
                async for message in connection:
                    if message.type == "Results" and message.is_final:
                        texts.append(message.channel.alternatives[0].transcript)
        flux = []
        async with client.listen.v2.connect(
            model="flux-general-en", encoding="linear16", sample_rate="16000"
        ) as connection:
            for start in range(0, len(audio), 2560):
                await connection.send_media(audio[start : start + 2560])
            await connection.send_media(bytes(32000))
            async for message in connection:
                if message.type == "TurnInfo" and message.event == "EndOfTurn":
                    flux.append(message.transcript)
                    break
        assert emulator.violations == []
    assert (" ".join(texts).lower(), " ".join(flux).lower()) == (FIRST.lower(), FIRST.lower())


async def test_real_speech_is_heard_through_a_cut(registry, say):
    async with DeepgramEmulator(LocalWords(registry.part("moonshine"))) as emulator:
        emulator.plan(CutAfter(0.5))
        stream = deepgram.make(account(emulator)).open(listening())
        push(stream, say(SECOND))
        stream.pause()
        stream.flush()
        assert (await final(stream)).text.lower() == SECOND.lower()
        await stream.aclose()
        assert emulator.violations == []
