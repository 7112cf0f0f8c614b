"""The SQL of `message_media` and `discarded_media`."""

from datetime import datetime

from voisnap_domain.ids import MessageId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import KeptMedia, WaitingMedia


async def insert(
    tx: Tx, tenant_id: TenantId, environment: Environment, media: KeptMedia, *, expires_at: datetime, at: datetime
) -> None:
    """Have something fetched; once."""
    await tx.exec(
        """
        INSERT INTO message_media (message_id, place, tenant_id, environment, state, key, due_at, expires_at, created_at)
        VALUES (%(message_id)s, %(place)s, %(tenant_id)s, %(environment)s, %(state)s, %(key)s, %(at)s, %(expires_at)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        message_id=media.message_id,
        place=media.place,
        tenant_id=tenant_id,
        environment=environment,
        state=media.state,
        key=media.key,
        expires_at=expires_at,
        at=at,
    )


async def of_messages(
    tx: Tx, tenant_id: TenantId, environment: Environment, ids: tuple[MessageId, ...]
) -> list[KeptMedia]:
    """What is kept of some messages, or will be."""
    return await tx.all(
        KeptMedia,
        """
        SELECT message_id, place, state, key, content_type, size_bytes, failure
          FROM message_media
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND message_id = ANY (%(ids)s::text[])
         ORDER BY message_id, place
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
    )


async def claim(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[WaitingMedia]:
    """What is to be fetched now, each lent to one worker until `until`. Runs as the system."""
    return await tx.all(
        WaitingMedia,
        """
        WITH due AS (
            SELECT message_id, place
              FROM message_media
             WHERE state = 'waiting' AND due_at <= %(now)s
             ORDER BY due_at
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED)
        UPDATE message_media f
           SET due_at = %(until)s, attempts = f.attempts + 1
          FROM due
          JOIN messages m ON m.id = due.message_id
          JOIN message_threads t ON t.id = m.thread_id
         WHERE f.message_id = due.message_id AND f.place = due.place
        RETURNING f.message_id, f.place, f.tenant_id, f.environment, f.key, f.attempts, t.provider, t.account, m.media -> f.place AS media
        """,
        now=now,
        until=until,
        limit=limit,
    )


async def keep(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    media: KeptMedia,
) -> bool:
    """It lies there now, or never will; False where the message is gone."""
    changed = await tx.exec(
        """
        UPDATE message_media
           SET state = %(state)s, key = %(key)s, content_type = %(content_type)s, size_bytes = %(size_bytes)s, failure = %(failure)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND message_id = %(message_id)s AND place = %(place)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=media.message_id,
        place=media.place,
        state=media.state,
        key=media.key,
        content_type=media.content_type,
        size_bytes=media.size_bytes,
        failure=media.failure,
    )
    return changed == 1


async def put_off(
    tx: Tx, tenant_id: TenantId, environment: Environment, message_id: MessageId, place: int, *, due_at: datetime
) -> None:
    """Try again then."""
    await tx.exec(
        """
        UPDATE message_media SET due_at = %(due_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND message_id = %(message_id)s AND place = %(place)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        place=place,
        due_at=due_at,
    )


async def delete_expired(tx: Tx, *, at: datetime, limit: int) -> int:
    """Let go of what has reached the end of its retention, of any tenant; how much."""
    return await tx.exec(
        """
        DELETE FROM message_media
         WHERE (message_id, place) IN (SELECT message_id, place FROM message_media WHERE expires_at <= %(at)s ORDER BY expires_at LIMIT %(limit)s)
        """,
        at=at,
        limit=limit,
    )


async def take_discarded(tx: Tx, *, limit: int) -> list[str]:
    """Keys to delete from object storage, of any tenant; forgotten with this transaction. Runs as the system."""
    return await tx.all(
        str,
        """
        DELETE FROM discarded_media
         WHERE key IN (SELECT key FROM discarded_media ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING key
        """,
        limit=limit,
    )


async def seconds_to_next(tx: Tx, *, now: datetime) -> float | None:
    """How long until something is to be fetched; None for nothing. Runs as the system."""
    return await tx.one(
        float | None,  # type: ignore[arg-type]
        "SELECT extract(epoch FROM min(due_at) - %(now)s)::float8 AS seconds FROM message_media WHERE state = 'waiting'",
        now=now,
    )
