"""The sessions of this process: claimed once each, their leases renewed together, callers who are gone looked after, handed over at the end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import ConversationId, SessionId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import EndReason, Session, SessionState
from voisnap_kit import log
from voisnap_kit.redis import RedisError

from voisnap_runtime import metrics

from .claims import GRACE, LEASE, RENEW_SECONDS, Claimed, Claims
from .live import LiveSession, cancelled
from .neighbours import SessionYielded, Yielding, YieldSession
from .parts import HURRIED, Parts
from .store import Seat

_log = log.get(__name__)

TICK_SECONDS = 1.0
SNAPSHOT_SECONDS = 0.5
SNAPSHOTS_AT_ONCE = 16
"""More in one go would keep the audio of all calls waiting."""
SILENCE_POLL_SECONDS = 0.05
SWEEP_AFTER = 2000
"""Ended sessions that are swept up together while others go on. They let go of nearly everything by themselves, and a sweep is heard."""
TAKE_OVER_ROOM = 1.25
"""How far calls of a process that is gone may exceed the cap: a full node is better than a lost call."""


class LiveSessions:
    """All sessions that live in this process. `sweep` is called on the loop once some have ended: it frees what they held in cycles."""

    def __init__(self, parts: Parts, *, sweep: Callable[[], None] = lambda: None) -> None:
        self._parts = parts
        self._sweep = sweep
        self._live: dict[SessionId, LiveSession] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._claims = Claims(parts)
        self._locks: dict[SessionId, asyncio.Lock] = {}
        self._claimers: Counter[SessionId] = Counter()
        self._renewed_at = float("-inf")
        self._ticked_at = asyncio.get_running_loop().time()
        self._slept = False
        self._closing = False
        self._ended = 0

    def __len__(self) -> int:
        return len(self._live)

    @property
    def load(self) -> int:
        """How many sessions need room. One whose caller is away needs next to none; only so many of them again are held."""
        here = sum(not live.is_away for live in self._live.values())
        return max(here, len(self._live) - self._parts.max_sessions)

    def get(self, session_id: SessionId) -> LiveSession | None:
        """The session if it lives here."""
        live = self._live.get(session_id)
        return None if live is None or live.has_left else live

    def of_conversation(self, conversation_id: ConversationId) -> LiveSession | None:
        """The session of a conversation that goes on here."""
        for live in self._live.values():
            if live.plan.conversation_id == conversation_id and live.is_connected and not live.is_ending:
                return live
        return None

    async def claim(
        self, session_id: SessionId, *, takes_over: bool = False, found: Session | None = None
    ) -> LiveSession:
        """The session, from now on living here if it does not already; a conversation that has begun elsewhere goes on here.

        `found` is the session as it was read a moment ago. The owner is asked for it; one that does not answer counts as dead. With `takes_over` it is given away even while another hub is
        connected there. Raises SessionGone when it is over, SessionInUse while its caller is connected or when somebody was faster,
        LimitReached when this node is full or about to stop, NotFound, RedisError.
        """
        async with self._one_at_a_time(session_id):  # two claims of one session would make two calls
            live = self._live.get(session_id)
            if live is not None and not live.has_left:
                return live
            if live is not None:  # it left, and its caller came back here all the same
                await live.over()
            return await self._claim(session_id, takes_over=takes_over, found=found)

    async def remember(self, digest: str, seat: Seat) -> None:
        """Note which session a hub connection belongs to, in case its client comes back over another one. Raises RedisError."""
        live = self._live.get(seat.session_id)
        if live is not None:
            await self._parts.store.seat(digest, seat, until=live.session.deadline + self._parts.resume_window)

    async def find_resumable(self, previous: Sequence[str], seat: Seat, *, agent_id: str | None) -> SessionId | None:
        """The one session that a client left behind over its `previous` connections (digests) and that waits for it.

        `seat` says who asks (its session id does not count), `agent_id` with whom it wants to talk. None when there is none or more than
        one: then nobody can tell which is meant. Raises RedisError.
        """
        seats = await self._parts.store.seats(tuple(previous))
        mine = {
            found.session_id
            for found in seats
            if (found.tenant_id, found.environment, found.account, found.hub)
            == (seat.tenant_id, seat.environment, seat.account, seat.hub)
        }
        waiting = [session_id for session_id in sorted(mine) if await self._waits(session_id, agent_id)]
        return waiting[0] if len(waiting) == 1 else None

    async def run(self, touch: Callable[[], None] = lambda: None) -> None:
        """Look after all sessions once a second until cancelled; `touch` is called after each round."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:  # one broken session must not leave the others without a lease
                _log.exception("sessions.tick_failed")
            touch()

    async def keep_snapshots(self) -> None:
        """Write down twice a second what changed in the conversations, until cancelled."""
        while True:
            await asyncio.sleep(SNAPSHOT_SECONDS)
            try:
                await self.keep()
            except RedisError as error:
                _log.info("sessions.snapshots_not_kept", error=repr(error))
            except Exception:
                _log.exception("sessions.snapshots_failed")

    async def keep(self) -> None:
        """Write down what changed in the conversations, some of them in each round trip. Raises RedisError."""
        lives = tuple(self._live.values())
        for start in range(0, len(lives), SNAPSHOTS_AT_ONCE):
            changed = {
                live.plan.session_id: snapshot
                for live in lives[start : start + SNAPSHOTS_AT_ONCE]
                if (snapshot := self._changed(live)) is not None
            }
            if changed:
                await self._keep(changed)

    async def _keep(self, changed: Mapping[SessionId, CallSnapshot]) -> None:
        try:
            lost = await self._parts.store.keep(self._parts.node_id, changed)
        except RedisError:
            self._forget(changed)
            raise
        metrics.SNAPSHOTS_KEPT.inc(len(changed) - len(lost))
        self._forget(lost)
        for session_id in lost:
            live = self._live.get(session_id)
            if live is not None and not live.is_ending:
                await self._reclaim(live, self._parts.now() + LEASE)

    async def tick(self) -> None:
        """Renew the leases when due and look after every caller."""
        await self._wake_up()
        self._sweep_up()
        for live in tuple(self._live.values()):
            try:
                live.look_after()
            except Exception:  # a broken session ends, alone
                _log.exception("session.not_looked_after", session_id=live.plan.session_id)
                live.end(EndReason.ERROR)
        loop_time = asyncio.get_running_loop().time()
        if loop_time - self._renewed_at >= RENEW_SECONDS:
            try:
                await self._renew()
            except RedisError as error:  # calls go on without leases until the store is back
                _log.warning("sessions.leases_not_renewed", error=repr(error), sessions=len(self._live))
            else:
                self._renewed_at = loop_time

    def end(self, session_id: SessionId, reason: EndReason) -> bool:
        """Ask a session to end; False when it does not live here."""
        live = self.get(session_id)
        if live is not None:
            live.end(reason)
        return live is not None

    def void(self, session_id: SessionId) -> None:
        """The journal found that a session is not ours any more."""
        live = self._live.get(session_id)
        if live is not None:
            live.void()

    async def yield_session(self, request: YieldSession) -> SessionYielded:
        """Give a session to the process that asks for it, or tell why not."""
        live = self.get(request.session_id)
        if live is None:
            arriving = request.session_id in self._locks and not request.takes_over
            return SessionYielded(outcome=Yielding.WATCHED if arriving else Yielding.ABSENT)
        if live.is_ending:
            return SessionYielded(outcome=Yielding.ENDING)
        if live.is_taken and not request.takes_over:
            return SessionYielded(outcome=Yielding.WATCHED)
        if not request.only_looks:
            try:
                given = await live.hand_over(seamless=live.is_quiet, until=self._window_ends(), gives_way=True)
            except RedisError:  # then whoever asks takes it, if the store answers there
                return SessionYielded(outcome=Yielding.ABSENT)
            if not given:
                return SessionYielded(outcome=Yielding.ENDING)
        return SessionYielded(outcome=Yielding.YIELDED)

    def take_no_more(self) -> None:
        """Refuse every claim from now on: the process is about to stop."""
        self._closing = True

    async def hand_over(self, *, timeout: float) -> None:
        """Hand every session over to whoever its caller comes back to, each at a silent moment or when `timeout` seconds are over.

        Takes nothing new from now on. What can't be handed over still lives here afterwards.
        """
        self._closing = True
        deadline = asyncio.get_running_loop().time() + timeout
        waiting = [self._hand_over(live, deadline) for live in tuple(self._live.values())]
        await asyncio.gather(*waiting)

    async def close(self, *, timeout: float) -> None:
        """End all sessions in a hurry: the process has to go within `timeout` seconds."""
        self._closing = True
        for live in self._live.values():
            live.end(EndReason.NODE_LOST, patience=HURRIED)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                await cancelled(task)

    # Claims

    @contextlib.asynccontextmanager
    async def _one_at_a_time(self, session_id: SessionId) -> AsyncGenerator[None]:
        """Claims of one session wait for each other, those of different ones do not."""
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        self._claimers[session_id] += 1
        try:
            async with lock:
                yield
        finally:
            self._claimers[session_id] -= 1
            if not self._claimers[session_id]:
                del self._claimers[session_id], self._locks[session_id]

    async def _claim(self, session_id: SessionId, *, takes_over: bool, found: Session | None) -> LiveSession:
        self._check_room(session_id, room=TAKE_OVER_ROOM)
        found = found or await self._claims.find(session_id)
        self._check_room(session_id, room=1.0 if found.connected_at is None else TAKE_OVER_ROOM)
        claimed = await self._claims.take(found, takes_over=takes_over)
        live = await self._started(claimed)
        self._live[session_id] = live
        metrics.ACTIVE_SESSIONS.set(len(self._live))
        task = asyncio.create_task(self._run(live), name=f"session {session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return live

    def _check_room(self, session_id: SessionId, *, room: float) -> None:
        arriving = len(self._locks.keys() - self._live.keys() - {session_id})
        if self._closing or self.load + arriving >= room * self._parts.max_sessions:
            raise LimitReached("This node takes no more sessions.", code="node-full", retry_after=2)

    async def _waits(self, session_id: SessionId, agent_id: str | None) -> bool:
        live = self.get(session_id)
        if live is not None:
            return not live.is_taken and not live.is_ending and agent_id in (None, live.plan.agent.agent_id)
        session = await self._parts.store.get(session_id)
        if session is None or agent_id not in (None, session.plan.agent.agent_id):
            return False
        return await self._claims.is_waiting(session)

    async def _count(self, session: Session) -> None:
        await self._parts.store.reserve(
            session.plan.tenant_id,
            session.plan.session_id,
            limit=None,
            now=self._parts.now(),
            until=session.deadline + GRACE,
        )

    async def _started(self, claimed: Claimed) -> LiveSession:
        session = claimed.session
        try:
            return LiveSession(session, self._parts, claimed.resumption, claimed.before)
        except Exception:
            if claimed.resumption is not None:  # another process may do better; else the reaper tells how it ended
                raise
            now = self._parts.now()
            plan = session.plan
            await self._parts.store.change(
                plan.session_id, lambda kept: kept.moved(SessionState.ENDED, reason=EndReason.ERROR, at=now)
            )
            await self._parts.store.release(plan.tenant_id, plan.session_id)
            await self._parts.store.leave(plan.session_id)
            raise

    async def _run(self, live: LiveSession) -> None:
        session_id = live.plan.session_id
        try:
            await live.run()
        finally:
            if self._live.get(session_id) is live:
                del self._live[session_id]
            metrics.ACTIVE_SESSIONS.set(len(self._live))
            self._ended += 1
            live.forget()

    def _sweep_up(self) -> None:
        if self._ended >= SWEEP_AFTER or (self._ended and not self._live):
            self._ended = 0
            self._sweep()

    # Handing over

    async def _hand_over(self, live: LiveSession, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not live.is_quiet and not live.is_ending and loop.time() < deadline:  # noqa: ASYNC110 - one look a frame or two is cheap
            await asyncio.sleep(SILENCE_POLL_SECONDS)
        try:
            if await live.hand_over(seamless=live.is_quiet, until=self._window_ends()):
                await live.over()
        except RedisError as error:
            _log.warning("session.not_handed_over", session_id=live.plan.session_id, error=repr(error))

    def _window_ends(self) -> datetime:
        return self._parts.now() + self._parts.resume_window

    async def _wake_up(self) -> None:
        """A process that stood still for longer than callers wait can't know what has become of its sessions."""
        loop_time = asyncio.get_running_loop().time()
        asleep = loop_time - self._ticked_at
        self._ticked_at = loop_time
        self._slept = asleep > max(self._parts.resume_window, LEASE).total_seconds()
        if not self._slept:
            return
        _log.warning("sessions.slept", seconds=round(asleep, 1), sessions=len(self._live))
        for live in tuple(self._live.values()):
            with contextlib.suppress(RedisError):
                await self._reclaim(live, self._parts.now() + LEASE)

    # Leases

    async def _renew(self) -> None:
        now = self._parts.now()
        leases = {
            session_id: min(now + LEASE, live.session.deadline + GRACE)
            for session_id, live in self._live.items()
            if not live.has_left
        }
        for session_id in await self._parts.store.renew(leases):
            live = self._live.get(session_id)
            if live is not None:
                await self._reclaim(live, leases[session_id])

    async def _reclaim(self, live: LiveSession, lease_until: datetime) -> None:
        """A lease is gone: the store forgot everything, or somebody cleared up after us."""
        kept = await self._parts.store.get(live.plan.session_id)
        if live.has_left:
            return
        if kept is None and self._slept:
            live.void()
        elif kept is not None and live.is_ending:
            return  # it has let its lease go already, and its end is still being written
        elif kept is None or (kept.owner == self._parts.node_id and kept.state is not SessionState.ENDED):
            await self._parts.store.restore(
                kept or live.known, lease_until=lease_until, turns=live.record.turns, progress=live.record.progress
            )
            live.forgotten()
            await self._count(live.session)
            _log.warning("session.lease_restored", session_id=live.plan.session_id)
        else:
            live.void()

    @staticmethod
    def _changed(live: LiveSession) -> CallSnapshot | None:
        try:
            return live.changed_snapshot()
        except Exception:  # the others' snapshots must be kept
            _log.exception("session.no_snapshot", session_id=live.plan.session_id)
            return None

    def _forget(self, session_ids: Iterable[SessionId]) -> None:
        for session_id in session_ids:
            live = self._live.get(session_id)
            if live is not None:
                live.forgotten()
