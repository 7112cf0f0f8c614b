"""`/api/v1/agents/{agentId}/test`."""

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from voisnap_domain.ids import AgentId
from voisnap_domain.sessions import WRITTEN_CHANNELS
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.webrtc_sessions.clients import open_session
from voisnap_api.webrtc_sessions.routes import InjectedBus

from . import usecases
from .records import TestStatus
from .schemas import TestBody, TestStarted, TestView

CONNECT_SECONDS = 1
"""A simulated caller is there at once."""


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
    ) -> Response[TestStarted]:
        """Try an agent out, also a draft or an inactive one. Where no carrier is involved, and on every channel in the sandbox, a simulated
        caller talks with it; the conversation has a transcript, a recording and costs like any other, and is marked in its metadata."""
        async with begin(database, caller) as work:
            test, plan, rehearsal = await usecases.plan_test(work, AgentId(agent_id), data)
        await open_session(bus, plan, rehearsal)
        async with begin(database, caller) as work:
            await usecases.keep_test(work, test)
        started = TestStarted(
            test_session_id=test.id,
            status=TestStatus.INITIATED,
            estimated_connect_seconds=0 if test.channel in WRITTEN_CHANNELS else CONNECT_SECONDS,
        )
        place = f"/api/v1/agents/{test.agent_id}/tests/{test.id}"
        return Response(started, status_code=202, headers={"Location": place, "Cache-Control": "no-store"})

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
        return Page.of([TestView.of(test, status) for test, status in found], paging, total)

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
            return TestView.of(*await usecases.get_test(work, AgentId(agent_id), test_session_id))
