"""The requests of connections without a socket: which connection they belong to, and what they do to it.

A connection lives in one process. A get with `Accept: text/event-stream` opens the stream, any other get is a poll, a
post carries what the client says, a delete is its goodbye. What is posted before the first get waits for it.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

import msgspec

from .http_connections import HttpConnection
from .log import Log
from .negotiate import ConnectionInUseError, NegotiatedConnection, Transport
from .requests import HubRequest, Refused, identity_of
from .scopes import Headers, Receive, Send, respond
from .session import HubSession, Wire
from .transports.inbox import ClientGone, read_body, until_gone
from .transports.long_polling import LongPollingWire, NoData
from .transports.sse import EventStreamWire


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timers of connections without a socket; the defaults are those of ASP.NET Core.

    `max_post_bytes` bounds one body, `inbox_bytes` and `poll_buffer_bytes` what waits in either direction. A poll is
    answered empty after `poll_s`; a connection that nobody gets for `idle_s` is over.
    """

    max_post_bytes: int = 512 * 1024
    inbox_bytes: int = 64 * 1024
    poll_buffer_bytes: int = 64 * 1024
    post_timeout_s: float = 30.0
    poll_s: float = 90.0
    idle_s: float = 15.0


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One admitted request of such a connection; `hub` is the hub's path, `offered` its transports."""

    hub: str
    offered: Collection[Transport]
    method: str
    request: HubRequest
    user: Any
    receive: Receive
    send: Send
    headers: Headers


class Host(Protocol):
    """What the process does for connections without a socket."""

    async def open(self, hub: str, request: HubRequest, user: Any) -> NegotiatedConnection:
        """Take a negotiated connection. Raises `Refused`."""
        ...

    async def release(self, promised: NegotiatedConnection) -> None:
        """Forget a connection that is over."""
        ...

    def new_session(
        self, promised: NegotiatedConnection, transport: Transport, request: HubRequest, user: Any, wire: Wire
    ) -> HubSession: ...

    def run(self, session: HubSession) -> Coroutine[Any, Any, None]:
        """Serve a connection until it has ended."""
        ...


class HttpTransports:
    """The connections without a socket of one process."""

    def __init__(self, host: Host, *, settings: HttpSettings, clock: Callable[[], float], log: Log) -> None:
        self._host = host
        self._settings = settings
        self._clock = clock
        self._log = log
        self._connections: dict[str, HttpConnection] = {}
        self._opening: dict[str, asyncio.Task[HttpConnection]] = {}
        self._releasing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._connections)

    async def serve(self, http: HttpRequest) -> None:
        """Answer a request. Raises `Refused`, and `OSError` when the client has gone."""
        token = http.request.query.get("id")
        if not token:
            raise Refused(400, "no connection id")
        match http.method:
            case "POST":
                await self._post(http, token)
            case "DELETE":
                await self._delete(http, token)
            case _ if "text/event-stream" in http.request.headers.get("accept", "").lower():
                await self._stream(http, token)
            case _:
                await self._poll(http, token)

    def tick(self, now: float) -> None:
        """Once a second: end the connections that their clients have left."""
        for connection in tuple(self._connections.values()):
            if connection.is_abandoned(now=now, after_s=self._settings.idle_s):
                connection.end(is_lost=True)
                self._forget(connection)

    # The four requests

    async def _post(self, http: HttpRequest, token: str) -> None:
        settings = self._settings
        connection = await self._find(http, token, otherwise=405)
        body = await read_body(http.receive, max_bytes=settings.max_post_bytes, timeout_s=settings.post_timeout_s)
        await connection.inbox.put(body, timeout_s=settings.post_timeout_s)
        await respond(http.send, 200, content_type=b"text/plain", headers=http.headers)

    async def _delete(self, http: HttpRequest, token: str) -> None:
        connection = await self._find(http, token, otherwise=400)
        if connection.transport is not Transport.LONG_POLLING:
            raise Refused(400, "only long polling ends with a delete")
        connection.end(is_lost=False)
        self._forget(connection)
        await respond(http.send, 202, content_type=b"text/plain", headers=http.headers)

    async def _stream(self, http: HttpRequest, token: str) -> None:
        connection = await self._choose(http, token, Transport.SERVER_SENT_EVENTS)
        connection.hold()
        wire = EventStreamWire(connection.inbox, http.send)
        gone = asyncio.create_task(_lose_when_gone(connection, http.receive))
        try:
            await wire.open(http.headers)
            await self._host.run(self._session(http, connection, wire))
        finally:
            gone.cancel()
            connection.end(is_lost=True)
            self._forget(connection)

    async def _poll(self, http: HttpRequest, token: str) -> None:
        connection = await self._choose(http, token, Transport.LONG_POLLING)
        if connection.polls is None:
            await self._first_poll(http, connection)
            return
        connection.hold()
        try:
            news = await self._await_news(http, connection.polls)
        finally:
            connection.let_go(now=self._clock())
        match news:
            case NoData.TIMED_OUT:
                await respond(http.send, 200, content_type=b"text/plain", headers=http.headers)
            case NoData.REPLACED:
                await respond(http.send, 204, headers=http.headers)
            case NoData.OVER:
                self._forget(connection)
                await respond(http.send, 204, headers=http.headers)
            case data:
                content_type = b"application/octet-stream"
                await respond(http.send, 200, body=data, content_type=content_type, headers=http.headers)

    async def _first_poll(self, http: HttpRequest, connection: HttpConnection) -> None:
        """Start the hub, and answer at once: only then does the client know that it may post."""
        wire = LongPollingWire(connection.inbox, max_bytes=self._settings.poll_buffer_bytes)
        connection.polls = wire
        connection.serving = asyncio.create_task(self._host.run(self._session(http, connection, wire)))
        connection.serving.add_done_callback(self._note_failure)
        connection.hold()
        connection.let_go(now=self._clock())
        await respond(http.send, 200, content_type=b"application/octet-stream", headers=http.headers)

    async def _await_news(self, http: HttpRequest, wire: LongPollingWire) -> bytes | NoData:
        # signalrcore reads one message of each answer; its Python-urllib is how it gives itself away.
        one_record = http.request.headers.get("user-agent", "").startswith("Python-urllib")
        polling = asyncio.create_task(wire.poll(timeout_s=self._settings.poll_s, one_record=one_record))
        gone = asyncio.create_task(until_gone(http.receive))
        try:
            await asyncio.wait({polling, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not polling.done():
                raise ClientGone
            return polling.result()
        finally:
            polling.cancel()
            gone.cancel()

    # Connections

    def _session(self, http: HttpRequest, connection: HttpConnection, wire: Wire) -> HubSession:
        transport = connection.transport or Transport.LONG_POLLING
        return self._host.new_session(connection.promised, transport, http.request, http.user, wire)

    async def _choose(self, http: HttpRequest, token: str, transport: Transport) -> HttpConnection:
        if transport not in http.offered:
            raise Refused(404, f"{transport} is not offered")
        connection = await self._find(http, token, otherwise=400)
        connection.choose(transport)
        connection.user = http.user
        return connection

    async def _find(self, http: HttpRequest, token: str, *, otherwise: int) -> HttpConnection:
        """The request's connection; `otherwise` is the refusal when the token belongs to a WebSocket."""
        connection = self._connections.get(token) or await self._open(http, token, otherwise=otherwise)
        if connection.promised.hub != http.hub:
            raise Refused(404, "the connection of another hub")
        if identity_of(connection.user) != identity_of(http.user):
            raise Refused(403, "the connection of another user")
        return connection

    async def _open(self, http: HttpRequest, token: str, *, otherwise: int) -> HttpConnection:
        """Take the connection over from its negotiation, once, however many requests come at a time."""
        opening = self._opening.get(token)
        if opening is None:
            opening = self._opening[token] = asyncio.create_task(self._take(http))
            opening.add_done_callback(lambda _: self._opening.pop(token, None))
        try:
            return await asyncio.shield(opening)
        except ConnectionInUseError:
            raise Refused(otherwise, "the connection has another transport") from None

    async def _take(self, http: HttpRequest) -> HttpConnection:
        promised = await self._host.open(http.hub, http.request, http.user)
        connection = HttpConnection(promised, http.user, inbox_bytes=self._settings.inbox_bytes, now=self._clock())
        self._connections[promised.connection_token] = connection
        return connection

    def _forget(self, connection: HttpConnection) -> None:
        if self._connections.pop(connection.promised.connection_token, None) is not None:
            releasing = asyncio.create_task(self._host.release(connection.promised))
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)

    def _note_failure(self, serving: asyncio.Task[None]) -> None:
        if not serving.cancelled() and (error := serving.exception()) is not None:
            self._log.error("hub.connection_failed", exc_info=error)


async def _lose_when_gone(connection: HttpConnection, receive: Receive) -> None:
    await until_gone(receive)
    connection.inbox.lose()
