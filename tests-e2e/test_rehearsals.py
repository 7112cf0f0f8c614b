"""Agents tried out in the sandbox: a simulated caller talks with them over the real pipeline, and the conversation is kept like any other."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.e2e

SEED_AGENT = {
    "name": "Aria – Support Agent",
    "persona": {"name": "Aria", "personality": "friendly, professional"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o"},
    "transcription": {"provider": "deepgram", "model": "nova-2", "language": "en-US"},
    "systemPromptTemplate": "You are Aria, a support agent for Acme Corp.\nFacts:\n- A refund takes five days.\n- We open at nine.",
    "firstMessage": "Hello! How can I help?",
}


@pytest.fixture(scope="module")
def sandbox(platform):
    """Requests with the sandbox key."""
    headers = {"Authorization": f"Bearer {platform.demo['apiKeySandbox']}"}
    with httpx.Client(base_url=f"{platform.base_url}/api/v1", headers=headers, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def rehearsed(sandbox) -> Callable[[str], dict[str, Any]]:
    """Three tests at the same time, by channel; each as it is when it is over."""
    demo = sandbox.get("/agents").json()["data"][-1]["id"]
    seed = sandbox.post("/agents", json=SEED_AGENT).json()["id"]
    bodies = {
        "webrtc": (demo, {"channel": "webrtc", "script": ["How much does a teeth cleaning cost?"]}),
        "webchat": (demo, {"channel": "webchat", "script": ["Where can I park my car?"]}),
        "phone": (
            seed,
            {
                "channel": "phone",
                "phoneNumber": "+14155550100",
                "metadata": {"testScenario": "refund"},
                "script": ["How long does a refund take?"],
            },
        ),
    }
    places = {}
    for channel, (agent_id, body) in bodies.items():
        answer = sandbox.post(f"/agents/{agent_id}/test", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "initiated"
        places[channel] = answer.headers["location"].removeprefix("/api/v1")
    over: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 40
    while len(over) < len(places):
        assert time.monotonic() < deadline, {channel: sandbox.get(place).json() for channel, place in places.items()}
        for channel, place in places.items():
            test = sandbox.get(place).json()
            if test["status"] not in {"initiated", "in_progress"}:
                over[channel] = test
        time.sleep(0.3)
    return over.__getitem__


def said(sandbox, test: dict[str, Any]) -> list[tuple[str, str]]:
    messages = sandbox.get(f"/conversations/{test['conversationId']}/messages").json()["messages"]
    return [(message["role"], message["content"]) for message in messages]


def test_the_agent_answers_aloud_what_the_caller_asked_aloud(sandbox, rehearsed) -> None:
    test = rehearsed("webrtc")
    heard = said(sandbox, test)

    assert test["status"] == "completed"
    assert [role for role, _ in heard] == ["agent", "user", "agent"]
    assert "teeth cleaning" in heard[1][1].lower()
    assert "110" in heard[2][1]


def test_the_conversation_is_marked_and_has_its_recording_and_costs(sandbox, rehearsed) -> None:
    test = rehearsed("webrtc")
    conversation = sandbox.get(f"/conversations/{test['conversationId']}").json()
    costs = sandbox.get(f"/conversations/{test['conversationId']}/costs").json()
    recording = sandbox.get(f"/conversations/{test['conversationId']}/recording").json()

    assert conversation["metadata"] == {"testSessionId": test["testSessionId"], "simulated": True}
    assert (conversation["channel"], conversation["direction"], conversation["endReason"]) == (
        "webrtc",
        "inbound",
        "user_ended",
    )
    assert costs["breakdown"]["stt"]["audioSeconds"] > 1
    assert httpx.get(recording["url"], timeout=10).status_code == 200


def test_a_call_to_a_number_is_answered_and_our_own_speech_stands_in_for_providers_that_are_not_set_up(
    sandbox, rehearsed
) -> None:
    test = rehearsed("phone")
    conversation = sandbox.get(f"/conversations/{test['conversationId']}").json()
    heard = said(sandbox, test)

    assert (test["status"], conversation["direction"]) == ("completed", "outbound")
    assert conversation["caller"]["phoneNumber"] == "+14155550100"
    assert conversation["metadata"]["testScenario"] == "refund"
    assert heard[0][0] == "user"  # who answers the telephone
    assert any(role == "agent" and "five days" in text for role, text in heard), heard
    for provider in ("elevenlabs", "deepgram"):
        assert any(provider in warning for warning in conversation["warnings"])


def test_in_a_chat_the_caller_writes(sandbox, rehearsed) -> None:
    heard = said(sandbox, rehearsed("webchat"))

    assert ("user", "Where can I park my car?") in heard
    assert "Mill Lane" in heard[-1][1] or "behind the building" in heard[-1][1]
