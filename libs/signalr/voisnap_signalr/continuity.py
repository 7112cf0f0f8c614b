"""The continuity of a client: what tells a hub that a connection's client held other connections before.

A client that lost its connection and negotiates anew knows nothing of the old one that the hub could ask for. Two
things come back by themselves: cookies, which browsers and the official client under Node keep, and the old `id=` that
signalrcore leaves in its URL. Both carry the connection token, which only the client that negotiated it has ever seen;
a hub gets its SHA-256, newest first, and looks up what it kept under that digest.
"""

import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from .requests import HubRequest

MAX_KEPT = 8
"""Cookies of one browser and hub; with one more the oldest goes."""

MAX_AGE_S = 3600

_NAME = re.compile(r"hub-(\d{10,12})-[0-9a-f]{6}")
_TOKEN = re.compile(r"[\w.-]{16,200}", re.ASCII)
# A header of 8 KB holds no more; a client that sends more than we ever set is not read on.
_MAX_READ = 64


class _Kept(NamedTuple):
    """A cookie of ours; `made_at` is the second it was set in."""

    made_at: int
    name: str
    token: str


def digest_of(connection_token: str) -> str:
    """SHA-256 of a connection token in hexadecimal: names a connection without being able to open it."""
    return hashlib.sha256(connection_token.encode()).hexdigest()


def previous_connections(request: HubRequest, *, old_id: str | None) -> tuple[str, ...]:
    """Digests of the connection tokens that the request proves its client has held, newest first.

    `old_id` is the token in the URL of a negotiation; it counts as the newest.
    """
    tokens = [] if old_id is None or not _TOKEN.fullmatch(old_id) else [old_id]
    tokens += [kept.token for kept in _read(request)[:MAX_KEPT]]
    return tuple(dict.fromkeys(digest_of(token) for token in tokens))


def set_cookies(
    request: HubRequest,
    connection_token: str,
    *,
    path: str,
    now: float,
    random_bytes: Callable[[int], bytes],
) -> list[str]:
    """Values of `Set-Cookie` (RFC 6265): one for the new connection, and an end for each that is too many.

    `path` is the hub's own, so that nothing else of the site ever sees the cookie; `now` in seconds since 1970.
    """
    attributes = f"; Path={path}; HttpOnly; SameSite=Lax" + ("; Secure" if request.is_secure else "")
    name = f"hub-{int(now):010d}-{random_bytes(3).hex()}"
    made = f"{name}={connection_token}; Max-Age={MAX_AGE_S}{attributes}"
    ended = [f"{kept.name}=; Max-Age=0{attributes}" for kept in _read(request)[MAX_KEPT - 1 :]]
    return [made, *ended]


def _read(request: HubRequest) -> list[_Kept]:
    """Our cookies, newest first."""
    found: list[_Kept] = []
    for pair in request.headers.get("cookie", "").split(";")[: _MAX_READ * 4]:
        name, _, token = pair.strip().partition("=")
        match = _NAME.fullmatch(name)
        if match and _TOKEN.fullmatch(token) and len(found) < _MAX_READ:
            found.append(_Kept(int(match[1]), name, token))
    return sorted(found, reverse=True)
