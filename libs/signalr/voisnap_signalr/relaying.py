"""Passing a request on to the process of its connection, and its answer back."""

import asyncio

from .http_transports import HttpSettings
from .relay import Relay, RelayedRequest, RelayError
from .requests import Refused
from .scopes import Receive, Scope, Send, route
from .transports.inbox import read_body, until_gone


async def forward(relay: Relay, node: str, scope: Scope, receive: Receive, send: Send, settings: HttpSettings) -> None:
    """Have `node` answer, and say what it says; when the client goes, it hears of it. Raises `Refused` and `OSError`."""
    body = await read_body(receive, max_bytes=settings.max_post_bytes, timeout_s=settings.post_timeout_s)
    passing = asyncio.create_task(_pass_on(relay, node, _relayed(scope, body), send))
    gone = asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        passing.cancel()
        await asyncio.wait({passing})
    if not passing.cancelled():
        passing.result()


def _relayed(scope: Scope, body: bytes) -> RelayedRequest:
    client = scope.get("client")
    return RelayedRequest(
        method=scope["method"],
        path=route(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        client=client[0] if client else None,
        scheme=scope.get("scheme", "http"),
        body=body,
    )


async def _pass_on(relay: Relay, node: str, request: RelayedRequest, send: Send) -> None:
    try:
        response = await relay.forward(node, request)
    except RelayError as error:
        raise Refused(404, f"the connection's process is away: {error}") from error
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    is_whole = any(name == b"content-length" for name, _ in headers)
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    try:
        if is_whole:
            body = b"".join([part async for part in response.body])
            await send(start)
            await send({"type": "http.response.body", "body": body})
            return
        await send(start)
        async for part in response.body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except RelayError as error:
        if is_whole:
            raise Refused(404, f"the connection's process is away: {error}") from error
    finally:
        await response.body.aclose()
    await send({"type": "http.response.body", "body": b""})
