"""One live hub connection: reads a wire, hands what the client says to the hub, writes what the hub sends.

The reader also runs the hub's plain calls; the writer, and a ticker that the whole process shares, run beside it: a
timer a frame would cost more than the frame. Whoever wants the connection to end calls `_end` once; `run` then takes
it down in one place.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from . import handshake
from .connection import (
    Connection,
    ConnectionEvent,
    ConnectionState,
    Due,
    Failed,
    HandshakeDone,
    PeerClosed,
)
from .continuity import digest_of
from .dispatcher import Dispatcher
from .hub import Hub
from .log import Log
from .messages import (
    CancelInvocation,
    Close,
    Completion,
    HubCodec,
    HubMessage,
    Invocation,
    Ping,
    StreamInvocation,
    StreamItem,
    TransferFormat,
)
from .methods import HubMethods
from .negotiate import NegotiatedConnection, Transport
from .outbox import Outbox
from .requests import HubRequest

_CLIENT_TIMED_OUT = "The client sent nothing for too long."
_NO_HANDSHAKE = "Handshake was canceled."
_LOST = "The connection was lost."
_SLOW = "The client reads too slowly."


class Wire(Protocol):
    """A transport's two directions. Both raise `OSError` when the peer is gone."""

    async def receive(self) -> bytes | str | None:
        """What arrives next; None when the peer said goodbye, `PeerGone` when it went without a word."""
        ...

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None: ...

    async def close(self) -> None: ...


class PeerGone(OSError):
    """The transport ended without a goodbye."""


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may hold and how long it may take.

    `outbox_bytes` is what a slow client may lag behind before it is dropped; streams wait from `stream_room_bytes` on.
    `upload_items` of a client's stream wait for the hub method before the connection is read no further. The timeouts
    bound a write, a hub method and the transport's close.
    """

    outbox_bytes: int = 256 * 1024
    stream_room_bytes: int = 64 * 1024
    upload_items: int = 10
    send_timeout_s: float = 10.0
    method_timeout_s: float = 30.0
    close_timeout_s: float = 1.0


class HubSession:
    """Implements `HubConnection` for one hub over one wire."""

    def __init__(
        self,
        hub: Hub,
        *,
        methods: HubMethods,
        promised: NegotiatedConnection,
        transport: Transport,
        request: HubRequest,
        user: Any,
        connection: Connection,
        wire: Wire,
        settings: SessionSettings,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self.id = promised.connection_id
        self.digest = digest_of(promised.connection_token)
        self.previous = promised.previous
        self.transport = transport
        self.request = request
        self.user = user
        self.closed = asyncio.Event()
        self._hub = hub
        self._hub_name = type(hub).__name__
        self._connection = connection
        self._wire = wire
        self._settings = settings
        self._clock = clock
        self._log = log
        self._outbox = Outbox(max_bytes=settings.outbox_bytes)
        self._dispatcher = Dispatcher(
            hub,
            methods=methods,
            outlet=self,
            connection_id=self.id,
            method_timeout_s=settings.method_timeout_s,
            upload_capacity=settings.upload_items,
            clock=clock,
            log=log,
        )
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._sending_since: float | None = None
        self._hub_has_begun = False
        self._close_after_method: tuple[asyncio.Task[Any] | None, Close] | None = None
        self._taken_down = asyncio.Event()

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    def send(self, target: str, *arguments: Any) -> None:
        self.write(Invocation(target=target, arguments=arguments))

    async def invoke(self, target: str, *arguments: Any, result_type: Any = Any, timeout_s: float = 10.0) -> Any:
        return await self._dispatcher.ask(target, arguments, result_type=result_type, timeout_s=timeout_s)

    def abort(self) -> None:
        self._end("The server ended the connection.", self._encode_close(Close()))

    async def close(self, error: str | None = None, allow_reconnect: bool = False) -> None:
        message = Close(error=error, allow_reconnect=allow_reconnect)
        if self._dispatcher.is_inside_method:
            self._close_after_method = asyncio.current_task(), message
            return
        self._end(error or "The server closed the connection.", self._encode_close(message))
        await self._taken_down.wait()

    async def run(self) -> None:
        """Serve the connection until it has ended and the hub knows."""
        self._hub.connection = self
        self._reader = asyncio.create_task(self._read())
        writer = self._writer = asyncio.create_task(self._write_out())
        try:
            await self.closed.wait()
            await asyncio.wait({writer}, timeout=self._settings.send_timeout_s)
        finally:
            self._end(_LOST)
            await self._take_down(self._reader, writer)

    def tick(self, now: float) -> None:
        """Once a second: keep-alive and timeouts."""
        self._dispatcher.tick(now)
        self._watch_writer(now)
        match self._connection.due(now=now, is_busy=self._dispatcher.is_busy):
            case Due.PING:
                self.write(Ping())
            case Due.HANDSHAKE_TIMEOUT:
                self._end(_NO_HANDSHAKE, handshake.encode_reply(_NO_HANDSHAKE))
            case Due.CLIENT_TIMEOUT:
                self._end(_CLIENT_TIMED_OUT, self._encode_close(Close(error=_CLIENT_TIMED_OUT, allow_reconnect=True)))
            case Due.NOTHING:
                pass

    def _watch_writer(self, now: float) -> None:
        if self._sending_since is None or self._writer is None:
            return
        if now - self._sending_since >= self._settings.send_timeout_s:
            self._log.warning(
                "hub.connection_dropped", hub=self._hub_name, connection_id=self.id, reason="send timeout"
            )
            self._writer.cancel()
            self._end(_SLOW)

    # Ending

    def _end(self, error: str | None, farewell: bytes = b"") -> None:
        """Begin the end; the first reason counts."""
        if self.closed.is_set():
            return
        self._error = error
        self._connection.close()
        self._outbox.finish(farewell)
        self.closed.set()

    async def _take_down(self, reader: asyncio.Task[None], writer: asyncio.Task[None]) -> None:
        writer.cancel()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._wire.close()
        self._taken_down.set()
        if self._dispatcher.runs_inline:
            # The method that runs is bounded by its own timeout and may finish its work.
            await asyncio.wait({reader}, timeout=self._settings.method_timeout_s)
        reader.cancel()
        await asyncio.wait({reader, writer})
        if self._hub_has_begun:
            await self._dispatcher.end(self._error)

    def _encode_close(self, message: Close) -> bytes:
        if self._connection.state is not ConnectionState.OPEN:
            return b""
        return self._connection.encode(message, now=self._clock())

    # Reading

    async def _read(self) -> None:
        try:
            while (data := await self._wire.receive()) is not None:
                for event in self._connection.feed(data, now=self._clock()):
                    if type(event) is Invocation:
                        await self._dispatcher.invoke(event)
                    else:
                        await self._handle(event)
                    if self.closed.is_set():
                        return
            self._end(None)
        except OSError:
            self._end(_LOST)
        except Exception as error:
            self._log.error("hub.connection_failed", hub=self._hub_name, connection_id=self.id, exc_info=error)
            self._end("The server failed.", self._encode_close(Close(error="Connection closed with an error.")))

    async def _handle(self, event: ConnectionEvent) -> None:
        match event:
            case StreamItem():
                await self._dispatcher.take_item(event)
            case StreamInvocation():
                self._dispatcher.stream(event)
            case Completion():
                self._dispatcher.take_completion(event)
            case CancelInvocation():
                self._dispatcher.cancel(event)
            case HandshakeDone(reply=reply):
                self._put(reply)
                await self._greet()
            case Failed(error=error, farewell=farewell):
                self._log.info("hub.protocol_broken", hub=self._hub_name, connection_id=self.id, reason=error)
                self._end(error, farewell)
            case PeerClosed(error=error):
                self._end(error)
            case _:
                # The bookkeeping of stateful reconnect, which was not offered: the specification says to ignore it.
                pass

    async def _greet(self) -> None:
        self._hub_has_begun = True
        failure = await self._dispatcher.greet()
        if failure is not None:
            self._end(failure, self._encode_close(Close(error=failure)))
        self.method_done()

    # The way back, as the dispatcher sees it

    @property
    def codec(self) -> HubCodec:
        return self._connection.codec

    def write(self, message: HubMessage) -> None:
        if self._connection.state is ConnectionState.OPEN:
            self._put(self._connection.encode(message, now=self._clock()))

    async def room(self) -> None:
        await self._outbox.room(below=self._settings.stream_room_bytes)

    def method_done(self) -> None:
        if self._close_after_method is None:
            return
        task, message = self._close_after_method
        if task is asyncio.current_task():
            self._end(message.error or "The server closed the connection.", self._encode_close(message))

    # Writing

    def _put(self, frame: bytes) -> None:
        if not self._outbox.put(frame):
            self._log.warning("hub.connection_dropped", hub=self._hub_name, connection_id=self.id, reason="slow client")
            self._end(_SLOW, self._encode_close(Close(allow_reconnect=True)))

    async def _write_out(self) -> None:
        try:
            while (frames := await self._outbox.take()) is not None:
                self._sending_since = self._clock()
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                await self._wire.send(data, self._connection.transfer_format)
                self._sending_since = None
        except OSError:
            self._end(_LOST)
        finally:
            self._sending_since = None
