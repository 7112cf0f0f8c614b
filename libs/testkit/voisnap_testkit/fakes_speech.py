"""Fake speech: recognisers and voices that are exact, fast and obey the ports.

All delays are the event loop's time, so they pass at once in virtual time.

    FakeStt(["hello", "what time do you close"])    the next text at each flush
    FakeStt()                                       the text hidden in the sound by `spoken(text)`
    FakeTts(ms_per_char=60, delay_ms=40)            a tone as long as the text, with exact word times
    ScriptedLlm({"demo": "when: hi -> Hello!"})     the provider of that name
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

import msgspec
import numpy as np
from voisnap_domain.agents import Transcription, TranscriptionProvider, Voice
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.stt import SttCapabilities, Transcript
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord, TtsCapabilities
from voisnap_providers.vendors.scripted.llm import ScriptedLlm

__all__ = ["FakeStt", "FakeSttStream", "FakeTts", "ScriptedLlm", "spoken"]

MARK = np.array([32101, -32102, 32103], dtype=np.int16)
PARTIAL_EVERY_SECONDS = 0.32


AGENT_HERTZ = 310
"""The agent's voice is another one than the caller's: otherwise the caller would be taken for its echo."""


def spoken(text: str, *, rate: int = 16000, ms_per_char: float = 60) -> Pcm:
    """A tone as long as the text would take to say, with the text hidden in its first samples for `FakeStt()`."""
    data = text.encode()
    tone = _tone(max(len(text), 1) * ms_per_char / 1000, rate)
    hidden = np.concatenate([MARK, np.array([len(data), *data], dtype=np.int16)])
    if len(hidden) > len(tone):
        tone = np.concatenate([tone, np.zeros(len(hidden) - len(tone), np.int16)])
    tone[: len(hidden)] = hidden
    return Pcm(tone, rate)


def listening(*, language: str = "en", model: str | None = None) -> Transcription:
    """How a recogniser is asked to listen."""
    return Transcription(provider=TranscriptionProvider.LOCAL, language=language, model=model)


class FakeStt:
    """A recogniser that knows what will be said. `streams` keeps those opened, for assertions."""

    provider = "fake"

    def __init__(
        self,
        texts: Iterable[str] | None = None,
        *,
        delay_ms: float = 0,
        partials: bool = True,
        confidence: float = 0.95,
        error: ProviderError | None = None,
    ) -> None:
        self.capabilities = SttCapabilities(interim_results=partials, word_timings=True, continuous=False)
        self.texts = None if texts is None else deque(texts)
        self.delay_seconds = delay_ms / 1000
        self.confidence = confidence
        self.error = error
        self.streams: list[FakeSttStream] = []

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "FakeSttStream":
        """A stream that shares this recogniser's texts."""
        stream = FakeSttStream(self, settings.language)
        self.streams.append(stream)
        return stream

    async def aclose(self) -> None:
        """Close every stream."""
        for stream in self.streams:
            await stream.aclose()


class FakeSttStream:
    """One caller's stream. `pauses`, `flushes`, `resets` count calls; `heard_seconds` is all audio ever pushed."""

    def __init__(self, owner: FakeStt, language: str) -> None:
        self.language = language
        self.pauses = self.flushes = self.resets = 0
        self.heard_seconds = 0.0
        self.is_closed = False
        self._owner = owner
        self._results: asyncio.Queue[tuple[float, Transcript] | None] = asyncio.Queue()
        self._utterance: list[Pcm] = []
        self._start_seconds = 0.0
        self._partials_sent = 0

    def push(self, audio: Pcm) -> None:
        """Keep the audio; from the second word on every 320 ms of it give one more word of a partial."""
        self._require_rate(audio)
        if self.is_closed:
            return
        self._utterance.append(audio)
        self.heard_seconds += audio.seconds
        self._offer_partial()

    def pause(self) -> None:
        """What a flush would give, if the recogniser gives interim results."""
        self.pauses += 1
        if self.is_closed or not self._owner.capabilities.interim_results:
            return
        if self._owner.texts is not None:
            text = self._owner.texts[0] if self._owner.texts else ""
        else:
            text = " ".join(_hidden_texts(self._audio()))
        if text:
            prepared = msgspec.structs.replace(self._transcript(text, is_final=False), is_prepared=True)
            self._put(prepared, delay=self._owner.delay_seconds)

    def flush(self) -> None:
        """One final: the next text."""
        if self.is_closed:
            return
        if self._owner.texts is not None:
            text = self._owner.texts.popleft() if self._owner.texts else ""
        else:
            text = " ".join(_hidden_texts(self._audio()))
        self._put(self._transcript(text, is_final=True), delay=self._owner.delay_seconds)
        self.flushes += 1
        self._forget()

    def reset(self) -> None:
        """Forget the utterance's audio; its text, if given by list, is still to come."""
        self.resets += 1
        self._forget()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Transcript]:
        loop = asyncio.get_running_loop()
        while (item := await self._results.get()) is not None:
            due, transcript = item
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if self._owner.error is not None and transcript.is_final:
                raise self._owner.error
            yield transcript

    async def aclose(self) -> None:
        """End the iteration."""
        if not self.is_closed:
            self.is_closed = True
            self._results.put_nowait(None)

    def _require_rate(self, audio: Pcm) -> None:
        if audio.rate != self._owner.capabilities.sample_rate:
            raise ValueError(f"this recogniser wants {self._owner.capabilities.sample_rate} Hz, got {audio.rate} Hz")

    def _offer_partial(self) -> None:
        if not self._owner.capabilities.interim_results:
            return
        if self._owner.texts is not None:
            text = self._owner.texts[0] if self._owner.texts else ""
        else:
            text = " ".join(_hidden_texts(self._audio()))
        due = int((self.heard_seconds - self._start_seconds) / PARTIAL_EVERY_SECONDS + 1e-9)
        words = text.split()
        if self._partials_sent < due and self._partials_sent < len(words):
            self._partials_sent += 1
            self._put(self._transcript(" ".join(words[: self._partials_sent]), is_final=False), delay=0)

    def _put(self, transcript: Transcript, *, delay: float) -> None:
        self._results.put_nowait((asyncio.get_running_loop().time() + delay, transcript))

    def _transcript(self, text: str, *, is_final: bool) -> Transcript:
        seconds = self.heard_seconds - self._start_seconds
        words = text.split()
        share = seconds / len(words) if words else 0.0
        return Transcript(
            utterance=self.flushes,
            text=text,
            is_final=is_final,
            confidence=self._owner.confidence if text else 0.0,
            words=tuple(
                Word(
                    word=word,
                    start_time=self._start_seconds + share * number,
                    end_time=self._start_seconds + share * (number + 1),
                    confidence=self._owner.confidence,
                )
                for number, word in enumerate(words)
            ),
            audio_seconds=seconds,
            decode_ms=self._owner.delay_seconds * 1000 if is_final else 0.0,
        )

    def _audio(self) -> Pcm:
        return Pcm.concat(self._utterance, self._owner.capabilities.sample_rate)

    def _forget(self) -> None:
        self._utterance = []
        self._start_seconds = self.heard_seconds
        self._partials_sent = 0


class FakeTts:
    """A voice of tones: each character lasts `ms_per_char` ms (words sound, spaces are silent), one chunk a sentence.

    `delay_ms` is waited before each chunk. `spoken` keeps the sentences really begun. `error` is raised instead of the first chunk.
    """

    provider = "fake"

    def __init__(
        self,
        ms_per_char: float = 60,
        *,
        delay_ms: float = 0,
        sample_rate: int = 24000,
        error: ProviderError | None = None,
    ) -> None:
        self.capabilities = TtsCapabilities(sample_rate=sample_rate, word_timings=True, voices=("tone",))
        self.ms_per_char = ms_per_char
        self.delay_seconds = delay_ms / 1000
        self.error = error
        self.spoken: list[str] = []

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """A tone a sentence."""
        for sentence in _sentences(text):
            await asyncio.sleep(self.delay_seconds)
            if self.error is not None:
                raise self.error
            self.spoken.append(sentence)
            yield self._chunk(sentence, voice.speed)

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to free."""

    def _chunk(self, sentence: str, speed: float) -> SpeechChunk:
        rate = self.capabilities.sample_rate
        second_per_char = self.ms_per_char / 1000 / speed
        samples = np.zeros(round(len(sentence) * second_per_char * rate), np.int16)
        words = []
        for match in re.finditer(r"\S+", sentence):
            start, end = match.start() * second_per_char, match.end() * second_per_char
            first, last = round(start * rate), min(round(end * rate), len(samples))
            samples[first:last] = _tone((last - first + 1) / rate, rate, hertz=AGENT_HERTZ)[: last - first]
            words.append(SpokenWord(word=match[0], start=start, end=end))
        return SpeechChunk(audio=Pcm(samples, rate), text=sentence, words=tuple(words))


def _tone(seconds: float, rate: int, *, hertz: float = 220) -> np.ndarray:
    moments = np.arange(round(seconds * rate)) / rate
    return np.rint(8000 * np.sin(2 * np.pi * hertz * moments)).astype(np.int16)


def _sentences(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in re.split(r"(?<=[.!?])\s+", text))
    return tuple(part for part in parts if re.search(r"\w", part))


def _hidden_texts(audio: Pcm) -> tuple[str, ...]:
    samples = audio.samples
    texts = []
    for at in np.flatnonzero(samples == MARK[0]):
        if not np.array_equal(samples[at : at + len(MARK)], MARK) or at + len(MARK) >= len(samples):
            continue
        start = int(at) + len(MARK) + 1
        data = samples[start : start + int(samples[start - 1])]
        texts.append(bytes(data.astype(np.uint8)).decode(errors="ignore"))
    return tuple(texts)
