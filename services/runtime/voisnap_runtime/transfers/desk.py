"""All transfers of this process: begun by agents and by the API, told what carriers and the other sides say, and cleared up after dead processes.

Any process takes a request and passes it to the owner of the session.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import msgspec
from voisnap_domain.agents import TransferTarget
from voisnap_domain.calls import AnsweredBy, CallPhase, TransferMode, TransferStage
from voisnap_domain.errors import Conflict, DomainError, NotFound
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import Session, SessionPlan, SessionState
from voisnap_domain.tenants import Environment
from voisnap_domain.transfers import (
    MAX_RING_SECONDS,
    MIN_RING_SECONDS,
    Accepted,
    Answered,
    Declined,
    Happened,
    OtherSideEnded,
    RingsThere,
    TransferOrder,
    Why,
)
from voisnap_kit import log
from voisnap_kit.bus import BusError, Subscription
from voisnap_kit.redis import RedisError
from voisnap_proto.events import CallTransferChanged
from voisnap_proto.requests import (
    NOTE_TRANSFER_CALL,
    TRANSFER_SESSION,
    NoteTransferCall,
    TransferBegun,
    TransferCallNoted,
    TransferSession,
)
from voisnap_providers.numbering import is_costly

from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.sessions.desk import QUEUE
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.store import Store

from .offering import LegHeard, LegSays, LegWord, transfer_leg_at
from .phrases import transfer_phrases_of
from .store import KeptTransfer
from .transfer import Conversing, Means, Transfer, Transferable, changed_event

FORWARD_SECONDS = 2.0
LEFT_AT_ONCE = 50
OWED = timedelta(minutes=2)
"""How long a caller may be owed the word that his transfer came to nothing."""
MAX_TRANSFERS = 10
"""Of one call in one process: each may cost a call, and a model may want one again and again."""
BY_AGENT, BY_API = "agent", "api"

_log = log.get(__name__)

R = TypeVar("R")


class Requests(Protocol):
    """The part of the bus that transfers need."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...
    async def publish(self, event: Any, *, event_id: str, tenant_id: str) -> None: ...


class Rooms(Protocol):
    """The sessions that live here."""

    def get(self, session_id: SessionId) -> LiveSession | None: ...


class ClearedUp(msgspec.Struct, frozen=True, kw_only=True):
    """How many transfers were found that nobody looked after."""

    transfers: int = 0


class Transfers:
    """The transfers of one process."""

    def __init__(
        self,
        means: Callable[["Transfers"], Means],
        *,
        sessions: Rooms,
        store: Store,
        bus: Requests,
        new_id: Callable[[str], str],
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._bus = bus
        self._new_id = new_id
        self._means = means(self)
        self._node_id: NodeId = self._means.node_id
        self._running: dict[SessionId, Transfer] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscriptions: list[Subscription] = []

    async def listen(self) -> None:
        """Answer requests until `close`."""
        respond, node = self._bus.respond, self._node_id
        self._subscriptions = [
            await respond(TRANSFER_SESSION, QUEUE, TransferSession, self.transfer),
            await respond(_transfer_at(node), node, TransferSession, self.transfer_here),
            await respond(NOTE_TRANSFER_CALL, QUEUE, NoteTransferCall, self.note),
            await respond(_note_at(node), node, NoteTransferCall, self.note_here),
            await respond(transfer_leg_at(node), node, LegSays, self.leg_says),
        ]

    async def close(self) -> None:
        """Answer no more."""
        while self._subscriptions:
            await self._subscriptions.pop().close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- beginning

    def begin_for_agent(
        self, plan: SessionPlan, target: TransferTarget, *, mode: TransferMode | None, reason: str
    ) -> Transfer:
        """The agent puts its caller through, who hears so in its own words. Raises Conflict."""
        live = self._live(plan.session_id)
        wanted = TransferSession(session_id=plan.session_id, to=target.address, name=target.name, mode=mode)
        return self._begin(live, self._order(live.plan, wanted, by=BY_AGENT, reason=reason))

    def call_off(self, plan: SessionPlan) -> bool:
        """The caller stays with the agent; False when nobody is being called for him any more."""
        transfer = self._running.get(plan.session_id)
        return transfer is not None and transfer.call_off()

    async def transfer(self, request: TransferSession) -> TransferBegun:
        """Hand a call over wherever it lives."""
        session = await self._store.get(request.session_id)
        if session is None or session.state is SessionState.ENDED:
            return TransferBegun(found=False)
        if session.owner is None:
            raise _not_transferable()
        if session.owner == self._node_id:
            return await self.transfer_here(request)
        return await self._passed_on(
            session,
            lambda owner: self._bus.request(_transfer_at(owner), request, TransferBegun, timeout=FORWARD_SECONDS),
        )

    async def transfer_here(self, request: TransferSession) -> TransferBegun:
        """Hand over a call that lives here."""
        live = self._sessions.get(request.session_id)
        if live is None or live.is_ending:
            return TransferBegun(found=False)
        transfer = self._begin(live, self._order(live.plan, request, by=BY_API, reason=""))
        conversation = live.conversation
        if isinstance(conversation, Conversing):
            conversation.tell(transfer.announcement, transfer.said)
        return TransferBegun(found=True, transfer_id=transfer.order.transfer_id)

    def _begin(self, live: LiveSession, order: TransferOrder) -> Transfer:
        plan = live.plan
        if plan.leg is None or live.telephone is None or live.is_ending or live.is_away:
            raise _not_transferable()
        if plan.session_id in self._running:
            raise Conflict("This call is being transferred already.", code="transfer-in-progress")
        if live.transfers >= MAX_TRANSFERS:
            raise Conflict("This call has been transferred too often.", code="too-many-transfers")
        live.transfers += 1
        transfer = Transfer(live, plan.leg, order, self._means)
        self._running[plan.session_id] = transfer
        self._work(self._run(live, transfer))
        live.report(
            call_events.TransferBegun(
                transfer_id=order.transfer_id, target=order.name, to=order.to, mode=order.mode, reason=order.reason
            )
        )
        return transfer

    async def _run(self, live: LiveSession, transfer: Transfer) -> None:
        live.is_transferring = True
        try:
            await transfer.run()
        finally:
            live.is_transferring = False
            del self._running[live.plan.session_id]

    def _order(self, plan: SessionPlan, wanted: TransferSession, *, by: str, reason: str) -> TransferOrder:
        settings = plan.agent.config.transfer
        target = next((one for one in settings.targets if one.name == wanted.name), None)
        if wanted.to and not wanted.name:
            target = next((one for one in settings.targets if one.address == wanted.to), None)
        if not wanted.to and target is None:
            raise NotFound("transfer target", wanted.name, code="transfer-target-not-found")
        to = wanted.to or (target.address if target is not None else "")
        if plan.environment is Environment.LIVE and is_costly(to):
            raise Conflict(
                "Calls are not handed over to premium-rate numbers and their like.", code="number-not-allowed"
            )
        if to == plan.caller.phone_number or (plan.leg is not None and to == plan.leg.number):
            raise Conflict("A call is not handed over to its own caller or its own number.", code="number-not-allowed")
        is_target = target is not None and target.address == to
        mode = wanted.mode or (target.mode if target is not None and is_target else None) or settings.mode
        ring = settings.ring_seconds if wanted.ring_seconds is None else wanted.ring_seconds
        return TransferOrder(
            transfer_id=self._new_id("xfer"),
            to=to,
            name=wanted.name or (target.name if target is not None else _aloud(to)),
            mode=mode,
            requested_by=by,
            acceptance=settings.acceptance,
            ring_seconds=min(max(ring, MIN_RING_SECONDS), MAX_RING_SECONDS),
            reason=reason,
            summary=wanted.summary,
        )

    def _live(self, session_id: SessionId) -> LiveSession:
        live = self._sessions.get(session_id)
        if live is None:
            raise _not_transferable()
        return live

    # --- what the other side's call does

    async def note(self, request: NoteTransferCall) -> TransferCallNoted:
        """Pass on what a carrier says of the other side's call."""
        kept = await self._means.store.get(request.session_id)
        if kept is None or kept.order.transfer_id != request.attempt_id:
            return TransferCallNoted(found=False)
        if kept.owner == self._node_id:
            return await self.note_here(request)
        try:
            return await self._bus.request(_note_at(kept.owner), request, TransferCallNoted, timeout=FORWARD_SECONDS)
        except (BusError, DomainError) as error:  # deadlines and the clearing up do what is not told
            _log.info("transfer.not_noted", session_id=request.session_id, error=repr(error))
            return TransferCallNoted(found=False)

    async def note_here(self, request: NoteTransferCall) -> TransferCallNoted:
        """Tell a transfer of this process."""
        transfer = self._transfer_of(request.session_id, request.attempt_id)
        if transfer is None:
            return TransferCallNoted(found=False)
        now = transfer.now()
        happened: Happened | None = None
        match request.phase:
            case CallPhase.RINGING:
                happened = RingsThere(now)
            case CallPhase.INITIATED if transfer.tells_no_ringing:
                happened = RingsThere(now)
            case CallPhase.INITIATED | CallPhase.ANSWERED:
                pass  # who answers is known when his media come in
            case None:
                if request.answered_by in {AnsweredBy.MACHINE, AnsweredBy.MACHINE_BEEP, AnsweredBy.FAX}:
                    happened = Declined(now, Why.MACHINE)
            case _:
                happened = OtherSideEnded(now, request.phase)
        if happened is not None:
            transfer.happen(happened)
        return TransferCallNoted(found=True)

    async def leg_says(self, says: LegSays) -> LegHeard:
        """Tell a transfer of this process what whoever answered wants."""
        transfer = self._transfer_of(says.session_id, says.transfer_id)
        live = self._sessions.get(says.session_id)
        if live is not None and says.usage is not None:
            live.record.used(says.usage)
        if transfer is None:
            return LegHeard(is_known=False)
        now = transfer.now()
        match says.word:
            case LegWord.ANSWERED:
                transfer.happen(Answered(now))
            case LegWord.ACCEPTED:
                transfer.happen(Accepted(now))
            case LegWord.REFUSED:
                transfer.happen(Declined(now, Why.REFUSED))
            case LegWord.MACHINE:
                transfer.happen(Declined(now, Why.MACHINE))
            case LegWord.UNDECIDED:
                transfer.happen(Declined(now, Why.UNDECIDED))
            case LegWord.GONE:
                transfer.happen(OtherSideEnded(now, CallPhase.COMPLETED))
        return LegHeard(is_known=True)

    def _transfer_of(self, session_id: SessionId, transfer_id: str) -> Transfer | None:
        transfer = self._running.get(session_id)
        return transfer if transfer is not None and transfer.order.transfer_id == transfer_id else None

    # --- others

    def publish(self, live: Transferable, event: CallTransferChanged) -> None:
        """With the session's journal, in order; of a session that is over by itself."""
        if isinstance(live, LiveSession) and not live.is_ending:
            live.record.transferred(event)
        else:
            self._work(self._published(event))

    async def _published(self, event: CallTransferChanged) -> None:
        """Under an id that the same end has in whichever process tells it."""
        same = hashlib.sha256(f"{event.transfer_id} {event.stage.value}".encode()).hexdigest()[:26].upper()
        try:
            await self._bus.publish(event, event_id=f"evt_{same}", tenant_id=event.tenant_id)
        except BusError as error:
            _log.warning("transfer.not_told", session_id=event.session_id, error=repr(error))

    # --- clearing up

    def resumed(self, plan: SessionPlan) -> None:
        """A call goes on here that lived elsewhere: what was begun there to hand it over has come to nothing."""
        if plan.leg is not None:
            self._work(self._recover(plan))

    async def clear_up(self) -> ClearedUp:
        """Hang up on other sides whose transfers died with their process. Raises RedisError."""
        store, found = self._means.store, 0
        for session_id in await store.left(self._means.now(), limit=LEFT_AT_ONCE):
            session = await self._store.get(session_id)
            kept = await store.take(session_id)
            if kept is not None and session is not None:
                found += 1
                await self._clear_up(session.plan, kept)
        return ClearedUp(transfers=found)

    async def _recover(self, plan: SessionPlan) -> None:
        try:
            kept = await self._means.store.take(plan.session_id)
        except RedisError as error:  # it is found when its lease is over
            _log.warning("transfer.not_recovered", session_id=plan.session_id, error=repr(error))
            return
        if kept is not None:
            await self._clear_up(plan, kept)

    async def _clear_up(self, plan: SessionPlan, kept: KeptTransfer) -> None:
        _log.info("transfer.left_behind", session_id=plan.session_id, transfer_id=kept.order.transfer_id)
        if not kept.is_told:
            event = changed_event(
                plan, kept.order, TransferStage.FAILED, cause=Why.LOST.value, call_id=kept.call_id, at=self._means.now()
            )
            await self._published(event)
        await asyncio.gather(self._hang_up(plan, kept.call_id), self._apologise(plan, kept))

    async def _hang_up(self, plan: SessionPlan, call_id: str) -> None:
        if call_id:
            await self._means.hang_up(plan, call_id)

    async def _apologise(self, plan: SessionPlan, kept: KeptTransfer) -> None:
        """Until the caller has heard it, whoever goes on after this process owes it to him."""
        live = self._sessions.get(plan.session_id)
        if live is None:
            return
        owed = msgspec.structs.replace(kept, owner=self._node_id, call_id="", is_told=True)
        await self._keep(owed)
        await live.begun()
        conversation = live.conversation
        if isinstance(conversation, Conversing):
            phrases = transfer_phrases_of(plan.agent.config.transcription.language)
            over = asyncio.Event()
            conversation.tell(phrases.comeback(Why.LOST, kept.order.name), over.set)
            await over.wait()
        if not live.has_left:
            await self._forget(owed)

    async def _keep(self, kept: KeptTransfer) -> None:
        try:
            await self._means.store.keep(kept, until=self._means.now() + OWED)
        except RedisError as error:
            _log.warning("transfer.not_kept", session_id=kept.session_id, error=repr(error))

    async def _forget(self, owed: KeptTransfer) -> None:
        try:
            if await self._means.store.get(owed.session_id) == owed:  # and not another transfer since
                await self._means.store.forget(owed.session_id)
        except RedisError as error:
            _log.warning("transfer.not_put_away", session_id=owed.session_id, error=repr(error))

    async def _passed_on(self, session: Session, ask: Callable[[NodeId], Awaitable[TransferBegun]]) -> TransferBegun:
        assert session.owner is not None  # noqa: S101 - looked at before
        try:
            return await ask(session.owner)
        except BusError as error:
            _log.warning("transfer.not_passed_on", session_id=session.plan.session_id, error=repr(error))
            raise _not_transferable() from None

    def _work(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("transfer.crashed", exc_info=error)


def _aloud(address: str) -> str:
    """Who is called, as it is said to the caller: of a SIP address (RFC 3261 §19.1.1) only the user, and no mark between his names."""
    if not address.lower().startswith(("sip:", "sips:")):
        return address
    user = address.partition(":")[2].partition("@")[0].partition(";")[0].partition(":")[0]
    return " ".join(unquote(user).replace("_", ".").split(".")).strip() or address


def _not_transferable() -> Conflict:
    return Conflict("Only a telephone call whose caller is connected can be transferred.", code="not-transferable")


def _transfer_at(node_id: NodeId) -> str:
    return f"node.{node_id}.transfer_session.v1"


def _note_at(node_id: NodeId) -> str:
    return f"node.{node_id}.note_transfer_call.v1"
