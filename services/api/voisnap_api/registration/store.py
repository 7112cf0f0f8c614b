"""The SQL of `registrations`."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx


async def insert(tx: Tx, tenant_id: TenantId, user_id: UserId, company_name: str, *, at: datetime) -> None:
    """Keep what somebody said who registered."""
    await tx.exec(
        """
        INSERT INTO registrations (user_id, tenant_id, company_name, created_at)
        VALUES (%(user_id)s, %(tenant_id)s, %(company_name)s, %(at)s)
        """,
        user_id=user_id,
        tenant_id=tenant_id,
        company_name=company_name,
        at=at,
    )


async def company_of(tx: Tx, tenant_id: TenantId, user_id: UserId) -> str | None:
    """The name of the tenant somebody registers."""
    return await tx.maybe(
        str,
        "SELECT company_name FROM registrations WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def delete(tx: Tx, tenant_id: TenantId, user_id: UserId) -> None:
    """Forget a registration that was completed."""
    await tx.exec(
        "DELETE FROM registrations WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )
