"""`voisnap simulate call`: a simulated person and an agent talk over a simulated carrier, and what both said is printed."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from voisnap_domain.agents import AgentConfig, Llm, LlmProvider, Persona, Transcription, TranscriptionProvider, Voice
from voisnap_domain.agents import VoiceProvider as VoiceVendor
from voisnap_domain.rehearsals import SCENARIO, rehearsal_of
from voisnap_simulator.persona.behaviour import Answer
from voisnap_simulator.persona.goal import goal_of
from voisnap_simulator.persona.scenario import Scenario, scenario_of
from voisnap_simulator.persona.script import BadScript, Say, steps_of
from voisnap_simulator.persona.words import holds, word_errors

from .simulate_platform import Sandbox, SimulationFailed

ANSWERS = tuple(answer.value for answer in Answer)
DIALLED_SECONDS = 60.0
"""How long the platform may take to dial a call that it was asked for."""
SETTLED_SECONDS = 8.0
"""How long the person's last words may take to be understood when the call is over."""
STORED_SECONDS = 15.0
"""How long a conversation may take to be stored when its call is over."""
_UNREACHED = {
    "no-answer": "nobody answered",
    "busy": "it was busy",
    "rejected": "it was rejected",
    "failed": "no such number",
}

_DESCRIPTION = """\
A simulated person calls an agent, or is called by one (--direction out). The person speaks with the local voice, and
understands English with the local recogniser. He says what --say or --script tell, or pursues a --goal: he hears the
agent out, answers its questions with what the goal names, and hangs up when it is reached or refused. Without any of
them he says some lines that fit the agent.

A script has a line for each thing to say, and what else to do in brackets; .yaml and .json files can say more (see
docs/guides/simulated-carriers.md):
  Hello, I'd like to book a table.
  [press 1#]
  [silence 3]
  [interrupt 1.2] Sorry, one moment!
  [at once] Are you there?
  [wait]
  [wait for opening hours]
  [drop line]
  [hang up]

Exit status: 0 when the call went as it was asked for, 1 when it failed, 2 for bad options, 3 when the goal was not
reached or an --expect was not heard, 4 when nobody can tell whether the goal was reached (an --expect that was heard
decides it).
"""


def add_parser(kinds: Any, kind: str) -> None:
    """Add `simulate call` to the command line."""
    parser = kinds.add_parser(
        kind,
        help="call an agent, or be called by one",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agent", metavar="ID", help="an agent of the sandbox (default: the demo agent)")
    parser.add_argument(
        "--number", metavar="+N", help="one of the sandbox's numbers (default: one of the agent's, made if needed)"
    )
    parser.add_argument("--carrier", choices=("twilio", "vonage", "telnyx"), default="twilio", help="default: twilio")
    parser.add_argument(
        "--direction", choices=("in", "out"), default="in", help="who calls whom (default: in, the person calls)"
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="what the person does, as above")
    parser.add_argument("--say", action="append", default=[], metavar="TEXT", help="a line; may be given several times")
    parser.add_argument("--goal", metavar="TEXT", help="what the person wants, in your words; he pursues it by himself")
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="WORDS",
        help="what the agent has to say, however numbers are written; may be given several times",
    )
    add_brain(parser)
    parser.add_argument("--from", dest="caller", metavar="+N", help="the person's number (default: a made-up one)")
    parser.add_argument(
        "--answer",
        choices=ANSWERS,
        default="human",
        help="who answers a call of the agent (--direction out; default: human)",
    )
    parser.add_argument("--greeting", default="", metavar="TEXT", help="what whoever answers says first")
    parser.add_argument(
        "--ring", type=float, default=1.0, metavar="SECONDS", help="how long it rings before (default: 1)"
    )
    parser.add_argument(
        "--loss", type=float, default=0.0, metavar="SHARE", help="of the line's frames that get lost, 0 to 1"
    )
    parser.add_argument("--jitter", type=float, default=0.0, metavar="MS", help="by how much each frame may be late")
    parser.add_argument(
        "--drop-at", type=float, metavar="SECONDS", help="break the media socket so long after it opened"
    )
    parser.add_argument("--max-seconds", type=float, default=600.0, metavar="SECONDS", help="hang up after so long")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.wav", help="write both sides to a stereo file: left the person"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end and nothing else")
    parser.set_defaults(simulate=run)


def add_brain(parser: argparse.ArgumentParser) -> None:
    """Add `--brain`, `--max-turns`."""
    parser.add_argument(
        "--brain",
        default="auto",
        metavar="auto|local|PROVIDER/MODEL",
        help="who plays a --goal: the agent's own language model where the platform has an account with its provider, "
        "else rules (auto); always rules (local); or a model of the platform's accounts",
    )
    parser.add_argument(
        "--max-turns", type=int, default=24, metavar="N", help="give a --goal up after so many answers (default: 24)"
    )


def brain_of(args: argparse.Namespace, agent: dict[str, Any]) -> dict[str, Any] | None:
    """The language model that plays a goal; None for rules. Raises SimulationFailed for bad options."""
    if args.brain == "local":
        return None
    if args.brain == "auto":
        llm = agent.get("llm") or {}
        known = {"provider": llm.get("provider"), "model": llm.get("model"), "baseUrl": llm.get("baseUrl")}
        return known if known["provider"] not in (None, "local", "scripted") and known["model"] else None
    provider, _, model = args.brain.partition("/")
    if provider not in tuple(LlmProvider) or not model:
        names = ", ".join(one.value for one in LlmProvider if one.value not in ("local", "scripted"))
        raise SimulationFailed(f"--brain {args.brain} is no PROVIDER/MODEL; providers are {names}")
    return {"provider": provider, "model": model}


def run(args: argparse.Namespace) -> int:
    """Make the call that the options describe."""
    try:
        scenario = scenario_for(args)
        brain_of(args, {})
    except (SimulationFailed, BadScript, OSError, UnicodeDecodeError) as error:
        return _complain(str(error), 2)
    simulation = _Simulation(args=args, scenario=scenario)
    try:
        simulation.sandbox = Sandbox.of_home()
        try:
            return simulation.run()
        finally:
            simulation.sandbox.close()
    except SimulationFailed as error:
        return _complain(str(error), 1)
    except OSError as error:
        return _complain(f"cannot write {args.save}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        simulation.hang_up()
        return _complain("the call was broken off", 130)


def _complain(text: str, code: int) -> int:
    print(f"voisnap simulate call: {text}", file=sys.stderr)
    return code


def scenario_for(args: argparse.Namespace) -> Scenario:
    """What the person does; without steps and goal where the agent says it. Raises SimulationFailed, BadScript, OSError."""
    if sum(map(bool, (args.script, args.say, args.goal))) > 1 and not (args.script and args.goal and not args.say):
        raise SimulationFailed("--say, --script and --goal exclude each other; only a script may be followed by a goal")
    if args.max_turns < 1 or args.max_turns > 100:
        raise SimulationFailed(f"--max-turns {args.max_turns} is not 1 to 100")
    if not 0 <= args.loss < 1:
        raise SimulationFailed(f"--loss {args.loss:g} is no share of 1")
    if not 0 <= args.jitter <= 2000:
        raise SimulationFailed(f"--jitter {args.jitter:g} is not 0 to 2000")
    if args.direction == "in" and args.answer != "human":
        raise SimulationFailed("--answer is for calls of the agent: give --direction out")
    scenario = read_script(args.script) if args.script else Scenario(steps=steps_of("\n".join(args.say)))
    if args.goal:
        try:
            goal_of(args.goal)
        except ValueError as error:
            raise SimulationFailed(f"--goal: {error}") from None
        if scenario.goal:
            raise SimulationFailed(f"{args.script} has a goal of its own: leave --goal out")
        scenario = msgspec.structs.replace(scenario, goal=args.goal)
    return msgspec.structs.replace(scenario, expect=(*scenario.expect, *args.expect))


def read_script(path: Path) -> Scenario:
    """A script's file, by its ending. Raises BadScript with the file's name, OSError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadScript(f"{path}: no text in UTF-8") from None
    try:
        if path.suffix.lower() in (".yaml", ".yml", ".json"):
            return scenario_of(text)
        steps = steps_of(text)
    except BadScript as error:
        raise BadScript(f"{path}: {error}") from None
    if not steps:
        raise BadScript(f"{path}: the script says nothing")
    return Scenario(steps=steps)


@dataclass(kw_only=True)
class _Line:
    """Something that was said, `at` seconds after the call was answered."""

    at: float
    speaker: str
    text: str


@dataclass(kw_only=True)
class _Simulation:
    args: argparse.Namespace
    scenario: Scenario
    sandbox: Sandbox = field(init=False)
    call_id: str = ""
    lines: list[_Line] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    call: dict[str, Any] = field(default_factory=dict)
    conversation: dict[str, Any] | None = None
    order: dict[str, Any] | None = None
    _answered_at: float | None = None
    _is_quiet: bool = False
    """The agent says nothing just now."""
    _shown: set[str] = field(default_factory=set)
    brain: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    heard: list[_Line] = field(default_factory=list)
    """What the person understood."""
    agent_said: str = ""
    _is_settled: bool = False

    def run(self) -> int:
        args, sandbox = self.args, self.sandbox
        if args.number:
            line, agent = sandbox.agent_of_number(args.number)
        else:
            agent = sandbox.agent(args.agent)
            line = sandbox.line_of(agent["id"], args.carrier, self._say)
        if not self.scenario.steps and not self.scenario.goal:
            lines = tuple(Say(text=line) for line in lines_for(agent, ""))
            self.scenario = msgspec.structs.replace(self.scenario, steps=lines)
        self.brain = brain_of(args, agent)
        if args.direction == "in":
            self._call_in(line, agent)
        else:
            self._call_out(line, agent)
        self._follow()
        self._find_conversation(final=True)
        self._catch_up(final=True)
        if args.save is not None:
            response = sandbox.simulator.get(f"/calls/{self.call_id}/audio")
            args.save.write_bytes(response.content)
        return self._report(line, agent)

    def hang_up(self) -> None:
        """End the call, whatever becomes of it."""
        if self.call_id:
            self.sandbox.simulator.post(f"/calls/{self.call_id}/hang-up")

    def _call_in(self, line: dict[str, Any], agent: dict[str, Any]) -> None:
        body = {
            "provider": line["provider"],
            "to": line["phoneNumber"],
            "caller": self.args.caller or self.scenario.number,
            "behaviour": self._behaviour(),
            "faults": self._faults(),
            "keepAudio": self.args.save is not None,
        }
        self.call = self.sandbox.told("POST", "/calls", json=body)
        self.call_id = self.call["callId"]
        self._say(
            f"{self.call['from']} calls {agent['name']} at {line['phoneNumber']} over the simulated {line['provider']}"
        )

    def _call_out(self, line: dict[str, Any], agent: dict[str, Any]) -> None:
        args, sandbox = self.args, self.sandbox
        callee = (
            args.caller
            or self.scenario.number
            or f"+1{415 + time.time_ns() % 300}55501{time.time_ns() // 1000 % 90 + 10:02d}"
        )
        behaviour = self._behaviour() if args.answer in ("human", "screening") else {"hears": True}
        behaviour |= {
            "answer": args.answer,
            "greeting": args.greeting,
            "ringSeconds": args.ring,
        }
        body = {"behaviour": behaviour, "faults": self._faults(), "keepAudio": args.save is not None}
        sandbox.told("PUT", f"/telephones/{callee}", json=body)
        began = time.time() - 1
        asked = {"agentId": agent["id"], "toNumber": callee, "fromNumber": line["phoneNumber"]}
        order: dict[str, Any] = sandbox.asked("POST", "/outbound-calls", json=asked)
        self.order = order
        self._say(f"{agent['name']} calls {callee} from {line['phoneNumber']} over the simulated {line['provider']}")
        until = time.monotonic() + DIALLED_SECONDS
        while time.monotonic() < until:
            calls = sandbox.told("GET", "/calls", params={"number": callee})["calls"]
            found = next((one for one in calls if one["beganAt"] >= began), None)
            if found is not None:
                self.call, self.call_id = found, found["callId"]
                return
            self.order = order = sandbox.asked("GET", f"/outbound-calls/{order['id']}")
            if order.get("endedAt"):
                why = order.get("endReason") or order["status"]
                raise SimulationFailed(f"the agent's call was never placed: {why}")
            time.sleep(0.2)
        raise SimulationFailed(
            f"the agent's call was not placed within {DIALLED_SECONDS:g} s (it is {order['status']})"
        )

    def _behaviour(self) -> dict[str, Any]:
        """What the person does, for the simulated carriers."""
        scenario = self.scenario
        found: dict[str, Any] = {
            "steps": msgspec.to_builtins(scenario.steps),
            "hears": True,
            "manner": msgspec.to_builtins(scenario.manner),
            "noise": scenario.noise,
            "stays": scenario.stays,
        }
        if scenario.goal:
            found |= {
                "goal": scenario.goal,
                "brain": self.brain,
                "mostTurns": self.args.max_turns,
                "mostSeconds": min(max(self.args.max_seconds, 5), 3600),
            }
        found |= {name: value for name in ("pause", "patience") if (value := getattr(scenario, name)) is not None}
        return found

    def _faults(self) -> dict[str, Any]:
        args = self.args
        return {"loss": args.loss, "jitterMs": args.jitter, "dropAt": args.drop_at}

    # While it goes on -----------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        until = time.monotonic() + self.args.max_seconds
        settled_by = time.monotonic() + SETTLED_SECONDS
        while True:
            wait = {"after": len(self.events), "wait": 1.0}
            self.call = self.sandbox.told("GET", f"/calls/{self.call_id}", params=wait)
            for event in self.call["events"]:
                self.events.append(event)
                self._note(event)
            if self.call["isOver"] and not self.call["events"] and (self._is_settled or time.monotonic() > settled_by):
                return
            if not self.call["isOver"]:
                settled_by = time.monotonic() + SETTLED_SECONDS
            if time.monotonic() > until:
                self.hang_up()
            self._find_conversation()
            self._catch_up()

    def _note(self, event: dict[str, Any]) -> None:
        kind, detail = event["kind"], event["detail"]
        if kind == "answered" and self._answered_at is None:
            self._answered_at = event["at"]
        if kind in ("agent_speaks", "agent_quiet"):
            self._is_quiet = kind == "agent_quiet"
        at = self._clock(event["at"])
        match kind:
            case "settled":
                self._is_settled = True
            case "goal":
                self.verdict = detail
            case "heard":
                self.heard.append(_Line(at=round(detail["began"], 2), speaker="heard", text=detail["text"]))
            case "brain" if detail.get("why"):
                self._say(f"              by rules: {detail['why']}")
            case _:
                pass
        if kind in ("said", "greeting", "screening"):
            self._add(_Line(at=at, speaker="person" if kind == "said" else "machine", text=detail["text"]))
        elif kind == "carrier_says":
            self._add(_Line(at=at, speaker="carrier", text=detail["text"]))
        elif kind in _TOLD:
            self._say(f"{_mark(at)}         {_TOLD[kind].format(**_Blank(detail))}")

    def _clock(self, at: float) -> float:
        return round(at - (self._answered_at or 0.0), 2)

    def _find_conversation(self, *, final: bool = False) -> None:
        """The conversation of this call: the one with the person's number."""
        if self.conversation is not None and not final:
            return
        person = self.call["from"] if self.call["direction"] == "inbound" else self.call["to"]
        until = time.monotonic() + (STORED_SECONDS if final and self.call["isAnswered"] else 0.0)
        while True:
            newest = self.sandbox.asked("GET", "/conversations", params={"channel": "phone", "pageSize": 20})["data"]
            began = self.call["beganAt"] - 5
            found = next((one for one in newest if _is_with(one, person) and _unix(one["startedAt"]) >= began), None)
            self.conversation = found or self.conversation
            if time.monotonic() >= until or (found and found["status"] != "in_progress"):
                return
            time.sleep(0.3)

    def _catch_up(self, *, final: bool = False) -> None:
        """What the agent said since: the platform's own transcript, which holds what was heard."""
        if self.conversation is None:
            return
        turns = self.sandbox.asked("GET", f"/conversations/{self.conversation['id']}/transcript")["turns"]
        said = [turn for turn in turns if turn["speaker"] == "agent" and turn["text"]]
        self.agent_said = " ".join(turn["text"] for turn in said)
        for number, turn in enumerate(said):
            is_whole = final or self._is_quiet or number + 1 < len(said) or turns[-1] is not turn
            if turn["id"] not in self._shown and is_whole:
                self._shown.add(turn["id"])
                self._add(_Line(at=round(turn["startTime"], 2), speaker="agent", text=turn["text"]))

    def _add(self, line: _Line) -> None:
        self.lines.append(line)
        self._say(f"{_mark(line.at)} {line.speaker:8}{line.text}")

    def _say(self, text: str) -> None:
        if not self.args.json:
            print(text, flush=True)

    # Afterwards -----------------------------------------------------------------------------------------------------

    def _report(self, line: dict[str, Any], agent: dict[str, Any]) -> int:
        call, conversation = self.call, self.conversation
        failure = self._failure()
        findings = self._findings()
        lines = sorted(self.lines, key=lambda one: one.at)
        if self.args.json:
            document = {
                "callId": self.call_id,
                "conversationId": conversation["id"] if conversation else None,
                "outboundCallId": self.order["id"] if self.order else None,
                "agentId": agent["id"],
                "carrier": line["provider"],
                "direction": call["direction"],
                "from": call["from"],
                "to": call["to"],
                "isAnswered": call["isAnswered"],
                "cause": call["cause"],
                "seconds": call["seconds"],
                "failure": failure,
                **findings,
                "lines": [{"at": one.at, "speaker": one.speaker, "text": one.text} for one in lines],
                "events": self.events,
                "conversation": conversation,
            }
            print(json.dumps(document, indent=2))
        else:
            print()
            print(f"ended         {_cause(call)} after {call['seconds']:.1f} s")
            if failure:
                print(f"but           {failure}")
            if conversation:
                cost = conversation["cost"]["totalUsd"]
                print(
                    f"outcome       {conversation['outcome'] or '-'}, {conversation['endReason'] or '-'}, {cost:.4f} USD"
                )
            print(f"conversation  {conversation['id'] if conversation else 'none'}")
            for text in told(findings):
                print(text)
            if self.args.save is not None:
                print(f"saved         {self.args.save}")
        return 1 if failure else status_of(findings)

    def _findings(self) -> dict[str, Any]:
        """What the person noticed."""
        heard = " ".join(one.text for one in self.heard)
        spoken = [event for event in self.events if event["kind"] in ("agent_speaks", "agent_quiet", "said")]
        waits = [event["detail"]["after_ms"] for event in spoken if "after_ms" in event["detail"]]
        yields = [event["detail"]["yielded_ms"] for event in spoken if "yielded_ms" in event["detail"]]
        errors, count = word_errors(self.agent_said, heard) if self.agent_said and self.heard else (0, 0)
        is_deaf = next((event["detail"]["why"] for event in self.events if event["kind"] == "deaf"), None)
        return {
            "goal": findings_of(self.verdict) if self.scenario.goal else None,
            "expectations": expectations(self.scenario.expect, self.agent_said, heard),
            "heard": [{"at": one.at, "text": one.text} for one in self.heard],
            "wordErrorRate": round(errors / count, 3) if count else None,
            "answersMs": waits,
            "interruptions": {
                "byPerson": len(yields),
                "yieldedMs": yields,
                "byAgent": sum(
                    event["detail"].get("interrupts", False) for event in spoken if event["kind"] == "agent_speaks"
                ),
            },
            "deaf": is_deaf,
        }

    def _failure(self) -> str | None:
        """Why the call was not the one that was asked for."""
        if fault := next((one for one in self.events if one["kind"] == "fault"), None):
            return fault["detail"]["error"]
        unreached = self.args.direction == "out" and self.args.answer in _UNREACHED
        if not self.call["isAnswered"]:
            return None if unreached else f"nobody answered ({self.call['cause']})"
        if self.conversation is None:
            return "the platform has no conversation of it"
        if self.conversation["status"] == "failed":
            return f"the conversation failed ({self.conversation['endReason']})"
        return None


def findings_of(verdict: dict[str, Any] | None) -> dict[str, Any]:
    """What came of a goal; nobody knows where the person never said."""
    return verdict or {"goalReached": "unknown", "reason": "the person never took part", "words": [], "turns": 0}


def expectations(wanted: Sequence[str], *said: str) -> list[dict[str, Any]]:
    """Each, and whether it was met: in the platform's words or in what was understood of them."""
    return [{"words": one, "met": any(holds(text, one) for text in said)} for one in wanted]


def status_of(findings: dict[str, Any]) -> int:
    """0, 3 or 4, as `_DESCRIPTION` says."""
    wanted, goal = findings["expectations"], findings["goal"]
    if any(not one["met"] for one in wanted) or (goal and goal["goalReached"] == "no"):
        return 3
    return 4 if goal and goal["goalReached"] == "unknown" and not wanted else 0


def told(findings: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    if goal := findings["goal"]:
        yield f"goal reached  {goal['goalReached']}: {goal['reason']}"
        for text in goal["words"]:
            yield f"              “{text}”"
        for name, label in (("improvised", "made up"), ("missing", "not known")):
            if goal.get(name):
                yield f"{label:14}{', '.join(goal[name])}"
    for one in findings["expectations"]:
        yield f"{'heard' if one['met'] else 'NOT HEARD':14}{one['words']}"
    if findings.get("deaf"):
        yield f"deaf          {findings['deaf']}"
    if findings.get("answersMs"):
        ordered = sorted(findings["answersMs"])
        yield f"answers       after {ordered[len(ordered) // 2]} ms in the middle, {ordered[-1]} ms at most ({len(ordered)})"
    if findings.get("wordErrorRate") is not None:
        yield f"word errors   {findings['wordErrorRate']:.1%} of what the agent said was understood otherwise"
    breaks = findings.get("interruptions") or {}
    if breaks.get("byPerson") or breaks.get("byAgent"):
        silent = f", who fell silent after {max(breaks['yieldedMs'])} ms at most" if breaks["yieldedMs"] else ""
        yield f"interruptions {breaks['byPerson']} of the agent{silent}; {breaks['byAgent']} by it"


_TOLD = {
    "answered": "answered",
    "pressed": "presses {digit}",
    "heard_keys": "hears the keys {digits}",
    "beep": "beep",
    "message_begins": "the machine records a message",
    "screened": "the screening has an answer",
    "picked_up": "the person picks up",
    "amd": "the carrier takes it for {answered_by}",
    "media.dropped": "the media socket breaks",
    "media.half_open": "the media socket is stuck",
    "stream.ended": "the media stream ends ({how})",
    "dials": "the carrier dials {callee}",
    "joined": "two calls are joined",
    "hangs_up": "hangs up",
    "gives_up": "gives up after {seconds} s",
    "drops_line": "the line breaks",
    "awaited": "waited for {phrases}: {came}",
    "fault": "FAULT {error}",
}


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"


def _mark(at: float) -> str:
    minutes, seconds = divmod(max(at, 0.0), 60)
    return f"{int(minutes):02d}:{seconds:04.1f}"


def _cause(call: dict[str, Any]) -> str:
    return {"hung_up": "the person hung up", "completed": "the platform hung up"}.get(call["cause"], str(call["cause"]))


def _is_with(conversation: dict[str, Any], person: str) -> bool:
    metadata = conversation.get("metadata") or {}
    return person in ((conversation.get("caller") or {}).get("phoneNumber"), metadata.get("from"), metadata.get("to"))


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def lines_for(agent: dict[str, Any], goal: str) -> tuple[str, ...]:
    """What somebody says to this agent who wants something."""
    config = AgentConfig(
        name=agent["name"],
        description=agent.get("description"),
        persona=Persona(name=agent["persona"]["name"], role=agent["persona"].get("role")),
        voice=Voice(provider=VoiceVendor.LOCAL, voice_id="heart"),
        llm=Llm(provider=LlmProvider.LOCAL, model="local-brain"),
        transcription=Transcription(
            provider=TranscriptionProvider.LOCAL, language=(agent.get("transcription") or {}).get("language") or "en-US"
        ),
        system_prompt_template=agent.get("systemPromptTemplate") or "",
    )
    return rehearsal_of(config, {SCENARIO: goal} if goal else {}).lines
