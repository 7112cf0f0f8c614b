"""All faults of a JSON body at once. msgspec stops at the first; this walks the type beside the value when it has complained."""

import re
import types
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from voisnap_domain.errors import FieldError

_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_CODES = (
    ("missing required", "required"),
    ("unknown field", "unknown-field"),
    ("Invalid enum value", "not-allowed"),
    ("matching regex", "wrong-format"),
    ("Invalid", "wrong-format"),
    ("of length >=", "too-short"),
    ("of length <=", "too-long"),
    (" >", "too-small"),
    (" <", "too-large"),
)


def faults(kind: Any, value: Any, *, pointer: str = "", strict: bool = True) -> tuple[FieldError, ...]:
    """Every fault of `value` (decoded JSON) as `kind`, each with its JSON pointer; empty if it fits."""
    return tuple(_faults(kind, value, pointer, strict))


def _faults(kind: Any, value: Any, pointer: str, strict: bool) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        deeper = tuple(_inner_faults(_plain(kind), value, pointer, strict))
        if deeper:
            yield from deeper
        else:
            yield _fault(error, kind, pointer)


def _inner_faults(kind: Any, value: Any, pointer: str, strict: bool) -> Iterator[FieldError]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        yield from _struct_faults(kind, value, pointer, strict)
    elif get_origin(kind) in (list, tuple, set, frozenset) and isinstance(value, list) and get_args(kind):
        for index, item in enumerate(value):
            yield from _faults(get_args(kind)[0], item, f"{pointer}/{index}", strict)
    elif get_origin(kind) is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(get_args(kind)[1], item, f"{pointer}/{escaped(key)}", strict)


def _struct_faults(
    kind: type[msgspec.Struct], value: dict[str, Any], pointer: str, strict: bool
) -> Iterator[FieldError]:
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in known.items():
        place = f"{pointer}/{escaped(name)}"
        if name in value:
            yield from _faults(field.type, value[name], place, strict)
        elif field.required:
            yield FieldError(pointer=place, code="required", detail=f"{name} is required.")
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in known and name != kind.__struct_config__.tag_field:
                yield FieldError(
                    pointer=f"{pointer}/{escaped(name)}",
                    code="unknown-field",
                    detail=f"{name} is not a field of this object.",
                )


def _plain(kind: Any) -> Any:
    """The type without Annotated, None and Unset; a real union stays as it is."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arg for arg in get_args(kind) if arg not in (type(None), msgspec.UnsetType)]
        return _plain(inner[0]) if len(inner) == 1 else kind
    return kind


def _fault(error: msgspec.ValidationError, kind: Any, pointer: str) -> FieldError:
    message = str(error)
    path = _PATH.search(message)
    reason = message[: path.start()] if path else message
    place = pointer + "".join(
        f"/{escaped(name or index)}" for name, index in _STEP.findall(path.group(1) if path else "")
    )
    code = next((code for part, code in _CODES if part in reason), "wrong-type")
    plain = _plain(kind)
    if code == "not-allowed" and isinstance(plain, type) and issubclass(plain, Enum):
        detail = f"Must be one of {', '.join(str(member.value) for member in plain)}."
    else:
        detail = f"{reason.replace('`', '')}."
    return FieldError(pointer=place, code=code, detail=detail)


def escaped(name: str) -> str:
    """A name as a reference token (RFC 6901 §3)."""
    return str(name).replace("~", "~0").replace("/", "~1")
