"""Answers one message of a written conversation after the other, in whichever process it arrives.

A session lives here only while a message is answered; in between it waits in the store, without an owner, for whoever gets the next one.
What belongs to a message is read from the session's record, so that a process may die at any moment: whoever is asked again goes on.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.errors import Conflict, LimitReached, NotFound
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, Session, SessionPlan, SessionState
from voisnap_kit import log
from voisnap_kit.bus import BusError, NoResponders, Subscription
from voisnap_kit.redis import RedisError
from voisnap_proto.requests import (
    EXCHANGE_TEXT,
    EndSession,
    ExchangeText,
    OpenSession,
    SessionEnding,
    SessionOpened,
    TextExchanged,
)

from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.parts import SessionGone, SessionInUse
from voisnap_runtime.sessions.roster import LiveSessions
from voisnap_runtime.sessions.store import Store

from .answers import Answers, Given
from .line import TextLine

_log = log.get(__name__)

R = TypeVar("R")

QUEUE = "runtime"

ANSWER_SECONDS = 45.0
"""How long an answer may take. One that takes longer is not lost: whoever asks again gets it."""

FORWARD_SECONDS = ANSWER_SECONDS + 5.0

_UNKNOWN = TextExchanged(known=False)
_OVER = frozenset({SessionState.ENDING, SessionState.ENDED})


class Requests(Protocol):
    """The part of the bus that is needed here."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...


class Opening(Protocol):
    """The part of the desk that is needed here."""

    async def open(self, request: OpenSession) -> SessionOpened: ...
    async def end(self, request: EndSession) -> SessionEnding: ...


class Texting:
    """The written conversations of one process. `cast` fits a plan to what this installation has, as sandbox sessions need it."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        store: Store,
        answers: Answers,
        sessions: LiveSessions,
        desk: Opening,
        bus: Requests,
        now: Callable[[], datetime],
        cast: Callable[[SessionPlan], Awaitable[SessionPlan]],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._answers = answers
        self._sessions = sessions
        self._desk = desk
        self._bus = bus
        self._now = now
        self._cast = cast
        self._seconds = answer_seconds
        self._locks: dict[SessionId, asyncio.Lock] = {}
        self._waiting: Counter[SessionId] = Counter()
        self._subscriptions: list[Subscription] = []

    async def listen(self) -> None:
        """Answer until `close`."""
        node = self._node_id
        self._subscriptions = [
            await self._bus.respond(EXCHANGE_TEXT, QUEUE, ExchangeText, self.exchange),
            await self._bus.respond(exchange_text_at(node), node, ExchangeText, self.exchange_here),
        ]

    async def close(self) -> None:
        """Take no more messages."""
        while self._subscriptions:
            await self._subscriptions.pop().close()

    async def exchange(self, request: ExchangeText) -> TextExchanged:
        """Answer a message where its session lives, or here. Raises what opening a session raises, and LimitReached `node-full` for all that
        trying again may help against."""
        session_id = request.plan.session_id
        try:
            given = await self._answers.given(session_id, request.message_id)
            if given is not None and given.answer is not None:
                return given.answer
            session = await self._store.get(session_id)
        except RedisError as error:
            raise _try_again(session_id, error) from None
        owner = None if session is None or session.state in _OVER else session.owner
        if owner not in (None, self._node_id):
            try:
                return await self._bus.request(exchange_text_at(owner), request, TextExchanged, timeout=FORWARD_SECONDS)
            except NoResponders:
                pass  # it is gone, and the session with it: it goes on here
            except BusError as error:
                raise _try_again(session_id, error) from None
        return await self.exchange_here(request)

    async def exchange_here(self, request: ExchangeText) -> TextExchanged:
        """Answer a message in this process."""
        session_id = request.plan.session_id
        async with self._one_at_a_time(session_id):
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._exchanged(request)
            except (SessionInUse, RedisError, TimeoutError) as error:
                raise _try_again(session_id, error) from None
            except (SessionGone, NotFound):
                return _UNKNOWN
            finally:
                await self._let_go(request)

    async def _exchanged(self, request: ExchangeText) -> TextExchanged:
        session_id = request.plan.session_id
        given = await self._answers.given(session_id, request.message_id)
        if given is not None and given.answer is not None:
            return given.answer
        found = await self._found(request.plan)
        if found is None:
            return _UNKNOWN
        live = await self._sessions.claim(session_id, found=found)
        if live.is_ending:
            await live.over()
            return await self._last_answer(request)
        was_given = given is not None
        if given is None:
            turns = live.record.turns
            after = turns[-1].sequence if turns else 0
            given = await self._answers.give(session_id, request.message_id, after=after)
        line = self._line(live, request.message_id, given)
        live.attach(line, resumed=True, takes_over=True)
        await live.connect(line)
        await live.begun()
        if await _settled(live) and request.text and not (was_given and _was_said(live.record.turns, given)):
            chat = live.conversation
            if isinstance(chat, Chat):
                chat.say(request.text)
                await _settled(live)
        if live.is_ending:
            await live.over()
            return await self._last_answer(request)
        answer = TextExchanged(replies=_replies(live.record.turns, given))
        await self._answers.answered(session_id, request.message_id, msgspec.structs.replace(given, answer=answer))
        return answer

    def _line(self, live: LiveSession, message_id: str, given: Given) -> TextLine:
        async def keep(reason: EndReason) -> None:
            answer = TextExchanged(replies=_replies(live.record.turns, given), ended=reason)
            answered = msgspec.structs.replace(given, answer=answer)
            await self._answers.answered(live.plan.session_id, message_id, answered)

        return TextLine(keep)

    async def _last_answer(self, request: ExchangeText) -> TextExchanged:
        """What a conversation that has ended, or left, answered."""
        given = await self._answers.given(request.plan.session_id, request.message_id)
        if given is not None and given.answer is not None:
            return given.answer
        session = await self._store.get(request.plan.session_id)
        if session is None or session.state in _OVER:
            return _UNKNOWN
        raise SessionInUse("The conversation goes on in another process.")

    async def _found(self, plan: SessionPlan) -> Session | None:
        """The session, opened if it is new; None for one that is over."""
        session = await self._store.get(plan.session_id)
        if session is None:
            if await self._answers.knows(plan.session_id):
                return None
            await self._desk.open(OpenSession(plan=await self._cast(plan)))
            session = await self._store.get(plan.session_id)
        return None if session is None or session.state in _OVER else session

    async def _let_go(self, request: ExchangeText) -> None:
        """Leave the session to whoever gets the next message, for as long as one is waited for."""
        plan = request.plan
        live = self._sessions.get(plan.session_id)
        if live is None or live.is_ending:
            return
        until = min(self._now() + timedelta(seconds=request.idle_seconds), live.session.deadline)
        with contextlib.suppress(RedisError):  # then it waits here
            if await live.hand_over(seamless=live.is_quiet, until=until):
                await live.over()
                await self._store.release(plan.tenant_id, plan.session_id)  # nobody is kept from calling meanwhile

    @contextlib.asynccontextmanager
    async def _one_at_a_time(self, session_id: SessionId) -> AsyncGenerator[None]:
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        self._waiting[session_id] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[session_id] -= 1
            if not self._waiting[session_id]:
                del self._waiting[session_id], self._locks[session_id]


def exchange_text_at(node_id: NodeId | None) -> str:
    """The subject on which one node answers the messages of its sessions."""
    return f"node.{node_id}.exchange_text.v1"


async def _settled(live: LiveSession) -> bool:
    """Wait until everything that was written is answered; False when the conversation ended over it."""
    chat = live.conversation
    if not isinstance(chat, Chat):
        raise Conflict("This is no written conversation.", code="not-written")
    answered = asyncio.create_task(chat.answered())
    over = asyncio.create_task(live.over())
    try:
        await asyncio.wait({answered, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (answered, over):
            task.cancel()
    return not live.is_ending


def _was_said(turns: Sequence[Turn], given: Given) -> bool:
    return any(turn.speaker is Speaker.USER and turn.sequence > given.after for turn in turns)


def _replies(turns: Sequence[Turn], given: Given) -> tuple[str, ...]:
    """What the agent answered. What broke off with its process was not sent, and is answered anew behind it."""
    return tuple(
        turn.text
        for turn in turns
        if turn.speaker is Speaker.AGENT and turn.sequence > given.after and turn.text and not turn.interrupted
    )


def _try_again(session_id: SessionId, error: Exception) -> LimitReached:
    _log.warning("text.not_answered", session_id=session_id, error=repr(error))
    return LimitReached("The message can't be answered at the moment.", code="node-full", retry_after=2)
