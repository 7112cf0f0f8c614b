"""WebRtcHub: signalling of browser calls. The hub only carries words; the session lives on without it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.errors import DomainError, LimitReached
from voisnap_domain.sessions import EndReason, Session, SessionPlan
from voisnap_kit import log
from voisnap_kit.redis import RedisError
from voisnap_providers.errors import ProviderError
from voisnap_signalr import Hub, HubConnection, HubError, hub_method

from voisnap_runtime.pipeline.events import CallEvent
from voisnap_runtime.sessions.live import LiveSession, SessionGone, SessionInUse
from voisnap_runtime.sessions.roster import GRACE, LiveSessions
from voisnap_runtime.sessions.store import Store
from voisnap_runtime.sessions.tokens import RESUME_PREFIX, new_resume_token

from . import wire
from .auth import HubUser

_log = log.get(__name__)

MAX_EARLY_CANDIDATES = 64
"""Candidates that are kept until their offer comes."""

FAREWELL_SECONDS = 2.5

_REASONS = {
    "user_ended": EndReason.USER_ENDED,
    "timeout": EndReason.TIMEOUT,
    "transfer_complete": EndReason.TRANSFER_COMPLETE,
}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """An SDP description (W3C WebRTC, RTCSessionDescriptionInit)."""

    sdp: str
    type: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An ICE candidate (W3C WebRTC, RTCIceCandidateInit); an empty one says that there are no more."""

    candidate: str | None = None
    sdp_mid: str | None = msgspec.field(name="sdpMid", default=None)
    sdp_mline_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class Reconnection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to come back to a session after a loss."""

    session_id: str
    resume_token: str
    retry_window_seconds: int


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hub finds the session of a token."""

    store: Store
    sessions: LiveSessions
    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]


class Refusal(Exception):
    """The caller gets this `Error` event, then the connection is closed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WebRtcAudience:
    """A hub connection that watches a session. Our candidates wait until our answer is sent."""

    def __init__(self, connection: HubConnection) -> None:
        self._connection = connection
        self._held: list[Mapping[str, Any]] | None = []
        self.has_ended = False

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        self._connection.send("SessionStarted", wire.session_started(session, at=at, resumed=resumed))

    def told(self, event: CallEvent) -> None:
        call = wire.call_event(event)
        if call is not None:
            target, arguments = call
            self._connection.send(target, *arguments)

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        if self._held is None:
            self._connection.send("IceCandidateReceived", candidate)
        elif len(self._held) < MAX_EARLY_CANDIDATES:
            self._held.append(candidate)

    def answered(self, sdp: str, type: str) -> None:
        """Send the answer, and the candidates that waited for it."""
        self._connection.send("SdpAnswerReceived", Description(sdp=sdp, type=type))
        held, self._held = self._held or [], None
        for candidate in held:
            self.candidate(candidate)

    def failed(self, code: str, message: str, *, recoverable: bool) -> None:
        self._connection.send("Error", wire.Error(code=code, message=message, recoverable=recoverable))

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        self.has_ended = True
        self._connection.send("SessionEnded", wire.session_ended(plan, reason=reason, seconds=seconds, at=at))

    async def leave(self) -> None:
        await self._connection.close()

    async def come_back(self) -> None:
        await self._connection.close(allow_reconnect=True)

    def give_way(self) -> None:
        self._connection.abort()


class WebRtcHub(Hub):
    """`/hubs/webrtc?sessionToken=…`: one connection of a browser call."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._live: LiveSession | None = None
        self._audience: WebRtcAudience | None = None
        self._early: list[Candidate] = []

    async def on_connected(self) -> None:
        """Find the session of the token and start watching it; a refusal is an `Error` event and the end of the connection."""
        try:
            self._live, self._audience = await self._enter()
        except Refusal as refusal:
            _log.info("hub.session_refused", code=refusal.code, detail=refusal.message)
            error = wire.Error(code=refusal.code, message=refusal.message, recoverable=False)
            self.connection.send("Error", error)
            await self.connection.close()

    async def on_disconnected(self, error: str | None) -> None:
        """The session goes on without us."""
        if self._live is not None and self._audience is not None:
            self._live.detach(self._audience)

    @hub_method("SendOfferAsync")
    async def send_offer(self, offer: Description) -> None:
        """Answer an SDP offer with `SdpAnswerReceived`; a further offer renegotiates."""
        live, audience = self._present()
        if offer.type != "offer":
            raise HubError(f"SendOfferAsync takes a description of type 'offer', not '{offer.type[:20]}'.")
        try:
            sdp, kind = await live.answer(offer.sdp, offer.type)
        except ValueError as error:
            raise HubError(f"The offer can't be used: {error}") from None
        except SessionGone as error:
            raise HubError(error.detail) from None
        audience.answered(sdp, kind)
        early, self._early = self._early, []
        for candidate in early:
            await self._try(live, candidate)

    @hub_method("SendIceCandidateAsync")
    async def send_ice_candidate(self, candidate: Candidate) -> None:
        """Try a candidate of the browser; before the offer it waits."""
        live, _ = self._present()
        if await self._try(live, candidate):
            return
        if len(self._early) >= MAX_EARLY_CANDIDATES:
            raise HubError("Too many candidates before an offer.")
        self._early.append(candidate)

    @hub_method("EndSessionAsync")
    async def end_session(self, reason: str | None = None) -> None:
        """Hang up; returns when `SessionEnded` is sent. A reason that is none of the documented ones counts as `user_ended`."""
        live, _ = self._present()
        live.end(_REASONS.get(reason or "", EndReason.USER_ENDED))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await live.announced()

    @hub_method("RequestReconnectionAsync")
    async def request_reconnection(self) -> Reconnection:
        """A token to come back with after a loss of the connection, also when the server has not noticed the loss yet."""
        live, _ = self._present()
        token = new_resume_token(self._reception.random_bytes)
        try:
            await self._reception.store.add_token(token, live.plan.session_id, until=live.session.deadline)
        except RedisError:
            raise HubError("No reconnection token can be made now; try again.") from None
        return Reconnection(
            session_id=live.plan.session_id,
            resume_token=token,
            retry_window_seconds=int(GRACE.total_seconds()),
        )

    def _present(self) -> tuple[LiveSession, WebRtcAudience]:
        if self._live is None or self._audience is None or self._audience.has_ended:
            raise HubError("There is no session on this connection.")
        return self._live, self._audience

    async def _try(self, live: LiveSession, candidate: Candidate) -> bool:
        try:
            return await live.add_candidate(candidate.candidate or "", candidate.sdp_mid, candidate.sdp_mline_index)
        except ValueError as error:
            raise HubError(f"The candidate can't be used: {error}") from None

    async def _enter(self) -> tuple[LiveSession, WebRtcAudience]:
        token = self.connection.query.get("sessionToken", "")
        try:
            session = await self._admitted(token)
            resumed = self._reception.sessions.get(session.plan.session_id) is not None
            live = await self._reception.sessions.claim(session.plan.session_id)
            await self._reception.store.add_token(token, session.plan.session_id, until=session.deadline)
            audience = WebRtcAudience(self.connection)
            displaced = live.attach(audience, resumed=resumed, takes_over=token.startswith(RESUME_PREFIX))
        except LimitReached as error:
            raise Refusal("SESSION_LIMIT_REACHED", error.detail) from None
        except SessionInUse as error:
            raise Refusal("AUTH_FAILED", error.detail) from None
        except DomainError as error:
            raise Refusal("RECONNECT_FAILED", error.detail) from None
        except ProviderError as error:
            _log.error("hub.provider_failed", error=repr(error))
            raise Refusal("LLM_PROVIDER_ERROR", "The agent's providers don't answer.") from None
        except RedisError as error:
            _log.error("hub.store_away", error=repr(error))
            raise Refusal("RECONNECT_FAILED", "Sessions can't be opened at the moment.") from None
        if displaced is not None:
            await displaced.leave()
        return live, audience

    async def _admitted(self, token: str) -> Session:
        """The session that the token opens for this user."""
        user: HubUser = self.connection.user
        if not token:
            raise Refusal("AUTH_FAILED", "The sessionToken parameter is missing.")
        session_id = await self._reception.store.find_by_token(token)
        session = None if session_id is None else await self._reception.store.get(session_id)
        if session is None or not _may_enter(user, session.plan):
            raise Refusal("AUTH_FAILED", "The session token is unknown, expired or not yours.")
        return session


def _may_enter(user: HubUser, plan: SessionPlan) -> bool:
    return (
        user.tenant_id == plan.tenant_id
        and user.environment is plan.environment
        and user.agent_id in (None, plan.agent.agent_id)
        and user.session_id in (None, plan.session_id)
    )
