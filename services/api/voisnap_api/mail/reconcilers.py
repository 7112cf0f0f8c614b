"""Sends what waits in the outbox, and deletes what is old."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system, utc_now
from voisnap_providers.ports.email import EmailSender

from .usecases import forget_old_mails, send_due


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How many were sent."""

    mails: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """How many were deleted."""

    mails: int


def due_mails(database: Database, sender: EmailSender) -> Reconciler[Sent]:
    """Sends mails, every two seconds."""

    async def task() -> Sent:
        return Sent(mails=await send_due(database, sender, utc_now))

    return Reconciler("mails", 2.0, task, timeout=600.0)


def old_mails(database: Database) -> Reconciler[Deleted]:
    """Deletes mails after a week, every hour."""

    async def task() -> Deleted:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return Deleted(mails=await forget_old_mails(work))

    return Reconciler("old-mails", 3600.0, task)
