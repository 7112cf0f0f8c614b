"""Problem documents (RFC 9457, which replaced RFC 7807): the one place where errors become HTTP answers."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send
from voisnap_domain import errors
from voisnap_domain.errors import DomainError, FieldError

from . import log, parameters, trace
from .failures import Unavailable
from .json_body import body_faults

_log = log.get(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_URL = "https://docs.voisnap.ai/errors/"

_STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Invalid, 422),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.PreconditionFailed, 412),
    (errors.LimitReached, 429),
    (DomainError, 400),
)
_STATUS_OF_CODE = {"node-full": 503, "temporarily-unavailable": 503}
"""Codes whose status is not that of their class: no tenant is at fault when a node has no room."""

_TITLES = {
    "not-found": "Resource Not Found",
    "unauthorized": "Authentication Required",
    "validation-failed": "Validation Failed",
    "internal-error": "Internal Error",
}
_SLUGS = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    408: "request-timeout",
    413: "payload-too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
    429: "rate-limit-exceeded",
    431: "header-fields-too-large",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of every answer that is not a success. `trace_id` is what to quote to support."""

    type: str
    title: str
    status: int
    detail: str
    trace_id: str
    errors: tuple[FieldError, ...] = ()
    base_url: str | None = None


def problem(
    status: int,
    slug: str,
    detail: str,
    *,
    title: str | None = None,
    errors: tuple[FieldError, ...] = (),
    base_url: str | None = None,
) -> Problem:
    """A problem document in the current trace."""
    return Problem(
        type=TYPE_URL + slug,
        title=title or _TITLES.get(slug) or slug.replace("-", " ").title(),
        status=status,
        detail=detail,
        trace_id=trace.trace_id(),
        errors=errors,
        base_url=base_url,
    )


def of_domain_error(error: DomainError) -> tuple[Problem, dict[str, str]]:
    """The document and the headers that belong to a caller's fault."""
    status = _STATUS_OF_CODE.get(error.code) or next(status for kind, status in _STATUS if isinstance(error, kind))
    headers: dict[str, str] = {}
    if isinstance(error, errors.LimitReached) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="voisnap"'
    faults = error.errors if isinstance(error, errors.Invalid) else ()
    detail = f"{len(faults)} fields are wrong." if len(faults) > 1 else error.detail
    return problem(status, error.code, detail, errors=faults), headers


def handlers() -> ExceptionHandlersMap:
    """Litestar's exception handlers for every kind of error."""
    return {
        DomainError: _on_domain_error,
        ValidationException: _on_invalid_request,
        SerializationException: _on_malformed_body,
        HTTPException: _on_http_exception,
        Unavailable: _on_unavailable,
        Exception: _on_bug,
    }


def response(document: Problem, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """The answer that carries a document."""
    return Response(
        content=msgspec.json.encode(document),
        status_code=document.status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def plain(document: Problem, headers: Mapping[str, str] | None = None) -> ASGIApp:
    """The same for what answers before Litestar does."""
    body = msgspec.json.encode(document)
    fields = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": document.status, "headers": raw})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer


def _on_domain_error(_request: Request[Any, Any, Any], error: DomainError) -> Response[bytes]:
    return response(*of_domain_error(error))


def _on_invalid_request(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    faults = (*parameters.faults(request), *body_faults(request.scope))
    if (
        not faults
        and error.extra
        and any(isinstance(fault, dict) and fault.get("key") == "data" for fault in error.extra)
    ):
        faults = (FieldError(pointer="", code="required", detail="A JSON body is required."),)
    if not faults:
        faults = (FieldError(pointer="", code="invalid", detail=error.detail),)
    detail = faults[0].detail if len(faults) == 1 else f"{len(faults)} fields are wrong."
    return response(problem(422, "validation-failed", detail, errors=faults))


def _on_malformed_body(_request: Request[Any, Any, Any], _error: SerializationException) -> Response[bytes]:
    return response(problem(400, "malformed-json", "The body is not valid JSON.", title="Malformed JSON"))


def _on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if isinstance(error.__cause__, SerializationException):
        return _on_malformed_body(request, error.__cause__)
    if error.status_code >= 500:
        return _on_bug(request, error)
    slug = _SLUGS.get(error.status_code, "bad-request")
    detail = f"Nothing is served at {request.url.path}." if error.status_code == 404 else error.detail
    return response(problem(error.status_code, slug, detail), error.headers)


def _on_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.warning("request.unavailable", path=request.url.path, error=repr(error))
    document = problem(503, "temporarily-unavailable", "A part of the platform does not answer; try again in a moment.")
    return response(document, {"Retry-After": "1"})


def _on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return response(
        problem(
            500, "internal-error", "The request failed because of a fault on our side; quote the trace id to support."
        )
    )
