"""Metered usage and what it costs.

Costs are exact decimals; parts sum to the total to the digits shown. Telephony minutes round up per leg (decisions, "costs").
"""

from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import TypeVar

import msgspec

CENT_FRACTION = Decimal("0.000001")


class LlmUsage(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0


class TtsUsage(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    characters: int = 0


class SttUsage(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    model: str | None = None
    audio_seconds: float = 0.0


class TelephonyUsage(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    seconds: float = 0.0

    @property
    def minutes(self) -> int:
        """Started minutes."""
        return ceil(self.seconds / 60)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one conversation used; a part is None when it had none (a browser call has no telephony)."""

    llm: LlmUsage | None = None
    tts: TtsUsage | None = None
    stt: SttUsage | None = None
    telephony: TelephonyUsage | None = None

    def and_then(self, later: "Usage") -> "Usage":
        """This and what the same conversation used afterwards, with the same providers."""
        return Usage(
            llm=_sum(self.llm, later.llm, "input_tokens", "output_tokens"),
            tts=_sum(self.tts, later.tts, "characters"),
            stt=_sum(self.stt, later.stt, "audio_seconds"),
            telephony=_sum(self.telephony, later.telephony, "seconds"),
        )


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """USD a unit: `llm_input`/`llm_output` per 1,000,000 tokens, `tts` per 1,000 characters, `stt` and `telephony` per minute."""

    kind: str
    provider: str
    model: str
    usd: Decimal


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    llm: Decimal
    tts: Decimal
    stt: Decimal
    telephony: Decimal

    @property
    def total(self) -> Decimal:
        return self.llm + self.tts + self.stt + self.telephony


def priced(usage: Usage, prices: tuple[Price, ...]) -> Costs:
    """The cost of `usage` by a price list; an unlisted provider or model costs nothing. A price with model `*` is the fallback."""
    listed = {(price.kind, price.provider, price.model): price.usd for price in prices}

    def usd(kind: str, provider: str, model: str | None = None) -> Decimal:
        return listed.get((kind, provider, model or "*"), listed.get((kind, provider, "*"), Decimal(0)))

    llm = tts = stt = telephony = Decimal(0)
    if usage.llm:
        part = usage.llm
        llm = usd("llm_input", part.provider, part.model) * part.input_tokens / 1_000_000
        llm += usd("llm_output", part.provider, part.model) * part.output_tokens / 1_000_000
    if usage.tts:
        tts = usd("tts", usage.tts.provider) * usage.tts.characters / 1000
    if usage.stt:
        stt = usd("stt", usage.stt.provider, usage.stt.model) * Decimal(str(usage.stt.audio_seconds)) / 60
    if usage.telephony:
        telephony = usd("telephony", usage.telephony.provider) * usage.telephony.minutes
    return Costs(llm=_rounded(llm), tts=_rounded(tts), stt=_rounded(stt), telephony=_rounded(telephony))


_Part = TypeVar("_Part", LlmUsage, TtsUsage, SttUsage, TelephonyUsage)


def _sum(earlier: _Part | None, later: _Part | None, *amounts: str) -> _Part | None:
    if earlier is None or later is None:
        return later or earlier
    sums = {name: round(getattr(earlier, name) + getattr(later, name), 3) for name in amounts}
    return msgspec.structs.replace(later, **sums)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_FRACTION, rounding=ROUND_HALF_UP)
