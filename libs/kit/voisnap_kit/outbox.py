"""The transactional outbox: events leave with the transaction that made them true, and a relay carries them to the bus.

Order: rows of one aggregate are written at the end of transactions that its row lock has put in order, and one relay at a time (an
advisory lock) publishes by ascending seq and stops at the first failure. So events of one aggregate arrive in order; those of different
aggregates may not.
"""

import asyncio
from datetime import datetime
from typing import Any, Protocol

import msgspec
from opentelemetry import trace as otel
from prometheus_client import Counter, Gauge
from voisnap_proto import subject_of

from . import log, trace
from .backoff import Backoff
from .bus import BusError, PublishRefused
from .health import Beat
from .postgres import Database, DatabaseError, Tx

_log = log.get(__name__)

_PUBLISHED = Counter("voisnap_outbox_published_total", "Events carried from the outbox to the bus")
_WAITING = Gauge("voisnap_outbox_waiting", "Events waiting in the outbox when the relay last looked")

_BATCH = 100
_LOCK_KEY = 0x6F757462  # "outb"


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way."""

    seq: int
    event_id: str
    subject: str
    tenant_id: str
    payload: str
    headers: dict[str, str]


class Publisher(Protocol):
    """The part of the bus that the relay needs."""

    async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: dict[str, str]) -> None:
        """Publish and wait for the acknowledgement. Raises BusError."""
        ...


def write(tx: Tx, event: Any, *, event_id: str, at: datetime) -> None:
    """Put an event into the outbox of this transaction, with the current trace; it is sent with the commit."""
    headers: dict[str, str] = {}
    if otel.get_current_span().get_span_context().is_valid:
        trace.inject(headers)
    tx.exec_later(
        """
        INSERT INTO outbox (event_id, subject, tenant_id, payload, headers, created_at)
        VALUES (%(event_id)s, %(subject)s, %(tenant_id)s, %(payload)s, %(headers)s, %(at)s)
        """,
        event_id=event_id,
        subject=subject_of(event),
        tenant_id=event.tenant_id,
        payload=msgspec.json.encode(event).decode(),
        headers=headers,
        at=at,
    )


class Relay:
    """Carries the outbox to the bus: at once after a commit of this process, else every `poll` seconds. Safe to run in many processes."""

    def __init__(self, database: Database, bus: Publisher, *, poll: float = 1.0) -> None:
        self._database = database
        self._bus = bus
        self._poll = poll
        self._backoff = Backoff(first=0.1, cap=5.0)
        self.beat = Beat(limit=60)

    async def run(self) -> None:
        """Work until cancelled; an unavailable database or bus is waited out."""
        with self._database.outbox_written.listen() as written:
            while True:
                delay = await self._round()
                self.beat.touch()
                if delay:
                    try:
                        async with asyncio.timeout(delay):
                            await written.wait()
                    except TimeoutError:
                        pass
                    written.clear()

    async def _round(self) -> float:
        """One batch; seconds to wait until the next."""
        try:
            published = await self.relay_batch()
        except (BusError, DatabaseError, OSError) as error:
            delay = self._backoff.next()
            _log.warning(
                "outbox.relay_failed", error=repr(error), attempts=self._backoff.attempts, retry_in=round(delay, 2)
            )
            return delay
        except Exception:
            # A bug; but a relay that ends would hold back every event of this process without a word.
            _log.exception("outbox.relay_broken")
            return self._backoff.next()
        self._backoff.reset()
        if published is None:
            return min(0.05, self._poll)  # another relay is at work and may have looked before our commit
        return 0.0 if published == _BATCH else self._poll

    async def relay_batch(self) -> int | None:
        """Publish the oldest events in order and delete what was acknowledged; how many, or None while another relay is at work.

        Raises BusError at the first event that the bus did not take; those before it are done.
        """
        failure: BusError | None = None
        async with self._database.transaction_as_system() as tx:
            if not await tx.one(
                bool,
                "SELECT pg_try_advisory_xact_lock(%(key)s, current_schema()::regnamespace::oid::int)",
                key=_LOCK_KEY,
            ):
                return None
            rows = await tx.all(
                OutboxRow,
                """
                SELECT seq, event_id, subject, tenant_id, payload, headers
                  FROM outbox
                 WHERE refused IS NULL
                 ORDER BY seq
                 LIMIT %(batch)s
                """,
                batch=_BATCH,
            )
            _WAITING.set(len(rows))
            done: list[int] = []
            for row in rows:
                try:
                    await self._publish(row)
                except PublishRefused as error:
                    await self._set_aside(tx, row, error)
                except BusError as error:
                    failure = error
                    break
                else:
                    done.append(row.seq)
            if done:
                tx.exec_later("DELETE FROM outbox WHERE seq = ANY (%(done)s)", done=done)
        _PUBLISHED.inc(len(done))
        if failure is not None:
            raise failure
        return len(rows)

    async def _publish(self, row: OutboxRow) -> None:
        headers = {"Voisnap-Tenant": row.tenant_id, **row.headers}
        await self._bus.publish_raw(row.subject, row.payload.encode(), event_id=row.event_id, headers=headers)

    async def _set_aside(self, tx: Tx, row: OutboxRow, error: PublishRefused) -> None:
        _log.error("outbox.event_refused", event_id=row.event_id, subject=row.subject, error=str(error))
        await tx.exec("UPDATE outbox SET refused = %(why)s WHERE seq = %(seq)s", why=str(error), seq=row.seq)
