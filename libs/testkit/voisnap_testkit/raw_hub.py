"""A hub connection as bytes: for what no client library would send, and for ends that no client library makes."""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from .platform import patience

SEPARATOR = b"\x1e"
HANDSHAKE = b'{"protocol":"json","version":1}' + SEPARATOR
OPEN_SECONDS = 10.0
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class NotAdmitted(Exception):
    """The server answered the request with another status than it takes to go on."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"status {status}: {body[:200].decode(errors='replace')}")
        self.status = status


class RawHub:
    """One WebSocket to a hub. `seen` has every message so far, without pings."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""
        self._ready: list[dict[str, Any]] = []
        self._passed: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self._count = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, hub_url: str, token: str, *, handshake: bool = True, **query: str) -> AsyncIterator["RawHub"]:
        """Connect without negotiating. Raises NotAdmitted, OSError. At the end of the block the socket is closed without a word."""
        reader, writer = await _connected(hub_url)
        try:
            parts = urlsplit(hub_url)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET {parts.path}?{urlencode(query)} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            status, body = await _answer(reader)
            if status != 101:
                raise NotAdmitted(status, body)
            hub = cls(reader, writer)
            if handshake:
                await hub.send(HANDSHAKE)
                await hub.read()
            yield hub
        finally:
            writer.close()

    async def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """One whole frame with these bytes."""
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 1 << 16:
            head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
        await self.send_bytes(head + b"\0\0\0\0" + payload)

    async def send_bytes(self, data: bytes) -> None:
        """Bytes as they are, frame or not."""
        self._writer.write(data)
        await self._writer.drain()

    async def call(self, target: str, *arguments: Any) -> dict[str, Any]:
        """Invoke a method; its completion."""
        self._count += 1
        number = str(self._count)
        message = {"type": 1, "invocationId": number, "target": target, "arguments": list(arguments)}
        await self.send(json.dumps(message).encode() + SEPARATOR)
        return await self.until(lambda told: told.get("type") == 3 and told.get("invocationId") == number)

    async def event(self, target: str) -> Any:
        """The first argument of the next event of that name."""
        told = await self.until(lambda message: message.get("type") == 1 and message.get("target") == target)
        return (told["arguments"] or [None])[0]

    async def until(self, matches: Any, *, seconds: float = OPEN_SECONDS) -> dict[str, Any]:
        """The first message that matches and was not given yet. Raises ConnectionError when the server closes before, AssertionError when time
        is up."""
        for message in self._passed:
            if matches(message):
                self._passed.remove(message)
                return message
        try:
            async with asyncio.timeout(seconds * patience()):
                while not matches(message := await self.read()):
                    self._passed.append(message)
                return message
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; last were {self.seen[-3:]}") from None

    async def over(self, *, seconds: float = OPEN_SECONDS) -> dict[str, Any]:
        """Read until the server closes; its last message, empty when there was none."""
        with suppress(ConnectionError):
            await self.until(lambda _: False, seconds=seconds)
        return self.seen[-1] if self.seen else {}

    async def read(self) -> dict[str, Any]:
        """The next message. Raises ConnectionError when the server has closed."""
        while not self._ready:
            opcode, payload = await self._frame()
            if opcode == CLOSE:
                raise ConnectionResetError(f"closed with {payload!r} after {self.seen[-2:]}"[:1000])
            if opcode in (0, TEXT, BINARY):
                *records, self._rest = (self._rest + payload).split(SEPARATOR)
                self._ready += [json.loads(record) for record in records if record]
        message = self._ready.pop(0)
        if message.get("type") != 6:
            self.seen.append(message)
        return message

    def reset(self) -> None:
        """End the connection as a machine does that lost power and came back: RST, without a goodbye."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _frame(self) -> tuple[int, bytes]:
        try:
            first, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self._reader.readexactly(8), "big")
            return first & 0x0F, await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(f"closed after {self.seen[-2:]}"[:1000]) from error


async def negotiate(hub_url: str, token: str, **query: str) -> dict[str, Any]:
    """Ask for a connection; what is offered. Raises NotAdmitted."""
    reader, writer = await _connected(hub_url)
    try:
        parts = urlsplit(hub_url)
        target = f"{parts.path}/negotiate?{urlencode({'negotiateVersion': '1', **query})}"
        writer.write(
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        status, body = await _answer(reader)
        if status != 200:
            raise NotAdmitted(status, body)
        return json.loads(body)
    finally:
        writer.close()


async def _connected(hub_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(hub_url)
    async with asyncio.timeout(OPEN_SECONDS * patience()):
        return await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(OPEN_SECONDS * patience()):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        return status, await reader.readexactly(int(headers.get("content-length", 0)) if status != 101 else 0)
