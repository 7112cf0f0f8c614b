"""The SQL of `call_recordings`."""

from datetime import datetime

from voisnap_domain.ids import ConversationId, SessionId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import CarrierRecording, KeptRecording, RecordedTime, RecordingStage


async def insert(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    id: str,
    provider: str,
    account: str,
    recording_id: str,
    session_id: SessionId,
    seconds: float | None,
    at: datetime,
) -> int:
    """Note a recording that is to be fetched; 0 when it is known."""
    return await tx.exec(
        """
        INSERT INTO call_recordings (id, tenant_id, environment, provider, account, recording_id, session_id, state, seconds, due_at,
                                     created_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(provider)s, %(account)s, %(recording_id)s, %(session_id)s, 'saved',
                %(seconds)s, %(at)s, %(at)s)
        ON CONFLICT (provider, account, recording_id) DO NOTHING
        """,
        id=id,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        recording_id=recording_id,
        session_id=session_id,
        seconds=seconds,
        at=at,
    )


async def take_due(tx: Tx, *, at: datetime, until: datetime, limit: int) -> list[CarrierRecording]:
    """Recordings of any tenant that somebody is to look after, the longest due first; nobody else gets them before `until`. A session's
    conversation is found as soon as its calls have been charged to it."""
    return await tx.all(
        CarrierRecording,
        """
        WITH due AS (
            SELECT id FROM call_recordings WHERE due_at <= %(at)s ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        UPDATE call_recordings r
           SET due_at = %(until)s, tries = tries + 1,
               conversation_id = coalesce(r.conversation_id,
                                          (SELECT c.conversation_id FROM carrier_calls c
                                            WHERE c.session_id = r.session_id AND c.tenant_id = r.tenant_id AND c.is_main
                                            LIMIT 1))
          FROM due
         WHERE r.id = due.id
        RETURNING r.id, r.tenant_id, r.environment, r.provider, r.account, r.recording_id, r.session_id, r.conversation_id, r.state,
                  r.seconds, r.key, r.size_bytes, r.at_carrier, r.tries, r.created_at
        """,
        at=at,
        until=until,
        limit=limit,
    )


async def settle(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    id: str,
    *,
    state: RecordingStage,
    key: str | None,
    size_bytes: int | None,
    due_at: datetime | None,
) -> None:
    """Note what has become of a recording, and when it is to be looked after next; the tries are counted anew."""
    await tx.exec(
        """
        UPDATE call_recordings
           SET state = %(state)s, key = %(key)s, size_bytes = %(size_bytes)s, due_at = %(due_at)s, tries = 0
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=id,
        state=state,
        key=key,
        size_bytes=size_bytes,
        due_at=due_at,
    )


async def note_gone(tx: Tx, tenant_id: TenantId, environment: Environment, id: str) -> None:
    """The carrier has it no more, and nothing is left to do."""
    await tx.exec(
        """
        UPDATE call_recordings SET at_carrier = false, due_at = NULL, tries = 0
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=id,
    )


async def put_off(tx: Tx, tenant_id: TenantId, environment: Environment, id: str, *, due_at: datetime) -> None:
    """Look after it later."""
    await tx.exec(
        """
        UPDATE call_recordings SET due_at = %(due_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=id,
        due_at=due_at,
    )


async def drop_of(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, at: datetime
) -> None:
    """Nobody may have a conversation's recordings any more: what the carrier still has is to be deleted there, the rest is forgotten."""
    await tx.exec(
        """
        WITH forgotten AS (
            DELETE FROM call_recordings
             WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s AND NOT at_carrier)
        UPDATE call_recordings SET state = 'dropped', key = NULL, due_at = %(at)s, tries = 0
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s AND at_carrier
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
        at=at,
    )


async def kept_of(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> list[KeptRecording]:
    """A conversation's recordings that can be heard, the first one first."""
    return await tx.all(
        KeptRecording,
        """
        SELECT key, seconds FROM call_recordings
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s AND state = 'kept'
         ORDER BY created_at, id
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
    )


async def recorded(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> list[RecordedTime]:
    """What a carrier recorded of a conversation, whatever has become of it."""
    return await tx.all(
        RecordedTime,
        """
        SELECT provider, account, recording_id, coalesce(seconds, 0)::float8 AS seconds FROM call_recordings
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(conversation_id)s
         ORDER BY created_at, id
        """,
        tenant_id=tenant_id,
        environment=environment,
        conversation_id=conversation_id,
    )


async def delete_old(tx: Tx, *, before: datetime, limit: int) -> int:
    """Forget recordings of all tenants of which nothing is kept and nothing is left to do; how many."""
    return await tx.exec(
        """
        DELETE FROM call_recordings
         WHERE id IN (SELECT id FROM call_recordings
                       WHERE state = 'dropped' AND due_at IS NULL AND created_at < %(before)s ORDER BY created_at LIMIT %(limit)s)
        """,
        before=before,
        limit=limit,
    )
