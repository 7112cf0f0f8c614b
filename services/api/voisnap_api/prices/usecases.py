"""What conversations cost."""

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
from voisnap_domain.costs import MAX_MARKUP_PERCENT, Costs, LegKind, Markup, Price, Usage, priced
from voisnap_domain.errors import Conflict, FieldError, Invalid
from voisnap_domain.ids import TenantId
from voisnap_kit import log
from voisnap_kit.postgres import Tx
from voisnap_kit.work import Work

from . import store
from .records import CatalogueStatus, catalogue

MOST_WARNED = 1000

_log = log.get(__name__)
_warned: set[tuple[str, ...]] = set()


async def price(tx: Tx, tenant_id: TenantId, usage: Usage, *, at: datetime) -> Costs:
    """What `usage` costs the tenant by the prices and markups of its day. A model without a price is warned of once."""
    day = at.astimezone(UTC).date()
    costs = priced(usage, await price_list(tx, on=day), await markups(tx, tenant_id, on=day))
    for cost in costs.legs:
        if not cost.priced:
            _warn("price.missing", cost.leg.kind, cost.leg.provider, cost.leg.model)
        elif cost.estimated and not cost.leg.estimated:
            _warn("price.rough", cost.leg.kind, cost.leg.provider, cost.leg.model)
    return costs


async def price_list(tx: Tx, *, on: date) -> tuple[Price, ...]:
    """Every price that counts on a day."""
    return tuple(await store.in_force(tx, on=on))


async def prices_of(tx: Tx, providers: frozenset[str], *, on: date) -> tuple[Price, ...]:
    """The prices of some providers that count on a day, without their sources."""
    return tuple(await store.in_force_of(tx, tuple(sorted(providers)), on=on))


async def markups(tx: Tx, tenant_id: TenantId, *, on: date) -> tuple[Markup, ...]:
    """What a tenant pays beyond the list price on a day."""
    return tuple(await store.markups(tx, tenant_id, on=on))


async def keep_catalogue(work: Work) -> CatalogueStatus:
    """Store the prices that came with the software and are not stored yet; nothing that is stored changes."""
    before = await store.how_many(work.tx)
    await store.add_missing(work.tx, catalogue())
    return CatalogueStatus(added=await store.how_many(work.tx) - before)


async def add_price(work: Work, asked: Price) -> Price:
    """Store an operator's own price, which goes before the catalogue's from today or a later day on; conversations keep the costs they have.

    Raises Forbidden, Invalid, Conflict `price-exists` when there is one for that day.
    """
    work.caller.require_platform_admin()
    today = work.now.astimezone(UTC).date()
    wanted = msgspec.structs.replace(asked, valid_from=asked.valid_from or today)
    faults = list(wanted.faults())
    if wanted.valid_from is not None and wanted.valid_from < today:
        faults.append(FieldError(pointer="/validFrom", code="in-the-past", detail="must be today or a later day"))
    if faults:
        raise Invalid(tuple(faults))
    if not await store.add_operators(work.tx, wanted, by=work.caller.user_id):
        raise Conflict(
            f"There is a price of {wanted.provider} {wanted.model} from {wanted.valid_from} on.", code="price-exists"
        )
    return wanted


async def set_markup(work: Work, kind: LegKind, percent: Decimal, *, valid_from: date | None = None) -> None:
    """Let the caller's tenant pay this much beyond the list price from today or a later day on. Raises Forbidden, Invalid."""
    work.caller.require_platform_admin()
    today = work.now.astimezone(UTC).date()
    faults: list[FieldError] = []
    if not percent.is_finite() or not -100 <= percent <= MAX_MARKUP_PERCENT or percent != round(percent, 3):
        detail = f"must be from -100 to {MAX_MARKUP_PERCENT}, with at most 3 decimals"
        faults.append(FieldError(pointer="/percent", code="out-of-range", detail=detail))
    if valid_from is not None and valid_from < today:
        faults.append(FieldError(pointer="/validFrom", code="in-the-past", detail="must be today or a later day"))
    if faults:
        raise Invalid(tuple(faults))
    await store.put_markup(work.tx, work.caller.tenant_id, kind, percent, valid_from=valid_from or today)


def _warn(event: str, kind: str, provider: str, model: str | None) -> None:
    key = (event, kind, provider, model or "*")
    if key not in _warned and len(_warned) < MOST_WARNED:
        _warned.add(key)
        _log.warning(event, kind=kind, provider=provider, model=model)
