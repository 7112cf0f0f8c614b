"""VoiceHub and ChatHub of a running platform: a call and a chat from the greeting to the stored conversation, and what is refused."""

import asyncio
import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from voisnap_media import files
from voisnap_stack.call_hub import HubClient, HubEvent
from voisnap_testkit import node
from voisnap_testkit.platform import Platform, patience

pytestmark = pytest.mark.e2e

STORED_SECONDS = 3.0
FRAME = 320


class Guest:
    """A client of a hub, and everything it was told."""

    def __init__(self, hub: HubClient) -> None:
        self.hub = hub
        self.seen: list[HubEvent] = []
        self._events = hub.events()

    async def until(self, target: str, where: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next event of that name that matches."""
        async with asyncio.timeout(20):
            async for event in self._events:
                self.seen.append(event)
                if event.target == target and where(event.value):
                    return event.value
        raise AssertionError(f"closed before {target}: {[event.target for event in self.seen[-5:]]}")

    async def says(self, path: Path) -> None:
        """Speak a file in real time, then keep the line open with silence."""
        speech = files.read(path, 16000).samples
        loop = asyncio.get_running_loop()
        due = loop.time()
        for at in range(0, len(speech) + 2 * 16000, FRAME):
            piece = speech[at : at + FRAME]
            audio = np.zeros(FRAME, "<i2") if not len(piece) else piece.astype("<i2")
            await self.hub.invoke("SendAudioAsync", base64.b64encode(audio.tobytes()).decode())
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    @property
    def audio_seconds(self) -> float:
        """How much of the agent was heard."""
        frames = [event.arguments[0] for event in self.seen if event.target == "AudioReceived"]
        return sum(len(base64.b64decode(frame)) for frame in frames) / 48000


@pytest.fixture(scope="module")
def platform(two_runtimes: Platform) -> Platform:
    """The one that these tests need anyway."""
    return two_runtimes


@pytest.fixture(scope="module")
def hub_token(platform) -> Callable[..., str]:
    """`hub_token(agentId=…)`: a token for the hubs, made with the live key unless told otherwise."""

    def make(*, key: str = "apiKeyLive", **binding: str) -> str:
        headers = {"Authorization": f"Bearer {platform.demo[key]}"}
        url = f"{platform.base_url}/api/v1/auth/hub-token"
        return httpx.post(url, json=binding, headers=headers, timeout=10).json()["accessToken"]

    return make


@pytest.fixture
def guest(platform, hub_token) -> Callable[..., Any]:
    """`guest("voice", agentId=…, token=…)`: what `work(guest)` returns of a connection to that hub."""

    def run(hub: str, work: Callable[[Guest], Any], *, token: str | None = None, **query: str) -> Any:
        async def visit() -> Any:
            headers = {"Authorization": f"Bearer {token or hub_token()}"}
            async with httpx.AsyncClient(headers=headers, timeout=10) as http:
                query_ = {"agentId": platform.demo["agentId"]} | query
                async with HubClient.opened(http, f"{platform.base_url}/hubs/{hub}", query_) as client:
                    return await work(Guest(client))

        return asyncio.run(visit())

    return run


def completed(platform, conversation_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + STORED_SECONDS * patience()
    while True:
        answer = platform.get(f"/conversations/{conversation_id}")
        if answer.status_code == 200 and answer.json()["status"] != "in_progress":
            return answer.json()
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def messages_of(platform, conversation_id: str) -> list[tuple[str, str]]:
    answer = platform.get(f"/conversations/{conversation_id}/messages").json()
    return [(message["role"], message["content"]) for message in answer["messages"]]


def test_a_call_over_voice_hub_is_heard_understood_and_stored(platform, guest, spoken) -> None:
    async def call(guest: Guest) -> tuple[dict[str, Any], Guest]:
        started = await guest.until("SessionStarted")
        await guest.until("AgentStateChanged", lambda state: state["state"] == "listening")
        speaking = asyncio.create_task(guest.says(spoken("How much does a teeth cleaning cost?")))
        await guest.until("Transcription", lambda t: t["speaker"] == "user" and t["isFinal"] and "clean" in t["text"])
        await guest.until("Transcription", lambda t: t["speaker"] == "agent" and t["isFinal"] and "110" in t["text"])
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        await guest.until("AgentStateChanged", lambda state: state["state"] == "listening")
        speaking = asyncio.create_task(guest.says(spoken("How much does a teeth cleaning cost?")))
        await guest.until("Transcription", lambda t: t["speaker"] == "user" and t["isFinal"])
        heard = await guest.until("Transcription", lambda t: t["speaker"] == "agent" and len(t["text"].split()) >= 2)
        assert not heard["isFinal"], "the answer is in its middle"
        for _ in range(50):
            await guest.until("AudioReceived")
        await guest.hub.invoke("SendDtmfAsync", "5")
        await guest.until("DtmfReceived")
        await guest.until("Transcription", lambda t: t["isFinal"] and t["turnId"] == heard["turnId"])
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        await guest.hub.invoke("EndSessionAsync", "user_ended")
        await guest.until("SessionEnded", lambda ended: ended["reason"] == "user_ended")
        return started, guest

    started, seen = guest("voice", call, metadata='{"orderId":"A-1"}')
    stored = completed(platform, started["conversationId"])

    assert (started["channel"], started["resumed"]) == ("phone", False)
    assert seen.audio_seconds > 2
    assert (stored["channel"], stored["status"], stored["metadata"]) == ("phone", "completed", {"orderId": "A-1"})
    roles = [role for role, _ in messages_of(platform, started["conversationId"])]
    assert roles[:5] == ["agent", "user", "agent", "user", "agent"]
    whole, cut = (text for role, text in messages_of(platform, started["conversationId"])[2:5:2])
    assert len(cut) < len(whole), "a key cuts an answer where it is"
    assert stored["recording"]["available"] is True


def test_a_chat_is_answered_in_pieces_and_stored(platform, guest) -> None:
    async def chat(guest: Guest) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        started = await guest.until("SessionStarted")
        greeting = await guest.until("MessageReceived", lambda message: message["isFinal"])
        await guest.hub.invoke("TypingAsync")
        await guest.hub.invoke("SendMessageAsync", {"content": "How much does a teeth cleaning cost?"})
        answer = await guest.until("MessageReceived", lambda message: message["isFinal"])
        await guest.hub.invoke("EndSessionAsync")
        await guest.until("ConversationEnded")
        await guest.until("SessionEnded")
        pieces = [event.value for event in guest.seen if event.target == "MessageReceived" and event.value["isChunk"]]
        return started, [greeting, answer, *pieces]

    started, (greeting, answer, *pieces) = guest("chat", chat)
    stored = completed(platform, started["conversationId"])

    assert "110" in answer["content"]
    assert (
        "".join(piece["content"] for piece in pieces if piece["messageId"] == answer["messageId"]) == answer["content"]
    )
    assert (stored["channel"], stored["status"]) == ("webchat", "completed")
    assert messages_of(platform, started["conversationId"]) == [
        ("agent", greeting["content"]),
        ("user", "How much does a teeth cleaning cost?"),
        ("agent", answer["content"]),
    ]


@pytest.mark.parametrize("hub", ["voice", "chat"])
def test_refusals_are_told_in_the_documented_codes(platform, guest, hub_token, hub) -> None:
    key = {"Authorization": f"Bearer {platform.demo['apiKeyLive']}"}
    api = f"{platform.base_url}/api/v1"
    copy = httpx.post(f"{api}/agents/{platform.demo['agentId']}/duplicate", json={"name": hub}, headers=key, timeout=10)

    async def error(guest: Guest) -> str:
        refusal = await guest.until("Error")
        assert refusal["recoverable"] is False
        return refusal["code"]

    assert guest(hub, error, agentId="agt_01HXUNKNOWN") == "AGENT_NOT_FOUND"
    assert guest(hub, error, token=hub_token(key="apiKeySandbox")) == "AGENT_NOT_FOUND"
    assert guest(hub, error, agentId=copy.json()["id"]) == "AGENT_INACTIVE"
    assert guest(hub, error, token=hub_token(agentId=copy.json()["id"])) == "AUTH_FAILED"
    assert guest(hub, error, sessionId="call_01HXUNKNOWN") == "RECONNECT_FAILED"
    assert guest(hub, error, metadata="[]") == "INVALID_REQUEST"


def test_the_official_client_talks_and_chats_over_every_transport_and_protocol(platform, hub_token) -> None:
    node.put_on_path()
    script = Path(__file__).with_name("hubs_client.mjs")
    arguments = [platform.base_url, hub_token(), platform.demo["agentId"]]
    done = subprocess.run(["node", str(script), *arguments], capture_output=True, text=True, timeout=60, check=False)
    runs = [json.loads(line) for line in done.stdout.splitlines()]

    assert [run for run in runs if "failed" in run] == []
    assert len(runs) == 9, done.stderr
    assert {run["reason"] for run in runs} == {"user_ended"}
    for run in runs:
        if run["hub"] == "voice":
            audio = "base64" if run["protocol"] == "json" else "Uint8Array"
            assert (run["audio"], run["bytes"], run["resumes"], run["errors"]) == (audio, 960, True, [])
        else:
            assert "110" in run["answer"]
        assert completed(platform, run["conversationId"])["status"] in {"completed", "abandoned"}


def test_people_listen_in_on_a_call_wherever_it_lives(two_runtimes) -> None:
    key = {"Authorization": f"Bearer {two_runtimes.demo['apiKeyLive']}"}
    token = httpx.post(f"{two_runtimes.base_url}/api/v1/auth/hub-token", json={}, headers=key, timeout=10).json()
    url = f"{two_runtimes.base_url}/hubs/voice"

    async def visit() -> list[tuple[str, int]]:
        headers = {"Authorization": f"Bearer {token['accessToken']}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=10) as http,
            HubClient.opened(http, url, {"agentId": two_runtimes.demo["agentId"]}) as call,
            HubClient.opened(http, url, {}) as one,
            HubClient.opened(http, url, {}) as other,
        ):
            caller, listeners = Guest(call), [Guest(one), Guest(other)]
            started = await caller.until("SessionStarted")
            await caller.until("AudioReceived")
            for listener in listeners:
                joined = await listener.hub.invoke("JoinAsListenerAsync", started["conversationId"])
                assert joined["sessionId"] == started["sessionId"]
            for _ in range(8):
                await asyncio.gather(*(listener.until("AudioReceived") for listener in listeners))
            await call.invoke("EndSessionAsync")
            heard = []
            for listener in listeners:
                over = await listener.until("ListeningEnded")
                audio = [event for event in listener.seen if event.target == "AudioReceived"]
                loudest = max(
                    np.abs(np.frombuffer(base64.b64decode(event.arguments[0]), "<i2")).max() for event in audio
                )
                heard.append((over["reason"], int(loudest)))
            return heard

    heard = asyncio.run(visit())
    assert [reason for reason, _ in heard] == ["user_ended", "user_ended"]
    assert min(loudest for _, loudest in heard) > 1000
