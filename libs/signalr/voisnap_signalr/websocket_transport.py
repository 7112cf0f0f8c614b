"""The WebSockets of one process: each opens a connection, or goes on with a stateful one whose socket broke."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from .log import Log
from .negotiate import ConnectionInUseError, NegotiatedConnection, Transport
from .requests import HubRequest, Refused, identity_of
from .scopes import Headers, Receive, Send
from .session import HubSession, Wire
from .transports.websockets import WebSocketWire


class SocketRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An admitted request for a WebSocket; `hub` is the hub's path."""

    hub: str
    request: HubRequest
    user: Any
    receive: Receive
    send: Send
    straight: Any = None


class Host(Protocol):
    """What the process does for WebSockets."""

    def promise(self, hub: str, request: HubRequest, user: Any, *, version: int) -> NegotiatedConnection:
        """Make a connection that nobody negotiated. Raises `Refused` when there is no room."""
        ...

    def cookies(self, request: HubRequest, promised: NegotiatedConnection) -> Headers:
        """What the client is to keep of the connection."""
        ...

    async def open(self, hub: str, request: HubRequest, user: Any) -> NegotiatedConnection:
        """Take a negotiated connection. Raises `Refused` and `ConnectionInUseError`."""
        ...

    async def release(self, promised: NegotiatedConnection) -> None:
        """Forget a connection that is over."""
        ...

    def new_session(
        self, promised: NegotiatedConnection, transport: Transport, request: HubRequest, user: Any, wire: Wire
    ) -> HubSession: ...

    async def run(self, session: HubSession) -> None:
        """Serve a connection until it has ended."""
        ...


class WebSocketTransport:
    """The WebSockets of one process."""

    def __init__(self, host: Host, *, log: Log) -> None:
        self._host = host
        self._log = log
        self._outliving: dict[str, tuple[str, HubSession]] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, socket: SocketRequest) -> None:
        """Serve a socket to its end. Raises `Refused` before it is accepted, and `OSError` when the client has gone."""
        broken = self._find_outliving(socket)
        if broken is not None:
            await self._replace(broken, socket)
            return
        promised = await self._open(socket)
        if promised.is_stateful:
            await self._serve_outliving(promised, socket)
            return
        try:
            is_direct = "id" not in socket.request.query
            headers = self._host.cookies(socket.request, promised) if is_direct else []
            await socket.send({"type": "websocket.accept", "headers": headers})
            await self._host.run(self._session(promised, socket, _wire_of(socket)))
        finally:
            await self._host.release(promised)

    async def _open(self, socket: SocketRequest) -> NegotiatedConnection:
        if "id" not in socket.request.query:  # skipNegotiation
            return self._host.promise(socket.hub, socket.request, socket.user, version=1)
        try:
            return await self._host.open(socket.hub, socket.request, socket.user)
        except ConnectionInUseError:
            raise Refused(409, "the connection is open already") from None

    def _session(self, promised: NegotiatedConnection, socket: SocketRequest, wire: Wire) -> HubSession:
        return self._host.new_session(promised, Transport.WEB_SOCKETS, socket.request, socket.user, wire)

    # Stateful connections outlive their sockets

    def _find_outliving(self, socket: SocketRequest) -> HubSession | None:
        """The connection that this socket goes on with. Raises `Refused` when it is another's."""
        negotiated_for, session = self._outliving.get(socket.request.query.get("id", ""), (None, None))
        if session is None or not session.is_stateful:
            return None
        if negotiated_for != socket.hub:
            raise Refused(404, "negotiated for another hub")
        if identity_of(session.user) != identity_of(socket.user):
            raise Refused(403, "the connection of another user")
        if session.closed.is_set():
            raise Refused(404, "the connection is over")
        return session

    async def _replace(self, session: HubSession, socket: SocketRequest) -> None:
        wire = _wire_of(socket)
        with suppress(OSError):
            await socket.send({"type": "websocket.accept"})
            if not await session.replace_wire(wire):
                await wire.close()
            await wire.closed.wait()

    async def _serve_outliving(self, promised: NegotiatedConnection, socket: SocketRequest) -> None:
        wire = _wire_of(socket)
        serving = asyncio.create_task(self._run_outliving(promised, socket, wire))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        try:
            with suppress(OSError):
                await socket.send({"type": "websocket.accept"})
            await wire.closed.wait()
        except asyncio.CancelledError:
            serving.cancel()
            await asyncio.wait({serving})
            raise

    async def _run_outliving(self, promised: NegotiatedConnection, socket: SocketRequest, wire: WebSocketWire) -> None:
        try:
            session = self._session(promised, socket, wire)
            self._outliving[promised.connection_token] = promised.hub, session
            await self._host.run(session)
        except Exception as error:
            self._log.error("hub.connection_failed", path=promised.hub, exc_info=error)
        finally:
            self._outliving.pop(promised.connection_token, None)
            await wire.close()
            await self._host.release(promised)


def _wire_of(socket: SocketRequest) -> WebSocketWire:
    return WebSocketWire(socket.receive, socket.send, socket.straight)
