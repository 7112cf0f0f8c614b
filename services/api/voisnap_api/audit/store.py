"""The SQL of `audit_entries`."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import AuditEntry, AuditFilter


async def append(tx: Tx, entries: tuple[AuditEntry, ...]) -> None:
    """Store entries."""
    await tx.exec_many(
        """
        INSERT INTO audit_entries (id, tenant_id, environment, at, actor_type, actor_id, action, target_type, target_id, detail, request_id)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(at)s, %(actor_type)s, %(actor_id)s, %(action)s, %(target_type)s,
                %(target_id)s, %(detail)s, %(request_id)s)
        """,
        [msgspec.structs.asdict(entry) for entry in entries],
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: AuditFilter, *, limit: int, offset: int
) -> list[AuditEntry]:
    """One page of entries, newest first."""
    return await tx.all(
        AuditEntry,
        """
        SELECT id, tenant_id, environment, at, actor_type, actor_id, action, target_type, target_id, detail, request_id
          FROM audit_entries
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
           AND (%(action)s::text IS NULL OR action = %(action)s)
           AND (%(target_type)s::text IS NULL OR target_type = %(target_type)s)
           AND (%(target_id)s::text IS NULL OR target_id = %(target_id)s)
           AND (%(start)s::timestamptz IS NULL OR at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR at < %(before)s)
         ORDER BY at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        limit=limit,
        offset=offset,
        **_parameters(tenant_id, environment, wanted),
    )


async def page_after(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: AuditFilter,
    *,
    after: tuple[datetime, str],
    limit: int,
) -> list[AuditEntry]:
    """The entries that follow the one at a time with an id, newest first."""
    after_at, after_id = after
    return await tx.all(
        AuditEntry,
        """
        SELECT id, tenant_id, environment, at, actor_type, actor_id, action, target_type, target_id, detail, request_id
          FROM audit_entries
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND (at, id) < (%(after_at)s, %(after_id)s)
           AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
           AND (%(action)s::text IS NULL OR action = %(action)s)
           AND (%(target_type)s::text IS NULL OR target_type = %(target_type)s)
           AND (%(target_id)s::text IS NULL OR target_id = %(target_id)s)
           AND (%(start)s::timestamptz IS NULL OR at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR at < %(before)s)
         ORDER BY at DESC, id DESC
         LIMIT %(limit)s
        """,
        after_at=after_at,
        after_id=after_id,
        limit=limit,
        **_parameters(tenant_id, environment, wanted),
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: AuditFilter) -> int:
    """How many entries match."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM audit_entries
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
           AND (%(action)s::text IS NULL OR action = %(action)s)
           AND (%(target_type)s::text IS NULL OR target_type = %(target_type)s)
           AND (%(target_id)s::text IS NULL OR target_id = %(target_id)s)
           AND (%(start)s::timestamptz IS NULL OR at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR at < %(before)s)
        """,
        **_parameters(tenant_id, environment, wanted),
    )


def _parameters(tenant_id: TenantId, environment: Environment, wanted: AuditFilter) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "environment": environment,
        "actor_id": wanted.actor_id,
        "action": wanted.action,
        "target_type": wanted.target_type,
        "target_id": wanted.target_id,
        "start": wanted.period.start,
        "before": wanted.period.before,
    }
