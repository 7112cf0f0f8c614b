"""Rows of the audit log."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.tenants import Environment

from voisnap_api.periods import ALWAYS, Period


class ActorType(StrEnum):
    """What kind of credential acted."""

    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What was acted upon: `conversation`, `user`, `api_key` …, and its id."""

    type: str
    id: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One deed. `action` is `noun.verb_past`; the platform itself has no actor id."""

    id: str
    tenant_id: str
    environment: Environment
    at: datetime
    actor_type: ActorType
    actor_id: str | None
    action: str
    target_type: str
    target_id: str
    detail: dict[str, Any]
    request_id: str | None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None means all."""

    actor_id: str | None = None
    action: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    period: Period = ALWAYS
