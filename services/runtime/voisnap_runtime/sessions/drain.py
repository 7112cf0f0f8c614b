"""How a process goes when it is asked to: its calls go on in others, heard by nobody; where there is no other, they end properly."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from voisnap_domain.ids import NodeId
from voisnap_kit import log
from voisnap_kit.health import DrainGate
from voisnap_kit.redis import RedisError

from .desk import Desk
from .journal import Relay
from .neighbours import Neighbours
from .nodes import Nodes
from .roster import LiveSessions

_log = log.get(__name__)

SESSIONS_SECONDS = 2.4
"""What the sessions may take to end when there is nobody to go on with them; all in all the process is gone within 4 s then."""

RELAY_SECONDS = 0.7
HUBS_SECONDS = 0.3
REGISTER_SECONDS = 0.3

TOGETHER_SECONDS = 0.2
"""Processes that are stopped at the same moment need so long to learn that of each other."""

EDGE_SECONDS = 1.2
"""How long the edge may go on sending callers here: it asks each process twice a second whether it is ready."""

LOOK_SECONDS = 0.5


class Hubs(Protocol):
    """The part of the hub layer that draining needs."""

    def refuse(self) -> None: ...
    async def drain(self, *, timeout_s: float = 3.0) -> None: ...


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """The steps, in their order. `seconds` is how long silent moments are waited for."""

    gate: DrainGate
    hubs: Hubs
    desk: Desk
    sessions: LiveSessions
    neighbours: Neighbours
    nodes: Nodes
    relay: Relay
    seconds: float
    edge_seconds: float = EDGE_SECONDS

    async def __call__(self) -> None:
        """Take nothing new; hand every session over or end it; tell what they did."""
        self.gate.close()
        self.hubs.refuse()
        self.sessions.take_no_more()
        await self.desk.close_door()
        if len(self.sessions) and self.seconds > 0 and await self._have_followers(at_first=True):
            await self._hand_over()
        await self.desk.close()
        await self.neighbours.close()
        await self.sessions.close(timeout=SESSIONS_SECONDS)
        await self.relay.drained(timeout=RELAY_SECONDS)
        await self.hubs.drain(timeout_s=HUBS_SECONDS)
        await _within(REGISTER_SECONDS, self.nodes.leave)

    async def _hand_over(self) -> None:
        _log.info("drain.hands_over", sessions=len(self.sessions), seconds=self.seconds)
        await asyncio.sleep(self.edge_seconds)
        work = asyncio.create_task(self.sessions.hand_over(timeout=self.seconds))
        while not work.done():
            await asyncio.wait({work}, timeout=LOOK_SECONDS)
            if not work.done() and not await self._have_followers():
                _log.warning("drain.followers_gone", sessions=len(self.sessions))
                work.cancel()
                await asyncio.wait({work})
        if not work.cancelled() and work.exception() is not None:
            _log.error("drain.failed", error=repr(work.exception()))

    async def _have_followers(self, *, at_first: bool = False) -> bool:
        """Whether another process lives, has room and stays."""
        if at_first:
            await _within(REGISTER_SECONDS, self.nodes.register)
            await asyncio.sleep(TOGETHER_SECONDS)
        others: tuple[NodeId, ...] = await _within(REGISTER_SECONDS, self.nodes.followers) or ()
        for other in others:
            if await self.neighbours.answers(other):
                return True
        return False


async def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """What is answered within so many seconds; None when the store is away."""
    with contextlib.suppress(TimeoutError, RedisError):
        async with asyncio.timeout(seconds):
            return await ask()
    return None
