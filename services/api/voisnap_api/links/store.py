"""The SQL of `one_time_links`. Whoever follows a link is nobody yet: these statements run as the system."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import Link, Purpose


async def insert(tx: Tx, link: Link) -> None:
    """Store a new link."""
    await tx.exec(
        """
        INSERT INTO one_time_links (token_hash, purpose, tenant_id, user_id, created_at, expires_at)
        VALUES (%(token_hash)s, %(purpose)s, %(tenant_id)s, %(user_id)s, %(created_at)s, %(expires_at)s)
        """,
        token_hash=link.token_hash,
        purpose=link.purpose,
        tenant_id=link.tenant_id,
        user_id=link.user_id,
        created_at=link.created_at,
        expires_at=link.expires_at,
    )


async def get_for_change(tx: Tx, token_hash: bytes) -> Link | None:
    """One link, locked until the transaction ends: two uses at the same time are one use and one refusal."""
    return await tx.maybe(
        Link,
        """
        SELECT token_hash, purpose, tenant_id, user_id, created_at, expires_at, used_at
          FROM one_time_links
         WHERE token_hash = %(token_hash)s
           FOR UPDATE
        """,
        token_hash=token_hash,
    )


async def mark_used(tx: Tx, token_hash: bytes, *, at: datetime) -> None:
    """Note that a link was used."""
    await tx.exec(
        "UPDATE one_time_links SET used_at = %(at)s WHERE token_hash = %(token_hash)s", at=at, token_hash=token_hash
    )


async def delete_of_user(tx: Tx, tenant_id: TenantId, user_id: UserId, purpose: Purpose) -> None:
    """Forget a person's links of one purpose."""
    await tx.exec(
        "DELETE FROM one_time_links WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND purpose = %(purpose)s",
        tenant_id=tenant_id,
        user_id=user_id,
        purpose=purpose,
    )


async def newest_of_user(tx: Tx, tenant_id: TenantId, user_id: UserId, purpose: Purpose) -> Link | None:
    """A person's newest link of one purpose."""
    return await tx.maybe(
        Link,
        """
        SELECT token_hash, purpose, tenant_id, user_id, created_at, expires_at, used_at
          FROM one_time_links
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND purpose = %(purpose)s
         ORDER BY created_at DESC
         LIMIT 1
        """,
        tenant_id=tenant_id,
        user_id=user_id,
        purpose=purpose,
    )


async def delete_expired(tx: Tx, *, before: datetime) -> int:
    """Delete links that ran out before a moment; how many."""
    return await tx.exec("DELETE FROM one_time_links WHERE expires_at < %(before)s", before=before)
