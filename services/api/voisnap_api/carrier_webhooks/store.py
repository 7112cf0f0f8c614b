"""The SQL of `carrier_calls` and `carrier_events`.

A carrier that asks names an account and a call, and the tenant is found by them: such look-ups run as the system.
"""

from datetime import datetime

from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.ids import ConversationId, SessionId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import CarrierCall, Line


async def name_call(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    provider: str,
    account: str,
    session_id: SessionId,
    attempt_id: str | None,
    call_id: str,
) -> int:
    """Give the expected call of an attempt the carrier's name; how many were waiting for it."""
    return await tx.exec(
        """
        UPDATE carrier_calls SET call_id = %(call_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND provider = %(provider)s AND account = %(account)s
           AND session_id = %(session_id)s AND attempt_id IS NOT DISTINCT FROM %(attempt_id)s::text AND call_id = ''
           AND NOT EXISTS (SELECT FROM carrier_calls
                            WHERE provider = %(provider)s AND account = %(account)s AND call_id = %(call_id)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        session_id=session_id,
        attempt_id=attempt_id,
        call_id=call_id,
    )


async def insert(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    provider: str,
    account: str,
    call_id: str,
    session_id: SessionId,
    attempt_id: str | None,
    is_main: bool,
    language: str,
    conversation_id: ConversationId | None,
    at: datetime,
) -> int:
    """Store a call; 0 when it is known already."""
    return await tx.exec(
        """
        INSERT INTO carrier_calls (tenant_id, environment, provider, account, call_id, session_id, attempt_id, is_main, language,
                                   conversation_id, claimed_at, created_at)
        VALUES (%(tenant_id)s, %(environment)s, %(provider)s, %(account)s, %(call_id)s, %(session_id)s, %(attempt_id)s, %(is_main)s,
                %(language)s, %(conversation_id)s, %(at)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        call_id=call_id,
        session_id=session_id,
        attempt_id=attempt_id,
        is_main=is_main,
        language=language,
        conversation_id=conversation_id,
        at=at,
    )


async def claim_again(
    tx: Tx,
    tenant_id: TenantId,
    call: int,
    *,
    session_id: SessionId,
    language: str,
    claimed_at: datetime,
    at: datetime,
) -> int:
    """Take over a call whose first request was never answered; 0 when somebody else has."""
    return await tx.exec(
        """
        UPDATE carrier_calls SET session_id = %(session_id)s, language = %(language)s, claimed_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND id = %(call)s AND answer IS NULL AND claimed_at = %(claimed_at)s
        """,
        tenant_id=tenant_id,
        call=call,
        session_id=session_id,
        language=language,
        claimed_at=claimed_at,
        at=at,
    )


async def keep_answer(
    tx: Tx, tenant_id: TenantId, *, provider: str, account: str, call_id: str, session_id: SessionId, answer: bytes
) -> None:
    """Keep what a call was answered with, unless it is over."""
    await tx.exec(
        """
        UPDATE carrier_calls SET answer = %(answer)s
         WHERE tenant_id = %(tenant_id)s AND provider = %(provider)s AND account = %(account)s AND call_id = %(call_id)s
           AND session_id = %(session_id)s AND ended_at IS NULL
        """,
        tenant_id=tenant_id,
        provider=provider,
        account=account,
        call_id=call_id,
        session_id=session_id,
        answer=answer,
    )


async def forget(
    tx: Tx, tenant_id: TenantId, *, provider: str, account: str, call_id: str, session_id: SessionId
) -> None:
    """Forget a call that was not taken."""
    await tx.exec(
        """
        DELETE FROM carrier_calls
         WHERE tenant_id = %(tenant_id)s AND provider = %(provider)s AND account = %(account)s AND call_id = %(call_id)s
           AND session_id = %(session_id)s AND answer IS NULL
        """,
        tenant_id=tenant_id,
        provider=provider,
        account=account,
        call_id=call_id,
        session_id=session_id,
    )


async def by_call(tx: Tx, *, provider: str, account: str, call_id: str) -> CarrierCall | None:
    """The call of that name, of whatever tenant; as the system."""
    return await tx.maybe(
        CarrierCall,
        """
        SELECT id, tenant_id, environment, provider, account, call_id, session_id, attempt_id, is_main, phase, answered_by, seconds, answer,
               language, claimed_at, answered_at, ended_at, conversation_id
          FROM carrier_calls
         WHERE provider = %(provider)s AND account = %(account)s AND call_id = %(call_id)s AND call_id <> ''
        """,
        provider=provider,
        account=account,
        call_id=call_id,
    )


async def by_session(tx: Tx, *, provider: str, account: str, session_id: SessionId) -> list[CarrierCall]:
    """The calls of a session, of whatever tenant, the main one first; as the system."""
    return await tx.all(
        CarrierCall,
        """
        SELECT id, tenant_id, environment, provider, account, call_id, session_id, attempt_id, is_main, phase, answered_by, seconds, answer,
               language, claimed_at, answered_at, ended_at, conversation_id
          FROM carrier_calls
         WHERE session_id = %(session_id)s AND provider = %(provider)s AND account = %(account)s
         ORDER BY is_main DESC, id
        """,
        provider=provider,
        account=account,
        session_id=session_id,
    )


async def lock(tx: Tx, tenant_id: TenantId, call: int) -> CarrierCall | None:
    """A call as it is now, until the end of the transaction. One that was stored while its session's conversation was being charged has the
    main call's."""
    return await tx.maybe(
        CarrierCall,
        """
        SELECT c.id, c.tenant_id, c.environment, c.provider, c.account, c.call_id, c.session_id, c.attempt_id, c.is_main, c.phase,
               c.answered_by, c.seconds, c.answer, c.language, c.claimed_at, c.answered_at, c.ended_at,
               coalesce(c.conversation_id, (SELECT m.conversation_id FROM carrier_calls m
                                             WHERE m.tenant_id = c.tenant_id AND m.session_id = c.session_id AND m.is_main
                                             LIMIT 1)) AS conversation_id
          FROM carrier_calls c
         WHERE c.tenant_id = %(tenant_id)s AND c.id = %(call)s
           FOR UPDATE OF c
        """,
        tenant_id=tenant_id,
        call=call,
    )


async def lock_attempt(
    tx: Tx, tenant_id: TenantId, environment: Environment, *, session_id: SessionId, attempt_id: str
) -> CarrierCall | None:
    """A further call of a session as it is now, until the end of the transaction."""
    return await tx.maybe(
        CarrierCall,
        """
        SELECT id, tenant_id, environment, provider, account, call_id, session_id, attempt_id, is_main, phase, answered_by, seconds, answer,
               language, claimed_at, answered_at, ended_at, conversation_id
          FROM carrier_calls
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND session_id = %(session_id)s
           AND attempt_id = %(attempt_id)s AND NOT is_main
         ORDER BY id LIMIT 1
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        session_id=session_id,
        attempt_id=attempt_id,
    )


async def advance(
    tx: Tx,
    tenant_id: TenantId,
    call: int,
    *,
    phase: CallPhase,
    seconds: float | None,
    answered_at: datetime | None,
    ended_at: datetime | None,
) -> None:
    """Store how far a call has come. What it was answered with is of no use after its end."""
    await tx.exec(
        """
        UPDATE carrier_calls
           SET phase = %(phase)s, seconds = %(seconds)s, answered_at = %(answered_at)s, ended_at = %(ended_at)s,
               answer = CASE WHEN %(ended_at)s::timestamptz IS NULL THEN answer END
         WHERE tenant_id = %(tenant_id)s AND id = %(call)s
        """,
        tenant_id=tenant_id,
        call=call,
        phase=phase,
        seconds=seconds,
        answered_at=answered_at,
        ended_at=ended_at,
    )


async def set_answerer(tx: Tx, tenant_id: TenantId, call: int, answered_by: AnsweredBy) -> None:
    """Store who answered."""
    await tx.exec(
        "UPDATE carrier_calls SET answered_by = %(answered_by)s WHERE tenant_id = %(tenant_id)s AND id = %(call)s",
        tenant_id=tenant_id,
        call=call,
        answered_by=answered_by,
    )


async def charge(
    tx: Tx, tenant_id: TenantId, environment: Environment, session_id: SessionId, conversation_id: ConversationId
) -> list[Line]:
    """Say which conversation is charged for a session's calls; those calls as they are now, the main one first."""
    return await tx.all(
        Line,
        """
        WITH charged AS (
            UPDATE carrier_calls SET conversation_id = %(conversation_id)s
             WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND session_id = %(session_id)s
            RETURNING id, call_id, provider, account, is_main, seconds, answered_at, ended_at
        )
        SELECT call_id, provider, account, is_main, seconds, extract(epoch FROM ended_at - answered_at)::float8 AS measured
          FROM charged ORDER BY is_main DESC, id
        """,
        tenant_id=tenant_id,
        environment=environment,
        session_id=session_id,
        conversation_id=conversation_id,
    )


async def is_seen(
    tx: Tx, tenant_id: TenantId, environment: Environment, *, provider: str, account: str, event_id: str
) -> bool:
    """Whether an event has been acted upon."""
    return await tx.one(
        bool,
        """
        SELECT EXISTS (SELECT FROM carrier_events
                        WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
                          AND provider = %(provider)s AND account = %(account)s AND event_id = %(event_id)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        event_id=event_id,
    )


async def see(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    provider: str,
    account: str,
    event_id: str,
    at: datetime,
) -> bool:
    """Note that an event has been acted upon; False when it was before."""
    noted = await tx.exec(
        """
        INSERT INTO carrier_events (tenant_id, environment, provider, account, event_id, seen_at)
        VALUES (%(tenant_id)s, %(environment)s, %(provider)s, %(account)s, %(event_id)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        event_id=event_id,
        at=at,
    )
    return noted == 1


async def delete_events(tx: Tx, *, before: datetime, limit: int) -> int:
    """Delete notes of events that nobody repeats any more, of all tenants; how many."""
    return await tx.exec(
        """
        DELETE FROM carrier_events
         WHERE (provider, account, event_id) IN (SELECT provider, account, event_id FROM carrier_events
                                                  WHERE seen_at < %(before)s ORDER BY seen_at LIMIT %(limit)s)
        """,
        before=before,
        limit=limit,
    )


async def delete_calls(tx: Tx, *, before: datetime, limit: int) -> int:
    """Delete calls of which carriers say nothing any more, of all tenants; how many."""
    return await tx.exec(
        """
        DELETE FROM carrier_calls
         WHERE id IN (SELECT id FROM carrier_calls WHERE created_at < %(before)s ORDER BY created_at LIMIT %(limit)s)
        """,
        before=before,
        limit=limit,
    )
