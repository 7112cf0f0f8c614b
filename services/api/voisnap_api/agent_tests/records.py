"""A test of an agent as it is kept, and as it stands."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.ids import AgentId, ConversationId, SessionId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment


class TestStatus(StrEnum):
    """Where a test stands; after its start that is where its conversation stands."""

    INITIATED = "initiated"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"


class AgentTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test call of one version of an agent."""

    id: str
    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    agent_version: int
    channel: Channel
    phone_number: str | None
    metadata: dict[str, Any]
    session_id: SessionId
    conversation_id: ConversationId
    created_at: datetime
    created_by: str | None
