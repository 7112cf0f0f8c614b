"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A number that the tenant must not call, in E.164, why, and where that came from (`manual`, `import`, `sms_stop` …)."""

    tenant_id: TenantId
    environment: Environment
    phone_number: str
    reason: str | None
    source: str
    created_by: str | None
    created_at: datetime


class ListPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a number is in the list, newest first."""

    created_at: datetime
    phone_number: str
