"""Deletes what is at the end of its retention and belongs to no conversation, with which its messages go, or is no word."""

import msgspec
from voisnap_domain.agents import Recording
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import media_store, store

_EVERY = 3600.0
_AT_ONCE = 1000
_AT_MOST = 100_000

DEFAULT_DAYS = Recording().storage_retention_days
"""Retention where the agent is gone."""


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """How many were deleted."""

    messages: int
    threads: int
    media: int


def expired_messages(database: Database) -> Reconciler[Expired]:
    """Deletes messages without a conversation, threads without messages, and what came with messages, at the end of their agent's retention."""

    async def task() -> Expired:
        messages = threads = media = 0
        while media < _AT_MOST:
            async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
                count = await media_store.delete_expired(work.tx, at=work.now, limit=_AT_ONCE)
            media += count
            if count < _AT_ONCE:
                break
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
        return Expired(messages=messages, threads=threads, media=media)

    return Reconciler("expired-messages", _EVERY, task, timeout=240.0)
