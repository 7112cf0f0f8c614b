"""Telephone numbers on the wire."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.tenants import Environment
from voisnap_providers.carriers import CARRIERS
from voisnap_providers.ports.numbers import Difference, NumberFeature, NumberOffer

from voisnap_api.conversations.records import LineUsage
from voisnap_api.wire import Body, View, instant

from .provisioning import Verification
from .records import LineSource, LineStatus, PhoneLine

CarrierName = StrEnum("CarrierName", {name.upper(): name for name in CARRIERS})
"""Carriers that rent out numbers."""

PhoneNumber = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$", description="In E.164 form, such as +14155550100")]
FriendlyName = Annotated[str, Meta(max_length=100)]
AnAgentId = Annotated[str, Meta(min_length=1, max_length=100)]


class TelephonyNumberBody(Body, frozen=True, kw_only=True):
    """A number to get. `source` is `purchase`, or `existing` for one that your account with the carrier rents already. `agentId` answers its
    calls and texts, `smsAgentId` the texts in its place."""

    phone_number: PhoneNumber
    provider: CarrierName  # type: ignore[valid-type]
    source: LineSource = LineSource.PURCHASE
    agent_id: AnAgentId | None = None
    sms_agent_id: AnAgentId | None = None
    friendly_name: FriendlyName = ""


class TelephonyNumberPatch(Body, frozen=True, kw_only=True):
    """What to change. `agentId: null` takes the agent off; the number stays yours."""

    agent_id: AnAgentId | UnsetType | None = UNSET
    sms_agent_id: AnAgentId | UnsetType | None = UNSET
    friendly_name: FriendlyName | UnsetType = UNSET


class AvailableNumberView(View, frozen=True, kw_only=True):
    """A number that can be had. `monthlyCostUsd` is null where the carrier tells no price."""

    phone_number: str
    country: str
    region: str | None
    locality: str | None
    provider: str
    capabilities: tuple[NumberFeature, ...]
    toll_free: bool
    monthly_cost_usd: float | None

    @classmethod
    def of(cls, provider: str, offer: NumberOffer) -> "AvailableNumberView":
        return cls(
            phone_number=offer.phone_number,
            country=offer.country,
            region=offer.region,
            locality=offer.locality,
            provider=provider,
            capabilities=offer.features,
            toll_free=offer.toll_free,
            monthly_cost_usd=offer.monthly_cost_usd,
        )


class SearchWarningView(View, frozen=True, kw_only=True):
    """A carrier whose numbers are missing, and why."""

    provider: str
    detail: str


class AvailableNumbersView(View, frozen=True, kw_only=True):
    """What a search found."""

    numbers: tuple[AvailableNumberView, ...]
    warnings: tuple[SearchWarningView, ...]


class TelephonyNumberView(View, frozen=True, kw_only=True):
    """A number of yours. `status` is `provisioning` while the carrier works on it, `releasing` while it takes it back; `statusDetail` says
    what it waits for. `account` is `platform`, `simulator`, or your credential with the carrier. `configuredAt` is when the carrier was last
    told to tell us of its calls."""

    id: str
    phone_number: str
    friendly_name: str
    country: str
    region: str | None
    locality: str | None
    provider: str
    account: str
    capabilities: tuple[NumberFeature, ...]
    toll_free: bool
    monthly_cost_usd: float | None
    agent_id: str | None
    sms_agent_id: str | None
    trunk_id: str | None
    environment: Environment
    source: LineSource
    status: LineStatus
    status_detail: str | None
    configured_at: str | None
    created_at: str
    updated_at: str
    created_by: str | None

    @classmethod
    def of(cls, line: PhoneLine) -> "TelephonyNumberView":
        return cls(
            id=line.id,
            phone_number=line.phone_number,
            friendly_name=line.friendly_name,
            country=line.country,
            region=line.region,
            locality=line.locality,
            provider=line.provider,
            account=line.account,
            capabilities=line.capabilities,
            toll_free=line.toll_free,
            monthly_cost_usd=line.monthly_cost_usd,
            agent_id=line.agent_id,
            sms_agent_id=line.sms_agent_id,
            trunk_id=line.trunk_id,
            environment=line.environment,
            source=line.source,
            status=line.status,
            status_detail=line.status_detail,
            configured_at=None if line.configured_at is None else instant(line.configured_at),
            created_at=instant(line.created_at),
            updated_at=instant(line.updated_at),
            created_by=line.created_by,
        )


class DifferenceView(View, frozen=True, kw_only=True):
    """A setting at the carrier that keeps calls or texts from us, by the carrier's name of it."""

    setting: str
    expected: str
    found: str

    @classmethod
    def of(cls, difference: Difference) -> "DifferenceView":
        return cls(setting=difference.setting, expected=difference.expected, found=difference.found)


class NumberVerificationView(View, frozen=True, kw_only=True):
    """Whether the carrier tells us of a number's calls and texts. POST …/configure puts differences right."""

    verified: bool
    checked_at: str
    differences: tuple[DifferenceView, ...]

    @classmethod
    def of(cls, verification: Verification) -> "NumberVerificationView":
        return cls(
            verified=verification.verified,
            checked_at=instant(verification.at),
            differences=tuple(DifferenceView.of(one) for one in verification.differences),
        )


class LineUsageView(View, frozen=True, kw_only=True):
    """What went over one number one way. Each call's minutes are rounded up; `messages` are segments of texts."""

    phone_number: str | None
    provider: str
    channel: Channel
    direction: Direction
    conversations: int
    minutes: int
    seconds: float
    messages: int
    cost_usd: float

    @classmethod
    def of(cls, line: LineUsage) -> "LineUsageView":
        return cls(
            phone_number=line.phone_number,
            provider=line.provider,
            channel=line.channel,
            direction=line.direction,
            conversations=line.conversations,
            minutes=line.minutes,
            seconds=round(line.seconds, 3),
            messages=line.messages,
            cost_usd=float(line.cost_usd),
        )


class TelephonyUsageView(View, frozen=True, kw_only=True):
    """What carriers and messaging networks did for you in a period, in all and by number, the dearest first."""

    date_from: str | None
    date_to: str | None
    currency: str
    calls: int
    inbound_minutes: int
    outbound_minutes: int
    messages: int
    cost_usd: float
    lines: tuple[LineUsageView, ...]

    @classmethod
    def of(cls, lines: list[LineUsage], date_from: str | None, date_to: str | None) -> "TelephonyUsageView":
        calls = [line for line in lines if line.channel is Channel.PHONE]
        return cls(
            date_from=date_from,
            date_to=date_to,
            currency="USD",
            calls=sum(line.conversations for line in calls),
            inbound_minutes=sum(line.minutes for line in calls if line.direction is Direction.INBOUND),
            outbound_minutes=sum(line.minutes for line in calls if line.direction is Direction.OUTBOUND),
            messages=sum(line.messages for line in lines),
            cost_usd=float(sum((line.cost_usd for line in lines), Decimal(0))),
            lines=tuple(LineUsageView.of(line) for line in lines),
        )
