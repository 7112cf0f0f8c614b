"""Values that fit an OpenAPI schema, made without chance: the smallest ones, with required fields only."""

from typing import Any

_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "email": "someone@example.test",
    "uri": "https://example.test",
}


def example_of(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """A value of `schema`, whose references point into `document`."""
    if "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return example_of(found, document)
    for name in ("example", "const", "default"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("oneOf", "anyOf", "allOf"):
        if name in schema:
            return example_of(schema[name][0], document)
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            return {name: example_of(properties[name], document) for name in schema.get("required", ())}
        case "array":
            return [example_of(schema.get("items", {}), document)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _FORMATS.get(schema.get("format", ""), "x" * max(1, schema.get("minLength", 1)))
