"""Clears up after sessions whose owner is gone and whose caller did not come back: ends them from what Redis holds, and publishes what they
left.

Every process runs one, and so does `python -m voisnap_runtime.reaper`, which needs no runtime at all. A lock per session keeps them out of
each other's way, and the end is a compare-and-set, so it is told once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from voisnap_domain.conversations import RecordingInfo
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import EventId, NodeId, SessionId
from voisnap_domain.sessions import MESSAGING_CHANNELS, EndReason, Session, SessionPlan, SessionState
from voisnap_kit import log
from voisnap_proto.events import SessionEnded, TurnFinished

from voisnap_runtime import metrics
from voisnap_runtime.recording import LateRecording, expected

from .claims import LEASE, lost_for_good, window_of
from .journal import entry_of, writable
from .neighbours import Neighbours, Sign
from .presence import RESUME_SECONDS
from .resuming import last_words
from .store import Entry, Progress, Store

_log = log.get(__name__)

LOCK_SECONDS = 30.0
LOOKED_AT, ENDED_AT_ONCE = 1000, 50
"""Sessions of one round. Many more are looked at than ended: those that are not due must not hide the others."""


class Composer(Protocol):
    """Makes recordings of the segments that a lost session left."""

    async def compose(self, plan: SessionPlan, *, elapsed: float = 0.0) -> RecordingInfo | None: ...

    def finish_later(self, plan: SessionPlan) -> None: ...


class ReaperStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one round did."""

    ended: int
    adopted: int


class Reaper:
    """One round: end what is lost, hand on what was left unpublished. `publish` is told of journals to publish, `hang_up` of telephone calls
    to end at their carriers, with the carrier's id of each."""

    def __init__(
        self,
        store: Store,
        node_id: NodeId,
        composer: Composer,
        *,
        publish: Callable[[SessionId], None],
        now: Callable[[], datetime],
        new_event_id: Callable[[], EventId],
        neighbours: Neighbours,
        window: timedelta = timedelta(seconds=RESUME_SECONDS),
        hang_up: Callable[[SessionPlan, str], None] = lambda plan, call_id: None,
    ) -> None:
        self._window = window
        self._hang_up = hang_up
        self._neighbours = neighbours
        self._store = store
        self._node_id = node_id
        self._composer = composer
        self._publish = publish
        self._now = now
        self._new_event_id = new_event_id
        self._seen: frozenset[SessionId] = frozenset()
        self._silent: set[NodeId] = set()
        """Owners that did not answer in this round."""

    async def reap(self) -> ReaperStatus:
        """One round. Raises RedisError when the store is away."""
        ended = 0
        self._silent.clear()
        for session_id in await self._store.expired(self._now(), limit=LOOKED_AT):
            if ended == ENDED_AT_ONCE:
                break
            if await self._found_over(session_id) is None:
                continue
            if await self._store.lock(session_id, self._node_id, seconds=LOCK_SECONDS):
                ended += await self._clear_up(session_id)
        return ReaperStatus(ended=ended, adopted=await self._adopt())

    async def _clear_up(self, session_id: SessionId) -> bool:
        found = await self._found_over(session_id)
        if found is None:
            return False
        lease, session = found
        lost = session is not None and session.state is not SessionState.ENDED
        if lost and session is not None and not await self._end(session, lease):
            return False
        await self._store.leave(session_id)
        if session is not None:
            await self._store.release(session.plan.tenant_id, session_id)
        self._publish(session_id)
        return lost

    async def _found_over(self, session_id: SessionId) -> tuple[datetime, Session | None] | None:
        """Its lease and the session, or None while its owner lives, somebody has claimed it, or its caller may still come back."""
        lease = await self._store.lease_of(session_id)
        session = await self._store.get(session_id)
        if lease is None or lease > self._now():
            return None
        if session is not None and (not self._is_due(session, lease) or await self._lives_on(session)):
            return None
        return lease, session

    async def _lives_on(self, session: Session) -> bool:
        """Whether its owner holds it after all, and only could not renew its lease: the store was away, say. Past its deadline nobody asks."""
        if session.owner is None or session.state is SessionState.ENDED or self._now() >= session.deadline:
            return False
        if session.owner in self._silent:
            return False
        sign = await self._neighbours.sign_of(session.owner, session.plan.session_id)
        if sign is Sign.SILENT and not await self._neighbours.answers(session.owner):
            self._silent.add(session.owner)  # not only of this session: a living owner has others
        return sign is not Sign.SILENT

    async def _end(self, session: Session, lease: datetime) -> bool:
        reason, ended_at = self._fate(session, lease)
        if reason is EndReason.DISCONNECTED and session.plan.channel in MESSAGING_CHANNELS:
            reason, ended_at = EndReason.IDLE_TIMEOUT, await self._last_written(session, ended_at)
        entries: tuple[Entry, ...] = ()
        if session.owner is not None or session.connected_at is not None:
            entries = await self._last_entries(session, reason, ended_at)
            if (
                await self._store.lease_of(session.plan.session_id) != lease
            ):  # putting its recording together takes time
                return False
        revision = session.revision

        def ended(kept: Session) -> Session:
            if kept.revision != revision:
                raise DomainError("The session moved while it was to be cleared up.")
            return kept.moved(SessionState.ENDED, reason=reason, at=ended_at)

        try:
            await self._store.change(session.plan.session_id, ended, entries=entries)
        except DomainError as error:
            _log.info("session.not_reaped", session_id=session.plan.session_id, detail=error.detail)
            return False
        await self._end_call(session)
        metrics.SESSIONS_ENDED.labels(reason.value).inc()
        _log.warning("session.reaped", session_id=session.plan.session_id, reason=reason.value, owner=session.owner)
        return True

    async def _end_call(self, session: Session) -> None:
        """The other side may still be listening to nobody."""
        leg = session.plan.leg
        if leg is None:
            return
        notes = await self._store.call_notes(session.plan.session_id)
        if call_id := notes.call_id or leg.call_id:
            self._hang_up(session.plan, call_id)

    def _fate(self, session: Session, lease: datetime) -> tuple[EndReason, datetime]:
        """Why and when: nobody ever came; at its deadline; when it was handed over and nobody went on; when its owner last renewed the lease."""
        if session.owner is None and session.connected_at is None:
            return EndReason.TIMEOUT, self._now()
        if session.state is SessionState.ENDING and session.end_reason is not None:  # somebody asked for it
            return session.end_reason, self._now()
        if self._now() >= session.deadline:
            return EndReason.MAX_DURATION, session.deadline
        lost = session.owner is not None
        last_seen = lease - (LEASE if lost else self._window)
        reason = EndReason.NODE_LOST if lost else EndReason.DISCONNECTED
        return reason, max(last_seen, session.connected_at or last_seen)

    async def _last_written(self, session: Session, otherwise: datetime) -> datetime:
        """When something was said last: nobody was connected after that."""
        progress = await self._store.progress(session.plan.session_id)
        return otherwise if session.connected_at is None else session.connected_at + timedelta(seconds=progress.elapsed)

    def _is_due(self, session: Session, lease: datetime) -> bool:
        """Whether there is nobody left to wait for, the lease being over."""
        now = self._now()
        talking = session.owner is not None and session.connected_at is not None
        if not talking or session.state in {SessionState.ENDING, SessionState.ENDED} or now >= session.deadline:
            return True
        return now >= lost_for_good(lease, window_of(session, self._window))

    async def _last_entries(self, session: Session, reason: EndReason, ended_at: datetime) -> tuple[Entry, ...]:
        """The words that were open when it broke off, and its end."""
        session_id, plan = session.plan.session_id, session.plan
        progress: Progress = await self._store.progress(session_id)
        words = last_words(await self._store.snapshot(session_id), last=progress.turns)
        turns = [
            TurnFinished(
                tenant_id=plan.tenant_id,
                environment=plan.environment,
                session_id=session_id,
                conversation_id=plan.conversation_id,
                turn=writable(plan, turn),
            )
            for turn in words
        ]
        progress = msgspec.structs.replace(progress, turns=progress.turns + len(turns))
        end = await self._obituary(session, progress, reason, ended_at)
        return tuple(entry_of(event, self._new_event_id()) for event in (*turns, end))

    async def _obituary(
        self, session: Session, progress: Progress, reason: EndReason, ended_at: datetime
    ) -> SessionEnded:
        started_at = session.connected_at
        seconds = 0.0 if started_at is None else max(progress.elapsed, (ended_at - started_at).total_seconds())
        recording, late = await self._recording(session.plan, seconds)
        return SessionEnded(
            tenant_id=session.plan.tenant_id,
            environment=session.plan.environment,
            session_id=session.plan.session_id,
            conversation_id=session.plan.conversation_id,
            plan=session.plan.told(),
            started_at=started_at,
            ended_at=ended_at,
            duration_seconds=round(seconds, 3),
            reason=reason,
            turns=progress.turns,
            usage=progress.usage,
            quality=progress.quality,
            recording=recording,
            warnings=(*progress.warnings, "recording-late") if late else progress.warnings,
        )

    async def _recording(self, plan: SessionPlan, seconds: float) -> tuple[RecordingInfo | None, bool]:
        """The recording, and whether it is late: then it gets composed in the background, under the key given here."""
        try:
            return await self._composer.compose(plan, elapsed=seconds), False
        except LateRecording:
            self._composer.finish_later(plan)
            return expected(plan, seconds=seconds), True
        except Exception as error:  # the conversation must end whatever ails object storage
            _log.error("recording.not_composed", conversation_id=plan.conversation_id, error=repr(error))
            return None, False

    async def _adopt(self) -> int:
        """Publish journals that nobody has published since the last round and whose session has no owner any more."""
        found = frozenset(await self._store.journals())
        adopted = 0
        for session_id in sorted(found & self._seen):
            if await self._store.lease_of(session_id) is None:
                self._publish(session_id)
                adopted += 1
        self._seen = found
        return adopted
