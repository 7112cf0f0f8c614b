"""A platform in one process, made of our adapters alone: it answers webhooks, and talks in tones on the media socket."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
import pytest_asyncio
from voisnap_domain.calls import CallPhase
from voisnap_domain.tenants import Environment
from voisnap_media.pcm import Pcm
from voisnap_providers.carriers import SIMULATOR, Carrier, Carriers, CarrierUrls, media_wire
from voisnap_providers.ports.carrier import (
    AnswerDocument,
    AudioHeard,
    CallProgress,
    CarrierEvent,
    HandOverEnded,
    InboundCall,
    KeyPressed,
    MarkReached,
    MediaLost,
    MediaStarted,
    StreamTarget,
    WebhookRequest,
)
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build
from voisnap_simulator.persona.voice import Tones
from voisnap_simulator.voice import calls
from voisnap_simulator.voice.exchange import Exchange, exchange_of
from voisnap_simulator.voice.media import loudness
from voisnap_simulator.voice.sound import RATE, tone
from voisnap_simulator.world import OwnedNumber, World
from voisnap_testkit.local_server import answer, read_request, served

OURS = "+14155550199"
TWENTY_TIMES = 0.001
_REACHED = (CallPhase.INITIATED, CallPhase.RINGING, CallPhase.ANSWERED, CallPhase.COMPLETED)


@dataclass
class Platform:
    """What a platform sees and does. `plans` is asked for the target of a call that comes in; `on_event` of every event."""

    carriers: Carriers = field(default_factory=Carriers)
    accounts: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    events: list[tuple[str, CarrierEvent]] = field(default_factory=list)
    raw: list[WebhookRequest] = field(default_factory=list)
    started: list[MediaStarted] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    heard_frames: int = 0
    loud_frames: int = 0
    sockets: int = 0
    targets: int = 0
    break_first: bool = False
    """Close the first media socket without a word when something was heard."""
    greeting_seconds: float = 0.4
    news: asyncio.Event = field(default_factory=asyncio.Event)
    fails: int = 0
    """So many webhooks are answered 503 first."""
    documents: list[bytes] = field(default_factory=list)
    """What requests for `/document` are answered, one after the other; then nothing."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The fields of those requests, forms and JSON."""
    sound: bytes = b""
    """What lies at `/sound`."""

    def carrier(self, provider: str) -> Carrier:
        return self.carriers.of(self.accounts[provider], Environment.SANDBOX)

    def target(self, provider: str, call_id: str = "") -> StreamTarget:
        urls = CarrierUrls(self.url)
        self.targets += 1  # a token opens one socket once
        return StreamTarget(
            url=urls.media(provider),
            token=f"token-{self.targets}",
            resume_url=urls.resume(provider, SIMULATOR, session_id="s1"),
            call_id=call_id,
        )

    async def until(self, is_so: Callable[[], Any], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        if scope["type"] == "websocket":
            await self._talk(request.path.split("/")[2], receive, send)
            return
        if request.path.startswith(("/document", "/sound")):
            await self._document(scope, request, send)
            return
        *_, provider, _, what = request.path.split("/")
        if self.fails:
            self.fails -= 1
            await answer(scope, send, 503, b"", {})
            return
        query = f"?{request.raw_query}" if request.raw_query else ""
        webhook = WebhookRequest(
            method=request.method, url=f"{self.url}{request.path}{query}", headers=request.headers, body=request.body
        )
        carrier = self.carrier(provider)
        carrier.webhooks.verify(webhook, now=time.time())
        self.raw.append(webhook)
        events = carrier.webhooks.read(webhook)
        self.events += [(what, event) for event in events]
        self.news.set()
        document = None
        inbound = {event.call_id for _, event in self.events if isinstance(event, InboundCall)}
        for event in events:
            is_leg = isinstance(event, CallProgress) and event.call_id not in inbound
            if isinstance(event, HandOverEnded) or is_leg or getattr(event, "not_reached", False):
                over = getattr(event, "phase", CallPhase.NO_ANSWER)
                if what == "resume" or not isinstance(event, CallProgress):
                    document = await self._after(carrier, event, is_reached=over in _REACHED)
            elif isinstance(event, MediaLost) and event.stranded:
                await carrier.control.hang_up(event.call_id)
            elif isinstance(event, InboundCall) or what == "resume" or isinstance(event, MediaLost):
                target = self.target(provider, event.call_id)
                document = carrier.webhooks.connect(target)
                if not document.body:
                    self.background = asyncio.create_task(self._connect(carrier, event.call_id, target))
        if document is None:
            await answer(scope, send, 200, b"", {"content-type": "text/plain"})
        else:
            await answer(scope, send, document.status, document.body, {"content-type": document.content_type})

    async def _after(self, carrier: Carrier, event: Any, *, is_reached: bool) -> AnswerDocument:
        """What comes next of a call that was handed over."""
        if is_reached:
            return carrier.webhooks.over()
        document = carrier.webhooks.refuse("Nobody is there.", "en-US")
        if not document.body:
            await carrier.control.refuse(event.call_id, "Nobody is there.", "en-US")
        return document

    async def _document(self, scope: Any, request: Any, send: Any) -> None:
        if request.path == "/sound":
            await answer(scope, send, 200 if self.sound else 404, self.sound, {"content-type": "audio/wav"})
            return
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if request.path != "/document":
            await answer(scope, send, 200, b"", {"content-type": "text/plain"})
            return
        self.asked.append(json.loads(request.body) if is_json else dict(parse_qsl(request.body.decode())))
        self.news.set()
        body = self.documents.pop(0) if self.documents else b""
        kind = "application/json" if body.startswith(b"[") else "text/xml"
        await answer(scope, send, 200, body, {"content-type": kind})

    async def _connect(self, carrier: Carrier, call_id: str, target: StreamTarget) -> None:
        await carrier.control.connect(call_id, target)

    async def _talk(self, provider: str, receive: Any, send: Any) -> None:
        wire = media_wire(provider)
        self.sockets += 1
        is_first = self.sockets == 1
        await send({"type": "websocket.accept"})
        loud = quiet = said = 0
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.news.set()
                return
            if message["type"] != "websocket.receive":
                continue
            for event in wire.read(message.get("text") or message.get("bytes") or b""):
                out: tuple[str | bytes, ...] = ()
                match event:
                    case MediaStarted():
                        self.started.append(event)
                        out = (
                            *wire.audio(Pcm(tone((500.0,), self.greeting_seconds), RATE)),
                            *wire.mark("greeting"),
                        )
                    case AudioHeard(audio=audio):
                        self.heard_frames += 1
                        if loudness(audio.samples) > 0.01:
                            self.loud_frames += 1
                            loud, quiet = loud + 1, 0
                        else:
                            quiet += 1
                        if loud > 5 and is_first and self.break_first:
                            await send({"type": "websocket.close", "code": 1011})
                            return
                        if loud > 5 and quiet > 15:
                            loud, said = 0, said + 1
                            sound = Pcm(tone((500.0,), 0.4), RATE)
                            out = (*wire.audio(sound), *wire.mark(f"answer-{said}"))
                    case KeyPressed(digit=digit):
                        self.keys.append(digit)
                    case MarkReached(name=name):
                        self.marks.append(name)
                for frame in out:
                    kind = "text" if isinstance(frame, str) else "bytes"
                    await send({"type": "websocket.send", kind: frame})
                if not isinstance(event, AudioHeard):
                    self.news.set()


@dataclass
class Network:
    """The simulated carriers and the platform beside them."""

    world: World
    platform: Platform
    url: str
    http: httpx.AsyncClient

    @property
    def exchange(self) -> Exchange:
        return exchange_of(self.world)

    async def over(self, call_id: str, seconds: float = 10.0) -> dict[str, Any]:
        """The call when it is over, with all its events."""
        async with asyncio.timeout(seconds):
            while True:
                response = await self.http.get(f"/simulator/calls/{call_id}", params={"wait": 0})
                shown = response.raise_for_status().json()
                if shown["isOver"]:
                    return shown
                call = self.exchange.calls[call_id]
                await call.changed.wait()

    async def ring(self, provider: str, **body: Any) -> str:
        """Somebody calls our number; the call's id."""
        response = await self.http.post("/simulator/calls", json={"provider": provider, "to": OURS, **body})
        return response.raise_for_status().json()["callId"]


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Network]:
    platform = Platform()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / "accounts.json"
    make_accounts_file(file, f"http://127.0.0.1:{port}")
    launched = launch(file)
    platform.accounts = dict(launched.accounts)
    async with served(platform) as platform_port:
        platform.url = f"http://127.0.0.1:{platform_port}"
        world = World.of(launched, platform.url)
        for provider in ("twilio", "vonage", "telnyx"):
            world.own(OwnedNumber(provider=provider, number=OURS, application=_application(world, provider)))
        exchange_of(world).voice = Tones()
        async with served(build(world), port=port):
            headers = {"Authorization": f"Bearer {launched.bearer}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as http:
                yield Network(world=world, platform=platform, url=f"http://127.0.0.1:{port}", http=http)
            await exchange_of(world).aclose()
        await platform.carriers.aclose()


def _application(world: World, provider: str) -> str:
    account = world.account(provider)
    return {"vonage": account.option("application_id"), "telnyx": account.option("connection_id")}.get(provider, "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_network(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Network]:
    """Made once for a file: its keys and routes take a third of a second."""
    async with running(tmp_path_factory.mktemp("simulator")) as network:
        yield network


@pytest_asyncio.fixture(loop_scope="module")
async def network(one_network: Network, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Network]:
    """As new, on a line twenty times as fast as a telephone's."""
    monkeypatch.setattr(calls, "FRAME_SECONDS", TWENTY_TIMES)
    exchange, platform = one_network.exchange, one_network.platform
    kept = {name: getattr(platform, name) for name in ("carriers", "accounts", "url")}
    vars(platform).update(vars(Platform(**kept)))
    exchange.behaviours.clear()
    exchange.commands.clear()
    yield one_network
    await asyncio.gather(*(call.aclose() for call in exchange.calls.values()))
    exchange.calls.clear()
