"""A caller's WebSocket (RFC 6455), as lean as a load generator needs it: frames are made once for all callers, and read in place.

Every frame goes out with a masking key of zero, so that one copy of the bytes serves all.
"""

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, cast, runtime_checkable
from urllib.parse import urlsplit

from .load_audio import Speaking, Voice
from .load_callers import Caller, clock

OPEN_SECONDS = 15.0
CLOSE_SECONDS = 1.0
MAX_HEAD = 16 * 1024
MAX_MESSAGE = 1 << 20
MAX_UNSENT = 256 * 1024
"""Bytes that may wait for a slow server; what is beyond is not sent."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class CallRefused(Exception):
    """The platform did not take the call; the text says what it answered."""


class Ear(Protocol):
    """Who is told of the messages of one socket."""

    def opened(self) -> None: ...
    def message(self, data: bytes, now: float) -> None: ...
    def was_lost(self) -> None: ...


class Dialect(Protocol):
    """What is said over a socket. One object serves all callers of a measurement, `session` makes what one of them needs."""

    voices: tuple[Voice, ...]
    """One for each room, as whole WebSocket frames (`frame`)."""

    def session(self, caller: Caller) -> "DialectSession":
        """What reads one caller's messages."""
        ...

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard."""
        ...


class DialectSession(Ear, Protocol):
    """One caller's side of a dialect."""

    greeting: tuple[bytes, ...]
    """What is sent as soon as the socket is open, as whole WebSocket frames."""
    ready: "asyncio.Future[None]"
    """Done when audio may flow; fails with `CallRefused`."""

    @property
    def farewell(self) -> tuple[bytes, ...]:
        """What is sent last, as whole WebSocket frames."""
        ...


@runtime_checkable
class Wrapping(Protocol):
    """A session whose frames are numbered: `wrap` makes a whole WebSocket frame of what its voice says."""

    def wrap(self, payload: bytes) -> bytes: ...


@runtime_checkable
class Answering(Protocol):
    """A session that answers what it is told, in whole WebSocket frames."""

    write: Callable[[bytes], None]


def frame(payload: bytes, opcode: int) -> bytes:
    """A whole masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class SocketLine(asyncio.Protocol):
    """One caller's connection over a WebSocket; see `open_line`."""

    def __init__(self, speaking: Speaking, session: DialectSession, request: bytes, key: bytes) -> None:
        self._speaking = speaking
        self._session = session
        self._request, self._key = request, key
        self._wrap = session.wrap if isinstance(session, Wrapping) else None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._parts = bytearray()
        self._upgraded = False
        self._closing = False
        self._closed: asyncio.Future[None] = self._loop.create_future()

    # The caller's side

    def send(self, number: int | None) -> None:
        """A frame of speech by its number, or the room's noise; dropped when the server does not read."""
        transport = self._transport
        if transport is None or self._closing or transport.is_closing():
            return
        if transport.get_write_buffer_size() < MAX_UNSENT:
            said = self._speaking.frame(number)
            transport.write(said if self._wrap is None else self._wrap(said))

    async def close(self) -> None:
        """Say goodbye and close. May be called twice."""
        if self._transport is None:
            return
        if not (self._closing or self._transport.is_closing()):
            for data in self._session.farewell:
                self._transport.write(data)
            self._transport.write(frame((1000).to_bytes(2, "big"), CLOSE))
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.shield(self._closed)
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if isinstance(self._session, Answering):
            self._session.write = self._transport.write
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        self._refuse("the connection was closed")
        if not self._closing:
            self._session.was_lost()

    def data_received(self, data: bytes) -> None:
        now = clock()
        if self._upgraded and not self._buffer:
            rest = self._frames(data, now)
            if rest:
                self._buffer += rest
            return
        self._buffer += data
        if not self._upgraded and not self._upgrade():
            return
        rest = self._frames(bytes(self._buffer), now)
        self._buffer = bytearray(rest)

    def _upgrade(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > MAX_HEAD:
                self._refuse("the answer to the handshake is too long")
            return False
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        accept = base64.b64encode(hashlib.sha1(self._key + _ACCEPT).digest())  # noqa: S324 - the protocol's own
        if " 101" not in status or accept.lower() not in bytes(head).lower():
            self._refuse(f"the server answered {status}")
            return False
        self._upgraded = True
        self._buffer = bytearray(rest)
        if self._transport is not None:
            for data in self._session.greeting:
                self._transport.write(data)
        self._session.opened()
        return True

    def _frames(self, data: bytes, now: float) -> bytes:
        """Take every whole frame; what is left."""
        position, total = 0, len(data)
        while total - position >= 2:
            first, size = data[position], data[position + 1]
            start = position + 2
            if size == 126:
                if total - position < 4:
                    break
                size, start = int.from_bytes(data[position + 2 : position + 4], "big"), position + 4
            elif size == 127:
                if total - position < 10:
                    break
                size, start = int.from_bytes(data[position + 2 : position + 10], "big"), position + 10
            if size > MAX_MESSAGE:
                self._refuse("a message is too long")
                return b""
            end = start + size
            if end > total:
                break
            self._take(first, data[start:end], now)
            position = end
        return data[position:]

    def _take(self, first: int, payload: bytes, now: float) -> None:
        opcode = first & 0x0F
        if first & 0x80 and opcode in (TEXT, BINARY):
            self._session.message(payload, now)
        elif opcode in (0, TEXT, BINARY):
            self._parts += payload
            if first & 0x80:
                whole, self._parts = bytes(self._parts), bytearray()
                self._session.message(whole, now)
        elif opcode == PING and self._transport is not None:
            self._transport.write(frame(payload, PONG))
        elif opcode == CLOSE and self._transport is not None:
            self._refuse(f"the server closed the connection: {payload[2:].decode(errors='replace')}")
            self._transport.close()

    def _refuse(self, text: str) -> None:
        ready = self._session.ready
        if not ready.done():
            ready.set_exception(CallRefused(text))
            ready.exception()  # whoever waits is told; nobody else has to
        if not self._upgraded and self._transport is not None:
            self._transport.abort()


async def open_line(
    url: str,
    dialect: Dialect,
    caller: Caller,
    *,
    number: int = 0,
    headers: Mapping[str, str] | None = None,
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> SocketLine:
    """Connect caller `number` to an http(s) or ws(s) address and wait until audio may flow.

    Raises `CallRefused` when the server refuses or does not answer in time, and `OSError` when it cannot be reached.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    key = base64.b64encode(os.urandom(16))
    session = dialect.session(caller)
    request = _request(parts.netloc, f"{parts.path}?{parts.query}" if parts.query else parts.path, key, headers or {})
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            _, line = await loop.create_connection(
                lambda: SocketLine(Speaking(dialect.voices, number), session, request, key),
                host,
                port,
                ssl=tls() if secure else None,
            )
            try:
                await asyncio.shield(session.ready)
            except BaseException:
                await line.close()
                raise
    except TimeoutError:
        raise CallRefused(f"no answer within {OPEN_SECONDS:g} s") from None
    return line


def _request(host: str, target: str, key: bytes, headers: Mapping[str, str]) -> bytes:
    lines: Sequence[str] = (
        f"GET {target or '/'} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
