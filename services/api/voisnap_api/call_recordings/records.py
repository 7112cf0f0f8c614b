"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import ConversationId, SessionId, TenantId
from voisnap_domain.tenants import Environment


class RecordingStage(StrEnum):
    """`SAVED`: to be fetched. `KEPT`: ours. `DROPPED`: nobody may have it, or it can't be had."""

    SAVED = "saved"
    KEPT = "kept"
    DROPPED = "dropped"


class CarrierRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that a carrier made of a session's call; `recording_id` is the carrier's name of it. `at_carrier`: it has it still, as far
    as we know. `tries` counts since the last success."""

    id: str
    tenant_id: TenantId
    environment: Environment
    provider: str
    account: str
    recording_id: str
    session_id: SessionId
    conversation_id: ConversationId | None
    state: RecordingStage
    seconds: float | None
    key: str | None
    size_bytes: int | None
    at_carrier: bool
    tries: int
    created_at: datetime


class KeptRecording(msgspec.Struct, frozen=True, kw_only=True):
    """One that can be heard."""

    key: str
    seconds: float | None


class RecordedTime(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is billed by."""

    provider: str
    account: str
    recording_id: str
    seconds: float
