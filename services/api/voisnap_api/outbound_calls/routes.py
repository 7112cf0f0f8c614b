"""`/api/v1/outbound-calls`."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from voisnap_domain.ids import OutboundCallId
from voisnap_domain.outbound import OutboundStatus
from voisnap_kit.http import InjectedPageQuery, Page, cursor_of, position_of
from voisnap_kit.work import begin, begin_reading

from voisnap_api.gate import API_READ_HEAVY, OUTBOUND_CALLS, InjectedCaller, InjectedDatabase, requires
from voisnap_api.periods import period

from . import usecases
from .records import CallFilter, CallPosition
from .schemas import (
    BatchResult,
    CallSettingsBody,
    CallSettingsView,
    OutboundBatchBody,
    OutboundBatchView,
    OutboundCallBody,
    OutboundCallView,
)


class OutboundCallController(Controller):
    """Calls that agents place."""

    path = "/api/v1/outbound-calls"
    tags = ("Outbound calls",)

    @post("/", guards=[requires("calls:write")], opt={"policy": OUTBOUND_CALLS})
    async def create(
        self, data: JSONBody[OutboundCallBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[OutboundCallView]:
        """Have an agent call somebody, now or at a time: within the calling hours of where the number is, when a slot is free.

        Who does not answer is called again `maxRetries` times, `retryDelayMinutes` after the call ended; the status is `scheduled` in between.
        409 `number-on-do-not-call-list` for numbers that must not be called; 422 `number-not-allowed` for premium-rate numbers and their like
        and for numbers that agents answer, `country-not-allowed` for countries that are neither those of the tenant's numbers nor allowed.
        """
        await usecases.refuse_own_lines(database, caller, ((data.to_number, "/toNumber"),))
        async with begin(database, caller) as work:
            call = await usecases.create_call(work, data)
        headers = {"Location": f"/api/v1/outbound-calls/{call.id}"}
        return Response(OutboundCallView.of(call), status_code=201, headers=headers)

    @post("/batch", status_code=200, guards=[requires("calls:write")], opt={"policy": OUTBOUND_CALLS})
    async def batch(
        self, data: JSONBody[OutboundBatchBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> OutboundBatchView:
        """Have an agent call up to 1,000 numbers, each with its own metadata.

        All rows or none: a wrong field refuses the batch (422 names the rows). Numbers on the do-not-call list are left out, and say so in
        their result.
        """
        await usecases.refuse_own_lines(
            database, caller, [(row.to_number, f"/calls/{index}/toNumber") for index, row in enumerate(data.calls)]
        )
        async with begin(database, caller) as work:
            batch_id, results = await usecases.create_batch(work, data)
        refused = sum(refusal is not None for _, refusal in results)
        return OutboundBatchView(
            batch_id=batch_id,
            created=len(results) - refused,
            refused=refused,
            results=tuple(
                BatchResult(
                    index=index,
                    to_number=call.to_number,
                    id=None if refusal else call.id,
                    status=None if refusal else call.status,
                    error=refusal,
                )
                for index, (call, refusal) in enumerate(results)
            ),
        )

    @get("/", guards=[requires("calls:read")], opt={"policy": API_READ_HEAVY})
    async def list_calls(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        status: Annotated[OutboundStatus | None, QueryParameter(description="Only in this status")] = None,
        agent_id: Annotated[str | None, QueryParameter(name="agentId", description="Only this agent's")] = None,
        to_number: Annotated[str | None, QueryParameter(name="toNumber", description="Only to this number")] = None,
        campaign_id: Annotated[
            str | None, QueryParameter(name="campaignId", description="Only with this `campaignId` in their metadata")
        ] = None,
        batch_id: Annotated[str | None, QueryParameter(name="batchId", description="Only of this batch")] = None,
        date_from: Annotated[
            str | None, QueryParameter(name="dateFrom", description="Made on or after; ISO 8601")
        ] = None,
        date_to: Annotated[str | None, QueryParameter(name="dateTo", description="Made on or before; ISO 8601")] = None,
        sort_by: Annotated[Literal["createdAt"], QueryParameter(name="sortBy", description="By time")] = "createdAt",
        sort_order: Annotated[
            Literal["asc", "desc"], QueryParameter(name="sortOrder", description="Ascending or descending")
        ] = "desc",
    ) -> Page[OutboundCallView]:
        """List calls, newest first unless asked otherwise."""
        del sort_by  # there is one order
        wanted = CallFilter(
            status=status,
            agent_id=agent_id,
            to_number=None if to_number is None else "+" + to_number.lstrip(" +"),  # a bare plus arrives as a blank
            campaign_id=campaign_id,
            batch_id=batch_id,
            period=period(date_from, date_to),
        )
        after = None if paging.cursor is None else _position(paging.cursor)
        async with begin_reading(database, caller) as work:
            calls, total = await usecases.list_calls(
                work,
                wanted,
                after=after,
                limit=paging.page_size,
                offset=0 if after else paging.offset,
                ascending=sort_order == "asc",
            )
        cursor = cursor_of(calls[-1].created_at, calls[-1].id) if len(calls) == paging.page_size else None
        return Page.of([OutboundCallView.of(call) for call in calls], paging, total, next_cursor=cursor)

    @get("/settings", guards=[requires("calls:read")])
    async def settings(self, caller: InjectedCaller, database: InjectedDatabase) -> CallSettingsView:
        """Get when and how calls are placed in this environment."""
        async with begin_reading(database, caller) as work:
            return CallSettingsView.of(await usecases.get_settings(work))

    @put("/settings", guards=[requires("calls:write")])
    async def set_settings(
        self, data: JSONBody[CallSettingsBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> CallSettingsView:
        """Replace when and how calls are placed; what is left out gets its default. Holds for calls that wait, too.

        `machineDetection` is the carrier's, which it bills; our own listens in any case, as the agent's `voicemailDetection` says. Agents
        that want to know of no machines (`enabled: false`) are told of none.
        """
        settings = data.settings()
        async with begin(database, caller) as work:
            return CallSettingsView.of(await usecases.set_settings(work, settings))

    @get("/{call_id:str}", guards=[requires("calls:read")])
    async def read(
        self, call_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> OutboundCallView:
        """Get a call."""
        async with begin_reading(database, caller) as work:
            return OutboundCallView.of(await usecases.get_call(work, OutboundCallId(call_id)))

    @post("/{call_id:str}/cancel", status_code=200, guards=[requires("calls:write")])
    async def cancel(
        self, call_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> OutboundCallView:
        """Cancel a call that nobody has answered; one that rings stops ringing. 409 once somebody has, or when it is over."""
        async with begin(database, caller) as work:
            return OutboundCallView.of(await usecases.cancel_call(work, OutboundCallId(call_id)))


def _position(cursor: str) -> CallPosition:
    created_at, id = position_of(cursor, tuple[Annotated[datetime, msgspec.Meta(tz=True)], str])
    return CallPosition(created_at=created_at, id=id)
