"""Whole calls from the command line: what is said, what is stored afterwards, barge-in, and the end by a phrase."""

import io
import json
import time
from typing import Any

import av
import httpx
import numpy as np
import pytest
from voisnap_testkit.platform import patience

pytestmark = pytest.mark.e2e

STORED_SECONDS = 3.0
"""After the hang-up a conversation is complete within this time."""


def call(platform, *arguments: str) -> dict[str, Any]:
    """Make a call with `voisnap call`; its JSON report."""
    done = platform.voisnap("call", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def completed(platform, conversation_id: str) -> dict[str, Any]:
    """The conversation, once it is complete. Fails when that takes more than three seconds."""
    deadline = time.monotonic() + STORED_SECONDS * patience()
    while True:
        answer = platform.get(f"/conversations/{conversation_id}")
        if answer.status_code == 200 and answer.json()["status"] != "in_progress":
            return answer.json()
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


@pytest.fixture(scope="module")
def report(platform, spoken) -> dict[str, Any]:
    questions = (spoken("How much does a teeth cleaning cost?"), spoken("Where can I park my car?"))
    return call(platform, *(word for path in questions for word in ("--wav", str(path))))


def test_agent_answers_aloud_from_its_facts(report) -> None:
    said = [line["text"] for line in report["transcript"] if line["speaker"] == "agent"]

    assert report["answers"] == 2
    assert any("110" in text for text in said)
    assert any("Mill Lane" in text or "behind the building" in text for text in said)


def test_server_accounts_for_every_answer(report) -> None:
    accounts = [turn["server"] for turn in report["turns"] if turn["server"]]

    assert len(accounts) == 2
    for account in accounts:
        parts = sum(account[name] for name in ("endpointingMs", "sttMs", "llmMs", "ttsMs", "platformMs"))
        assert parts == pytest.approx(account["totalMs"], abs=2)


def test_conversation_is_complete_within_three_seconds(platform, report) -> None:
    stored = completed(platform, report["conversationId"])

    assert (stored["status"], stored["channel"], stored["direction"]) == ("completed", "webrtc", "inbound")
    assert stored["durationSeconds"] == pytest.approx(report["durationSeconds"], abs=1)
    assert platform.demo["agentId"] == stored["agentId"]
    assert stored["recording"]["available"] is True


def test_messages_tell_what_both_sides_said(platform, report) -> None:
    completed(platform, report["conversationId"])
    messages = platform.get(f"/conversations/{report['conversationId']}/messages").json()["messages"]

    assert [message["role"] for message in messages] == ["agent", "user", "agent", "user", "agent"]
    assert [f"msg_{number:02d}" for number in range(1, 6)] == [message["id"] for message in messages]
    assert [line["text"] for line in report["transcript"]] == [message["content"] for message in messages]


def test_words_are_timed_inside_their_turns_and_in_order(platform, report) -> None:
    completed(platform, report["conversationId"])
    transcript = platform.get(f"/conversations/{report['conversationId']}/transcript").json()

    assert transcript["language"] == "en-US"
    for turn in transcript["turns"]:
        assert turn["text"].split() == [word["word"] for word in turn["words"]]
        times = [time for word in turn["words"] for time in (word["startTime"], word["endTime"])]
        assert times == sorted(times)
        assert turn["startTime"] - 0.001 <= times[0]
        assert times[-1] <= turn["endTime"] + 0.001


def test_recording_plays_with_both_sides_and_the_right_length(platform, report) -> None:
    completed(platform, report["conversationId"])
    recording = platform.get(f"/conversations/{report['conversationId']}/recording").json()

    sound = httpx.get(recording["url"], timeout=10)
    part = httpx.get(recording["url"], headers={"Range": "bytes=0-99"}, timeout=10)
    forged = httpx.get(recording["url"][:-1] + ("A" if recording["url"][-1] != "A" else "B"), timeout=10)

    assert (sound.status_code, part.status_code, len(part.content)) == (200, 206, 100)
    assert forged.status_code in {401, 403, 404}
    with av.open(io.BytesIO(sound.content)) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1)
    assert samples.shape[1] / stream.rate == pytest.approx(report["durationSeconds"], abs=0.5)
    assert samples.shape[0] == 2
    for side in samples:
        assert np.sqrt(np.mean(side**2)) > 0.003


def test_costs_have_the_documented_shape(platform, report) -> None:
    completed(platform, report["conversationId"])
    costs = platform.get(f"/conversations/{report['conversationId']}/costs").json()

    assert {"llm", "tts", "stt", "telephony"} == set(costs["breakdown"])
    assert costs["total"] == pytest.approx(sum(part["cost"] for part in costs["breakdown"].values()))
    assert costs["breakdown"]["tts"]["characters"] > 100
    assert costs["breakdown"]["stt"]["audioSeconds"] > 2


def test_agent_falls_silent_under_the_caller_and_only_what_was_heard_is_kept(platform, spoken) -> None:
    report = call(platform, "--interrupt", "1.2", "--wav", str(spoken("What time do you open on Monday?")))
    completed(platform, report["conversationId"])
    messages = platform.get(f"/conversations/{report['conversationId']}/messages").json()["messages"]

    assert len(report["silencedMs"]) == 1
    assert report["silencedMs"][0] <= 200 * patience()
    greeting = messages[0]["content"]
    assert "Hello" in greeting
    assert "help you today" not in greeting
    assert [message["role"] for message in messages] == ["agent", "user", "agent"]


def test_goodbye_ends_the_call_from_the_agents_side(platform, spoken) -> None:
    report = call(platform, "--wav", str(spoken("That is all, goodbye.")), "--pause", "0.3")
    stored = completed(platform, report["conversationId"])

    assert stored["status"] == "completed"
    assert report["transcript"][-1]["speaker"] == "agent"


def test_wrong_password_is_one_clear_line(platform) -> None:
    done = platform.voisnap("call", "--email", platform.demo["email"], "--password", "guess", "--wav", __file__)

    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
