"""A chain of recognisers as one: what a recogniser that fails still owed words for is heard by the next.

The audio since the last final is kept, as far back as `REPLAY_SECONDS`, together with what was asked of the recogniser in between. Times of
words go on counting from the first sample ever pushed, and every flush is answered once, whoever answers it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from enum import Enum

import msgspec
import numpy as np
import structlog
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

from .errors import ProviderError, ProviderTimeout
from .ports.stt import SpeechToText, SttCapabilities, SttStream, Transcript
from .resilience import Chain, Link, Policy, worse
from .slots import Lease, Slots

log = structlog.get_logger()

REPLAY_SECONDS = 30.0
ANSWER_SECONDS = 2.0
"""How long a recogniser may take for final words while another one could be asked."""
LAST_RESORT_FACTOR = 2.0
"""Better late than by somebody whom the agent's owner never chose."""
CLOSE_SECONDS = 1.0
LEAD_SECONDS = 0.5
"""What is replayed before the first sound."""
FADED = 0.02
"""Sound this much quieter than the loudest is none: 34 dB."""
LEAST_PEAK = 64


class _Asked(Enum):
    PAUSE = "pause"
    FLUSH = "flush"


class _Heard(msgspec.Struct, frozen=True, eq=False):
    """Audio that began `start` seconds after the first sample ever pushed."""

    start: float
    audio: Pcm


class ResilientStt:
    """A chain of recognisers. Each is opened with its own settings."""

    def __init__(
        self,
        links: tuple[Link[SpeechToText, Transcription], ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        slots: Slots | None = None,
    ) -> None:
        self._chain = Chain(links, "stt", policy or Policy(first_timeout=ANSWER_SECONDS), random, slots=slots)
        self.provider = links[0].provider
        self.capabilities: SttCapabilities = links[0].port.capabilities

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "ResilientSttStream":
        """Start listening at the recogniser that does best. Raises ProviderError when none can be asked at all."""
        return ResilientSttStream(self._chain, settings, keyterms)

    async def aclose(self) -> None:
        """Close every recogniser of the chain."""
        await self._chain.aclose()


class ResilientSttStream:
    """One caller's audio. `adapted` is told when a recogniser with other capabilities took over."""

    def __init__(
        self, chain: Chain[SpeechToText, Transcription], settings: Transcription, keyterms: tuple[str, ...]
    ) -> None:
        self._chain = chain
        self._settings = settings
        self._keyterms = keyterms
        self.adapted: Callable[[SttCapabilities], None] | None = None
        self.dropped_seconds = 0.0
        """Audio that was too old to be kept and would have been wanted by the next recogniser."""
        self._tail: deque[_Heard | _Asked] = deque()
        self._tail_seconds = 0.0
        self._seconds = 0.0
        self._times: list[tuple[float, float]] = []
        self._given = 0.0
        self._answered = 0
        self._answered_before = 0
        self._due = 0
        self._due_at: float | None = None
        self._limit: asyncio.Timeout | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._failed: set[int] = set()
        self._failure: ProviderError | None = None
        self._stream: SttStream | None = None
        self._lease: Lease | None = None
        self._link = self._next_link()
        self._begin()

    # --- the port

    def push(self, audio: Pcm) -> None:
        """Hand over audio."""
        self._tail.append(_Heard(self._seconds, audio))
        seconds = audio.seconds
        self._seconds += seconds
        self._tail_seconds += seconds
        if self._tail_seconds > REPLAY_SECONDS:
            self._drop_oldest()
        if self._stream is not None:
            self._give(self._stream, self._seconds - seconds, audio)

    def pause(self) -> None:
        """The caller went silent and may be done."""
        self._tail.append(_Asked.PAUSE)
        if self._stream is not None:
            self._stream.pause()

    def flush(self) -> None:
        """The turn is over."""
        self._tail.append(_Asked.FLUSH)
        self._due += 1
        if self._due_at is None:
            self._expect_answer()
        if self._stream is not None:
            self._stream.flush()

    def reset(self) -> None:
        """Forget the audio since the last flush."""
        while self._tail and self._tail[-1] is not _Asked.FLUSH:
            self._forget(self._tail.pop())
        if self._stream is not None:
            self._stream.reset()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._iterate()

    async def aclose(self) -> None:
        """Free everything; the iteration ends."""
        self._is_closed = True
        stream, self._stream = self._stream, None
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.release()
        if stream is not None:
            await stream.aclose()
        for task in tuple(self._closing):
            task.cancel()

    # --- listening

    async def _iterate(self) -> AsyncGenerator[Transcript]:
        while not self._is_closed:
            link = self._link
            try:
                results = aiter(self._stream or await self._leased(link))
                while True:
                    transcript = await self._next(results, link)
                    if transcript is None:
                        return
                    yield self._taken(transcript, link)
            except ProviderError as error:
                if self._is_closed:
                    return
                self._chain.note(link, error)
                self._give_up(link)
                self._failed.add(id(link))
                self._failure = worse(self._failure, error)
                self._switch(self._failure)

    async def _next(
        self, results: AsyncIterator[Transcript], link: Link[SpeechToText, Transcription]
    ) -> Transcript | None:
        try:
            async with asyncio.timeout_at(self._answer_by()) as self._limit:
                return await anext(results, None)
        except TimeoutError:
            raise ProviderTimeout(
                f"{link.provider} gave no final words in time.", provider=link.provider, kind="stt"
            ) from None
        finally:
            self._limit = None

    def _taken(self, transcript: Transcript, link: Link[SpeechToText, Transcription]) -> Transcript:
        """A result as one of the whole chain's."""
        if transcript.is_final:
            link.worked()
            self._failed.clear()
            self._failure = None
            self._answered += 1
            self._due = max(0, self._due - 1)
            self._due_at = None
            while self._tail:
                entry = self._tail.popleft()
                self._forget(entry)
                if entry is _Asked.FLUSH:
                    break
            if self._due:
                self._expect_answer()
        shifted = self._times != [(0.0, 0.0)]
        if not shifted and not self._answered_before:
            return transcript
        return msgspec.structs.replace(
            transcript,
            utterance=transcript.utterance + self._answered_before,
            words=tuple(map(self._in_stream, transcript.words)) if shifted else transcript.words,
        )

    # --- going on with another one

    def _switch(self, error: ProviderError) -> None:
        """Choose the next recogniser. Raises the failure when nobody is left."""
        try:
            link = self._next_link()
        except ProviderError:
            raise error from None
        log.info("provider.switched", kind="stt", provider=error.provider, to=link.provider, replays=self._tail_seconds)
        self._link = link
        self._answered_before = self._answered
        self._due_at = None
        self._begin()

    def _next_link(self) -> Link[SpeechToText, Transcription]:
        for link in self._chain.order():
            if id(link) not in self._failed and link.allows():
                return link
        raise self._chain.resting(self._chain.links[0])

    def _begin(self) -> None:
        """Open the chosen recogniser, unless it needs a slot first. One that does not let itself be opened is passed over."""
        while self._chain.slots is None or self._link.limits.is_open:
            try:
                self._open(self._link)
                return
            except ProviderError as error:
                self._chain.note(self._link, error)
                self._failed.add(id(self._link))
                try:
                    self._link = self._next_link()
                except ProviderError:
                    raise error from None

    async def _leased(self, link: Link[SpeechToText, Transcription]) -> SttStream:
        """A stream at the chosen recogniser once its account has room. Raises `ProviderBusy`."""
        self._lease = await self._chain.lease(link, patience=self._chain.policy.switch_timeout)
        return self._open(link)

    def _open(self, link: Link[SpeechToText, Transcription]) -> SttStream:
        """Open a stream and let it hear what nobody gave final words for, and what was asked of the former one."""
        stream = link.port.open(link.settings or self._settings, keyterms=self._keyterms)
        self._stream, self._times, self._given = stream, [], 0.0
        if self.adapted is not None:
            self.adapted(link.port.capabilities)
        loud_from = self._first_sound() if self._tail else 0.0
        for place, entry in enumerate(self._tail):
            match entry:
                case _Heard(start=start, audio=audio):
                    if start + audio.seconds > loud_from:
                        self._give(stream, start, audio)
                case _Asked.FLUSH:
                    stream.flush()
                case _Asked.PAUSE:
                    if place == len(self._tail) - 1:
                        stream.pause()
        if self._due:
            self._expect_answer()
        return stream

    def _first_sound(self) -> float:
        """Where something is heard first, with a lead: long silence before it is not worth the time."""
        peaks = [
            (entry.start, int(np.abs(entry.audio.samples).max(initial=0)))
            for entry in self._tail
            if isinstance(entry, _Heard)
        ]
        floor = max(LEAST_PEAK, FADED * max((peak for _, peak in peaks), default=0))
        return next((start - LEAD_SECONDS for start, peak in peaks if peak > floor), self._seconds - LEAD_SECONDS)

    def _give(self, stream: SttStream, start: float, audio: Pcm) -> None:
        times = self._times
        if not times or abs(times[-1][1] + self._given - times[-1][0] - start) > 1e-4:
            times.append((self._given, start))
        self._given += audio.seconds
        stream.push(audio)

    def _in_stream(self, word: Word) -> Word:
        """A word with times of the current recogniser's audio, in time of all audio."""
        return msgspec.structs.replace(word, start_time=self._at(word.start_time), end_time=self._at(word.end_time))

    def _at(self, seconds: float) -> float:
        given, start = 0.0, 0.0
        for segment in self._times:
            if segment[0] > seconds + 1e-9:
                break
            given, start = segment
        return start + seconds - given

    def _give_up(self, link: Link[SpeechToText, Transcription]) -> None:
        stream, self._stream = self._stream, None
        lease, self._lease = self._lease, None
        task = asyncio.create_task(_close(stream, lease), name="recogniser closing")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # --- time and memory

    def _patience(self) -> float | None:
        """Seconds for final words: without end where nobody else could give them, longer where only the platform's last resort could."""
        others = [
            link
            for link in self._chain.links
            if link is not self._link and id(link) not in self._failed and not link.circuit.is_open
        ]
        if not others:
            return None
        is_own = self._link.is_last_resort or not all(link.is_last_resort for link in others)
        return self._chain.policy.first_timeout * (1 if is_own else LAST_RESORT_FACTOR)

    def _expect_answer(self) -> None:
        self._due_at = asyncio.get_running_loop().time()
        if self._limit is not None:
            self._limit.reschedule(self._answer_by())

    def _answer_by(self) -> float | None:
        patience = self._patience() if self._due and self._due_at is not None else None
        return None if patience is None or self._due_at is None else self._due_at + patience

    def _drop_oldest(self) -> None:
        for place, entry in enumerate(self._tail):
            if isinstance(entry, _Heard):
                del self._tail[place]
                self._forget(entry)
                self.dropped_seconds += entry.audio.seconds
                return

    def _forget(self, entry: _Heard | _Asked) -> None:
        if isinstance(entry, _Heard):
            self._tail_seconds -= entry.audio.seconds


async def _close(stream: SttStream | None, lease: Lease | None) -> None:
    """Free what a failed recogniser held; whatever it meets is no matter."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            if stream is not None:
                await stream.aclose()
    except Exception as error:
        log.info("recogniser.not_closed", error=type(error).__name__)
    finally:
        if lease is not None:
            await lease.release()
