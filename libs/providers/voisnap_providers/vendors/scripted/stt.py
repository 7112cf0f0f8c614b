"""A recogniser that hears what it was told it would, at once: for load measurements and demos without models.

Whatever is said becomes the `model` of its settings ("Hello there." without one); a turn without any audio becomes nothing. Words come as
partial results while audio is pushed, and the final one comes at the flush itself: all a caller waits for is the platform.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

from voisnap_providers.ports.stt import SttCapabilities, Transcript

RATE = 16000
WORD_SECONDS = 0.32
"""Audio a word takes."""
DEFAULT_TEXT = "Hello there."
MAX_WAITING = 256
"""Results nobody reads are dropped beyond this, oldest first."""

CAPABILITIES = SttCapabilities(interim_results=True, word_timings=True, continuous=False, sample_rate=RATE)


class ScriptedStt:
    """One a process; `open` gives each caller a stream."""

    provider = "scripted"
    capabilities = CAPABILITIES

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "ScriptedSttStream":
        """Start listening; `model` is what will be heard."""
        del keyterms
        return ScriptedSttStream(settings.model or DEFAULT_TEXT)

    async def aclose(self) -> None:
        """Nothing to free."""


class ScriptedSttStream:
    """One caller's stream."""

    def __init__(self, text: str) -> None:
        self._words = text.split()
        self._results: asyncio.Queue[Transcript | None] = asyncio.Queue(MAX_WAITING)
        self._utterance = 0
        self._pushed = 0
        self._start = 0
        self._told = 0
        self._closed = False

    def push(self, audio: Pcm) -> None:
        """Count the audio; every `WORD_SECONDS` of it one more word is a partial result. Raises `ValueError` for another rate."""
        if audio.rate != RATE:
            raise ValueError(f"this recogniser wants {RATE} Hz, got {audio.rate} Hz")
        self._pushed += len(audio)
        due = min(int((self._pushed - self._start) / (RATE * WORD_SECONDS)), len(self._words))
        if due > self._told:
            self._told = due
            self._tell(self._transcript(due, is_final=False))

    def pause(self) -> None:
        """Nothing needs preparing."""

    def flush(self) -> None:
        """The final result, now: all words, or none when there was no audio."""
        self._tell(self._transcript(len(self._words) if self._pushed > self._start else 0, is_final=True))
        self._utterance += 1
        self.reset()

    def reset(self) -> None:
        """Forget the audio since the last flush."""
        self._start = self._pushed
        self._told = 0

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Transcript]:
        while (transcript := await self._results.get()) is not None:
            yield transcript

    async def aclose(self) -> None:
        """End the iteration."""
        if not self._closed:
            self._put(None)
            self._closed = True

    def _tell(self, transcript: Transcript) -> None:
        if not self._closed:
            self._put(transcript)

    def _put(self, item: Transcript | None) -> None:
        if self._results.full():
            self._results.get_nowait()
        self._results.put_nowait(item)

    def _transcript(self, count: int, *, is_final: bool) -> Transcript:
        seconds = (self._pushed - self._start) / RATE
        began = self._start / RATE
        share = seconds / len(self._words) if is_final and self._words else WORD_SECONDS
        words = tuple(
            Word(word=word, start_time=began + share * at, end_time=began + share * (at + 1), confidence=1.0)
            for at, word in enumerate(self._words[:count])
        )
        return Transcript(
            utterance=self._utterance,
            text=" ".join(self._words[:count]),
            is_final=is_final,
            confidence=1.0 if count else 0.0,
            words=words,
            audio_seconds=seconds,
        )
