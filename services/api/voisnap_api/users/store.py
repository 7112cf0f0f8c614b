"""The SQL of `users`. Log-in runs before a tenant is known: looking up an address runs as the system."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import User, UserFilter


async def by_email(tx: Tx, email: str) -> User | None:
    """The person with this address, in any tenant."""
    return await tx.maybe(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at,
               invited_by, mfa_enabled, can_manage_api_keys, can_view_billing, can_delete_conversations
          FROM users
         WHERE lower(email) = lower(%(email)s)
        """,
        email=email,
    )


async def get(tx: Tx, tenant_id: TenantId, user_id: UserId) -> User | None:
    """One person of a tenant."""
    return await tx.maybe(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at,
               invited_by, mfa_enabled, can_manage_api_keys, can_view_billing, can_delete_conversations
          FROM users
         WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def get_for_change(tx: Tx, tenant_id: TenantId, user_id: UserId) -> User | None:
    """One person of a tenant, locked until the transaction ends."""
    return await tx.maybe(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at,
               invited_by, mfa_enabled, can_manage_api_keys, can_view_billing, can_delete_conversations
          FROM users
         WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def wait_for_owners(tx: Tx, tenant_id: TenantId) -> None:
    """One transaction at a time takes an owner away. No rows are locked for it: each of two who remove each other holds the row of one."""
    await tx.one(
        str,
        "SELECT pg_advisory_xact_lock(hashtextextended('owners ' || %(tenant_id)s, 0))::text AS locked",
        tenant_id=tenant_id,
    )


async def owners(tx: Tx, tenant_id: TenantId) -> list[str]:
    """The ids of a tenant's active owners."""
    return await tx.all(
        str,
        "SELECT id FROM users WHERE tenant_id = %(tenant_id)s AND role = 'TenantOwner' AND status = 'active'",
        tenant_id=tenant_id,
    )


async def find(tx: Tx, tenant_id: TenantId, wanted: UserFilter, *, limit: int, offset: int) -> list[User]:
    """A page of a tenant's people."""
    return await tx.all(
        User,
        """
        SELECT id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, last_login_at, created_at,
               invited_by, mfa_enabled, can_manage_api_keys, can_view_billing, can_delete_conversations
          FROM users
         WHERE tenant_id = %(tenant_id)s
           AND (%(role)s::text IS NULL OR role = %(role)s)
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(search)s::text IS NULL
                OR position(lower(%(search)s) IN lower(first_name || ' ' || last_name || ' ' || email)) > 0)
         ORDER BY CASE WHEN %(order)s::text = 'createdAt' AND %(descending)s::bool THEN created_at END DESC,
                  CASE WHEN %(order)s = 'createdAt' AND NOT %(descending)s THEN created_at END,
                  CASE WHEN %(order)s = 'lastLoginAt' AND %(descending)s THEN last_login_at END DESC NULLS LAST,
                  CASE WHEN %(order)s = 'lastLoginAt' AND NOT %(descending)s THEN last_login_at END NULLS FIRST,
                  CASE WHEN %(order)s = 'email' AND %(descending)s THEN lower(email) END DESC,
                  CASE WHEN %(order)s = 'email' AND NOT %(descending)s THEN lower(email) END,
                  CASE WHEN %(order)s = 'name' AND %(descending)s THEN lower(last_name || ' ' || first_name) END DESC,
                  CASE WHEN %(order)s = 'name' AND NOT %(descending)s THEN lower(last_name || ' ' || first_name) END,
                  id
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        role=wanted.role,
        status=wanted.status,
        search=wanted.search,
        order=wanted.order.value,
        descending=wanted.descending,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, wanted: UserFilter) -> int:
    """How many people there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM users
         WHERE tenant_id = %(tenant_id)s
           AND (%(role)s::text IS NULL OR role = %(role)s)
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(search)s::text IS NULL
                OR position(lower(%(search)s) IN lower(first_name || ' ' || last_name || ' ' || email)) > 0)
        """,
        tenant_id=tenant_id,
        role=wanted.role,
        status=wanted.status,
        search=wanted.search,
    )


async def insert(tx: Tx, user: User) -> None:
    """Store a new person. Raises UniqueViolated `users_email`."""
    await tx.exec(
        """
        INSERT INTO users (id, tenant_id, email, password_hash, first_name, last_name, role, status, platform_admin, created_at,
                           invited_by, can_manage_api_keys, can_view_billing, can_delete_conversations)
        VALUES (%(id)s, %(tenant_id)s, %(email)s, %(password_hash)s, %(first_name)s, %(last_name)s, %(role)s, %(status)s,
                %(platform_admin)s, %(created_at)s, %(invited_by)s, %(can_manage_api_keys)s, %(can_view_billing)s,
                %(can_delete_conversations)s)
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
        invited_by=user.invited_by,
        can_manage_api_keys=user.can_manage_api_keys,
        can_view_billing=user.can_view_billing,
        can_delete_conversations=user.can_delete_conversations,
    )


async def save(tx: Tx, user: User) -> None:
    """Store what can be changed of a person: names, role, status, permissions, password."""
    await tx.exec(
        """
        UPDATE users
           SET first_name = %(first_name)s, last_name = %(last_name)s, role = %(role)s, status = %(status)s,
               password_hash = %(password_hash)s, can_manage_api_keys = %(can_manage_api_keys)s,
               can_view_billing = %(can_view_billing)s, can_delete_conversations = %(can_delete_conversations)s
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s
        """,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        status=user.status,
        password_hash=user.password_hash,
        can_manage_api_keys=user.can_manage_api_keys,
        can_view_billing=user.can_view_billing,
        can_delete_conversations=user.can_delete_conversations,
        tenant_id=user.tenant_id,
        id=user.id,
    )


async def set_mfa(tx: Tx, tenant_id: TenantId, user_id: UserId, *, enabled: bool) -> None:
    """Note whether a person's log-in asks for a second factor."""
    await tx.exec(
        "UPDATE users SET mfa_enabled = %(enabled)s WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s",
        enabled=enabled,
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


async def delete(tx: Tx, tenant_id: TenantId, user_id: UserId) -> None:
    """Forget a person, with links, factors and log-ins."""
    await tx.exec(
        "DELETE FROM users WHERE tenant_id = %(tenant_id)s AND id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def delete_unverified(tx: Tx, *, before: datetime) -> int:
    """Delete those who registered before a moment and never confirmed the address; runs as the system."""
    return await tx.exec("DELETE FROM users WHERE status = 'unverified' AND created_at < %(before)s", before=before)
