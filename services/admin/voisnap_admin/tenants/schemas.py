"""Tenants on the wire."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Owner, Tenant, TenantStatus, UsageLimits
from voisnap_kit.work import Work

from voisnap_admin.wire import Body, View, instant

from .records import BillingMode

Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]
Slug = Annotated[str, Meta(min_length=2, max_length=63, pattern=r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$")]
Plan = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
PersonName = Annotated[str, Meta(max_length=80)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class UsageLimitsBody(Body, frozen=True):
    """Limits of a tenant; null means no limit."""

    monthly_spend_limit_cents: Limit | None = None
    max_agents: Limit | None = None
    max_phone_numbers: Limit | None = None
    max_concurrent_calls: Limit | None = 20

    def to_limits(self) -> UsageLimits:
        return UsageLimits(**msgspec.structs.asdict(self))


class UsageLimitsPatch(Body, frozen=True):
    """Limits that change; null takes a limit away, a field left out stays."""

    monthly_spend_limit_cents: Limit | UnsetType | None = UNSET
    max_agents: Limit | UnsetType | None = UNSET
    max_phone_numbers: Limit | UnsetType | None = UNSET
    max_concurrent_calls: Limit | UnsetType | None = UNSET

    def applied_to(self, limits: UsageLimits) -> UsageLimits:
        return msgspec.structs.replace(limits, **_given(self))


class OwnerBody(Body, frozen=True):
    """The person a tenant belongs to."""

    email: Email
    first_name: PersonName = ""
    last_name: PersonName = ""

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.email


class CreateTenant(Body, frozen=True):
    """Body of `POST /tenants`."""

    name: Name
    slug: Slug
    plan: Plan = "starter"
    billing_mode: BillingMode = BillingMode.SELF_BILLED
    agency_id: str | None = None
    owner: OwnerBody | None = None
    usage_limits: UsageLimitsBody = UsageLimitsBody()

    def to_tenant(self, work: Work) -> Tenant:
        owner = Owner(id=work.new_id("usr"), email=self.owner.email, name=self.owner.full_name) if self.owner else None
        return Tenant(
            id=TenantId(work.new_id("ten")),
            name=self.name,
            slug=self.slug,
            status=TenantStatus.ACTIVE,
            plan=self.plan,
            agency_id=self.agency_id,
            billing_mode=self.billing_mode.value,
            usage_limits=self.usage_limits.to_limits(),
            owner=owner,
            created_at=work.now,
            updated_at=work.now,
        )


class PatchTenant(Body, frozen=True):
    """Body of `PATCH /tenants/{id}` (RFC 7396): a field left out stays."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    plan: Plan | UnsetType = UNSET
    billing_mode: BillingMode | UnsetType = UNSET
    agency_id: str | UnsetType | None = UNSET
    usage_limits: UsageLimitsPatch | UnsetType = UNSET

    def applied_to(self, tenant: Tenant) -> Tenant:
        changes = _given(self)
        if isinstance(self.usage_limits, UsageLimitsPatch):
            changes["usage_limits"] = self.usage_limits.applied_to(tenant.usage_limits)
        if isinstance(self.billing_mode, BillingMode):
            changes["billing_mode"] = self.billing_mode.value
        return msgspec.structs.replace(tenant, **changes)


class SuspendTenant(Body, frozen=True):
    """Body of `POST /tenants/{id}/suspend`."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class UsageLimitsView(View, frozen=True):
    """Limits of a tenant; null means no limit."""

    monthly_spend_limit_cents: int | None
    max_agents: int | None
    max_phone_numbers: int | None
    max_concurrent_calls: int | None

    @classmethod
    def of(cls, limits: UsageLimits) -> "UsageLimitsView":
        return cls(**msgspec.structs.asdict(limits))


class OwnerView(View, frozen=True):
    """The person a tenant belongs to."""

    id: str
    email: str
    name: str


class TenantView(View, frozen=True):
    """A tenant as the documentation shows it."""

    id: str
    name: str
    slug: str
    status: str
    plan: str
    agency_id: str | None
    billing_mode: str
    usage_limits: UsageLimitsView
    created_at: str
    updated_at: str
    owner: OwnerView | None

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantView":
        owner = tenant.owner
        return cls(
            id=tenant.id,
            name=tenant.name,
            slug=tenant.slug,
            status=tenant.status.value,
            plan=tenant.plan,
            agency_id=tenant.agency_id,
            billing_mode=tenant.billing_mode,
            usage_limits=UsageLimitsView.of(tenant.usage_limits),
            created_at=instant(tenant.created_at),
            updated_at=instant(tenant.updated_at),
            owner=OwnerView(id=owner.id, email=owner.email, name=owner.name) if owner else None,
        )


def _given(patch: msgspec.Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
