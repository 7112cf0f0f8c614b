"""`/api/v1/admin/audit-log`."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.postgres import Database
from voisnap_kit.work import begin

from voisnap_admin.auth import InjectedCaller

from . import usecases
from .records import AuditFilter
from .schemas import AuditEntryView


class AuditController(Controller):
    """Who changed what."""

    path = "/api/v1/admin/audit-log"
    tags = ("Audit log",)

    @get()
    async def list_entries(
        self,
        caller: InjectedCaller,
        database: NamedDependency[Database],
        paging: InjectedPageQuery,
        action: FromQuery[str | None] = None,
        tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
        date_from: Annotated[datetime | None, QueryParameter(name="dateFrom")] = None,
        date_to: Annotated[datetime | None, QueryParameter(name="dateTo")] = None,
    ) -> Page[AuditEntryView]:
        """Changes made by operators, newest first."""
        wanted = AuditFilter(tenant_id=tenant_id, action=action, since=date_from, until=date_to)
        async with begin(database, caller) as work:
            entries, total = await usecases.list_entries(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([AuditEntryView.of(entry) for entry in entries], paging, total)
