"""One agent is written to over SMS, WhatsApp and Telegram at the same time, on the simulated networks of a running platform."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from voisnap_stack.home import Home
from voisnap_stack.simulate_platform import Sandbox
from voisnap_testkit.platform import Platform, patience

pytestmark = pytest.mark.e2e

QUESTION = "What does a routine check-up cost?"
ANSWER = "85"
WRITTEN = {
    "sms": (("--carrier", "telnyx", "--from", "+13125550171", "--say", QUESTION, "--stop"), "delivered"),
    "whatsapp": (("--from", "+13125550171", "--voice-note", QUESTION), "read"),
    "telegram": (("--say", QUESTION), "sent"),
}


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Iterator[Sandbox]:
    found = Sandbox.of_home(Home(root=platform.home))
    yield found
    found.close()


def test_an_agent_answers_on_every_written_channel_at_once(platform: Platform, sandbox: Sandbox) -> None:
    def write(kind: str) -> dict[str, Any]:
        wait = ("--wait", str(30 * patience()), "--json")
        done = platform.voisnap("simulate", kind, *WRITTEN[kind][0], *wait)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    with ThreadPoolExecutor(3) as pool:
        told = dict(zip(WRITTEN, pool.map(write, WRITTEN), strict=True))
    for kind, report in told.items():
        ours = [one for one in report["answers"] if not one["automatic"]]
        assert any(ANSWER in one["text"] for one in ours), f"{kind}: {ours}"
        assert {one["state"] for one in ours} == {WRITTEN[kind][1]}, kind
        conversation = sandbox.asked("GET", f"/conversations/{report['conversationId']}")
        assert (conversation["channel"], conversation["direction"]) == (kind, "inbound")
    (stopped,) = [one for one in told["sms"]["answers"] if one["automatic"]]
    assert "unsubscribed" in stopped["text"]
    # The same number on SMS and WhatsApp is one person, who stopped the one and not the other.
    found = sandbox.asked("GET", "/contacts", params={"search": "+13125550171"})["data"]
    assert [one["phoneNumber"] for one in found] == ["+13125550171"]
    assert [out["channel"] for out in found[0]["optedOut"]] == ["sms"]
