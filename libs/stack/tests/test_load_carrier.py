"""Load callers over the carriers' media sockets, by the simulated carriers' own wires, and what becomes of calls that are refused or broken off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.carriers import media_wire
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat, AudioHeard, MarkReached, MediaStarted
from voisnap_simulator.voice.wires import TelnyxWire, TwilioWire, VonageWire, Wire, wire_of
from voisnap_stack import load
from voisnap_stack.load_audio import SILENT_ROOM, utterance
from voisnap_stack.load_callers import Caller, Habits, Measured
from voisnap_stack.load_carrier import CarrierFrames, CarrierLines
from voisnap_stack.load_socket import CallRefused, open_line
from voisnap_testkit.local_server import served

pytestmark = pytest.mark.media

SOUND = np.full(16000, 5000, np.int16)
PCMU, PCMA = AudioFormat(codec=AudioCodec.PCMU, rate=8000), AudioFormat(codec=AudioCodec.PCMA, rate=8000)
WIDE = AudioFormat(codec=AudioCodec.L16, rate=24000)


def twilio() -> Wire:
    return TwilioWire(stream_sid="MZ1", account_sid="AC1", call_sid="CA1", parameters={"token": "t1"}, form=PCMU)


def vonage() -> Wire:
    return VonageWire(rate=24000, headers={"token": "t1"})


def telnyx() -> Wire:
    return TelnyxWire(
        stream_id="s1",
        call_control_id="c1",
        call_session_id="cs1",
        caller="+1",
        callee="+2",
        heard=PCMA,
        spoken=WIDE,
        token="t1",
        parameters={"voisnap-spoken": f"{WIDE.codec}/{WIDE.rate}"},
        client_state=None,
        user_id="u1",
    )


class Platform:
    """Takes a stream as our adapters read it, and says what the test wants."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.send: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.send = send
        while (message := await receive())["type"] == "websocket.receive":
            self.came.put_nowait(message.get("text") or message.get("bytes"))


@pytest.mark.parametrize(("provider", "made"), [("twilio", twilio), ("vonage", vonage), ("telnyx", telnyx)])
async def test_a_caller_speaks_hears_and_sends_marks_back_over_every_carrier(provider: str, made: Callable[[], Wire]):
    wire = wire_of(msgspec.json.decode(msgspec.json.encode(made().described())))
    assert wire.opening() == made().opening()
    said = (utterance(Pcm(SOUND, 16000)),)
    dialect = CarrierFrames(said, (SILENT_ROOM,), wire.heard).on(wire_of(made().described()))
    measured = Measured()
    caller = Caller(said, Habits(), measured, is_loud=dialect.is_loud)
    told: asyncio.Queue[str] = asyncio.Queue()
    caller.heard = lambda data, now: told.put_nowait("loud" if dialect.is_loud(data) else "silent")  # type: ignore[method-assign]
    caller.told_to_stop = lambda now: told.put_nowait("stop")  # type: ignore[method-assign]
    ours, server = media_wire(provider), Platform()
    async with asyncio.timeout(10), served(server) as port:
        line = await open_line(f"http://127.0.0.1:{port}/media", dialect, caller)
        line.send(0)
        events: list[Any] = []
        while not any(isinstance(event, AudioHeard) for event in events):
            events += ours.read(await server.came.get())
        assert any(isinstance(event, MediaStarted) for event in events)
        heard = next(event.audio for event in events if isinstance(event, AudioHeard))
        assert (len(heard), heard.rate) == (wire.heard.rate // 50, wire.heard.rate)
        assert heard.samples.mean() == pytest.approx(5000, rel=0.06)
        for level in (6000, 0):
            sound = Pcm(np.full(wire.spoken.rate // 50, level, np.int16), wire.spoken.rate)
            for one in ours.audio(sound):
                await server.send({"type": "websocket.send", "text" if isinstance(one, str) else "bytes": one})
        for one in ours.mark("m1"):
            await server.send({"type": "websocket.send", "text" if isinstance(one, str) else "bytes": one})
        events = []
        while not any(isinstance(event, MarkReached) for event in events):
            events += ours.read(await server.came.get())
        for one in ours.clear():
            await server.send({"type": "websocket.send", "text" if isinstance(one, str) else "bytes": one})
        assert [await told.get() for _ in range(3)] == ["loud", "silent", "stop"]
        await line.close()
    assert measured.lost == 0


class Carrier:
    """The simulated carriers' control routes, with one answer for every call."""

    def __init__(self, *events: dict[str, Any], is_over: bool = False) -> None:
        self.events, self.is_over = events, is_over
        self.rung: list[dict[str, Any]] = []
        self.hung_up: list[str] = []
        self.asked = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.method, request.url.path.split("/"):
            case "POST", [*_, "calls"]:
                self.rung.append(msgspec.json.decode(request.content))
                return httpx.Response(201, json={"callId": f"call-{len(self.rung)}"})
            case "POST", [*_, call_id, "hang-up"]:
                self.hung_up.append(call_id)
                return httpx.Response(204)
        self.asked.set()
        if not self.events and not self.is_over:
            await asyncio.Event().wait()
        events = [{"number": number, **event} for number, event in enumerate(self.events, 1)]
        return httpx.Response(200, json={"events": events, "isOver": self.is_over, "cause": "failed"})


@pytest.fixture
async def lines() -> AsyncIterator[Callable[[Carrier], CarrierLines]]:
    clients: list[httpx.AsyncClient] = []

    def made(carrier: Carrier) -> CarrierLines:
        clients.append(httpx.AsyncClient(transport=httpx.MockTransport(carrier), base_url="http://simulator/simulator"))
        return CarrierLines(clients[-1], "vonage", "+14155550199")

    yield made
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize(
    ("carrier", "told"),
    [
        (Carrier({"kind": "carrier_says", "detail": {"text": "All lines are busy."}}), "All lines are busy."),
        (Carrier({"kind": "fault", "detail": {"error": "11200: no document"}}), "11200: no document"),
        (Carrier(is_over=True), r"not answered \(failed\)"),
        (
            Carrier({"kind": "stream.handed", "detail": {"url": "ws://127.0.0.1:9/", "headers": {}, "wire": vonage().described()}}),
            "refused|Connect",
        ),
    ],
)  # fmt: skip
async def test_a_call_that_comes_to_nothing_says_why_and_is_hung_up(
    lines: Callable[[Carrier], CarrierLines], carrier: Carrier, told: str
):
    join = lines(carrier).join((utterance(Pcm(SOUND, 16000)),))
    with pytest.raises((CallRefused, OSError), match=told):
        await join(0, Measured())
    assert carrier.hung_up == ["call-1"]
    assert carrier.rung[0]["faults"] == {"handsOver": True}
    assert (carrier.rung[0]["provider"], carrier.rung[0]["to"]) == ("vonage", "+14155550199")


async def test_a_call_that_is_broken_off_while_it_is_connected_is_hung_up(lines: Callable[[Carrier], CarrierLines]):
    carrier = Carrier()
    joining = asyncio.create_task(lines(carrier).join((utterance(Pcm(SOUND, 16000)),))(0, Measured()))
    await carrier.asked.wait()
    joining.cancel()
    await asyncio.wait({joining})
    assert carrier.hung_up == ["call-1"]


def test_lines_want_the_sandbox_and_its_simulated_carriers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VOISNAP_HOME", str(tmp_path))
    from_here = ["load", "--line", "twilio", "--base-url", "http://127.0.0.1:1"]
    parser = load.argparse.ArgumentParser()
    load.add_parser(parser.add_subparsers())
    assert load.run(parser.parse_args([*from_here, "--api-key", "vsnp_live_x"])) == 2
    assert "sandbox key" in capsys.readouterr().err
    assert load.run(parser.parse_args([*from_here, "--api-key", "vsnp_sb_x"])) == 2
    assert "no simulated carriers" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args(["load", "--line", "twilio", "--channel", "webrtc"])
