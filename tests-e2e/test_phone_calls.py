"""Telephone calls over the simulated carriers: people call and are called, and no call ends with the process that held it."""

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from voisnap_stack.home import Home
from voisnap_stack.simulate_platform import Sandbox
from voisnap_testkit.platform import Platform, patience, wait_until

pytestmark = pytest.mark.e2e

CARRIERS = ("twilio", "vonage", "telnyx")
QUESTIONS = ("What does a routine check-up cost?", "How much does teeth whitening cost?")
ANSWERS = ("85", "290")
RESUMED_SECONDS = 4.0


@pytest.fixture(scope="module")
def sandbox(two_runtimes: Platform) -> Iterator[Sandbox]:
    """With a number of the demo agent's at every carrier."""
    found = Sandbox.of_home(Home(root=two_runtimes.home))
    agent = found.agent(None)
    for carrier in CARRIERS:
        found.line_of(agent["id"], carrier, lambda text: None)
    yield found
    found.close()


class Ringing:
    """One call of somebody to the agent, who says what the test wants when it wants it."""

    def __init__(self, sandbox: Sandbox, carrier: str) -> None:
        line = sandbox.line_of(sandbox.agent(None)["id"], carrier, lambda text: None)
        behaviour = {"stays": True}
        call = sandbox.told(
            "POST", "/calls", json={"provider": carrier, "to": line["phoneNumber"], "behaviour": behaviour}
        )
        self.sandbox, self.carrier = sandbox, carrier
        self.id, self.caller = call["callId"], call["from"]
        self.asked = 0

    def events(self) -> list[dict[str, Any]]:
        return self.sandbox.told("GET", f"/calls/{self.id}")["events"]

    def moments(self, kind: str) -> list[float]:
        return [event["at"] for event in self.events() if event["kind"] == kind]

    def asks(self, question: str) -> None:
        self.asked += 1
        self.sandbox.told("POST", f"/calls/{self.id}/steps", json={"script": question})

    def hears_answer(self) -> bool:
        """Whether the agent speaks after the last question."""
        said = self.moments("said")
        return len(said) == self.asked and any(moment > said[-1] + 0.5 for moment in self.moments("agent_speaks"))

    def is_quiet(self) -> bool:
        kinds = [event["kind"] for event in self.events() if event["kind"] in ("agent_speaks", "agent_quiet")]
        return bool(kinds) and kinds[-1] == "agent_quiet"

    def hangs_up(self) -> None:
        self.sandbox.told("POST", f"/calls/{self.id}/hang-up")

    def conversation(self) -> dict[str, Any]:
        """The stored one, when it is over."""

        def found() -> dict[str, Any] | None:
            stored = self.sandbox.asked("GET", "/conversations", params={"channel": "phone", "pageSize": 50})["data"]
            return next(
                (
                    one
                    for one in stored
                    if one["caller"]["phoneNumber"] == self.caller and one["status"] != "in_progress"
                ),
                None,
            )

        return wait_until(found, seconds=15, what=f"the conversation of {self.carrier}")


def said(sandbox: Sandbox, conversation: dict[str, Any], speaker: str) -> str:
    turns = sandbox.asked("GET", f"/conversations/{conversation['id']}/transcript")["turns"]
    return " ".join(turn["text"] for turn in turns if turn["speaker"] == speaker)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("-", ""))


def share_of(spoken: str, understood: str) -> float:
    """How much of what was spoken was understood, word by word."""
    left = words(understood)
    found = 0
    for word in words(spoken):
        if word in left:
            left.remove(word)
            found += 1
    return found / len(words(spoken))


def test_people_call_over_every_carrier_and_go_on_when_the_process_is_killed(
    two_runtimes: Platform, sandbox: Sandbox
) -> None:
    aside = two_runtimes.signal("runtime-2", signal.SIGKILL)  # so that all calls are with the other one
    calls = [Ringing(sandbox, carrier) for carrier in CARRIERS]
    for call in calls:
        wait_until(call.is_quiet, seconds=25, what=f"the greeting over {call.carrier}")
    two_runtimes.wait_for_runtimes(2, but=aside)
    for call in calls:
        call.asks(QUESTIONS[0])
    for call in calls:
        wait_until(call.hears_answer, seconds=25, what=f"a first answer over {call.carrier}")
    killed = two_runtimes.signal("runtime", signal.SIGKILL)
    for call in calls:
        wait_until(lambda call=call: len(call.moments("stream.opens")) > 1, seconds=15, what=f"{call.carrier} again")
    two_runtimes.wait_for_runtimes(2, but=killed)
    for call in calls:
        wait_until(call.is_quiet, seconds=25, what=f"the first answer to end over {call.carrier}")
        call.asks(QUESTIONS[1])
    for call in calls:
        wait_until(call.hears_answer, seconds=25, what=f"a second answer over {call.carrier}")
        wait_until(call.is_quiet, seconds=25, what=f"the second answer to end over {call.carrier}")
        call.hangs_up()
    for call in calls:
        lost = [
            event for event in call.events() if event["kind"] == "stream.ended" and event["detail"]["how"] == "lost"
        ]
        assert lost, f"no process was lost under the call over {call.carrier}"
        for one in lost:
            opened = [moment for moment in call.moments("stream.opens") if moment >= one["at"]]
            assert opened, f"the call over {call.carrier} was not connected again"
            assert opened[0] - one["at"] < RESUMED_SECONDS * patience()
        conversation = call.conversation()
        assert (conversation["channel"], conversation["direction"]) == ("phone", "inbound")
        assert (conversation["caller"]["country"], conversation["status"]) == ("US", "completed")
        assert conversation["cost"]["telephonyUsd"] > 0
        understood = said(sandbox, conversation, "user")
        assert share_of(QUESTIONS[0], understood) >= 0.6, f"{call.carrier}: {understood}"
        assert share_of(QUESTIONS[1], understood) >= 0.6, f"{call.carrier}: {understood}"
        answers = said(sandbox, conversation, "agent")
        # The first answer is the one that was cut.
        assert ANSWERS[1] in answers, f"{call.carrier}: {answers}"


def test_the_agent_calls_people_over_every_carrier(two_runtimes: Platform, sandbox: Sandbox) -> None:
    def called(carrier: str) -> dict[str, Any]:
        order = ("simulate", "call", "--direction", "out", "--carrier", carrier, "--say", QUESTIONS[1], "--json")
        done = two_runtimes.voisnap(*order)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(called, CARRIERS))
    for carrier, report in zip(CARRIERS, reports, strict=True):
        assert (report["carrier"], report["direction"], report["isAnswered"]) == (carrier, "outbound", True)
        conversation = report["conversation"]
        assert conversation["direction"] == "outbound"
        assert conversation["caller"]["phoneNumber"] == report["to"]
        placed = sandbox.asked("GET", f"/outbound-calls/{report['outboundCallId']}")
        assert (placed["status"], placed["conversationId"]) == ("completed", conversation["id"])
        assert share_of(QUESTIONS[1], said(sandbox, conversation, "user")) >= 0.6, carrier
        assert any(ANSWERS[1] in one["text"] for one in report["lines"] if one["speaker"] == "agent")
