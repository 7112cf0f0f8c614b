"""Whether a JSON answer has the shape of a documented one: the same names, types and nesting, and strings of the same form."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_FORMS = (
    ("moment", re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")),
    ("day", re.compile(r"^\d{4}-\d{2}-\d{2}$")),
    ("url", re.compile(r"^(?:https?|turns?|stuns?):\S+$")),
    ("id", re.compile(r"^[a-z]{2,5}(?:_tok)?_\S+$")),
)


def differences(
    documented: Any,
    actual: Any,
    *,
    at: str = "",
    nullable: frozenset[str] = frozenset(),
    maps: frozenset[str] = frozenset(),
    enums: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[str]:
    """What a client written from `documented` would trip over in `actual`, one line each; nothing when it would not.

    Paths look like `/data/0/name`; in `nullable` (may be null), `maps` (keys are data, not names) and `enums` (allowed values) an index is
    written `*`. More members than documented are fine: the contract allows new optional fields.
    """
    options: dict[str, Any] = {"nullable": nullable, "maps": maps, "enums": enums}
    path = re.sub(r"/\d+(?=/|$)", "/*", at)
    if documented is None or (actual is None and path in nullable):
        return
    if enums and path in enums and actual not in enums[path]:
        yield f"{at}: {actual!r} is none of {', '.join(enums[path])}"
    match documented, actual:
        case dict(), dict() if path in maps:
            sample = next(iter(documented.values()), None)
            for name, value in actual.items():
                yield from differences(sample, value, at=f"{at}/{name}", **options)
        case dict(), dict():
            for name, value in documented.items():
                if name in actual:
                    yield from differences(value, actual[name], at=f"{at}/{name}", **options)
                else:
                    yield f"{at}/{name}: missing"
        case list(), list():
            for index, value in enumerate(actual):
                yield from differences(_union(documented), value, at=f"{at}/{index}", **options)
        case bool(), bool():
            return
        case str(), str():
            form = _form_of(documented)
            if form and _form_of(actual) != form:
                yield f"{at}: {actual!r} is no {form} like {documented!r}"
            elif form == "id" and _prefix(actual) != _prefix(documented):
                yield f"{at}: {actual!r} has another prefix than {documented!r}"
        case (int(), int()) | (float(), int() | float()) if not isinstance(actual, bool):
            return
        case _:
            yield f"{at}: {type(actual).__name__} {actual!r} instead of {type(documented).__name__} like {documented!r}"


def _union(documented: list[Any]) -> Any:
    """What every documented element has; of scalars the first one."""
    if not documented or not all(isinstance(one, dict) for one in documented):
        return documented[0] if documented else None
    names = set.intersection(*(set(one) for one in documented))
    return {name: next((one[name] for one in documented if one[name]), documented[0][name]) for name in names}


def _form_of(text: str) -> str | None:
    return next((name for name, form in _FORMS if form.match(text)), None)


def _prefix(identifier: str) -> str:
    return re.match(r"^[a-z]+(?:_tok)?_", identifier)[0]  # type: ignore[index]
