"""Looks after messages in a worker: answers what came, sends what goes out, keeps what came with it, each as soon as it is due."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from voisnap_kit import log
from voisnap_kit.backoff import Backoff
from voisnap_kit.bus import EventBus
from voisnap_kit.postgres import Database
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.ports.blobs import Blobs

from .exchanges import Exchanges
from .media import MediaKeeper
from .networks import Networks
from .sending import Outbox
from .voice_notes import VoiceNotes

MOST_PAUSE = 1.0
"""Seconds after which it looks whether another process wrote something."""

LEAST_PAUSE = 0.05
VAIN_PAUSE = 0.25
"""Where what is due has to wait: for the one before it, or for another worker."""

CLEAR_UP_SECONDS = 30.0
MOST_UNDER_WAY = 8
"""Rounds that wait for agents or networks at the same time; each has room for many threads."""

_log = log.get(__name__)


class Postman:
    """One a worker; safe to run in many."""

    def __init__(self, exchanges: Exchanges, outbox: Outbox, keeper: MediaKeeper, networks: Networks) -> None:
        self.networks = networks
        self._keeper = keeper
        self._exchanges = exchanges
        self._outbox = outbox
        self._woken = asyncio.Event()
        self._under_way: set[asyncio.Task[int]] = set()
        self._keeping: asyncio.Task[int] | None = None
        self._in_vain = False

    @classmethod
    def of(
        cls,
        database: Database,
        bus: EventBus,
        blobs: Blobs,
        networks: Networks,
        voice_notes: VoiceNotes,
        urls: CarrierUrls,
    ) -> Self:
        """A postman with these means."""
        outbox = Outbox(database, networks, urls)
        exchanges = Exchanges(database, bus, networks, voice_notes)
        return cls(exchanges, outbox, MediaKeeper(database, blobs, networks), networks)

    def wake(self) -> None:
        """Something was written."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        loop, failures = asyncio.get_running_loop(), Backoff(first=0.2, cap=10.0)
        cleared_at = float("-inf")
        task = asyncio.current_task()
        try:
            while task is None or not task.cancelling():  # libraries may forget one that comes with what they wait for
                self._woken.clear()
                try:
                    if loop.time() - cleared_at > CLEAR_UP_SECONDS:
                        await self._outbox.clear_up()
                        self._begin(self._keeper.discard())
                        cleared_at = loop.time()
                    pause = await self._look()
                    failures.reset()
                except Exception as error:
                    pause = failures.next()
                    _log.error("messages.look_failed", error=repr(error), retry_in=round(pause, 2))
                try:
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            left = [*self._under_way, *([self._keeping] if self._keeping is not None else [])]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _look(self) -> float:
        """Begin what is due; the seconds until something may be due again."""
        to_fetch = await self._keeper.seconds_to_next()
        if to_fetch is not None and to_fetch <= 0 and self._keeping is None:
            # One round beside the others: what is slow to come keeps nobody's answer, and little of it is in memory.
            self._keeping = asyncio.create_task(self._keeper.keep_due(), name="message-media")
            self._keeping.add_done_callback(self._kept)
        seconds = await self._outbox.seconds_to_next()
        if seconds is None or seconds > 0 or len(self._under_way) >= MOST_UNDER_WAY:
            return MOST_PAUSE if seconds is None or seconds <= 0 else min(MOST_PAUSE, max(LEAST_PAUSE, seconds))
        pause, self._in_vain = (VAIN_PAUSE if self._in_vain else LEAST_PAUSE), False
        self._begin(self._exchanges.answer_due())
        self._begin(self._outbox.send_due())
        return pause

    def _kept(self, task: "asyncio.Task[int]") -> None:
        self._keeping = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("messages.media_round_failed", error=repr(task.exception()))

    def _begin(self, work: Coroutine[Any, Any, int]) -> None:
        task = asyncio.create_task(work, name="messages")
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[int]") -> None:
        self._under_way.discard(task)
        if task.cancelled():
            return
        if task.exception() is not None:
            _log.error("messages.round_failed", error=repr(task.exception()))
        elif task.result():
            self._in_vain = False
            self.wake()
        else:
            self._in_vain = True
