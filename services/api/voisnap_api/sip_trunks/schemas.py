"""SIP trunks on the wire. Passwords come in, or go out once."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.tenants import Environment
from voisnap_providers.ports.trunks import Origination

from voisnap_api.phone_numbers.schemas import CarrierName
from voisnap_api.wire import Body, View, instant

from .building import Built
from .records import SipTrunk, TrunkStatus, TrunkTest

Name = Annotated[str, Meta(min_length=1, max_length=100)]
SipUri = Annotated[str, Meta(max_length=300, description="Such as sip:pbx.example.com:5060;transport=tls")]
Addresses = Annotated[
    tuple[Annotated[str, Meta(max_length=50)], ...],
    Meta(max_length=20, description="IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28"),
]
Numbers = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
    Meta(max_length=100, description="Ids of your numbers whose calls go over the trunk; no agent answers them"),
]


class OriginationBody(Body, frozen=True, kw_only=True):
    """Where calls to the trunk's numbers go: the lowest `priority` first, among equals by `weight`."""

    sip_uri: SipUri
    priority: Annotated[int, Meta(ge=0, le=65535)] = 10
    weight: Annotated[int, Meta(ge=1, le=65535)] = 10

    def to_domain(self) -> Origination:
        return Origination(sip_uri=self.sip_uri, priority=self.priority, weight=self.weight)


Originations = Annotated[tuple[OriginationBody, ...], Meta(max_length=10)]


class TrunkCredentialsBody(Body, frozen=True, kw_only=True):
    """What your servers log in with. Without a `password` one is made, and shown in this answer alone."""

    username: Annotated[str, Meta(min_length=1, max_length=100)]
    password: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class SipTrunkBody(Body, frozen=True, kw_only=True):
    """A trunk. Twilio takes all of it; Telnyx credentials, or addresses, or one host name; Vonage exactly one `origination`."""

    name: Name
    provider: CarrierName  # type: ignore[valid-type]
    origination: Originations = ()
    credentials: TrunkCredentialsBody | None = None
    allowed_ips: Addresses = ()
    numbers: Numbers = ()


class SipTrunkPatch(Body, frozen=True, kw_only=True):
    """What to change. Lists replace those that were there; `credentials: null` takes them off. An empty patch tries again what failed."""

    name: Name | UnsetType = UNSET
    origination: Originations | UnsetType = UNSET
    credentials: TrunkCredentialsBody | UnsetType | None = UNSET
    allowed_ips: Addresses | UnsetType = UNSET
    numbers: Numbers | UnsetType = UNSET


class OriginationView(View, frozen=True, kw_only=True):
    """Where calls to the trunk's numbers go."""

    sip_uri: str
    priority: int
    weight: int


class TrunkCredentialsView(View, frozen=True, kw_only=True):
    """What your servers log in with; the password is kept nowhere, and here when it has just been set."""

    username: str
    password: str | None


class TrunkPartView(View, frozen=True, kw_only=True):
    """One part of a trunk, as the carrier has it."""

    part: str
    ok: bool
    detail: str


class TrunkTestView(View, frozen=True, kw_only=True):
    """What the carrier knew of a trunk."""

    at: str
    ok: bool
    parts: tuple[TrunkPartView, ...]

    @classmethod
    def of(cls, test: TrunkTest) -> "TrunkTestView":
        parts = tuple(TrunkPartView(part=one.part, ok=one.is_well, detail=one.detail) for one in test.parts)
        return cls(at=instant(test.at), ok=test.is_well, parts=parts)


class SipTrunkView(View, frozen=True, kw_only=True):
    """A trunk. Your servers call out at `sipDomain`. `status` is `failed` where the carrier has not all of it; `statusDetail` says why."""

    id: str
    name: str
    provider: str
    account: str
    environment: Environment
    origination: tuple[OriginationView, ...]
    credentials: TrunkCredentialsView | None
    allowed_ips: tuple[str, ...]
    numbers: tuple[str, ...]
    sip_domain: str
    status: TrunkStatus
    status_detail: str | None
    last_test: TrunkTestView | None
    created_at: str
    updated_at: str
    created_by: str | None

    @classmethod
    def of(cls, trunk: SipTrunk, numbers: tuple[str, ...], *, password: str | None = None) -> "SipTrunkView":
        return cls(
            id=trunk.id,
            name=trunk.name,
            provider=trunk.provider,
            account=trunk.account,
            environment=trunk.environment,
            origination=tuple(
                OriginationView(sip_uri=one.sip_uri, priority=one.priority, weight=one.weight)
                for one in trunk.origination
            ),
            credentials=(
                None if trunk.username is None else TrunkCredentialsView(username=trunk.username, password=password)
            ),
            allowed_ips=trunk.allowed_ips,
            numbers=numbers,
            sip_domain=trunk.sip_domain,
            status=trunk.status,
            status_detail=trunk.status_detail,
            last_test=None if trunk.last_test is None else TrunkTestView.of(trunk.last_test),
            created_at=instant(trunk.created_at),
            updated_at=instant(trunk.updated_at),
            created_by=trunk.created_by,
        )

    @classmethod
    def of_built(cls, built: Built) -> "SipTrunkView":
        return cls.of(built.trunk, tuple(line.id for line in built.numbers), password=built.password)
