"""The SQL of `message_threads`, and of `messages` as they come in, belong to conversations and are listed."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from voisnap_domain.costs import UsageLeg
from voisnap_domain.ids import AgentId, ContactId, ConversationId, MessageId, MessageThreadId, TenantId
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import ListedMessage, Message, MessageCount, MessageFilter, State, Thread

# Threads ------------------------------------------------------------------------------------------------------------


async def thread_with(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    provider: str,
    account: str,
    our_address: str,
    keys: tuple[str, ...],
) -> Thread | None:
    """The thread of somebody at one of our addresses, by any of the names they have there; locked until the transaction ends."""
    return await tx.maybe(
        Thread,
        """
        SELECT id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key, their_address, their_user_id,
               agent_id, conversation_id, plan::text AS plan, last_at, last_inbound_at, attempts, created_at
          FROM message_threads
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND provider = %(provider)s AND account = %(account)s
           AND our_address = %(our_address)s
           AND (their_key = ANY (%(keys)s::text[]) OR their_address = ANY (%(keys)s::text[]) OR their_user_id = ANY (%(keys)s::text[]))
         ORDER BY created_at, id
         LIMIT 1
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        our_address=our_address,
        keys=keys,
    )


async def insert_thread(tx: Tx, thread: Thread) -> int:
    """Store a new thread; 0 when somebody was faster."""
    return await tx.exec(
        """
        INSERT INTO message_threads (id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key,
                                     their_address, their_user_id, agent_id, created_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(contact_id)s, %(channel)s, %(provider)s, %(account)s, %(our_address)s,
                %(their_key)s, %(their_address)s, %(their_user_id)s, %(agent_id)s, %(created_at)s)
        ON CONFLICT (tenant_id, environment, provider, account, our_address, their_key) DO NOTHING
        """,
        id=thread.id,
        tenant_id=thread.tenant_id,
        environment=thread.environment,
        contact_id=thread.contact_id,
        channel=thread.channel,
        provider=thread.provider,
        account=thread.account,
        our_address=thread.our_address,
        their_key=thread.their_key,
        their_address=thread.their_address,
        their_user_id=thread.their_user_id,
        agent_id=thread.agent_id,
        created_at=thread.created_at,
    )


async def update_thread(tx: Tx, thread: Thread) -> None:
    """Store whose thread it is, where the person is reached, and who answers."""
    tx.exec_later(
        """
        UPDATE message_threads
           SET contact_id = %(contact_id)s, their_address = %(their_address)s, their_user_id = %(their_user_id)s, agent_id = %(agent_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        id=thread.id,
        tenant_id=thread.tenant_id,
        environment=thread.environment,
        contact_id=thread.contact_id,
        their_address=thread.their_address,
        their_user_id=thread.their_user_id,
        agent_id=thread.agent_id,
    )


async def adopt_threads(
    tx: Tx, tenant_id: TenantId, environment: Environment, contact_id: ContactId, others: tuple[ContactId, ...]
) -> None:
    """Let the threads of some contacts be another's: they are the same person."""
    await tx.exec(
        """
        UPDATE message_threads SET contact_id = %(contact_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND contact_id = ANY (%(others)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_id=contact_id,
        others=others,
    )


async def move_threads(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    provider: str,
    account: str,
    before: str,
    address: str,
    user_id: str | None,
) -> None:
    """Somebody is reached under another address now."""
    await tx.exec(
        """
        UPDATE message_threads SET their_address = %(address)s, their_user_id = coalesce(%(user_id)s, their_user_id)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND provider = %(provider)s AND account = %(account)s
           AND (their_address = %(before)s OR their_user_id = %(before)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        before=before,
        address=address,
        user_id=user_id,
    )


async def wait_for_answer(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    thread_id: MessageThreadId,
    *,
    at: datetime,
    due_at: datetime,
    patience_seconds: float,
) -> None:
    """Somebody wrote: answer at `due_at`, or so long after the first message that waits."""
    tx.exec_later(
        """
        UPDATE message_threads
           SET last_inbound_at = %(at)s, gathering_since = coalesce(gathering_since, %(at)s), attempts = 0,
               due_at = least(%(due_at)s, coalesce(gathering_since, %(at)s) + make_interval(secs => %(patience_seconds)s))
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(thread_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        at=at,
        due_at=due_at,
        patience_seconds=patience_seconds,
    )


async def note_written(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, at: datetime
) -> None:
    """Somebody wrote what nobody answers."""
    tx.exec_later(
        """
        UPDATE message_threads SET last_inbound_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(thread_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        at=at,
    )


async def claim_due(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[Thread]:
    """Threads in which somebody waits for an answer, each lent to one worker until `until`; every tenant has its turn, so that none waits
    behind all of another. Runs as the system."""
    return await tx.all(
        Thread,
        """
        WITH RECURSIVE tenants AS (
            SELECT min(tenant_id) AS tenant_id FROM message_threads WHERE due_at IS NOT NULL
            UNION ALL
            SELECT (SELECT min(w.tenant_id) FROM message_threads w WHERE w.due_at IS NOT NULL AND w.tenant_id > t.tenant_id)
              FROM tenants t
             WHERE t.tenant_id IS NOT NULL)
        UPDATE message_threads
           SET leased_until = %(until)s, attempts = attempts + 1
         WHERE id IN (SELECT due.id
                        FROM tenants t
                       CROSS JOIN LATERAL (SELECT id, due_at
                                             FROM message_threads
                                            WHERE tenant_id = t.tenant_id AND due_at <= %(now)s
                                              AND (leased_until IS NULL OR leased_until <= %(now)s)
                                            ORDER BY due_at
                                            LIMIT %(limit)s
                                              FOR UPDATE SKIP LOCKED) AS due
                       ORDER BY row_number() OVER (PARTITION BY t.tenant_id ORDER BY due.due_at), due.due_at
                       LIMIT %(limit)s)
        RETURNING id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key, their_address, their_user_id,
                  agent_id, conversation_id, plan::text AS plan, last_at, last_inbound_at, attempts, created_at
        """,
        now=now,
        until=until,
        limit=limit,
    )


async def let_go(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    thread_id: MessageThreadId,
    *,
    due_at: datetime | None,
) -> None:
    """Give a thread back: to be looked at again then, or when something waits by now."""
    await tx.exec(
        """
        UPDATE message_threads t
           SET leased_until = NULL,
               gathering_since = CASE WHEN %(due_at)s::timestamptz IS NULL AND waiting.first_at IS NULL THEN NULL ELSE gathering_since END,
               due_at = coalesce(%(due_at)s::timestamptz, CASE WHEN waiting.first_at IS NOT NULL THEN due_at END)
          FROM (SELECT min(created_at) AS first_at
                  FROM messages
                 WHERE tenant_id = %(tenant_id)s AND thread_id = %(thread_id)s AND state = 'received') AS waiting
         WHERE t.tenant_id = %(tenant_id)s AND t.environment = %(environment)s AND t.id = %(thread_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        due_at=due_at,
    )


async def converse(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    thread_id: MessageThreadId,
    *,
    plan: SessionPlan | None,
    conversation_id: ConversationId | None,
    last_at: datetime | None,
) -> None:
    """Note the conversation that runs, or that none does."""
    await tx.exec(
        """
        UPDATE message_threads
           SET plan = %(plan)s::jsonb, conversation_id = %(conversation_id)s, last_at = %(last_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(thread_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        plan=plan,
        conversation_id=conversation_id,
        last_at=last_at,
    )


async def thread(tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId) -> Thread | None:
    """One thread."""
    return await tx.maybe(
        Thread,
        """
        SELECT id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key, their_address, their_user_id,
               agent_id, conversation_id, plan::text AS plan, last_at, last_inbound_at, attempts, created_at
          FROM message_threads
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(thread_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
    )


async def hold(tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId) -> None:
    """Wait for others who change a thread, until the end of the transaction: before its messages are changed in a row."""
    await tx.maybe(
        str,
        """
        SELECT id
          FROM message_threads
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(thread_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
    )


async def newest_thread_of(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    contact_id: ContactId,
    agent_id: AgentId,
    channel: Channel,
) -> Thread | None:
    """Where a contact and an agent wrote each other last on a channel."""
    return await tx.maybe(
        Thread,
        """
        SELECT id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key, their_address, their_user_id,
               agent_id, conversation_id, plan::text AS plan, last_at, last_inbound_at, attempts, created_at
          FROM message_threads
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND contact_id = %(contact_id)s AND agent_id = %(agent_id)s
           AND channel = %(channel)s
         ORDER BY coalesce(last_inbound_at, created_at) DESC, id
         LIMIT 1
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_id=contact_id,
        agent_id=agent_id,
        channel=channel,
    )


async def silent_threads(tx: Tx, *, at: datetime, default_days: int, limit: int) -> list[str]:
    """Threads of any tenant without messages in which nobody has written for their agent's retention; held until the transaction ends."""
    return await tx.all(
        str,
        """
        SELECT t.id
          FROM message_threads t
          LEFT JOIN agents a ON a.id = t.agent_id AND a.tenant_id = t.tenant_id
         WHERE t.due_at IS NULL
           AND greatest(t.created_at, t.last_at, t.last_inbound_at) < %(at)s::timestamptz - make_interval(
               days => coalesce((a.config -> 'recording' ->> 'storage_retention_days')::int, %(default_days)s))
           AND NOT EXISTS (SELECT FROM messages m WHERE m.thread_id = t.id)
         LIMIT %(limit)s
           FOR UPDATE OF t SKIP LOCKED
        """,
        at=at,
        default_days=default_days,
        limit=limit,
    )


async def delete_threads(tx: Tx, ids: tuple[str, ...]) -> int:
    """Delete threads, of any tenant, in which still nothing is written; how many."""
    return await tx.exec(
        """
        DELETE FROM message_threads t
         WHERE t.id = ANY (%(ids)s::text[]) AND t.due_at IS NULL AND NOT EXISTS (SELECT FROM messages m WHERE m.thread_id = t.id)
        """,
        ids=ids,
    )


# Messages -----------------------------------------------------------------------------------------------------------


async def insert(tx: Tx, message: Message) -> int:
    """Store a message; 0 when it is stored already."""
    return await tx.exec(
        """
        INSERT INTO messages (id, tenant_id, environment, thread_id, conversation_id, direction, network_id, dedupe, source, text, media,
                              template, reply_to, is_edit, exchange_id, place, state, failure, segments, price, due_at, created_by,
                              created_at, updated_at, is_secret)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(thread_id)s, %(conversation_id)s, %(direction)s, %(network_id)s, %(dedupe)s,
                %(source)s, %(text)s, %(media)s::jsonb, %(template)s, %(reply_to)s, %(is_edit)s, %(exchange_id)s, %(place)s, %(state)s,
                %(failure)s, %(segments)s, %(price)s, %(due_at)s, %(created_by)s, %(created_at)s, %(updated_at)s,
                %(is_secret)s)
        ON CONFLICT DO NOTHING
        """,
        id=message.id,
        tenant_id=message.tenant_id,
        environment=message.environment,
        thread_id=message.thread_id,
        conversation_id=message.conversation_id,
        direction=message.direction,
        network_id=message.network_id,
        dedupe=message.dedupe,
        source=message.source,
        text=message.text,
        media=_json(message.media),
        template=message.template,
        reply_to=message.reply_to,
        is_edit=message.is_edit,
        exchange_id=message.exchange_id,
        place=message.place,
        state=message.state,
        failure=message.failure,
        segments=message.segments,
        price=message.price,
        due_at=message.due_at,
        created_by=message.created_by,
        created_at=message.created_at,
        updated_at=message.updated_at,
        is_secret=message.is_secret,
    )


async def correct(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, network_id: str, text: str
) -> int:
    """Put what somebody wrote instead in place of a message that nobody has read yet; 0 when it was."""
    return await tx.exec(
        """
        UPDATE messages SET text = %(text)s, is_edit = true
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND direction = 'inbound'
           AND network_id = %(network_id)s AND state = 'received' AND exchange_id IS NULL
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        network_id=network_id,
        text=text,
    )


async def waiting(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, limit: int
) -> list[Message]:
    """What waits for an answer in a thread, in its order."""
    return await tx.all(
        Message,
        """
        SELECT id, tenant_id, environment, thread_id, conversation_id, direction, network_id, source, text, media, template, reply_to,
               is_edit, transcript, exchange_id, place, state, failure, code, detail, segments, price, due_at, attempts, created_by,
               created_at, sending_since, sent_at, delivered_at, read_at, updated_at, is_secret
          FROM messages
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND state = 'received'
         ORDER BY created_at, id
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        limit=limit,
    )


async def take_into(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    ids: tuple[MessageId, ...],
    conversation_id: ConversationId,
) -> None:
    """Count messages that belong to no conversation yet to one."""
    await tx.exec(
        """
        UPDATE messages SET conversation_id = %(conversation_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = ANY (%(ids)s::text[]) AND conversation_id IS NULL
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
        conversation_id=conversation_id,
    )


async def answered_since(
    tx: Tx, tenant_id: TenantId, environment: Environment, thread_id: MessageThreadId, *, since: datetime
) -> int:
    """How many messages of a thread were answered since then."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM messages
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND direction = 'inbound'
           AND state = 'answered' AND created_at >= %(since)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        since=since,
    )


async def join(
    tx: Tx, tenant_id: TenantId, environment: Environment, ids: tuple[MessageId, ...], exchange_id: str
) -> None:
    """Answer these messages together."""
    await tx.exec(
        """
        UPDATE messages SET exchange_id = %(exchange_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = ANY (%(ids)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
        exchange_id=exchange_id,
    )


async def keep_transcript(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    message_id: MessageId,
    transcript: str,
    *,
    heard: tuple[UsageLeg, ...],
) -> None:
    """What was said in a voice message, and what reading it used."""
    await tx.exec(
        """
        UPDATE messages SET transcript = %(transcript)s, heard = %(heard)s::jsonb
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(message_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
        transcript=transcript,
        heard=_json(heard),
    )


async def settle(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    ids: tuple[MessageId, ...],
    *,
    state: State,
    conversation_id: ConversationId | None,
    failure: str | None = None,
    is_secret: bool = False,
    at: datetime,
) -> None:
    """These messages were answered, or will not be."""
    await tx.exec(
        """
        UPDATE messages
           SET state = %(state)s, conversation_id = coalesce(%(conversation_id)s, conversation_id), failure = %(failure)s,
               is_secret = is_secret OR %(is_secret)s, updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = ANY (%(ids)s::text[]) AND state = 'received'
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
        state=state,
        conversation_id=conversation_id,
        failure=failure,
        is_secret=is_secret,
        at=at,
    )


async def ignore_waiting(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    thread_id: MessageThreadId,
    *,
    at: datetime,
) -> None:
    """Nobody answers what waits in a thread."""
    await tx.exec(
        """
        UPDATE messages
           SET state = 'ignored', updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND thread_id = %(thread_id)s AND state = 'received'
        """,
        tenant_id=tenant_id,
        environment=environment,
        thread_id=thread_id,
        at=at,
    )


async def delete_of_conversation(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> None:
    """Delete what was written in a conversation, both ways."""
    await tx.exec(
        """
        DELETE FROM messages
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
    )


async def delete_expired(tx: Tx, *, at: datetime, default_days: int, limit: int) -> int:
    """Delete messages of any tenant that belong to no conversation and have reached the end of their agent's retention; how many."""
    return await tx.exec(
        """
        DELETE FROM messages
         WHERE id IN (SELECT m.id
                        FROM messages m
                        JOIN message_threads t ON t.id = m.thread_id
                        LEFT JOIN agents a ON a.id = t.agent_id AND a.tenant_id = t.tenant_id
                       WHERE m.conversation_id IS NULL AND m.state NOT IN ('queued', 'sending')
                         AND m.created_at < %(at)s::timestamptz - interval '1 day'
                         AND m.created_at < %(at)s::timestamptz - make_interval(
                             days => coalesce((a.config -> 'recording' ->> 'storage_retention_days')::int, %(default_days)s))
                       ORDER BY m.created_at
                       LIMIT %(limit)s)
        """,
        at=at,
        default_days=default_days,
        limit=limit,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: MessageFilter, *, limit: int, offset: int
) -> list[ListedMessage]:
    """A page of messages; those of one conversation or thread in their order, others newest first."""
    return await tx.all(
        ListedMessage,
        """
        SELECT m.id, m.thread_id, t.contact_id, t.agent_id, m.conversation_id, t.channel, t.provider, m.direction, t.our_address,
               t.their_address, t.their_user_id, m.source, m.text, m.media, m.template, m.is_edit, m.transcript, m.state, m.failure,
               m.code, m.detail, m.segments, m.price, m.created_at, m.sent_at, m.delivered_at, m.read_at
          FROM messages m
          JOIN message_threads t ON t.id = m.thread_id
         WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s
           AND (%(conversation_id)s::text IS NULL OR m.conversation_id = %(conversation_id)s)
           AND (%(thread_id)s::text IS NULL OR m.thread_id = %(thread_id)s)
           AND (%(contact_id)s::text IS NULL OR t.contact_id = %(contact_id)s)
           AND (%(agent_id)s::text IS NULL OR t.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR m.direction = %(direction)s)
           AND (%(state)s::text IS NULL OR m.state = %(state)s)
         ORDER BY CASE WHEN %(conversation_id)s::text IS NOT NULL OR %(thread_id)s::text IS NOT NULL THEN m.created_at END,
                  CASE WHEN %(conversation_id)s::text IS NOT NULL OR %(thread_id)s::text IS NOT NULL THEN m.place END,
                  CASE WHEN %(conversation_id)s::text IS NOT NULL OR %(thread_id)s::text IS NOT NULL THEN m.id END,
                  m.created_at DESC, m.place DESC, m.id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=wanted.conversation_id,
        thread_id=wanted.thread_id,
        contact_id=wanted.contact_id,
        agent_id=wanted.agent_id,
        channel=wanted.channel,
        direction=wanted.direction,
        state=wanted.state,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: MessageFilter) -> int:
    """How many messages there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM messages m
          JOIN message_threads t ON t.id = m.thread_id
         WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s
           AND (%(conversation_id)s::text IS NULL OR m.conversation_id = %(conversation_id)s)
           AND (%(thread_id)s::text IS NULL OR m.thread_id = %(thread_id)s)
           AND (%(contact_id)s::text IS NULL OR t.contact_id = %(contact_id)s)
           AND (%(agent_id)s::text IS NULL OR t.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR m.direction = %(direction)s)
           AND (%(state)s::text IS NULL OR m.state = %(state)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=wanted.conversation_id,
        thread_id=wanted.thread_id,
        contact_id=wanted.contact_id,
        agent_id=wanted.agent_id,
        channel=wanted.channel,
        direction=wanted.direction,
        state=wanted.state,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, message_id: MessageId) -> ListedMessage | None:
    """One message."""
    return await tx.maybe(
        ListedMessage,
        """
        SELECT m.id, m.thread_id, t.contact_id, t.agent_id, m.conversation_id, t.channel, t.provider, m.direction, t.our_address,
               t.their_address, t.their_user_id, m.source, m.text, m.media, m.template, m.is_edit, m.transcript, m.state, m.failure,
               m.code, m.detail, m.segments, m.price, m.created_at, m.sent_at, m.delivered_at, m.read_at
          FROM messages m
          JOIN message_threads t ON t.id = m.thread_id
         WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s AND m.id = %(message_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        message_id=message_id,
    )


async def heard_in(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> list[UsageLeg]:
    """What reading a conversation's voice messages used, message by message."""
    found = await tx.all(
        str,
        """
        SELECT heard::text
          FROM messages
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s
           AND direction = 'inbound' AND heard <> '[]'
         ORDER BY created_at, id
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
    )
    return [leg for legs in found for leg in msgspec.json.decode(legs, type=tuple[UsageLeg, ...])]


async def counted(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> list[MessageCount]:
    """What a conversation's messages are billed by: segments that networks took, or brought. A tariff is the one of what has arrived."""
    return await tx.all(
        MessageCount,
        """
        SELECT t.channel, m.direction, t.provider, t.account, t.their_address, t.their_user_id,
               CASE WHEN m.state IN ('delivered', 'read') THEN m.tariff END AS tariff, sum(coalesce(m.segments, 1))::int AS segments
          FROM messages m
          JOIN message_threads t ON t.id = m.thread_id
         WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s AND m.conversation_id = %(conversation_id)s
           AND (m.direction = 'inbound' OR m.state IN ('sent', 'delivered', 'read', 'undeliverable'))
         GROUP BY 1, 2, 3, 4, 5, 6, 7
         ORDER BY 1, 2, 3, 4, 5, 6, 7
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
    )


def _json(values: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(values).decode()
