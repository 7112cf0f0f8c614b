"""The SQL of `users` and `refresh_tokens`. Log-in runs before a tenant is known: these statements run as the system."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import RefreshToken, User


async def user_by_email(tx: Tx, email: str) -> User | None:
    """The person with this address, in any tenant."""
    return await tx.maybe(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at
          FROM users
         WHERE lower(email) = lower(%(email)s)
        """,
        email=email,
    )


async def user_by_id(tx: Tx, tenant_id: TenantId, user_id: UserId) -> User | None:
    """One person of a tenant."""
    return await tx.maybe(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at
          FROM users
         WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def insert_user(tx: Tx, user: User) -> None:
    """Store a new person."""
    await tx.exec(
        """
        INSERT INTO users (id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, created_at)
        VALUES (%(id)s, %(tenant_id)s, %(email)s, %(password_hash)s, %(first_name)s, %(last_name)s, %(role)s, %(status)s,
                %(platform_admin)s, %(created_at)s)
        """,
        id=user.id,
        tenant_id=user.tenant_id,
        email=user.email,
        password_hash=user.password_hash,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        status=user.status,
        platform_admin=user.platform_admin,
        created_at=user.created_at,
    )


async def set_password(tx: Tx, tenant_id: TenantId, user_id: UserId, password_hash: str) -> None:
    """Replace a person's password."""
    await tx.exec(
        "UPDATE users SET password_hash = %(password_hash)s WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s",
        password_hash=password_hash,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def note_login(tx: Tx, tenant_id: TenantId, user_id: UserId, *, at: datetime) -> None:
    """Note when a person last logged in."""
    await tx.exec(
        "UPDATE users SET last_login_at = %(at)s WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s",
        at=at,
        tenant_id=tenant_id,
        user_id=user_id,
    )


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
