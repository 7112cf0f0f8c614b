"""One call of the API: what is asked, whether it may be asked again, and what its answer means. No I/O here; the clients send."""

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from ._wire import UNSET, Result, decode, to_query, to_wire
from .errors import UnexpectedAnswer, api_error, seconds_of

T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
LONGEST_RETRY_AFTER = 60.0
"""A `Retry-After` beyond that is not waited for: the error is raised and tells it."""

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_IN_FLIGHT = "idempotency-in-flight"


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """A request and the type of its answer. `answer` is None for operations that answer nothing."""

    operation: str
    method: str
    path: str
    path_values: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = UNSET
    opaque: frozenset[str] = frozenset()
    headers: Mapping[str, str | None] = field(default_factory=dict)
    answer: Any = None
    idempotency_key: str | None = None

    def url(self) -> str:
        """The path with its values, each escaped."""
        return self.path.format_map({name: quote(str(value), safe="") for name, value in self.path_values.items()})

    def parameters(self) -> dict[str, str]:
        """The query on the wire."""
        return to_query(self.query)

    def content(self) -> bytes | None:
        """The body on the wire."""
        if self.body is UNSET:
            return None
        return json.dumps(to_wire(self.body, opaque=self.opaque), ensure_ascii=False, allow_nan=False).encode()

    def all_headers(self) -> dict[str, str]:
        """Headers of this call. A POST carries an idempotency key, so that sending it again does nothing twice."""
        own = {name: value for name, value in self.headers.items() if value is not None}
        if self.body is not UNSET:
            own["Content-Type"] = "application/json"
        if self.method == "POST":
            own["Idempotency-Key"] = self.idempotency_key or str(uuid.uuid4())
        return own

    def read(self, response: httpx.Response) -> T:
        """The answer as its type. Raises ApiError, UnexpectedAnswer."""
        if response.is_success:
            if self.answer is None or response.status_code == 204:
                return None  # type: ignore[return-value]
            return _tagged(decode(self.answer, _json_of(response)), response.headers.get("etag"))
        raise api_error(response.status_code, _problem_of(response), response.headers)


def pause_before_retry(call: "Call[Any]", response: httpx.Response, attempt: int) -> float | None:
    """Seconds until the call may be sent again after this answer; None when it must not be."""
    status = response.status_code
    # A PATCH that the server worked on may have been applied: only refusals that say "not now" are repeated.
    again = status in ({429, 503} if call.method == "PATCH" else _AGAIN) or (
        status == 409 and str(_problem_or_nothing(response).get("type", "")).endswith(_IN_FLIGHT)
    )
    if not again:
        return None
    told = seconds_of(response.headers.get("retry-after"))
    if told is not None:
        return told if told <= LONGEST_RETRY_AFTER else None
    return pause(attempt)


def may_repeat_after_break(call: "Call[Any]", error: httpx.TransportError) -> bool:
    """Whether a call whose connection broke may be sent again: if it never left, or if doing it twice is like doing it once."""
    never_left = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return never_left or call.method != "PATCH"


def pause(attempt: int) -> float:
    """Exponential backoff with full jitter."""
    return random.uniform(0.1, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))  # noqa: S311 - a pause, no secret


def _tagged(result: Any, etag: str | None) -> Any:
    return replace(result, etag=etag) if etag and isinstance(result, Result) else result


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise _unexpected(response) from None


def _problem_of(response: httpx.Response) -> Mapping[str, Any]:
    problem = _problem_or_nothing(response)
    if not problem:
        raise _unexpected(response)
    return problem


def _problem_or_nothing(response: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) and ("type" in problem or "title" in problem) else {}


def _unexpected(response: httpx.Response) -> UnexpectedAnswer:
    beginning = response.text[:500]
    return UnexpectedAnswer(
        f"{response.request.method} {response.request.url.path} answered {response.status_code} with something that is no "
        f"document of the API: {beginning[:120]!r}",
        status=response.status_code,
        body=beginning,
    )
