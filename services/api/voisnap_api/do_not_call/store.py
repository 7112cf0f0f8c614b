"""The SQL of `do_not_call`."""

from collections.abc import Sequence
from datetime import datetime

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import Listed, ListPosition


async def insert(tx: Tx, listed: Listed, *, over: Sequence[str] = ()) -> bool:
    """Put a number on the list; False when it is there. An entry from one of the sources `over` is replaced."""
    added = await tx.exec(
        """
        INSERT INTO do_not_call (tenant_id, environment, phone_number, reason, source, created_by, created_at)
        VALUES (%(tenant_id)s, %(environment)s, %(phone_number)s, %(reason)s, %(source)s, %(created_by)s, %(created_at)s)
        ON CONFLICT (tenant_id, environment, phone_number) DO UPDATE
           SET reason = excluded.reason, source = excluded.source, created_by = excluded.created_by, created_at = excluded.created_at
         WHERE do_not_call.source = ANY (%(over)s::text[])
        """,
        over=tuple(over),
        tenant_id=listed.tenant_id,
        environment=listed.environment,
        phone_number=listed.phone_number,
        reason=listed.reason,
        source=listed.source,
        created_by=listed.created_by,
        created_at=listed.created_at,
    )
    return added == 1


async def insert_all(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    phone_numbers: tuple[str, ...],
    *,
    over: Sequence[str] = (),
    reason: str | None,
    source: str,
    created_by: str | None,
    at: datetime,
) -> int:
    """Put numbers on the list; how many were not on it, or from one of the sources `over`, which are replaced."""
    return await tx.exec(
        """
        INSERT INTO do_not_call (tenant_id, environment, phone_number, reason, source, created_by, created_at)
        SELECT %(tenant_id)s, %(environment)s, number, %(reason)s, %(source)s, %(created_by)s, %(at)s
          FROM unnest(%(phone_numbers)s::text[]) AS number
        ON CONFLICT (tenant_id, environment, phone_number) DO UPDATE
           SET reason = excluded.reason, source = excluded.source, created_by = excluded.created_by, created_at = excluded.created_at
         WHERE do_not_call.source = ANY (%(over)s::text[])
        """,
        over=tuple(over),
        tenant_id=tenant_id,
        environment=environment,
        phone_numbers=phone_numbers,
        reason=reason,
        source=source,
        created_by=created_by,
        at=at,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, phone_number: str) -> Listed | None:
    """One number of the list."""
    return await tx.maybe(
        Listed,
        """
        SELECT tenant_id, environment, phone_number, reason, source, created_by, created_at
          FROM do_not_call
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND phone_number = %(phone_number)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        phone_number=phone_number,
    )


async def among(tx: Tx, tenant_id: TenantId, environment: Environment, phone_numbers: Sequence[str]) -> list[str]:
    """Those of the numbers that are on the list."""
    return await tx.all(
        str,
        """
        SELECT phone_number
          FROM do_not_call
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND phone_number = ANY (%(phone_numbers)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        phone_numbers=tuple(phone_numbers),
    )


async def page(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    search: str | None,
    source: str | None,
    after: ListPosition | None,
    limit: int,
    offset: int,
) -> list[Listed]:
    """One page of the list, newest first, from a place on."""
    return await tx.all(
        Listed,
        """
        SELECT tenant_id, environment, phone_number, reason, source, created_by, created_at
          FROM do_not_call
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(search)s::text IS NULL OR strpos(phone_number, %(search)s) > 0)
           AND (%(source)s::text IS NULL OR source = %(source)s)
           AND (%(after_at)s::timestamptz IS NULL OR created_at < %(after_at)s
                OR created_at = %(after_at)s AND phone_number > %(after_number)s::text)
         ORDER BY created_at DESC, phone_number
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        search=search,
        source=source,
        after_at=after.created_at if after else None,
        after_number=after.phone_number if after else None,
        limit=limit,
        offset=offset,
    )


async def count(
    tx: Tx, tenant_id: TenantId, environment: Environment, *, search: str | None, source: str | None
) -> int:
    """How many numbers of the list match."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM do_not_call
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(search)s::text IS NULL OR strpos(phone_number, %(search)s) > 0)
           AND (%(source)s::text IS NULL OR source = %(source)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        search=search,
        source=source,
    )


async def delete(
    tx: Tx, tenant_id: TenantId, environment: Environment, phone_number: str, *, source: str | None = None
) -> bool:
    """Take a number off the list; False when it is not on it, or from another source than `source`."""
    gone = await tx.exec(
        """
        DELETE FROM do_not_call
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND phone_number = %(phone_number)s
           AND (%(source)s::text IS NULL OR source = %(source)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        phone_number=phone_number,
        source=source,
    )
    return gone == 1
