"""Idempotency of consumers: an event is handled once by (consumer, event id), in the transaction of its effects."""

from datetime import datetime

from .postgres import Tx


async def handled(tx: Tx, consumer: str, event_id: str) -> bool:
    """Whether this consumer has handled the event before; if not, it is noted now, and is undone with the transaction."""
    inserted = await tx.exec(
        """
        INSERT INTO inbox (consumer, event_id)
        VALUES (%(consumer)s, %(event_id)s)
        ON CONFLICT DO NOTHING
        """,
        consumer=consumer,
        event_id=event_id,
    )
    return inserted == 0


async def forget(tx: Tx, *, before: datetime) -> int:
    """Delete notes older than `before`, which must be further back than the stream keeps its events; how many."""
    return await tx.exec("DELETE FROM inbox WHERE handled_at < %(before)s", before=before)
