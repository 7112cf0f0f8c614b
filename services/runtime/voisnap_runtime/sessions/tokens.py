"""Secrets of a session: the token that opens it and the credentials of its TURN relay."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

import msgspec
from voisnap_domain.ids import SessionId
from voisnap_kit.settings import Secret
from voisnap_proto.requests import IceServer

TOKEN_PREFIX = "wrtc_tok_"  # noqa: S105 - the visible part
CALL_PREFIX = "tel_tok_"
RESUME_PREFIX = "res_tok_"
"""Not of one hub: sessions of all three can be resumed."""
_TOKEN_BYTES = 32


def new_session_token(random_bytes: Callable[[int], bytes]) -> str:
    """A token of 256 random bits."""
    return TOKEN_PREFIX + _opaque(random_bytes)


def new_call_token(random_bytes: Callable[[int], bytes]) -> str:
    """A token by which a carrier brings the media of a call once."""
    return CALL_PREFIX + _opaque(random_bytes)


def new_resume_token(random_bytes: Callable[[int], bytes]) -> str:
    """A token that takes a session over from a connection which may seem alive and is not."""
    return RESUME_PREFIX + _opaque(random_bytes)


def _opaque(random_bytes: Callable[[int], bytes]) -> str:
    return base64.urlsafe_b64encode(random_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


class IceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """STUN and TURN servers to name to the peers of a session."""

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: Secret | None = None


def ice_servers(settings: IceSettings, session_id: SessionId, *, until: datetime) -> tuple[IceServer, ...]:
    """The ICE servers of one session; the TURN credential dies `until` (draft-uberti-behave-turn-rest-00 §2.2)."""
    servers: list[IceServer] = []
    if settings.stun_urls:
        servers.append(IceServer(urls=settings.stun_urls))
    if settings.turn_urls and settings.turn_secret is not None:
        username = f"{int(until.timestamp())}:{session_id}"
        digest = hmac.new(settings.turn_secret.value.encode(), username.encode(), hashlib.sha1).digest()
        credential = base64.b64encode(digest).decode()
        servers.append(IceServer(urls=settings.turn_urls, username=username, credential=credential))
    return tuple(servers)
