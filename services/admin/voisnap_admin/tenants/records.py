"""What a list of tenants can be asked for."""

from enum import StrEnum

import msgspec
from voisnap_domain.tenants import TenantStatus


class BillingMode(StrEnum):
    """Who sends the tenant its invoice."""

    SELF_BILLED = "self_billed"
    PLATFORM_BILLED = "platform_billed"


class TenantOrder(StrEnum):
    """What lists sort by, as the query names it."""

    CREATED_AT = "createdAt"
    NAME = "name"


class SortOrder(StrEnum):
    """Direction of a list."""

    ASC = "asc"
    DESC = "desc"


class TenantFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tenants; None means all. Deleted ones appear only when asked for by status."""

    status: TenantStatus | None = None
    plan: str | None = None
    agency_id: str | None = None
    search: str | None = None
    order: TenantOrder = TenantOrder.CREATED_AT
    direction: SortOrder = SortOrder.DESC
