"""`/api/v1/admin/tenants`."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant, TenantStatus
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.postgres import Database
from voisnap_kit.work import begin

from voisnap_admin.auth import InjectedCaller

from . import usecases
from .records import SortOrder, TenantFilter, TenantOrder
from .schemas import (
    CreateTenant,
    PatchTenant,
    SuspendTenant,
    TenantView,
    UsageLimitsBody,
    UsageLimitsPatch,
    UsageLimitsView,
)

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="Change only this version (an ETag)")]
InjectedDatabase = NamedDependency[Database]

PATH = "/api/v1/admin/tenants"


class TenantController(Controller):
    """The customers of the platform."""

    path = PATH
    tags = ("Tenants",)

    @post(status_code=201)
    async def create(
        self, data: JSONBody[CreateTenant], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[TenantView]:
        """Add a tenant. It may open sessions within two seconds."""
        async with begin(database, caller) as work:
            tenant = await usecases.create_tenant(work, data.to_tenant(work))
        return _answer(tenant, headers={"Location": f"{PATH}/{tenant.id}"})

    @get()
    async def list_tenants(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        status: FromQuery[TenantStatus | None] = None,
        plan: FromQuery[str | None] = None,
        agency_id: Annotated[str | None, QueryParameter(name="agencyId")] = None,
        search: Annotated[str | None, QueryParameter(max_length=120, description="Part of the name or slug")] = None,
        sort_by: Annotated[TenantOrder, QueryParameter(name="sortBy")] = TenantOrder.CREATED_AT,
        sort_order: Annotated[SortOrder, QueryParameter(name="sortOrder")] = SortOrder.DESC,
    ) -> Page[TenantView]:
        """All tenants but deleted ones, newest first."""
        wanted = TenantFilter(
            status=status, plan=plan, agency_id=agency_id, search=search, order=sort_by, direction=sort_order
        )
        async with begin(database, caller) as work:
            tenants, total = await usecases.list_tenants(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([TenantView.of(tenant) for tenant in tenants], paging, total)

    @get("/{tenant_id:str}")
    async def get_tenant(
        self, tenant_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[TenantView]:
        """One tenant."""
        async with begin(database, caller) as work:
            tenant = await usecases.get_tenant(work, TenantId(tenant_id))
        return _answer(tenant)

    @patch("/{tenant_id:str}")
    async def change(
        self,
        tenant_id: FromPath[str],
        data: JSONBody[PatchTenant],
        caller: InjectedCaller,
        database: InjectedDatabase,
        if_match: IfMatch = None,
    ) -> Response[TenantView]:
        """Change a tenant's name, slug, plan, agency, billing mode or limits."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            tenant = await usecases.change_tenant(work, before, data.applied_to(before))
        return _answer(tenant)

    @post("/{tenant_id:str}/suspend", status_code=200)
    async def suspend(
        self,
        tenant_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        data: JSONBody[SuspendTenant | None] = None,
        if_match: IfMatch = None,
    ) -> Response[TenantView]:
        """Refuse the tenant's next sessions. Calls in progress go on."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            tenant = await usecases.suspend_tenant(work, before, data.reason if data else None)
        return _answer(tenant)

    @post("/{tenant_id:str}/resume", status_code=200)
    async def resume(
        self, tenant_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase, if_match: IfMatch = None
    ) -> Response[TenantView]:
        """Allow sessions again."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            tenant = await usecases.resume_tenant(work, before)
        return _answer(tenant)

    @delete("/{tenant_id:str}", status_code=204)
    async def remove(
        self, tenant_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase, if_match: IfMatch = None
    ) -> None:
        """Mark a tenant as deleted. Its data is purged after the grace time."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            await usecases.delete_tenant(work, before)

    @get("/{tenant_id:str}/limits")
    async def get_limits(
        self, tenant_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> UsageLimitsView:
        """A tenant's limits; null means no limit."""
        async with begin(database, caller) as work:
            tenant = await usecases.get_tenant(work, TenantId(tenant_id))
        return UsageLimitsView.of(tenant.usage_limits)

    @put("/{tenant_id:str}/limits")
    async def replace_limits(
        self,
        tenant_id: FromPath[str],
        data: JSONBody[UsageLimitsBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        if_match: IfMatch = None,
    ) -> UsageLimitsView:
        """Replace all limits; one left out gets its default."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            tenant = await usecases.set_limits(work, before, data.to_limits())
        return UsageLimitsView.of(tenant.usage_limits)

    @patch("/{tenant_id:str}/limits")
    async def change_limits(
        self,
        tenant_id: FromPath[str],
        data: JSONBody[UsageLimitsPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
        if_match: IfMatch = None,
    ) -> UsageLimitsView:
        """Change some limits; null takes one away."""
        async with begin(database, caller) as work:
            before = await usecases.load_for_change(work, TenantId(tenant_id), if_match)
            tenant = await usecases.set_limits(work, before, data.applied_to(before.usage_limits))
        return UsageLimitsView.of(tenant.usage_limits)


def _answer(tenant: Tenant, headers: dict[str, str] | None = None) -> Response[TenantView]:
    return Response(TenantView.of(tenant), headers={"ETag": usecases.etag_of(tenant), **(headers or {})})
