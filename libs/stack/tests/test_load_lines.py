"""Load callers' connections against a small server that speaks the hub protocol: what they send, what they make of what they get."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest
from voisnap_kit.serve import serve
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_signalr import Hub, HubApp, hub_method
from voisnap_signalr.requests import Unauthorized
from voisnap_stack.load import advice, rungs
from voisnap_stack.load_audio import FRAME, utterance
from voisnap_stack.load_callers import Caller, Habits, Measured
from voisnap_stack.load_report import report, side_by_side, suggested_sessions, verdict
from voisnap_stack.load_socket import CallRefused, open_line
from voisnap_stack.load_steps import Measurement, Percentiles, ServerUse, Step, largest_that_holds, percentiles
from voisnap_stack.load_twilio import TwilioFrames
from voisnap_stack.load_voice import HubJson, HubMessagePack

pytestmark = pytest.mark.hub

SOUND = np.full(2 * FRAME, 5000, np.int16)
LOUD, SILENT = np.full(480, 6000, np.int16).tobytes(), bytes(960)


class FakeVoiceHub(Hub):
    """Begins a session, keeps what it hears, and says what the test tells it to."""

    heard: list[Any]
    begins = True

    async def on_connected(self) -> None:
        self.heard = []
        Served.hubs.append(self)
        if self.begins:
            self.connection.send("SessionStarted", {"sessionId": "s"})
        else:
            self.connection.send("Error", {"code": "AGENT_INACTIVE", "message": "Not now.", "recoverable": False})

    @hub_method("SendAudioAsync")
    async def send_audio(self, audio: bytes) -> None:
        self.heard.append(audio)
        Served.came.set()

    @hub_method("EndSessionAsync")
    async def end_session(self, reason: str) -> None:
        self.heard.append(reason)
        Served.came.set()


class RefusingHub(FakeVoiceHub):
    begins = False


class Served:
    hubs: list[FakeVoiceHub] = []
    came = asyncio.Event()


async def authenticate(request: Any) -> None:
    if request.access_token != "good":
        raise Unauthorized("no")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    Served.hubs, Served.came = [], asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = HubApp({"voice": FakeVoiceHub, "refusing": RefusingHub}, authenticate=authenticate)
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, on_ready=port.set_result))
    yield f"http://127.0.0.1:{await port}"
    serving.cancel()
    await asyncio.wait({serving})


def caller_of(dialect: Any) -> tuple[Caller, Measured]:
    measured = Measured()
    return Caller((utterance(Pcm(SOUND, 16000)),), Habits(), measured, is_loud=dialect.is_loud), measured


async def heard_by_hub(count: int) -> list[Any]:
    async with asyncio.timeout(5):
        while len(Served.hubs[0].heard) < count:
            Served.came.clear()
            await Served.came.wait()
    return Served.hubs[0].heard


@pytest.mark.parametrize("kind", [HubJson, HubMessagePack])
async def test_a_caller_speaks_and_hears_in_both_protocols(url: str, kind: Any):
    dialect = kind((utterance(Pcm(SOUND, 16000)),))
    caller, measured = caller_of(dialect)
    told: asyncio.Queue[str] = asyncio.Queue()
    caller.heard = lambda data, now: told.put_nowait("loud" if dialect.is_loud(data) else "silent")
    caller.told_to_stop = lambda now: told.put_nowait("stop")
    line = await open_line(f"{url}/hubs/voice?agentId=a", dialect, caller, headers={"Authorization": "Bearer good"})
    line.send(1)
    line.send(None)
    heard = await heard_by_hub(2)
    assert heard == [SOUND[FRAME:].tobytes(), bytes(2 * FRAME)]
    hub = Served.hubs[0]
    for audio in (LOUD, SILENT):
        hub.connection.send("AudioReceived", audio)
    hub.connection.send("AudioCleared")
    hub.connection.send("Transcription", {"text": "AudioReceived"})
    async with asyncio.timeout(5):
        assert [await told.get() for _ in range(3)] == ["loud", "silent", "stop"]
    assert told.empty()
    await line.close()
    await line.close()
    assert (await heard_by_hub(3))[-1] == "user_ended"
    assert measured.lost == 0


class MediaStreams:
    """A server of Media Streams that takes what comes, and says what the test tells it to."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Any] = asyncio.Queue()
        self.send: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "lifespan":
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
        await receive()
        await send({"type": "websocket.accept"})
        self.send = lambda message: send({"type": "websocket.send", "text": message})
        while (message := await receive())["type"] == "websocket.receive":
            self.came.put_nowait(msgspec.json.decode(message["text"]))


async def test_a_caller_over_twilio_speaks_hears_and_sends_marks_back():
    server = MediaStreams()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(server, "127.0.0.1", 0, on_ready=port.set_result))
    dialect = TwilioFrames((utterance(Pcm(SOUND, 16000)),))
    caller, measured = caller_of(dialect)
    told: asyncio.Queue[str] = asyncio.Queue()
    caller.heard = lambda data, now: told.put_nowait("loud" if dialect.is_loud(data) else "silent")
    caller.told_to_stop = lambda now: told.put_nowait("stop")
    url = f"http://127.0.0.1:{await port}/carriers/twilio/media"
    line = await open_line(url, dialect.with_token("tel_tok_1"), caller)
    line.send(0)
    async with asyncio.timeout(5):
        connected, start, media = [await server.came.get() for _ in range(3)]
        assert (connected["event"], start["event"], media["event"]) == ("connected", "start", "media")
        assert start["start"]["customParameters"] == {"token": "tel_tok_1"}
        heard = g711.mulaw_decode(base64.b64decode(media["media"]["payload"]))
        assert len(heard) == 160
        assert heard.samples.mean() == pytest.approx(5000, rel=0.05)
        for level in (6000, 0):
            payload = base64.b64encode(g711.mulaw_encode(Pcm(np.full(160, level, np.int16), 8000))).decode()
            await server.send(f'{{"event": "media", "streamSid": "x", "media": {{"payload": "{payload}"}}}}')
        await server.send('{"event":"mark","streamSid":"x","mark":{"name":"g0:1"}}')
        await server.send('{"event":"clear","streamSid":"x"}')
        assert [await told.get() for _ in range(3)] == ["loud", "silent", "stop"]
        assert (await server.came.get())["mark"] == {"name": "g0:1"}
        await line.close()
        assert (await server.came.get())["event"] == "stop"
    assert measured.lost == 0
    serving.cancel()
    await asyncio.wait({serving})


async def test_refusals_say_what_the_hub_said(url: str):
    dialect = HubJson((utterance(Pcm(SOUND, 16000)),))
    caller, _ = caller_of(dialect)
    with pytest.raises(CallRefused, match=r"Not now.*AGENT_INACTIVE"):
        await open_line(f"{url}/hubs/refusing", dialect, caller, headers={"Authorization": "Bearer good"})
    with pytest.raises(CallRefused, match="401"):
        await open_line(f"{url}/hubs/voice", dialect, caller, headers={"Authorization": "Bearer bad"})
    with pytest.raises(ConnectionRefusedError):
        await open_line("http://127.0.0.1:1/hubs/voice", dialect, caller)


async def test_a_line_that_the_server_ends_is_lost(url: str):
    dialect = HubJson((utterance(Pcm(SOUND, 16000)),))
    caller, measured = caller_of(dialect)
    lost, was_lost = asyncio.Event(), caller.was_lost
    caller.was_lost = lambda: (was_lost(), lost.set())
    line = await open_line(f"{url}/hubs/voice", dialect, caller, headers={"Authorization": "Bearer good"})
    await Served.hubs[0].connection.close()
    async with asyncio.timeout(5):
        await lost.wait()
    line.send(None)
    await line.close()
    assert measured.lost == 1


def step(callers: int, p95: float, **changes: Any) -> Step:
    none = Percentiles()
    made = Step(
        channel="voice",
        server="voisnap",
        callers=callers,
        seconds=10,
        overhead=Percentiles(count=200, p50=p95 / 2, p95=p95, p99=p95, largest=p95),
        barge_in=none,
        cleared=none,
        jitter=none,
        unanswered=0,
        cut_off=0,
        lost=0,
        generator_late=none,
        use=ServerUse(core_percent=50.0, memory_mb=300.0),
        idle_memory_mb=250.0,
    )
    return msgspec.structs.replace(made, **changes)


def test_a_step_holds_by_its_overhead_and_its_losses():
    assert step(10, 99).holds
    assert not step(10, 100).holds
    assert not step(10, 10, unanswered=2, lost=1).holds
    assert not step(10, 10, refused="full").holds
    assert "2 unanswered" in verdict(step(10, 10, unanswered=2))
    assert step(50, 10).core_percent_per_call == 1.0
    assert step(50, 10).memory_mb_per_call == 1.0


def test_the_suggestion_leaves_room_and_needs_a_limit_that_was_found():
    found = [step(50, 20), step(100, 40), step(150, 300)]
    assert largest_that_holds(found) == 100
    assert suggested_sessions(found) == 70
    assert "MAX_SESSIONS: 70" in advice(found)
    assert "each of the 2 runtime processes: 35" in advice(found, processes=2)
    assert "MAX_SESSIONS" not in advice(found[:2])
    assert "--raise-limit" in advice([step(20, 10, refused="… (SESSION_LIMIT_REACHED)")])
    assert rungs(60) == (5, 10, 25, 50, 60)
    assert "100" in report(found)


def test_a_comparison_puts_each_peer_beside_the_same_number_of_calls():
    mine = [step(15, 4), step(250, 40), step(300, 200)]
    theirs = [step(15, 80, server="peer", use=ServerUse(core_percent=75.0)), step(20, 150, server="peer")]
    lines = [re.split(r"\s{2,}", line) for line in side_by_side([*mine, *theirs]).splitlines()]
    assert lines[0] == ["voice", "voisnap", "peer", "ratio"]
    assert lines[1] == ["most calls that held on one core", "250", "15", "16.7 x"]
    told = {line[0]: line[1:] for line in lines[2:]}
    assert told["15 calls: answer's overhead, p95 ms"] == ["4.0", "80.0", "0.05 x"]
    assert told["15 calls: CPU ms for a second of a call"] == ["33.3", "50.0", "0.67 x"]
    assert told["15 calls: memory for a call, MB"] == ["3.33", "-", "-"]
    assert not any("instructions" in name for name in told)
    alone = side_by_side(mine)
    assert "ratio" not in alone
    assert "250" in alone


def test_percentiles_are_values_that_were_there():
    values = percentiles([float(value) for value in range(1, 101)])
    assert (values.count, values.p50, values.p95, values.p99, values.largest) == (100, 50, 95, 99, 100)
    assert percentiles([]).count == 0


class _Still:
    def send(self, number: int | None) -> None: ...
    async def close(self) -> None: ...


class _Clock:
    late: list[float] = []

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.late = []

    def add(self, caller: Caller) -> None:
        self.callers.append(caller)

    def remove(self, caller: Caller) -> None:
        self.callers.remove(caller)


@pytest.mark.virtual_time
async def test_a_climb_adds_callers_and_stops_where_the_platform_refuses():
    joined: list[int] = []

    async def join(number: int, measured: Measured) -> Caller:
        if number >= 7:
            raise CallRefused("this node is full")
        joined.append(number)
        caller = Caller((utterance(Pcm(SOUND, 16000)),), Habits(), measured, is_loud=lambda data: True)
        caller.line = _Still()
        measured.overhead.append(1.0)
        return caller

    clock: Any = _Clock()
    measurement = Measurement(join, clock, channel="voice", server="here")
    first = await measurement.step(5, 10)
    assert (first.callers, first.seconds, first.refused, first.overhead.count) == (5, 10, None, 0)
    assert (await measurement.step(6, 10)).callers == 6
    step = await measurement.step(20, 10)
    assert (step.callers, step.refused) == (7, "this node is full")
    await measurement.close()
    assert clock.callers == []
    assert joined == list(range(7))
