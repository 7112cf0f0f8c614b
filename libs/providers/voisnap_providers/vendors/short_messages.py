"""What the three carriers' short messages have in common, and how amounts are read."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from voisnap_domain.texting import MediaKind

from voisnap_providers.ports.messaging import (
    SMS_LIMIT,
    InboundMessage,
    MessagingCapabilities,
    Price,
)

SENDABLE = frozenset({MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DOCUMENT})
RECEIVED = frozenset({*SENDABLE, MediaKind.VOICE, MediaKind.CONTACT})
MAX_MEDIA_BYTES = 5_000_000
MAX_MEDIA = 10
MAX_PRICE = Decimal(10_000)
"""Of one message, in any currency: more is a mistake."""
MAX_TEXT = 16_000
"""Characters of a text that we believe."""


def capabilities(*, media: frozenset[MediaKind] = SENDABLE, is_repeatable: bool = False) -> MessagingCapabilities:
    """A short message's: no typing, no reading, no edits, no window."""
    return MessagingCapabilities(
        text=SMS_LIMIT,
        media=media,
        inbound_media=RECEIVED,
        is_repeatable=is_repeatable,
        max_fetch_bytes=MAX_MEDIA_BYTES,
    )


class NoSigns:
    """The part of a sender that short messages don't have."""

    async def typing(self, message: InboundMessage) -> None:
        """Nothing: nobody sees it."""
        del message

    async def mark_read(self, message: InboundMessage) -> None:
        """Nothing: nobody is told."""
        del message


def price_of(amount: object, currency: object) -> Price | None:
    """An amount as a carrier writes it, without its sign; None for none."""
    if isinstance(amount, bool) or not isinstance(amount, str | int | float) or not isinstance(currency, str):
        return None
    try:
        value = abs(Decimal(str(amount)))
    except InvalidOperation:
        return None
    if not value.is_finite() or value >= MAX_PRICE or len(currency) != 3 or not currency.isalpha():
        return None
    return Price(amount=value, currency=currency.upper())


def count_of(value: object) -> int | None:
    """A positive count, written as a number or as a text."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) else None


def unix_of(stamp: object) -> float | None:
    """A time in ISO 8601 as Unix time; UTC where it names no zone, None for anything else."""
    if not isinstance(stamp, str) or len(stamp) > 40:
        return None
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
