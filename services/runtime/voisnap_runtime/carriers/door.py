"""Who may wait at the door: sockets that have not said whose call they carry are few, and whoever has been silent longest goes first.

A carrier says it within a moment, so a place is never kept from a call by strangers who open sockets and say nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .admission import TRY_AGAIN, Refused

START_SECONDS = 5.0
"""How long a socket may take to say whose call it carries, and be let in."""
HURRIED_SECONDS = 2.0
"""How long it may be silent while more than half of the places are taken."""
MAX_STARTING = 256
"""Sockets at a time that are not let in yet."""


class PushedOut(Refused):
    """Others came for the place of a socket that said nothing."""

    def __init__(self) -> None:
        super().__init__("others came, and it said nothing", TRY_AGAIN)


class Place:
    """One socket's place at the door."""

    def __init__(self, door: "Door", limit: asyncio.Timeout, until: float) -> None:
        self._door = door
        self._until = until
        self.limit = limit
        self.is_pushed_out = False

    def spoken(self) -> None:
        """It has said whose call it carries: nobody pushes it out any more, and it has the time that is usual."""
        self._door.hear(self)
        self.is_pushed_out = False
        self.limit.reschedule(self._until)


class Door:
    """The places at the door of one process."""

    def __init__(self) -> None:
        self._silent: dict[Place, None] = {}
        self._spoken: set[Place] = set()

    @property
    def taken(self) -> int:
        return len(self._silent) + len(self._spoken)

    @property
    def is_full(self) -> bool:
        """Whether everybody here has said whose call he carries, and nobody else finds room."""
        return len(self._spoken) >= MAX_STARTING

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """A place until the socket is let in. Raises PushedOut inside, and TimeoutError for whoever takes too long."""
        if self.taken >= MAX_STARTING and self._silent:
            self._push_out()
        now = asyncio.get_running_loop().time()
        is_crowded = (self.taken + 1) * 2 > MAX_STARTING
        seconds = min(HURRIED_SECONDS, START_SECONDS) if is_crowded else START_SECONDS
        made: Place | None = None
        try:
            async with asyncio.timeout(seconds) as limit:
                made = Place(self, limit, now + START_SECONDS)
                self._silent[made] = None
                try:
                    yield made
                finally:
                    self._silent.pop(made, None)
                    self._spoken.discard(made)
        except TimeoutError:
            if made is not None and made.is_pushed_out:
                raise PushedOut from None
            raise

    def hear(self, place: Place) -> None:
        """A socket has said whose call it carries."""
        self._silent.pop(place, None)
        self._spoken.add(place)

    def _push_out(self) -> None:
        """Give up the place of whoever has been silent longest."""
        oldest = next(iter(self._silent))
        del self._silent[oldest]
        if not oldest.limit.expired():
            oldest.is_pushed_out = True
            oldest.limit.reschedule(0)
