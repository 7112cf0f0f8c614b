"""The API's HTTP application: everything it is made of, in one list each."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.config.app import AppConfig
from litestar.di import Provide
from voisnap_kit import log, problem, sealing
from voisnap_kit.bus import EventBus
from voisnap_kit.health import DrainGate
from voisnap_kit.http import background, build_app, page_query, provide
from voisnap_kit.intake import Intake
from voisnap_kit.outbox import Publisher, Relay
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.redis import Redis
from voisnap_kit.tokens import TokenSigner
from voisnap_providers.accounts import platform_accounts
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.blobs import Blobs
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.tenant_accounts import TenantAccounts

from . import openapi, reference
from .agent_tests.clients import RehearsalLines
from .agent_tests.routes import AgentTestController
from .agents.routes import AgentController
from .analysis.routes import AnalysisController, ConversationAnalysisController
from .api_keys.routes import ApiKeyController
from .audit.routes import AuditController
from .auth.credentials import Credentials
from .auth.routes import AuthController, jwks
from .call_transfers.routes import CallTransferController
from .carrier_accounts import CarrierAccounts
from .carrier_webhooks.desk import WebhookDesk
from .carrier_webhooks.routes import carrier_webhook
from .catalogue.routes import ModelController, VoiceController
from .catalogue.usecases import Reaches
from .channels.clients import Connector
from .channels.routes import ChannelController
from .contacts.routes import ContactController
from .conversations.routes import ConversationController
from .do_not_call.routes import DoNotCallController
from .gate import PUBLIC, Gate, Limiter, RateHeaders, provide_caller, provide_identity
from .idempotency.middleware import Idempotency
from .mail.routes import MailController
from .mail.texts import Pages
from .messaging.desk import MessageDesk
from .messaging.networks import Networks
from .messaging.routes import MessageController
from .messaging.webhooks import message_webhook
from .mfa.passkeys import Sites
from .mfa.routes import MfaController
from .mfa.usecases import Vault
from .origins.routes import CorsController
from .origins.usecases import TenantOrigins
from .outbound_calls.routes import OutboundCallController
from .phone_numbers.clients import Desks
from .phone_numbers.provisioning import Provisioner
from .phone_numbers.routes import TelephonyNumberController, TelephonyUsageController
from .provider_credentials.clients import Prober
from .provider_credentials.routes import ProviderCredentialController
from .provider_credentials.usecases import Vault as CredentialVault
from .recordings.links import RecordingLinks, signing_key_of
from .recordings.routes import download, look
from .registration.routes import RegistrationController
from .session_plans import subscribers as session_plans
from .settings import Settings
from .sip_trunks.building import TrunkBuilder
from .sip_trunks.routes import SipTrunkController
from .users.routes import UserController
from .webrtc_sessions.routes import WebRtcSessionController

_log = log.get(__name__)

ROUTES = (
    AuthController,
    MfaController,
    RegistrationController,
    UserController,
    MailController,
    ApiKeyController,
    AgentController,
    AgentTestController,
    WebRtcSessionController,
    ConversationController,
    ConversationAnalysisController,
    CallTransferController,
    ContactController,
    MessageController,
    ChannelController,
    AnalysisController,
    AuditController,
    CorsController,
    ProviderCredentialController,
    OutboundCallController,
    DoNotCallController,
    TelephonyNumberController,
    SipTrunkController,
    TelephonyUsageController,
    ModelController,
    VoiceController,
    carrier_webhook,
    message_webhook,
    download,
    look,
    jwks,
)

_FLUSH_SECONDS = 15.0


class ApiBus(EventBus, Publisher, Protocol):
    """What the API needs of the bus."""

    async def check(self) -> None:
        """Raise while the bus is away."""
        ...


class KeyUses(msgspec.Struct, frozen=True, kw_only=True):
    """How many keys' last use was written down."""

    noted: int


def build(
    settings: Settings,
    *,
    database: Database,
    redis: Redis,
    bus: ApiBus,
    blobs: Blobs,
    signer: TokenSigner,
    gate: DrainGate | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Litestar:
    """The application on given connections. It relays its own outbox, so that events leave at once after a commit. `environ` holds the
    platform's accounts with providers."""
    credentials = Credentials(database, signer.keys())
    limiter = Limiter(redis, database, factor=settings.rate_limit_factor)
    origins = TenantOrigins(database)
    links = RecordingLinks(settings.public_url, signing_key_of(settings.blobs_signing_key.value))
    relay = Relay(database, bus)
    sealing_keys = settings.sealing_keys
    accounts = TenantAccounts(sealing.opener(sealing_keys), environ)
    carrier_accounts = CarrierAccounts(accounts, environ, settings.simulator_accounts_file)
    secret = (settings.secrets_key or settings.blobs_signing_key).value.encode()
    public_url = settings.public_url.rstrip("/")
    networks = Networks(carrier_accounts)
    number_desks = Desks(carrier_accounts, public_url=public_url)
    webhook_desk = WebhookDesk(database, bus, carrier_accounts, public_url=public_url, secret=secret)

    async def flush() -> KeyUses:
        return KeyUses(noted=await credentials.flush_uses())

    @asynccontextmanager
    async def at_work(_app: Litestar) -> AsyncGenerator[None]:
        planning = await session_plans.subscribe(bus, database, limiter)
        try:
            uses = Reconciler("api-key-uses", _FLUSH_SECONDS, flush)
            async with background(relay.run(), uses.run(), asyncio.to_thread(carrier_accounts.warm)):
                yield
        finally:
            await planning.close()
            await number_desks.aclose()
            await networks.aclose()
            await carrier_accounts.aclose()
        await credentials.flush_uses()

    return build_app(
        [*ROUTES, openapi_json, reference_page],
        service="api",
        checks={"database": database.check, "redis": redis.ping, "nats": bus.check},
        cors_origins=(settings.public_url.rstrip("/"), *settings.cors_allowed_origins),
        more_origins=origins,
        dependencies={
            "caller": Provide(provide_caller),
            "identity": Provide(provide_identity),
            "database": provide(database),
            "bus": provide(bus),
            "blobs": provide(blobs),
            "links": provide(links),
            "origins": provide(origins),
            "signer": provide(signer),
            "pages": provide(Pages(settings.public_url)),
            "sites": provide(Sites(settings.public_url, settings.cors_allowed_origins)),
            "vault": provide(Vault((settings.secrets_key or settings.blobs_signing_key).value.encode())),
            "is_sending": provide(settings.smtp_url is not None),
            "registration": provide(settings.registration),
            "credential_vault": provide(CredentialVault(sealing_keys)),
            "prober": provide(Prober(accounts, _registry_for_probes)),
            "reaches": provide(Reaches(platform_accounts(environ))),
            "carrier_accounts": provide(carrier_accounts),
            "webhook_desk": provide(webhook_desk),
            "test_lines": provide(
                RehearsalLines(carrier_accounts, CarrierUrls(public_url), settings.simulator_accounts_file)
            ),
            "networks": provide(networks),
            "connector": provide(Connector(CarrierUrls(public_url))),
            "message_desk": provide(MessageDesk(database, networks)),
            "provisioner": provide(Provisioner(database, number_desks)),
            "trunk_builder": provide(TrunkBuilder(database, number_desks)),
            "public_url": provide(public_url),
        },
        layers=[lambda inner: RateHeaders(inner, limiter)],
        middleware=[
            Gate(credentials, limiter, sandbox_host=settings.sandbox_host),
            Intake(),
            Idempotency(database, (settings.secrets_key or settings.blobs_signing_key).value.encode()),
        ],
        on_app_init=[_handle_provider_errors],
        lifespan=(at_work,),
        gate=gate,
    )


def _registry_for_probes() -> Registry:
    return Registry(ProviderSettings(models_dir=Path("models"), threads=1))


def _handle_provider_errors(config: AppConfig) -> AppConfig:
    config.exception_handlers[ProviderError] = _on_provider_error
    return config


def _on_provider_error(request: Request[Any, Any, Any], error: ProviderError) -> Response[bytes]:
    """503 when trying again may help, else 502. What the provider said stays in the log."""
    _log.warning("request.provider_failed", path=request.url.path, kind=error.kind, error=repr(error))
    if error.retryable:
        detail = "A part of the platform does not answer; try again in a moment."
        return problem.response(problem.problem(503, "temporarily-unavailable", detail), {"Retry-After": "1"})
    detail = "A service that this request needs refused to work for us; quote the trace id to support."
    return problem.response(problem.problem(502, "provider-failed", detail))


@get("/api/v1/openapi.json", opt=PUBLIC, include_in_schema=False, media_type=MediaType.JSON)
async def openapi_json() -> bytes:
    """The OpenAPI document of this API."""
    return (await asyncio.to_thread(openapi_document)).encode()


@get("/api/v1/docs", opt={**PUBLIC, "any_answer": True}, include_in_schema=False, media_type=MediaType.HTML)
async def reference_page() -> Response[str]:
    """The same as a page to read."""
    text = await asyncio.to_thread(_reference)
    return Response(text, media_type=MediaType.HTML, headers=reference.HEADERS)


@cache
def _reference() -> str:
    return reference.page(json.loads(openapi_document()))


@cache
def openapi_document() -> str:
    """The OpenAPI document of all routes as text, made without any connection."""
    names = (
        "caller",
        "identity",
        "database",
        "bus",
        "blobs",
        "links",
        "origins",
        "signer",
        "pages",
        "sites",
        "vault",
        "is_sending",
        "registration",
        "credential_vault",
        "prober",
        "reaches",
        "carrier_accounts",
        "webhook_desk",
        "test_lines",
        "networks",
        "connector",
        "message_desk",
        "provisioner",
        "trunk_builder",
        "public_url",
    )
    app = Litestar(
        route_handlers=list(ROUTES),
        dependencies={
            "paging": Provide(page_query, sync_to_thread=False),
            **{name: provide(None) for name in names},
        },
        openapi_config=openapi.config(),
        logging_config=None,
    )
    document = openapi.completed(app)
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
