"""How a session comes to a process: its owner is asked for it, then it changes hands in the store, and what was left behind is read."""

import asyncio
from datetime import datetime, timedelta

import msgspec
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import SessionId
from voisnap_domain.resumption import Resumption
from voisnap_domain.sessions import MESSAGING_CHANNELS, Session, SessionState
from voisnap_kit import log

from .neighbours import Yielding, YieldSession
from .parts import Parts, SessionGone, SessionInUse
from .presence import RESUME_SECONDS
from .resuming import resumption_of
from .store import Progress

_log = log.get(__name__)

LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0

GRACE = timedelta(seconds=RESUME_SECONDS)
"""Beyond its deadline a session's lease is not renewed any more."""

UNANSWERED = timedelta(hours=1)
"""How long a written conversation whose process died over a message waits for whoever is asked to answer it again."""

_OVER = "The session is over."
_FINISHED = frozenset({SessionState.ENDING, SessionState.ENDED})


def lost_for_good(lease: datetime, window: timedelta) -> datetime:
    """When nobody needs to be awaited any more for a session whose owner has not renewed its lease.

    The owner may have died right before it was to renew it: its caller has the whole window.
    """
    return max(lease, lease - LEASE + timedelta(seconds=RENEW_SECONDS) + window)


def window_of(session: Session, window: timedelta) -> timedelta:
    """How long a session waits for its caller after its owner was lost."""
    return UNANSWERED if session.plan.channel in MESSAGING_CHANNELS else window


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is ours now; of a conversation that had begun also how it goes on, and what it had done."""

    session: Session
    resumption: Resumption | None = None
    before: Progress | None = None


class Claims:
    """Claims sessions for one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def find(self, session_id: SessionId) -> Session:
        """The session as it is. Raises NotFound."""
        found = await self._parts.store.get(session_id)
        if found is None:
            raise NotFound("session", session_id)
        return found

    async def take(self, found: Session, *, takes_over: bool) -> Claimed:
        """Make it ours. Raises SessionGone, SessionInUse, RedisError."""
        await self._freed(found, takes_over=takes_over)
        lease_until = self._parts.now() + LEASE
        session, was = await self._taken(found, lease_until)
        # Its caller waits meanwhile: one round trip to the store for all of it.
        claimed, _ = await asyncio.gather(self._with_its_past(session, was), self._counted(session, lease_until))
        return claimed

    async def is_waiting(self, session: Session) -> bool:
        """Whether a session is one to come back to: nobody is connected to it, or its owner is dead, maybe before it could tell that it began."""
        if session.state in _FINISHED or await self._is_too_late(session):
            return False
        if session.connected_at is None and session.owner is None:
            return False
        if session.owner in (None, self._parts.node_id):
            return True
        request = YieldSession(session_id=session.plan.session_id, only_looks=True)
        return await self._parts.neighbours.ask(session.owner, request) in {Yielding.YIELDED, Yielding.ABSENT}

    async def _freed(self, session: Session, *, takes_over: bool) -> None:
        """Have the owner let go of it, if there is one. Raises SessionGone, SessionInUse."""
        if session.state in _FINISHED or await self._is_too_late(session):
            raise SessionGone(_OVER)
        if session.owner in (None, self._parts.node_id):
            return
        request = YieldSession(session_id=session.plan.session_id, takes_over=takes_over)
        match await self._parts.neighbours.ask(session.owner, request):
            case Yielding.WATCHED:
                raise SessionInUse("This session is in use by another connection.")
            case Yielding.ENDING:
                raise SessionGone(_OVER)
            case Yielding.YIELDED | Yielding.ABSENT:
                pass

    async def _taken(self, found: Session, lease_until: datetime) -> tuple[Session, Session]:
        """The session as ours, and as it was right before. Raises SessionGone, SessionInUse."""
        was: list[Session] = []

        def claimed(kept: Session) -> Session:
            if kept.state in _FINISHED:
                raise SessionGone(_OVER)
            if kept.owner not in {None, found.owner, self._parts.node_id}:
                raise SessionInUse("Another connection was faster.")
            was[:] = [kept]
            if kept.state is SessionState.CREATED:
                kept = kept.moved(SessionState.CONNECTING)
            elif kept.state is SessionState.ACTIVE:
                kept = kept.moved(SessionState.RECONNECTING)
            return kept.claimed(self._parts.node_id, lease_until=lease_until)

        was_asked_for = found.owner not in (None, self._parts.node_id)
        known = None if was_asked_for else found
        session = await self._parts.store.change(found.plan.session_id, claimed, known=known)
        return session, was[0]

    async def _counted(self, session: Session, lease_until: datetime) -> None:
        """With a lease, and among its tenant's."""
        store, plan, now = self._parts.store, session.plan, self._parts.now()
        missing, _ = await asyncio.gather(
            store.renew({plan.session_id: lease_until}),
            store.reserve(plan.tenant_id, plan.session_id, limit=None, now=now, until=session.deadline + GRACE),
        )
        if missing:
            await store.restore(session, lease_until=lease_until)

    async def _with_its_past(self, session: Session, was: Session) -> Claimed:
        """With what is needed to go on; the former owner can't write any more."""
        if was.connected_at is None:
            return Claimed(session=session)
        store, session_id = self._parts.store, was.plan.session_id
        turns, snapshot, progress = await asyncio.gather(
            store.turns(session_id), store.snapshot(session_id), store.progress(session_id)
        )
        now = self._parts.now()
        resumption = resumption_of(was, turns=turns, snapshot=snapshot, progress=progress, now=now)
        _log.info("session.taken_over", session_id=session_id, owner=was.owner, turns=len(turns), seamless=was.seamless)
        return Claimed(session=session, resumption=resumption, before=progress)

    async def _is_too_late(self, session: Session) -> bool:
        """Whether its caller had all the time to come back, and the reaper just has not been there yet."""
        now = self._parts.now()
        if now >= session.deadline:
            return True
        if session.connected_at is None or session.owner == self._parts.node_id:
            return False
        lease = await self._parts.store.lease_of(session.plan.session_id)
        if lease is None:
            return False
        window = window_of(session, self._parts.resume_window)
        return now >= (lease if session.owner is None else lost_for_good(lease, window))
