"""A conversation in writing: the same agent, script, history and language model as a call, without ears and mouth.

What the person writes is on record as soon as it is the agent's turn to answer; messages that come while a reply is being written wait, and
are answered together. A reply that is cancelled, or breaks off, is on record as an interrupted turn with the text that was sent.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, assert_never

import msgspec
import structlog
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.conversations import CallQuality, Speaker, Turn, TurnLatency
from voisnap_domain.costs import Usage
from voisnap_domain.errors import FieldError, Invalid, LimitReached
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.turntaking import TurnRules, says_one_of
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import EndCall, LanguageModel, LlmDelta, LlmUsed, TextDelta, ToolCall, ToolCallBegun

from .advice import advised
from .call import Preparable, always
from .chat_phrases import chat_phrases_of
from .events import (
    OUT_OF_MONEY,
    AgentState,
    AgentStateChanged,
    CallEvent,
    Fault,
    FaultCode,
    TranscriptionUpdated,
    TurnFinished,
    Warned,
)
from .meter import Meter
from .prompt import request_of, script_of

MAX_MESSAGE_CHARS = 4000
MAX_WAITING = 16
"""Messages that wait for an answer at the same time."""
LLM_SECONDS = 10.0
"""How long the language model may take for its first word, and between words."""
IDLE_FACTOR = 20
"""People read, think and leave the window open: nobody writes for `maxIdleTimeSeconds` x 20 (5 minutes by default) before a chat is idle."""

WARNING_FACTOR = 2
"""Writing takes longer than speaking: so much sooner than a caller a person is told that time is running out."""

log = structlog.get_logger()


class _Message(msgspec.Struct, frozen=True):
    """A message of the person; `at` is the loop's time."""

    text: str
    metadata: dict[str, Any]
    at: float


class _Reply:
    """A message that the agent is writing: what was sent of it so far."""

    def __init__(self, sequence: int, asked_at: float) -> None:
        self.sequence = sequence
        self.asked_at = asked_at
        self.text = ""
        self.begun_at: float | None = None


class Chat:
    """A written conversation from "the person is connected" to its end. Holds the place of a `Call` in a session.

    Make it inside the running event loop. `notify` is called synchronously and must not block: the agent's text comes as
    `TranscriptionUpdated`, each with the whole text so far, the last one final.
    """

    def __init__(
        self,
        plan: SessionPlan,
        *,
        llm: LanguageModel,
        notify: Callable[[CallEvent], None],
        resume: Resumption | None = None,
        meter: CallMeter | None = None,
        may_spend: Callable[[], bool] = always,
    ) -> None:
        config = plan.agent.config
        self._plan = plan
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._usage = meter or CallMeter(clock=self._loop.time)
        self._llm = llm if meter is not None else self._usage.llm(llm)
        self._may_spend = may_spend
        self._resume = resume
        self._turns: list[Turn] = list(resume.turns) if resume else []
        self._next = resume.snapshot.next_sequence if resume else 1
        silent = not self._turns and (resume is None or resume.snapshot.agent is None)
        self._greets = silent and config.first_message_mode is FirstMessageMode.ASSISTANT_SPEAKS_FIRST
        self._script = script_of(plan, greets=self._greets)
        self._disclosed = not self._script.disclosure or (resume is not None and resume.snapshot.disclosed)
        self._phrases = chat_phrases_of(config.transcription.language)
        rules = TurnRules.of(config)
        self._end_phrases = rules.end_phrases
        self._warning_seconds = rules.warning_ms / 1000 * WARNING_FACTOR
        self._warns = False
        self._meter = Meter()
        self._began: float | None = None
        self._elapsed = resume.elapsed if resume else 0.0
        self._waiting: deque[_Message] = deque()
        self._written = asyncio.Event()
        self._settled = asyncio.Event()
        self._listening = asyncio.Event()
        self._listening.set()
        self._ended: asyncio.Future[EndReason] = self._loop.create_future()
        self._goodbye = ""
        self._asked = ""
        """The messages that are being answered."""
        self._context: dict[str, Any] = {}
        self._owed = False
        """Whether the person waits for an answer."""
        self._wants_end = False
        self._ending: EndReason | None = None
        self._is_open = False
        self._reply: _Reply | None = None
        self._writing: asyncio.Task[None] | None = None
        self._state = AgentState.LISTENING
        self._idle_timer: asyncio.TimerHandle | None = None

    def forget(self) -> None:
        """It is over, and nobody is told anything any more: hold nobody who holds this."""
        self._notify = _tell_nobody

    # --- what the person does

    def say(self, text: str, metadata: dict[str, Any] | None = None) -> int:
        """A message, and what the language model should know with it. Answers its place among all messages: what answers it comes after.

        Raises Invalid for one that is empty or too long, LimitReached when too many wait for an answer.
        """
        text = text.strip()
        if not text:
            raise _invalid("empty", "A message must not be empty.")
        if len(text) > MAX_MESSAGE_CHARS:
            raise _invalid("too-long", f"A message must have at most {MAX_MESSAGE_CHARS} characters.")
        if len(self._waiting) >= MAX_WAITING:
            raise LimitReached("Too many messages wait for an answer.", code="too-many-messages", retry_after=1)
        place = self._next + self._ahead() + len(self._waiting)
        self._waiting.append(_Message(text, metadata or {}, self._loop.time()))
        self._written.set()
        self._settled.clear()
        self._stir()
        return place

    async def answered(self) -> None:
        """Wait until nobody waits for an answer: the chat is open, and whatever was written to it by now is answered."""
        await self._settled.wait()

    def typing(self) -> None:
        """The person is writing."""
        self._stir()

    def cancel(self) -> bool:
        """Stop the reply that is being written; False when there is none. What was sent of it stays."""
        if self._writing is None or self._writing.done():
            return False
        self._meter.interruptions += 1
        self._writing.cancel()
        return True

    def advise(self, advice: str) -> None:
        """A supervisor tells the agent something that the person does not read."""
        self._script = advised(self._script, advice)

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """Nothing is heard here."""

    def dtmf(self, digit: str) -> None:
        """There are no keys here."""

    def pull(self) -> Pcm | None:
        """Nothing is said aloud here."""
        return None

    # --- life

    async def run(self) -> EndReason:
        """Hold the conversation; returns why it ended, all turns on record by then. Runs once."""
        if self._began is not None:
            raise RuntimeError("a chat runs once")
        self._began = self._loop.time() - self._elapsed
        left = max(0.0, self._plan.agent.config.max_duration_seconds - self._elapsed)
        limits = [self._loop.call_later(left, self._time_is_over, self._phrases.goodbye_long, EndReason.MAX_DURATION)]
        if left > self._warning_seconds:
            limits.append(self._loop.call_later(left - self._warning_seconds, self._warn_of_time))
        self._stir()
        for name in self._script.unknown:
            self._notify(Warned(text=f"The variable {name} has no value."))
        talk = asyncio.create_task(self._converse(), name="chat")
        preparation = asyncio.create_task(self._prepare(), name="preparation")
        try:
            await asyncio.wait({talk, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if talk.done():
                self.end(talk.result())
        finally:
            for limit in limits:
                limit.cancel()
            self._quieten()
            talk.cancel()
            preparation.cancel()
            await asyncio.gather(talk, preparation, return_exceptions=True)
            if not self._ended.done():
                self._ended.set_result(EndReason.ERROR)
        if self._goodbye:
            self._write(self._goodbye)
        self._put_waiting_on_record()
        return self._ended.result()

    def end(self, reason: EndReason) -> None:
        """End the conversation for `reason`; the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    def hold(self) -> None:
        """Nobody reads: the agent writes no further, and only the maximum duration goes on counting."""
        self._listening.clear()
        self._quieten()

    def release(self) -> None:
        """The person is back: go on."""
        self._listening.set()
        self._stir()
        if self._warns:
            self._warn_of_time()

    # --- facts

    @property
    def is_quiet(self) -> bool:
        """Nobody waits for anything."""
        return self._reply is None and not self._waiting

    def snapshot(self) -> CallSnapshot:
        """Where it stands. Messages that wait count as the person's open turn."""
        sequence = self._next
        agent = user = None
        if self._reply is not None and self._reply.begun_at is not None:
            agent = self._turn_of(self._reply, interrupted=True)
            sequence += 1
        if self._waiting:
            user = self._user_turn(_joined(self._waiting), sequence, self._clock())
        return CallSnapshot(
            elapsed=self._clock(), next_sequence=self._next, agent=agent, user=user, disclosed=self._disclosed
        )

    def usage(self) -> Usage:
        """What was used so far: the language model alone."""
        return self._usage.usage

    def quality(self) -> CallQuality:
        """How quickly it answered; silences say nothing about a chat."""
        return msgspec.structs.replace(self._meter.quality(self._turns), longest_silence_seconds=0.0)

    def _ahead(self) -> int:
        """Messages that come before the next one of the person: the one being written, or those the chat opens with."""
        if self._is_open:
            return 1 if self._reply is not None else 0
        snapshot = self._resume.snapshot if self._resume is not None else None
        greeting = (not self._disclosed, bool(self._script.first_message)) if self._greets else ()
        broken_off = (snapshot.agent is not None, snapshot.user is not None) if snapshot is not None else ()
        return sum((*greeting, *broken_off))

    # --- the course of it

    async def _converse(self) -> EndReason:
        await self._listening.wait()
        self._open()
        self._is_open = True
        asked_at = self._loop.time()
        while True:
            if self._owed:
                self._writing = asyncio.create_task(self._answer(asked_at), name="reply")
                await self._finished(self._writing)
                if self._ending is not None:
                    return self._ending
            self._stir()
            asked_at = await self._next_messages()

    async def _prepare(self) -> None:
        """A model that can get ready beforehand does so while the person reads and writes."""
        await self._llm.warm()
        if isinstance(self._llm, Preparable):
            try:
                await self._llm.prepare(self._script.system)
            except ProviderError as error:
                log.info("llm.not_prepared", reason=error.detail)

    def _open(self) -> None:
        """Greet, or go on where it was left."""
        if self._greets:
            self._disclose()
            if self._script.first_message:
                self._write(self._script.first_message)
        if self._resume is None:
            return
        snapshot = self._resume.snapshot
        if snapshot.agent is not None:  # broken off with its process: it is answered again, in a message of its own
            self._record_agent(msgspec.structs.replace(snapshot.agent, sequence=self._next))
            self._owed = True
        if snapshot.user is not None:
            self._record(msgspec.structs.replace(snapshot.user, sequence=self._next))
            self._owed = True
        self._owed = self._owed or (bool(self._turns) and self._turns[-1].speaker is Speaker.USER)

    async def _next_messages(self) -> float:
        """Wait for messages and put all that wait on record; when the first of them came."""
        while not self._waiting:
            self._written.clear()
            self._settled.set()
            await self._written.wait()
        await self._listening.wait()
        asked_at = self._waiting[0].at
        self._put_waiting_on_record()
        return asked_at

    async def _finished(self, writing: "asyncio.Task[None]") -> None:
        """Wait for a reply; being cancelled oneself cancels it."""
        try:
            await asyncio.wait({writing})
        finally:
            if not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
        if not writing.cancelled() and (error := writing.exception()) is not None:
            raise error

    def _reason_to_end(self, said: str) -> EndReason | None:
        """Why a whole message of the agent ends the conversation, if it does."""
        if says_one_of(self._asked, self._end_phrases):
            return EndReason.USER_ENDED
        if self._wants_end or says_one_of(said, self._end_phrases):
            return EndReason.AGENT_ENDED
        return None

    def _time_is_over(self, goodbye: str, reason: EndReason) -> None:
        self._goodbye = goodbye
        self.end(reason)

    def _warn_of_time(self) -> None:
        """Say that time is running out; not into a message that is being written, and not while nobody reads."""
        self._warns = self._reply is not None or not self._listening.is_set()
        if not self._warns and not self._ended.done():
            seconds = self._plan.agent.config.max_duration_seconds - self._clock()
            self._write(self._script.phrases.time_left(seconds))

    def _stir(self) -> None:
        """Somebody did something: begin to count idle time anew."""
        self._quieten()
        if self._listening.is_set() and self._began is not None and not self._ended.done():
            seconds = self._plan.agent.config.max_idle_time_seconds * IDLE_FACTOR
            self._idle_timer = self._loop.call_later(
                seconds, self._time_is_over, self._phrases.goodbye_idle, EndReason.IDLE_TIMEOUT
            )

    def _quieten(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    # --- writing

    async def _answer(self, asked_at: float) -> None:
        """Write one reply; a goodbye when there is no money for it."""
        self._owed = False
        self._wants_end = False
        if not self._may_spend():
            self._part()
            return
        self._tell_state(AgentState.THINKING)
        self._disclose()
        reply = self._reply = _Reply(self._next, asked_at)
        try:
            async with aclosing(self._deltas(reply)) as deltas:
                async for text in deltas:
                    await self._listening.wait()
                    self._add(reply, text)
            self._close(reply, interrupted=False)
            self._ending = self._reason_to_end(reply.text)
        except ProviderError as error:
            self._close(reply, interrupted=True)
            self._apologise(error)
        finally:
            self._close(reply, interrupted=True)
            self._tell_state(AgentState.LISTENING)
            if self._warns and self._ending is None:
                self._warn_of_time()

    def _part(self) -> None:
        log.info("chat.out_of_money")
        self._notify(OUT_OF_MONEY)
        self._notify(Warned(text="The conversation was ended: the monthly spend limit is used up."))
        self._disclose()
        self._write(self._script.phrases.goodbye_unpaid)
        self._ending = EndReason.SPEND_LIMIT

    async def _deltas(self, reply: _Reply) -> AsyncGenerator[str]:
        *before, asked = self._history()
        request = request_of(self._plan, self._script, before, asked.text)
        if self._context:
            context = {**request.context, "messageMetadata": self._context}
            request = msgspec.structs.replace(request, context=context)
        is_empty = True
        async with aclosing(self._llm.answer(request)) as deltas:
            while (delta := await self._next_delta(deltas)) is not None:
                match delta:
                    case TextDelta():
                        is_empty = is_empty and not delta.text
                        yield delta.text
                    case EndCall():
                        self._wants_end = True
                    case LlmUsed():
                        pass  # counted around the model
                    case ToolCallBegun() | ToolCall():
                        log.warning("reply.tool_unknown", provider=self._llm.provider)  # none was offered
                    case _:
                        assert_never(delta)
        if is_empty and not self._wants_end:
            log.warning("reply.empty", provider=self._llm.provider)
            yield self._phrases.broken

    async def _next_delta(self, deltas: AsyncGenerator[LlmDelta]) -> LlmDelta | None:
        try:
            async with asyncio.timeout(LLM_SECONDS):
                return await anext(deltas, None)
        except TimeoutError:
            detail = f"no answer within {LLM_SECONDS:g} s"
            raise ProviderTimeout(detail, provider=self._llm.provider, kind="llm") from None

    def _history(self) -> list[Turn]:
        """The turns up to the last message of the person, which is the one to answer."""
        last = max(index for index, turn in enumerate(self._turns) if turn.speaker is Speaker.USER)
        return self._turns[: last + 1]

    def _apologise(self, error: ProviderError) -> None:
        log.warning("reply.failed", provider=error.provider, retryable=error.retryable, reason=error.detail)
        self._notify(Fault(code=FaultCode.LLM_PROVIDER_ERROR, message="The language model failed.", recoverable=True))
        self._write(self._phrases.broken)

    def _disclose(self) -> None:
        if not self._disclosed:
            self._disclosed = True
            self._write(self._script.disclosure)

    def _write(self, text: str) -> None:
        """A whole message of the agent, at once."""
        reply = _Reply(self._next, self._loop.time())
        reply.text, reply.begun_at = text, self._clock()
        self._record_agent(self._turn_of(reply, interrupted=False))

    def _add(self, reply: _Reply, text: str) -> None:
        if reply.begun_at is None:
            text = text.lstrip()
            if not text:
                return
            reply.begun_at = self._clock()
            self._tell_state(AgentState.SPEAKING)
        reply.text += text
        self._tell(self._turn_of(reply, interrupted=False), is_final=False)

    def _close(self, reply: _Reply, *, interrupted: bool) -> None:
        """Put on record what was sent of a reply, once."""
        if self._reply is not reply:
            return
        self._reply = None
        if reply.begun_at is None:
            return
        seconds = max(0.0, reply.begun_at - (reply.asked_at - (self._began or 0.0)))
        latency = _latency(seconds)
        self._meter.answered(latency)
        turn = self._turn_of(reply, interrupted=interrupted)
        self._record_agent(msgspec.structs.replace(turn, latency=latency))

    # --- the record

    def _turn_of(self, reply: _Reply, *, interrupted: bool) -> Turn:
        return Turn(
            sequence=reply.sequence,
            speaker=Speaker.AGENT,
            text=reply.text.rstrip(),
            start_time=round(reply.begun_at or 0.0, 3),
            end_time=round(max(reply.begun_at or 0.0, self._clock()), 3),
            confidence=1.0,
            interrupted=interrupted,
        )

    def _user_turn(self, text: str, sequence: int, at: float) -> Turn:
        at = round(max(0.0, at), 3)
        return Turn(sequence=sequence, speaker=Speaker.USER, text=text, start_time=at, end_time=at, confidence=1.0)

    def _put_waiting_on_record(self) -> None:
        self._asked = _joined(self._waiting)
        while self._waiting:
            self._owed = True
            message = self._waiting.popleft()
            self._context = message.metadata
            turn = self._user_turn(message.text, self._next, message.at - (self._began or message.at))
            self._tell(turn, is_final=True)
            self._record(turn)

    def _record_agent(self, turn: Turn) -> None:
        self._tell(turn, is_final=True)
        self._record(turn)

    def _record(self, turn: Turn) -> None:
        self._next = turn.sequence + 1
        self._turns.append(turn)
        self._notify(TurnFinished(turn=turn))

    def _tell(self, turn: Turn, *, is_final: bool) -> None:
        self._notify(
            TranscriptionUpdated(
                sequence=turn.sequence,
                speaker=turn.speaker,
                text=turn.text,
                is_final=is_final,
                confidence=1.0,
                start_time=turn.start_time,
                end_time=turn.end_time,
            )
        )

    def _tell_state(self, state: AgentState) -> None:
        if state is not self._state:
            self._state = state
            self._notify(AgentStateChanged(state=state))

    def _clock(self) -> float:
        return self._loop.time() - self._began if self._began is not None else self._elapsed


def _latency(seconds: float) -> TurnLatency:
    """All of it is the model's: there is nothing to hear and nothing to speak."""
    milliseconds = round(seconds * 1000, 1)
    return TurnLatency(
        total_ms=milliseconds, endpointing_ms=0.0, stt_ms=0.0, llm_ms=milliseconds, tts_ms=0.0, platform_ms=0.0
    )


def _joined(messages: Iterable[_Message]) -> str:
    return "\n".join(message.text for message in messages)


def _invalid(code: str, detail: str) -> Invalid:
    return Invalid((FieldError(pointer="/content", code=code, detail=detail),), detail=detail)


def _tell_nobody(event: CallEvent) -> None: ...
