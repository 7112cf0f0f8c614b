"""What calls spend: known to all processes, told once, and harmless when Redis forgets or is away."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from voisnap_domain.costs import LegKind, Markup, Price, Usage, UsageLeg
from voisnap_domain.errors import LimitReached
from voisnap_domain.spending import SpendTerms
from voisnap_kit.redis import Redis, RedisError
from voisnap_runtime.spend import QUIET_SETTLEMENTS, SpendLedger

pytestmark = pytest.mark.slice

NOW = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
PRICES = (
    Price(kind="llm_output", provider="openai", model="*", usd=Decimal(10)),
    Price(kind="llm_input", provider="openai", model="*", usd=Decimal(1)),
    Price(kind="tts", provider="aws", model="*", usd=Decimal(1)),
)


class Talk:
    """A call whose costs the test sets: a million output tokens are ten dollars."""

    def __init__(self, account: str = "platform") -> None:
        self.account = account
        self.usage = Usage()

    def costs(self, usd: float) -> None:
        leg = UsageLeg(
            kind=LegKind.LLM, provider="openai", account=self.account, output_tokens=round(usd * 1_000_000 / 10)
        )
        self.usage = Usage.of((leg,))


@pytest.fixture
async def redis(redis_url):
    async with await Redis.open(redis_url) as redis:
        await redis.client.flushdb()
        yield redis


@pytest.fixture
def plan(make_plan):
    terms = SpendTerms(limit_usd=Decimal(5), spent_usd=Decimal(1), prices=PRICES)
    return msgspec.structs.replace(make_plan(), spend=terms, created_at=NOW)


def ledger(redis, **limits: float) -> SpendLedger:
    return SpendLedger(redis, now=lambda: NOW, key_limits={f"{name}:platform": usd for name, usd in limits.items()})


def begin(ledger: SpendLedger, plan, talk: Talk):
    return ledger.guard(plan, lambda: talk.usage)


async def test_a_call_stops_at_the_limit_by_what_it_knows_itself(redis, plan):
    talk = Talk()
    guard = begin(ledger(redis), plan, talk)
    for usd, goes_on in ((0, True), (3.99, True), (4.0, False), (9.0, False)):
        talk.costs(usd)
        assert guard.may_go_on() is goes_on, usd


async def test_a_call_that_cannot_be_counted_keeps_no_other_from_it(redis, plan):
    here, there = ledger(redis), ledger(redis)
    broken, sound, other = Talk(), Talk(), Talk()
    for talk in (broken, sound):
        begin(here, plan, talk)
    watching = begin(there, plan, other)
    broken.usage = Usage.of((UsageLeg(kind=LegKind.TELEPHONY, provider="sip", session_seconds=float("nan")),))
    sound.costs(4.5)
    await here.settle()
    await there.settle()
    assert not watching.may_go_on(), "1 before, 4.5 there"


async def test_calls_of_other_processes_count_too(redis, plan):
    here, there = ledger(redis), ledger(redis)
    mine, yours = Talk(), Talk()
    first, second = begin(here, plan, mine), begin(there, plan, yours)
    mine.costs(2.5)
    yours.costs(1.0)
    await here.settle()
    assert (first.may_go_on(), second.may_go_on()) == (True, True)
    await there.settle()
    yours.costs(1.5)
    assert not second.may_go_on(), "1 before, 2.5 there, 1.5 here"
    assert first.may_go_on(), "it has not heard of the last half dollar yet"
    await there.settle()
    await here.settle()
    assert not first.may_go_on()


async def test_a_new_session_is_refused_when_the_calls_under_way_have_spent_the_month(redis, plan):
    book, talk = ledger(redis), Talk()
    begin(book, plan, talk)
    talk.costs(3.9)
    await book.settle()
    book.check(plan)
    talk.costs(4.0)
    await book.settle()
    with pytest.raises(LimitReached) as refusal:
        book.check(plan)
    assert refusal.value.code == "spend-limit-reached"
    book.check(msgspec.structs.replace(plan, spend=None))


async def test_a_lost_answer_counts_nothing_twice_and_a_lost_server_heals(redis, plan):
    book = ledger(redis)
    talk = Talk()
    guard = begin(book, plan, talk)
    talk.costs(2.0)
    for _ in range(3):
        guard.told = {}
        await book.settle()
    assert book.total(guard.purse) == 3_000_000
    await redis.client.flushdb()
    talk.costs(2.25)
    await book.settle()
    assert book.total(guard.purse) == 3_250_000, "what was billed before and the whole of this call"


async def test_a_call_goes_by_what_it_knows_while_redis_is_away(redis, plan, monkeypatch):
    async def away(*_: object) -> None:
        raise RedisError("away")

    book, talk = ledger(redis), Talk()
    guard = begin(book, plan, talk)
    monkeypatch.setattr("voisnap_runtime.spend._TELL.each", away)
    talk.costs(3.0)
    with pytest.raises(RedisError):
        await book.settle()
    assert guard.may_go_on()
    talk.costs(4.0)
    assert not guard.may_go_on()


async def test_markups_count_towards_the_tenants_limit_and_not_towards_a_keys(redis, plan):
    spend = msgspec.structs.replace(plan.spend, markups=(Markup(kind=LegKind.LLM, percent=Decimal(100)),))
    book, talk = ledger(redis, openai=3.0), Talk()
    guard = begin(book, msgspec.structs.replace(plan, spend=spend), talk)
    talk.costs(2.5)
    await book.settle()
    assert not guard.may_go_on(), "1 and twice 2.5"
    assert not book.key_exhausted("openai:platform")
    talk.costs(3.0)
    await book.settle()
    assert book.key_exhausted("openai:platform")


async def test_a_keys_limit_is_seen_by_every_process_and_is_not_the_tenants_keys(redis, plan):
    here, there = ledger(redis, openai=2.0), ledger(redis, openai=2.0)
    theirs, ours = Talk(account="pcred_1.1"), Talk()
    begin(here, plan, theirs)
    begin(here, plan, ours)
    theirs.costs(3.0)
    ours.costs(1.9)
    await here.settle()
    await there.settle()
    assert not there.key_exhausted("openai:platform")
    ours.costs(2.0)
    await here.settle()
    await there.settle()
    assert there.key_exhausted("openai:platform")
    assert not there.key_exhausted("openai:pcred_1.1"), "without a limit"


async def test_nobody_watches_where_nothing_is_billed_and_a_limit_of_none_never_stops(redis, plan):
    book = ledger(redis)
    assert begin(book, msgspec.structs.replace(plan, spend=None), Talk()) is None
    unlimited = msgspec.structs.replace(plan.spend, limit_usd=None)
    talk = Talk()
    guard = begin(book, msgspec.structs.replace(plan, spend=unlimited), talk)
    talk.costs(1000.0)
    assert guard.may_go_on()


async def test_calls_that_are_over_are_forgotten_and_their_costs_kept(redis, plan):
    book, talk = ledger(redis), Talk()
    guard = begin(book, plan, talk)
    talk.costs(2.0)
    await book.settle()
    guard.quiet = QUIET_SETTLEMENTS
    await book.settle()
    assert not book._guards
    later = begin(book, plan, Talk())
    await book.settle()
    assert book.total(later.purse) == 3_000_000
    assert guard.may_go_on()
    assert guard in book._guards, "it goes on after a long silence"
