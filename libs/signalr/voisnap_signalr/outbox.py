"""The bounded buffer between a hub that sends without waiting and a socket that may be slow."""

import asyncio


class Outbox:
    """Frames waiting to be written, in order; one writer takes everything that waits at once."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self._is_finished = False
        self._writer: asyncio.Future[None] | None = None
        self._taken = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Add a frame; False when there is no room for it (one frame may be larger than the room, if it is the only
        one). A finished outbox swallows it.
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

    def finish(self, last: bytes = b"") -> None:
        """Nothing comes after `last`, which is taken even when the buffer is full."""
        if self._is_finished:
            return
        if last:
            self._frames.append(last)
        self._is_finished = True
        self._wake_writer()
        self._taken.set()

    async def take(self) -> list[bytes] | None:
        """Wait for frames and take all of them; None when the outbox is finished and empty."""
        while not self._frames:
            if self._is_finished:
                return None
            # A plain future: this happens once a frame, and an event costs several times as much.
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        frames, self._frames, self._bytes = self._frames, [], 0
        self._taken.set()
        return frames

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)

    async def room(self, *, below: int) -> None:
        """Wait until fewer than `below` bytes wait, or nothing more is taken."""
        while self._bytes >= below and not self._is_finished:
            self._taken.clear()
            await self._taken.wait()
