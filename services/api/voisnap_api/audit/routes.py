"""`/api/v1/audit-log`."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter
from voisnap_kit.http import InjectedPageQuery, Page, cursor_of, position_of
from voisnap_kit.work import begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.periods import period

from . import usecases
from .records import AuditEntry, AuditFilter
from .schemas import AuditEntryView


class AuditController(Controller):
    """Who did what."""

    path = "/api/v1/audit-log"
    tags = ("Audit log",)

    @get("/", guards=[requires("audit:read")], opt={"policy": API_READ_HEAVY})
    async def list_entries(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        actor_id: Annotated[str | None, QueryParameter(name="actorId", description="Only this user's or key's")] = None,
        action: Annotated[str | None, QueryParameter(description="Only this, such as conversation.deleted")] = None,
        target_type: Annotated[str | None, QueryParameter(name="targetType", description="Only to such things")] = None,
        target_id: Annotated[str | None, QueryParameter(name="targetId", description="Only to this thing")] = None,
        date_from: Annotated[str | None, QueryParameter(name="dateFrom", description="On or after; ISO 8601")] = None,
        date_to: Annotated[str | None, QueryParameter(name="dateTo", description="On or before; ISO 8601")] = None,
    ) -> Page[AuditEntryView]:
        """List what was done in this environment and by whom, newest first."""
        wanted = AuditFilter(
            actor_id=actor_id,
            action=action,
            target_type=target_type,
            target_id=target_id,
            period=period(date_from, date_to),
        )
        async with begin(database, caller) as work:
            if paging.cursor is None:
                found, total = await usecases.list_entries(work, wanted, limit=paging.page_size, offset=paging.offset)
            else:
                after = position_of(paging.cursor, tuple[datetime, str])
                found, total = await usecases.list_entries_after(work, wanted, after=after, limit=paging.page_size)
        return Page.of(
            [AuditEntryView.of(one) for one in found], paging, total, next_cursor=_cursor(found, paging.page_size)
        )


def _cursor(found: list[AuditEntry], limit: int) -> str | None:
    """Where the next page begins; None behind the last."""
    return cursor_of(found[-1].at, found[-1].id) if len(found) == limit else None
