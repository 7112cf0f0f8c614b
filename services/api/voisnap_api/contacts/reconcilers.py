"""Forgets people who have not been there for long and left nothing behind."""

from datetime import timedelta

import msgspec
from voisnap_domain.agents import Recording
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import store

_EVERY = 3600.0
_AT_ONCE = 1000
_AT_MOST = 100_000

KEPT = timedelta(days=Recording().storage_retention_days)
"""A contact belongs to no agent: the default retention holds."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """How many contacts were deleted."""

    contacts: int


def forgotten_contacts(database: Database) -> Reconciler[Forgotten]:
    """Deletes contacts without threads of whom the tenant has noted nothing. Who wanted no messages is left alone all the same."""

    async def task() -> Forgotten:
        contacts = 0
        while contacts < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                before = work.now - KEPT
                found = await store.forgotten(work.tx, before=before, limit=_AT_ONCE)
                contacts += await store.delete_forgotten(work.tx, tuple(found), before=before)
            if len(found) < _AT_ONCE:
                break
        return Forgotten(contacts=contacts)

    return Reconciler("forgotten-contacts", _EVERY, task, timeout=240.0)
