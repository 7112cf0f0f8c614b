"""Which web pages may read answers (Fetch standard, CORS): fixed origins of the installation, and those that tenants name.

A preflight carries no credential, so it can't know the tenant: it is answered for every origin that anybody named. The request itself
does, and its answer can be read only if its own tenant named the origin. Origins guard nothing but what pages may read: no request is
refused because of one.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from . import problem

METHODS = "DELETE, GET, HEAD, PATCH, POST, PUT"
REQUEST_HEADERS = (
    "Accept, Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, tracestate,"
    " X-Request-Id, X-Voisnap-Environment"
)
ANSWER_HEADERS = (
    "Allow, Content-Disposition, Deprecation, ETag, Idempotency-Replayed, Location, Retry-After, Sunset, X-Api-Version,"
    " X-RateLimit-Limit, X-RateLimit-Policy, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
)
PREFLIGHT_SECONDS = 600


class Origins(Protocol):
    """The origins that tenants name."""

    async def anybody_allows(self, origin: str) -> bool:
        """Whether any tenant names the origin."""
        ...

    async def allows(self, origin: str, scope: Scope) -> bool:
        """Whether the tenant that the request turned out to belong to names it."""
        ...


class Cors:
    """Answers preflights and marks answers. An origin that ends in `:*` stands for every port."""

    def __init__(self, app: ASGIApp, fixed: Sequence[str], more: Origins | None = None) -> None:
        self._app = app
        self._fixed = frozenset(origin for origin in fixed if not origin.endswith(":*"))
        any_port = [re.escape(origin[:-2]) + r":\d{1,5}" for origin in fixed if origin.endswith(":*")]
        self._any_port = re.compile("|".join(any_port)) if any_port else None
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = _header(scope, b"origin") if scope["type"] == "http" else None
        if origin is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method") is not None:
            await self._preflight(origin, scope, receive, send)
            return

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"vary", b"Origin")]
                if self._is_fixed(origin) or (self._more is not None and await self._more.allows(origin, scope)):
                    headers.append((b"access-control-allow-origin", origin.encode()))
                    headers.append((b"access-control-expose-headers", ANSWER_HEADERS.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, marked_send)

    async def _preflight(self, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_fixed(origin) and (self._more is None or not await self._more.anybody_allows(origin)):
            detail = "Pages of this origin may not call the API; name it with PUT /api/v1/settings/cors."
            refusal = problem.plain(problem.problem(403, "origin-not-allowed", detail), {"Vary": "Origin"})
            await refusal(scope, receive, send)
            return
        headers = {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": METHODS,
            "access-control-allow-headers": REQUEST_HEADERS,
            "access-control-max-age": str(PREFLIGHT_SECONDS),
            "vary": "Origin",
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 204, "headers": raw})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _is_fixed(self, origin: str) -> bool:
        return origin in self._fixed or (self._any_port is not None and self._any_port.fullmatch(origin) is not None)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
