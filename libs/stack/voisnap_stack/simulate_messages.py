"""`voisnap simulate sms | whatsapp | telegram`: a simulated person writes to an agent over a simulated network, and both sides are printed."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from voisnap_simulator.accounts import language_models
from voisnap_simulator.persona.behaviour import Behaviour, Brain
from voisnap_simulator.persona.goal import goal_of
from voisnap_simulator.persona.minds import Minds
from voisnap_simulator.persona.scenario import Scenario
from voisnap_simulator.persona.script import BadScript, HangUp, Say, Silence, Step, Wait, WaitFor
from voisnap_simulator.persona.words import holds

from .simulate_call import add_brain, brain_of, expectations, findings_of, lines_for, read_script, status_of, told
from .simulate_platform import Sandbox, SimulationFailed

QUIET_SECONDS = 2.5
"""How long nothing comes after an answer until the next line is written."""
SETTLED_SECONDS = 3.0
"""How long the network may take to say what became of the last answer."""
FAR_ENDS = frozenset({"delivered", "read", "failed", "undelivered", "delivery_failed", "rejected"})
"""Words of the networks after which nothing else becomes of a message, but that it is read."""
_NAMES = {"sms": "a text message", "whatsapp": "a WhatsApp message", "telegram": "a Telegram message"}

_DESCRIPTION = """\
A simulated person writes to an agent. Lines are written in the order in which they are given; each waits until the agent
has answered the one before. With a --goal he answers the agent by himself until it is reached or refused. Without any,
some lines that fit the agent are written. The answers are printed with what became of them.

A --script is a file as for calls; of its steps say, wait for, silence and hang up (the end) are for writing too.

Exit status: 0 when everything was answered, 1 when it was not, 2 for bad options, 3 when the goal was not reached or an
--expect did not come, 4 when nobody can tell whether the goal was reached.
"""


class _Line(argparse.Action):
    """Keeps `--say`, `--voice-note`, `--edit` and `--stop` in the order in which they were given."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        del parser
        kind = (option or "").lstrip("-")
        namespace.lines = [*namespace.lines, (kind, values if isinstance(values, str) else "")]


def add_parser(kinds: Any, kind: str) -> None:
    """Add `simulate sms`, `simulate whatsapp` or `simulate telegram` to the command line."""
    parser = kinds.add_parser(
        kind,
        help=f"write {_NAMES[kind]} to an agent",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agent", metavar="ID", help="an agent of the sandbox (default: the demo agent)")
    if kind == "sms":
        parser.add_argument(
            "--carrier", choices=("twilio", "vonage", "telnyx"), default="twilio", help="default: twilio"
        )
    parser.add_argument(
        "--say", action=_Line, metavar="TEXT", dest="lines", default=[], help="write this; may be given several times"
    )
    parser.add_argument("--voice-note", action=_Line, metavar="TEXT", dest="lines", help="speak this into a voice note")
    if kind != "sms":
        parser.add_argument("--edit", action=_Line, metavar="TEXT", dest="lines", help="change what was written last")
    parser.add_argument(
        "--stop",
        action=_Line,
        nargs=0,
        dest="lines",
        help="block the bot" if kind == "telegram" else "write STOP",
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="what the person writes, as above")
    parser.add_argument(
        "--goal", default="", metavar="TEXT", help="what the person wants, in your words; he pursues it by himself"
    )
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="WORDS",
        help="what the agent has to write, however numbers are written; may be given several times",
    )
    add_brain(parser)
    parser.add_argument("--interactive", action="store_true", help="write what you type, until an empty line")
    parser.add_argument(
        "--from",
        dest="person",
        metavar="ID" if kind == "telegram" else "+N",
        help="who writes: a number (default: a new one each time)",
    )
    parser.add_argument(
        "--fail", default="", metavar="CODE", help="let every answer fail on its way with this code of the network"
    )
    parser.add_argument(
        "--wait", type=float, default=60.0, metavar="SECONDS", help="for the answer to a line (default: 60)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end and nothing else")
    parser.set_defaults(simulate=run)


def run(args: argparse.Namespace, sandbox: Sandbox | None = None) -> int:
    """Write what the options say. `sandbox` is that of VOISNAP_HOME unless another one is given."""
    if args.wait <= 0:
        return _complain(args.kind, f"--wait {args.wait:g} is no time to wait", 2)
    try:
        scenario = _scenario(args)
        brain_of(args, {})
    except (SimulationFailed, BadScript, OSError) as error:
        return _complain(args.kind, str(error), 2)
    try:
        found = sandbox or Sandbox.of_home()
        try:
            return _Exchange(args=args, sandbox=found, scenario=scenario).run()
        finally:
            found.close()
    except SimulationFailed as error:
        return _complain(args.kind, str(error), 1)
    except KeyboardInterrupt:
        return _complain(args.kind, "broken off", 130)


def _complain(kind: str, text: str, code: int) -> int:
    print(f"voisnap simulate {kind}: {text}", file=sys.stderr)
    return code


def _scenario(args: argparse.Namespace) -> Scenario:
    """What a file or a goal says of the person. Raises SimulationFailed, BadScript, OSError."""
    if args.goal and args.lines:
        raise SimulationFailed("--goal and lines of your own exclude each other")
    if args.script and (args.lines or args.interactive):
        raise SimulationFailed("--script and lines of your own exclude each other")
    if not 1 <= args.max_turns <= 100:
        raise SimulationFailed(f"--max-turns {args.max_turns} is not 1 to 100")
    scenario = read_script(args.script) if args.script else Scenario()
    for step in scenario.steps:
        if not isinstance(step, (Say, WaitFor, Silence, Wait, HangUp)):
            raise SimulationFailed(f"{args.script}: nobody can {type(step).__name__.lower()} in writing")
    if args.goal:
        if scenario.goal:
            raise SimulationFailed(f"{args.script} has a goal of its own: leave --goal out")
        try:
            goal_of(args.goal)
        except ValueError as error:
            raise SimulationFailed(f"--goal: {error}") from None
        scenario = msgspec.structs.replace(scenario, goal=args.goal)
    return msgspec.structs.replace(scenario, expect=(*scenario.expect, *args.expect))


@dataclass(kw_only=True)
class _Exchange:
    """One person's messages to an agent, and what came back."""

    args: argparse.Namespace
    sandbox: Sandbox
    scenario: Scenario = field(default_factory=Scenario)
    verdict: dict[str, Any] | None = None
    provider: str = ""
    person: str = ""
    to: str = ""
    seen: int = 0
    last_written: str = ""
    unanswered: int = 0
    written: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    conversation: dict[str, Any] | None = None

    def run(self) -> int:
        args, began = self.args, time.time()
        self.provider = args.carrier if args.kind == "sms" else args.kind
        self.person = self._person()
        agent = self.sandbox.agent(args.agent)
        self.to = self._our_address(agent)
        # What was written before is none of this: the order of messages goes on from there.
        earlier = self._told_since(0)
        self.seen = max((one["sequence"] for one in earlier), default=0)
        if args.fail:
            knobs = {"knobs": {"fail": args.fail}}
            self.sandbox.told("PUT", f"/people/{self.provider}/{self.person}", json=knobs)
        self._say(f"{self.person} writes to {agent['name']} over the simulated {self.provider}")
        for kind, text in self._lines(agent):
            self._write(kind, text)
        if self.scenario.steps:
            self._follow(self.scenario.steps)
        if self.scenario.goal:
            self._pursue(agent)
        self._settle()
        self.conversation = self._find_conversation(agent["id"], began)
        findings = self._findings()
        self._report(agent, findings)
        return 1 if self.unanswered else status_of(findings)

    # Who and where ----------------------------------------------------------------------------------------------------

    def _person(self) -> str:
        given: str | None = self.args.person
        made_up = time.time_ns() // 1_000_000 % 10_000_000
        if self.args.kind == "telegram":
            return (given or f"{700_000_000 + made_up}").lstrip("+")
        if given is None:
            return f"+1628555{made_up % 10_000:04d}"
        return given if given.startswith("+") else f"+{given}"

    def _our_address(self, agent: dict[str, Any]) -> str:
        """Where the agent reads: its number, or the sandbox's address with the network, made its own where it is not."""
        if self.args.kind == "sms":
            line = self.sandbox.line_of(agent["id"], self.provider, self._say, capability="sms")
            return line["phoneNumber"]
        channels = self.sandbox.asked("GET", "/channels", params={"channel": self.provider, "pageSize": 100})["data"]
        mine = next((one for one in channels if one["agentId"] == agent["id"]), None)
        if mine is None and channels:
            changed = {"agentId": agent["id"]}
            mine = self.sandbox.asked("PATCH", f"/channels/{channels[0]['id']}", json=changed)
            self._say(f"the sandbox's {self.provider} goes to {agent['name']} from now on")
        if mine is None:
            body = {"channel": self.provider, "agentId": agent["id"]}
            mine = self.sandbox.asked("POST", "/channels", json=body)
            self._say(f"connected {agent['name']} with the simulated {self.provider}")
        verified = self.sandbox.asked("POST", f"/channels/{mine['id']}/verify")
        if verified["status"] != "active":
            raise SimulationFailed(f"the {self.provider} of the sandbox does not work: {verified['statusDetail']}")
        return verified["address"]

    # To and fro -------------------------------------------------------------------------------------------------------

    def _lines(self, agent: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from self.args.lines
        if not self.args.interactive:
            if not self.args.lines and self.scenario == Scenario(expect=self.scenario.expect):
                yield from (("say", line) for line in lines_for(agent, ""))
            return
        while True:
            try:
                text = input("> " if sys.stdin.isatty() else "").strip()
            except EOFError:
                return
            if not text:
                return
            yield "say", text

    def _follow(self, steps: Sequence[Step]) -> None:
        """A script, step by step."""
        before = len(self.answers)
        for step in steps:
            match step:
                case Say(text=text):
                    before = len(self.answers)
                    self._write("say", text)
                case Silence(seconds=seconds):
                    self._answered(seconds)
                case Wait():
                    self._answered(self.args.wait)
                case WaitFor(phrases=phrases, within=within, required=required):
                    until = time.monotonic() + within
                    while not (came := any(holds(self._since(before), phrase) for phrase in phrases)):
                        if (left := until - time.monotonic()) <= 0 or not self._answered(left):
                            break
                    self._say(f"        waited for {' | '.join(phrases)}: {'came' if came else 'did not come'}")
                    if not came and required:
                        self.unanswered += 1
                        return
                case _:
                    return

    def _pursue(self, agent: dict[str, Any]) -> None:
        """A goal, until it is reached, refused or given up."""
        brain = brain_of(self.args, agent)
        behaviour = Behaviour(
            goal=self.scenario.goal,
            brain=None
            if brain is None
            else Brain(provider=brain["provider"], model=brain["model"], base_url=brain.get("baseUrl")),
            most_turns=self.args.max_turns,
        )
        own_number = self.person if self.person.startswith("+") else ""
        with asyncio.Runner() as runner:
            minds = Minds(None, language_models(os.environ))
            try:
                mind = minds.mind(behaviour, own_number, self._note)
                reply, mind = runner.run(mind.silence())
                before = len(self.answers)
                for _ in range(2 * self.args.max_turns + 4):
                    before = len(self.answers)
                    if reply.text:
                        self._write("say", reply.text, asks=not reply.ends)
                    elif reply.keys:
                        self._write("say", reply.keys)
                    else:
                        self._answered(self.args.wait)
                    if reply.ends or (said := self._since(before)) == "":
                        break
                    reply, mind = runner.run(mind.answer(said))
                if reply.ends and (last := self._since(before)):
                    mind = mind.heard_last(last)
                self.verdict = msgspec.to_builtins(mind.verdict())
            finally:
                runner.run(minds.aclose())

    def _note(self, kind: str, **detail: Any) -> None:
        if kind == "brain" and detail.get("why"):
            self._say(f"        by rules: {detail['why']}")

    def _since(self, before: int) -> str:
        """What the agent wrote since it had written so many."""
        return " ".join(text["text"] for text in list(self.answers.values())[before:] if not text["automatic"])

    def _findings(self) -> dict[str, Any]:
        written = self._since(0)
        return {
            "goal": findings_of(self.verdict) if self.scenario.goal else None,
            "expectations": expectations(self.scenario.expect, written),
        }

    def _write(self, kind: str, text: str, *, asks: bool = True) -> None:
        if kind == "stop" and self.args.kind == "telegram":
            change = {"isBlocked": True, "ours": self.to}
            self.sandbox.told("PUT", f"/people/{self.provider}/{self.person}", json=change)
            self._say("person  blocks the bot")
            return
        message: dict[str, Any] = {"provider": self.provider, "from": self.person, "to": self.to}
        if kind == "voice-note":
            message["voiceNote"] = text
        elif kind == "edit":
            if not self.last_written:
                raise SimulationFailed("there is nothing to edit yet")
            message |= {"text": text, "editOf": self.last_written}
        else:
            text = "STOP" if kind == "stop" else text
            message["text"] = text
        told = self.sandbox.told("POST", "/messages", json=message)
        said, status = told["message"], told["webhook"]["status"]
        self.last_written = said["id"] if kind != "edit" else self.last_written
        self.written.append({"id": said["id"], "kind": kind, "text": text, "webhookStatus": status})
        self._say(f"person  {_SHOWN.get(kind, '')}{text}")
        if not 200 <= status < 300:
            reason = "nobody took it" if not status else f"it answered {status}"
            raise SimulationFailed(f"the platform did not take the message: {reason}; see `voisnap logs api`")
        if kind == "edit":
            return
        # Whoever stops hears so, or nothing at all.
        is_last = kind == "stop" or not asks
        if not self._answered(QUIET_SECONDS if is_last else self.args.wait) and not is_last:
            self.unanswered += 1
            self._say(f"        (no answer within {self.args.wait:g} s)")

    def _answered(self, patience: float) -> bool:
        """Print what comes until nothing more does; whether anything came."""
        until = time.monotonic() + patience
        has_come = False
        while (left := until - time.monotonic()) > 0:
            found = self._told_since(self.seen, wait=left)
            for text in found:
                self.seen = max(self.seen, text["sequence"])
                if text["direction"] != "out":
                    continue
                has_come = True
                self.answers[text["id"]] = text
                self._say(f"{'carrier' if text['automatic'] else 'agent'.ljust(7)} {text['text']}{_attached(text)}")
                until = time.monotonic() + QUIET_SECONDS
        return has_come

    def _told_since(self, after: int, wait: float = 0.0) -> list[dict[str, Any]]:
        asked = {"provider": self.provider, "person": self.person, "after": after, "wait": wait}
        return self.sandbox.told("GET", "/messages", params=asked)["messages"]

    def _settle(self) -> None:
        """Until the network has said what became of every answer."""
        until = time.monotonic() + SETTLED_SECONDS
        while self.answers:
            for text in self._told_since(0):
                if text["id"] in self.answers:
                    self.answers[text["id"]] = text
            if all(_is_over(self.provider, text) for text in self.answers.values()) or time.monotonic() > until:
                return
            time.sleep(0.1)

    def _find_conversation(self, agent_id: str, began: float) -> dict[str, Any] | None:
        """The conversation with this person: the newest one of the agent's on this channel."""
        asked = {"channel": self.args.kind, "agentId": agent_id, "pageSize": 20}
        until = time.monotonic() + SETTLED_SECONDS
        while True:
            found: Sequence[dict[str, Any]] = self.sandbox.asked("GET", "/conversations", params=asked)["data"]
            theirs = [one for one in found if self.person in str(one.get("caller") or one.get("metadata") or "")]
            recent = [one for one in found if datetime.fromisoformat(one["startedAt"]).timestamp() >= began - 1]
            if theirs or recent or time.monotonic() > until:
                return (theirs or recent or [None])[0]
            time.sleep(0.2)

    # What is said of it -----------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        if not self.args.json:
            print(text, flush=True)

    def _report(self, agent: dict[str, Any], findings: dict[str, Any]) -> None:
        answers = list(self.answers.values())
        if self.args.json:
            document = {
                "agentId": agent["id"],
                "channel": self.args.kind,
                "provider": self.provider,
                "person": self.person,
                "to": self.to,
                "written": self.written,
                "answers": [
                    {
                        "id": text["id"],
                        "text": text["text"],
                        "kind": text["kind"],
                        "segments": text["segments"],
                        "automatic": text["automatic"],
                        "state": _state(text),
                    }
                    for text in answers
                ],
                "unanswered": self.unanswered,
                **findings,
                "conversationId": self.conversation["id"] if self.conversation else None,
            }
            print(json.dumps(document, indent=2, ensure_ascii=False))
            return
        print()
        counted: dict[str, int] = {}
        for text in answers:
            counted[_state(text)] = counted.get(_state(text), 0) + 1
        states = ", ".join(f"{count} {state}" for state, count in counted.items()) or "none"
        print(f"answers       {states}")
        if self.args.kind == "sms" and answers:
            print(f"segments      {sum(text['segments'] for text in answers)}")
        print(f"conversation  {self.conversation['id'] if self.conversation else 'none yet'}")
        for text in told(findings):
            print(text)


_SHOWN = {"voice-note": "(voice note) ", "edit": "(edits it) "}


def _attached(text: dict[str, Any]) -> str:
    return f" [{text['kind']} {text['media']}]" if text["media"] else ""


def _state(text: dict[str, Any]) -> str:
    """What became of a message, in the network's own word."""
    return text["states"][-1]["state"] if text["states"] else "shown"


def _is_over(provider: str, text: dict[str, Any]) -> bool:
    return provider == "telegram" or bool(text["automatic"]) or _state(text) in FAR_ENDS
