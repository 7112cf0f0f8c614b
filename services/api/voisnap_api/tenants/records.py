"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant, TenantStatus, UsageLimits


class KnownTenant(msgspec.Struct, frozen=True, kw_only=True):
    """What this service knows of a tenant; the admin service owns the rest."""

    tenant_id: TenantId
    name: str
    slug: str
    status: TenantStatus
    plan: str
    usage_limits: UsageLimits
    updated_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "KnownTenant":
        return cls(
            tenant_id=tenant.id,
            name=tenant.name,
            slug=tenant.slug,
            status=tenant.status,
            plan=tenant.plan,
            usage_limits=tenant.usage_limits,
            updated_at=tenant.updated_at,
        )
