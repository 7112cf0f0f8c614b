"""The SQL of `cors_origins`."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx


class Naming(msgspec.Struct, frozen=True):
    """Who names an origin."""

    tenant_id: TenantId
    environment: Environment


async def of_tenant(tx: Tx, tenant_id: TenantId, environment: Environment) -> list[str]:
    """A tenant's origins, sorted."""
    return await tx.all(
        str,
        """
        SELECT origin FROM cors_origins
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
         ORDER BY origin COLLATE "C"
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Wait for others who change a tenant's origins, until the end of the transaction."""
    await tx.one(
        str,
        "SELECT pg_advisory_xact_lock(hashtextextended('cors ' || %(tenant_id)s || %(environment)s, 0))::text AS locked",
        tenant_id=tenant_id,
        environment=environment,
    )


async def replace(tx: Tx, tenant_id: TenantId, environment: Environment, origins: tuple[str, ...]) -> None:
    """Make a tenant's origins these."""
    await tx.exec(
        """
        WITH gone AS (
            DELETE FROM cors_origins
             WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND origin <> ALL (%(origins)s)
        )
        INSERT INTO cors_origins (tenant_id, environment, origin)
        SELECT %(tenant_id)s, %(environment)s, unnest(%(origins)s::text[])
        ON CONFLICT DO NOTHING
        """,
        tenant_id=tenant_id,
        environment=environment,
        origins=origins,
    )


async def naming(tx: Tx, origin: str) -> list[Naming]:
    """Every tenant_id and environment that names an origin; for work of the system."""
    return await tx.all(
        Naming, "SELECT tenant_id, environment FROM cors_origins WHERE origin = %(origin)s LIMIT 10000", origin=origin
    )
