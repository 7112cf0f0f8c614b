"""Keeps the projection of tenants up to date with the admin service's events."""

from voisnap_domain.tenants import Environment
from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.inbox import handled
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.events import TenantCreated, TenantDeleted, TenantResumed, TenantSuspended, TenantUpdated

from . import usecases

CONSUMER = "api-tenants"

TenantEvent = TenantCreated | TenantUpdated | TenantSuspended | TenantResumed | TenantDeleted


async def subscribe(bus: EventBus, database: Database) -> Subscription:
    """Follow the admin service; a suspension is in force as soon as its event was handled."""

    async def handle(event: TenantEvent, meta: Meta) -> None:
        await on_tenant_event(database, event, meta)

    return await bus.subscribe(
        CONSUMER,
        (TenantCreated, TenantUpdated, TenantSuspended, TenantResumed, TenantDeleted),
        handle,
        max_deliver=3000,  # a day without the database: a suspension must not end among the dead letters
        backoff=(0.2, 0.5, 1.0, 5.0, 30.0),
    )


async def on_tenant_event(database: Database, event: TenantEvent, meta: Meta) -> None:
    """Take over the tenant's state, once an event."""
    async with begin_as_system(database, Caller.system(event.tenant_id, Environment.LIVE)) as work:
        if not await handled(work.tx, CONSUMER, meta.event_id):
            await usecases.keep_tenant(work, event.tenant)
