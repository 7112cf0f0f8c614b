"""The SQL of `call_transfers`."""

from datetime import datetime

import msgspec
from voisnap_domain.calls import TransferStage
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx
from voisnap_proto.events import CallTransferChanged

from voisnap_api.conversations.records import opened_at

from .records import StoredTransfer


class _Found(msgspec.Struct, frozen=True):
    id: str


class OurSide(msgspec.Struct, frozen=True):
    """Our number in a call, and the carrier's account that it is in."""

    number: str
    account: str


async def our_side(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> OurSide | None:
    """By what line a conversation's caller is here."""
    return await tx.maybe(
        OurSide,
        """
        SELECT coalesce(c.line_number, '') AS number,
               coalesce((SELECT k.account FROM carrier_calls k
                          WHERE k.tenant_id = c.tenant_id AND k.environment = c.environment AND k.session_id = c.session_id AND k.is_main
                          LIMIT 1), 'platform') AS account
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s AND c.opened_at = %(opened_at)s
           AND c.id = %(conversation_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        opened_at=opened_at(conversation_id),
        conversation_id=conversation_id,
    )


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment, transfer_id: str) -> StoredTransfer | None:
    """A transfer, held until the end of the transaction."""
    return await tx.maybe(
        StoredTransfer,
        """
        SELECT id, conversation_id, mode, target, destination, requested_by, reason, stage, cause, started_at, answered_at, ended_at
          FROM call_transfers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=transfer_id,
    )


async def insert(tx: Tx, event: CallTransferChanged, *, answered: bool, ended: bool) -> int:
    """Note a transfer as its first event tells it; 0 where there is no such conversation, or somebody was faster."""
    return await tx.exec(
        """
        INSERT INTO call_transfers (id, tenant_id, environment, opened_at, conversation_id, mode, target, destination, requested_by,
                                    reason, stage, cause, started_at, answered_at, ended_at)
        SELECT %(id)s, tenant_id, environment, opened_at, id, %(mode)s, %(target)s, %(destination)s, %(requested_by)s, %(reason)s,
               %(stage)s, %(cause)s, %(at)s::timestamptz, CASE WHEN %(answered)s THEN %(at)s::timestamptz END,
               CASE WHEN %(ended)s THEN %(at)s::timestamptz END
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND opened_at = %(opened_at)s
           AND id = %(conversation_id)s
        ON CONFLICT (id) DO NOTHING
        """,
        id=event.transfer_id,
        tenant_id=event.tenant_id,
        environment=event.environment,
        opened_at=opened_at(event.conversation_id),
        conversation_id=event.conversation_id,
        mode=event.mode,
        target=event.name,
        destination=event.to,
        requested_by=event.requested_by,
        reason=event.reason,
        stage=event.stage,
        cause=event.cause,
        at=event.at,
        answered=answered,
        ended=ended,
    )


async def advance(tx: Tx, event: CallTransferChanged, stage: TransferStage, *, answered: bool, ended: bool) -> None:
    """Note how far a transfer got, and when it began if an earlier event came late."""
    await tx.exec(
        """
        UPDATE call_transfers
           SET stage = %(stage)s,
               cause = CASE WHEN %(cause)s = '' THEN cause ELSE %(cause)s END,
               started_at = least(started_at, %(at)s),
               answered_at = CASE WHEN %(answered)s THEN %(at)s ELSE answered_at END,
               ended_at = CASE WHEN %(ended)s THEN %(at)s ELSE ended_at END
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        tenant_id=event.tenant_id,
        environment=event.environment,
        id=event.transfer_id,
        stage=stage,
        cause=event.cause,
        at=event.at,
        answered=answered,
        ended=ended,
    )


async def note_cold_leg(
    tx: Tx, tenant_id: TenantId, environment: Environment, transfer_id: str, *, answered_at: datetime | None, cause: str
) -> None:
    """Note when somebody answered a call that was handed over cold; with a `cause` nobody did, and it came to nothing."""
    await tx.exec(
        """
        UPDATE call_transfers
           SET answered_at = coalesce(answered_at, %(answered_at)s),
               stage = CASE WHEN %(cause)s = '' THEN stage ELSE 'failed' END,
               cause = CASE WHEN %(cause)s = '' THEN cause ELSE %(cause)s END
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s AND mode = 'cold'
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=transfer_id,
        answered_at=answered_at,
        cause=cause,
    )


async def conversation_exists(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId
) -> bool:
    """Whether a conversation is stored."""
    found = await tx.maybe(
        _Found,
        """
        SELECT id FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND opened_at = %(opened_at)s AND id = %(id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        opened_at=opened_at(conversation_id),
        id=conversation_id,
    )
    return found is not None


async def of_conversation(
    tx: Tx, tenant_id: TenantId, environment: Environment, conversation_id: ConversationId, *, limit: int
) -> list[StoredTransfer]:
    """The transfers of a conversation, the first one first."""
    return await tx.all(
        StoredTransfer,
        """
        SELECT id, conversation_id, mode, target, destination, requested_by, reason, stage, cause, started_at, answered_at, ended_at
          FROM call_transfers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND conversation_id = %(id)s
         ORDER BY started_at, id
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        id=conversation_id,
        limit=limit,
    )
