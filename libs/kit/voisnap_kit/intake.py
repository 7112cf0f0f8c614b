"""What is looked at before a request is worked on: its size, its coding, what it would take as an answer, and NUL in its address."""

from typing import Any
from urllib.parse import parse_qsl

from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from voisnap_domain.errors import FieldError, Invalid

_ANSWERS = ("*/*", "application/*", "application/json", "application/problem+json")


class Intake(ASGIMiddleware):
    """Refuses with 413, 415, 406, 422 or 404 what no handler could make sense of."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through or raise."""
        if scope["type"] == "http":
            handler: Any = scope["route_handler"]
            for name, value in scope["headers"]:
                match name:
                    case b"content-length":
                        _check_length(handler, value)
                    case b"content-encoding":
                        _check_coding(value)
                    case b"accept" if b"*/*" not in value:
                        _check_accept(handler, value.decode("latin-1"))
            if b"%00" in scope["query_string"]:
                _refuse_nul(scope["query_string"])
            if "\0" in scope["path"]:
                raise NotFoundException
        await next_app(scope, receive, send)


def _check_length(handler: HTTPRouteHandler, value: bytes) -> None:
    """Also where nothing reads the body. A body without a length is counted while it is read."""
    limit = handler.resolve_request_max_body_size()
    if limit is not None and value.isdigit() and int(value) > limit:
        raise HTTPException(status_code=413, detail=f"A body may have at most {limit} bytes here.")


def _check_coding(value: bytes) -> None:
    if value.strip().lower() not in {b"", b"identity"}:
        raise HTTPException(
            status_code=415, detail="Send the body without Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )


def _check_accept(handler: Any, value: str) -> None:
    """A handler answers with JSON unless it names another media type, or none at all by `opt={"any_answer": True}` (RFC 9110 §12.5.1)."""
    if handler.media_type not in {"", "application/json"} or handler.opt.get("any_answer"):
        return
    for part in value.lower().split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        refused = any(text.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for text in parameters)
        if kind in _ANSWERS and not refused:
            return
    if value.strip():
        raise HTTPException(status_code=406, detail="The answer is application/json; Accept allows no such type.")


def _refuse_nul(query: bytes) -> None:
    names = {name for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if "\0" in name + value}
    detail = "Must not contain the character U+0000."
    raise Invalid(
        tuple(
            FieldError(pointer="?" + name.replace("\0", ""), code="wrong-format", detail=detail)
            for name in sorted(names)
        )
    )
