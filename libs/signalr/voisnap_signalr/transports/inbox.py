"""What clients without a socket have posted and the hub has not read yet."""

import asyncio

from voisnap_signalr.requests import Refused
from voisnap_signalr.scopes import Receive
from voisnap_signalr.session import PeerGone

_MAX_POSTS_WAITING = 4


class ClientGone(OSError):
    """The client went in the middle of its request: nobody hears an answer."""


class Inbox:
    """Bodies in the order of their requests. A post is answered as soon as its body has room here, whether the hub has
    read it or not: a hub method may wait for what the next post brings.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._is_finished = False
        self._is_lost = False

    async def put(self, body: bytes, *, timeout_s: float) -> None:
        """Add a body when there is room (one body may go beyond the bound).

        Raises `Refused`: 404 when nothing is read any more, 429 when others wait already, 503 after `timeout_s`.
        """
        if self._waiting >= _MAX_POSTS_WAITING:
            raise Refused(429, "too many posts at a time", retry_after_s=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                await self._make_room()
        except TimeoutError:
            raise Refused(503, "the hub reads too slowly", retry_after_s=1) from None
        finally:
            self._waiting -= 1
        self._bodies.append(body)
        self._bytes += len(body)
        self._filled.set()

    async def take(self) -> bytes | None:
        """Everything that was posted; None when the client said goodbye. Raises `PeerGone` when it was lost."""
        while not self._bodies and not self._has_ended:
            self._filled.clear()
            await self._filled.wait()
        if self._is_lost:
            raise PeerGone
        if not self._bodies:
            return None
        bodies, self._bodies, self._bytes = self._bodies, [], 0
        self._emptied.set()
        return b"".join(bodies)

    def finish(self) -> None:
        """Nothing more comes: the client said goodbye (what it posted before is still read), or the hub has ended."""
        self._is_finished = True
        self._wake()

    def lose(self) -> None:
        """The client is gone without a word."""
        self._is_lost = True
        self._wake()

    async def _make_room(self) -> None:
        while self._bytes >= self._max_bytes and not self._has_ended:
            self._emptied.clear()
            await self._emptied.wait()
        if self._has_ended:
            raise Refused(404, "the connection is over")

    def _wake(self) -> None:
        self._filled.set()
        self._emptied.set()

    @property
    def _has_ended(self) -> bool:
        return self._is_finished or self._is_lost


async def read_body(receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body of a request. Raises `Refused` (413, 408) and `ClientGone`."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    raise Refused(413, "the body is too large")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, "the body came too slowly") from None


async def until_gone(receive: Receive) -> None:
    """Wait until the client of this request has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
