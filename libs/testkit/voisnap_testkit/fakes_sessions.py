"""A store of live sessions in memory, which obeys the runtime's `Store` port.

store = MemoryStore()
store.away = True       every call raises RedisError, as a server that is gone does
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from voisnap_domain.calls import AnsweredBy, CallNotes
from voisnap_domain.conversations import Turn
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import NodeId, SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import Session, SessionState
from voisnap_kit.redis import RedisError

__all__ = ["MemoryStore"]


_KEEP_ENDED = timedelta(minutes=1)


class MemoryStore:
    """Holds sessions, tokens, leases and journals in dicts. `make_progress` builds what `progress` answers for a session without any."""

    def __init__(self, make_progress: Callable[[], Any], *, clock: Callable[[], datetime]) -> None:
        self.away = False
        self.sessions: dict[SessionId, Session] = {}
        self.tokens: dict[str, tuple[SessionId, datetime]] = {}
        self.leases: dict[SessionId, datetime] = {}
        self.journal: dict[SessionId, list[tuple[str, Any]]] = {}
        self.tenants: dict[TenantId, dict[SessionId, datetime]] = {}
        self.locks: set[SessionId] = set()
        self.telephone: dict[SessionId, dict[str, Any]] = {}
        self.finished: dict[SessionId, list[Turn]] = {}
        self.snapshots: dict[SessionId, CallSnapshot] = {}
        self.taken_seats: dict[str, tuple[Any, datetime]] = {}
        self._progress: dict[SessionId, Any] = {}
        self._make_progress = make_progress
        self._clock = clock
        self._position = 0

    async def create(self, session: Session, *, token: str, token_until: datetime) -> None:
        self._reach()
        session_id = session.plan.session_id
        self.sessions[session_id] = session
        self.tokens[token] = (session_id, token_until)
        self.leases[session_id] = token_until

    async def restore(
        self, session: Session, *, lease_until: datetime, turns: Sequence[Turn] = (), progress: Any = None
    ) -> None:
        self._reach()
        session_id = session.plan.session_id
        self.leases[session_id] = lease_until
        if session_id in self.sessions:
            return
        self.sessions[session_id] = session
        if turns:
            self.finished[session_id] = list(turns)
        if progress is not None:
            self._progress[session_id] = progress

    async def reserve(
        self, tenant_id: TenantId, session_id: SessionId, *, limit: int | None, now: datetime, until: datetime
    ) -> bool:
        self._reach()
        live = self.tenants.setdefault(tenant_id, {})
        for other in [other for other, end in live.items() if end <= now]:
            del live[other]
        if session_id not in live and limit is not None and len(live) >= limit:
            return False
        live[session_id] = until
        return True

    async def waiting(self, tenant_id: TenantId, *, now: datetime, until: datetime) -> int:
        self._reach()
        return sum(now < end <= until for end in self.tenants.get(tenant_id, {}).values())

    async def release(self, tenant_id: TenantId, session_id: SessionId) -> None:
        self._reach()
        self.tenants.get(tenant_id, {}).pop(session_id, None)

    async def get(self, session_id: SessionId) -> Session | None:
        self._reach()
        return self.sessions.get(session_id)

    async def add_token(self, token: str, session_id: SessionId, *, until: datetime) -> None:
        self._reach()
        self.tokens[token] = (session_id, until)

    async def find_by_token(self, token: str) -> SessionId | None:
        self._reach()
        session_id, until = self.tokens.get(token, (None, None))
        return session_id if until is not None and until > self._clock() else None

    async def use_token(self, token: str) -> SessionId | None:
        session_id = await self.find_by_token(token)
        self.tokens.pop(token, None)
        return session_id

    async def note_call(
        self, session_id: SessionId, *, call_id: str | None = None, answered_by: AnsweredBy | None = None
    ) -> None:
        self._reach()
        notes = self.telephone.setdefault(session_id, {})
        if call_id is not None:
            notes |= {"call_id": call_id, "readmitted": 0}
        if answered_by is not None:
            notes["answered_by"] = answered_by

    async def call_notes(self, session_id: SessionId) -> CallNotes:
        self._reach()
        notes = self.telephone.get(session_id, {})
        return CallNotes(call_id=notes.get("call_id"), answered_by=notes.get("answered_by"))

    async def readmitted(self, session_id: SessionId) -> int:
        self._reach()
        notes = self.telephone.setdefault(session_id, {})
        notes["readmitted"] = notes.get("readmitted", 0) + 1
        return notes["readmitted"]

    async def change(
        self,
        session_id: SessionId,
        change: Callable[[Session], Session],
        *,
        entries: Sequence[Any] = (),
        known: Session | None = None,
    ) -> Session:
        self._reach()
        session = self.sessions.get(session_id)
        if session is None:
            raise NotFound("session", session_id)
        changed = change(session)
        if changed is not session:
            self.sessions[session_id] = changed
            self._add(session_id, entries)
        if changed.state is SessionState.ENDED:
            self.finished.pop(session_id, None)
            self.snapshots.pop(session_id, None)
        return changed

    async def append(
        self,
        session_id: SessionId,
        node_id: NodeId,
        entries: Sequence[Any],
        progress: Any,
        turn: Turn | None = None,
    ) -> bool:
        self._reach()
        session = self.sessions.get(session_id)
        if session is not None and (session.owner != node_id or session.state is SessionState.ENDED):
            return False
        if progress is not None and session is not None:
            self._progress[session_id] = progress
        if turn is not None and session is not None:
            self.finished.setdefault(session_id, []).append(turn)
        self._add(session_id, entries)
        return True

    async def keep(self, node_id: NodeId, snapshots: Mapping[SessionId, CallSnapshot]) -> tuple[SessionId, ...]:
        self._reach()
        lost: list[SessionId] = []
        for session_id, snapshot in snapshots.items():
            session = self.sessions.get(session_id)
            if session is None or session.owner != node_id or session.state is SessionState.ENDED:
                lost.append(session_id)
            else:
                self.snapshots[session_id] = snapshot
        return tuple(lost)

    async def progress(self, session_id: SessionId) -> Any:
        self._reach()
        return self._progress.get(session_id) or self._make_progress()

    async def turns(self, session_id: SessionId) -> tuple[Turn, ...]:
        self._reach()
        return tuple(self.finished.get(session_id, ()))

    async def snapshot(self, session_id: SessionId) -> CallSnapshot | None:
        self._reach()
        return self.snapshots.get(session_id)

    async def seat(self, digest: str, seat: Any, *, until: datetime) -> None:
        self._reach()
        self.taken_seats[digest] = (seat, until)

    async def seats(self, digests: Sequence[str]) -> tuple[Any, ...]:
        self._reach()
        found = (self.taken_seats.get(digest) for digest in digests)
        return tuple(taken[0] for taken in found if taken is not None and taken[1] > self._clock())

    async def renew(self, leases: Mapping[SessionId, datetime]) -> tuple[SessionId, ...]:
        self._reach()
        missing = tuple(session_id for session_id in leases if session_id not in self.leases)
        self.leases.update({session_id: until for session_id, until in leases.items() if session_id in self.leases})
        return missing

    async def lease_of(self, session_id: SessionId) -> datetime | None:
        self._reach()
        return self.leases.get(session_id)

    async def expired(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        self._reach()
        over = sorted((until, session_id) for session_id, until in self.leases.items() if until <= now)
        return tuple(session_id for _, session_id in over[:limit])

    async def leave(self, session_id: SessionId) -> None:
        self._reach()
        self.leases.pop(session_id, None)
        soon = self._clock() + _KEEP_ENDED
        for token, (owner, until) in self.tokens.items():
            if owner == session_id:
                self.tokens[token] = (owner, min(until, soon))
        for digest, (seat, until) in self.taken_seats.items():
            if seat.session_id == session_id:
                self.taken_seats[digest] = (seat, min(until, soon))

    async def lock(self, session_id: SessionId, node_id: NodeId, *, seconds: float) -> bool:
        self._reach()
        free = session_id not in self.locks
        self.locks.add(session_id)
        return free

    async def pending(self, session_id: SessionId, *, limit: int) -> tuple[tuple[str, Any], ...]:
        self._reach()
        return tuple(self.journal.get(session_id, ())[:limit])

    async def published(self, session_id: SessionId, positions: Sequence[str]) -> None:
        self._reach()
        kept = [item for item in self.journal.get(session_id, ()) if item[0] not in positions]
        if kept:
            self.journal[session_id] = kept
        else:
            self.journal.pop(session_id, None)

    async def journals(self) -> tuple[SessionId, ...]:
        self._reach()
        return tuple(sorted(self.journal))

    def _add(self, session_id: SessionId, entries: Sequence[Any]) -> None:
        for entry in entries:
            self._position += 1
            self.journal.setdefault(session_id, []).append((f"{self._position}-0", entry))

    def _reach(self) -> None:
        if self.away:
            raise RedisError("the store is away")
