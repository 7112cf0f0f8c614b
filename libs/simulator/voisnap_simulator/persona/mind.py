"""What decides what a simulated person says next. A mind never changes: each answer comes with the mind that has given it, so that an answer
that was overtaken (the other side spoke on) is dropped without a trace."""

from enum import StrEnum
from typing import Protocol

import msgspec


class Reached(StrEnum):
    """Whether a goal was reached, as far as the person can tell."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is done next: `text` is said, `keys` are pressed, `ends` hangs up afterwards. Nothing of it: the person goes on listening."""

    text: str = ""
    keys: str = ""
    ends: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of a goal. `words` are the other side's that show it, `reason` says it in one line, `improvised` are things that the goal does
    not name and the person made up, `missing` what he was asked and could not say. `brain` answered: `local`, or a provider and model."""

    goal_reached: Reached
    reason: str
    words: tuple[str, ...] = ()
    turns: int = 0
    improvised: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    brain: str = "local"


class Mind(Protocol):
    """One person in one conversation."""

    async def answer(self, heard: str) -> "tuple[Reply, Mind]":
        """The other side has said something, and waits."""
        ...

    async def silence(self) -> "tuple[Reply, Mind]":
        """Nobody has said anything for a while; or it is the person who speaks first."""
        ...

    def heard_last(self, text: str) -> "Mind":
        """Words that came when nothing can be answered any more: the conversation is over."""
        ...

    def verdict(self) -> Verdict:
        """As things stand."""
        ...
