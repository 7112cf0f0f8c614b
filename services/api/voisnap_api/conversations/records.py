"""Rows and filters of this slice, and where a conversation's rows lie."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.conversations import ConversationStatus, RecordingInfo, Speaker, Word
from voisnap_domain.costs import LegCost, Usage
from voisnap_domain.ids import AgentId, ConversationId, SessionId, TenantId
from voisnap_domain.sessions import Caller, Channel, Direction, EndReason
from voisnap_domain.tenants import Environment

from voisnap_api.periods import ALWAYS, Period

_ULID_ALPHABET = {character: value for value, character in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


def opened_at(conversation_id: str) -> datetime:
    """The time inside the id's ULID (its first ten characters, milliseconds), which names the partition of the conversation's rows.

    An id of another shape belongs to 1970, the partition for everything else.
    """
    stamp = conversation_id.rpartition("_")[2][:10]
    if len(stamp) < 10 or any(character not in _ULID_ALPHABET for character in stamp):
        return _BEFORE_ALL
    milliseconds = 0
    for character in stamp:
        milliseconds = milliseconds * 32 + _ULID_ALPHABET[character]
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return _BEFORE_ALL


class AnalysisSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the conversation itself shows of its analysis; None where it was not asked for or not found."""

    sentiment: str | None = None
    sentiment_score: float | None = None
    intent: str | None = None
    summary: str | None = None
    custom_fields: dict[str, Any] = msgspec.field(default_factory=dict)


class LineUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What went over a number of ours one way. Each call's minutes are rounded up; `messages` are segments of texts."""

    phone_number: str | None
    provider: str
    channel: Channel
    direction: Direction
    conversations: int
    minutes: int
    seconds: float
    messages: int
    cost_usd: Decimal


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over an agent's conversations, running and archived ones included. The breakdowns count conversations."""

    conversations: int
    timed: int
    duration_seconds: float
    cost_usd: Decimal
    by_channel: dict[str, int]
    by_outcome: dict[str, int]
    by_status: dict[str, int]
    sentiment_score: float | None


class StoredConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as it is kept."""

    id: ConversationId
    tenant_id: TenantId
    environment: Environment
    session_id: SessionId
    agent_id: AgentId
    agent_name: str
    agent_version: int
    channel: Channel
    direction: Direction
    status: ConversationStatus
    language: str
    hipaa: bool
    recording_wanted: bool
    retention_days: int
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    caller: Caller
    metadata: dict[str, Any]
    end_reason: EndReason | None
    usage: Usage | None
    llm_usd: Decimal | None
    tts_usd: Decimal | None
    stt_usd: Decimal | None
    telephony_usd: Decimal | None
    leg_costs: tuple[LegCost, ...] | None
    warnings: tuple[str, ...]
    recording: RecordingInfo | None
    analysis: AnalysisSummary | None
    tags: tuple[str, ...]
    outcome: str | None
    outcome_notes: str | None
    archived_at: datetime | None
    recording_deleted_at: datetime | None


class RecordingDue(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation whose recording has reached the end of its retention."""

    id: ConversationId
    tenant_id: TenantId


class RetentionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Of how many conversations the recording was deleted."""

    recordings: int


class StoredTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn as it is kept."""

    sequence: int
    speaker: Speaker
    text: str
    start_time: float
    end_time: float
    confidence: float
    words: tuple[Word, ...]
    interrupted: bool


class Archived(StrEnum):
    """Which conversations a list shows: those that were archived, those that were not, or both."""

    NO = "false"
    YES = "true"
    ALL = "all"


class Sort(StrEnum):
    """What a list is sorted by. A running conversation has no duration yet and counts as shorter than all others."""

    STARTED = "startedAt"
    DURATION = "durationSeconds"


class ConversationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations a list shows and in which order. `tags`: all of them; durations in whole seconds, as they are shown."""

    agent_id: str | None = None
    channel: Channel | None = None
    status: ConversationStatus | None = None
    direction: Direction | None = None
    period: Period = ALWAYS
    outcome: str | None = None
    tags: tuple[str, ...] = ()
    min_duration: int | None = None
    max_duration: int | None = None
    archived: Archived = Archived.NO
    sort: Sort = Sort.STARTED
    ascending: bool = False


class TurnTally(msgspec.Struct, frozen=True, kw_only=True):
    """How many turns of a conversation are stored, and whether the user said something."""

    stored: int
    user_was_heard: bool


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the partition reconciler did."""

    created: int
    day: date
