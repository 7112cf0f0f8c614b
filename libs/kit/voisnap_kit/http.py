"""The HTTP application every service is built from: problem documents, request ids, traces, metrics, health, body limit, CORS."""

import asyncio
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import structlog
from litestar import Litestar, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.di import NamedDependency, Provide
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import QueryParameter
from litestar.types import ASGIApp, ControllerRouterHandler, HTTPScope, LifespanHook, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from voisnap_domain.errors import FieldError, Invalid

from . import log, problem, trace
from .cors import Cors, Origins
from .health import Check, DrainGate, LoopLag, readiness
from .ids import new_id
from .intake import Intake
from .json_body import JsonRequest

_log = log.get(__name__)

T = TypeVar("T")

API_VERSION = "1"
BODY_LIMIT = 1024 * 1024
ADDRESS_LIMIT = 16 * 1024
"""Bytes of a path with its query; 414 beyond."""
HEADERS_LIMIT = 32 * 1024
"""Bytes of all header fields together; 431 beyond."""
_OWN_ID = re.compile(r"^req_[A-Za-z0-9]{10,40}$")
_SANE_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]{7,63}$")
_LITESTARS_OPENAPI = "/.openapi"
"""Where Litestar's own documentation routes are put aside: they answer unknown paths below them with a page of HTML."""

_HEADERS_OF_TRACES = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
_QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

_SECONDS = Histogram(
    "voisnap_http_request_seconds",
    "Time from the request's head to the end of its answer",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_FAILED = Counter("voisnap_http_failures_total", "Answers with a status of 500 or more", ["route"])


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list, from 1 on; or what follows a cursor, for lists that give cursors."""

    page: int = 1
    page_size: int = 20
    cursor: str | None = None

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """The envelope of a list. `total` counts the items of all pages; `next_cursor` is there in lists that give cursors, null at the end."""

    data: tuple[T, ...]
    page: int
    page_size: int
    total: int
    total_pages: int
    next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET

    @classmethod
    def of(
        cls,
        data: Sequence[T],
        query: PageQuery,
        total: int,
        *,
        next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> "Page[T]":
        """The envelope around one page. Raises Invalid for a cursor where the list gives none."""
        if query.cursor is not None and next_cursor is msgspec.UNSET:
            detail = "cursor: this list gives no cursors; ask by page."
            raise Invalid((FieldError(pointer="?cursor", code="invalid", detail=detail),))
        return cls(
            data=tuple(data),
            page=query.page,
            page_size=query.page_size,
            total=total,
            total_pages=-(-total // query.page_size),
            next_cursor=next_cursor,
        )


InjectedPageQuery = NamedDependency[PageQuery]
"""Parameter `paging` of a list handler: `page` (from 1, default 1), `pageSize` (1 to 100, default 20) and `cursor` of the query."""


def page_query(
    page: Annotated[int, QueryParameter(ge=1, le=1_000_000, description="Page number, from 1 on")] = 1,
    page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=100, description="Items a page")] = 20,
    cursor: Annotated[
        str | None,
        QueryParameter(
            max_length=1000, description="`nextCursor` of the page before; in its place `page` counts for nothing"
        ),
    ] = None,
) -> PageQuery:
    """The page asked for; other values are refused with 422."""
    return PageQuery(page=page, page_size=page_size, cursor=cursor)


def cursor_of(*position: Any) -> str:
    """An opaque cursor that stands for the sort values of a page's last item."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def position_of(cursor: str, kind: type[T]) -> T:
    """The sort values behind a cursor, `kind` being a tuple type. Raises Invalid for anything that `cursor_of` did not make for it."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if b"\\u0000" in text:
            raise ValueError("no position holds NUL")
        return msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.DecodeError):
        detail = "cursor: must be the nextCursor of a page of this list, in the same order."
        raise Invalid((FieldError(pointer="?cursor", code="invalid", detail=detail),)) from None


def provide(value: Any) -> Provide:
    """A dependency that is always this value."""
    return Provide(lambda: value, sync_to_thread=False)


def build_app(
    route_handlers: Sequence[ControllerRouterHandler],
    *,
    service: str,
    checks: Mapping[str, Check],
    cors_origins: Sequence[str] = (),
    more_origins: Origins | None = None,
    layers: Sequence[Callable[[ASGIApp], ASGIApp]] = (),
    middleware: Sequence[ASGIMiddleware] = (),
    dependencies: Mapping[str, Provide] | None = None,
    on_startup: Sequence[LifespanHook] = (),
    on_shutdown: Sequence[LifespanHook] = (),
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
    openapi: OpenAPIConfig | None = None,
    body_limit: int = BODY_LIMIT,
    gate: DrainGate | None = None,
    **options: Any,
) -> Litestar:
    """A service's application. `checks` decide `/readyz`; `gate`, once closed, makes it fail while the process drains.

    `openapi` is served at its path + `/openapi.json`. The dependency `paging` is there for every handler. `layers` see every request
    and every answer, of unknown paths too, the last one first. `middleware` runs between routing and handler; `Intake` is put before
    it unless it is among it. Pages of `cors_origins` may read answers, and those that `more_origins` knows. `options` go to Litestar.
    """
    gate = gate or DrainGate()
    documents = (_document(f"{openapi.path}/openapi.json"),) if openapi is not None else ()
    app = Litestar(
        route_handlers=[*_operations({"draining": gate.check, **checks}), *documents, *route_handlers],
        dependencies={"paging": Provide(page_query, sync_to_thread=False), **(dependencies or {})},
        exception_handlers=problem.handlers(),
        on_startup=list(on_startup),
        on_shutdown=list(on_shutdown),
        lifespan=[_measure_loop, *lifespan],
        openapi_config=replace(openapi, path=_LITESTARS_OPENAPI, render_plugins=[JsonRenderPlugin()])
        if openapi
        else None,
        request_max_body_size=body_limit,
        request_class=JsonRequest,
        middleware=list(middleware) if any(isinstance(one, Intake) for one in middleware) else [Intake(), *middleware],
        compression_config=CompressionConfig(
            backend="brotli", brotli_gzip_fallback=True, minimum_size=1024, exclude_opt_key="uncompressed"
        ),
        logging_config=None,
        debug=False,
        **options,
    )
    _resolve_in_turn(app)
    routed = Entrance(app.asgi_handler, app.asgi_router.handle_routing)
    app.asgi_handler = edge(routed, layers, cors_origins, more_origins, service=service)
    return app


def edge(
    routed: ASGIApp,
    layers: Sequence[Callable[[ASGIApp], ASGIApp]],
    cors_origins: Sequence[str],
    more_origins: Origins | None,
    *,
    service: str,
) -> ASGIApp:
    """All that a request passes before it is routed."""
    for layer in layers:
        routed = layer(routed)
    return Edge(Cors(routed, cors_origins, more_origins), service=service)


def _resolve_in_turn(app: Litestar) -> None:
    """Several dependencies of a handler one after another: Litestar would start a task for each, and ours have nothing to wait for."""
    for route in app.routes:
        for _, model in getattr(route, "route_handler_map", {}).values():
            model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


class Edge:
    """What happens to every request before routing and after its answer: request id, trace, metrics, version header."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS_OF_TRACES
        }
        request_id = accepted_request_id(headers.pop("x-request-id", None))
        method = scope["method"]
        status = 500
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), (b"x-api-version", API_VERSION.encode())]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            trace.span(
                method, kind=SpanKind.SERVER, parent=trace.extract(headers), **{"voisnap.request_id": request_id}
            ) as span,
        ):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                route = str(scope.get("path_template") or "unmatched")
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {"http.request.method": method, "http.route": route, "http.response.status_code": status}
                )
                if status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                    _FAILED.labels(route).inc()
                _seconds(method, route, status).observe(time.perf_counter() - started)


@lru_cache(maxsize=1024)
def _seconds(method: str, route: str, status: int) -> Histogram:
    return _SECONDS.labels(method, route, str(status))


class Entrance:
    """Refuses addresses and headers beyond their limits, says which methods a path has, and answers HEAD wherever GET is answered
    (RFC 9110 §9.3.2)."""

    def __init__(self, app: ASGIApp, route: Callable[..., Any]) -> None:
        self._app = app
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := _too_large(scope)):
            await refusal(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and (allow := self._methods(scope["path"])):
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._has_own(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = HttpMethod.GET
        await self._app(scope, receive, send_without_body)

    def _methods(self, path: str) -> str | None:
        """What Allow says of a path; None where nothing is served."""
        try:
            self._route(path=normalize_path(path), method="TRACE")
        except HTTPException as error:
            fields = {name.lower(): value for name, value in (error.headers or {}).items()}
            allow = set(fields.get("allow", "").replace(",", " ").split())
            return ", ".join(sorted(allow | {"OPTIONS"} | ({"HEAD"} if "GET" in allow else set()))) if allow else None
        return None

    def _has_own(self, path: str) -> bool:
        try:
            self._route(path=normalize_path(path), method="HEAD")
        except HTTPException:
            return False
        return True


def _too_large(scope: HTTPScope) -> ASGIApp | None:
    """The refusal of an address or of headers that nobody needs."""
    if len(scope["raw_path"]) + len(scope["query_string"]) > ADDRESS_LIMIT:
        refusal = problem.problem(414, "uri-too-long", f"A path with its query may have at most {ADDRESS_LIMIT} bytes.")
    elif sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_LIMIT:
        detail = f"All headers together may have at most {HEADERS_LIMIT} bytes."
        refusal = problem.problem(431, "header-fields-too-large", detail)
    else:
        return None
    return problem.plain(refusal)


def accepted_request_id(given: str | None) -> str:
    """The client's request id if it looks like one, else a new one."""
    if given is not None and (_OWN_ID.match(given) or _SANE_ID.match(given)):
        return given
    return new_id("req")


def _operations(checks: Mapping[str, Check]) -> tuple[ControllerRouterHandler, ...]:
    @get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        """The loop turns."""
        return {"status": "ok"}

    @get("/readyz", include_in_schema=False)
    async def readyz() -> Response[bytes]:
        """Every dependency answers and there is room."""
        found = await readiness(checks)
        return Response(
            msgspec.json.encode(found),
            status_code=200 if found.is_ready else 503,
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    @get("/metrics", include_in_schema=False, media_type=CONTENT_TYPE_LATEST)
    async def metrics() -> bytes:
        """Prometheus text format."""
        return generate_latest()

    return (livez, readyz, metrics)


def _document(path: str) -> ControllerRouterHandler:
    @get(path, include_in_schema=False)
    async def openapi_document(request: Request[Any, Any, Any]) -> dict[str, Any]:
        """The OpenAPI document."""
        return request.app.openapi_schema.to_schema()

    return openapi_document


@asynccontextmanager
async def _measure_loop(_app: Litestar) -> AsyncGenerator[None]:
    async with background(LoopLag().run()):
        yield


@asynccontextmanager
async def background(*work: Any) -> AsyncGenerator[None]:
    """Run endless coroutines beside a block; they are cancelled and awaited at its end. One that fails before is logged and stays dead."""
    tasks = [asyncio.create_task(coroutine, name=getattr(coroutine, "__qualname__", None)) for coroutine in work]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        await _end(set(tasks))


async def _end(tasks: "set[asyncio.Task[Any]]") -> None:
    """Cancel until all have ended: `asyncio.wait_for` of Python 3.11, which the connection pool uses, can swallow a cancellation that
    comes as its wait is over."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.5)


def _report(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background.failed", task=task.get_name(), exc_info=error)
