"""Server-Sent Events: one answer that never ends carries the hub's messages, posts carry the client's.

Text protocols only. Each frame is one event; the client puts the `data:` lines of an event together with line feeds.
"""

from voisnap_signalr.messages import TransferFormat
from voisnap_signalr.scopes import Headers, Send

from .inbox import Inbox

# Firefox fires its open event only when something has arrived; a line with a colon is a comment (WHATWG HTML, 9.2.6).
_FIRST_BYTES = b":\r\n"


class EventStreamWire:
    """The two directions of such a connection as `Wire`."""

    def __init__(self, inbox: Inbox, send: Send) -> None:
        self._inbox = inbox
        self._send = send

    async def open(self, headers: Headers) -> None:
        """Begin the answer."""
        own = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-cache, no-store"),
            (b"content-encoding", b"identity"),
            (b"x-accel-buffering", b"no"),  # nginx would collect the events otherwise
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": own + headers})
        await self._send({"type": "http.response.body", "body": _FIRST_BYTES, "more_body": True})

    async def receive(self) -> bytes | None:
        return await self._inbox.take()

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None:
        event = b"data: " + data.replace(b"\n", b"\r\ndata: ") + b"\r\n\r\n"
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    async def close(self) -> None:
        self._inbox.finish()
        await self._send({"type": "http.response.body", "body": b""})
