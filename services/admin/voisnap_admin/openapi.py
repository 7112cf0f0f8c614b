"""The OpenAPI document as a text to commit: `python -m voisnap_admin openapi proto/openapi/admin.json`."""

import json
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from voisnap_kit.http import page_query, provide
from voisnap_kit.problem import MEDIA_TYPE, Problem

from .app import ROUTES, openapi_config

_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def document() -> str:
    """The document of all routes, without any connection; every operation may answer with a problem document."""
    app = Litestar(
        route_handlers=list(ROUTES),
        dependencies={
            "paging": Provide(page_query, sync_to_thread=False),
            "caller": provide(None),
            "database": provide(None),
            "bus": provide(None),
        },
        openapi_config=openapi_config(),
        logging_config=None,
    )
    return json.dumps(_completed(app.openapi_schema.to_schema()), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    _, problems = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    schema["components"]["schemas"].update(problems)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("400", None)  # Litestar's own error shape, which nobody gets
            operation["responses"]["default"] = {"description": "A problem document", **_PROBLEM}
    return schema
