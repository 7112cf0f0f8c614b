"""Callers who are put through to people over the simulated carriers."""

from collections.abc import Iterator
from typing import Any

import pytest
from voisnap_stack.home import Home
from voisnap_stack.simulate_platform import Sandbox
from voisnap_testkit.platform import Platform, wait_until

pytestmark = pytest.mark.e2e

CARRIERS = ("twilio", "vonage", "telnyx")
TAKES, REFUSES = "+13125550144", "+13125550145"
ASKS_FOR_SALES = "Can I talk to sales please?"
PROMPT = "You are Aria of the Corner Bakery. We are open from nine to five. Bread costs three dollars."


@pytest.fixture(scope="module")
def sandbox(two_runtimes: Platform) -> Iterator[Sandbox]:
    found = Sandbox.of_home(Home(root=two_runtimes.home))
    yield found
    found.close()


@pytest.fixture(scope="module")
def lines(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """A number at every carrier, of an agent that puts callers through to a person who takes calls, or to one who does not."""
    agent = sandbox.asked(
        "POST",
        "/agents",
        json={
            "name": "Switchboard",
            "persona": {"name": "Aria"},
            "voice": {"provider": "local", "voiceId": "heart"},
            "llm": {"provider": "local", "model": "brain"},
            "transcription": {"provider": "local"},
            "systemPromptTemplate": PROMPT,
            "firstMessage": "Corner Bakery, how can I help you?",
            "recording": {"afterTransfer": True},
            "transfer": {
                "mode": "warm",
                "targets": [
                    {"name": "Sales", "description": "new orders and quotes", "phoneNumber": TAKES},
                    {"name": "Billing", "description": "invoices and refunds", "phoneNumber": REFUSES},
                ],
            },
        },
    )
    sandbox.asked("POST", f"/agents/{agent['id']}/activate")
    return {carrier: sandbox.line_of(agent["id"], carrier, lambda text: None) for carrier in CARRIERS}


def rings(sandbox: Sandbox, number: str, script: str) -> None:
    """How somebody answers his telephone."""
    sandbox.told("PUT", f"/telephones/{number}", json={"behaviour": {"ringSeconds": 1.0, "script": script}})


def call(sandbox: Sandbox, line: dict[str, Any], script: str) -> dict[str, Any]:
    body = {"provider": line["provider"], "to": line["phoneNumber"], "behaviour": {"script": script}}
    return sandbox.told("POST", "/calls", json=body)


def events(sandbox: Sandbox, call_id: str, kind: str) -> list[dict[str, Any]]:
    found = sandbox.told("GET", f"/calls/{call_id}")["events"]
    return [event for event in found if event["kind"] == kind]


def conversation_of(sandbox: Sandbox, caller: str, *, goes_on: bool = False) -> dict[str, Any] | None:
    """The stored one, when it is over."""
    stored = sandbox.asked("GET", "/conversations", params={"channel": "phone", "pageSize": 50})["data"]
    mine = (one for one in stored if one["caller"]["phoneNumber"] == caller)
    return next((one for one in mine if goes_on or one["status"] != "in_progress"), None)


def transfers_of(sandbox: Sandbox, conversation: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    found = sandbox.asked("GET", f"/conversations/{conversation['id']}/transfers")["transfers"]
    return [(one["target"], one["status"], one["cause"]) for one in found]


def recorded(sandbox: Sandbox, conversation: dict[str, Any]) -> list[str]:
    """What can be heard of a conversation."""
    link = sandbox.asked("GET", f"/conversations/{conversation['id']}/recording")
    return [part["kind"] for part in link.get("parts", ())]


def said(sandbox: Sandbox, conversation: dict[str, Any], speaker: str) -> str:
    turns = sandbox.asked("GET", f"/conversations/{conversation['id']}/transcript")["turns"]
    return " ".join(turn["text"] for turn in turns if turn["speaker"] == speaker)


def test_callers_are_joined_with_whoever_takes_them_and_are_back_with_the_agent_otherwise(
    sandbox: Sandbox, lines: dict[str, dict[str, Any]]
) -> None:
    rings(sandbox, TAKES, "[wait]\n[press 1]\n[silence 1.5]\n[at once] Hello, this is Tom speaking.\n[hang up]")
    rings(sandbox, REFUSES, "[wait]\n[press 2]\n[silence 60]")
    joined = {carrier: call(sandbox, lines[carrier], f"{ASKS_FOR_SALES}\n[silence 60]") for carrier in CARRIERS}
    refused = call(sandbox, lines["twilio"], "Can I speak to billing please?\n[silence 90]")
    for carrier, one in joined.items():
        wait_until(lambda one=one: events(sandbox, one["callId"], "joined"), seconds=60, what=f"{carrier} to join")
    for carrier, one in joined.items():
        what = f"the end of the joined call over {carrier}"
        wait_until(lambda one=one: events(sandbox, one["callId"], "ended"), seconds=30, what=what)
        (met,) = events(sandbox, one["callId"], "joined")
        spoken = [event["at"] for event in events(sandbox, one["callId"], "agent_speaks")]
        assert max(spoken) > met["at"], f"nobody was heard after the calls over {carrier} were joined"
        left = events(sandbox, one["callId"], "stream.ended")
        assert left[0]["at"] - met["at"] < 2, f"our media stayed in the call over {carrier}"
        conversation = wait_until(
            lambda one=one: conversation_of(sandbox, one["from"]), seconds=15, what=f"the conversation of {carrier}"
        )
        assert conversation["endReason"] == "transfer_complete"
        assert transfers_of(sandbox, conversation) == [("Sales", "completed", None)]
        wait_until(
            lambda conversation=conversation: recorded(sandbox, conversation) == ["conversation", "after_transfer"],
            seconds=30,
            what=f"what was said after the transfer over {carrier}",
        )
        assert said(sandbox, conversation, "tool") == "The caller is being put through to Sales."
    back = wait_until(
        lambda: conversation_of(sandbox, refused["from"], goes_on=True), seconds=15, what="the refused caller's"
    )
    returned = [("Billing", "returned", "refused")]
    wait_until(lambda: transfers_of(sandbox, back) == returned, seconds=60, what="the caller to be refused")
    wait_until(
        lambda: "Billing is not available" in said(sandbox, back, "agent"), seconds=30, what="the agent to say so"
    )
    assert events(sandbox, refused["callId"], "joined") == []
    assert events(sandbox, refused["callId"], "ended") == []
    sandbox.told("POST", f"/calls/{refused['callId']}/hang-up")
    over = wait_until(lambda: conversation_of(sandbox, refused["from"]), seconds=15, what="the refused caller's end")
    assert over["endReason"] == "user_ended"
