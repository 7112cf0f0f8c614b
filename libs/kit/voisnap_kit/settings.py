"""Typed settings from the environment. A field's variable is its name in upper case; every fault is reported at once."""

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from .failures import SetUpFault

S = TypeVar("S", bound=msgspec.Struct)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Secret:
    """A text that does not show itself; `.value` is the text."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class SettingsError(SetUpFault):
    """Settings that are missing or wrong; one sentence each in `problems`, each naming its variable."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(*problems)


def load(cls: type[S], environ: Mapping[str, str]) -> S:
    """Read a frozen struct from the environment.

    Field types: str, int, float, bool, Path, Secret, tuple[str, ...] (comma-separated), a StrEnum, and `T | None`. An empty variable counts
    as not set. Raises SettingsError with all faults.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    hints = get_type_hints(cls)
    for field in msgspec.structs.fields(cls):
        name = field.name.upper()
        kind, optional = _unwrap_optional(hints[field.name])
        text = environ.get(name, "").strip()
        if not text:
            if field.required and not optional:
                problems.append(f"{name} is not set")
            elif field.required:
                values[field.name] = None
            continue
        try:
            values[field.name] = _parse(kind, text)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError(tuple(problems))
    return cls(**values)


def _unwrap_optional(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arg for arg in get_args(kind) if arg is not type(None)]
        return inner[0], len(inner) < len(get_args(kind))
    return kind, False


def _parse(kind: Any, text: str) -> Any:
    if kind is bool:
        return _parse_bool(text)
    if kind is int or kind is float:
        return _parse_number(kind, text)
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is str or kind is Path or kind is Secret:
        return kind(text)
    try:
        return kind(text)  # a StrEnum
    except ValueError:
        raise ValueError(f"{text!r} is not one of {', '.join(repr(str(v)) for v in kind)}") from None


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is not true or false")


def _parse_number(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {'an integer' if kind is int else 'a number'}") from None
