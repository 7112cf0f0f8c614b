"""The sessions of this process: claimed once each, their leases renewed together, callers who are gone looked after."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from voisnap_domain.errors import LimitReached, NotFound
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, Session, SessionState
from voisnap_kit import log
from voisnap_kit.redis import RedisError

from voisnap_runtime import metrics

from .live import HURRIED, LiveSession, Parts, SessionGone, cancelled

_log = log.get(__name__)

LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
TICK_SECONDS = 1.0
GRACE = timedelta(seconds=30)
"""Beyond its deadline a session's lease is not renewed any more."""


class LiveSessions:
    """All sessions that live in this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live: dict[SessionId, LiveSession] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._claiming = asyncio.Lock()
        self._renewed_at = float("-inf")
        self._closing = False

    def __len__(self) -> int:
        return len(self._live)

    def get(self, session_id: SessionId) -> LiveSession | None:
        """The session if it lives here."""
        return self._live.get(session_id)

    async def claim(self, session_id: SessionId) -> LiveSession:
        """The session, from now on living here if it does not already.

        Raises SessionGone when it is over or another node's, LimitReached when this node is full, NotFound, RedisError.
        """
        async with self._claiming:  # one at a time: a claim takes milliseconds, two of one session would make two calls
            return self._live.get(session_id) or await self._claim(session_id)

    async def run(self, touch: Callable[[], None] = lambda: None) -> None:
        """Look after all sessions once a second until cancelled; `touch` is called after each round."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:  # one broken session must not leave the others without a lease
                _log.exception("sessions.tick_failed")
            touch()

    async def tick(self) -> None:
        """Renew the leases when due and look after every caller."""
        for live in tuple(self._live.values()):
            live.look_after()
        loop_time = asyncio.get_running_loop().time()
        if loop_time - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = loop_time
            try:
                await self._renew()
            except RedisError as error:  # calls go on without leases until the store is back
                _log.warning("sessions.leases_not_renewed", error=repr(error), sessions=len(self._live))

    def end(self, session_id: SessionId, reason: EndReason) -> bool:
        """Ask a session to end; False when it does not live here."""
        live = self._live.get(session_id)
        if live is not None:
            live.end(reason)
        return live is not None

    def void(self, session_id: SessionId) -> None:
        """The journal found that a session is not ours any more."""
        live = self._live.get(session_id)
        if live is not None:
            live.void()

    async def close(self, *, timeout: float) -> None:
        """End all sessions in a hurry: the process has to go within `timeout` seconds."""
        self._closing = True
        for live in self._live.values():
            live.end(EndReason.NODE_LOST, patience=HURRIED)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                await cancelled(task)

    async def _claim(self, session_id: SessionId) -> LiveSession:
        if self._closing or len(self._live) >= self._parts.max_sessions:
            raise LimitReached("This node takes no more sessions.", code="node-full", retry_after=2)
        lease_until = self._parts.now() + LEASE
        claimable_from = await self._claimable_from(session_id)

        def claimed(session: Session) -> Session:
            if session.state not in {SessionState.CREATED, SessionState.CONNECTING}:
                raise SessionGone("The session has ended or cannot be resumed here.")
            if session.owner not in claimable_from:  # another node's, or another node was faster
                raise SessionGone("The session has ended or cannot be resumed here.")
            if session.state is SessionState.CREATED:
                session = session.moved(SessionState.CONNECTING)
            return session.claimed(self._parts.node_id, lease_until=lease_until)

        session = await self._parts.store.change(session_id, claimed)
        missing = await self._parts.store.renew({session_id: lease_until})
        if missing:
            await self._parts.store.restore(session, lease_until=lease_until)
        await self._count(session)
        live = await self._started(session)
        self._live[session_id] = live
        metrics.ACTIVE_SESSIONS.set(len(self._live))
        task = asyncio.create_task(self._run(live), name=f"session {session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return live

    async def _count(self, session: Session) -> None:
        await self._parts.store.reserve(
            session.plan.tenant_id,
            session.plan.session_id,
            limit=None,
            now=self._parts.now(),
            until=session.deadline + GRACE,
        )

    async def _started(self, session: Session) -> LiveSession:
        try:
            return LiveSession(session, self._parts)
        except Exception:
            now = self._parts.now()
            plan = session.plan
            await self._parts.store.change(
                plan.session_id, lambda kept: kept.moved(SessionState.ENDED, reason=EndReason.ERROR, at=now)
            )
            await self._parts.store.release(plan.tenant_id, plan.session_id)
            await self._parts.store.leave(plan.session_id)
            raise

    async def _claimable_from(self, session_id: SessionId) -> frozenset[NodeId | None]:
        """The owners a session may be taken from: nobody, this node, and one whose lease is over."""
        session = await self._parts.store.get(session_id)
        if session is None:
            raise NotFound("session", session_id)
        if session.owner is None or session.owner == self._parts.node_id:
            return frozenset({None, self._parts.node_id})
        lease = await self._parts.store.lease_of(session_id)
        gone = lease is None or lease <= self._parts.now()
        return frozenset({session.owner, self._parts.node_id}) if gone else frozenset({self._parts.node_id})

    async def _run(self, live: LiveSession) -> None:
        try:
            await live.run()
        finally:
            self._live.pop(live.plan.session_id, None)
            metrics.ACTIVE_SESSIONS.set(len(self._live))

    async def _renew(self) -> None:
        now = self._parts.now()
        leases = {
            session_id: min(now + LEASE, live.session.deadline + GRACE) for session_id, live in self._live.items()
        }
        for session_id in await self._parts.store.renew(leases):
            live = self._live.get(session_id)
            if live is not None:
                await self._reclaim(live, leases[session_id])

    async def _reclaim(self, live: LiveSession, lease_until: datetime) -> None:
        """A lease is gone: the store forgot everything, or somebody cleared up after us."""
        kept = await self._parts.store.get(live.plan.session_id)
        if kept is None or (kept.owner == self._parts.node_id and kept.state is not SessionState.ENDED):
            await self._parts.store.restore(kept or live.session, lease_until=lease_until)
            _log.warning("session.lease_restored", session_id=live.plan.session_id)
        elif kept.state is not SessionState.ENDED:
            live.void()
