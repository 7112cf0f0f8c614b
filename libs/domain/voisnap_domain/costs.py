"""Metered usage and what it costs.

Usage is kept in legs: a call that fell back from one provider to another has a leg of each. Costs are exact decimals, rounded once a leg,
so that legs sum to parts and parts to the total to the last digit. Telephony minutes round up per leg (decisions, "costs").
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from math import ceil
from typing import assert_never

import msgspec

from .errors import FieldError

CENT_FRACTION = Decimal("0.000001")
PLATFORM_ACCOUNT = "platform"
"""The account of a leg that used the platform's own access to a provider."""
OWN_SERVER_ACCOUNT = "own-server"
"""The account of a leg that a server of the agent's own answered: what it counts says nothing of the platform's access."""
ANY = "*"
"""The model of a price for whatever has no price of its own."""
MAX_MARKUP_PERCENT = 1000

_DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_NO_COST = Decimal("0.000000")


class LegKind(StrEnum):
    """The parts of a conversation that somebody is paid for."""

    LLM = "llm"
    TTS = "tts"
    STT = "stt"
    TELEPHONY = "telephony"


class UsageLeg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one conversation used of one model, voice or line through one account.

    `input_tokens` include `cached_tokens`; `session_seconds` is how long connections were open (of a phone call: how long the line was);
    `line` tells phone calls apart; of texts over a messaging network `messages` counts the segments. `estimated`: some of the amounts are, because a stream was cut short before the provider counted.
    """

    kind: LegKind
    provider: str
    model: str | None = None
    voice: str | None = None
    account: str = PLATFORM_ACCOUNT
    line: str | None = None
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    audio_seconds: float = 0.0
    session_seconds: float = 0.0
    messages: int = 0
    estimated: bool = False

    @property
    def key(self) -> tuple[str | None, ...]:
        """Two legs with the same key are one."""
        return (self.kind, self.provider, self.model, self.voice, self.account, self.line)

    @property
    def started_minutes(self) -> int:
        """Minutes of the line, the last one counted as whole."""
        return ceil(self.session_seconds / 60)

    def plus(self, later: "UsageLeg") -> "UsageLeg":
        """This and what the same leg used afterwards."""
        return msgspec.structs.replace(
            self,
            requests=self.requests + later.requests,
            input_tokens=self.input_tokens + later.input_tokens,
            cached_tokens=self.cached_tokens + later.cached_tokens,
            output_tokens=self.output_tokens + later.output_tokens,
            characters=self.characters + later.characters,
            audio_seconds=round(self.audio_seconds + later.audio_seconds, 3),
            session_seconds=round(self.session_seconds + later.session_seconds, 3),
            messages=self.messages + later.messages,
            estimated=self.estimated or later.estimated,
        )


class LlmUsage(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


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
    """What one conversation used. A part sums the legs of its kind under the name of the first; it is None when there was none (a browser
    call has no telephony)."""

    llm: LlmUsage | None = None
    tts: TtsUsage | None = None
    stt: SttUsage | None = None
    telephony: TelephonyUsage | None = None
    legs: tuple[UsageLeg, ...] = ()

    @classmethod
    def of(cls, legs: Iterable[UsageLeg]) -> "Usage":
        """The usage that consists of these legs; those with the same key are added up."""
        kept: dict[tuple[str | None, ...], UsageLeg] = {}
        for leg in legs:
            kept[leg.key] = kept[leg.key].plus(leg) if leg.key in kept else leg
        sums: dict[LegKind, UsageLeg] = {}
        for leg in kept.values():
            sums[leg.kind] = sums[leg.kind].plus(leg) if leg.kind in sums else leg
        llm, tts, stt, line = (sums.get(kind) for kind in LegKind)
        return cls(
            llm=LlmUsage(
                provider=llm.provider,
                model=llm.model or "",
                input_tokens=llm.input_tokens,
                output_tokens=llm.output_tokens,
                cached_tokens=llm.cached_tokens,
            )
            if llm
            else None,
            tts=TtsUsage(provider=tts.provider, characters=tts.characters) if tts else None,
            stt=SttUsage(provider=stt.provider, model=stt.model, audio_seconds=stt.audio_seconds) if stt else None,
            telephony=TelephonyUsage(provider=line.provider, seconds=line.session_seconds) if line else None,
            legs=tuple(kept.values()),
        )

    def itemised(self) -> tuple[UsageLeg, ...]:
        """The legs; of a usage that was told without any, one of each part."""
        return self.legs or tuple(_legs_of(self))

    @property
    def telephony_minutes(self) -> int:
        """Started minutes, line by line."""
        return sum(leg.started_minutes for leg in self.itemised() if leg.kind is LegKind.TELEPHONY)

    def and_then(self, later: "Usage") -> "Usage":
        """This and what the same conversation used afterwards."""
        return Usage.of((*self.itemised(), *later.itemised()))


class PriceUnit(StrEnum):
    """What a price is for. A session minute is one of an open connection, an audio minute one of sound that was sent, a message one segment of
    a text."""

    MILLION_TOKENS = "million_tokens"
    THOUSAND_CHARACTERS = "thousand_characters"
    AUDIO_MINUTE = "audio_minute"
    SESSION_MINUTE = "session_minute"
    STARTED_MINUTE = "started_minute"
    MESSAGE = "message"


class PriceKind(StrEnum):
    """What is paid for. Cached input of a language model has a price of its own, or that of other input."""

    LLM_INPUT = "llm_input"
    LLM_OUTPUT = "llm_output"
    LLM_CACHED = "llm_cached"
    TTS = "tts"
    STT = "stt"
    TELEPHONY = "telephony"


UNITS: dict[PriceKind, tuple[PriceUnit, ...]] = {
    PriceKind.LLM_INPUT: (PriceUnit.MILLION_TOKENS,),
    PriceKind.LLM_OUTPUT: (PriceUnit.MILLION_TOKENS,),
    PriceKind.LLM_CACHED: (PriceUnit.MILLION_TOKENS,),
    PriceKind.TTS: (PriceUnit.THOUSAND_CHARACTERS,),
    PriceKind.STT: (PriceUnit.AUDIO_MINUTE, PriceUnit.SESSION_MINUTE),
    PriceKind.TELEPHONY: (PriceUnit.STARTED_MINUTE, PriceUnit.MESSAGE),
}
"""The units of each kind, the usual one first."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """USD a unit from a day on. `model` is a model's name, a pattern for models or voices with `*` in it, or `*` alone for all others."""

    kind: str
    provider: str
    model: str
    usd: Decimal
    unit: PriceUnit | None = None
    valid_from: date | None = None
    source: str = ""

    @property
    def counted_in(self) -> PriceUnit:
        """Its unit, or the usual one of its kind."""
        return self.unit or UNITS[PriceKind(self.kind)][0]

    def faults(self) -> tuple[FieldError, ...]:
        """Everything that is wrong with it."""
        faults: list[FieldError] = []
        if self.kind not in UNITS:
            faults.append(_fault("kind", "must be one of " + ", ".join(PriceKind)))
        elif self.counted_in not in UNITS[PriceKind(self.kind)]:
            faults.append(_fault("unit", "must be one of " + ", ".join(UNITS[PriceKind(self.kind)])))
        faults += [
            _fault(name, "must have 1 to 200 characters")
            for name in ("provider", "model", "source")
            if not 1 <= len(getattr(self, name).strip()) <= 200
        ]
        if not self.usd.is_finite() or not 0 <= self.usd < 1_000_000 or self.usd != _rounded(self.usd):
            faults.append(_fault("usd", "must be from 0 to 999999.999999, with at most 6 decimals"))
        return tuple(faults)


class Markup(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant pays beyond the list price of a kind, in percent; less than 0 is a discount."""

    kind: LegKind
    percent: Decimal


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The price for something. Not `exact`: it is the provider's price for what has none of its own."""

    price: Price
    exact: bool


class LegCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a leg costs: `usd` as the tenant pays it, `list_usd` by the price list. Not `priced`: no price is known, and it costs nothing.
    `estimated`: its amounts or its price are."""

    leg: UsageLeg
    usd: Decimal
    list_usd: Decimal
    estimated: bool = False
    priced: bool = True


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation costs, leg by leg."""

    legs: tuple[LegCost, ...] = ()

    @property
    def llm(self) -> Decimal:
        return self.of(LegKind.LLM)

    @property
    def tts(self) -> Decimal:
        return self.of(LegKind.TTS)

    @property
    def stt(self) -> Decimal:
        return self.of(LegKind.STT)

    @property
    def telephony(self) -> Decimal:
        return self.of(LegKind.TELEPHONY)

    @property
    def total(self) -> Decimal:
        return sum((cost.usd for cost in self.legs), _NO_COST)

    def of(self, kind: LegKind) -> Decimal:
        """The sum of one kind."""
        return sum((cost.usd for cost in self.legs if cost.leg.kind is kind), _NO_COST)


def priced(usage: Usage, prices: Iterable[Price], markups: Iterable[Markup] = ()) -> Costs:
    """The cost of `usage` by the prices in force. What no price is known for costs nothing. Markups are for the platform's accounts: with an
    account of its own the tenant pays the provider itself."""
    listed = tuple(prices)
    percents = {markup.kind: markup.percent for markup in markups}
    return Costs(legs=tuple(_leg_cost(leg, listed, percents) for leg in usage.itemised()))


def price_of(
    prices: Iterable[Price], kind: PriceKind, provider: str, model: str | None, voice: str | None = None
) -> Quote | None:
    """The price that counts: of the model itself, of the model without its date, of the longest pattern that fits the model or the voice,
    else the provider's `*`. A `*` that is the provider's only price of the kind is exact, and so is one asked for without a model."""
    known = [price for price in prices if price.kind == kind and price.provider == provider]
    names = tuple(name for name in (model, _DATED.sub("", model) if model else None, voice) if name)
    for name in names:
        for price in known:
            if price.model == name:
                return Quote(price=price, exact=True)
    fitting = [price for price in known if price.model != ANY and any(fnmatchcase(name, price.model) for name in names)]
    if fitting:
        return Quote(price=max(fitting, key=lambda price: len(price.model)), exact=True)
    rest = next((price for price in known if price.model == ANY), None)
    return None if rest is None else Quote(price=rest, exact=len(known) == 1 or not names)


def _leg_cost(leg: UsageLeg, prices: tuple[Price, ...], percents: dict[LegKind, Decimal]) -> LegCost:
    charges = _charges(leg, prices)
    list_usd = sum((quote.price.usd * amount for quote, amount in charges if quote), Decimal(0))
    percent = percents.get(leg.kind, Decimal(0)) if leg.account == PLATFORM_ACCOUNT else Decimal(0)
    return LegCost(
        leg=leg,
        usd=_rounded(list_usd * (100 + percent) / 100),
        list_usd=_rounded(list_usd),
        estimated=leg.estimated or any(quote is not None and not quote.exact for quote, _ in charges),
        priced=all(quote is not None for quote, amount in charges if amount),
    )


def _charges(leg: UsageLeg, prices: tuple[Price, ...]) -> list[tuple[Quote | None, Decimal]]:
    """What is charged for a leg: prices, and how many of their units."""

    def quote(kind: PriceKind) -> Quote | None:
        return price_of(prices, kind, leg.provider, leg.model, leg.voice)

    match leg.kind:
        case LegKind.LLM:
            cached = min(leg.cached_tokens, leg.input_tokens)
            fresh = quote(PriceKind.LLM_INPUT)
            charges = [
                (fresh, Decimal(leg.input_tokens - cached) / 1_000_000),
                (quote(PriceKind.LLM_OUTPUT), Decimal(leg.output_tokens) / 1_000_000),
            ]
            if cached:
                charges.append((_cached(quote(PriceKind.LLM_CACHED), fresh), Decimal(cached) / 1_000_000))
            return charges
        case LegKind.TTS:
            return [(quote(PriceKind.TTS), Decimal(leg.characters) / 1000)]
        case LegKind.STT:
            found = quote(PriceKind.STT)
            by_session = found is not None and found.price.counted_in is PriceUnit.SESSION_MINUTE
            seconds = max(leg.audio_seconds, leg.session_seconds) if by_session else leg.audio_seconds
            return [(found, Decimal(str(seconds)) / 60)]
        case LegKind.TELEPHONY:
            unit = PriceUnit.MESSAGE if leg.messages else PriceUnit.STARTED_MINUTE
            known = tuple(price for price in prices if price.counted_in is unit)
            found = price_of(known, PriceKind.TELEPHONY, leg.provider, leg.model, leg.voice)
            return [(found, Decimal(leg.messages or leg.started_minutes))]
        case _:
            assert_never(leg.kind)


def _cached(cached: Quote | None, fresh: Quote | None) -> Quote | None:
    """The price of cached input: its own, unless it is the provider's rough one and the model's other input has an exact price."""
    if cached is None or (fresh is not None and fresh.exact and not cached.exact):
        return fresh
    return cached


def _legs_of(usage: Usage) -> Iterable[UsageLeg]:
    if (llm := usage.llm) is not None:
        yield UsageLeg(
            kind=LegKind.LLM,
            provider=llm.provider,
            model=llm.model,
            input_tokens=llm.input_tokens,
            output_tokens=llm.output_tokens,
            cached_tokens=llm.cached_tokens,
        )
    if (tts := usage.tts) is not None:
        yield UsageLeg(kind=LegKind.TTS, provider=tts.provider, characters=tts.characters)
    if (stt := usage.stt) is not None:
        yield UsageLeg(kind=LegKind.STT, provider=stt.provider, model=stt.model, audio_seconds=stt.audio_seconds)
    if (line := usage.telephony) is not None:
        yield UsageLeg(kind=LegKind.TELEPHONY, provider=line.provider, session_seconds=line.seconds)


def _fault(name: str, detail: str) -> FieldError:
    return FieldError(pointer=f"/{name}", code="invalid", detail=detail)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_FRACTION, rounding=ROUND_HALF_UP)
