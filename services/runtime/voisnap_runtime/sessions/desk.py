"""The front desk: opens sessions for the API, and ends them for whoever asks. Any process of the runtime answers."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import Channel, EndReason, Session, SessionPlan, SessionState
from voisnap_kit import log
from voisnap_kit.bus import BusError, NoResponders, Subscription
from voisnap_kit.redis import RedisError
from voisnap_proto.requests import (
    END_SESSION,
    OPEN_SESSION,
    EndSession,
    OpenSession,
    SessionEnding,
    SessionOpened,
)

from voisnap_runtime import metrics

from .store import Store
from .tokens import IceSettings, ice_servers, new_session_token

_log = log.get(__name__)

R = TypeVar("R")

TO_CONNECT = timedelta(minutes=5)
"""How long a session waits for its caller."""

MAX_WAITING = 500
"""Browser calls of one tenant that wait for their callers at the same time, whatever the plan allows. A few more may slip in at once."""

DEADLINE_MARGIN = timedelta(seconds=60)
"""What a session may take beyond its agent's maximum duration, to say goodbye."""

MAX_LATE_SECONDS = 0.03
"""A process whose audio clock is this late for every twentieth beat takes no more calls: a frame and a half is what a caller's own buffer
hides, and the calls that are there must not be heard to suffer from the next one."""

QUEUE = "runtime"
FORWARD_SECONDS = 2.0


class Requests(Protocol):
    """The part of the bus that the desk needs."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...


class Room(Protocol):
    """The sessions that live here."""

    @property
    def load(self) -> int:
        """How many sessions need room; callers who are away need next to none."""
        ...

    def end(self, session_id: SessionId, reason: EndReason) -> bool: ...


class Rehearsing(Protocol):
    """Who simulates callers, as `rehearsals.Rehearsals` does."""

    def cast(self, plan: SessionPlan) -> SessionPlan: ...
    async def begin(self, asked: SessionPlan, plan: SessionPlan, rehearsal: Rehearsal) -> None: ...


class DeskSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk goes by."""

    node_id: NodeId
    max_sessions: int = 50
    ice: IceSettings = msgspec.field(default_factory=IceSettings)


async def _nothing_to_load(plan: SessionPlan) -> None: ...


class Desk:
    """Opens and ends sessions. `load_providers` imports what a plan's providers need, then `check_providers` raises DomainError where they
    are not set up here; `rehearsals` simulates callers."""

    def __init__(
        self,
        settings: DeskSettings,
        store: Store,
        bus: Requests,
        room: Room,
        *,
        check_providers: Callable[[SessionPlan], None],
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        lateness: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        rehearsals: Rehearsing | None = None,
        load_providers: Callable[[SessionPlan], Awaitable[None]] = _nothing_to_load,
    ) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._room = room
        self._check_providers = check_providers
        self._load_providers = load_providers
        self._now = now
        self._random_bytes = random_bytes
        self._lateness = lateness
        self._clock = clock
        self._rehearsals = rehearsals
        self._door: list[Subscription] = []
        self._subscriptions: list[Subscription] = []

    async def listen(self) -> None:
        """Answer requests until `close`."""
        node = self._settings.node_id
        self._door = [
            await self._bus.respond(OPEN_SESSION, QUEUE, OpenSession, self.open),
            await self._bus.respond(END_SESSION, QUEUE, EndSession, self.end),
        ]
        self._subscriptions = [
            await self._bus.respond(end_session_at(node), node, EndSession, self.end_here),
        ]

    async def close_door(self) -> None:
        """Leave what is new to the others; sessions that live here can still be ended."""
        await self._close(self._door)

    async def close(self) -> None:
        """Answer no more; what has begun is finished."""
        await self._close(self._door)
        await self._close(self._subscriptions)

    def check_room(self) -> None:
        """Raises LimitReached when this process takes no more sessions."""
        if self._room.load >= self._settings.max_sessions:
            raise LimitReached("This node takes no more sessions.", code="node-full", retry_after=2)
        if self._lateness() > MAX_LATE_SECONDS:
            raise LimitReached("This node is too busy for another session.", code="node-full", retry_after=2)

    async def open(self, request: OpenSession) -> SessionOpened:
        """Make a session ready for its caller."""
        plan = request.plan
        try:
            self.check_room()
            if request.rehearsal is not None:
                return await self._rehearse(plan, request.rehearsal)
            await self._load_providers(plan)
            if plan.leg is not None and self._rehearsals is not None:
                plan = self._rehearsals.cast(plan)  # calls of the sandbox are simulated, and so may its providers be
            self._check_providers(plan)
            return await self._open(plan)
        except RedisError as error:
            _log.error("session.not_opened", session_id=plan.session_id, error=repr(error))
            raise LimitReached("Sessions can't be opened at the moment.", code="node-full", retry_after=2) from None
        except LimitReached as error:
            metrics.SESSIONS_REFUSED.labels(error.code).inc()
            _log.info("session.refused", session_id=plan.session_id, code=error.code)
            raise

    async def end(self, request: EndSession) -> SessionEnding:
        """End a session wherever it lives."""
        session = await self._store.get(request.session_id)
        if session is None or session.state is SessionState.ENDED:
            return SessionEnding(found=False)
        if session.owner is None and session.connected_at is None:
            return await self._end_unclaimed(session, request.reason)
        if session.owner is None:
            return await self._leave_to_reaper(session, request.reason)
        if session.owner == self._settings.node_id:
            return await self.end_here(request)
        try:
            return await self._bus.request(
                end_session_at(session.owner), request, SessionEnding, timeout=FORWARD_SECONDS
            )
        except NoResponders:
            return await self._leave_to_reaper(session, request.reason)
        except BusError as error:
            _log.warning("session.end_not_forwarded", session_id=request.session_id, error=repr(error))
            return SessionEnding(found=False)

    async def end_here(self, request: EndSession) -> SessionEnding:
        """End a session that lives in this process."""
        return SessionEnding(found=self._room.end(request.session_id, request.reason))

    @staticmethod
    async def _close(subscriptions: list[Subscription]) -> None:
        while subscriptions:
            await subscriptions.pop().close()

    async def _open(self, plan: SessionPlan) -> SessionOpened:
        now = self._now()
        expires_at = now + TO_CONNECT
        deadline = expires_at + timedelta(seconds=plan.agent.config.max_duration_seconds) + DEADLINE_MARGIN
        await self._check_waiting(plan, now=now, until=expires_at)
        if not await self._store.reserve(
            plan.tenant_id, plan.session_id, limit=plan.max_concurrent, now=now, until=expires_at
        ):
            raise LimitReached(
                f"The plan allows {plan.max_concurrent} sessions at a time.", code="session-limit-reached"
            )
        token = new_session_token(self._random_bytes)
        session = Session(plan=plan, state=SessionState.CREATED, revision=1, deadline=deadline)
        await self._store.create(session, token=token, token_until=expires_at)
        _log.info("session.opened", session_id=plan.session_id, agent_id=plan.agent.agent_id)
        return SessionOpened(
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            session_token=token,
            expires_at=expires_at,
            ice_servers=ice_servers(self._settings.ice, plan.session_id, until=deadline),
            node_id=self._settings.node_id,
        )

    async def _check_waiting(self, plan: SessionPlan, *, now: datetime, until: datetime) -> None:
        """Raises LimitReached. A session that begins at a hub waits for nobody."""
        if plan.channel is not Channel.WEBRTC:
            return
        if await self._store.waiting(plan.tenant_id, now=now, until=until) >= MAX_WAITING:
            raise LimitReached(
                f"{MAX_WAITING} sessions wait for their callers already. Connect to them, or end them, before you open more.",
                code="session-limit-reached",
            )

    async def _rehearse(self, asked: SessionPlan, rehearsal: Rehearsal) -> SessionOpened:
        if self._rehearsals is None:
            raise LimitReached("No callers are simulated here.", code="node-full")
        await self._load_providers(asked)
        plan = self._rehearsals.cast(asked)
        self._check_providers(plan)
        opened = await self._open(plan)
        try:
            await self._rehearsals.begin(asked, plan, rehearsal)
        except BaseException:
            await self.end(EndSession(session_id=plan.session_id, reason=EndReason.ERROR))
            raise
        return opened

    async def _leave_to_reaper(self, session: Session, reason: EndReason) -> SessionEnding:
        """End a conversation that nobody holds now: nobody goes on with it, and the reaper tells how it was."""
        session_id = session.plan.session_id

        def ending(kept: Session) -> Session:
            if kept.owner != session.owner or kept.state in {SessionState.ENDING, SessionState.ENDED}:
                return kept
            return kept.moved(SessionState.ENDING, reason=reason)

        kept = await self._store.change(session_id, ending)
        if kept.state is SessionState.ENDING:
            await self._store.renew({session_id: self._now()})
        return SessionEnding(found=kept.state is SessionState.ENDING)

    async def _end_unclaimed(self, session: Session, reason: EndReason) -> SessionEnding:
        now = self._now()

        def ended(kept: Session) -> Session:
            return kept if kept.owner is not None else kept.moved(SessionState.ENDED, reason=reason, at=now)

        kept = await self._store.change(session.plan.session_id, ended)
        if kept.state is SessionState.ENDED:
            await self._store.leave(session.plan.session_id)
            await self._store.release(session.plan.tenant_id, session.plan.session_id)
        return SessionEnding(found=kept.state is SessionState.ENDED)


def end_session_at(node_id: NodeId) -> str:
    """The subject on which one node ends its sessions."""
    return f"node.{node_id}.end_session.v1"
