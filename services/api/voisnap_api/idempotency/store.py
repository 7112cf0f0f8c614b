"""The SQL of `idempotency_keys`."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx


class KnownRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came before with the same key; no status while it is still in work."""

    request_hash: bytes
    response_status: int | None
    response_headers: dict[str, str] | None
    response_body: bytes | None


async def claim(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    key: str,
    *,
    request_hash: bytes,
    at: datetime,
    forgotten_before: datetime,
    abandoned_before: datetime,
) -> bool:
    """Take a key for a request; False when another request has it. Keys that are too old or whose request never ended are free."""
    touched = await tx.exec(
        """
        INSERT INTO idempotency_keys (tenant_id, environment, key, request_hash, created_at)
        VALUES (%(tenant_id)s, %(environment)s, %(key)s, %(request_hash)s, %(at)s)
        ON CONFLICT (tenant_id, environment, key) DO UPDATE
           SET request_hash = excluded.request_hash, created_at = excluded.created_at,
               response_status = NULL, response_headers = NULL, response_body = NULL
         WHERE idempotency_keys.created_at < %(forgotten_before)s
            OR (idempotency_keys.response_status IS NULL AND idempotency_keys.created_at < %(abandoned_before)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        key=key,
        request_hash=request_hash,
        at=at,
        forgotten_before=forgotten_before,
        abandoned_before=abandoned_before,
    )
    return touched == 1


async def find(tx: Tx, tenant_id: TenantId, environment: Environment, key: str) -> KnownRequest | None:
    """The request that has a key."""
    return await tx.maybe(
        KnownRequest,
        """
        SELECT request_hash, response_status, response_headers, response_body
          FROM idempotency_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND key = %(key)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        key=key,
    )


async def keep_answer(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    key: str,
    *,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    """Keep the answer for the next request with the key."""
    await tx.exec(
        """
        UPDATE idempotency_keys
           SET response_status = %(status)s, response_headers = %(headers)s, response_body = %(body)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND key = %(key)s
        """,
        status=status,
        headers=headers,
        body=body,
        tenant_id=tenant_id,
        environment=environment,
        key=key,
    )


async def release(tx: Tx, tenant_id: TenantId, environment: Environment, key: str) -> None:
    """Free a key whose request failed on our side, so that it may be tried again."""
    await tx.exec(
        """
        DELETE FROM idempotency_keys
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND key = %(key)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        key=key,
    )


async def delete_older(tx: Tx, *, before: datetime) -> int:
    """Delete keys nobody can use any more; how many."""
    return await tx.exec("DELETE FROM idempotency_keys WHERE created_at < %(before)s", before=before)
