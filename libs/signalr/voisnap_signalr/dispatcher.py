"""From messages to hub methods and back: plain calls, streams both ways, and calls of the client.

Plain calls run inside the reader, one after the other: order and back-pressure for the price of an await. Only what
must run beside the reader gets a task: streams, methods that take a client's stream, and plain calls of a hub that
allows several at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from .hub import Hub, HubError
from .log import Log
from .messages import (
    CancelInvocation,
    Completion,
    HubCodec,
    HubMessage,
    Invocation,
    StreamInvocation,
    StreamItem,
)
from .methods import HubMethod, HubMethods
from .payloads import decoder_of
from .pending_calls import PendingCalls
from .requests import Unauthorized
from .uploads import Upload

_GONE = "The connection has ended."
_FAILED_STREAM = "An error occurred on the server while streaming results."
_MAX_QUOTED = 200
_ITEMS_IN_A_ROW = 32


class Outlet(Protocol):
    """The way back to the client."""

    @property
    def codec(self) -> HubCodec: ...

    def write(self, message: HubMessage) -> None:
        """Send a message; nothing when the connection has ended. Raises `TypeError` for a payload it cannot write."""
        ...

    async def room(self) -> None:
        """Wait until the client has read most of what was sent."""
        ...

    def method_done(self) -> None:
        """The plain call that the current task ran has been answered."""
        ...


class _NoOutlet:
    """The way back of a connection that is over."""

    def __init__(self, codec: HubCodec | None) -> None:
        self._codec = codec

    @property
    def codec(self) -> HubCodec:
        if self._codec is None:
            raise RuntimeError(_GONE)
        return self._codec

    def write(self, message: HubMessage) -> None: ...
    async def room(self) -> None: ...
    def method_done(self) -> None: ...


class _Stream(msgspec.Struct, kw_only=True):
    """A running stream to the client."""

    task: asyncio.Task[None] | None = None
    is_cancelled: bool = False


class Dispatcher:
    """Runs one connection's hub."""

    def __init__(
        self,
        hub: Hub,
        *,
        methods: HubMethods,
        outlet: Outlet,
        connection_id: str,
        method_timeout_s: float,
        upload_capacity: int,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._hub = hub
        self._hub_name = type(hub).__name__
        self._methods = methods
        self._outlet = outlet
        self._connection_id = connection_id
        self._method_timeout_s = method_timeout_s
        self._upload_capacity = upload_capacity
        self._clock = clock
        self._log = log
        self._slots = asyncio.Semaphore(limit) if (limit := hub.limits.max_parallel_invocations) > 1 else None
        self._pending = PendingCalls()
        self._calls: set[asyncio.Task[None]] = set()
        self._streams: dict[str, _Stream] = {}
        self._uploads: dict[str, Upload] = {}
        self._inline_since: float | None = None
        self._inline_task: asyncio.Task[Any] | None = None
        self._is_overdue = False
        self._is_reader_waiting = False
        self._has_ended = False

    # What the session asks

    @property
    def runs_inline(self) -> bool:
        """Whether a plain call runs inside the reader."""
        return self._inline_since is not None

    @property
    def is_busy(self) -> bool:
        """Whether the reader waits for the hub: until then the client's silence says nothing about the client."""
        return self.runs_inline or self._is_reader_waiting

    @property
    def is_inside_method(self) -> bool:
        """Whether the current task is a plain call of this hub (or `on_connected`), whose answer is still to come."""
        return self._is_inline() or asyncio.current_task() in self._calls

    def tick(self, now: float) -> None:
        """Cut off a method that holds the reader for too long."""
        if self._inline_since is None or self._inline_task is None or self._is_overdue:
            return
        if now - self._inline_since >= self._method_timeout_s:
            self._is_overdue = True
            self._inline_task.cancel()

    async def greet(self) -> str | None:
        """Run `on_connected`; when it failed, the text for the client."""
        self._begin_inline()
        try:
            await self._hub.on_connected()
        except (Exception, asyncio.CancelledError) as error:
            failure = self._inline_failure("on_connected", error)
            self._log_failure("on_connected", failure)
            return _with_reason("Connection closed with an error.", failure)
        finally:
            self._end_inline()
        return None

    async def end(self, error: str | None) -> None:
        """The connection has ended: stop what runs, then `on_disconnected`."""
        self._has_ended = True
        self._pending.abandon()
        for upload in tuple(self._uploads.values()):
            upload.finish(ConnectionError(_GONE))
        streams = {stream.task for stream in self._streams.values() if stream.task is not None}
        for task in streams:
            _cancel_soon(task)
        # Calls are bounded by their own timeout and may finish their work; streams may only clean up.
        await _wind_up(streams | self._calls, timeout_s=self._method_timeout_s)
        try:
            async with asyncio.timeout(self._method_timeout_s):
                await self._hub.on_disconnected(error)
        except Exception as failure:
            self._log_failure("on_disconnected", failure)

    def let_go(self) -> None:
        """After the end: hold neither the hub nor the way back. They hold this, and only a collection would free all of them."""
        self._hub, self._outlet = Hub(), _NoOutlet(self._outlet.codec if self._has_ended else None)

    # Messages of the client

    async def invoke(self, call: Invocation) -> None:
        """Run a plain call; returns when it has been answered, or when it runs beside the reader."""
        method = self._methods.find(call.target)
        if method is None or method.is_streaming or method.upload_count or call.stream_ids:
            self._invoke_with_uploads(call, method)
            return
        if method.is_immediate:
            if self._slots is not None:
                await asyncio.sleep(0)  # the calls before it have begun then
            self._run_now(call, method)
            return
        try:
            arguments = method.bind(call.arguments, self._outlet.codec)
        except ValueError as error:
            self._refuse_arguments(call.invocation_id, method, error)
            return
        if self._slots is not None:
            await self._free_slot(self._slots)
            work = method.call(self._hub, *arguments)
            self._start_call(self._run_beside(call.invocation_id, method, work, slots=self._slots))
            return
        result, failure = None, None
        self._begin_inline()
        try:
            result = await method.call(self._hub, *arguments)
        except (Exception, asyncio.CancelledError) as error:
            failure = self._inline_failure(method.target, error)
        finally:
            self._end_inline()
        self._answer(call.invocation_id, method, result, failure)
        self._outlet.method_done()

    def call_now(self, call: Invocation) -> bool:
        """Run a call of a plain function and answer it; False for any other, with which nothing was done.

        Only while no other call of the connection runs inside the reader: they keep their order. Behind calls that run beside the reader
        it is the reader's too: they may not have begun.
        """
        method = self._methods.find(call.target)
        if method is None or not method.is_immediate or call.stream_ids or (self._slots is not None and self._calls):
            return False
        self._run_now(call, method)
        return True

    def _run_now(self, call: Invocation, method: HubMethod) -> None:
        try:
            arguments = method.bind(call.arguments, self._outlet.codec)
        except ValueError as error:
            self._refuse_arguments(call.invocation_id, method, error)
            return
        result, failure = None, None
        try:
            result = method.call(self._hub, *arguments)
        except Exception as error:
            failure = error
        except asyncio.CancelledError:  # the result of something that was cancelled: nobody can cancel what never waits
            failure = RuntimeError(f"'{method.target}' asked for what was cancelled")
        self._answer(call.invocation_id, method, result, failure)

    def stream(self, call: StreamInvocation) -> None:
        """Begin a stream to the client."""
        method = self._methods.find(call.target)
        if method is None:
            self._complete(call.invocation_id, error=_unknown(call.target))
            return
        if not method.is_streaming:
            text = f"The client attempted to invoke the non-streaming '{method.target}' method with a streaming invocation."
            self._complete(call.invocation_id, error=text)
            return
        if call.invocation_id in self._streams:
            self._complete(call.invocation_id, error="The invocation id is in use already.")
            return
        arguments = self._bind_with_uploads(call, method)
        if arguments is None:
            return
        stream = self._streams[call.invocation_id] = _Stream()
        stream.task = asyncio.create_task(self._run_stream(call, method, stream, arguments))

    async def take_item(self, item: StreamItem) -> None:
        """An item of a client's stream; of one that is not there (any more) it is dropped."""
        upload = self._uploads.get(item.invocation_id)
        if upload is None:
            return
        self._is_reader_waiting = True
        try:
            await upload.put(item.item, timeout_s=self._method_timeout_s)
        finally:
            self._is_reader_waiting = False

    def take_completion(self, completion: Completion) -> None:
        """The end of a client's stream, or the client's answer to a call of the server."""
        if completion.invocation_id in self._pending:
            self._pending.answer(completion)
            return
        upload = self._uploads.pop(completion.invocation_id, None)
        if upload is not None:
            upload.finish(None if completion.error is None else HubError(completion.error))

    def cancel(self, cancellation: CancelInvocation) -> None:
        """The client wants no more of a stream."""
        stream = self._streams.get(cancellation.invocation_id)
        if stream is not None and stream.task is not None and not stream.is_cancelled:
            stream.is_cancelled = True
            _cancel_soon(stream.task)

    # Calls of the client

    async def ask(self, target: str, arguments: Sequence[Any], *, result_type: Any, timeout_s: float) -> Any:
        """Call the client and wait for its result; errors as `HubConnection.invoke` says."""
        if self._has_ended:
            raise ConnectionError(_GONE)
        if self._is_inline():
            raise RuntimeError(
                "The client's answer cannot be read while this method runs. "
                "Give the hub max_parallel_invocations of more than 1, or ask from a task."
            )
        invocation_id, answer = self._pending.begin(decoder_of(result_type, self._outlet.codec))
        try:
            self._outlet.write(Invocation(target=target, arguments=arguments, invocation_id=invocation_id))
            async with asyncio.timeout(timeout_s):
                return await answer
        finally:
            self._pending.forget(invocation_id)

    # Running methods

    def _begin_inline(self) -> None:
        self._inline_task = asyncio.current_task()
        self._inline_since = self._clock()

    def _inline_failure(self, name: str, error: BaseException) -> Exception:
        """Why the hub code that ran inside the reader failed; raises when it is the reader that is cancelled."""
        if isinstance(error, Exception):
            return error
        if self._is_overdue:
            return TimeoutError(f"'{name}' took longer than {self._method_timeout_s} s")
        if self._inline_task is None or self._inline_task.cancelling():
            raise error
        return RuntimeError(f"'{name}' waited for something that was cancelled")

    def _end_inline(self) -> None:
        task, self._inline_task, self._inline_since = self._inline_task, None, None
        if self._is_overdue and task is not None:
            self._is_overdue = False
            task.uncancel()

    async def _run_beside(
        self,
        invocation_id: str | None,
        method: HubMethod,
        work: Coroutine[Any, Any, Any],
        *,
        slots: asyncio.Semaphore | None = None,
        stream_ids: tuple[str, ...] = (),
    ) -> None:
        """Run a call in its own task; one that takes streams lasts as long as they do."""
        result, failure = None, None
        try:
            async with asyncio.timeout(None if stream_ids else self._method_timeout_s):
                result = await work
        except Exception as error:
            failure = error
        finally:
            if slots is not None:
                slots.release()
            self._close_uploads(stream_ids)
        self._answer(invocation_id, method, result, failure)
        self._outlet.method_done()

    def _start_call(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _free_slot(self, slots: asyncio.Semaphore) -> None:
        self._is_reader_waiting = True
        try:
            await slots.acquire()
        finally:
            self._is_reader_waiting = False

    def _invoke_with_uploads(self, call: Invocation, method: HubMethod | None) -> None:
        if method is None:
            self._complete(call.invocation_id, error=_unknown(call.target))
            return
        if method.is_streaming:
            text = f"The client attempted to invoke the streaming '{method.target}' method with a non-streaming invocation."
            self._complete(call.invocation_id, error=text)
            return
        arguments = self._bind_with_uploads(call, method)
        if arguments is not None:
            work = method.call(self._hub, **arguments)
            self._start_call(self._run_beside(call.invocation_id, method, work, stream_ids=call.stream_ids))

    def _bind_with_uploads(self, call: Invocation | StreamInvocation, method: HubMethod) -> dict[str, Any] | None:
        """The arguments by name, the client's streams among them; None when the call has been refused."""
        error = self._check_streams(call, method)
        if error is not None:
            self._complete(call.invocation_id, error=error)
            return None
        try:
            arguments = method.bind(call.arguments, self._outlet.codec)
        except ValueError as failure:
            self._refuse_arguments(call.invocation_id, method, failure)
            return None
        decoders = method.item_decoders(self._outlet.codec)
        uploads = [Upload(decode, capacity=self._upload_capacity) for decode in decoders]
        self._uploads.update(zip(call.stream_ids, uploads, strict=True))
        return method.named(arguments, uploads)

    def _check_streams(self, call: Invocation | StreamInvocation, method: HubMethod) -> str | None:
        if len(call.stream_ids) != method.upload_count:
            return f"Client sent {len(call.stream_ids)} stream(s), Hub method expects {method.upload_count}."
        if len(set(call.stream_ids)) < len(call.stream_ids) or not self._uploads.keys().isdisjoint(call.stream_ids):
            return "The stream id is in use already."
        if len(self._streams) + len(self._calls) >= self._hub.limits.max_streams:
            return "Too many streams are open on this connection."
        return None

    def _close_uploads(self, stream_ids: tuple[str, ...]) -> None:
        for stream_id in stream_ids:
            upload = self._uploads.pop(stream_id, None)
            if upload is not None:
                upload.close()

    # Streams to the client

    async def _run_stream(
        self, call: StreamInvocation, method: HubMethod, stream: _Stream, arguments: dict[str, Any]
    ) -> None:
        error: str | None = None
        try:
            error = await self._pump(call.invocation_id, method, stream, arguments)
        except asyncio.CancelledError:
            if self._has_ended:
                raise
            if not stream.is_cancelled:
                error = _FAILED_STREAM
        finally:
            del self._streams[call.invocation_id]
            self._close_uploads(call.stream_ids)
        self._complete(call.invocation_id, error=error)

    async def _pump(
        self, invocation_id: str, method: HubMethod, stream: _Stream, arguments: dict[str, Any]
    ) -> str | None:
        """Write what the method yields; the error text when it failed."""
        try:
            made = method.call(self._hub, **arguments)
            items: AsyncIterator[Any] = aiter(made if method.is_generator else await made)
        except Exception as failure:
            return self._describe(method, failure)
        try:
            await self._write_items(invocation_id, stream, items)
        except Exception as failure:
            self._log_failure(method.target, failure)
            return None if stream.is_cancelled else _with_reason(_FAILED_STREAM, failure)
        return None

    async def _write_items(self, invocation_id: str, stream: _Stream, items: AsyncIterator[Any]) -> None:
        written = 0
        try:
            async for item in items:
                if stream.is_cancelled or self._has_ended:
                    return
                self._outlet.write(StreamItem(invocation_id=invocation_id, item=item))
                await self._outlet.room()
                written += 1
                if written % _ITEMS_IN_A_ROW == 0:
                    # A method that never waits must not keep the others waiting.
                    await asyncio.sleep(0)
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._method_timeout_s):
                        await close()

    # Answers

    def _answer(self, invocation_id: str | None, method: HubMethod, result: Any, failure: Exception | None) -> None:
        if failure is not None:
            self._complete(invocation_id, error=self._describe(method, failure))
            return
        if invocation_id is None:
            return
        if not method.has_result:
            self._complete(invocation_id)
            return
        try:
            self._outlet.write(Completion(invocation_id=invocation_id, result=result, has_result=True))
        except TypeError as error:
            self._complete(invocation_id, error=self._describe(method, error))

    def _complete(self, invocation_id: str | None, *, error: str | None = None) -> None:
        if invocation_id is not None:
            self._outlet.write(Completion(invocation_id=invocation_id, error=error))

    def _describe(self, method: HubMethod, failure: Exception) -> str:
        """What the client may know of a failure; the log gets the rest."""
        if isinstance(failure, Unauthorized):
            return f"Failed to invoke '{method.target}' because user is unauthorized"
        self._log_failure(method.target, failure)
        return _with_reason(f"An unexpected error occurred invoking '{method.target}' on the server.", failure)

    def _refuse_arguments(self, invocation_id: str | None, method: HubMethod, error: ValueError) -> None:
        self._log.info("hub.arguments_refused", hub=self._hub_name, method=method.target, reason=str(error))
        self._complete(invocation_id, error=f"Failed to invoke '{method.target}' due to an error on the server.")

    def _log_failure(self, name: str, failure: Exception) -> None:
        if isinstance(failure, HubError) or (self._has_ended and isinstance(failure, ConnectionError)):
            return
        self._log.error(
            "hub.method_failed", hub=self._hub_name, method=name, connection_id=self._connection_id, exc_info=failure
        )

    def _is_inline(self) -> bool:
        return self._inline_task is not None and asyncio.current_task() is self._inline_task


def _cancel_soon(task: asyncio.Task[None]) -> None:
    """Cancel a task that may not have begun: first it begins, so that what it must clean up is cleaned up."""
    task.get_loop().call_soon(task.cancel)


async def _wind_up(tasks: set[asyncio.Task[None]], *, timeout_s: float) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=timeout_s)


def _unknown(target: str) -> str:
    return f"Unknown hub method '{target[:_MAX_QUOTED]}'"


def _with_reason(text: str, failure: Exception) -> str:
    return f"{text} HubException: {failure}" if isinstance(failure, HubError) else text
