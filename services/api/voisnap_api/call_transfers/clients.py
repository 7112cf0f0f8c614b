"""Asks the runtime to hand a call over."""

from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import SessionId
from voisnap_kit.bus import EventBus, NoResponders, RequestTimeout
from voisnap_proto.requests import TRANSFER_SESSION, TransferBegun, TransferSession

from .records import WantedTransfer
from .usecases import not_transferable

_TIMEOUT = 4.0
"""The request may be passed on to another process."""
RETRY_AFTER = 2


async def transfer(bus: EventBus, session_id: SessionId, wanted: WantedTransfer) -> str:
    """The id of a transfer that has begun. Raises Conflict `not-transferable`, `transfer-in-progress`, NotFound
    `transfer-target-not-found`; LimitReached `node-full` where nobody answers."""
    request = TransferSession(
        session_id=session_id,
        to=wanted.address,
        name=wanted.target,
        mode=wanted.mode,
        summary=wanted.summary,
        ring_seconds=wanted.ring_seconds,
    )
    try:
        begun = await bus.request(TRANSFER_SESSION, request, TransferBegun, timeout=_TIMEOUT)
    except (NoResponders, RequestTimeout) as error:
        raise LimitReached(
            "No call server answers at the moment. Try again shortly.", code="node-full", retry_after=RETRY_AFTER
        ) from error
    if not begun.found:
        raise not_transferable()
    return begun.transfer_id
