"""The API and its worker as processes on real servers, and what happens to them when a server goes away."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from voisnap_api.demo import DEMO_AGENT
from voisnap_domain.agents import AgentSnapshot
from voisnap_domain.conversations import CallQuality, RecordingInfo, Speaker, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import Bus
from voisnap_kit.ids import new_id
from voisnap_kit.migrate import create_role, grant
from voisnap_kit.tokens import generate_private_key
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_testkit.embedded import EmbeddedTestServers

pytestmark = pytest.mark.e2e

SEED = {"tenantId": "ten_demo", "email": "demo@example.com", "password": "a long demo password"}


class Platform:
    """Own servers and the two processes."""

    def __init__(self, servers: EmbeddedTestServers, nats_url: str, environ: dict[str, str], port: int) -> None:
        self.servers = servers
        self.nats_url = nats_url
        self.environ = environ
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10)


async def until(check: Callable[[], object], *, seconds: float = 20.0) -> object:
    """The first true answer of a check that is asked again and again."""
    async with asyncio.timeout(seconds):
        while True:
            found = await check()
            if found:
                return found
            await asyncio.sleep(0.05)


async def run(*arguments: str, environ: dict[str, str], stdin: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environ, stdin=-1, stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode == 0, err.decode()[-2000:]
    return out


@asynccontextmanager
async def running(*arguments: str, environ: dict[str, str]) -> AsyncGenerator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environ, stderr=asyncio.subprocess.PIPE
    )
    log = asyncio.create_task(process.stderr.read())
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), 6) == 0, (await log).decode()[-3000:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncGenerator[Platform]:
    servers = await asyncio.to_thread(EmbeddedTestServers)
    try:
        owner_url = await asyncio.to_thread(servers.start_postgres)
        redis_url = await asyncio.to_thread(servers.start_redis)
        nats_url = await asyncio.to_thread(servers.start_nats)
        (tmp_path / "jwt.pem").write_bytes(generate_private_key())
        parts = urlsplit(owner_url)
        role_url = urlunsplit((parts.scheme, f"voisnap_api:pw@{parts.hostname}:{parts.port}", parts.path, "", ""))
        api_port, worker_port = free_port(), free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": role_url,
            "MIGRATE_DATABASE_URL": owner_url,
            "REDIS_URL": redis_url,
            "NATS_URL": nats_url,
            "PUBLIC_URL": f"http://127.0.0.1:{api_port}",
            "BLOBS_URL": f"file://{tmp_path}/blobs",
            "BLOBS_SIGNING_KEY": "k" * 40,
            "JWT_PRIVATE_KEY_FILE": str(tmp_path / "jwt.pem"),
            "RATE_LIMIT_FACTOR": "0",
        }
        (tmp_path / "blobs").mkdir()
        await create_role(owner_url, "voisnap_api", "pw")
        await run("-m", "voisnap_api", "migrate", environ=environ)
        await grant(owner_url, "api", "voisnap_api")
        async with (
            running("-m", "voisnap_api", environ=environ | {"HTTP_PORT": str(api_port)}),
            running("-m", "voisnap_api.worker", environ=environ | {"HTTP_PORT": str(worker_port)}),
        ):
            platform = Platform(servers, nats_url, environ, api_port)

            async def ready(port: int) -> bool:
                try:
                    return (await platform.http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            for port in (api_port, worker_port):
                await until(lambda port=port: ready(port))
            yield platform
            await platform.http.aclose()
    finally:
        await asyncio.to_thread(servers.stop)


async def seed(platform: Platform) -> dict[str, str]:
    return json.loads(
        await run(
            "-m", "voisnap_api", "seed-demo", "--json", "-", environ=platform.environ, stdin=json.dumps(SEED).encode()
        )
    )


def call_of(agent_id: str) -> list[object]:
    """The events of a call with two turns."""
    plan = SessionPlan(
        session_id=SessionId(new_id("wrtc")),
        conversation_id=ConversationId(new_id("conv")),
        tenant_id=TenantId("ten_demo"),
        environment=Environment.LIVE,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId(agent_id), version=1, config=DEMO_AGENT),
        created_at=datetime.now(UTC),
    )
    ids = {"tenant_id": plan.tenant_id, "session_id": plan.session_id, "conversation_id": plan.conversation_id}
    turns = [
        Turn(sequence=n, speaker=speaker, text=speaker.value, start_time=n, end_time=n + 0.5, confidence=1.0)
        for n, speaker in ((1, Speaker.AGENT), (2, Speaker.USER))
    ]
    key = f"recordings/ten_demo/{plan.conversation_id}.mp3"
    return [
        SessionStarted(**ids, node_id=NodeId("node_1"), plan=plan, started_at=plan.created_at),
        *(TurnFinished(**ids, environment=plan.environment, turn=turn) for turn in turns),
        SessionEnded(
            **ids,
            environment=plan.environment,
            plan=plan,
            started_at=plan.created_at,
            ended_at=plan.created_at + timedelta(seconds=3),
            duration_seconds=3.0,
            reason=EndReason.USER_ENDED,
            turns=2,
            usage=Usage(),
            quality=CallQuality(),
            recording=RecordingInfo(key=key, format="mp3", duration_seconds=3.0, size_bytes=5),
        ),
    ]


async def publish(bus: Bus, events: list[object]) -> str:
    for event in events:
        await bus.publish(event, event_id=new_id("evt"), tenant_id="ten_demo")
    return events[0].conversation_id


async def test_from_seed_to_recording_and_through_restarts_of_the_servers(platform: Platform, tmp_path: Path):
    seeded = await seed(platform)
    again = await seed(platform)
    assert (again["agentId"], again["userId"]) == (seeded["agentId"], seeded["userId"])
    login = await platform.http.post("/api/v1/auth/login", json={"email": SEED["email"], "password": SEED["password"]})
    assert login.status_code == 200, login.text
    assert login.json()["user"]["platformAdmin"] is True
    headers = {"Authorization": f"Bearer {login.json()['accessToken']}"}
    agent = (await platform.http.get(f"/api/v1/agents/{seeded['agentId']}", headers=headers)).json()
    assert (agent["status"], agent["publishedVersion"]) == ("active", 1)
    key = {"Authorization": f"Bearer {seeded['apiKeyLive']}"}
    assert (await platform.http.get("/api/v1/agents", headers=key)).json()["total"] == 1
    body = {"agentId": seeded["agentId"]}
    nobody = await platform.http.post("/api/v1/webrtc/sessions", json=body, headers=headers)
    assert nobody.status_code == 503

    async def completed(conversation_id: str) -> bool:
        answer = await platform.http.get(f"/api/v1/conversations/{conversation_id}", headers=key)
        return answer.status_code == 200 and answer.json()["status"] == "completed"

    async with await Bus.connect(platform.nats_url, "test") as bus:
        first = await publish(bus, call_of(seeded["agentId"]))
        await until(lambda: completed(first), seconds=5)
        blob = tmp_path / "blobs" / "recordings" / "ten_demo" / f"{first}.mp3"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"audio")
        link = (await platform.http.get(f"/api/v1/conversations/{first}/recording", headers=key)).json()
        part = await platform.http.get(link["url"], headers={"Range": "bytes=1-2"})
        assert (part.status_code, part.content) == (206, b"ud")

        # PostgreSQL is away while a call ends.
        await asyncio.to_thread(platform.servers.kill, "postgres")
        second = await publish(bus, call_of(seeded["agentId"]))
        away = await platform.http.get(f"/api/v1/conversations/{second}", headers=headers)
        assert away.status_code == 503
        assert "retry-after" in away.headers
        await asyncio.to_thread(platform.servers.revive, "postgres")
        await until(lambda: completed(second))

        # NATS is away for a moment.
        await asyncio.to_thread(platform.servers.kill, "nats")
        renamed = await platform.http.patch(
            f"/api/v1/agents/{seeded['agentId']}", json={"description": "changed"}, headers=headers
        )
        assert renamed.status_code == 200, "what needs no bus goes on"
        await asyncio.to_thread(platform.servers.revive, "nats")
    async with await Bus.connect(platform.nats_url, "test") as bus:
        third = await publish(bus, call_of(seeded["agentId"]))
        await until(lambda: completed(third), seconds=30)
