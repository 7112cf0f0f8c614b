"""The ASGI binding: routes, authentication, origins and WebSockets for a set of hubs.

Put `router` in front of the application; the hub layer answers everything below its prefix by itself. Neither frames
nor query strings are ever logged: both carry tokens.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec

from . import negotiate
from .connection import Connection, ConnectionSettings
from .hub import Hub, HubMethods
from .json_codec import JsonCodec
from .messages import TransferFormat
from .msgpack_codec import MsgpackCodec
from .negotiate import (
    AvailableTransport,
    ConnectionInUseError,
    ConnectionTokens,
    MemoryConnectionTokens,
    NegotiateError,
)
from .requests import HubRequest, Refused
from .session import HubSession, Log, PeerGone, SessionSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Authenticate = Callable[[HubRequest], Awaitable[Any]]
HubFactory = Callable[[], Hub]

TRANSPORTS = (
    AvailableTransport(transport="WebSockets", transfer_formats=(TransferFormat.TEXT, TransferFormat.BINARY)),
)

# What the official browser client asks for in a preflight.
_ALLOWED_HEADERS = b"authorization, content-type, x-requested-with, x-signalr-user-agent"
_NEGOTIATE = "/negotiate"
_GOODBYE_CODES = (1000, 1001)


class HubAppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process's hubs; times in seconds."""

    connection: ConnectionSettings = ConnectionSettings()
    session: SessionSettings = SessionSettings()
    negotiated_ttl_s: float = 15.0
    authenticate_timeout_s: float = 10.0
    tick_s: float = 1.0
    max_connections: int = 10_000


class HubApp:
    """Serves hubs: `POST {path}/negotiate` and the WebSocket `{path}`.

    `hubs` maps a name ("webrtc", served below `prefix`) or a whole path ("/live/echo") to a `Hub` class or a factory
    of hub objects. `authenticate` runs on the negotiation and again when the connection opens; it raises
    `Unauthorized` (or `Refused`) or returns the connection's `user`. `allowed_origins` names the other origins whose
    pages may connect ("*" for all, `http://host:*` for all ports of a host): browsers' own-origin requests and clients that send no Origin always may.
    """

    def __init__(
        self,
        hubs: Mapping[str, HubFactory],
        *,
        authenticate: Authenticate,
        allowed_origins: Collection[str] = (),
        logger: Log | None = None,
        prefix: str = "/hubs",
        tokens: ConnectionTokens | None = None,
        settings: HubAppSettings | None = None,
        clock: Callable[[], float] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._hubs = {_hub_path(prefix, name): factory for name, factory in hubs.items()}
        self._authenticate = authenticate
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._log = logger or StdlibLog(logging.getLogger("voisnap_signalr"))
        self._settings = settings or HubAppSettings()
        self._clock = clock
        self._tokens = tokens or MemoryConnectionTokens(clock=clock or _loop_time)
        self._random_bytes = random_bytes
        self._codecs = (JsonCodec(), MsgpackCodec())
        self._methods: dict[type[Hub], HubMethods] = {}
        self._sessions: set[HubSession] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._is_draining = False
        for factory in self._hubs.values():
            if isinstance(factory, type):
                self._methods_of(factory)

    @property
    def connection_count(self) -> int:
        """Connections that are open or about to close."""
        return len(self._sessions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._serve_http(scope, send)
            case "websocket":
                await self._serve_websocket(scope, receive, send)
            case "lifespan":
                await self._serve_lifespan(receive, send)
            case other:
                raise RuntimeError(f"Unexpected ASGI scope type {other!r}.")

    async def drain(self, *, allow_reconnect: bool = True, timeout_s: float = 3.0) -> None:
        """Refuse new connections from now on and close the open ones; clients that may reconnect do so elsewhere."""
        self._is_draining = True
        closings = [
            asyncio.ensure_future(session.close(allow_reconnect=allow_reconnect)) for session in tuple(self._sessions)
        ]
        if closings:
            _, late = await asyncio.wait(closings, timeout=timeout_s)
            for closing in late:
                closing.cancel()

    # HTTP: negotiation and its preflight

    async def _serve_http(self, scope: Scope, send: Send) -> None:
        path = _route(scope)
        hub_path = path.removesuffix(_NEGOTIATE)
        if hub_path == path or hub_path not in self._hubs:
            # Server-Sent Events and long polling would be GET, POST and DELETE on the hub itself.
            await _respond(send, 404)
            return
        cors = self._cors_headers(scope)
        match scope["method"]:
            case "OPTIONS":
                await _respond(send, 204, headers=cors + _preflight_headers())
            case "POST":
                await self._negotiate(scope, send, hub_path, cors)
            case _:
                await _respond(send, 405, headers=[*cors, (b"allow", b"POST, OPTIONS")])

    async def _negotiate(self, scope: Scope, send: Send, hub_path: str, cors: list[tuple[bytes, bytes]]) -> None:
        try:
            request = HubRequest.of(scope, is_negotiate=True)
            self._admit()
            await self._identify(request)
            version = negotiate.version_asked(request.query)
            promised = negotiate.new_connection(hub_path, version=version, random_bytes=self._random_bytes)
            if not await self._tokens.issue(promised, ttl_s=self._settings.negotiated_ttl_s):
                raise Refused(503, "too many negotiated connections", retry_after_s=5)
        except Refused as refusal:
            self._log.info("hub.negotiation_refused", path=hub_path, status=refusal.status, reason=refusal.reason)
            await _respond(send, refusal.status, headers=cors + _refusal_headers(refusal))
        except NegotiateError as error:
            await _respond(send, 200, body=msgspec.json.encode({"error": str(error)}), headers=cors)
        else:
            body = negotiate.answer(promised, version=version, transports=TRANSPORTS)
            await _respond(send, 200, body=msgspec.json.encode(body), headers=cors)

    # WebSockets

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        path = _route(scope)
        try:
            factory = self._hubs.get(path)
            if factory is None:
                raise Refused(404, "no such hub")
            if not self._is_allowed_origin(scope):
                raise Refused(403, "origin not allowed")
            request = HubRequest.of(scope)
            self._admit()
            user = await self._identify(request)
            promised = await self._open(path, request)
        except Refused as refusal:
            self._log.info("hub.connection_refused", path=path, status=refusal.status, reason=refusal.reason)
            await _reject(scope, send, refusal)
            return
        try:
            await send({"type": "websocket.accept"})
            await self._run(factory(), promised.connection_id, request, user, WebSocketWire(receive, send))
        except OSError:
            self._log.debug("hub.connection_lost", path=path)
        finally:
            await self._tokens.release(promised.connection_token)

    async def _open(self, path: str, request: HubRequest) -> negotiate.NegotiatedConnection:
        token = request.query.get("id")
        if token is None:  # skipNegotiation
            return negotiate.new_connection(path, version=1, random_bytes=self._random_bytes)
        try:
            promised = await self._tokens.claim(token)
        except ConnectionInUseError:
            raise Refused(409, "the connection is open already") from None
        if promised is None:
            raise Refused(404, "no connection with that id")
        if promised.hub != path:
            await self._tokens.release(token)
            raise Refused(404, "negotiated for another hub")
        return promised

    async def _run(self, hub: Hub, connection_id: str, request: HubRequest, user: Any, wire: "WebSocketWire") -> None:
        clock = self._clock or asyncio.get_running_loop().time
        session = HubSession(
            hub,
            methods=self._methods_of(type(hub)),
            connection_id=connection_id,
            request=request,
            user=user,
            connection=Connection(self._codecs, now=clock(), settings=self._settings.connection),
            wire=wire,
            settings=self._settings.session,
            clock=clock,
            log=self._log,
        )
        self._sessions.add(session)
        self._keep_ticking()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    # Admission

    def _admit(self) -> None:
        if self._is_draining:
            raise Refused(503, "draining", retry_after_s=1)
        if len(self._sessions) >= self._settings.max_connections:
            raise Refused(503, "too many connections", retry_after_s=5)

    async def _identify(self, request: HubRequest) -> Any:
        try:
            async with asyncio.timeout(self._settings.authenticate_timeout_s):
                return await self._authenticate(request)
        except TimeoutError:
            raise Refused(503, "authentication took too long", retry_after_s=1) from None

    def _is_allowed_origin(self, scope: Scope) -> bool:
        origin = _header(scope, b"origin").lower()
        any_port = f"{origin.rpartition(':')[0]}:*"
        if not origin or not self._allowed_origins.isdisjoint(("*", origin, any_port)):
            return True
        # Own origin: the scheme is left out, since a proxy in front usually ends TLS.
        return origin != "null" and urlsplit(origin).netloc == _header(scope, b"host").lower()

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        origin = _header(scope, b"origin")
        headers = [(b"vary", b"Origin")]
        if origin and self._is_allowed_origin(scope):
            headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers

    def _methods_of(self, hub_type: type[Hub]) -> HubMethods:
        methods = self._methods.get(hub_type)
        if methods is None:
            methods = self._methods[hub_type] = HubMethods(hub_type)
        return methods

    # Timers: one task a process, alive while there are connections

    def _keep_ticking(self) -> None:
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        clock = self._clock or asyncio.get_running_loop().time
        while self._sessions:
            await asyncio.sleep(self._settings.tick_s)
            now = clock()
            for session in tuple(self._sessions):
                session.tick(now)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return


class WebSocketWire:
    """A WebSocket as `Wire`: text frames for text protocols, binary ones for the others."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_gone = False

    async def receive(self) -> bytes | str | None:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._is_gone = True
            if message.get("code", 1005) not in _GOODBYE_CODES:
                raise PeerGone
            return None
        text = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def send(self, data: bytes, transfer_format: TransferFormat) -> None:
        if transfer_format is TransferFormat.TEXT:
            await self._send({"type": "websocket.send", "text": data.decode()})
        else:
            await self._send({"type": "websocket.send", "bytes": data})

    async def close(self) -> None:
        if not self._is_gone:
            await self._send({"type": "websocket.close", "code": 1000})


class StdlibLog:
    """Writes events to a standard logger; what an application without structlog gets."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **values: Any) -> None:
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        self._write(logging.ERROR, event, values)

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        exc_info = values.pop("exc_info", None)
        self._logger.log(level, "%s %s", event, values, exc_info=exc_info)


def router(default_app: AsgiApp, hub_app: AsgiApp, prefix: str = "/hubs") -> AsgiApp:
    """Send what lies below `prefix` to the hubs and everything else, the lifespan too, to the application."""
    root = prefix.rstrip("/").lower()

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path = _route(scope)
            if path == root or path.startswith(root + "/"):
                await hub_app(scope, receive, send)
                return
        await default_app(scope, receive, send)

    return route


def _hub_path(prefix: str, name: str) -> str:
    path = name if name.startswith("/") else f"{prefix.rstrip('/')}/{name}"
    return path.rstrip("/").lower()


def _route(scope: Scope) -> str:
    """The path inside the application, lower case: ASP.NET's routes know no case, and its clients rely on it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root) :]
    return path.rstrip("/").lower()


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key.lower() == name:
            return value.decode("latin-1")
    return ""


def _preflight_headers() -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", _ALLOWED_HEADERS),
        (b"access-control-max-age", b"600"),
    ]


def _refusal_headers(refusal: Refused) -> list[tuple[bytes, bytes]]:
    headers = []
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    return headers


async def _respond(
    send: Send, status: int, *, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    sent_headers = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store"), *(headers or [])]
    if body:
        sent_headers.append((b"content-type", b"application/json"))
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": sent_headers})
        await send({"type": "http.response.body", "body": body})


async def _reject(scope: Scope, send: Send, refusal: Refused) -> None:
    """Answer the WebSocket handshake with an HTTP status; servers without that extension can only say 403."""
    with suppress(OSError):
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-length", b"0"), *_refusal_headers(refusal)]
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
