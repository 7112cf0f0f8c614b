"""What a simulated person does in a call, in order; written by people as lines of text.

    # a comment
    Hello, I'd like to book a table.
    [press 1#]
    [silence 3]
    [interrupt 1.2] Sorry, one moment!
    [at once] Are you there?
    [wait]
    [wait for opening hours]
    [drop line]
    [hang up]

A line is spoken when the other side has finished; `[interrupt S]` speaks S seconds into the other side's speech. `scenario` reads the same
steps from YAML and JSON, with more to say about each.
"""

import re

import msgspec

from .manner import PLAIN, Manner

MAX_STEPS = 200
MAX_LINE = 500
_DIRECTIVE = re.compile(
    r"\[\s*(press|silence|interrupt|at once|wait for|wait|hang up|drop line)\b([^\]]*)\]\s*(.*)", re.IGNORECASE
)
_KEYS = re.compile(r"[0-9*#A-Dw]{1,64}", re.ASCII)


class Say(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="say", rename="camel"):
    """Speak when the other side has finished; so long into its speech where `interrupt_after` says it; at once where `at_once`."""

    text: str
    interrupt_after: float | None = None
    at_once: bool = False
    manner: Manner = PLAIN


class Press(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="press"):
    """Press keys when the other side has finished (`w` waits half a second)."""

    digits: str


class Silence(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="silence"):
    """Say nothing for so long, whatever comes."""

    seconds: float


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="wait"):
    """Until the other side has spoken and finished."""


class WaitFor(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="wait_for"):
    """Until one of these phrases was heard since the last line that was said, `within` seconds at most; then the script goes on or, where it
    is `required`, the person gives up and hangs up."""

    phrases: tuple[str, ...]
    within: float = 30.0
    required: bool = False


class Drop(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="drop"):
    """The line breaks without a good-bye: the carrier's media socket, once; the call goes on where the platform takes it up again."""


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="hang_up"):
    """At once."""


Step = Say | Press | Silence | Wait | WaitFor | Drop | HangUp


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


def keys_of(text: str) -> str | None:
    """Keys to press; None where there are others among them."""
    return text if _KEYS.fullmatch(text) else None


def _step(line: str, number: int) -> Step:
    found = _DIRECTIVE.fullmatch(line)
    if found is None:
        if line.startswith("["):
            raise BadScript(
                f"line {number}: no directive; there are [press KEYS], [silence SECONDS], [interrupt SECONDS] TEXT, "
                "[at once] TEXT, [wait], [wait for WORDS], [drop line] and [hang up]"
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
        case "wait for" if given and not rest:
            return WaitFor(phrases=tuple(part.strip() for part in _line(given, number).split("|") if part.strip()))
        case "drop line" if not given and not rest:
            return Drop()
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
