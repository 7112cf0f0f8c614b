"""Recognisers over a connection: what all of them need between a caller's ear and a vendor's wire.

A vendor writes an `SttConnection`: send audio, ask for the final words, read results with times of that connection. `LiveSttStream` makes
the port's `SttStream` of it: it batches and paces the audio, keeps the connection alive through silence, collects the pieces of an
utterance, gives exactly one final a flush, and replaces a connection that is lost or grows old without losing a word: audio that has no
final words yet is kept and said again.

Utterances go over the wire one at a time: audio after a flush waits until the flush is answered, so every result belongs to the oldest
utterance that is not done. Positions are samples since the first one ever pushed.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Protocol

import msgspec
import structlog
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.stt import Transcript

log = structlog.get_logger()

RATE = 16000
BYTES = 2
KEPT_SECONDS = 30.0
"""Audio that is kept for a replay; beyond it the oldest is given up."""
MOST_FAILURES = 3
"""Healable failures in a row after which the stream gives up."""
BACKOFF_SECONDS = (0.0, 0.25, 1.0)
STEADY_SECONDS = 10.0
"""A connection that lived for so long was no failure in a row."""
EARLY_SECONDS = 0.001
"""A timer may come so much too early; waiting again for the rest would be waking for nothing."""
SEND_SECONDS = 5.0
CLOSE_SECONDS = 2.0
MOST_WAITING = 256
"""Results nobody reads; beyond it interim ones are dropped."""
MOST_SPANS = 256
COVERED = RATE // 20
"""Final words that reach so close to the end of an utterance are all of it."""
LITTLE = RATE * 6 // 10
"""Audio after the last final words that is likely to be silence."""
LITTLE_TIMEOUT = 0.5
"""How long a final is waited for when only a little audio has no words: a vendor need not answer for silence."""
SPARE_SECONDS = 3.0
"""How long a new connection waits for a silent moment."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A result from the wire. Times are seconds since the first audio of its connection.

    An interim result replaces the one before, a final one adds to those before. `until`: how far it has listened, if it tells (else the end
    of the last word). `answers_finalise`: everything sent before `finalise` is said now. `ends_utterance`: the vendor thinks that the caller
    is done. `is_prepared`: an interim result that will be final unless more is said.
    """

    text: str
    is_final: bool
    confidence: float = 0.0
    words: tuple[Word, ...] = ()
    until: float | None = None
    ends_utterance: bool = False
    answers_finalise: bool = False
    is_prepared: bool = False


class SttConnection(Protocol):
    """One connection to a vendor. Every method may raise `ProviderError`: `retryable` when another connection may do better."""

    async def send(self, audio: bytes) -> None:
        """Hand over 16 kHz mono little-endian 16-bit samples."""
        ...

    async def finalise(self) -> None:
        """Ask for the final words of everything sent; a result with `answers_finalise` follows, or the end of the results."""
        ...

    async def keep_alive(self) -> None:
        """Tell that the connection is still wanted."""
        ...

    def __aiter__(self) -> AsyncIterator[Heard]:
        """Results until the connection ends. An end nobody asked for is taken for a lost connection."""
        ...

    async def aclose(self) -> None:
        """Close; may be called at any time, more than once."""
        ...


class LiveSttRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor wants to be spoken to; all in seconds.

    Audio: `batch` is the least that is sent at once while more is to come, `least` the least a message may hold at all (silence fills it up),
    `largest` the most. `fastest`: seconds of audio a second, after a head start of `burst`, when audio has piled up. `lead_in`: silence that
    opens each connection, for vendors who want audio soon.

    Staying alive: after `keep_alive` without audio, `keep_alive()` or with `silence_instead` so much silence. `max_age`: a connection's life.

    Finals: `finalise_timeout` from the request to the answer. `finalise_ends_connection`: nothing can be sent after it. `prepares`: ask for
    the final words at a pause already. `silence_after_pause`: silence that follows a pause, in real time, for vendors who judge by
    themselves whether the caller is done. `always_answers_after`: utterances shorter than this may remain without any answer.
    """

    batch: float = 0.1
    least: float = 0.0
    largest: float = 0.4
    fastest: float = 8.0
    burst: float = 1.0
    lead_in: float = 0.0
    keep_alive: float | None = None
    silence_instead: float = 0.0
    max_age: float | None = None
    finalise_timeout: float = 1.5
    finalise_ends_connection: bool = False
    prepares: bool = True
    silence_after_pause: float = 0.0
    always_answers_after: float = 1.0
    connect_timeout: float = 5.0


class _Tape:
    """The last seconds of audio. `base` is the position of its first sample, `end` the one after its last."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.base = 0

    @property
    def end(self) -> int:
        return self.base + len(self._data) // BYTES

    def append(self, audio: Pcm) -> None:
        self._data += audio.to_bytes()

    def read(self, start: int, end: int) -> bytes:
        return bytes(self._data[(start - self.base) * BYTES : (end - self.base) * BYTES])

    def forget_before(self, position: int) -> None:
        if position > self.base:
            del self._data[: (position - self.base) * BYTES]
            self.base = position


class _Utterance:
    """What is said between two flushes. Audio before `settled` has its final words; before `answered`, all that can be known is known."""

    def __init__(self, number: int, start: int) -> None:
        self.number = number
        self.start = self.settled = self.answered = start
        self.end: int | None = None
        self.pause_at: int | None = None
        self.is_paused = False
        self.is_forgotten = False
        self.pieces: list[Heard] = []
        self.interim: Heard | None = None
        self.interim_link: _Link | None = None
        """Whose time the interim words have: they change too often to be put into the stream's before somebody wants them."""
        self.told = ""
        self.is_alive = False
        self.timeouts = 0
        self.flushed_at = 0.0

    @property
    def is_done(self) -> bool:
        return self.end is not None and (self.answered >= self.end or self.is_covered(self.end))

    def is_covered(self, end: int) -> bool:
        """Whether final words reach to `end`, and nothing else is known."""
        return self.interim is None and bool(self.pieces) and self.settled >= end - COVERED

    def known(self) -> list[Heard]:
        """What a final would be made of now; times of the interim words are still those of their connection."""
        return self.pieces if self.interim is None else [*self.pieces, self.interim]

    def keep_interim(self) -> None:
        """Take the interim words for final ones."""
        if self.interim is not None and self.interim_link is not None:
            self.pieces.append(_in_stream(self.interim_link, self.interim))
        self.interim = self.interim_link = None

    def keep_interim_before(self, position: int) -> None:
        """Take interim words for final ones where their audio is not kept any more."""
        if self.interim is None or self.interim_link is None or self.settled >= position:
            return
        heard = _in_stream(self.interim_link, self.interim)
        words = tuple(word for word in heard.words if word.start_time * RATE < position)
        self.interim = self.interim_link = None
        if words:
            text = " ".join(word.word for word in words)
            self.pieces.append(msgspec.structs.replace(heard, text=text, words=words, is_final=True))
            self.settled = max(position, round(words[-1].end_time * RATE))

    def words(self) -> tuple[Word, ...]:
        """Words of the text, in the stream's time."""
        pieces = self.pieces
        if self.interim is not None and self.interim_link is not None:
            pieces = [*pieces, _in_stream(self.interim_link, self.interim)]
        return tuple(word for heard in pieces for word in fitted(heard.text, heard.words))

    @property
    def text(self) -> str:
        return " ".join(heard.text for heard in self.known() if heard.text)


class _Ask(msgspec.Struct, frozen=True):
    """A request for the final words of `utterance` up to `position`."""

    utterance: _Utterance
    position: int
    deadline: float
    is_little: bool


class _Link:
    """A connection and what went over it: `sent` is the position up to which audio was sent, `length` its own samples."""

    def __init__(self, connection: SttConnection, now: float) -> None:
        self.connection = connection
        self.reader: asyncio.Task[None] | None = None
        self.opened_at = self.sent_at = self.free_at = now
        self.renew_at: float | None = None
        self.sent = 0
        self.length = 0
        self.ask: _Ask | None = None
        self.fault: Exception | None = None
        self.has_ended = False
        self.is_finished = False
        self._starts: list[int] = []
        self._spans: list[tuple[int, int]] = []

    def carried(self, count: int, position: int | None) -> None:
        """`count` samples were sent, from `position` of the stream on; None for silence of ours."""
        if position is not None:
            if not self._spans or self._spans[-1][0] + self.length - self._starts[-1] != position:
                self._starts.append(self.length)
                self._spans.append((position, 0))
                if len(self._spans) > MOST_SPANS:
                    del self._starts[0], self._spans[0]
            start, length = self._spans[-1]
            self._spans[-1] = (start, length + count)
        self.length += count

    def position(self, seconds: float) -> float:
        """The sample of the stream at a time of this connection."""
        at = seconds * RATE
        if not self._spans:
            return float(self.sent)
        index = max(bisect_right(self._starts, at) - 1, 0)
        start, length = self._spans[index]
        return start + min(max(at - self._starts[index], 0.0), length)


class LiveSttStream:
    """One caller's stream over connections that come and go. `dropped_seconds` counts audio given up because it could not be sent.

    `connect` opens a connection; it is called at once, and again whenever one is lost. Errors come out of the iteration; after one,
    `unfinished_audio` is what somebody else has to listen to again.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[SttConnection]], rules: LiveSttRules, *, provider: str, rate: int = RATE
    ) -> None:
        if rate != RATE:
            raise ValueError(f"live recognisers are fed with {RATE} Hz, not {rate} Hz")
        self._connect = connect
        self._rules = rules
        self._provider = provider
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Transcript | Exception | None] = asyncio.Queue()
        self._tape = _Tape()
        self._utterances: deque[_Utterance] = deque([_Utterance(0, 0)])
        self._link: _Link | None = None
        self._spare: asyncio.Task[_Link] | None = None
        self._spare_at = 0.0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._batch = round(rules.batch * RATE)
        self._unsent_since_wake = 0
        self._failures = 0
        self._silence_sent = 0.0
        self._is_over = False
        self._closing: set[asyncio.Task[None]] = set()
        self.dropped_seconds = 0.0
        self._task = self._loop.create_task(self._run())

    # -- the port

    def push(self, audio: Pcm) -> None:
        """Keep the audio; it is sent as soon as there is a batch of it. Raises `ValueError` for another rate than 16 kHz."""
        if audio.rate != RATE:
            raise ValueError(f"this recogniser wants {RATE} Hz, got {audio.rate} Hz")
        if self._is_over or not len(audio):
            return
        self._utterances[-1].is_paused = False
        self._tape.append(audio)
        if self._tape.end - self._tape.base > KEPT_SECONDS * RATE:
            self._give_up_oldest()
        self._unsent_since_wake += len(audio)
        if self._unsent_since_wake >= self._batch:
            self._awake()

    def pause(self) -> None:
        """Send what there is; ask for its final words already if that costs the vendor little."""
        utterance = self._utterances[-1]
        if self._is_over or utterance.is_paused or self._tape.end == utterance.start:
            return
        utterance.is_paused = True
        utterance.pause_at = self._tape.end
        self._silence_sent = 0.0
        self._awake()

    def flush(self) -> None:
        """Close the utterance; its final follows, at once if it was prepared."""
        if self._is_over:
            return
        utterance = self._utterances[-1]
        self._close(utterance)
        self._utterances.append(_Utterance(utterance.number + 1, self._tape.end))
        self._deliver()
        self._awake()

    def reset(self) -> None:
        """Forget the utterance: whatever the vendor says of it is dropped."""
        utterance = self._utterances[-1]
        if self._is_over or self._tape.end == utterance.start:
            return
        utterance.is_forgotten = True
        self._close(utterance)
        is_heard = self._link is not None and len(self._utterances) == 1 and self._link.sent > utterance.start
        if self._link is not None and is_heard and self._rules.finalise_ends_connection:
            self._link.is_finished, is_heard = True, False
        if not is_heard:
            utterance.settled = utterance.answered = self._tape.end
        self._utterances.append(_Utterance(utterance.number, self._tape.end))
        self._deliver()
        self._awake()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Transcript]:
        while True:
            result = await self._results.get()
            if isinstance(result, Transcript):
                yield result
                continue
            self._results.put_nowait(result)  # whoever asks again is told the same
            if result is None:
                return
            raise result

    async def aclose(self) -> None:
        """Close the connection; the iteration ends after what was already delivered."""
        if not self._is_over:
            self._is_over = True
            self._results.put_nowait(None)
        self._task.cancel()
        await asyncio.wait({self._task})
        await asyncio.sleep(0)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)

    def unfinished_audio(self) -> Pcm:
        """All audio that no final was given for, as far back as it is kept."""
        start = max(self._utterances[0].start, self._tape.base)
        return Pcm.from_bytes(self._tape.read(start, self._tape.end), RATE)

    # -- utterances

    def _close(self, utterance: _Utterance) -> None:
        utterance.end = self._tape.end
        utterance.flushed_at = self._loop.time()
        if utterance.end == utterance.start:
            utterance.answered = utterance.end

    def _awake(self) -> None:
        self._unsent_since_wake = 0
        self._wake.set()

    def _give_up_oldest(self) -> None:
        """Audio that cannot be kept any more; what nobody has heard of it is lost."""
        keep_from = self._tape.end - round((KEPT_SECONDS - 1) * RATE)
        heard_until = self._link.sent if self._link is not None else self._utterances[0].settled
        lost = keep_from - max(heard_until, self._tape.base)
        self._tape.forget_before(keep_from)
        if self._link is not None:
            self._link.sent = max(self._link.sent, keep_from)
        if lost > 0:
            self.dropped_seconds += lost / RATE
            log.warning("stt.audio_dropped", provider=self._provider, seconds=round(lost / RATE, 1))

    def _deliver(self) -> None:
        """Give the finals of all utterances that are done, in order."""
        while self._utterances[0].is_done:
            utterance = self._utterances.popleft()
            if not utterance.is_forgotten:
                self._results.put_nowait(self._transcript(utterance, is_final=True))
            self._tape.forget_before(utterance.end or 0)

    def _transcript(
        self, utterance: _Utterance, *, is_final: bool, is_prepared: bool = False, ends_utterance: bool = False
    ) -> Transcript:
        known = utterance.known()
        end = self._tape.end if utterance.end is None else utterance.end
        text = utterance.text
        words: tuple[Word, ...] = ()
        if is_final or is_prepared or ends_utterance:
            words = within(utterance.words(), utterance.start / RATE, end / RATE)
        weights = [(heard.confidence, max(len(heard.text), 1)) for heard in known if heard.text]
        total = sum(weight for _, weight in weights)
        return Transcript(
            utterance=utterance.number,
            text=text,
            is_final=is_final,
            confidence=sum(confidence * weight for confidence, weight in weights) / total if total else 0.0,
            words=words,
            audio_seconds=(end - utterance.start) / RATE,
            decode_ms=(self._loop.time() - utterance.flushed_at) * 1000 if is_final else 0.0,
            is_prepared=is_prepared,
            ends_utterance=ends_utterance,
        )

    # -- results

    def _take(self, link: _Link, heard: Heard) -> None:
        if link is not self._link or self._is_over:
            return
        utterance = self._utterances[0]
        ask = link.ask
        if ask is not None and ask.utterance is not utterance:  # words of an utterance that is done already
            if heard.answers_finalise:
                self._answered(link)
            return
        if heard.words and link.position(heard.words[-1].end_time) <= utterance.start:
            return
        utterance.is_alive = True
        if heard.is_final:
            self._settle(link, utterance, _in_stream(link, heard))
        elif heard.text or utterance.interim is not None:
            utterance.interim, utterance.interim_link = (heard, link) if heard.text else (None, None)
        if heard.answers_finalise:
            self._answered(link)
        elif heard.is_final and heard.ends_utterance and utterance.is_paused and link.sent == self._tape.end:
            utterance.answered = link.sent  # it has heard everything, silence included, and is sure
        self._tell(utterance, is_prepared=heard.is_prepared, ends_utterance=heard.ends_utterance)
        self._deliver()

    def _settle(self, link: _Link, utterance: _Utterance, heard: Heard) -> None:
        utterance.interim = utterance.interim_link = None
        if heard.text:
            utterance.pieces.append(heard)
        until = heard.until if heard.until is not None else heard.words[-1].end_time if heard.words else None
        if until is not None:
            settled = min(round(until * RATE), link.sent)
            if settled > utterance.settled:
                utterance.settled = settled
                self._failures = 0

    def _answered(self, link: _Link) -> None:
        if link.ask is not None:
            self._failures = 0
            self._settle_all(link)

    def _settle_all(self, link: _Link) -> None:
        """What is known up to the last request is all there will be."""
        ask, link.ask = link.ask, None
        if ask is None:
            return
        utterance = ask.utterance
        utterance.keep_interim()
        utterance.answered = max(utterance.answered, ask.position)
        utterance.settled = max(utterance.settled, ask.position)
        if self._rules.finalise_ends_connection:
            link.is_finished = True
        self._awake()

    def _tell(self, utterance: _Utterance, *, is_prepared: bool = False, ends_utterance: bool = False) -> None:
        """An interim result, if it is news."""
        text = utterance.text
        is_final = utterance.answered == self._tape.end and utterance.interim is None
        is_prepared = bool(text) and (is_prepared or is_final)
        if utterance.end is not None or (text == utterance.told and not is_prepared and not ends_utterance):
            return
        if self._results.qsize() < MOST_WAITING:
            utterance.told = text
            self._results.put_nowait(
                self._transcript(utterance, is_final=False, is_prepared=is_prepared, ends_utterance=ends_utterance)
            )

    # -- connections

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._serve(self._adopt(await self._next_link()))
                except ProviderError as error:
                    await self._failed(error)
                finally:
                    self._let_go()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not self._is_over:
                self._is_over = True
                self._results.put_nowait(error)
        finally:
            self._let_go()
            if self._timer is not None:
                self._timer.cancel()
            if self._spare is not None:
                self._spare.cancel()
                self._spare.add_done_callback(self._close_unused)

    async def _failed(self, error: ProviderError) -> None:
        """Wait before the next try. Raises the error when there shall be none."""
        link = self._link
        if link is not None and self._loop.time() - link.opened_at >= STEADY_SECONDS:
            self._failures = 0
        self._failures += 1
        wait = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS)) - 1]
        if not error.retryable or self._failures >= MOST_FAILURES or (error.retry_after or 0.0) > wait:
            raise error
        log.info("stt.connection_lost", provider=self._provider, detail=error.detail, failures=self._failures)
        self._let_go()
        await asyncio.sleep(wait)

    async def _open(self) -> _Link:
        try:
            async with asyncio.timeout(self._rules.connect_timeout):
                connection = await self._connect()
        except TimeoutError:
            raise ProviderTimeout(
                f"No connection within {self._rules.connect_timeout:g} s.", provider=self._provider, kind="stt"
            ) from None
        now = self._loop.time()
        link = _Link(connection, now)
        if self._rules.max_age is not None:
            link.renew_at = now + self._rules.max_age * 0.9
        return link

    async def _next_link(self) -> _Link:
        spare, self._spare = self._spare, None
        if spare is None:
            return await self._open()
        try:
            return await asyncio.shield(spare)
        except asyncio.CancelledError:
            spare.cancel()
            spare.add_done_callback(self._close_unused)
            raise

    def _adopt(self, link: _Link) -> _Link:
        """From now on, everything goes over this connection: first the audio that has no final words yet."""
        utterance = self._utterances[0]
        utterance.is_alive = False
        utterance.keep_interim_before(self._tape.base)
        link.sent = max(utterance.settled, self._tape.base)
        link.sent_at = link.free_at = self._loop.time()
        self._link = link
        self._wake.set()
        link.reader = self._loop.create_task(self._read(link))
        return link

    async def _read(self, link: _Link) -> None:
        try:
            async for heard in link.connection:
                self._take(link, heard)
            link.has_ended = True
        except Exception as error:
            link.fault = error
        self._wake.set()

    def _let_go(self) -> None:
        """Close the connection without waiting for it."""
        link, self._link = self._link, None
        if link is not None:
            if link.reader is not None:
                link.reader.cancel()
            self._close_later(link)

    def _close_unused(self, opened: asyncio.Task[_Link]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            self._close_later(opened.result())

    def _close_later(self, link: _Link) -> None:
        task = self._loop.create_task(_closed(link))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _serve(self, link: _Link) -> None:
        """Use the connection until another one has to follow. Raises what was wrong with it."""
        if self._rules.lead_in:
            await self._send_silence(link, self._rules.lead_in)
        while True:
            self._wake.clear()
            if link.fault is not None:
                raise link.fault
            if link.has_ended:
                if link.ask is None and not link.is_finished:
                    raise self._lost("It closed the connection.")
                self._answered(link)
                self._tell(self._utterances[0])
                self._deliver()
                return
            if link.is_finished or self._expire(link):
                return
            next_at = await self._send_due(link)
            if self._is_renewed(link):
                return
            await self._sleep(link, next_at)

    def _is_due(self, at: float) -> bool:
        return self._loop.time() >= at - EARLY_SECONDS

    def _lost(self, detail: str) -> ProviderError:
        return ProviderError(detail, provider=self._provider, kind="stt", retryable=True)

    async def _sleep(self, link: _Link, next_at: float | None) -> None:
        """Until something happens, or the next thing is due."""
        due = [at for at in (next_at, self._alive_at(link), self._renewal_at(link)) if at is not None]
        if link.ask is not None:
            due.append(link.ask.deadline)
        if self._wake.is_set():
            await asyncio.sleep(0)
            return
        self._wake_at(min(due) if due else None)
        await self._wake.wait()

    def _wake_at(self, at: float | None) -> None:
        """A timer that comes too early costs less than one that is set anew for every batch of audio."""
        if at is None or (self._timer is not None and self._timer.when() <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._timer_came)

    def _timer_came(self) -> None:
        self._timer = None
        self._wake.set()

    def _alive_at(self, link: _Link) -> float | None:
        return None if self._rules.keep_alive is None or link.ask else link.sent_at + self._rules.keep_alive

    # -- renewal

    def _renewal_at(self, link: _Link) -> float | None:
        if self._spare is None:
            return link.renew_at
        return self._spare_at + SPARE_SECONDS if self._spare.done() and link.ask is None else None

    def _is_renewed(self, link: _Link) -> bool:
        """Open another connection in good time; whether it takes over now: at a silent moment, or after waiting for one."""
        is_silent = link.ask is None and self._utterances[0].settled == self._tape.end
        if self._spare is None:
            if link.renew_at is not None and self._is_due(link.renew_at):
                self._begin_spare()
            return False
        if not self._spare.done():
            return False
        error = self._spare.exception()
        if error is not None:
            self._spare = None
            if isinstance(error, ProviderError) and not error.retryable:
                raise error
            link.renew_at = self._loop.time() + STEADY_SECONDS
            return False
        return is_silent or (link.ask is None and self._is_due(self._spare_at + SPARE_SECONDS))

    def _begin_spare(self) -> None:
        self._spare = self._loop.create_task(self._open())
        self._spare.add_done_callback(self._spare_opened)

    def _spare_opened(self, _opened: asyncio.Task[_Link]) -> None:
        self._spare_at = self._loop.time()
        self._wake.set()

    # -- sending

    async def _send_due(self, link: _Link) -> float | None:
        """Send what is due; when there is more to do by the clock alone."""
        rules = self._rules
        while not self._is_held(link):
            self._deliver()
            utterance = self._utterances[0]
            link.sent = max(link.sent, utterance.settled)
            target = self._target(link, utterance)
            limit = self._tape.end if target is None else target
            count = min(limit - link.sent, round(rules.largest * RATE))
            if count <= 0:
                if (
                    target is None or link.ask is not None
                ):  # one request at a time: an answer does not say which it is for
                    break
                await self._ask(link, utterance, target)
                continue
            if target is None and count < self._batch and not utterance.is_paused:
                break
            ready_at = link.free_at - rules.burst / rules.fastest
            if not self._is_due(ready_at):
                return ready_at
            await self._send_audio(link, count)
        if not link.ask:
            return await self._stay_alive(link)
        return None

    def _is_held(self, link: _Link) -> bool:
        """Whether nothing may be sent before the vendor has answered."""
        ask = link.ask
        if link.fault is not None or link.has_ended or link.is_finished:
            return True
        return ask is not None and (self._rules.finalise_ends_connection or ask.utterance.end == ask.position)

    def _target(self, link: _Link, utterance: _Utterance) -> int | None:
        """Where the next request for final words is due, if one is."""
        at = utterance.pause_at
        if self._rules.prepares and at is not None and link.ask is None and link.sent <= at > utterance.answered:
            return at
        return utterance.end

    async def _ask(self, link: _Link, utterance: _Utterance, position: int) -> None:
        now = self._loop.time()
        is_little = bool(utterance.pieces) and utterance.interim is None and position - utterance.settled <= LITTLE
        timeout = LITTLE_TIMEOUT if is_little else self._rules.finalise_timeout
        link.ask = _Ask(utterance, position, now + timeout, is_little)
        await self._in_time(link.connection.finalise())
        link.sent_at = self._loop.time()
        if self._rules.finalise_ends_connection and self._spare is None:
            self._begin_spare()

    def _expire(self, link: _Link) -> bool:
        """Go on without an answer that does not come; whether another connection shall be used. Raises when nothing at all was heard."""
        ask = link.ask
        if ask is None or not self._is_due(ask.deadline):
            return False
        utterance = ask.utterance
        if utterance is not self._utterances[0]:
            link.ask = None
            return False
        may_stay_silent = ask.position - utterance.start < self._rules.always_answers_after * RATE
        if not (utterance.text or utterance.is_alive or utterance.is_forgotten or may_stay_silent):
            utterance.timeouts += 1
            if utterance.timeouts == 2:
                self._failures = MOST_FAILURES
            raise ProviderTimeout(
                f"No words within {self._rules.finalise_timeout:g} s.", provider=self._provider, kind="stt"
            )
        is_sick = bool(utterance.text or utterance.is_forgotten) and not ask.is_little
        self._settle_all(link)
        self._deliver()
        return is_sick

    async def _send_audio(self, link: _Link, count: int) -> None:
        data = self._tape.read(link.sent, link.sent + count)
        link.carried(count, link.sent)
        link.sent += count
        missing = round(self._rules.least * RATE) - count
        if missing > 0:
            data += bytes(missing * BYTES)
            link.carried(missing, None)
        await self._send(link, data)

    async def _send_silence(self, link: _Link, seconds: float) -> None:
        count = max(round(seconds * RATE), round(self._rules.least * RATE))
        link.carried(count, None)
        await self._send(link, bytes(count * BYTES))

    async def _send(self, link: _Link, data: bytes) -> None:
        now = self._loop.time()
        link.sent_at = now
        link.free_at = max(link.free_at, now) + len(data) / BYTES / RATE / self._rules.fastest
        await self._in_time(link.connection.send(data))

    async def _stay_alive(self, link: _Link) -> float | None:
        """Send silence after a pause, or whatever keeps the connection open; when the next of it is due."""
        rules = self._rules
        is_paused = self._utterances[0].is_paused and link.sent == self._tape.end
        if is_paused and self._silence_sent < rules.silence_after_pause:
            if self._is_due(link.sent_at + rules.batch):
                self._silence_sent += rules.batch
                await self._send_silence(link, rules.batch)
            return link.sent_at + rules.batch
        if rules.keep_alive is not None and self._is_due(link.sent_at + rules.keep_alive):
            if rules.silence_instead:
                await self._send_silence(link, rules.silence_instead)
            else:
                link.sent_at = self._loop.time()
                await self._in_time(link.connection.keep_alive())
        return None

    async def _in_time(self, sending: Coroutine[None, None, None]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await sending
        except TimeoutError:
            raise ProviderTimeout(
                f"It took no audio for {SEND_SECONDS:g} s.", provider=self._provider, kind="stt"
            ) from None


async def _closed(link: _Link) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await link.connection.aclose()
    except (TimeoutError, ProviderError):
        return


def _in_stream(link: _Link, heard: Heard) -> Heard:
    """With times since the stream's first sample."""
    if not heard.words and heard.until is None:
        return heard
    return msgspec.structs.replace(
        heard,
        words=tuple(
            Word(
                word=word.word,
                start_time=link.position(word.start_time) / RATE,
                end_time=link.position(word.end_time) / RATE,
                confidence=word.confidence,
            )
            for word in heard.words
        ),
        until=None if heard.until is None else link.position(heard.until) / RATE,
    )


def fitted(text: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words as they stand in the text: a vendor's words may lack what formatting made of them ("twenty one" for "21")."""
    tokens = text.split()
    if not words or tokens == [word.word for word in words]:
        return words
    if len(tokens) == len(words):
        return tuple(msgspec.structs.replace(word, word=token) for word, token in zip(words, tokens, strict=True))
    start, end = words[0].start_time, words[-1].end_time
    confidence = sum(word.confidence for word in words) / len(words)
    letters = [len(token) + 1 for token in tokens]
    edges = [start + (end - start) * sum(letters[:count]) / max(sum(letters), 1) for count in range(len(tokens) + 1)]
    return tuple(
        Word(word=token, start_time=edges[at], end_time=edges[at + 1], confidence=confidence)
        for at, token in enumerate(tokens)
    )


def within(words: tuple[Word, ...], start: float, end: float) -> tuple[Word, ...]:
    """Words in order inside a stretch of time, with confidences above 0 and up to 1."""
    found: list[Word] = []
    last = start
    for word in words:
        begins = min(max(word.start_time, last), end)
        last = min(max(word.end_time, begins), end)
        confidence = min(max(word.confidence, 0.001), 1.0)
        found.append(
            Word(word=word.word, start_time=round(begins, 3), end_time=round(last, 3), confidence=round(confidence, 3))
        )
    return tuple(found)
