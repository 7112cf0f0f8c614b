"""The OpenAPI document as a page to read: one HTML document without scripts, whose style sheet is named by its hash."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

_STYLE = Path(__file__).with_name("reference.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_DEEPEST = 6


def page(document: dict[str, Any]) -> str:
    """The whole reference."""
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    texts = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    used = {name: operations for name, operations in by_tag.items() if operations}
    info = document["info"]
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width, initial-scale=1'>",
            f"<title>{escape(info['title'])} reference</title><style>{_STYLE}</style></head><body>",
            "<nav aria-label=Operations><p class=brand>Voisnap <span>API reference</span></p>",
            *(_menu(name, operations) for name, operations in used.items()),
            "</nav><main>",
            f"<h1>{escape(info['title'])}</h1><p>{_text(info.get('description', ''))}</p>",
            "<p>The same as data: <a href=/api/v1/openapi.json>openapi.json</a> (OpenAPI 3.1).</p>",
            *(_section(name, texts.get(name, ""), operations, document) for name, operations in used.items()),
            "</main></body></html>",
        )
    )


def _menu(name: str, operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    items = "".join(
        f"<li><a href='#{escape(operation['operationId'])}'><b class={method}>{method.upper()}</b> "
        f"{escape(operation['operationId'].rpartition('.')[2].replace('_', ' '))}</a></li>"
        for method, _, operation in operations
    )
    return f"<h2>{escape(name)}</h2><ul>{items}</ul>"


def _section(name: str, text: str, operations: list[tuple[str, str, dict[str, Any]]], document: dict[str, Any]) -> str:
    blocks = "".join(_operation(method, path, operation, document) for method, path, operation in operations)
    return f"<section><h2>{escape(name)}</h2><p>{_text(text)}</p>{blocks}</section>"


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    parameters = [_resolved(parameter, document) for parameter in operation.get("parameters", ())]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return "".join(
        (
            f"<article id='{escape(operation['operationId'])}'><h3><b class={method}>{method.upper()}</b> ",
            f"<code>{escape(path)}</code></h3>{_paragraphs(operation.get('description') or operation.get('summary', ''))}",
            "<p class=open>Needs no credential.</p>" if operation.get("security") == [] else "",
            _parameters(parameters, document),
            _media(
                "Request body", body, document, is_optional=not operation.get("requestBody", {}).get("required", True)
            )
            if body
            else "",
            _curl(method, path, operation, body),
            *(_answer(status, answer, document) for status, answer in operation["responses"].items()),
            "</article>",
        )
    )


def _parameters(parameters: list[dict[str, Any]], document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code>{'<i>required</i>' if one.get('required') else ''}</td>"
        f"<td>{escape(one['in'])}</td><td>{escape(_kind(one.get('schema', {}), document))}</td>"
        f"<td>{_text(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    head = "<tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>"
    return f"<div class=wide><table>{head}{rows}</table></div>" if rows else ""


def _media(title: str, media: dict[str, Any], document: dict[str, Any], *, is_optional: bool = False) -> str:
    rows = "".join(_rows(media.get("schema", {}), document, "", 0))
    note = " <i>optional</i>" if is_optional else ""
    table = f"<div class=wide><table><tr><th>Field</th><th>Type</th><th></th></tr>{rows}</table></div>" if rows else ""
    example = _code(media["example"]) if "example" in media else ""
    return f"<details><summary>{escape(title)}{note}</summary>{table}{example}</details>"


def _answer(status: str, answer: dict[str, Any], document: dict[str, Any]) -> str:
    described = _resolved(answer, document)
    text = escape(described.get("description", ""))
    media = described.get("content", {}).get("application/json")
    if media is None or not status.startswith("2"):
        return f"<p class=status><b>{escape(status)}</b> {_text(described.get('description', ''))}</p>"
    return _media(f"{status} {text}", media, document)


def _curl(method: str, path: str, operation: dict[str, Any], body: dict[str, Any] | None) -> str:
    parts = [f"curl -X {method.upper()} $VOISNAP{path}" if method != "get" else f"curl $VOISNAP{path}"]
    if operation.get("security") != []:
        parts.append('-H "Authorization: Bearer $VOISNAP_API_KEY"')
    if body:
        example = json.dumps(body.get("example", {}), ensure_ascii=False)
        parts += ['-H "Content-Type: application/json"', f"-d '{example}'"]
    return f"<pre>{escape(' '.join(parts))}</pre>"


def _rows(schema: dict[str, Any], document: dict[str, Any], prefix: str, depth: int) -> Iterator[str]:
    """A row a field, those of inner objects below their own."""
    schema = _plain(schema, document)
    if schema.get("type") == "array":
        yield from _rows(schema.get("items", {}), document, f"{prefix}[]", depth)
        return
    for name, field in schema.get("properties", {}).items():
        full = f"{prefix}.{name}" if prefix else name
        inner = _plain(field, document)
        mark = "<i>required</i>" if name in schema.get("required", ()) else ""
        text = _text(field.get("description") or "")
        yield f"<tr><td><code>{escape(full)}</code>{mark}</td><td>{escape(_kind(field, document))}</td><td>{text}</td></tr>"
        if depth < _DEEPEST:
            yield from _rows(inner, document, full, depth + 1)


def _kind(schema: dict[str, Any], document: dict[str, Any] | None = None) -> str:
    """A type in words, with its limits."""
    plain = _plain(schema, document) if document else schema
    alternatives = [part for part in schema.get("oneOf", schema.get("anyOf", ())) if part.get("type") != "null"]
    nullable = any(part.get("type") == "null" for part in schema.get("oneOf", schema.get("anyOf", ())))
    if alternatives and plain is schema:
        plain = alternatives[0]
    if "enum" in plain:
        words = " | ".join(str(value) for value in plain["enum"] if value is not None)
    elif plain.get("type") == "array":
        words = f"{_kind(plain.get('items', {}), document)}[]"
    else:
        kind = plain.get("type", "any")
        words = " | ".join(kind) if isinstance(kind, list) else str(kind)
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if low in plain or high in plain:
            words += f", {plain.get(low, '')}–{plain.get(high, '')}"
    if "default" in schema:
        words += f", default {json.dumps(schema['default'], ensure_ascii=False)}"
    return words + (" or null" if nullable else "")


def _plain(schema: dict[str, Any], document: dict[str, Any] | None) -> dict[str, Any]:
    """The schema behind references; of what may be null, the part that is not."""
    for _ in range(_DEEPEST):
        if "$ref" in schema and document is not None:
            schema = _resolved(schema, document)
            continue
        parts = [part for part in schema.get("oneOf", schema.get("anyOf", ())) if part.get("type") != "null"]
        if len(parts) != 1:
            return schema
        schema = parts[0]
    return schema


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found: Any = part
    while "$ref" in found:
        target: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        found = target
    return found


def _code(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n"))


def _text(text: str) -> str:
    """Prose; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
