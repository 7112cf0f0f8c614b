"""`python -m voisnap_api.worker`: stores what the other services tell, and keeps the database in order."""

import asyncio
import os
from contextlib import AsyncExitStack

from voisnap_kit import log, trace
from voisnap_kit.bus import Bus
from voisnap_kit.outbox import Relay
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.serve import run, run_worker
from voisnap_kit.settings import load

from .auth.reconcilers import expired_refresh_tokens
from .conversations import reconcilers as conversation_reconcilers
from .conversations import subscribers as conversation_subscribers
from .idempotency.reconcilers import old_idempotency_keys
from .inbox_upkeep import old_inbox_notes
from .settings import WorkerSettings
from .tenants import subscribers as tenant_subscribers


async def main() -> None:
    """Work until SIGTERM."""
    settings = load(WorkerSettings, os.environ)
    log.configure("api-worker", level=settings.log_level, fmt=settings.log_format)
    trace.configure("api-worker", settings.otel_exporter_otlp_endpoint)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.database_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, "api-worker"))
        await run_worker(
            lambda: work(database, bus),
            service="api-worker",
            host=settings.http_host,
            port=settings.http_port,
            checks={"database": database.check, "nats": bus.check},
        )


async def work(database: Database, bus: Bus) -> None:
    """Subscribers, reconcilers and the outbox relay, until cancelled."""
    subscriptions = [
        await tenant_subscribers.subscribe(bus, database),
        await conversation_subscribers.subscribe(bus, database),
    ]
    reconcilers: list[Reconciler] = [
        conversation_reconcilers.partitions(database),
        expired_refresh_tokens(database),
        old_inbox_notes(database),
        old_idempotency_keys(database),
    ]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Relay(database, bus).run())
            for reconciler in reconcilers:
                group.create_task(reconciler.run())
    finally:
        for subscription in subscriptions:
            await subscription.close()


if __name__ == "__main__":
    run(main)
