"""The SQL of `sip_trunks`."""

import msgspec
from voisnap_domain.ids import SipTrunkId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import SipTrunk


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Wait for others who make trunks for a tenant, until the end of the transaction."""
    await tx.one(
        str,
        "SELECT pg_advisory_xact_lock(hashtextextended('trunks ' || %(tenant_id)s || %(environment)s, 0))::text AS locked",
        tenant_id=tenant_id,
        environment=environment,
    )


async def insert(tx: Tx, trunk: SipTrunk) -> None:
    """Store a new trunk."""
    await tx.exec(
        """
        INSERT INTO sip_trunks (id, tenant_id, environment, name, provider, account, origination, username, allowed_ips, parts, sip_domain,
                                status, status_detail, busy_until, created_by, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(name)s, %(provider)s, %(account)s, %(origination)s::jsonb,
                %(username)s, %(allowed_ips)s, %(parts)s, %(sip_domain)s, %(status)s, %(status_detail)s, %(busy_until)s, %(created_by)s,
                %(created_at)s, %(updated_at)s)
        """,
        id=trunk.id,
        tenant_id=trunk.tenant_id,
        environment=trunk.environment,
        name=trunk.name,
        provider=trunk.provider,
        account=trunk.account,
        origination=msgspec.json.encode(trunk.origination).decode(),
        username=trunk.username,
        allowed_ips=trunk.allowed_ips,
        parts=trunk.parts,
        sip_domain=trunk.sip_domain,
        status=trunk.status,
        status_detail=trunk.status_detail,
        busy_until=trunk.busy_until,
        created_by=trunk.created_by,
        created_at=trunk.created_at,
        updated_at=trunk.updated_at,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, trunk_id: SipTrunkId) -> SipTrunk | None:
    """One trunk."""
    return await tx.maybe(
        SipTrunk,
        """
        SELECT id, tenant_id, environment, name, provider, account, origination, username, allowed_ips, parts, sip_domain, status,
               status_detail, last_test, busy_until, created_by, created_at, updated_at
          FROM sip_trunks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(trunk_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        trunk_id=trunk_id,
    )


async def get_for_change(
    tx: Tx, tenant_id: TenantId, environment: Environment, trunk_id: SipTrunkId
) -> SipTrunk | None:
    """One trunk, locked."""
    return await tx.maybe(
        SipTrunk,
        """
        SELECT id, tenant_id, environment, name, provider, account, origination, username, allowed_ips, parts, sip_domain, status,
               status_detail, last_test, busy_until, created_by, created_at, updated_at
          FROM sip_trunks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(trunk_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        trunk_id=trunk_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, provider: str | None, *, limit: int, offset: int
) -> list[SipTrunk]:
    """One page of a tenant's trunks, newest first."""
    return await tx.all(
        SipTrunk,
        """
        SELECT id, tenant_id, environment, name, provider, account, origination, username, allowed_ips, parts, sip_domain, status,
               status_detail, last_test, busy_until, created_by, created_at, updated_at
          FROM sip_trunks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, provider: str | None) -> int:
    """How many trunks there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM sip_trunks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
    )


async def update(tx: Tx, trunk: SipTrunk) -> None:
    """Store what may change of a trunk."""
    await tx.exec(
        """
        UPDATE sip_trunks
           SET name = %(name)s, origination = %(origination)s::jsonb, username = %(username)s,
               allowed_ips = %(allowed_ips)s, parts = %(parts)s, sip_domain = %(sip_domain)s, status = %(status)s,
               status_detail = %(status_detail)s, last_test = %(last_test)s, busy_until = %(busy_until)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        id=trunk.id,
        tenant_id=trunk.tenant_id,
        environment=trunk.environment,
        name=trunk.name,
        origination=msgspec.json.encode(trunk.origination).decode(),
        username=trunk.username,
        allowed_ips=trunk.allowed_ips,
        parts=trunk.parts,
        sip_domain=trunk.sip_domain,
        status=trunk.status,
        status_detail=trunk.status_detail,
        last_test=trunk.last_test,
        busy_until=trunk.busy_until,
        updated_at=trunk.updated_at,
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, trunk_id: SipTrunkId) -> None:
    """Forget a trunk."""
    await tx.exec(
        "DELETE FROM sip_trunks WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(trunk_id)s",
        tenant_id=tenant_id,
        environment=environment,
        trunk_id=trunk_id,
    )


async def trunks_with_account(
    tx: Tx, tenant_id: TenantId, environment: Environment, account: str, *, limit: int
) -> list[str]:
    """The trunks that are made with an account."""
    return await tx.all(
        str,
        """
        SELECT id
          FROM sip_trunks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND account = %(account)s
         ORDER BY id
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        account=account,
        limit=limit,
    )
