"""What a carrier has been sent and has not played yet. Time passes only by `tick`, 20 ms each: marks come when their audio has been played."""

from collections import deque
from typing import Generic, TypeVar

M = TypeVar("M")


class Playout(Generic[M]):
    """A queue of audio bytes with marks between them. `frame_bytes` are 20 ms, `most_bytes` what the carrier keeps: more is dropped, and
    `dropped_bytes` counts it."""

    def __init__(self, frame_bytes: int, filler: bytes, most_bytes: int) -> None:
        self._frame = frame_bytes
        self._filler = filler
        self._most = most_bytes
        self._audio: deque[bytes] = deque()
        self._queued = self._taken = 0
        """Bytes ever put in, and ever played."""
        self._marks: deque[tuple[int, M]] = deque()
        self.dropped_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have not been played."""
        return self._queued - self._taken

    def put(self, audio: bytes) -> bool:
        """Queue audio; False when there is no room for it."""
        if self.waiting_bytes + len(audio) > self._most:
            self.dropped_bytes += len(audio)
            return False
        if audio:
            self._audio.append(audio)
            self._queued += len(audio)
        return True

    def mark(self, name: M) -> bool:
        """Queue a mark; True when everything before it has been played already, and it is not queued then."""
        if self._queued == self._taken and not self._marks:
            return True
        self._marks.append((self._queued, name))
        return False

    def clear(self) -> tuple[M, ...]:
        """Drop everything; the marks that were dropped."""
        marks = tuple(name for _, name in self._marks)
        self._marks.clear()
        self._audio.clear()
        self._taken = self._queued
        return marks

    def tick(self) -> tuple[bytes | None, tuple[M, ...]]:
        """The next 20 ms, None when there is nothing to play; and the marks whose audio has been played until now."""
        reached: list[M] = []
        while self._marks and self._marks[0][0] <= self._taken:
            reached.append(self._marks.popleft()[1])
        if not self._audio:
            return None, tuple(reached)
        parts: list[bytes] = []
        wanted = self._frame
        while wanted and self._audio:
            piece = self._audio.popleft()
            if len(piece) > wanted:
                self._audio.appendleft(piece[wanted:])
                piece = piece[:wanted]
            parts.append(piece)
            wanted -= len(piece)
        frame = b"".join(parts)
        self._taken += len(frame)
        short = self._frame - len(frame)
        return (frame + (self._filler * short)[:short] if short else frame), tuple(reached)
