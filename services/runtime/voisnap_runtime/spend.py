"""What the calls of all processes spend this month, and which of them have to stop.

A call asks its guard before each turn, which answers from what it knows. Every two seconds the ledger tells Redis what each call has cost so
far and learns what the others have, in one round trip for all calls, so that nothing on a turn's path waits for a server. A call tells the
whole of what it cost, so that an answer that was lost, and a Redis that forgot everything, do no harm. While Redis is away a call knows what
was spent before it began, and what it spends itself.

    vs:spend:{tenant:<tid>}:<month>               hash: `total` and what each call cost, in millionths of a dollar
    vs:spend:{key:<provider>:<account>}:<month>   the same of one account at a provider, by list prices

The final costs are the API's, from the same prices (`conversations.costs`): a limit stops turns, never what is charged.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from voisnap_domain.costs import Costs, LegKind, Usage, priced
from voisnap_domain.errors import LimitReached
from voisnap_domain.sessions import SessionPlan
from voisnap_domain.spending import SpendTerms, is_used_up, month_of
from voisnap_kit import log
from voisnap_kit.ids import new_id
from voisnap_kit.redis import Redis, RedisError, Script

SETTLE_SECONDS = 2.0
QUIET_SETTLEMENTS = 150
"""After so many without anything new a call is forgotten; it is known again as soon as it asks."""
KEEP_SECONDS = 40 * 86_400
MICROS = 1_000_000

_log = log.get(__name__)

_TELL = Script("""
local total = tonumber(redis.call('HGET', KEYS[1], 'total') or '0')
if total < tonumber(ARGV[3]) then total = tonumber(ARGV[3]) end
if ARGV[1] ~= '' then
  total = total + tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('HSET', KEYS[1], 'total', string.format('%.0f', total))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return string.format('%.0f', total)
""")


class SpendGuard:
    """Watches what one call spends. `may_go_on` is quick and never waits."""

    def __init__(self, ledger: "SpendLedger", plan: SessionPlan, terms: SpendTerms, usage: Callable[[], Usage]) -> None:
        self.id = new_id("spend")
        self.terms = terms
        self.month = month_of(plan.created_at)
        self.purse = _tenant_purse(plan)
        self.told: Mapping[str, int] = {}
        """What Redis knows of this call, in millionths of a dollar by purse."""
        self.quiet = 0
        self._ledger = ledger
        self._usage = usage

    def may_go_on(self) -> bool:
        """Whether the tenant's limit leaves something for another turn."""
        self._ledger.watch(self)
        limit = self.terms.limit_usd
        if limit is None:
            return True
        unknown = _micros(self.costs().total) - self.told.get(self.purse, 0)
        known = max(self._ledger.total(self.purse), _micros(self.terms.spent_usd))
        return not is_used_up(limit, Decimal(known + unknown) / MICROS)

    def costs(self) -> Costs:
        """What the call cost so far."""
        return priced(self._usage(), self.terms.prices, self.terms.markups)

    def amounts(self) -> dict[str, int]:
        """The same by purse: the tenant's, and each access to a provider."""
        costs = self.costs()
        amounts = {self.purse: _micros(costs.total)}
        for cost in costs.legs:
            if cost.leg.kind is not LegKind.TELEPHONY:
                purse = _key_purse(f"{cost.leg.provider}:{cost.leg.account}", self.month)
                amounts[purse] = amounts.get(purse, 0) + _micros(cost.list_usd)
        return amounts


class SpendLedger:
    """One a process. `key_limits`: USD a month by account, written `provider:account`."""

    def __init__(
        self, redis: Redis, *, now: Callable[[], datetime], key_limits: Mapping[str, float] | None = None
    ) -> None:
        self._redis = redis
        self._now = now
        self._key_limits = {account: Decimal(str(limit)) for account, limit in (key_limits or {}).items()}
        self._guards: set[SpendGuard] = set()
        self._totals: dict[str, int] = {}
        self._is_away = False

    def guard(self, plan: SessionPlan, usage: Callable[[], Usage]) -> SpendGuard | None:
        """Who watches a call, from its first turn on; None when nobody has to. `usage` must not hold the call."""
        if plan.spend is None:
            return None
        guard = SpendGuard(self, plan, plan.spend, usage)
        self.watch(guard)
        return guard

    def check(self, plan: SessionPlan) -> None:
        """Raises LimitReached `spend-limit-reached` for a session whose tenant's calls, as far as they are known here, have spent its month."""
        if plan.spend is None:
            return
        known = max(self.total(_tenant_purse(plan)), _micros(plan.spend.spent_usd))
        if is_used_up(plan.spend.limit_usd, Decimal(known) / MICROS):
            raise LimitReached("The monthly spend limit is used up.", code="spend-limit-reached")

    def watch(self, guard: SpendGuard) -> None:
        """Settle for this call from now on."""
        guard.quiet = 0
        self._guards.add(guard)

    def total(self, purse: str) -> int:
        """What was spent from a purse as far as it is known here, in millionths of a dollar."""
        return self._totals.get(purse, 0)

    def key_exhausted(self, account: str) -> bool:
        """Whether the account `provider:account` has spent its month's limit."""
        limit = self._key_limits.get(account)
        return is_used_up(limit, Decimal(self.total(_key_purse(account, month_of(self._now())))) / MICROS)

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            try:
                await self.settle()
            except (RedisError, OSError) as error:
                if not self._is_away:
                    _log.warning("spend.not_settled", error=repr(error))
                self._is_away = True

    async def settle(self) -> None:
        """Tell what the calls cost and learn what others have. Raises RedisError."""
        month = month_of(self._now())
        tellings: list[tuple[SpendGuard | None, str, int]] = []
        for guard in tuple(self._guards):
            try:
                amounts = guard.amounts()
            except Exception as error:  # one call that can't be counted must not keep all others from being counted
                self._guards.discard(guard)
                _log.error("spend.not_counted", purse=guard.purse, error=repr(error))
                continue
            changed = {purse: amount for purse, amount in amounts.items() if amount != guard.told.get(purse)}
            guard.quiet = 0 if changed else guard.quiet + 1
            if guard.quiet > QUIET_SETTLEMENTS:
                self._guards.discard(guard)
            elif not changed:
                changed[guard.purse] = guard.told.get(guard.purse, 0)  # to learn of the others
            tellings += [(guard, purse, amount) for purse, amount in changed.items()]
            await asyncio.sleep(0)  # audio goes first
        tellings += [(None, _key_purse(account, month), 0) for account in self._key_limits]
        totals = await _TELL.each(self._redis, [_run(*telling) for telling in tellings])
        self._is_away = False
        known: dict[str, int] = {}
        for (guard, purse, amount), total in zip(tellings, totals, strict=True):
            known[purse] = int(total)
            if guard is not None:
                guard.told = {**guard.told, purse: amount}
        self._totals = known


def _run(guard: SpendGuard | None, purse: str, amount: int) -> tuple[tuple[str, ...], tuple[object, ...]]:
    baseline = _micros(guard.terms.spent_usd) if guard is not None and purse == guard.purse else 0
    return (purse,), ("" if guard is None else guard.id, amount, baseline, KEEP_SECONDS)


def _tenant_purse(plan: SessionPlan) -> str:
    return f"vs:spend:{{tenant:{plan.tenant_id}:{plan.environment}}}:{month_of(plan.created_at):%Y-%m}"


def _key_purse(account: str, month: date) -> str:
    return f"vs:spend:{{key:{account}}}:{month:%Y-%m}"


def _micros(usd: Decimal) -> int:
    return int(usd * MICROS)
