"""Amazon Polly, against the emulator with its verified signatures."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_providers.vendors.aws import tts as polly
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.emulated_faults import CutAfter, Fault, NoSound, Refused, SlowStart
from voisnap_testkit.emulated_voice import LocalVoice

pytestmark = pytest.mark.conformance

TEXT = "Fish & chips for <two>? Your order costs $12."


@pytest.fixture
async def emulator() -> AsyncIterator[AwsEmulator]:
    async with AwsEmulator() as running:
        yield running


@pytest.fixture
async def tts(emulator: AwsEmulator) -> AsyncIterator[polly.PollyTts]:
    made = polly.make(account(emulator))
    yield made
    await made.aclose()


def account(emulator: AwsEmulator, **secrets: str) -> Account:
    return Account(id="platform", provider="aws", secrets=emulator.secrets | secrets, options=emulator.options)


def voice(voice_id: str = "Joanna", **changes) -> Voice:
    return Voice(provider=VoiceProvider.AWS, voice_id=voice_id, **changes)


async def spoken(tts: polly.PollyTts, text: str, by: Voice) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.speak(text, by)]


async def test_words_lie_where_the_marks_of_the_second_request_say(emulator, tts):
    chunks = await spoken(tts, TEXT, voice())
    assert " ".join(chunk.text for chunk in chunks) == TEXT
    starts, before = [], 0.0
    for chunk in chunks:
        starts += [round(before + word.start, 2) for word in chunk.words]
        before += chunk.audio.seconds
    # the emulator's tone says a sign in 60 ms; "&" and "<" are written as entities only where SSML is sent
    words = [word for word in TEXT.split() if word != "&"]
    assert starts == pytest.approx([_place(word) * 0.06 for word in words], abs=0.02)
    speech, marks = sorted(
        (request.body for request in emulator.polly.requests), key=lambda body: body["OutputFormat"] == "json"
    )
    assert (speech["OutputFormat"], speech["SampleRate"], speech["Engine"]) == ("pcm", "16000", "neural")
    assert (marks["SpeechMarkTypes"], marks["Text"], speech["Text"]) == (["word"], TEXT, TEXT)


def _place(word: str) -> int:
    """Where a word begins in the sound of the text: the pause between the sentences is part of neither."""
    at = TEXT.index(word)
    return at if at < TEXT.index("Your") else at - 1


async def test_speed_goes_by_ssml_with_the_text_escaped_and_words_still_timed(emulator, tts):
    chunks = await spoken(tts, TEXT, voice(speed=1.5))
    assert " ".join(chunk.text for chunk in chunks) == TEXT
    body = next(request.body for request in emulator.polly.requests if request.body["OutputFormat"] == "pcm")
    assert body["TextType"] == "ssml"
    assert body["Text"].startswith('<speak><prosody rate="150%">Fish &amp; chips for &lt;two&gt;?')
    starts = [chunk.words[0].start for chunk in chunks]
    assert max(starts) < 0.05  # each chunk is cut where its first word begins


async def test_the_engine_follows_the_voice_and_is_remembered(emulator, tts):
    await spoken(tts, "Guten Tag.", voice("Hans"))  # standard only
    await spoken(tts, "Guten Tag.", voice("Hans"))
    await spoken(tts, "Hello.", voice("Ruth:generative"))
    taken = [
        (one.body["VoiceId"], one.body["Engine"])
        for one in emulator.polly.requests
        if one.body["OutputFormat"] == "pcm"
    ]
    assert taken == [("Hans", "standard"), ("Hans", "standard"), ("Ruth", "generative")]


async def test_warming_tells_the_engines_of_all_pages(emulator, tts):
    await tts.warm()
    await spoken(tts, "Hello.", voice("Tiffany"))
    assert [one.body["Engine"] for one in emulator.polly.requests] == ["generative"]  # no marks, no wrong guess before


async def test_an_unknown_voice_is_replaced(emulator, tts):
    assert [chunk.text for chunk in await spoken(tts, "Hello.", voice("EXAVITQu4vr4xnSDxMaL"))] == ["Hello."]
    assert {one.body["VoiceId"] for one in emulator.polly.requests} == {"Joanna"}


async def test_a_voice_called_like_a_fault_takes_no_times_of_words_from_the_others(emulator, tts):
    asked = polly._Request(voice_id="speech mark", text="Hello.", speed=1.0)
    assert await tts._marks(await tts._opened(), asked, "neural") == []
    await spoken(tts, "Hello.", voice("Joanna"))
    assert {one.body["OutputFormat"] for one in emulator.polly.requests} == {"pcm", "json"}


async def test_long_text_goes_in_parts_and_comes_out_whole(emulator, tts, monkeypatch):
    monkeypatch.setattr(polly, "MAX_CHARACTERS", 40)
    text = "Somebody reads a very long list. And then another one."
    chunks = await spoken(tts, text, voice("Joanna:generative"))
    assert " ".join(chunk.text for chunk in chunks) == text
    assert len(emulator.polly.requests) == 2


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        (Refused(429), True),
        (Refused(500), True),
        (Refused(503), True),
        (Refused(400), False),
        (NoSound(), True),
        (CutAfter(0.4), True),
    ],
)
async def test_faults_of_the_vendor_are_told_and_the_next_sentence_is_spoken(
    emulator, tts, fault: Fault, retryable: bool
):
    emulator.plan(fault)
    with pytest.raises(ProviderError) as caught:
        await spoken(tts, "My secret is blue.", voice())
    assert (caught.value.retryable, caught.value.provider, caught.value.kind) == (retryable, "aws", "tts")
    assert "secret" not in str(caught.value)
    assert await spoken(tts, "Again.", voice())


@pytest.mark.parametrize(
    "wrong", [{"secret_access_key": "other"}, {"access_key_id": "AKIDOTHER"}, {"session_token": "old"}]
)
async def test_a_refused_key_is_told_as_such(emulator, wrong: dict[str, str]):
    tts = polly.make(account(emulator, **wrong))
    with pytest.raises(ProviderAuthError) as caught:
        await spoken(tts, "Hello.", voice())
    assert not caught.value.retryable
    assert not set(wrong.values()) & set(str(caught.value).split())
    await tts.warm()  # is logged, not raised
    await tts.aclose()


async def test_words_are_estimated_when_their_times_are_late(emulator, tts, monkeypatch):
    async def never(*_: object) -> list[tuple[int, int, float]]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(tts, "_marks", never)
    monkeypatch.setattr(polly, "MARKS_PATIENCE_SECONDS", 0.01)
    chunks = await spoken(tts, TEXT, voice())
    assert " ".join(chunk.text for chunk in chunks) == TEXT
    assert all(word.end > word.start for chunk in chunks for word in chunk.words)


async def test_an_interrupted_sentence_ends_at_the_vendor_too(emulator, tts):
    await tts.warm()
    emulator.asked.clear()
    emulator.plan(SlowStart(60))
    waiting = asyncio.ensure_future(spoken(tts, "A sentence nobody wants any more.", voice("Joanna:generative")))
    async with asyncio.timeout(5):
        await emulator.asked.wait()
        waiting.cancel()
        await emulator.hung_up.wait()
    assert await spoken(tts, "Again.", voice())


async def test_real_speech_comes_with_its_words(registry, hibari):
    async with AwsEmulator(voice=LocalVoice(hibari)) as emulator:
        tts = polly.make(account(emulator))
        text = "Your appointment is on Friday. Can I help you with anything else?"
        chunks = await spoken(tts, text, voice())
        sound = Pcm.concat([chunk.audio for chunk in chunks])
        heard = registry.part("moonshine")(resample(sound, 16000).as_float32()).text
        assert heard.startswith(text.rstrip("?"))
        assert " ".join(word.word for chunk in chunks for word in chunk.words) == text
        await tts.aclose()
