"""Lists that load their pages as they are read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from ._calls import Call
from ._wire import decode
from .errors import VoisnapError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list. `total` counts the items of all pages; `next_cursor` is None on the last one, or where a list has no cursors."""

    data: tuple[T, ...]
    page: int
    page_size: int
    total: int
    total_pages: int
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def page_of(item: Any, answer: Any) -> Page[Any]:
    """The envelope of a list."""
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        raise VoisnapError("the API answered a list without its envelope")
    return Page(
        data=tuple(decode(item, one) for one in answer["data"]),
        page=int(answer.get("page") or 1),
        page_size=int(answer.get("pageSize") or len(answer["data"]) or 1),
        total=int(answer.get("total") or 0),
        total_pages=int(answer.get("totalPages") or 0),
        next_cursor=answer.get("nextCursor"),
    )


def _first(call: Call[Any], page: int) -> Call[Any]:
    return replace(call, query={**call.query, "page": page, "cursor": None})


def _beginning(call: Call[Any]) -> Call[Any]:
    """Where the caller wants to begin: at a page or cursor of the query, else at the first page."""
    return call if any(call.query.get(name) is not None for name in ("page", "cursor")) else _first(call, 1)


def _next(call: Call[Any], page: Page[Any]) -> Call[Any] | None:
    """The call for the page after this one. A cursor keeps its place when the list changes meanwhile; page numbers don't."""
    if page.next_cursor:
        return replace(call, query={**call.query, "page": None, "cursor": page.next_cursor})
    if page.next_cursor is None and page.data and page.page < page.total_pages:
        return replace(call, query={**call.query, "page": page.page + 1, "cursor": None})
    return None


class PagedList(Generic[T]):
    """Iterate over it and the pages are loaded as needed; each iteration begins anew."""

    def __init__(self, call: Call[Any], item: Any, send: Callable[[Call[Any]], Any]) -> None:
        self._call = call
        self._item = item
        self._send = send

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data

    def pages(self) -> Iterator[Page[T]]:
        """Page by page."""
        call: Call[Any] | None = _beginning(self._call)
        while call is not None:
            page = page_of(self._item, self._send(call))
            yield page
            call = _next(call, page)

    def page(self, number: int = 1) -> Page[T]:
        """One page, from 1 on."""
        return page_of(self._item, self._send(_first(self._call, number)))

    @property
    def total(self) -> int:
        """How many items there are in all; asks the API each time."""
        return self.page(1).total


class AsyncPagedList(Generic[T]):
    """Iterate over it with `async for` and the pages are loaded as needed; each iteration begins anew."""

    def __init__(self, call: Call[Any], item: Any, send: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        self._call = call
        self._item = item
        self._send = send

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.data:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page."""
        call: Call[Any] | None = _beginning(self._call)
        while call is not None:
            page = page_of(self._item, await self._send(call))
            yield page
            call = _next(call, page)

    async def page(self, number: int = 1) -> Page[T]:
        """One page, from 1 on."""
        return page_of(self._item, await self._send(_first(self._call, number)))

    async def total(self) -> int:
        """How many items there are in all; asks the API each time."""
        return (await self.page(1)).total

    async def to_list(self) -> list[T]:
        """All items."""
        return [item async for item in self]
