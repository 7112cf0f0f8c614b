"""A test of an agent as it is kept, and as it stands."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.ids import AgentId, ConversationId, MessageId, OutboundCallId, SessionId, TenantId
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
    """One test of one version of an agent: a session with a simulated caller; or a call that is placed or a message that is sent to somebody,
    whose conversation is theirs to tell."""

    id: str
    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    agent_version: int
    channel: Channel
    phone_number: str | None
    metadata: dict[str, Any]
    session_id: SessionId | None = None
    conversation_id: ConversationId | None = None
    outbound_call_id: OutboundCallId | None = None
    message_id: MessageId | None = None
    created_at: datetime
    created_by: str | None

    @property
    def is_simulated(self) -> bool:
        """Whether nobody is called or written to."""
        return self.outbound_call_id is None and self.message_id is None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A test and where it stands. `conversation_id`: None as long as nobody has answered."""

    test: AgentTest
    status: TestStatus
    conversation_id: ConversationId | None
