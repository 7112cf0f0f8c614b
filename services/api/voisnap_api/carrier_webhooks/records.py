"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.ids import ConversationId, SessionId, TenantId
from voisnap_domain.tenants import Environment


class CarrierCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call at a carrier, and the session it belongs to. `answer` is what its first webhook was answered with, sealed; `call_id` is empty
    until the carrier has named it; `conversation_id` was charged for it. One that is not `is_main` is to somebody whom the session's caller is
    handed over to."""

    id: int
    tenant_id: TenantId
    environment: Environment
    provider: str
    account: str
    call_id: str
    session_id: SessionId
    attempt_id: str | None
    is_main: bool
    phase: CallPhase | None
    answered_by: AnsweredBy | None
    seconds: float | None
    answer: bytes | None
    language: str
    claimed_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    conversation_id: ConversationId | None


class Progressed(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier's word changed. `is_news`: the call has come further than was known; `was_answered`: before this. `seconds`: now it is
    known how long it was, from the carrier or `is_measured` by our clock; `conversation_id` has been charged for it before."""

    is_news: bool = False
    was_answered: bool = False
    seconds: float | None = None
    is_measured: bool = False
    conversation_id: ConversationId | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a session as it is charged. `seconds` are the carrier's, None while it has not said any; `measured` are ours, from the answer
    to the end."""

    call_id: str
    provider: str
    account: str
    is_main: bool
    seconds: float | None
    measured: float | None = None
