"""Words of the agent in the making: text → sentences → voice → mouth, one task.

An utterance may be begun before anybody knows whether it will be said: a draft makes its first sentence and waits. `adopt` plays what is
there, at once; `cancel` leaves nothing behind. A filler ("One moment, please.") may go before an utterance that takes long.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing

import structlog
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.tts import SpeechChunk

from .mouth import Heard, Mouth
from .sentences import sentences, whole_sentences
from .speaker import Speaker

log = structlog.get_logger()


class Utterance:
    """One utterance. `apologise` gets a provider's failure and returns what to say instead, if anything; `mute` the voice's last failure;
    `crashed` a bug. `spoke` is called whenever a piece was turned into sound."""

    def __init__(
        self,
        text: AsyncGenerator[str],
        *,
        speaker: Speaker,
        mouth: Mouth,
        apologise: Callable[[ProviderError], str],
        mute: Callable[[ProviderError], None],
        spoke: Callable[[], None],
        crashed: Callable[[BaseException], None],
        answers: str = "",
    ) -> None:
        self.answers = answers
        """The caller's words that it replies to."""
        self.written = ""
        """Its text as far as it is known, fillers aside."""
        self.is_written = False
        """Whether that is all of it."""
        self.wants_end = False
        """Whether the call is to end once it was heard."""
        self.sentence_at: float | None = None
        self.chunk_at: float | None = None
        self._is_settled = False
        self._after: list[Callable[[], None]] = []
        self._text = text
        self._speaker = speaker
        self._mouth = mouth
        self._apologise = apologise
        self._mute = mute
        self._spoke = spoke
        self._loop = asyncio.get_running_loop()
        self._adopted = asyncio.Event()
        self._kept: list[SpeechChunk] = []
        self._failed = False
        self._fillers: list[str] = []
        self._filling: asyncio.Task[None] | None = None
        self._voice = asyncio.Lock()
        self._task = asyncio.create_task(self._make(), name="utterance")
        self._task.add_done_callback(lambda task: _report(task, crashed))

    # --- its life

    @property
    def is_adopted(self) -> bool:
        """Whether it is being said, or was."""
        return self._adopted.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether a draft came to nothing, so that it is of no use."""
        return self._failed

    def adopt(self) -> None:
        """Say it from now on."""
        self._adopted.set()
        self._mouth.begin()
        for chunk in self._kept:
            self._mouth.put(chunk)
        self._kept = []

    async def adopted(self) -> None:
        """Wait until it is being said: what it is for is sure then."""
        await self._adopted.wait()

    def when_settled(self, told: Callable[[], None]) -> None:
        """Call `told` once it was heard, or cut."""
        if self._is_settled:
            told()
        else:
            self._after.append(told)

    def settle(self) -> None:
        """It was heard, or cut."""
        self._is_settled = True
        waiting, self._after = self._after, []
        for told in waiting:
            told()

    def fill(self, text: str) -> None:
        """Say `text` while nothing of the utterance itself is there yet."""
        if self.chunk_at is None and self._filling is None and not self._task.done():
            self._filling = asyncio.create_task(self._fill(text), name="filler")
            self._filling.add_done_callback(self._filled)

    def cancel(self) -> None:
        """Make no more of it."""
        self._task.cancel()
        if self._filling is not None:
            self._filling.cancel()

    async def over(self) -> None:
        """Wait until its tasks are done, whatever became of them."""
        tasks = [task for task in (self._task, self._filling) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is known of it

    @property
    def is_begun(self) -> bool:
        """Whether any sound of the utterance itself is there."""
        return self.chunk_at is not None

    def own_words(self, heard: str) -> str:
        """What was heard without the fillers."""
        return heard.removeprefix(" ".join(self._fillers)).strip()

    def rest(self, heard: Heard | None) -> str:
        """What is still to be said; of a text that is not all written only whole sentences."""
        known = self.written if self.is_written else whole_sentences(self.written)
        words_heard = len(self.own_words(heard.text).split()) if heard is not None else 0
        return " ".join(known.split()[words_heard:])

    # --- making it

    async def _make(self) -> None:
        try:
            async with aclosing(self._text) as text, aclosing(self._noted(text)) as noted:
                async with aclosing(sentences(noted)) as pieces:
                    async for piece in pieces:
                        if self.sentence_at is None:
                            self.sentence_at = self._loop.time()
                        await self._say(piece)
        except ProviderError as error:
            if not self._adopted.is_set():
                self._failed = True
                return
            await self._say_instead(error)
        await self._adopted.wait()
        self._mouth.close()

    async def _noted(self, text: AsyncIterable[str]) -> AsyncGenerator[str]:
        async for piece in text:
            self.written += piece
            yield piece
        self.is_written = True

    async def _say(self, piece: str) -> None:
        async with self._voice, aclosing(self._speaker.chunks(piece)) as chunks:
            async for chunk in chunks:
                if self.chunk_at is None:
                    self.chunk_at = self._loop.time()
                if self._adopted.is_set():
                    await self._mouth.add(chunk)
                else:
                    self._kept.append(chunk)
                self._spoke()
        await self._adopted.wait()

    async def _say_instead(self, error: ProviderError) -> None:
        apology = self._apologise(error)
        if not apology:
            return
        self.written, self.is_written = f"{self.written} {apology}".strip(), True
        try:
            await self._say(apology)
        except ProviderError as second:
            self._mute(second)

    async def _fill(self, text: str) -> None:
        async with self._voice:
            if self.chunk_at is not None:
                return
            async with aclosing(self._speaker.chunks(text)) as chunks:
                async for chunk in chunks:
                    self._fillers.append(chunk.text)
                    await self._mouth.add(chunk)

    def _filled(self, task: asyncio.Task[None]) -> None:
        """A filler that fails is no matter: the reply itself tells what is wrong with the voice."""
        self._filling = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("filler.failed", error=type(error).__name__)


def _report(task: asyncio.Task[None], crashed: Callable[[BaseException], None]) -> None:
    """A bug in a reply must not leave the call silent for good."""
    if not task.cancelled() and (error := task.exception()) is not None:
        crashed(error)
