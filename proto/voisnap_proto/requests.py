"""Requests between services, over NATS request/reply. Subject, request and reply of each stand together in `REQUESTS`."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import Channel, EndReason, SessionPlan
from voisnap_domain.tenants import Environment, Owner, Tenant

OPEN_SESSION = "rpc.runtime.open_session.v1"
END_SESSION = "rpc.runtime.end_session.v1"
PLAN_SESSION = "rpc.api.plan_session.v1"
CREATE_TENANT = "rpc.admin.create_tenant.v1"


class IceServer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of RTCConfiguration.iceServers (W3C WebRTC §4.2.2)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """Make a session ready for its caller; for a `rehearsal` he is simulated and comes at once.

    Refusals: `session-limit-reached`, `node-full` (LimitReached), `provider-not-configured` (Conflict).
    """

    plan: SessionPlan
    rehearsal: Rehearsal | None = None


class SessionOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The session waits for its caller until `expires_at`; the token is single-session and must come with a JWT of the same tenant."""

    session_id: SessionId
    conversation_id: ConversationId
    session_token: str
    expires_at: datetime
    ice_servers: tuple[IceServer, ...]
    node_id: NodeId


class PlanSession(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the API what a session of this agent is made of, for a caller whom the runtime has authenticated.

    `user_id`: a person, or `<key id>:<token id>` of a token that was made with an API key.
    `version`: a number, or `draft` for the newest one; only for users who may edit the agent. Refusals: NotFound `agent-not-found`,
    Conflict `agent-inactive`, Forbidden, Invalid, LimitReached `session-limit-reached`.
    """

    tenant_id: TenantId
    environment: Environment
    user_id: str
    scopes: tuple[str, ...]
    agent_id: AgentId
    channel: Channel
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    language: str | None = None
    version: str | None = None


class SessionPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """The plan, with ids of its own; nothing is reserved yet."""

    plan: SessionPlan


class EndSession(msgspec.Struct, frozen=True, kw_only=True):
    """End a live session for a reason; any node answers and passes it to the owner."""

    session_id: SessionId
    reason: EndReason


class SessionEnding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there was such a live session to end."""

    found: bool


class CreateTenant(msgspec.Struct, frozen=True, kw_only=True):
    """Make the tenant of somebody who registered and confirmed the address. Asking again with the same id changes nothing.

    Refusals: Conflict `slug-taken`.
    """

    tenant_id: TenantId
    name: str
    slug: str
    plan: str
    owner: Owner


class TenantReady(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant as it is now."""

    tenant: Tenant


REQUESTS: dict[str, tuple[type, type]] = {
    OPEN_SESSION: (OpenSession, SessionOpened),
    END_SESSION: (EndSession, SessionEnding),
    PLAN_SESSION: (PlanSession, SessionPlanned),
    CREATE_TENANT: (CreateTenant, TenantReady),
}
