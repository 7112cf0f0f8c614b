"""Facts that one service tells the others, over JetStream.

The struct is the source; JSON Schema, AsyncAPI and SUBJECTS.md are generated from it. A tag carries its version: an incompatible change is
a new tag. Subject = `evt.` + tag. Every event names its tenant; its id travels in the `Nats-Msg-Id` header.
"""

from datetime import datetime

import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase, TransferMode, TransferStage
from voisnap_domain.conversations import CallQuality, RecordingInfo, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.ids import (
    AgentId,
    ContactId,
    ConversationId,
    MessageId,
    MessageThreadId,
    NodeId,
    SessionId,
    TenantId,
    UserId,
)
from voisnap_domain.sessions import Channel, EndReason, SessionPlan
from voisnap_domain.tenants import Environment, Tenant


class TenantCreated(msgspec.Struct, frozen=True, kw_only=True, tag="tenant.created.v1"):
    """A tenant exists; its whole record."""

    tenant_id: TenantId
    tenant: Tenant


class TenantUpdated(msgspec.Struct, frozen=True, kw_only=True, tag="tenant.updated.v1"):
    """A tenant's name, plan, owner or limits changed; its whole record."""

    tenant_id: TenantId
    tenant: Tenant


class TenantSuspended(msgspec.Struct, frozen=True, kw_only=True, tag="tenant.suspended.v1"):
    """A tenant may open no more sessions; calls in progress go on."""

    tenant_id: TenantId
    tenant: Tenant
    reason: str | None = None


class TenantResumed(msgspec.Struct, frozen=True, kw_only=True, tag="tenant.resumed.v1"):
    """A suspended tenant may open sessions again."""

    tenant_id: TenantId
    tenant: Tenant


class TenantDeleted(msgspec.Struct, frozen=True, kw_only=True, tag="tenant.deleted.v1"):
    """A tenant is deleted, to be purged after its grace time."""

    tenant_id: TenantId
    tenant: Tenant


class AgentChanged(msgspec.Struct, frozen=True, kw_only=True, tag="agent.changed.v1"):
    """An agent was created, changed, published, switched on or off; `change` says which in the past tense."""

    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    version: int
    change: str
    by: UserId | None = None


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, tag="session.started.v1"):
    """The caller is connected: the conversation begins. Carries the plan, so that the conversation can be stored from it alone."""

    tenant_id: TenantId
    session_id: SessionId
    conversation_id: ConversationId
    node_id: NodeId
    plan: SessionPlan
    started_at: datetime


class TurnFinished(msgspec.Struct, frozen=True, kw_only=True, tag="session.turn_finished.v1"):
    """One side finished a turn. Turns of a session arrive in order and count from 1 without gaps."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    conversation_id: ConversationId
    turn: Turn


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True, tag="session.ended.v1"):
    """The session is over. `turns` tells how many TurnFinished belong to it; store, price and analyse from this one event."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    conversation_id: ConversationId
    plan: SessionPlan
    started_at: datetime | None
    ended_at: datetime
    duration_seconds: float
    reason: EndReason
    turns: int
    usage: Usage
    quality: CallQuality
    recording: RecordingInfo | None
    warnings: tuple[str, ...] = ()


class AnalysisRequested(msgspec.Struct, frozen=True, kw_only=True, tag="analysis.requested.v1"):
    """Somebody wants a conversation analysed once more."""

    tenant_id: TenantId
    environment: Environment
    conversation_id: ConversationId


class CallProgressed(msgspec.Struct, frozen=True, kw_only=True, tag="call.progressed.v1"):
    """A carrier says what became of a call. `attempt_id` names our own attempt to reach somebody; `seconds` are the carrier's."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    provider: str
    account: str
    call_id: str
    phase: CallPhase
    at: datetime
    attempt_id: str | None = None
    seconds: float | None = None
    cause: str = ""


class AnswererDetected(msgspec.Struct, frozen=True, kw_only=True, tag="call.answerer_detected.v1"):
    """A carrier says who answered a call of ours."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    attempt_id: str | None
    answered_by: AnsweredBy
    at: datetime


class CallTransferChanged(msgspec.Struct, frozen=True, kw_only=True, tag="call.transfer_changed.v1"):
    """A call is being handed over to somebody, and this is how far it got. `to` is a number in E.164 or a SIP address, `name` the agent's
    target, `requested_by` who wanted it (`agent` or `api`), `call_id` the carrier's id of the other side's call. `cause` says of an end that
    is none of the good ones why: `busy`, `no_answer`, `refused`, `machine`, `undecided`, `canceled`, `failed`,
    `caller_hung_up`, `lost`."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    conversation_id: ConversationId
    agent_id: AgentId
    transfer_id: str
    stage: TransferStage
    mode: TransferMode
    to: str
    name: str
    requested_by: str
    at: datetime
    reason: str = ""
    cause: str = ""
    call_id: str = ""


class MessageReceived(msgspec.Struct, frozen=True, kw_only=True, tag="message.received.v1"):
    """Somebody wrote to an agent over a messaging network. What they wrote is in the database alone."""

    tenant_id: TenantId
    environment: Environment
    message_id: MessageId
    thread_id: MessageThreadId
    contact_id: ContactId
    agent_id: AgentId
    channel: Channel
    at: datetime


class TextRequested(msgspec.Struct, frozen=True, kw_only=True, tag="text.requested.v1"):
    """An agent wants a text sent to the person it talks to, by SMS from its own number. The same `request_id` is the same text."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    conversation_id: ConversationId
    agent_id: AgentId
    request_id: str
    phone_number: str
    text: str
    at: datetime


class CallsDeclined(msgspec.Struct, frozen=True, kw_only=True, tag="calls.declined.v1"):
    """Somebody has said in a call that he wants no more calls: his number is not called any more."""

    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    conversation_id: ConversationId
    phone_number: str


Event = (
    TenantCreated
    | TenantUpdated
    | TenantSuspended
    | TenantResumed
    | TenantDeleted
    | AgentChanged
    | SessionStarted
    | TurnFinished
    | SessionEnded
    | AnalysisRequested
    | CallProgressed
    | AnswererDetected
    | CallTransferChanged
    | MessageReceived
    | TextRequested
    | CallsDeclined
)

EVENTS: dict[str, type] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        TenantCreated,
        TenantUpdated,
        TenantSuspended,
        TenantResumed,
        TenantDeleted,
        AgentChanged,
        SessionStarted,
        TurnFinished,
        SessionEnded,
        AnalysisRequested,
        CallProgressed,
        AnswererDetected,
        CallTransferChanged,
        MessageReceived,
        TextRequested,
        CallsDeclined,
    )
}
"""Tag → struct, all of them."""


def tag_of(event: Event | type) -> str:
    """`session.ended.v1` of an event or its type."""
    return str(event.__struct_config__.tag)


def subject_of(event: Event | type) -> str:
    """The NATS subject of an event or its type: `evt.session.ended.v1`."""
    return f"evt.{tag_of(event)}"
