"""`/api/v1/auth/register`."""

from typing import Annotated

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import EventBus
from voisnap_kit.work import begin_as_system

from voisnap_api.auth import passwords
from voisnap_api.auth import usecases as auth
from voisnap_api.auth.routes import NOBODY, InjectedSigner, secret
from voisnap_api.auth.schemas import LinkBody, LoginView, Password
from voisnap_api.gate import AUTH_LENIENT, InjectedDatabase, InjectedPages
from voisnap_api.settings import Registration
from voisnap_api.users.schemas import Email, PersonName
from voisnap_api.wire import Body

from . import usecases
from .clients import create_tenant
from .usecases import Stranger

InjectedRegistration = NamedDependency[SkipValidation[Registration]]
InjectedBus = NamedDependency[SkipValidation[EventBus]]

_LENIENT = {"public": True, "policy": AUTH_LENIENT}


class RegisterBody(Body, frozen=True, kw_only=True):
    """Who registers, and for which company."""

    email: Email
    password: Password
    first_name: PersonName
    last_name: PersonName = ""
    company_name: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


class RegistrationController(Controller):
    """Opening an account, where the installation lets strangers in (`REGISTRATION=open`)."""

    path = "/api/v1/auth"
    tags = ("Authentication",)

    @post("/register", status_code=202, opt=_LENIENT)
    async def register(
        self,
        data: JSONBody[RegisterBody],
        database: InjectedDatabase,
        pages: InjectedPages,
        registration: InjectedRegistration,
    ) -> None:
        """Register. You get a mail with a link that opens the account; the answer is the same for an address that has one."""
        usecases.check_open(registration)
        names = (data.first_name, data.last_name, data.company_name)
        await passwords.check_rules(data.password, pointer="/password", email=data.email, names=names)
        stranger = Stranger(
            email=data.email.strip(),
            first_name=data.first_name.strip(),
            last_name=data.last_name.strip(),
            company_name=data.company_name.strip(),
            password_hash=await passwords.hashed(data.password),
        )
        async with begin_as_system(database, NOBODY) as work:
            await usecases.register(work, pages, stranger)

    @post("/register/confirm", status_code=200, opt=_LENIENT)
    async def confirm_registration(
        self,
        data: JSONBody[LinkBody],
        database: InjectedDatabase,
        bus: InjectedBus,
        signer: InjectedSigner,
        registration: InjectedRegistration,
    ) -> Response[LoginView]:
        """Confirm the address with the link from the mail: the tenant is made, and you are logged in."""
        usecases.check_open(registration)
        async with begin_as_system(database, NOBODY) as work:
            wanted = await usecases.tenant_to_make(work, data.token)
        tenant = await create_tenant(bus, wanted)
        async with begin_as_system(database, NOBODY) as work:
            user = await usecases.complete(work, data.token, tenant)
            log_in = await auth.log_in(work, signer, user, Environment.LIVE, method="registration")
        return secret(LoginView.of(log_in))
