"""A restart of anything that is not media, during a call, neither ends the call nor loses any of its conversation."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from voisnap_media import files
from voisnap_stack.call import CallPlan, CallReport, Line, place_call
from voisnap_testkit.platform import wait_until

pytestmark = pytest.mark.e2e

PARTS = (("api", "api-worker", "admin"), ("postgres",), ("nats",))
QUESTIONS = ("How much does a teeth cleaning cost?", "Where can I park my car?")


def talk(platform, sounds: tuple[Path, ...], first_answer: threading.Event) -> CallReport:
    """A whole call; says when the first question was answered."""
    plan = CallPlan(
        base_url=platform.base_url,
        agent_id=platform.demo["agentId"],
        api_key=platform.demo["apiKeyLive"],
        sounds=tuple(files.read(path, 48000) for path in sounds),
        pause_seconds=2.0,
    )
    answers = 0

    def told(event: Any) -> None:
        nonlocal answers
        if isinstance(event, Line) and event.is_final and event.speaker == "agent":
            answers += 1
            if answers == 2:
                first_answer.set()

    return asyncio.run(place_call(plan, told, asyncio.Event()))


@pytest.mark.parametrize("parts", PARTS, ids="+".join)
def test_restart_during_a_call_is_not_noticed(platform, spoken, parts: tuple[str, ...]) -> None:
    sounds = tuple(spoken(text) for text in QUESTIONS)
    first_answer = threading.Event()
    reports: list[CallReport] = []
    caller = threading.Thread(target=lambda: reports.append(talk(platform, sounds, first_answer)), daemon=True)
    caller.start()
    assert first_answer.wait(60)

    restarted = [platform.voisnap("restart", part) for part in parts]
    caller.join(120)

    assert {one.returncode for one in restarted} == {0}, [one.stderr for one in restarted]
    (report,) = reports
    assert report.reason == "user_ended"
    assert len(report.heard_latencies_ms) == 2
    wait_until(platform.is_ready, seconds=30, what=f"the platform ready again after the restart of {parts}")

    def is_stored() -> bool:
        answer = platform.get(f"/conversations/{report.conversation_id}")
        return answer.status_code == 200 and answer.json()["status"] == "completed"

    wait_until(is_stored, seconds=30, what="the stored conversation")
    messages = platform.get(f"/conversations/{report.conversation_id}/messages").json()["messages"]
    assert [line.text for line in report.lines] == [message["content"] for message in messages]
    assert platform.get(f"/conversations/{report.conversation_id}").json()["recording"]["available"] is True
