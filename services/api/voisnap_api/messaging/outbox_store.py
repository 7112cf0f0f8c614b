"""The SQL of the outbox of `messages`: what goes out, and what becomes of it."""

from datetime import datetime

from voisnap_domain.ids import MessageId, MessageThreadId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx
from voisnap_providers.ports.messaging import Price, Template

from .records import Message, State


async def unanswered(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, limit: int
) -> list[Message]:
    """What was sent in a thread on its own since somebody was answered there, in its order, at most the latest ones."""
    found = await tx.all(
        Message,
        """
        SELECT id, tenant_id, environment, thread_id, conversation_id, direction, network_id, source, text, media, template, reply_to,
               is_edit, transcript, exchange_id, place, state, failure, code, detail, segments, price, due_at, attempts, created_by,
               created_at, sending_since, sent_at, delivered_at, read_at, updated_at, is_secret
          FROM messages m
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND direction = 'outbound'
           AND source IN ('api', 'tool') AND state IN ('sending', 'unconfirmed', 'sent', 'delivered', 'read')
           AND created_at > coalesce((SELECT max(created_at)
                                        FROM messages
                                       WHERE tenant_id = %(tenant_id)s AND thread_id = %(thread_id)s AND direction = 'inbound'
                                         AND state = 'answered'), '-infinity')
         ORDER BY created_at DESC, place DESC, id DESC
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        limit=limit,
    )
    return found[::-1]


async def withhold(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    thread_id: MessageThreadId,
    failure: str,
    *,
    at: datetime,
) -> None:
    """Send nothing more that waits to be sent in a thread."""
    await tx.exec(
        """
        UPDATE messages
           SET state = 'failed', failure = %(failure)s, due_at = NULL, updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND state IN ('queued', 'held')
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        failure=failure,
        at=at,
    )


async def release_held(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, at: datetime
) -> None:
    """Somebody wrote: what was held may be sent."""
    tx.exec_later(
        """
        UPDATE messages SET state = 'queued', due_at = %(at)s, updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND state = 'held'
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        at=at,
    )


async def claim_to_send(tx: Tx, *, now: datetime, limit: int) -> list[Message]:
    """Messages to send now, of each thread the first one only, given to one worker. Every tenant has its turn, and what agents write goes
    before what a tenant sends on its own. Runs as the system."""
    threads = await _threads_to_send(tx, now=now, limit=limit)
    if not threads:
        return []
    return await tx.all(
        Message,
        """
        UPDATE messages
           SET state = 'sending', sending_since = %(now)s, attempts = attempts + 1, due_at = NULL, updated_at = %(now)s
         WHERE state = 'queued' AND due_at <= %(now)s
           AND id = ANY (ARRAY(SELECT (SELECT id
                                         FROM messages
                                        WHERE thread_id = wanted.id AND direction = 'outbound' AND state IN ('queued', 'sending')
                                        ORDER BY created_at, place, id
                                        LIMIT 1)
                                 FROM unnest(%(threads)s::text[]) AS wanted (id)))
        RETURNING id, tenant_id, environment, thread_id, conversation_id, direction, network_id, source, text, media, template, reply_to,
                  is_edit, transcript, exchange_id, place, state, failure, code, detail, segments, price, due_at, attempts, created_by,
                  created_at, sending_since, sent_at, delivered_at, read_at, updated_at, is_secret
        """,
        now=now,
        threads=tuple(threads),
    )


async def _threads_to_send(tx: Tx, *, now: datetime, limit: int) -> list[str]:
    """Threads with a message to send now, held until the end of the transaction."""
    # The planner can't know that the system sees all rows, takes few for due, and would sort them all.
    tx.exec_later("SET LOCAL enable_bitmapscan = off")
    tx.exec_later("SET LOCAL enable_seqscan = off")
    return await tx.all(
        str,
        """
        WITH RECURSIVE tenants AS (
            SELECT min(tenant_id) AS tenant_id FROM message_threads WHERE outgoing_at IS NOT NULL
            UNION ALL
            SELECT (SELECT min(w.tenant_id) FROM message_threads w WHERE w.outgoing_at IS NOT NULL AND w.tenant_id > t.tenant_id)
              FROM tenants t
             WHERE t.tenant_id IS NOT NULL)
        SELECT due.id
          FROM tenants t
         CROSS JOIN (VALUES (false), (true)) AS kind (own)
         CROSS JOIN LATERAL (SELECT id, outgoing_at
                               FROM message_threads
                              WHERE tenant_id = t.tenant_id AND outgoing_own = kind.own AND outgoing_at <= %(now)s
                              ORDER BY outgoing_at
                              LIMIT (SELECT ceil(%(limit)s::numeric / greatest(count(tenant_id), 1)) FROM tenants)
                                FOR UPDATE SKIP LOCKED) AS due
         WHERE t.tenant_id IS NOT NULL
         ORDER BY row_number() OVER (PARTITION BY t.tenant_id ORDER BY kind.own, due.outgoing_at), kind.own, due.outgoing_at
         LIMIT %(limit)s
        """,
        now=now,
        limit=limit,
    )


async def seconds_to_next(tx: Tx, *, now: datetime) -> float | None:
    """How long until somebody waits for an answer, or something is to be sent; None when nobody does. Runs as the system."""
    return await tx.one(
        float | None,  # type: ignore[arg-type]
        """
        SELECT extract(epoch FROM least(
                   (SELECT min(greatest(due_at, coalesce(leased_until, due_at))) FROM message_threads WHERE due_at IS NOT NULL),
                   (SELECT min(outgoing_at) FROM message_threads WHERE outgoing_at IS NOT NULL)) - %(now)s)::float8 AS seconds
        """,
        now=now,
    )


async def stuck(tx: Tx, *, before: datetime, limit: int) -> list[Message]:
    """Messages whose worker died, or waits for ever; runs as the system."""
    return await tx.all(
        Message,
        """
        SELECT id, tenant_id, environment, thread_id, conversation_id, direction, network_id, source, text, media, template, reply_to,
               is_edit, transcript, exchange_id, place, state, failure, code, detail, segments, price, due_at, attempts, created_by,
               created_at, sending_since, sent_at, delivered_at, read_at, updated_at, is_secret
          FROM messages
         WHERE state = 'sending' AND sending_since < %(before)s
         ORDER BY sending_since
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED
        """,
        before=before,
        limit=limit,
    )


async def mark_sent(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    message_id: MessageId,
    *,
    network_id: str,
    segments: int | None,
    price: Price | None,
    at: datetime,
) -> None:
    """The network has it; what its callbacks have told by now stays."""
    await tx.exec(
        """
        UPDATE messages
           SET network_id = %(network_id)s, sent_at = coalesce(sent_at, %(at)s), segments = coalesce(%(segments)s, segments),
               price = coalesce(%(price)s::jsonb, price), state = CASE WHEN state = 'sending' THEN 'sent' ELSE state END, updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        network_id=network_id,
        segments=segments,
        price=price,
        at=at,
    )


async def mark(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    message_id: MessageId,
    *,
    state: State,
    failure: str | None = None,
    code: str = "",
    detail: str = "",
    due_at: datetime | None = None,
    at: datetime,
) -> None:
    """What came of an attempt to send, unless callbacks have told by now."""
    await tx.exec(
        """
        UPDATE messages
           SET state = %(state)s, failure = %(failure)s, code = %(code)s, detail = %(detail)s, due_at = %(due_at)s, updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s AND state = 'sending'
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        state=state,
        failure=failure,
        code=code,
        detail=detail,
        due_at=due_at,
        at=at,
    )


async def send_template(
    tx: Tx, tenant_id: TenantId, environment: Environment, message_id: MessageId, template: Template
) -> None:
    """Send a template instead of the text."""
    await tx.exec(
        """
        UPDATE messages SET template = %(template)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        template=template,
    )


async def space_out(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, not_before: datetime
) -> None:
    """Leave what the network wants between two messages to one person, before the next one; those behind it wait for that."""
    await tx.exec(
        """
        UPDATE messages SET due_at = greatest(due_at, %(not_before)s)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND state = 'queued'
           AND id = (SELECT id
                       FROM messages
                      WHERE thread_id = %(thread_id)s AND direction = 'outbound' AND state IN ('queued', 'sending')
                      ORDER BY created_at, place, id
                      LIMIT 1)
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        not_before=not_before,
    )


async def sent_by(tx: Tx, provider: str, account: str, *, message_id: str | None, network_id: str) -> Message | None:
    """The message of ours that a network speaks of, by our id or by its own, of whatever tenant; locked. Runs as the system."""
    return await tx.maybe(
        Message,
        """
        SELECT m.id, m.tenant_id, m.environment, m.thread_id, m.conversation_id, m.direction, m.network_id, m.source, m.text, m.media,
               m.template, m.reply_to, m.is_edit, m.transcript, m.exchange_id, m.place, m.state, m.failure, m.code, m.detail, m.segments,
               m.price, m.due_at, m.attempts, m.created_by, m.created_at, m.sending_since, m.sent_at, m.delivered_at, m.read_at,
               m.updated_at, m.is_secret
          FROM messages m
          JOIN message_threads t ON t.id = m.thread_id AND t.tenant_id = m.tenant_id
         WHERE m.direction = 'outbound' AND t.provider = %(provider)s AND t.account = %(account)s
           AND (m.id = %(message_id)s OR (m.network_id = %(network_id)s AND %(network_id)s <> ''))
         ORDER BY m.created_at DESC
         LIMIT 1
           FOR UPDATE OF m
        """,
        provider=provider,
        account=account,
        message_id=message_id,
        network_id=network_id,
    )


async def progress(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    message_id: MessageId,
    *,
    state: State,
    network_id: str | None,
    failure: str | None,
    code: str,
    detail: str,
    segments: int | None,
    price: Price | None,
    tariff: str | None,
    told_at: datetime,
    at: datetime,
) -> None:
    """What the network says has become of a message."""
    await tx.exec(
        """
        UPDATE messages
           SET state = %(state)s, network_id = coalesce(network_id, %(network_id)s), failure = %(failure)s, code = %(code)s,
               detail = %(detail)s, segments = coalesce(%(segments)s, segments), price = coalesce(%(price)s::jsonb, price),
               tariff = coalesce(%(tariff)s, tariff), due_at = NULL,
               sent_at = CASE WHEN %(state)s IN ('sent', 'delivered', 'read') THEN coalesce(sent_at, %(told_at)s) ELSE sent_at END,
               delivered_at = CASE WHEN %(state)s IN ('delivered', 'read') THEN coalesce(delivered_at, %(told_at)s) ELSE delivered_at END,
               read_at = CASE WHEN %(state)s = 'read' THEN coalesce(read_at, %(told_at)s) ELSE read_at END,
               updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        state=state,
        network_id=network_id,
        failure=failure,
        code=code,
        detail=detail,
        segments=segments,
        price=price,
        tariff=tariff,
        told_at=told_at,
        at=at,
    )


async def note_price(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    message_id: MessageId,
    *,
    network_id: str | None,
    segments: int | None,
    price: Price | None,
    tariff: str | None,
) -> bool:
    """What a network says beside a state that is known already; False where that is no news."""
    changed = await tx.exec(
        """
        UPDATE messages
           SET network_id = coalesce(network_id, %(network_id)s), segments = coalesce(%(segments)s, segments),
               price = coalesce(%(price)s::jsonb, price), tariff = coalesce(%(tariff)s, tariff)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s
           AND (network_id, segments, price, tariff) IS DISTINCT FROM
               (coalesce(network_id, %(network_id)s), coalesce(%(segments)s, segments), coalesce(%(price)s::jsonb, price),
                coalesce(%(tariff)s, tariff))
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        network_id=network_id,
        segments=segments,
        price=price,
        tariff=tariff,
    )
    return changed == 1
