"""Requests between services, over NATS request/reply. Subject, request and reply of each stand together in `REQUESTS`."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import ConversationId, NodeId, SessionId
from voisnap_domain.sessions import EndReason, SessionPlan

OPEN_SESSION = "rpc.runtime.open_session.v1"
END_SESSION = "rpc.runtime.end_session.v1"


class IceServer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of RTCConfiguration.iceServers (W3C WebRTC §4.2.2)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """Make a session ready for its caller. Refusals: `session-limit-reached`, `node-full` (LimitReached)."""

    plan: SessionPlan


class SessionOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The session waits for its caller until `expires_at`; the token is single-session and must come with a JWT of the same tenant."""

    session_id: SessionId
    conversation_id: ConversationId
    session_token: str
    expires_at: datetime
    ice_servers: tuple[IceServer, ...]
    node_id: NodeId


class EndSession(msgspec.Struct, frozen=True, kw_only=True):
    """End a live session for a reason; any node answers and passes it to the owner."""

    session_id: SessionId
    reason: EndReason


class SessionEnding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there was such a live session to end."""

    found: bool


REQUESTS: dict[str, tuple[type, type]] = {
    OPEN_SESSION: (OpenSession, SessionOpened),
    END_SESSION: (EndSession, SessionEnding),
}
