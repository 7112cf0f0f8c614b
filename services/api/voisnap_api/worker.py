"""`python -m voisnap_api.worker`: stores what the other services tell, and keeps the database in order."""

import asyncio
import os
from contextlib import AsyncExitStack

from voisnap_kit.memory import loading

with loading():
    from voisnap_kit import log, sealing, trace
    from voisnap_kit.bus import Bus
    from voisnap_kit.outbox import Relay
    from voisnap_kit.postgres import Database
    from voisnap_kit.reconcile import Reconciler
    from voisnap_kit.serve import run, run_worker
    from voisnap_kit.settings import SettingsError, load
    from voisnap_providers.carriers import CarrierUrls
    from voisnap_providers.ports.blobs import Blobs
    from voisnap_providers.ports.email import EmailSender
    from voisnap_providers.registry import Registry
    from voisnap_providers.tenant_accounts import TenantAccounts
    from voisnap_providers.vendors.blobs import blobs_from_url
    from voisnap_providers.vendors.smtp import smtp_from_url

    from .analysis import subscribers as analysis_subscribers
    from .analysis.clients import Analysts
    from .auth.reconcilers import old_log_ins
    from .call_recordings.fetching import Fetcher
    from .call_recordings.reconcilers import carrier_recordings
    from .call_transfers import subscribers as call_transfer_subscribers
    from .carrier_accounts import CarrierAccounts
    from .carrier_webhooks.reconcilers import old_carrier_calls
    from .contacts import subscribers as contact_subscribers
    from .contacts.reconcilers import forgotten_contacts
    from .conversation_lists.reconcilers import list_index
    from .conversations import reconcilers as conversation_reconcilers
    from .conversations import subscribers as conversation_subscribers
    from .idempotency.reconcilers import old_idempotency_keys
    from .inbox_upkeep import old_inbox_notes
    from .mail.reconcilers import due_mails, old_mails
    from .messaging import subscribers as message_subscribers
    from .messaging.networks import Networks
    from .messaging.postman import Postman
    from .messaging.reconcilers import expired_messages
    from .messaging.voice_notes import VoiceNotes
    from .outbound_calls import subscribers as outbound_call_subscribers
    from .outbound_calls.dialling import Dialler
    from .outbound_calls.reconcilers import dial_attempts, due_calls, expired_calls
    from .phone_numbers.clients import Desks
    from .phone_numbers.provisioning import Provisioner
    from .phone_numbers.reconcilers import unsettled_numbers
    from .prices.reconcilers import price_catalogue
    from .provider_credentials.reconcilers import stale_seals
    from .settings import WorkerSettings
    from .tenants import subscribers as tenant_subscribers


async def main() -> None:
    """Work until SIGTERM."""
    settings = load(WorkerSettings, os.environ)
    log.configure("api-worker", level=settings.log_level, fmt=settings.log_format)
    trace.configure("api-worker", settings.otel_exporter_otlp_endpoint)
    sender, keys = _sender(settings), settings.sealing_keys
    accounts = TenantAccounts(sealing.opener(keys), os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.database_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, "api-worker"))
        blobs = blobs_from_url(settings.blobs_url)
        registry = Registry(settings.providers)
        stack.push_async_callback(registry.aclose)
        carriers = CarrierAccounts(accounts, os.environ, settings.simulator_accounts_file)
        stack.push_async_callback(carriers.aclose)
        dialler = _dialler(settings, database, bus, carriers)
        if dialler is not None:
            stack.push_async_callback(dialler.aclose)
        postman = _postman(settings, database, bus, blobs, carriers, VoiceNotes(registry, accounts))
        if postman is not None:
            stack.push_async_callback(postman.networks.aclose)
        provisioner = None
        if settings.public_url is not None:
            desks = Desks(carriers, public_url=settings.public_url.rstrip("/"))
            stack.push_async_callback(desks.aclose)
            provisioner = Provisioner(database, desks)
        await run_worker(
            lambda: work(
                database,
                bus,
                blobs,
                Analysts(registry, accounts),
                sender=sender,
                keys=keys,
                dialler=dialler,
                provisioner=provisioner,
                postman=postman,
                fetcher=Fetcher(database, blobs, carriers),
            ),
            service="api-worker",
            host=settings.http_host,
            port=settings.http_port,
            checks={"database": database.check, "nats": bus.check},
        )


async def work(
    database: Database,
    bus: Bus,
    blobs: Blobs,
    analysts: Analysts,
    *,
    sender: EmailSender | None = None,
    keys: sealing.KeyService | None = None,
    dialler: Dialler | None = None,
    provisioner: Provisioner | None = None,
    postman: Postman | None = None,
    fetcher: Fetcher | None = None,
) -> None:
    """Subscribers, reconcilers and the outbox relay, until cancelled. Without a sender, mails stay in their outbox, without a dialler calls
    wait, without a provisioner numbers that are on their way, without a postman messages, and without a fetcher what carriers recorded; `keys` seal
    credentials."""
    catalogue = price_catalogue(database)
    await catalogue.run_once()  # before the first conversation is priced
    subscriptions = [
        await tenant_subscribers.subscribe(bus, database),
        await conversation_subscribers.subscribe(bus, database),
        await contact_subscribers.subscribe(bus, database),
        await analysis_subscribers.subscribe(bus, database, analysts),
        await outbound_call_subscribers.subscribe(bus, database),
        await call_transfer_subscribers.subscribe(bus, database),
    ]
    reconcilers: list[Reconciler] = [
        catalogue,
        conversation_reconcilers.partitions(database),
        conversation_reconcilers.expired_recordings(database, blobs),
        list_index(database),
        old_log_ins(database),
        old_mails(database),
        old_inbox_notes(database),
        old_idempotency_keys(database),
        old_carrier_calls(database),
        expired_messages(database),
        forgotten_contacts(database),
        expired_calls(database),
    ]
    if sender is not None:
        reconcilers.append(due_mails(database, sender))
    if keys is not None:
        reconcilers.append(stale_seals(database, keys))
    if dialler is not None:
        reconcilers += (due_calls(dialler), dial_attempts(dialler))
    if provisioner is not None:
        reconcilers.append(unsettled_numbers(database, provisioner))
    if fetcher is not None:
        reconcilers.append(carrier_recordings(fetcher))
    if postman is not None:
        subscriptions += [
            await message_subscribers.subscribe(bus, database, postman.networks),
            await message_subscribers.wake(bus, postman.wake),
        ]
    try:
        async with asyncio.TaskGroup() as group:
            if postman is not None:
                group.create_task(postman.run())
            group.create_task(Relay(database, bus).run())
            group.create_task(analysts.warm())
            for reconciler in reconcilers:
                group.create_task(reconciler.run())
    finally:
        for subscription in subscriptions:
            await subscription.close()


def _dialler(settings: WorkerSettings, database: Database, bus: Bus, carriers: CarrierAccounts) -> Dialler | None:
    """Places calls, where it is known which address carriers reach this installation under."""
    if settings.public_url is None:
        return None
    return Dialler(database, bus, carriers, CarrierUrls(settings.public_url.rstrip("/")))


def _postman(
    settings: WorkerSettings,
    database: Database,
    bus: Bus,
    blobs: Blobs,
    carriers: CarrierAccounts,
    voice_notes: VoiceNotes,
) -> Postman | None:
    """Answers and sends messages, where it is known which address networks reach this installation under."""
    if settings.public_url is None:
        return None
    urls = CarrierUrls(settings.public_url.rstrip("/"))
    return Postman.of(database, bus, blobs, Networks(carriers), voice_notes, urls)


def _sender(settings: WorkerSettings) -> EmailSender | None:
    if settings.smtp_url is None:
        return None
    try:
        return smtp_from_url(settings.smtp_url.value, sender=settings.mail_from)
    except (ValueError, OSError) as error:
        raise SettingsError((str(error),)) from None


if __name__ == "__main__":
    run(main)
