"""Which web pages a tenant lets read answers."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from litestar.types import Scope
from voisnap_domain.endpoints import origin_fault
from voisnap_domain.errors import FieldError, Invalid, PreconditionFailed
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.conditional import allows_change
from voisnap_kit.postgres import Database
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.auth.credentials import Identity

from . import store

MAX_ORIGINS = 50

_REMEMBERED_SECONDS = 10.0
_MOST_REMEMBERED = 10_000

Naming = frozenset[tuple[TenantId, Environment]]


async def allowed_origins(work: Work) -> tuple[str, ...]:
    """The origins of the caller's tenant and environment, sorted."""
    return tuple(await store.of_tenant(work.tx, work.caller.tenant_id, work.caller.environment))


async def set_allowed_origins(
    work: Work, origins: tuple[str, ...], *, unless_changed_since: str | None = None
) -> tuple[str, ...]:
    """Make the tenant's origins these. Raises Invalid, PreconditionFailed."""
    wanted = tuple(sorted({origin.lower() for origin in origins}))
    _check(origins)
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment)
    before = await allowed_origins(work)
    if not allows_change(unless_changed_since, entity_tag(before)):
        raise PreconditionFailed("The origins were changed since you read them.")
    if wanted != before:
        await store.replace(work.tx, caller.tenant_id, caller.environment, wanted)
        detail = {"added": sorted(set(wanted) - set(before)), "removed": sorted(set(before) - set(wanted))}
        await audit.note(work, action="cors.changed", target=Target(type="settings", id="cors"), detail=detail)
    return wanted


def entity_tag(origins: tuple[str, ...]) -> str:
    """The strong entity tag of a list of origins."""
    return '"' + hashlib.sha256("\n".join(origins).encode()).hexdigest()[:20] + '"'


def _check(origins: tuple[str, ...]) -> None:
    faults = [
        FieldError(pointer=f"/allowedOrigins/{index}", code="wrong-format", detail=f"allowedOrigins {fault}.")
        for index, origin in enumerate(origins)
        if (fault := origin_fault(origin.lower())) is not None
    ]
    if len(origins) > MAX_ORIGINS:
        detail = f"allowedOrigins may hold at most {MAX_ORIGINS} origins."
        faults.append(FieldError(pointer="/allowedOrigins", code="too-long", detail=detail))
    if faults:
        raise Invalid(tuple(faults))


class TenantOrigins:
    """Answers for CORS who names an origin; remembers it for some seconds."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._remembered: OrderedDict[str, tuple[Naming, float]] = OrderedDict()

    async def anybody_allows(self, origin: str) -> bool:
        """Whether any tenant names the origin."""
        return bool(await self._naming(origin))

    async def allows(self, origin: str, scope: Scope) -> bool:
        """Whether the tenant of the request's credential names it; without a credential, whether anybody does."""
        naming = await self._naming(origin)
        identity = scope.get("user")
        if not isinstance(identity, Identity):
            return bool(naming)
        return (identity.caller.tenant_id, identity.caller.environment) in naming

    def forget(self, origins: tuple[str, ...]) -> None:
        """Look anew the next time."""
        for origin in origins:
            self._remembered.pop(origin, None)

    async def _naming(self, origin: str) -> Naming:
        remembered = self._remembered.get(origin)
        if remembered is not None and self._monotonic() < remembered[1]:
            return remembered[0]
        if origin_fault(origin) is not None:
            return frozenset()
        async with self._database.transaction_as_system() as tx:
            naming = frozenset((one.tenant_id, one.environment) for one in await store.naming(tx, origin))
        self._remembered[origin] = (naming, self._monotonic() + _REMEMBERED_SECONDS)
        self._remembered.move_to_end(origin)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return naming
