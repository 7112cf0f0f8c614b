"""A whole person in a file: YAML or JSON, with steps to follow or a goal to reach, a manner of speaking, and what is expected of the other side.

goal: Find out what a check-up costs        # or steps, or both: the steps come first
expect: [85]                                # words that the other side has to say
person: {speed: 1.1, pitch: -3, noise: -45} # how everything is spoken, and the place behind it
steps:
  - say: Hello, what does a check-up cost?
  - wait for: [dollars, euros]
    within: 20
  - say: Stop, stop!
    interrupt after: 800 ms
    mumble: 0.5
  - press: "1#"
  - silence: 2
  - drop line
  - hang up
"""

from typing import Any

import msgspec
import yaml

from .goal import goal_of
from .manner import PLAIN, Manner
from .script import MAX_LINE, MAX_STEPS, BadScript, Drop, HangUp, Press, Say, Silence, Step, Wait, WaitFor, keys_of

MAX_FILE = 200_000
MAX_EXPECTED = 20
_MANNER = ("voice", "speed", "pitch", "level", "mumble", "noise")
_PERSON = (*_MANNER, "number", "pause", "patience", "stays")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. `noise` is the level of the place behind the person all the time; `number` is his telephone."""

    steps: tuple[Step, ...] = ()
    goal: str = ""
    expect: tuple[str, ...] = ()
    manner: Manner = PLAIN
    noise: float | None = None
    number: str = ""
    pause: float | None = None
    patience: float | None = None
    stays: bool = False


class _Place:
    """A node of the file: its value, and where it stands."""

    def __init__(self, node: yaml.Node) -> None:
        self.node = node
        self.line = node.start_mark.line + 1

    def fault(self, why: str) -> BadScript:
        return BadScript(f"line {self.line}: {why}")

    def members(self, known: tuple[str, ...], what: str) -> dict[str, "_Place"]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fault(f"{what} has members: {', '.join(known)}")
        found: dict[str, _Place] = {}
        for key, value in self.node.value:
            name = (
                str(key.value).strip().lower().replace("_", " ").replace("-", " ")
                if isinstance(key, yaml.ScalarNode)
                else ""
            )
            if name not in known:
                raise _Place(key).fault(f"{what} has no {name or 'such member'!r}; there is {', '.join(known)}")
            if name in found:
                raise _Place(key).fault(f"{name!r} is given twice")
            found[name] = _Place(value)
        return found

    def items(self, what: str) -> list["_Place"]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.fault(f"{what} is a list")
        return [_Place(one) for one in self.node.value]

    def text(self, what: str) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == "tag:yaml.org,2002:null":
            raise self.fault(f"{what} is a text")
        found = str(self.node.value).strip()
        if not found:
            raise self.fault(f"{what} is empty")
        if len(found) > MAX_LINE and what != "goal":
            raise self.fault(f"{len(found)} characters, more than {MAX_LINE}")
        return found

    def texts(self, what: str) -> tuple[str, ...]:
        if isinstance(self.node, yaml.ScalarNode):
            return (self.text(what),)
        return tuple(one.text(what) for one in self.items(what))

    def number(self, what: str, low: float, high: float) -> float:
        text = self.text(what).lower().removesuffix("seconds").removesuffix("dbfs").removesuffix("db").strip()
        factor = 1.0
        if text.endswith("ms"):
            text, factor = text[:-2], 0.001
        elif text.endswith("s"):
            text = text[:-1]
        try:
            found = float(text) * factor
        except ValueError:
            raise self.fault(f"{what} is a number, not {text!r}") from None
        if not low <= found <= high:
            raise self.fault(f"{what} is {low:g} to {high:g}")
        return found

    def flag(self, what: str) -> bool:
        text = self.text(what).lower()
        if text not in ("true", "false", "yes", "no", "on", "off"):
            raise self.fault(f"{what} is true or false")
        return text in ("true", "yes", "on")


def scenario_of(text: str) -> Scenario:
    """Read YAML or JSON. Raises BadScript, which names the line."""
    if len(text) > MAX_FILE:
        raise BadScript(f"a file of {len(text)} characters, more than {MAX_FILE}")
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise BadScript("anchors and aliases are not read here")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _misread(error) from None
    except RecursionError:
        raise BadScript("the file is nested too deeply") from None
    if root is None:
        raise BadScript("the file says nothing: give steps or a goal")
    place = _Place(root)
    if isinstance(root, yaml.SequenceNode):
        return Scenario(steps=_steps(place, PLAIN))
    members = place.members(("goal", "expect", "person", "steps"), "a script")
    person = members["person"].members(_PERSON, "a person") if "person" in members else {}
    manner = _manner({name: one for name, one in person.items() if name != "noise"}, PLAIN)
    goal = members["goal"].text("goal") if "goal" in members else ""
    if goal:
        try:
            goal_of(goal)
        except ValueError as error:
            raise members["goal"].fault(str(error)) from None
    steps = _steps(members["steps"], manner) if "steps" in members else ()
    if not steps and not goal:
        raise place.fault("there are neither steps nor a goal")
    expect = members["expect"].texts("expect") if "expect" in members else ()
    if len(expect) > MAX_EXPECTED:
        raise members["expect"].fault(f"{len(expect)} expectations, more than {MAX_EXPECTED}")
    return Scenario(
        steps=steps,
        goal=goal,
        expect=expect,
        manner=manner,
        noise=person["noise"].number("noise", -80, -10) if "noise" in person else None,
        number=person["number"].text("number") if "number" in person else "",
        pause=person["pause"].number("pause", 0.1, 10) if "pause" in person else None,
        patience=person["patience"].number("patience", 0.5, 120) if "patience" in person else None,
        stays=person["stays"].flag("stays") if "stays" in person else False,
    )


def _misread(error: yaml.YAMLError) -> BadScript:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return BadScript(f"line {mark.line + 1}: no YAML and no JSON: {problem}" if mark else "no YAML and no JSON")


def _steps(place: _Place, manner: Manner) -> tuple[Step, ...]:
    items = place.items("steps")
    if len(items) > MAX_STEPS:
        raise place.fault(f"{len(items)} steps, more than {MAX_STEPS}")
    return tuple(_step(one, manner) for one in items)


_WORDS: dict[str, Step] = {"wait": Wait(), "hang up": HangUp(), "drop line": Drop()}
_KINDS = ("say", "wait for", "press", "silence", *_WORDS)


def _step(place: _Place, manner: Manner) -> Step:
    if isinstance(place.node, yaml.ScalarNode):
        word = place.text("a step")
        found = _WORDS.get(word.lower().replace("_", " "))
        if found is None:
            raise place.fault(f"a step is {', '.join(_KINDS)}, not {word!r}")
        return found
    more = ("interrupt after", "at once", "within", "required", *_MANNER)
    given = place.members((*_KINDS, *more), "a step")
    kinds = [name for name in _KINDS if name in given]
    if len(kinds) != 1:
        raise place.fault(f"a step does one thing: {', '.join(_KINDS)}")
    kind = kinds[0]
    allowed = {"say": ("interrupt after", "at once", *_MANNER), "wait for": ("within", "required")}.get(kind, ())
    for name, one in given.items():
        if name != kind and name not in allowed:
            raise one.fault(f"{kind!r} has no {name!r}")
    value = given[kind]
    match kind:
        case "say":
            return Say(
                text=value.text("say"),
                interrupt_after=given["interrupt after"].number("interrupt after", 0, 600)
                if "interrupt after" in given
                else None,
                at_once=given["at once"].flag("at once") if "at once" in given else False,
                manner=_manner(given, manner),
            )
        case "wait for":
            return WaitFor(
                phrases=value.texts("wait for"),
                within=given["within"].number("within", 0.1, 600) if "within" in given else 30.0,
                required=given["required"].flag("required") if "required" in given else False,
            )
        case "press":
            keys = keys_of(value.text("press"))
            if keys is None:
                raise value.fault("keys are 0 to 9, *, #, A to D, and w for half a second")
            return Press(digits=keys)
        case "silence":
            return Silence(seconds=value.number("silence", 0, 600))
    return _WORDS[kind]


def _manner(given: dict[str, _Place], manner: Manner) -> Manner:
    changes: dict[str, Any] = {}
    for name in _MANNER:
        if name in given:
            one = given[name]
            changes[name] = one.text(name) if name == "voice" else one.number(name, -1000, 1000)
            try:
                manner = msgspec.structs.replace(manner, **{name: changes[name]})
                Manner(**msgspec.structs.asdict(manner))
            except ValueError as error:
                raise one.fault(str(error)) from None
    return manner
