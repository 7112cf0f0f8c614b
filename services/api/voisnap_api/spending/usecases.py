"""What tenants spend in a month, and whether they may go on. A limit stops new sessions and further turns, never what is charged."""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

from voisnap_domain.agents import AgentConfig
from voisnap_domain.costs import Costs
from voisnap_domain.errors import LimitReached
from voisnap_domain.spending import SpendTerms, is_used_up, month_of, providers_of
from voisnap_domain.tenants import UsageLimits
from voisnap_kit.work import Work

from voisnap_api.prices import usecases as prices

from . import store


async def count(work: Work, costs: Costs, *, before: Costs, started_at: datetime) -> None:
    """Count what a conversation cost in the month it started in; `before` is what was counted of it already."""
    amounts: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for sign, legs in ((1, costs.legs), (-1, before.legs)):
        for cost in legs:
            amounts[cost.leg.provider, cost.leg.account] += sign * cost.usd
    caller = work.caller
    changed = sorted((key, usd) for key, usd in amounts.items() if usd)
    await store.add(work.tx, caller.tenant_id, caller.environment, month_of(started_at), changed)


async def terms_for_new_session(work: Work, limits: UsageLimits, config: AgentConfig) -> SpendTerms | None:
    """What a session has to know of money; None for an agent that costs nothing. Nobody is billed for the sandbox, but providers are
    paid for it all the same: it has the limit too, counted apart.

    Raises LimitReached `spend-limit-reached` when the month's limit is used up already.
    """
    caller, cents = work.caller, limits.monthly_spend_limit_cents
    limit, spent = None, Decimal(0)
    if cents is not None:
        limit = Decimal(cents) / 100
        spent = await store.of_month(work.tx, caller.tenant_id, caller.environment, month_of(work.now))
    if is_used_up(limit, spent):
        raise LimitReached(
            f"The monthly spend limit of {limit:.2f} USD is used up. Sessions can begin again next month or with a higher limit.",
            code="spend-limit-reached",
        )
    day = work.now.astimezone(UTC).date()
    known = await prices.prices_of(work.tx, providers_of(config), on=day)
    if not any(price.usd for price in known):
        return None
    return SpendTerms(
        limit_usd=limit,
        spent_usd=spent,
        prices=known,
        markups=await prices.markups(work.tx, caller.tenant_id, on=day),
    )
