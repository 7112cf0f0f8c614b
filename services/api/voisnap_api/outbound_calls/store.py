"""The SQL of `outbound_calls`, `dial_attempts` and `outbound_call_settings`.

Whoever changes a call or an attempt of it holds the call's row.
"""

from collections.abc import Sequence
from datetime import datetime

from voisnap_domain.ids import OutboundCallId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import CallFilter, CallPosition, CallSettings, DialAttempt, Due, OutboundCall, Shard


async def insert(tx: Tx, calls: Sequence[OutboundCall]) -> None:
    """Store new calls."""
    await tx.exec_many(
        """
        INSERT INTO outbound_calls (id, tenant_id, environment, agent_id, from_number, to_number, status, scheduled_for, due_at, not_before,
                                    metadata, max_retries, retry_delay_minutes, batch_id, tested_version, created_by, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(agent_id)s, %(from_number)s, %(to_number)s, %(status)s, %(scheduled_for)s,
                %(due_at)s, %(not_before)s, %(metadata)s, %(max_retries)s, %(retry_delay_minutes)s, %(batch_id)s, %(tested_version)s, %(created_by)s,
                %(created_at)s, %(updated_at)s)
        """,
        [
            {
                "id": call.id,
                "tenant_id": call.tenant_id,
                "environment": call.environment,
                "agent_id": call.agent_id,
                "from_number": call.from_number,
                "to_number": call.to_number,
                "status": call.status,
                "scheduled_for": call.scheduled_for,
                "due_at": call.due_at,
                "not_before": call.not_before,
                "metadata": call.metadata,
                "max_retries": call.max_retries,
                "retry_delay_minutes": call.retry_delay_minutes,
                "batch_id": call.batch_id,
                "tested_version": call.tested_version,
                "created_by": call.created_by,
                "created_at": call.created_at,
                "updated_at": call.updated_at,
            }
            for call in calls
        ],
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, call_id: OutboundCallId) -> OutboundCall | None:
    """One call."""
    return await tx.maybe(
        OutboundCall,
        """
        SELECT *
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(call_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        call_id=call_id,
    )


async def get_for_change(
    tx: Tx, tenant_id: TenantId, environment: Environment, call_id: OutboundCallId
) -> OutboundCall | None:
    """One call, held until the end of the transaction."""
    return await tx.maybe(
        OutboundCall,
        """
        SELECT *
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(call_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        call_id=call_id,
    )


async def update(tx: Tx, call: OutboundCall) -> None:
    """Store what changes of a call."""
    await tx.exec(
        """
        UPDATE outbound_calls
           SET status = %(status)s, due_at = %(due_at)s, not_before = %(not_before)s, attempt_id = %(attempt_id)s, initiated_at = %(initiated_at)s,
               connected_at = %(connected_at)s, ended_at = %(ended_at)s, conversation_id = %(conversation_id)s,
               end_reason = %(end_reason)s, answered_by = %(answered_by)s, retry_count = %(retry_count)s,
               put_off_count = %(put_off_count)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        status=call.status,
        due_at=call.due_at,
        not_before=call.not_before,
        attempt_id=call.attempt_id,
        initiated_at=call.initiated_at,
        connected_at=call.connected_at,
        ended_at=call.ended_at,
        conversation_id=call.conversation_id,
        end_reason=call.end_reason,
        answered_by=call.answered_by,
        retry_count=call.retry_count,
        put_off_count=call.put_off_count,
        updated_at=call.updated_at,
        tenant_id=call.tenant_id,
        environment=call.environment,
        id=call.id,
    )


async def page(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: CallFilter,
    *,
    after: CallPosition | None,
    limit: int,
    offset: int,
) -> list[OutboundCall]:
    """One page of the calls that match, newest first, from a place on."""
    return await tx.all(
        OutboundCall,
        """
        SELECT *
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
           AND (%(to_number)s::text IS NULL OR to_number = %(to_number)s)
           AND (%(campaign_id)s::text IS NULL OR metadata ? 'campaignId' AND metadata ->> 'campaignId' = %(campaign_id)s)
           AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
           AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR created_at < %(before)s)
           AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) < (%(after_at)s, %(after_id)s::text))
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        agent_id=wanted.agent_id,
        to_number=wanted.to_number,
        campaign_id=wanted.campaign_id,
        batch_id=wanted.batch_id,
        start=wanted.period.start,
        before=wanted.period.before,
        after_at=after.created_at if after else None,
        after_id=after.id if after else None,
        limit=limit,
        offset=offset,
    )


async def page_oldest_first(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: CallFilter,
    *,
    after: CallPosition | None,
    limit: int,
    offset: int,
) -> list[OutboundCall]:
    """The same, oldest first."""
    return await tx.all(
        OutboundCall,
        """
        SELECT *
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
           AND (%(to_number)s::text IS NULL OR to_number = %(to_number)s)
           AND (%(campaign_id)s::text IS NULL OR metadata ? 'campaignId' AND metadata ->> 'campaignId' = %(campaign_id)s)
           AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
           AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR created_at < %(before)s)
           AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) > (%(after_at)s, %(after_id)s::text))
         ORDER BY created_at, id
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        agent_id=wanted.agent_id,
        to_number=wanted.to_number,
        campaign_id=wanted.campaign_id,
        batch_id=wanted.batch_id,
        start=wanted.period.start,
        before=wanted.period.before,
        after_at=after.created_at if after else None,
        after_id=after.id if after else None,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: CallFilter) -> int:
    """How many calls match."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
           AND (%(to_number)s::text IS NULL OR to_number = %(to_number)s)
           AND (%(campaign_id)s::text IS NULL OR metadata ? 'campaignId' AND metadata ->> 'campaignId' = %(campaign_id)s)
           AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
           AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR created_at < %(before)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        agent_id=wanted.agent_id,
        to_number=wanted.to_number,
        campaign_id=wanted.campaign_id,
        batch_id=wanted.batch_id,
        start=wanted.period.start,
        before=wanted.period.before,
    )


async def delete_expired(tx: Tx, *, at: datetime, default_days: int, limit: int) -> int:
    """Delete calls of any tenant that ended before their agent's retention, with their attempts; how many. Calls behind which something is
    still to be cleared up stay."""
    return await tx.exec(
        """
        DELETE FROM outbound_calls
         WHERE id IN (SELECT c.id
                        FROM outbound_calls c
                        LEFT JOIN agents a ON a.id = c.agent_id AND a.tenant_id = c.tenant_id
                       WHERE c.ended_at < %(at)s::timestamptz - interval '1 day'
                         AND c.ended_at < %(at)s::timestamptz - make_interval(
                             days => coalesce((a.config -> 'recording' ->> 'storage_retention_days')::int, %(default_days)s))
                         AND NOT EXISTS (SELECT FROM dial_attempts d WHERE d.call_id = c.id AND d.due_at IS NOT NULL)
                       ORDER BY c.ended_at
                       LIMIT %(limit)s
                         FOR UPDATE OF c SKIP LOCKED)
        """,
        at=at,
        default_days=default_days,
        limit=limit,
    )


async def shards_due(tx: Tx, *, now: datetime, limit: int) -> list[Shard]:
    """Tenants and environments with calls to be placed, those that wait longest first; runs as the system."""
    return await tx.all(
        Shard,
        """
        SELECT tenant_id, environment
          FROM outbound_calls
         WHERE status IN ('scheduled', 'queued') AND due_at <= %(now)s
         GROUP BY tenant_id, environment
         ORDER BY min(due_at)
         LIMIT %(limit)s
        """,
        now=now,
        limit=limit,
    )


async def lock_slots(tx: Tx, tenant_id: TenantId, environment: Environment) -> bool:
    """Be the only one who gives out a tenant's slots, until the end of the transaction; False when somebody else is."""
    return await tx.one(
        bool,
        "SELECT pg_try_advisory_xact_lock(hashtextextended('outbound ' || %(tenant_id)s || ' ' || %(environment)s, 0)) AS locked",
        tenant_id=tenant_id,
        environment=environment,
    )


async def count_placed(tx: Tx, tenant_id: TenantId, environment: Environment) -> int:
    """How many slots a tenant's calls hold."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status IN ('initiating', 'ringing', 'in_progress')
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def claim_due(
    tx: Tx, tenant_id: TenantId, environment: Environment, *, now: datetime, limit: int
) -> list[OutboundCall]:
    """Calls whose time has come, held until the end of the transaction."""
    return await tx.all(
        OutboundCall,
        """
        SELECT *
          FROM outbound_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND status IN ('scheduled', 'queued') AND due_at <= %(now)s
         ORDER BY due_at, id
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED
        """,
        tenant_id=tenant_id,
        environment=environment,
        now=now,
        limit=limit,
    )


async def queue_due(tx: Tx, tenant_id: TenantId, environment: Environment, *, now: datetime) -> None:
    """Say of calls whose time has come, and which are not placed now, that they wait for a slot."""
    await tx.exec(
        """
        UPDATE outbound_calls
           SET status = 'queued', updated_at = %(now)s
         WHERE id IN (SELECT id
                        FROM outbound_calls
                       WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
                         AND status = 'scheduled' AND due_at <= %(now)s
                         FOR UPDATE SKIP LOCKED)
        """,
        tenant_id=tenant_id,
        environment=environment,
        now=now,
    )


async def reconsider_hours(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Look anew at when calls may be placed that the calling hours hold up."""
    await tx.exec(
        """
        UPDATE outbound_calls
           SET due_at = not_before, not_before = NULL
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND status IN ('scheduled', 'queued') AND not_before IS NOT NULL
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


# Attempts


async def insert_attempt(tx: Tx, attempt: DialAttempt) -> None:
    """Store the intent to reach somebody."""
    await tx.exec(
        """
        INSERT INTO dial_attempts (id, tenant_id, environment, call_id, provider, account, detection, ring_seconds, longest_seconds,
                                   planned_at, due_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(call_id)s, %(provider)s, %(account)s, %(detection)s, %(ring_seconds)s,
                %(longest_seconds)s, %(planned_at)s, %(due_at)s)
        """,
        id=attempt.id,
        tenant_id=attempt.tenant_id,
        environment=attempt.environment,
        call_id=attempt.call_id,
        provider=attempt.provider,
        account=attempt.account,
        detection=attempt.detection,
        ring_seconds=attempt.ring_seconds,
        longest_seconds=attempt.longest_seconds,
        planned_at=attempt.planned_at,
        due_at=attempt.due_at,
    )


async def get_attempt(tx: Tx, tenant_id: TenantId, environment: Environment, attempt_id: str) -> DialAttempt | None:
    """One attempt."""
    return await tx.maybe(
        DialAttempt,
        """
        SELECT *
          FROM dial_attempts
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(attempt_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        attempt_id=attempt_id,
    )


async def update_attempt(tx: Tx, attempt: DialAttempt) -> None:
    """Store what is known of an attempt; whoever wants may look after it again."""
    await tx.exec(
        """
        UPDATE dial_attempts
           SET longest_seconds = %(longest_seconds)s, session_id = %(session_id)s, conversation_id = %(conversation_id)s,
               detection = %(detection)s, stream_token = %(stream_token)s, carrier_call_id = %(carrier_call_id)s,
               asked_at = %(asked_at)s, dialled_at = %(dialled_at)s, ringing_at = %(ringing_at)s, answered_at = %(answered_at)s,
               talking_at = %(talking_at)s, carrier_end = %(carrier_end)s, carrier_ended_at = %(carrier_ended_at)s,
               session_end = %(session_end)s, session_ended_at = %(session_ended_at)s, has_message = %(has_message)s,
               given_up = %(given_up)s, settled_at = %(settled_at)s, overdue_at = %(overdue_at)s, due_at = %(due_at)s,
               clearings = %(clearings)s, claimed_until = NULL
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        longest_seconds=attempt.longest_seconds,
        session_id=attempt.session_id,
        conversation_id=attempt.conversation_id,
        detection=attempt.detection,
        stream_token=attempt.stream_token,
        carrier_call_id=attempt.carrier_call_id,
        asked_at=attempt.asked_at,
        dialled_at=attempt.dialled_at,
        ringing_at=attempt.ringing_at,
        answered_at=attempt.answered_at,
        talking_at=attempt.talking_at,
        carrier_end=attempt.carrier_end,
        carrier_ended_at=attempt.carrier_ended_at,
        session_end=attempt.session_end,
        session_ended_at=attempt.session_ended_at,
        has_message=attempt.has_message,
        given_up=attempt.given_up,
        settled_at=attempt.settled_at,
        overdue_at=attempt.overdue_at,
        due_at=attempt.due_at,
        clearings=attempt.clearings,
        tenant_id=attempt.tenant_id,
        environment=attempt.environment,
        id=attempt.id,
    )


async def delete_attempt(tx: Tx, attempt: DialAttempt) -> None:
    """Forget an attempt that came to nothing."""
    await tx.exec(
        """
        DELETE FROM dial_attempts
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        tenant_id=attempt.tenant_id,
        environment=attempt.environment,
        id=attempt.id,
    )


async def claim_attempts(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[Due]:
    """Attempts to look after now, the oldest first: they are nobody else's until `until` or until they change. Runs as the system."""
    return await tx.all(
        Due,
        """
        UPDATE dial_attempts
           SET claimed_until = %(until)s
         WHERE id IN (SELECT id
                        FROM dial_attempts
                       WHERE due_at <= %(now)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
                       ORDER BY due_at
                       LIMIT %(limit)s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, tenant_id, environment
        """,
        now=now,
        until=until,
        limit=limit,
    )


# Settings


async def get_settings(tx: Tx, tenant_id: TenantId, environment: Environment) -> CallSettings | None:
    """A tenant's settings; None where it has set none."""
    return await tx.maybe(
        CallSettings,
        """
        SELECT calling_hours, statutory_hours, max_concurrent, default_ring_seconds, machine_detection, allowed_countries
          FROM outbound_call_settings
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def put_settings(
    tx: Tx, tenant_id: TenantId, environment: Environment, settings: CallSettings, *, at: datetime
) -> None:
    """Make a tenant's settings these."""
    await tx.exec(
        """
        INSERT INTO outbound_call_settings (tenant_id, environment, calling_hours, statutory_hours, max_concurrent,
                                            default_ring_seconds, machine_detection, allowed_countries, updated_at)
        VALUES (%(tenant_id)s, %(environment)s, %(calling_hours)s, %(statutory_hours)s, %(max_concurrent)s, %(default_ring_seconds)s,
                %(machine_detection)s, %(allowed_countries)s, %(at)s)
        ON CONFLICT (tenant_id, environment) DO UPDATE
           SET calling_hours = excluded.calling_hours, statutory_hours = excluded.statutory_hours, max_concurrent = excluded.max_concurrent,
               default_ring_seconds = excluded.default_ring_seconds, machine_detection = excluded.machine_detection,
               allowed_countries = excluded.allowed_countries, updated_at = excluded.updated_at
        """,
        tenant_id=tenant_id,
        environment=environment,
        allowed_countries=list(settings.allowed_countries),
        calling_hours=settings.calling_hours,
        statutory_hours=settings.statutory_hours,
        max_concurrent=settings.max_concurrent,
        default_ring_seconds=settings.default_ring_seconds,
        machine_detection=settings.machine_detection,
        at=at,
    )
