"""`/api/v1/webrtc/sessions`."""

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from voisnap_domain.ids import AgentId
from voisnap_domain.sessions import Channel
from voisnap_kit.bus import Bus
from voisnap_kit.work import begin

from voisnap_api.gate import InjectedDatabase, InjectedIdentity, requires
from voisnap_api.session_plans.usecases import plan_session

from . import clients
from .schemas import WebRtcSessionBody, WebRtcSessionView

InjectedBus = NamedDependency[SkipValidation[Bus]]


class WebRtcSessionController(Controller):
    """Calls from browsers."""

    path = "/api/v1/webrtc/sessions"
    tags = ("WebRTC",)

    @post("/", guards=[requires("webrtc:write")])
    async def create(
        self,
        data: JSONBody[WebRtcSessionBody],
        identity: InjectedIdentity,
        database: InjectedDatabase,
        bus: InjectedBus,
    ) -> Response[WebRtcSessionView]:
        """Make a call ready. Connect to WebRtcHub with the session token before it expires, and use the ICE servers as they are."""
        async with begin(database, identity.caller) as work:
            plan = await plan_session(
                work, AgentId(data.agent_id), Channel.WEBRTC, data.metadata, bound_to=identity.agent
            )
        opened = await clients.open_session(bus, plan)
        return Response(WebRtcSessionView.of(opened), status_code=201, headers={"Cache-Control": "no-store"})
