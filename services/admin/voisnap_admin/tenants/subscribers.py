"""Answers the API, which asks for the tenants of people who registered."""

from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_kit.bus import EventBus, Subscription
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.requests import CREATE_TENANT, CreateTenant, TenantReady

from . import usecases
from .records import BillingMode

QUEUE = "admin"


async def subscribe(bus: EventBus, database: Database) -> Subscription:
    """Answer until the subscription is closed; the processes of the admin service share the requests."""

    async def create(request: CreateTenant) -> TenantReady:
        return await on_create_tenant(database, request)

    return await bus.respond(CREATE_TENANT, QUEUE, CreateTenant, create)


async def on_create_tenant(database: Database, request: CreateTenant) -> TenantReady:
    """Make the tenant unless it is there. Raises Conflict `slug-taken`."""
    async with begin_as_system(database, Caller.system(request.tenant_id, Environment.LIVE)) as work:
        tenant = await usecases.introduce_tenant(
            work,
            Tenant(
                id=request.tenant_id,
                name=request.name,
                slug=request.slug,
                status=TenantStatus.ACTIVE,
                plan=request.plan,
                agency_id=None,
                billing_mode=BillingMode.SELF_BILLED.value,
                usage_limits=UsageLimits(),
                owner=request.owner,
                created_at=work.now,
                updated_at=work.now,
            ),
        )
    return TenantReady(tenant=tenant)
