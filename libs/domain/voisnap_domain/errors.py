"""The caller's faults.

    DomainError
    ├── NotFound               the thing does not exist, or belongs to another tenant
    ├── Conflict               the thing is in a state that forbids the request
    ├── Invalid                one or more fields are wrong; carries all of them
    ├── Unauthenticated        no usable credential
    ├── Forbidden              a valid credential that may not do this
    ├── PreconditionFailed     If-Match named another version
    ├── LimitReached           a plan's or a node's limit is used up
    └── TooManyRequests        a rate policy is used up

Each has a stable `code` (kebab-case), which becomes the problem document's slug, and a `detail` a person can act on. HTTP statuses
are not known here: the edge maps the class. A vendor's fault is `voisnap_providers.ProviderError`; anything else is a bug.
"""

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong field: JSON pointer (RFC 6901), stable code, sentence."""

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """A fault of the caller, with a stable code."""

    code = "domain-error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class NotFound(DomainError):
    """The thing does not exist for this caller."""

    code = "not-found"

    def __init__(self, kind: str, id: str, *, detail: str | None = None, code: str | None = None) -> None:
        super().__init__(detail or f"No {kind} with ID {id} found.", code=code)
        self.kind = kind
        self.id = id


class Conflict(DomainError):
    """The thing's state forbids the request."""

    code = "conflict"


class Invalid(DomainError):
    """Wrong fields, all of them at once."""

    code = "validation-failed"

    def __init__(self, errors: tuple[FieldError, ...], *, detail: str | None = None) -> None:
        super().__init__(detail or "; ".join(f"{e.pointer or '/'}: {e.detail}" for e in errors))
        self.errors = errors


class Unauthenticated(DomainError):
    """No usable credential."""

    code = "unauthorized"


class Forbidden(DomainError):
    """A valid credential that may not do this."""

    code = "forbidden"


class PreconditionFailed(DomainError):
    """The resource changed since the caller read it."""

    code = "precondition-failed"


class LimitReached(DomainError):
    """A plan's or a node's limit is used up; `retry_after` in seconds when waiting helps."""

    code = "limit-reached"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class TooManyRequests(LimitReached):
    """A rate policy is used up."""

    code = "rate-limit-exceeded"
