"""Processes: they listen, drain, close their sockets and end with status 0 within four seconds of SIGTERM."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from voisnap_kit import serve
from voisnap_testkit.platform import patience

pytestmark = pytest.mark.slice

SERVICE = """
import asyncio, os, sys
from litestar import Litestar, WebSocket, get, websocket
from voisnap_kit import log
from voisnap_kit.health import DrainGate
from voisnap_kit.http import build_app
from voisnap_kit.serve import run, serve

gate = DrainGate()

@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())

@get("/slow")
async def slow() -> str:
    say("slow")
    await asyncio.sleep(0.5)
    return "done"

def say(text):
    print(text, flush=True)

async def drain():
    gate.close()
    say("draining")
    await asyncio.sleep(0.05)

async def stopped(app):
    say("stopped")

async def main() -> None:
    log.configure("test")
    app = build_app([socket, slow], service="test", checks={}, gate=gate, on_shutdown=[stopped])
    await serve(app, "127.0.0.1", 0, on_drain=drain, on_ready=lambda port: say(f"port {port}"))

run(main)
"""

WORKER = """
import asyncio, os, sys
from voisnap_kit import log
from voisnap_kit.serve import run, run_worker

async def work():
    try:
        print("working", flush=True)
        if os.environ.get("FAIL"):
            raise RuntimeError("broken")
        if os.environ.get("END"):
            return
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)

async def main() -> None:
    log.configure("test")
    await run_worker(work, service="test", host="127.0.0.1", port=int(os.environ["HTTP_PORT"]), checks={})

run(main)
"""


class Child:
    """A process whose lines of output are read one by one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(10 * patience()):
            return (await self.process.stdout.readline()).decode().strip()

    async def terminate(self) -> int:
        """SIGTERM; the exit status, which must come within 4 s."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(4 * patience()):
            return await self.process.wait()

    async def ended(self) -> int:
        """The exit status of a process that has been up and is about to end."""
        async with asyncio.timeout(4 * patience()):
            return await self.process.wait()

    async def started_and_ended(self) -> int:
        """The exit status of a process that ends by itself as soon as it is up; an interpreter among busy others starts slowly."""
        async with asyncio.timeout(20 * patience()):
            return await self.process.wait()


@asynccontextmanager
async def child(tmp_path: Path, script: str, **environment: str) -> AsyncIterator[Child]:
    path = tmp_path / "service.py"
    path.write_text(script)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], **environment},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def port_of(service: Child) -> int:
    return int((await service.line()).removeprefix("port "))


async def test_a_service_drains_finishes_requests_and_ends_with_status_0(tmp_path: Path) -> None:
    async with child(tmp_path, SERVICE) as service:
        port = await port_of(service)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/readyz")).json()["status"] == "ready"
            slow = asyncio.create_task(http.get("/slow"))
            assert await service.line() == "slow"
            service.process.send_signal(signal.SIGTERM)
            assert await service.line() == "draining"
            assert (await slow).text == "done"
        assert await service.line() == "stopped"
        assert await service.ended() == 0


async def test_open_sockets_are_closed_with_service_restart(tmp_path: Path) -> None:
    async with child(tmp_path, SERVICE) as service:
        port = await port_of(service)
        async with websockets.connect(f"ws://127.0.0.1:{port}/socket") as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            assert socket.response is not None
            assert "permessage-deflate" not in socket.response.headers.get("Sec-WebSocket-Extensions", "")
            service.process.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert await service.ended() == 0


async def test_a_message_or_an_address_beyond_the_limit_closes_its_socket_only(tmp_path: Path) -> None:
    async with child(tmp_path, SERVICE) as service:
        port = await port_of(service)
        async with websockets.connect(f"ws://127.0.0.1:{port}/socket") as socket:
            await socket.send("x" * 300_000)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        async with websockets.connect(f"ws://127.0.0.1:{port}/socket") as socket:
            await socket.send("x" * 200_000)
            assert len(await socket.recv()) == 200_000
        async with websockets.connect(f"ws://127.0.0.1:{port}/socket?note={'x' * 60_000}") as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(f"ws://127.0.0.1:{port}/socket?note={'x' * 200_000}")
        assert refusal.value.response.status_code == 431
        assert await service.terminate() == 0


async def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    slow_drain = SERVICE.replace("await asyncio.sleep(0.05)", "await asyncio.sleep(60)")
    async with child(tmp_path, slow_drain) as service:
        await port_of(service)
        service.process.send_signal(signal.SIGTERM)
        assert await service.line() == "draining"
        assert await service.terminate() == 0


async def test_a_worker_answers_health_and_is_cancelled_on_sigterm(tmp_path: Path, unused_tcp_port: int) -> None:
    async with child(tmp_path, WORKER, HTTP_PORT=str(unused_tcp_port)) as worker:
        assert await worker.line() == "working"
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as http:
            assert (await http.get(f"http://127.0.0.1:{unused_tcp_port}/readyz")).status_code == 200
        assert await worker.terminate() == 0
        assert await worker.line() == "cleaned up"


async def test_a_worker_whose_work_fails_ends_with_it(tmp_path: Path, unused_tcp_port: int) -> None:
    async with child(tmp_path, WORKER, HTTP_PORT=str(unused_tcp_port), FAIL="1") as worker:
        assert await worker.started_and_ended() == 1


async def test_a_worker_whose_work_is_done_ends_well(tmp_path: Path, unused_tcp_port: int) -> None:
    async with child(tmp_path, WORKER, HTTP_PORT=str(unused_tcp_port), END="1") as worker:
        assert await worker.started_and_ended() == 0


FAILING = """
from voisnap_kit.bus import BusError
from voisnap_kit.serve import run
from voisnap_kit.settings import SettingsError

async def main() -> None:
    raise {error}

run(main)
"""


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        ('SettingsError(("A is not set", "B is not set"))', 2, ["voisnap: A is not set", "voisnap: B is not set"]),
        ('BusError("NATS does not answer")', 1, ["voisnap: NATS does not answer"]),
    ],
)
async def test_what_a_person_must_put_right_and_what_passes_end_with_different_statuses(
    tmp_path: Path, error: str, status: int, lines: list[str]
) -> None:
    path = tmp_path / "service.py"
    path.write_text(FAILING.format(error=error))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(path), stderr=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]}
    )
    async with asyncio.timeout(10):
        _, said = await process.communicate()
    assert (process.returncode, said.decode().splitlines()) == (status, lines)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a socket option of Linux")
async def test_a_peer_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PEER_SECONDS", 1)
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[int] = loop.create_future()
    gone = asyncio.Event()

    async def long(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            gone.set()

    serving = asyncio.create_task(serve.serve(long, "127.0.0.1", 0, on_ready=ready.set_result))
    with socket.create_connection(("127.0.0.1", await ready)) as stuck:
        stuck.setblocking(False)
        await loop.sock_sendall(stuck, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.wait_for(gone.wait(), 10)  # nothing is read, and yet the connection ends
    serving.cancel()
    await asyncio.wait({serving})
