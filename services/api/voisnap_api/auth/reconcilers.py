"""Deletes refresh tokens that ran out."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from .usecases import forget_expired_tokens


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """How many were deleted."""

    tokens: int


def expired_refresh_tokens(database: Database) -> Reconciler[Deleted]:
    """Deletes refresh tokens that ran out, every hour."""

    async def task() -> Deleted:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return Deleted(tokens=await forget_expired_tokens(work))

    return Reconciler("expired-refresh-tokens", 3600.0, task)
