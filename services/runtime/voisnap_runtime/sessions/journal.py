"""What a session did, written down before it is told: from this process to Redis, from Redis to JetStream.

`Journal` writes in order and without making the call wait; while Redis is away it keeps the entries in memory and in a spool file.
`Relay` publishes what is written and drops it when JetStream has it; while NATS is away the entries wait in Redis.
"""

import asyncio
import contextlib
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge
from voisnap_domain.conversations import Turn
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import EventId, NodeId, SessionId
from voisnap_domain.sessions import TRANSITIONS, Session, SessionPlan, SessionState
from voisnap_kit import log, trace
from voisnap_kit.backoff import Backoff
from voisnap_kit.bus import BusError, PublishRefused
from voisnap_kit.redis import RedisError
from voisnap_proto import EVENTS, Event, tag_of
from voisnap_proto.events import SessionEnded, SessionStarted

from .store import Entry, Progress, Store

_log = log.get(__name__)

MAX_PENDING = 10_000
"""Entries a process keeps while Redis is away; more are refused and counted."""

_BATCH = 64

_PENDING = Gauge("voisnap_journal_pending_entries", "Journal entries that are not in Redis yet")
_REFUSED = Counter("voisnap_journal_refused_entries_total", "Journal entries dropped because the bound was reached")
_UNPUBLISHED = Gauge("voisnap_journal_unpublished_sessions", "Sessions whose journal is not in JetStream yet")


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to write: an event, or a move of the session that no event tells.

    `turn` is for whoever takes the session over. It never goes into the spool: no word of a HIPAA call may be in a file.
    """

    session_id: SessionId
    node_id: NodeId
    entry: Entry | None = None
    progress: Progress | None = None
    move: SessionState | None = None
    turn: Turn | None = None


class LostSession(Exception):
    """The session is over or belongs to another node: what this node would write about it is void."""


def writable(plan: SessionPlan, turn: Turn) -> Turn:
    """The turn as it may be written down: journal, spool and stream are files, and of a HIPAA conversation no word goes there."""
    return msgspec.structs.replace(turn, text="", words=(), tool=None) if plan.agent.config.hipaa_compliant else turn


def entry_of(event: Event, event_id: EventId, trace: str = "") -> Entry:
    """An event as a journal keeps it."""
    body = msgspec.json.encode(event)
    return Entry(id=event_id, tenant_id=event.tenant_id, tag=tag_of(event), body=body, trace=trace)


class Journal:
    """Writes the notes of this process's sessions to the store, in order. `lost` is told of sessions that are not ours any more."""

    def __init__(
        self,
        store: Store,
        node_id: NodeId,
        *,
        spool: Path,
        new_event_id: Callable[[], EventId],
        written: Callable[[SessionId], None] = lambda _: None,
        lost: Callable[[SessionId], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._spool = spool
        self._new_event_id = new_event_id
        self._written = written
        self._lost = lost
        self._pending: deque[Note] = deque()
        self._waiting: Tally[SessionId] = Tally()
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._spooled = False

    @property
    def backlog(self) -> int:
        """Notes that are not in the store yet."""
        return len(self._pending)

    def write(
        self,
        session_id: SessionId,
        event: Event,
        progress: Progress | None = None,
        *,
        turn: Turn | None = None,
        trace: str = "",
    ) -> None:
        """Note an event, which belongs to the trace of that `traceparent`.

        Never blocks and never fails; the order of calls is the order of the journal.
        """
        entry = entry_of(event, self._new_event_id(), trace)
        self._add(Note(session_id=session_id, node_id=self._node_id, entry=entry, progress=progress, turn=turn))

    def move(self, session_id: SessionId, to: SessionState) -> None:
        """Note that the session is in another state now."""
        self._add(Note(session_id=session_id, node_id=self._node_id, move=to))

    async def flushed(self, session_id: SessionId, *, timeout: float) -> bool:
        """Wait until all notes of a session are in the store; False when that takes longer than `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._waiting[session_id] == 0)
                return True
        return False

    def recover(self) -> int:
        """Take over the notes that dead processes left in the spool folder; answers how many."""
        found = 0
        for path in sorted(self._spool.glob("journal-*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    self._add(msgspec.json.decode(line, type=Note))
                except msgspec.MsgspecError:  # the last line of a process that was killed while writing
                    _log.warning("journal.spool_line_unreadable", file=path.name)
                else:
                    found += 1
            path.unlink()
        if found:
            self._save(self._pending)
            _log.info("journal.spool_recovered", entries=found)
        return found

    async def run(self) -> None:
        """Write until cancelled."""
        backoff = Backoff(first=0.05, cap=2.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                try:
                    await self._write(self._pending[0])
                except Exception as error:
                    if isinstance(error, RedisError) or type(error) is Conflict:  # away, or changed by too many at once
                        self._save_once(error)
                        await asyncio.sleep(backoff.next())
                        continue
                    # A note that can't be written must not hold back those of all other sessions.
                    _log.exception("journal.entry_unwritable", session_id=self._pending[0].session_id)
                    await self._done(self._pending.popleft())
                else:
                    backoff.reset()
                    await self._done(self._pending.popleft())
            self._forget_spool()

    def _add(self, note: Note) -> None:
        if len(self._pending) >= MAX_PENDING:
            _REFUSED.inc()
            _log.error("journal.entry_refused", session_id=note.session_id)
            return
        self._pending.append(note)
        self._waiting[note.session_id] += 1
        _PENDING.set(len(self._pending))
        if self._spooled:
            self._save((note,))
        self._wake.set()

    async def _write(self, note: Note) -> None:
        try:
            await write_note(self._store, note)
        except LostSession:
            _log.warning("journal.session_lost", session_id=note.session_id)
            self._lost(note.session_id)
        else:
            self._written(note.session_id)

    async def _done(self, note: Note) -> None:
        self._waiting[note.session_id] -= 1
        if not self._waiting[note.session_id]:
            del self._waiting[note.session_id]
        _PENDING.set(len(self._pending))
        async with self._changed:
            self._changed.notify_all()

    def _save_once(self, error: Exception) -> None:
        if not self._spooled:
            _log.warning("journal.store_away", error=repr(error), entries=len(self._pending))
            self._save(self._pending)

    def _save(self, notes: Iterable[Note]) -> None:
        self._spooled = True
        try:
            self._spool.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.writelines(msgspec.json.encode(msgspec.structs.replace(note, turn=None)) + b"\n" for note in notes)
        except OSError as error:
            _log.error("journal.spool_failed", error=repr(error))

    def _forget_spool(self) -> None:
        if self._spooled:
            self._spooled = False
            self._file.unlink(missing_ok=True)
            _log.info("journal.store_back")

    @property
    def _file(self) -> Path:
        return self._spool / f"journal-{self._node_id}.jsonl"


async def write_note(store: Store, note: Note) -> None:
    """Write one note. Raises LostSession when the session is not the note's node's any more, RedisError when the store is away."""
    entries = () if note.entry is None else (note.entry,)
    moved = _move_of(note)
    if moved is not None:
        with contextlib.suppress(NotFound):  # the store forgot the session: what it did is still told
            await store.change(note.session_id, moved, entries=entries)
            return
    if entries and not await store.append(note.session_id, note.node_id, entries, note.progress, note.turn):
        raise LostSession(note.session_id)


def _move_of(note: Note) -> Callable[[Session], Session] | None:
    """How the note changes the session, if it does."""
    event: Any = None if note.entry is None else msgspec.json.decode(note.entry.body, type=EVENTS[note.entry.tag])
    match event:
        case SessionStarted():
            return _owned(note.node_id, lambda s: _moved(s, SessionState.ACTIVE, at=event.started_at))
        case SessionEnded():
            return _ended(note.node_id, event)
        case None if note.move is not None:
            to = note.move
            return _owned(note.node_id, lambda s: _moved(s, to))
        case _:
            return None


def _moved(session: Session, to: SessionState, **changes: Any) -> Session:
    return session.moved(to, **changes) if to in TRANSITIONS[session.state] else session


def _ended(node_id: NodeId, event: SessionEnded) -> Callable[[Session], Session]:
    end = _owned(node_id, lambda s: s.moved(SessionState.ENDED, reason=event.reason, at=event.ended_at))

    def apply(session: Session) -> Session:
        written = (
            session.state is SessionState.ENDED and session.owner == node_id and session.ended_at == event.ended_at
        )
        return session if written else end(session)  # written: only the answer to it was lost

    return apply


def _owned(node_id: NodeId, change: Callable[[Session], Session]) -> Callable[[Session], Session]:
    def apply(session: Session) -> Session:
        if session.owner != node_id or session.state is SessionState.ENDED:
            raise LostSession(session.plan.session_id)
        return change(session)

    return apply


class Publisher(Protocol):
    """The part of the bus that the relay needs."""

    async def publish(self, event: Any, *, event_id: str, tenant_id: str) -> None: ...


class Relay:
    """Publishes journals, each in order. An entry that was published but not dropped is published again: JetStream knows its id."""

    def __init__(self, store: Store, bus: Publisher) -> None:
        self._store = store
        self._bus = bus
        self._dirty: dict[SessionId, None] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def backlog(self) -> int:
        """Sessions that have, or may have, something to publish."""
        return len(self._dirty)

    def wake(self, session_id: SessionId) -> None:
        """This session's journal may have entries."""
        self._dirty[session_id] = None
        _UNPUBLISHED.set(len(self._dirty))
        self._idle.clear()
        self._wake.set()

    async def drained(self, *, timeout: float) -> bool:
        """Wait until there is nothing to publish; False when that takes longer than `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
                return True
        return False

    async def run(self) -> None:
        """Publish until cancelled."""
        backoff = Backoff(first=0.1, cap=5.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                session_id = next(iter(self._dirty))
                del self._dirty[session_id]
                try:
                    await self._publish(session_id)
                except (BusError, RedisError) as error:
                    self.wake(session_id)
                    _log.warning("journal.relay_waits", error=repr(error), sessions=len(self._dirty))
                    await asyncio.sleep(backoff.next())
                except Exception:  # one journal that can't be read must not end the relay of all others
                    _log.exception("journal.unpublishable", session_id=session_id)
                    await asyncio.sleep(backoff.next())
                else:
                    backoff.reset()
                _UNPUBLISHED.set(len(self._dirty))
            self._idle.set()

    async def _publish(self, session_id: SessionId) -> None:
        while True:
            found = await self._store.pending(session_id, limit=_BATCH)
            safe: list[str] = []
            try:
                for position, entry in found:
                    await self._publish_entry(entry)
                    safe.append(position)
            finally:
                if safe or not found:
                    await self._store.published(session_id, safe)
            if len(found) < _BATCH:
                return

    async def _publish_entry(self, entry: Entry) -> None:
        try:
            event = msgspec.json.decode(entry.body, type=EVENTS[entry.tag])
            parent = trace.extract({"traceparent": entry.trace} if entry.trace else None)
            with trace.span(f"publish {entry.tag}", kind=SpanKind.PRODUCER, parent=parent):
                await self._bus.publish(event, event_id=entry.id, tenant_id=entry.tenant_id)
        except (KeyError, msgspec.MsgspecError, PublishRefused) as error:
            _log.error("journal.entry_unpublishable", event_id=entry.id, tag=entry.tag, error=repr(error))
