"""Between Python's spelling and the wire's: keyword arguments to camelCase JSON, JSON to typed results."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Unset:
    """The value of an argument that was not given; `None` is sent as null, which clears a field."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()

_OWN = frozenset({"extra", "etag"})
"""Attributes of every result that are no members of the answer."""


@cache
def camel(name: str) -> str:
    """`voice_id` → `voiceId`; a name without underscores stays as it is, so that wire names work too."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


@cache
def snake(name: str) -> str:
    """`avgCostUsdPerConversation` → `avg_cost_usd_per_conversation`; a word of the language gets an underscore: `from_`."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return plain + "_" if keyword.iskeyword(plain) else plain


def to_wire(value: Any, *, opaque: frozenset[str] = frozenset()) -> Any:
    """JSON of a value: names in camelCase, moments in ISO 8601, results of this package as they came.

    Objects under a name in `opaque` (metadata, variables …) belong to the caller: their names stay as they are.
    """
    if is_dataclass(value) and not isinstance(value, type):
        own = {one.name: getattr(value, one.name) for one in fields(value) if one.name not in _OWN}
        return to_wire({name: one for name, one in own.items() if one is not None}, opaque=opaque)
    if isinstance(value, Mapping):
        return {
            camel(name): to_wire_opaque(one) if camel(name) in opaque else to_wire(one, opaque=opaque)
            for name, one in value.items()
            if one is not UNSET
        }
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [to_wire(one, opaque=opaque) for one in value]
    return _scalar(value)


def to_wire_opaque(value: Any) -> Any:
    """JSON of a value whose names are the caller's own."""
    if isinstance(value, Mapping):
        return {str(name): to_wire_opaque(one) for name, one in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [to_wire_opaque(one) for one in value]
    return _scalar(value)


def to_query(values: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters: what is None or not given is left out, lists are joined by commas, moments are ISO 8601."""
    return {
        name: _text(value) for name, value in values.items() if value is not None and value is not UNSET and value != ()
    }


def decode(kind: Any, value: Any) -> Any:
    """`value` as `kind`, leniently: a newer server's unknown members go to `extra`, an older one's missing members are None."""
    origin = get_origin(kind)
    if kind is Any or value is None:
        return value
    if origin is UnionType:
        return decode(_best([part for part in get_args(kind) if part is not NoneType], value), value)
    if origin is tuple:
        return tuple(decode(get_args(kind)[0], one) for one in value) if isinstance(value, list) else value
    if origin is dict:
        inner = get_args(kind)[1]
        return {name: decode(inner, one) for name, one in value.items()} if isinstance(value, dict) else value
    if kind is datetime and isinstance(value, str):
        return _moment(value)
    if isinstance(kind, type) and is_dataclass(kind):
        return _decode_object(kind, value)
    return float(value) if kind is float and isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the API answered. Members that this version of the package does not know are in `extra`, under their wire names."""

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    etag: str | None = field(default=None, repr=False, compare=False)
    """What to give as `if_match` to a change that must not overwrite somebody else's; None where the API has no tag."""

    @classmethod
    def _prepared(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The members to decode; results that show a member in two places add it here."""
        return data


def _best(kinds: list[Any], value: Any) -> Any:
    """Of several kinds of result the one that knows most of the members, and misses the fewest."""
    if len(kinds) == 1 or not isinstance(value, dict):
        return kinds[0]

    def fit(kind: Any) -> int:
        known = set(_members(kind))
        return len(known & set(value)) - len(known - set(value))

    return max(kinds, key=fit)


def _decode_object(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    data = kind._prepared(value)
    known = _members(kind)
    decoded = {attribute: decode(hint, data.get(name)) for name, (attribute, hint) in known.items()}
    return kind(**decoded, extra={name: one for name, one in data.items() if name not in known})


@cache
def _members(kind: type) -> dict[str, tuple[str, Any]]:
    """Wire name → attribute and type."""
    hints = get_type_hints(kind)
    return {camel(one.name): (one.name, hints[one.name]) for one in fields(kind) if one.name not in _OWN}


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return _utc(value)
    return value.isoformat() if isinstance(value, date) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return ",".join(_text(one) for one in value)
    return str(_scalar(value))


def _utc(moment: datetime) -> str:
    """ISO 8601 with its zone; a moment without one is local time, as everywhere in Python."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given."""
    return {name: value for name, value in values.items() if value is not UNSET}
