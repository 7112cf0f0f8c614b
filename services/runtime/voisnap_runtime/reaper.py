"""`python -m voisnap_runtime.reaper`: ends sessions that nobody looks after any more, whatever state the runtimes are in.

It needs Redis, NATS and object storage, and neither models nor a runtime: one that is killed, stuck or stopped can't keep a session alive
beyond its lease, and none beyond its deadline. Telephone calls are ended at their carriers. Any number of them may run.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voisnap_kit.memory import loading

with loading():
    import msgspec
    from voisnap_domain.ids import EventId, NodeId
    from voisnap_kit import log, trace
    from voisnap_kit.bus import Bus
    from voisnap_kit.ids import new_id
    from voisnap_kit.reconcile import Reconciler
    from voisnap_kit.redis import Redis
    from voisnap_kit.sealing import Keyring, opener
    from voisnap_kit.serve import run, run_worker
    from voisnap_kit.settings import Secret, load
    from voisnap_providers.accounts import platform_accounts
    from voisnap_providers.tenant_accounts import TenantAccounts
    from voisnap_providers.vendors.blobs import blobs_from_url

    from .carriers.exchange import Exchange
    from .recording import Recordings
    from .sessions.journal import Relay
    from .sessions.neighbours import Neighbours
    from .sessions.reaper import Reaper
    from .sessions.store import RedisStore

REAP_SECONDS = 2.0
RELAY_SECONDS = 1.0


class ReaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One variable a field, in upper case; `resume_window_seconds`, the sealing keys and the simulator's accounts as the runtimes have them."""

    redis_url: str
    nats_url: str
    blobs_url: str
    spool_dir: Path
    http_host: str = "127.0.0.1"
    http_port: int = 8084
    node_id: str | None = None
    resume_window_seconds: float = 30.0
    voisnap_sealing_keys: Secret | None = None
    simulator_accounts_file: Path | None = None
    log_level: str = "INFO"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None


async def main() -> None:
    """Work until SIGTERM."""
    settings = load(ReaperSettings, os.environ)
    log.configure("reaper", level=settings.log_level, fmt=settings.log_format)
    trace.configure("reaper", settings.otel_exporter_otlp_endpoint)
    node_id = NodeId(settings.node_id or new_id("reaper"))
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(await Redis.open(settings.redis_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, f"reaper {node_id}"))
        recordings = Recordings(blobs_from_url(settings.blobs_url), spool=settings.spool_dir)
        stack.push_async_callback(recordings.close)
        store = RedisStore(redis)
        relay = Relay(store, bus)
        keys = settings.voisnap_sealing_keys
        exchange = Exchange(
            platform=platform_accounts(os.environ),
            tenants=TenantAccounts(opener(None if keys is None else Keyring.parse(keys.value)), os.environ),
            simulator_file=settings.simulator_accounts_file,
        )
        stack.push_async_callback(exchange.aclose)
        reaper = Reaper(
            store,
            node_id,
            recordings,
            publish=relay.wake,
            now=lambda: datetime.now(UTC),
            new_event_id=lambda: EventId(new_id("evt")),
            neighbours=Neighbours(bus, node_id),
            window=timedelta(seconds=settings.resume_window_seconds),
            hang_up=exchange.hang_up_soon,
        )
        reaping = Reconciler("sessions.reaper", REAP_SECONDS, reaper.reap)
        await run_worker(
            lambda: _work(reaping, relay, recordings),
            service="reaper",
            host=settings.http_host,
            port=settings.http_port,
            checks={"redis": redis.ping, "nats": bus.check, "reaping": reaping.beat.check},
        )


async def _work(reaping: Reconciler, relay: Relay, recordings: Recordings) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(reaping.run())
            group.create_task(relay.run())
            group.create_task(recordings.run())
    finally:
        await relay.drained(timeout=RELAY_SECONDS)


if __name__ == "__main__":
    run(main)
