"""What a conversation's messages are billed by."""

import msgspec
from voisnap_domain.costs import PLATFORM_ACCOUNT, LegKind, UsageLeg
from voisnap_domain.ids import ConversationId
from voisnap_kit.work import Work
from voisnap_providers.carriers import SIMULATOR
from voisnap_providers.numbering import country_of

from . import store
from .records import MessageCount

LINE = "messages"
"""What tells messages from calls in a conversation's usage."""


async def legs_of(work: Work, conversation_id: ConversationId) -> tuple[UsageLeg, ...]:
    """What the networks have taken and brought for a conversation, segment by segment, and what reading its voice messages used."""
    caller = work.caller
    counted = await store.counted(work.tx, caller.tenant_id, caller.environment, conversation_id)
    heard = await store.heard_in(work.tx, caller.tenant_id, caller.environment, conversation_id)
    legs: dict[tuple[str | None, ...], UsageLeg] = {}
    for leg in (*(_written(one) for one in counted), *(msgspec.structs.replace(one, line=LINE) for one in heard)):
        legs[leg.key] = legs[leg.key].plus(leg) if leg.key in legs else leg
    return tuple(legs.values())


def _written(one: MessageCount) -> UsageLeg:
    return UsageLeg(
        kind=LegKind.TELEPHONY,
        provider=one.provider,
        model=_model(one),
        account=PLATFORM_ACCOUNT if one.account == SIMULATOR else one.account,
        line=LINE,
        messages=one.segments,
    )


def _model(one: MessageCount) -> str:
    """`sms_outbound`; where the network prices by a tariff and by where it went, both too: `whatsapp_marketing_BR_outbound`."""
    parts = (one.channel.value, *((one.tariff, _country(one)) if one.tariff else ()), one.direction.value)
    return "_".join(part for part in parts if part)


def _country(one: MessageCount) -> str:
    """Of the number, or of the business-scoped id (`BR.…`) of somebody who hides theirs."""
    if one.their_address.startswith("+"):
        return country_of(one.their_address) or ""
    country, dot, _ = (one.their_user_id or "").partition(".")
    return country if dot and len(country) == 2 and country.isalpha() else ""
