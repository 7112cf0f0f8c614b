"""A thousand short calls against one runtime process, ended in every way there is: memory, files, tasks and keys are back where they were."""

import asyncio
import base64
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis.asyncio as redis
from aiortc import RTCPeerConnection
from platform_server import AGENT, PlatformServer, platform_server
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import ConversationId, SessionId
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_kit.ids import new_id
from voisnap_media import files
from voisnap_proto.requests import OPEN_SESSION, OpenSession, PlanSession, SessionOpened
from voisnap_testkit.platform import patience
from voisnap_testkit.raw_hub import BINARY, NotAdmitted, RawHub, negotiate

pytestmark = pytest.mark.e2e

CALLS, WARM_UP, AT_ONCE = 1000, 150, 16
WINDOW_SECONDS = 1
SETTLE_SECONDS = 25.0
BUSY_ATTEMPTS = 15
GREETING, INACTIVE, FULL, UNKNOWN = "agt_greeting", "agt_inactive", "agt_full", "agt_unknown"
QUESTION = Path(__file__).parent / "fixtures" / "audio" / "question-teeth-cleaning.wav"
SILENCE = base64.b64encode(bytes(640)).decode()


def plan_for(asked: PlanSession, plan: SessionPlan) -> SessionPlan:
    """What an API would answer for agents of these names."""
    config = plan.agent.config
    match asked.agent_id:
        case "agt_unknown":
            raise NotFound("agent", UNKNOWN, code="agent-not-found")
        case "agt_inactive":
            raise Conflict("This agent is paused.", code="agent-inactive")
        case "agt_full":
            return msgspec.structs.replace(plan, max_concurrent=0)
        case "agt_greeting":
            config = msgspec.structs.replace(
                config,
                first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
                first_message="Hello, how can I help you today?",
            )
        case _:
            pass
    return msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))


class Callers:
    """Whoever calls, and what is needed for it."""

    def __init__(self, server: PlatformServer, offer: str) -> None:
        self.server = server
        self.voice = f"{server.url}/hubs/voice"
        self.chat = f"{server.url}/hubs/chat"
        self.offer = offer
        self.busy = 0
        speech = files.read(QUESTION, 16000).samples.astype("<i2").tobytes()
        self.speech = [base64.b64encode(speech[at : at + 6400]).decode() for at in range(0, 60_800, 6400)]

    def voice_hub(self, agent: str = AGENT, **options: Any) -> Any:
        return RawHub.opened(self.voice, self.server.token, agentId=agent, **options)

    async def hung_up(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")
            for _ in range(5):
                await hub.call("SendAudioAsync", SILENCE)
            await hub.call("EndSessionAsync", "user_ended")
            await hub.event("SessionEnded")

    async def greeted(self) -> None:
        async with self.voice_hub(GREETING) as hub:
            await hub.event("AudioReceived")
            await hub.call("EndSessionAsync")

    async def talked(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")
            for frame in self.speech:
                await hub.call("SendAudioAsync", frame)
            for _ in range(20):
                await hub.call("SendAudioAsync", SILENCE)
                await asyncio.sleep(0.02)
            await hub.event("Transcription")
            await hub.call("EndSessionAsync")
            await hub.event("SessionEnded")

    async def wrote(self) -> None:
        async with RawHub.opened(self.chat, self.server.token, agentId=AGENT) as hub:
            await hub.event("SessionStarted")
            await hub.call("SendMessageAsync", {"content": "A cleaning, please."})
            await hub.event("MessageReceived")
            await hub.call("EndSessionAsync")

    async def was_refused(self) -> None:
        for agent, code in (
            (UNKNOWN, "AGENT_NOT_FOUND"),
            (INACTIVE, "AGENT_INACTIVE"),
            (FULL, "SESSION_LIMIT_REACHED"),
        ):
            async with self.voice_hub(agent) as hub:
                assert (await hub.event("Error"))["code"] == code
                await hub.over()

    async def had_no_token(self) -> None:
        with pytest.raises(NotAdmitted, match="401"):
            async with RawHub.opened(self.voice, "nonsense", agentId=AGENT):
                pass

    async def only_negotiated(self) -> None:
        assert "connectionToken" in await negotiate(self.voice, self.server.token, agentId=AGENT)

    async def shook_no_hands(self) -> None:
        async with self.voice_hub(handshake=False) as hub:
            hub.reset()

    async def shook_half_a_hand(self) -> None:
        async with self.voice_hub(handshake=False) as hub:
            await hub.send(b'{"protocol":"js')
            await asyncio.sleep(0)

    async def fell_silent(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")

    async def was_reset(self) -> None:
        async with self.voice_hub(GREETING) as hub:
            await hub.event("AudioReceived")
            hub.reset()

    async def was_reset_before_its_session(self) -> None:
        async with self.voice_hub() as hub:
            hub.reset()

    async def sent_garbage(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")
            await hub.send(b"}{\x1e")
            assert (await hub.over()).get("type") == 7

    async def sent_too_much(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")
            await hub.send(b'{"type":1,"target":"SendAudioAsync","arguments":["' + b"A" * 100_000 + b'"]}\x1e')
            await hub.over()

    async def broke_the_framing(self) -> None:
        async with self.voice_hub() as hub:
            await hub.event("SessionStarted")
            await hub.send_bytes(b"\xf3\xff" + os.urandom(200))  # reserved bits and an unknown opcode
            await hub.over()

    async def spoke_in_binary(self) -> None:
        async with self.voice_hub() as hub:
            await hub.send(os.urandom(100) + b"\x1e", BINARY)
            await hub.over()

    async def wrote_and_vanished(self) -> None:
        async with RawHub.opened(self.chat, self.server.token, agentId=AGENT) as hub:
            await hub.event("SessionStarted")
            await hub.send(b'{"type":1,"target":"SendMessageAsync","arguments":["Hello?"]}\x1e')
            hub.reset()

    async def polled_once(self) -> None:
        offered = await negotiate(self.chat, self.server.token, agentId=AGENT)
        url = f"{self.chat}?agentId={AGENT}&id={offered['connectionToken']}"
        async with self.http.stream("GET", url) as poll:
            assert poll.status_code == 200
        await self.http.post(url, content=b'{"protocol":"json","version":1}\x1e')
        await self.http.get(url)
        await self.http.delete(url)

    async def listened_to_events(self) -> None:
        offered = await negotiate(self.chat, self.server.token, agentId=AGENT)
        url = f"{self.chat}?agentId={AGENT}&id={offered['connectionToken']}"
        async with self.http.stream("GET", url, headers={"Accept": "text/event-stream"}) as events:
            await self.http.post(url, content=b'{"protocol":"json","version":1}\x1e')
            async for line in events.aiter_lines():
                if "SessionStarted" in line:
                    return

    async def offered_and_vanished(self) -> None:
        async with self.webrtc() as hub:
            await hub.event("SessionStarted")
            await hub.call("SendOfferAsync", {"sdp": self.offer, "type": "offer"})
            hub.reset()

    async def offered_and_hung_up(self) -> None:
        async with self.webrtc() as hub:
            await hub.event("SessionStarted")
            await hub.call("SendOfferAsync", {"sdp": self.offer, "type": "offer"})
            await hub.event("SdpAnswerReceived")
            await hub.call("EndSessionAsync")

    @asynccontextmanager
    async def webrtc(self) -> AsyncIterator[RawHub]:
        plan = msgspec.structs.replace(
            self.server.plan,
            session_id=SessionId(new_id("wrtc")),
            conversation_id=ConversationId(new_id("conv")),
            channel=Channel.WEBRTC,
        )
        opened = await self.server.bus.request(OPEN_SESSION, OpenSession(plan=plan), SessionOpened, timeout=5)
        url = f"{self.server.url}/hubs/webrtc"
        async with RawHub.opened(url, self.server.token, sessionToken=opened.session_token) as hub:
            yield hub

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Callers"]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(headers=self.server.headers, timeout=15, trust_env=False, limits=limits) as http:
            self.http = http
            yield self

    @property
    def fates(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return (
            self.hung_up,
            self.greeted,
            self.was_reset,
            self.fell_silent,
            self.was_refused,
            self.had_no_token,
            self.only_negotiated,
            self.shook_no_hands,
            self.shook_half_a_hand,
            self.was_reset_before_its_session,
            self.sent_garbage,
            self.sent_too_much,
            self.broke_the_framing,
            self.spoke_in_binary,
            self.wrote,
            self.wrote_and_vanished,
            self.polled_once,
            self.listened_to_events,
            self.offered_and_vanished,
            self.offered_and_hung_up,
            self.hung_up,
            self.greeted,
            self.talked,
            self.was_reset,
            self.hung_up,
        )


async def call_many(callers: Callers, count: int) -> Counter[str]:
    """That many calls, so many at once; which fates did not come to pass as they should."""
    free, failed = asyncio.Semaphore(AT_ONCE), Counter[str]()

    async def one(number: int) -> None:
        fate = callers.fates[number % len(callers.fates)]
        async with free:
            for attempt in range(attempts := round(BUSY_ATTEMPTS * patience())):
                try:
                    await fate()
                except Exception as error:
                    if (
                        "too busy" in repr(error) or "status 503" in repr(error)
                    ) and attempt < attempts - 1:  # a client comes back later then
                        callers.busy += 1
                        await asyncio.sleep(0.5)
                        continue
                    failed[f"{fate.__name__}: {error!r}"[:300]] += 1
                return

    await asyncio.gather(*(one(number) for number in range(count)))
    return failed


class Held(msgspec.Struct, frozen=True):
    """What the process holds."""

    memory: float
    files: int
    tasks: int
    sessions: int

    def is_within(self, before: "Held") -> bool:
        return self.growth(before) <= 5 and self.files <= before.files and self.tasks <= before.tasks

    def growth(self, before: "Held") -> float:
        """Of memory, in percent."""
        return 100 * (self.memory / before.memory - 1)


async def held(callers: Callers) -> Held:
    """As `/metrics` tells it. Connections to the store are a pool of their own, bounded; they do not count as files."""
    async with redis.Redis.from_url(callers.server.redis_url) as client:
        pooled = len(await client.client_list()) - 1
    text = (await callers.http.get(f"{callers.server.url}/metrics")).text
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return Held(
        memory=float(told["process_resident_memory_bytes"]) / 1e6,
        files=int(float(told["process_open_fds"])) - pooled,
        tasks=int(float(told["voisnap_asyncio_tasks"])),
        sessions=int(float(told["voisnap_active_sessions"])),
    )


async def settled(callers: Callers, before: Held | None = None) -> Held:
    """What is held once all sessions are over and, at most a while later, no more than `before`."""
    deadline = time.monotonic() + SETTLE_SECONDS * patience()
    while True:
        now = await held(callers)
        done = now.sessions == 0 and (before is None or now.is_within(before))
        if done or time.monotonic() > deadline:
            return now
        await asyncio.sleep(0.25)


async def lasting_keys(callers: Callers) -> dict[str, Any]:
    """Keys in the store that do not go by themselves within about a minute, and their time to live; of sessions that count as live, their state."""
    async with redis.Redis.from_url(callers.server.redis_url) as client:
        keys = [key async for key in client.scan_iter("*", count=1000)]
        lasting = {key.decode(): await client.ttl(key) for key in keys if not key.startswith(b"vs:node")}
        live = [member.decode() for member in await client.zrange("vs:live", 0, -1)]
        states = {member: await client.hmget(f"vs:{{{member}}}:state", "state", "owner") for member in live}
    gone = -2  # between the two questions
    return {key: seconds for key, seconds in lasting.items() if seconds != gone and not 0 <= seconds <= 65} | states


async def keys_left(callers: Callers) -> dict[str, Any]:
    """The lasting keys once the journals of the last calls are told, or a while later."""
    deadline = time.monotonic() + SETTLE_SECONDS * patience()
    while True:
        keys = await lasting_keys(callers)
        if not keys or time.monotonic() > deadline:
            return keys
        await asyncio.sleep(0.25)


async def an_offer() -> str:
    peer = RTCPeerConnection()
    peer.addTransceiver("audio")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        return peer.localDescription.sdp
    finally:
        await peer.close()


async def test_a_thousand_calls_leave_nothing_behind() -> None:
    settings = {"RESUME_WINDOW_SECONDS": str(WINDOW_SECONDS)}
    async with platform_server(core=None, silence_ms=300, records=True, plan_for=plan_for, settings=settings) as server:
        async with Callers(server, await an_offer()).connected() as callers:
            warm = await call_many(callers, WARM_UP)
            before = await settled(callers)
            began = time.monotonic()
            failed = await call_many(callers, CALLS)
            took = time.monotonic() - began
            after = await settled(callers, before)
            keys = await keys_left(callers)

    growth = after.growth(before)
    print(
        f"{CALLS} calls in {took:.1f} s, {callers.busy} times busy; {json.dumps(msgspec.to_builtins([before, after]))}; memory {growth:+.1f} %"
    )
    assert (warm, failed) == (Counter(), Counter())
    assert after.sessions == 0
    assert after.files <= before.files
    assert after.tasks <= before.tasks
    assert growth <= 5
    assert keys == {}
