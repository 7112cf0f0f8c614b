"""A caller for the transport's tests: aiortc's own peer connection, unchanged, and whoever listens on our side."""

import asyncio
import fractions
from collections.abc import AsyncIterator, Callable

import aioice
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from voisnap_media.pcm import Pcm
from voisnap_runtime.transports.pacing import Pacer
from voisnap_runtime.transports.port import TransportState
from voisnap_runtime.transports.webrtc import WebRtcTransport

RATE = 48000
LOUD_DBFS = -30.0


class Beeps(MediaStreamTrack):
    """Speaks 200 ms of a tone each second; remembers when each began."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.began: list[float] = []
        self._frame = 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = self._start if self._start is not None else loop.time()
        due = self._start + self._frame * 0.02
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        beat = self._frame % 50
        if beat == 0:
            self.began.append(loop.time())
        time = (np.arange(960) + self._frame * 960) / RATE
        tone = (12000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16) if beat < 10 else np.zeros(960, np.int16)
        frame = AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frame * 960, fractions.Fraction(1, RATE)
        self._frame += 1
        return frame


class Ear:
    """An `AudioSink` that keeps what it hears."""

    def __init__(self) -> None:
        self.audio: list[Pcm] = []
        self.loud_at: list[float] = []
        self.digits = ""
        self._loud = False
        self._changed = asyncio.Event()

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        self.audio.append(audio)
        loud = audio.rms_dbfs() > LOUD_DBFS
        if loud and not self._loud:
            self.loud_at.append(arrived_at)
        self._loud = loud
        self._changed.set()

    def dtmf(self, digit: str) -> None:
        self.digits += digit
        self._changed.set()

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.audio)

    async def until(self, condition: Callable[["Ear"], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()


class Hum:
    """An `AudioSource`: a steady tone while `on`."""

    def __init__(self) -> None:
        self.on = True
        self.pulled = 0

    def pull(self) -> Pcm | None:
        self.pulled += 1
        if not self.on:
            return None
        time = (np.arange(480) + self.pulled * 480) / 24000
        return Pcm((9000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16), 24000)


class Caller:
    """aiortc's peer connection with a beeping microphone; what it hears is kept as 48 kHz mono frames."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.beeps = Beeps()
        self.heard: list[Pcm] = []
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self.pc.addTrack(self.beeps)
        self.pc.on("track", self._on_track)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                self.heard.append(Pcm(frame.to_ndarray()[0][::2].copy(), RATE))
                self._changed.set()
        except MediaStreamError:
            return

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, answer: tuple[str, str]) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(*answer))

    async def call(self, transport: WebRtcTransport) -> None:
        await self.accept(await transport.answer(await self.offer()))

    async def until(self, condition: Callable[["Caller"], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    @property
    def ice(self):
        return self.pc.getSenders()[0].transport.transport

    async def restart_ice(self, transport: WebRtcTransport) -> aioice.Connection:
        """What a browser does on `restartIce`, which aiortc cannot: new credentials, same certificate."""
        before, after = self.ice._connection, aioice.Connection(ice_controlling=True)
        await after.gather_candidates()
        sdp = self.pc.localDescription.sdp
        kept = [line for line in sdp.splitlines() if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
        text = "\r\n".join([*kept, *(f"a=candidate:{c.to_sdp()}" for c in after.local_candidates)]) + "\r\n"
        text = text.replace(f"a=ice-ufrag:{before.local_username}", f"a=ice-ufrag:{after.local_username}")
        text = text.replace(f"a=ice-pwd:{before.local_password}", f"a=ice-pwd:{after.local_password}")
        answer, _ = await transport.answer(text)
        values = dict(line[2:].split(":", 1) for line in answer.splitlines() if line.startswith("a=ice-"))
        after.remote_username, after.remote_password = values["ice-ufrag"], values["ice-pwd"]
        for line in answer.splitlines():
            if line.startswith("a=candidate:"):
                await after.add_remote_candidate(aioice.Candidate.from_sdp(line.removeprefix("a=candidate:")))
        await after.connect()
        self.ice._send, self.ice._recv = after.send, after.recv
        before._queue.put_nowait((b"\x00", 1))
        return after

    def lose(self, drop: Callable[[bytes], bool]) -> None:
        """Lose the datagrams of ours that `drop` picks."""
        send = self.ice._send

        async def lossy(data: bytes) -> None:
            if not drop(data):
                await send(data)

        self.ice._send = lossy

    async def close(self) -> None:
        await self.pc.close()
        if self._listening is not None:
            await asyncio.wait_for(self._listening, 5)


class States:
    """Remembers a transport's states and lets a test wait for one."""

    def __init__(self) -> None:
        self.seen: list[TransportState] = []
        self._changed = asyncio.Event()

    def __call__(self, state: TransportState) -> None:
        self.seen.append(state)
        self._changed.set()

    async def until(self, state: TransportState, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while state not in self.seen:
                self._changed.clear()
                await self._changed.wait()


class Line:
    """A transport with its listeners, and a caller who has not called yet."""

    def __init__(self) -> None:
        self.ear, self.hum, self.states, self.caller = Ear(), Hum(), States(), Caller()
        self.candidates: list[dict] = []
        self.transport = WebRtcTransport(
            sink=self.ear, on_state=self.states, on_local_candidate=lambda found: self.candidates.append(dict(found))
        )
        self.pacer = Pacer()

    async def connect(self) -> None:
        await self.caller.call(self.transport)
        await self.states.until(TransportState.CONNECTED)
        self.pacer.start()
        self.pacer.add(self.hum, self.transport)

    async def close(self) -> None:
        self.pacer.stop()
        await self.transport.close()
        await self.caller.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    one = Line()
    yield one
    await one.close()


@pytest.fixture
def make_line() -> Callable[[], Line]:
    return Line
