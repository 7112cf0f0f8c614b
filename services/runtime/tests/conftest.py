"""Builders for the tests of live sessions: a plan, a session, a clock that stands still, a call and a transport that do as they are told."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from litestar import get
from voisnap_domain.agents import AgentConfig, AgentSnapshot, Llm, Persona, Recording, Transcription, Voice
from voisnap_domain.conversations import CallQuality, Speaker, Turn, TurnLatency
from voisnap_domain.costs import LlmUsage, Usage
from voisnap_domain.ids import AgentId, ConversationId, EventId, NodeId, SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import Channel, Direction, EndReason, Session, SessionPlan, SessionState
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import Bus
from voisnap_kit.http import build_app
from voisnap_kit.serve import serve
from voisnap_kit.tokens import TokenSigner
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import Recorder
from voisnap_providers.ports.blobs import BlobInfo, BlobNotFound
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.recording import Recordings
from voisnap_runtime.sessions.journal import Journal, Relay
from voisnap_runtime.sessions.neighbours import Neighbours
from voisnap_runtime.sessions.parts import Parts
from voisnap_runtime.sessions.roster import LiveSessions
from voisnap_runtime.sessions.store import Progress
from voisnap_runtime.transports.port import LinkQuality
from voisnap_testkit.fakes_sessions import MemoryStore
from voisnap_testkit.memory_bus import MemoryBus
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

NODE = NodeId("node_a")


class Clock:
    """A time of day that moves only when told to, or with a loop's clock."""

    def __init__(self) -> None:
        self._at = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)
        self._follows: asyncio.AbstractEventLoop | None = None
        self._since = 0.0

    def __call__(self) -> datetime:
        if self._follows is None:
            return self._at
        return self._at + timedelta(seconds=self._follows.time() - self._since)

    def advance(self, **amount: float) -> None:
        self._at += timedelta(**amount)

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        self._follows = loop
        self._since = loop.time()


class FakeCall:
    """A conversation that says what the test says and ends when the test ends it."""

    def __init__(
        self,
        plan: SessionPlan,
        recorder: Recorder | None,
        notify: Callable[[Any], None],
        resumption: Resumption | None = None,
    ) -> None:
        self.plan = plan
        self.resumption = resumption
        self.stands_at = CallSnapshot() if resumption is None else resumption.snapshot
        self.held = False
        self.is_quiet = True
        self.recorder = recorder
        self.notify = notify
        self.fed: list[Pcm] = []
        self.digits: list[str] = []
        self.narrow: bool | None = None
        self.running = asyncio.Event()
        self.done: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self.deaf = False
        self.freed_by = asyncio.Event()
        """Not set: it does not even stop when it is cancelled."""
        self.freed_by.set()
        self.last_words: Callable[[], None] = lambda: None

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        self.fed.append(audio)

    def hear_through(self, *, narrow: bool) -> None:
        self.narrow = narrow

    def dtmf(self, digit: str) -> None:
        self.digits.append(digit)

    def pull(self) -> Pcm | None:
        return None

    async def run(self) -> EndReason:
        self.running.set()
        try:
            return await self.done
        finally:
            await self.freed_by.wait()

    def forget(self) -> None:
        """It tells nobody any more; what a test may want to see it keeps."""
        self.notify = lambda event: None

    def end(self, reason: EndReason) -> None:
        if not self.deaf and not self.done.done():
            self.last_words()
            self.done.set_result(reason)

    def snapshot(self) -> CallSnapshot:
        return self.stands_at

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False

    def usage(self) -> Usage:
        return Usage(llm=LlmUsage(provider="local", model="brain", input_tokens=7, output_tokens=3))

    def quality(self) -> CallQuality:
        return CallQuality(packets_received=5)

    def say(self, sequence: int, text: str, *, speaker: Speaker = Speaker.AGENT) -> None:
        latency = TurnLatency(total_ms=700, endpointing_ms=500, stt_ms=20, llm_ms=80, tts_ms=80, platform_ms=20)
        self.notify(call_events.TurnFinished(turn=turn(sequence, text, speaker=speaker, latency=latency)))

    def speak(self, seconds: float) -> None:
        """Put sound of both sides into the recording."""
        if self.recorder is None:
            return
        caller = Pcm((np.sin(np.arange(320) / 5) * 8000).astype(np.int16), 16000)
        agent = Pcm((np.sin(np.arange(480) / 9) * 8000).astype(np.int16), 24000)
        for _ in range(round(seconds * 50)):
            self.recorder.write(caller, agent)


class FakeTransport:
    """Media that connect when the test says so."""

    def __init__(self, sink: Any, on_state: Callable[[str], None], on_candidate: Callable[[Mapping], None]) -> None:
        self.sink = sink
        self.state = "new"
        self.offers: list[str] = []
        self.candidates: list[tuple[str, str | None, int | None]] = []
        self.closed = asyncio.Event()
        self._on_state = on_state
        self.on_candidate = on_candidate

    async def answer(self, sdp: str, type: str) -> tuple[str, str]:
        if not sdp.startswith("v=0"):
            raise ValueError("this is no SDP")
        self.offers.append(sdp)
        self.on_candidate({"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0})
        return f"{sdp} answered", "answer"

    async def add_candidate(self, candidate: str, sdp_mid: str | None, sdp_mline_index: int | None) -> None:
        if candidate and not candidate.startswith("candidate:"):
            raise ValueError("this is no candidate")
        self.candidates.append((candidate, sdp_mid, sdp_mline_index))

    def send(self, audio: Pcm | None) -> None: ...

    def quality(self) -> LinkQuality:
        return LinkQuality(packets_received=50, packets_lost=1)

    async def close(self) -> None:
        self.become("closed")
        self.closed.set()

    def become(self, state: str) -> None:
        self.state = state
        self._on_state(state)


class FakePacer:
    def __init__(self) -> None:
        self.pairs: dict[int, tuple[Any, Any]] = {}

    def add(self, source: Any, transport: Any, *, on_fault: Callable[[Exception], None]) -> None:
        self.pairs[id(source)] = (source, transport)
        self.on_fault = on_fault

    def remove(self, source: Any) -> None:
        self.pairs.pop(id(source), None)


class FakeAudience:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.left = False

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.seen]

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        self.seen.append(("started", resumed))

    def told(self, event: Any) -> None:
        self.seen.append(("told", event))

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        self.seen.append(("candidate", candidate))

    def failed(self, code: str, message: str, *, recoverable: bool) -> None:
        self.seen.append(("failed", code))

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        self.seen.append(("ended", reason))

    async def leave(self) -> None:
        self.left = True

    async def come_back(self) -> None:
        self.seen.append(("come back", None))

    def give_way(self) -> None:
        self.seen.append(("give way", None))


class FakeBlobs:
    """Object storage in a dict that can be away, or die after some deletions."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.away = False
        self.largest_part = 0

    async def put(self, key: str, data: bytes) -> None:
        self._reach()
        self.objects[key] = data

    async def put_stream(self, key: str, parts: Any) -> int:
        self._reach()
        whole = bytearray()
        async for part in parts:
            self.largest_part = max(self.largest_part, len(part))
            whole += part
        self.objects[key] = bytes(whole)
        return len(whole)

    async def get(self, key: str) -> bytes:
        return self.objects[key]

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> Any:
        self._reach()
        if key not in self.objects:
            raise BlobNotFound(key)
        yield self.objects[key][start:end]

    async def head(self, key: str) -> BlobInfo | None:
        self._reach()
        return BlobInfo(key=key, size_bytes=len(self.objects[key])) if key in self.objects else None

    async def list(self, prefix: str) -> tuple[BlobInfo, ...]:
        self._reach()
        found = sorted(key for key in self.objects if key.startswith(prefix))
        return tuple(BlobInfo(key=key, size_bytes=len(self.objects[key])) for key in found)

    async def delete(self, keys: tuple[str, ...]) -> None:
        self._reach()
        for key in keys:
            self.objects.pop(key, None)

    def signed_url(self, key: str, *, expires_in: int, content_type: str, filename: str) -> str | None:
        return None

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("object storage is away")


def turn(sequence: int, text: str, *, speaker: Speaker = Speaker.AGENT, latency: TurnLatency | None = None) -> Turn:
    return Turn(
        sequence=sequence,
        speaker=speaker,
        text=text,
        start_time=sequence - 1,
        end_time=float(sequence),
        confidence=1.0,
        latency=latency,
    )


def make_plan(number: int = 1, *, recorded: bool = False, **changes: Any) -> SessionPlan:
    config = AgentConfig(
        name="Example agent",
        persona=Persona(name="Aria"),
        voice=Voice(provider="local", voice_id="heart"),
        llm=Llm(provider="local", model="brain"),
        transcription=Transcription(provider="local"),
        system_prompt_template="You are Aria.",
        recording=Recording(enabled=recorded, format="wav"),
    )
    plan = SessionPlan(
        session_id=SessionId(f"wrtc_{number}"),
        conversation_id=ConversationId(f"conv_{number}"),
        tenant_id=TenantId("ten_1"),
        environment=Environment.LIVE,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=3, config=config),
        created_at=datetime(2026, 1, 2, 9, 30, tzinfo=UTC),
    )
    # As it comes over the bus, with real enumerations.
    plan = msgspec.json.decode(msgspec.json.encode(plan), type=SessionPlan)
    return msgspec.structs.replace(plan, **changes)


def make_session(plan: SessionPlan | None = None, **changes: Any) -> Session:
    plan = plan or make_plan()
    session = Session(
        plan=plan, state=SessionState.CREATED, revision=1, deadline=plan.created_at + timedelta(seconds=900)
    )
    return msgspec.structs.replace(session, **changes)


@contextlib.asynccontextmanager
async def served(app: Any):
    """An application on a port of its own."""
    listening = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, on_ready=listening.set_result))
    try:
        yield await asyncio.wait_for(listening, 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class HubClient:
    """Speaks just enough SignalR to make a call. Raises AssertionError for what the server refuses, or when it closes."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._count = 0
        self._results: dict[str, Any] = {}
        self.seen: list[tuple[str, Any]] = []

    async def shake_hands(self) -> None:
        await self._socket.send('{"protocol":"json","version":1}\x1e')
        reply = await self._socket.recv()
        first, _, rest = reply.partition("\x1e")
        assert first == "{}"
        self._take(rest)

    async def invoke(self, target: str, *arguments: Any) -> int:
        """Call a hub method; its number, to wait for what it answers."""
        self._count += 1
        message = {"type": 1, "invocationId": str(self._count), "target": target, "arguments": arguments}
        await self._socket.send(json.dumps(message) + "\x1e")
        return self._count

    async def ask(self, target: str, *arguments: Any) -> Any:
        """Call a hub method and wait for its result."""
        return await self.answered(await self.invoke(target, *arguments))

    async def until(self, target: str, *, seconds: float = 10, where: Any = lambda _: True, keep: bool = False) -> Any:
        """The argument of the next call of `target` that matches; what came before it is forgotten unless kept."""
        async with asyncio.timeout(seconds):
            while True:
                for index, (name, value) in enumerate(self.seen):
                    if name == target and where(value):
                        if not keep:
                            del self.seen[: index + 1]
                        return value
                self._take(await self._received())

    async def answered(self, number: int, *, seconds: float = 10) -> Any:
        """The result of the invocation of that number."""
        async with asyncio.timeout(seconds):
            while str(number) not in self._results:
                self._take(await self._received())
            return self._results[str(number)]

    async def _received(self) -> str:
        try:
            return await self._socket.recv()
        except ConnectionClosed:
            raise AssertionError("the connection is closed") from None

    def _take(self, frame: str) -> None:
        for message in filter(None, frame.split("\x1e")):
            body = json.loads(message)
            if body["type"] == 1:
                self.seen.append((body["target"], (body["arguments"] or [None])[0]))
            elif body["type"] == 3:
                assert "error" not in body, body["error"]
                self._results[body["invocationId"]] = body.get("result")


@contextlib.asynccontextmanager
async def hub_connection(port: int, query: str | dict[str, str], *, hub: str = "webrtc"):
    text = query if isinstance(query, str) else urlencode(query)
    async with connect(f"ws://127.0.0.1:{port}/hubs/{hub}?{text}") as socket:
        client = HubClient(socket)
        await client.shake_hands()
        yield client


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended: `asyncio.wait_for` of Python 3.11 can swallow a cancellation."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)


class House:
    """A process's worth of live sessions on fakes; a `neighbour` shares store, bus and blobs with another house."""

    def __init__(
        self,
        tmp_path: Path,
        clock: Clock,
        *,
        node_id: NodeId = NODE,
        max_sessions: int = 2,
        beside: "House | None" = None,
    ) -> None:
        self.clock = clock
        self.node_id = node_id
        self.store = MemoryStore(Progress, clock=clock) if beside is None else beside.store
        self.bus = MemoryBus(clock=clock) if beside is None else beside.bus
        self.blobs = FakeBlobs() if beside is None else beside.blobs
        self.pacer = FakePacer()
        self.calls: dict[SessionId, FakeCall] = {}
        self.transports: list[FakeTransport] = []
        self.relay = Relay(self.store, self.bus)
        ids = itertools.count(1)
        self.new_event_id = lambda: EventId(f"evt_{node_id}_{next(ids):04d}")
        self.recordings = Recordings(self.blobs, spool=tmp_path / "spool")
        self.neighbours = Neighbours(self.bus, node_id)
        self.journal = Journal(
            self.store,
            node_id,
            spool=tmp_path / "spool",
            new_event_id=self.new_event_id,
            written=self.relay.wake,
            lost=lambda session_id: self.sessions.void(session_id),
        )
        self.sessions = LiveSessions(
            Parts(
                node_id=node_id,
                store=self.store,
                journal=self.journal,
                pacer=self.pacer,
                recordings=self.recordings,
                make_call=self._make_call,
                make_transport=self._make_transport,
                now=clock,
                neighbours=self.neighbours,
                max_sessions=max_sessions,
            )
        )
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self) -> None:
        """Start what a process runs in the background, but for the ticks."""
        self._tasks = [asyncio.create_task(work) for work in (self.journal.run(), self.relay.run())]

    def use(self, store: Any, *, max_sessions: int) -> None:
        """Live on another store from now on, before anything has happened."""
        self.store = store
        for part in (self.journal, self.relay):
            part._store = store
        parts = self.sessions._parts
        self.sessions._parts = self.sessions._claims._parts = msgspec.structs.replace(
            parts, store=store, max_sessions=max_sessions
        )

    async def kill(self) -> None:
        """As `kill -9` would: everything stands still, nothing is told to anybody."""
        await self.neighbours.close()
        for live in self.sessions._live.values():
            live._void = True
        await stopped(*self._tasks, *self.sessions._tasks)

    async def close(self) -> None:
        await self.sessions.close(timeout=5)
        await stopped(*self._tasks)
        await self.recordings.close()

    async def open(self, plan: SessionPlan | None = None, *, token: str = "wrtc_tok_1") -> Session:  # noqa: S107
        session = make_session(plan)
        await self.store.create(session, token=token, token_until=self.clock() + timedelta(minutes=5))
        return session

    @staticmethod
    def fake_call(plan: SessionPlan, recorder: Recorder | None) -> FakeCall:
        """A call beside the house, for what it can do to a recorder."""
        return FakeCall(plan, recorder, lambda _: None)

    @property
    def events(self) -> list[Any]:
        """What JetStream has."""
        return self.bus.published

    def _make_call(
        self,
        plan: SessionPlan,
        recorder: Recorder | None,
        notify: Callable[[Any], None],
        resumption: Resumption | None,
    ) -> FakeCall:
        self.calls[plan.session_id] = FakeCall(plan, recorder, notify, resumption)
        return self.calls[plan.session_id]

    def _make_transport(self, sink: Any, on_state: Any, on_candidate: Any) -> FakeTransport:
        self.transports.append(FakeTransport(sink, on_state, on_candidate))
        return self.transports[-1]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(tmp_path: Path, clock: Clock) -> Any:
    made = House(tmp_path, clock)
    made.run()
    await made.neighbours.listen(made.sessions.yield_session)
    yield made
    await made.close()


@pytest.fixture
async def build_house(house: House, tmp_path: Path, clock: Clock) -> Any:
    """Further processes beside `house`, by node id."""
    built: list[House] = []

    async def build(name: str, *, max_sessions: int = 2) -> House:
        made = House(tmp_path / name, clock, node_id=NodeId(name), max_sessions=max_sessions, beside=house)
        made.run()
        await made.neighbours.listen(made.sessions.yield_session)
        built.append(made)
        return made

    yield build
    for made in built:
        await made.close()


@pytest.fixture(name="served")
def app_server() -> Any:
    """`async with served(app) as port`."""
    return served


@pytest.fixture
def connect_hub() -> Any:
    """`async with connect_hub(port, query) as client`."""
    return hub_connection


@pytest.fixture(name="make_plan")
def plan_builder() -> Callable[..., SessionPlan]:
    return make_plan


@pytest.fixture(name="make_session")
def session_builder() -> Callable[..., Session]:
    return make_session


@pytest.fixture(name="make_turn")
def turn_builder() -> Callable[..., Turn]:
    return turn


@pytest.fixture
def make_audience() -> type[FakeAudience]:
    return FakeAudience


@pytest.fixture
def signer():
    return TokenSigner.generate()


@pytest.fixture
async def jwks_url(signer, served):
    @get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return signer.jwks()

    async with served(build_app([jwks], service="test", checks={})) as port:
        yield f"http://127.0.0.1:{port}/.well-known/jwks.json"


@pytest.fixture
def token(signer):
    return signer.sign(
        subject="usr_1",
        tenant_id="ten_1",
        environment="live",
        role="TenantOwner",
        scopes=frozenset({"hub"}),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=15),
        token_id="jti_1",
    )


@pytest.fixture
async def bus(nats_url):
    async with await Bus.connect(nats_url, "test") as connected:
        yield connected


@pytest.fixture
async def published(bus: Bus):
    """What JetStream gets: a queue of events."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def take(event: Any, _meta: Any) -> None:
        queue.put_nowait(event)

    subscription = await bus.subscribe("test", ["evt.session.>"], take, max_in_flight=1)
    yield queue
    await subscription.close()


@pytest.fixture
def spoken_plan() -> SessionPlan:
    """An agent that greets with its name and is recorded."""
    plan = make_plan(recorded=True, created_at=datetime.now(UTC))
    config = msgspec.structs.replace(
        plan.agent.config,
        first_message="Hello, this is Aria.",
    )
    return msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))


@pytest.fixture
def hub(connect_hub):
    """A hub connection of (port, session token, access token)."""

    def connect(port: int, session_token: str, access_token: str):
        return connect_hub(port, f"sessionToken={session_token}&access_token={access_token}")

    return connect


@contextlib.asynccontextmanager
async def media_of(client: HubClient):
    """A browser's side of the call, silent."""
    peer = RTCPeerConnection()
    peer.addTrack(AudioStreamTrack())
    try:
        await peer.setLocalDescription(await peer.createOffer())
        await client.invoke("SendOfferAsync", {"sdp": peer.localDescription.sdp, "type": "offer"})
        answer = await client.until("SdpAnswerReceived")
        await peer.setRemoteDescription(RTCSessionDescription(**answer))
        yield peer
    finally:
        await peer.close()


@pytest.fixture
def media() -> Any:
    """`async with media(client)`: the media of a hub client's session."""
    return media_of
