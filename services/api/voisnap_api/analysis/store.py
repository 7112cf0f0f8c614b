"""The SQL of `analyses`."""

from datetime import datetime

import msgspec
from voisnap_domain.analysis import WhyNoAnalysis
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from voisnap_api.conversations.records import opened_at

from .records import AnalysisResult, Failure, StoredAnalysis, Task


async def insert(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, task: Task, at: datetime
) -> None:
    """Note that a conversation is to be analysed; one that is noted stays as it is."""
    await tx.exec(
        """
        INSERT INTO analyses (opened_at, conversation_id, tenant_id, environment, status, task, requested_at)
        VALUES (%(opened_at)s, %(id)s, %(tenant_id)s, %(environment)s, 'processing', %(task)s, %(at)s)
        ON CONFLICT (opened_at, conversation_id) DO NOTHING
        """,
        opened_at=opened_at(conversation_id),
        id=conversation_id,
        tenant_id=tenant_id,
        environment=environment,
        task=task,
        at=at,
    )


async def get(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> StoredAnalysis | None:
    """A conversation's analysis, wherever it stands."""
    return await tx.maybe(
        StoredAnalysis,
        """
        SELECT conversation_id, tenant_id, environment, status, reason, task, attempts, requested_at, settled_at, result, error
          FROM analyses
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def take_up(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> StoredAnalysis | None:
    """Count an attempt at an analysis that is still to be done; None when there is nothing to do."""
    return await tx.maybe(
        StoredAnalysis,
        """
        UPDATE analyses SET attempts = attempts + 1
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status = 'processing'
        RETURNING conversation_id, tenant_id, environment, status, reason, task, attempts, requested_at, settled_at, result, error
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def complete(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    conversation_id: ConversationId,
    *,
    result: AnalysisResult,
    at: datetime,
) -> bool:
    """Keep a result; False when another attempt was faster."""
    done = await tx.exec(
        """
        UPDATE analyses SET status = 'completed', result = %(result)s::jsonb, settled_at = %(at)s, error = NULL, reason = NULL
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status = 'processing'
        """,
        result=msgspec.json.encode(result).decode(),
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )
    return done == 1


async def skip(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    conversation_id: ConversationId,
    *,
    reason: WhyNoAnalysis,
    at: datetime,
) -> None:
    """Note that there is nothing to analyse, and why."""
    await tx.exec(
        """
        UPDATE analyses SET status = 'skipped', reason = %(reason)s, settled_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status = 'processing'
        """,
        reason=reason,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def fail(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    conversation_id: ConversationId,
    *,
    error: str,
    at: datetime,
) -> None:
    """Note that an analysis is given up."""
    await tx.exec(
        """
        UPDATE analyses SET status = 'failed', error = %(error)s, settled_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status = 'processing'
        """,
        error=error,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def ask_again(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, at: datetime
) -> bool:
    """Have a settled analysis done once more; False for one that is still in work."""
    changed = await tx.exec(
        """
        UPDATE analyses SET status = 'processing', attempts = 0, requested_at = %(at)s, error = NULL, reason = NULL
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status <> 'processing'
        """,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )
    return changed == 1


async def reopen(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, at: datetime
) -> None:
    """Have a failed analysis done once more."""
    await tx.exec(
        """
        UPDATE analyses SET status = 'processing', attempts = 0, requested_at = %(at)s, error = NULL
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
           AND opened_at = %(opened_at)s AND status = 'failed'
        """,
        at=at,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        opened_at=opened_at(conversation_id),
    )


async def failures(tx: Tx, tenant_id: TenantId, environment: Environment, *, limit: int, offset: int) -> list[Failure]:
    """Analyses that were given up, the latest first."""
    return await tx.all(
        Failure,
        """
        SELECT conversation_id, settled_at AS failed_at, attempts, error
          FROM analyses
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status = 'failed'
         ORDER BY settled_at DESC, conversation_id
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        limit=limit,
        offset=offset,
    )


async def count_failures(tx: Tx, tenant_id: TenantId, environment: Environment) -> int:
    """How many analyses were given up."""
    return await tx.one(
        int,
        """
        SELECT count(*) FROM analyses
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status = 'failed'
        """,
        tenant_id=tenant_id,
        environment=environment,
    )
