"""Places calls whose time has come, and looks after the attempts to reach somebody.

    intent ──commit──▶ session opened ──▶ "asked" ──commit──▶ the carrier is asked ──▶ the call's id, committed

A carrier is asked once an attempt. A worker that dies before "asked" is committed has asked nobody: the call is placed by another attempt. One
that dies after it may have asked: then the carrier's own events tell, or their absence. Only a carrier that does a command once, however often
it gets it, is given the same one again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import msgspec
from voisnap_domain.calls import CallPhase, CarrierLeg
from voisnap_domain.errors import DomainError, Invalid, LimitReached
from voisnap_domain.ids import SessionId
from voisnap_domain.outbound import DIAL_PATIENCE, PLAN_PATIENCE, OutboundStatus
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.bus import BusError, EventBus
from voisnap_kit.ids import new_id as new_ulid
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, NewId, Work, begin, utc_now
from voisnap_proto.requests import END_SESSION, EndSession, SessionEnding
from voisnap_providers.carriers import Carrier, CarrierUrls
from voisnap_providers.errors import DialUncertain, ProviderError
from voisnap_providers.numbering import country_of
from voisnap_providers.ports.carrier import Dial, MachineDetection, StreamTarget

from voisnap_api.carrier_webhooks.usecases import remember_call
from voisnap_api.destinations import NOT_ALLOWED
from voisnap_api.do_not_call.usecases import listed_among
from voisnap_api.phone_numbers.usecases import line_for_calls
from voisnap_api.session_plans.usecases import plan_session
from voisnap_api.tenants.usecases import limits_for_new_session
from voisnap_api.webrtc_sessions.clients import open_session

from . import store
from .countries import destination_fault
from .hours import held_up, when_allowed
from .records import CallSettings, DialAttempt, Due, OutboundCall, Shard
from .settling import (
    OVERDUE_PATIENCE,
    Held,
    cancel,
    conclude,
    end_call,
    ends_session,
    hangs_up,
    hold,
    may_ask_again,
    put_off,
)
from .usecases import get_settings, refuse_own_lines

MOST_AT_ONCE = 32
"""Carriers that one worker asks at the same time."""
MOST_PUT_OFFS = 5
"""How often a carrier may have no time for a call."""
MOST_CLEARINGS = 10
NO_ROOM_PAUSE = timedelta(seconds=5)
"""After which a call that found no free slot of the plan or no process of the runtime is tried again."""

_SHARDS = 200
_LOOKED_AT = 50
_LOOKS = 100
_CLAIM = timedelta(seconds=15)
"""How long attempts that one worker is about to look after are left alone by the others."""
_FIRST_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=10)
_LENGTH_MARGIN = 60
"""Seconds by which the carrier's own limit of a call is longer than the agent's: its farewell must be heard."""
_ASK_SECONDS = 5.0
_STOP_SECONDS = 15.0
_CLEAR_PATIENCE = timedelta(seconds=40)
"""How long one worker has an attempt to itself to clear up behind it: longer than carrier and runtime may take."""
_WAITING_CODES = frozenset({"session-limit-reached", "node-full"})

_Step = tuple[Callable[..., Coroutine[Any, Any, None]], tuple[Any, ...]]

_log = log.get(__name__)


class CarrierAccess(Protocol):
    """Who opens carriers' accounts (`voisnap_api.carrier_accounts.CarrierAccounts`)."""

    async def carrier(self, work: Work, provider: str, account: str, environment: Environment) -> Carrier:
        """The carrier behind an account. Raises NotFound, ProviderUnconfigured."""
        ...


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls were taken up."""

    calls: int


class LookedAfter(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts were looked after."""

    attempts: int


class Dialler:
    """Places the calls of all tenants. Make it inside the running event loop and close it with `aclose`, which lets running dials end."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        carriers: CarrierAccess,
        urls: CarrierUrls,
        *,
        clock: Clock = utc_now,
        new_id: NewId = new_ulid,
    ) -> None:
        self._database = database
        self._bus = bus
        self._carriers = carriers
        self._urls = urls
        self._clock = clock
        self._new_id = new_id
        self._running: set[asyncio.Task[None]] = set()

    async def place_due(self) -> Placed:
        """Take up calls that are due, as many as there are slots and as this worker has room for; they are dialled in the background."""
        taken = 0
        async with self._database.transaction_as_system() as tx:
            shards = await store.shards_due(tx, now=self._clock(), limit=_SHARDS)
        for shard in shards:
            room = MOST_AT_ONCE - len(self._running)
            if room <= 0:
                break
            for call, attempt in await self._take(shard, room):
                self._spawn(self._place(call, attempt))
                taken += 1
        return Placed(calls=taken)

    async def look_after_due(self) -> LookedAfter:
        """Wait for nothing that does not come, ask again where that is safe, hang up and end sessions that wait for nobody."""
        now = self._clock()
        async with self._database.transaction_as_system() as tx:
            due = await store.claim_attempts(tx, now=now, until=now + _CLAIM, limit=_LOOKS)
        failures: list[Exception] = []
        for one in due:
            try:
                await self._look_after(one)
            except Exception as error:
                _log.error("outbound_call.not_looked_after", attempt_id=one.id, error=repr(error))
                failures.append(error)  # one that can't be looked after must not keep the others from it
        if failures:
            raise failures[0]
        return LookedAfter(attempts=len(due))

    async def settle(self) -> None:
        """Return when the dials that run are done."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def aclose(self) -> None:
        """Let running dials end, a while."""
        if not self._running:
            return
        _, left = await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _spawn(self, placing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(placing)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("outbound_call.dial_broke", error=repr(error))  # its attempt is looked after when it is late

    @asynccontextmanager
    async def _work(self, tenant_id: Any, environment: Environment) -> AsyncGenerator[Work]:
        caller = Caller.system(tenant_id, environment)
        async with begin(self._database, caller, clock=self._clock, new_id=self._new_id) as work:
            yield work

    # --- intent

    async def _take(self, shard: Shard, room: int) -> list[tuple[OutboundCall, DialAttempt]]:
        """Calls of one tenant that are placed now, each with the intent to dial; committed."""
        async with self._work(shard.tenant_id, shard.environment) as work:
            if not await store.lock_slots(work.tx, shard.tenant_id, shard.environment):
                return []
            settings = await get_settings(work)
            held = await store.count_placed(work.tx, shard.tenant_id, shard.environment)
            free = min(room, settings.max_concurrent - held)
            taken = await self._take_some(work, settings, free) if free > 0 else []
            await store.queue_due(work.tx, shard.tenant_id, shard.environment, now=work.now)
        return taken

    async def _take_some(self, work: Work, settings: CallSettings, free: int) -> list[tuple[OutboundCall, DialAttempt]]:
        tenant_id, environment = work.caller.tenant_id, work.caller.environment
        calls = await store.claim_due(work.tx, tenant_id, environment, now=work.now, limit=max(free, _LOOKED_AT))
        listed = await listed_among(work, tuple({call.to_number for call in calls}))
        taken: list[tuple[OutboundCall, DialAttempt]] = []
        for call in calls:
            if call.to_number in listed:
                await end_call(work, call, OutboundStatus.CANCELLED, "do_not_call")
            elif len(taken) < free and (attempt := await self._intend(work, call, settings)) is not None:
                taken.append((call, attempt))
        return taken

    async def _intend(self, work: Work, call: OutboundCall, settings: CallSettings) -> DialAttempt | None:
        """The intent to dial, stored; None where the call is not placed now."""
        allowed = when_allowed(call, settings, work.now)
        if allowed is None:
            await end_call(work, call, OutboundStatus.FAILED, "no_calling_hours")
            return None
        if allowed > work.now:
            await store.update(work.tx, held_up(call, allowed, work.now))
            return None
        try:
            line = await line_for_calls(work, call.agent_id, call.from_number)
        except DomainError as error:
            await end_call(work, call, OutboundStatus.FAILED, _reason(error))
            return None
        fault = await destination_fault(
            work, call.to_number, account=line.account, ours=line.phone_number, settings=settings
        )
        if fault is not None:
            await end_call(work, call, OutboundStatus.FAILED, fault.replace("-", "_"))
            return None
        attempt = DialAttempt(
            id=work.new_id("att"),
            tenant_id=call.tenant_id,
            environment=call.environment,
            call_id=call.id,
            provider=line.provider,
            account=line.account,
            detection=settings.machine_detection,
            ring_seconds=settings.default_ring_seconds,
            planned_at=work.now,
            due_at=work.now + PLAN_PATIENCE,
        )
        await store.insert_attempt(work.tx, attempt)
        placed = msgspec.structs.replace(
            call, status=OutboundStatus.INITIATING, attempt_id=attempt.id, not_before=None, updated_at=work.now
        )
        await store.update(work.tx, placed)
        return attempt

    # --- dial

    async def _place(self, call: OutboundCall, attempt: DialAttempt) -> None:
        """From the intent to the carrier's answer. What breaks in between is looked after when it is late."""
        try:
            carrier, plan = await self._prepare(call, attempt)
            opened = await open_session(self._bus, plan)
            asked = await self._say_asked(attempt, opened.session_token)
        except DomainError as error:
            await self._refused(attempt, error)
            return
        except BusError as error:
            _log.warning("outbound_call.session_not_opened", attempt_id=attempt.id, error=repr(error))
            await self._later(attempt)
            return
        if asked is not None:
            await self._dial(carrier, call, asked)
        else:  # whoever decided otherwise may have ended the session before it was there
            await self._end_session(plan.session_id, EndReason.TIMEOUT)

    async def _prepare(self, call: OutboundCall, attempt: DialAttempt) -> tuple[Carrier, SessionPlan]:
        """The carrier, and the plan of the session that waits for whoever answers. Raises DomainError."""
        caller = Caller.system(attempt.tenant_id, attempt.environment)
        await refuse_own_lines(self._database, caller, ((call.to_number, "/toNumber"),))
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            carrier = await self._carriers.carrier(work, attempt.provider, attempt.account, attempt.environment)
            plan = await plan_session(
                work,
                call.agent_id,
                Channel.PHONE,
                call.metadata,
                caller=SessionCaller(phone_number=call.to_number, country=country_of(call.to_number)),
                version=None if call.tested_version is None else str(call.tested_version),
                rehearsing=call.tested_version is not None,
                direction=Direction.OUTBOUND,
                leg=CarrierLeg(
                    provider=attempt.provider,
                    account=attempt.account,
                    number=call.from_number,
                    attempt_id=attempt.id,
                ),
            )
            held = await hold(work, attempt.id)
            if held is None or not held.is_current:
                raise _Overtaken
            config = plan.agent.config
            planned = msgspec.structs.replace(
                held.attempt,
                session_id=plan.session_id,
                conversation_id=plan.conversation_id,
                longest_seconds=config.max_duration_seconds + _LENGTH_MARGIN,
                detection=held.attempt.detection if config.voicemail_detection.enabled else MachineDetection.OFF,
            )
            await conclude(work, Held(call=held.call, attempt=planned))
        return carrier, plan

    async def _say_asked(self, attempt: DialAttempt, token: str) -> DialAttempt | None:
        """Commit that the carrier is asked now. None when somebody else has decided otherwise by now. Raises Forbidden `tenant-suspended`."""
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is None or not held.is_current or held.attempt.asked_at is not None:
                return None
            await limits_for_new_session(work)
            if await listed_among(work, (held.call.to_number,)):
                await cancel(work, held.call, "do_not_call")
                return None
            asked = msgspec.structs.replace(held.attempt, asked_at=work.now, stream_token=token)
            placed = msgspec.structs.replace(held.call, initiated_at=work.now, updated_at=work.now)
            await store.update(work.tx, placed)
            await conclude(work, Held(call=placed, attempt=asked))
            await _remember(work, asked)
        return asked

    def _order(self, call: OutboundCall, attempt: DialAttempt) -> Dial:
        session_id = attempt.session_id or ""
        return Dial(
            attempt_id=attempt.id,
            callee=call.to_number,
            caller=call.from_number,
            target=StreamTarget(
                url=self._urls.media(attempt.provider),
                token=attempt.stream_token or "",
                resume_url=self._urls.resume(attempt.provider, attempt.account, session_id=session_id),
            ),
            events_url=self._urls.events(
                attempt.provider, attempt.account, session_id=session_id, attempt_id=attempt.id
            ),
            ring_seconds=attempt.ring_seconds,
            longest_seconds=attempt.longest_seconds,
            detection=attempt.detection,
        )

    async def _dial(self, carrier: Carrier, call: OutboundCall, attempt: DialAttempt) -> None:
        """Ask the carrier, once. A worker that slept since it said so does not: the attempt may be over by now."""
        try:
            if attempt.asked_at is None or self._clock() - attempt.asked_at > DIAL_PATIENCE:
                await self._not_dialled(attempt, "not_placed", retry_in=timedelta(0))
                return
            call_id = await carrier.control.dial(self._order(call, attempt))
        except DialUncertain as error:
            _log.warning("outbound_call.dial_uncertain", attempt_id=attempt.id, error=error.detail)
            return
        except ProviderError as error:
            _log.warning("outbound_call.not_dialled", attempt_id=attempt.id, error=error.detail)
            pause = timedelta(seconds=error.retry_after or 0)
            await self._not_dialled(attempt, "carrier_refused", retry_in=pause if error.retryable else None)
            return
        await self._dialled(attempt, call_id)

    async def _dialled(self, attempt: DialAttempt, call_id: str) -> None:
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is None:
                return
            dialled = msgspec.structs.replace(
                held.attempt,
                carrier_call_id=call_id,
                dialled_at=held.attempt.dialled_at or work.now,
                stream_token=None,
            )
            await conclude(work, Held(call=held.call, attempt=dialled))
            await _remember(work, dialled)
        _log.info("outbound_call.dialled", call_id=attempt.call_id, attempt_id=attempt.id, provider=attempt.provider)

    async def _not_dialled(self, attempt: DialAttempt, reason: str, *, retry_in: timedelta | None) -> None:
        """The carrier was asked and does not dial. With `retry_in` the call is placed again, a few times."""
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is None:
                return
            ended = msgspec.structs.replace(
                held.attempt, carrier_end=CallPhase.FAILED, carrier_ended_at=work.now, given_up=reason
            )
            held = Held(call=held.call, attempt=ended)
            if retry_in is None or held.call.put_off_count >= MOST_PUT_OFFS:
                await conclude(work, held)
                return
            pause = min(_FIRST_PAUSE * 2**held.call.put_off_count, _LONGEST_PAUSE)
            await put_off(work, held, until=work.now + max(retry_in, pause), counts=True)

    async def _refused(self, attempt: DialAttempt, error: DomainError) -> None:
        """No session can be had: for now, or for this call."""
        if isinstance(error, _Overtaken):
            return
        _log.info("outbound_call.refused", attempt_id=attempt.id, code=error.code)
        if isinstance(error, LimitReached) and error.code in _WAITING_CODES:
            await self._later(attempt)
            return
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is not None and held.is_current:
                given_up = msgspec.structs.replace(held.attempt, given_up=_reason(error))
                await conclude(work, Held(call=held.call, attempt=given_up))

    async def _later(self, attempt: DialAttempt) -> None:
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is not None:
                await put_off(work, held, until=work.now + NO_ROOM_PAUSE)

    # --- looking after

    async def _look_after(self, due: Due) -> None:
        async with self._work(due.tenant_id, due.environment) as work:
            held = await hold(work, due.id)
            if held is None or held.attempt.due_at is None or held.attempt.due_at > work.now:
                return
            if held.attempt.settled_at is None:
                left = await self._overdue(work, held)
            else:
                lent = msgspec.structs.replace(held.attempt, due_at=work.now + _CLEAR_PATIENCE)
                await store.update_attempt(work.tx, lent)
                left = self._clear, (lent,)
        if left is not None:
            step, about = left
            self._spawn(step(*about))

    async def _overdue(self, work: Work, held: Held) -> _Step | None:
        """What is late is waited for once more, a little, then not any more. What is left to do once that is committed."""
        attempt = held.attempt
        if attempt.asked_at is None:
            await put_off(work, held, until=work.now)  # its worker is lost, and has asked nobody
            return None
        if may_ask_again(attempt, work.now):
            asked = msgspec.structs.replace(attempt, stream_token=None)
            await conclude(work, Held(call=held.call, attempt=asked))
            return self._ask_again, (held.call, attempt)
        if attempt.overdue_at is None:
            waits = msgspec.structs.replace(attempt, overdue_at=work.now, due_at=work.now + OVERDUE_PATIENCE)
            await store.update_attempt(work.tx, waits)
            return None
        await conclude(work, held, late=True)
        return None

    async def _ask_again(self, call: OutboundCall, attempt: DialAttempt) -> None:
        """The same command once more, if it may still be given. Whatever goes wrong with it says nothing of the first one."""
        try:
            async with self._work(attempt.tenant_id, attempt.environment) as work:
                await limits_for_new_session(work)
                if await listed_among(work, (call.to_number,)):
                    return
                carrier = await self._carriers.carrier(work, attempt.provider, attempt.account, attempt.environment)
            call_id = await carrier.control.dial(self._order(call, attempt))
        except (DomainError, ProviderError) as error:
            _log.warning("outbound_call.dial_uncertain", attempt_id=attempt.id, error=repr(error))
            return
        await self._dialled(attempt, call_id)

    async def _clear(self, attempt: DialAttempt) -> None:
        """Hang up and end the session behind an attempt; what does not work is tried again, with growing pauses."""
        error = None
        try:
            if hangs_up(attempt):
                async with self._work(attempt.tenant_id, attempt.environment) as work:
                    carrier = await self._carriers.carrier(work, attempt.provider, attempt.account, attempt.environment)
                await carrier.control.hang_up(attempt.carrier_call_id)
            if ends_session(attempt) and attempt.session_id is not None:
                reason = EndReason.TIMEOUT if attempt.connected_at is None else EndReason.DISCONNECTED
                await self._end_session(attempt.session_id, reason)
        except (DomainError, ProviderError, BusError) as failure:
            error = failure
        async with self._work(attempt.tenant_id, attempt.environment) as work:
            held = await hold(work, attempt.id)
            if held is None:
                return
            clearings = held.attempt.clearings + 1
            due_at = None
            if error is not None and clearings < MOST_CLEARINGS:
                due_at = work.now + min(timedelta(seconds=2**clearings), _LONGEST_PAUSE)
            elif held.attempt.carrier_call_id != attempt.carrier_call_id:
                due_at = work.now  # the carrier has told the call's id in the meantime
            cleared = msgspec.structs.replace(held.attempt, clearings=clearings, due_at=due_at)
            if due_at is None and cleared.asked_at is None and held.call.attempt_id != cleared.id:
                await store.delete_attempt(work.tx, cleared)  # nobody was asked, and its call has gone on to another
            else:
                await store.update_attempt(work.tx, cleared)
        if error is not None:
            _log.warning("outbound_call.not_cleared", attempt_id=attempt.id, tries=clearings, error=repr(error))

    async def _end_session(self, session_id: SessionId, reason: EndReason) -> None:
        """Raises BusError."""
        request = EndSession(session_id=session_id, reason=reason)
        await self._bus.request(END_SESSION, request, SessionEnding, timeout=_ASK_SECONDS)


class _Overtaken(DomainError):
    """Somebody else has decided about the call meanwhile."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__("The call was cancelled, or another worker has taken it.")


async def _remember(work: Work, attempt: DialAttempt) -> None:
    if attempt.session_id is not None:
        await remember_call(
            work,
            provider=attempt.provider,
            account=attempt.account,
            call_id=attempt.carrier_call_id,
            session_id=attempt.session_id,
            attempt_id=attempt.id,
        )


def _reason(error: DomainError) -> str:
    """The code of a refusal, as end reasons are written."""
    if isinstance(error, Invalid):
        return "number_not_allowed" if error.errors[0].code == NOT_ALLOWED else "number_not_assigned"
    return error.code.replace("-", "_")
