"""Filling `{{variables}}` into prompts and spoken messages.

    {{name}}            the variable's value, empty when there is none
    {{ name | there }}  a default for a variable that is missing or empty

Sources, later wins: the agent's variables, the session's metadata, built-ins (decisions, "{{variables}}").
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .sessions import Direction, SessionPlan

MAX_VALUE_CHARS = 4000
"""A longer value is cut: a variable must not fill a model's context."""

_PLACEHOLDER = re.compile(r"\{\{\s*(?P<name>[A-Za-z_][\w.-]{0,99})\s*(?:\|(?P<default>[^{}]*))?\}\}")


class Rendered(msgspec.Struct, frozen=True):
    """A filled template, and the variables that had neither value nor default, each once, in order."""

    text: str
    unknown: tuple[str, ...] = ()


def render(template: str, variables: Mapping[str, Any]) -> Rendered:
    """Fill a template. Values are put in as they are: a placeholder inside a value stays text.

    A dotted name (`order.id`) looks into nested objects when no variable has that whole name.
    """
    unknown: dict[str, None] = {}

    def value_of(match: re.Match[str]) -> str:
        text = _spelled(_lookup(match["name"], variables))
        if text:
            return text
        if match["default"] is not None:
            return match["default"].strip()
        if text is None:
            unknown[match["name"]] = None
        return ""

    return Rendered(_PLACEHOLDER.sub(value_of, template), tuple(unknown))


def variables_of(plan: SessionPlan, *, now: datetime) -> dict[str, Any]:
    """Everything a template of this session may name. `now` carries the time zone that is told."""
    inbound = plan.direction is Direction.INBOUND
    number = plan.caller.phone_number
    called = plan.leg.number if plan.leg is not None else plan.metadata.get("calledNumber")
    return {
        **plan.agent.config.variables,
        **plan.metadata,
        "now": now.isoformat(timespec="seconds"),
        "date": f"{now:%A}, {now:%B} {now.day}, {now.year}",
        "time": f"{now.hour % 12 or 12}:{now:%M} {'AM' if now.hour < 12 else 'PM'}",
        "timezone": now.tzname() or "UTC",
        "callerNumber": number if inbound else called,
        "calledNumber": called if inbound else number,
        "channel": plan.channel.value,
        "agentName": plan.agent.config.persona.name,
        "conversationId": plan.conversation_id,
    }


def _lookup(name: str, variables: Mapping[str, Any]) -> Any:
    if name in variables:
        return "" if variables[name] is None else variables[name]
    value: Any = variables
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return "" if value is None else value


def _spelled(value: Any) -> str | None:
    match value:
        case None:
            return None
        case str():
            text = value
        case bool():
            text = "yes" if value else "no"
        case int() | float():
            text = f"{value:g}" if isinstance(value, float) else str(value)
        case list() | tuple():
            text = ", ".join(_spelled(item) or "" for item in value)
        case _:
            text = msgspec.json.encode(value).decode()
    return text[:MAX_VALUE_CHARS]
