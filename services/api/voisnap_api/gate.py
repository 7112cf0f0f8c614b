"""What every request passes before its handler: who asks, how often, with which rights.

A handler says `opt={"public": True}` when it needs no credential, and `opt={"policy": …}` when its rate policy is not the one of its
method. Scopes are guards: `guards=[requires("agents:read")]`.
"""

import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
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

PUBLIC_DATA = "public"
"""The policy of what carries its own right (signed links) or is the same for everybody (key set, OpenAPI)."""

PUBLIC = {"public": True, "policy": PUBLIC_DATA}
"""Options of a handler that needs no credential."""

AUTH_STRICT = "auth-strict"
AUTH_LENIENT = "auth-lenient"
API_STANDARD = "api-standard"
API_READ_HEAVY = "api-read-heavy"
API_WRITE = "api-write"
OUTBOUND_CALLS = "outbound-calls"
KNOWLEDGE_BASE_UPLOAD = "knowledge-base-upload"
ANALYTICS_EXPORT = "analytics-export"
VOICE_HUB = "voice-hub"
CHAT_HUB = "chat-hub"
CARRIER_WEBHOOKS = "carrier-webhooks"
"""Of what carriers post: many calls come from few addresses."""


class Policy(msgspec.Struct, frozen=True):
    """How many requests a window of so many seconds holds: of one credential (of one address, before there is one), or of a tenant."""

    limit: int
    window: int = 60
    per_tenant: bool = False


_POLICIES: dict[str, Policy] = {
    PUBLIC_DATA: Policy(1200),
    AUTH_STRICT: Policy(5),
    AUTH_LENIENT: Policy(3),
    API_STANDARD: Policy(120),
    API_READ_HEAVY: Policy(300),
    API_WRITE: Policy(60),
    OUTBOUND_CALLS: Policy(30),
    KNOWLEDGE_BASE_UPLOAD: Policy(10, window=3600, per_tenant=True),
    ANALYTICS_EXPORT: Policy(5, window=3600),
    VOICE_HUB: Policy(10, per_tenant=True),
    CHAT_HUB: Policy(60, per_tenant=True),
    CARRIER_WEBHOOKS: Policy(60_000),
}
"""For a tenant whose plan says nothing else. Of hubs: connections that begin a session."""

_PLAN_LIMITS: dict[str, dict[str, int]] = {
    "starter": {API_STANDARD: 60, API_WRITE: 20, VOICE_HUB: 5, CHAT_HUB: 30},
    "professional": {API_STANDARD: 120, API_WRITE: 60, VOICE_HUB: 10, CHAT_HUB: 60},
    "business": {API_STANDARD: 300, API_WRITE: 120, VOICE_HUB: 25, CHAT_HUB: 150},
    "enterprise": {API_STANDARD: 3000, API_READ_HEAVY: 3000, API_WRITE: 1200, VOICE_HUB: 1000, CHAT_HUB: 6000},
}

_PLAN_REMEMBERED_SECONDS = 30.0
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LIMITED_PATHS = ("/api/", "/.well-known/")
_COUNTED = "voisnap.rate"


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A request after it was counted."""

    policy: str
    rate: ratelimit.RateLimit

    def refusal(self) -> TooManyRequests:
        """What to say to a request beyond the limit."""
        detail = f"More than {self.rate.limit} requests {_words(self.policy)} under the policy {self.policy}."
        return TooManyRequests(detail, retry_after=self.rate.retry_after)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The documented headers; the reset is a moment in Unix seconds."""
        return [
            (b"x-ratelimit-limit", str(self.rate.limit).encode()),
            (b"x-ratelimit-remaining", str(self.rate.remaining).encode()),
            (b"x-ratelimit-reset", str(int(time.time()) + self.rate.reset).encode()),
            (b"x-ratelimit-policy", self.policy.encode()),
        ]


class Gate(ASGIMiddleware):
    """Identifies the caller and counts the request."""

    def __init__(self, credentials: Credentials, limiter: "Limiter", *, sandbox_host: str) -> None:
        self._credentials = credentials
        self._limiter = limiter
        self._sandbox_host = sandbox_host

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through, or raise TooManyRequests or Unauthenticated."""
        if scope["type"] == "http" and scope["method"] != "OPTIONS" and scope["path"].startswith(_LIMITED_PATHS):
            request: Request[Any, Any, Any] = Request(scope)
            options = request.route_handler.opt
            policy = options.get("policy") or (API_WRITE if scope["method"] in _WRITES else API_STANDARD)
            identity = None
            if not options.get("public"):
                identity = scope["user"] = await self._identify(request)
            await self._count(scope, policy, identity)
        await next_app(scope, receive, send)

    async def _identify(self, request: Request[Any, Any, Any]) -> Identity:
        """Who asks. Refusals are counted by address, so that credentials can't be guessed quickly."""
        try:
            identity = await self._credentials.identify(request.headers.get("authorization"))
            check_environment(identity, self._wanted_environment(request))
        except Unauthenticated:
            await self._count(request.scope, API_STANDARD, None)
            raise
        return identity

    async def _count(self, scope: Scope, policy: str, identity: Identity | None) -> None:
        counted = await self._limiter.count(policy, identity, client=address_of(scope))
        if counted is not None:
            scope["state"][_COUNTED] = counted
            if not counted.rate.allowed:
                raise counted.refusal()

    def _wanted_environment(self, request: Request[Any, Any, Any]) -> Environment | None:
        """The environment that the address or the header names; None when the credential decides."""
        named = request.headers.get("x-voisnap-environment")
        if named in {"live", "sandbox"}:
            return Environment(named)
        host = request.headers.get("host", "").partition(":")[0].lower()
        return Environment.SANDBOX if host == self._sandbox_host else None


class RateHeaders:
    """Says on every answer how much of the rate is left. What never reached the gate (unknown paths) is counted by address."""

    def __init__(self, app: ASGIApp, limiter: "Limiter") -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_LIMITED_PATHS):
            await self._app(scope, receive, send)
            return
        is_refused = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_refused
            if is_refused:
                return
            if message["type"] == "http.response.start":
                counted: Counted | None = scope["state"].get(_COUNTED)
                if counted is None:
                    counted = await self._limiter.count(API_STANDARD, None, client=address_of(scope))
                if counted is not None:
                    message["headers"] = [*message.get("headers", ()), *counted.headers()]
                    if not counted.rate.allowed and message["status"] != 429:
                        is_refused = True
                        await _refuse(counted, scope, receive, send)
                        return
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _refuse(counted: Counted, scope: Scope, receive: Receive, send: Send) -> None:
    document, headers = problem.of_domain_error(counted.refusal())
    limits = {name.decode(): value.decode() for name, value in counted.headers()}
    await problem.plain(document, headers | limits)(scope, receive, send)


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

    async def count(self, policy: str, identity: Identity | None, *, client: str) -> Counted | None:
        """The state after this request; None when rates are not limited at all."""
        if identity is not None and _POLICIES[policy].per_tenant:
            return await self.count_of_tenant(policy, identity.caller)
        key = client if identity is None else f"{identity.caller.tenant_id}:{identity.rate_key}"
        return await self._count(policy, identity and identity.caller, key=key)

    async def count_of_tenant(self, policy: str, caller: Caller) -> Counted | None:
        """The same for what a tenant's callers share, in each environment for itself."""
        return await self._count(policy, caller, key=f"{caller.tenant_id}:{caller.environment.value}")

    async def _count(self, policy: str, caller: Caller | None, *, key: str) -> Counted | None:
        if self._factor <= 0:
            return None
        rule = _POLICIES[policy]
        limit = rule.limit
        if caller is not None:
            limit = _PLAN_LIMITS.get(await self._plan(caller), {}).get(policy, limit)
        rate = await ratelimit.check(
            self._redis, policy=policy, key=key, limit=max(1, int(limit * self._factor)), window=rule.window
        )
        return Counted(policy=policy, rate=rate)

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


def address_of(scope: Scope) -> str:
    """Who is counted where there is no credential: an IPv4 address, or the network of an IPv6 one, of which everybody has many.

    Behind proxies the server has put the caller's address here, believing only those in FORWARDED_ALLOW_IPS (`voisnap_kit.serve`).
    """
    client = scope.get("client")
    return _network(client[0]) if client else "unknown"


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _words(policy: str) -> str:
    return "an hour" if _POLICIES[policy].window == 3600 else "a minute"


class RequiredScope(msgspec.Struct, frozen=True):
    """A guard: the credential must have the scope. Litestar would run one that is not asynchronous in a thread."""

    scope: str

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        identity_of(connection).caller.require(self.scope)


def requires(scope: str) -> RequiredScope:
    """The guard of a handler that needs a scope."""
    return RequiredScope(scope)


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
