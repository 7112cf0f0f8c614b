"""The SQL of `tenants`, the projection of the admin service's events."""

from voisnap_domain.ids import TenantId
from voisnap_kit.postgres import Tx

from .records import KnownTenant


async def get(tx: Tx, tenant_id: TenantId) -> KnownTenant | None:
    """One tenant as far as it is known."""
    return await tx.maybe(
        KnownTenant,
        """
        SELECT tenant_id, name, slug, status, plan, usage_limits, updated_at
          FROM tenants
         WHERE tenant_id = %(tenant_id)s
        """,
        tenant_id=tenant_id,
    )


async def put(tx: Tx, tenant: KnownTenant) -> None:
    """Store the newest state of a tenant; an older one than is known changes nothing."""
    await tx.exec(
        """
        INSERT INTO tenants (tenant_id, name, slug, status, plan, usage_limits, updated_at)
        VALUES (%(tenant_id)s, %(name)s, %(slug)s, %(status)s, %(plan)s, %(usage_limits)s, %(updated_at)s)
        ON CONFLICT (tenant_id) DO UPDATE
           SET name = excluded.name, slug = excluded.slug, status = excluded.status, plan = excluded.plan,
               usage_limits = excluded.usage_limits, updated_at = excluded.updated_at
         WHERE tenants.updated_at <= excluded.updated_at
        """,
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        slug=tenant.slug,
        status=tenant.status,
        plan=tenant.plan,
        usage_limits=tenant.usage_limits,
        updated_at=tenant.updated_at,
    )


async def put_if_unknown(tx: Tx, tenant: KnownTenant) -> None:
    """Store a tenant that no event has told of yet."""
    await tx.exec(
        """
        INSERT INTO tenants (tenant_id, name, slug, status, plan, usage_limits, updated_at)
        VALUES (%(tenant_id)s, %(name)s, %(slug)s, %(status)s, %(plan)s, %(usage_limits)s, %(updated_at)s)
        ON CONFLICT (tenant_id) DO NOTHING
        """,
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        slug=tenant.slug,
        status=tenant.status,
        plan=tenant.plan,
        usage_limits=tenant.usage_limits,
        updated_at=tenant.updated_at,
    )
