"""One live hub connection: reads a wire, hands what the client says to the hub, writes what the hub sends.

The reader also runs the hub's plain calls; the writer, and a ticker that the whole process shares, run beside it: a
timer a frame would cost more than the frame. Whoever wants the connection to end calls `_end` once; `run` then takes
it down in one place.

A stateful connection outlives its wire: while there is none the hub goes on and what it sends waits, until
`replace_wire` brings a new one or the time for that is over. Only a Close message of the hub protocol ends it before:
servers report a broken socket as they report a closed one.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

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
    Ack,
    CancelInvocation,
    Close,
    Completion,
    HubCodec,
    HubMessage,
    Invocation,
    Ping,
    SequenceStart,
    StreamInvocation,
    StreamItem,
    TransferFormat,
)
from .methods import HubMethods
from .negotiate import NegotiatedConnection, Transport
from .outbox import Outbox
from .requests import HubRequest
from .stateful import SentMessages

_CLIENT_TIMED_OUT = "The client sent nothing for too long."
_NO_HANDSHAKE = "Handshake was canceled."
_LOST = "The connection was lost."
_READY_TO_COUNT_S = 0.2
_SLOW = "The client reads too slowly."


class Wire(Protocol):
    """A transport's two directions. Both raise `OSError` when the peer is gone."""

    async def receive(self) -> bytes | str | None:
        """What arrives next; None when the peer said goodbye, `PeerGone` when it went without a word."""
        ...

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None: ...

    async def close(self) -> None:
        """End the transport, if it has not ended; called when the session is through with it, maybe more than once."""
        ...


@runtime_checkable
class StraightWire(Wire, Protocol):
    """A wire that may offer a short way in both directions."""

    def listen(self, take: Callable[[bytes], bool]) -> None:
        """Offer what arrives while `receive` is awaited to `take` first; True: it is done with."""
        ...

    def send_now(self, data: bytes, transfer_format: TransferFormat) -> bool:
        """Send without waiting; False when it has to go by `send`."""
        ...


class PeerGone(OSError):
    """The transport ended without a goodbye."""


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may hold and how long it may take.

    `outbox_bytes` is what a slow client may lag behind before it is dropped; streams wait from `stream_room_bytes` on.
    `upload_items` of a client's stream wait for the hub method before the connection is read no further. The timeouts
    bound a write, a hub method and the transport's close. A stateful connection keeps up to `stateful_bytes` that were
    sent and not acknowledged, and waits for a new socket as long as `stateful_window_s`.
    """

    outbox_bytes: int = 256 * 1024
    stream_room_bytes: int = 64 * 1024
    upload_items: int = 10
    send_timeout_s: float = 10.0
    method_timeout_s: float = 30.0
    close_timeout_s: float = 1.0
    stateful_bytes: int = 100_000
    stateful_window_s: float = 15.0


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
        # Of negotiation version 0 the id opens the connection, so the log must not hold it.
        self._logged_id = self.digest if self.id == promised.connection_token else self.id
        self.previous = promised.previous
        self.transport = transport
        self.request = request
        self.user = user
        self.closed = asyncio.Event()
        self._hub = hub
        self._hub_name = type(hub).__name__
        self._connection = connection
        self._wire = wire
        self._straight = wire if isinstance(wire, StraightWire) else None
        self._settings = settings
        self._clock = clock
        self._log = log
        self._outbox = Outbox(max_bytes=settings.outbox_bytes)
        self._dispatcher = Dispatcher(
            hub,
            methods=methods,
            outlet=self,
            connection_id=self._logged_id,
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
        self._is_receiving = False
        self._wire_lost_since: float | None = None
        self._wire_replaced = asyncio.Event()

    @property
    def is_stateful(self) -> bool:
        """Whether the connection outlives its wire."""
        return self._connection.is_stateful

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
        if self._straight is not None:
            self._straight.listen(self._take_now)
        self._reader = asyncio.create_task(self._read())
        self._writer = asyncio.create_task(self._write_out(self._wire))
        try:
            await self.closed.wait()
            await asyncio.wait({self._writer}, timeout=self._settings.send_timeout_s)
        finally:
            self._end(_LOST)
            try:
                await self._take_down(self._reader, self._writer)
            finally:
                self._hub = Hub()  # ours holds this connection
                self._dispatcher.let_go()

    async def replace_wire(self, wire: Wire) -> bool:
        """Go on over another wire, and close the one before; False when the connection cannot, or has ended."""
        if self.closed.is_set() or not self._connection.is_stateful or self._writer is None:
            return False
        # All at once: whoever looks sees the one wire or the other.
        former, self._wire, self._straight = self._wire, wire, None
        self._wire_lost_since = None
        self._wire_replaced.set()
        self._writer = asyncio.create_task(self._write_again(wire, self._writer))
        if self._is_receiving and self._reader is not None:
            self._is_receiving = False
            self._reader.cancel()
        await self._close(former)
        return True

    def tick(self, now: float) -> None:
        """Once a second: keep-alive and timeouts. Never raises: the ticker serves the others too."""
        try:
            self._watch(now)
        except Exception as error:
            self._log.error("hub.connection_failed", hub=self._hub_name, connection_id=self._logged_id, exc_info=error)
            self._end("The server failed.")

    def _watch(self, now: float) -> None:
        self._dispatcher.tick(now)
        if self._wire_lost_since is not None:
            if now - self._wire_lost_since >= self._settings.stateful_window_s:
                self._end(_LOST)
            return
        self._watch_writer(now)
        acknowledgement = self._connection.acknowledgement()
        if acknowledgement is not None:
            self._write_aside(acknowledgement)
        match self._connection.due(now=now, is_busy=self._dispatcher.is_busy):
            case Due.PING:
                self._write_aside(Ping())
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
                "hub.connection_dropped", hub=self._hub_name, connection_id=self._logged_id, reason="send timeout"
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
        await self._close(self._wire)
        self._taken_down.set()
        if self._dispatcher.runs_inline:
            # The method that runs is bounded by its own timeout and may finish its work.
            await asyncio.wait({reader}, timeout=self._settings.method_timeout_s)
        reader.cancel()
        await asyncio.wait({reader, writer})
        if self._hub_has_begun:
            await self._dispatcher.end(self._error)

    async def _close(self, wire: Wire) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout_s):
                await wire.close()

    def _encode_close(self, message: Close) -> bytes:
        if self._connection.state is not ConnectionState.OPEN:
            return b""
        return self._connection.encode(message, now=self._clock())

    # Reading

    async def _read(self) -> None:
        try:
            error = await self._read_from(self._wire)
            while self._connection.is_stateful and not self.closed.is_set():
                error = await self._read_from(await self._next_wire())
            self._end(error)
        except Exception as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        self._log.error("hub.connection_failed", hub=self._hub_name, connection_id=self._logged_id, exc_info=failure)
        self._end("The server failed.", self._encode_close(Close(error="Connection closed with an error.")))

    async def _read_from(self, wire: Wire) -> str | None:
        """Read a wire until it ends, the connection does, or another wire replaces it; None after a goodbye."""
        try:
            while self._wire is wire:
                self._is_receiving = True
                data = await wire.receive()
                self._is_receiving = False
                if data is None:
                    return None
                if self._outbox.is_held:
                    self._outbox.release()
                for event in self._connection.feed(data, now=self._clock()):
                    if type(event) is Invocation:
                        await self._dispatcher.invoke(event)
                    else:
                        await self._handle(event)
                    if self.closed.is_set():
                        return None
        except OSError:
            return _LOST
        except asyncio.CancelledError:
            if self._wire is wire or self.closed.is_set() or self._reader is None:
                raise
            # Another wire is there, and this one may never say another word.
            self._reader.uncancel()
        finally:
            self._is_receiving = False
        return _LOST

    def _take_now(self, data: bytes) -> bool:
        """Deal with a message for which nobody needs to wait, before the reader is woken for it; False: it is the reader's."""
        if self.closed.is_set():
            return False
        try:
            call = self._connection.sole_call(data, now=self._clock())
            return call is not None and self._dispatcher.call_now(call)
        except Exception as failure:  # an answer that can't be written, as in the reader
            self._fail(failure)
            return True

    async def _next_wire(self) -> Wire:
        """The wire that replaces the one that was read; waits for it."""
        if not self._wire_replaced.is_set():
            self._wire_lost_since = self._clock()
            self._log.debug("hub.wire_lost", hub=self._hub_name, connection_id=self._logged_id)
            await self._close(self._wire)
            await self._wire_replaced.wait()
        self._wire_replaced.clear()
        self._connection.socket_replaced(now=self._clock())
        return self._wire

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
            case Ack(sequence_id=sequence_id):
                self._outbox.acknowledge(sequence_id)
            case HandshakeDone(reply=reply):
                self._outbox.put_aside(reply)
                if self._connection.is_stateful:
                    # The official client counts only what it gets after it has dealt with our reply; then it pings.
                    self._outbox.track(SentMessages(max_bytes=self._settings.stateful_bytes))
                    asyncio.get_running_loop().call_later(_READY_TO_COUNT_S, self._outbox.release)
                await self._greet()
            case Failed(error=error, farewell=farewell):
                self._log.info("hub.protocol_broken", hub=self._hub_name, connection_id=self._logged_id, reason=error)
                self._end(error, farewell)
            case PeerClosed(error=error):
                self._end(error)
            case Invocation() | SequenceStart():
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
        straight = self._straight
        if (
            straight is not None
            and self._outbox.is_idle
            and straight.send_now(frame, self._connection.codec.transfer_format)
        ):
            return
        if not self._outbox.put(frame):
            self._log.warning(
                "hub.connection_dropped", hub=self._hub_name, connection_id=self._logged_id, reason="slow client"
            )
            self._end(_SLOW, self._encode_close(Close(allow_reconnect=True)))

    def _write_aside(self, message: Ping | Ack) -> None:
        if self._connection.state is ConnectionState.OPEN:
            self._outbox.put_aside(self._connection.encode(message, now=self._clock()))

    async def _write_out(self, wire: Wire, first: bytes = b"") -> None:
        try:
            if first:
                await self._send(wire, first)
            while (frames := await self._outbox.take()) is not None:
                await self._send(wire, frames[0] if len(frames) == 1 else b"".join(frames))
        except OSError:
            if not self._connection.is_stateful:
                self._end(_LOST)
            elif self._wire is wire and self._wire_lost_since is None:
                self._wire_lost_since = self._clock()
        finally:
            self._sending_since = None

    async def _write_again(self, wire: Wire, former: asyncio.Task[None]) -> None:
        """Begin a new wire with what the client may have missed; what is sent meanwhile comes behind it."""
        former.cancel()
        await asyncio.wait({former})
        first = b""
        if self._connection.state is ConnectionState.OPEN:
            sequence, records = self._outbox.replay()
            first = self._connection.encode(sequence, now=self._clock()) + b"".join(records)
        await self._write_out(wire, first)

    async def _send(self, wire: Wire, data: bytes) -> None:
        self._sending_since = self._clock()
        await wire.send(data, self._connection.transfer_format)
        self._sending_since = None
