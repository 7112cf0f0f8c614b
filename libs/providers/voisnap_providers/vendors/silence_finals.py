"""Final words from recognisers that cannot be asked for them: silence at once makes them think that the caller paused.

`SilenceFinals` is what such a connection keeps: where its own silence lies between the audio, so that times come out as if there were none,
and whether a result answers the last request. It also answers itself, when the vendor says nothing because there was nothing to say.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator

import msgspec
from voisnap_domain.conversations import Word

from voisnap_providers.errors import ProviderError
from voisnap_providers.live_stt import Heard

RATE = 16000
CLOSE_ENOUGH_SECONDS = 0.6
"""A final result that ends so shortly before the request is about all of it: callers are silent for a moment before they are thought done."""
AFTER_FINAL_SECONDS = 0.25
"""How long after another final result one more may begin to show."""
MOST_SILENT = 3
"""Requests in a row that the vendor answered with nothing at all, after which the connection is thought dead."""
LONG_SECONDS = 1.0
MOST_GAPS = 512


class _Asked:
    """A request was made."""


class SilenceFinals:
    """Results of one connection. `patience`: how long after a request a vendor may need to show that it heard something."""

    def __init__(self, *, silence: float, patience: float, provider: str) -> None:
        self._silence = round(silence * RATE)
        self._patience = patience
        self._provider = provider
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Heard | Exception | _Asked | None] = asyncio.Queue()
        self._total = 0
        """Samples the vendor got."""
        self._inserted = 0
        self._gap_ends: list[int] = []
        self._gaps: list[tuple[int, int]] = []
        """For each silence of ours: where it begins at the vendor, and how much there is up to its end."""
        self._asked: float | None = None
        self._due: float | None = None
        self._is_open = False
        self._since_answer = 0
        self._is_heard = False
        self._silent = 0

    def carried(self, audio: bytes) -> None:
        """The vendor gets this audio."""
        self._total += len(audio) // 2
        self._since_answer += len(audio) // 2

    def ask(self) -> bytes:
        """A request for final words: the silence to send."""
        self._asked = (self._total - self._inserted) / RATE
        self._due = self._loop.time() + self._patience
        self._results.put_nowait(_Asked())  # whoever waits for a result waits no longer than that
        self._inserted += self._silence
        self._gaps.append((self._total, self._inserted))
        self._total += self._silence
        self._gap_ends.append(self._total)
        if len(self._gaps) > MOST_GAPS:
            del self._gaps[0], self._gap_ends[0]
        return bytes(self._silence * 2)

    def put(self, heard: Heard) -> None:
        """A result with the vendor's times."""
        heard = self._placed(heard)
        self._is_heard = self._is_heard or bool(heard.text)
        if not heard.is_final:
            self._is_open = bool(heard.text)
        else:
            self._is_open = False
            if self._asked is not None:
                end = heard.until or 0.0
                if heard.text and end >= self._asked - CLOSE_ENOUGH_SECONDS:
                    heard = msgspec.structs.replace(heard, answers_finalise=True)
                    self._answered()
                elif self._due is not None:
                    self._due = min(self._due, self._loop.time() + AFTER_FINAL_SECONDS)
        self._results.put_nowait(heard)

    def fail(self, error: Exception) -> None:
        """The connection is over, and why."""
        self._results.put_nowait(error)

    def end(self) -> None:
        """The connection is over."""
        self._results.put_nowait(None)

    async def results(self) -> AsyncGenerator[Heard]:
        """Results with times as if nothing had been inserted. Raises what was told by `fail`."""
        while True:
            try:
                async with asyncio.timeout_at(self._due):
                    result = await self._results.get()
            except TimeoutError:
                self._due = None
                if not self._is_open and self._asked is not None:
                    yield self._nothing_more()
                continue
            if isinstance(result, _Asked):
                continue
            if result is None:
                return
            if isinstance(result, Exception):
                raise result
            yield result

    def _nothing_more(self) -> Heard:
        """The answer a vendor does not give for silence and noise."""
        is_long = self._since_answer > LONG_SECONDS * RATE
        self._silent = 0 if self._is_heard else self._silent + is_long
        if self._silent >= MOST_SILENT:
            detail = "It says nothing any more."
            raise ProviderError(detail, provider=self._provider, kind="stt", retryable=True)
        until = self._asked
        self._answered()
        return Heard(text="", is_final=True, until=until, answers_finalise=True)

    def _answered(self) -> None:
        self._silent = 0 if self._is_heard else self._silent
        self._asked = self._due = None
        self._is_heard = False
        self._since_answer = 0

    def _placed(self, heard: Heard) -> Heard:
        words = tuple(
            Word(
                word=word.word,
                start_time=self._time(word.start_time),
                end_time=self._time(word.end_time),
                confidence=word.confidence,
            )
            for word in heard.words
        )
        until = None if heard.until is None else self._time(heard.until)
        return msgspec.structs.replace(heard, words=words, until=until)

    def _time(self, seconds: float) -> float:
        """A moment at the vendor as seconds of the audio without our silence; one within it is where it begins."""
        at = seconds * RATE
        index = bisect_right(self._gap_ends, at)
        inserted = self._gaps[index - 1][1] if index else (self._gaps[0][1] - self._silence if self._gaps else 0)
        if index < len(self._gaps):
            at = min(at, self._gaps[index][0])
        return max(0.0, (at - inserted) / RATE)
