"""Requests between services, over NATS request/reply. Subject, request and reply of each stand together in `REQUESTS`."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase, TransferMode
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import Channel, EndReason, SessionPlan
from voisnap_domain.tenants import Environment, Owner, Tenant

OPEN_SESSION = "rpc.runtime.open_session.v1"
END_SESSION = "rpc.runtime.end_session.v1"
PLAN_SESSION = "rpc.api.plan_session.v1"
CREATE_TENANT = "rpc.admin.create_tenant.v1"
READMIT_SESSION = "rpc.runtime.readmit_session.v1"
NOTE_ANSWERER = "rpc.runtime.note_answerer.v1"
TRANSFER_SESSION = "rpc.runtime.transfer_session.v1"
NOTE_TRANSFER_CALL = "rpc.runtime.note_transfer_call.v1"
EXCHANGE_TEXT = "rpc.runtime.exchange_text.v1"


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


class ReadmitSession(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier lost the media of a call that goes on: let it in once more. Asking again makes another token."""

    session_id: SessionId


class SessionReadmitted(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time token for the media socket; none for a session that is over."""

    session_token: str | None


class NoteAnswerer(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier says who answered a call of ours. Any node takes it and passes it to the owner."""

    session_id: SessionId
    answered_by: AnsweredBy


class AnswererNoted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is such a live session."""

    found: bool


class TransferSession(msgspec.Struct, frozen=True, kw_only=True):
    """Hand a live telephone call over to somebody: a number in E.164 or a SIP address, or where `to` is empty the agent's target `name`.
    `summary` is what a warm transfer tells him first; made of the conversation where it is missing. No `mode` and no `ring_seconds` are the
    agent's own. Refusals: Conflict `not-transferable`, `transfer-in-progress`, NotFound `transfer-target-not-found`."""

    session_id: SessionId
    to: str
    name: str = ""
    mode: TransferMode | None = None
    summary: str | None = None
    ring_seconds: int | None = None


class TransferBegun(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there was such a live session, and the transfer's id; how it ends is told by its events."""

    found: bool
    transfer_id: str = ""


class NoteTransferCall(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier says what becomes of the call to whoever shall take over (`attempt_id` begins with `xfer_`). Any node takes it and passes
    it to the owner of the transfer."""

    session_id: SessionId
    attempt_id: str
    call_id: str
    phase: CallPhase | None = None
    answered_by: AnsweredBy | None = None


class TransferCallNoted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is such a transfer."""

    found: bool


class ExchangeText(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a written conversation that comes over a messaging network. The session is opened with `plan` when its id is new, and
    goes on, wherever it lived, when it is known. Asking again with the same `message_id` gives the same answer. An empty text lets the agent
    begin. Refusals: those of OpenSession."""

    plan: SessionPlan
    message_id: str
    text: str
    idle_seconds: float


class TextExchanged(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent answers, in order; nothing when it says nothing. `ended`: why the conversation is over, when it is; `known` is False for
    a conversation that was over before: then nothing was said, and a new session is what it takes."""

    replies: tuple[str, ...] = ()
    ended: EndReason | None = None
    known: bool = True


REQUESTS: dict[str, tuple[type, type]] = {
    OPEN_SESSION: (OpenSession, SessionOpened),
    END_SESSION: (EndSession, SessionEnding),
    PLAN_SESSION: (PlanSession, SessionPlanned),
    CREATE_TENANT: (CreateTenant, TenantReady),
    READMIT_SESSION: (ReadmitSession, SessionReadmitted),
    NOTE_ANSWERER: (NoteAnswerer, AnswererNoted),
    TRANSFER_SESSION: (TransferSession, TransferBegun),
    NOTE_TRANSFER_CALL: (NoteTransferCall, TransferCallNoted),
    EXCHANGE_TEXT: (ExchangeText, TextExchanged),
}
