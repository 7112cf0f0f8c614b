"""Knows who called: the caller of a telephone call is the same contact as whoever writes from that number."""

from voisnap_domain.sessions import Channel
from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.inbox import handled
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin
from voisnap_proto.events import SessionStarted

from . import usecases
from .records import Identity, IdentityKind

CONSUMER = "api-contacts"


async def subscribe(bus: EventBus, database: Database) -> Subscription:
    """Follow the beginnings of conversations."""

    async def handle(event: SessionStarted, meta: Meta) -> None:
        await on_session_started(database, event, meta)

    return await bus.subscribe(CONSUMER, (SessionStarted,), handle, max_deliver=3000)


async def on_session_started(database: Database, event: SessionStarted, meta: Meta) -> None:
    """Meet the caller of a telephone call, once."""
    plan = event.plan
    if plan.channel is not Channel.PHONE or plan.caller.phone_number is None:
        return
    async with begin(database, Caller.system(plan.tenant_id, plan.environment)) as work:
        if not await handled(work.tx, CONSUMER, meta.event_id):
            caller = Identity(kind=IdentityKind.PHONE, value=plan.caller.phone_number)
            await usecases.meet(work, (caller,), country=plan.caller.country)
