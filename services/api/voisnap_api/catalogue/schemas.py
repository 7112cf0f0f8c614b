"""The catalogue on the wire."""

from datetime import date

from voisnap_domain.costs import PriceKind, PriceUnit, Quote

from voisnap_api.wire import View

from .records import Access, Availability, Capability, CatalogueVoice, LatencyClass, Model, ModelKind


class PriceView(View, frozen=True, kw_only=True):
    """A list price in USD a unit, before markups. `isExact`: the provider's price of this very model, else of its others."""

    kind: PriceKind
    unit: PriceUnit
    usd: float
    since: date | None
    is_exact: bool
    source: str

    @classmethod
    def of(cls, quote: Quote) -> "PriceView":
        price = quote.price
        return cls(
            kind=PriceKind(price.kind),
            unit=price.counted_in,
            usd=float(price.usd),
            since=price.valid_from,
            is_exact=quote.exact,
            source=price.source,
        )


class ModelView(View, frozen=True, kw_only=True):
    """A model. `available`: whether you can use it now, with whose `access`; else `unavailableReason` says what is missing.

    `languages` are BCP 47 tags or their first parts, `*` for every common one.
    """

    kind: ModelKind
    provider: str
    id: str
    name: str
    is_default: bool
    latency_class: LatencyClass
    capabilities: tuple[Capability, ...]
    languages: tuple[str, ...]
    prices: tuple[PriceView, ...]
    available: bool
    access: Access | None
    unavailable_reason: str | None
    source: str

    @classmethod
    def of(cls, model: Model, found: Availability, quotes: tuple[Quote, ...]) -> "ModelView":
        return cls(
            kind=model.kind,
            provider=model.provider,
            id=model.id,
            name=model.name,
            is_default=model.default,
            latency_class=model.latency,
            capabilities=model.capabilities,
            languages=model.languages,
            prices=tuple(PriceView.of(quote) for quote in quotes),
            available=found.available,
            access=found.access,
            unavailable_reason=found.reason,
            source=model.source,
        )


class VoiceView(View, frozen=True, kw_only=True):
    """A voice. `id` goes into an agent's `voice.voiceId`; `model` speaks it."""

    provider: str
    id: str
    name: str
    gender: str
    languages: tuple[str, ...]
    model: str
    latency_class: LatencyClass
    capabilities: tuple[Capability, ...]
    prices: tuple[PriceView, ...]
    available: bool
    access: Access | None
    unavailable_reason: str | None

    @classmethod
    def of(cls, voice: CatalogueVoice, model: Model, found: Availability, quotes: tuple[Quote, ...]) -> "VoiceView":
        return cls(
            provider=voice.provider,
            id=voice.id,
            name=voice.name,
            gender=voice.gender,
            languages=voice.languages,
            model=voice.model,
            latency_class=model.latency,
            capabilities=model.capabilities,
            prices=tuple(PriceView.of(quote) for quote in quotes),
            available=found.available,
            access=found.access,
            unavailable_reason=found.reason,
        )
