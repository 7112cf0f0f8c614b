"""What a tenant may spend in a month, and how a session knows that it is used up."""

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from .agents import AgentConfig
from .costs import Markup, Price


class SpendTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is told about money when it is planned: the tenant's limit for the month, what the month had cost by then, and the
    prices of the providers that it may use, in USD."""

    limit_usd: Decimal | None = None
    spent_usd: Decimal = Decimal(0)
    prices: tuple[Price, ...] = ()
    markups: tuple[Markup, ...] = ()


def month_of(at: datetime) -> date:
    """The month that a conversation's costs belong to, in UTC: its first day."""
    return at.astimezone(UTC).date().replace(day=1)


def is_used_up(limit_usd: Decimal | None, spent_usd: Decimal) -> bool:
    """Whether nothing more may be spent. What costs nothing is allowed even by a limit of 0."""
    return limit_usd is not None and spent_usd >= limit_usd and spent_usd > 0


def providers_of(config: AgentConfig) -> frozenset[str]:
    """Everybody whom an agent's conversation may use, those it falls back to included."""
    fallbacks = config.fallbacks
    parts = (
        config.llm,
        config.voice,
        config.transcription,
        *fallbacks.llm,
        *fallbacks.voice,
        *fallbacks.transcription,
    )
    return frozenset(part.provider.value for part in parts)
