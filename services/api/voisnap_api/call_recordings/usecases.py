"""What is kept of recordings that carriers make."""

from voisnap_domain.costs import PLATFORM_ACCOUNT, LegKind, UsageLeg
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_kit.ids import new_id
from voisnap_kit.work import Work
from voisnap_providers.carriers import SIMULATOR

from voisnap_api.carrier_webhooks.records import CarrierCall

from . import store
from .records import KeptRecording

LINE = "recording:"
"""How the line of a recording begins in a conversation's usage."""

FORMAT = "mp3"
"""What carriers are asked for: all three make it, and of a telephone's sound it leaves out nothing that anybody hears."""


async def note_saved(work: Work, call: CarrierCall, *, recording_id: str, seconds: float | None) -> None:
    """Note that a carrier has a recording of a session's call, which is to be fetched. What comes twice changes nothing."""
    await store.insert(
        work.tx,
        call.tenant_id,
        call.environment,
        id=new_id("crec"),
        provider=call.provider,
        account=call.account,
        recording_id=recording_id,
        session_id=call.session_id,
        seconds=seconds,
        at=work.now,
    )


async def legs_of(work: Work, conversation_id: ConversationId) -> tuple[UsageLeg, ...]:
    """What carriers recorded of a conversation, each recording for itself."""
    found = await store.recorded(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
    return tuple(
        UsageLeg(
            kind=LegKind.TELEPHONY,
            provider=one.provider,
            model="recording",
            account=PLATFORM_ACCOUNT if one.account == SIMULATOR else one.account,
            line=f"{LINE}{one.recording_id}",
            session_seconds=round(one.seconds, 3),
        )
        for one in found
    )


async def kept_of(work: Work, conversation_id: ConversationId) -> list[KeptRecording]:
    """A conversation's recordings that can be heard, the first one first."""
    return await store.kept_of(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)


async def let_go(work: Work, conversation_id: ConversationId) -> None:
    """Nobody may have a conversation's recordings any more; their files are left to delete."""
    await store.drop_of(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id, at=work.now)


def folder_of(tenant_id: TenantId, conversation_id: ConversationId) -> str:
    """Where a conversation's further recordings lie, beside the one that we made."""
    return f"recordings/{tenant_id}/{conversation_id}.after"
