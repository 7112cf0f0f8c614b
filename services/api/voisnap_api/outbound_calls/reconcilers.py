"""Places calls, and looks after attempts, every second or two; deletes calls at the end of their retention."""

import msgspec
from voisnap_domain.agents import Recording
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import store
from .dialling import Dialler, LookedAfter, Placed

_EXPIRY_EVERY = 3600.0
_AT_ONCE = 1000
_AT_MOST = 100_000

DEFAULT_DAYS = Recording().storage_retention_days
"""Retention where the agent is gone."""


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls were deleted."""

    calls: int


def due_calls(dialler: Dialler) -> Reconciler[Placed]:
    """Places calls whose time has come, every second."""
    return Reconciler("outbound-calls", 1.0, dialler.place_due)


def dial_attempts(dialler: Dialler) -> Reconciler[LookedAfter]:
    """Looks after attempts that are late or over, every second."""
    return Reconciler("dial-attempts", 1.0, dialler.look_after_due, timeout=120.0)


def expired_calls(database: Database) -> Reconciler[Expired]:
    """Deletes calls, with their attempts, that ended longer ago than their agent's retention. Their conversations stay."""

    async def task() -> Expired:
        calls = 0
        while calls < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                count = await store.delete_expired(work.tx, at=work.now, default_days=DEFAULT_DAYS, limit=_AT_ONCE)
            calls += count
            if count < _AT_ONCE:
                break
        return Expired(calls=calls)

    return Reconciler("expired-outbound-calls", _EXPIRY_EVERY, task, timeout=240.0)
