"""Asking for transfers, and keeping what becomes of them."""

from datetime import timedelta

from voisnap_domain.calls import CallPhase, TransferMode, TransferStage
from voisnap_domain.errors import Conflict, FieldError, Invalid
from voisnap_domain.ids import ConversationId
from voisnap_domain.sessions import Channel
from voisnap_kit.work import Work
from voisnap_proto.events import CallTransferChanged

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.carrier_webhooks import usecases as carrier_calls
from voisnap_api.carrier_webhooks.records import CarrierCall
from voisnap_api.conversations.records import StoredConversation
from voisnap_api.conversations.usecases import NotYet, open_conversation
from voisnap_api.destinations import COUNTRY_NOT_ALLOWED, NOT_ALLOWED_DETAIL, country_detail
from voisnap_api.outbound_calls.countries import destination_fault

from . import store
from .records import StoredTransfer

MAX_LISTED = 100
"""Of one conversation; no call has more."""
LATE = timedelta(minutes=10)
"""A conversation that is not stored so long after its call was transferred has been deleted."""

_PLACES = {
    TransferStage.INITIATED: 0,
    TransferStage.RINGING: 1,
    TransferStage.ANSWERED: 2,
    TransferStage.ACCEPTED: 3,
    TransferStage.COMPLETED: 4,
    TransferStage.RETURNED: 4,
    TransferStage.FAILED: 4,
}
_CAUSES = {CallPhase.CANCELED: "caller_hung_up"}
"""Where the other side's call ended before anybody answered, in words of ours: nobody but the caller ends it."""
_ENDS = frozenset({TransferStage.COMPLETED, TransferStage.RETURNED, TransferStage.FAILED})


async def ask(work: Work, conversation_id: ConversationId) -> StoredConversation:
    """The conversation whose call is to be handed over, if it is one that can be. Raises NotFound, Conflict `not-transferable`."""
    conversation = await open_conversation(work, conversation_id, part="transfer")
    if conversation.channel is not Channel.PHONE or conversation.ended_at is not None:
        raise not_transferable()
    await audit.note(
        work,
        action="conversation.transfer_requested",
        target=Target(type="conversation", id=conversation_id),
    )
    return conversation


async def check_destination(work: Work, conversation: StoredConversation, number: str | None) -> None:
    """Raise Invalid for a number that the tenant may not call either, `number-not-allowed` or `country-not-allowed`."""
    ours = await store.our_side(work.tx, work.caller.tenant_id, conversation.environment, conversation.id)
    if number is None or ours is None:
        return
    code = await destination_fault(work, number, account=ours.account, ours=ours.number)
    if code is not None:
        detail = country_detail(number) if code == COUNTRY_NOT_ALLOWED else NOT_ALLOWED_DETAIL
        raise Invalid((FieldError(pointer="/phoneNumber", code=code, detail=detail),))


async def list_transfers(work: Work, conversation_id: ConversationId) -> list[StoredTransfer]:
    """What became of a conversation's transfers, the first one first. Raises NotFound."""
    await open_conversation(work, conversation_id, part="transfers")
    caller = work.caller
    return await store.of_conversation(work.tx, caller.tenant_id, caller.environment, conversation_id, limit=MAX_LISTED)


async def may_be_handed_over(work: Work, conversation_id: ConversationId) -> bool:
    """Whether somebody was to take a conversation's call over; also where the conversation is not stored any more, and nobody knows."""
    whose = (work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
    return bool(await store.of_conversation(*whose, limit=1)) or not await store.conversation_exists(*whose)


async def note(work: Work, event: CallTransferChanged) -> None:
    """Keep how far a transfer got; what comes twice or late changes nothing but what was missing. Raises NotYet."""
    answered, ended = event.stage is TransferStage.ANSWERED, event.stage in _ENDS
    known = await store.lock(work.tx, event.tenant_id, event.environment, event.transfer_id)
    if known is None:
        if await store.insert(work.tx, event, answered=answered, ended=ended):
            await _catch_up(work, event)
            return
        exists = await store.conversation_exists(work.tx, event.tenant_id, event.environment, event.conversation_id)
        if exists or work.now - event.at < LATE:
            raise NotYet(event.conversation_id)
        return
    is_news = _PLACES[event.stage] > _PLACES[known.stage]
    await store.advance(
        work.tx,
        event,
        event.stage if is_news else known.stage,
        answered=answered and known.answered_at is None,
        ended=ended and known.ended_at is None,
    )
    if ended:
        await _catch_up(work, event)


async def note_leg(work: Work, call: CarrierCall) -> None:
    """Keep what became of the call that a caller was handed over to without more ado; of a warm transfer the runtime tells it."""
    known = await carrier_calls.leg_of(work, call.session_id, call.attempt_id or "")
    if known is None or known.phase is None:
        return
    cause = known.phase.value if known.phase in carrier_calls.UNREACHED and known.answered_at is None else ""
    await store.note_cold_leg(
        work.tx,
        known.tenant_id,
        known.environment,
        known.attempt_id or "",
        answered_at=known.answered_at,
        cause=_CAUSES.get(known.phase, cause) if cause else "",
    )


async def _catch_up(work: Work, event: CallTransferChanged) -> None:
    """A carrier may have told of the call before its transfer was stored."""
    if event.mode is not TransferMode.COLD:
        return
    leg = await carrier_calls.leg_of(work, event.session_id, event.transfer_id)
    if leg is not None:
        await note_leg(work, leg)


def not_transferable() -> Conflict:
    """The refusal of what is no telephone call in progress."""
    return Conflict("Only a telephone call that goes on can be transferred.", code="not-transferable")
