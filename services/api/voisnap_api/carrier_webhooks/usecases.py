"""What is kept of calls at carriers: whose they are, how far they have come, and what their lines cost."""

from datetime import datetime, timedelta

from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.costs import PLATFORM_ACCOUNT, LegKind, UsageLeg
from voisnap_domain.ids import ConversationId, SessionId
from voisnap_domain.sessions import Direction, SessionPlan
from voisnap_kit.work import Caller, Work
from voisnap_proto.events import AnswererDetected, CallProgressed
from voisnap_providers.carriers import SIMULATOR
from voisnap_providers.ports.carrier import CallProgress, HandOverRef, MachineDetected

from . import store
from .records import CarrierCall, Line, Progressed

CLAIM = timedelta(seconds=6)
"""How long a call belongs to the request that came first, before another one may think that it died."""

EVENTS_KEPT = timedelta(days=3)
"""Longer than any carrier repeats an event."""

CALLS_KEPT = timedelta(days=400)
"""Longer than any call and whatever a carrier says of it afterwards, and long enough that nobody answers a request that is replayed: Twilio's
have no time in them."""

UNREACHED = frozenset({CallPhase.BUSY, CallPhase.NO_ANSWER, CallPhase.FAILED, CallPhase.CANCELED})
ENDS = UNREACHED | {CallPhase.COMPLETED}
_ORDER = {CallPhase.INITIATED: 0, CallPhase.RINGING: 1, CallPhase.ANSWERED: 2}
_AFTER_ALL = 3
_SURER = {
    AnsweredBy.UNKNOWN: 0,
    AnsweredBy.HUMAN: 1,
    AnsweredBy.FAX: 1,
    AnsweredBy.MACHINE: 1,
    AnsweredBy.MACHINE_BEEP: 2,
}
"""Later words of carriers say more; an earlier one that comes late says nothing."""


async def remember_call(
    work: Work,
    *,
    provider: str,
    account: str,
    call_id: str = "",
    session_id: SessionId,
    attempt_id: str | None = None,
    language: str = "en-US",
) -> None:
    """Whose call it is, so that the carrier's webhooks find their session; `work` is in the tenant's environment.

    Whoever dials says it before the dial without the call's id, which nobody knows then, and once more with it: the carrier's first events
    may come before the dial has returned. Asking again changes nothing.
    """
    caller = work.caller
    named = call_id and await store.name_call(
        work.tx,
        caller.tenant_id,
        caller.environment,
        provider=provider,
        account=account,
        session_id=session_id,
        attempt_id=attempt_id,
        call_id=call_id,
    )
    if not named:
        await _insert(work, provider, account, call_id, session_id, attempt_id, is_main=True, language=language)


async def claim_call(work: Work, plan: SessionPlan, *, abandoned: CarrierCall | None) -> bool:
    """Let a call that has come in be answered by the session planned; False when another request is about to. `abandoned` is what one has
    left that died."""
    leg = plan.leg
    assert leg is not None  # noqa: S101 - it was planned for a call
    language = plan.agent.config.transcription.language
    if abandoned is not None:
        taken = await store.claim_again(
            work.tx,
            plan.tenant_id,
            abandoned.id,
            session_id=plan.session_id,
            language=language,
            claimed_at=abandoned.claimed_at,
            at=work.now,
        )
        return taken == 1
    return await _insert(
        work, leg.provider, leg.account, leg.call_id, plan.session_id, None, is_main=True, language=language
    )


async def keep_answer(work: Work, plan: SessionPlan, answer: bytes) -> None:
    """Keep what a call was answered with, for requests that repeat it."""
    leg = plan.leg
    assert leg is not None  # noqa: S101 - it was planned for a call
    await store.keep_answer(
        work.tx,
        plan.tenant_id,
        provider=leg.provider,
        account=leg.account,
        call_id=leg.call_id,
        session_id=plan.session_id,
        answer=answer,
    )


async def forget_call(work: Work, plan: SessionPlan) -> None:
    """Forget a call that was not taken after all: it may be asked for again."""
    leg = plan.leg
    assert leg is not None  # noqa: S101 - it was planned for a call
    await store.forget(
        work.tx,
        plan.tenant_id,
        provider=leg.provider,
        account=leg.account,
        call_id=leg.call_id,
        session_id=plan.session_id,
    )


async def call_of(
    work: Work,
    *,
    provider: str,
    account: str,
    call_id: str,
    session_id: str | None,
    attempt_id: str | None,
    hand_over: HandOverRef | None = None,
) -> CarrierCall | None:
    """The call that an event is about: the one of that name, else the one that the session's attempt expects. Runs as the system.

    An attempt of a session that nobody announced is a further call of it; so is one that a call of ours was handed over to. None for a call
    that is none of ours.
    """
    found = await store.by_call(work.tx, provider=provider, account=account, call_id=call_id)
    if found is None and hand_over is not None and hand_over.attempt_id:
        whose = await store.by_call(work.tx, provider=provider, account=account, call_id=hand_over.call_id)
        session_id, attempt_id = None if whose is None else whose.session_id, hand_over.attempt_id
    if found is not None or session_id is None:
        return found
    calls = await store.by_session(work.tx, provider=provider, account=account, session_id=SessionId(session_id))
    for call in calls:
        if call.call_id == "" and attempt_id in (None, call.attempt_id):
            return await _named(work, call, call_id)
    if not calls or attempt_id is None or any(call.attempt_id == attempt_id for call in calls):
        return None
    main = calls[0]
    of_tenant = Work(
        tx=work.tx,
        caller=Caller.system(main.tenant_id, main.environment),
        now=work.now,
    )
    await _insert(
        of_tenant,
        provider,
        account,
        call_id,
        main.session_id,
        attempt_id,
        is_main=False,
        language=main.language,
        conversation_id=main.conversation_id,
    )
    return await store.by_call(work.tx, provider=provider, account=account, call_id=call_id)


async def main_call_of(work: Work, *, provider: str, account: str, session_id: str) -> CarrierCall | None:
    """The call that a session is of. Runs as the system."""
    calls = await store.by_session(work.tx, provider=provider, account=account, session_id=SessionId(session_id))
    return calls[0] if calls else None


async def leg_of(work: Work, session_id: SessionId, attempt_id: str) -> CarrierCall | None:
    """The call to whoever shall take a session's caller over, held until the end of the transaction."""
    caller = work.caller
    return await store.lock_attempt(
        work.tx, caller.tenant_id, caller.environment, session_id=session_id, attempt_id=attempt_id
    )


async def _named(work: Work, call: CarrierCall, call_id: str) -> CarrierCall | None:
    """An expected call by the name that the carrier gives it."""
    await store.name_call(
        work.tx,
        call.tenant_id,
        call.environment,
        provider=call.provider,
        account=call.account,
        session_id=call.session_id,
        attempt_id=call.attempt_id,
        call_id=call_id,
    )
    return await store.by_call(work.tx, provider=call.provider, account=call.account, call_id=call_id)


async def note_progress(work: Work, call: CarrierCall, event: CallProgress) -> Progressed:
    """Keep how far a call has come and tell it, once each: what comes twice or too late changes nothing but the time that a carrier says only
    afterwards."""
    known = await store.lock(work.tx, call.tenant_id, call.id)
    if known is None:
        return Progressed()
    is_news = _place(event.phase) > _place(known.phase)
    has_time = event.seconds is not None and known.seconds is None and event.phase in ENDS
    if not is_news and not has_time:
        return Progressed()
    ends = is_news and event.phase in ENDS
    answered_at = known.answered_at
    if is_news and event.phase is CallPhase.ANSWERED:
        answered_at = work.now
    await store.advance(
        work.tx,
        known.tenant_id,
        known.id,
        phase=event.phase if is_news or known.phase is None else known.phase,
        seconds=event.seconds if has_time else known.seconds,
        answered_at=answered_at,
        ended_at=work.now if ends else known.ended_at,
    )
    if is_news:
        work.emit(
            CallProgressed(
                tenant_id=known.tenant_id,
                environment=known.environment,
                session_id=known.session_id,
                provider=known.provider,
                account=known.account,
                call_id=event.call_id,
                phase=event.phase,
                at=work.now,
                attempt_id=known.attempt_id,
                seconds=event.seconds,
                cause=event.cause,
            )
        )
    measured = (work.now - answered_at).total_seconds() if ends and answered_at is not None else None
    return Progressed(
        is_news=is_news,
        was_answered=known.phase is CallPhase.ANSWERED,
        seconds=event.seconds if has_time else measured if known.seconds is None else None,
        is_measured=not has_time,
        conversation_id=known.conversation_id,
    )


async def note_answerer(work: Work, call: CarrierCall, event: MachineDetected) -> bool:
    """Keep who answered and tell it; False when nothing new was said."""
    known = await store.lock(work.tx, call.tenant_id, call.id)
    if known is None or known.ended_at is not None:
        return False
    before = known.answered_by
    if before is not None and _SURER[event.answered_by] <= _SURER[before]:
        return False
    await store.set_answerer(work.tx, known.tenant_id, known.id, event.answered_by)
    work.emit(
        AnswererDetected(
            tenant_id=known.tenant_id,
            environment=known.environment,
            session_id=known.session_id,
            attempt_id=known.attempt_id,
            answered_by=event.answered_by,
            at=work.now,
        )
    )
    return True


async def is_seen(work: Work, provider: str, account: str, event_id: str | None) -> bool:
    """Whether an event has been acted upon; never of one without an id."""
    caller = work.caller
    return event_id is not None and await store.is_seen(
        work.tx, caller.tenant_id, caller.environment, provider=provider, account=account, event_id=event_id
    )


async def see(work: Work, provider: str, account: str, event_id: str | None) -> None:
    """Note that an event has been acted upon."""
    if event_id is not None:
        caller = work.caller
        await store.see(
            work.tx,
            caller.tenant_id,
            caller.environment,
            provider=provider,
            account=account,
            event_id=event_id,
            at=work.now,
        )


async def lines_of(
    work: Work, plan: SessionPlan, conversation_id: ConversationId, *, seconds: float
) -> tuple[UsageLeg, ...]:
    """What the calls of a session used of their lines, for the conversation that is charged: by the carrier's time where it has said it, else
    from the answer to the end by our clock, of the main call while it goes on by the session's `seconds`, and then as estimated. Whoever asks
    holds these calls until the end of the transaction."""
    caller = work.caller
    lines = await store.charge(work.tx, caller.tenant_id, caller.environment, plan.session_id, conversation_id)
    if plan.leg is not None and not any(line.is_main for line in lines):
        leg = plan.leg
        lines.insert(
            0, Line(call_id=leg.call_id, provider=leg.provider, account=leg.account, is_main=True, seconds=None)
        )
    return tuple(
        leg for line in lines if (leg := _usage(line, plan.direction, seconds if line.is_main else None)) is not None
    )


def line_usage(call: CarrierCall, direction: Direction, seconds: float, *, is_measured: bool) -> UsageLeg:
    """What a call used of its line, by the carrier's time or by ours."""
    line = Line(
        call_id=call.call_id,
        provider=call.provider,
        account=call.account,
        is_main=call.is_main,
        seconds=None if is_measured else seconds,
        measured=seconds,
    )
    found = _usage(line, direction, None)
    assert found is not None  # noqa: S101 - its time is known
    return found


async def forget_old(work: Work, *, limit: int) -> tuple[int, int]:
    """Delete notes of events and calls of which nobody will say more, of all tenants; how many of each."""
    events = await store.delete_events(work.tx, before=work.now - EVENTS_KEPT, limit=limit)
    return events, await store.delete_calls(work.tx, before=work.now - CALLS_KEPT, limit=limit)


def is_abandoned(call: CarrierCall, *, now: datetime) -> bool:
    """Whether whoever was about to answer a call has died over it."""
    return call.answer is None and call.ended_at is None and now - call.claimed_at > CLAIM


async def _insert(
    work: Work,
    provider: str,
    account: str,
    call_id: str,
    session_id: SessionId,
    attempt_id: str | None,
    *,
    is_main: bool,
    language: str,
    conversation_id: ConversationId | None = None,
) -> bool:
    inserted = await store.insert(
        work.tx,
        work.caller.tenant_id,
        work.caller.environment,
        provider=provider,
        account=account,
        call_id=call_id,
        session_id=session_id,
        attempt_id=attempt_id,
        is_main=is_main,
        language=language,
        conversation_id=conversation_id,
        at=work.now,
    )
    return inserted == 1


def _place(phase: CallPhase | None) -> int:
    return -1 if phase is None else _ORDER.get(phase, _AFTER_ALL)


def _usage(line: Line, direction: Direction, seconds: float | None) -> UsageLeg | None:
    """A line that is not the main one was dialled by us; it is charged when its time is known."""
    known = next((one for one in (line.seconds, line.measured, seconds) if one is not None), None)
    if known is None:
        return None
    return UsageLeg(
        kind=LegKind.TELEPHONY,
        provider=line.provider,
        model=(direction if line.is_main else Direction.OUTBOUND).value,
        account=PLATFORM_ACCOUNT if line.account == SIMULATOR else line.account,
        line=line.call_id or None,
        session_seconds=round(known, 3),
        estimated=line.seconds is None,
    )
