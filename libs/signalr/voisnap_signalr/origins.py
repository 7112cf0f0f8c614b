"""Whose pages may talk to the hubs: the `Origin` check and the CORS headers."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from .scopes import Headers, Scope, header

# What the official browser client asks for in a preflight.
_ALLOWED_HEADERS = "authorization, content-type, x-requested-with, x-signalr-user-agent"
_HEADER_NAMES = re.compile(r"[\w\-, ]{1,1000}", re.ASCII)


class Origins:
    """The own origin and the allowed others: `*` for all, `http://host:*` for all ports of a host."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def admits(self, scope: Scope) -> bool:
        """Whether the request comes from no page, or from one that may connect."""
        origin = header(scope, b"origin").lower()
        any_port = f"{origin.rpartition(':')[0]}:*"
        if not origin or not self._allowed.isdisjoint(("*", origin, any_port)):
            return True
        # Own origin: the scheme is left out, since a proxy in front usually ends TLS.
        return origin != "null" and _host_of(origin) == header(scope, b"host").lower()

    def preflight_headers(self, scope: Scope) -> Headers:
        """Pages that may connect may also send headers of their own; the others learn no more than that."""
        asked = header(scope, b"access-control-request-headers")
        allowed = asked if self.admits(scope) and _HEADER_NAMES.fullmatch(asked) else _ALLOWED_HEADERS
        return [
            *self.cors_headers(scope),
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", allowed.encode()),
            (b"access-control-max-age", b"600"),
        ]

    def cors_headers(self, scope: Scope) -> Headers:
        """The exact origin, because clients send credentials; nothing for an origin that may not connect."""
        origin = header(scope, b"origin")
        headers = [(b"vary", b"Origin")]
        if origin and self.admits(scope):
            headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers


def _host_of(origin: str) -> str | None:
    """The host and port of an origin; None for one that is no URL at all."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
