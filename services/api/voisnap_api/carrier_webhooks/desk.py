"""Takes what carriers post about calls: who is called, by whom, and what becomes of it.

Nothing that came unsigned is looked at. A carrier may post everything twice and in any order; each fact has its effect once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum

import msgspec
from prometheus_client import Counter
from voisnap_domain.calls import CallPhase, CarrierLeg
from voisnap_domain.errors import Conflict, DomainError, Forbidden
from voisnap_domain.ids import SessionId, TenantId
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.bus import EventBus
from voisnap_kit.failures import Unavailable
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, Work, begin, begin_as_system, utc_now
from voisnap_providers.carriers import CARRIERS, Carrier, CarrierUrls, is_signed, may_be_the_carriers
from voisnap_providers.errors import ProviderError
from voisnap_providers.numbering import country_of
from voisnap_providers.ports.carrier import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierEvent,
    HandOverEnded,
    HandOverRef,
    InboundCall,
    MachineDetected,
    MediaLost,
    RecordingFailed,
    RecordingSaved,
    StreamTarget,
    WebhookRequest,
)

from voisnap_api.agents import usecases as agents
from voisnap_api.call_recordings import usecases as call_recordings
from voisnap_api.call_transfers import usecases as call_transfers
from voisnap_api.carrier_accounts import AccountOwner, CarrierAccounts
from voisnap_api.conversations import usecases as conversations
from voisnap_api.phone_numbers import usecases as phone_numbers
from voisnap_api.phone_numbers.records import PhoneLine
from voisnap_api.session_plans.usecases import plan_session

from . import clients, usecases
from .records import CarrierCall
from .refusals import Refusal, Refused, refusal_of, spoken
from .seals import TokenSeal

ANSWER_SECONDS = 6.0
"""For all that it takes to answer a call: carriers wait for five to fifteen."""

RESUME_SECONDS = {"twilio": 10.0, "vonage": 4.0, "telnyx": 1.0}
"""How long a call whose media are lost waits for a process to go on with it: the only one may be on its way back. Twilio waits fifteen seconds
for an answer, Vonage five and asks twice; Telnyx does not wait, and posts again."""

COMMAND_SECONDS = 4.0
"""For one command to a carrier that is told over REST what to do."""

_LOOK_SECONDS = 0.1
_LOOKS = 25
"""How often a request that repeats another one looks whether that has been answered."""

_SETTLE_SECONDS = 0.5
"""How long a stream that we may have stopped ourselves is left alone: until its session has ended, where its caller was handed over."""

_EXPECT_SECONDS = 0.25
_EXPECTED_LOOKS = 4
"""How often an event of a session is looked for whose call nobody has named yet."""

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)
_EMPTY = AnswerDocument(body=b"", content_type="text/plain")

_log = log.get(__name__)

_EVENTS = Counter("voisnap_carrier_webhooks_total", "What carriers posted about calls", ["provider", "outcome"])
_REFUSED = Counter("voisnap_calls_refused_total", "Calls to our numbers that were not taken", ["provider", "reason"])


class Address(StrEnum):
    """The last part of a webhook's address: asked when a number of ours is rung, told what becomes of a call, asked what comes next, told of
    recordings."""

    VOICE = "voice"
    EVENTS = "events"
    RESUME = "resume"
    RECORDING = "recording"


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a carrier, and what its address says of whose it is."""

    provider: str
    account: str
    address: Address
    request: WebhookRequest
    session_id: str | None = None
    attempt_id: str | None = None


class _At(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was posted, after it was found to be the carrier's."""

    posted: Posted
    carrier: Carrier
    owner: AccountOwner

    @property
    def provider(self) -> str:
        return self.posted.provider

    @property
    def account(self) -> str:
        return self.posted.account

    @property
    def is_told_over_rest(self) -> bool:
        """Whether answers to webhooks tell this carrier nothing."""
        return not self.carrier.webhooks.refuse("", "en-US").body


class WebhookDesk:
    """Answers carriers' webhooks about calls. `secret` seals what opens a call's media socket while the carrier may ask again."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        accounts: CarrierAccounts,
        *,
        public_url: str,
        secret: bytes,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._bus = bus
        self._accounts = accounts
        self._urls = CarrierUrls(public_url)
        self._seal = TokenSeal(secret)
        self._clock = clock
        self._sleep = sleep

    async def answer(self, posted: Posted) -> AnswerDocument:
        """What the carrier is answered.

        Raises Forbidden `bad-signature` for everything that is not the carrier's, DomainError `temporarily-unavailable` where it is to ask
        again, DomainError `not-understood` for signed nonsense.
        """
        request = posted.request
        if may_be_the_carriers(posted.provider, request):
            _EVENTS.labels(posted.provider, "unsigned").inc()
            raise _ask_again("The request is not signed.")
        at = await self._verified(posted)
        try:
            events = at.carrier.webhooks.read(request)
        except BadWebhook as error:
            _EVENTS.labels(posted.provider, "not_understood").inc()
            _log.warning("carrier.not_understood", provider=at.provider, account=at.account, reason=str(error))
            raise DomainError("The carrier's documentation knows no such request.", code="not-understood") from None
        _EVENTS.labels(posted.provider, "taken").inc()
        document: AnswerDocument | None = None
        for event in events:
            document = await self._taken(at, event) or document
        return document or _EMPTY

    async def _verified(self, posted: Posted) -> _At:
        """Whose the request is. Nobody learns which accounts there are: a wrong one is answered as a wrong signature."""
        try:
            if not is_signed(posted.provider, posted.request):
                raise BadSignature("not signed")
            at = await self._found(posted)
            at.carrier.webhooks.verify(posted.request, now=self._clock().timestamp())
        except (BadSignature, DomainError) as error:
            _EVENTS.labels(_known(posted.provider), "bad_signature").inc()
            _log.warning(
                "carrier.bad_signature",
                provider=posted.provider[:20],
                account=posted.account[:60],
                address=posted.address.value,
                reason=str(error) if isinstance(error, BadSignature) else "no such account",
            )
            raise Forbidden(
                "The request is not signed by this carrier for this account.", code="bad-signature"
            ) from None
        return at

    async def _found(self, posted: Posted) -> _At:
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            owner = await self._accounts.owner(work, posted.account)
            if owner is None:
                raise Conflict("There is no such account.")
            carrier = await self._accounts.carrier(_of(work, owner), posted.provider, posted.account, owner.environment)
        return _At(posted=posted, carrier=carrier, owner=owner)

    async def _taken(self, at: _At, event: CarrierEvent) -> AnswerDocument | None:
        match event:
            case InboundCall():
                return await self._inbound(at, event)
            case CallProgress():
                return await self._progress(at, event)
            case MachineDetected():
                await self._machine(at, event)
            case MediaLost():
                return await self._media_lost(at, event)
            case HandOverEnded():
                return await self._hand_over_ended(at, event)
            case RecordingSaved() | RecordingFailed():
                await self._recorded(at, event)
        return None

    # Calls that come in ---------------------------------------------------------------------------------------------

    async def _inbound(self, at: _At, event: InboundCall) -> AnswerDocument:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answered(at, event)
        except Refused as refused:
            refusal = refused
        except (Unavailable, TimeoutError) as error:
            _log.error("carrier.call_not_answered", provider=at.provider, account=at.account, error=repr(error))
            refusal = Refused(Refusal.UNAVAILABLE)
        return await self._refused(at, event, refusal)

    async def _answered(self, at: _At, event: InboundCall) -> AnswerDocument:
        """Connects the call to a session of the number's agent. Raises Refused."""
        for _ in range(_LOOKS):
            line, known = await self._looked_up(at, event)
            if known is not None and known.ended_at is not None:
                return at.carrier.webhooks.over()
            if known is not None and known.answer is not None:
                token = self._seal.opened(known.answer, call=(at.provider, at.account, event.call_id))
                if token is None:
                    return at.carrier.webhooks.over()
                return await self._connected(at, event, line, known.session_id, token, is_repeated=True)
            if known is None or usecases.is_abandoned(known, now=self._clock()):
                plan = await self._claimed(at, event, line, known)
                if plan is not None:
                    token = await self._opened(at, plan, line)
                    return await self._connected(at, event, line, plan.session_id, token)
            await self._sleep(_LOOK_SECONDS)
        raise Refused(Refusal.NO_ROOM, detail="another request for this call was not answered in time")

    async def _looked_up(self, at: _At, event: InboundCall) -> tuple[PhoneLine, CarrierCall | None]:
        """The number's line, and the call if it is known. An account that belongs to a tenant has that tenant's numbers alone."""
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            line = await phone_numbers.line_of(work, at.provider, at.account, event.callee)
            known = await usecases.call_of(
                work,
                provider=at.provider,
                account=at.account,
                call_id=event.call_id,
                session_id=None,
                attempt_id=None,
            )
        if line is None or not phone_numbers.answers(line) or not _is_owners(line, at.owner):
            raise Refused(Refusal.UNKNOWN_NUMBER)
        return line, known

    async def _claimed(
        self, at: _At, event: InboundCall, line: PhoneLine, abandoned: CarrierCall | None
    ) -> SessionPlan | None:
        """The session that is to answer the call; None when another request is about to. Raises Refused."""
        if line.agent_id is None:
            raise Refused(Refusal.NO_AGENT)
        country = event.country or (country_of(event.caller) if event.caller else None)
        leg = CarrierLeg(provider=at.provider, account=at.account, number=line.phone_number, call_id=event.call_id)
        metadata = {"from": event.caller, "to": line.phone_number} if event.caller else {"to": line.phone_number}
        try:
            async with self._tenants(line) as work:
                plan = await plan_session(
                    work,
                    line.agent_id,
                    Channel.PHONE,
                    metadata,
                    caller=SessionCaller(phone_number=event.caller, country=country),
                    direction=Direction.INBOUND,
                    leg=leg,
                )
                return plan if await usecases.claim_call(work, plan, abandoned=abandoned) else None
        except DomainError as error:
            raise Refused(refusal_of(error), language=await self._language(line), detail=error.code) from error

    async def _opened(self, at: _At, plan: SessionPlan, line: PhoneLine) -> str:
        """The token of the session's media socket. Raises Refused."""
        language = plan.agent.config.transcription.language
        try:
            opened = await clients.open_call(self._bus, plan, sleep=self._sleep)
        except (DomainError, Unavailable) as error:
            await self._forget(plan, line)
            reason = refusal_of(error) if isinstance(error, DomainError) else Refusal.UNAVAILABLE
            raise Refused(reason, language=language, detail=getattr(error, "code", repr(error))) from error
        except BaseException:
            await asyncio.shield(self._forget(plan, line))
            raise
        sealed = self._seal.sealed(
            opened.session_token, call=(at.provider, at.account, plan.leg.call_id if plan.leg else "")
        )
        async with self._tenants(line) as work:
            await usecases.keep_answer(work, plan, sealed)
        return opened.session_token

    async def _connected(
        self,
        at: _At,
        event: InboundCall,
        line: PhoneLine,
        session_id: SessionId,
        token: str,
        *,
        is_repeated: bool = False,
    ) -> AnswerDocument:
        """The answer that connects the call. Where the carrier is told over REST, it has been told when this returns; what it repeats then
        was told before."""
        target = self._target(at, session_id=session_id, token=token, call_id=event.call_id)
        document = at.carrier.webhooks.connect(target)
        if document.body:
            return document
        if is_repeated and await self._is_seen(at, line, event.event_id):
            return document
        if await self._command(at, lambda: at.carrier.control.connect(event.call_id, target), event.call_id):
            await self._see(at, line, event.event_id)
        else:
            await clients.end(self._bus, session_id, EndReason.DISCONNECTED, sleep=self._sleep)
        return document

    async def _refused(self, at: _At, event: InboundCall, refusal: Refused) -> AnswerDocument:
        """Tells the caller why not."""
        _REFUSED.labels(at.provider, refusal.reason.value).inc()
        _log.warning(
            "carrier.call_refused",
            provider=at.provider,
            account=at.account,
            call_id=event.call_id,
            reason=refusal.reason.value,
            detail=refusal.detail,
            **{"pii.callee": event.callee, "pii.caller": event.caller},
        )
        text, language = spoken(refusal.reason, refusal.language)
        if at.is_told_over_rest:
            control = at.carrier.control
            await self._command(at, lambda: control.refuse(event.call_id, text, language), event.call_id)
        return at.carrier.webhooks.refuse(text, language)

    async def _forget(self, plan: SessionPlan, line: PhoneLine) -> None:
        try:
            async with self._tenants(line) as work:
                await usecases.forget_call(work, plan)
        except Unavailable as error:
            _log.warning("carrier.claim_left", session_id=plan.session_id, error=repr(error))

    async def _language(self, line: PhoneLine) -> str:
        """The language of the agent that would have answered."""
        try:
            async with self._tenants(line) as work:
                agent = await agents.get_agent(work, line.agent_id) if line.agent_id else None
        except (DomainError, Unavailable):
            return "en-US"
        return agent.config.transcription.language if agent else "en-US"

    # What becomes of calls ------------------------------------------------------------------------------------------

    async def _progress(self, at: _At, event: CallProgress) -> AnswerDocument | None:
        call = await self._call(at, event.call_id, event.hand_over)
        is_asked = at.posted.address is Address.RESUME
        asks = is_asked and event.phase is CallPhase.ANSWERED and (call is None or call.is_main)
        if call is None:
            return at.carrier.webhooks.over() if asks else None
        if asks:
            return await self._resumed(at, call)
        async with self._tenants(call) as work:
            progressed = await usecases.note_progress(work, call, event)
            if progressed.seconds is not None and progressed.conversation_id is not None:
                await conversations.charge_line(
                    work,
                    progressed.conversation_id,
                    call,
                    progressed.seconds,
                    is_measured=progressed.is_measured,
                )
            if progressed.is_news and not call.is_main:
                await call_transfers.note_leg(work, call)
        if progressed.is_news and not call.is_main:
            await clients.note_transfer_call(
                self._bus, call, call_id=event.call_id, phase=event.phase, sleep=self._sleep
            )
        elif progressed.is_news and event.phase in usecases.ENDS:
            reason = _end_reason(event.phase, was_answered=progressed.was_answered)
            await clients.end(self._bus, call.session_id, reason, sleep=self._sleep)
        if is_asked and not call.is_main and event.phase in usecases.UNREACHED:
            return at.carrier.webhooks.refuse(*spoken(Refusal.NOT_REACHED, call.language))
        return at.carrier.webhooks.over() if is_asked else None

    async def _hand_over_ended(self, at: _At, event: HandOverEnded) -> AnswerDocument:
        """What comes next of a call that was handed over: nothing, unless there is a caller whom nobody took over."""
        if event.phase not in usecases.UNREACHED:
            return at.carrier.webhooks.over()
        call = await self._call(at, event.call_id)
        language = "en-US" if call is None else call.language
        return at.carrier.webhooks.refuse(*spoken(Refusal.NOT_REACHED, language))

    async def _recorded(self, at: _At, event: RecordingSaved | RecordingFailed) -> None:
        """Note what there is to fetch. Of a call that nobody knows nothing is fetched."""
        call = None
        if event.call_id:
            hand_over = event.hand_over if isinstance(event, RecordingSaved) else None
            call = await self._call(at, event.call_id, hand_over)
        if call is None and at.posted.session_id is not None:
            async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
                call = await usecases.main_call_of(
                    work, provider=at.provider, account=at.account, session_id=at.posted.session_id
                )
            call = call if call is not None and _is_owners(call, at.owner) else None
        if call is None:
            return
        if isinstance(event, RecordingFailed):
            _log.warning("carrier.not_recorded", session_id=call.session_id, provider=at.provider, cause=event.cause)
            return
        async with self._tenants(call) as work:
            await call_recordings.note_saved(work, call, recording_id=event.recording_id, seconds=event.seconds)

    async def _machine(self, at: _At, event: MachineDetected) -> None:
        call = await self._call(at, event.call_id)
        if call is None:
            return
        async with self._tenants(call) as work:
            is_news = await usecases.note_answerer(work, call, event)
        if is_news and call.is_main:
            await clients.note_answerer(self._bus, call.session_id, event.answered_by, sleep=self._sleep)
        elif is_news:
            await clients.note_transfer_call(
                self._bus, call, call_id=event.call_id, answered_by=event.answered_by, sleep=self._sleep
            )

    async def _media_lost(self, at: _At, event: MediaLost) -> AnswerDocument | None:
        call = await self._call(at, event.call_id)
        if call is None or call.ended_at is not None or not call.is_main:
            if event.stranded:
                await self._hang_up(at, event.call_id)
            return None
        if event.may_be_wanted:
            await self._sleep(_SETTLE_SECONDS)
        if not at.is_told_over_rest:  # a carrier that asks again has not read our first answer
            return await self._resumed(at, call, is_stranded=event.stranded)
        if await self._is_seen(at, call, event.event_id):
            return None
        document = await self._resumed(at, call, is_stranded=event.stranded, not_reached=event.not_reached)
        await self._see(at, call, event.event_id)
        return document

    async def _resumed(
        self, at: _At, call: CarrierCall, *, is_stranded: bool = False, not_reached: bool = False
    ) -> AnswerDocument:
        """Connects a call whose media are lost anew, if its session lives."""
        webhooks = at.carrier.webhooks
        try:
            patience = RESUME_SECONDS[at.provider]
            token = await clients.readmit(self._bus, call.session_id, patience=patience, sleep=self._sleep)
        except Unavailable as error:
            _log.error("carrier.call_not_resumed", session_id=call.session_id, error=repr(error))
            if at.is_told_over_rest:
                raise _ask_again("Nobody can go on with this call at the moment.") from None
            return webhooks.refuse(*spoken(Refusal.UNAVAILABLE, call.language))
        if token is None:
            if not_reached:  # it is hung up on when it has been said
                text, language = spoken(Refusal.NOT_REACHED, call.language)
                control = at.carrier.control
                await self._command(at, lambda: control.refuse(call.call_id, text, language), call.call_id)
            elif is_stranded:
                await self._hang_up(at, call.call_id)
            return webhooks.over()
        _log.info("carrier.call_resumed", session_id=call.session_id, provider=at.provider)
        target = self._target(at, session_id=call.session_id, token=token, call_id=call.call_id)
        document = webhooks.connect(target)
        if not document.body:
            await self._command(at, lambda: at.carrier.control.connect(call.call_id, target), call.call_id)
        return document

    async def _call(self, at: _At, call_id: str, hand_over: HandOverRef | None = None) -> CarrierCall | None:
        """The call that an event is about. One that its address announces and nobody has named yet is waited for a moment."""
        session_id, call = at.posted.session_id, None
        for looks in range(_EXPECTED_LOOKS + 1):
            async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
                call = await usecases.call_of(
                    work,
                    provider=at.provider,
                    account=at.account,
                    call_id=call_id,
                    session_id=session_id,
                    attempt_id=at.posted.attempt_id,
                    hand_over=hand_over,
                )
            if call is not None and not _is_owners(call, at.owner):
                call = None
            if call is not None or session_id is None or looks == _EXPECTED_LOOKS:
                break
            await self._sleep(_EXPECT_SECONDS)
        if call is None:
            _log.info("carrier.call_unknown", provider=at.provider, account=at.account, call_id=call_id)
        return call

    # ----------------------------------------------------------------------------------------------------------------

    def _target(self, at: _At, *, session_id: str, token: str, call_id: str) -> StreamTarget:
        return StreamTarget(
            url=self._urls.media(at.provider),
            token=token,
            resume_url=self._urls.resume(at.provider, at.account, session_id=session_id),
            call_id=call_id,
        )

    async def _command(self, at: _At, command: Callable[[], Awaitable[None]], call_id: str) -> bool:
        """Tells a carrier over REST what to do; False when it never will, for the call is over. Raises DomainError
        `temporarily-unavailable` where trying again may help: then the carrier posts once more."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await command()
        except TimeoutError:
            raise _ask_again("The carrier does not take our orders in time.") from None
        except ProviderError as error:
            _log.warning("carrier.not_told", provider=at.provider, call_id=call_id, error=repr(error))
            if error.retryable:
                raise _ask_again("The carrier does not take our orders at the moment.") from None
            return False
        return True

    async def _hang_up(self, at: _At, call_id: str) -> None:
        await self._command(at, lambda: at.carrier.control.hang_up(call_id), call_id)

    async def _is_seen(self, at: _At, whose: PhoneLine | CarrierCall, event_id: str | None) -> bool:
        async with self._tenants(whose) as work:
            return await usecases.is_seen(work, at.provider, at.account, event_id)

    async def _see(self, at: _At, whose: PhoneLine | CarrierCall, event_id: str | None) -> None:
        async with self._tenants(whose) as work:
            await usecases.see(work, at.provider, at.account, event_id)

    def _tenants(self, whose: PhoneLine | CarrierCall) -> AbstractAsyncContextManager[Work]:
        return begin(self._database, Caller.system(whose.tenant_id, whose.environment), clock=self._clock)


def _of(work: Work, owner: AccountOwner) -> Work:
    """The same transaction, for the tenant whose account it is."""
    if owner.tenant_id is None:
        return work
    return Work(tx=work.tx, caller=Caller.system(owner.tenant_id, owner.environment), now=work.now)


def _is_owners(thing: PhoneLine | CarrierCall, owner: AccountOwner) -> bool:
    """Whether whoever uses the account may have it: a tenant's account has his things alone, and each environment its own."""
    return thing.environment is owner.environment and owner.tenant_id in (None, thing.tenant_id)


def _end_reason(phase: CallPhase, *, was_answered: bool) -> EndReason:
    """Why a session ends whose call is over at the carrier."""
    if phase is CallPhase.COMPLETED or was_answered:
        return EndReason.USER_ENDED
    return EndReason.ERROR if phase is CallPhase.FAILED else EndReason.DISCONNECTED


def _ask_again(detail: str) -> DomainError:
    return DomainError(detail, code="temporarily-unavailable")


def _known(provider: str) -> str:
    """A label that nobody can make up."""
    return provider if provider in CARRIERS else "other"
