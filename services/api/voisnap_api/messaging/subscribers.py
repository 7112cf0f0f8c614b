"""Wakes whoever answers messages, and sends what agents in calls want sent."""

from collections.abc import Callable

from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.inbox import handled
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin
from voisnap_proto.events import MessageReceived, TextRequested

from . import usecases
from .networks import Networks

CONSUMER = "api-messages"
WAKING = "api-message-exchanges"


async def subscribe(bus: EventBus, database: Database, networks: Networks) -> Subscription:
    """Follow what agents want sent."""

    async def handle(event: TextRequested, meta: Meta) -> None:
        await on_text_requested(database, networks, event, meta)

    return await bus.subscribe(CONSUMER, (TextRequested,), handle, max_deliver=3000)


async def on_text_requested(database: Database, networks: Networks, event: TextRequested, meta: Meta) -> None:
    """Put one text into the outbox, once."""
    async with begin(database, Caller.system(event.tenant_id, event.environment)) as work:
        if not await handled(work.tx, CONSUMER, meta.event_id):
            await usecases.send_requested(work, networks, event)


async def wake(bus: EventBus, woken: Callable[[], None]) -> Subscription:
    """Have `woken` called when somebody wrote, in one of the workers: the others look now and then."""

    async def handle(_event: MessageReceived, _meta: Meta) -> None:
        woken()

    return await bus.subscribe(WAKING, (MessageReceived,), handle)
