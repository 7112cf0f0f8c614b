"""The Admin service's HTTP application: everything it is made of, in one list each."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from voisnap_kit.bus import DeadLetters, EventBus
from voisnap_kit.health import Check, DrainGate
from voisnap_kit.http import background, build_app, provide
from voisnap_kit.outbox import Publisher, Relay
from voisnap_kit.postgres import Database

from .audit.routes import AuditController
from .auth import Tokens, provide_caller
from .dead_letters.routes import DeadLetterController
from .settings import Settings
from .tenants import subscribers as tenant_subscribers
from .tenants.routes import TenantController

ROUTES = (TenantController, AuditController, DeadLetterController)


class AdminBus(EventBus, DeadLetters, Publisher, Protocol):
    """What the service needs of the bus."""

    async def check(self) -> None:
        """Raise while the bus is away."""
        ...


def build(
    settings: Settings, *, database: Database, bus: AdminBus, tokens: Tokens, gate: DrainGate | None = None
) -> Litestar:
    """The application on given connections. It relays its own outbox, so that events leave at once after a commit."""
    relay = Relay(database, bus)

    @asynccontextmanager
    async def at_work(_app: Litestar) -> AsyncGenerator[None]:
        creating = await tenant_subscribers.subscribe(bus, database)
        try:
            async with background(relay.run()):
                yield
        finally:
            await creating.close()

    checks: dict[str, Check] = {
        "database": database.check,
        "nats": bus.check,
        "jwks": tokens.check,
        "outbox": relay.beat.check,
    }
    return build_app(
        ROUTES,
        service="admin",
        checks=checks,
        cors_origins=(settings.public_url.rstrip("/"), *settings.cors_allowed_origins),
        dependencies={
            "caller": Provide(provide_caller),
            "database": provide(database),
            "tokens": provide(tokens),
            "bus": provide(bus),
        },
        lifespan=(at_work,),
        openapi=openapi_config(),
        gate=gate,
    )


def openapi_config() -> OpenAPIConfig:
    """The document at `/api/v1/admin/openapi.json`."""
    return OpenAPIConfig(
        title="Voisnap Admin API",
        version="1",
        description="Tenants, limits and the audit log, for operators of the platform. Errors are problem documents (RFC 9457).",
        path="/api/v1/admin",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        servers=[Server(url="/")],
        use_handler_docstrings=True,
        security=[{"bearer": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="An access token of a platform administrator."
                )
            }
        ),
    )
