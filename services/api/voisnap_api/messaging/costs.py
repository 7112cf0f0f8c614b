"""What a conversation's messages are billed by."""

from voisnap_domain.costs import PLATFORM_ACCOUNT, LegKind, UsageLeg
from voisnap_domain.ids import ConversationId
from voisnap_kit.work import Work
from voisnap_providers.carriers import SIMULATOR

from . import store

LINE = "messages"
"""What tells messages from calls in a conversation's usage."""


async def legs_of(work: Work, conversation_id: ConversationId) -> tuple[UsageLeg, ...]:
    """What the networks have taken and brought for a conversation, segment by segment."""
    counted = await store.counted(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
    return tuple(
        UsageLeg(
            kind=LegKind.TELEPHONY,
            provider=one.provider,
            model=f"{one.channel.value}_{one.direction.value}",
            account=PLATFORM_ACCOUNT if one.account == SIMULATOR else one.account,
            line=LINE,
            messages=one.segments,
        )
        for one in counted
    )
