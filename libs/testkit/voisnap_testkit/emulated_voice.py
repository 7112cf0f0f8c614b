"""What emulators of voices speak with: the local voice, or a tone as long as the text would take, both with the times of every sign.

voice = ToneVoice()                      # unit tests
voice = LocalVoice(hibari)               # real speech, from the loaded model; `LocalVoice()` loads it when first asked
speech = await voice.say("Hello there.", speed=1.1)
encoded(speech.audio, "pcm_s16le", 16000)
"""

import asyncio
import struct
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.g711 import alaw_encode, mulaw_encode
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_providers.ports.tts import SpokenWord
from voisnap_providers.vendors.local.normalise import sentences

from .fakes_speech import FakeTts

RATE = 24000

Encoding = Literal["pcm_s16le", "wav", "mulaw", "alaw"]


class SpokenSign(msgspec.Struct, frozen=True, kw_only=True):
    """A character of the text and when it is spoken, in seconds since the first sample."""

    sign: str
    start: float
    end: float


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """A text as it was spoken, at 24 kHz; `words` are in the order of the text, as written, times since the first sample."""

    text: str
    audio: Pcm
    words: tuple[SpokenWord, ...]

    def signs(self) -> tuple[SpokenSign, ...]:
        """Every character of `text`: those of a word share its time, others lie between the words."""
        signs: list[SpokenSign] = []
        for word, (first, end) in zip(self.words, self.places(), strict=True):
            signs += _spread(self.text[len(signs) : first], signs[-1].end if signs else 0.0, word.start)
            signs += _spread(self.text[first:end], word.start, word.end)
        since = signs[-1].end if signs else 0.0
        return (*signs, *_spread(self.text[len(signs) :], since, max(since, self.audio.seconds)))

    def places(self) -> tuple[tuple[int, int], ...]:
        """Where each word lies in `text`: its first character and the one after its last."""
        places, at = [], 0
        for word in self.words:
            first = self.text.index(word.word, at)
            at = first + len(word.word)
            places.append((first, at))
        return tuple(places)


class EmulatedVoice(Protocol):
    async def say(self, text: str, *, speed: float = 1.0) -> Speech:
        """The text spoken; without audio when there is nothing to say."""
        ...


class ToneVoice:
    """`ms_per_char` of tone a character, spaces silent."""

    def __init__(self, *, ms_per_char: float = 60) -> None:
        self._voice = FakeTts(ms_per_char, sample_rate=RATE)

    async def say(self, text: str, *, speed: float = 1.0) -> Speech:
        settings = Voice(provider=VoiceProvider.LOCAL, voice_id="tone", speed=speed)
        parts = [(chunk.audio, chunk.words) async for chunk in self._voice.speak(text, settings)]
        return _joined(text, parts)


class LocalVoice:
    """The local voice. Sentences of one text are computed one after the other, in a thread."""

    def __init__(self, model: Any = None) -> None:
        self._model = model
        self._loading = asyncio.Lock()

    async def say(self, text: str, *, speed: float = 1.0) -> Speech:
        async with self._loading:
            if self._model is None:
                self._model = await asyncio.to_thread(_load)
        parts = []
        for sentence in sentences(text):
            take = await asyncio.to_thread(self._model, sentence, min(max(speed, 0.5), 2.0))
            if take is not None:
                parts.append((Pcm.from_float32(take.audio, RATE), take.words))
        return _joined(text, parts)


def encoded(audio: Pcm, encoding: Encoding, rate: int) -> bytes:
    """Sound as a vendor sends it; `mulaw` and `alaw` are 8000 Hz."""
    if encoding in {"mulaw", "alaw"} and rate != 8000:
        raise ValueError(f"{encoding} is 8000 Hz here, not {rate} Hz")
    audio = audio if audio.rate == rate else resample(audio, rate)
    match encoding:
        case "pcm_s16le":
            return audio.to_bytes()
        case "wav":
            return wav_header(len(audio) * 2, rate) + audio.to_bytes()
        case "mulaw":
            return mulaw_encode(audio)
        case "alaw":
            return alaw_encode(audio)


def wav_header(size: int, rate: int) -> bytes:
    """The 44 bytes in front of 16-bit mono samples that take `size` bytes."""
    fmt = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    return struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16) + fmt + struct.pack("<4sI", b"data", size)


def _load() -> Any:
    from voisnap_providers.vendors.local.tts import HibariVoice  # noqa: PLC0415 - loads a model's libraries

    return HibariVoice()


def _joined(text: str, parts: list[tuple[Pcm, tuple[SpokenWord, ...]]]) -> Speech:
    words: list[SpokenWord] = []
    since = 0.0
    for audio, spoken in parts:
        words += [SpokenWord(word=word.word, start=since + word.start, end=since + word.end) for word in spoken]
        since += audio.seconds
    return Speech(text=text, audio=Pcm.concat([audio for audio, _ in parts], RATE), words=tuple(words))


def _spread(text: str, start: float, end: float) -> list[SpokenSign]:
    edges = np.linspace(start, max(start, end), len(text) + 1)
    return [
        SpokenSign(sign=sign, start=round(float(edges[at]), 4), end=round(float(edges[at + 1]), 4))
        for at, sign in enumerate(text)
    ]
