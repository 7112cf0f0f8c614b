"""What a tenant can do about calls that are placed: ask for them, read them, cancel them, say when and how."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import Conflict, FieldError, Invalid, NotFound
from voisnap_domain.ids import AgentId, OutboundCallId
from voisnap_domain.outbound import CANCELLABLE, OutboundStatus
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Work, begin_as_system

from voisnap_api.agents.usecases import talking_version
from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.destinations import (
    ANSWERED_HERE_DETAIL,
    COUNTRY_NOT_ALLOWED,
    NOT_ALLOWED,
    NOT_ALLOWED_DETAIL,
    country_detail,
    is_refused,
    is_within,
)
from voisnap_api.do_not_call.usecases import listed_among
from voisnap_api.phone_numbers.usecases import line_for_calls, lines_among
from voisnap_api.session_plans.usecases import check_metadata
from voisnap_api.tenants.usecases import limits_for_new_session

from . import store
from .countries import allowed_countries
from .countries import destination_fault as destination_fault
from .hours import held_up, when_allowed
from .records import CallFilter, CallPosition, CallSettings, OutboundCall
from .schemas import BatchRefusal, OutboundBatchBody, OutboundCallBody, in_utc
from .settling import cancel

LONGEST_AHEAD = timedelta(days=365)
LONGEST_AGO = timedelta(days=1)
"""A moment that is over by less than this stands for now: clocks differ, and lists of calls are sent late."""

DO_NOT_CALL = "number-on-do-not-call-list"
_DO_NOT_CALL = "This number is on the do-not-call list."
_NAMED_FAULTS = 100


async def create_call(work: Work, wanted: OutboundCallBody, *, tested_version: int | None = None) -> OutboundCall:
    """A call, to be placed now or when it is due. `tested_version`: it tries this version of the agent out, which need not be active.

    Raises NotFound `agent-not-found`, Conflict `agent-inactive`, `channel-disabled`, `no-phone-number` and `number-on-do-not-call-list`,
    Invalid, Forbidden `tenant-suspended`.
    """
    row = _Row(to_number=wanted.to_number, scheduled_for=in_utc(wanted.scheduled_for), metadata=wanted.metadata)
    (call,) = await _calls(work, wanted, (row,), lambda _: "", batch_id=None, tested_version=tested_version)
    if await listed_among(work, (call.to_number,)):
        raise Conflict(_DO_NOT_CALL, code=DO_NOT_CALL)
    await store.insert(work.tx, (call,))
    return call


async def create_batch(
    work: Work, wanted: OutboundBatchBody
) -> tuple[str, list[tuple[OutboundCall, BatchRefusal | None]]]:
    """Many calls: all of them or, where a field of any is wrong, none. Numbers that must not be called are left out and named.

    Raises what `create_call` raises; Invalid names the rows.
    """
    shared_for = in_utc(wanted.scheduled_for)
    rows = tuple(
        _Row(
            to_number=row.to_number,
            scheduled_for=in_utc(row.scheduled_for) or shared_for,
            metadata={**wanted.metadata, **row.metadata},
        )
        for row in wanted.calls
    )
    batch_id = work.new_id("bat")
    calls = await _calls(work, wanted, rows, lambda index: f"/calls/{index}", batch_id=batch_id)
    listed = await listed_among(work, tuple(call.to_number for call in calls))
    refusal = BatchRefusal(code=DO_NOT_CALL, detail=_DO_NOT_CALL)
    results = [(call, refusal if call.to_number in listed else None) for call in calls]
    await store.insert(work.tx, [call for call, refused in results if refused is None])
    return batch_id, results


async def refuse_own_lines(database: Database, caller: Caller, numbers: Sequence[tuple[str, str]]) -> None:
    """Agents don't call agents: none of these, each with the pointer to it, may be a number of this installation. Raises Invalid."""
    if caller.environment is not Environment.LIVE:
        return
    async with begin_as_system(database, caller) as work:
        ours = await lines_among(work, tuple(number for number, _ in numbers))
    faults = tuple(
        FieldError(pointer=pointer, code=NOT_ALLOWED, detail=ANSWERED_HERE_DETAIL)
        for number, pointer in numbers
        if number in ours
    )
    if faults:
        raise Invalid(faults[:_NAMED_FAULTS])


async def get_call(work: Work, call_id: OutboundCallId) -> OutboundCall:
    """One call. Raises NotFound."""
    call = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, call_id)
    if call is None:
        raise NotFound("outbound call", call_id)
    return call


async def list_calls(
    work: Work, wanted: CallFilter, *, after: CallPosition | None, limit: int, offset: int, ascending: bool = False
) -> tuple[list[OutboundCall], int]:
    """One page of the calls that match, newest first unless `ascending`, and how many match in all."""
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    page = store.page_oldest_first if ascending else store.page
    found = await page(work.tx, tenant_id, environment, wanted, after=after, limit=limit, offset=offset)
    return found, await store.count(work.tx, tenant_id, environment, wanted)


async def cancel_call(work: Work, call_id: OutboundCallId) -> OutboundCall:
    """Place a call no more, or stop its ringing; the worker hangs up. One that is cancelled stays so.

    Raises NotFound, Conflict `call-in-progress` and `call-ended`.
    """
    caller = work.caller
    call = await store.get_for_change(work.tx, caller.tenant_id, caller.environment, call_id)
    if call is None:
        raise NotFound("outbound call", call_id)
    if call.status is OutboundStatus.CANCELLED:
        return call
    if call.status is OutboundStatus.IN_PROGRESS:
        raise Conflict(f"Call {call_id} has been answered: it can't be cancelled any more.", code="call-in-progress")
    if call.status not in CANCELLABLE:
        raise Conflict(f"Call {call_id} is over: it is {call.status.value}.", code="call-ended")
    call = await cancel(work, call, "cancelled")
    await audit.note(work, action="outbound_call.cancelled", target=Target(type="outbound_call", id=call.id))
    return call


async def get_settings(work: Work) -> CallSettings:
    """When and how the tenant's calls are placed."""
    found = await store.get_settings(work.tx, work.caller.tenant_id, work.caller.environment)
    return found or CallSettings()


async def set_settings(work: Work, settings: CallSettings) -> CallSettings:
    """Place calls like this from now on; those that wait, too."""
    caller = work.caller
    await store.put_settings(work.tx, caller.tenant_id, caller.environment, settings, at=work.now)
    await store.reconsider_hours(work.tx, caller.tenant_id, caller.environment)
    target = Target(type="outbound_call_settings", id=caller.environment.value)
    await audit.note(work, action="outbound_call_settings.changed", target=target, detail=msgspec.to_builtins(settings))
    return settings


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One call that is wanted."""

    to_number: str
    scheduled_for: datetime | None
    metadata: dict[str, Any]


async def _calls(
    work: Work,
    wanted: OutboundCallBody | OutboundBatchBody,
    rows: Sequence[_Row],
    pointer: Callable[[int], str],
    *,
    batch_id: str | None,
    tested_version: int | None = None,
) -> list[OutboundCall]:
    """The calls, not stored yet."""
    faults = _faults(work, wanted.from_number, rows, pointer)
    if faults:
        raise Invalid(tuple(faults))
    await limits_for_new_session(work)
    agent_id = AgentId(wanted.agent_id)
    version = None if tested_version is None else str(tested_version)
    snapshot = await talking_version(work, agent_id, version=version, rehearsing=tested_version is not None)
    if not snapshot.config.serves(Channel.PHONE.value):
        raise Conflict(f"Agent {agent_id} is switched off on the channel phone.", code="channel-disabled")
    line = await line_for_calls(work, agent_id, wanted.from_number)
    same = [
        FieldError(pointer=f"{pointer(index)}/toNumber", code="same-number", detail="must not be the number that calls")
        for index, row in enumerate(rows)
        if row.to_number == line.phone_number
    ]
    if same:
        raise Invalid(tuple(same))
    settings = await get_settings(work)
    countries = await allowed_countries(work, account=line.account, ours=line.phone_number, settings=settings)
    abroad = [
        FieldError(pointer=f"{pointer(index)}/toNumber", code=COUNTRY_NOT_ALLOWED, detail=country_detail(row.to_number))
        for index, row in enumerate(rows)
        if not is_within(line.environment, row.to_number, countries)
    ]
    if abroad:
        raise Invalid(tuple(abroad[:_NAMED_FAULTS]))
    calls = [
        OutboundCall(
            id=OutboundCallId(work.new_id("obc")),
            tenant_id=work.caller.tenant_id,
            environment=work.caller.environment,
            agent_id=agent_id,
            from_number=line.phone_number,
            to_number=row.to_number,
            status=_first_status(row.scheduled_for, work.now),
            scheduled_for=row.scheduled_for,
            due_at=max(row.scheduled_for or work.now, work.now),
            metadata=row.metadata,
            max_retries=wanted.max_retries,
            retry_delay_minutes=wanted.retry_delay_minutes,
            batch_id=batch_id,
            tested_version=tested_version,
            created_by=work.caller.user_id or work.caller.key_id,
            created_at=work.now,
            updated_at=work.now,
        )
        for row in rows
    ]
    return [_in_hours(work, call, settings) for call in calls]


def _in_hours(work: Work, call: OutboundCall, settings: CallSettings) -> OutboundCall:
    """The call, at a moment at which it is allowed; where none is, that is told when its time has come."""
    allowed = when_allowed(call, settings, call.due_at)
    return call if allowed is None or allowed == call.due_at else held_up(call, allowed, work.now)


def _first_status(scheduled_for: datetime | None, now: datetime) -> OutboundStatus:
    waits = scheduled_for is not None and scheduled_for > now
    return OutboundStatus.SCHEDULED if waits else OutboundStatus.QUEUED


def _faults(
    work: Work, from_number: str | None, rows: Sequence[_Row], pointer: Callable[[int], str]
) -> list[FieldError]:
    """What the body's types don't say."""
    faults: list[FieldError] = []
    if from_number is not None and (fault := phone_number_fault(from_number)):
        faults.append(FieldError(pointer="/fromNumber", code="wrong-format", detail=fault))
    seen: set[str] = set()
    for index, row in enumerate(rows):
        at = pointer(index)
        if fault := phone_number_fault(row.to_number):
            faults.append(FieldError(pointer=f"{at}/toNumber", code="wrong-format", detail=fault))
        elif row.to_number in seen:
            faults.append(FieldError(pointer=f"{at}/toNumber", code="duplicate", detail="is in this batch already"))
        elif is_refused(work.caller.environment, row.to_number):
            faults.append(FieldError(pointer=f"{at}/toNumber", code=NOT_ALLOWED, detail=NOT_ALLOWED_DETAIL))
        seen.add(row.to_number)
        if row.scheduled_for is not None and (fault := _schedule_fault(row.scheduled_for, work.now)):
            faults.append(FieldError(pointer=f"{at}/scheduledFor", code="out-of-range", detail=fault))
        try:
            check_metadata(row.metadata)
        except Invalid as error:
            faults.extend(msgspec.structs.replace(one, pointer=f"{at}{one.pointer}") for one in error.errors)
        if len(faults) >= _NAMED_FAULTS:
            break
    return faults


def _schedule_fault(moment: datetime, now: datetime) -> str | None:
    if moment < now - LONGEST_AGO:
        return "is over for more than a day"
    if moment > now + LONGEST_AHEAD:
        return "must be within a year"
    return None
