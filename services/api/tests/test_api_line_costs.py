"""What the carrier's line of a call costs: once, by the carrier's time where it says it, whenever that comes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from voisnap_api.carrier_webhooks import store as carrier_calls
from voisnap_api.carrier_webhooks.usecases import call_of, note_progress, remember_call
from voisnap_api.conversations.usecases import charge_line
from voisnap_api.prices import usecases as prices
from voisnap_domain.calls import CallPhase, CarrierLeg
from voisnap_domain.costs import LegKind, Usage, UsageLeg
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel, Direction
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_providers.ports.carrier import CallProgress
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call

pytestmark = pytest.mark.slice

USED = Usage.of(
    (UsageLeg(kind=LegKind.LLM, provider="openai", model="gpt-4o", requests=1, input_tokens=1000, output_tokens=100),)
)


def phone_call(direction: Direction = Direction.INBOUND, provider: str = "twilio") -> Call:
    call = Call(channel=Channel.PHONE)
    call.plan = msgspec.structs.replace(
        call.plan,
        direction=direction,
        caller=SessionCaller(phone_number="+4930901820", country="DE"),
        leg=CarrierLeg(provider=provider, account="platform", number="+14155550100", call_id="CA1"),
    )
    return call


async def remember(api: Any, call: Call, call_id: str = "CA1", attempt_id: str | None = None) -> None:
    leg = call.plan.leg
    assert leg is not None
    async with begin(api.database, Caller.system(call.plan.tenant_id, call.plan.environment)) as work:
        await remember_call(
            work,
            provider=leg.provider,
            account=leg.account,
            call_id=call_id,
            session_id=call.plan.session_id,
            attempt_id=attempt_id,
        )


async def ends(api: Any, call: Call, seconds: float | None, call_id: str = "CA1") -> None:
    """The carrier says that the call is over."""
    await says(api, call, CallProgress(call_id=call_id, phase=CallPhase.COMPLETED, seconds=seconds))


async def says(api: Any, call: Call, event: CallProgress, *, at: datetime | None = None) -> None:
    """The carrier says something of a call, as the desk of webhooks takes it."""
    leg = call.plan.leg
    assert leg is not None
    whose = Caller.system(call.plan.tenant_id, call.plan.environment)
    async with begin_as_system(api.database, whose) as work:
        found = await call_of(
            work, provider=leg.provider, account=leg.account, call_id=event.call_id, session_id=None, attempt_id=None
        )
    assert found is not None
    async with begin(api.database, whose, clock=lambda: at or datetime.now(UTC)) as work:
        progressed = await note_progress(work, found, event)
        if progressed.seconds is not None and progressed.conversation_id is not None:
            await charge_line(
                work,
                progressed.conversation_id,
                found,
                progressed.seconds,
                is_measured=progressed.is_measured,
            )


async def conversation_ends(api: Any, call: Call, usage: Usage = USED) -> None:
    for event in (
        call.started,
        call.turn(AGENT_TURN),
        call.turn(USER_TURN),
        call.ended(usage=usage, duration_seconds=59.0, recording=None),
    ):
        await api.tell(event)


async def costs_of(api: Any, call: Call) -> Any:
    answer = await api.client.get(f"{call.url}/costs", headers=api.token("ten_a"))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


async def spent(api: Any) -> dict[str, Decimal]:
    async with api.database.transaction_as_system() as tx:
        found = await tx.all(dict, "SELECT jsonb_build_object('p', provider, 'usd', usd::text) FROM spend")
    return {one["p"]: Decimal(one["usd"]) for one in found if Decimal(one["usd"])}


@pytest.fixture
async def api(api: Any) -> Any:
    await api.follow()
    async with begin_as_system(api.database, Caller.system("ten_a", "live")) as work:  # type: ignore[arg-type]
        await prices.keep_catalogue(work)
    return api


@pytest.mark.parametrize("order", ["before", "after", "twice", "never"])
async def test_a_line_is_charged_once_whenever_the_carrier_says_how_long_it_was(api, order):
    call = phone_call()
    await remember(api, call)
    if order == "before":
        await ends(api, call, 61.0)
    await conversation_ends(api, call)
    estimated = (await costs_of(api, call))["estimated"]
    assert estimated is (order != "before")
    if order in ("after", "twice"):
        await ends(api, call, 61.0)
    if order == "twice":
        await ends(api, call, 3600.0)
    costs = await costs_of(api, call)
    minutes, telephony = (1, Decimal("0.0085")) if order == "never" else (2, Decimal("0.017"))
    assert (costs["breakdown"]["telephony"]["provider"], costs["breakdown"]["telephony"]["minutes"]) == (
        "twilio",
        minutes,
    )
    assert costs["breakdown"]["telephony"]["cost"] == telephony
    assert [leg["kind"] for leg in costs["legs"]] == ["llm", "telephony"]
    assert sum(leg["cost"] for leg in costs["legs"]) == costs["total"]
    assert sum(part["cost"] for part in costs["breakdown"].values()) == costs["total"]
    assert await spent(api) == {"openai": Decimal("0.0035"), "twilio": telephony}
    shown = (await api.client.get(call.url, headers=api.token("ten_a"))).json()
    assert (shown["channel"], shown["direction"]) == ("phone", "inbound")
    assert (shown["caller"]["phoneNumber"], shown["caller"]["country"]) == ("+4930901820", "DE")


async def test_each_line_of_a_call_is_rounded_up_for_itself_by_its_own_direction(api):
    call = phone_call()
    await remember(api, call)
    async with begin(api.database, Caller.system(call.plan.tenant_id, call.plan.environment)) as work:
        await carrier_calls.insert(
            work.tx,
            call.plan.tenant_id,
            call.plan.environment,
            provider="twilio",
            account="platform",
            call_id="CA2",
            session_id=call.plan.session_id,
            attempt_id="xfer_1",
            is_main=False,
            language="en-US",
            conversation_id=None,
            at=datetime.now(UTC),
        )
    await conversation_ends(api, call)
    await ends(api, call, 130.0)
    await ends(api, call, 20.0, "CA2")
    costs = await costs_of(api, call)
    lines = [(leg["minutes"], leg["cost"]) for leg in costs["legs"] if leg["kind"] == "telephony"]
    assert lines == [(3, Decimal("0.0255")), (1, Decimal("0.014"))]
    assert costs["breakdown"]["telephony"]["minutes"] == 4
    assert (await spent(api))["twilio"] == Decimal("0.0395")


async def test_a_line_that_was_stored_while_its_conversation_ended_is_charged_with_it(api):
    call = phone_call()
    await remember(api, call)
    await conversation_ends(api, call)
    await ends(api, call, 59.0)
    async with begin(api.database, Caller.system(call.plan.tenant_id, call.plan.environment)) as work:
        await carrier_calls.insert(
            work.tx,
            call.plan.tenant_id,
            call.plan.environment,
            provider="twilio",
            account="platform",
            call_id="CA2",
            session_id=call.plan.session_id,
            attempt_id="xfer_1",
            is_main=False,
            language="en-US",
            conversation_id=None,
            at=datetime.now(UTC),
        )
    await ends(api, call, 20.0, "CA2")
    lines = [leg["cost"] for leg in (await costs_of(api, call))["legs"] if leg["kind"] == "telephony"]
    assert lines == [Decimal("0.0085"), Decimal("0.014")]


async def test_a_call_of_ours_costs_what_calls_out_do_and_what_the_runtime_counted_of_the_line_counts_no_more(api):
    call = phone_call(Direction.OUTBOUND)
    await remember(api, call)
    counted = Usage.of(
        (*USED.legs, UsageLeg(kind=LegKind.TELEPHONY, provider="twilio", line="CA1", session_seconds=300))
    )
    await ends(api, call, 59.0)
    await conversation_ends(api, call, counted)
    assert (await costs_of(api, call))["breakdown"]["telephony"]["cost"] == Decimal("0.014")


async def test_a_call_that_was_not_remembered_is_charged_by_the_session(api):
    call = phone_call(provider="vonage")
    await conversation_ends(api, call)
    costs = await costs_of(api, call)
    assert (costs["breakdown"]["telephony"]["minutes"], costs["estimated"]) == (1, True)
    assert costs["breakdown"]["telephony"]["cost"] == Decimal("0.0127")


@pytest.mark.parametrize("ends_first", [True, False])
async def test_a_line_whose_carrier_says_no_time_is_measured_until_its_bill_comes(api, ends_first):
    call = phone_call(provider="telnyx")
    await remember(api, call)
    answered = datetime.now(UTC)

    async def hangs_up() -> None:
        over = CallProgress(call_id="CA1", phase=CallPhase.COMPLETED)
        await says(api, call, over, at=answered + timedelta(seconds=125))

    await says(api, call, CallProgress(call_id="CA1", phase=CallPhase.ANSWERED), at=answered)
    if ends_first:
        await hangs_up()
    await conversation_ends(api, call)
    if not ends_first:
        assert (await costs_of(api, call))["breakdown"]["telephony"]["minutes"] == 1
        await hangs_up()
    costs = await costs_of(api, call)
    assert (costs["breakdown"]["telephony"]["minutes"], costs["estimated"]) == (3, True)
    await ends(api, call, 240.0)
    costs = await costs_of(api, call)
    assert (costs["breakdown"]["telephony"]["minutes"], costs["estimated"]) == (4, False)
    assert [leg["kind"] for leg in costs["legs"]] == ["llm", "telephony"]
    assert (await spent(api))["telnyx"] == Decimal("0.022") == costs["breakdown"]["telephony"]["cost"]


async def test_a_carriers_word_that_comes_with_the_end_of_the_conversation_is_charged_once(api):
    for _ in range(6):
        call = phone_call()
        call.plan = msgspec.structs.replace(
            call.plan, leg=msgspec.structs.replace(call.plan.leg, call_id=call.plan.session_id)
        )
        await remember(api, call, call.plan.session_id)
        await asyncio.gather(conversation_ends(api, call), ends(api, call, 61.0, call.plan.session_id))
        costs = await costs_of(api, call)
        assert (costs["breakdown"]["telephony"]["minutes"], costs["estimated"]) == (2, False)
    assert (await spent(api))["twilio"] == 6 * Decimal("0.017")
