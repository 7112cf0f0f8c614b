"""How JSON looks on this API: camelCase, unknown fields refused, every wrong field reported at once.

`decode` is used where a body is checked field by field; merge patches follow RFC 7396.
"""

import re
import types
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from voisnap_domain.errors import FieldError, Invalid

T = TypeVar("T")

_ARTICLES = {"str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "array": "an array", "object": "an object"}


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request body: camelCase on the wire, unknown fields refused."""


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A response body: camelCase on the wire."""


def instant(moment: datetime) -> str:
    """A moment as the documentation prints it: ISO 8601, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(target: Any, patch: Any, *, opaque: frozenset[str] = frozenset()) -> Any:
    """`target` after the JSON merge patch `patch` (RFC 7396 §2). Members named in `opaque` are replaced whole, nulls in them kept."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif name in opaque:
            result[name] = value
        else:
            result[name] = merged(result.get(name), value)
    return result


def decode(kind: type[T], value: Any) -> T:
    """`value` (decoded JSON) as `kind`. Raises Invalid with every wrong field, each with its JSON pointer."""
    errors = tuple(_errors(kind, value, ""))
    if errors:
        raise Invalid(errors)
    return msgspec.convert(value, kind)


def _errors(kind: Any, value: Any, pointer: str) -> Iterator[FieldError]:
    kind = _without_none(kind, value)
    item = _item_type(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct_errors(kind, value, pointer)
    elif item is not None and isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _errors(item, entry, f"{pointer}/{index}")
    elif kind is not None:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            yield FieldError(pointer=pointer, code="invalid", detail=_sentence(str(error), kind))


def _struct_errors(kind: type[msgspec.Struct], value: Any, pointer: str) -> Iterator[FieldError]:
    if not isinstance(value, Mapping):
        yield FieldError(pointer=pointer, code="invalid", detail="must be an object")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in value:
        if name not in fields:
            yield FieldError(pointer=f"{pointer}/{_escaped(name)}", code="unknown-field", detail=f"there is no field {name!r} here")
    for name, field in fields.items():
        if name in value:
            yield from _errors(field.type, value[name], f"{pointer}/{name}")
        elif field.required:
            yield FieldError(pointer=f"{pointer}/{name}", code="required", detail="is required")


def _without_none(kind: Any, value: Any) -> Any:
    """`X` of `X | None`; None when the value is None and may be."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return kind
    members = get_args(kind)
    if value is None and type(None) in members:
        return None
    rest = [member for member in members if member is not type(None)]
    return rest[0] if len(rest) == 1 else kind


def _item_type(kind: Any) -> Any:
    """`X` of `tuple[X, ...]` or `list[X]`."""
    if get_origin(kind) in {tuple, list}:
        return get_args(kind)[0]
    return None


def _escaped(name: str) -> str:
    """A reference token of a JSON pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _sentence(message: str, kind: Any) -> str:
    """msgspec's message in the words of the documentation."""
    if isinstance(kind, type) and issubclass(kind, str) and hasattr(kind, "__members__"):
        return f"must be one of {', '.join(member.value for member in kind)}"
    found = re.match(r"Expected `(\w+)(?: \| \w+)*`, got `(\w+)`", message)
    if found:
        return f"must be {_ARTICLES.get(found[1], found[1])}, not {_ARTICLES.get(found[2], found[2])}"
    return message[:1].lower() + message[1:]
