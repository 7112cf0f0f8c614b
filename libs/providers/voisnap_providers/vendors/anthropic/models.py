"""What Claude models differ in: how far they can be kept from thinking before they speak, and which still take a temperature.

Facts: Claude platform documentation, "Thinking" (support and defaults by model), "Effort", and the notes of API version 2026-10-21.
"""

import re
from typing import Any

import msgspec

THINKING_TOKENS = 2048
"""Room for the thoughts of models that can't be kept from thinking: the vendor counts thoughts against `max_tokens`."""

_NAME = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d+)(?:-(?P<minor>\d)(?!\d))?")
_OLD_NAME = re.compile(r"claude-(?:[123]|instant)\b")


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """`thinking`: what to send so that it thinks least before it speaks, if anything. `has_low_effort`: it always thinks, but little when told
    so. `takes_sampling`: temperature or top_p, by API version 2023-06-01 only."""

    thinking: dict[str, Any] | None = None
    has_low_effort: bool = False
    takes_sampling: bool = False


def traits_of(model: str) -> Traits:
    """What to heed for a model. A caller waits on the line: every model is told to think as little as it can be. An unknown Claude is taken
    for a newer one, anything else for a model without any of it."""
    if _OLD_NAME.match(model):
        return Traits(takes_sampling=True)
    known = _NAME.match(model)
    if known is None:
        return Traits()
    family, version = known["family"], (int(known["major"]), int(known["minor"] or 0))
    if version < (4, 7):
        return Traits(takes_sampling=True)
    if version < (5, 0):
        return Traits()
    match family, version:
        case ("opus" | "sonnet", (5, 0)) | ("haiku", (5, _)):
            return Traits(thinking={"type": "disabled"})
        case ("sonnet", (5, 5)):
            return Traits(thinking={"type": "between_tools"})
        case _:
            return Traits(has_low_effort=True)
