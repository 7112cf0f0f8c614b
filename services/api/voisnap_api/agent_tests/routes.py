"""`/api/v1/agents/{agentId}/test`."""

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.ids import AgentId
from voisnap_domain.sessions import WRITTEN_CHANNELS, Channel, EndReason, SessionPlan
from voisnap_kit.bus import EventBus
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin
from voisnap_proto.requests import END_SESSION, EndSession, SessionEnding
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import CallControl

from voisnap_api.carrier_webhooks.usecases import remember_call
from voisnap_api.channels.routes import InjectedNetworks
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.webrtc_sessions.clients import open_session
from voisnap_api.webrtc_sessions.routes import InjectedBus

from . import usecases
from .clients import RehearsalLines
from .records import AgentTest, TestStatus
from .schemas import TestBody, TestStarted, TestView

CONNECT_SECONDS = 1
"""A simulated caller is there at once."""
RING_SECONDS = 10
"""People take a while to pick up."""
END_SECONDS = 2.0

InjectedRehearsalLines = NamedDependency[SkipValidation[RehearsalLines]]


class AgentTestController(Controller):
    """Trying agents out."""

    path = "/api/v1/agents"
    tags = ("Agents",)

    @post("/{agent_id:str}/test", status_code=202, guards=[requires("agents:write")])
    async def test(
        self,
        agent_id: FromPath[str],
        data: JSONBody[TestBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        bus: InjectedBus,
        test_lines: InjectedRehearsalLines,
        networks: InjectedNetworks,
    ) -> Response[TestStarted]:
        """Try an agent out, also a draft or an inactive one. Where no carrier is involved, and on every channel in the sandbox, a simulated
        caller talks with it; the conversation has a transcript, a recording and costs like any other, and is marked in its metadata. By phone
        an agent that has a number in the sandbox calls over a simulated carrier.

        With a live key a test by phone calls `phoneNumber` from the agent's number, at any hour, and one by sms, whatsapp or telegram sends
        it the agent's first message; this needs the scope `calls:write` or `conversations:write`. 409 `carrier-not-configured` when the agent
        has no number or account there, and whatever `/outbound-calls` and `/messages` refuse."""
        if usecases.is_for_real(caller, data.channel):
            async with begin(database, caller) as work:
                return _started(await usecases.reach_somebody(work, networks, AgentId(agent_id), data))
        async with begin(database, caller) as work:
            test, plan, rehearsal = await usecases.plan_test(work, AgentId(agent_id), data)
            line = await test_lines.leg_for(work, plan, test.id) if test.channel is Channel.PHONE else None
        number = test.phone_number or ""
        if line is not None and await test_lines.expects(number, rehearsal):
            await self._call(database, caller, bus, test_lines, line, test, plan)
        else:
            await open_session(bus, plan, rehearsal)
            async with begin(database, caller) as work:
                await usecases.keep_test(work, test)
        return _started(test)

    async def _call(
        self,
        database: Database,
        caller: Caller,
        bus: EventBus,
        test_lines: RehearsalLines,
        line: tuple[CarrierLeg, CallControl],
        test: AgentTest,
        plan: SessionPlan,
    ) -> None:
        """The agent calls over a simulated carrier. Raises ProviderError; then no session is left behind."""
        leg, control = line
        opened = await open_session(bus, msgspec.structs.replace(plan, leg=leg))
        about = {"provider": leg.provider, "account": leg.account, "session_id": plan.session_id}
        async with begin(database, caller) as work:
            await usecases.keep_test(work, test)
            await remember_call(work, **about)
        try:
            order = test_lines.order(plan, leg, test.id, test.phone_number or "", opened.session_token)
            call_id = await control.dial(order)
        except ProviderError:
            ending = EndSession(session_id=plan.session_id, reason=EndReason.ERROR)
            await bus.request(END_SESSION, ending, SessionEnding, timeout=END_SECONDS)
            raise
        async with begin(database, caller) as work:
            await remember_call(work, **about, call_id=call_id)

    @get("/{agent_id:str}/tests", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def tests(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
    ) -> Page[TestView]:
        """List an agent's tests, newest first."""
        async with begin(database, caller) as work:
            found, total = await usecases.list_tests(
                work, AgentId(agent_id), limit=paging.page_size, offset=paging.offset
            )
        return Page.of([TestView.of(one) for one in found], paging, total)

    @get("/{agent_id:str}/tests/{test_session_id:str}", guards=[requires("agents:read")])
    async def get_test(
        self,
        agent_id: FromPath[str],
        test_session_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> TestView:
        """Get a test: where it stands, and its conversation."""
        async with begin(database, caller) as work:
            return TestView.of(await usecases.get_test(work, AgentId(agent_id), test_session_id))


def _started(test: AgentTest) -> Response[TestStarted]:
    seconds = CONNECT_SECONDS if test.is_simulated else RING_SECONDS
    started = TestStarted(
        test_session_id=test.id,
        status=TestStatus.INITIATED,
        estimated_connect_seconds=0 if test.channel in WRITTEN_CHANNELS else seconds,
    )
    place = f"/api/v1/agents/{test.agent_id}/tests/{test.id}"
    return Response(started, status_code=202, headers={"Location": place, "Cache-Control": "no-store"})
