"""What ASGI hands over and takes: types, paths, headers, whole answers."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from .requests import Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def route(scope: Scope) -> str:
    """The path inside the application, lower case: ASP.NET's routes know no case, and its clients rely on it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root) :]
    return path.rstrip("/").lower()


def header(scope: Scope, name: bytes) -> str:
    """The first header of that lower-case name, or an empty text."""
    for key, value in scope["headers"]:
        if key.lower() == name:
            return value.decode("latin-1")
    return ""


def refusal_headers(refusal: Refused) -> Headers:
    headers: Headers = []
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    return headers


# What clients show to people. 401 has none: the official client then says "Unauthorized" by itself.
_REFUSAL_TEXTS = {
    400: b"The request lacks a connection ID, or the connection uses another transport.",
    403: b"The connection belongs to somebody else, or this page may not connect.",
    404: b"No Connection with that ID",
    405: b"The connection is a WebSocket; nothing can be posted to it.",
    408: b"The body came too slowly.",
    409: b"The connection is open already.",
    413: b"The body is too large.",
    429: b"Too many posts wait already.",
    503: b"The server has no room for this at the moment. Try again.",
}


async def refuse(send: Send, refusal: Refused, *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer with the refusal's status and a text for it; its reason stays in the log."""
    text = _REFUSAL_TEXTS.get(refusal.status, b"")
    all_headers = [*headers, *refusal_headers(refusal)]
    await respond(send, refusal.status, body=text, content_type=b"text/plain" if text else b"", headers=all_headers)


async def respond(
    send: Send,
    status: int,
    *,
    body: bytes = b"",
    content_type: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer; a client that is gone already does not hear it."""
    sent = [(b"cache-control", b"no-store"), *headers]
    if status != 204:  # RFC 9110, 8.6
        sent.append((b"content-length", str(len(body)).encode()))
    if content_type:
        sent.append((b"content-type", content_type))
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})
