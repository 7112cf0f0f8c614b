"""Telephone numbers at a carrier: what can be rented, renting it, where its calls and texts are told, and giving it back."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec
from voisnap_domain.errors import Conflict

from voisnap_providers.errors import ProviderError


class NumberFeature(StrEnum):
    """What a number can do."""

    VOICE = "voice"
    SMS = "sms"
    MMS = "mms"


class NumberQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for. `country` is ISO 3166-1 alpha-2; `area_code` the first digits of the national number; `contains` digits anywhere
    in the number; every one of `features` must be there."""

    country: str
    area_code: str | None = None
    contains: str | None = None
    features: tuple[NumberFeature, ...] = ()
    toll_free: bool = False
    limit: int = 10


class NumberOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A number that can be rented: E.164. `monthly_cost_usd` is None where the carrier tells no price in dollars."""

    phone_number: str
    country: str
    region: str | None = None
    locality: str | None = None
    features: tuple[NumberFeature, ...]
    toll_free: bool
    monthly_cost_usd: float | None = None


class NumberTargets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a carrier tells of a number: `voice_url` is asked when it rings, `events_url` told what becomes of its calls, `messages_url` told
    of texts and what became of ours."""

    voice_url: str
    events_url: str
    messages_url: str


class HeldNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number that the account rents, as the carrier knows it. `settings` is where it tells of it, by the carrier's own names."""

    id: str
    phone_number: str
    country: str
    features: tuple[NumberFeature, ...]
    toll_free: bool = False
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a purchase: `held` once the number is the account's; until then the carrier works on the order `order_id`. Unless
    `is_configured`, its calls are not told to us yet."""

    held: HeldNumber | None = None
    order_id: str | None = None
    is_configured: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A setting at the carrier that is another one than ours, by the carrier's name of it."""

    setting: str
    expected: str
    found: str


class NumberUnavailable(Conflict):
    """The number can't be rented any more: somebody else did, or it never was for sale."""

    code = "number-unavailable"


class FundsMissing(Conflict):
    """The account with the carrier has not enough money."""

    code = "carrier-funds-insufficient"


class DocumentsMissing(Conflict):
    """The country wants an address or papers first, which are given to the carrier itself."""

    code = "regulatory-documents-missing"


class NumberRefused(Conflict):
    """The carrier won't, for a reason of its own."""

    code = "number-refused"


class PurchaseUncertain(ProviderError):
    """A carrier was asked for a number and nobody knows whether it rents it out to us: look among the account's numbers before asking again."""

    def __init__(self, detail: str, *, provider: str) -> None:
        super().__init__(detail, provider=provider, kind="carrier", retryable=False)


class NumberDesk(Protocol):
    """The numbers of one account with one carrier. Raises ProviderError with the kind `carrier`."""

    async def search(self, query: NumberQuery) -> tuple[NumberOffer, ...]:
        """Numbers that can be rented now, `query.limit` at most; none where the country has none of this sort."""
        ...

    async def buy(self, phone_number: str, *, country: str, reference: str, targets: NumberTargets) -> Purchase:
        """Rents a number; where one request does both, its calls are told to us from the start. `reference` names the purchase: with the same one nothing is bought twice by carriers
        that know such a thing. Raises NumberUnavailable, FundsMissing, DocumentsMissing, NumberRefused: nothing was bought;
        PurchaseUncertain: nobody knows."""
        ...

    async def ordered(self, order_id: str) -> Purchase:
        """What has become of an order. Raises as `buy` when it failed."""
        ...

    async def find(self, phone_number: str) -> HeldNumber | None:
        """The number, if the account rents it."""
        ...

    async def configure(self, number: HeldNumber, targets: NumberTargets) -> None:
        """Has the carrier tell us of the number's calls and texts."""
        ...

    async def differences(self, number: HeldNumber, targets: NumberTargets) -> tuple[Difference, ...]:
        """What would keep the number's calls and texts from us, read at the carrier."""
        ...

    async def release(self, number: HeldNumber) -> None:
        """Gives the number back; one that the account does not rent any more is fine."""
        ...

    async def check(self) -> None:
        """Asks for something small, to see whether the account is let in. Raises ProviderAuthError, ProviderError."""
        ...

    async def aclose(self) -> None: ...
