"""WebRtcHub: signalling of browser calls. The hub only carries words; the session lives on without it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from voisnap_domain.sessions import Channel, Session
from voisnap_signalr import HubConnection, HubError, hub_method

from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.parts import SessionGone, SessionInUse
from voisnap_runtime.sessions.tokens import RESUME_PREFIX

from .reception import may_enter
from .refusals import AUTH_FAILED, RECONNECT_FAILED, Refusal, refusing
from .session_hub import HubAudience, SessionHub

MAX_EARLY_CANDIDATES = 64
"""Candidates that are kept until their offer comes."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """An SDP description (W3C WebRTC, RTCSessionDescriptionInit)."""

    sdp: str
    type: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An ICE candidate (W3C WebRTC, RTCIceCandidateInit); an empty one says that there are no more."""

    candidate: str | None = None
    sdp_mid: str | None = msgspec.field(name="sdpMid", default=None)
    sdp_mline_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class WebRtcAudience(HubAudience):
    """Our candidates wait until our answer is sent."""

    def __init__(self, connection: HubConnection) -> None:
        super().__init__(connection)
        self._held: list[Mapping[str, Any]] | None = []

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        if self._held is None:
            self.connection.send("IceCandidateReceived", candidate)
        elif len(self._held) < MAX_EARLY_CANDIDATES:
            self._held.append(candidate)

    def answered(self, sdp: str, type: str) -> None:
        """Send the answer, and the candidates that waited for it."""
        self.connection.send("SdpAnswerReceived", Description(sdp=sdp, type=type))
        held, self._held = self._held or [], None
        for candidate in held:
            self.candidate(candidate)


class WebRtcHub(SessionHub[WebRtcAudience]):
    """`/hubs/webrtc?sessionToken=…`: one connection of a browser call."""

    channel = Channel.WEBRTC
    _early: tuple[Candidate, ...] = ()

    @hub_method("SendOfferAsync")
    async def send_offer(self, offer: Description) -> None:
        """Answer an SDP offer with `SdpAnswerReceived`; a further offer renegotiates."""
        live, audience = self.present()
        if offer.type != "offer":
            raise HubError(f"SendOfferAsync takes a description of type 'offer', not '{offer.type[:20]}'.")
        try:
            sdp, kind = await live.answer(offer.sdp, offer.type)
        except ValueError as error:
            raise HubError(f"The offer can't be used: {error}") from None
        except SessionGone as error:
            raise HubError(error.detail) from None
        audience.answered(sdp, kind)
        early, self._early = self._early, ()
        for candidate in early:
            await self._try(live, candidate)

    @hub_method("SendIceCandidateAsync")
    async def send_ice_candidate(self, candidate: Candidate) -> None:
        """Try a candidate of the browser; before the offer it waits."""
        live, _ = self.present()
        if await self._try(live, candidate):
            return
        if len(self._early) >= MAX_EARLY_CANDIDATES:
            raise HubError("Too many candidates before an offer.")
        self._early = (*self._early, candidate)

    async def _try(self, live: LiveSession, candidate: Candidate) -> bool:
        try:
            return await live.add_candidate(candidate.candidate or "", candidate.sdp_mid, candidate.sdp_mline_index)
        except ValueError as error:
            raise HubError(f"The candidate can't be used: {error}") from None

    async def enter(self) -> None:
        """The session of the token: one of `POST /webrtc/sessions`, or one to come back with."""
        token = self.connection.query.get("sessionToken") or self.connection.query.get("resumeToken", "")
        with refusing(conflict=RECONNECT_FAILED):
            await self._reception.bounds.enters(self.connection.user, self.connection.id)
            session = await self._admitted(token)
            session_id = session.plan.session_id
            takes_over = token.startswith(RESUME_PREFIX) or await self._reception.held_before(
                self.connection, session_id
            )
            lives_here = self._reception.sessions.get(session_id) is not None
            try:
                live = await self._reception.sessions.claim(session_id, takes_over=takes_over, found=session)
                await self._reception.store.add_token(token, session_id, until=session.deadline)
                await self._reception.remember(self.connection, live)
                resumed = lives_here or live.is_connected
                self.watch(live, WebRtcAudience(self.connection), resumed=resumed, takes_over=takes_over)
            except SessionInUse as error:
                raise Refusal(AUTH_FAILED, error.detail) from None

    async def _admitted(self, token: str) -> Session:
        """The session that the token opens for this user."""
        if not token:
            raise Refusal(AUTH_FAILED, "The sessionToken parameter is missing.")
        store = self._reception.store
        session_id = await store.find_by_token(token)
        session = None if session_id is None else await store.get(session_id)
        if (
            session is None
            or session.plan.channel is not self.channel
            or not may_enter(self.connection.user, session.plan)
        ):
            raise Refusal(AUTH_FAILED, "The session token is unknown, expired or not yours.")
        return session
