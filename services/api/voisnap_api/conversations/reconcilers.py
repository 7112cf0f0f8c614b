"""Keeps next months' partitions ready."""

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import usecases
from .records import PartitionStatus

_MONTHS_AHEAD = 3
_EVERY = 6 * 3600.0


def partitions(database: Database) -> Reconciler[PartitionStatus]:
    """Creates partitions of conversations and turns well before their month begins."""

    async def task() -> PartitionStatus:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            created = await usecases.ensure_partitions(work, months=_MONTHS_AHEAD)
            return PartitionStatus(created=created, day=work.now.date())

    return Reconciler("conversation-partitions", _EVERY, task)
