"""The SQL of `api_keys`."""

from datetime import datetime

from voisnap_domain.ids import ApiKeyId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import ApiKey, KeyFilter


async def insert(tx: Tx, key: ApiKey, *, key_hash: bytes) -> None:
    """Store a new key by its hash."""
    await tx.exec(
        """
        INSERT INTO api_keys (id, tenant_id, environment, name, prefix, key_hash, scopes, created_by, created_at, expires_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(name)s, %(prefix)s, %(key_hash)s, %(scopes)s::text[], %(created_by)s,
                %(created_at)s, %(expires_at)s)
        """,
        id=key.id,
        tenant_id=key.tenant_id,
        environment=key.environment,
        name=key.name,
        prefix=key.prefix,
        key_hash=key_hash,
        scopes=key.scopes,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )


async def by_hash(tx: Tx, key_hash: bytes) -> ApiKey | None:
    """The key with this hash, in any tenant; runs as the system."""
    return await tx.maybe(
        ApiKey,
        """
        SELECT id, tenant_id, environment, name, prefix, scopes, created_by, created_at, expires_at, last_used_at, revoked_at,
               replaced_by
          FROM api_keys
         WHERE key_hash = %(key_hash)s
        """,
        key_hash=key_hash,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, key_id: ApiKeyId) -> ApiKey | None:
    """One key."""
    return await tx.maybe(
        ApiKey,
        """
        SELECT id, tenant_id, environment, name, prefix, scopes, created_by, created_at, expires_at, last_used_at, revoked_at,
               replaced_by
          FROM api_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(key_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        key_id=key_id,
    )


async def get_for_change(tx: Tx, tenant_id: TenantId, environment: Environment, key_id: ApiKeyId) -> ApiKey | None:
    """One key, locked until the transaction ends."""
    return await tx.maybe(
        ApiKey,
        """
        SELECT id, tenant_id, environment, name, prefix, scopes, created_by, created_at, expires_at, last_used_at, revoked_at,
               replaced_by
          FROM api_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(key_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        key_id=key_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: KeyFilter, *, now: datetime, limit: int, offset: int
) -> list[ApiKey]:
    """One page of a tenant's keys."""
    return await tx.all(
        ApiKey,
        """
        SELECT id, tenant_id, environment, name, prefix, scopes, created_by, created_at, expires_at, last_used_at, revoked_at,
               replaced_by
          FROM api_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL
                OR %(status)s = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                                     WHEN expires_at <= %(now)s THEN 'expired' ELSE 'active' END)
           AND (%(scope)s::text IS NULL OR %(scope)s = ANY (scopes))
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(name || ' ' || prefix)) > 0)
         ORDER BY CASE WHEN %(order)s::text = 'createdAt' AND %(descending)s::bool THEN created_at END DESC,
                  CASE WHEN %(order)s = 'createdAt' AND NOT %(descending)s THEN created_at END,
                  CASE WHEN %(order)s = 'name' AND %(descending)s THEN lower(name) END DESC,
                  CASE WHEN %(order)s = 'name' AND NOT %(descending)s THEN lower(name) END,
                  CASE WHEN %(order)s = 'lastUsedAt' AND %(descending)s THEN last_used_at END DESC NULLS LAST,
                  CASE WHEN %(order)s = 'lastUsedAt' AND NOT %(descending)s THEN last_used_at END NULLS FIRST,
                  CASE WHEN %(order)s = 'expiresAt' AND %(descending)s THEN expires_at END DESC NULLS FIRST,
                  CASE WHEN %(order)s = 'expiresAt' AND NOT %(descending)s THEN expires_at END NULLS LAST,
                  id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        now=now,
        scope=wanted.scope,
        search=wanted.search,
        order=wanted.order.value,
        descending=wanted.descending,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: KeyFilter, *, now: datetime) -> int:
    """How many keys there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM api_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL
                OR %(status)s = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                                     WHEN expires_at <= %(now)s THEN 'expired' ELSE 'active' END)
           AND (%(scope)s::text IS NULL OR %(scope)s = ANY (scopes))
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(name || ' ' || prefix)) > 0)
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        now=now,
        scope=wanted.scope,
        search=wanted.search,
    )


async def rename(tx: Tx, tenant_id: TenantId, environment: Environment, key_id: ApiKeyId, name: str) -> None:
    """Give a key another name."""
    await tx.exec(
        """
        UPDATE api_keys SET name = %(name)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(key_id)s
        """,
        name=name,
        tenant_id=tenant_id,
        environment=environment,
        key_id=key_id,
    )


async def replace(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    key_id: ApiKeyId,
    *,
    replaced_by: ApiKeyId,
    expires_at: datetime,
) -> None:
    """Let a key run out at the end of the overlap with the one that replaces it."""
    await tx.exec(
        """
        UPDATE api_keys SET replaced_by = %(replaced_by)s, expires_at = least(expires_at, %(expires_at)s)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(key_id)s
        """,
        replaced_by=replaced_by,
        expires_at=expires_at,
        tenant_id=tenant_id,
        environment=environment,
        key_id=key_id,
    )


async def revoke(tx: Tx, tenant_id: TenantId, environment: Environment, key_id: ApiKeyId, *, at: datetime) -> bool:
    """Revoke a key; whether there was such a key. A second time changes nothing."""
    touched = await tx.exec(
        """
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, %(at)s)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(key_id)s
        """,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        key_id=key_id,
    )
    return touched == 1


async def note_uses(tx: Tx, key_ids: tuple[str, ...], used_at: tuple[datetime, ...]) -> None:
    """Note when keys were last used, many at once; runs as the system."""
    await tx.exec(
        """
        UPDATE api_keys AS key SET last_used_at = greatest(key.last_used_at, used.at)
          FROM unnest(%(key_ids)s::text[], %(used_at)s::timestamptz[]) AS used (id, at)
         WHERE key.id = used.id
        """,
        key_ids=key_ids,
        used_at=used_at,
    )
