"""What the three hubs have in common: coming in, being turned away, hanging up, coming back."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from voisnap_domain.errors import LimitReached
from voisnap_domain.sessions import Channel, EndReason, Session, SessionPlan
from voisnap_kit import log
from voisnap_kit.redis import RedisError
from voisnap_signalr import Hub, HubConnection, HubError, HubLimits, hub_method

from voisnap_runtime.pipeline.events import CallEvent
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.tokens import new_resume_token
from voisnap_runtime.transports.hub_line import HubLine

from . import wire
from .parameters import parameters_of
from .reception import Reception
from .refusals import RECONNECT_FAILED, SESSION_TAKEN_OVER, Refusal, refusing

_log = log.get(__name__)

FAREWELL_SECONDS = 2.5

MAX_MESSAGE_BYTES = 64 * 1024
"""A message of a client: an SDP offer, or a second and a half of audio."""

_REASONS = {
    "user_ended": EndReason.USER_ENDED,
    "timeout": EndReason.TIMEOUT,
    "transfer_complete": EndReason.TRANSFER_COMPLETE,
}


class Reconnection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to come back to a session after a loss."""

    session_id: str
    resume_token: str
    retry_window_seconds: int


class HubAudience:
    """A hub connection that watches a session (`sessions.live.Audience`)."""

    def __init__(self, connection: HubConnection) -> None:
        self.connection = connection
        self.has_ended = False

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        self.connection.send("SessionStarted", wire.session_started(session, at=at, resumed=resumed))

    def told(self, event: CallEvent) -> None:
        call = wire.call_event(event)
        if call is not None:
            target, arguments = call
            self.connection.send(target, *arguments)

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        """Only WebRTC has candidates."""

    def failed(self, code: str, message: str, *, recoverable: bool) -> None:
        self.connection.send("Error", wire.Error(code=code, message=message, recoverable=recoverable))

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        self.has_ended = True
        self.connection.send("SessionEnded", wire.session_ended(plan, reason=reason, seconds=seconds, at=at))

    async def leave(self) -> None:
        await self.connection.close()

    async def come_back(self) -> None:
        """The session goes on in another process: a client with automatic reconnect connects again at once."""
        await self.connection.close(allow_reconnect=True)

    def give_way(self) -> None:
        """Another connection has the session now. Nobody waits for this one: it may be dead without anybody having noticed."""
        self.has_ended = True
        self.failed(SESSION_TAKEN_OVER, "The session goes on over another connection.", recoverable=False)
        self.connection.abort()


A = TypeVar("A", bound=HubAudience)


class SessionHub(Hub, Generic[A]):
    """A connection that holds one session from `on_connected` to its end."""

    channel: ClassVar[Channel]
    missing: ClassVar[str] = "There is no session on this connection."
    limits = HubLimits(max_message_bytes=MAX_MESSAGE_BYTES)

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._live: LiveSession | None = None
        self._audience: A | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._resume_token = ""

    async def enter(self) -> None:
        """Find the connection's session and `watch` it. Raises Refusal."""
        raise NotImplementedError

    async def on_connected(self) -> None:
        """Come to a session; a refusal is an `Error` event and the end of the connection."""
        try:
            await self.enter()
        except Refusal as refusal:
            await self.turn_away(refusal)

    async def on_disconnected(self, error: str | None) -> None:
        """The session waits for its caller, or goes on without the hub."""
        if self._farewell is not None:
            self._farewell.cancel()
        self.lose()
        await self._reception.bounds.leaves(self.connection.user, self.connection.id)

    def lose(self) -> None:
        """The connection is gone. May be called twice."""
        if self._live is not None and self._audience is not None:
            self._live.detach(self._audience)

    @hub_method("EndSessionAsync")
    async def end_session(self, reason: str | None = None) -> None:
        """Hang up; returns when `SessionEnded` is sent. A reason that is none of the documented ones counts as `user_ended`."""
        live, _ = self.present()
        live.end(_REASONS.get(reason or "", EndReason.USER_ENDED))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await live.announced()

    @hub_method("RequestReconnectionAsync")
    async def request_reconnection(self) -> Reconnection:
        """A token to come back with after a loss of the connection, also when the server has not noticed the loss yet.

        One a connection, however often it is asked for.
        """
        live, _ = self.present()
        token = self._resume_token = self._resume_token or new_resume_token(self._reception.random_bytes)
        try:
            await self._reception.store.add_token(token, live.plan.session_id, until=live.session.deadline)
        except RedisError:
            raise HubError("No reconnection token can be made now; try again.") from None
        return Reconnection(
            session_id=live.plan.session_id,
            resume_token=token,
            retry_window_seconds=int(self._reception.resume_window.total_seconds()),
        )

    def present(self) -> tuple[LiveSession, A]:
        """The session that goes on here. Raises HubError."""
        if self._live is None or self._audience is None or self._audience.has_ended:
            raise HubError(self.missing)
        return self._live, self._audience

    def watch(self, live: LiveSession, audience: A, *, resumed: bool, takes_over: bool) -> None:
        """Let the connection watch the session instead of the one that did. Raises SessionInUse, SessionGone."""
        displaced = live.attach(audience, resumed=resumed, takes_over=takes_over)
        self._live, self._audience = live, audience
        self._farewell = asyncio.create_task(self._lose_when_closed())
        if displaced is not None:
            displaced.give_way()

    async def _lose_when_closed(self) -> None:
        """Not to wait for what may still be on its way to a client who does not read: his session must know at once."""
        await self.connection.closed.wait()
        self.lose()

    async def turn_away(self, refusal: Refusal) -> None:
        """Say why, and close."""
        _log.info("hub.session_refused", hub=type(self).__name__, code=refusal.code, detail=refusal.message)
        error = wire.Error(code=refusal.code, message=refusal.message, recoverable=refusal.recoverable)
        self.connection.send("Error", error)
        await self.connection.close(allow_reconnect=refusal.recoverable)


L = TypeVar("L", bound=HubLine)


class HubBorneHub(SessionHub[A], Generic[A, L]):
    """A hub whose connection carries the conversation itself: the session begins with it, and waits for its caller when it is lost."""

    _line: L | None = None

    def audience(self) -> A:
        """How the session's events are told here."""
        raise NotImplementedError

    def line(self) -> L:
        """The connection as the session's transport; `self._live` is there."""
        raise NotImplementedError

    def lose(self) -> None:
        """The session waits for its caller to come back."""
        super().lose()
        line, self._line = self._line, None
        if self._live is not None and line is not None:
            line.lose()
            self._live.media_changed(line, line.state)

    async def enter(self) -> None:
        """A new session of the agent, or the one to come back to."""
        wanted = parameters_of(self.connection.query)
        live, resumed = await self._reception.session_for(self.connection, self.channel, wanted)
        with refusing(conflict=RECONNECT_FAILED):
            self.watch(live, self.audience(), resumed=resumed, takes_over=resumed)
        self._line = self.line()
        await live.connect(self._line)
        # A caller who came back is heard again by now.
        await self._reception.remember(self.connection, live)
        if resumed:
            with contextlib.suppress(LimitReached):
                await self._reception.bounds.enters(self.connection.user, self.connection.id)
