"""Rows of the audit log."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.ids import TenantId


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change: who did what to whom. `changes` maps a field to its old and new value."""

    id: str
    at: datetime
    actor_id: str | None
    actor_role: str
    action: str
    target_id: str
    tenant_id: TenantId
    changes: dict[str, Any]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None means all."""

    tenant_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
