"""The agent's mouth: plays chunks of speech in frames of 20 ms and knows exactly what was heard.

`pull` is called by the process's pacer and is synchronous; whatever was pulled counts as heard, on a line that tells its delay once that has
passed. The words, their times and the text after an interruption come from the frames that really left.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from voisnap_media.pcm import Pcm, Samples
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord

RATE = 24_000
"""Hz of everything that is pulled."""
FRAME = RATE // 50
"""Samples of one pull: 20 ms."""
FADE = RATE // 200
"""Samples over which sound fades at a pause and after it: 5 ms."""
_RISING, _FALLING = np.linspace(0.0, 1.0, FADE), np.linspace(1.0, 0.0, FADE)
MAX_BUFFERED_SECONDS = 8.0
"""Speech kept ready; beyond it `add` waits."""


class HeardWord(msgspec.Struct, frozen=True, kw_only=True):
    """A word that was heard, in seconds of the mouth's clock."""

    word: str
    start: float
    end: float


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard of one utterance, in seconds of the mouth's clock. `complete`: all of it."""

    text: str = ""
    words: tuple[HeardWord, ...] = ()
    start: float = 0.0
    end: float = 0.0
    complete: bool = True


class _Part(msgspec.Struct, frozen=True):
    """A chunk's text and where it lies in the utterance, in samples."""

    text: str
    words: tuple[SpokenWord, ...]
    start: int
    end: int


@runtime_checkable
class Playout(Protocol):
    """What a line knows of the sound on its way to the caller. Both are synchronous and quick."""

    def delay(self) -> float:
        """Seconds from a pull to its being heard."""
        ...

    def clear(self) -> None:
        """Drop what is on its way."""
        ...


class Immediate:
    """A line on which everything is heard as it is pulled."""

    def delay(self) -> float:
        return 0.0

    def clear(self) -> None:
        """There is nothing to drop."""


class Mouth:
    """One utterance at a time: `begin`, `add` chunks, `close`; or `cut`.

    `clock` tells the time in seconds; `started` is called at the first frame of an utterance, `begun` with the text up to and including a
    chunk when its first sample was played, `finished` one frame after the last.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        started: Callable[[], None],
        begun: Callable[[str], None],
        finished: Callable[[Heard], None],
        dried: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._started = started
        self._begun = begun
        self._finished = finished
        self._dried = dried
        self.ready: Callable[[], None] = _nothing
        """Called when there is something to play after silence."""
        self.playout: Playout = Immediate()
        self._room = asyncio.Event()
        self._tail: Samples | None = None
        self._paused = False
        self._held = False
        self._open = False
        self._forget()

    def _forget(self) -> None:
        self._chunks: deque[Samples] = deque()
        self._offset = 0
        self._queued = 0
        self._parts: list[_Part] = []
        self._parts_begun = 0
        self._added = 0
        self._played = 0
        self._timeline: list[tuple[int, float]] = []
        self._flowing = False
        self._is_dry = False
        self._fade_in = False
        self._closed = False
        self._room.set()

    @property
    def is_busy(self) -> bool:
        """Whether an utterance has begun and is neither finished nor cut."""
        return self._open

    @property
    def was_heard(self) -> bool:
        """Whether any of the current utterance was played."""
        return self._played > 0

    def begin(self) -> None:
        """Start an utterance; a former one must be over. A pause that is on stays on."""
        if self._open:
            raise RuntimeError("the mouth is still speaking")
        self._forget()
        self._open = True

    async def add(self, chunk: SpeechChunk) -> None:
        """Queue speech at `RATE`; waits while enough is queued. Raises `ValueError` for another rate."""
        while self._queued > MAX_BUFFERED_SECONDS * RATE:
            self._room.clear()
            await self._room.wait()
        self.put(chunk)

    def put(self, chunk: SpeechChunk) -> None:
        """Queue speech at `RATE` however much is queued: for what was made before. Raises `ValueError` for another rate."""
        if chunk.audio.rate != RATE:
            raise ValueError(f"the mouth plays {RATE} Hz, got {chunk.audio.rate} Hz")
        size = len(chunk.audio)
        self._parts.append(_Part(chunk.text, chunk.words, self._added, self._added + size))
        self._added += size
        self._queued += size
        if size:
            self._chunks.append(chunk.audio.samples)
            self._wake()

    def close(self) -> None:
        """Nothing more will be added; `finished` follows when all was played."""
        self._closed = True

    def pause(self) -> None:
        """Fall silent within 5 ms and keep the place."""
        if not self._paused:
            self._stop_flowing()
            self._paused = True

    def resume(self) -> None:
        """Go on at the sample where `pause` stopped."""
        if self._paused:
            self._paused = False
            self._flow_again()

    def hold(self) -> None:
        """Nobody listens: be silent, whatever `resume` says, until `release`. What was begun stays; what was cut stays cut."""
        if not self._held:
            self._stop_flowing()
            self._held = True

    def release(self) -> None:
        """Somebody listens again."""
        if self._held:
            self._held = False
            self._flow_again()

    def cut(self) -> Heard:
        """End the utterance here; tells what was heard of it. A pause is over, too."""
        heard = self.heard()
        self._stop_flowing()
        self.playout.clear()
        if self.playout.delay():  # sound that fades here would come after what was just dropped
            self._tail = None
        self._paused = False
        self._open = False
        self._forget()
        return heard

    def pull(self) -> Pcm | None:
        """The next 20 ms, or None when there is nothing to play."""
        if self._tail is not None:
            tail, self._tail = self._tail, None
            return Pcm(tail, RATE)
        if self._paused or self._held or not self._open:
            return None
        if not self._queued:
            self._flowing = False
            if self._closed:
                if not self._is_under_way():
                    self._end()
            elif self._played and not self._is_dry:
                self._is_dry = True
                self._dried()
            return None
        return Pcm(self._next_frame(), RATE)

    def heard(self) -> Heard:
        """What was heard of the current utterance so far."""
        if not self._played:
            return Heard(complete=False)
        delay = self.playout.delay()
        return self._heard(self._arrived(delay) if delay else self._played, delay)

    def _heard(self, until: int, delay: float) -> Heard:
        """What is heard with the first `until` samples, `delay` seconds after they were pulled."""
        words: list[HeardWord] = []
        texts: list[str] = []
        for part in self._parts:
            if until >= part.end:
                texts.append(part.text)
                words += [self._placed(part, word, until, delay) for word in part.words]
                continue
            known = [word for word in part.words if part.start + (word.start + word.end) / 2 * RATE <= until]
            texts.append(_until(part.text, known))
            words += [self._placed(part, word, until, delay) for word in known]
            break
        return Heard(
            text=" ".join(text for text in texts if text),
            words=tuple(words),
            start=self._timeline[0][1] + delay,
            end=self._time_of(until) + delay,
            complete=self._closed and until >= self._added,
        )

    def _arrived(self, delay: float) -> int:
        """How many samples have arrived that take so long."""
        at = self._clock() - delay
        arrived = 0
        for place, (position, moment) in enumerate(self._timeline):
            if at <= moment:
                break
            end = self._timeline[place + 1][0] if place + 1 < len(self._timeline) else self._played
            arrived = min(end, position + int((at - moment) * RATE))
        return arrived

    def _is_under_way(self) -> bool:
        """Whether the last of it has been pulled and is not heard yet."""
        delay = self.playout.delay()
        return bool(delay and self._played) and self._clock() < self._time_of(self._played) + delay

    def _next_frame(self) -> Samples:
        if not self._flowing:
            self._timeline.append((self._played, self._clock()))
            self._flowing = True
        first = not self._played
        self._is_dry = False
        frame = self._take(FRAME)
        if self._fade_in:
            frame = frame.copy()
            frame[:FADE] = (frame[:FADE] * _RISING).astype(np.int16)
            self._fade_in = False
        if first:
            self._started()
        self._tell_begun()
        return frame

    def _tell_begun(self) -> None:
        begun = self._parts_begun
        while begun < len(self._parts) and self._parts[begun].start < self._played:
            begun += 1
        if begun > self._parts_begun:
            says_more = any(part.text for part in self._parts[self._parts_begun : begun])
            self._parts_begun = begun
            if says_more:
                self._begun(" ".join(part.text for part in self._parts[:begun] if part.text))

    def _take(self, size: int) -> Samples:
        """The next samples; where they lie in one chunk, a view of it."""
        chunk = self._chunks[0]
        end = self._offset + size
        if end < len(chunk):
            frame = chunk[self._offset : end]
            self._offset = end
            self._took(size)
            return frame
        frame = np.zeros(size, np.int16)
        filled = 0
        while filled < size and self._chunks:
            chunk = self._chunks[0]
            piece = chunk[self._offset : self._offset + size - filled]
            frame[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._offset += len(piece)
            if self._offset >= len(chunk):
                self._chunks.popleft()
                self._offset = 0
        if filled < size:
            self._flowing = False
        self._took(filled)
        return frame

    def _took(self, size: int) -> None:
        self._played += size
        self._queued -= size
        if self._queued <= MAX_BUFFERED_SECONDS * RATE:
            self._room.set()

    def _stop_flowing(self) -> None:
        if not (self._paused or self._held):
            self._tail = self._faded_tail()
        self._flowing = False

    def _flow_again(self) -> None:
        if not (self._paused or self._held):
            # Silence that has not begun yet needs no fading in: the sound simply goes on.
            self._fade_in = self._played > 0 and self._tail is None
            self._tail = None
            self._wake()

    def _wake(self) -> None:
        if self._open and self._queued and not (self._flowing or self._paused or self._held):
            self.ready()

    def _faded_tail(self) -> Samples | None:
        if not (self._flowing and self._chunks):
            return None
        ahead = self._chunks[0][self._offset : self._offset + FADE]
        frame = np.zeros(FRAME, np.int16)
        falling = _FALLING if len(ahead) == FADE else np.linspace(1.0, 0.0, len(ahead))
        frame[: len(ahead)] = (ahead * falling).astype(np.int16)
        return frame

    def _end(self) -> None:
        heard = self._heard(self._played, self.playout.delay()) if self._played else Heard()
        self._open = False
        self._forget()
        self._finished(heard)

    def _placed(self, part: _Part, word: SpokenWord, until: int, delay: float) -> HeardWord:
        start = self._time_of(part.start + round(word.start * RATE)) + delay
        end = self._time_of(min(part.start + round(word.end * RATE), until) - 1) + 1 / RATE + delay
        return HeardWord(word=word.word, start=start, end=max(start, end))

    def _time_of(self, sample: int) -> float:
        position, moment = self._timeline[0]
        for at, when in self._timeline:
            if at > sample:
                break
            position, moment = at, when
        return moment + (sample - position) / RATE


def _nothing() -> None: ...


def _until(text: str, words: list[SpokenWord]) -> str:
    """The text up to the last of its words."""
    end = 0
    for word in words:
        found = text.find(word.word, end)
        if found >= 0:
            end = found + len(word.word)
    return text[:end] if end else " ".join(word.word for word in words)
