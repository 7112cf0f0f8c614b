"""One transfer: carries out what `voisnap_domain.transfers` decides, and tells it what came of that.

Commands to the carrier run beside each other: what the caller does counts while they do.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol, assert_never, runtime_checkable

import msgspec
from voisnap_domain.calls import CarrierLeg, TransferAcceptance, TransferMode, TransferStage
from voisnap_domain.conversations import Turn
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.transfers import (
    ASK_SECONDS,
    DIAL_SECONDS,
    ENDS,
    CalledOff,
    CallerGone,
    ComeBack,
    Command,
    Declined,
    Dialled,
    DialOtherSide,
    Done,
    Failed,
    HandOver,
    HangUpOtherSide,
    Happened,
    Join,
    Leave,
    Result,
    Said,
    Step,
    Tell,
    TimePassed,
    TransferOrder,
    Why,
    begin,
    deadline,
    step,
)
from voisnap_kit import log
from voisnap_kit.redis import RedisError
from voisnap_proto.events import CallTransferChanged
from voisnap_providers.carriers import TELL_NO_RINGING, CarrierUrls
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import CallControl, Dial, HandOverCourse, RecordingOrder, StreamTarget

from voisnap_runtime.sessions.parts import Telephone

from .phrases import TransferPhrases, transfer_phrases_of
from .store import KeptTransfer, Offer, TransferStore
from .summary import cut, in_callers_words

ROLE, OTHER_SIDE = "role", "human"
"""By this parameter of its stream the other side's media are told from the caller's."""
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
SUMMARY_SECONDS = 4.0
"""What the language model may take to sum up; the caller's own words do otherwise."""
TRIES = 2
RETRY_SECONDS = 0.5
LONGEST_SECONDS = 14_400
"""How long two people may talk who were joined: the least that all carriers allow at most."""
MAX_WAITING = 64

_log = log.get(__name__)


@runtime_checkable
class Conversing(Protocol):
    """A conversation that can be told what to say, as `pipeline.call.Call` is one."""

    def tell(self, text: str, over: Callable[[], None]) -> None: ...
    def keep_company(self, comfort: Callable[[], str]) -> None: ...
    def wait_over(self) -> None: ...
    async def ask(self, order: str, *, seconds: float) -> str | None: ...


@runtime_checkable
class Parting(Telephone, Protocol):
    """The line of a call that may leave us for somebody else, as `carriers.line.CarrierLine` is one."""

    is_parted: bool


class Recorded(Protocol):
    """What was said so far."""

    @property
    def turns(self) -> tuple[Turn, ...]: ...


class Transferable(Protocol):
    """The session whose caller is handed over, as `sessions.live.LiveSession` is one."""

    plan: SessionPlan

    @property
    def record(self) -> Recorded: ...
    @property
    def conversation(self) -> Any: ...
    @property
    def telephone(self) -> Telephone | None: ...
    @property
    def has_left(self) -> bool: ...
    def end(self, reason: EndReason) -> None: ...
    async def announced(self) -> None: ...


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What transfers are carried out with. `hang_up` ends a call at its carrier and does not raise; `publish` lets others know of a session's
    transfer."""

    node_id: NodeId
    store: TransferStore
    urls: CarrierUrls
    control_of: Callable[[SessionPlan], CallControl]
    hang_up: Callable[[SessionPlan, str], Awaitable[None]]
    publish: Callable[[Transferable, CallTransferChanged], None]
    now: Callable[[], datetime]
    new_token: Callable[[], str]


class Transfer:
    """One transfer of one session. `leg` is the carrier's side of it. Runs once."""

    def __init__(self, live: Transferable, leg: CarrierLeg, order: TransferOrder, means: Means) -> None:
        self.order = order
        self._live = live
        self._leg = leg
        self._means = means
        self._loop = asyncio.get_running_loop()
        self._phrases = transfer_phrases_of(live.plan.agent.config.transcription.language)
        self._inputs: asyncio.Queue[Happened] = asyncio.Queue(MAX_WAITING)
        self._begun = begin(order, self._loop.time())
        self._state = self._begun.state
        self._why: Why | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._dialling: asyncio.Task[None] | None = None
        self._summary: asyncio.Task[str] | None = None

    @property
    def announcement(self) -> str:
        """What the caller is told first."""
        return self._phrases.announce.format(name=self.order.name)

    @property
    def tells_no_ringing(self) -> bool:
        """Whether the carrier says nothing between the dial and the answer."""
        return self._leg.provider in TELL_NO_RINGING

    def said(self) -> None:
        """The caller has heard the announcement."""
        self.happen(Said(self._loop.time()))

    def call_off(self) -> bool:
        """The caller wants to stay with the agent after all; False when it is too late for that."""
        if self._state.step not in {Step.RINGING, Step.ASKING}:
            return False
        self.happen(Declined(self._loop.time(), Why.CANCELED))
        return True

    def happen(self, happened: Happened) -> None:
        """Something happened. Never blocks."""
        with contextlib.suppress(asyncio.QueueFull):  # carriers repeat themselves; deadlines do what is lost
            self._inputs.put_nowait(happened)

    def now(self) -> float:
        """The clock of what happens."""
        return self._loop.time()

    async def run(self) -> None:
        """From the announcement until the caller is with somebody, back with the agent, or gone; nothing is left behind then."""
        watching = asyncio.create_task(self._watch(), name="transfer's caller")
        renewing = asyncio.create_task(self._renew(), name="transfer's lease")
        if self.order.mode is TransferMode.WARM:
            self._summary = asyncio.create_task(self._summed_up(), name="transfer's summary")
        try:
            self._do(self._begun)
            await self._keep(self._kept())
            while self._state.step not in ENDS or (self._dialling is not None and not self._dialling.done()):
                self._do(step(self.order, self._state, await self._next()))
            while not self._inputs.empty():
                self._do(step(self.order, self._state, self._inputs.get_nowait()))
        finally:
            watching.cancel()
            renewing.cancel()
            if self._summary is not None:
                self._summary.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._put_away()

    async def _next(self) -> Happened:
        due = deadline(self.order, self._state)
        try:
            async with asyncio.timeout_at(due):
                return await self._inputs.get()
        except TimeoutError:
            return TimePassed(max(self._loop.time(), due or 0.0))

    def _do(self, result: Result) -> None:
        before, self._state = self._state.step, result.state
        if result.state.step is not before:
            _log.info(
                "transfer.moved",
                session_id=self._live.plan.session_id,
                transfer_id=self.order.transfer_id,
                step=result.state.step.value,
            )
        for command in result.commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case HandOver():
                self._work(self._hand_over())
            case DialOtherSide():
                self._keep_company()
                self._dialling = self._work(self._dial())
            case Join(call_id=call_id):
                self._work(self._join(call_id))
            case HangUpOtherSide(call_id=call_id):
                self._work(self._hang_up(call_id))
            case ComeBack(why=why):
                self._come_back(why)
            case Leave():
                self._live.end(EndReason.TRANSFER_COMPLETE)
            case Tell(stage=stage, cause=cause):
                self._tell(stage, cause)
            case _:
                assert_never(command)

    # --- the carrier

    async def _hand_over(self) -> None:
        order, whose = self.order, self._whose()
        course = HandOverCourse(
            attempt_id=order.transfer_id,
            events_url=self._means.urls.events(**whose),
            after_url=self._means.urls.resume(**whose),
        )

        async def transfer(control: CallControl, call_id: str) -> None:
            await control.transfer(
                call_id,
                callee=order.to,
                caller=self._leg.number,
                ring_seconds=order.ring_seconds,
                course=course,
                recording=self._recording(),
            )

        await self._part(transfer)

    async def _join(self, other: str) -> None:
        await self._part(
            lambda control, call_id: control.bridge(
                call_id, other, name=self.order.transfer_id, recording=self._recording()
            )
        )

    def _whose(self) -> dict[str, Any]:
        """What the addresses that a carrier is given say of the call."""
        return {
            "provider": self._leg.provider,
            "account": self._leg.account,
            "session_id": self._live.plan.session_id,
            "attempt_id": self.order.transfer_id,
        }

    def _recording(self) -> RecordingOrder | None:
        """What the carrier is to record of it, for it passes through us no more."""
        config = self._live.plan.agent.config
        wanted = config.recording
        if not (wanted.enabled and wanted.after_transfer) or config.hipaa_compliant:
            return None
        return RecordingOrder(events_url=self._means.urls.recording(**self._whose()), is_stereo=wanted.stereo)

    async def _part(self, command: Callable[[CallControl, str], Awaitable[None]]) -> None:
        """Have the carrier take the call away from us. Its stream stops then, and nobody has hung up."""
        telephone = self._live.telephone
        if telephone is None:
            self.happen(Failed(self._loop.time()))
            return
        _set_parted(telephone, True)
        try:
            await self._tried(lambda control: command(control, telephone.call_id))
        except (ProviderError, DomainError) as error:
            _log.warning("transfer.refused", session_id=self._live.plan.session_id, error=repr(error))
            _set_parted(telephone, False)
            self.happen(Failed(self._loop.time()))
        else:
            self.happen(Done(self._loop.time()))

    async def _dial(self) -> None:
        plan, order, means = self._live.plan, self.order, self._means
        token = means.new_token()
        target = StreamTarget(
            url=means.urls.media(self._leg.provider),
            token=token,
            parameters={ROLE: OTHER_SIDE},
            call_id=order.transfer_id,
        )
        dial = Dial(
            attempt_id=order.transfer_id,
            callee=order.to,
            caller=self._leg.number,
            target=target,
            events_url=means.urls.events(**self._whose()),
            ring_seconds=order.ring_seconds,
            longest_seconds=LONGEST_SECONDS,
        )
        try:
            offer = await self._offer()
            await means.store.offer(token, offer, seconds=int(order.ring_seconds + DIAL_SECONDS + ASK_SECONDS))
            call_id = await means.control_of(plan).dial(dial)
        except (ProviderError, DomainError, RedisError) as error:
            _log.warning("transfer.not_dialled", session_id=plan.session_id, error=repr(error))
            self.happen(Failed(self._loop.time()))
            return
        self.happen(Dialled(self._loop.time(), call_id))
        await self._keep(self._kept(call_id))

    async def _hang_up(self, call_id: str) -> None:
        await self._means.hang_up(self._live.plan, call_id)

    async def _tried(self, command: Callable[[CallControl], Awaitable[None]]) -> None:
        """A command that may be repeated, twice. Raises ProviderError, DomainError."""
        control = self._means.control_of(self._live.plan)
        for left in range(TRIES - 1, -1, -1):
            try:
                return await command(control)
            except ProviderError as error:
                if not (left and error.retryable):
                    raise
            await asyncio.sleep(RETRY_SECONDS)
        return None

    # --- the caller

    def _keep_company(self) -> None:
        conversation, comforts, turn = self._live.conversation, self._phrases.comforts, count()
        if isinstance(conversation, Conversing):
            name = self.order.name
            conversation.keep_company(lambda: comforts[next(turn) % len(comforts)].format(name=name))

    def _come_back(self, why: Why) -> None:
        self._why = why
        conversation = self._live.conversation
        if isinstance(conversation, Conversing):
            conversation.wait_over()
            if why is not Why.CANCELED:  # then he knows
                conversation.tell(self._phrases.comeback(why, self.order.name), _nothing)

    async def _watch(self) -> None:
        await self._live.announced()
        now = self._loop.time()
        self.happen(CalledOff(now) if self._live.has_left else CallerGone(now))

    async def _summed_up(self) -> str:
        if self.order.summary is not None:
            return cut(self.order.summary)
        conversation = self._live.conversation
        written = None
        if isinstance(conversation, Conversing):
            written = await conversation.ask(self._phrases.order, seconds=SUMMARY_SECONDS)
        return cut(written) if written else in_callers_words(self._live.record.turns, self.order.reason)

    async def _offer(self) -> Offer:
        summary = "" if self._summary is None else await self._summary
        return offer_of(
            self._live.plan, self.order, self._leg, self._phrases, summary=summary, owner=self._means.node_id
        )

    # --- others

    def _tell(self, stage: TransferStage, cause: str) -> None:
        self._means.publish(
            self._live,
            changed_event(
                self._live.plan, self.order, stage, cause=cause, call_id=self._state.call_id, at=self._means.now()
            ),
        )

    def _kept(self, call_id: str = "") -> KeptTransfer:
        return KeptTransfer(
            session_id=self._live.plan.session_id, order=self.order, owner=self._means.node_id, call_id=call_id
        )

    async def _keep(self, kept: KeptTransfer) -> None:
        """Without the store a transfer goes on: only a process that dies over it leaves a call behind then."""
        try:
            await self._means.store.keep(kept, until=self._means.now() + LEASE)
        except RedisError as error:
            _log.warning("transfer.not_kept", session_id=kept.session_id, error=repr(error))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._means.store.renew(self._live.plan.session_id, until=self._means.now() + LEASE)
            except RedisError as error:
                _log.warning("transfer.not_renewed", session_id=self._live.plan.session_id, error=repr(error))

    async def _put_away(self) -> None:
        """Whoever goes on with the session elsewhere tells the caller that it came to nothing."""
        session_id, store = self._live.plan.session_id, self._means.store
        try:
            kept = await store.get(session_id)
            if kept is None or kept.owner != self._means.node_id:
                return  # whoever goes on was faster
            if self._live.has_left:
                await store.keep(msgspec.structs.replace(self._kept(), is_told=True), until=self._means.now() + LEASE)
            else:
                await store.forget(session_id)
        except RedisError as error:
            _log.warning("transfer.not_put_away", session_id=session_id, error=repr(error))

    def _work(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=f"transfer {self.order.transfer_id}")
        self._working.add(task)
        task.add_done_callback(self._worked)
        return task

    def _worked(self, task: "asyncio.Task[None]") -> None:
        """A bug must not leave the caller waiting for good."""
        self._working.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("transfer.crashed", exc_info=error)
            self.happen(Failed(self._loop.time()))


def changed_event(
    plan: SessionPlan,
    order: TransferOrder,
    stage: TransferStage,
    *,
    cause: str = "",
    call_id: str = "",
    at: datetime,
) -> CallTransferChanged:
    """How far a transfer got, for other services."""
    return CallTransferChanged(
        tenant_id=plan.tenant_id,
        environment=plan.environment,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        agent_id=plan.agent.agent_id,
        transfer_id=order.transfer_id,
        stage=stage,
        mode=order.mode,
        to=order.to,
        name=order.name,
        requested_by=order.requested_by,
        at=at,
        # What is said in a HIPAA conversation is written down nowhere.
        reason="" if plan.agent.config.hipaa_compliant else order.reason,
        cause=cause,
        call_id=call_id,
    )


def offer_of(
    plan: SessionPlan,
    order: TransferOrder,
    leg: CarrierLeg,
    phrases: TransferPhrases,
    *,
    summary: str,
    owner: NodeId,
) -> Offer:
    """What whoever answers is told."""
    ask = phrases.ask if order.acceptance is TransferAcceptance.CONFIRM else phrases.staying
    about = phrases.about.format(summary=summary) if summary else ""
    opening: Sequence[str] = (phrases.offer.format(agent=plan.agent.config.persona.name), about, ask)
    return Offer(
        session_id=plan.session_id,
        transfer_id=order.transfer_id,
        owner=owner,
        provider=leg.provider,
        acceptance=order.acceptance,
        opening=" ".join(text for text in opening if text),
        ask=ask,
        again=phrases.again,
        thanks=phrases.thanks,
    )


def _set_parted(telephone: Telephone, parted: bool) -> None:
    if isinstance(telephone, Parting):
        telephone.is_parted = parted


def _nothing() -> None: ...
