"""WebSockets: one socket, both directions."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from voisnap_signalr.messages import TransferFormat
from voisnap_signalr.requests import Refused
from voisnap_signalr.scopes import Receive, Scope, Send, refusal_headers
from voisnap_signalr.session import PeerGone

STRAIGHT = "voisnap.websocket.straight"
"""The extension of the scope with which a server offers `Straight`; without it everything goes by `receive` and `send`."""
_GOODBYE_CODES = (1000, 1001)


class Straight(Protocol):
    """A server's short way: messages without a task switch."""

    def listen(self, take: Callable[[bytes], bool]) -> None:
        """Show a message that comes while `receive` is awaited to `take` first; True: it is done with."""
        ...

    def write(self, data: bytes, *, is_text: bool) -> bool:
        """Write a message now; False when it has to go by `send`."""
        ...


class WebSocketWire:
    """A WebSocket as `Wire`: text frames for text protocols, binary ones for the others."""

    def __init__(self, receive: Receive, send: Send, straight: Straight | None = None) -> None:
        self._receive = receive
        self._send = send
        self._straight = straight
        self._is_gone = False
        self.closed = asyncio.Event()
        """Set when the session is through with this socket."""

    async def receive(self) -> bytes | str | None:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._is_gone = True
            if message.get("code", 1005) not in _GOODBYE_CODES:
                raise PeerGone
            return None
        text = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None:
        if transfer_format is TransferFormat.TEXT:
            await self._send({"type": "websocket.send", "text": data.decode()})
        else:
            await self._send({"type": "websocket.send", "bytes": data})

    def listen(self, take: Callable[[bytes], bool]) -> None:
        """Offer each message that comes while the session waits for one to `take`, where the server can; True: it is done with."""
        if self._straight is not None:
            self._straight.listen(take)

    def send_now(self, data: bytes, transfer_format: TransferFormat) -> bool:
        """Send without waiting; False when that is not possible, now or ever."""
        straight = self._straight
        return straight is not None and straight.write(data, is_text=transfer_format is TransferFormat.TEXT)

    async def close(self) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        if not self._is_gone:
            await self._send({"type": "websocket.close", "code": 1000})


def straight_of(scope: Scope) -> Any:
    """The server's short way (`Straight`), or None."""
    return (scope.get("extensions") or {}).get(STRAIGHT)


async def reject(scope: Scope, send: Send, refusal: Refused) -> None:
    """Answer the WebSocket handshake with an HTTP status; servers without that extension can only say 403."""
    with suppress(OSError):
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-length", b"0"), *refusal_headers(refusal)]
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})
