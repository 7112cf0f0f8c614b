"""What the processes of the runtime ask each other: hand me this session, is its caller with you?

The answer to a claim is never trusted alone: whoever asks takes the session by compare-and-set afterwards, and an owner that was too slow to
answer finds its writes refused.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum, auto
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId, SessionId
from voisnap_kit import log
from voisnap_kit.bus import BusError, Subscription

_log = log.get(__name__)

R = TypeVar("R")

YIELD_SECONDS = 0.3
"""An owner that says nothing for so long counts as dead."""


class YieldSession(msgspec.Struct, frozen=True, kw_only=True):
    """Hand a session over to the process that asks. `takes_over`: even if a hub is connected. `only_looks`: just tell what you would do."""

    session_id: SessionId
    takes_over: bool = False
    only_looks: bool = False


class Yielding(StrEnum):
    """What came of it."""

    YIELDED = "yielded"
    """It is nobody's now, and everything about it is in the store."""
    ABSENT = "absent"
    """It does not live there."""
    WATCHED = "watched"
    """Its caller is connected there."""
    ENDING = "ending"
    """It is about to end."""


class Sign(StrEnum):
    """What is known of an owner and one of its sessions."""

    LIVES = auto()
    """The owner holds the session."""
    SILENT = auto()
    """It does not answer, or knows nothing of it."""
    UNKNOWN = auto()
    """Nobody can be asked now."""


class SessionYielded(msgspec.Struct, frozen=True, kw_only=True):
    """The owner's answer."""

    outcome: Yielding


class Requests(Protocol):
    """The part of the bus that neighbours need."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...
    async def check(self) -> None: ...


class Neighbours:
    """The other processes, over the bus."""

    def __init__(self, bus: Requests, node_id: NodeId) -> None:
        self._bus = bus
        self._node_id = node_id
        self._subscription: Subscription | None = None

    async def listen(self, answer: Callable[[YieldSession], Awaitable[SessionYielded]]) -> None:
        """Answer the others until `close`."""
        node = self._node_id
        self._subscription = await self._bus.respond(yield_session_at(node), node, YieldSession, answer)

    async def close(self) -> None:
        """Answer no more."""
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    async def answers(self, node_id: NodeId) -> bool:
        """Whether that process is there."""
        nothing = YieldSession(session_id=SessionId(""), only_looks=True)
        try:
            await self._bus.request(yield_session_at(node_id), nothing, SessionYielded, timeout=YIELD_SECONDS)
        except (BusError, DomainError):
            return False
        return True

    async def sign_of(self, owner: NodeId, session_id: SessionId) -> Sign:
        """Whether the owner of a session is alive and holds it."""
        try:
            await self._bus.check()
        except BusError:
            return Sign.UNKNOWN
        outcome = await self.ask(owner, YieldSession(session_id=session_id, only_looks=True))
        return Sign.SILENT if outcome is Yielding.ABSENT else Sign.LIVES

    async def ask(self, owner: NodeId, request: YieldSession) -> Yielding:
        """What the owner of a session does with it; ABSENT when it does not answer."""
        try:
            answer = await self._bus.request(yield_session_at(owner), request, SessionYielded, timeout=YIELD_SECONDS)
        except (BusError, DomainError) as error:
            _log.warning("session.owner_silent", session_id=request.session_id, owner=owner, error=repr(error))
            return Yielding.ABSENT
        return answer.outcome


def yield_session_at(node_id: NodeId) -> str:
    """The subject on which a process is asked for its sessions."""
    return f"node.{node_id}.yield_session.v1"
