"""What is kept of a transfer."""

from datetime import datetime

import msgspec
from voisnap_domain.calls import TransferMode, TransferStage
from voisnap_domain.ids import ConversationId


class StoredTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer of a conversation's call, and how far it got. `cause` says why it came to nothing."""

    id: str
    conversation_id: ConversationId
    mode: TransferMode
    target: str
    destination: str
    requested_by: str
    reason: str
    stage: TransferStage
    cause: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None


class WantedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as somebody asks for it: to the agent's `target`, or to an address (E.164 or SIP)."""

    target: str = ""
    address: str = ""
    mode: TransferMode | None = None
    summary: str | None = None
    ring_seconds: int | None = None
