"""Deletes notes of handled events that the stream does not keep any more."""

from datetime import timedelta

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import EVENT_AGE_SECONDS
from voisnap_kit.inbox import forget
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

_KEPT = timedelta(seconds=2 * EVENT_AGE_SECONDS)


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """How many notes were deleted."""

    notes: int


def old_inbox_notes(database: Database) -> Reconciler[Forgotten]:
    """Deletes notes twice as old as the oldest event of the stream."""

    async def task() -> Forgotten:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return Forgotten(notes=await forget(work.tx, before=work.now - _KEPT))

    return Reconciler("old-inbox-notes", 6 * 3600.0, task)
