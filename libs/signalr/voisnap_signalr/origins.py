"""Whose pages may talk to the hubs: the `Origin` check and the CORS headers."""

from collections.abc import Collection
from urllib.parse import urlsplit

from .scopes import Headers, Scope, header

# What the official browser client asks for in a preflight.
_ALLOWED_HEADERS = b"authorization, content-type, x-requested-with, x-signalr-user-agent"

PREFLIGHT_HEADERS: Headers = [
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", _ALLOWED_HEADERS),
    (b"access-control-max-age", b"600"),
]


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
        return origin != "null" and urlsplit(origin).netloc == header(scope, b"host").lower()

    def cors_headers(self, scope: Scope) -> Headers:
        """The exact origin, because clients send credentials; nothing for an origin that may not connect."""
        origin = header(scope, b"origin")
        headers = [(b"vary", b"Origin")]
        if origin and self.admits(scope):
            headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers
