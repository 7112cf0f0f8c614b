"""Request bodies as JSON, read strictly (RFC 8259): one meaning a document, and nothing in it that can't be stored.

Refused are bytes that are no UTF-8, names that occur twice in an object, numbers that are none (NaN, Infinity, beyond a double),
halves of surrogate pairs, nesting without end, and NUL, which PostgreSQL's text can't hold.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import Scope
from litestar.types.empty import Empty
from litestar.utils.scope.state import ScopeState
from voisnap_domain.errors import DomainError, FieldError, Invalid

from . import validation

DEEPEST = 64
"""How many objects and arrays may stand inside one another."""

_POSITION = re.compile(r" \(byte (\d+)\)$")
_JSON_TYPE = re.compile(r"^application/(?:[\w.!#$&^-]+\+)?json$")
_FAULTS = "voisnap.body_faults"
_decode = msgspec.json.Decoder().decode


class MalformedBody(DomainError):
    """The body is no JSON document with one meaning."""

    code = "malformed-json"


class _Refused:
    """Stands for a body of another shape, so that the parameters of the request are looked at too before it is refused."""


REFUSED = _Refused()


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON is read strictly, and converted without coercion to the type that its handler asks for."""

    async def json(self) -> Any:
        """The body as the handler's type. Raises MalformedBody, Invalid for NUL, and 415 for what does not say that it is JSON.

        A body of another shape is a value that fits no type; `body_faults` says what is wrong.
        """
        state = ScopeState.from_scope(self.scope)
        if state.json is Empty:
            body = await self.body()
            _check_content_type(self.headers.get("content-type"))
            state.json = self._converted(parsed(body))
        return state.json

    def _converted(self, value: Any) -> Any:
        field = self.route_handler.parsed_data_field
        if field is None:
            return value
        try:
            return msgspec.convert(value, field.annotation)
        except msgspec.ValidationError:
            self.scope["state"][_FAULTS] = validation.faults(field.annotation, value)
            return REFUSED


def body_faults(scope: Scope) -> tuple[FieldError, ...]:
    """What was wrong with the body of a request; empty when it fits or was not read."""
    return scope["state"].get(_FAULTS, ()) if scope["type"] == ScopeType.HTTP else ()


def parsed(body: bytes) -> Any:
    """The value of a JSON document. Raises MalformedBody, or Invalid for strings that hold NUL."""
    try:
        value = _decode(body)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: {error.reason}.") from None
    except (RecursionError, msgspec.DecodeError, ValueError) as error:
        raise _malformed(body, error) from None
    _check_depth(body, value)
    if body.count(b":") > 1:
        _check_names(body)
    if b"\\u0000" in body and (pointers := tuple(_nul_pointers(value, ""))):
        detail = "Must not contain the character U+0000."
        raise Invalid(tuple(FieldError(pointer=at, code="wrong-format", detail=detail) for at in pointers))
    return value


def _malformed(body: bytes, error: Exception) -> MalformedBody:
    if isinstance(error, RecursionError):
        return _too_deep()
    text = str(error)
    if "out of range" in text:
        return MalformedBody("The body holds a number that is too large.")
    if _has_half_pair(body):
        return MalformedBody("The body holds half of a surrogate pair (RFC 8259 §8.2).")
    place = _POSITION.search(text)
    at = int(place[1]) if place else len(body)
    reason = "it ends too early" if place is None else text[: place.start()].removeprefix("JSON is malformed: ")
    line = body.count(b"\n", 0, at) + 1
    column = at - (body.rfind(b"\n", 0, at) + 1) + 1
    return MalformedBody(f"The body is not valid JSON: {reason} at line {line}, column {column} (byte {at}).")


def _has_half_pair(body: bytes) -> bool:
    """Whether the document would be JSON but for an escaped surrogate that stands alone."""
    if b"\\ud" not in body.lower():
        return False
    try:
        json.dumps(json.loads(body.decode()), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _check_depth(body: bytes, value: Any) -> None:
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


def _too_deep() -> MalformedBody:
    return MalformedBody(f"The body is nested more than {DEEPEST} levels deep.", code="too-deep")


def _check_names(body: bytes) -> None:
    json.loads(body, object_pairs_hook=_unique, parse_int=_nothing, parse_float=_nothing)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise MalformedBody(f"The name {name!r} occurs twice in one object.", code="duplicate-key")
        seen.add(name)


def _nothing(_text: str) -> None:
    return None


def _nul_pointers(value: Any, pointer: str) -> Iterator[str]:
    match value:
        case str() if "\0" in value:
            yield pointer
        case list():
            for index, item in enumerate(value):
                yield from _nul_pointers(item, f"{pointer}/{index}")
        case dict():
            for name, item in value.items():
                if "\0" in name:
                    yield pointer
                yield from _nul_pointers(item, f"{pointer}/{validation.escaped(name)}")


def _check_content_type(given: str | None) -> None:
    """A body without a type counts as JSON."""
    if not given:
        return
    kind, *parameters = (part.strip().lower() for part in given.split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if not _JSON_TYPE.match(kind) or charset not in {"utf-8", "utf8", "us-ascii"}:
        raise HTTPException(
            status_code=415,
            detail=f"Send JSON in UTF-8, as Content-Type: application/json; this is {given[:100]}.",
            headers={"Accept": "application/json, application/merge-patch+json"},
        )
