"""The OpenAPI 3.1 document: what Litestar finds in the handlers, and what it can't know (merge patches, limits, refusals, examples)."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag
from litestar.types import Method
from voisnap_domain.agent_rules import camel, length_rules, range_rules
from voisnap_kit.problem import MEDIA_TYPE, Problem

from .gate import RequiredScope

_AGENT = {"$ref": "#/components/schemas/AgentBody"}
_METHODS = ("get", "post", "put", "patch", "delete")

_VERBS = {"read": "get", "remove": "delete", "get_user": "get", "get_key": "get", "change": "update"}
"""Handlers whose operation has another name, because Python keeps theirs."""

_TAGS = {
    "Agents": "Voice agents: persona, voice, model, behaviour, versions.",
    "API keys": "Credentials of servers: made once, shown once, revoked at any time.",
    "Audit log": "Who did what, when, from where.",
    "Analysis": "What was worked out of conversations, and work that could not be done.",
    "Authentication": "Logging in, tokens, passwords, invitations.",
    "Conversations": "What was said, heard, paid and found out.",
    "Catalogue": "Models and voices of providers, and which of them can be used.",
    "Mail": "Messages of an installation that sends no email.",
    "Outbound calls": "Calls that agents place, when they may, and whom they must not call.",
    "Provider credentials": "A tenant's own access to AI providers, sealed.",
    "Second factors": "Authenticator apps, passkeys and recovery codes.",
    "Settings": "What holds for a whole tenant.",
    "Messaging": "Messages by SMS, WhatsApp and Telegram, the accounts that carry them, and the people at the other end.",
    "Telephony": "Telephone numbers and SIP trunks, and what was called and written with them.",
    "Users": "The people of a tenant.",
    "WebRTC": "Voice sessions of browsers.",
}

_REFUSALS = {
    "400": ("BadRequest", "The body is not JSON of one meaning."),
    "401": ("Unauthorized", "No usable credential, or one of the other environment."),
    "403": ("Forbidden", "The credential may not do this."),
    "404": ("NotFound", "There is no such thing for this tenant and environment."),
    "406": ("NotAcceptable", "`Accept` allows no JSON."),
    "409": (
        "Conflict",
        "The state of the thing forbids this, or a request with the same `Idempotency-Key` is in work.",
    ),
    "412": ("PreconditionFailed", "The thing is another one than `If-Match` names."),
    "413": ("PayloadTooLarge", "The body is larger than a mebibyte."),
    "415": ("UnsupportedMediaType", "The body is no JSON."),
    "422": ("ValidationFailed", "Fields or parameters are wrong; `errors` names all of them."),
    "429": ("TooManyRequests", "A rate policy or a plan is used up; `Retry-After` says when to come back."),
    "default": ("Failed", "Any other refusal or failure."),
}
"""Problem documents by status: the name of the shared answer and its description."""

_SUCCESSES = {
    "200": "The answer.",
    "201": "Made.",
    "202": "Begun; it goes on.",
    "204": "Done; there is nothing to say.",
}

_HEADERS = {
    "X-Request-Id": ("string", "Names the request; what was sent, if it looked like an id."),
    "X-Api-Version": ("string", "The version of the API."),
    "X-RateLimit-Limit": ("integer", "Requests that a window of the policy holds."),
    "X-RateLimit-Remaining": ("integer", "Requests left in this window."),
    "X-RateLimit-Reset": ("integer", "When the window ends, in Unix seconds."),
    "X-RateLimit-Policy": ("string", "The name of the policy."),
}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": (
        "Makes sending the request again safe for 24 hours: the same key and body get the first answer (with "
        "`Idempotency-Replayed: true`), the same key with another body 422, a request still in work 409."
    ),
}


def config() -> OpenAPIConfig:
    """What the document says beside the handlers."""
    return OpenAPIConfig(
        title="Voisnap API",
        version="1",
        description=(
            "Voice agents, conversations, sessions. Times are ISO 8601 in UTC; errors are problem documents (RFC 9457) that name "
            "every wrong field at once. Lists are pages: `data`, `page`, `pageSize`, `total`, `totalPages`. Changes are JSON merge "
            "patches (RFC 7396). Every POST honours `Idempotency-Key` for 24 hours."
        ),
        servers=[Server(url="/")],
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        security=[{"bearer": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="An API key (vsnp_live_…, vsnp_sb_…) or an access token."
                )
            }
        ),
    )


def completed(app: Litestar) -> dict[str, Any]:
    """The document of an application's handlers, with limits, refusals, shared headers, needed scopes and the documentation's examples."""
    document = dict(app.openapi_schema.to_schema())
    handlers = {
        (route.path_format, method.lower()): handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
    }
    _, problems = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    schemas = {**document["components"]["schemas"], **problems}
    _set_limits(schemas)
    _name_items(schemas)
    document["components"] = {
        **document["components"],
        "schemas": schemas,
        "responses": {name: _refusal(status, text) for status, (name, text) in _REFUSALS.items()},
        "headers": {name: {"description": text, "schema": {"type": kind}} for name, (kind, text) in _HEADERS.items()}
        | {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
        "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
    }
    document["paths"] = {
        _camel_path(path): {
            method: _operation(_camel_path(path), method, operation, handlers[path, method])
            for method, operation in operations.items()
            if method in _METHODS
        }
        for path, operations in document["paths"].items()
    }
    return document


def needed_scopes(handler: HTTPRouteHandler) -> list[str]:
    """The scopes that a handler's guards ask for, all of which are needed."""
    return [guard.scope for guard in handler.resolve_guards() if isinstance(guard, RequiredScope)]


def _operation(path: str, method: str, given: dict[str, Any], handler: HTTPRouteHandler) -> dict[str, Any]:
    operation = dict(given)
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    is_public = bool(handler.opt.get("public"))
    scopes = needed_scopes(handler)
    if (path, method) == ("/api/v1/agents", "post"):
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _AGENT}}}
    if (path, method) == ("/api/v1/agents/{agentId}", "patch"):
        patch = {"type": "object", "description": "A JSON merge patch (RFC 7396) of AgentBody."}
        operation["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": patch},
                "application/merge-patch+json": {"schema": dict(patch)},
            },
        }
    if "requestBody" in operation and (body := handler.parsed_data_field) is not None:
        operation["requestBody"] = operation["requestBody"] | {"required": body.is_required}
    statuses = ["406", "422", "429", "default"]
    if not is_public:
        statuses += ["401", "403"] if scopes else ["401"]
    if any(parameter["in"] == "path" for parameter in parameters):
        statuses.append("404")
    if method != "get":
        statuses.append("409")
    if any(parameter["name"] == "If-Match" for parameter in parameters):
        statuses.append("412")
    if "requestBody" in operation:
        statuses += ["400", "413", "415"]
    successes = {
        status: answer
        | {"description": _SUCCESSES[status], "headers": {**answer.get("headers", {}), **_shared_headers()}}
        for status, answer in operation["responses"].items()
        if status.startswith(("2", "3"))
    }
    refusals = {status: {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"} for status in sorted(statuses)}
    operation["responses"] = {**successes, **refusals}
    if method == "post" and not is_public:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if parameters:
        operation["parameters"] = parameters
    if is_public:
        operation["security"] = []
    if scopes:
        operation["x-required-scopes"] = scopes
        words = " and ".join(f"`{scope}`" for scope in scopes)
        needs = f"Needs the scope{'s' if len(scopes) > 1 else ''} {words}."
        operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
    _add_examples(operation, _examples().get(f"{method.upper()} {path}", {}))
    return operation


def _parameter(given: dict[str, Any]) -> dict[str, Any]:
    """With the wire's name, and whole numbers as limits of whole numbers."""
    schema = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in given.get("schema", {}).items()
    }
    return given | {"schema": schema} | ({"name": camel(given["name"])} if given["in"] == "path" else {})


def _add_examples(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    """The documentation's own, with the fields it prints."""
    if "request" in examples and "requestBody" in operation:
        body = operation["requestBody"]
        content = {kind: media | {"example": examples["request"]} for kind, media in body["content"].items()}
        operation["requestBody"] = body | {"content": content}
    for status, answer in operation["responses"].items():
        if "response" in examples and status.startswith("2") and "content" in answer:
            content = {kind: media | {"example": examples["response"]} for kind, media in answer["content"].items()}
            operation["responses"][status] = answer | {"content": content}


def _refusal(status: str, text: str) -> dict[str, Any]:
    headers = _shared_headers()
    if status in {"429", "default"}:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": text, "content": content, "headers": headers}


def _shared_headers() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}


def _set_limits(schemas: dict[str, Any]) -> None:
    """Ranges and lengths of an agent's configuration, which are rules of the domain."""
    for path, least, most in range_rules():
        _property(schemas, path).update({"minimum": least, "maximum": most})
    for path, shortest, longest in length_rules():
        _property(schemas, path).update({"minLength": shortest, "maxLength": longest})


def _name_items(schemas: dict[str, Any]) -> None:
    """Of arrays with a length: Litestar takes the dots of `tuple[Item, ...]` for another type that their items may have, "anything", and what
    is an item would be two of `oneOf`, hence neither."""
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            for array in (field, *field.get("oneOf", ())):
                match array.get("items"):
                    case {"oneOf": [item, {**nothing}]} if not nothing:
                        array["items"] = item


def _property(schemas: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of a field such as `llm.top_p` of AgentBody; of one that may be null, the part that is not."""
    *parents, name = [camel(part) for part in path.split(".")]
    schema = schemas["AgentBody"]
    for parent in parents:
        schema = schemas[schema["properties"][parent]["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema["properties"][name]
    return next((part for part in found.get("oneOf", ()) if part.get("type") != "null"), found)


@cache
def _examples() -> dict[str, dict[str, Any]]:
    return json.loads(Path(__file__).with_name("openapi_examples.json").read_text(encoding="utf-8"))


def _camel_path(path: str) -> str:
    """`/agents/{agent_id}` as the documentation writes it: `/agents/{agentId}`."""
    return re.sub(r"\{(\w+)\}", lambda found: "{" + camel(found[1]) + "}", path)


def _operation_id(handler: HTTPRouteHandler, _method: Method, path_components: list[Any]) -> str:
    """`agents.create`, `webrtc.sessions.create`: the resource, which is the path of the controller, and the verb that SDKs call it by."""
    owner = handler.owner
    path = owner.path if isinstance(owner, Router) else "/".join(str(part) for part in path_components[:3])
    resource = ".".join(part.replace("-", "_") for part in path.split("/") if part and part not in {"api", "v1"})
    return f"{resource}.{_VERBS.get(handler.handler_name) or handler.handler_name.partition('list_')[0] or 'list'}"
