"""Looks after numbers that are on their way: bought and not seen yet, not set up yet, not taken back yet."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import usecases
from .provisioning import Provisioner

_BATCH = 10
_HELD_SECONDS = 180.0


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How many numbers were looked after, and how many of them have arrived."""

    looked_at: int
    arrived: int


def unsettled_numbers(database: Database, provisioner: Provisioner) -> Reconciler[Settled]:
    """Ten at a time, each by one worker."""

    async def task() -> Settled:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            lines = await usecases.due(work, until_seconds=_HELD_SECONDS, limit=_BATCH)
        arrived = 0
        for line in lines:
            arrived += (await provisioner.settle(line)) is not line.status
        return Settled(looked_at=len(lines), arrived=arrived)

    return Reconciler("phone-numbers", 15.0, task, timeout=_HELD_SECONDS)
