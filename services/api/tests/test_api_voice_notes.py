"""Voice messages are read in utterances, by the first recogniser of the agent's that can, and never for longer than anybody listens."""

import asyncio
import io
import wave
from typing import Any

import numpy as np
import pytest
from voisnap_api.messaging import voice_notes
from voisnap_api.messaging.voice_notes import VoiceNotes
from voisnap_domain.agents import Transcription, TranscriptionProvider
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.ports.stt import SttCapabilities, Transcript
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_testkit.finished_calls import Call

pytestmark = pytest.mark.slice


class Stream:
    """Hears how long each utterance was."""

    def __init__(self) -> None:
        self.samples = 0
        self.results: asyncio.Queue[Transcript] = asyncio.Queue()
        self.closed = False
        self.utterance = 0

    def push(self, audio: Any) -> None:
        self.samples += len(audio.samples)

    def flush(self) -> None:
        self.results.put_nowait(Transcript(utterance=self.utterance, text="(so far)", is_final=False, confidence=0.5))
        text = f"{self.samples / 16000:.0f} s"
        self.results.put_nowait(Transcript(utterance=self.utterance, text=text, is_final=True, confidence=0.9))
        self.samples, self.utterance = 0, self.utterance + 1

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Transcript:
        return await self.results.get()

    async def aclose(self) -> None:
        self.closed = True


class Recogniser:
    provider = "local"
    capabilities = SttCapabilities(interim_results=True, word_timings=False, continuous=False)

    def __init__(self) -> None:
        self.streams: list[Stream] = []

    def open(self, settings: Any, *, keyterms: tuple[str, ...] = ()) -> Stream:
        self.streams.append(Stream())
        return self.streams[-1]


class Registry:
    def __init__(self) -> None:
        self.local = Recogniser()
        self.asked: list[str] = []

    def stt(self, name: str, own: Any) -> Recogniser:
        self.asked.append(name)
        if name != "local":
            raise ProviderUnconfigured(f"{name} is not set up")
        return self.local


def sound(seconds: float) -> bytes:
    """A wave file: noise with a silence around every twelfth second."""
    samples = (np.random.default_rng(1).normal(0, 3000, int(seconds * 16000))).astype("<i2")
    for second in range(12, int(seconds), 12):
        samples[second * 16000 : second * 16000 + 4000] = 0
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16000)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(voice_notes.factories, "load", lambda wanted: None)
    return Registry()


async def test_a_long_message_is_cut_where_it_is_quiet_and_ends_where_patience_does(registry, monkeypatch):
    monkeypatch.setattr(voice_notes, "MOST_SECONDS", 40.0)
    plan = Call(transcription=Transcription(provider=TranscriptionProvider.DEEPGRAM)).plan
    heard = await VoiceNotes(registry, TenantAccounts(None, {})).transcript(plan, sound(90))
    assert heard.text == f"12 s 12 s 12 s 4 s {voice_notes.CUT}"
    (leg,) = heard.legs
    assert (leg.kind, leg.provider, leg.audio_seconds) == ("stt", "local", pytest.approx(40.0, abs=0.1))
    assert registry.asked == ["deepgram", "local"], "the agent's own first"
    assert registry.local.streams[0].closed


async def test_what_is_no_sound_is_said_to_be_none(registry):
    with pytest.raises(ValueError, match="sound"):
        await VoiceNotes(registry, TenantAccounts(None, {})).transcript(Call().plan, b"\x00not a sound")


async def test_nobody_who_can_read_it_is_a_fault(registry, monkeypatch):
    def away(name: str, own: Any) -> Any:
        raise ProviderError("away", provider=name, kind="stt", retryable=True)

    monkeypatch.setattr(registry, "stt", away)
    with pytest.raises(ProviderError):
        await VoiceNotes(registry, TenantAccounts(None, {})).transcript(Call().plan, sound(1))


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\x00\x00\x00\x00\x00\x00"], ids=["bare", "behind a tag"])
@pytest.mark.parametrize(
    "content",
    [
        b"ffconcat version 1.0\nfile others.wav\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nothers.wav\n#EXT-X-ENDLIST\n",
    ],
    ids=["list", "session", "playlist"],
)
async def test_a_message_that_names_other_sounds_is_none(registry, tmp_path, monkeypatch, content, tag):
    (tmp_path / "others.wav").write_bytes(sound(1))
    monkeypatch.chdir(tmp_path)
    notes = VoiceNotes(registry, TenantAccounts(None, {}))
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="sound"):
            await notes.transcript(Call().plan, tag + content)
    assert [stream.samples for stream in registry.local.streams] in ([], [0])
