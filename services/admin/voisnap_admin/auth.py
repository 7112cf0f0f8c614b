"""Who may come in: an access token of the platform, which the API signs and its key set verifies."""

from typing import Any, Protocol, runtime_checkable

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from voisnap_domain.errors import Unauthenticated
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.tokens import Claims
from voisnap_kit.work import Caller

InjectedCaller = NamedDependency[Caller]


@runtime_checkable
class Tokens(Protocol):
    """What the service needs of the key set; `voisnap_kit.tokens.JwksClient` in production."""

    async def verify(self, token: str) -> Claims:
        """The token's claims. Raises Unauthenticated."""
        ...

    async def check(self) -> None:
        """Raise while no key is known."""
        ...


async def provide_caller(request: Request[Any, Any, Any], tokens: NamedDependency[Tokens]) -> Caller:
    """The caller that the bearer token names. Raises Unauthenticated; an API key is no way in here."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send an access token: Authorization: Bearer <token>.")
    if token.startswith("vsnp_"):
        raise Unauthenticated("The Admin API takes access tokens of people, not API keys.")
    return caller_of(await tokens.verify(token.strip()))


def caller_of(claims: Claims) -> Caller:
    """The caller in a token's claims. A token bound to one agent or session is for hubs only."""
    if claims.agent is not None or claims.sid is not None:
        raise Unauthenticated("This token is for hubs only.")
    try:
        environment = msgspec.convert(claims.env, Environment)
    except msgspec.ValidationError:
        raise Unauthenticated("The access token names no known environment.") from None
    return Caller(
        tenant_id=TenantId(claims.tid),
        environment=environment,
        user_id=UserId(claims.sub),
        role=claims.role,
        scopes=claims.scopes,
        platform_admin=claims.pa,
    )
