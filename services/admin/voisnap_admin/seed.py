"""The first tenant of an installation, made by whoever sets it up; nobody is logged in then."""

from typing import Annotated

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment, Owner, Tenant, TenantStatus, UsageLimits
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system

from .tenants import usecases
from .tenants.records import BillingMode
from .tenants.schemas import TenantView


class SeedOwner(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who the tenant belongs to; an id of its own is made up when none is given."""

    email: str
    name: str = ""
    id: str | None = None


class SeedRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `seed` reads."""

    tenant_id: Annotated[str, msgspec.Meta(pattern=r"^ten_")]
    name: str
    slug: str
    plan: str = "enterprise"
    owner: SeedOwner | None = None


async def seed_tenant(database: Database, request: SeedRequest) -> TenantView:
    """Make the tenant if there is none with this id; an existing one stays as it is."""
    tenant_id = TenantId(request.tenant_id)
    async with begin_as_system(database, Caller.system(tenant_id, Environment.LIVE)) as work:
        owner = request.owner
        tenant = await usecases.introduce_tenant(
            work,
            Tenant(
                id=tenant_id,
                name=request.name,
                slug=request.slug,
                status=TenantStatus.ACTIVE,
                plan=request.plan,
                agency_id=None,
                billing_mode=BillingMode.SELF_BILLED.value,
                usage_limits=UsageLimits(),
                owner=Owner(id=owner.id or work.new_id("usr"), email=owner.email, name=owner.name or owner.email)
                if owner
                else None,
                created_at=work.now,
                updated_at=work.now,
            ),
        )
    return TenantView.of(tenant)
