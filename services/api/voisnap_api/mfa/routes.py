"""`/api/v1/auth/mfa`: second factors."""

import io
from typing import Any

import segno
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation
from voisnap_domain.errors import Unauthenticated
from voisnap_kit.work import begin, begin_as_system

from voisnap_api.auth import lockout
from voisnap_api.auth import usecases as auth
from voisnap_api.auth.proof import proven
from voisnap_api.auth.routes import NOBODY, InjectedSigner, secret
from voisnap_api.auth.schemas import LoginView
from voisnap_api.gate import AUTH_STRICT, InjectedCaller, InjectedDatabase, InjectedPages
from voisnap_api.users import usecases as users

from . import totp, usecases
from .passkeys import Site, Sites
from .schemas import (
    AssertionOptionsView,
    CodeBody,
    FactorsView,
    MfaTokenBody,
    NewPasskeyView,
    PasskeyBody,
    PasskeyOptionsView,
    PasskeyView,
    PasswordBody,
    RecoveryCodesView,
    TotpView,
    VerifyBody,
)
from .usecases import Proof, Vault

InjectedVault = NamedDependency[SkipValidation[Vault]]
InjectedSites = NamedDependency[SkipValidation[Sites]]

_STRICT = {"public": True, "policy": AUTH_STRICT}


class MfaController(Controller):
    """Second factors of the person who is logged in, and the second half of a log-in."""

    path = "/api/v1/auth/mfa"
    tags = ("Second factors",)

    @get("/")
    async def show(self, caller: InjectedCaller, database: InjectedDatabase) -> FactorsView:
        """What you have set up."""
        auth.check_is_person(caller)
        async with begin(database, caller) as work:
            return FactorsView.of(await usecases.factors_of(work, await users.current_user(work)))

    @post("/totp", status_code=200)
    async def begin_totp(
        self,
        data: JSONBody[PasswordBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        pages: InjectedPages,
        vault: InjectedVault,
    ) -> Response[TotpView]:
        """Begin with an authenticator app: scan the code, then confirm with the first code the app shows."""
        user = await proven(database, pages, caller, data.password)
        async with begin(database, caller) as work:
            key = await usecases.begin_totp(work, vault, user)
        uri = totp.uri_of(key, account=user.email)
        return secret(TotpView(secret=totp.text_of(key), otpauth_uri=uri, qr_code_svg=_picture(uri)))

    @post("/totp/confirm", status_code=200, opt={"policy": AUTH_STRICT})
    async def confirm_totp(
        self,
        data: JSONBody[CodeBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        pages: InjectedPages,
        vault: InjectedVault,
    ) -> Response[RecoveryCodesView]:
        """Switch the app on with its first code. Keep the recovery codes: they are shown this once."""
        auth.check_is_person(caller)
        async with begin(database, caller) as work:
            user = await users.current_user(work)
            codes = await usecases.confirm_totp(work, vault, pages, user, data.code)
        return secret(RecoveryCodesView(recovery_codes=codes))

    @post("/totp/remove", status_code=204)
    async def remove_totp(
        self, data: JSONBody[PasswordBody], caller: InjectedCaller, database: InjectedDatabase, pages: InjectedPages
    ) -> None:
        """Take the authenticator app away."""
        user = await proven(database, pages, caller, data.password)
        async with begin(database, caller) as work:
            await usecases.remove_totp(work, pages, user)

    @post("/passkeys/options", status_code=200)
    async def begin_passkey(
        self,
        data: JSONBody[PasswordBody],
        request: Request[Any, Any, Any],
        caller: InjectedCaller,
        database: InjectedDatabase,
        pages: InjectedPages,
        sites: InjectedSites,
    ) -> Response[PasskeyOptionsView]:
        """Begin with a passkey: what to hand to `navigator.credentials.create`."""
        user = await proven(database, pages, caller, data.password)
        async with begin(database, caller) as work:
            token, options = await usecases.begin_passkey(work, _site(sites, request), user, caller.environment)
        return secret(PasskeyOptionsView(enrolment_token=token, public_key=options))

    @post("/passkeys", status_code=201)
    async def add_passkey(
        self,
        data: JSONBody[PasskeyBody],
        request: Request[Any, Any, Any],
        caller: InjectedCaller,
        database: InjectedDatabase,
        pages: InjectedPages,
        sites: InjectedSites,
    ) -> Response[NewPasskeyView]:
        """Add the passkey that the authenticator made. Recovery codes come with the first factor, and are shown this once."""
        auth.check_is_person(caller)
        async with begin(database, caller) as work:
            user = await users.current_user(work)
            passkey, codes = await usecases.add_passkey(
                work,
                _site(sites, request),
                pages,
                user,
                token=data.enrolment_token,
                name=data.name,
                credential=data.credential,
            )
        view = NewPasskeyView(passkey=PasskeyView.of(passkey), recovery_codes=codes)
        return Response(view, status_code=201, headers={"Cache-Control": "no-store", "Location": "/api/v1/auth/mfa"})

    @post("/passkeys/{passkey_id:str}/remove", status_code=204)
    async def remove_passkey(
        self,
        passkey_id: FromPath[str],
        data: JSONBody[PasswordBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        pages: InjectedPages,
    ) -> None:
        """Take a passkey away."""
        user = await proven(database, pages, caller, data.password)
        async with begin(database, caller) as work:
            await usecases.remove_passkey(work, pages, user, passkey_id)

    @post("/recovery-codes", status_code=200)
    async def renew_recovery_codes(
        self, data: JSONBody[PasswordBody], caller: InjectedCaller, database: InjectedDatabase, pages: InjectedPages
    ) -> Response[RecoveryCodesView]:
        """Get new recovery codes; the old ones are no good any more."""
        user = await proven(database, pages, caller, data.password)
        async with begin(database, caller) as work:
            codes = await usecases.renew_recovery_codes(work, user)
        return secret(RecoveryCodesView(recovery_codes=codes))

    @post("/passkeys/challenge", status_code=200, opt=_STRICT)
    async def ask_passkey(
        self,
        data: JSONBody[MfaTokenBody],
        request: Request[Any, Any, Any],
        database: InjectedDatabase,
        sites: InjectedSites,
    ) -> Response[AssertionOptionsView]:
        """During a log-in: what to hand to `navigator.credentials.get`."""
        async with begin_as_system(database, NOBODY) as work:
            options = await usecases.ask_passkey(work, _site(sites, request), data.mfa_token)
        return secret(AssertionOptionsView(public_key=options))

    @post("/verify", status_code=200, opt=_STRICT)
    async def verify(
        self,
        data: JSONBody[VerifyBody],
        request: Request[Any, Any, Any],
        database: InjectedDatabase,
        signer: InjectedSigner,
        pages: InjectedPages,
        vault: InjectedVault,
        sites: InjectedSites,
    ) -> Response[LoginView]:
        """Complete a log-in with the second factor. A wrong one counts like a wrong password; after five the log-in begins again."""
        proof = Proof(method=data.method, code=data.code, credential=data.credential)
        async with begin_as_system(database, NOBODY) as work:
            user = await usecases.user_behind(work, data.mfa_token)
            await lockout.check_lock(work, user.email)
            judged = await usecases.judge(work, vault, _site(sites, request), data.mfa_token, proof)
            if judged.is_right:
                log_in = await auth.log_in(work, signer, user, judged.environment, method=data.method.value)
                return secret(LoginView.of(log_in))
            await auth.note_failure(work, pages, user.email, user)
        raise Unauthenticated("This is not the second factor of this account.", code="invalid-mfa-code")


def _site(sites: Sites, request: Request[Any, Any, Any]) -> Site:
    return sites.of(request.headers.get("origin"))


def _picture(uri: str) -> str:
    """The QR code as an SVG picture of 200 units or so."""
    out = io.BytesIO()
    segno.make(uri, error="m").save(out, kind="svg", scale=4, border=4, xmldecl=False, svgns=True, light="#fff")
    return out.getvalue().decode()
