"""The SQL of `refresh_tokens`, `login_failures` and `token_revocations`. Log-in runs before a tenant is known: these statements run as
the system, unless they name a tenant."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import Failures, RefreshToken


async def insert_refresh_token(tx: Tx, token: RefreshToken) -> None:
    """Store a new refresh token."""
    await tx.exec(
        """
        INSERT INTO refresh_tokens (token_hash, family_id, tenant_id, environment, user_id, created_at, expires_at)
        VALUES (%(token_hash)s, %(family_id)s, %(tenant_id)s, %(environment)s, %(user_id)s, %(created_at)s, %(expires_at)s)
        """,
        token_hash=token.token_hash,
        family_id=token.family_id,
        tenant_id=token.tenant_id,
        environment=token.environment,
        user_id=token.user_id,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )


async def refresh_token_for_change(tx: Tx, token_hash: bytes) -> RefreshToken | None:
    """One refresh token, locked until the transaction ends."""
    return await tx.maybe(
        RefreshToken,
        """
        SELECT token_hash, family_id, tenant_id, environment, user_id, created_at, expires_at, spent_at, revoked_at
          FROM refresh_tokens
         WHERE token_hash = %(token_hash)s
           FOR UPDATE
        """,
        token_hash=token_hash,
    )


async def spend(tx: Tx, token_hash: bytes, *, at: datetime) -> None:
    """Note that a refresh token was exchanged."""
    await tx.exec(
        "UPDATE refresh_tokens SET spent_at = %(at)s WHERE token_hash = %(token_hash)s", at=at, token_hash=token_hash
    )


async def revoke_family(tx: Tx, family_id: str, *, at: datetime) -> None:
    """End a log-in: no token of the family is good any more."""
    await tx.exec(
        "UPDATE refresh_tokens SET revoked_at = %(at)s WHERE family_id = %(family_id)s AND revoked_at IS NULL",
        at=at,
        family_id=family_id,
    )


async def delete_expired(tx: Tx, *, before: datetime) -> int:
    """Delete refresh tokens that ran out; how many."""
    return await tx.exec("DELETE FROM refresh_tokens WHERE expires_at < %(before)s", before=before)


async def revoke_families_of(tx: Tx, tenant_id: TenantId, user_id: UserId, *, at: datetime) -> None:
    """End all log-ins of a person."""
    await tx.exec(
        """
        UPDATE refresh_tokens SET revoked_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND revoked_at IS NULL
        """,
        at=at,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def put_revocation(tx: Tx, tenant_id: TenantId, subject: str, *, at: datetime) -> None:
    """Note that access tokens of a person or key made until now are no good."""
    await tx.exec(
        """
        INSERT INTO token_revocations (subject, tenant_id, revoked_at)
        VALUES (%(subject)s, %(tenant_id)s, %(at)s)
        ON CONFLICT (subject) DO UPDATE SET revoked_at = greatest(token_revocations.revoked_at, excluded.revoked_at)
        """,
        subject=subject,
        tenant_id=tenant_id,
        at=at,
    )


async def revoked_until(tx: Tx, tenant_id: TenantId, subject: str) -> datetime | None:
    """Until when tokens of a person or key are no good; None when none were revoked lately."""
    return await tx.maybe(
        datetime,
        "SELECT revoked_at FROM token_revocations WHERE tenant_id = %(tenant_id)s AND subject = %(subject)s",
        tenant_id=tenant_id,
        subject=subject,
    )


async def delete_revocations(tx: Tx, *, before: datetime) -> int:
    """Delete revocations whose tokens have all run out; how many."""
    return await tx.exec("DELETE FROM token_revocations WHERE revoked_at < %(before)s", before=before)


async def failures_of(tx: Tx, address_hash: bytes) -> Failures | None:
    """Wrong passwords in a row for an address, locked until the transaction ends."""
    return await tx.maybe(
        Failures,
        "SELECT failures, last_at, locked_until FROM login_failures WHERE address_hash = %(address_hash)s FOR UPDATE",
        address_hash=address_hash,
    )


async def count_failure(tx: Tx, address_hash: bytes, *, at: datetime, forgotten_before: datetime) -> Failures:
    """Count one more wrong password for an address; the count afterwards."""
    return await tx.one(
        Failures,
        """
        INSERT INTO login_failures AS known (address_hash, failures, last_at)
        VALUES (%(address_hash)s, 1, %(at)s)
        ON CONFLICT (address_hash) DO UPDATE
           SET failures = CASE WHEN known.last_at < %(forgotten_before)s THEN 1 ELSE known.failures + 1 END,
               last_at = excluded.last_at
        RETURNING failures, last_at, locked_until
        """,
        address_hash=address_hash,
        at=at,
        forgotten_before=forgotten_before,
    )


async def lock_address(tx: Tx, address_hash: bytes, *, until: datetime) -> None:
    """Refuse log-ins with an address until a moment."""
    await tx.exec(
        "UPDATE login_failures SET locked_until = %(until)s WHERE address_hash = %(address_hash)s",
        until=until,
        address_hash=address_hash,
    )


async def forgive(tx: Tx, address_hash: bytes) -> None:
    """Forget the wrong passwords for an address, and its lock."""
    await tx.exec("DELETE FROM login_failures WHERE address_hash = %(address_hash)s", address_hash=address_hash)


async def delete_failures(tx: Tx, *, before: datetime) -> int:
    """Delete counts that nobody added to since a moment; how many."""
    return await tx.exec("DELETE FROM login_failures WHERE last_at < %(before)s", before=before)
