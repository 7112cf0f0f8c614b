"""The SQL of `spend`."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx


async def add(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    month: date,
    amounts: Iterable[tuple[tuple[str, str], Decimal]],
) -> None:
    """Count what was spent at (provider, account); less than 0 takes it back."""
    await tx.exec_many(
        """
        INSERT INTO spend (tenant_id, environment, month, provider, account, usd)
        VALUES (%(tenant_id)s, %(environment)s, %(month)s, %(provider)s, %(account)s, %(usd)s)
        ON CONFLICT (tenant_id, environment, month, provider, account) DO UPDATE SET usd = spend.usd + excluded.usd
        """,
        [
            {
                "tenant_id": tenant_id,
                "environment": environment,
                "month": month,
                "provider": provider,
                "account": account,
                "usd": usd,
            }
            for (provider, account), usd in amounts
        ],
    )


async def of_month(tx: Tx, tenant_id: TenantId, environment: Environment, month: date) -> Decimal:
    """What a tenant spent in a month."""
    return await tx.one(
        Decimal,
        """
        SELECT coalesce(sum(usd), 0)
          FROM spend
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND month = %(month)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        month=month,
    )
