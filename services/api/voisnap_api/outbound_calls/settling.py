"""Brings a call to where its attempt stands, and says what is left to do behind an attempt.

Every change of an attempt goes through `conclude`, with the call's row held.
"""

from datetime import datetime, timedelta

import msgspec
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.ids import OutboundCallId
from voisnap_domain.outbound import (
    ANSWER_PATIENCE,
    HANG_UP_PATIENCE,
    PLACED,
    OutboundStatus,
    Verdict,
    has_retry,
    may_move,
    next_look,
    verdict,
)
from voisnap_domain.sessions import EndReason
from voisnap_kit import log
from voisnap_kit.work import Work

from . import store
from .hours import held_up, when_allowed
from .records import CallSettings, DialAttempt, OutboundCall

ASKED_AGAIN = {"telnyx": timedelta(seconds=45)}
"""Carriers that do a command once however often it is given, and for how long after the first time we count on it (Telnyx: a minute)."""

OVERDUE_PATIENCE = timedelta(seconds=5)
"""How long what is late is waited for once more: after an outage, events come late and all at once."""

_log = log.get(__name__)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt and its call, whose row is held until the end of the transaction."""

    call: OutboundCall
    attempt: DialAttempt

    @property
    def is_current(self) -> bool:
        """Whether the call still stands and falls with this attempt."""
        return (
            self.attempt.settled_at is None and self.call.attempt_id == self.attempt.id and self.call.status in PLACED
        )


async def hold(work: Work, attempt_id: str) -> Held | None:
    """An attempt to be changed; None for one that is not of this slice."""
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    seen = await store.get_attempt(work.tx, tenant_id, environment, attempt_id)
    if seen is None:
        return None
    call = await store.get_for_change(work.tx, tenant_id, environment, OutboundCallId(seen.call_id))
    attempt = await store.get_attempt(
        work.tx, tenant_id, environment, attempt_id
    )  # as it is now that nobody changes it
    return None if call is None or attempt is None else Held(call=call, attempt=attempt)


async def conclude(work: Work, held: Held, *, late: bool = False) -> OutboundCall:
    """Store the attempt, and the call as it stands with it. `late`: what is missing is not waited for any more."""
    call, attempt = held.call, held.attempt
    if held.is_current:
        found = verdict(attempt, now=work.now, late=late)
        call = _moved(call, attempt, found, work.now)
        if found.is_end:
            attempt = msgspec.structs.replace(attempt, settled_at=work.now, stream_token=None)
            _log.info(
                "outbound_call.attempt_ended",
                call_id=call.id,
                attempt_id=attempt.id,
                status=found.status.value,
                reason=found.end_reason,
                next=call.status.value,
            )
            if call.status is OutboundStatus.SCHEDULED:
                call = await _in_hours(work, call)
    attempt = msgspec.structs.replace(attempt, due_at=next_due(attempt, work.now), overdue_at=None)
    if call != held.call:
        await store.update(work.tx, call)
    await store.update_attempt(work.tx, attempt)
    return call


async def note_answerer(work: Work, held: Held, answered_by: AnsweredBy) -> None:
    """Keep who answered, as the carrier judges it."""
    if held.call.attempt_id == held.attempt.id and held.call.answered_by is not answered_by:
        call = msgspec.structs.replace(held.call, answered_by=answered_by, updated_at=work.now)
        await store.update(work.tx, call)


async def end_call(work: Work, call: OutboundCall, status: OutboundStatus, reason: str) -> None:
    """End a call that waits."""
    ended = msgspec.structs.replace(
        call, status=status, end_reason=reason, ended_at=work.now, attempt_id=None, updated_at=work.now
    )
    await store.update(work.tx, ended)
    _log.info("outbound_call.ended", call_id=call.id, status=status.value, reason=reason)


async def cancel(work: Work, call: OutboundCall, reason: str) -> OutboundCall:
    """End a call to which nobody has answered. Its attempt is over: the worker clears up behind it."""
    ended = msgspec.structs.replace(
        call, status=OutboundStatus.CANCELLED, end_reason=reason, ended_at=work.now, updated_at=work.now
    )
    await store.update(work.tx, ended)
    if call.attempt_id is not None:
        attempt = await store.get_attempt(work.tx, call.tenant_id, call.environment, call.attempt_id)
        if attempt is not None and attempt.settled_at is None:
            over = msgspec.structs.replace(
                attempt, settled_at=work.now, due_at=work.now, overdue_at=None, stream_token=None
            )
            await store.update_attempt(work.tx, over)
    return ended


async def put_off(work: Work, held: Held, *, until: datetime, counts: bool = False) -> None:
    """Place a call later whose carrier was not asked, or refused: this attempt is over. `counts`: the carrier had no time."""
    call = held.call
    if held.is_current:
        call = msgspec.structs.replace(
            call,
            status=OutboundStatus.QUEUED,
            due_at=until,
            attempt_id=None,
            put_off_count=call.put_off_count + counts,
            updated_at=work.now,
        )
        await store.update(work.tx, call)
    attempt = msgspec.structs.replace(held.attempt, settled_at=held.attempt.settled_at or work.now, stream_token=None)
    attempt = msgspec.structs.replace(attempt, due_at=next_due(attempt, work.now), overdue_at=None)
    await store.update_attempt(work.tx, attempt)


def next_due(attempt: DialAttempt, now: datetime) -> datetime | None:
    """When somebody looks after an attempt: for what is missing, for the carrier to be asked again, or to clear up behind it."""
    if attempt.settled_at is None:
        look = next_look(attempt)
        return (
            min(look, attempt.asked_at + ANSWER_PATIENCE) if attempt.asked_at and may_ask_again(attempt, now) else look
        )
    if not (hangs_up(attempt) or ends_session(attempt)):
        return None
    if attempt.session_ended_at is not None:
        return max(now, attempt.session_ended_at + HANG_UP_PATIENCE)
    return now


def hangs_up(attempt: DialAttempt) -> bool:
    """Whether the carrier must be told that a call is over. One that was handed over goes on without us."""
    is_ours = attempt.session_end is not EndReason.TRANSFER_COMPLETE
    return bool(attempt.carrier_call_id) and attempt.carrier_end is None and is_ours


def ends_session(attempt: DialAttempt) -> bool:
    """Whether a session waits for somebody who does not come any more."""
    return attempt.session_id is not None and attempt.session_end is None


def may_ask_again(attempt: DialAttempt, now: datetime) -> bool:
    """Whether a carrier that has not answered may be asked once more: it does the same command once, and has told nothing yet."""
    window = ASKED_AGAIN.get(attempt.provider)
    if window is None or attempt.asked_at is None or attempt.stream_token is None:
        return False
    silent = not attempt.carrier_call_id and attempt.carrier_end is None
    return silent and now < attempt.asked_at + window


async def _in_hours(work: Work, call: OutboundCall) -> OutboundCall:
    """A call that is to be placed again, at a moment at which that is allowed."""
    settings = await store.get_settings(work.tx, call.tenant_id, call.environment) or CallSettings()
    allowed = when_allowed(call, settings, call.due_at)
    return call if allowed is None or allowed == call.due_at else held_up(call, allowed, work.now)


def _moved(call: OutboundCall, attempt: DialAttempt, found: Verdict, now: datetime) -> OutboundCall:
    connected_at = attempt.connected_at
    if not found.is_end:
        if found.status is not call.status and may_move(call.status, found.status):
            call = msgspec.structs.replace(call, status=found.status, updated_at=now)
        talks = attempt.talking_at is not None
        known = {"connected_at": connected_at, "conversation_id": attempt.conversation_id if talks else None}
        if any(getattr(call, name) != value for name, value in known.items()):
            call = msgspec.structs.replace(call, **known, updated_at=now)
        return call
    ended_at = max(moment for moment in (found.ended_at or now, connected_at) if moment is not None)
    if has_retry(found.status, retry_count=call.retry_count, max_retries=call.max_retries):
        return msgspec.structs.replace(
            call,
            status=OutboundStatus.SCHEDULED,
            due_at=ended_at + timedelta(minutes=call.retry_delay_minutes),
            not_before=None,
            attempt_id=None,
            connected_at=None,
            conversation_id=None,
            answered_by=None,
            retry_count=call.retry_count + 1,
            put_off_count=0,
            updated_at=now,
        )
    return msgspec.structs.replace(
        call,
        status=found.status,
        end_reason=found.end_reason,
        connected_at=connected_at,
        conversation_id=attempt.conversation_id if attempt.talking_at is not None else None,
        ended_at=ended_at,
        updated_at=now,
    )
