"""Carriers that call a process's worth of sessions: each speaks its own protocol over a real socket, and keeps the clock of its playout."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import uvicorn
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_kit.websocket import WebSocketProtocol
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_providers.carriers import CARRIERS
from voisnap_providers.errors import DigitsUnsent, ProviderError
from voisnap_providers.ports.carrier import TOKEN_PARAMETER, AudioCodec, AudioFormat
from voisnap_runtime.carriers.admission import Admission
from voisnap_runtime.carriers.media_socket import MediaSockets
from voisnap_runtime.carriers.switchboard import Switchboard
from voisnap_testkit.carrier_end import LineEnd
from voisnap_testkit.telnyx_carrier import TelnyxLine
from voisnap_testkit.twilio_carrier import TwilioLine
from voisnap_testkit.vonage_carrier import VonageLine
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LINES: dict[str, type[LineEnd]] = {"twilio": TwilioLine, "vonage": VonageLine, "telnyx": TelnyxLine}
PCMU = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
PCMA = AudioFormat(codec=AudioCodec.PCMA, rate=8000)
L16 = {rate: AudioFormat(codec=AudioCodec.L16, rate=rate) for rate in (8000, 16000, 24000)}
FORMATS = [
    ("twilio", PCMU, PCMU),
    ("twilio", PCMA, PCMA),
    ("twilio", L16[16000], L16[16000]),
    ("vonage", L16[8000], L16[8000]),
    ("vonage", L16[16000], L16[16000]),
    ("vonage", L16[24000], L16[24000]),
    ("telnyx", PCMU, PCMU),
    ("telnyx", PCMA, L16[16000]),
    ("telnyx", L16[8000], L16[24000]),
]
USUAL = {"twilio": (PCMU, PCMU), "vonage": (L16[16000], L16[16000]), "telnyx": (PCMA, L16[16000])}


def encoded(sound: Pcm, form: AudioFormat) -> bytes:
    """Sound of the stream's rate as the stream carries it."""
    assert sound.rate == form.rate
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_encode(sound)
        case AudioCodec.PCMA:
            return g711.alaw_encode(sound)
        case AudioCodec.L16:
            return sound.to_bytes()


def decoded(data: bytes, form: AudioFormat) -> Pcm:
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_decode(data)
        case AudioCodec.PCMA:
            return g711.alaw_decode(data)
        case AudioCodec.L16:
            return Pcm.from_bytes(data, form.rate)


def tone(rate: int, seconds: float, hertz: float = 440) -> Pcm:
    return Pcm((np.sin(np.arange(round(rate * seconds)) * 2 * np.pi * hertz / rate) * 8000).astype(np.int16), rate)


class CarrierCall:
    """A carrier's end of one media socket."""

    def __init__(self, socket: ClientConnection, provider: str, heard: AudioFormat, spoken: AudioFormat) -> None:
        self.socket = socket
        self.heard, self.spoken = heard, spoken
        self.end = LINES[provider](heard=heard, spoken=spoken)
        self.sent: list[str | bytes] = []
        """What we were sent."""

    async def open(self, token: str | None, **more: str) -> None:
        parameters: Mapping[str, str] = more if token is None else {TOKEN_PARAMETER: token, **more}
        for frame in self.end.opening(parameters):
            await self.socket.send(frame)

    async def say(self, sound: Pcm) -> None:
        """The other side says something, in frames of 20 ms."""
        size = sound.rate // 50
        for at in range(0, len(sound), size):
            piece = Pcm(sound.samples[at : at + size], sound.rate)
            await self.socket.send(self.end.speech(encoded(piece, self.heard)))

    async def press(self, digit: str) -> None:
        await self.socket.send(self.end.key(digit))

    async def take(self, *, seconds: float = 2.0) -> None:
        """Wait for a frame of ours, and take it as the carrier does."""
        async with asyncio.timeout(seconds):
            frame = await self.socket.recv()
        self.sent.append(frame)
        for answer in self.end.take([frame]):
            await self.socket.send(answer)

    async def play(self) -> None:
        """Play all that is queued; the marks on the way are told."""
        for answer in self.end.play():
            await self.socket.send(answer)

    async def hear(self, seconds: float) -> Pcm:
        """Take and play what comes until so much of it was heard."""
        while len(decoded(self.end.played, self.spoken)) < seconds * self.spoken.rate:
            await self.take()
            await self.play()
        return decoded(self.end.played, self.spoken)

    async def until(self, word: str) -> None:
        """Take what comes, without playing it, until a frame has the word in it."""
        while not self.sent or not (isinstance(self.sent[-1], str) and word in self.sent[-1]):
            await self.take()

    async def marked(self, count: int = 1) -> None:
        """Take what comes, without playing it, until we have set so many more marks."""
        while count:
            await self.take()
            last = self.sent[-1]
            count -= isinstance(last, str) and ('"mark"' in last or '"notify"' in last)

    async def hang_up(self) -> None:
        """The other side hangs up."""
        for frame in self.end.closing():
            await self.socket.send(frame)
        await self.socket.close()

    async def closed(self, *, seconds: float = 3.0) -> int | None:
        """The code with which we close."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(seconds):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


class FakeControl:
    """A carrier's REST API."""

    def __init__(self) -> None:
        self.hung_up: list[str] = []
        self.pressed: list[tuple[str, str]] = []
        self.presses_keys = True
        self.error: Exception | None = None

    async def hang_up(self, call_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.hung_up.append(call_id)

    async def send_digits(self, call_id: str, digits: str) -> None:
        if not self.presses_keys:
            raise DigitsUnsent("not while a stream runs", provider="twilio")
        self.pressed.append((call_id, digits))


class FakeExchange:
    def __init__(self) -> None:
        self.control = FakeControl()

    def control_of(self, plan: SessionPlan) -> FakeControl:
        return self.control

    async def hang_up(self, plan: SessionPlan, call_id: str) -> None:
        with contextlib.suppress(ProviderError):
            await self.control.hang_up(call_id)


class Desk:
    """One process that carriers reach: its house, its media sockets, its switchboard."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.exchange = FakeExchange()
        self._tokens = iter(range(1, 1000))
        self.admission = Admission(
            store=house.store,
            sessions=house.sessions,
            now=house.clock,
            random_bytes=lambda count: next(self._tokens).to_bytes(count, "big"),
            window=timedelta(seconds=30),
        )
        self.switchboard = Switchboard(house.node_id, self.admission, house.store, house.sessions, house.bus)
        self.sockets = MediaSockets(self.admission, self.exchange, house.store)  # type: ignore[arg-type]
        self.port = 0

    @contextlib.asynccontextmanager
    async def dial(self, provider: str, heard: AudioFormat | None = None, spoken: AudioFormat | None = None) -> Any:
        usual = USUAL[provider]
        url = f"ws://127.0.0.1:{self.port}/carriers/{provider}/media"
        async with connect(url, compression=None) as socket:
            yield CarrierCall(socket, provider, heard or usual[0], spoken or usual[1])

    async def rung(self, provider: str, number: int = 1, *, token: str = "tel_tok_1", **changes: Any) -> Any:  # noqa: S107
        """A session that waits for a call of this carrier."""
        return await self.house.open(self.plan(provider, number, **changes), token=token)

    def plan(self, provider: str, number: int = 1, **changes: Any) -> SessionPlan:
        leg = CarrierLeg(provider=provider, account="platform", number="+14155550100")
        return self.make_plan(number, **{"channel": Channel.PHONE, "leg": leg} | changes)

    make_plan: Callable[..., SessionPlan]

    def call(self, number: int = 1) -> Any:
        return self.house.calls[self.make_plan(number).session_id]

    def live(self, number: int = 1) -> Any:
        return self.house.sessions.get(self.make_plan(number).session_id)

    async def answered(self, number: int = 1) -> Any:
        """The session, once its caller is connected and the agent is on the pacer."""
        async with asyncio.timeout(3):
            while not self._is_paced(number):  # noqa: ASYNC110 - the loop's turns are what is waited for
                await asyncio.sleep(0)
        return self.live(number)

    def _is_paced(self, number: int) -> bool:
        live = self.live(number)
        return live is not None and id(self.house.calls.get(live.plan.session_id)) in self.house.pacer.pairs


@contextlib.asynccontextmanager
async def listening_at(app: Any) -> Any:
    """The application on a port of its own, with the WebSockets of our servers. Stops at once."""
    config = uvicorn.Config(
        app,
        port=0,
        ws=WebSocketProtocol,
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


@pytest.fixture
async def build_desk(make_plan):
    """`await build_desk(house)`: the house with a door for carriers."""
    async with contextlib.AsyncExitStack() as stack:

        async def build(house: Any) -> Desk:
            house.clock.follow(asyncio.get_running_loop())
            desk = Desk(house)
            desk.make_plan = make_plan
            await desk.switchboard.listen()
            stack.push_async_callback(desk.switchboard.close)
            desk.port = await stack.enter_async_context(listening_at(desk.sockets))
            return desk

        yield build


@pytest.fixture
async def desk(house, build_desk):
    return await build_desk(house)


@pytest.fixture(params=CARRIERS)
def provider(request) -> str:
    return request.param


@pytest.fixture(params=FORMATS, ids=lambda f: f"{f[0]}-{f[1].codec}{f[1].rate}-{f[2].codec}{f[2].rate}")
def formats(request) -> Any:
    return request.param


@pytest.fixture(name="tone")
def tone_builder() -> Callable[..., Pcm]:
    return tone


@pytest.fixture
def until():
    """`await until(lambda: …)`: let the loop run until something is so."""

    async def wait(condition: Callable[[], Any], *, seconds: float = 3.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - the loop's turns are what is waited for
                await asyncio.sleep(0)

    return wait
