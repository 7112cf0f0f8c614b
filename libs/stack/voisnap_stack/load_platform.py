"""A running platform as load callers see it: an agent to call, tokens, limits, and where its runtime processes are."""

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from .call_hub import HubClient, HubRefused
from .control import ask
from .home import home_folder
from .load_audio import Room, Utterance
from .load_callers import Caller, Habits, Measured
from .load_socket import CallRefused, Dialect, open_line
from .load_steps import Join
from .load_voice import HubJson, HubMessagePack
from .load_webrtc import OpusSpeech, PeerLine, open_peer
from .supervise import StackError

CHANNELS = ("voice", "voice-msgpack", "webrtc")
SILENCE_MS = 500
AGENT_NAME = "Load measurement"
TOKEN_SECONDS = 3600
_REPLY = "otherwise -> Thank you, I have written that down for you now."


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Which platform, and as whom. With `agent_id` that agent is called as it is; without one an agent is made that costs nothing."""

    base_url: str
    api_key: str | None = None
    email: str | None = None
    password: str | None = None
    agent_id: str | None = None
    lift_limit: bool = False


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What callers need."""

    base_url: str
    agent_id: str
    token: str
    silence: float
    http: httpx.AsyncClient

    def join(self, channel: str, said: Sequence[Utterance], rooms: Sequence[Room], habits: Habits) -> Join:
        """Makes callers of one channel."""
        if channel == "webrtc":
            return self._webrtc(said, OpusSpeech(said, rooms), habits)
        return self._voice((HubJson if channel == "voice" else HubMessagePack)(said, rooms), said, habits)

    def _voice(self, dialect: Dialect, said: Sequence[Utterance], habits: Habits) -> Join:
        url = f"{self.base_url}/hubs/voice?{urlencode({'agentId': self.agent_id})}"
        headers = {"Authorization": f"Bearer {self.token}"}

        async def join(number: int, measured: Measured) -> Caller:
            caller = _caller(number, measured, said, habits, dialect.is_loud)
            caller.line = await open_line(url, dialect, caller, number=number, headers=headers)
            return caller

        return join

    def _webrtc(self, said: Sequence[Utterance], speech: OpusSpeech, habits: Habits) -> Join:
        async def join(number: int, measured: Measured) -> Caller:
            async with contextlib.AsyncExitStack() as stack:
                hub = await stack.enter_async_context(self._webrtc_hub())
                line = await open_peer(
                    speech, lambda offer: _exchanged(hub, offer), number=number, loopback=self._is_near
                )
                caller = line.caller = _caller(number, measured, said, habits, line.is_loud)
                caller.line = SignalledLine(line, stack.pop_all())
                return caller

        return join

    @asynccontextmanager
    async def _webrtc_hub(self) -> AsyncGenerator[HubClient]:
        answer = await self.http.post(f"{self.base_url}/api/v1/webrtc/sessions", json={"agentId": self.agent_id})
        session = _answered(answer, "no WebRTC session was opened")
        query = {"sessionToken": session["sessionToken"]}
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with (
                httpx.AsyncClient(timeout=15, headers=headers, trust_env=False) as http,
                HubClient.opened(http, f"{self.base_url}/hubs/webrtc", query) as hub,
            ):
                yield hub
        except HubRefused as error:
            raise CallRefused(str(error)) from error

    @property
    def _is_near(self) -> bool:
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


class SignalledLine:
    """A peer's line that also ends the signalling that opened it."""

    def __init__(self, line: PeerLine, signalling: contextlib.AsyncExitStack) -> None:
        self.send = line.send
        self._line, self._signalling = line, signalling

    async def close(self) -> None:
        """Hang up. May be called twice."""
        await self._line.close()
        await self._signalling.aclose()


@asynccontextmanager
async def platform(target: Target) -> AsyncGenerator[Platform]:
    """Prepare it for callers; what was made or changed for them is taken back at the end. Raises CallRefused, httpx.HTTPError."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=15, trust_env=False))
        http.headers["Authorization"] = f"Bearer {target.api_key or await _login(http, target)}"
        if target.lift_limit:
            await stack.enter_async_context(_without_limit(target))
        agent_id, silence_ms = target.agent_id, SILENCE_MS
        if agent_id is None:
            agent_id = await stack.enter_async_context(_scripted_agent(http, target.base_url))
        else:
            found = _answered(
                await http.get(f"{target.base_url}/api/v1/agents/{agent_id}"), f"agent {agent_id} was not found"
            )
            silence_ms = found.get("endpointing", {}).get("silenceDurationMs", SILENCE_MS)
        body = {"agentId": agent_id, "ttlSeconds": TOKEN_SECONDS}
        token = _answered(await http.post(f"{target.base_url}/api/v1/auth/hub-token", json=body), "no token for hubs")[
            "accessToken"
        ]
        yield Platform(base_url=target.base_url, agent_id=agent_id, token=token, silence=silence_ms / 1000, http=http)


def runtime_processes() -> tuple[int, ...]:
    """The runtime processes of the `voisnap up` of this machine; none when there is none."""
    try:
        pids = ask(home_folder().control_socket, "status")["pids"]
    except (StackError, OSError, KeyError):
        return ()
    return tuple(pid for name, pid in pids.items() if name.split("-")[0] == "runtime" and pid)


@asynccontextmanager
async def _scripted_agent(http: httpx.AsyncClient, base_url: str) -> AsyncGenerator[str]:
    """An agent whose models cost nothing, for as long as the block lasts."""
    agents = f"{base_url}/api/v1/agents"
    made = _answered(await http.post(agents, json=_AGENT), "the agent for the measurement was not made")
    agent = f"{agents}/{made['id']}"
    try:
        _answered(await http.post(f"{agent}/activate"), "the agent for the measurement cannot be activated")
        yield made["id"]
    finally:
        with contextlib.suppress(httpx.HTTPError):
            await http.delete(agent)


_AGENT: dict[str, Any] = {
    "name": AGENT_NAME,
    "description": "Made by `voisnap load`; removed when it ends.",
    "persona": {"name": AGENT_NAME},
    "voice": {"provider": "scripted", "voiceId": "tone"},
    "llm": {"provider": "scripted", "model": "prompt"},
    "transcription": {"provider": "scripted", "model": "What about a cleaning next week?"},
    "systemPromptTemplate": _REPLY,
    "firstMessageMode": "wait_for_user",
    "maxDurationSeconds": 3600,
    "endpointing": {"silenceDurationMs": SILENCE_MS},
    "recording": {"enabled": False},
}


@asynccontextmanager
async def _without_limit(target: Target) -> AsyncGenerator[None]:
    """Lift the tenant's limit of sessions at a time, and set it again. Needs a platform administrator's login."""
    async with httpx.AsyncClient(timeout=15, trust_env=False) as admin:
        token = await _login(admin, target)
        admin.headers["Authorization"] = f"Bearer {token}"
        url = f"{target.base_url}/api/v1/admin/tenants/{_tenant_of(token)}/limits"
        what = "the limit of sessions at a time cannot be changed"
        before = _answered(await admin.get(url), what).get("maxConcurrentCalls")
        _answered(await admin.patch(url, json={"maxConcurrentCalls": None}), what)
        try:
            yield
        finally:
            with contextlib.suppress(httpx.HTTPError):
                await admin.patch(url, json={"maxConcurrentCalls": before})


def _answered(answer: httpx.Response, complaint: str) -> dict[str, Any]:
    """The body of a success. Raises CallRefused with what the platform says of a failure."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success and isinstance(body, dict):
        return body
    detail = body.get("detail") or body.get("title") if isinstance(body, dict) else None
    raise CallRefused(f"{complaint}: {detail or f'status {answer.status_code}'}")


async def _login(http: httpx.AsyncClient, target: Target) -> str:
    if not target.email or not target.password:
        raise CallRefused(
            "no login: run it where `make up` left its demo.json, or give --api-key, or --email and --password"
        )
    body = {"email": target.email, "password": target.password}
    answer = await http.post(f"{target.base_url}/api/v1/auth/login", json=body)
    return _answered(answer, f"the login of {target.email} failed")["accessToken"]


def _tenant_of(token: str) -> str:
    claims = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["tid"]


def _caller(number: int, measured: Measured, said: Sequence[Utterance], habits: Habits, is_loud: Any) -> Caller:
    # The golden ratio spreads any number of callers evenly over the length of a turn.
    pause = (number * 0.618 % 1) * 6
    return Caller(said, habits, measured, is_loud=is_loud, first_pause=pause, begin_with=number)


async def _exchanged(hub: HubClient, offer: str) -> str:
    await hub.invoke("SendOfferAsync", {"sdp": offer, "type": "offer"})
    async for event in hub.events():
        if event.target == "SdpAnswerReceived":
            return event.value["sdp"]
        if event.target == "Error":
            raise CallRefused(event.value.get("message", "the platform refused the call"))
    raise CallRefused("the hub closed the connection")
