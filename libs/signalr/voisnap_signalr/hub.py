"""Hubs: classes whose decorated methods the clients call, one instance for each connection."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar, overload

import msgspec

from .methods import mark
from .negotiate import Transport
from .requests import HubRequest

Method = TypeVar("Method", bound=Callable[..., Any])


class HubError(Exception):
    """Refusal of a hub method whose text the client may see; every other exception stays private."""


class ClientError(HubError):
    """The client answered a call of the server with an error; the text is the client's."""


class HubConnection(Protocol):
    """What a hub may do with its connection. Everything here runs on the event loop that serves it."""

    @property
    def id(self) -> str:
        """The public connection id."""
        ...

    @property
    def request(self) -> HubRequest:
        """The request that opened the connection."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Its query parameters, names in any case."""
        ...

    @property
    def user(self) -> Any:
        """What `authenticate` returned."""
        ...

    @property
    def transport(self) -> Transport:
        """How the connection's bytes travel."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the connection token: its name in other connections' `previous`."""
        ...

    @property
    def previous(self) -> tuple[str, ...]:
        """Digests of connections that the same client held before, newest first; empty unless `continuity` is on."""
        ...

    @property
    def closed(self) -> asyncio.Event:
        """Set as soon as nothing more can be sent."""
        ...

    def send(self, target: str, *arguments: Any) -> None:
        """Call `target` on the client, without an answer, in the order of the calls.

        Never waits: a client that reads too slowly is dropped when its buffer is full, and sending to a connection
        that has ended does nothing. Raises `TypeError` for an argument that cannot be encoded.
        """
        ...

    async def invoke(self, target: str, *arguments: Any, result_type: Any = Any, timeout_s: float = 10.0) -> Any:
        """Call `target` on the client and wait for what it returns, decoded as `result_type`.

        Raises `ClientError` when the client's handler failed, `TimeoutError` when no answer came in time (a client
        without such a handler may never answer), `ConnectionError` when the connection has ended, `ValueError` for a
        result of another type, and `RuntimeError` where waiting would wait for itself: in `on_connected`, and in a
        method while the hub's `max_parallel_invocations` is 1.
        """
        ...

    def abort(self) -> None:
        """End the connection now; what is still buffered may be lost, and the client does not come back by itself."""
        ...

    async def close(self, error: str | None = None, allow_reconnect: bool = False) -> None:
        """Send what is buffered, then a Close message, then end the connection.

        From inside a hub method it returns at once and takes effect after the method's own answer.
        """
        ...


class HubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one hub's connections; None stands for the application's own.

    With one parallel invocation a client's calls run in its order, each after the one before; with more they only
    begin in that order. Streams run beside them in any case, at most `max_streams` of both directions together.
    """

    max_message_bytes: int | None = None
    max_parallel_invocations: int = 1
    max_streams: int = 100


class Hub:
    """Base of a hub. `connection` is there before `on_connected` runs."""

    connection: HubConnection
    limits: ClassVar[HubLimits] = HubLimits()

    async def on_connected(self) -> None:
        """Runs once, behind the handshake reply; an exception closes the connection."""

    async def on_disconnected(self, error: str | None) -> None:
        """Runs once after `on_connected` has begun, whatever became of it; None means that the client said goodbye."""


@overload
def hub_method(target: Method) -> Method: ...


@overload
def hub_method(target: str, *, immediate: bool = False) -> Callable[[Method], Method]: ...


def hub_method(target: Any, *, immediate: bool = False) -> Any:
    """Let clients call this method: by its own name, or `@hub_method("SendOfferAsync")` by that literal target.

    An `async def` with `yield` answers with a stream, and so does one that returns an `AsyncIterator`. A parameter
    annotated as `AsyncIterable[T]` receives a stream that the client sends along. `immediate` is for what comes fifty
    times a second and waits for nothing: a plain `def`, run as soon as its message is there, before any task.
    """
    if isinstance(target, str):
        return lambda function: mark(function, target, immediate=immediate)
    return mark(target, target.__name__)
