"""The way of a request to the process that holds its connection.

Server-Sent Events and long polling are many HTTP requests of one connection, and a load balancer may send each to
another process. The connection token names its process (`<node>.<random>`), so that a `HubApp` that gets a request of
another node can hand it to a `Relay`: that one brings it to the node, where `HubApp.serve_relayed` answers it.
WebSockets need none of this: one request, opened by whichever process it reaches.
"""

import asyncio
import re
from typing import Any, Protocol

import msgspec

from .scopes import AsgiApp, Message, Scope

RELAYED = "voisnap_signalr.relayed"
"""Key of a relayed request's scope: it is answered where it arrives and never goes any further."""

_NODE = re.compile(r"[\w-]{1,64}", re.ASCII)
_MAX_PARTS_WAITING = 8
_END_TIMEOUT_S = 5.0


class RelayedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as the first process got it; whole, because its body is bounded.

    `query` and `headers` carry tokens: they belong in no log. Sending `body` as binary keeps it small.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    client: str | None
    scheme: str
    body: bytes = b""


class RelayedBody(Protocol):
    """The parts of an answer's body as they come; any async generator of bytes is one.

    One that breaks off raises `RelayError`. Whoever takes it calls `aclose`, also before its end: that is how the
    other process learns that the client has gone.
    """

    async def __anext__(self) -> bytes: ...
    def __aiter__(self) -> "RelayedBody": ...
    async def aclose(self) -> None: ...


class RelayedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; its body goes on for as long as the connection lives with Server-Sent Events, one part otherwise."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: RelayedBody


class RelayError(Exception):
    """The other process cannot be reached (any more): to the client its connection is gone."""


class Relay(Protocol):
    """Brings requests to another process."""

    async def forward(self, node: str, request: RelayedRequest) -> RelayedResponse:
        """Have `node` answer the request, with `HubApp.serve_relayed` over there.

        The answer begins within seconds, except for a poll's, which takes as long as a poll may (90 s). When the
        caller is cancelled while it waits, the request over there is to end too. Raises `RelayError` for a node that
        is not there.
        """
        ...


def is_node_name(name: str) -> bool:
    """Whether a process may be called that: letters, digits, `-` and `_`, at most 64."""
    return _NODE.fullmatch(name) is not None


def node_of(connection_token: str) -> str | None:
    """The process that a connection token names; None for a token that names none."""
    node, dot, _ = connection_token.rpartition(".")
    return node if dot and is_node_name(node) else None


async def answer_relayed(app: AsgiApp, request: RelayedRequest) -> RelayedResponse:
    """Run a relayed request through the ASGI application of this process, until its answer begins."""
    exchange = _Exchange(app, request)
    try:
        return await exchange.begin()
    except BaseException:
        await exchange.aclose()
        raise


class _Exchange:
    """One HTTP request into an ASGI application; as a `RelayedBody` it gives what the application answers."""

    def __init__(self, app: AsgiApp, request: RelayedRequest) -> None:
        self._request: RelayedRequest | None = request
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_PARTS_WAITING)
        self._started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._client_gone = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(app, _scope_of(request)))

    async def begin(self) -> RelayedResponse:
        start = await self._started
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
        return RelayedResponse(status=start["status"], headers=headers, body=self)

    def __aiter__(self) -> "_Exchange":
        return self

    async def __anext__(self) -> bytes:
        if self._client_gone.is_set():
            raise StopAsyncIteration
        part = await self._parts.get()
        if part is None:
            self._client_gone.set()
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        self._client_gone.set()
        while not self._parts.empty():
            self._parts.get_nowait()
        await asyncio.wait({self._task}, timeout=_END_TIMEOUT_S)
        self._task.cancel()

    async def _run(self, app: AsgiApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            if not self._started.done():
                self._started.set_exception(RelayError("The request was not answered."))
                self._started.exception()
            if not self._client_gone.is_set():
                await self._parts.put(None)

    async def _receive(self) -> Message:
        request, self._request = self._request, None
        if request is not None:
            return {"type": "http.request", "body": request.body, "more_body": False}
        await self._client_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if not self._started.done():  # whoever asked may have gone
                self._started.set_result(message)
        elif message.get("body") and not self._client_gone.is_set():
            await self._parts.put(message["body"])


def _scope_of(request: RelayedRequest) -> dict[str, Any]:
    return {
        "type": "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "root_path": "",
        "query_string": request.query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": None if request.client is None else (request.client, 0),
        RELAYED: True,
    }
