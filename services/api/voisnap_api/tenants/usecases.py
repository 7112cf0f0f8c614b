"""What this service needs of tenants."""

from voisnap_domain.errors import Forbidden
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant, TenantStatus, UsageLimits
from voisnap_kit.postgres import Tx
from voisnap_kit.work import Work

from . import store
from .records import KnownTenant


async def keep_tenant(work: Work, tenant: Tenant) -> None:
    """Take over a tenant's state from an event."""
    await store.put(work.tx, KnownTenant.of(tenant))


async def introduce_tenant(work: Work, tenant: KnownTenant) -> None:
    """Know a tenant before the first event about it; what is known already stays."""
    await store.put_if_unknown(work.tx, tenant)


async def find_tenant(tx: Tx, tenant_id: TenantId) -> KnownTenant | None:
    """One tenant as far as it is known."""
    return await store.get(tx, tenant_id)


async def limits_for_new_session(work: Work) -> UsageLimits:
    """The caller's limits. Raises Forbidden `tenant-suspended` when the tenant may open no session."""
    tenant = await store.get(work.tx, work.caller.tenant_id)
    if tenant is None:
        return UsageLimits()
    if tenant.status is not TenantStatus.ACTIVE:
        raise Forbidden("This account is suspended and can't start new sessions.", code="tenant-suspended")
    return tenant.usage_limits
