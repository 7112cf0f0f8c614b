"""What operators do with tenants. Each change is locked, written, noted in the audit log and told to the other services together."""

import hashlib

import msgspec
from voisnap_domain.errors import Conflict, NotFound, PreconditionFailed
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant, UsageLimits
from voisnap_kit.postgres import UniqueViolated
from voisnap_kit.work import Work
from voisnap_proto.events import TenantCreated, TenantDeleted, TenantResumed, TenantSuspended, TenantUpdated

from voisnap_admin.audit import usecases as audit

from . import store
from .records import TenantFilter


async def create_tenant(work: Work, tenant: Tenant) -> Tenant:
    """Add a tenant. Raises Conflict for a taken slug."""
    _require(work, "admin:write")
    return await _add(work, tenant)


async def introduce_tenant(work: Work, tenant: Tenant) -> Tenant:
    """Add a tenant unless one with this id is there; the one that is there then. For seeding, where nobody calls."""
    known = await store.get(work.tx, tenant.id)
    return known if known is not None else await _add(work, tenant)


async def get_tenant(work: Work, tenant_id: TenantId) -> Tenant:
    """One tenant. Raises NotFound."""
    _require(work, "admin:read")
    tenant = await store.get(work.tx, tenant_id)
    if tenant is None:
        raise NotFound("tenant", tenant_id)
    return tenant


async def list_tenants(work: Work, wanted: TenantFilter, *, limit: int, offset: int) -> tuple[list[Tenant], int]:
    """A page of tenants, and how many there are on all pages."""
    _require(work, "admin:read")
    return await store.find(work.tx, wanted, limit=limit, offset=offset), await store.count(work.tx, wanted)


async def load_for_change(work: Work, tenant_id: TenantId, if_match: str | None) -> Tenant:
    """One tenant, locked, for the changes below. Raises NotFound, or PreconditionFailed if it is not the version in `if_match`."""
    _require(work, "admin:write")
    tenant = await store.get_for_change(work.tx, tenant_id)
    if tenant is None:
        raise NotFound("tenant", tenant_id)
    if if_match is not None and if_match.strip() not in ("*", etag_of(tenant)):
        raise PreconditionFailed("The tenant changed since you read it; read it again and repeat the change.")
    return tenant


async def change_tenant(work: Work, before: Tenant, after: Tenant) -> Tenant:
    """Replace a tenant's name, slug, plan, agency, billing mode, owner or limits. A change that changes nothing is not told."""
    after = msgspec.structs.replace(after, updated_at=before.updated_at)
    if after == before:
        return before
    after = after.limited(after.usage_limits, work.now)
    await _save(work, after)
    await audit.record_change(
        work, "tenant.updated", target_id=after.id, tenant_id=after.id, before=before, after=after
    )
    work.emit(TenantUpdated(tenant_id=after.id, tenant=after))
    return after


async def set_limits(work: Work, before: Tenant, limits: UsageLimits) -> Tenant:
    """Replace a tenant's limits."""
    return await change_tenant(work, before, msgspec.structs.replace(before, usage_limits=limits))


async def suspend_tenant(work: Work, before: Tenant, reason: str | None) -> Tenant:
    """Refuse the tenant's next sessions; those in progress go on. Raises Conflict."""
    after = before.suspended(at=work.now)
    await _save(work, after)
    await audit.record_change(
        work, "tenant.suspended", target_id=after.id, tenant_id=after.id, before=before, after=after
    )
    work.emit(TenantSuspended(tenant_id=after.id, tenant=after, reason=reason))
    return after


async def resume_tenant(work: Work, before: Tenant) -> Tenant:
    """Allow sessions again. Raises Conflict."""
    after = before.resumed(at=work.now)
    await _save(work, after)
    await audit.record_change(
        work, "tenant.resumed", target_id=after.id, tenant_id=after.id, before=before, after=after
    )
    work.emit(TenantResumed(tenant_id=after.id, tenant=after))
    return after


async def delete_tenant(work: Work, before: Tenant) -> Tenant:
    """Mark as deleted: no sessions, no log-in; its data is purged after the grace time. Raises Conflict."""
    after = before.deleted(at=work.now)
    await _save(work, after)
    await audit.record_change(
        work, "tenant.deleted", target_id=after.id, tenant_id=after.id, before=before, after=after
    )
    work.emit(TenantDeleted(tenant_id=after.id, tenant=after))
    return after


def etag_of(tenant: Tenant) -> str:
    """The entity tag of a tenant's current version (RFC 9110 §8.8.3)."""
    return f'"{hashlib.sha256(msgspec.json.encode(tenant)).hexdigest()[:20]}"'


def _require(work: Work, scope: str) -> None:
    work.caller.require_platform_admin()
    work.caller.require(scope)


async def _add(work: Work, tenant: Tenant) -> Tenant:
    try:
        await store.add(work.tx, tenant)
    except UniqueViolated as error:
        raise _taken(tenant, error) from error
    await audit.record_change(
        work, "tenant.created", target_id=tenant.id, tenant_id=tenant.id, before=None, after=tenant
    )
    work.emit(TenantCreated(tenant_id=tenant.id, tenant=tenant))
    return tenant


async def _save(work: Work, tenant: Tenant) -> None:
    try:
        await store.save(work.tx, tenant)
    except UniqueViolated as error:
        raise _taken(tenant, error) from error


def _taken(tenant: Tenant, error: UniqueViolated) -> Conflict:
    if error.constraint == "tenants_slug":
        return Conflict(f"The slug {tenant.slug} is taken.", code="slug-taken")
    return Conflict(f"There is a tenant {tenant.id} already.", code="tenant-exists")
