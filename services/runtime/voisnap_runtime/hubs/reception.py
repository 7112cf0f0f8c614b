"""How a hub connection comes to its session: a new one is opened here, an old one is claimed from wherever it lived."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.errors import Conflict, DomainError
from voisnap_domain.ids import AgentId, ConversationId, SessionId
from voisnap_domain.sessions import Channel, EndReason, Session, SessionPlan
from voisnap_kit import log
from voisnap_kit.backoff import Backoff
from voisnap_kit.bus import NoResponders
from voisnap_kit.redis import RedisError
from voisnap_proto.requests import (
    PLAN_SESSION,
    EndSession,
    OpenSession,
    PlanSession,
    SessionEnding,
    SessionOpened,
    SessionPlanned,
)
from voisnap_signalr import HubConnection

from voisnap_runtime.sessions.claims import GRACE
from voisnap_runtime.sessions.listening import Sides, Telling
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.roster import LiveSessions
from voisnap_runtime.sessions.store import Seat, Store

from .auth import HubUser
from .bounds import Boundless, Bounds
from .listening import Listener
from .parameters import Parameters
from .refusals import AGENT_NOT_FOUND, AUTH_FAILED, INTERNAL_ERROR, RECONNECT_FAILED, Refusal, refusing

_log = log.get(__name__)

R = TypeVar("R")

UNKNOWN_SESSION = "The session is unknown, over, or not yours."


PLAN_SECONDS = 3.0


class Requests(Protocol):
    """The part of the bus that hubs need."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...


class Opening(Protocol):
    """The part of the desk that hubs need."""

    async def open(self, request: OpenSession) -> SessionOpened: ...
    async def end(self, request: EndSession) -> SessionEnding: ...


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """Where hubs find sessions. `plan` asks the API what a session is made of."""

    store: Store
    sessions: LiveSessions
    desk: Opening
    plan: Callable[[PlanSession], Awaitable[SessionPlan]]
    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    bus: Telling
    resume_window: timedelta = GRACE
    bounds: Bounds = msgspec.field(default_factory=Boundless)

    async def session_for(
        self, connection: HubConnection, channel: Channel, wanted: Parameters
    ) -> tuple[LiveSession, bool]:
        """The session of a connection, and whether it is an old one: asked for, left behind by the same client, or new. Raises Refusal."""
        user: HubUser = connection.user
        live = await self._old_session(user, channel, wanted) if wanted.resumes else None
        if live is None:
            live = await self._left_behind(connection, channel, wanted)
        if live is not None:
            return live, True
        with refusing(conflict=RECONNECT_FAILED):
            await self.bounds.enters(user, connection.id)
        return await self._new_session(user, channel, wanted), False

    def listener(self, connection: HubConnection, conversation_id: ConversationId, sides: Sides) -> Listener:
        """Somebody who wants to hear a conversation of his tenant."""
        user: HubUser = connection.user
        return Listener(
            connection,
            self.bus,
            id=self.random_bytes(12).hex(),
            tenant_id=user.tenant_id,
            environment=user.environment,
            conversation_id=conversation_id,
            sides=sides,
            now=self.now,
        )

    async def remember(self, connection: HubConnection, live: LiveSession) -> None:
        """Know the session by its connection, should the client come back over another one."""
        seat = _seat(connection.user, live.plan.channel, live.plan.session_id)
        try:
            await self.sessions.remember(connection.digest, seat)
        except RedisError as error:  # the session can still be resumed by its id
            _log.warning("hub.connection_not_remembered", session_id=live.plan.session_id, error=repr(error))

    async def held_before(self, connection: HubConnection, session_id: SessionId) -> bool:
        """Whether the same client held the session over a connection before, which may seem alive and is not. Raises RedisError."""
        user: HubUser = connection.user
        seats = await self.store.seats(connection.previous) if connection.previous else ()
        return any(seat.session_id == session_id and seat.account == user.account for seat in seats)

    async def _left_behind(self, connection: HubConnection, channel: Channel, wanted: Parameters) -> LiveSession | None:
        if not connection.previous:
            return None
        user: HubUser = connection.user
        try:
            session_id = await self.sessions.find_resumable(
                connection.previous, _seat(user, channel, SessionId("")), agent_id=wanted.agent_id or user.agent_id
            )
            if session_id is None:
                return None
            session = await self.store.get(session_id)
            if session is None or not may_enter(user, session.plan):
                return None
            return await self.sessions.claim(session_id, found=session)
        except (DomainError, RedisError) as error:
            _log.info("hub.not_resumed", error=repr(error))
            return None

    async def _new_session(self, user: HubUser, channel: Channel, wanted: Parameters) -> LiveSession:
        """Open a session for a user and claim it. Raises Refusal."""
        request = _plan_request(user, channel, wanted)
        with refusing(conflict=INTERNAL_ERROR):
            plan = await self.plan(request)
            await self.desk.open(OpenSession(plan=plan))
            try:
                return await self.sessions.claim(plan.session_id)
            except BaseException:
                await self._give_up(plan.session_id)
                raise

    async def _old_session(self, user: HubUser, channel: Channel, wanted: Parameters) -> LiveSession:
        """Claim the session that a client wants back. Raises Refusal `RECONNECT_FAILED` when it can't have it."""
        with refusing(conflict=RECONNECT_FAILED):
            session = await self._known(user, wanted)
            if session is None or session.plan.channel is not channel or not may_enter(user, session.plan):
                raise Refusal(RECONNECT_FAILED, UNKNOWN_SESSION)
            if wanted.agent_id not in (None, session.plan.agent.agent_id):
                raise Refusal(RECONNECT_FAILED, UNKNOWN_SESSION)
            return await self.sessions.claim(session.plan.session_id, takes_over=True, found=session)

    async def _known(self, user: HubUser, wanted: Parameters) -> Session | None:
        """The session by its resume token, or by its id: then only for the user who opened it, or with a token that was made for it."""
        if wanted.resume_token is not None:
            session_id = await self.store.find_by_token(wanted.resume_token)
            return None if session_id is None else await self.store.get(session_id)
        session = await self.store.get(SessionId(wanted.session_id or ""))
        return session if session is not None and _may_resume(user, session.plan) else None

    async def _give_up(self, session_id: SessionId) -> None:
        """Nobody will come to a session that could not be claimed."""
        try:
            await self.desk.end(EndSession(session_id=session_id, reason=EndReason.ERROR))
        except (RedisError, Conflict) as error:  # the reaper ends it when its time to connect is over
            _log.warning("hub.session_left_behind", session_id=session_id, error=repr(error))


def _seat(user: HubUser, channel: Channel, session_id: SessionId) -> Seat:
    return Seat(
        session_id=session_id,
        tenant_id=user.tenant_id,
        environment=user.environment,
        account=user.account,
        hub=channel.value,
    )


def plans_of(bus: Requests) -> Callable[[PlanSession], Awaitable[SessionPlan]]:
    """Plans as the API makes them. An API that is just being restarted is waited for."""

    async def plan(request: PlanSession) -> SessionPlan:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PLAN_SECONDS
        pauses = Backoff(first=0.1, cap=0.8)
        while True:
            try:
                timeout = max(0.1, deadline - loop.time())
                return (await bus.request(PLAN_SESSION, request, SessionPlanned, timeout=timeout)).plan
            except NoResponders:
                pause = pauses.next()
                if loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)

    return plan


def may_enter(user: HubUser, plan: SessionPlan) -> bool:
    """Whether a session is within what the user's token is good for."""
    return (
        user.tenant_id == plan.tenant_id
        and user.environment is plan.environment
        and user.agent_id in (None, plan.agent.agent_id)
        and user.session_id in (None, plan.session_id)
    )


def _may_resume(user: HubUser, plan: SessionPlan) -> bool:
    """Whether knowing a session's id is enough for this user to come back to it.

    A token that a key made for this session is good; one that a person had made is so for the person's own sessions only.
    """
    return plan.caller.user_id == user.user_id or (user.session_id == plan.session_id and not user.is_person)


def _plan_request(user: HubUser, channel: Channel, wanted: Parameters) -> PlanSession:
    agent_id = wanted.agent_id or user.agent_id
    if agent_id is None:
        raise Refusal(AGENT_NOT_FOUND, "The agentId parameter is missing.")
    if user.agent_id not in (None, agent_id):
        raise Refusal(AUTH_FAILED, "This token is for another agent.")
    if user.session_id is not None:
        raise Refusal(AUTH_FAILED, "This token is for one session only.")
    return PlanSession(
        tenant_id=user.tenant_id,
        environment=user.environment,
        user_id=user.user_id,
        scopes=tuple(sorted(user.scopes)),
        agent_id=AgentId(agent_id),
        channel=channel,
        metadata=wanted.metadata,
        language=wanted.language,
        version=wanted.version,
    )
