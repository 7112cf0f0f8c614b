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


async def respond(
    send: Send,
    status: int,
    *,
    body: bytes = b"",
    content_type: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer; a client that is gone already does not hear it."""
    sent = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store"), *headers]
    if content_type:
        sent.append((b"content-type", content_type))
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})
