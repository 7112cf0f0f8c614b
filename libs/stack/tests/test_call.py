import argparse
import asyncio
import contextlib
import fractions
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pytest
import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from voisnap_media import files
from voisnap_media.pcm import Pcm
from voisnap_signalr import Hub, HubApp, Unauthorized, hub_method
from voisnap_stack import call_command

pytestmark = pytest.mark.media

ANSWER_AFTER_FRAMES = 15
"""The agent of these tests answers 300 ms after the caller's last loud frame."""
TOKEN = "token-of-the-demo"
RATE = 48000


class Description(msgspec.Struct):
    sdp: str
    type: str


class Agent(MediaStreamTrack):
    """Greets with 400 ms of tone, then answers each stretch of loudness with 400 ms of tone."""

    kind = "audio"

    def __init__(self, hub: "FakeHub") -> None:
        super().__init__()
        self._hub = hub
        self._frame = 0
        self._start = 0.0
        self._tone_left = 20
        self._quiet = 0
        self._heard_voice = False
        self._turn = 1

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        await asyncio.sleep(max(0.0, self._start + self._frame * 0.02 - loop.time()))
        loud = self._tone_left > 0
        self._tone_left -= loud
        time = (np.arange(960) + self._frame * 960) / RATE
        samples = (8000 * loud * np.sin(2 * np.pi * 400 * time)).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frame * 960, fractions.Fraction(1, RATE)
        self._frame += 1
        self._count_quiet()
        return frame

    def heard(self, samples: np.ndarray) -> None:
        if Pcm(samples, RATE).rms_dbfs() > -40:
            self._heard_voice, self._quiet = True, 0

    def _count_quiet(self) -> None:
        self._quiet += 1
        if self._heard_voice and self._quiet >= ANSWER_AFTER_FRAMES:
            self._heard_voice, self._tone_left = False, 20
            self._turn += 1
            self._hub.answered(self._turn)


class FakeHub(Hub):
    """The words of WebRtcHub, with an aiortc peer for the audio. Sessions `flaky` and `lost` are cut off once; `lost` is then refused."""

    cut: ClassVar[set[str]] = set()
    broken: ClassVar[asyncio.Event] = asyncio.Event()

    def __init__(self) -> None:
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._listening: asyncio.Task[None] | None = None

    async def on_connected(self) -> None:
        token = self.connection.query.get("sessionToken", "")
        if token == "lost" and token in self.cut:
            error = {"code": "RECONNECT_FAILED", "message": "The session has ended.", "recoverable": False}
            self.connection.send("Error", error)
            await self.connection.close()
            return
        if token not in ("good", "flaky", "lost"):
            error = {"code": "AUTH_FAILED", "message": "The session token is not valid.", "recoverable": False}
            self.connection.send("Error", error)
            await self.connection.close()
            return
        started = {"sessionId": "wrtc_1", "conversationId": "conv_1", "agentName": "Ada"}
        started |= {"resumed": token in self.cut}
        self.connection.send("SessionStarted", started)

    async def on_disconnected(self, error: str | None) -> None:
        await self._peer.close()
        if self._listening is not None:
            await self._listening

    @hub_method("SendOfferAsync")
    async def offer(self, offer: Description) -> None:
        agent = Agent(self)
        self._peer.addTrack(agent)

        async def listen(track: MediaStreamTrack) -> None:
            with contextlib.suppress(MediaStreamError):
                while True:
                    agent.heard((await track.recv()).to_ndarray()[0][::2])

        def on_track(track: MediaStreamTrack) -> None:
            self._listening = asyncio.get_running_loop().create_task(listen(track))

        self._peer.on("track", on_track)
        await self._peer.setRemoteDescription(RTCSessionDescription(offer.sdp, offer.type))
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        answer = self._peer.localDescription
        self.connection.send("SdpAnswerReceived", {"sdp": answer.sdp, "type": answer.type})
        self._say(1, "agent", "Hello, how can I help?")
        token = self.connection.query["sessionToken"]
        if token in ("flaky", "lost") and token not in self.cut:
            self.cut.add(token)
            asyncio.get_running_loop().call_later(1.0, self.broken.set)

    @hub_method("EndSessionAsync")
    async def end(self, reason: str | None = None) -> None:
        ended = {"sessionId": "wrtc_1", "conversationId": "conv_1", "reason": reason, "durationSeconds": 4.5}
        self.connection.send("SessionEnded", ended)

    def answered(self, turn: int) -> None:
        self._say(turn * 2, "user", "What time is it?")
        self._say(turn * 2 + 1, "agent", "Ten past nine.")
        latency = {"totalMs": 300, "endpointingMs": 200, "sttMs": 40, "llmMs": 30, "ttsMs": 20, "platformMs": 10}
        self.connection.send("TurnCompleted", {"turnId": f"turn_{turn * 2 + 1:02d}", "latency": latency})

    def _say(self, turn: int, speaker: str, text: str) -> None:
        line = {"turnId": f"turn_{turn:02d}", "speaker": speaker, "text": text, "isFinal": True}
        self.connection.send("Transcription", line)


async def authenticate(request) -> str:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        raise Unauthorized
    return "demo"


def rest(scope_path: str, body: dict) -> tuple[int, dict]:
    match scope_path, body:
        case "/api/v1/auth/login", {"password": "right"}:
            return 200, {"accessToken": TOKEN}
        case "/api/v1/auth/login", _:
            return 401, {"detail": "The email or the password is wrong."}
        case "/api/v1/webrtc/sessions", {"agentId": "agt_inactive"}:
            return 409, {"title": "Conflict", "detail": "The agent is not active."}
        case "/api/v1/webrtc/sessions", {"agentId": "agt_missing"}:
            return 404, {"title": "Not found"}
        case "/api/v1/webrtc/sessions", {"agentId": agent}:
            token = agent.removeprefix("agt_") if agent != "agt_1" else "good"
            return 201, {"sessionId": "wrtc_1", "sessionToken": token, "conversationId": "conv_1", "iceServers": []}
        case _:
            return 404, {}


class Platform:
    """The REST routes a call needs in front of the hub."""

    def __init__(self) -> None:
        self._hubs = HubApp({"webrtc": FakeHub}, authenticate=authenticate)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await self._until_broken(self._hubs(scope, receive, send))
            return
        if scope["path"].startswith("/hubs"):
            await self._hubs(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        body = (await receive()).get("body", b"")
        status, answer = rest(scope["path"], json.loads(body or b"{}"))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def _until_broken(self, serving) -> None:
        """A server that dies says no goodbye."""
        tasks = {asyncio.ensure_future(serving), asyncio.ensure_future(FakeHub.broken.wait())}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        FakeHub.broken.clear()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(scope="module")
def platform() -> Iterator[str]:
    config = uvicorn.Config(
        Platform(),
        port=0,
        log_level="error",
        lifespan="off",
        ws="websockets-sansio",
        ws_ping_interval=None,
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    socket.close()


@pytest.fixture
def home(platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    demo = {"baseUrl": platform, "email": "demo@example.com", "password": "right", "agentId": "agt_1"}
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    monkeypatch.setenv("VOISNAP_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def question(tmp_path: Path) -> Path:
    tone = (9000 * np.sin(2 * np.pi * 300 * np.arange(12000) / 16000)).astype(np.int16)
    files.write_wav(tmp_path / "question.wav", Pcm(np.concatenate([tone, np.zeros(4800, np.int16)]), 16000))
    return tmp_path / "question.wav"


def voisnap(*words: object) -> int:
    parser = argparse.ArgumentParser()
    call_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["call", *map(str, words)])
    return call_command.run(args)


def test_two_questions_are_asked_answered_timed_and_summed_up(home: Path, question: Path, capsys):
    saved = home / "heard.wav"
    assert voisnap("--wav", question, "--wav", question, "--json", "--save", saved) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["conversationId"] == "conv_1"
    assert report["reason"] == "user_ended"
    assert report["answers"] == 2
    # 300 ms by the agent's own count, and what packets and decoders take.
    assert all(280 <= latency <= 900 for latency in report["latencyMs"]["all"])
    assert report["latencyMs"]["p50"] <= report["latencyMs"]["p95"]
    assert [turn["server"]["endpointingMs"] for turn in report["turns"]] == [200, 200]
    assert [turn["heardMs"] is None for turn in report["turns"]] in ([False, False], [True, False])
    assert report["transcript"][0] == {"turnId": "turn_01", "speaker": "agent", "text": "Hello, how can I help?"}
    heard = files.read(saved)
    assert heard.seconds > 3
    assert heard.slice(0, 400).rms_dbfs() > -20


def test_the_call_is_shown_as_it_goes(home: Path, question: Path, capsys):
    assert voisnap("--wav", question) == 0
    out = capsys.readouterr().out
    assert "connected with Ada · conversation conv_1" in out
    assert "caller What time is it?" in out
    assert "agent  Ten past nine." in out
    assert "endpointing 200 + stt 40 + llm 30 + tts 20 + platform 10" in out
    assert "1 answered" in out
    assert "p50" in out


def test_a_call_that_is_cut_off_comes_back_by_itself_and_goes_on(home: Path, question: Path, capsys):
    FakeHub.cut.clear()
    saved = home / "heard.wav"
    assert voisnap("--agent", "agt_flaky", "--wav", question, "--save", saved) == 0
    out = capsys.readouterr().out
    assert "the connection is lost; reconnecting" in out
    back = re.search(r"back: nothing was heard for ([\d.]+) s", out)
    assert back is not None
    assert float(back[1]) < 3
    assert out.index("back:") < out.index("Ten past nine.")
    assert "ended         user_ended" in out
    assert files.read(saved).seconds > 3


def test_a_call_that_cannot_be_restored_says_why(home: Path, question: Path, capsys):
    FakeHub.cut.clear()
    assert voisnap("--agent", "agt_lost", "--wav", question) == 1
    assert "because       The session has ended. (RECONNECT_FAILED)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--email", "a@example.com", "--password", "wrong"), "login of a@example.com was refused"),
        (("--token", "old"), "token was refused"),
        (("--agent", "agt_inactive"), "The agent is not active."),
        (("--agent", "agt_missing"), "no agent agt_missing"),
        (("--agent", "agt_bad"), "The session token is not valid."),
        (("--base-url", "http://127.0.0.1:9"), "is the platform running"),
    ],
)
def test_what_went_wrong_is_said_in_one_line(home: Path, question: Path, capsys, options, complaint: str):
    assert voisnap("--wav", question, *options) == 1
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.err.count("\n") == 1


def test_options_that_make_no_sense_are_refused(home: Path, question: Path, capsys):
    assert voisnap() == 2
    assert voisnap("--wav", home / "missing.wav") == 2
    assert "missing.wav" in capsys.readouterr().err
    (home / "demo.json").unlink()
    assert voisnap("--wav", question) == 2
    assert "make up" in capsys.readouterr().err


def test_a_microphone_without_its_package_is_explained(home: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    assert voisnap("--mic") == 1
    assert "sounddevice" in capsys.readouterr().err
