"""An ASGI application on a port of the loopback interface: what the emulators of vendors run on."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn

STOP_SECONDS = 5.0


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came: names of headers in small letters, `query` decoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    raw_query: str
    headers: dict[str, str]
    body: bytes = b""


@asynccontextmanager
async def served(application: Callable[..., Any], *, port: int = 0) -> AsyncGenerator[int]:
    """Serve until left; gives the port. What goes wrong inside one request ends its connection and nothing else."""
    # By its protocol asyncio knows that TCP_NODELAY is wanted; without it an answer in two pieces takes 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)  # nobody is turned away while the server starts
    config = uvicorn.Config(
        application,
        interface="asgi3",
        log_level="critical",
        lifespan="off",
        access_log=False,
        ws="websockets-sansio",
        ws_ping_interval=None,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        for listening in server.servers:
            listening.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        for task in list(server.server_state.tasks):
            task.cancel()
        if server.server_state.tasks:
            await asyncio.wait(set(server.server_state.tasks), timeout=STOP_SECONDS)


async def read_request(scope: Any, receive: Any) -> HttpRequest:
    """The head of a WebSocket's opening, or a whole HTTP request."""
    body = b""
    while scope["type"] == "http":
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    raw_query = scope["query_string"].decode("latin-1")
    return HttpRequest(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=tuple(parse_qsl(raw_query, keep_blank_values=True)),
        raw_query=raw_query,
        headers={name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def hung_up(receive: Any, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work of an answer; whether the client went away before it was done, which stops it."""
    leaving = asyncio.ensure_future(receive())
    working = asyncio.ensure_future(work)
    await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
    is_gone = not working.done()
    (working if is_gone else leaving).cancel()
    await asyncio.wait({leaving, working})
    if not is_gone:
        working.result()
    return is_gone


async def answer(scope: Any, send: Any, status: int, body: bytes, headers: dict[str, str]) -> None:
    """A whole answer; to a WebSocket's opening it is a refusal."""
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    fields = {"content-length": str(len(body)), **headers}
    coded = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": f"{prefix}.response.start", "status": status, "headers": coded})
    await send({"type": f"{prefix}.response.body", "body": body, "more_body": False})
