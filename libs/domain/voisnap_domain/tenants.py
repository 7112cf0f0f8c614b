"""Tenants and their environments."""

from datetime import datetime
from enum import StrEnum

import msgspec

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
