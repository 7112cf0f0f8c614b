"""The OpenAPI 3.1 document: what Litestar finds in the handlers, and what it can't know (merge patches, problem documents)."""

import re
from typing import Any

import msgspec
from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.types import Method
from voisnap_domain.agent_rules import camel
from voisnap_kit.problem import MEDIA_TYPE, Problem

_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_AGENT = {"$ref": "#/components/schemas/AgentBody"}
_OPEN = frozenset({"/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout"})
"""Paths that need no credential."""

_VERBS = {"read": "get", "remove": "delete"}
"""Handlers whose operation has another name, because Python keeps theirs."""


def config() -> OpenAPIConfig:
    """What the document says beside the handlers."""
    return OpenAPIConfig(
        title="Voisnap API",
        version="1",
        description=(
            "Voice agents, conversations, sessions. Times are ISO 8601 in UTC; errors are problem documents (RFC 9457). "
            "Every POST honours Idempotency-Key for 24 hours."
        ),
        servers=[Server(url="/")],
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


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the bodies of agents, problem documents as the default answer, and paths that need no credential marked."""
    document = dict(document)
    schemas = {**document["components"]["schemas"], **_problem_schemas()}
    document["components"] = {**document["components"], "schemas": schemas}
    document["paths"] = {
        _camel_path(path): {method: _operation(path, method, operation) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    return document


def _camel_path(path: str) -> str:
    """`/agents/{agent_id}` as the documentation writes it: `/agents/{agentId}`."""
    return re.sub(r"\{(\w+)\}", lambda found: "{" + camel(found[1]) + "}", path)


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    operation = dict(operation)
    if "parameters" in operation:
        operation["parameters"] = [
            parameter | {"name": camel(parameter["name"])} if parameter["in"] == "path" else parameter
            for parameter in operation["parameters"]
        ]
    responses = {status: answer for status, answer in operation["responses"].items() if status != "400"}
    operation["responses"] = {**responses, "default": {"description": "A problem document", **_PROBLEM}}
    if path in _OPEN:
        operation["security"] = []
    if (path, method) == ("/api/v1/agents", "post"):
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _AGENT}}}
    if (path, method) == ("/api/v1/agents/{agent_id}", "patch"):
        patch = {"type": "object", "description": "A JSON merge patch (RFC 7396) of AgentBody."}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": patch}, "application/merge-patch+json": {"schema": patch}},
        }
    return operation


def _problem_schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    return components


def _operation_id(handler: HTTPRouteHandler, _method: Method, path_components: list[Any]) -> str:
    """`agents.create`, `webrtc.sessions.create`: the resource, which is the path of the controller, and the verb that SDKs call it by."""
    owner = handler.owner
    path = owner.path if isinstance(owner, Router) else "/".join(str(part) for part in path_components[:3])
    resource = ".".join(part.replace("-", "_") for part in path.split("/") if part and part not in {"api", "v1"})
    return f"{resource}.{_VERBS.get(handler.handler_name) or handler.handler_name.partition('list_')[0] or 'list'}"
