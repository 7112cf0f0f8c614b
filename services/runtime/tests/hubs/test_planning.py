"""Asking the API for a plan, in virtual time: it may be restarted meanwhile, and it may stay away."""

import asyncio

import pytest
from voisnap_domain.errors import Conflict
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import NoResponders, RequestTimeout
from voisnap_proto.requests import PLAN_SESSION, PlanSession, SessionPlanned
from voisnap_runtime.hubs.reception import PLAN_SECONDS, plans_of
from voisnap_testkit.memory_bus import MemoryBus

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

REQUEST = PlanSession(
    tenant_id=TenantId("ten_1"),
    environment=Environment.LIVE,
    user_id="usr_1",
    scopes=("hub",),
    agent_id=AgentId("agt_1"),
    channel=Channel.PHONE,
)


@pytest.fixture
async def bus():
    return MemoryBus()


async def test_an_api_that_comes_back_within_seconds_is_waited_for(bus, make_plan):
    async def answer(request):
        return SessionPlanned(plan=make_plan())

    planning = asyncio.create_task(plans_of(bus)(REQUEST))
    await asyncio.sleep(1.5)
    await bus.respond(PLAN_SESSION, "api", PlanSession, answer)
    assert (await planning).session_id == "wrtc_1"


async def test_an_api_that_stays_away_is_given_up(bus):
    with pytest.raises(NoResponders):
        await plans_of(bus)(REQUEST)
    assert asyncio.get_running_loop().time() <= PLAN_SECONDS


async def test_an_api_that_says_nothing_is_given_up(bus):
    async def hang(request):
        await asyncio.sleep(3600)

    await bus.respond(PLAN_SESSION, "api", PlanSession, hang)
    with pytest.raises(RequestTimeout):
        await plans_of(bus)(REQUEST)
    assert asyncio.get_running_loop().time() == pytest.approx(PLAN_SECONDS)


async def test_a_refusal_is_no_reason_to_ask_again(bus):
    asked = []

    async def refuse(request):
        asked.append(request)
        raise Conflict("Agent agt_1 is draft.", code="agent-inactive")

    await bus.respond(PLAN_SESSION, "api", PlanSession, refuse)
    with pytest.raises(Conflict, match="draft"):
        await plans_of(bus)(REQUEST)
    assert len(asked) == 1
