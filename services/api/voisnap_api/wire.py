"""How JSON looks on this API: camelCase, unknown fields refused, every wrong field reported at once.

`decode` is used where a body is checked field by field; merge patches follow RFC 7396.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from voisnap_domain.errors import Invalid
from voisnap_kit.validation import faults

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request body: camelCase on the wire, unknown fields refused."""


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A response body: camelCase on the wire."""


def instant(moment: datetime) -> str:
    """A moment as the documentation prints it: ISO 8601, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


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
    errors = faults(kind, value)
    if errors:
        raise Invalid(errors)
    return msgspec.convert(value, kind)
