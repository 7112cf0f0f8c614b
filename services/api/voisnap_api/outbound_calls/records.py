"""Rows of this slice."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.ids import AgentId, ConversationId, OutboundCallId, SessionId, TenantId
from voisnap_domain.outbound import Attempt, CallingHours, OutboundStatus
from voisnap_domain.tenants import Environment
from voisnap_providers.ports.carrier import MachineDetection

from voisnap_api.periods import ALWAYS, Period

DEFAULT_CONCURRENT = 10
DEFAULT_RING_SECONDS = 30


class OutboundCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a tenant wants placed. `due_at`: when a waiting one is placed. `not_before`: when it would be, but for the calling hours;
    None where they don't hold it up. `put_off_count`: how often its carrier had no time.
    `tested_version`: what a test of an agent tries out, active or not, at any hour; None for other calls."""

    id: OutboundCallId
    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    from_number: str
    to_number: str
    status: OutboundStatus
    scheduled_for: datetime | None
    due_at: datetime
    not_before: datetime | None = None
    attempt_id: str | None = None
    initiated_at: datetime | None = None
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    conversation_id: ConversationId | None = None
    metadata: dict[str, Any]
    end_reason: str | None = None
    answered_by: AnsweredBy | None = None
    max_retries: int
    retry_delay_minutes: int
    retry_count: int = 0
    put_off_count: int = 0
    batch_id: str | None = None
    tested_version: int | None = None
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class DialAttempt(Attempt, frozen=True, kw_only=True):
    """One attempt, with what it takes to place it and to clear up behind it. `due_at`: when somebody looks after it; None when nothing is left
    to do. `overdue_at`: when it was found late. `settled_at`: since when its call goes on without it. `clearings`: tries to hang up."""

    id: str
    tenant_id: TenantId
    environment: Environment
    call_id: OutboundCallId
    provider: str
    account: str
    detection: MachineDetection
    session_id: SessionId | None = None
    conversation_id: ConversationId | None = None
    stream_token: str | None = None
    carrier_call_id: str = ""
    settled_at: datetime | None = None
    overdue_at: datetime | None = None
    due_at: datetime | None = None
    clearings: int = 0


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When and how a tenant places calls: within its `calling_hours`, if it has any, and, unless it says otherwise, within those that the law
    of where the number is has (`voisnap_domain.outbound.STATUTES`). `allowed_countries` (ISO 3166-1 alpha-2, or `*`) beside
    those of its own numbers."""

    calling_hours: CallingHours | None = None
    statutory_hours: bool = True
    max_concurrent: int = DEFAULT_CONCURRENT
    default_ring_seconds: int = DEFAULT_RING_SECONDS
    machine_detection: MachineDetection = MachineDetection.OFF
    allowed_countries: tuple[str, ...] = ()


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of a list are wanted; None means any."""

    status: OutboundStatus | None = None
    agent_id: str | None = None
    to_number: str | None = None
    campaign_id: str | None = None
    batch_id: str | None = None
    period: Period = ALWAYS


class CallPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call is in the list, newest first."""

    created_at: datetime
    id: str


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's environment."""

    tenant_id: TenantId
    environment: Environment


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that somebody should look after."""

    id: str
    tenant_id: TenantId
    environment: Environment
