"""Hubs: classes whose decorated methods the clients call, one instance for each connection."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, get_type_hints, overload

import msgspec

from .messages import HubCodec
from .negotiate import Transport
from .requests import HubRequest

_TARGET = "__voisnap_hub_target__"
Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])


class HubError(Exception):
    """Refusal of a hub method whose text the client may see; every other exception stays private."""


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

    def abort(self) -> None:
        """End the connection now; what is still buffered may be lost, and the client does not come back by itself."""
        ...

    async def close(self, error: str | None = None, allow_reconnect: bool = False) -> None:
        """Send what is buffered, then a Close message, then end the connection.

        From inside a hub method it returns at once and takes effect after the method's own answer.
        """
        ...


class Hub:
    """Base of a hub. `connection` is there before `on_connected` runs."""

    connection: HubConnection

    async def on_connected(self) -> None:
        """Runs once, behind the handshake reply; an exception closes the connection."""

    async def on_disconnected(self, error: str | None) -> None:
        """Runs once after `on_connected` has begun, whatever became of it; None means that the client said goodbye."""


@overload
def hub_method(target: Method) -> Method: ...


@overload
def hub_method(target: str) -> Callable[[Method], Method]: ...


def hub_method(target: Any) -> Any:
    """Let clients call this method: by its own name, or `@hub_method("SendOfferAsync")` by that literal target."""
    if isinstance(target, str):
        return lambda function: _mark(function, target)
    return _mark(target, target.__name__)


def _mark(function: Any, target: str) -> Any:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"Hub method '{target}' must be 'async def' without yield.")
    setattr(function, _TARGET, target)
    return function


class HubMethod:
    """One callable target: its parameters' types and what it answers."""

    def __init__(self, target: str, function: Callable[..., Any]) -> None:
        self.target = target
        self._function = function
        self._kinds, self._required = _parameters(target, function)
        self.has_result = get_type_hints(function).get("return", Any) is not type(None)
        self._decoders: dict[str, tuple[Callable[[msgspec.Raw], Any], ...]] = {}

    def bind(self, arguments: Sequence[msgspec.Raw], codec: HubCodec) -> list[Any]:
        """Decode the arguments by the method's annotations.

        Parameters with a default may be left out. Raises `ValueError`, whose text quotes no argument.
        """
        if not self._required <= len(arguments) <= len(self._kinds):
            raise ValueError(f"{len(arguments)} arguments for {len(self._kinds)} parameters")
        decoders = self._decoders.get(codec.name)
        if decoders is None:
            decoders = tuple(codec.payload_decoder(kind) for kind in self._kinds)
            self._decoders[codec.name] = decoders
        try:
            return [decode(raw) for decode, raw in zip(decoders, arguments, strict=False)]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None

    async def call(self, hub: Hub, arguments: Sequence[Any]) -> Any:
        return await self._function(hub, *arguments)


class HubMethods:
    """The targets of a hub class, found in any case."""

    def __init__(self, hub_type: type[Hub]) -> None:
        self._methods: dict[str, HubMethod] = {}
        for name, function in inspect.getmembers(hub_type, inspect.isfunction):
            target = getattr(function, _TARGET, None)
            if target is None:
                continue
            if target.casefold() in self._methods:
                raise TypeError(f"{hub_type.__name__} has two hub methods named '{target}' ({name}).")
            self._methods[target.casefold()] = HubMethod(target, function)

    def find(self, target: str) -> HubMethod | None:
        return self._methods.get(target.casefold())


def _parameters(target: str, function: Callable[..., Any]) -> tuple[tuple[Any, ...], int]:
    """Types of the positional parameters behind `self`, and how many of them a caller must give."""
    hints = get_type_hints(function, include_extras=True)
    kinds: list[Any] = []
    required = 0
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"Hub method '{target}': parameter '{parameter.name}' must be positional.")
        kinds.append(hints.get(parameter.name, Any))
        required += parameter.default is inspect.Parameter.empty
    return tuple(kinds), required
