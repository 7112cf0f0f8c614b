"""A unit of work: who asks, when, and the one transaction it happens in. Events emitted leave with that transaction.

The only module of the services that reads the wall clock.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from voisnap_domain.errors import Forbidden
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment

from . import ids, outbox
from .postgres import Database, Tx

Clock = Callable[[], datetime]
NewId = Callable[[str], str]


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, with which rights. `key_id` is set for API keys, `user_id` for people."""

    tenant_id: TenantId
    environment: Environment
    user_id: UserId | None = None
    key_id: str | None = None
    role: str
    scopes: frozenset[str] = frozenset()
    platform_admin: bool = False

    @classmethod
    def system(cls, tenant_id: TenantId, environment: Environment) -> "Caller":
        """The platform itself, acting for a tenant: subscribers and reconcilers."""
        return cls(tenant_id=tenant_id, environment=environment, role="System")

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the credential has the scope; `admin:*` and `admin` cover `admin:read`."""
        area = scope.partition(":")[0]
        if self.scopes.isdisjoint((scope, area, f"{area}:*")):
            raise Forbidden(f"This needs the scope {scope}.", code="missing-scope")

    def require_platform_admin(self) -> None:
        """Raise Forbidden unless the caller operates the platform."""
        if not self.platform_admin:
            raise Forbidden("This needs a platform administrator.", code="platform-admin-required")


class Work:
    """What a use case gets: its transaction, its caller, the time, and the means to tell and to name."""

    def __init__(self, *, tx: Tx, caller: Caller, now: datetime, new_id: NewId = ids.new_id) -> None:
        self.tx = tx
        self.caller = caller
        self.now = now
        self.new_id = new_id
        self.emitted: list[Any] = []

    def emit(self, event: Any) -> None:
        """Tell the other services when this work is committed; never if it is not."""
        self.emitted.append(event)


@asynccontextmanager
async def begin(
    database: Database, caller: Caller, *, clock: Clock = utc_now, new_id: NewId = ids.new_id
) -> AsyncGenerator[Work]:
    """One transaction in the caller's tenant and environment. Commits at the end of the block, with its events; an exception undoes all."""
    async with database.transaction(caller.tenant_id, caller.environment, platform_admin=caller.platform_admin) as tx:
        work = Work(tx=tx, caller=caller, now=clock(), new_id=new_id)
        yield work
        _write_events(work)
    if work.emitted:
        database.outbox_written.set()


@asynccontextmanager
async def begin_reading(
    database: Database, caller: Caller, *, clock: Clock = utc_now, new_id: NewId = ids.new_id
) -> AsyncGenerator[Work]:
    """Work that only reads, each statement for itself in one round trip. Writing and telling are refused."""
    tx = database.reader(caller.tenant_id, caller.environment, platform_admin=caller.platform_admin)
    work = Work(tx=tx, caller=caller, now=clock(), new_id=new_id)
    yield work
    if work.emitted:
        raise TypeError("work that only reads has nothing to tell")


@asynccontextmanager
async def begin_as_system(
    database: Database, caller: Caller, *, clock: Clock = utc_now, new_id: NewId = ids.new_id
) -> AsyncGenerator[Work]:
    """Like `begin`, but over all tenants: for relay, worker and login, where the tenant is not known before the first look-up."""
    async with database.transaction_as_system() as tx:
        work = Work(tx=tx, caller=caller, now=clock(), new_id=new_id)
        yield work
        _write_events(work)
    if work.emitted:
        database.outbox_written.set()


def _write_events(work: Work) -> None:
    for event in work.emitted:
        outbox.write(work.tx, event, event_id=work.new_id("evt"), at=work.now)
