"""Keeps next months' partitions ready, and deletes recordings at the end of their retention."""

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system
from voisnap_providers.ports.blobs import Blobs

from . import usecases
from .records import PartitionStatus, RetentionStatus

_MONTHS_AHEAD = 3
_EVERY = 6 * 3600.0

_RETENTION_EVERY = 300.0
_AT_ONCE = 20
_AT_MOST = 2000
"""Recordings a run; what is left has waited a day or more for its end and can wait five minutes longer."""


def partitions(database: Database) -> Reconciler[PartitionStatus]:
    """Creates partitions of conversations and turns well before their month begins."""

    async def task() -> PartitionStatus:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            created = await usecases.ensure_partitions(work, months=_MONTHS_AHEAD)
            return PartitionStatus(created=created, day=work.now.date())

    return Reconciler("conversation-partitions", _EVERY, task)


def expired_recordings(database: Database, blobs: Blobs) -> Reconciler[RetentionStatus]:
    """Deletes recordings that have reached the end of their retention, a few in each transaction."""

    async def task() -> RetentionStatus:
        deleted = 0
        while deleted < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                count = await usecases.delete_due_recordings(work, blobs, limit=_AT_ONCE)
            deleted += count
            if count < _AT_ONCE:
                break
        return RetentionStatus(recordings=deleted)

    return Reconciler("expired-recordings", _RETENTION_EVERY, task, timeout=240.0)
