"""Registering: somebody who is nobody yet, a mail, and with its link a tenant."""

import re

import msgspec
from voisnap_domain.errors import Conflict, Forbidden
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment, Owner, Tenant
from voisnap_kit.work import Work
from voisnap_proto.requests import CreateTenant

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.auth.scopes import Role
from voisnap_api.auth.usecases import MAIL_PAUSE
from voisnap_api.links import usecases as links
from voisnap_api.links.records import Purpose
from voisnap_api.mail import texts
from voisnap_api.mail.records import MailKind
from voisnap_api.mail.texts import Pages
from voisnap_api.mail.usecases import post_mail, was_posted_within
from voisnap_api.settings import Registration
from voisnap_api.tenants import usecases as tenants
from voisnap_api.tenants.records import KnownTenant
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User, UserStatus

from . import store

PLAN = "starter"
"""What a tenant begins with that opened its account itself."""


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """Who registers."""

    email: str
    first_name: str
    last_name: str
    company_name: str
    password_hash: str


def check_open(registration: Registration) -> None:
    """Raise Forbidden `registration-closed` where people come by invitation only."""
    if registration is not Registration.OPEN:
        raise Forbidden("Nobody can register here; ask for an invitation.", code="registration-closed")


async def register(work: Work, pages: Pages, stranger: Stranger) -> None:
    """Keep what somebody said and send the link that confirms the address; who has an account is told so by mail, and only there.

    The work runs as the system.
    """
    known = await users.find_by_email(work, stranger.email)
    if known is not None and known.status != UserStatus.UNVERIFIED:
        await _remind(work, pages, known)
        return
    if known is not None:
        if await links.was_sent_within(work, known.tenant_id, known.id, Purpose.REGISTRATION, MAIL_PAUSE):
            return
        await users.forget(work, known)
    user = User(
        id=UserId(work.new_id("usr")),
        tenant_id=TenantId(work.new_id("ten")),
        email=stranger.email,
        password_hash=stranger.password_hash,
        first_name=stranger.first_name,
        last_name=stranger.last_name,
        role=Role.TENANT_OWNER,
        status=UserStatus.UNVERIFIED.value,
        platform_admin=False,
        last_login_at=None,
        created_at=work.now,
    )
    await users.add_user(work, user)
    await store.insert(work.tx, user.tenant_id, user.id, stranger.company_name, at=work.now)
    token = await links.new_link(work, user.tenant_id, user.id, Purpose.REGISTRATION)
    await post_mail(work, user, texts.registration(name=user.first_name, link=pages.registration(token)))


async def tenant_to_make(work: Work, token: str) -> CreateTenant:
    """What to ask the admin service for when somebody follows the link, which stays good. Raises like `links.peek`."""
    user, company = await _registered(work, token)
    return CreateTenant(
        tenant_id=user.tenant_id,
        name=company,
        slug=_slug(company, user.tenant_id),
        plan=PLAN,
        owner=Owner(id=user.id, email=user.email, name=f"{user.first_name} {user.last_name}".strip() or user.email),
    )


async def complete(work: Work, token: str, tenant: Tenant) -> User:
    """Let the owner of a tenant in that was made just now. Raises like `links.follow`."""
    user, _ = await _registered(work, token)
    await links.follow(work, token, Purpose.REGISTRATION)
    await tenants.introduce_tenant(work, KnownTenant.of(tenant))
    await store.delete(work.tx, user.tenant_id, user.id)
    user = await users.activate(work, user)
    target = Target(type="user", id=user.id)
    await audit.note(work, action="user.registered", target=target, by=users.acting_as(user, Environment.LIVE))
    return user


async def _registered(work: Work, token: str) -> tuple[User, str]:
    link = await links.peek(work, token, Purpose.REGISTRATION)
    user = await users.find_user(work, link.tenant_id, link.user_id)
    company = await store.company_of(work.tx, link.tenant_id, link.user_id)
    if user is None or company is None or user.status != UserStatus.UNVERIFIED:
        raise Conflict("This address was confirmed already. Just log in.", code="link-used")
    return user, company


async def _remind(work: Work, pages: Pages, user: User) -> None:
    if user.status != UserStatus.ACTIVE:
        return
    if await was_posted_within(work, user, MailKind.ALREADY_REGISTERED, MAIL_PAUSE):
        return
    await post_mail(work, user, texts.already_registered(name=user.first_name, link=pages.forgotten()))


def _slug(company: str, tenant_id: TenantId) -> str:
    """A slug nobody else has: the company's name in letters and digits, and the end of the id."""
    words = re.sub(r"[^a-z0-9]+", "-", company.lower()).strip("-")[:40].strip("-")
    return f"{words or 'tenant'}-{tenant_id[-6:].lower()}"
