"""Cuts the audio that an emulator of a recogniser gets into segments at silences, as recognisers without a request for final words do."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

LOUD = 300
FRAME_MS = 20
MARGIN_FRAMES = 10
"""Silence before and after a segment that belongs to it."""
INTERIM_SECONDS = 0.8


class WordsOf(Protocol):
    """What hears: the words of a piece of audio, times since its first sample."""

    async def words(self, audio: Pcm) -> Sequence[Word]: ...


class HeardSegment(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard in a segment, all of it or so far; times are seconds since the first audio of the connection."""

    number: int
    is_final: bool
    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


class Segments:
    """`take` 16 kHz audio; after `silence_seconds` without sound a segment is final. `seconds` is all audio so far."""

    def __init__(self, recogniser: WordsOf, *, silence_seconds: float, is_ever_final: bool = True) -> None:
        self._recogniser = recogniser
        self._silence_frames = round(silence_seconds * 1000 / FRAME_MS)
        self._is_ever_final = is_ever_final
        self._audio = Pcm.empty(16000)
        self._begin = 0
        """Samples before the audio that is kept."""
        self._judged = 0
        self._first: int | None = None
        self._last = 0
        self._told = 0
        self._number = 0
        self.silent_since = 0.0

    @property
    def seconds(self) -> float:
        return (self._begin + len(self._audio)) / 16000

    @property
    def has_begun(self) -> bool:
        """Whether a segment is open."""
        return self._first is not None

    async def take(self, audio: Pcm) -> list[HeardSegment]:
        """What this audio makes known."""
        self._audio = Pcm.concat([self._audio, audio])
        size = 16 * FRAME_MS
        heard: list[HeardSegment] = []
        while (self._judged + 1) * size <= len(self._audio):
            frame = self._audio.samples[self._judged * size : (self._judged + 1) * size]
            self._judged += 1
            if np.abs(frame.astype(np.int32)).max() > LOUD:
                self._first = self._judged - 1 if self._first is None else self._first
                self._last = self._judged
            elif self._first is not None and self._judged - self._last >= self._silence_frames and self._is_ever_final:
                heard += await self.end()
        if self._first is not None and (self._judged - self._told) * FRAME_MS / 1000 >= INTERIM_SECONDS:
            self._told = self._judged
            heard += await self._segment(is_final=False)
        if self._first is None:
            self._forget(self._judged - MARGIN_FRAMES)
        return heard

    async def end(self) -> list[HeardSegment]:
        """The open segment, over now."""
        if self._first is None:
            return []
        heard = await self._segment(is_final=True)
        self._forget(self._last + MARGIN_FRAMES)
        self._first, self._number = None, self._number + 1
        self._told = self._judged
        return heard

    async def _segment(self, *, is_final: bool) -> list[HeardSegment]:
        size = 16 * FRAME_MS
        first = max(0, (self._first or 0) - MARGIN_FRAMES)
        last = min(self._last + MARGIN_FRAMES, self._judged)
        since = self._begin / 16000 + first * FRAME_MS / 1000
        words = await self._recogniser.words(Pcm(self._audio.samples[first * size : last * size], 16000))
        if not words:
            return []
        return [
            HeardSegment(
                number=self._number,
                is_final=is_final,
                start=since,
                end=min(self._begin / 16000 + last * FRAME_MS / 1000, self.seconds),
                words=tuple(
                    msgspec.structs.replace(word, start_time=since + word.start_time, end_time=since + word.end_time)
                    for word in words
                ),
            )
        ]

    def _forget(self, frames: int) -> None:
        frames = min(max(frames, 0), self._judged)
        self._audio = Pcm(self._audio.samples[frames * 16 * FRAME_MS :], 16000)
        self._begin += frames * 16 * FRAME_MS
        self._judged -= frames
        self._told -= frames
        self._last -= frames
