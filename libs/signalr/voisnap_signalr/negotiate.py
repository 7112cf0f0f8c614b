"""Negotiation: what `POST {hub}/negotiate` answers, and the tokens that tie it to the connection that follows."""

import base64
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from .messages import TransferFormat

HIGHEST_VERSION = 1


class Transport(StrEnum):
    """The ways a connection can take, best first."""

    WEB_SOCKETS = "WebSockets"
    SERVER_SENT_EVENTS = "ServerSentEvents"
    LONG_POLLING = "LongPolling"


class AvailableTransport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One transport that the server offers and the formats it carries."""

    transport: Transport
    transfer_formats: tuple[TransferFormat, ...]


class NegotiatedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that was promised: `connection_id` is public, `connection_token` opens it once.

    `previous` are digests of the connections that this client held before (`continuity.py`), newest first. `user` is
    the digest of whoever negotiated, empty when it has none; nobody else opens the connection. With `is_stateful` the
    connection outlives its WebSocket.
    """

    connection_id: str
    connection_token: str
    hub: str
    previous: tuple[str, ...] = ()
    user: str = ""
    is_stateful: bool = False


class ConnectionInUseError(Exception):
    """The token belongs to a connection that is open (or was opened already)."""


class ConnectionTokens(Protocol):
    """Keeps negotiated connections until they are opened; a shared store lets any process open them."""

    async def issue(self, connection: NegotiatedConnection, *, ttl_s: float) -> bool:
        """Remember it for `ttl_s` seconds; False when there is no room (the client gets 503)."""
        ...

    async def claim(self, connection_token: str) -> NegotiatedConnection | None:
        """Hand it out once; None for an unknown or expired token. Raises `ConnectionInUseError` the second time."""
        ...

    async def release(self, connection_token: str) -> None:
        """The connection has ended: forget the token."""
        ...


class MemoryConnectionTokens:
    """`ConnectionTokens` of one process. `clock` gives seconds, `capacity` bounds what waits and what is open."""

    def __init__(self, *, clock: Callable[[], float], capacity: int = 20_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._waiting: dict[str, tuple[float, NegotiatedConnection]] = {}
        self._open: set[str] = set()

    async def issue(self, connection: NegotiatedConnection, *, ttl_s: float) -> bool:
        self._forget_expired()
        if len(self._waiting) + len(self._open) >= self._capacity:
            return False
        self._waiting[connection.connection_token] = (self._clock() + ttl_s, connection)
        return True

    async def claim(self, connection_token: str) -> NegotiatedConnection | None:
        self._forget_expired()
        if connection_token in self._open:
            raise ConnectionInUseError
        waiting = self._waiting.pop(connection_token, None)
        if waiting is None:
            return None
        self._open.add(connection_token)
        return waiting[1]

    async def release(self, connection_token: str) -> None:
        self._open.discard(connection_token)

    def _forget_expired(self) -> None:
        # Entries expire in the order they came as long as every one has the same lifetime, which the hub app keeps.
        now = self._clock()
        while self._waiting:
            token, (expires_at, _) = next(iter(self._waiting.items()))
            if expires_at > now:
                return
            del self._waiting[token]


class NegotiateError(Exception):
    """The client asked for something impossible; the answer is 200 with the text as `error`."""


def version_asked(query: Mapping[str, str]) -> int:
    """The negotiate version to answer with: none asked is 0, a higher one is answered with 1.

    Raises `NegotiateError` for something that is not a number.
    """
    asked = query.get("negotiateVersion")
    if asked is None:
        return 0
    if not (asked.isascii() and asked.isdigit()):
        raise NegotiateError("The client requested a non-integer protocol version.")
    return min(int(asked[:9]), HIGHEST_VERSION)


def asks_for_stateful(query: Mapping[str, str], *, version: int) -> bool:
    """Whether the client wants a connection that outlives its socket; version 0 knows none."""
    return version > 0 and query.get("useStatefulReconnect", "").lower() == "true"


def new_connection(
    hub: str,
    *,
    version: int,
    random_bytes: Callable[[int], bytes],
    node: str = "",
    previous: tuple[str, ...] = (),
    user: str = "",
    is_stateful: bool = False,
) -> NegotiatedConnection:
    """Ids of a new connection. Version 0 knows no token: there the id itself opens the connection.

    What opens the connection names its `node`, if that has a name: `<node>.<random>`.
    """
    connection_id = _opaque_id(random_bytes)
    token = connection_id if version == 0 else _opaque_id(random_bytes)
    if node:
        token = f"{node}.{token}"
    return NegotiatedConnection(
        connection_id=token if version == 0 else connection_id,
        connection_token=token,
        hub=hub,
        previous=previous,
        user=user,
        is_stateful=is_stateful,
    )


def answer(
    connection: NegotiatedConnection, *, version: int, transports: Sequence[AvailableTransport]
) -> dict[str, Any]:
    """The JSON body of a successful negotiation."""
    body: dict[str, Any] = {"negotiateVersion": version, "connectionId": connection.connection_id}
    if version > 0:
        body["connectionToken"] = connection.connection_token
    if connection.is_stateful:
        # Only if it was asked for: the official client gives up otherwise.
        body["useStatefulReconnect"] = True
    body["availableTransports"] = transports
    return body


def _opaque_id(random_bytes: Callable[[int], bytes]) -> str:
    return base64.urlsafe_b64encode(random_bytes(16)).rstrip(b"=").decode()
