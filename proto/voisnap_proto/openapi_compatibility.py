"""Whether clients of a released OpenAPI document still work with a newer one: `python -m voisnap_proto.openapi_compatibility [--release]`.

What a client sends must still be taken, and what it reads must still be there. Additions are no break (new operations, optional
parameters and fields, values of enumerations in answers); anything else needs the deprecation window that the documentation promises.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "openapi"
DOCUMENTS = ("api.json", "admin.json")
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_LIMITS = (("minimum", 1), ("minLength", 1), ("minItems", 1), ("maximum", -1), ("maxLength", -1), ("maxItems", -1))
"""Keywords, and in which direction a request becomes narrower."""


def breaks(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    """Incompatible changes from one document to the next, a sentence each."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            if method not in _METHODS:
                continue
            after = new["paths"].get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if after is None:
                found.append(f"{name} is gone")
            else:
                found += _Comparison(name, old, new).operation(before, after)
    return tuple(dict.fromkeys(found))


class _Comparison:
    """One operation in two documents."""

    def __init__(self, name: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        self._name = name
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str, bool]] = set()

    def operation(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        if before.get("operationId") != after.get("operationId"):
            yield f"{self._name} is called {after.get('operationId')} instead of {before.get('operationId')}"
        if before.get("security") == [] and after.get("security") != []:
            yield f"{self._name} needs a credential"
        for scope in after.get("x-required-scopes", ()):
            if scope not in before.get("x-required-scopes", ()):
                yield f"{self._name} needs the scope {scope}"
        yield from self._parameters(before, after)
        yield from self._request(before.get("requestBody"), after.get("requestBody"))
        for status, answer in before["responses"].items():
            if status.startswith("2"):
                yield from self._answer(status, answer, after["responses"].get(status))

    def _parameters(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        old = {(one["name"], one["in"]): one for one in self._all(before.get("parameters", ()), self._old)}
        new = {(one["name"], one["in"]): one for one in self._all(after.get("parameters", ()), self._new)}
        for key, one in old.items():
            if key not in new:
                yield f"{self._name}: the parameter {key[0]} is gone"
            else:
                yield from self._schema(key[0], one.get("schema", {}), new[key].get("schema", {}), sent=True)
        for key, one in new.items():
            if one.get("required") and not old.get(key, {}).get("required"):
                yield f"{self._name}: the parameter {key[0]} became required"

    def _request(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[str]:
        if before is None:
            if after is not None and after.get("required"):
                yield f"{self._name}: a body became required"
            return
        if after is None:
            yield f"{self._name}: takes no body any more"
            return
        if after.get("required") and not before.get("required"):
            yield f"{self._name}: the body became required"
        for kind, media in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                yield f"{self._name}: takes no {kind} any more"
            else:
                now = after["content"][kind]
                yield from self._schema("", media.get("schema", {}), now.get("schema", {}), sent=True)

    def _answer(self, status: str, before: dict[str, Any], after: dict[str, Any] | None) -> Iterator[str]:
        if after is None:
            yield f"{self._name}: no longer answers {status}"
            return
        for kind, media in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                yield f"{self._name}: {status} is no {kind} any more"
            else:
                now = after["content"][kind]
                yield from self._schema("", media.get("schema", {}), now.get("schema", {}), sent=False)

    def _schema(self, at: str, before: dict[str, Any], after: dict[str, Any], *, sent: bool) -> Iterator[str]:
        """`sent`: clients make such values, else they read them."""
        visit = (json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True), sent)
        if visit in self._seen:
            return
        self._seen.add(visit)
        old, new = _flat(before, self._old), _flat(after, self._new)
        place = f"{self._name}: {at or 'the body' if sent else at or 'the answer'}"
        lost = _types(old) - _types(new) if sent else _types(new) - _types(old)
        if lost and _types(old) and _types(new) and not (sent and lost == {"integer"} and "number" in _types(new)):
            yield f"{place} {'no longer takes' if sent else 'may now be'} {', '.join(sorted(lost))}"
        if (
            sent
            and "enum" in new
            and (gone := [str(value) for value in old.get("enum", ()) if value not in new["enum"]])
        ):
            yield f"{place} no longer takes {', '.join(gone)}"
        if sent:
            yield from _tightened(place, old, new)
        old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
        for name, field in old_fields.items():
            full = f"{at}.{name}" if at else name
            if name not in new_fields:
                if new_fields or not new.get("additionalProperties", True) or not sent:
                    yield f"{self._name}: {full} is gone"
            else:
                yield from self._schema(full, field, new_fields[name], sent=sent)
        required = set(new.get("required", ())) - set(old.get("required", ()))
        optional = set(old.get("required", ())) - set(new.get("required", ())) - (set(old_fields) - set(new_fields))
        for name in sorted(required if sent else optional):
            yield f"{self._name}: {f'{at}.{name}' if at else name} {'became required' if sent else 'may now be missing'}"
        if "items" in old and "items" in new:
            yield from self._schema(f"{at}[]", old["items"], new["items"], sent=sent)

    def _all(self, parameters: Any, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for parameter in parameters:
            yield _resolved(parameter, document)


def _flat(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Without references; of what may be null, the other alternative with `null` among its types."""
    schema = _resolved(schema, document)
    parts = [_resolved(part, document) for part in schema.get("oneOf", schema.get("anyOf", ()))]
    real = [part for part in parts if part.get("type") != "null"]
    if len(real) != 1:
        return schema
    inner = _flat(real[0], document)
    return inner | ({"type": sorted(_types(inner) | {"null"})} if len(real) < len(parts) else {})


def _types(schema: dict[str, Any]) -> set[str]:
    kind = schema.get("type")
    return set() if kind is None else {kind} if isinstance(kind, str) else set(kind)


def _tightened(place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for keyword, direction in _LIMITS:
        if keyword in new and (keyword not in old or (new[keyword] - old[keyword]) * direction > 0):
            yield f"{place}: {keyword} is {new[keyword]} instead of {old.get(keyword, 'open')}"


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def main() -> int:
    """Compare the committed documents with the released ones, or release them; the exit status."""
    parser = argparse.ArgumentParser(description="Compare the OpenAPI documents with those of the last release.")
    parser.add_argument("--release", action="store_true", help="make the documents the released ones")
    arguments = parser.parse_args()
    released = FOLDER / "released"
    if arguments.release:
        released.mkdir(exist_ok=True)
        for name in DOCUMENTS:
            shutil.copyfile(FOLDER / name, released / name)
        return 0
    found = [
        f"{name}: {sentence}"
        for name in DOCUMENTS
        if (released / name).exists()
        for sentence in breaks(json.loads((released / name).read_text()), json.loads((FOLDER / name).read_text()))
    ]
    sys.stderr.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
