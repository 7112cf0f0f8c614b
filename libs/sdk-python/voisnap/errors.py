"""What can go wrong. Every error of this package is a `VoisnapError`; every answer of the API that is no success an `ApiError`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class VoisnapError(Exception):
    """Any failure of this package."""


class ConfigurationError(VoisnapError):
    """The client was made without a credential, or with one that makes no sense."""


class SecondFactorNeeded(VoisnapError):
    """The password was right and a second factor is wanted: `token` for `auth.mfa.verify`, and the `methods` it takes."""

    def __init__(self, token: str, methods: tuple[str, ...]) -> None:
        super().__init__(f"a second factor is needed: {', '.join(methods)}")
        self.token = token
        self.methods = methods


class ConnectionFailed(VoisnapError):
    """The platform could not be reached, or the connection broke before the answer; tried again as often as allowed."""


class RequestTimeout(ConnectionFailed):
    """No answer within the client's timeout."""


class UnexpectedAnswer(VoisnapError):
    """The answer is not what the API documents: a proxy's page, a broken body. `status` and the beginning of the `body` tell more."""

    def __init__(self, message: str, *, status: int, body: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


@dataclass(frozen=True)
class FieldError:
    """One wrong field: a JSON pointer (`/voice/voiceId`) or a parameter (`?pageSize`), a stable code, and what is wrong in words."""

    pointer: str
    code: str
    detail: str


class ApiError(VoisnapError):
    """A problem document (RFC 9457). `code` is the last part of its `type`, such as `agent-inactive`."""

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.type = str(problem.get("type", ""))
        self.code = self.type.rpartition("/")[2]
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.trace_id: str | None = problem.get("traceId")
        self.request_id: str | None = headers.get("x-request-id")
        self.errors = tuple(
            FieldError(str(one.get("pointer", "")), str(one.get("code", "")), str(one.get("detail", "")))
            for one in problem.get("errors", ())
            if isinstance(one, Mapping)
        )
        fields = "".join(f"\n  {one.pointer}: {one.detail}" for one in self.errors)
        trace = f" ({self.trace_id})" if self.trace_id else ""
        super().__init__(f"{status} {self.code or self.title}: {self.detail}{trace}{fields}")


class BadRequestError(ApiError):
    """400: the request can't be read."""


class AuthenticationError(ApiError):
    """401: no credential, or one that is wrong, expired, revoked or of the other environment."""


class PermissionDeniedError(ApiError):
    """403: the credential lacks the scope or the right."""


class NotFoundError(ApiError):
    """404: there is no such thing, or it belongs to somebody else."""


class ConflictError(ApiError):
    """409: it does not go with the state things are in; `code` says which, such as `agent-inactive`."""


class PreconditionFailedError(ApiError):
    """412: it changed since you read it (`if_match`). Read it again and repeat your change."""


class ValidationError(ApiError):
    """422: `errors` names every wrong field at once."""


class RateLimitError(ApiError):
    """429: too many requests, or a limit of the plan. `retry_after` seconds until the next try makes sense, if the API told."""

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(status, problem, headers)
        self.retry_after = seconds_of(headers.get("retry-after"))
        self.policy = headers.get("x-ratelimit-policy")


class ServerError(ApiError):
    """5xx: the platform failed; tried again as often as allowed."""


_KINDS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: ValidationError,
    429: RateLimitError,
}


def api_error(status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> ApiError:
    """The error that belongs to a status."""
    kind = _KINDS.get(status) or (ServerError if status >= 500 else ApiError)
    return kind(status, problem, headers)


def seconds_of(header: str | None) -> float | None:
    """The seconds a `Retry-After` header names; None without one or for a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
