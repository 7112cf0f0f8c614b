"""The SQL of `carrier_calls` and `carrier_events`.

A carrier that asks names an account and a call, and the tenant is found by them: such look-ups run as the system.
"""

from datetime import datetime

from voisnap_domain.ids import SessionId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import CarrierCall


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
    at: datetime,
) -> int:
    """Store a call; 0 when it is known already."""
    return await tx.exec(
        """
        INSERT INTO carrier_calls (tenant_id, environment, provider, account, call_id, session_id, attempt_id, claimed_at, created_at)
        VALUES (%(tenant_id)s, %(environment)s, %(provider)s, %(account)s, %(call_id)s, %(session_id)s, %(attempt_id)s, %(at)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        account=account,
        call_id=call_id,
        session_id=session_id,
        attempt_id=attempt_id,
        at=at,
    )


async def by_call(tx: Tx, *, provider: str, account: str, call_id: str) -> CarrierCall | None:
    """The call of that name; as the system."""
    return await tx.maybe(
        CarrierCall,
        """
        SELECT id, tenant_id, environment, provider, account, call_id, session_id, attempt_id, phase, answered_by, seconds, answer,
               refused, claimed_at, ended_at
          FROM carrier_calls
         WHERE provider = %(provider)s AND account = %(account)s AND call_id = %(call_id)s AND call_id <> ''
        """,
        provider=provider,
        account=account,
        call_id=call_id,
    )
