"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.ids import SessionId, TenantId
from voisnap_domain.tenants import Environment


class CarrierCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call at a carrier, and the session it belongs to. `answer` is what its first webhook was answered with, sealed; `refused` why it
    was not answered; `call_id` is empty until the carrier has named it."""

    id: int
    tenant_id: TenantId
    environment: Environment
    provider: str
    account: str
    call_id: str
    session_id: SessionId
    attempt_id: str | None
    phase: CallPhase | None
    answered_by: AnsweredBy | None
    seconds: float | None
    answer: bytes | None
    refused: str | None
    claimed_at: datetime
    ended_at: datetime | None


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A call's row after somebody claimed it. `is_ours` says whether that was this request."""

    id: int
    is_ours: bool
