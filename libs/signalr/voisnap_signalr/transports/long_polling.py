"""Long polling: the client asks again and again, and each question waits until there is something to answer."""

import asyncio
import contextlib
from enum import Enum, auto

from voisnap_signalr.messages import TransferFormat

from .inbox import Inbox

_SEPARATOR = b"\x1e"


class NoData(Enum):
    """Why a poll has nothing to bring."""

    TIMED_OUT = auto()
    REPLACED = auto()
    OVER = auto()


class LongPollingWire:
    """The two directions of such a connection as `Wire`, and `poll` for its requests.

    At most `max_bytes` wait for the next poll (one frame may go beyond); a hub that sends more waits, and its
    session's send timeout then ends a connection that nobody polls.
    """

    def __init__(self, inbox: Inbox, *, max_bytes: int) -> None:
        self._inbox = inbox
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self._is_text = True
        self._is_over = False
        self._latest_poll = 0
        self._news = asyncio.Event()
        self._emptied = asyncio.Event()

    async def receive(self) -> bytes | None:
        return await self._inbox.take()

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None:
        while self._bytes >= self._max_bytes and not self._is_over:
            self._emptied.clear()
            await self._emptied.wait()
        if self._is_over:
            return
        self._frames.append(data)
        self._bytes += len(data)
        self._is_text = transfer_format is TransferFormat.TEXT
        self._news.set()

    async def close(self) -> None:
        """Nothing comes after what waits; returns when a poll has taken it."""
        self._inbox.finish()
        self._is_over = True
        self._news.set()
        while self._frames:
            self._emptied.clear()
            await self._emptied.wait()

    def abandon(self) -> None:
        """Nobody polls any more: drop what waits."""
        self._frames, self._bytes = [], 0
        self._is_over = True
        self._news.set()
        self._emptied.set()

    async def poll(self, *, timeout_s: float, one_record: bool = False) -> bytes | NoData:
        """Wait for data and take all of it, or only the first hub message; a newer poll ends this one.

        `one_record` is for text protocols (their separator is known here) and changes nothing for others.
        """
        self._latest_poll += 1
        this_poll = self._latest_poll
        self._news.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    if self._latest_poll != this_poll:
                        return NoData.REPLACED
                    if self._frames:
                        return self._take(one_record=one_record and self._is_text)
                    if self._is_over:
                        return NoData.OVER
                    self._news.clear()
                    await self._news.wait()
        return NoData.TIMED_OUT

    def _take(self, *, one_record: bool) -> bytes:
        data = b"".join(self._frames)
        rest = b""
        if one_record:
            end = data.find(_SEPARATOR) + 1 or len(data)
            data, rest = data[:end], data[end:]
        self._frames = [rest] if rest else []
        self._bytes = len(rest)
        self._emptied.set()
        return data
