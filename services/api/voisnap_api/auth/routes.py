"""`/api/v1/auth` and the key set that verifies access tokens."""

from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from voisnap_domain.errors import FieldError, Forbidden, Invalid, Unauthenticated
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, begin, begin_as_system, utc_now

from voisnap_api.gate import AUTH_STRICT, PUBLIC, InjectedCaller, InjectedDatabase

from . import usecases
from .schemas import HubTokenBody, HubTokenView, LoginBody, LoginView, RefreshBody, UserView
from .scopes import HUB

InjectedSigner = NamedDependency[SkipValidation[TokenSigner]]

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)
"""Before a log-in no tenant is known."""


class AuthController(Controller):
    """Logging in and tokens."""

    path = "/api/v1/auth"
    tags = ("Authentication",)

    @post("/login", status_code=200, opt={"public": True, "policy": AUTH_STRICT})
    async def login(
        self, data: JSONBody[LoginBody], database: InjectedDatabase, signer: InjectedSigner
    ) -> Response[LoginView]:
        """Log in with email and password: an access token for a quarter of an hour, and a refresh token to get the next."""
        async with begin_as_system(database, _NOBODY) as work:
            found = await usecases.find_user(work, data.email.strip())
        user = await usecases.check_password(found, data.password)
        async with begin_as_system(database, _NOBODY) as work:
            log_in = await usecases.log_in(work, signer, user, data.environment)
        return _secret(LoginView.of(log_in))

    @post("/refresh", status_code=200, opt={"public": True})
    async def refresh(
        self, data: JSONBody[RefreshBody], database: InjectedDatabase, signer: InjectedSigner
    ) -> Response[LoginView]:
        """Exchange a refresh token for a new pair. Each is good once; using one a second time ends the log-in."""
        async with begin_as_system(database, _NOBODY) as work:
            log_in = await usecases.stay_logged_in(work, signer, data.refresh_token)
        if log_in is None:
            raise Unauthenticated(
                "This refresh token is not good any more. Log in again.", code="invalid-refresh-token"
            )
        return _secret(LoginView.of(log_in))

    @post("/logout", status_code=204, opt={"public": True})
    async def logout(self, data: JSONBody[RefreshBody], database: InjectedDatabase) -> None:
        """End a log-in: its refresh tokens are no good any more. Access tokens run out by themselves."""
        async with begin_as_system(database, _NOBODY) as work:
            await usecases.log_out(work, data.refresh_token)

    @get("/me")
    async def me(self, caller: InjectedCaller, database: InjectedDatabase) -> UserView:
        """Who is logged in."""
        async with begin(database, caller) as work:
            return UserView.of(await usecases.current_user(work))

    @post("/hub-token", status_code=200)
    async def hub_token(
        self, data: JSONBody[HubTokenBody], caller: InjectedCaller, signer: InjectedSigner
    ) -> Response[HubTokenView]:
        """Get a token for the hubs, which take no API key; optionally bound to one agent or session."""
        if usecases.is_hub_token(caller):
            raise Forbidden("A hub token can't make other tokens.", code="hub-token")
        shortest, longest = usecases.HUB_TOKEN_SECONDS
        if not shortest <= data.ttl_seconds <= longest:
            detail = f"Must be between {shortest} and {longest}."
            raise Invalid((FieldError(pointer="/ttlSeconds", code="out-of-range", detail=detail),))
        if HUB not in caller.scopes:
            caller.require("webrtc:write")
        token = usecases.hub_token(
            signer,
            caller,
            now=utc_now(),
            token_id=new_id("jti"),
            seconds=data.ttl_seconds,
            agent_id=data.agent_id,
            session_id=data.session_id,
        )
        return _secret(HubTokenView(access_token=token, expires_in=data.ttl_seconds, token_type="Bearer"))  # noqa: S106


@get("/.well-known/jwks.json", opt=PUBLIC, include_in_schema=False)
async def jwks(signer: InjectedSigner) -> Response[dict[str, Any]]:
    """The keys that verify access tokens (RFC 7517)."""
    return Response(signer.jwks(), headers={"Cache-Control": "public, max-age=300"})


def _secret(body: Any) -> Response[Any]:
    return Response(body, headers={"Cache-Control": "no-store"})
