"""The worker as a process: conversations are analysed in seconds, and once, even when it is killed in the middle."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec
import pytest
from voisnap_api.analysis.records import AnalysisResult
from voisnap_api.demo import DEMO_AGENT
from voisnap_domain.agents import AgentConfig, AgentSnapshot, Llm, LlmProvider
from voisnap_domain.conversations import CallQuality, Speaker, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import Bus
from voisnap_kit.ids import new_id
from voisnap_kit.migrate import create_role, grant
from voisnap_kit.postgres import Database
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_stack.models import models_folder
from voisnap_testkit.embedded import EmbeddedTestServers
from voisnap_testkit.openai_emulator import OpenAiEmulator, Slow

pytestmark = pytest.mark.e2e

BY_MODEL = {
    "outcome": "resolved",
    "entities": [],
    "topics": ["billing"],
    "agentPerformance": None,
    "sentiment": "neutral",
    "sentimentScore": 0.5,
    "sentimentBreakdown": {"agent": 0.5, "user": 0.5},
    "intent": "billing_inquiry",
    "summary": "The model read it.",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(check: Callable[[], Awaitable[Any]], *, seconds: float) -> Any:
    """The first true answer of a check on other processes."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.02)


@asynccontextmanager
async def worker(environ: dict[str, str]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A worker that is ready."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voisnap_api.worker", env=environ | {"HTTP_PORT": str(port)}, stderr=-3
    )

    async def ready() -> bool:
        assert process.returncode is None
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        await until(ready, seconds=30)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


@pytest.fixture
async def environ(tmp_path: Path) -> AsyncGenerator[dict[str, str]]:
    """A database and a bus of their own, and what a worker needs to find them."""
    servers = await asyncio.to_thread(EmbeddedTestServers)
    try:
        owner_url = await asyncio.to_thread(servers.start_postgres)
        nats_url = await asyncio.to_thread(servers.start_nats)
        parts = urlsplit(owner_url)
        await create_role(owner_url, "voisnap_api", "pw")
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": urlunsplit(
                (parts.scheme, f"voisnap_api:pw@{parts.hostname}:{parts.port}", parts.path, "", "")
            ),
            "NATS_URL": nats_url,
            "BLOBS_URL": f"file://{tmp_path}/blobs",
            "MODELS_DIR": str(models_folder()),
            "SECRETS_KEY": "k" * 40,
        }
        migrating = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "voisnap_api", "migrate", env=environ | {"MIGRATE_DATABASE_URL": owner_url}
        )
        assert await migrating.wait() == 0
        await grant(owner_url, "api", "voisnap_api")
        yield environ
    finally:
        await asyncio.to_thread(servers.stop)


def call_of(provider: LlmProvider) -> list[Any]:
    """The events of a short call of an agent with that model."""
    config: AgentConfig = msgspec.structs.replace(DEMO_AGENT, llm=Llm(provider=provider, model="gpt-4o"))
    now = datetime.now(UTC)
    plan = SessionPlan(
        session_id=SessionId(new_id("wrtc")),
        conversation_id=ConversationId(new_id("conv")),
        tenant_id=TenantId("ten_demo"),
        environment=Environment.LIVE,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=config),
        created_at=now,
    )
    ids = {"tenant_id": plan.tenant_id, "session_id": plan.session_id, "conversation_id": plan.conversation_id}
    said = (
        (Speaker.AGENT, "Hello! How can I help you today?"),
        (Speaker.USER, "Why was I charged twice on my last invoice? This is really annoying."),
        (Speaker.AGENT, "I'm sorry. I've refunded the second charge."),
    )
    turns = [
        Turn(sequence=n, speaker=speaker, text=text, start_time=2.0 * n, end_time=2.0 * n + 1, confidence=1.0)
        for n, (speaker, text) in enumerate(said, start=1)
    ]
    return [
        SessionStarted(**ids, node_id=NodeId("node_1"), plan=plan, started_at=now),
        *(TurnFinished(**ids, environment=plan.environment, turn=turn) for turn in turns),
        SessionEnded(
            **ids,
            environment=plan.environment,
            plan=plan,
            started_at=now,
            ended_at=now + timedelta(seconds=8),
            duration_seconds=8.0,
            reason=EndReason.USER_ENDED,
            turns=len(turns),
            usage=Usage(),
            quality=CallQuality(),
            recording=None,
        ),
    ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    conversation_id: str
    status: str
    attempts: int
    result: AnalysisResult | None


async def test_a_call_is_analysed_within_three_seconds_and_once_though_its_worker_is_killed(environ: dict[str, str]):
    async with (
        await Database.open(environ["DATABASE_URL"]) as database,
        await Bus.connect(environ["NATS_URL"], "test") as bus,
        OpenAiEmulator() as model,
    ):
        environ = environ | {"OPENAI_API_KEY": str(model.key), "OPENAI_BASE_URL": model.url}

        async def publish(events: list[Any]) -> str:
            for event in events:
                await bus.publish(event, event_id=new_id("evt"), tenant_id="ten_demo")
            return events[0].conversation_id

        async def analysed(conversation_id: str) -> Row | None:
            async with database.transaction_as_system() as tx:
                rows = await tx.all(Row, "SELECT conversation_id, status, attempts, result FROM analyses")
            return next((r for r in rows if r.conversation_id == conversation_id and r.status == "completed"), None)

        async with worker(environ) as first:
            warming = await publish(call_of(LlmProvider.LOCAL))
            await until(lambda: analysed(warming), seconds=30)
            began = time.monotonic()
            local = await publish(call_of(LlmProvider.LOCAL))
            row = await until(lambda: analysed(local), seconds=10)
            assert time.monotonic() - began < 3.0
            assert (row.result.method, row.result.findings.intent) == ("local", "billing_inquiry")

            model.script(Slow(60), json.dumps(BY_MODEL))
            by_model = await publish(call_of(LlmProvider.OPENAI))

            async def is_asked() -> bool:
                return bool(model.requests)

            await until(is_asked, seconds=10)
            first.kill()
            await first.wait()
        async with worker(environ):
            row = await until(lambda: analysed(by_model), seconds=30)
        assert (row.result.method, row.result.findings.summary) == ("llm", "The model read it.")
        assert (row.attempts, len(model.requests)) == (2, 2)
        assert (await bus.dead_letters())[1] == 0
