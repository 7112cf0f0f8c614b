"""Hubs on a real socket: a process's worth of sessions on fakes behind them, an API that plans what the test says, users with tokens."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import uvicorn
from voisnap_domain.errors import LimitReached, NotFound
from voisnap_domain.ids import ConversationId, NodeId, SessionId
from voisnap_domain.sessions import Caller, Channel, SessionPlan
from voisnap_kit.tokens import TokenSigner, verify
from voisnap_proto.requests import PlanSession
from voisnap_providers.ports.llm import LlmCapabilities, TextDelta
from voisnap_runtime.hubs.auth import authenticator
from voisnap_runtime.hubs.chat import ChatHub
from voisnap_runtime.hubs.reception import Reception
from voisnap_runtime.hubs.voice import VoiceHub
from voisnap_runtime.hubs.webrtc import WebRtcHub
from voisnap_runtime.hubs.wire import call_event
from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.sessions.desk import Desk, DeskSettings
from voisnap_runtime.sessions.listening import Gallery
from voisnap_signalr import HubApp


class Keys:
    """Verifies as JwksClient does, without a publisher."""

    def __init__(self) -> None:
        self.signer = TokenSigner.generate()

    async def verify(self, token: str):
        return verify(token, self.signer.keys())

    def token(
        self,
        *,
        tenant: str = "ten_1",
        environment: str = "live",
        scopes=("hub",),
        minutes=15,
        user: str = "usr_1",
        jti: str = "jti_1",
        **claims,
    ) -> str:
        return self.signer.sign(
            subject=user,
            tenant_id=tenant,
            environment=environment,
            role="TenantOwner",
            scopes=frozenset(scopes),
            now=datetime.now(UTC) - timedelta(minutes=15) + timedelta(minutes=minutes),
            lifetime=timedelta(minutes=15),
            token_id=jti,
            **claims,
        )


class Planner:
    """The API: knows `agt_1` of tenant `ten_1`. `refusal` is what it raises instead; `asked` is what it was asked for."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan
        self.asked: list[PlanSession] = []
        self.refusal: Exception | None = None
        self.changes: dict[str, Any] = {}

    async def __call__(self, request: PlanSession) -> SessionPlan:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        if (request.tenant_id, request.environment.value, request.agent_id) != ("ten_1", "live", "agt_1"):
            raise NotFound("agent", request.agent_id, code="agent-not-found")
        number = len(self.asked)
        plan = self._plan(
            session_id=SessionId(f"{'chat' if request.channel is Channel.WEBCHAT else 'call'}_{number}"),
            conversation_id=ConversationId(f"conv_{number}"),
            channel=request.channel,
            caller=Caller(user_id=request.user_id),
            metadata=request.metadata,
            **self.changes,
        )
        return msgspec.json.decode(msgspec.json.encode(plan), type=SessionPlan)


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def planner(make_plan):
    return Planner(make_plan)


class Pen:
    """A language model that writes what the test hands it: `write` adds a piece of the reply, `finish` ends it, an exception breaks it."""

    provider = "pen"
    capabilities = LlmCapabilities()

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.prompts: list[str] = []
        self._pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()

    def write(self, *pieces: str | Exception) -> None:
        for piece in pieces:
            self._pieces.put_nowait(piece)

    def finish(self) -> None:
        self._pieces.put_nowait(None)

    async def warm(self) -> None: ...

    async def answer(self, request):
        self.asked.append(request.messages[-1].content)
        self.prompts.append(request.messages[0].content)
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield TextDelta(text=piece)


@pytest.fixture
def pen():
    return Pen()


@pytest.fixture
async def house(house, pen):
    """The house, with real chats in it."""
    parts = house.sessions._parts

    def make_call(plan, recorder, notify, resume=None):
        if plan.channel is Channel.WEBCHAT:
            return Chat(plan, llm=pen, notify=notify, resume=resume)
        return parts.make_call(plan, recorder, notify, resume)

    house.sessions._parts = msgspec.structs.replace(parts, make_call=make_call)
    return house


@pytest.fixture
async def reception(house, planner):
    house.clock.follow(asyncio.get_running_loop())
    desk = Desk(
        DeskSettings(node_id=NodeId("node_a"), max_sessions=2),
        house.store,
        house.bus,
        house.sessions,
        check_providers=lambda plan: None,
        now=house.clock,
        random_bytes=lambda count: b"\x07" * count,
    )
    return Reception(
        store=house.store,
        sessions=house.sessions,
        desk=desk,
        plan=planner,
        now=house.clock,
        random_bytes=lambda count: b"\x05" * count,
        bus=house.bus,
    )


@pytest.fixture
async def gallery(house):
    """Lets listeners hear the conversations of the house."""
    made = Gallery(house.bus, house.sessions.of_conversation, to_event=call_event)
    await made.listen()
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def listening_at(app: Any):
    """The application on a port of its own. Stops at once, where the real server looks up every 100 ms whether it should."""
    config = uvicorn.Config(
        app,
        port=0,
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        for listener in server.servers:
            listener.close()
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=5)


class Room:
    """Whether the process takes new sessions."""

    is_full = False

    def __call__(self) -> None:
        if self.is_full:
            raise LimitReached("This node takes no more sessions.", code="node-full", retry_after=2)


@pytest.fixture
def room():
    return Room()


@pytest.fixture
async def port(reception, keys, room):
    """Where the hubs listen."""
    hubs = HubApp(
        {
            "webrtc": lambda: WebRtcHub(reception),
            "voice": lambda: VoiceHub(reception),
            "chat": lambda: ChatHub(reception),
        },
        authenticate=authenticator(keys, check_room=room),
        allowed_origins=("http://page",),
        continuity=True,
    )
    async with listening_at(hubs) as listening:
        yield listening


@pytest.fixture
def voice(port, keys, connect_hub):
    """`voice(agentId=…)`: a connection to VoiceHub as a user of `ten_1` unless claims say otherwise."""

    def open_voice(claims: dict[str, Any] | None = None, **query: str):
        query = {"agentId": "agt_1"} | query
        return connect_hub(port, {**query, "access_token": keys.token(**(claims or {}))}, hub="voice")

    return open_voice


@pytest.fixture
def chat(port, keys, connect_hub):
    """`chat(agentId=…)`: the same for ChatHub."""

    def open_chat(claims: dict[str, Any] | None = None, **query: str):
        query = {"agentId": "agt_1"} | query
        return connect_hub(port, {**query, "access_token": keys.token(**(claims or {}))}, hub="chat")

    return open_chat


async def refusal_of(client, *, recoverable: bool = False) -> dict[str, Any]:
    """The error a refused connection is told, after which it is closed."""
    error = await client.until("Error")
    assert error["recoverable"] is recoverable
    with pytest.raises(AssertionError, match="closed"):
        await client.until("SessionStarted")
    return error


@pytest.fixture
def refused():
    return refusal_of


async def until_left(live) -> None:
    """Until the server has noticed that a client is gone."""
    async with asyncio.timeout(5):
        while live.is_watched:  # noqa: ASYNC110 - the loop's turns are what is waited for
            await asyncio.sleep(0)


@pytest.fixture
def left_alone():
    return until_left


@pytest.fixture
def error_of():
    """`await error_of(client, target, *arguments)`: the text with which an invocation is refused."""

    async def invoke(client, target: str, *arguments: Any) -> str:
        number = await client.invoke(target, *arguments)
        with pytest.raises(AssertionError) as refusal:
            await client.answered(number)
        return str(refusal.value)

    return invoke


@pytest.fixture
def outcome_of():
    """`await outcome_of(client, target, *arguments)`: the text with which an invocation is refused, empty when it is not."""

    async def invoke(client, target: str, *arguments: Any) -> str:
        number = await client.invoke(target, *arguments)
        try:
            await client.answered(number)
        except AssertionError as error:
            return str(error).partition("\nassert")[0]
        return ""

    return invoke


@pytest.fixture
def listening():
    """`async with listening(app) as port`."""
    return listening_at
