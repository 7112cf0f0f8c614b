"""Pipecat as the peer: its environment below the user's cache, its server on a core of its own, and its protobuf frames."""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import numpy as np
from voisnap_media.vad import RATE
from voisnap_stack.load_audio import Room, Utterance, Voice
from voisnap_stack.load_callers import Caller
from voisnap_stack.load_socket import BINARY, CallRefused, frame
from voisnap_testkit.platform import free_port

HERE = Path(__file__).parent / "peers"
REQUIREMENTS = HERE / "pipecat.txt"
READY_SECONDS = 90.0
AUDIBLE = 300
_AUDIO, _STOP = 0x12, 0x2A
"""Fields 2 (audio) and 5 (interruption) of Pipecat's `Frame` (its frames.proto), both length-delimited."""


class PeerMissing(Exception):
    """The peer cannot be installed or started; the text says why."""


class PipecatServer(msgspec.Struct, frozen=True, kw_only=True):
    """A running Pipecat server."""

    name: str
    url: str
    pid: int

    async def exchange(self, offer: str) -> str:
        """Its answer to a WebRTC offer. Raises CallRefused."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            answer = await http.post(f"{self.url}/offer", json={"sdp": offer, "type": "offer"})
        if answer.status_code != 200:
            raise CallRefused(f"the peer answered {answer.status_code}")
        return answer.json()["sdp"]


def installed() -> Path:
    """The Python of the peer's environment, made on first use. Raises PeerMissing."""
    pinned = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voisnap" / "peers"
    folder = cache / f"pipecat-{pinned}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print(f"installing the peer into {folder}, once", file=sys.stderr)
    uv = Path(sys.executable).with_name("uv")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True, timeout=120)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "-r", REQUIREMENTS], check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(f"Pipecat cannot be installed: {error}") from error
    (folder / "complete").touch()
    return python


@asynccontextmanager
async def pipecat_server(*, core: int | None, silence_ms: int) -> AsyncGenerator[PipecatServer]:
    """Start it; at the end of the block it is gone. Raises PeerMissing."""
    python = await asyncio.to_thread(installed)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        python,
        HERE / "pipecat_server.py",
        str(port),
        str(silence_ms / 1000),
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        await _until_ready(process, f"{url}/ready")
        yield PipecatServer(name="pipecat", url=url, pid=process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, url: str) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while process.returncode is None:
                try:
                    if (await http.get(url)).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise PeerMissing(f"Pipecat was not ready within {READY_SECONDS:g} s") from None
    raise PeerMissing(f"Pipecat ended with status {process.returncode}")


class PipecatCall:
    """One caller's side of the peer's WebSocket."""

    greeting: tuple[bytes, ...] = ()
    farewell: tuple[bytes, ...] = ()

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        self.ready.set_result(None)

    def message(self, data: bytes, now: float) -> None:
        if data and data[0] == _AUDIO:
            self._caller.heard(data, now)
        elif data and data[0] == _STOP:
            self._caller.told_to_stop(now)

    def was_lost(self) -> None:
        self._caller.was_lost()


class PipecatFrames:
    """Its protobuf frames with raw audio."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room]) -> None:
        self.voices = tuple(Voice.of(utterances, room, lambda heard: _audio(heard.tobytes())) for room in rooms)

    def session(self, caller: Caller) -> PipecatCall:
        return PipecatCall(caller)

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard: the largest field of the message is the sound."""
        found = data.find(b"\x1a")
        # The name of the frame may come first; the audio is what is longer than any name.
        while found >= 0:
            size, start = _varint(data, found + 1)
            if size > 100 and start + size <= len(data):
                samples = np.frombuffer(data[start : start + (size & ~1)], "<i2")
                return int(samples.max()) > AUDIBLE
            found = data.find(b"\x1a", found + 1)
        return False


def _audio(pcm: bytes) -> bytes:
    body = b"\x1a" + _length(len(pcm)) + pcm + b"\x20" + _length(RATE) + b"\x28\x01"
    return frame(bytes((_AUDIO,)) + _length(len(body)) + body, BINARY)


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position
