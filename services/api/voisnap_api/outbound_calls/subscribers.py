"""Follows what carriers and the runtime tell of calls that we placed, and who wants none. Events may come twice and out of order."""

from typing import assert_never

import msgspec
from voisnap_domain.agents import VoicemailAction
from voisnap_domain.calls import CallPhase
from voisnap_domain.outbound import with_phase, with_session_end, with_session_start
from voisnap_kit.bus import EventBus, Meta, Subscription
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, begin, utc_now
from voisnap_proto.events import AnswererDetected, CallProgressed, CallsDeclined, SessionEnded, SessionStarted
from voisnap_providers.carriers import TELL_NO_RINGING

from voisnap_api.do_not_call import usecases as do_not_call

from .records import DialAttempt
from .settling import Held, conclude, hold, note_answerer

CONSUMER = "api-outbound-calls"

CallEvent = CallProgressed | AnswererDetected | SessionStarted | SessionEnded


async def subscribe(bus: EventBus, database: Database, *, clock: Clock = utc_now) -> Subscription:
    """Follow calls until closed. No event is given up while the database is away: a day's worth of attempts."""

    async def handle(event: CallEvent | CallsDeclined, _meta: Meta) -> None:
        if isinstance(event, CallsDeclined):
            await on_calls_declined(database, event, clock=clock)
        else:
            await on_call_event(database, event, clock=clock)

    return await bus.subscribe(
        CONSUMER,
        (CallProgressed, AnswererDetected, SessionStarted, SessionEnded, CallsDeclined),
        handle,
        max_in_flight=16,
        max_deliver=3000,
        backoff=(0.1, 0.5, 2.0, 5.0, 10.0, 30.0),
    )


async def on_calls_declined(database: Database, event: CallsDeclined, *, clock: Clock = utc_now) -> None:
    """Call nobody any more who has said so in a call."""
    async with begin(database, Caller.system(event.tenant_id, event.environment), clock=clock) as work:
        await do_not_call.heed_spoken(work, event.phone_number)


async def on_call_event(database: Database, event: CallEvent, *, clock: Clock = utc_now) -> None:
    """Add what one event tells to what is known of its attempt; nothing for calls that we did not place."""
    attempt_id = _attempt_of(event)
    if attempt_id is None:
        return
    environment = event.plan.environment if isinstance(event, SessionStarted) else event.environment
    async with begin(database, Caller.system(event.tenant_id, environment), clock=clock) as work:
        held = await hold(work, attempt_id)
        if held is None:
            return
        if isinstance(event, AnswererDetected):
            await note_answerer(work, held, event.answered_by)
            return
        attempt = _with(held.attempt, event)
        if attempt != held.attempt:
            await conclude(work, Held(call=held.call, attempt=attempt))


def _attempt_of(event: CallEvent) -> str | None:
    if isinstance(event, SessionStarted | SessionEnded):
        return event.plan.leg.attempt_id if event.plan.leg else None
    return event.attempt_id


def _with(attempt: DialAttempt, event: CallProgressed | SessionStarted | SessionEnded) -> DialAttempt:
    match event:
        case CallProgressed():
            is_ringing = event.phase is CallPhase.INITIATED and event.provider in TELL_NO_RINGING
            known = with_phase(attempt, CallPhase.RINGING if is_ringing else event.phase, event.at)
            if event.call_id and not attempt.carrier_call_id:
                # The carrier has dialled, whatever its answer to us has come to.
                return msgspec.structs.replace(
                    known, carrier_call_id=event.call_id, dialled_at=attempt.dialled_at or event.at
                )
            return known
        case SessionStarted():
            return with_session_start(attempt, event.started_at)
        case SessionEnded():
            action = event.plan.agent.config.voicemail_detection.action
            return with_session_end(
                attempt,
                event.reason,
                started_at=event.started_at,
                ended_at=event.ended_at,
                leaves_messages=action is VoicemailAction.LEAVE_MESSAGE,
            )
        case _:
            assert_never(event)
