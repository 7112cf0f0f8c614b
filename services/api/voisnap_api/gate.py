"""What every request passes before its handler: who asks, how often, with which rights.

A handler says `opt={"public": True}` when it needs no credential, and `opt={"policy": …}` when its rate policy is not the one of its
method. Scopes are guards: `guards=[requires("agents:read")]`.
"""

import time
from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import SkipValidation
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from voisnap_domain.errors import Forbidden, TooManyRequests, Unauthenticated
from voisnap_domain.tenants import Environment
from voisnap_kit import problem, ratelimit
from voisnap_kit.postgres import Database
from voisnap_kit.redis import Redis
from voisnap_kit.work import Caller

from .auth.credentials import Credentials, Identity, check_environment
from .mail.texts import Pages
from .tenants.usecases import find_tenant

UNLIMITED = "unlimited"
"""A policy for what carries its own right (signed links) or is the same for everybody (key set, OpenAPI)."""

PUBLIC = {"public": True, "policy": UNLIMITED}
"""Options of a handler that needs no credential and is not counted."""

AUTH_STRICT = "auth-strict"
AUTH_LENIENT = "auth-lenient"
API_STANDARD = "api-standard"
API_READ_HEAVY = "api-read-heavy"
API_WRITE = "api-write"
VOICE_HUB = "voice-hub"
CHAT_HUB = "chat-hub"

_LIMITS: dict[str, int] = {
    AUTH_STRICT: 5,
    AUTH_LENIENT: 3,
    API_STANDARD: 120,
    API_READ_HEAVY: 300,
    API_WRITE: 60,
    VOICE_HUB: 10,
    CHAT_HUB: 60,
}
"""Requests a minute by policy, for a tenant whose plan says nothing else; of hubs: connections that begin a session."""

_PLAN_LIMITS: dict[str, dict[str, int]] = {
    "starter": {API_STANDARD: 60, API_WRITE: 20, VOICE_HUB: 5, CHAT_HUB: 30},
    "professional": {API_STANDARD: 120, API_WRITE: 60, VOICE_HUB: 10, CHAT_HUB: 60},
    "business": {API_STANDARD: 300, API_WRITE: 120, VOICE_HUB: 25, CHAT_HUB: 150},
    "enterprise": {API_STANDARD: 3000, API_READ_HEAVY: 3000, API_WRITE: 1200, VOICE_HUB: 1000, CHAT_HUB: 6000},
}

_WINDOW = 60
_PLAN_REMEMBERED_SECONDS = 30.0
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Gate(ASGIMiddleware):
    """Identifies the caller, counts the request, and says on every answer how much of the rate is left."""

    def __init__(self, credentials: Credentials, limiter: "Limiter", *, sandbox_host: str) -> None:
        self._credentials = credentials
        self._limiter = limiter
        self._sandbox_host = sandbox_host

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, refuse it with 429, or raise Unauthenticated."""
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", "/.well-known/")):
            await next_app(scope, receive, send)
            return
        request: Request[Any, Any, Any] = Request(scope)
        client = request.client.host if request.client else "unknown"
        options = request.route_handler.opt
        if options.get("policy") == UNLIMITED:
            await next_app(scope, receive, send)
            return
        policy = options.get("policy") or (API_WRITE if request.method in _WRITES else API_STANDARD)
        identity = None
        if not options.get("public"):
            identity = scope["user"] = await self._identify(request, client)
        state = await self._limiter.count(policy, identity, client=client)
        if state is None:
            await next_app(scope, receive, send)
            return
        scope["state"]["rate_limit"] = state
        headers = _headers(state, policy)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if not state.allowed:
            error = TooManyRequests(
                f"More than {state.limit} requests a minute under the policy {policy}.", retry_after=state.retry_after
            )
            refusal = problem.response(*problem.of_domain_error(error))
            await refusal.to_asgi_response(app=None, request=request)(scope, receive, send_with_headers)
            return
        await next_app(scope, receive, send_with_headers)

    async def _identify(self, request: Request[Any, Any, Any], client: str) -> Identity:
        """Who asks. Refusals are counted by address, so that credentials can't be guessed quickly."""
        try:
            identity = await self._credentials.identify(request.headers.get("authorization"))
            check_environment(identity, self._wanted_environment(request))
        except Unauthenticated:
            state = await self._limiter.count(API_STANDARD, None, client=client)
            if state is not None and not state.allowed:
                raise TooManyRequests(
                    "Too many requests with unusable credentials from this address.", retry_after=state.retry_after
                ) from None
            raise
        return identity

    def _wanted_environment(self, request: Request[Any, Any, Any]) -> Environment | None:
        """The environment that the address or the header names; None when the credential decides."""
        named = request.headers.get("x-voisnap-environment")
        if named in {"live", "sandbox"}:
            return Environment(named)
        host = request.headers.get("host", "").partition(":")[0].lower()
        return Environment.SANDBOX if host == self._sandbox_host else None


class Limiter:
    """Counts requests by policy and credential (or address) in Redis, with the limits of the tenant's plan."""

    def __init__(
        self, redis: Redis, database: Database, *, factor: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._database = database
        self._factor = factor
        self._monotonic = monotonic
        self._plans: dict[str, tuple[str, float]] = {}

    async def count(self, policy: str, identity: Identity | None, *, client: str) -> ratelimit.RateLimit | None:
        """The state after this request; None when rates are not limited at all."""
        return await self._count(policy, identity and identity.caller, key=identity.rate_key if identity else client)

    async def count_of_tenant(self, policy: str, caller: Caller) -> ratelimit.RateLimit | None:
        """The same for what a tenant's callers share, in each environment for itself."""
        return await self._count(policy, caller, key=f"{caller.tenant_id}:{caller.environment.value}")

    async def _count(self, policy: str, caller: Caller | None, *, key: str) -> ratelimit.RateLimit | None:
        if self._factor <= 0:
            return None
        limit = _LIMITS.get(policy, _LIMITS[API_STANDARD])
        if caller is not None:
            limit = _PLAN_LIMITS.get(await self._plan(caller), {}).get(policy, limit)
        return await ratelimit.check(
            self._redis, policy=policy, key=key, limit=max(1, int(limit * self._factor)), window=_WINDOW
        )

    async def _plan(self, caller: Caller) -> str:
        remembered = self._plans.get(caller.tenant_id)
        if remembered is not None and self._monotonic() < remembered[1]:
            return remembered[0]
        async with self._database.transaction(caller.tenant_id, caller.environment) as tx:
            tenant = await find_tenant(tx, caller.tenant_id)
        plan = tenant.plan.lower() if tenant else ""
        if len(self._plans) > 10_000:
            self._plans.clear()
        self._plans[caller.tenant_id] = (plan, self._monotonic() + _PLAN_REMEMBERED_SECONDS)
        return plan


def requires(scope: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """A guard: the credential must have the scope."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        identity_of(connection).caller.require(scope)

    return guard


def identity_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    """Who asks, as the gate found out."""
    identity = connection.scope.get("user")
    if not isinstance(identity, Identity):
        raise Forbidden("This needs a credential.")
    return identity


async def provide_identity(request: Request[Any, Any, Any]) -> Identity:
    """The dependency `identity`."""
    return identity_of(request)


async def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """The dependency `caller`."""
    return identity_of(request).caller


InjectedCaller = NamedDependency[SkipValidation[Caller]]
InjectedIdentity = NamedDependency[SkipValidation[Identity]]
InjectedDatabase = NamedDependency[SkipValidation[Database]]
InjectedPages = NamedDependency[SkipValidation[Pages]]


def _headers(state: ratelimit.RateLimit, policy: str) -> list[tuple[bytes, bytes]]:
    """The documented headers; the reset is a moment in Unix seconds."""
    return [
        (b"x-ratelimit-limit", str(state.limit).encode()),
        (b"x-ratelimit-remaining", str(state.remaining).encode()),
        (b"x-ratelimit-reset", str(int(time.time()) + state.reset).encode()),
        (b"x-ratelimit-policy", policy.encode()),
    ]
