"""The bounded buffer between a hub that sends without waiting and a socket that may be slow."""

import asyncio

from .messages import SequenceStart
from .stateful import SentMessages


class Outbox:
    """Frames waiting to be written, in order; one writer takes everything that waits at once.

    With `track`, what is taken is kept until the peer acknowledges it, and while too much of that is open no more is
    taken.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self._aside: list[bytes] = []
        self._sent: SentMessages | None = None
        self.is_held = False
        self._is_finished = False
        self._writer: asyncio.Future[None] | None = None
        self._taken = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Add a frame; False when there is no room for it. A single frame always has room, and a finished outbox
        swallows what it gets.
        """
        if self._is_finished:
            return True
        if self._bytes and self._bytes + len(frame) > self._max_bytes:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._writer is not None:
            self._wake_writer()
        return True

    def put_aside(self, frame: bytes) -> None:
        """Add a frame that goes before what waits and is never kept: of those there are only a few."""
        if not self._is_finished:
            self._aside.append(frame)
            self._wake_writer()

    def finish(self, last: bytes = b"") -> None:
        """Nothing comes after `last`, which is taken even when the buffer is full."""
        if self._is_finished:
            return
        if last:
            self._frames.append(last)
        self._is_finished = True
        self._wake_writer()
        self._taken.set()

    @property
    def is_idle(self) -> bool:
        """Whether everything was written and the writer waits for more: what is written now overtakes nothing."""
        return (
            self._writer is not None and self._sent is None and not (self._frames or self._aside or self._is_finished)
        )

    async def take(self) -> list[bytes] | None:
        """Wait for frames and take all of them; None when the outbox is finished and empty."""
        while not (frames := self._ready()):
            if self._is_finished:
                return None
            # A plain future: this happens once a frame, and an event costs several times as much.
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        return frames

    async def room(self, *, below: int) -> None:
        """Wait until fewer than `below` bytes wait, or nothing more is taken."""
        while self._bytes >= below and not self._is_finished:
            self._taken.clear()
            await self._taken.wait()

    # Stateful reconnect

    def track(self, sent: SentMessages) -> None:
        """Keep in `sent` what is taken from now on; until `release` nothing is, but for what was put aside."""
        self._sent = sent
        self.is_held = True

    def release(self) -> None:
        """The peer is ready to count what it gets."""
        self.is_held = False
        self._wake_writer()

    def acknowledge(self, sequence_id: int) -> None:
        """The peer has everything up to this message."""
        if self._sent is not None:
            self._sent.acknowledge(sequence_id)
            self._wake_writer()

    def replay(self) -> tuple[SequenceStart, list[bytes]]:
        """What a new socket begins with. Raises `RuntimeError` unless the outbox tracks."""
        if self._sent is None:
            raise RuntimeError("Nothing is tracked.")
        self._aside.clear()
        return self._sent.replay()

    def _ready(self) -> list[bytes]:
        if self._sent is not None and not self._is_finished:
            return self._ready_and_kept(self._sent)
        if not (self._frames or self._aside):
            return []
        frames, self._frames, self._bytes = self._frames, [], 0
        if self._aside:
            frames, self._aside = self._aside + frames, []
        self._taken.set()
        return frames

    def _ready_and_kept(self, sent: SentMessages) -> list[bytes]:
        taken = 0
        for frame in self._frames:
            if sent.is_full or self.is_held:
                break
            sent.add(frame)
            self._bytes -= len(frame)
            taken += 1
        frames = self._aside + self._frames[:taken]
        self._aside = []
        del self._frames[:taken]
        if taken:
            self._taken.set()
        return frames

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)
