"""Streams that a client sends along with a call: filled by the connection's reader, read by the hub method."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from .hub import HubError
from .payloads import Decoder

_UNREADABLE = "Failed to bind Stream message."
_NOT_READ = "The hub method took no item of the stream for too long."


class Upload(AsyncIterator[Any]):
    """One stream of the client. Holds at most `capacity` items; whoever brings the next one waits."""

    def __init__(self, decode: Decoder, *, capacity: int) -> None:
        self._decode = decode
        self._capacity = capacity
        self._items: deque[Any] = deque()
        self._error: Exception | None = None
        self._has_ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def put(self, item: msgspec.Raw, *, timeout_s: float) -> None:
        """Add an item when there is room; an item that is not of the stream's type ends the stream with an error.

        A stream that nobody reads for `timeout_s` ends with an error too, so that the reader can go on.
        """
        if len(self._items) >= self._capacity and not self._has_ended:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._room()
            except TimeoutError:
                self.finish(TimeoutError(_NOT_READ))
        if self._has_ended:
            return
        try:
            self._items.append(self._decode(item))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self.finish(HubError(_UNREADABLE))
        self._filled.set()

    def finish(self, error: Exception | None = None) -> None:
        """No more items; behind those that wait the stream ends, or raises `error`."""
        if self._has_ended:
            return
        self._has_ended = True
        self._error = error
        self._filled.set()
        self._emptied.set()

    def close(self) -> None:
        """Nobody reads any more: forget what waits."""
        self.finish()
        self._items.clear()

    async def __anext__(self) -> Any:
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        self._emptied.set()
        return self._items.popleft()

    async def _room(self) -> None:
        while len(self._items) >= self._capacity and not self._has_ended:
            self._emptied.clear()
            await self._emptied.wait()
