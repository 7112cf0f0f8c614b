"""Keeps what the runtime tells of transfers. Events may come twice and out of order."""

from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, begin, utc_now
from voisnap_proto.events import CallTransferChanged

from . import usecases

CONSUMER = "api-call-transfers"


async def subscribe(bus: EventBus, database: Database, *, clock: Clock = utc_now) -> Subscription:
    """Follow transfers until closed. No event is given up while the database is away: a day's worth of attempts."""

    async def handle(event: CallTransferChanged, _meta: Meta) -> None:
        async with begin(database, Caller.system(event.tenant_id, event.environment), clock=clock) as work:
            await usecases.note(work, event)

    return await bus.subscribe(
        CONSUMER,
        (CallTransferChanged,),
        handle,
        max_in_flight=8,
        max_deliver=3000,
        backoff=(0.1, 0.5, 2.0, 5.0, 10.0, 30.0),
    )
