"""SQL of the table audit_log."""

from voisnap_kit.postgres import Tx

from .records import AuditEntry, AuditFilter


async def append(tx: Tx, entry: AuditEntry) -> None:
    """Store an entry."""
    await tx.exec(
        """
        INSERT INTO audit_log (id, at, actor_id, actor_role, action, target_id, tenant_id, changes)
        VALUES (%(id)s, %(at)s, %(actor_id)s, %(actor_role)s, %(action)s, %(target_id)s, %(tenant_id)s, %(changes)s)
        """,
        id=entry.id,
        at=entry.at,
        actor_id=entry.actor_id,
        actor_role=entry.actor_role,
        action=entry.action,
        target_id=entry.target_id,
        tenant_id=entry.tenant_id,
        changes=entry.changes,
    )


async def find(tx: Tx, wanted: AuditFilter, *, limit: int, offset: int) -> list[AuditEntry]:
    """A page of entries, newest first."""
    return await tx.all(
        AuditEntry,
        """
        SELECT id, at, actor_id, actor_role, action, target_id, tenant_id, changes
          FROM audit_log
         WHERE (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
           AND (%(action)s::text IS NULL OR action = %(action)s)
           AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
           AND (%(until)s::timestamptz IS NULL OR at <= %(until)s)
         ORDER BY at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=wanted.tenant_id,
        action=wanted.action,
        since=wanted.since,
        until=wanted.until,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, wanted: AuditFilter) -> int:
    """How many entries there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*) AS total
          FROM audit_log
         WHERE (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
           AND (%(action)s::text IS NULL OR action = %(action)s)
           AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
           AND (%(until)s::timestamptz IS NULL OR at <= %(until)s)
        """,
        tenant_id=wanted.tenant_id,
        action=wanted.action,
        since=wanted.since,
        until=wanted.until,
    )
