"""WebRTC sessions on the wire."""

from typing import Any

import msgspec
from voisnap_proto.requests import IceServer, SessionOpened

from voisnap_api.wire import Body, View, instant


class WebRtcSessionBody(Body, frozen=True, kw_only=True):
    """Which agent to talk with, and what to tell it."""

    agent_id: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class WebRtcSessionView(View, frozen=True, kw_only=True):
    """What a browser needs to connect: the token opens WebRtcHub until `expiresAt`."""

    session_id: str
    session_token: str
    expires_at: str
    ice_servers: tuple[IceServer, ...]
    conversation_id: str

    @classmethod
    def of(cls, opened: SessionOpened) -> "WebRtcSessionView":
        return cls(
            session_id=opened.session_id,
            session_token=opened.session_token,
            expires_at=instant(opened.expires_at),
            ice_servers=opened.ice_servers,
            conversation_id=opened.conversation_id,
        )
