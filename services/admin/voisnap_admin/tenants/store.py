"""SQL of the table tenants."""

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant
from voisnap_kit.postgres import Tx

from .records import TenantFilter


async def add(tx: Tx, tenant: Tenant) -> None:
    """Store a new tenant. Raises UniqueViolated for a taken slug (tenants_slug) or id (tenants_pkey)."""
    await tx.exec(
        """
        INSERT INTO tenants (id, name, slug, status, plan, agency_id, billing_mode, usage_limits, owner, created_at, updated_at)
        VALUES (%(id)s, %(name)s, %(slug)s, %(status)s, %(plan)s, %(agency_id)s, %(billing_mode)s, %(usage_limits)s, %(owner)s,
                %(created_at)s, %(updated_at)s)
        """,
        id=tenant.id,
        name=tenant.name,
        slug=tenant.slug,
        status=tenant.status,
        plan=tenant.plan,
        agency_id=tenant.agency_id,
        billing_mode=tenant.billing_mode,
        usage_limits=tenant.usage_limits,
        owner=tenant.owner,
        created_at=tenant.created_at,
        updated_at=tenant.updated_at,
    )


async def get(tx: Tx, tenant_id: TenantId) -> Tenant | None:
    """One tenant."""
    return await tx.maybe(
        Tenant,
        """
        SELECT id, name, slug, status, plan, agency_id, billing_mode, usage_limits, owner, created_at, updated_at
          FROM tenants
         WHERE id = %(tenant_id)s
        """,
        tenant_id=tenant_id,
    )


async def get_for_change(tx: Tx, tenant_id: TenantId) -> Tenant | None:
    """One tenant, locked until the end of the transaction, which also puts the events of a tenant in order."""
    return await tx.maybe(
        Tenant,
        """
        SELECT id, name, slug, status, plan, agency_id, billing_mode, usage_limits, owner, created_at, updated_at
          FROM tenants
         WHERE id = %(tenant_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
    )


async def save(tx: Tx, tenant: Tenant) -> None:
    """Store everything that may change. Raises UniqueViolated for a taken slug."""
    await tx.exec(
        """
        UPDATE tenants
           SET name = %(name)s, slug = %(slug)s, status = %(status)s, plan = %(plan)s, agency_id = %(agency_id)s,
               billing_mode = %(billing_mode)s, usage_limits = %(usage_limits)s, owner = %(owner)s, updated_at = %(updated_at)s
         WHERE id = %(id)s
        """,
        id=tenant.id,
        name=tenant.name,
        slug=tenant.slug,
        status=tenant.status,
        plan=tenant.plan,
        agency_id=tenant.agency_id,
        billing_mode=tenant.billing_mode,
        usage_limits=tenant.usage_limits,
        owner=tenant.owner,
        updated_at=tenant.updated_at,
    )


async def find(tx: Tx, wanted: TenantFilter, *, limit: int, offset: int) -> list[Tenant]:
    """A page of tenants. Names sort without regard to case."""
    return await tx.all(
        Tenant,
        """
        SELECT id, name, slug, status, plan, agency_id, billing_mode, usage_limits, owner, created_at, updated_at
          FROM tenants
         WHERE (status = %(status)s OR (%(status)s::text IS NULL AND status <> 'deleted'))
           AND (%(plan)s::text IS NULL OR plan = %(plan)s)
           AND (%(agency_id)s::text IS NULL OR agency_id = %(agency_id)s)
           AND (%(search)s::text IS NULL OR strpos(lower(name), lower(%(search)s)) > 0 OR strpos(slug, lower(%(search)s)) > 0)
         ORDER BY CASE WHEN %(order)s = 'name' AND %(direction)s = 'asc' THEN lower(name) END ASC,
                  CASE WHEN %(order)s = 'name' AND %(direction)s = 'desc' THEN lower(name) END DESC,
                  CASE WHEN %(order)s = 'createdAt' AND %(direction)s = 'asc' THEN created_at END ASC,
                  CASE WHEN %(order)s = 'createdAt' AND %(direction)s = 'desc' THEN created_at END DESC,
                  id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        status=wanted.status,
        plan=wanted.plan,
        agency_id=wanted.agency_id,
        search=wanted.search,
        order=wanted.order,
        direction=wanted.direction,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, wanted: TenantFilter) -> int:
    """How many tenants there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*) AS total
          FROM tenants
         WHERE (status = %(status)s OR (%(status)s::text IS NULL AND status <> 'deleted'))
           AND (%(plan)s::text IS NULL OR plan = %(plan)s)
           AND (%(agency_id)s::text IS NULL OR agency_id = %(agency_id)s)
           AND (%(search)s::text IS NULL OR strpos(lower(name), lower(%(search)s)) > 0 OR strpos(slug, lower(%(search)s)) > 0)
        """,
        status=wanted.status,
        plan=wanted.plan,
        agency_id=wanted.agency_id,
        search=wanted.search,
    )
