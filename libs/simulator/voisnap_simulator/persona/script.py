"""What a simulated person does in a call, in order; written by people as lines of text.

    # a comment
    Hello, I'd like to book a table.
    [press 1#]
    [silence 3]
    [interrupt 1.2] Sorry, one moment!
    [at once] Are you there?
    [wait]
    [hang up]

A line is spoken when the other side has finished; `[interrupt S]` speaks S seconds into the other side's speech.
"""

import re

import msgspec

MAX_STEPS = 200
MAX_LINE = 500
_DIRECTIVE = re.compile(r"\[\s*(press|silence|interrupt|at once|wait|hang up)\b([^\]]*)\]\s*(.*)", re.IGNORECASE)
_KEYS = re.compile(r"[0-9*#A-Dw]{1,64}", re.ASCII)


class Say(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="say", rename="camel"):
    """Speak when the other side has finished; so long into its speech where `interrupt_after` says it; at once where `at_once`."""

    text: str
    interrupt_after: float | None = None
    at_once: bool = False


class Press(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="press"):
    """Press keys when the other side has finished (`w` waits half a second)."""

    digits: str


class Silence(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="silence"):
    """Say nothing for so long, whatever comes."""

    seconds: float


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="wait"):
    """Until the other side has spoken and finished."""


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="hang_up"):
    """At once."""


Step = Say | Press | Silence | Wait | HangUp


class BadScript(ValueError):
    """A script that nobody can follow; the text names the line."""


def steps_of(text: str) -> tuple[Step, ...]:
    """Read a script. Raises BadScript."""
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            steps.append(_step(line, number))
    if len(steps) > MAX_STEPS:
        raise BadScript(f"{len(steps)} steps, more than {MAX_STEPS}")
    return tuple(steps)


def _step(line: str, number: int) -> Step:
    found = _DIRECTIVE.fullmatch(line)
    if found is None:
        if line.startswith("["):
            raise BadScript(
                f"line {number}: no directive; there are [press KEYS], [silence SECONDS], [interrupt SECONDS] TEXT, "
                "[at once] TEXT, [wait] and [hang up]"
            )
        return Say(text=_line(line, number))
    word, given, rest = found[1].lower(), found[2].strip(), found[3].strip()
    match word:
        case "press" if _KEYS.fullmatch(given) and not rest:
            return Press(digits=given)
        case "silence" if not rest:
            return Silence(seconds=_seconds(given, number))
        case "interrupt" if rest:
            return Say(text=_line(rest, number), interrupt_after=_seconds(given or "1", number))
        case "at once" if rest and not given:
            return Say(text=_line(rest, number), at_once=True)
        case "wait" if not given and not rest:
            return Wait()
        case "hang up" if not given and not rest:
            return HangUp()
    raise BadScript(f"line {number}: [{word}] is written differently")


def _line(text: str, number: int) -> str:
    if len(text) > MAX_LINE:
        raise BadScript(f"line {number}: {len(text)} characters, more than {MAX_LINE}")
    return text


def _seconds(text: str, number: int) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 600:
        raise BadScript(f"line {number}: seconds are 0 to 600")
    return seconds
