"""`voisnap simulate sms | whatsapp | telegram` against simulated networks and a small platform behind them that says everything back."""

import argparse
import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from voisnap_domain.tenants import Environment
from voisnap_providers.messengers import Messengers
from voisnap_providers.ports.messaging import InboundMessage, OutgoingMessage
from voisnap_stack import simulate, simulate_messages
from voisnap_stack.simulate_platform import Sandbox
from voisnap_testkit.local_server import answer, read_request
from voisnap_testkit.simulated_networks import OUR_NUMBER, Desk, Simulation, simulation

pytestmark = [pytest.mark.unit, pytest.mark.asyncio(loop_scope="module")]

AGENT = {"id": "agent_1", "name": "Echo", "tags": ["demo"], "persona": {"name": "Echo", "role": "clerk"}}


class EchoPlatform(Desk):
    """Answers every message with its own words in capitals, and knows one agent."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.is_deaf = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/api/v1/carriers/"):
            if self.is_deaf:
                return await answer(scope, send, 503, b"", {})
            known = len(self.events)
            await super().__call__(scope, receive, send)
            for event in self.events[known:]:
                if isinstance(event, InboundMessage) and not event.is_edit and event.text != "STOP":
                    self._tasks.add(asyncio.create_task(self._echo(scope["path"].split("/")[4], event)))
            return None
        request = await read_request(scope, receive)
        body = json.loads(request.body) if request.body else None
        path = request.path.removeprefix("/api/v1")
        self.asked.append((request.method, path, body))
        found = self._found(request.method, path, body)
        return await answer(scope, send, 200, json.dumps(found).encode(), {"content-type": "application/json"})

    def _found(self, method: str, path: str, body: Any) -> Any:
        match method, path:
            case "GET", "/telephony/numbers":
                line = {"phoneNumber": OUR_NUMBER, "status": "active", "capabilities": ["sms"], "agentId": AGENT["id"]}
                return {"data": [line]}
            case "GET", "/channels":
                return {"data": self.channels}
            case "POST", "/channels/chan_1/verify" | "/channels/chan_9/verify":
                return self.channels[0]
            case "POST", "/channels":
                self.channels.append(
                    {"id": "chan_1", "status": "active", "address": self.addresses[body["channel"]], **body}
                )
                return self.channels[-1]
            case "PATCH", "/channels/chan_9":
                self.channels[0] |= body
                return self.channels[0]
            case "GET", "/conversations":
                one = {
                    "id": "conv_1",
                    "startedAt": "2000-01-01T00:00:00+00:00",
                    "metadata": {"from": "+16285550123 700123"},
                }
                return {"data": [one]}
        return AGENT if path.startswith("/agents/") else {"data": [AGENT]}

    async def _echo(self, provider: str, heard: InboundMessage) -> None:
        text = heard.text.upper() or f"A {heard.media[0].kind}"
        order = OutgoingMessage(
            id=f"msg_{len(self.events)}", sender=heard.recipient, to=heard.sender.address, text=text
        )
        await self.messengers[provider].sender.send(order)

    addresses: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Simulation]:
    async with simulation(EchoPlatform()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Simulation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulation]:
    await running.begin_anew()
    monkeypatch.setattr(simulate_messages, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(simulate_messages, "SETTLED_SECONDS", 0.2)
    messengers = Messengers()
    platform: Any = running.desk
    platform.channels, platform.asked, platform.is_deaf = [], [], False
    platform.addresses = {name: running.ours(name) for name in ("whatsapp", "telegram")}
    for provider in ("twilio", "vonage", "telnyx", "whatsapp", "telegram"):
        made = messengers.of(running.account(provider), Environment.SANDBOX)
        running.desk.messengers[provider] = made
        if made.registrar is not None:
            await made.registrar.register(running.world.urls.messages(provider, "simulator"))
    yield running
    await messengers.aclose()


async def simulated(world: Simulation, *options: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["simulate", *options])
    sandbox = Sandbox(world.desk.url, "vsnp_sb_key", world.world.url, world.world.bearer)
    return await asyncio.to_thread(simulate_messages.run, args, sandbox)


@pytest.mark.parametrize(
    ("kind", "carrier", "person", "state"),
    [
        ("sms", "vonage", "+16285550123", "delivered"),
        ("sms", "telnyx", "+16285550123", "delivered"),
        ("whatsapp", None, "+16285550123", "read"),
        ("telegram", None, "700123", "sent"),
    ],
)
async def test_lines_are_written_one_after_the_other_and_their_answers_told(
    world: Simulation, capsys: pytest.CaptureFixture[str], kind: str, carrier: str | None, person: str, state: str
) -> None:
    choice = ("--carrier", carrier) if carrier else ()
    lines = ("--say", "hello", "--voice-note", "where is it", "--say", "bye")
    assert await simulated(world, kind, *choice, "--from", person, *lines, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["kind"] for line in told["written"]] == ["say", "voice-note", "say"]
    assert [one["text"] for one in told["answers"]] == ["HELLO", "A voice", "BYE"]
    assert {one["state"] for one in told["answers"]} == {state}
    assert (told["person"], told["unanswered"], told["conversationId"]) == (person, 0, "conv_1")
    platform: Any = world.desk
    assert len(platform.channels) == (0 if kind == "sms" else 1)


async def test_what_is_printed_reads_like_a_conversation(world: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    assert await simulated(world, "sms", "--say", "hello", "--stop", "--fail", "30003") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "writes to Echo over the simulated twilio" in lines[0]
    assert lines[1:4] == ["person  hello", "agent   HELLO", "person  STOP"]
    assert lines[4].startswith("carrier You have successfully been unsubscribed")
    assert "answers       1 undelivered, 1 shown" in lines


async def test_an_agent_gets_the_channel_of_the_sandbox_and_edits_change_what_was_written(
    world: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    platform: Any = world.desk
    platform.channels = [
        {"id": "chan_9", "status": "active", "address": world.ours("telegram"), "agentId": "agent_other"}
    ]
    assert await simulated(world, "telegram", "--agent", "agent_1", "--say", "helo", "--edit", "hello", "--stop") == 0
    assert ("PATCH", "/channels/chan_9", {"agentId": "agent_1"}) in platform.asked
    assert "the sandbox's telegram goes to Echo from now on" in capsys.readouterr().out
    edits = [event for event in world.desk.of(InboundMessage) if event.is_edit]
    assert [edit.text for edit in edits] == ["hello"]


async def test_silence_and_a_platform_that_takes_nothing_fail_the_command(
    world: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await simulated(world, "sms", "--say", "STOP", "--wait", "0.2") == 0  # Twilio itself answers it
    assert await simulated(world, "whatsapp", "--say", "STOP", "--wait", "0.2") == 1
    assert "(no answer within 0.2 s)" in capsys.readouterr().out
    platform: Any = world.desk
    platform.is_deaf = True
    assert await simulated(world, "sms", "--say", "hello") == 1
    assert "the platform did not take the message: it answered 503" in capsys.readouterr().err
    assert await simulated(world, "sms", "--goal", "billing-inquiry", "--say", "hello") == 2
    assert "exclude each other" in capsys.readouterr().err


async def test_who_is_told_nothing_writes_what_fits_the_agent_and_the_goal(
    world: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await simulated(world, "telegram", "--goal", "billing-inquiry", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    lines = [line["text"] for line in told["written"]]
    assert any("billing" in line.lower() or "invoice" in line.lower() for line in lines)
    assert [one["text"] for one in told["answers"]] == [line.upper() for line in lines]


async def test_what_is_typed_is_written_until_an_empty_line(
    world: Simulation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("first\nsecond\n\nnever\n"))
    assert await simulated(world, "sms", "--interactive", "--json") == 0
    assert [line["text"] for line in json.loads(capsys.readouterr().out)["written"]] == ["first", "second"]


async def test_a_goal_is_pursued_in_writing_and_judged_by_what_came_back(
    world: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    # The other side repeats everything, which answers nothing.
    wanted = (
        "--goal",
        "Find out what a check-up costs",
        "--brain",
        "local",
        "--max-turns",
        "4",
        "--expect",
        "120 dollars",
    )
    assert await simulated(world, "telegram", "--from", "700123", *wanted, "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert told["written"][0]["text"] == "Hello. Could you tell me what a check-up costs?"
    assert told["written"][-1]["text"].endswith("Goodbye.")
    assert told["goal"]["goalReached"] != "yes"
    assert told["expectations"] == [{"words": "120 dollars", "met": False}]
    assert (
        await simulated(world, "telegram", "--from", "700124", "--say", "It is $120.", "--expect", "120 dollars") == 0
    )


async def test_a_script_in_writing_waits_for_words_and_refuses_what_nobody_can_write(
    world: Simulation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "person.yaml"
    script.write_text("steps:\n  - say: Hello\n  - wait for: hello\n    within: 5\n  - say: Thanks\n  - hang up\n")
    assert await simulated(world, "telegram", "--from", "700125", "--script", str(script), "--json") == 0
    assert [one["text"] for one in json.loads(capsys.readouterr().out)["written"]] == ["Hello", "Thanks"]
    script.write_text("steps:\n  - press: '1'\n")
    assert await simulated(world, "telegram", "--script", str(script)) == 2
    assert "press" in capsys.readouterr().err
