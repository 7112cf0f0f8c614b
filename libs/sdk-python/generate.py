"""Writes `voisnap/models.py` and `voisnap/_resources.py` from the OpenAPI document; `--check` compares instead.

python libs/sdk-python/generate.py proto/openapi/api.json
"""

import json
import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).with_name("voisnap")
NAMES = {
    "TranscriptView": "ConversationTranscript",
    "StatsView": "AgentStats",
    "AnalysisSummaryView": "AnalysisSummary",
    "RecordingView": "RecordingLink",
}
"""Types whose name in the SDKs is not the schema's without its ending."""

MOMENTS = re.compile(r"(At|^timestamp|^at)$")
"""Members that are moments where the document does not say `date-time`."""

WITH_OUTCOME = "ConversationView"
"""The documentation reads `conversation.analysis.outcome`; the API has `outcome` at the top."""

Schema = dict[str, Any]


def snake(name: str) -> str:
    """`pageSize` → `page_size`."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("-", "_")).lower()
    return plain + "_" if keyword.iskeyword(plain) else plain


@dataclass(frozen=True)
class Argument:
    """One argument of a method: its name here and on the wire, its type, whether it may be left out, what it means."""

    name: str
    wire: str
    type: str
    required: bool
    text: str


@dataclass(frozen=True)
class Method:
    """One operation."""

    resource: str
    name: str
    operation: str
    verb: str
    path: str
    text: str
    path_arguments: tuple[Argument, ...]
    body: tuple[Argument, ...] | None
    body_may_be_absent: bool
    query: tuple[Argument, ...]
    headers: tuple[Argument, ...]
    answer: str | None
    is_paged: bool
    opaque: tuple[str, ...]


class Api:
    """The document, and how its schemas are called here."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.schemas: dict[str, Schema] = document["components"]["schemas"]
        answered = sorted(self._closure(self._answers()))
        self.models = {name: self._name(name, answered) for name in answered if self._is_object(self.schemas[name])}

    def methods(self) -> Iterator[Method]:
        """Every operation with an id."""
        for path, operations in self.document["paths"].items():
            for verb, operation in operations.items():
                yield self._method(path, verb, operation)

    def _method(self, path: str, verb: str, operation: dict[str, Any]) -> Method:
        resource, _, name = operation["operationId"].rpartition(".")
        parameters = [self._resolved(one) for one in operation.get("parameters", [])]
        by_place = {
            place: tuple(self._parameter(one) for one in parameters if one["in"] == place)
            for place in ("path", "query", "header")
        }
        body, may_be_absent = self._body(operation.get("requestBody"))
        answer, is_paged = self._answer(operation)
        wire_names = set(re.findall(r"\{(\w+)\}", path))
        text = operation.get("description") or operation.get("summary") or name
        return Method(
            resource=resource,
            name=snake(name),
            operation=operation["operationId"],
            verb=verb.upper(),
            path=path,
            text=" ".join(text.split()),
            path_arguments=tuple(one for one in by_place["path"] if one.wire in wire_names),
            body=None if body is None else tuple(self._body_arguments(body)),
            body_may_be_absent=may_be_absent,
            query=by_place["query"],
            headers=tuple(one for one in by_place["header"] if one.wire == "If-Match"),
            answer=answer,
            is_paged=is_paged,
            opaque=tuple(sorted(self._opaque(body))) if body is not None else (),
        )

    def _parameter(self, parameter: dict[str, Any]) -> Argument:
        schema = parameter["schema"]
        kind = self._argument_type(schema).removesuffix(" | None")
        if parameter["name"] in ("tags", "capabilities"):
            kind = "str | Sequence[str]"
        elif parameter["name"].startswith("date"):
            kind = "str | date | datetime"
        text = parameter.get("description") or schema.get("description") or ""
        return Argument(snake(parameter["name"]), parameter["name"], kind, bool(parameter.get("required")), text)

    def _body(self, body: dict[str, Any] | None) -> tuple[Schema | None, bool]:
        if body is None:
            return None, False
        schema = next(iter(body["content"].values()))["schema"]
        choices = [one for one in schema.get("oneOf", ()) if one.get("type") != "null"]
        may_be_absent = not body.get("required", True) or (bool(choices) and len(choices) < len(schema["oneOf"]))
        schema = self._resolved(choices[0] if choices else schema)
        patched = re.search(r"merge patch \(RFC 7396\) of (\w+)", schema.get("description", ""))
        if patched:
            schema = {**self.schemas[patched[1]], "required": []}
        return schema, may_be_absent

    def _body_arguments(self, schema: Schema) -> Iterator[Argument]:
        required = set(schema.get("required", ()))
        for name, value in schema.get("properties", {}).items():
            text = value.get("description", "")
            yield Argument(snake(name), name, self._argument_type(value), name in required, text)

    def _answer(self, operation: dict[str, Any]) -> tuple[str | None, bool]:
        for status, response in operation["responses"].items():
            content = self._resolved(response).get("content", {}).get("application/json")
            if status.startswith("2") and content:
                schema = content["schema"]
                resolved = self._resolved(schema)
                if {"data", "totalPages"} <= set(resolved.get("properties", {})):
                    return self._type(resolved["properties"]["data"]["items"]), True
                return self._type(schema), False
        return None, False

    def _answers(self) -> Iterator[Schema]:
        for operations in self.document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status.startswith("2"):
                        contents = self._resolved(response).get("content", {}).values()
                        yield from (content["schema"] for content in contents)

    def _closure(self, schemas: Iterator[Schema]) -> set[str]:
        found: set[str] = set()
        waiting = list(schemas)
        while waiting:
            for name in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(waiting.pop())):
                if name not in found:
                    found.add(name)
                    waiting.append(self.schemas[name])
        return {name for name in found if not name.startswith("Page_")}

    def _name(self, schema: str, among: list[str]) -> str:
        if schema in NAMES:
            return NAMES[schema]
        plain = re.sub(r"(View|Body)$", "", schema)
        return f"{plain}Settings" if schema.endswith("Body") and f"{plain}View" in among else plain

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        """What a reference (`#/components/…/name`) stands for; anything else is itself."""
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/", 3)
        return self.document["components"][kind][name]

    def _is_object(self, schema: Schema) -> bool:
        return "properties" in schema

    def _opaque(self, schema: Schema) -> set[str]:
        """Names of members whose own members are the caller's."""
        found: set[str] = set()
        for one in (schema, *(self.schemas[name] for name in self._closure(iter([schema])))):
            for name, value in one.get("properties", {}).items():
                choices = [self._resolved(choice) for choice in value.get("oneOf", [value])]
                if any(choice.get("type") == "object" and "properties" not in choice for choice in choices):
                    found.add(name)
        return found

    def _type(self, schema: Schema, name: str = "") -> str:
        """The type of an answered value."""
        if "$ref" in schema:
            target = schema["$ref"].rpartition("/")[2]
            return self.models.get(target) or self._type(self.schemas[target], name)
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            kinds = [self._type(one, name) for one in choices if one.get("type") != "null"]
            kind = " | ".join(dict.fromkeys(kinds)) if set(kinds) <= set(self.models.values()) else "Any"
            kind = kinds[0] if len(set(kinds)) == 1 else kind
            is_nullable = len(kinds) < len(choices)
            return f"{kind} | None" if is_nullable and kind != "Any" else kind
        return self._plain_type(schema, name)

    def _plain_type(self, schema: Schema, name: str) -> str:
        match schema.get("type"):
            case "string":
                is_moment = schema.get("format") == "date-time" or MOMENTS.search(name)
                return "datetime" if is_moment else "str"
            case "integer":
                return "int"
            case "number":
                return "float"
            case "boolean":
                return "bool"
            case "array":
                return f"tuple[{self._type(schema.get('items', {}))}, ...]"
            case "object":
                inner = schema.get("additionalProperties")
                return f"dict[str, {self._type(inner) if isinstance(inner, dict) and inner else 'Any'}]"
            case list() as kinds:
                plain = [kind for kind in kinds if kind != "null"]
                kind = self._plain_type({**schema, "type": plain[0]}, name) if len(plain) == 1 else "Any"
                return f"{kind} | None" if "null" in kinds and kind != "Any" else kind
            case _:
                return "Any"

    def _argument_type(self, schema: Schema) -> str:
        """The type of a value to send: objects as mappings, closed sets of strings spelled out."""
        if "$ref" in schema:
            return self._argument_type(self._resolved(schema))
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            kinds = sorted({self._argument_type(one) for one in choices if one.get("type") != "null"})
            return " | ".join([*kinds, *(["None"] if len(kinds) < len(choices) else [])])
        if schema.get("type") == "object" or "properties" in schema:
            return "Mapping[str, Any]"
        if schema.get("type") == "array":
            return f"Sequence[{self._argument_type(schema.get('items', {}))}]"
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(one) for one in schema['enum'])}]"
        if schema.get("format") == "date-time":
            return "str | datetime"
        return self._plain_type(schema, "")


def models_module(api: Api) -> str:
    """Source of `models.py`."""
    parts = [
        '"""What the API answers, as typed results. Generated from the OpenAPI document; do not edit."""\n',
        "from collections.abc import Iterator",
        "from dataclasses import dataclass",
        "from datetime import datetime",
        "from typing import Any\n",
        "from ._wire import Result\n\n",
        f"__all__ = {json.dumps(sorted(api.models.values()))}\n",
    ]
    for schema_name, name in sorted(api.models.items(), key=lambda pair: pair[1]):
        parts.append(_model(api, schema_name, name))
    return "\n".join(parts)


def _model(api: Api, schema_name: str, name: str) -> str:
    schema = api.schemas[schema_name]
    text = " ".join(schema.get("description", "").split()) or f"`{name}` of the API."
    lines = ["@dataclass(frozen=True, kw_only=True)", f"class {name}(Result):", _docstring(text, 4), ""]
    properties = schema["properties"]
    for member, value in properties.items():
        kind = api._type(value, member)
        if schema_name == WITH_OUTCOME and member == "analysis":
            kind = kind.removesuffix(" | None")
        lines.append(f"    {snake(member)}: {quoted(kind)}")
        if value.get("description"):
            lines.append(_docstring(" ".join(value["description"].split()), 4))
    if _is_summary_of_a_conversation(api, schema_name):
        lines += ["    outcome: str | None = None", _docstring("The conversation's outcome, here as well.", 4)]
    if schema_name == WITH_OUTCOME:
        lines += [
            "",
            "    @classmethod",
            "    def _prepared(cls, data: dict[str, Any]) -> dict[str, Any]:",
            '        """Before there is an analysis its members are None; `outcome` is found in it as well."""',
            '        return data | {"analysis": (data.get("analysis") or {}) | {"outcome": data.get("outcome")}}',
        ]
    if set(properties) == {"data"}:
        item = api._type(properties["data"]["items"])
        lines += [
            "",
            f"    def __iter__(self) -> Iterator[{quoted(item)}]:",
            "        return iter(self.data)",
            "",
            "    def __len__(self) -> int:",
            "        return len(self.data)",
        ]
    return "\n".join(lines) + "\n\n"


def _is_summary_of_a_conversation(api: Api, schema_name: str) -> bool:
    value = api.schemas.get(WITH_OUTCOME, {}).get("properties", {}).get("analysis", {})
    return f'schemas/{schema_name}"' in json.dumps(value)


def quoted(kind: str) -> str:
    """A type in quotes when it names a class that stands further down."""
    return f'"{kind}"' if re.search(r"\b(?!Any\b|None\b)[A-Z]\w+", kind) else kind


def resources_module(api: Api) -> str:
    """Source of `_resources.py`."""
    methods = sorted(api.methods(), key=lambda method: (method.resource, method.name))
    resources: dict[str, list[Method]] = {}
    for method in methods:
        resources.setdefault(method.resource, []).append(method)
        for depth in range(1, method.resource.count(".") + 1):
            resources.setdefault(".".join(method.resource.split(".")[:depth]), [])
    parts = [
        '"""The operations of the API as methods. Generated from the OpenAPI document; do not edit."""\n',
        "from collections.abc import Mapping, Sequence",
        "from datetime import date, datetime",
        "from typing import Any, Literal\n",
        "from . import models",
        "from ._calls import Call",
        "from ._paging import AsyncPagedList, PagedList",
        "from ._senders import AsyncSender, Sender",
        "from ._wire import UNSET, Unset, given\n",
        f"OPERATIONS = frozenset({json.dumps(sorted(method.operation for method in methods))})",
        '"""Every operation of the API that this package covers."""\n\n',
    ]
    for is_async in (False, True):
        # A resource is defined after those it holds.
        for resource in sorted(resources, key=lambda name: (-name.count("."), name)):
            parts.append(_resource(api, resource, resources, is_async=is_async))
        top = [name for name in sorted(resources) if "." not in name]
        parts.append(_all_resources(top, is_async=is_async))
    return "\n".join(parts)


def class_name(resource: str, *, is_async: bool) -> str:
    """`webrtc.sessions` → `WebrtcSessionsResource`."""
    words = "".join(word.capitalize() for word in re.split(r"[._]", resource))
    return f"{'Async' if is_async else ''}{words}Resource"


def _resource(api: Api, resource: str, resources: dict[str, list[Method]], *, is_async: bool) -> str:
    sender = "AsyncSender" if is_async else "Sender"
    children = [name for name in sorted(resources) if name.rpartition(".")[0] == resource]
    lines = [
        f"class {class_name(resource, is_async=is_async)}:",
        _docstring(f"`client.{resource}`.", 4),
        "",
        f"    def __init__(self, send: {sender}) -> None:",
        "        self._send = send",
    ]
    for child in children:
        lines.append(f"        self.{child.rpartition('.')[2]} = {class_name(child, is_async=is_async)}(send)")
    for method in resources[resource]:
        lines += ["", *_method_lines(api, method, is_async=is_async)]
    return "\n".join(lines) + "\n\n"


def _all_resources(top: list[str], *, is_async: bool) -> str:
    prefix, sender = ("Async", "AsyncSender") if is_async else ("", "Sender")
    lines = [
        f"class {prefix}Resources:",
        _docstring("Everything the API has.", 4),
        "",
        f"    def __init__(self, send: {sender}) -> None:",
        *(f"        self.{name} = {class_name(name, is_async=is_async)}(send)" for name in top),
    ]
    return "\n".join(lines) + "\n\n"


def _method_lines(api: Api, method: Method, *, is_async: bool) -> list[str]:
    body = method.body or ()
    arguments = [f"{one.name}: {one.type}" for one in method.path_arguments]
    keywords = [f"{one.name}: {one.type}" for one in body if one.required and not method.body_may_be_absent]
    optional = [one for one in body if not one.required or method.body_may_be_absent]
    keywords += [f"{one.name}: {_or_unset(one.type)} = UNSET" for one in optional]
    keywords += [f"{one.name}: {one.type} | None = None" for one in (*method.query, *method.headers)]
    if method.verb == "POST":
        keywords.append("idempotency_key: str | None = None")
    answer = _answer_type(api, method)
    paged = "AsyncPagedList" if is_async else "PagedList"
    returns = f"{paged}[{answer}]" if method.is_paged else answer
    signature = ", ".join(["self", *arguments, *(["*", *keywords] if keywords else [])])
    head = "async def" if is_async and not method.is_paged else "def"
    return [
        f"    {head} {method.name}({signature}) -> {returns}:",
        _docstring(_text_of(method), 8),
        *_call_lines(method, answer, is_async=is_async, paged=paged),
    ]


def _answer_type(api: Api, method: Method) -> str:
    if method.answer is None:
        return "None"
    names = set(api.models.values())
    return re.sub(r"[A-Z]\w+", lambda found: f"models.{found[0]}" if found[0] in names else found[0], method.answer)


def _call_lines(method: Method, answer: str, *, is_async: bool, paged: str) -> list[str]:
    fields = [f"operation={method.operation!r}", f"method={method.verb!r}", f"path={method.path!r}"]
    if method.path_arguments:
        fields.append(f"path_values={_mapping(method.path_arguments)}")
    if method.query:
        fields.append(f"query={_mapping(method.query)}")
    if method.body is not None:
        body = f"given({_mapping(method.body)})"
        fields.append(f"body={body} or UNSET" if method.body_may_be_absent else f"body={body}")
    if method.opaque:
        fields.append(f"opaque=frozenset({json.dumps(method.opaque)})")
    if method.headers:
        fields.append(f"headers={_mapping(method.headers)}")
    if method.verb == "POST":
        fields.append("idempotency_key=idempotency_key")
    if method.is_paged:
        fields.append("answer=Any")
    elif answer != "None":
        fields.append(f"answer={answer}")
    call = f"Call({', '.join(fields)})"
    if method.is_paged:
        return [f"        return {paged}({call}, {answer}, self._send)"]
    if answer == "None":
        return [f"        {'await ' if is_async else ''}self._send({call})"]
    return [f"        return {'await ' if is_async else ''}self._send({call})"]


def _or_unset(kind: str) -> str:
    return f"{kind.removesuffix(' | None')} | Unset | None" if kind.endswith(" | None") else f"{kind} | Unset"


def _mapping(arguments: tuple[Argument, ...]) -> str:
    return "{" + ", ".join(f"{one.wire!r}: {one.name}" for one in arguments) + "}"


def _text_of(method: Method) -> str:
    described = [
        one for one in (*method.path_arguments, *(method.body or ()), *method.query, *method.headers) if one.text
    ]
    lines = [f"{one.name}: {' '.join(one.text.split())}" for one in described]
    if not lines:
        return method.text
    return method.text + "\n\nArgs:\n" + "\n".join(f"    {line}" for line in lines)


def _docstring(text: str, indent: int) -> str:
    text = text.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')
    first, *rest = text.split("\n")
    wrapped = textwrap.wrap(first, 116 - indent) or [""]
    lines = [*wrapped, *rest]
    if len(lines) == 1:
        return " " * indent + f'"""{lines[0]}"""'
    body = "\n".join(" " * indent + line if line else "" for line in lines[1:])
    return " " * indent + f'"""{lines[0]}\n{body}\n' + " " * indent + '"""'


def formatted(source: str) -> str:
    """The source as the formatter writes it."""
    ruff = Path(sys.executable).with_name("ruff")
    for command in (("check", "--fix", "--quiet", "--select", "F401,I", "-"), ("format", "--quiet", "-")):
        run = subprocess.run(  # noqa: S603 - our own formatter
            [str(ruff), *command], input=source, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        )
        source = run.stdout
    return source


def main() -> int:
    """Write or compare the generated modules."""
    arguments = [one for one in sys.argv[1:] if one != "--check"]
    api = Api(json.loads(Path(arguments[0]).read_text()))
    stale = []
    for name, source in (("models.py", models_module(api)), ("_resources.py", resources_module(api))):
        path, text = PACKAGE / name, formatted(source)
        if "--check" in sys.argv:
            stale += [name] if not path.exists() or path.read_text() != text else []
        else:
            path.write_text(text)
    if stale:
        sys.stderr.write(f"The Python SDK is behind the OpenAPI document ({', '.join(stale)}): run `make proto`.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
