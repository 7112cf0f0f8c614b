"""The call page in a real browser against the whole platform: what a person sees from log-in to recording."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from voisnap_testkit.platform import Platform, patience, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def platform(two_runtimes: Platform) -> Platform:
    """The one that these tests need anyway."""
    return two_runtimes


@pytest.fixture(scope="module")
def use_page(
    platform: Platform, run_script: Any, microphone: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """Make a call in which the caller asks at a given second; gives what the page showed during and after it.

    SCREENSHOTS names a folder for pictures.
    """

    def use(
        *,
        asks_at: float,
        interruption: tuple[str, ...] = (),
        mid_sentence: bool = False,
        until: str | None = None,
        relay_only: bool = False,
        on: Platform = platform,
    ) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("call-page")
        microphone(folder / "microphone.wav", [(asks_at, "question-teeth-cleaning.wav")])
        plan = {
            "baseUrl": on.base_url,
            "email": on.demo["email"],
            "password": on.demo["password"],
            "microphoneWav": str(folder / "microphone.wav"),
            "timeoutS": 40,
            "screenshots": os.environ.get("SCREENSHOTS"),
            "interruption": interruption or None,
            "midSentence": mid_sentence,
            "until": until,
            "relayOnly": relay_only,
        }
        (folder / "plan.json").write_text(json.dumps(plan))
        return run_script("call_page.mjs", str(folder / "plan.json"), timeout=120)

    return use


@pytest.fixture(scope="module")
def shown(use_page: Any) -> dict[str, Any]:
    """One ordinary call."""
    return use_page(asks_at=7.0)


def test_both_sides_are_written_down_with_the_answer_time(shown) -> None:
    assert shown["failure"] is None, shown
    assert any("Harbor Street Dental" in agent for agent in shown["agents"])
    greeting, question, answer = shown["lines"]
    assert greeting.startswith("Agent\n\nHello! This is Aria")
    assert question.startswith("You\n\n")
    assert "cleaning cost" in question
    assert "110" in answer
    assert re.search(
        r"Answered in \d+ ms \(end of turn \d+ · speech to text \d+ · model \d+ · voice \d+ · platform \d+\)", answer
    )


def test_summary_has_figures_and_a_recording_that_plays(shown) -> None:
    ended_by, duration, turns, median, cost, conversation = shown["facts"]
    assert ended_by == "You"
    assert re.fullmatch(r"0:\d\d", duration)
    assert turns == "3"
    assert re.fullmatch(r"\d+ ms", median)
    assert cost.startswith("$")
    assert conversation.startswith("conv_")
    minutes, seconds = duration.split(":")
    assert shown["recordingSeconds"] == pytest.approx(int(minutes) * 60 + int(seconds), abs=1.5)


def test_nothing_went_wrong_in_the_page(shown) -> None:
    assert shown["problems"] == []
    assert shown["fault"] is None


def test_proxy_sends_a_strict_policy(shown) -> None:
    policy = shown["policy"]
    assert policy is not None
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_call_goes_on_when_the_proxy_restarts(platform: Any, use_page: Any) -> None:
    """Signalling comes back through a new connection; sound never leaves."""
    restart = (
        "env",
        f"VOISNAP_HOME={platform.home}",
        str(Path(sys.executable).with_name("voisnap")),
        "restart",
        "caddy",
    )
    shown = use_page(asks_at=14.0, interruption=restart)
    assert shown["failure"] is None, shown
    assert "Reconnecting…" in shown["states"]
    assert shown["states"][-1] == "Call ended"
    assert shown["states"][-2] == "Connected"
    assert "110" in shown["lines"][-1]
    assert shown["fault"] is None


def test_call_goes_on_when_its_server_is_killed_in_the_middle_of_a_sentence(
    two_runtimes: Platform, use_page: Any, tmp_path: Path
) -> None:
    """The page comes back by itself, to the other server, with new sound."""
    speaking = tmp_path / "speaking"

    def kill_the_owner() -> int:
        def owners() -> list[str]:
            return [name for name in two_runtimes.runtimes() if two_runtimes.owned_sessions(name)]

        (owner,) = wait_until(owners, seconds=40, what="the session of the call")
        wait_until(speaking.exists, seconds=40, what="the agent's voice")
        (session,) = two_runtimes.owned_sessions(owner)
        wait_until(lambda: two_runtimes.words_of_agent(session), seconds=5, what="words of the agent that were kept")
        return two_runtimes.signal(owner, signal.SIGKILL)

    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_the_owner)
        shown = use_page(
            asks_at=30.0, interruption=("touch", str(speaking)), mid_sentence=True, until="cut off", on=two_runtimes
        )
    assert shown["failure"] is None, shown
    assert shown["states"][-3:] == ["Reconnecting…", "Connected", "Call ended"]
    assert 0 < shown["gapMs"] <= 6000 * patience(), shown["gapMs"]
    assert [line.partition("\n")[0] for line in shown["lines"][:2]] == ["Agent", "Agent"]
    assert shown["fault"] is None
    two_runtimes.wait_for_runtimes(2, but=killed.result())


def test_call_works_through_turn_alone(use_page: Any) -> None:
    shown = use_page(asks_at=7.0, relay_only=True)
    assert shown["failure"] is None, shown
    assert "110" in shown["lines"][-1]
