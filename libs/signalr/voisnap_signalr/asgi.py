"""The ASGI binding: routes, authentication, origins and admission for a set of hubs.

Put `router` in front of the application; the hub layer answers everything below its prefix by itself. Neither frames
nor query strings are ever logged: both carry tokens.
"""

import asyncio
import hashlib
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from . import continuity, negotiate
from .connection import Connection, ConnectionSettings
from .http_transports import HttpRequest, HttpSettings, HttpTransports
from .hub import Hub, HubLimits
from .json_codec import JsonCodec
from .log import Log
from .messages import HubCodec, TransferFormat
from .methods import HubMethods
from .msgpack_codec import MsgpackCodec
from .negotiate import (
    AvailableTransport,
    ConnectionTokens,
    MemoryConnectionTokens,
    NegotiatedConnection,
    NegotiateError,
    Transport,
)
from .origins import Origins
from .relay import RELAYED, Relay, RelayedRequest, RelayedResponse, answer_relayed, is_node_name, node_of
from .relaying import forward
from .requests import HubRequest, Refused, identity_of
from .scopes import AsgiApp, Headers, Receive, Scope, Send, refuse, respond, route
from .session import HubSession, SessionSettings, Wire
from .stdlib_log import StdlibLog
from .transports.websockets import reject, straight_of
from .websocket_transport import SocketRequest, WebSocketTransport

Authenticate = Callable[[HubRequest], Awaitable[Any]]
HubFactory = Callable[[], Hub]

ALL_TRANSPORTS = tuple(Transport)

_NEGOTIATE = "/negotiate"


class HubAppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process's hubs; times in seconds."""

    connection: ConnectionSettings = ConnectionSettings()
    session: SessionSettings = SessionSettings()
    http: HttpSettings = HttpSettings()
    negotiated_ttl_s: float = 15.0
    authenticate_timeout_s: float = 10.0
    tick_s: float = 1.0
    max_connections: int = 10_000


class HubApp:
    """Serves hubs: `POST {path}/negotiate`, and `{path}` over WebSockets, Server-Sent Events and long polling.

    `hubs` maps a name ("webrtc", served below `prefix`) or a whole path ("/live/echo") to a `Hub` class or a factory
    of hub objects. `authenticate` runs on every request; it raises `Unauthorized` (or `Refused`) or returns the
    connection's `user`, which must be equal in all requests of a connection; where only a part of it must, the user has
    that part as an attribute `identity`. `allowed_origins` names the other origins
    whose pages may connect ("*" for all, `http://host:*` for all ports of a host): browsers' own-origin requests and
    clients that send no Origin always may. `transports` are those offered, for all hubs or by the hubs' names.

    With several processes, give `tokens` a shared store; then a WebSocket opens on any of them. `node` is what this
    process is called (letters, digits, `-`, `_`) and `relay` brings the other transports' requests to theirs.

    With `stateful_reconnect` a client that asks for it goes on with a connection whose WebSocket broke, without a loss,
    in the process that has it.

    With `continuity`, a hub learns which connections its client held before (`HubConnection.previous`): by a cookie
    that the negotiation sets, and by the old id that some clients send.
    """

    def __init__(
        self,
        hubs: Mapping[str, HubFactory],
        *,
        authenticate: Authenticate,
        allowed_origins: Collection[str] = (),
        logger: Log | None = None,
        prefix: str = "/hubs",
        transports: Collection[Transport] | Mapping[str, Collection[Transport]] = ALL_TRANSPORTS,
        tokens: ConnectionTokens | None = None,
        node: str = "",
        relay: Relay | None = None,
        continuity: bool = False,
        stateful_reconnect: bool = True,
        settings: HubAppSettings | None = None,
        clock: Callable[[], float] | None = None,
        wall_clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if node and not is_node_name(node):
            raise ValueError("A node is called by letters, digits, '-' and '_', at most 64 of them.")
        self._hubs = {_hub_path(prefix, name): factory for name, factory in hubs.items()}
        self._authenticate = authenticate
        self._origins = Origins(allowed_origins)
        self._log = logger or StdlibLog(logging.getLogger("voisnap_signalr"))
        self._settings = settings or HubAppSettings()
        self._clock = clock or _loop_time
        self._wall_clock = wall_clock
        self._tokens = tokens or MemoryConnectionTokens(clock=self._clock)
        self._node = node
        self._relay = relay
        self._keeps_continuity = continuity
        self._offers_stateful = stateful_reconnect
        self._random_bytes = random_bytes
        self._codecs = (JsonCodec(), MsgpackCodec())
        self._offered = {_hub_path(prefix, name): _offered_by(name, transports) for name in hubs}
        self._methods: dict[type[Hub], HubMethods] = {}
        self._sessions: set[HubSession] = set()
        self._sockets = WebSocketTransport(self, log=self._log)
        self._http = HttpTransports(self, settings=self._settings.http, clock=self._clock, log=self._log)
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
                await self._serve_http(scope, receive, send)
            case "websocket":
                await self._serve_websocket(scope, receive, send)
            case "lifespan":
                await self._serve_lifespan(receive, send)
            case other:
                raise RuntimeError(f"Unexpected ASGI scope type {other!r}.")

    def refuse(self) -> None:
        """Refuse new connections from now on (503); the open ones stay."""
        self._is_draining = True

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

    async def serve_relayed(self, request: RelayedRequest) -> RelayedResponse:
        """Answer a request that another process got and that belongs to a connection of this one.

        The caller reads the answer's body to its end or closes it.
        """
        return await answer_relayed(self, request)

    # HTTP: negotiation, connections without a socket, preflights

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = route(scope)
        hub = path.removesuffix(_NEGOTIATE)
        if hub not in self._hubs:
            await respond(send, 404)
            return
        is_negotiate = hub != path
        methods = ("POST",) if is_negotiate else ("GET", "POST", "DELETE")
        cors = self._origins.cors_headers(scope)
        if scope["method"] == "OPTIONS":
            await respond(send, 204, headers=self._origins.preflight_headers(scope))
        elif scope["method"] not in methods:
            await respond(send, 405, headers=[*cors, (b"allow", ", ".join((*methods, "OPTIONS")).encode())])
        elif is_negotiate:
            await self._negotiate(scope, send, hub, cors)
        else:
            await self._serve_connection(scope, receive, send, hub, cors)

    async def _negotiate(self, scope: Scope, send: Send, hub: str, cors: Headers) -> None:
        try:
            if not self._origins.admits(scope):  # or a foreign page would choose which of its cookies a browser keeps
                raise Refused(403, "origin not allowed")
            request = HubRequest.of(scope, is_negotiate=True)
            user = await self._identify(request)
            version = negotiate.version_asked(request.query)
            promised = self.promise(hub, request, user, version=version)
            if not await self._tokens.issue(promised, ttl_s=self._settings.negotiated_ttl_s):
                raise Refused(503, "too many negotiated connections", retry_after_s=5)
        except Refused as refusal:
            self._log.info("hub.negotiation_refused", path=hub, status=refusal.status, reason=refusal.reason)
            await refuse(send, refusal, headers=cors)
        except NegotiateError as error:
            await _respond_json(send, {"error": str(error)}, cors)
        else:
            body = negotiate.answer(promised, version=version, transports=self.available_transports(hub))
            await _respond_json(send, body, cors + self.cookies(request, promised))

    async def _serve_connection(self, scope: Scope, receive: Receive, send: Send, hub: str, cors: Headers) -> None:
        try:
            if not self._origins.admits(scope):
                raise Refused(403, "origin not allowed")
            request = HubRequest.of(scope)
            user = await self._identify(request)
            node = node_of(request.query.get("id", ""))
            if node not in (None, self._node):
                if self._relay is None or RELAYED in scope:
                    raise Refused(404, "the connection of another process")
                await forward(self._relay, node, scope, receive, send, self._settings.http)
            else:
                http = HttpRequest(
                    hub=hub,
                    offered=self._offered[hub],
                    method=scope["method"],
                    request=request,
                    user=user,
                    receive=receive,
                    send=send,
                    headers=cors,
                )
                await self._http.serve(http)
        except Refused as refusal:
            self._log.info("hub.request_refused", path=hub, status=refusal.status, reason=refusal.reason)
            await refuse(send, refusal, headers=cors)
        except OSError:
            self._log.debug("hub.connection_lost", path=hub)

    # WebSockets

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        path = route(scope)
        try:
            if path not in self._hubs:
                raise Refused(404, "no such hub")
            if not self._origins.admits(scope):
                raise Refused(403, "origin not allowed")
            if Transport.WEB_SOCKETS not in self._offered[path]:
                raise Refused(404, "WebSockets are not offered")
            request = HubRequest.of(scope)
            user = await self._identify(request)
            socket = SocketRequest(
                hub=path, request=request, user=user, receive=receive, send=send, straight=straight_of(scope)
            )
            await self._sockets.serve(socket)
        except Refused as refusal:
            self._log.info("hub.connection_refused", path=path, status=refusal.status, reason=refusal.reason)
            await reject(scope, send, refusal)
        except OSError:
            self._log.debug("hub.connection_lost", path=path)

    # Connections, whatever their transport

    async def open(self, hub: str, request: HubRequest, user: Any) -> NegotiatedConnection:
        """Take the negotiated connection that the request names. Raises `Refused` and `ConnectionInUseError`."""
        self._admit()
        promised = await self._tokens.claim(request.query["id"])
        if promised is None:
            raise Refused(404, "no connection with that id")
        if promised.hub != hub:
            await self.release(promised)
            raise Refused(404, "negotiated for another hub")
        if promised.user != _digest_of_user(user):
            await self.release(promised)
            raise Refused(403, "negotiated by another user")
        self._keep_ticking()
        return promised

    async def release(self, promised: NegotiatedConnection) -> None:
        """Forget the token of a connection that is over."""
        await self._tokens.release(promised.connection_token)

    def new_session(
        self, promised: NegotiatedConnection, transport: Transport, request: HubRequest, user: Any, wire: Wire
    ) -> HubSession:
        """Make the hub of a connection, and what serves it."""
        hub = self._make(promised.hub)
        # The loop's own method: hubs ask for the time with every message.
        clock = asyncio.get_running_loop().time if self._clock is _loop_time else self._clock
        return HubSession(
            hub,
            methods=self._methods_of(type(hub)),
            promised=promised,
            transport=transport,
            request=request,
            user=user,
            connection=Connection(
                _codecs_for(transport, self._codecs),
                now=clock(),
                settings=_limited(_timers_for(transport, self._settings.connection), hub.limits),
                allows_stateful=promised.is_stateful and transport is Transport.WEB_SOCKETS,
            ),
            wire=wire,
            settings=self._settings.session,
            clock=clock,
            log=self._log,
        )

    async def run(self, session: HubSession) -> None:
        """Serve a connection until it has ended."""
        self._sessions.add(session)
        self._keep_ticking()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def _make(self, path: str) -> Hub:
        try:
            return self._hubs[path]()
        except Exception as error:
            return _UnmadeHub(error)

    def available_transports(self, hub: str) -> tuple[AvailableTransport, ...]:
        """What a negotiation for the hub of this path offers."""
        return tuple(
            AvailableTransport(transport=transport, transfer_formats=_formats_of(_codecs_for(transport, self._codecs)))
            for transport in ALL_TRANSPORTS
            if transport in self._offered[hub]
        )

    def promise(self, hub: str, request: HubRequest, user: Any, *, version: int) -> NegotiatedConnection:
        """Make the ids of a connection to come. Raises `Refused` when there is no room for it."""
        self._admit()
        previous: tuple[str, ...] = ()
        if self._keeps_continuity:
            previous = continuity.previous_connections(request, old_id=request.query.get("id"))
        return negotiate.new_connection(
            hub,
            version=version,
            random_bytes=self._random_bytes,
            node=self._node,
            previous=previous,
            user=_digest_of_user(user),
            is_stateful=self._offers_stateful and negotiate.asks_for_stateful(request.query, version=version),
        )

    def cookies(self, request: HubRequest, promised: NegotiatedConnection) -> Headers:
        """What the client is to keep of the connection; nothing without `continuity`."""
        if not self._keeps_continuity:
            return []
        # A cookie's path knows the case; other letters that lower to a hub's name do not get into a header.
        path = request.path.rstrip("/")
        path = path[: -len(_NEGOTIATE)] if request.is_negotiate else path
        cookies = continuity.set_cookies(
            request,
            promised.connection_token,
            path=path if path.isascii() else promised.hub,
            now=self._wall_clock(),
            random_bytes=self._random_bytes,
        )
        return [(b"set-cookie", cookie.encode("latin-1")) for cookie in cookies]

    # Admission

    def _admit(self) -> None:
        if self._is_draining:
            raise Refused(503, "draining", retry_after_s=1)
        if max(len(self._sessions), len(self._http)) >= self._settings.max_connections:
            raise Refused(503, "too many connections", retry_after_s=5)

    async def _identify(self, request: HubRequest) -> Any:
        try:
            async with asyncio.timeout(self._settings.authenticate_timeout_s):
                return await self._authenticate(request)
        except TimeoutError:
            raise Refused(503, "authentication took too long", retry_after_s=1) from None

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
        while self._sessions or len(self._http):
            await asyncio.sleep(self._settings.tick_s)
            now = self._clock()
            self._http.tick(now)
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


class _UnmadeHub(Hub):
    """Stands for a hub that could not be made: the client learns it as it learns of a failing `on_connected`."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def on_connected(self) -> None:
        raise self._error


def router(default_app: AsgiApp, hub_app: AsgiApp, prefix: str = "/hubs") -> AsgiApp:
    """Send what lies below `prefix` to the hubs and everything else, the lifespan too, to the application."""
    root = prefix.rstrip("/").lower()

    async def route_by_path(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path = route(scope)
            if path == root or path.startswith(root + "/"):
                await hub_app(scope, receive, send)
                return
        await default_app(scope, receive, send)

    return route_by_path


def _hub_path(prefix: str, name: str) -> str:
    path = name if name.startswith("/") else f"{prefix.rstrip('/')}/{name}"
    return path.rstrip("/").lower()


def _offered_by(name: str, transports: Collection[Transport] | Mapping[str, Collection[Transport]]) -> set[Transport]:
    chosen: Any = transports
    if isinstance(chosen, Mapping):
        chosen = chosen.get(name, ALL_TRANSPORTS)
    if not chosen:
        raise ValueError(f"Hub '{name}' offers no transport.")
    return {Transport(transport) for transport in chosen}


def _codecs_for(transport: Transport, codecs: Collection[HubCodec]) -> tuple[HubCodec, ...]:
    """An event stream is text; the others carry anything."""
    if transport is not Transport.SERVER_SENT_EVENTS:
        return tuple(codecs)
    return tuple(codec for codec in codecs if codec.transfer_format is TransferFormat.TEXT)


def _formats_of(codecs: Collection[HubCodec]) -> tuple[TransferFormat, ...]:
    return tuple(kind for kind in TransferFormat if any(codec.transfer_format is kind for codec in codecs))


def _timers_for(transport: Transport, settings: ConnectionSettings) -> ConnectionSettings:
    """Polls show by themselves that both sides are there; a ping would only end each of them early."""
    if transport is not Transport.LONG_POLLING:
        return settings
    return msgspec.structs.replace(settings, keep_alive_s=math.inf)


def _digest_of_user(user: Any) -> str:
    """What another process compares a user by; empty for one that has no such form."""
    try:
        return hashlib.sha256(msgspec.json.encode(identity_of(user), order="deterministic")).hexdigest()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return ""


async def _respond_json(send: Send, body: Any, headers: Headers) -> None:
    await respond(send, 200, body=msgspec.json.encode(body), content_type=b"application/json", headers=headers)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _limited(settings: ConnectionSettings, limits: HubLimits) -> ConnectionSettings:
    if limits.max_message_bytes is None:
        return settings
    return msgspec.structs.replace(settings, max_message_bytes=limits.max_message_bytes)
