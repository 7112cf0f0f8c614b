"""Tenants and their environments."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from .errors import Conflict
from .ids import TenantId


class Environment(StrEnum):
    """Fully separate data of one tenant; selected by the credential."""

    LIVE = "live"
    SANDBOX = "sandbox"


class TenantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class UsageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a tenant's plan; None means no limit."""

    monthly_spend_limit_cents: int | None = None
    max_agents: int | None = None
    max_phone_numbers: int | None = None
    max_concurrent_calls: int | None = 20


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The person a tenant belongs to."""

    id: str
    email: str
    name: str


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of the platform. Written by the admin service alone; others keep a projection."""

    id: TenantId
    name: str
    slug: str
    status: TenantStatus
    plan: str
    agency_id: str | None
    billing_mode: str
    usage_limits: UsageLimits
    owner: Owner | None
    created_at: datetime
    updated_at: datetime

    def suspended(self, at: datetime) -> "Tenant":
        """May open no more sessions; those in progress go on. Raises Conflict."""
        return self._moved(TenantStatus.SUSPENDED, at, unless=(TenantStatus.SUSPENDED, TenantStatus.DELETED))

    def resumed(self, at: datetime) -> "Tenant":
        """May open sessions again. Raises Conflict."""
        return self._moved(TenantStatus.ACTIVE, at, unless=(TenantStatus.ACTIVE, TenantStatus.DELETED))

    def deleted(self, at: datetime) -> "Tenant":
        """To be purged after its grace time. Raises Conflict."""
        return self._moved(TenantStatus.DELETED, at, unless=(TenantStatus.DELETED,))

    def limited(self, limits: UsageLimits, at: datetime) -> "Tenant":
        """With other limits. Raises Conflict for a deleted tenant."""
        if self.status is TenantStatus.DELETED:
            raise Conflict("The tenant is deleted.", code="tenant-deleted")
        return msgspec.structs.replace(self, usage_limits=limits, updated_at=self._after(at))

    def _moved(self, to: TenantStatus, at: datetime, *, unless: tuple[TenantStatus, ...]) -> "Tenant":
        if self.status in unless:
            raise Conflict(f"The tenant is {self.status}.", code=f"tenant-{self.status}")
        return msgspec.structs.replace(self, status=to, updated_at=self._after(at))

    def _after(self, at: datetime) -> datetime:
        """`at`, but later than the last change: who follows a tenant's changes orders them by `updated_at`."""
        return max(at, self.updated_at + timedelta(microseconds=1))
