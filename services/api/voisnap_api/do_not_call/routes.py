"""`/api/v1/do-not-call`."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from voisnap_kit.http import InjectedPageQuery, Page, cursor_of, position_of
from voisnap_kit.work import begin, begin_reading

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .records import Listed, ListPosition
from .schemas import DoNotCallBody, DoNotCallImport, DoNotCallImported, DoNotCallView


class DoNotCallController(Controller):
    """Numbers that no agent calls."""

    path = "/api/v1/do-not-call"
    tags = ("Outbound calls",)

    @post("/", guards=[requires("calls:write")])
    async def create(
        self, data: JSONBody[DoNotCallBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[DoNotCallView]:
        """Put a number on the list: calls to it are refused, and those that wait are not placed. One that is there stays as it is."""
        async with begin(database, caller) as work:
            listed, _ = await usecases.list_number(work, data.phone_number, reason=data.reason, source=data.source)
        place = f"/api/v1/do-not-call/{listed.phone_number}"
        return Response(DoNotCallView.of(listed), status_code=201, headers={"Location": place})

    @post("/import", status_code=200, guards=[requires("calls:write")])
    async def import_numbers(
        self, data: JSONBody[DoNotCallImport], caller: InjectedCaller, database: InjectedDatabase
    ) -> DoNotCallImported:
        """Put up to 10,000 numbers on the list at once: all of them or, where one is no number, none."""
        async with begin(database, caller) as work:
            added = await usecases.import_numbers(work, data.phone_numbers, reason=data.reason, source=data.source)
        return DoNotCallImported(added=added, already_listed=len(data.phone_numbers) - added)

    @get("/", guards=[requires("calls:read")], opt={"policy": API_READ_HEAVY})
    async def list_numbers(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        search: Annotated[
            str | None, QueryParameter(max_length=20, description="Only numbers that contain this")
        ] = None,
        source: Annotated[str | None, QueryParameter(max_length=50, description="Only from this source")] = None,
    ) -> Page[DoNotCallView]:
        """List the numbers, newest first."""
        after = None if paging.cursor is None else _position(paging.cursor)
        async with begin_reading(database, caller) as work:
            found, total = await usecases.list_listed(
                work,
                search=search or None,
                source=source or None,
                after=after,
                limit=paging.page_size,
                offset=0 if after else paging.offset,
            )
        cursor = _cursor(found[-1]) if len(found) == paging.page_size else None
        return Page.of([DoNotCallView.of(one) for one in found], paging, total, next_cursor=cursor)

    @get("/{phone_number:str}", guards=[requires("calls:read")])
    async def read(
        self, phone_number: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> DoNotCallView:
        """Whether a number is on the list: 404 when it is not."""
        async with begin_reading(database, caller) as work:
            return DoNotCallView.of(await usecases.get_listed(work, phone_number))

    @delete("/{phone_number:str}", guards=[requires("calls:write")])
    async def remove(self, phone_number: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> None:
        """Take a number off the list. Make sure that whoever it belongs to wants to be called."""
        async with begin(database, caller) as work:
            await usecases.unlist_number(work, phone_number)


def _cursor(listed: Listed) -> str:
    return cursor_of(listed.created_at, listed.phone_number)


def _position(cursor: str) -> ListPosition:
    created_at, phone_number = position_of(cursor, tuple[Annotated[datetime, msgspec.Meta(tz=True)], str])
    return ListPosition(created_at=created_at, phone_number=phone_number)
