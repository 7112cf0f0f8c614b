"""What a hub's `authenticate` sees of a request, and how it says no.

Tokens travel in query strings here, so neither a query nor a header is part of any text that these objects print.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

_MAX_QUERY_FIELDS = 64


class Refused(Exception):
    """The request is refused with this HTTP status; the reason is for the server's log only."""

    def __init__(self, status: int, reason: str = "", *, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class Unauthorized(Refused):
    """No token, or a bad one: 401 on negotiate and on the WebSocket handshake."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(401, reason)


def identity_of(user: Any) -> Any:
    """What of a user must be equal in all requests of a connection: its `identity` if it has one, else all of it."""
    return getattr(user, "identity", user)


class QueryParams(Mapping[str, str]):
    """Query parameters with names in any case, as ASP.NET reads them; of a repeated name the last one counts."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, str] = {}
        for name, value in fields:
            self._names[name.casefold()] = name
            self._values[name.casefold()] = value

    @classmethod
    def parse(cls, query_string: bytes) -> "QueryParams":
        """Raises `Refused(400)` for an absurd number of fields."""
        try:
            text = query_string.decode("latin-1")
            return cls(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS))
        except ValueError:
            raise Refused(400, "too many query fields") from None

    def __getitem__(self, name: str) -> str:
        return self._values[name.casefold()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"QueryParams(names={sorted(self._values)})"


class HubRequest:
    """The HTTP side of a negotiation or of a connection's opening.

    `path` as sent, `headers` with lower-case names, `client` the peer's address or None.
    """

    __slots__ = ("client", "headers", "is_negotiate", "is_secure", "path", "query")

    def __init__(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        client: str | None,
        *,
        is_negotiate: bool = False,
        is_secure: bool = False,
    ) -> None:
        self.path = path
        self.query = query
        self.headers = headers
        self.client = client
        self.is_negotiate = is_negotiate
        self.is_secure = is_secure

    @classmethod
    def of(cls, scope: Mapping[str, Any], *, is_negotiate: bool = False) -> "HubRequest":
        """Read an ASGI scope. Raises `Refused(400)` for a query that cannot be read."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        return cls(
            path=scope["path"],
            query=QueryParams.parse(scope.get("query_string", b"")),
            headers=headers,
            client=client[0] if client else None,
            is_negotiate=is_negotiate,
            is_secure=scope.get("scheme") in ("https", "wss"),
        )

    @property
    def access_token(self) -> str | None:
        """The bearer token: of the Authorization header, else of the query (browsers cannot set headers there)."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        return self.query.get("access_token") or None

    def __repr__(self) -> str:
        return f"HubRequest(path={self.path!r})"
