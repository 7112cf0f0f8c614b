"""Storing conversations from the runtime's events, and reading them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from voisnap_domain.agents import RecordingFormat
from voisnap_domain.conversations import RecordingInfo, Turn, status_of_ended
from voisnap_domain.costs import Costs, LegKind, Usage, UsageLeg
from voisnap_domain.errors import Conflict, FieldError, Invalid, NotFound
from voisnap_domain.ids import AgentId, ConversationId, TenantId
from voisnap_domain.sessions import SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Work
from voisnap_proto.events import SessionEnded
from voisnap_providers.ports.blobs import Blobs

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.call_recordings import usecases as call_recordings
from voisnap_api.call_recordings.records import KeptRecording
from voisnap_api.call_recordings.usecases import LINE as RECORDING
from voisnap_api.call_recordings.usecases import legs_of as recording_legs
from voisnap_api.carrier_webhooks import usecases as carrier_calls
from voisnap_api.carrier_webhooks.records import CarrierCall
from voisnap_api.conversation_lists import usecases as lists
from voisnap_api.conversation_lists.records import Found, Position
from voisnap_api.messaging import holdings as messages
from voisnap_api.messaging.costs import LINE as MESSAGES
from voisnap_api.messaging.costs import legs_of as message_legs
from voisnap_api.periods import Period
from voisnap_api.prices.usecases import price
from voisnap_api.spending import usecases as spending
from voisnap_api.wire import instant

from . import store
from .records import AnalysisSummary, ConversationFilter, LineUsage, Stats, StoredConversation, StoredTurn

MAX_TAGS = 50
MAX_NOTES = 2000


class NotYet(Exception):
    """An event came before one it builds upon; it is tried again."""


class Wanted(StrEnum):
    """Whether what a carrier recorded of a conversation may be kept; `LATER`: its end is not stored yet."""

    YES = "yes"
    NO = "no"
    LATER = "later"


class WhyNoRecording(StrEnum):
    """Why a conversation has no recording to hear."""

    DISABLED = "disabled"
    PROCESSING = "processing"
    EXPIRED = "expired"
    HIPAA = "hipaa"
    NOT_RECORDED = "not_recorded"


_NO_RECORDING = {
    WhyNoRecording.DISABLED: "recording is switched off for this agent",
    WhyNoRecording.PROCESSING: "the recording is still being made",
    WhyNoRecording.EXPIRED: "the recording has reached the end of its retention time",
    WhyNoRecording.HIPAA: "the agent runs in HIPAA mode, which keeps no recordings",
    WhyNoRecording.NOT_RECORDED: "nothing was recorded",
}


async def begin_conversation(work: Work, plan: SessionPlan, started_at: datetime) -> None:
    """Keep a conversation that has begun; not one that was deleted."""
    known = await store.hipaa_of(work.tx, plan.tenant_id, plan.conversation_id) is not None
    if known or await store.is_deleted(work.tx, plan.tenant_id, plan.conversation_id):
        return
    await store.insert_started(work.tx, plan, started_at=started_at)


async def keep_turn(work: Work, environment: Environment, conversation_id: ConversationId, turn: Turn) -> None:
    """Keep a turn; of a HIPAA conversation only that there was one. Raises NotYet while the conversation is unknown."""
    tenant_id = work.caller.tenant_id
    hipaa = await store.hipaa_of(work.tx, tenant_id, conversation_id)
    if hipaa is None:
        if await store.is_deleted(work.tx, tenant_id, conversation_id):
            return
        raise NotYet(f"{conversation_id} has not begun")
    if hipaa:
        turn = msgspec.structs.replace(turn, text="", words=())
    await store.put_turn(work.tx, tenant_id, environment, conversation_id, turn)


async def end_conversation(work: Work, ended: SessionEnded, *, whatever_is_here: bool = False) -> None:
    """Keep how a conversation ended, and price it.

    Raises NotYet while turns are missing, unless `whatever_is_here`: then a warning on the conversation says how many.
    """
    tenant_id, conversation_id = ended.tenant_id, ended.conversation_id
    known = await store.hipaa_of(work.tx, tenant_id, conversation_id) is not None
    if not known and await store.is_deleted(work.tx, tenant_id, conversation_id):
        return
    tally = await store.tally(work.tx, tenant_id, conversation_id)
    missing = ended.turns - tally.stored
    if missing > 0 and not whatever_is_here:
        raise NotYet(f"{conversation_id} misses {missing} of {ended.turns} turns")
    warnings = ended.warnings if missing <= 0 else (*ended.warnings, f"{missing} of {ended.turns} turns were lost")
    started_at = ended.started_at or ended.plan.created_at
    usage = await _with_lines(work, ended)  # first, as a carrier's word holds calls before conversations
    await store.insert_started(work.tx, ended.plan, started_at=started_at)
    await store.lock(work.tx, tenant_id, ended.environment, conversation_id)
    more = (*await message_legs(work, conversation_id), *await recording_legs(work, conversation_id))
    usage = Usage.of((*usage.itemised(), *more))
    hipaa = ended.plan.agent.config.hipaa_compliant
    before = Costs(legs=await store.leg_costs(work.tx, tenant_id, conversation_id))
    costs = await price(work.tx, tenant_id, usage, at=started_at)
    await store.complete(
        work.tx,
        tenant_id,
        conversation_id,
        status=status_of_ended(ended.reason, user_was_heard=tally.user_was_heard),
        ended_at=ended.ended_at,
        duration_seconds=ended.duration_seconds,
        reason=ended.reason,
        usage=usage,
        costs=costs,
        quality=ended.quality,
        recording=None if hipaa else ended.recording,
        warnings=warnings,
    )
    await spending.count(work, costs, before=before, started_at=started_at)


async def charge_line(
    work: Work, conversation_id: ConversationId, call: CarrierCall, seconds: float, *, is_measured: bool = False
) -> None:
    """Charge an ended conversation for a call by the carrier's time, or by one that we have measured, in place of what was charged for it;
    what else it cost stays."""
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    await store.lock(work.tx, tenant_id, environment, conversation_id)
    conversation = await store.get(work.tx, tenant_id, environment, conversation_id)
    if conversation is None or conversation.usage is None:
        return
    before = conversation.leg_costs or ()
    line = carrier_calls.line_usage(call, conversation.direction, seconds, is_measured=is_measured)
    charged = await price(work.tx, tenant_id, Usage(legs=(line,)), at=conversation.started_at)
    places = [at for at, cost in enumerate(before) if cost.leg.kind is LegKind.TELEPHONY and cost.leg.line == line.line]
    at = places[0] if places else len(before)
    costs = Costs(legs=(*before[:at], *charged.legs, *before[at + 1 :]))
    await store.charge(
        work.tx,
        tenant_id,
        conversation_id,
        usage=Usage.of(cost.leg for cost in costs.legs),
        costs=costs,
    )
    await spending.count(work, costs, before=Costs(legs=before), started_at=conversation.started_at)


async def charge_messages(work: Work, conversation_id: ConversationId) -> None:
    """Charge an ended conversation for its messages as they are counted now; before its end they are charged with it."""
    await _charge_anew(work, conversation_id, message_legs, lambda line: line == MESSAGES)


async def charge_recordings(work: Work, conversation_id: ConversationId) -> None:
    """Charge an ended conversation for what its carrier recorded, as it is counted now; before its end it is charged with it."""
    await _charge_anew(work, conversation_id, recording_legs, lambda line: line.startswith(RECORDING))


async def _charge_anew(
    work: Work,
    conversation_id: ConversationId,
    legs_of: Callable[[Work, ConversationId], Awaitable[tuple[UsageLeg, ...]]],
    is_one: Callable[[str], bool],
) -> None:
    """Charge an ended conversation for some of its legs as they are now, in place of what was charged for them."""
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    await store.lock(work.tx, tenant_id, environment, conversation_id)
    conversation = await store.get(work.tx, tenant_id, environment, conversation_id)
    if conversation is None or conversation.usage is None:
        return
    legs = await legs_of(work, conversation_id)
    before = conversation.leg_costs or ()
    others = tuple(cost for cost in before if not is_one(cost.leg.line or ""))
    if {cost.leg for cost in before if is_one(cost.leg.line or "")} == set(legs):
        return
    charged = await price(work.tx, tenant_id, Usage(legs=legs), at=conversation.started_at) if legs else Costs()
    costs = Costs(legs=(*others, *charged.legs))
    await store.charge(
        work.tx,
        tenant_id,
        conversation_id,
        usage=Usage.of(cost.leg for cost in costs.legs),
        costs=costs,
    )
    await spending.count(work, costs, before=Costs(legs=before), started_at=conversation.started_at)


async def _with_lines(work: Work, ended: SessionEnded) -> Usage:
    """What a session used, with the lines of its calls: the runtime can't know how long a carrier kept them."""
    if ended.plan.leg is None:
        return ended.usage
    lines = await carrier_calls.lines_of(work, ended.plan, ended.conversation_id, seconds=ended.duration_seconds)
    others = (leg for leg in ended.usage.itemised() if leg.kind is not LegKind.TELEPHONY)
    return Usage.of((*others, *lines))


async def get_ended(work: Work, conversation_id: ConversationId) -> StoredConversation:
    """A conversation whose end is stored. Raises NotYet before that, NotFound after it was deleted."""
    tenant_id = work.caller.tenant_id
    conversation = await store.get(work.tx, tenant_id, work.caller.environment, conversation_id)
    if conversation is None and await store.is_deleted(work.tx, tenant_id, conversation_id):
        raise NotFound("conversation", conversation_id)
    if conversation is None or conversation.ended_at is None:
        raise NotYet(f"{conversation_id} has not ended")
    return conversation


async def store_analysis(
    work: Work, conversation_id: ConversationId, analysis: AnalysisSummary, outcome: str | None
) -> bool:
    """Keep what an analysis found, and its outcome unless somebody put one. A later analysis replaces an earlier one.

    False, and nothing is kept, of a HIPAA conversation. Raises NotYet before the conversation's end is stored, NotFound after it was
    deleted.
    """
    conversation = await get_ended(work, conversation_id)
    if conversation.hipaa:
        return False
    await store.set_analysis(work.tx, work.caller.tenant_id, conversation_id, analysis=analysis, outcome=outcome)
    return True


async def line_usage(work: Work, period: Period) -> list[LineUsage]:
    """What went over the tenant's lines in conversations that started in a period and have ended, the dearest first."""
    caller = work.caller
    return await store.line_usage(
        work.tx, caller.tenant_id, caller.environment, start=period.start, before=period.before
    )


async def stats(work: Work, agent_id: AgentId, period: Period) -> Stats:
    """Sums over an agent's conversations that started in a period."""
    caller = work.caller
    return await store.stats(
        work.tx, caller.tenant_id, caller.environment, agent_id, start=period.start, before=period.before
    )


async def get_conversation(work: Work, conversation_id: ConversationId) -> StoredConversation:
    """One conversation. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
    if found is None:
        raise NotFound("conversation", conversation_id)
    return found


async def open_conversation(work: Work, conversation_id: ConversationId, *, part: str) -> StoredConversation:
    """One conversation for somebody who asked for a part of it; of a HIPAA conversation the audit log notes who. Raises NotFound."""
    conversation = await get_conversation(work, conversation_id)
    await _note_reading(work, (conversation,), part=part)
    return conversation


async def _note_reading(work: Work, conversations: Sequence[StoredConversation], *, part: str) -> None:
    targets = tuple(Target(type="conversation", id=one.id) for one in conversations if one.hipaa)
    if targets:
        await audit.note_all(work, action="conversation.read", targets=targets, detail={"part": part})


async def list_conversations(
    work: Work, wanted: ConversationFilter, *, limit: int, offset: int
) -> tuple[list[StoredConversation], Found]:
    """One page of the conversations that match, and how many match in all."""
    return await _shown(work, await lists.find(work, wanted, limit=limit, offset=offset))


async def list_conversations_after(
    work: Work, wanted: ConversationFilter, position: Position, *, limit: int
) -> tuple[list[StoredConversation], Found]:
    """The page that follows a conversation in the order of time."""
    return await _shown(work, await lists.find_after(work, wanted, position, limit=limit))


async def _shown(work: Work, found: Found) -> tuple[list[StoredConversation], Found]:
    shown = await store.by_ids(work.tx, work.caller.tenant_id, work.caller.environment, found.ids)
    await _note_reading(work, shown, part="list")
    return shown, found


async def read_turns(work: Work, conversation_id: ConversationId) -> tuple[StoredConversation, list[StoredTurn]]:
    """A conversation and its turns, in order; none of a HIPAA conversation."""
    conversation = await get_conversation(work, conversation_id)
    if conversation.hipaa:
        return conversation, []
    return conversation, await store.turns(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)


async def open_turns(
    work: Work, conversation_id: ConversationId, *, part: str
) -> tuple[StoredConversation, list[StoredTurn]]:
    """The same for somebody who asked for them; the audit log notes who read of a HIPAA conversation."""
    conversation, turns = await read_turns(work, conversation_id)
    await _note_reading(work, (conversation,), part=part)
    return conversation, turns


async def get_recording(work: Work, conversation_id: ConversationId) -> RecordingInfo:
    """The recording. Raises NotFound `recording-not-available` with the reason."""
    conversation = await open_conversation(work, conversation_id, part="recording")
    reason = why_no_recording(conversation, at=work.now)
    if reason is not None or conversation.recording is None:
        raise no_recording(conversation_id, reason or WhyNoRecording.NOT_RECORDED)
    return conversation.recording


async def further_recordings(work: Work, conversation_id: ConversationId) -> list[KeptRecording]:
    """What the carrier recorded after a call was handed over, the first one first."""
    return await call_recordings.kept_of(work, conversation_id)


async def hold_recorded(work: Work, conversation_id: ConversationId) -> Wanted:
    """Whether what a carrier recorded of a conversation may be kept. The conversation is held until the end of the transaction."""
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment, conversation_id)
    conversation = await store.get(work.tx, caller.tenant_id, caller.environment, conversation_id)
    if conversation is None:
        return Wanted.NO if await store.is_deleted(work.tx, caller.tenant_id, conversation_id) else Wanted.LATER
    if conversation.hipaa or not conversation.recording_wanted or conversation.recording_deleted_at is not None:
        return Wanted.NO
    if work.now >= recording_expires_at(conversation):
        return Wanted.NO
    return Wanted.LATER if conversation.ended_at is None else Wanted.YES


def no_recording(conversation_id: ConversationId, why: WhyNoRecording) -> NotFound:
    """The error `recording-not-available`, with its reason."""
    return NotFound(
        "recording",
        conversation_id,
        detail=f"Conversation {conversation_id} has no recording ({why.value}): {_NO_RECORDING[why]}.",
        code="recording-not-available",
    )


async def recording_keys(blobs: Blobs, tenant_id: TenantId, conversation_id: ConversationId) -> tuple[str, ...]:
    """Every key that a conversation's recording may lie under: the file in each format, segments that are left, and what carriers recorded."""
    folder = f"recordings/{tenant_id}/{conversation_id}"
    after = call_recordings.folder_of(tenant_id, conversation_id)
    segments = (*await blobs.list(f"{folder}/"), *await blobs.list(f"{after}/"))
    return (*(f"{folder}.{file_format}" for file_format in RecordingFormat), *(segment.key for segment in segments))


def recording_expires_at(conversation: StoredConversation) -> datetime:
    """The end of a recording's retention: midnight UTC of the last day."""
    day = conversation.started_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=conversation.retention_days)


def why_no_recording(conversation: StoredConversation, *, at: datetime) -> WhyNoRecording | None:
    """Why there is nothing to hear; None when there is."""
    if conversation.hipaa:
        return WhyNoRecording.HIPAA
    if not conversation.recording_wanted:
        return WhyNoRecording.DISABLED
    if conversation.ended_at is None:
        return WhyNoRecording.PROCESSING
    if conversation.recording is None:
        return WhyNoRecording.NOT_RECORDED
    if conversation.recording_deleted_at is not None or at >= recording_expires_at(conversation):
        return WhyNoRecording.EXPIRED
    return None


async def delete_due_recordings(work: Work, blobs: Blobs, *, limit: int) -> int:
    """Delete recordings that have reached the end of their retention, over all tenants; of how many conversations.

    A recording is noted as deleted after it is gone: what fails in between is deleted once more.
    """
    due = await store.recordings_due(work.tx, at=work.now, limit=limit)
    for one in due:
        await blobs.delete(await recording_keys(blobs, one.tenant_id, one.id))
        await store.note_recording_deleted(work.tx, one.tenant_id, one.id, at=work.now)
    return len(due)


async def add_tags(work: Work, conversation_id: ConversationId, tags: tuple[str, ...]) -> StoredConversation:
    """Add tags; those that are there stay."""
    wrong = tuple(fault for index, tag in enumerate(tags) if (fault := _tag_fault(index, tag.strip())) is not None)
    if wrong:
        raise Invalid(wrong)
    if not tags:
        raise Invalid((FieldError(pointer="/tags", code="required", detail="names at least one tag"),))
    conversation = await get_conversation(work, conversation_id)
    if len({*conversation.tags, *(tag.strip() for tag in tags)}) > MAX_TAGS:
        raise Invalid(
            (FieldError(pointer="/tags", code="too-many", detail=f"a conversation has at most {MAX_TAGS} tags"),)
        )
    unique = tuple(dict.fromkeys(tag.strip() for tag in tags))
    await store.add_tags(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id, unique)
    return await get_conversation(work, conversation_id)


def _tag_fault(index: int, tag: str) -> FieldError | None:
    pointer = f"/tags/{index}"
    if not 1 <= len(tag) <= 100:
        return FieldError(pointer=pointer, code="bad-length", detail="must have 1 to 100 characters")
    if "," in tag or not tag.isprintable():
        detail = "must have neither commas, which separate tags in lists, nor control characters"
        return FieldError(pointer=pointer, code="invalid", detail=detail)
    return None


async def remove_tag(work: Work, conversation_id: ConversationId, tag: str) -> None:
    """Remove a tag; a missing one is no error."""
    await get_conversation(work, conversation_id)
    await store.remove_tag(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id, tag)


async def set_outcome(
    work: Work, conversation_id: ConversationId, outcome: str, notes: str | None
) -> StoredConversation:
    """Say how the conversation turned out; wins over the analysis."""
    wrong: list[FieldError] = []
    if not 1 <= len(outcome.strip()) <= 100:
        wrong.append(FieldError(pointer="/outcome", code="bad-length", detail="must have 1 to 100 characters"))
    if notes is not None and len(notes) > MAX_NOTES:
        wrong.append(
            FieldError(pointer="/notes", code="bad-length", detail=f"must have at most {MAX_NOTES} characters")
        )
    if wrong:
        raise Invalid(tuple(wrong))
    await get_conversation(work, conversation_id)
    await store.set_outcome(
        work.tx,
        work.caller.tenant_id,
        work.caller.environment,
        conversation_id,
        outcome=outcome.strip(),
        notes=notes,
        at=work.now,
    )
    return await get_conversation(work, conversation_id)


async def archive(work: Work, conversation_id: ConversationId, *, archived: bool) -> StoredConversation:
    """Take a conversation out of the lists, or put it back; nothing of it changes. A second time changes nothing."""
    caller = work.caller
    before = await get_conversation(work, conversation_id)
    if (before.archived_at is not None) == archived:
        return before
    await store.set_archived(
        work.tx, caller.tenant_id, caller.environment, conversation_id, at=work.now if archived else None
    )
    await audit.note(
        work,
        action="conversation.archived" if archived else "conversation.unarchived",
        target=Target(type="conversation", id=conversation_id),
    )
    return await get_conversation(work, conversation_id)


async def delete_conversation(work: Work, conversation_id: ConversationId) -> None:
    """Delete a conversation and what was said for good; its recording is left to delete. Raises Conflict while it goes on."""
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment, conversation_id)
    conversation = await get_conversation(work, conversation_id)
    if conversation.ended_at is None:
        raise Conflict("This conversation is still going on.", code="conversation-in-progress")
    await messages.let_go(work, conversation_id)
    await call_recordings.let_go(work, conversation_id)
    await store.delete_turns(work.tx, caller.tenant_id, caller.environment, conversation_id)
    await store.delete(work.tx, caller.tenant_id, caller.environment, conversation_id)
    await store.bury(work.tx, caller.tenant_id, caller.environment, conversation_id, at=work.now)
    await audit.note(
        work,
        action="conversation.deleted",
        target=Target(type="conversation", id=conversation_id),
        detail={"agentId": conversation.agent_id, "startedAt": instant(conversation.started_at)},
    )


async def ensure_partitions(work: Work, *, months: int) -> int:
    """Create next months' partitions; how many were missing."""
    return await store.ensure_partitions(work.tx, at=work.now, months=months)
