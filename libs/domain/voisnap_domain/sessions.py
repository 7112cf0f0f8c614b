"""A session is whatever is live: its states, its transitions and why it ended.

States only move along `TRANSITIONS`; everything else asks `moved` for a move and handles the refusal.

    created → connecting → active ⇄ reconnecting → ended        any → ending → ended
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from .agents import AgentSnapshot
from .calls import CarrierLeg
from .errors import Conflict
from .ids import ConversationId, NodeId, SessionId, TenantId
from .provider_credentials import SealedCredential
from .spending import SpendTerms
from .tenants import Environment


class SessionState(StrEnum):
    CREATED = "created"
    CONNECTING = "connecting"
    ACTIVE = "active"
    RECONNECTING = "reconnecting"
    ENDING = "ending"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a session ended (decisions, "SessionEnded"), and beyond it: the tenant's monthly spend limit was used up."""

    USER_ENDED = "user_ended"
    AGENT_ENDED = "agent_ended"
    TIMEOUT = "timeout"
    IDLE_TIMEOUT = "idle_timeout"
    MAX_DURATION = "max_duration"
    TRANSFER_COMPLETE = "transfer_complete"
    VOICEMAIL = "voicemail"
    DISCONNECTED = "disconnected"
    ERROR = "error"
    NODE_LOST = "node_lost"
    SPEND_LIMIT = "spend_limit"


class Channel(StrEnum):
    PHONE = "phone"
    WEBRTC = "webrtc"
    WEBCHAT = "webchat"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"


WRITTEN_CHANNELS = frozenset({Channel.WEBCHAT, Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM})
"""Channels without sound: nothing is heard, spoken or recorded."""

MESSAGING_CHANNELS = frozenset({Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM})
"""Written channels over messaging networks: nobody is connected, and a conversation waits for its next message for hours."""


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    SessionState.CREATED: frozenset({SessionState.CONNECTING, SessionState.ENDING, SessionState.ENDED}),
    SessionState.CONNECTING: frozenset({SessionState.ACTIVE, SessionState.ENDING, SessionState.ENDED}),
    SessionState.ACTIVE: frozenset({SessionState.RECONNECTING, SessionState.ENDING, SessionState.ENDED}),
    SessionState.RECONNECTING: frozenset({SessionState.ACTIVE, SessionState.ENDING, SessionState.ENDED}),
    SessionState.ENDING: frozenset({SessionState.ENDED}),
    SessionState.ENDED: frozenset(),
}

LIVE_STATES: frozenset[SessionState] = frozenset(
    {SessionState.CONNECTING, SessionState.ACTIVE, SessionState.RECONNECTING, SessionState.ENDING}
)


class IllegalMove(Conflict):
    """The session's state has no such transition."""

    code = "session-state"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on the other side."""

    phone_number: str | None = None
    country: str | None = None
    user_id: str | None = None


class SessionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is opened with; never changes while it lives. `credentials`: the tenant's own access to providers, sealed. `spend`: what
    it may cost; None where nothing is billed. `leg`: the carrier's side of a telephone call."""

    session_id: SessionId
    conversation_id: ConversationId
    tenant_id: TenantId
    environment: Environment
    channel: Channel
    direction: Direction
    agent: AgentSnapshot
    caller: Caller = msgspec.field(default_factory=Caller)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    created_at: datetime
    max_concurrent: int | None = None
    credentials: tuple[SealedCredential, ...] = ()
    spend: SpendTerms | None = None
    leg: CarrierLeg | None = None
    can_text: bool = False
    """Whether the agent has a number from which it can text the caller of a telephone call."""

    def told(self) -> "SessionPlan":
        """The plan as events tell it: without credentials and terms, which nobody needs who was not asked to hold the session."""
        return msgspec.structs.replace(self, credentials=(), spend=None) if self.credentials or self.spend else self


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The live state of a session as Redis holds it; `revision` rises with each change (compare-and-set).

    `seamless`: its owner handed it over at a silent moment and nobody has claimed it since.
    """

    plan: SessionPlan
    state: SessionState
    revision: int
    owner: NodeId | None = None
    lease_until: datetime | None = None
    connected_at: datetime | None = None
    deadline: datetime
    end_reason: EndReason | None = None
    ended_at: datetime | None = None
    seamless: bool = False

    def moved(self, to: SessionState, *, reason: EndReason | None = None, at: datetime | None = None) -> "Session":
        """The session in state `to`. Raises IllegalMove when the table has no such transition."""
        if to not in TRANSITIONS[self.state]:
            raise IllegalMove(f"A session that is {self.state.value} can't become {to.value}.")
        changes: dict[str, Any] = {"state": to, "revision": self.revision + 1}
        if to in {SessionState.ENDING, SessionState.ENDED}:
            changes["end_reason"] = self.end_reason or reason
        if to is SessionState.ENDED:
            changes["ended_at"] = at
        if to is SessionState.ACTIVE and self.connected_at is None:
            changes["connected_at"] = at
        return msgspec.structs.replace(self, **changes)

    def claimed(self, node: NodeId, *, lease_until: datetime) -> "Session":
        """The session, owned by `node` until `lease_until` unless renewed."""
        return msgspec.structs.replace(
            self, owner=node, lease_until=lease_until, seamless=False, revision=self.revision + 1
        )

    def handed_over(self, *, lease_until: datetime, seamless: bool) -> "Session":
        """The session without an owner: whoever claims it before `lease_until` goes on with it."""
        state = SessionState.RECONNECTING if self.state is SessionState.ACTIVE else self.state
        return msgspec.structs.replace(
            self, owner=None, state=state, lease_until=lease_until, seamless=seamless, revision=self.revision + 1
        )
