"""What handlers of several carriers share: reading forms and JSON, answering and refusing as they do."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response

MAX_BODY = 1024 * 1024
Form = dict[str, list[str]]


class Refused(Exception):
    """A request is answered with an error in the carrier's own words: the status and the document."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def refusal(_: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    """The answer of `Refused`."""
    return json_answer(refused.body, refused.status, refused.headers)


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A JSON document."""
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/json", headers=dict(headers or {})
    )


def empty_answer(status: int = 204) -> Response[None]:
    """A status and nothing else."""
    return Response(None, status_code=status)


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The fields of a form, in order, each with all its values."""
    fields: Form = {}
    for name, value in parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return fields


async def read_json(request: Request[Any, Any, Any]) -> dict[str, Any] | None:
    """A JSON object, empty for an empty body; None for anything else."""
    body = await request.body()
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
