"""Deletes keys nobody can use any more."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import store
from .middleware import LIFETIME


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """How many keys were deleted."""

    keys: int


def old_idempotency_keys(database: Database) -> Reconciler[Forgotten]:
    """Deletes keys that are older than a day."""

    async def task() -> Forgotten:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return Forgotten(keys=await store.delete_older(work.tx, before=work.now - LIFETIME))

    return Reconciler("old-idempotency-keys", 3600.0, task)
