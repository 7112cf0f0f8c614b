"""Costs by leg, the price list and who may add to it, markups, and the monthly spend limit."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from voisnap_api.prices import usecases as prices
from voisnap_api.prices.records import catalogue
from voisnap_domain.costs import LegKind, Price, PriceUnit, Usage, UsageLeg
from voisnap_domain.errors import Conflict, Forbidden, Invalid, LimitReached
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.events import TenantUpdated
from voisnap_proto.requests import PLAN_SESSION, PlanSession, SessionPlanned
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call

pytestmark = pytest.mark.slice

TODAY = datetime.now(UTC).date()
FELL_BACK = Usage.of(
    (
        UsageLeg(
            kind=LegKind.LLM,
            provider="openai",
            model="gpt-4o-2024-08-06",
            requests=3,
            input_tokens=4000,
            cached_tokens=1024,
            output_tokens=321,
        ),
        UsageLeg(
            kind=LegKind.LLM, provider="anthropic", model="claude-new", requests=1, output_tokens=77, estimated=True
        ),
        UsageLeg(kind=LegKind.LLM, provider="openai_compatible", model="llama", output_tokens=9),
        UsageLeg(kind=LegKind.TTS, provider="google", voice="en-US-Standard-A", characters=1001),
        UsageLeg(kind=LegKind.STT, provider="deepgram", model="nova-3", audio_seconds=31.2, session_seconds=61.4),
        UsageLeg(kind=LegKind.TELEPHONY, provider="twilio", line="CA1", session_seconds=61.4),
        UsageLeg(kind=LegKind.TELEPHONY, provider="twilio", line="CA2", session_seconds=20),
    )
)


def platform(tenant_id: str = "ten_a") -> Caller:
    return Caller(
        tenant_id=TenantId(tenant_id), environment=Environment.LIVE, role="PlatformAdmin", platform_admin=True
    )


async def as_operator(api, use_case, *args: Any, **named: Any) -> Any:
    async with begin_as_system(api.database, platform()) as work:
        return await use_case(work, *args, **named)


async def store(api, call: Call, **ended: Any) -> None:
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended(**ended)):
        await api.tell(event)


async def read(api, url: str) -> Any:
    answer = await api.client.get(url, headers=api.token("ten_a"))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


def sums(costs: Any) -> tuple[Decimal, Decimal]:
    return sum(leg["cost"] for leg in costs["legs"]), sum(part["cost"] for part in costs["breakdown"].values())


async def test_every_leg_is_shown_and_all_sum_exactly(api):
    await api.follow()
    await as_operator(api, prices.keep_catalogue)
    call = Call()
    await store(api, call, usage=FELL_BACK)
    costs = await read(api, f"{call.url}/costs")
    assert [(leg["kind"], leg["provider"], leg["cost"], leg["estimated"], leg["priced"]) for leg in costs["legs"]] == [
        ("llm", "openai", Decimal("0.01193"), False, True),
        ("llm", "anthropic", Decimal("0.001155"), True, True),
        ("llm", "openai_compatible", 0, False, False),
        ("tts", "google", Decimal("0.004004"), False, True),
        ("stt", "deepgram", Decimal("0.004912"), False, True),
        ("telephony", "twilio", Decimal("0.017"), False, True),
        ("telephony", "twilio", Decimal("0.0085"), False, True),
    ]
    assert sums(costs) == (costs["total"], costs["total"])
    assert (costs["estimated"], costs["breakdown"]["telephony"]["minutes"]) == (True, 3)
    llm = costs["breakdown"]["llm"]
    assert (llm["provider"], llm["inputTokens"], llm["outputTokens"]) == ("openai", 4000, 407)
    shown = (await read(api, call.url))["cost"]
    assert shown["totalUsd"] == costs["total"] == sum(shown[f"{kind}Usd"] for kind in LegKind)
    listed = await read(api, "/api/v1/conversations")
    assert listed["data"][0]["cost"] == shown


async def test_conversations_stored_before_legs_were_counted_are_still_shown(api):
    await api.follow()
    call = Call()
    await store(api, call)
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE conversations SET leg_costs = NULL WHERE tenant_id = 'ten_a'")
    costs = await read(api, f"{call.url}/costs")
    assert (costs["legs"], costs["total"], costs["breakdown"]["telephony"]["minutes"]) == ([], Decimal("0.23974"), 4)


async def test_the_catalogue_is_stored_once_and_changes_nothing_that_is_stored(api):
    async def stored() -> list[Any]:
        async with api.database.transaction_as_system() as tx:
            return await tx.all(Price, "SELECT kind, provider, model, usd, unit, valid_from, source FROM prices")

    async with api.database.transaction_as_system() as tx:
        await tx.exec(
            "UPDATE prices SET usd = 99 WHERE provider = 'openai' AND model = 'gpt-4o' AND kind = 'llm_input'"
        )
    before = await stored()
    added = (await as_operator(api, prices.keep_catalogue)).added
    first = await stored()
    assert len(first) == len(before) + added
    assert added > 50
    assert (await as_operator(api, prices.keep_catalogue)).added == 0
    assert await stored() == first
    assert {msgspec.json.encode(one) for one in before} <= {msgspec.json.encode(one) for one in first}


def test_every_price_of_the_catalogue_is_sound_and_listed_once():
    listed = catalogue()
    assert [fault for price in listed for fault in price.faults()] == []
    keys = [(price.kind, price.provider, price.model, price.valid_from) for price in listed]
    assert len(keys) == len(set(keys))
    assert all(price.unit is not None and price.valid_from is not None for price in listed)


async def test_an_operators_price_goes_before_the_catalogues_from_its_day_on(api):
    await api.follow()
    wanted = Price(kind="llm_input", provider="openai", model="gpt-4o", usd=Decimal("1.5"), source="contract 17")
    assert (await as_operator(api, prices.add_price, wanted)).valid_from == TODAY
    usage = Usage.of((UsageLeg(kind=LegKind.LLM, provider="openai", model="gpt-4o", input_tokens=1_000_000),))
    today, yesterday = Call(), Call(started_at=datetime.now(UTC) - timedelta(days=1))
    for call in (today, yesterday):
        await store(api, call, usage=usage, recording=None)
    assert (await read(api, f"{today.url}/costs"))["total"] == Decimal("1.5")
    assert (await read(api, f"{yesterday.url}/costs"))["total"] == Decimal("2.5")
    with pytest.raises(Conflict, match="gpt-4o"):
        await as_operator(api, prices.add_price, wanted)
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE prices SET valid_from = valid_from - 1 WHERE origin = 'operator'")
        await tx.exec(
            "INSERT INTO prices (kind, provider, model, valid_from, usd, unit, source)"
            " VALUES ('llm_input', 'openai', 'gpt-4o', %(today)s, 7, 'million_tokens', 'a later release')",
            today=TODAY,
        )
        listed = (
            await prices.price_list(tx, on=TODAY),
            await prices.prices_of(tx, frozenset({"openai"}), on=TODAY),
        )
    for known in listed:
        assert [price.usd for price in known if (price.kind, price.model) == (wanted.kind, wanted.model)] == [
            Decimal("1.5")
        ], "a contract holds until the operator says otherwise"
    past = msgspec.structs.replace(
        wanted, valid_from=date(2026, 1, 1), unit=PriceUnit.STARTED_MINUTE, usd=Decimal("NaN")
    )
    with pytest.raises(Invalid) as wrong:
        await as_operator(api, prices.add_price, past)
    assert [fault.pointer for fault in wrong.value.errors] == ["/unit", "/usd", "/validFrom"]
    async with begin_as_system(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        with pytest.raises(Forbidden):
            await prices.add_price(work, wanted)
        with pytest.raises(Forbidden):
            await prices.set_markup(work, LegKind.LLM, Decimal(1))


async def test_a_tenants_markup_is_in_what_it_is_shown_and_in_no_other_tenants(api):
    await api.follow()
    await as_operator(api, prices.set_markup, LegKind.TTS, Decimal(50))
    await as_operator(api, prices.set_markup, LegKind.TTS, Decimal(25))
    ours, theirs = Call(), Call(tenant_id="ten_b")
    await store(api, ours)
    await store(api, theirs)
    costs = await read(api, f"{ours.url}/costs")
    assert (costs["breakdown"]["tts"]["cost"], costs["total"]) == (Decimal("0.234"), Decimal("0.28654"))
    assert sums(costs) == (costs["total"], costs["total"])
    other = await api.client.get(f"{theirs.url}/costs", headers=api.token("ten_b"))
    assert other.json()["total"] == 0.23974
    for percent in (Decimal(-101), Decimal("1000.1"), Decimal("NaN"), Decimal("0.0001")):
        with pytest.raises(Invalid, match="percent"):
            await as_operator(api, prices.set_markup, LegKind.TTS, percent)


async def limit_to(api, cents: int | None) -> None:
    at = datetime.now(UTC)
    tenant = Tenant(
        id=TenantId("ten_a"),
        name="A",
        slug="a",
        status=TenantStatus.ACTIVE,
        plan="professional",
        agency_id=None,
        billing_mode="self_billed",
        usage_limits=UsageLimits(monthly_spend_limit_cents=cents),
        owner=None,
        created_at=at,
        updated_at=at,
    )
    await api.tell(TenantUpdated(tenant_id=tenant.id, tenant=tenant))


async def planned(api, agent_id: str, environment: Environment = Environment.LIVE) -> Any:
    request = PlanSession(
        tenant_id=TenantId("ten_a"),
        environment=environment,
        user_id="usr_1",
        scopes=("hub",),
        agent_id=AgentId(agent_id),
        channel=Channel.PHONE,
    )
    return (await api.bus.request(PLAN_SESSION, request, SessionPlanned)).plan


async def spent(api) -> list[tuple[str, str, Decimal]]:
    async with api.database.transaction_as_system() as tx:
        rows = await tx.all(
            Spent, "SELECT month, provider, usd FROM spend WHERE tenant_id = 'ten_a' ORDER BY month, provider"
        )
    return [(f"{row.month:%Y-%m}", row.provider, row.usd) for row in rows]


class Spent(msgspec.Struct):
    month: date
    provider: str
    usd: Decimal


async def test_what_is_spent_is_counted_once_by_month_and_outlives_the_conversation(api):
    await api.follow()
    await as_operator(api, prices.keep_catalogue)
    line = Usage.of((UsageLeg(kind=LegKind.TELEPHONY, provider="twilio", session_seconds=20),))
    call = Call(started_at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    await store(api, call, usage=line, recording=None)
    other = Call(started_at=datetime(2026, 12, 1, tzinfo=UTC))
    await store(api, other, usage=line, recording=None)
    assert await spent(api) == [("2026-11", "twilio", Decimal("0.0085")), ("2026-12", "twilio", Decimal("0.0085"))]
    corrected = Usage.of((UsageLeg(kind=LegKind.TELEPHONY, provider="telnyx", session_seconds=61),))
    await api.tell(call.ended(usage=corrected, recording=None), event_id="told_again")
    assert await spent(api) == [
        ("2026-11", "telnyx", Decimal("0.014")),
        ("2026-11", "twilio", 0),
        ("2026-12", "twilio", Decimal("0.0085")),
    ]
    answer = await api.client.delete(call.url, headers=api.token("ten_a"))
    assert answer.status_code == 204, answer.text
    assert sum(usd for _, _, usd in await spent(api)) == Decimal("0.0225")


async def test_a_used_up_limit_refuses_new_sessions_and_cuts_no_costs(api):
    await api.follow()
    agent = await api.add_agent(api.token("ten_a"))
    await limit_to(api, 25)
    await store(api, Call())
    plan = await planned(api, agent["id"])
    assert (plan.spend.limit_usd, plan.spend.spent_usd) == (Decimal("0.25"), Decimal("0.23974"))
    assert {price.provider for price in plan.spend.prices} == {"openai", "elevenlabs", "deepgram"}

    over = Call()
    await store(api, over)
    assert (await read(api, f"{over.url}/costs"))["total"] == Decimal("0.23974"), "the invoice is whole"
    with pytest.raises(LimitReached, match=r"0\.25 USD") as refusal:
        await planned(api, agent["id"])
    assert refusal.value.code == "spend-limit-reached"
    body = {"agentId": agent["id"]}
    answer = await api.client.post("/api/v1/webrtc/sessions", json=body, headers=api.token("ten_a"))
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (429, "spend-limit-reached")

    await limit_to(api, 100)
    assert (await planned(api, agent["id"])).spend.spent_usd == Decimal("0.47948")
    await limit_to(api, None)
    assert (await planned(api, agent["id"])).spend.limit_usd is None


async def test_the_sandbox_has_the_same_limit_counted_apart(api):
    await api.follow()
    await limit_to(api, 25)
    await store(api, Call())
    await store(api, Call())
    sandbox = await api.add_agent(api.token("ten_a", environment=Environment.SANDBOX))
    spend = (await planned(api, sandbox["id"], Environment.SANDBOX)).spend
    assert (spend.limit_usd, spend.spent_usd) == (Decimal("0.25"), Decimal(0))


async def test_nothing_is_limited_for_agents_that_cost_nothing(api):
    await api.follow()
    await limit_to(api, None)
    local = await api.add_agent(
        api.token("ten_a"),
        voice={"provider": "local", "voiceId": "heart"},
        llm={"provider": "local", "model": "brain"},
        transcription={"provider": "local", "language": "en-US"},
    )
    assert (await planned(api, local["id"])).spend is None
