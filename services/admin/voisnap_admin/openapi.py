"""The OpenAPI document as a text to commit: `python -m voisnap_admin openapi > proto/openapi/admin.json`."""

import json

from litestar import Litestar
from litestar.di import Provide
from voisnap_kit.http import page_query, provide

from .app import ROUTES, openapi_config


def document() -> str:
    """The document of all routes, without any connection."""
    app = Litestar(
        route_handlers=list(ROUTES),
        dependencies={
            "paging": Provide(page_query, sync_to_thread=False),
            "caller": provide(None),
            "database": provide(None),
        },
        openapi_config=openapi_config(),
        logging_config=None,
    )
    return json.dumps(app.openapi_schema.to_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
