"""One live hub connection: reads a wire, runs the hub's methods in order, writes what the hub sends.

Three parts at most run at a time: the reader (which also runs the hub), the writer, and the ticker that the whole
process shares and that watches over both: a timer a frame would cost more than the frame. Whoever wants the connection
to end calls `_end` once; `run` then takes it down in one place.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
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
from .hub import Hub, HubError, HubMethods
from .messages import Close, Completion, HubMessage, Invocation, Ping, StreamInvocation, TransferFormat
from .negotiate import NegotiatedConnection, Transport
from .outbox import Outbox
from .requests import HubRequest

_CLIENT_TIMED_OUT = "The client sent nothing for too long."
_NO_HANDSHAKE = "Handshake was canceled."
_LOST = "The connection was lost."


class Wire(Protocol):
    """A transport's two directions. Both raise `OSError` when the peer is gone."""

    async def receive(self) -> bytes | str | None:
        """What arrives next; None when the peer said goodbye, `PeerGone` when it went without a word."""
        ...

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None: ...

    async def close(self) -> None: ...


class PeerGone(OSError):
    """The transport ended without a goodbye."""


class Log(Protocol):
    """Where events go; a structlog logger fits."""

    def debug(self, event: str, **values: Any) -> Any: ...
    def info(self, event: str, **values: Any) -> Any: ...
    def warning(self, event: str, **values: Any) -> Any: ...
    def error(self, event: str, **values: Any) -> Any: ...


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`outbox_bytes` is what a slow client may lag behind; the timeouts bound a write and a hub method."""

    outbox_bytes: int = 256 * 1024
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
        self._methods = methods
        self._connection = connection
        self._wire = wire
        self._settings = settings
        self._clock = clock
        self._log = log
        self._outbox = Outbox(max_bytes=settings.outbox_bytes)
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._hub_since: float | None = None
        self._is_hub_overdue = False
        self._sending_since: float | None = None
        self._hub_has_begun = False
        self._close_after_method: Close | None = None
        self._taken_down = asyncio.Event()

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    def send(self, target: str, *arguments: Any) -> None:
        if self._connection.state is ConnectionState.OPEN:
            self._write(Invocation(target=target, arguments=arguments))

    def abort(self) -> None:
        self._end("The server ended the connection.", self._encode_close(Close()))

    async def close(self, error: str | None = None, allow_reconnect: bool = False) -> None:
        message = Close(error=error, allow_reconnect=allow_reconnect)
        if self._hub_since is not None and asyncio.current_task() is self._reader:
            self._close_after_method = message
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
        self._watch_hub(now)
        self._watch_writer(now)
        match self._connection.due(now=now, is_busy=self._hub_since is not None):
            case Due.PING:
                self._write(Ping())
            case Due.HANDSHAKE_TIMEOUT:
                self._end(_NO_HANDSHAKE, handshake.encode_reply(_NO_HANDSHAKE))
            case Due.CLIENT_TIMEOUT:
                self._end(_CLIENT_TIMED_OUT, self._encode_close(Close(error=_CLIENT_TIMED_OUT, allow_reconnect=True)))
            case Due.NOTHING:
                pass

    def _watch_hub(self, now: float) -> None:
        if self._hub_since is None or self._reader is None or self._is_hub_overdue:
            return
        if now - self._hub_since >= self._settings.method_timeout_s:
            self._is_hub_overdue = True
            self._reader.cancel()

    def _watch_writer(self, now: float) -> None:
        if self._sending_since is None or self._writer is None:
            return
        if now - self._sending_since >= self._settings.send_timeout_s:
            self._log.warning(
                "hub.connection_dropped", hub=self._hub_name, connection_id=self.id, reason="send timeout"
            )
            self._writer.cancel()
            self._end("The client reads too slowly.")

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
        if self._hub_since is not None:
            # The method that runs is bounded by its own timeout and may finish its work.
            await asyncio.wait({reader}, timeout=self._settings.method_timeout_s)
        reader.cancel()
        await asyncio.wait({reader, writer})
        if self._hub_has_begun:
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        try:
            async with asyncio.timeout(self._settings.method_timeout_s):
                await self._hub.on_disconnected(self._error)
        except Exception as error:
            self._log_failure("on_disconnected", error)

    def _encode_close(self, message: Close) -> bytes:
        if self._connection.state is not ConnectionState.OPEN:
            return b""
        return self._connection.encode(message, now=self._clock())

    # Reading

    async def _read(self) -> None:
        try:
            while (data := await self._wire.receive()) is not None:
                for event in self._connection.feed(data, now=self._clock()):
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
            case HandshakeDone(reply=reply):
                self._put(reply)
                await self._greet()
            case Invocation():
                await self._invoke(event)
            case StreamInvocation():
                self._refuse_stream(event)
            case Failed(error=error, farewell=farewell):
                self._log.info("hub.protocol_broken", hub=self._hub_name, connection_id=self.id, reason=error)
                self._end(error, farewell)
            case PeerClosed(error=error):
                self._end(error)
            case _:
                # Items, cancellations and completions of streams or calls that are not there (any more), and the
                # bookkeeping of stateful reconnect, which was not offered: the specification says to ignore them.
                pass

    async def _greet(self) -> None:
        self._hub_has_begun = True
        failure = await self._run_hub("on_connected", self._hub.on_connected())
        if failure is not None:
            text = _with_reason("Connection closed with an error.", failure)
            self._end(text, self._encode_close(Close(error=text)))
        self._close_if_asked()

    async def _invoke(self, call: Invocation) -> None:
        method = self._methods.find(call.target)
        if method is None:
            self._complete(call.invocation_id, error=f"Unknown hub method '{call.target[:200]}'")
            return
        name = method.target
        if call.stream_ids:
            text = f"Client sent {len(call.stream_ids)} stream(s), Hub method expects 0."
            self._complete(call.invocation_id, error=text)
            return
        try:
            arguments = method.bind(call.arguments, self._connection.codec)
        except ValueError as error:
            self._log.info("hub.arguments_refused", hub=self._hub_name, method=name, reason=str(error))
            self._complete(call.invocation_id, error=f"Failed to invoke '{name}' due to an error on the server.")
            return
        results: list[Any] = []
        failure = await self._run_hub(name, _collect(method.call(self._hub, arguments), results))
        if failure is not None:
            text = _with_reason(f"An unexpected error occurred invoking '{name}' on the server.", failure)
            self._complete(call.invocation_id, error=text)
        elif method.has_result:
            self._answer(call.invocation_id, name, results[0])
        else:
            self._complete(call.invocation_id)
        self._close_if_asked()

    async def _run_hub(self, name: str, work: Coroutine[Any, Any, None]) -> Exception | None:
        """Run the hub's code within its time; what it raised is logged (unless meant for the client) and returned."""
        self._hub_since = self._clock()
        try:
            await work
        except HubError as error:
            return error
        except asyncio.CancelledError:
            if not self._is_hub_overdue:
                raise
            failure = TimeoutError(f"'{name}' took longer than {self._settings.method_timeout_s} s")
            self._log_failure(name, failure)
            return failure
        except Exception as error:
            self._log_failure(name, error)
            return error
        finally:
            self._hub_since = None
            if self._is_hub_overdue and self._reader is not None:
                self._is_hub_overdue = False
                self._reader.uncancel()
        return None

    def _log_failure(self, name: str, error: Exception) -> None:
        self._log.error("hub.method_failed", hub=self._hub_name, method=name, connection_id=self.id, exc_info=error)

    def _refuse_stream(self, call: StreamInvocation) -> None:
        method = self._methods.find(call.target)
        if method is None:
            text = f"Unknown hub method '{call.target[:200]}'"
        else:
            text = f"The client attempted to invoke the non-streaming '{method.target}' method with a streaming invocation."
        self._complete(call.invocation_id, error=text)

    def _close_if_asked(self) -> None:
        message = self._close_after_method
        if message is not None:
            self._end(message.error or "The server closed the connection.", self._encode_close(message))

    # Writing

    def _answer(self, invocation_id: str | None, name: str, result: Any) -> None:
        try:
            self._complete(invocation_id, result=result, has_result=True)
        except TypeError as error:
            self._log.error("hub.result_not_encodable", hub=self._hub_name, method=name, exc_info=error)
            text = f"An unexpected error occurred invoking '{name}' on the server."
            self._complete(invocation_id, error=text)

    def _complete(
        self, invocation_id: str | None, *, result: Any = None, has_result: bool = False, error: str | None = None
    ) -> None:
        if invocation_id is not None and self._connection.state is ConnectionState.OPEN:
            self._write(
                Completion(invocation_id=invocation_id, result=result, has_result=has_result, error=error),
            )

    def _write(self, message: HubMessage) -> None:
        self._put(self._connection.encode(message, now=self._clock()))

    def _put(self, frame: bytes) -> None:
        if not self._outbox.put(frame):
            self._log.warning("hub.connection_dropped", hub=self._hub_name, connection_id=self.id, reason="slow client")
            self._end("The client reads too slowly.", self._encode_close(Close(allow_reconnect=True)))

    async def _write_out(self) -> None:
        try:
            while (frames := await self._outbox.take()) is not None:
                self._sending_since = self._clock()
                await self._wire.send(b"".join(frames), self._connection.transfer_format)
                self._sending_since = None
        except OSError:
            self._end(_LOST)
        finally:
            self._sending_since = None


async def _collect(work: Coroutine[Any, Any, Any], results: list[Any]) -> None:
    results.append(await work)


def _with_reason(text: str, failure: Exception) -> str:
    return f"{text} HubException: {failure}" if isinstance(failure, HubError) else text
