import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from voisnap_stack import models, supervise
from voisnap_stack.control import ask
from voisnap_stack.home import Home, Locks
from voisnap_stack.http_probe import readyz
from voisnap_stack.services import SERVICES, Addresses
from voisnap_stack.supervise import PartSpec, StackError
from voisnap_stack.up import Platform, UpSettings, read_settings

pytestmark = pytest.mark.e2e

STUB = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if os.path.exists(os.path.join(folder, name + ".broken")):
    sys.exit("cannot go on: " + name + " is broken")

class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        full = os.path.exists(os.path.join(folder, name + ".full")) and "id=" not in self.path
        body = json.dumps({"service": name, "path": self.path, "checks": {}}).encode()
        self.send_response(503 if full else 200)
        if full:
            self.send_header("Retry-After", "2")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args): pass

def end(*args):
    with open(os.path.join(folder, "ended"), "a") as file:
        file.write(name + "\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
ThreadingHTTPServer(("127.0.0.1", port), Stub).serve_forever()
"""


def stubs(home: Home, secrets: Mapping[str, str], addresses: Addresses, weights: Path) -> dict[str, PartSpec]:
    """The process table with a few lines of Python in each service's place."""
    return {
        name: PartSpec(
            name=name,
            command=(sys.executable, "-c", STUB, name, str(addresses.ports[name]), str(home.root)),
            probe=readyz(addresses.ports[name]),
            environment=dict(os.environ),
            folder=home.root,
            log=home.logs / f"{name}.log",
            start_seconds=20,
        )
        for name in (*SERVICES, *addresses.runtimes[1:])
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher alone is tested here: it has no models to fetch."""
    monkeypatch.setattr(models, "CARRIERS", ())
    monkeypatch.setattr(models.fetch, "__defaults__", ((),))


@asynccontextmanager
async def platform(root: Path, *, said: list[str] | None = None, runtimes: int = 1) -> AsyncIterator[Platform]:
    """A running launcher with stub services."""
    lines = [] if said is None else said
    settings = UpSettings(
        home=Home(root=root), port=free_port(), bind="127.0.0.1", models=root / "models", runtimes=runtimes
    )
    running = Platform(settings=settings, specs=stubs, seeds=False, fsync=False, say=lines.append)
    locks = Locks(settings.home)
    settings.home.prepare()
    locks.acquire()
    try:
        await running.start(locks)
        yield running
    finally:
        await running.stop()
        locks.release()


async def until(holds: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait for another process, which has no event to wait on."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


async def test_one_origin_leads_to_every_service(tmp_path: Path) -> None:
    async with platform(tmp_path / "home") as running, httpx.AsyncClient(base_url=running.settings.base_url) as client:
        for path, service in {
            "/api/v1/agents": "api",
            "/.well-known/jwks.json": "api",
            "/api/v1/admin/tenants": "admin",
            "/api/v1/admin": "admin",
            "/hubs/webrtc/negotiate": "runtime",
            "/carriers/twilio": "runtime",
        }.items():
            answer = (await client.get(path)).json()
            assert (answer["service"], answer["path"]) == (service, path)
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        health = await client.get("/healthz")
        assert health.status_code == 200
        assert set(health.json()["parts"]) == {"postgres", "valkey", "nats", "caddy", *SERVICES}
        assert {part["status"] for part in health.json()["parts"].values()} == {"ready"}


async def test_health_says_503_while_a_part_is_down_and_a_restart_mends_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said: list[str] = []
    async with platform(home, said=said) as running, httpx.AsyncClient(base_url=running.settings.base_url) as client:
        (home / "admin.broken").touch()
        part = running.parts["admin"]
        assert part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
        await until(lambda: any(line.startswith("admin: ") for line in said))
        answer = await client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["admin"]["status"] != "ready"
        assert answer.json()["parts"]["api"]["status"] == "ready"
        (home / "admin.broken").unlink()
        restarted = await asyncio.to_thread(ask, home / "control.sock", "restart", "admin")
        assert restarted["seconds"] < 10
        running._health = (0.0, {})
        assert (await client.get("/healthz")).status_code == 200


async def test_a_part_that_keeps_crashing_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE", 0.02)
    said: list[str] = []
    async with (
        platform(tmp_path / "home", said=said) as running,
        httpx.AsyncClient(base_url=running.settings.base_url) as client,
    ):
        (tmp_path / "home" / "runtime.broken").touch()
        part = running.parts["runtime"]
        assert part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
        await until(lambda: any("is not started again" in line for line in said))
        assert "cannot go on: runtime is broken" in said[-1]

        await client.get("/hubs/voice?id=runtime_01HX.s3cret&access_token=s3cret")
        log = running.parts["caddy"].spec.log
        await until(lambda: "/hubs/voice" in log.read_text())
        assert "s3cret" not in log.read_text(), "tokens travel in queries"


async def test_two_runtimes_share_the_calls_and_one_that_is_killed_is_missed_by_nobody(tmp_path: Path) -> None:
    said: list[str] = []
    async with (
        platform(tmp_path / "home", said=said, runtimes=2) as running,
        httpx.AsyncClient(base_url=running.settings.base_url) as client,
    ):

        async def negotiated(times: int) -> list[str]:
            answers = [
                await client.post("/hubs/voice/negotiate?negotiateVersion=1", content="{}") for _ in range(times)
            ]
            assert {answer.status_code for answer in answers} == {200}
            return [answer.json()["service"] for answer in answers]

        assert set(await negotiated(20)) == {"runtime", "runtime-2"}
        assert (await client.get("/healthz")).json()["parts"]["runtime-2"]["status"] == "ready"
        (tmp_path / "home" / "runtime-2.broken").touch()
        killed = running.parts["runtime-2"].pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert set(await negotiated(20)) == {"runtime"}
        assert (await client.get("/carriers/twilio")).json()["service"] == "runtime"
        (tmp_path / "home" / "runtime-2.broken").unlink()
        await until(lambda: running.parts["runtime-2"].state is supervise.PartState.RUNNING)
        assert running.parts["runtime-2"].pid not in (None, killed)
        assert any(line.startswith("runtime-2: ") and "starting it again" in line for line in said)
        restarted = await asyncio.to_thread(ask, tmp_path / "home" / "control.sock", "restart", "runtime-2")
        assert restarted["seconds"] < 10
    ended = (tmp_path / "home" / "ended").read_text().split()
    assert ended[0] == "runtime-2"
    assert set(ended[1:4]) == {"runtime", "runtime-2", "reaper"}


async def test_a_full_runtime_gets_nothing_new_but_keeps_what_it_has(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with (
        platform(home, runtimes=2) as running,
        httpx.AsyncClient(base_url=running.settings.base_url) as client,
    ):
        (home / "runtime.full").touch()
        answers = [await client.post("/hubs/voice/negotiate") for _ in range(10)]
        assert {(answer.status_code, answer.json()["service"]) for answer in answers} == {(200, "runtime-2")}
        for request in (client.get, client.post):  # a poll or an event stream, and a message of the same connection
            for node in ("runtime", "runtime-2"):
                answer = await request(f"/hubs/voice?id={node}_01HX.c2VjcmV0")
                assert (answer.status_code, answer.json()["service"]) == (200, node)
        assert (await client.get("/hubs/voice?id=elsewhere_01HX.c2VjcmV0")).json()["service"] == "runtime-2"
        (home / "runtime-2.full").touch()
        answer = await client.post("/hubs/voice/negotiate")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_part_that_cannot_start_is_one_line_and_nothing_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "runtime.broken").touch()
    with pytest.raises(
        StackError, match=r"runtime ended with status 1: cannot go on: runtime is broken .*runtime\.log"
    ):
        async with platform(home):
            pass
    listed = await asyncio.create_subprocess_exec("ps", "-eo", "args", stdout=asyncio.subprocess.PIPE)
    assert str(home) not in (await listed.communicate())[0].decode()


async def test_the_end_comes_in_order_and_within_five_seconds(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with platform(tmp_path / "home"):
        began = loop.time()
    began, took = 0.0, loop.time() - began
    assert took < 5.0
    assert set((tmp_path / "home" / "ended").read_text().split()[:2]) == {"runtime", "reaper"}
    assert sorted((tmp_path / "home" / "ended").read_text().split()) == sorted(SERVICES)
    assert not (tmp_path / "home" / "control.sock").exists()


async def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = UpSettings(home=Home(root=tmp_path), port=port, bind="127.0.0.1", models=tmp_path)
        settings.home.prepare()
        locks = Locks(settings.home)
        locks.acquire()
        with pytest.raises(StackError, match=rf"port {port} on 127\.0\.0\.1 is taken.*PORT=\d+ make up"):
            await Platform(settings=settings, specs=stubs).start(locks)
        locks.release()


async def test_only_the_owner_may_use_the_control_socket(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30) / "home"
    async with platform(home):
        assert (home / "control.sock").stat().st_mode & 0o077 == 0
        status = await asyncio.to_thread(ask, home / "control.sock", "status")
        assert status["health"]["status"] == "ready"
        with pytest.raises(StackError, match="there is no part nothing here"):
            await asyncio.to_thread(ask, home / "control.sock", "restart", "nothing")


def test_a_wrong_setting_names_the_variable() -> None:
    for wrong in ("eighty", "0", "70000", "-1"):
        with pytest.raises(StackError, match=f"PORT is '{wrong}'"):
            read_settings({"PORT": wrong})
    for wrong in ("two", "0", "17", "-1"):
        with pytest.raises(StackError, match=f"RUNTIMES is '{wrong}'"):
            read_settings({"RUNTIMES": wrong})
    assert read_settings({"RUNTIMES": "2"}).runtimes == 2
    assert read_settings({}).runtimes == 1


def test_without_a_running_platform_the_command_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voisnap_stack.cli", "status"],
        env={**os.environ, "VOISNAP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("voisnap: no `voisnap up` is running")
    assert json.dumps(done.stderr).count("\\n") == 1
