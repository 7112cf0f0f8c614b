"""Puts credentials under the present key, so that former ones can be taken off the ring."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.sealing import KeyService
from voisnap_kit.work import Caller, begin_as_system

from . import usecases

_BATCH = 100


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """How many credentials another key had sealed: `unreadable` ones with a key that is not here, which is logged as an error."""

    resealed: int
    unreadable: int


def stale_seals(database: Database, keys: KeyService) -> Reconciler[Resealed]:
    """Looks for credentials that another key sealed, a hundred in a transaction."""

    async def task() -> Resealed:
        resealed = unreadable = 0
        past: str | None = ""
        while past is not None:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                some, failed, past = await usecases.reseal_some(work, keys, past=past, limit=_BATCH)
            resealed, unreadable = resealed + some, unreadable + failed
        return Resealed(resealed=resealed, unreadable=unreadable)

    return Reconciler("provider-credential-seals", 900.0, task)
