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
QUESTIONS = (
    "How much does a teeth cleaning cost?",
    "Where can I park my car?",
    "How much does a teeth cleaning cost?",
    "Where can I park my car?",
)


def talk(platform, sounds: tuple[Path, ...], answered: list[threading.Event]) -> CallReport:
    """A whole call; says which of the agent's answers were heard."""
    plan = CallPlan(
        base_url=platform.base_url,
        agent_id=platform.demo["agentId"],
        api_key=platform.demo["apiKeyLive"],
        sounds=tuple(files.read(path, 48000) for path in sounds),
        pause_seconds=1.0,
    )
    waiting = iter(answered)
    greeted = False

    def told(event: Any) -> None:
        nonlocal greeted
        if isinstance(event, Line) and event.is_final and event.speaker == "agent":
            if greeted and (next_one := next(waiting, None)) is not None:
                next_one.set()
            greeted = True

    return asyncio.run(place_call(plan, told, asyncio.Event()))


def test_restarts_during_a_call_are_not_noticed(platform, spoken) -> None:
    """After each answer something else restarts, while the next question is asked: API and Admin, PostgreSQL, NATS."""
    sounds = tuple(spoken(text) for text in QUESTIONS)
    answered = [threading.Event() for _ in PARTS]
    reports: list[CallReport] = []
    caller = threading.Thread(target=lambda: reports.append(talk(platform, sounds, answered)), daemon=True)
    caller.start()

    for parts, heard in zip(PARTS, answered, strict=True):
        assert heard.wait(60), f"no answer before the restart of {parts}"
        restarted = [platform.voisnap("restart", part) for part in parts]
        assert {one.returncode for one in restarted} == {0}, [one.stderr for one in restarted]
    caller.join(120)

    (report,) = reports
    assert report.reason == "user_ended"
    assert len(report.heard_latencies_ms) == len(QUESTIONS)
    wait_until(platform.is_ready, seconds=30, what="the platform ready again after the restarts")

    def is_stored() -> bool:
        answer = platform.get(f"/conversations/{report.conversation_id}")
        return answer.status_code == 200 and answer.json()["status"] == "completed"

    wait_until(is_stored, seconds=30, what="the stored conversation")
    messages = platform.get(f"/conversations/{report.conversation_id}/messages").json()["messages"]
    assert [line.text for line in report.lines] == [message["content"] for message in messages]
    assert platform.get(f"/conversations/{report.conversation_id}").json()["recording"]["available"] is True
