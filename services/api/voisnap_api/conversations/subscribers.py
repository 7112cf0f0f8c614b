"""Stores conversations from the runtime's events. Events may come twice and out of order."""

from typing import assert_never

from voisnap_domain.tenants import Environment
from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.inbox import handled
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished

from . import usecases

CONSUMER = "api-conversations"
PATIENCE = 30
"""Deliveries of `session.ended` after which a conversation is completed without the turns that never came."""

WAITS = 3
"""Of these deliveries the last must have found the database and missed turns, one after the other: while the database was away, the
turns could not be stored either, and are tried again within the longest pause."""

MOST_WAITING = 10_000

_BACKOFF = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0, 20.0, 30.0)
"""Short at first: a conversation is to be read within three seconds after its end."""

SessionEvent = SessionStarted | TurnFinished | SessionEnded


async def subscribe(bus: EventBus, database: Database) -> Subscription:
    """Follow the runtime. No event is given up while the database is away: a day's worth of attempts."""

    waits: dict[str, int] = {}

    async def handle(event: SessionEvent, meta: Meta) -> None:
        waited = waits.get(meta.event_id, 0)
        patient = meta.delivery < PATIENCE or waited < WAITS
        try:
            await on_session_event(database, event, meta, whatever_is_here=not patient)
        except usecases.NotYet:
            if meta.delivery >= PATIENCE - WAITS and len(waits) < MOST_WAITING:
                waits[meta.event_id] = waited + 1
            raise
        waits.pop(meta.event_id, None)

    return await bus.subscribe(
        CONSUMER,
        (SessionStarted, TurnFinished, SessionEnded),
        handle,
        max_in_flight=16,
        max_deliver=3000,
        backoff=_BACKOFF,
    )


async def on_session_event(
    database: Database, event: SessionEvent, meta: Meta, *, whatever_is_here: bool = False
) -> None:
    """Store what one event tells, once."""
    environment = event.plan.environment if isinstance(event, SessionStarted) else event.environment
    async with begin_as_system(database, Caller.system(event.tenant_id, Environment(environment))) as work:
        if await handled(work.tx, CONSUMER, meta.event_id):
            return
        match event:
            case SessionStarted():
                await usecases.begin_conversation(work, event.plan, event.started_at)
            case TurnFinished():
                await usecases.keep_turn(work, event.environment, event.conversation_id, event.turn)
            case SessionEnded():
                await usecases.end_conversation(work, event, whatever_is_here=whatever_is_here)
            case _:
                assert_never(event)
