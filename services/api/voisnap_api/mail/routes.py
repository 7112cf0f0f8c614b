"""`/api/v1/mail`: what was sent to a tenant's people, and, where no mail server is set up, what it says."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import Caller, Work, begin, begin_as_system

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.users import usecases as users

from . import usecases
from .records import Mail, MailFilter, MailKind
from .schemas import MailView

InjectedIsSending = NamedDependency[SkipValidation[bool]]
"""Whether a mail server is set up."""


class MailController(Controller):
    """The outbox."""

    path = "/api/v1/mail"
    tags = ("Mail",)

    @get("/", guards=[requires("users:write")], opt={"policy": API_READ_HEAVY})
    async def list_mails(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        is_sending: InjectedIsSending,
        paging: InjectedPageQuery,
        kind: FromQuery[MailKind | None] = None,
        search: Annotated[str | None, QueryParameter(max_length=120, description="Part of address or subject")] = None,
        all_tenants: Annotated[
            bool, QueryParameter(name="allTenants", description="Of every tenant, for operators of the platform")
        ] = False,
    ) -> Page[MailView]:
        """List mails to the tenant's people, newest first. Texts are there only while no mail server is set up."""
        wanted = MailFilter(kind=kind, search=search)
        opened = begin_as_system if all_tenants else begin
        asked = usecases.list_all_mails if all_tenants else usecases.list_mails
        async with opened(database, caller) as work:
            found, total = await asked(work, wanted, limit=paging.page_size, offset=paging.offset)
            views = [
                MailView.of(mail, is_sending=is_sending, is_readable=await _is_readable(work, caller, mail))
                for mail in found
            ]
        return Page.of(views, paging, total)


async def _is_readable(work: Work, caller: Caller, mail: Mail) -> bool:
    """A link opens an account: only who may manage its owner reads it."""
    user = await users.find_user(work, mail.tenant_id, mail.user_id) if mail.user_id else None
    return user is not None and users.manages(caller, user)
