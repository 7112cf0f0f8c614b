"""Nonsense and attacks on all hubs at once while a healthy call and a healthy chat go on in the same process: clear errors, and nobody else notices."""

import asyncio
import base64
import itertools
import json
import time
from typing import Any

import httpx
import pytest
from voisnap_testkit.platform import patience, wait_until
from voisnap_testkit.raw_hub import HANDSHAKE, NotAdmitted, RawHub

pytestmark = pytest.mark.e2e

ENOUGH_FRAMES = 60
"""Of the healthy call, to judge its gaps by."""

GREETING = " ".join(f"This is sentence number {number} of a long greeting." for number in range(1, 9))
FRAME = base64.b64encode(bytes(640)).decode()
SECOND = base64.b64encode(bytes(32_000)).decode()
NO_AUDIO = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\na=sctp-port:5000\r\n"
)


class House:
    """The platform's hubs, and tokens for them."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.url = f"{platform.base_url}/hubs"
        self.token = self.token_of("apiKeyLive")

    def post(self, path: str, body: Any, *, key: str = "apiKeyLive") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.platform.demo[key]}"}

        def asked() -> httpx.Response | None:
            """None while no process has room, which on a busy machine is no fault."""
            answer = httpx.post(f"{self.platform.base_url}/api/v1{path}", json=body, headers=headers, timeout=10)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        return wait_until(asked, seconds=10, what="a process with room").raise_for_status().json()

    def token_of(self, key: str, **binding: str) -> str:
        return self.post("/auth/hub-token", binding, key=key)["accessToken"]

    def open(self, hub: str, *, token: str | None = None, **query: str) -> Any:
        query = ({} if hub == "webrtc" else {"agentId": self.platform.demo["agentId"]}) | query
        return RawHub.opened(f"{self.url}/{hub}", token or self.token, **query)


@pytest.fixture(scope="module")
def house(platform: Any) -> House:
    return House(platform)


@pytest.fixture(scope="module")
def talker(house: House) -> str:
    """An agent that speaks for the whole of the test."""
    made = house.post(f"/agents/{house.platform.demo['agentId']}/duplicate", {"name": "Long greeting"})
    headers = {"Authorization": f"Bearer {house.platform.demo['apiKeyLive']}"}
    url = f"{house.platform.base_url}/api/v1/agents/{made['id']}"
    httpx.patch(url, json={"firstMessage": GREETING}, headers=headers, timeout=10).raise_for_status()
    house.post(f"/agents/{made['id']}/activate", {})
    return made["id"]


async def frames_that_make_no_sense(house: House) -> list[str]:
    """Each ends its own connection with a Close that says why."""
    said = []
    for payload in (
        b"}{\x1e",
        b"[1,2,3]\x1e",
        b'{"type":99}\x1e{"type":"one"}\x1e',
        b'{"type":1,"target":"SendAudioAsync","arguments":["' + b"A" * 200_000 + b'"]}\x1e',
    ):
        async with house.open("voice") as hub:
            await hub.event("SessionStarted")
            await hub.send(payload)
            end = await hub.over()
            assert end["type"] == 7, (payload[:60], hub.seen[-3:])
            said.append(end.get("error", ""))
    async with RawHub.opened(f"{house.url}/chat", house.token, handshake=False, agentId="agt_1") as hub:
        await hub.send(HANDSHAKE.replace(b"json", b"xml"))
        said.append((await hub.over())["error"])
    return said


async def calls_that_make_no_sense(house: House) -> list[str]:
    """Wrong counts and types, unknown methods: completion errors, and the connection stays."""
    said = []
    async with house.open("voice") as voice, house.open("chat") as chat:
        await asyncio.gather(voice.event("SessionStarted"), chat.event("SessionStarted"))
        for hub, target, arguments in (
            (voice, "SendAudioAsync", ()),
            (voice, "SendAudioAsync", (FRAME, FRAME)),
            (voice, "SendAudioAsync", (17,)),
            (voice, "SendAudioAsync", ({"audio": FRAME},)),
            (voice, "SendAudioAsync", ("not base64!",)),
            (voice, "SendAudioAsync", (base64.b64encode(b"odd").decode(),)),
            (voice, "SendDtmfAsync", ("55",)),
            (voice, "SendDtmfAsync", (5,)),
            (voice, "NoSuchMethod", ()),
            (voice, "on_connected", ()),
            (chat, "SendMessageAsync", ()),
            (chat, "SendMessageAsync", (1,)),
            (chat, "SendMessageAsync", ({"content": ["a"]},)),
            (chat, "SendMessageAsync", ({"content": "a" * 5000},)),
            (chat, "SendMessageAsync", ({"content": "hi", "metadata": {"a": "b" * 17_000}},)),
            (chat, "SendAudioAsync", (FRAME,)),
        ):
            done = await hub.call(target, *arguments)
            assert done.get("error"), (target, str(arguments)[:60], done)
            said.append(done["error"])
        for hub in (voice, chat):
            assert "error" not in await hub.call("EndSessionAsync")
    return said


async def audio_at_ten_times_its_speed(house: House) -> list[str]:
    async with house.open("voice") as hub:
        await hub.event("SessionStarted")
        outcomes = [await hub.call("SendAudioAsync", SECOND) for _ in range(10)]
        told = await hub.event("Error")
        assert (told["code"], told["recoverable"]) == ("AUDIO_TOO_FAST", True)
        await hub.call("EndSessionAsync")
    return [outcome["error"] for outcome in outcomes if "error" in outcome]


async def descriptions_that_make_no_sense(house: House) -> list[str]:
    made = await asyncio.to_thread(house.post, "/webrtc/sessions", {"agentId": house.platform.demo["agentId"]})
    said = []
    async with house.open("webrtc", sessionToken=made["sessionToken"]) as hub:
        await hub.event("SessionStarted")
        for target, argument in (
            ("SendOfferAsync", {"sdp": NO_AUDIO, "type": "offer"}),
            ("SendOfferAsync", {"sdp": "v=0", "type": "offer"}),
            ("SendOfferAsync", {"sdp": NO_AUDIO, "type": "answer"}),
            ("SendOfferAsync", "v=0"),
            ("SendOfferAsync", {"sdp": "x" * 60_000, "type": "offer"}),
        ):
            done = await hub.call(target, argument)
            assert done.get("error"), (target, str(argument)[:60], done)
            said.append(done["error"])
        for candidate in ("garbage", "candidate:1 1 udp 1 999.1.1.1 70000 typ host", "candidate:" + "9" * 9000):
            await hub.call("SendIceCandidateAsync", {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})
        assert "error" not in await hub.call("EndSessionAsync")
    return said


async def people_who_may_not(house: House) -> list[str]:
    """Tokens of nobody, of another environment, of another session; sessions of others; metadata beyond the rules."""
    codes = []
    foreign = house.token_of("apiKeySandbox")
    key = house.platform.demo["apiKeyLive"]
    for hub, token in itertools.product(("voice", "chat", "webrtc"), ("nonsense", key, house.token[:-3] + "AAA")):
        with pytest.raises(NotAdmitted, match="status 401"):
            async with house.open(hub, token=token):
                pass
    made = house.post("/webrtc/sessions", {"agentId": house.platform.demo["agentId"]})
    async with house.open("chat") as mine:
        session_id = (await mine.event("SessionStarted"))["sessionId"]
        bound = house.token_of("apiKeyLive", agentId=house.platform.demo["agentId"])
        for hub, options in (
            ("chat", {"token": foreign}),
            ("chat", {"token": foreign, "sessionId": session_id}),
            ("voice", {"sessionId": session_id}),
            ("chat", {"token": bound, "agentId": "agt_01HXUNKNOWN"}),
            ("webrtc", {"token": foreign, "sessionToken": made["sessionToken"]}),
            ("webrtc", {"sessionToken": "wrtc_tok_guess"}),
            ("webrtc", {}),
            ("chat", {"metadata": "[1]"}),
            ("voice", {"metadata": "nonsense"}),
            ("chat", {"metadata": json.dumps({"a": "b" * 17_000})}),
        ):
            async with house.open(hub, **options) as other:
                codes.append((await other.event("Error"))["code"])
                await other.over()
        assert "error" not in await mine.call("SendMessageAsync", {"content": "Still here."})
        async with house.open("chat", sessionId=session_id) as again:
            assert (await again.event("SessionStarted"))["resumed"]
            codes.append((await mine.event("Error"))["code"])
            await mine.over()
            await again.call("EndSessionAsync")
    return codes


async def test_nonsense_is_answered_in_words_and_healthy_conversations_do_not_notice(house, talker) -> None:
    arrivals: list[float] = []
    heard_enough = asyncio.Event()

    async def listening(hub: RawHub) -> None:
        while True:
            message = await hub.read()
            if message.get("target") == "AudioReceived":
                arrivals.append(time.monotonic())
                if len(arrivals) > ENOUGH_FRAMES:
                    heard_enough.set()

    async with house.open("voice", agentId=talker) as call, house.open("chat") as chat:
        started, written = await call.event("SessionStarted"), await chat.event("SessionStarted")
        await call.event("AudioReceived")
        hearing = asyncio.create_task(listening(call))
        broken, senseless, fast, descriptions, codes = await asyncio.gather(
            frames_that_make_no_sense(house),
            calls_that_make_no_sense(house),
            audio_at_ten_times_its_speed(house),
            descriptions_that_make_no_sense(house),
            people_who_may_not(house),
        )
        async with asyncio.timeout(10):
            await heard_enough.wait()
        hearing.cancel()
        await asyncio.wait({hearing})
        await chat.call("SendMessageAsync", {"content": "How much does a teeth cleaning cost?"})
        await chat.until(lambda m: m.get("target") == "MessageReceived" and "110" in m["arguments"][0]["content"])
        for hub in (call, chat):
            await hub.call("EndSessionAsync", "user_ended")

    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    print(
        f"{len(arrivals)} frames, longest gap {1000 * max(gaps):.0f} ms; {broken} {senseless} {fast[:1]} {descriptions} {codes}"
    )
    everything = " ".join((*broken, *senseless, *fast, *descriptions))
    assert "Traceback" not in everything
    assert "voisnap" not in everything.lower()
    assert all(broken)
    assert 6 <= len(fast) <= 9
    assert codes == [
        "AGENT_NOT_FOUND",
        "RECONNECT_FAILED",
        "RECONNECT_FAILED",
        "AUTH_FAILED",
        "AUTH_FAILED",
        "AUTH_FAILED",
        "AUTH_FAILED",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "SESSION_TAKEN_OVER",
    ]
    assert len(arrivals) > ENOUGH_FRAMES
    assert max(gaps) < 0.5 * patience()
    for session, roles in ((started, ["agent"]), (written, ["agent", "user", "agent"])):
        conversation, said = await asyncio.to_thread(stored, house.platform, session["conversationId"])
        assert [role for role, _ in said][: len(roles)] == roles
        assert conversation["endReason"] == "user_ended"


def stored(platform: Any, conversation_id: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    deadline = time.monotonic() + 8
    while True:
        answer = platform.get(f"/conversations/{conversation_id}")
        if answer.status_code == 200 and answer.json()["status"] != "in_progress":
            messages = platform.get(f"/conversations/{conversation_id}/messages").json()["messages"]
            return answer.json(), [(message["role"], message["content"]) for message in messages]
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
