"""Asks a model how likely a turn is over, one question at a time; an answer that comes late or not at all is no matter."""

import asyncio
import time
from collections.abc import Callable

import structlog
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.turn_end import TurnEndDetector

from voisnap_runtime import metrics

JUDGE_SECONDS = 1.0
"""An answer that takes longer comes too late."""

log = structlog.get_logger()


class Judging:
    """`judged` gets the chance that a turn is over, and the silence it is about."""

    def __init__(self, detector: TurnEndDetector, judged: Callable[[float, float], None]) -> None:
        self._detector = detector
        self._judged = judged
        self._task: asyncio.Task[None] | None = None

    def start(self, audio: Pcm, silent_since_ms: float) -> None:
        """Ask about this audio; a former question is dropped."""
        self.stop()
        if len(audio):
            self._task = asyncio.create_task(self._ask(audio, silent_since_ms), name="judging")

    def stop(self) -> None:
        """Want no answer any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def warm(self) -> None:
        """Load the model before the first question; a model that is missing leaves silence to end the turns."""
        try:
            await self._detector.warm()
        except ProviderError as error:
            log.warning("turn_end.not_loaded", provider=error.provider, reason=error.detail)

    async def _ask(self, audio: Pcm, silent_since_ms: float) -> None:
        asked = time.perf_counter()
        try:
            async with asyncio.timeout(JUDGE_SECONDS):
                chance = await self._detector.chance(audio)
        except (ProviderError, TimeoutError) as error:
            log.info("turn.not_judged", error=type(error).__name__)
            return
        if chance is not None:
            metrics.TURN_JUDGED.observe(time.perf_counter() - asked)
            self._judged(chance, silent_since_ms)
