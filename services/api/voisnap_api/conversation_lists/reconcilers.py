"""Keeps the index behind lists built."""

import time

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import usecases
from .records import IndexStatus, Shard

_EVERY = 15.0
_AT_MOST_SECONDS = 20.0


def list_index(database: Database) -> Reconciler[IndexStatus]:
    """Builds segments of what has settled, and builds those anew in which something changed; each in a transaction of its own."""

    async def task() -> IndexStatus:
        deadline = time.monotonic() + _AT_MOST_SECONDS
        built = 0
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            shards = await usecases.shards_to_build(work)
        for shard in shards:
            while count := await _build_next(database, shard):
                built += count
                if time.monotonic() > deadline:
                    return IndexStatus(built=built, behind=True)
        return IndexStatus(built=built, behind=False)

    return Reconciler("conversation-list-index", _EVERY, task)


async def _build_next(database: Database, shard: Shard) -> int:
    caller = Caller.system(TenantId(shard.tenant_id), shard.environment)
    async with begin_as_system(database, caller) as work:
        return await usecases.build_next(work, shard)
