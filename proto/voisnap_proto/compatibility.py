"""Whether a consumer of an old schema still understands messages of a new one, and the other way round."""

from collections.abc import Iterator
from typing import Any


def breaks(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    """Incompatible changes between two generated schemas, a sentence each.

    Breaking: a definition or property that is gone, a property that changed its type, one that became required, an enum value that is gone.
    """
    return tuple(_definitions(old.get("$defs", {}), new.get("$defs", {})))


def _definitions(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            yield f"{name} is gone"
            continue
        for value in set(before.get("enum", ())) - set(after.get("enum", ())):
            yield f"{name} no longer has the value {value!r}"
        yield from _properties(name, before, after)


def _properties(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old_properties, new_properties = before.get("properties", {}), after.get("properties", {})
    for field, old_shape in old_properties.items():
        if field not in new_properties:
            yield f"{name}.{field} is gone"
        elif _shape(old_shape) != _shape(new_properties[field]):
            yield f"{name}.{field} changed its type"
    for field in set(after.get("required", ())) - set(before.get("required", ())):
        yield f"{name}.{field} became required"


def _shape(schema: dict[str, Any]) -> Any:
    """A property's type without its description and default."""
    return {key: value for key, value in schema.items() if key not in {"description", "default", "title"}}
