"""Forgets what no carrier repeats any more."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import usecases

_AT_ONCE = 5000


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """How many notes were deleted."""

    events: int
    calls: int


def old_carrier_calls(database: Database) -> Reconciler[Forgotten]:
    """Deletes notes of events and calls that are older than what any carrier says of them."""

    async def task() -> Forgotten:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            events, calls = await usecases.forget_old(work, limit=_AT_ONCE)
        return Forgotten(events=events, calls=calls)

    return Reconciler("old-carrier-calls", 600.0, task)
