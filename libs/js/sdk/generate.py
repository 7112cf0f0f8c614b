"""Writes `src/models.ts` and `src/resources.ts` from the OpenAPI document; `--check` compares instead.

python libs/js/sdk/generate.py proto/openapi/api.json

How operations become resources and how schemas are called is read by the Python SDK's generator, so that both packages agree.
"""

import importlib.util
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = Path(__file__).with_name("src")
WIDTH = 120
HEAD = "// Generated from the OpenAPI document by generate.py (`make proto`); do not edit.\n"
DOCUMENTED = ("create", "update", "replace")
"""Methods whose request is called as the documentation does: `CreateAgentRequest`. Others are `AgentPublishRequest`."""

Schema = dict[str, Any]


def _python_generator() -> ModuleType:
    path = Path(__file__).parents[2] / "sdk-python" / "generate.py"
    spec = importlib.util.spec_from_file_location("voisnap_sdk_python_generate", path)
    assert spec is not None  # noqa: S101 - the file is in this repository
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_python = _python_generator()


def camel(name: str) -> str:
    """`hub_token` → `hubToken`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def pascal(name: str) -> str:
    """`api_keys.hub_token` → `ApiKeysHubToken`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[._]", name))


def singular(resource: str) -> str:
    """`webrtc.sessions` → `WebrtcSession`, `api_keys` → `ApiKey`."""
    name = pascal(resource)
    kept = resource.endswith(("ss", "analysis", "settings", "cors"))
    return name if kept else re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")


def comment(text: str, indent: int = 0) -> list[str]:
    """A documentation comment."""
    text = " ".join(text.split()).replace("*/", "* /")
    if not text:
        return []
    pad = " " * indent
    if len(text) + indent + 7 <= WIDTH:
        return [f"{pad}/** {text} */"]
    lines = textwrap.wrap(text, WIDTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    return [f"{pad}/**", *(f"{pad} * {line}" for line in lines), f"{pad} */"]


@dataclass(frozen=True)
class Operation:
    """One operation as a method: what it takes, by its types, and what it answers."""

    id: str
    resource: str
    method: str
    verb: str
    path: str
    text: str
    path_names: tuple[str, ...]
    body: str | None
    body_may_be_absent: bool
    query: str | None
    is_conditional: bool
    answer: str | None
    is_paged: bool


class Types:
    """The schemas of the document as types of the language."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.api = _python.Api(document)
        self.document = document
        self.schemas: dict[str, Schema] = self.api.schemas
        self.requests: dict[str, list[str]] = {}
        self.queries: dict[str, list[str]] = {}
        self.request_of: dict[str, str] = {}
        self.used: set[str] = set()
        self.operations = tuple(self._operations())

    def name(self, schema: str) -> str:
        """How the type of a schema is called."""
        self.used.add(schema)
        plain = self.api._name(schema, sorted(self.schemas))
        return f"{plain}Result" if plain != schema and plain in self.schemas else plain

    def type(self, schema: Schema) -> str:
        """A value's type."""
        if "$ref" in schema:
            return self.name(schema["$ref"].rpartition("/")[2])
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            return _union(self.type(one) for one in choices)
        if "enum" in schema:
            return " | ".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"])
        kinds = schema.get("type")
        return _union(self._plain(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds]))

    def _plain(self, kind: str | None, schema: Schema) -> str:
        match kind:
            case "string" | "boolean" | "null":
                return kind
            case "integer" | "number":
                return "number"
            case "array":
                item = self.type(schema.get("items", {}))
                return f"({item})[]" if " " in item else f"{item}[]"
            case "object":
                inner = schema.get("additionalProperties")
                return f"Record<string, {self.type(inner) if isinstance(inner, dict) and inner else 'unknown'}>"
            case _:
                return "unknown"

    def members(self, schema: Schema, *, is_given: bool = False) -> list[str]:
        """The members of an interface; those that a program gives may be undefined where they may be left out."""
        required = set(schema.get("required", ()))
        lines: list[str] = []
        for name, value in schema.get("properties", {}).items():
            lines += comment(value.get("description", ""), 2)
            optional = ("?", " | undefined" if is_given else "")
            mark, more = ("", "") if name in required else optional
            lines.append(f"  {name}{mark}: {self.type(value)}{more};")
        return lines

    def declarations(self) -> Iterator[list[str]]:
        """Every type that is used, by name."""
        made: dict[str, list[str]] = {}
        waiting = sorted(self.used)
        while waiting:
            schema_name = waiting.pop()
            name = self.name(schema_name)
            if name in made:
                raise ValueError(f"two types are called {name}")
            schema, before = self.schemas[schema_name], set(self.used)
            made[name] = _declared(name, schema, self.type(schema), self.members(schema))
            waiting += sorted(self.used - before)
        for kind in (self.requests, self.queries):
            for name, lines in kind.items():
                if name in made:
                    raise ValueError(f"two types are called {name}")
                made[name] = lines
        for name in sorted(made):
            yield made[name]

    def _operations(self) -> Iterator[Operation]:
        documented = [
            (path, verb, operation)
            for path, operations in self.document["paths"].items()
            for verb, operation in operations.items()
        ]
        # Merge patches come last: they name the request that they change.
        for path, verb, operation in sorted(documented, key=lambda one: one[1] == "patch"):
            yield self._operation(path, verb, operation)

    def _operation(self, path: str, verb: str, operation: dict[str, Any]) -> Operation:
        resource, _, method = operation["operationId"].rpartition(".")
        parameters = [self.api._resolved(one) for one in operation.get("parameters", [])]
        query = [one for one in parameters if one["in"] == "query"]
        answer, is_paged = self._answer(operation)
        body, may_be_absent = self._body(resource, method, operation.get("requestBody"))
        return Operation(
            id=operation["operationId"],
            resource=resource,
            method=camel(method),
            verb=verb.upper(),
            path=path,
            text=operation.get("description") or operation.get("summary") or method,
            path_names=tuple(re.findall(r"\{(\w+)\}", path)),
            body=body,
            body_may_be_absent=may_be_absent,
            query=self._query(f"{singular(resource)}{pascal(method)}Query", query) if query else None,
            is_conditional=any(one["in"] == "header" and one["name"] == "If-Match" for one in parameters),
            answer=answer,
            is_paged=is_paged,
        )

    def _body(self, resource: str, method: str, body: dict[str, Any] | None) -> tuple[str | None, bool]:
        if body is None:
            return None, False
        schema = next(iter(body["content"].values()))["schema"]
        choices = [one for one in schema.get("oneOf", ()) if one.get("type") != "null"]
        may_be_absent = not body.get("required", True) or (bool(choices) and len(choices) < len(schema["oneOf"]))
        schema = choices[0] if choices else schema
        name = _request_name(resource, method)
        patched = re.search(r"merge patch \(RFC 7396\) of (\w+)", schema.get("description", ""))
        if patched:
            of = self.request_of.get(patched[1]) or self.name(patched[1])
            self.requests[name] = [
                *comment(f"A change of `{of}`: what is left out stays, `null` clears, lists are replaced."),
                f"export type {name} = MergePatch<{of}>;",
            ]
            return name, may_be_absent
        if "$ref" in schema:
            self.request_of[schema["$ref"].rpartition("/")[2]] = name
        resolved = self.api._resolved(schema)
        text = resolved.get("description", "") or f"What `{camel(resource)}.{camel(method)}` takes."
        kind = self.type(resolved) if "properties" not in resolved else ""
        self.requests[name] = _declared(
            name, {**resolved, "description": text}, kind, self.members(resolved, is_given=True)
        )
        return name, may_be_absent or not resolved.get("required")

    def _query(self, name: str, parameters: list[dict[str, Any]]) -> str:
        lines = [*comment("Parameters of the query."), f"export interface {name} {{"]
        for one in parameters:
            kind = self.type(one["schema"]).removesuffix(" | null")
            if one["name"] in ("tags", "capabilities"):
                kind = "string | readonly string[]"
            elif one["name"].startswith("date"):
                kind = "string | Date"
            lines += comment(one.get("description", ""), 2)
            mark, more = ("", "") if one.get("required") else ("?", " | undefined")
            lines.append(f"  {one['name']}{mark}: {kind}{more};")
        self.queries[name] = [*lines, "}"]
        return name

    def _answer(self, operation: dict[str, Any]) -> tuple[str | None, bool]:
        for status, response in operation["responses"].items():
            content = self.api._resolved(response).get("content", {}).get("application/json")
            if status.startswith("2") and content:
                resolved = self.api._resolved(content["schema"])
                if {"data", "totalPages"} <= set(resolved.get("properties", {})):
                    return self.type(resolved["properties"]["data"]["items"]), True
                return self.type(content["schema"]), False
        return None, False


def _union(kinds: Iterator[str]) -> str:
    found = list(dict.fromkeys(kinds))
    if "unknown" in found:
        return "unknown"
    return " | ".join(sorted(found, key=lambda kind: kind == "null"))


def _declared(name: str, schema: Schema, kind: str, members: list[str]) -> list[str]:
    text = comment(schema.get("description", ""))
    if "properties" in schema:
        return [*text, f"export interface {name} {{", *members, "}"]
    return [*text, f"export type {name} = {kind};"]


def _request_name(resource: str, method: str) -> str:
    if method in DOCUMENTED:
        return f"{pascal(method)}{singular(resource)}Request"
    return f"{singular(resource)}{pascal(method)}Request"


def models_module(types: Types) -> str:
    """Source of `models.ts`."""
    parts = [
        HEAD,
        'import type { MergePatch } from "./calls.js";\n',
        *("\n".join(lines) + "\n" for lines in types.declarations()),
    ]
    return "\n".join(parts)


def resources_module(types: Types) -> str:
    """Source of `resources.ts`."""
    operations = sorted(types.operations, key=lambda one: (one.resource, one.method))
    resources: dict[str, list[Operation]] = {}
    for one in operations:
        for depth in range(1, one.resource.count(".") + 1):
            resources.setdefault(".".join(one.resource.split(".")[:depth]), [])
        resources.setdefault(one.resource, []).append(one)
    table = [f'  "{one.id}": ["{one.verb}", "{one.path}"],' for one in sorted(operations, key=lambda one: one.id)]
    named = {name for one in operations for name in (one.body, one.query) if name}
    answered = {word for one in operations for word in re.findall(r"\b[A-Z]\w+", one.answer or "") if word != "Record"}
    parts = [
        HEAD,
        'import { Resource, type Answer, type ConditionalOptions, type RequestOptions, type Send } from "./calls.js";',
        "import type {",
        *(f"  {name}," for name in sorted(named | answered)),
        '} from "./models.js";',
        'import { PagedList } from "./paging.js";\n',
        "/** Every operation of the API that this package covers: its method and its path. */",
        "export const OPERATIONS = {",
        *table,
        "} as const;\n",
    ]
    for resource in sorted(resources, key=lambda name: (-name.count("."), name)):
        children = [name for name in sorted(resources) if name.rpartition(".")[0] == resource]
        parts += _resource(resource, resources[resource], children)
    parts += _all_resources([name for name in sorted(resources) if "." not in name])
    return "\n".join(parts)


def _resource(resource: str, operations: list[Operation], children: list[str]) -> list[str]:
    spelled = ".".join(camel(one) for one in resource.split("."))
    lines = [*comment(f"`client.{spelled}`."), f"export class {pascal(resource)}Resource extends Resource {{"]
    blocks = [*([_fields(children)] if children else []), *(_method(one) for one in operations)]
    lines += [line for block in blocks for line in ("", *block)][1:]
    return [*lines, "}\n"]


def _fields(children: list[str]) -> list[str]:
    names = [(camel(child.rpartition(".")[2]), f"{pascal(child)}Resource") for child in children]
    return [
        *(f"  readonly {name}: {kind};" for name, kind in names),
        "",
        "  constructor(send: Send) {",
        "    super(send);",
        *(f"    this.{name} = new {kind}(send);" for name, kind in names),
        "  }",
    ]


def _all_resources(top: list[str]) -> list[str]:
    return [
        "/** Everything the API has. */",
        "export class Resources extends Resource {",
        *_fields(top),
        "}\n",
    ]


def _method(one: Operation) -> list[str]:
    arguments = [f"{name}: string{' | number' if name in _NUMBERS else ''}" for name in one.path_names]
    given = [f"path: {{ {', '.join(one.path_names)} }}"] if one.path_names else []
    if one.body is not None:
        arguments.append(f"request{'?' if one.body_may_be_absent else ''}: {one.body}")
        given.append("body: request" if one.body_may_be_absent is False else "body: request ?? {}")
    if one.query is not None:
        arguments.append(f"query?: {one.query}")
        given.append("query")
    arguments.append(f"options?: {'ConditionalOptions' if one.is_conditional else 'RequestOptions'}")
    given.append("options")
    answer = one.answer or "void"
    returns = (
        f"PagedList<{answer}>" if one.is_paged else f"Promise<{'void' if answer == 'void' else f'Answer<{answer}>'}>"
    )
    call = f'OPERATIONS["{one.id}"], {{ {", ".join(given)} }}'
    body = f"return new PagedList(this.send, {call});" if one.is_paged else f"return this.send({call});"
    head = f"  {one.method}({', '.join(arguments)}): {returns} {{"
    if len(head) > WIDTH:
        head = "\n".join([f"  {one.method}(", *(f"    {argument}," for argument in arguments), f"  ): {returns} {{"])
    return [*comment(one.text, 2), head, f"    {body}", "  }"]


_NUMBERS = frozenset({"number", "first", "second"})
"""Path values that are numbers of versions."""


def main() -> int:
    """Write or compare the generated modules."""
    arguments = [one for one in sys.argv[1:] if one != "--check"]
    types = Types(json.loads(Path(arguments[0]).read_text()))
    stale = []
    for name, text in (("models.ts", models_module(types)), ("resources.ts", resources_module(types))):
        path = SOURCE / name
        if "--check" in sys.argv:
            stale += [name] if not path.exists() or path.read_text() != text else []
        else:
            path.write_text(text)
    if stale:
        sys.stderr.write(f"The TypeScript SDK is behind the OpenAPI document ({', '.join(stale)}): run `make proto`.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
