"""The runtime alone, pinned to one core, with its servers and a stand-in for the API on the other: what the callers are measured against."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from litestar import get
from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    Endpointing,
    FirstMessageMode,
    Llm,
    LlmProvider,
    Persona,
    Recording,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import AgentId, ConversationId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import Bus
from voisnap_kit.http import build_app
from voisnap_kit.ids import new_id
from voisnap_kit.serve import serve
from voisnap_kit.tokens import TokenSigner
from voisnap_proto.requests import OPEN_SESSION, PLAN_SESSION, OpenSession, PlanSession, SessionOpened, SessionPlanned
from voisnap_stack.call_hub import HubClient
from voisnap_stack.load_socket import CallRefused
from voisnap_stack.models import models_folder
from voisnap_testkit.embedded import EmbeddedTestServers
from voisnap_testkit.platform import free_port

READY_SECONDS = 60.0
TENANT, AGENT = TenantId("ten_load"), AgentId("agt_load")
REPLY = "otherwise -> Thank you, I have written that down for you now."
"""About three seconds of the scripted voice: long enough to be spoken into."""


class PlatformServer(msgspec.Struct, frozen=True, kw_only=True):
    """A running runtime: where it is, its process, and how calls are begun."""

    name: str
    url: str
    pid: int
    token: str
    bus: Bus
    plan: SessionPlan
    redis_url: str

    @property
    def voice_url(self) -> str:
        """VoiceHub, for a new call."""
        return f"{self.url}/hubs/voice?{urlencode({'agentId': AGENT})}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def phone_url(self) -> str:
        """Twilio's media socket."""
        return f"{self.url}/carriers/twilio/media"

    async def rung(self) -> str:
        """The token of a call that comes in over Twilio."""
        plan = msgspec.structs.replace(
            self.plan,
            session_id=SessionId(new_id("call")),
            conversation_id=ConversationId(new_id("conv")),
            channel=Channel.PHONE,
            created_at=datetime.now(UTC),
            leg=CarrierLeg(provider="twilio", account="simulator", number="+14155550100"),
        )
        try:
            return (
                await self.bus.request(OPEN_SESSION, OpenSession(plan=plan), SessionOpened, timeout=5)
            ).session_token
        except DomainError as error:
            raise CallRefused(error.detail) from error

    @asynccontextmanager
    async def webrtc_call(self) -> AsyncGenerator[Any]:
        """A WebRTC session and its hub: gives a function that exchanges descriptions."""
        plan = msgspec.structs.replace(
            self.plan,
            session_id=SessionId(new_id("wrtc")),
            conversation_id=ConversationId(new_id("conv")),
            channel=Channel.WEBRTC,
            created_at=datetime.now(UTC),
        )
        try:
            opened = await self.bus.request(OPEN_SESSION, OpenSession(plan=plan), SessionOpened, timeout=5)
        except DomainError as error:
            raise CallRefused(error.detail) from error
        async with (
            httpx.AsyncClient(headers=self.headers, timeout=10, trust_env=False) as http,
            HubClient.opened(http, f"{self.url}/hubs/webrtc", {"sessionToken": opened.session_token}) as hub,
        ):

            async def exchange(offer: str) -> str:
                await hub.invoke("SendOfferAsync", {"sdp": offer, "type": "offer"})
                async for event in hub.events():
                    if event.target == "SdpAnswerReceived":
                        return event.value["sdp"]
                    if event.target == "Error":
                        raise CallRefused(event.value.get("message", "the platform refused"))
                raise CallRefused("the hub closed the connection")

            yield exchange


@asynccontextmanager
async def platform_server(
    *,
    core: int | None,
    silence_ms: int,
    records: bool = False,
    plan_for: Callable[[PlanSession, SessionPlan], SessionPlan] = lambda _, plan: plan,
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[PlatformServer]:
    """Start everything; at the end of the block all of it is gone.

    `plan_for` changes the plan of who asks for one, or raises DomainError; `settings` are further variables of the runtime.
    """
    async with AsyncExitStack() as stack:
        servers = EmbeddedTestServers()
        stack.callback(servers.stop)
        folder = Path(tempfile.mkdtemp(prefix="voisnap-load-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        redis_url, nats_url = await asyncio.to_thread(lambda: (servers.start_redis(), servers.start_nats()))
        bus = await stack.enter_async_context(await Bus.connect(nats_url, "load"))
        signer = TokenSigner.generate()
        plan = _plan(silence_ms, records)
        keys = await stack.enter_async_context(_keys(signer))

        async def planned(asked: PlanSession) -> SessionPlanned:
            fresh = msgspec.structs.replace(
                plan,
                session_id=SessionId(new_id("voice")),
                conversation_id=ConversationId(new_id("conv")),
                channel=asked.channel,
                created_at=datetime.now(UTC),
            )
            return SessionPlanned(plan=plan_for(asked, fresh))

        await bus.respond(PLAN_SESSION, "api", PlanSession, planned)
        environment = {
            "REDIS_URL": redis_url,
            "NATS_URL": nats_url,
            "BLOBS_URL": f"file://{folder / 'blobs'}",
            "JWKS_URL": f"{keys}/.well-known/jwks.json",
            "MODELS_DIR": str(models_folder()),
            "SPOOL_DIR": str(folder / "spool"),
            "PUBLIC_URL": "http://127.0.0.1",
            "MAX_SESSIONS": "2000",
            "LOG_LEVEL": "WARNING",
        } | dict(settings or {})
        for name in ("blobs", "spool"):
            (folder / name).mkdir()
        url, pid = await stack.enter_async_context(_runtime(environment, folder / "runtime.log", core))
        yield PlatformServer(
            name="voisnap",
            url=url,
            pid=pid,
            token=signer.sign(
                subject="usr_load",
                tenant_id=TENANT,
                environment=Environment.SANDBOX,
                role="Owner",
                scopes=frozenset({"hub", "webrtc:write"}),
                now=datetime.now(UTC),
                lifetime=timedelta(hours=12),
                token_id=new_id("tok"),
            ),
            bus=bus,
            plan=plan,
            redis_url=redis_url,
        )


@asynccontextmanager
async def _runtime(environment: dict[str, str], log: Path, core: int | None) -> AsyncGenerator[tuple[str, int]]:
    port = free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "voisnap_runtime",
            env=os.environ | environment | {"HTTP_PORT": str(port)},
            stdout=output,
            stderr=output,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(process, f"{url}/readyz", log)
        yield url, process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(8):
                    await process.wait()
            except TimeoutError:
                process.kill()
        if complaints := _end_of(log):
            sys.stderr.write(f"the runtime's log ends with:\n{complaints}\n")


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=2, trust_env=False) as http:
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the runtime ended: {_end_of(log)}")
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _keys(signer: TokenSigner) -> AsyncGenerator[str]:
    @get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return signer.jwks()

    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(build_app([jwks], service="load", checks={}), "127.0.0.1", 0, on_ready=port.set_result)
    )
    try:
        yield f"http://127.0.0.1:{await port}"
    finally:
        serving.cancel()
        await asyncio.wait({serving})


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:].strip()


def _plan(silence_ms: int, records: bool) -> SessionPlan:
    config = AgentConfig(
        name="Load",
        persona=Persona(name="Load"),
        voice=Voice(provider=VoiceProvider.SCRIPTED, voice_id="tone"),
        llm=Llm(provider=LlmProvider.SCRIPTED, model="prompt"),
        transcription=Transcription(provider=TranscriptionProvider.SCRIPTED, model="What about a cleaning next week?"),
        system_prompt_template=REPLY,
        first_message_mode=FirstMessageMode.WAIT_FOR_USER,
        max_duration_seconds=3600,
        endpointing=Endpointing(silence_duration_ms=silence_ms),
        recording=Recording(enabled=records),
    )
    return SessionPlan(
        session_id=SessionId("voice_load"),
        conversation_id=ConversationId("conv_load"),
        tenant_id=TENANT,
        environment=Environment.SANDBOX,
        channel=Channel.PHONE,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AGENT, version=1, config=config),
        created_at=datetime.now(UTC),
    )
