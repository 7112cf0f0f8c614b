"""smart-turn v3.2: whether a caller has finished, by the sound of it."""

import asyncio
import threading
from pathlib import Path

from voisnap_media.pcm import Pcm
from voisnap_media.smart_turn import RATE, SmartTurn

from voisnap_providers.inference import InferencePool, PoolFullError, Priority

from .wire import PROVIDER, broken, require

KIND = "turn_end"
PATIENCE_SECONDS = 0.5
"""An answer that takes longer is of no use: the silence it was asked about has passed."""


class LocalTurnEnd:
    """smart-turn behind the port. Costs nothing until first asked: then it loads (0.3 s, 35 MB in use) beside the conversation.

    One question is computed at a time, since two would take twice the memory and leave no thread to the recogniser.
    """

    provider = PROVIDER

    def __init__(self, path: Path, pool: InferencePool) -> None:
        self._path = path
        self._pool = pool
        self._model: SmartTurn | None = None
        self._loading = threading.Lock()
        self._one_at_a_time = asyncio.Lock()

    async def warm(self) -> None:
        """Load the network."""
        await self._loaded()

    async def chance(self, turn: Pcm) -> float | None:
        """Ask the network; one run a question (see `voisnap_media.smart_turn`)."""
        if turn.rate != RATE:
            raise ValueError(f"the turn detector takes {RATE} Hz, got {turn.rate} Hz")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                model = await self._loaded()
                async with self._one_at_a_time:
                    return await self._pool.run(lambda: model.chance(turn.samples), Priority.FINAL)
        except (TimeoutError, PoolFullError):
            return None

    async def aclose(self) -> None:
        """Forget the network."""
        self._model = None

    async def _loaded(self) -> SmartTurn:
        """The network; whoever gives up waiting leaves it loading for the next."""
        return self._model or await asyncio.to_thread(self._load)

    def _load(self) -> SmartTurn:
        with self._loading:
            if self._model is None:
                path = require(self._path, kind=KIND)
                try:
                    self._model = SmartTurn.load(path)
                except ValueError as error:
                    raise broken(path, kind=KIND) from error
            return self._model
