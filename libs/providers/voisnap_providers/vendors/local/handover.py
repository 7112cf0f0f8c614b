"""Whether a caller wants to be put through to somebody, and to whom: by words alone.

Who can be asked for stands in the tool `transfer_call` that the agent is offered: its parameter `target` lists the names, and the lines of
its description say what each is for.
"""

import re
from collections.abc import Sequence

import msgspec

from voisnap_providers.ports.llm import Message, ToolSpec

from .normalise import sentences
from .terms import sound, terms

TOOL, CANCEL_TOOL = "transfer_call", "cancel_transfer"
WHOM = "Who would you like to speak to"
"""How the question begins when that is not clear."""
MAX_REASON = 200

_PERSON = (
    r"(?:human(?: being)?|person|people|somebody|someone|anybody|anyone|agent|operator|representative|rep|manager|supervisor|boss"
    r"|colleague|staff|employee|receptionist|advis[eo]r|consultant|specialist|expert|technician|member of (?:your |the )?(?:staff|team)|team)"
)
_ASKS = re.compile(
    r"\b(?:speak|talk|connect(?:ed)?|transfer(?:red)?|put(?: me)? (?:through|on)|pass(?: me)?(?: on| over)?|get(?: me)? (?:through|over)"
    r"|hand(?: me)? over|forward(?: me)?|switch(?: me)?(?: over)?|reach|redirect(?: me)?)\b",
    re.IGNORECASE,
)
_WANTS = re.compile(
    rf"\b(?:give|get|want|need|like|prefer|fetch)\s+(?:me\s+)?(?:an?\s+|the\s+|your\s+|another\s+)?"
    rf"(?:(?:real|live|actual|human|different)\s+)*(?!(?:people|team|staff)\b){_PERSON}\b",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(rf"\b{_PERSON}\b", re.IGNORECASE)
_BARE = re.compile(rf"^\W*(?:(?:an?|the|real|live|actual|human)\s+)*{_PERSON}(?:\s+(?:please|now))*\W*$", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:don't|do not|no need to|not) (?:want to |need to )?(?:be )?(?:speak|talk|transfer(?:red)?|connect(?:ed)?|put)\b"
    r"|\b(?:just|already) (?:spoke|talked|been)\b|\bdid i (?:speak|talk)\b|\bam i (?:speaking|talking)\b|\bare you\b",
    re.IGNORECASE,
)
_STAYS = re.compile(
    r"\b(?:never ?mind|forget (?:it|about it)|don't bother|(?:stop|cancel)(?: (?:it|that|the transfer|please))?$|changed my mind"
    r"|(?:rather|i'll|i will|let me) (?:stay|talk to you|keep talking)|don't (?:want|need) to wait|(?:i'll|i will) (?:call|try) (?:back|again|later))",
    re.IGNORECASE,
)
_ANYBODY = re.compile(
    r"\b(?:any(?:one|body)|whoever|doesn't matter|don't (?:care|mind)|either|the first)\b", re.IGNORECASE
)
_GENERAL = re.compile(
    r"\b(?:reception(?:ist)?|front desk|operator|human|person|agent|general|everything|any(?:thing|one|body)|main|switchboard|colleague"
    r"|customer (?:service|care|support)|help ?desk)\b",
    re.IGNORECASE,
)
_AROUND = frozenset(terms("department team desk office line people person please staff speak talk transfer connect"))


class Target(msgspec.Struct, frozen=True):
    """Somebody who can be asked for, and what for."""

    name: str
    purpose: str


def targets_of(tools: Sequence[ToolSpec]) -> tuple[Target, ...]:
    """Who can be asked for; nobody without the tool."""
    for tool in tools:
        if tool.name == TOOL:
            target = tool.parameters.get("properties", {}).get("target", {})
            lines = str(target.get("description", "")).splitlines()
            return tuple(Target(name, _purpose(name, lines)) for name in map(str, target.get("enum", ())))
    return ()


def asked_for(heard: str, targets: Sequence[Target], *, last: str) -> Target | str | None:
    """The one whom the caller wants to speak to, or a question when that is not clear; None when he wants nobody. `last` is what the agent
    said last."""
    if not targets or _NOT.search(heard):
        return None
    tail = (sentences(last) or ("",))[-1]
    if tail.startswith(WHOM):
        return _named(heard, targets) or (targets[0] if _ANYBODY.search(heard) else None)
    bare = _sounds(heard)
    for target in targets:
        if bare and bare <= _sounds(target.name):
            return target
    if _ASKS.search(heard) and (named := _named(heard, targets)):
        return named
    wants_somebody = _BARE.match(heard) or _WANTS.search(heard) or (_ASKS.search(heard) and _SOMEBODY.search(heard))
    return (_named(heard, targets) or _anybody(targets)) if wants_somebody else None


def would_rather_stay(heard: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> bool:
    """Whether a caller who is being put through does not want that any more."""
    if not any(tool.name == CANCEL_TOOL for tool in tools):
        return False
    called = [call.name for message in messages for call in message.tool_calls]
    return called[-1:] == [TOOL] and _STAYS.search(heard.strip(" .!?,")) is not None


def reason_of(heard: str) -> str:
    """Why, in his own words."""
    return heard[:MAX_REASON]


def _named(heard: str, targets: Sequence[Target]) -> Target | None:
    """By name first, then by how the name sounds, then by what it is for: recognisers write "sails" for "sales"."""
    said, sounds = {*terms(heard)} - _AROUND, _sounds(heard)
    by_name = [(len(said & {*terms(target.name)}), target) for target in targets]
    by_sound = [(len(sounds & _sounds(target.name)), target) for target in targets]
    by_purpose = [(len(said & {*terms(target.purpose)}), target) for target in targets]
    for found in (by_name, by_sound, by_purpose):
        most = max(count for count, _ in found)
        best = [target for count, target in found if count == most]
        if most and len(best) == 1:
            return best[0]
    return None


def _sounds(text: str) -> set[str]:
    return {sound(term) for term in {*terms(text)} - _AROUND}


def _anybody(targets: Sequence[Target]) -> Target | str:
    if len(targets) == 1:
        return targets[0]
    general = [target for target in targets if _GENERAL.search(f"{target.name} {target.purpose}")]
    if len(general) == 1:
        return general[0]
    names = [target.name for target in targets]
    return f"{WHOM}: {', '.join(names[:-1])} or {names[-1]}?"


def _purpose(name: str, lines: Sequence[str]) -> str:
    return next((line.removeprefix(f"{name}:").strip() for line in lines if line.startswith(f"{name}:")), "")
