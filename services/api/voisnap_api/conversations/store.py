"""The SQL of `conversations` and `turns`."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.conversations import CallQuality, ConversationStatus, RecordingInfo, Turn
from voisnap_domain.costs import Costs, LegCost, Usage
from voisnap_domain.ids import AgentId, ConversationId, TenantId
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import (
    AnalysisSummary,
    LineUsage,
    RecordingDue,
    Stats,
    StoredConversation,
    StoredTurn,
    TurnTally,
    opened_at,
)


async def insert_started(tx: Tx, plan: SessionPlan, *, started_at: datetime) -> None:
    """Store a conversation that has begun; one that is known already stays as it is."""
    config = plan.agent.config
    await tx.exec(
        """
        INSERT INTO conversations (id, opened_at, tenant_id, environment, session_id, agent_id, agent_name, agent_version, channel,
                                   direction, status, language, hipaa, recording_wanted, retention_days, started_at, caller, metadata,
                                   line_number)
        VALUES (%(id)s, %(opened_at)s, %(tenant_id)s, %(environment)s, %(session_id)s, %(agent_id)s, %(agent_name)s,
                %(agent_version)s, %(channel)s, %(direction)s, 'in_progress', %(language)s, %(hipaa)s, %(recording_wanted)s,
                %(retention_days)s, %(started_at)s, %(caller)s, %(metadata)s, %(line_number)s)
        ON CONFLICT (opened_at, id) DO NOTHING
        """,
        id=plan.conversation_id,
        opened_at=opened_at(plan.conversation_id),
        tenant_id=plan.tenant_id,
        environment=plan.environment,
        session_id=plan.session_id,
        agent_id=plan.agent.agent_id,
        agent_name=config.name,
        agent_version=plan.agent.version,
        channel=plan.channel,
        direction=plan.direction,
        language=config.transcription.language,
        hipaa=config.hipaa_compliant,
        recording_wanted=config.recording.enabled and not config.hipaa_compliant,
        retention_days=config.recording.storage_retention_days,
        started_at=started_at,
        caller=plan.caller,
        metadata=plan.metadata,
        line_number=None if plan.leg is None else plan.leg.number,
    )


async def hipaa_of(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId) -> bool | None:
    """Whether nothing said may be kept of this conversation; None when it is not known, or not any more. It is not deleted before the
    end of this transaction."""
    return await tx.maybe(
        bool,
        """
        SELECT hipaa
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s
           FOR KEY SHARE
        """,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def put_turn(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, turn: Turn
) -> None:
    """Store a turn, or what is newer about it."""
    await tx.exec(
        """
        INSERT INTO turns (opened_at, conversation_id, sequence, tenant_id, environment, speaker, text, start_time, end_time,
                           confidence, words, interrupted, latency)
        VALUES (%(opened_at)s, %(conversation_id)s, %(sequence)s, %(tenant_id)s, %(environment)s, %(speaker)s, %(text)s,
                %(start_time)s, %(end_time)s, %(confidence)s, %(words)s::jsonb, %(interrupted)s, %(latency)s::jsonb)
        ON CONFLICT (opened_at, conversation_id, sequence) DO UPDATE
           SET speaker = excluded.speaker, text = excluded.text, start_time = excluded.start_time, end_time = excluded.end_time,
               confidence = excluded.confidence, words = excluded.words, interrupted = excluded.interrupted,
               latency = excluded.latency
        """,
        opened_at=opened_at(conversation_id),
        conversation_id=conversation_id,
        sequence=turn.sequence,
        tenant_id=tenant_id,
        environment=environment,
        speaker=turn.speaker,
        text=turn.text,
        start_time=turn.start_time,
        end_time=turn.end_time,
        confidence=turn.confidence,
        words=_json(turn.words),
        interrupted=turn.interrupted,
        latency=_json(turn.latency) if turn.latency else None,
    )


async def tally(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId) -> TurnTally:
    """What is stored of a conversation's turns."""
    return await tx.one(
        TurnTally,
        """
        SELECT count(*) AS stored, coalesce(bool_or(speaker = 'user'), false) AS user_was_heard
          FROM turns
         WHERE tenant_id = %(tenant_id)s AND conversation_id = %(id)s AND opened_at = %(opened_at)s
        """,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def complete(
    tx: Tx,
    tenant_id: TenantId,
    conversation_id: ConversationId,
    *,
    status: ConversationStatus,
    ended_at: datetime,
    duration_seconds: float,
    reason: EndReason,
    usage: Usage,
    costs: Costs,
    quality: CallQuality,
    recording: RecordingInfo | None,
    warnings: tuple[str, ...],
) -> None:
    """Store how a conversation ended; its legs are kept with their costs."""
    await tx.exec(
        """
        UPDATE conversations
           SET status = %(status)s, ended_at = %(ended_at)s, duration_seconds = %(duration_seconds)s, end_reason = %(reason)s,
               usage = %(usage)s, llm_usd = %(llm)s, tts_usd = %(tts)s, stt_usd = %(stt)s, telephony_usd = %(telephony)s,
               outcome = CASE WHEN %(reason)s = 'voicemail' THEN coalesce(outcome, 'voicemail') ELSE outcome END,
               leg_costs = %(leg_costs)s::jsonb, quality = %(quality)s, recording = %(recording)s::jsonb, warnings = %(warnings)s::text[]
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        status=status,
        ended_at=ended_at,
        duration_seconds=duration_seconds,
        reason=reason,
        usage=msgspec.structs.replace(usage, legs=()),
        leg_costs=_json(costs.legs),
        llm=costs.llm,
        tts=costs.tts,
        stt=costs.stt,
        telephony=costs.telephony,
        quality=quality,
        recording=_json(recording) if recording else None,
        warnings=warnings,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def charge(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId, *, usage: Usage, costs: Costs) -> None:
    """Store what an ended conversation used and cost."""
    await tx.exec(
        """
        UPDATE conversations
           SET usage = %(usage)s, llm_usd = %(llm)s, tts_usd = %(tts)s, stt_usd = %(stt)s, telephony_usd = %(telephony)s,
               leg_costs = %(leg_costs)s::jsonb
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        usage=msgspec.structs.replace(usage, legs=()),
        leg_costs=_json(costs.legs),
        llm=costs.llm,
        tts=costs.tts,
        stt=costs.stt,
        telephony=costs.telephony,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def leg_costs(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId) -> tuple[LegCost, ...]:
    """What each leg of a conversation cost, as far as it was priced before."""
    return await tx.one(
        tuple[LegCost, ...],
        """
        SELECT coalesce((SELECT leg_costs
                           FROM conversations
                          WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s), '[]'::jsonb)
        """,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def get(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> StoredConversation | None:
    """One conversation."""
    return await tx.maybe(
        StoredConversation,
        """
        SELECT id, tenant_id, environment, session_id, agent_id, agent_name, agent_version, channel, direction, status, language,
               hipaa, recording_wanted, retention_days, started_at, ended_at, duration_seconds, caller, metadata, end_reason, usage,
               llm_usd, tts_usd, stt_usd, telephony_usd, leg_costs, warnings, recording, analysis, tags, outcome, outcome_notes,
               archived_at, recording_deleted_at
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def by_ids(
    tx: Tx, tenant_id: TenantId, environment: Environment, ids: tuple[str, ...]
) -> list[StoredConversation]:
    """The conversations with these ids, in this order; those that are gone are left out."""
    return await tx.all(
        StoredConversation,
        """
        SELECT c.id, c.tenant_id, c.environment, c.session_id, c.agent_id, c.agent_name, c.agent_version, c.channel, c.direction, c.status,
               c.language, c.hipaa, c.recording_wanted, c.retention_days, c.started_at, c.ended_at, c.duration_seconds, c.caller,
               c.metadata, c.end_reason, c.usage, c.llm_usd, c.tts_usd, c.stt_usd, c.telephony_usd, c.leg_costs, c.warnings, c.recording,
               c.analysis, c.tags, c.outcome, c.outcome_notes, c.archived_at, c.recording_deleted_at
          FROM unnest(%(ids)s::text[], %(opened_at)s::timestamptz[]) WITH ORDINALITY AS wanted (id, opened_at, nth)
          JOIN conversations c ON c.opened_at = wanted.opened_at AND c.id = wanted.id
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
         ORDER BY wanted.nth
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
        opened_at=tuple(opened_at(id) for id in ids),
    )


async def set_archived(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, at: datetime | None
) -> None:
    """Archive a conversation, which keeps the time of the first time, or take it back."""
    await tx.exec(
        """
        UPDATE conversations
           SET archived_at = CASE WHEN %(at)s::timestamptz IS NULL THEN NULL ELSE coalesce(archived_at, %(at)s) END
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def set_analysis(
    tx: Tx, tenant_id: TenantId, conversation_id: ConversationId, *, analysis: AnalysisSummary, outcome: str | None
) -> None:
    """Store what the analysis found; its outcome only where nobody put one."""
    await tx.exec(
        """
        UPDATE conversations
           SET analysis = %(analysis)s, sentiment_score = %(sentiment_score)s,
               outcome = CASE WHEN outcome_put_at IS NULL THEN coalesce(%(outcome)s, outcome) ELSE outcome END
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        analysis=analysis,
        sentiment_score=analysis.sentiment_score,
        outcome=outcome,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def is_deleted(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId) -> bool:
    """Whether there was such a conversation once."""
    return await tx.one(
        bool,
        "SELECT EXISTS (SELECT FROM deleted_conversations WHERE tenant_id = %(tenant_id)s AND id = %(id)s)",
        tenant_id=tenant_id,
        id=conversation_id,
    )


async def bury(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, at: datetime
) -> None:
    """Note that a conversation is deleted."""
    await tx.exec(
        """
        INSERT INTO deleted_conversations (id, tenant_id, environment, deleted_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(at)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=conversation_id,
        tenant_id=tenant_id,
        environment=environment,
        at=at,
    )


async def line_usage(
    tx: Tx, tenant_id: TenantId, environment: Environment, *, start: datetime | None, before: datetime | None
) -> list[LineUsage]:
    """Sums over the lines of ended conversations that started in a period, by our number, carrier, channel and direction. What was written
    counts by the way it went."""
    return await tx.all(
        LineUsage,
        """
        WITH lines AS (
            SELECT c.id, c.channel, e.leg -> 'leg' ->> 'provider' AS provider,
                   coalesce(c.line_number, (SELECT t.our_address
                                              FROM messages m
                                              JOIN message_threads t ON t.id = m.thread_id
                                             WHERE m.tenant_id = c.tenant_id AND m.environment = c.environment AND m.conversation_id = c.id
                                             LIMIT 1)) AS phone_number,
                   CASE WHEN right(e.leg -> 'leg' ->> 'model', 8) = '_inbound' THEN 'inbound'
                        WHEN right(e.leg -> 'leg' ->> 'model', 9) = '_outbound' THEN 'outbound'
                        ELSE c.direction END AS direction,
                   coalesce((e.leg -> 'leg' ->> 'session_seconds')::double precision, 0) AS seconds,
                   coalesce((e.leg -> 'leg' ->> 'messages')::integer, 0) AS messages,
                   (e.leg ->> 'usd')::numeric AS usd
              FROM conversations c
             CROSS JOIN LATERAL jsonb_array_elements(c.leg_costs) AS e (leg)
             WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
               AND (%(start)s::timestamptz IS NULL OR c.started_at >= %(start)s)
               AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
               AND jsonb_typeof(c.leg_costs) = 'array' AND e.leg -> 'leg' ->> 'kind' = 'telephony'
        )
        SELECT phone_number, provider, channel, direction, count(DISTINCT id)::integer AS conversations,
               sum(ceil(seconds / 60))::integer AS minutes, sum(seconds) AS seconds, sum(messages)::integer AS messages, sum(usd) AS cost_usd
          FROM lines
         GROUP BY phone_number, provider, channel, direction
         ORDER BY sum(usd) DESC, phone_number, provider, channel, direction
         LIMIT 10000
        """,
        tenant_id=tenant_id,
        environment=environment,
        start=start,
        before=before,
    )


async def stats(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    agent_id: AgentId,
    *,
    start: datetime | None,
    before: datetime | None,
) -> Stats:
    """Sums over an agent's conversations that started in a period."""
    return await tx.one(
        Stats,
        """
        WITH grouped AS MATERIALIZED (
            SELECT channel, status, outcome, count(*) AS conversations, count(duration_seconds) AS timed,
                   sum(duration_seconds) AS seconds,
                   sum(coalesce(llm_usd, 0) + coalesce(tts_usd, 0) + coalesce(stt_usd, 0) + coalesce(telephony_usd, 0)) AS usd,
                   sum(sentiment_score) AS sentiment, count(sentiment_score) AS sentiments
              FROM conversations
             WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s
               AND (%(start)s::timestamptz IS NULL OR started_at >= %(start)s)
               AND (%(before)s::timestamptz IS NULL OR started_at < %(before)s)
             GROUP BY channel, status, outcome
        )
        SELECT coalesce(sum(conversations), 0)::bigint AS conversations, coalesce(sum(timed), 0)::bigint AS timed,
               coalesce(sum(seconds), 0) AS duration_seconds, coalesce(sum(usd), 0) AS cost_usd,
               sum(sentiment) / nullif(sum(sentiments), 0)::double precision AS sentiment_score,
               (SELECT coalesce(jsonb_object_agg(channel, n), '{}')
                  FROM (SELECT channel, sum(conversations)::bigint AS n FROM grouped GROUP BY channel) AS channels) AS by_channel,
               (SELECT coalesce(jsonb_object_agg(outcome, n), '{}')
                  FROM (SELECT coalesce(outcome, 'abandoned') AS outcome, sum(conversations)::bigint AS n FROM grouped
                         WHERE outcome IS NOT NULL OR status = 'abandoned' GROUP BY 1) AS outcomes) AS by_outcome,
               (SELECT coalesce(jsonb_object_agg(status, n), '{}')
                  FROM (SELECT status, sum(conversations)::bigint AS n FROM grouped GROUP BY status) AS states) AS by_status
          FROM grouped
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        start=start,
        before=before,
    )


async def turns(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> list[StoredTurn]:
    """A conversation's turns, in order."""
    return await tx.all(
        StoredTurn,
        """
        SELECT sequence, speaker, text, start_time, end_time, confidence, words, interrupted
          FROM turns
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s AND opened_at = %(opened_at)s
         ORDER BY sequence
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def add_tags(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, tags: tuple[str, ...]
) -> None:
    """Add tags that are not there yet, in the order given."""
    await tx.exec(
        """
        UPDATE conversations
           SET tags = tags || ARRAY(SELECT tag FROM unnest(%(tags)s::text[]) WITH ORDINALITY AS new (tag, place)
                                     WHERE tag <> ALL (conversations.tags) ORDER BY place)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        tags=tags,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def remove_tag(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, tag: str
) -> None:
    """Remove a tag."""
    await tx.exec(
        """
        UPDATE conversations SET tags = array_remove(tags, %(tag)s)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        tag=tag,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def set_outcome(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    conversation_id: ConversationId,
    *,
    outcome: str,
    notes: str | None,
    at: datetime,
) -> None:
    """Set a conversation's outcome, so that no analysis changes it any more."""
    await tx.exec(
        """
        UPDATE conversations SET outcome = %(outcome)s, outcome_notes = %(notes)s, outcome_put_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        outcome=outcome,
        notes=notes,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId) -> None:
    """Wait for events of this conversation that are being stored, and keep later ones waiting."""
    await tx.maybe(
        bool,
        """
        SELECT true
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def delete_turns(tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId) -> None:
    """Delete a conversation's turns."""
    await tx.exec(
        """
        DELETE FROM turns
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s AND opened_at = %(opened_at)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def recordings_due(tx: Tx, *, at: datetime, limit: int) -> list[RecordingDue]:
    """Conversations of any tenant whose recording has reached the end of its retention, the longest due first."""
    return await tx.all(
        RecordingDue,
        """
        SELECT id, tenant_id
          FROM conversations
         WHERE recording_wanted AND ended_at IS NOT NULL AND recording_deleted_at IS NULL
           AND (started_at AT TIME ZONE 'UTC')::date + retention_days <= (%(at)s::timestamptz AT TIME ZONE 'UTC')::date
         ORDER BY (started_at AT TIME ZONE 'UTC')::date + retention_days
         LIMIT %(limit)s
        """,
        at=at,
        limit=limit,
    )


async def note_recording_deleted(tx: Tx, tenant_id: TenantId, conversation_id: ConversationId, *, at: datetime) -> None:
    """Note that a conversation's recording is gone."""
    await tx.exec(
        """
        UPDATE conversations SET recording_deleted_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        at=at,
        tenant_id=tenant_id,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId) -> None:
    """Delete a conversation."""
    await tx.exec(
        """
        DELETE FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND opened_at = %(opened_at)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def ensure_partitions(tx: Tx, *, at: datetime, months: int) -> int:
    """Create the missing partitions up to some months ahead; how many were created."""
    return await tx.one(int, "SELECT ensure_partitions(%(at)s, %(months)s)", at=at, months=months)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
