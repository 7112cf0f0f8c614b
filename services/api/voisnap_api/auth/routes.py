"""`/api/v1/auth` and the key set that verifies access tokens."""

from typing import Any

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from voisnap_domain.errors import FieldError, Invalid, Unauthenticated
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, begin, begin_as_system, utc_now

from voisnap_api.gate import (
    AUTH_LENIENT,
    AUTH_STRICT,
    PUBLIC,
    InjectedCaller,
    InjectedDatabase,
    InjectedIdentity,
    InjectedPages,
)
from voisnap_api.links.records import Purpose
from voisnap_api.mfa import usecases as mfa
from voisnap_api.mfa.schemas import MfaRequiredView
from voisnap_api.tenants.usecases import find_tenant
from voisnap_api.users import usecases as users
from voisnap_api.users.schemas import ProfilePatch, UserView

from . import passwords, usecases
from .proof import proven
from .schemas import (
    AcceptBody,
    EmailBody,
    EnvironmentBody,
    EnvironmentView,
    HubTokenBody,
    HubTokenView,
    InvitationView,
    LinkBody,
    LoginBody,
    LoginView,
    PasswordChangeBody,
    RefreshBody,
    ResetBody,
)
from .scopes import HUB

InjectedSigner = NamedDependency[SkipValidation[TokenSigner]]

NOBODY = Caller.system(TenantId(""), Environment.LIVE)
"""Before a log-in no tenant is known."""

_STRICT = {"public": True, "policy": AUTH_STRICT}
_LENIENT = {"public": True, "policy": AUTH_LENIENT}


class AuthController(Controller):
    """Logging in and tokens."""

    path = "/api/v1/auth"
    tags = ("Authentication",)

    @post("/login", status_code=200, opt=_STRICT)
    async def login(
        self, data: JSONBody[LoginBody], database: InjectedDatabase, signer: InjectedSigner, pages: InjectedPages
    ) -> Response[LoginView | MfaRequiredView]:
        """Log in with email and password: an access token for a quarter of an hour, and a refresh token to get the next; or a token
        to complete the log-in with, when a second factor is set up."""
        email = data.email.strip()
        async with begin_as_system(database, NOBODY) as work:
            found = await usecases.find_for_log_in(work, email)
        if not await usecases.password_is_right(found, data.password) or found is None:
            async with begin_as_system(database, NOBODY) as work:
                await usecases.note_failure(work, pages, email, found)
            raise usecases.wrong_password()
        async with begin_as_system(database, NOBODY) as work:
            user = await usecases.check_open(work, found)
            if user.mfa_enabled:
                token, methods = await mfa.begin_log_in(work, user, data.environment)
                return secret(MfaRequiredView(mfa_required=True, mfa_token=token, methods=methods))
            log_in = await usecases.log_in(work, signer, user, data.environment, method="password")
        return secret(LoginView.of(log_in))

    @post("/refresh", status_code=200, opt={"public": True})
    async def refresh(
        self, data: JSONBody[RefreshBody], database: InjectedDatabase, signer: InjectedSigner
    ) -> Response[LoginView]:
        """Exchange a refresh token for a new pair. Each is good once; using one a second time ends the log-in."""
        async with begin_as_system(database, NOBODY) as work:
            log_in = await usecases.stay_logged_in(work, signer, data.refresh_token)
        if log_in is None:
            raise _spent()
        return secret(LoginView.of(log_in))

    @post("/environment", status_code=200)
    async def change_environment(
        self,
        data: JSONBody[EnvironmentBody],
        identity: InjectedIdentity,
        database: InjectedDatabase,
        signer: InjectedSigner,
    ) -> Response[EnvironmentView]:
        """Go on in the other environment. With the refresh token the whole log-in moves there; without, you get an access token."""
        caller = identity.caller
        usecases.check_is_person(caller)
        async with begin_as_system(database, caller) as work:
            access = await usecases.change_environment(
                work, signer, data.environment, data.refresh_token, ends_at=identity.expires_at
            )
        if access is None:
            raise _spent()
        return secret(EnvironmentView.of(access))

    @post("/logout", status_code=204, opt={"public": True})
    async def logout(self, data: JSONBody[RefreshBody], database: InjectedDatabase) -> None:
        """End a log-in: its refresh tokens are no good any more. Access tokens run out by themselves."""
        async with begin_as_system(database, NOBODY) as work:
            await usecases.log_out(work, data.refresh_token)

    @post("/logout/all", status_code=204)
    async def logout_everywhere(self, caller: InjectedCaller, database: InjectedDatabase) -> None:
        """End all your log-ins, this one too: refresh tokens at once, access tokens within seconds."""
        usecases.check_is_person(caller)
        async with begin(database, caller) as work:
            await usecases.log_out_everywhere(work)

    @get("/me")
    async def me(self, caller: InjectedCaller, database: InjectedDatabase) -> UserView:
        """Who is logged in."""
        usecases.check_is_person(caller)
        async with begin(database, caller) as work:
            return UserView.of(await users.current_user(work))

    @patch("/me")
    async def rename(
        self, data: JSONBody[ProfilePatch], caller: InjectedCaller, database: InjectedDatabase
    ) -> UserView:
        """Change your own names."""
        usecases.check_is_person(caller)
        async with begin(database, caller) as work:
            return UserView.of(await users.rename(work, data.to_change()))

    @post("/password", status_code=200, opt={"policy": AUTH_STRICT})
    async def change_password(
        self,
        data: JSONBody[PasswordChangeBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        signer: InjectedSigner,
        pages: InjectedPages,
    ) -> Response[LoginView]:
        """Change your password. All log-ins end, and you get a new one."""
        user = await proven(database, pages, caller, data.current_password, pointer="/currentPassword")
        names = (user.first_name, user.last_name)
        await passwords.check_rules(data.new_password, pointer="/newPassword", email=user.email, names=names)
        password_hash = await passwords.hashed(data.new_password)
        async with begin_as_system(database, caller) as work:
            log_in = await usecases.change_password(work, signer, pages, user, password_hash, caller.environment)
        return secret(LoginView.of(log_in))

    @post("/password/forgot", status_code=202, opt=_LENIENT)
    async def forgot(self, data: JSONBody[EmailBody], database: InjectedDatabase, pages: InjectedPages) -> None:
        """Get a link to a new password by mail. The answer is the same whether anybody has this address."""
        async with begin_as_system(database, NOBODY) as work:
            await usecases.send_reset_link(work, pages, data.email.strip())

    @post("/password/reset", status_code=204, opt=_LENIENT)
    async def reset(self, data: JSONBody[ResetBody], database: InjectedDatabase, pages: InjectedPages) -> None:
        """Choose a new password with the link from the mail. All log-ins end; a second factor is asked for as before."""
        async with begin_as_system(database, NOBODY) as work:
            user = await usecases.user_of_link(work, data.token, Purpose.PASSWORD)
        names = (user.first_name, user.last_name)
        await passwords.check_rules(data.password, pointer="/password", email=user.email, names=names)
        password_hash = await passwords.hashed(data.password)
        async with begin_as_system(database, NOBODY) as work:
            await usecases.reset_password(work, pages, data.token, password_hash)

    @post("/unlock/request", status_code=202, opt=_LENIENT)
    async def ask_to_unlock(self, data: JSONBody[EmailBody], database: InjectedDatabase, pages: InjectedPages) -> None:
        """Get a link by mail that ends the lock after wrong passwords. The answer is always the same."""
        async with begin_as_system(database, NOBODY) as work:
            await usecases.ask_to_unlock(work, pages, data.email.strip())

    @post("/unlock", status_code=204, opt=_LENIENT)
    async def unlock(self, data: JSONBody[LinkBody], database: InjectedDatabase) -> None:
        """End the lock after wrong passwords with the link from the mail."""
        async with begin_as_system(database, NOBODY) as work:
            await usecases.unlock(work, data.token)

    @post("/invitations/look", status_code=200, opt=_STRICT)
    async def look_at_invitation(self, data: JSONBody[LinkBody], database: InjectedDatabase) -> InvitationView:
        """What an invitation is for. It stays good."""
        async with begin_as_system(database, NOBODY) as work:
            _, user = await users.invited_by_link(work, data.token)
            tenant = await find_tenant(work.tx, user.tenant_id)
        return InvitationView(
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            tenant_name=tenant.name if tenant else "",
        )

    @post("/invitations/accept", status_code=200, opt=_STRICT)
    async def accept_invitation(
        self, data: JSONBody[AcceptBody], database: InjectedDatabase, signer: InjectedSigner
    ) -> Response[LoginView]:
        """Join a tenant with the link from the mail and a password of your own; you are logged in then."""
        async with begin_as_system(database, NOBODY) as work:
            _, invited = await users.invited_by_link(work, data.token)
        names = (data.first_name or invited.first_name, data.last_name or invited.last_name)
        await passwords.check_rules(data.password, pointer="/password", email=invited.email, names=names)
        password_hash = await passwords.hashed(data.password)
        async with begin_as_system(database, NOBODY) as work:
            user = await users.accept_invitation(
                work,
                data.token,
                password_hash=password_hash,
                first_name=data.first_name,
                last_name=data.last_name,
            )
            log_in = await usecases.log_in(work, signer, user, Environment.LIVE, method="invitation")
        return secret(LoginView.of(log_in))

    @post("/hub-token", status_code=200)
    async def hub_token(
        self,
        data: JSONBody[HubTokenBody],
        caller: InjectedCaller,
        signer: InjectedSigner,
    ) -> Response[HubTokenView]:
        """Get a token for the hubs, which take no API key; optionally bound to one agent or session."""
        usecases.check_may_make_tokens(caller)
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
        return secret(HubTokenView(access_token=token, expires_in=data.ttl_seconds, token_type="Bearer"))  # noqa: S106


@get("/.well-known/jwks.json", opt=PUBLIC, include_in_schema=False)
async def jwks(signer: InjectedSigner) -> Response[dict[str, Any]]:
    """The keys that verify access tokens (RFC 7517)."""
    return Response(signer.jwks(), headers={"Cache-Control": "public, max-age=300"})


def secret(body: Any) -> Response[Any]:
    """An answer that nobody on the way may keep."""
    return Response(body, headers={"Cache-Control": "no-store"})


def _spent() -> Unauthenticated:
    return Unauthenticated("This refresh token is not good any more. Log in again.", code="invalid-refresh-token")
