"""A runtime process that stands still in the middle of a call: the reaper tells how it ended, with everything that was said, and once."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from voisnap_domain.sessions import EndReason
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_proto.requests import OPEN_SESSION, OpenSession, SessionOpened

pytestmark = pytest.mark.e2e

MODELS = Path.home() / ".cache" / "voisnap" / "models"


class Process:
    """A module of ours as a process with a node id."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    async def start(cls, module: str, environment: dict[str, str], node_id: str, port: int) -> "Process":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            env={**os.environ, **environment, "NODE_ID": node_id, "HTTP_PORT": str(port)},
        )
        started = cls(process, port)
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            while not await started._is_ready(http):  # noqa: ASYNC110 - another process gets ready
                await asyncio.sleep(0.1)
        return started

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
async def start(redis_url, nats_url, jwks_url, tmp_path, unused_tcp_port_factory):
    if not (MODELS / "silero-vad").is_dir():
        pytest.fail("the speech models are not there: voisnap models fetch")
    (tmp_path / "blobs").mkdir()
    environment = {
        "REDIS_URL": redis_url,
        "NATS_URL": nats_url,
        "JWKS_URL": jwks_url,
        "BLOBS_URL": f"file://{tmp_path}/blobs",
        "MODELS_DIR": str(MODELS),
        "PUBLIC_URL": "http://127.0.0.1:8080",
        "LOG_LEVEL": "WARNING",
        "RESUME_WINDOW_SECONDS": "5",
    }
    running: list[Process] = []

    async def start_process(module: str, node_id: str) -> Process:
        spool = {"SPOOL_DIR": str(tmp_path / node_id)}
        running.append(await Process.start(module, environment | spool, node_id, unused_tcp_port_factory()))
        return running[-1]

    yield start_process
    for process in running:
        await process.kill()


async def test_a_process_that_stands_still_does_not_take_the_conversation_with_it(
    start: Any, hub, media, bus, published, spoken_plan, token, tmp_path
):
    first, _ = await asyncio.gather(start("voisnap_runtime", "node_a"), start("voisnap_runtime.reaper", "reaper_a"))
    opened = await bus.request(OPEN_SESSION, OpenSession(plan=spoken_plan), SessionOpened)
    async with hub(first.port, opened.session_token, token) as client, media(client):
        events = [await asyncio.wait_for(published.get(), 20) for _ in range(2)]
        async with asyncio.timeout(20):
            while not list((tmp_path / "blobs").rglob("seg-*")):  # noqa: ASYNC110 - another process writes them
                await asyncio.sleep(0.1)
        first.signal(signal.SIGSTOP)

        while not isinstance(events[-1], SessionEnded):
            events.append(await asyncio.wait_for(published.get(), 30))
        first.signal(signal.SIGCONT)
        with pytest.raises(AssertionError, match="closed"):
            await client.until("SessionEnded")

    end = events[-1]
    assert isinstance(events[0], SessionStarted)
    assert [type(event) for event in events[1:-1]] == [TurnFinished] * end.turns
    assert end.turns >= 1
    assert end.reason is EndReason.NODE_LOST
    assert end.usage.tts.characters > 0
    assert end.recording.duration_seconds >= 4
    assert (tmp_path / "blobs" / end.recording.key).stat().st_size == end.recording.size_bytes
    assert published.empty(), "the process that woke up says nothing"
