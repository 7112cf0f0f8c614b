"""Deletes what belongs to no conversation at the end of its retention: a conversation's own messages go with it."""

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

DEFAULT_DAYS = Recording().storage_retention_days
"""Retention where the agent is gone."""


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """How many were deleted."""

    messages: int
    threads: int


def expired_messages(database: Database) -> Reconciler[Expired]:
    """Deletes messages without a conversation, and threads without messages, when they are older than their agent's retention."""

    async def task() -> Expired:
        messages = threads = 0
        while messages < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                count = await store.delete_expired(work.tx, at=work.now, default_days=DEFAULT_DAYS, limit=_AT_ONCE)
            messages += count
            if count < _AT_ONCE:
                break
        while threads < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                found = await store.silent_threads(work.tx, at=work.now, default_days=DEFAULT_DAYS, limit=_AT_ONCE)
                threads += await store.delete_threads(work.tx, tuple(found))
            if len(found) < _AT_ONCE:
                break
        return Expired(messages=messages, threads=threads)

    return Reconciler("expired-messages", _EVERY, task, timeout=240.0)
