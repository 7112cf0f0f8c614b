"""One session while it lives in this process: held together while it lasts, then ended or handed over, exactly once.

`LiveSession` holds the parts of one session, which do not know each other: transport, call, recording, journal and the hub that listens.
`roster.LiveSessions` holds all of them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.conversations import CallQuality, RecordingInfo
from voisnap_domain.costs import Usage
from voisnap_domain.errors import DomainError
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import WRITTEN_CHANNELS, EndReason, Session, SessionState
from voisnap_kit import log, trace
from voisnap_kit.redis import RedisError
from voisnap_media.pcm import Pcm

from voisnap_runtime import metrics
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.pipeline.events import CallEvent
from voisnap_runtime.pipeline.mouth import Playout

from .attendance import Attendance
from .journal import LostSession
from .listening import MAX_ADVICE, Advisable, Tap
from .parts import (
    PATIENT,
    Audience,
    Delayed,
    LiveCall,
    LiveTransport,
    Narrow,
    Parts,
    Patience,
    PeerTransport,
    Screening,
    SessionGone,
    SessionInUse,
    Telephone,
    Tunable,
)
from .presence import Presence
from .record import Record
from .store import Progress

_log = log.get(__name__)

CLOSE_SECONDS = 1.0

KEEP_SECONDS = 0.5

CANCEL_SECONDS, CANCEL_ATTEMPTS = 0.5, 4

LOOK_SECONDS = 0.15
"""How long the store may take to say, at the end, whose the session is."""

NOTES_SECONDS = 0.15
"""How long a session waits for its last notes to be written when somebody takes it: he does not wait for much longer than that."""

ALL_NOTES_SECONDS = 2.0
"""The same, when nobody presses: then it rather stays than lose a note."""


class LiveSession:
    """One session while it lives here. Also what its transport feeds (`AudioSink`).

    With a `resumption` it goes on where another process left it, and `before` is what it had done by then.
    """

    def __init__(
        self, session: Session, parts: Parts, resumption: Resumption | None = None, before: Progress | None = None
    ) -> None:
        self.session = session
        self.plan = session.plan
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._resumption = resumption
        self.record = Record(session.plan, parts.journal, self, resumption=resumption, before=before)
        self._recording = parts.recordings.open(session.plan, generation=session.revision)
        self._call = self._made(resumption)
        self._transport: LiveTransport | None = None
        self._peer: PeerTransport | None = None
        self._audience: Audience | None = None
        self._taps: tuple[Tap, ...] = ()
        self._advised = 0
        self.transfers = 0
        """How often it was tried here to hand its caller over."""
        self.is_transferring = False
        self._connected = asyncio.Event()
        self._ending: asyncio.Future[EndReason | None] = self._loop.create_future()
        """Why it ends; None when it only leaves this process."""
        self._over = asyncio.Event()
        self._announced = asyncio.Event()
        self._patience = PATIENT
        self._void = False
        self._left = False
        self._gives_way = False
        self._handing_over = asyncio.Lock()
        self._away = False
        self._was_quiet = False
        now = self._loop.time()
        self._attendance = Attendance(now, window=parts.resume_window.total_seconds())
        self._answered: asyncio.Lock = asyncio.Lock()
        self._begun = False
        self._has_begun = asyncio.Event()
        self._started_at: datetime | None = None if resumption is None else session.connected_at
        self._started = now if resumption is None else now - resumption.elapsed
        self._kept: CallSnapshot | None = None if resumption is None else resumption.snapshot

    @property
    def is_watched(self) -> bool:
        """Whether a hub is connected."""
        return self._audience is not None

    @property
    def is_taken(self) -> bool:
        """Whether its caller is connected, or on the way in."""
        return self._attendance.is_taken(self._loop.time())

    @property
    def is_connected(self) -> bool:
        """Whether media have flowed, here or where it lived before."""
        return self._started_at is not None

    @property
    def is_away(self) -> bool:
        """Whether its caller can't be reached and is awaited."""
        return self._away

    @property
    def is_ending(self) -> bool:
        """Whether it ends or leaves this process."""
        return self._ending.done()

    @property
    def has_left(self) -> bool:
        """Whether it was handed over, or turned out to be another process's."""
        return self._left or self._void

    @property
    def is_quiet(self) -> bool:
        """Whether a hand-over at this moment is not noticed. A caller who waits to be put through would."""
        if self.is_transferring:
            return False
        if self._begun and not self._away:
            return self._call.is_quiet
        return self._was_quiet if self._begun else self._resumption is None or self._resumption.seamless

    # The hub

    def attach(self, audience: Audience, *, resumed: bool, takes_over: bool = False) -> Audience | None:
        """Let a hub watch; it is told at once that the session has started.

        Answers the hub that it took over from, if any. Raises SessionInUse while another one watches that is not to be taken over from.
        """
        if self._ending.done():
            raise SessionGone("The session has ended.")
        if self._audience is not None and not takes_over:
            raise SessionInUse("This session is in use by another connection.")
        displaced, self._audience = self._audience, audience
        self._attendance.hub_came()
        audience.started(self.session, at=self._started_at or self._parts.now(), resumed=resumed)
        return displaced

    def detach(self, audience: Audience) -> None:
        """The hub is gone; the call goes on as long as its media do, and waits for its caller when they came over the hub."""
        if self._audience is audience:
            self._audience = None
            self._attendance.hub_left(self._loop.time())
            _log.info("session.hub_lost", session_id=self.plan.session_id, media=self._media)
            self.look_after()

    async def answer(self, sdp: str, type: str) -> tuple[str, str]:
        """The SDP answer to an offer; a further offer renegotiates. Raises ValueError for SDP that makes no sense."""
        async with self._answered:
            if self._ending.done():
                raise SessionGone("The session has ended.")
            peer = self._peer
            if peer is None or peer.state in {"closed", "failed"}:
                peer = await self._renewed_peer()
            return await peer.answer(sdp, type)

    async def add_candidate(self, candidate: str, sdp_mid: str | None, sdp_mline_index: int | None) -> bool:
        """Try a candidate of the peer; False when there is no offer yet. Raises ValueError for a malformed one."""
        if self._peer is None:
            return False
        await self._peer.add_candidate(candidate, sdp_mid, sdp_mline_index)
        return True

    async def connect(self, transport: LiveTransport, *, over_hub: bool = True) -> None:
        """Take media that are there already; former media are closed. Those that come `over_hub` die with it, a carrier's need none."""
        self._attendance.media_come(over_hub=over_hub)
        await self._replace_transport(transport)
        self._media_changed(transport, transport.state)

    def media_changed(self, transport: LiveTransport, state: str) -> None:
        """What `connect` was given is in another state now; a replaced transport is not listened to."""
        self._media_changed(transport, state)

    def end(self, reason: EndReason, *, patience: Patience = PATIENT) -> None:
        """Ask for the end; the first reason counts."""
        self._patience = min(self._patience, patience, key=lambda p: p.farewell)
        if not self._ending.done():
            self._ending.set_result(reason)

    def void(self) -> None:
        """The session is not ours any more: stop, and say nothing about it."""
        self._void = True
        self.end(EndReason.NODE_LOST)

    async def hand_over(self, *, seamless: bool, until: datetime, gives_way: bool = False) -> bool:
        """Leave this process without ending: the store has all that is needed to go on elsewhere, for whoever claims the session `until` then.

        A hub that is connected is asked to come back, or `gives_way` to another one that has come already. False when it ends, or is not ours any more. Raises RedisError when the store is away; then it goes on here.
        """
        async with self._handing_over:
            if self._ending.done():
                return self._left
            if not gives_way and not await self._parts.journal.flushed(self.plan.session_id, timeout=ALL_NOTES_SECONDS):
                return False
            if self._begun:
                self._call.hold()
            self._gives_way = gives_way
            try:
                return await self._hand_over(seamless, until)
            finally:
                if not self._ending.done() and self._begun and not self._away:
                    self._call.release()

    async def _hand_over(self, seamless: bool, until: datetime) -> bool:
        session_id, node_id = self.plan.session_id, self._parts.node_id
        await self._parts.journal.flushed(session_id, timeout=NOTES_SECONDS)
        if self._begun:
            await self._parts.store.keep(node_id, {session_id: self._call.snapshot()})

        def handed_over(kept: Session) -> Session:
            if kept.owner != node_id or kept.state in {SessionState.ENDING, SessionState.ENDED}:
                raise LostSession(session_id)
            return kept.handed_over(lease_until=until, seamless=seamless)

        try:
            await self._parts.store.change(session_id, handed_over)
        except LostSession:
            self.void()
            return False
        except DomainError as error:  # forgotten by the store, or changed by too many at once
            _log.warning("session.not_handed_over", session_id=session_id, detail=error.detail)
            return False
        self._left = True
        if not self._ending.done():
            self._ending.set_result(None)
        await self._parts.store.renew({session_id: until})
        metrics.SESSIONS_HANDED_OVER.labels("seamless" if seamless else "cut").inc()
        _log.info("session.handed_over", session_id=session_id, seamless=seamless)
        return True

    def changed_snapshot(self) -> CallSnapshot | None:
        """Where the conversation stands, if that changed since it was asked last."""
        if not self._begun or self._ending.done():
            return None
        snapshot = self._call.snapshot()
        if self._kept is not None and snapshot == msgspec.structs.replace(self._kept, elapsed=snapshot.elapsed):
            return None
        self._kept = snapshot
        return snapshot

    def forgotten(self) -> None:
        """What was kept is lost: the next snapshot is a change."""
        self._kept = None

    @property
    def known(self) -> Session:
        """The session as this process knows it, for a store that has forgotten it."""
        if self._started_at is None:
            return self.session
        state = SessionState.RECONNECTING if self._away or not self._begun else SessionState.ACTIVE
        return msgspec.structs.replace(self.session, state=state, connected_at=self._started_at)

    @property
    def conversation(self) -> LiveCall:
        """What goes on, for hubs whose caller does more than speak; the right one once it has `begun`."""
        return self._call

    async def begun(self) -> None:
        """Wait until the conversation goes on, or is over."""
        await self._has_begun.wait()

    async def kept(self) -> None:
        """Wait until all that was said so far would survive this process; not for long while the store is away."""
        session_id = self.plan.session_id
        await self._parts.journal.flushed(session_id, timeout=KEEP_SECONDS)
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._parts.store.keep(self._parts.node_id, {session_id: self._call.snapshot()})
        except (RedisError, TimeoutError) as error:
            _log.info("session.not_kept", session_id=session_id, error=repr(error))

    async def announced(self) -> None:
        """Wait until the hub has been told of the end."""
        await self._announced.wait()

    async def over(self) -> None:
        """Wait until everything is closed and written."""
        await self._over.wait()

    def forget(self) -> None:
        """It is over here, and its place is empty: let go of what it was made of, which holds it in turn."""
        if not self._over.is_set():
            return
        self._begun = False
        self._audience, self._transport, self._peer, self._taps = None, None, None, ()
        self._call.forget()
        self.record.forget()

    # Listeners

    def overhear(self, tap: Tap) -> None:
        """Let somebody listen in."""
        self._tapped((*self._taps, tap))

    def leave_alone(self, tap: Tap) -> None:
        """He listens no more; for one who does not, nothing happens."""
        self._tapped(tuple(other for other in self._taps if other is not tap))

    def advise(self, advice: str) -> bool:
        """Pass on what a listener tells the agent; False when the agent takes none, or has had enough of it."""
        if self._over.is_set() or self._advised >= MAX_ADVICE or not isinstance(self._call, Advisable):
            return False
        self._advised += 1
        self._call.advise(advice)
        _log.info("session.advised", session_id=self.plan.session_id)
        return True

    def _tapped(self, taps: tuple[Tap, ...]) -> None:
        self._taps = taps
        if self._begun and not self._ending.done():
            self._parts.pacer.remove(self._call)
            self._pace()

    # Telephone calls

    @property
    def telephone(self) -> Telephone | None:
        """The line of a telephone call that is connected, or was."""
        return self._transport if isinstance(self._transport, Telephone) else None

    def holds(self, transport: LiveTransport) -> bool:
        """Whether these are the media of the session still."""
        return self._transport is transport

    def heard_from(self, at: float) -> None:
        """The media are alive, though they may carry no sound."""
        self._attendance.heard(at)

    def report(self, event: CallEvent) -> None:
        """Tell whoever watches or listens of something that happens beside the conversation."""
        self._told(event)

    def note_answerer(self, answered_by: AnsweredBy) -> None:
        """The carrier says who answered."""
        _log.info("session.answered", session_id=self.plan.session_id, answered_by=answered_by.value)
        if isinstance(self._call, Screening) and not self._ending.done():
            self._call.note_answerer(answered_by)

    # What the transport calls (AudioSink)

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """Audio of the caller; what comes before the call has begun is dropped."""
        self._attendance.heard(arrived_at)
        if self._begun:
            self._call.feed(audio, arrived_at)
            for tap in self._taps:
                tap.caller(audio)

    def dtmf(self, digit: str) -> None:
        """A key the caller pressed."""
        if self._begun:
            self._call.dtmf(digit)

    # The course of it

    async def run(self) -> EndReason | None:
        """From the claim to the last word written. Ends when somebody asks for it or the conversation is over; None when it was handed over."""
        ids = {"voisnap.session_id": self.plan.session_id, "voisnap.conversation_id": self.plan.conversation_id}
        with trace.span("session", parent=trace.extract(None), **ids):
            headers: dict[str, str] = {}
            trace.inject(headers)
            self.record.trace = headers.get("traceparent", "")
            return await self._run()

    async def _run(self) -> EndReason | None:
        reason: EndReason | None = EndReason.ERROR
        try:
            reason = await self._converse()
        except Exception as error:
            _log.exception("session.failed", session_id=self.plan.session_id, error=repr(error))
            self._tell_failure()
        finally:
            if reason is not None:
                self.end(reason)
            try:
                async with self._handing_over:  # what has begun decides
                    leaves = reason is None or self._left or self._void or await self._was_taken()
                await (self._leave_process() if leaves or reason is None else self._finish(reason))
            finally:
                self._announced.set()
                self._has_begun.set()
                self._over.set()
        return reason

    async def _was_taken(self) -> bool:
        """Whether it goes on elsewhere and we have not heard of it: then its end and its recording are not ours to make."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                kept = await self._parts.store.get(self.plan.session_id)
        except (RedisError, TimeoutError):  # the journal finds out when the store is back
            return False
        if kept is not None and kept.owner != self._parts.node_id and kept.state is not SessionState.ENDED:
            self._void = True
        return self._void

    def look_after(self) -> None:
        """Once a second: is the caller still there, is there time left?"""
        if self._ending.done():
            return
        if self._parts.now() >= self.session.deadline:
            self.end(EndReason.MAX_DURATION if self.is_connected else EndReason.TIMEOUT)
            return
        found = self._attendance.verdict(connected=self.is_connected, media=self._media, now=self._loop.time())
        match found:
            case EndReason():
                self.end(found)
            case Presence.AWAY:
                self._set_away(True)
            case Presence.PRESENT:
                self._set_away(False)

    async def _converse(self) -> EndReason | None:
        connected = asyncio.ensure_future(self._connected.wait())
        try:
            await asyncio.wait({connected, self._ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
        if self._ending.done():
            return self._ending.result()
        self._begin()
        talk = asyncio.create_task(self._call.run(), name=f"call {self.plan.session_id}")
        keep = None if self._recording is None else asyncio.create_task(self._recording.run())
        try:
            await asyncio.wait({talk, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            if talk.done():
                return talk.result()
            reason = self._ending.result()
            return None if reason is None else await self._break_off(talk, reason)
        finally:
            await cancelled(talk)
            await cancelled(keep)

    def _begin(self) -> None:
        self._begun = True
        if self._resumption is None:
            self._start()
        else:
            self._resume(self._resumption)
        self._pace()
        self._has_begun.set()

    def _pace(self) -> None:
        """Have the agent heard; a written conversation has nothing to play."""
        if self.plan.channel not in WRITTEN_CHANNELS and self._transport is not None:
            if isinstance(self._transport, Playout) and isinstance(self._call, Delayed):
                self._call.play_through(self._transport)
            if isinstance(self._call, Tunable):
                self._call.hear_through(narrow=isinstance(self._transport, Narrow) and self._transport.is_narrow)
            transport = Overheard(self._transport, self._taps) if self._taps else self._transport
            self._parts.pacer.add(self._call, transport, on_fault=self._faulted)

    def _resume(self, resumption: Resumption) -> None:
        """Go on: nobody needs to hear that the session started, and the time since the claim belongs to the gap."""
        self._call.forget()
        self._call = self._made(msgspec.structs.replace(resumption, elapsed=self.elapsed()))
        if self._recording is not None:
            self._recording.begin(at=self.elapsed())
        self.record.moved(SessionState.ACTIVE)
        metrics.SESSIONS_RESUMED.labels("seamless" if resumption.seamless else "cut").inc()
        _log.info("session.resumed", session_id=self.plan.session_id, seamless=resumption.seamless)

    def _start(self) -> None:
        self._started_at = self._parts.now()
        self._started = self._loop.time()
        self.record.started(self._parts.node_id, self._started_at)
        metrics.SESSIONS_STARTED.inc()
        _log.info("session.started", session_id=self.plan.session_id, conversation_id=self.plan.conversation_id)

    async def _break_off(self, talk: "asyncio.Task[EndReason]", reason: EndReason) -> EndReason:
        self._call.end(reason)
        done, _ = await asyncio.wait({talk}, timeout=self._patience.farewell)
        if done and talk.exception() is not None:
            _log.error("session.call_failed", session_id=self.plan.session_id, error=repr(talk.exception()))
        return reason

    async def _finish(self, reason: EndReason) -> None:
        ended_at = self._parts.now()
        seconds = self.elapsed()
        self._parts.pacer.remove(self._call)
        if self._audience is not None:
            self._audience.ended(self.plan, reason=reason, seconds=round(seconds, 3), at=ended_at)
        for tap in self._taps:
            tap.ended(reason)
        self._announced.set()
        recording, _ = await asyncio.gather(self._finish_recording(), self._hang_up(reason))
        if not self._begun:
            self.record.broken_off()
        self.record.ended(reason, started_at=self._started_at, at=ended_at, seconds=seconds, recording=recording)
        await self._parts.journal.flushed(self.plan.session_id, timeout=self._patience.flush)
        if not self._void:  # the end was ours to tell: nobody needs its lease and its tokens any more
            await self._release()
        if self._audience is not None:
            await _soon(self._audience.leave())
        metrics.SESSIONS_ENDED.labels(reason.value).inc()
        _log.info("session.ended", session_id=self.plan.session_id, reason=reason.value, seconds=round(seconds, 2))

    async def _leave_process(self) -> None:
        """It goes on elsewhere, or has ended there: close what is here. The client comes back to a session that waits for it."""
        self._parts.pacer.remove(self._call)
        for tap in self._taps:
            tap.ended(None)
        if self._audience is not None and self._left and not self._gives_way:
            await _soon(self._audience.come_back())
        elif self._audience is not None:
            self._audience.give_way()
        await asyncio.gather(self._store_recording(), self._close_transport())
        _log.info("session.left", session_id=self.plan.session_id, handed_over=self._left)

    async def _store_recording(self) -> None:
        """What was recorded here; whoever ends the session makes one file of all."""
        if self._recording is not None and self._begun and self._left:
            await self._recording.leave(budget=self._patience.recording)

    async def _finish_recording(self) -> RecordingInfo | None:
        if self._recording is None or self._started_at is None:
            return None
        info, late = await self._recording.finish(budget=self._patience.recording)
        if late:
            self.record.warned("recording-late")
        return info

    async def _hang_up(self, reason: EndReason) -> None:
        """A call that was handed over to somebody else goes on without us."""
        telephone = self.telephone
        if telephone is not None and reason is not EndReason.TRANSFER_COMPLETE:
            await telephone.hang_up(within=self._patience.hang_up)
        await self._close_transport()

    async def _close_transport(self) -> None:
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._transport.close()
        except Exception as error:  # the end must go on whatever the transport does
            _log.warning("session.transport_close_failed", session_id=self.plan.session_id, error=repr(error))

    async def _release(self) -> None:
        try:
            await self._parts.store.release(self.plan.tenant_id, self.plan.session_id)
            await self._parts.store.leave(self.plan.session_id)
        except RedisError as error:  # the reaper finds it ended and does the same
            _log.warning("session.release_failed", session_id=self.plan.session_id, error=repr(error))

    # Events of the call and of the media

    def _told(self, event: CallEvent) -> None:
        if self._left or self._void:  # the words that this breaks off are told where the session goes on
            return
        match event:
            case call_events.TurnFinished(turn=turn):
                if self.plan.channel not in WRITTEN_CHANNELS:  # a chat's replies say nothing about how a voice answers
                    metrics.observe_turn(turn)
                self.record.finished(turn)
            case call_events.Warned(text=text):
                self.record.warned(text)
            case _:
                pass
        if self._audience is not None:
            self._audience.told(event)
        for tap in self._taps:
            tap.told(event)

    # What the record asks (Meters)

    def elapsed(self) -> float:
        """Seconds since the caller was connected, wherever the session lived."""
        return self._loop.time() - self._started if self._started_at is not None else 0.0

    def usage(self) -> Usage:
        """What was used here."""
        return self._call.usage()

    def quality(self) -> CallQuality:
        """How it went here."""
        quality = self._call.quality()
        if self._transport is None:
            return quality
        link = self._transport.quality()
        return msgspec.structs.replace(quality, packets_received=link.packets_received, packets_lost=link.packets_lost)

    def _media_changed(self, transport: LiveTransport | None, state: str) -> None:
        if transport is not None and transport is not self._transport:
            return
        self._attendance.media_changed(state, self._loop.time())
        _log.info("session.media_changed", session_id=self.plan.session_id, state=state)
        if state == "connected":
            self._connected.set()
        self.look_after()

    def _has_candidate(self, candidate: Mapping[str, Any]) -> None:
        if self._audience is not None:
            self._audience.candidate(candidate)

    def _faulted(self, error: Exception) -> None:
        _log.error("session.audio_failed", session_id=self.plan.session_id, error=repr(error))
        self._tell_failure()
        self.end(EndReason.ERROR)

    def _tell_failure(self) -> None:
        if self._audience is not None:
            self._audience.failed("INTERNAL_ERROR", "The session failed on our side.", recoverable=False)

    def _set_away(self, away: bool) -> None:
        if away == self._away:
            return
        self._away = away
        self.record.moved(SessionState.RECONNECTING if away else SessionState.ACTIVE)
        if not self._begun:
            return
        if away:
            self._was_quiet = self._call.is_quiet
            self._call.hold()
        else:
            self._call.release()

    def _made(self, resumption: Resumption | None) -> LiveCall:
        recorder = None if self._recording is None else self._recording.recorder
        return self._parts.make_call(self.plan, recorder, self._told, resumption)

    async def _renewed_peer(self) -> PeerTransport:
        self._attendance.media_come(over_hub=False)
        made: list[PeerTransport] = []
        peer = self._parts.make_transport(
            self, lambda state: self._media_changed(made[0] if made else None, state), self._has_candidate
        )
        made.append(peer)
        self._peer = peer
        await self._replace_transport(peer)
        return peer

    async def _replace_transport(self, transport: LiveTransport) -> None:
        lost, self._transport = self._transport, transport
        if lost is not None:
            self.record.linked(lost.quality())
            self._parts.pacer.remove(self._call)
            await lost.close()
            if self._begun:
                self._pace()

    @property
    def _media(self) -> str:
        return "none" if self._transport is None else self._transport.state


class Overheard:
    """A transport with listeners: what the agent says goes to them too."""

    def __init__(self, transport: LiveTransport, taps: tuple[Tap, ...]) -> None:
        self._transport = transport
        self._taps = taps

    def send(self, audio: Pcm | None) -> None:
        self._transport.send(audio)
        for tap in self._taps:
            tap.agent(audio)


async def _soon(work: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await work


async def cancelled(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task, if there is one, and wait until it is over; what it raises is dropped. One that does not end is left behind."""
    if task is None:
        return
    for _ in range(CANCEL_ATTEMPTS):  # `asyncio.wait_for` of Python 3.11 can swallow one
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        if done:
            break
    if not task.done():
        _log.error("session.task_stuck", task=task.get_name())
    elif not task.cancelled():
        task.exception()
