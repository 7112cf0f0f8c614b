"""Logging in, staying logged in, logging out, and getting back in."""

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec
from voisnap_domain.errors import Conflict, Forbidden, Unauthenticated
from voisnap_domain.tenants import Environment, TenantStatus
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.links import usecases as links
from voisnap_api.links.records import Purpose
from voisnap_api.mail import texts
from voisnap_api.mail.texts import Pages
from voisnap_api.mail.usecases import post_mail
from voisnap_api.tenants.usecases import find_tenant
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User, UserStatus

from . import lockout, passwords, revocations, store
from .records import RefreshToken
from .scopes import HUB, scopes_of

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
HUB_TOKEN_SECONDS = (60, 3600)
"""Shortest and longest life of a hub token."""

MAIL_PAUSE = timedelta(minutes=1)
"""The same person gets no second mail of a kind within this time."""

_HUB_TOKEN_SCOPES = frozenset({"webrtc:write", "conversations:read"})
_AGENT_TOKEN_SCOPES = frozenset({"webrtc:write"})
"""A token bound to an agent may be given to a stranger's browser: it reads nothing. One bound to a session has the hub alone."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for a person in one environment."""

    access_token: str
    expires_in: int
    environment: Environment
    user: User


class LogIn(Access, frozen=True, kw_only=True):
    """What a person gets who logged in or stayed logged in."""

    refresh_token: str


async def find_for_log_in(work: Work, email: str) -> User | None:
    """The person with this address; None when nobody has it. Raises AccountLocked, also for addresses that nobody has."""
    await lockout.check_lock(work, email)
    return await users.find_by_email(work, email)


async def password_is_right(user: User | None, password: str) -> bool:
    """Whether this opens an account; takes the same time for an unknown person."""
    right = await passwords.matches(user.password_hash if user else None, password)
    return right and user is not None and user.status == UserStatus.ACTIVE


def wrong_password() -> Unauthenticated:
    """The one answer to unknown addresses, wrong passwords and people who are not let in."""
    return Unauthenticated("The email address or the password is wrong.", code="invalid-credentials")


async def note_failure(work: Work, pages: Pages, email: str, user: User | None) -> None:
    """Count a wrong password or code. The first lock of a person sends them the link that ends it."""
    was_locked = await lockout.note_failure(work, email)
    if user is None:
        return
    target = Target(type="user", id=user.id)
    by = Caller.system(user.tenant_id, Environment.LIVE)
    await audit.note(work, action="user.login_failed", target=target, by=by)
    if was_locked and user.status == UserStatus.ACTIVE:
        await audit.note(work, action="user.locked", target=target, by=by)
        await send_unlock_link(work, pages, user)


async def check_open(work: Work, user: User) -> User:
    """After a right password: the person as of now. Raises AccountLocked, or Unauthenticated when the person or the tenant is gone.
    Whoever guessed in parallel until the account was locked does not learn which guess was right."""
    await lockout.check_lock(work, user.email)
    now = await users.find_user(work, user.tenant_id, user.id)
    if now is None or now.status != UserStatus.ACTIVE or await _tenant_is_deleted(work, now):
        raise wrong_password()
    return now


async def log_in(work: Work, signer: TokenSigner, user: User, environment: Environment, *, method: str) -> LogIn:
    """Begin a family of refresh tokens for a person who proved who they are. `method` goes into the audit log."""
    await lockout.forgive(work, user.email)
    user = await users.note_login(work, user)
    by = users.acting_as(user, environment)
    await audit.note(
        work, action="user.logged_in", target=Target(type="user", id=user.id), detail={"method": method}, by=by
    )
    return await _issue(work, signer, user, environment, family_id=work.new_id("fam"))


async def stay_logged_in(work: Work, signer: TokenSigner, refresh_token: str) -> LogIn | None:
    """Exchange a refresh token for a new pair. None when it is no good: the caller must answer after the work is committed,
    because the use of a spent token has ended its whole family."""
    token, user = await _spend(work, refresh_token)
    if token is None or user is None:
        return None
    return await _issue(work, signer, user, token.environment, family_id=token.family_id)


async def change_environment(
    work: Work,
    signer: TokenSigner,
    environment: Environment,
    refresh_token: str | None,
    *,
    ends_at: datetime | None = None,
) -> Access | None:
    """Go on in the other environment: the whole log-in with a refresh token, else an access token alone, which ends at `ends_at` too:
    nobody stays logged in with access tokens. None as in `stay_logged_in`; the work runs as the system."""
    caller = work.caller
    if refresh_token is None:
        user = await users.current_user(work)
        if user.status != UserStatus.ACTIVE:
            return None
        return _access(work, signer, user, environment, ends_at=ends_at)
    token, user = await _spend(work, refresh_token)
    if token is None or user is None or user.id != caller.user_id:
        return None
    return await _issue(work, signer, user, environment, family_id=token.family_id)


async def log_out(work: Work, refresh_token: str) -> None:
    """End the log-in a refresh token belongs to; an unknown token is no error."""
    token = await store.refresh_token_for_change(work.tx, _hash(refresh_token))
    if token is not None and token.revoked_at is None:
        await store.revoke_family(work.tx, token.family_id, at=work.now)
        user = await users.find_user(work, token.tenant_id, token.user_id)
        if user is not None:
            by = users.acting_as(user, token.environment)
            await audit.note(work, action="user.logged_out", target=Target(type="user", id=user.id), by=by)


async def log_out_everywhere(work: Work) -> None:
    """End all log-ins of the person who asks."""
    user = await users.current_user(work)
    await revocations.end_log_ins_of(work, user.tenant_id, user.id)
    await audit.note(work, action="user.logged_out_everywhere", target=Target(type="user", id=user.id))


async def change_password(
    work: Work, signer: TokenSigner, pages: Pages, user: User, password_hash: str, environment: Environment
) -> LogIn:
    """Give the person who asks another password, which ends all log-ins, and a new log-in. The work runs as the system."""
    await users.set_password(work, user, password_hash)
    await lockout.forgive(work, user.email)
    await _tell_changed_password(work, pages, user, by=users.acting_as(user, environment))
    return await _issue(work, signer, user, environment, family_id=work.new_id("fam"))


async def send_reset_link(work: Work, pages: Pages, email: str) -> None:
    """Send the link to a new password, if somebody active has this address and got none a moment ago."""
    user = await users.find_by_email(work, email)
    if user is None or user.status != UserStatus.ACTIVE or await _tenant_is_deleted(work, user):
        return
    if await links.was_sent_within(work, user.tenant_id, user.id, Purpose.PASSWORD, MAIL_PAUSE):
        return
    token = await links.new_link(work, user.tenant_id, user.id, Purpose.PASSWORD)
    await post_mail(work, user, texts.password_reset(name=user.first_name, link=pages.new_password(token)))
    await audit.note(
        work,
        action="user.password_reset_requested",
        target=Target(type="user", id=user.id),
        by=Caller.system(user.tenant_id, Environment.LIVE),
    )


async def user_of_link(work: Work, token: str, purpose: Purpose) -> User:
    """The active person a link was sent to; the link stays good. Raises like `links.peek`."""
    link = await links.peek(work, token, purpose)
    user = await users.find_user(work, link.tenant_id, link.user_id)
    if user is None or user.status != UserStatus.ACTIVE:
        raise Conflict("This account is not active.", code="link-used")
    return user


async def reset_password(work: Work, pages: Pages, token: str, password_hash: str) -> None:
    """Give the person behind a link another password; ends all log-ins and any lock. Raises like `links.follow`."""
    user = await user_of_link(work, token, Purpose.PASSWORD)
    await links.follow(work, token, Purpose.PASSWORD)
    await users.set_password(work, user, password_hash)
    await lockout.forgive(work, user.email)
    await _tell_changed_password(work, pages, user, by=users.acting_as(user))


async def send_unlock_link(work: Work, pages: Pages, user: User) -> None:
    """Send the link that ends a lock, unless one was sent a moment ago."""
    if await links.was_sent_within(work, user.tenant_id, user.id, Purpose.UNLOCK, MAIL_PAUSE):
        return
    token = await links.new_link(work, user.tenant_id, user.id, Purpose.UNLOCK)
    await post_mail(work, user, texts.account_locked(name=user.first_name, link=pages.unlock(token)))


async def ask_to_unlock(work: Work, pages: Pages, email: str) -> None:
    """Send the link that ends a lock, if somebody active has this address and it is locked."""
    user = await users.find_by_email(work, email)
    if user is None or user.status != UserStatus.ACTIVE:
        return
    try:
        await lockout.check_lock(work, email)
    except lockout.AccountLocked:
        await send_unlock_link(work, pages, user)


async def unlock(work: Work, token: str) -> None:
    """End the lock of the person behind a link. Raises like `links.follow`."""
    user = await user_of_link(work, token, Purpose.UNLOCK)
    await links.follow(work, token, Purpose.UNLOCK)
    await lockout.forgive(work, user.email)
    await audit.note(work, action="user.unlocked", target=Target(type="user", id=user.id), by=users.acting_as(user))


async def check_still_welcome(work: Work) -> None:
    """Raise Forbidden `credential-revoked` for a person who was let go, or a key that was revoked, since the caller's token was made.

    For hubs: they verify tokens without a call, and ask here when a session begins.
    """
    caller = work.caller
    user = await users.find_user(work, caller.tenant_id, caller.user_id) if caller.user_id else None
    if user is not None:
        is_gone = user.status != UserStatus.ACTIVE
    else:
        subject = caller.user_id or caller.key_id or ""
        is_gone = await revocations.revoked_until(work.tx, caller.tenant_id, subject) is not None
    if is_gone:
        raise Forbidden("This account or key may start no more sessions.", code="credential-revoked")


def check_may_make_tokens(caller: Caller) -> None:
    """Raise Forbidden for a hub token: it makes no other tokens."""
    if is_hub_token(caller):
        raise Forbidden("A hub token can't make other tokens.", code="hub-token")


def check_is_person(caller: Caller) -> None:
    """Raise Forbidden unless the caller is somebody who logged in: neither an API key nor a token that is for hubs only."""
    if caller.user_id is None:
        raise Forbidden("An API key has no user.", code="user-required")
    if is_hub_token(caller):
        raise Forbidden("A hub token can't do this.", code="hub-token")


def is_hub_token(caller: Caller) -> bool:
    """Whether the caller came with a hub token: only those open hubs and can do hardly anything else."""
    return HUB in caller.scopes and caller.scopes <= {HUB} | _HUB_TOKEN_SCOPES


def hub_token(
    signer: TokenSigner,
    caller: Caller,
    *,
    now: datetime,
    token_id: str,
    seconds: int,
    agent_id: str | None,
    session_id: str | None,
) -> str:
    """A short token that opens hubs and sessions in the caller's name, bound to an agent or a session when one is named."""
    if session_id is not None:
        kept: frozenset[str] = frozenset()
    else:
        kept = _HUB_TOKEN_SCOPES if agent_id is None else _AGENT_TOKEN_SCOPES
    return signer.sign(
        subject=caller.user_id or caller.key_id or caller.tenant_id,
        tenant_id=caller.tenant_id,
        environment=caller.environment.value,
        role=caller.role,
        scopes=frozenset({HUB}) | (caller.scopes & kept),
        now=now,
        lifetime=timedelta(seconds=seconds),
        token_id=token_id,
        agent=agent_id,
        session_id=session_id,
    )


async def _spend(work: Work, refresh_token: str) -> tuple[RefreshToken | None, User | None]:
    """Use a refresh token up: it and its owner, or None when it is no good. A token that was spent before ends its family."""
    token = await store.refresh_token_for_change(work.tx, _hash(refresh_token))
    if token is None or token.revoked_at is not None or token.expires_at <= work.now:
        return None, None
    user = await users.find_user(work, token.tenant_id, token.user_id)
    if token.spent_at is not None:
        await store.revoke_family(work.tx, token.family_id, at=work.now)
        if user is not None:
            by = Caller.system(user.tenant_id, token.environment)
            await audit.note(work, action="user.refresh_token_reused", target=Target(type="user", id=user.id), by=by)
        return None, None
    if user is None or user.status != UserStatus.ACTIVE or await _tenant_is_deleted(work, user):
        return None, None
    await store.spend(work.tx, token.token_hash, at=work.now)
    return token, user


async def _tell_changed_password(work: Work, pages: Pages, user: User, *, by: Caller) -> None:
    await post_mail(work, user, texts.password_changed(name=user.first_name, link=pages.forgotten()))
    await audit.note(work, action="user.password_changed", target=Target(type="user", id=user.id), by=by)


async def _tenant_is_deleted(work: Work, user: User) -> bool:
    tenant = await find_tenant(work.tx, user.tenant_id)
    return tenant is not None and tenant.status is TenantStatus.DELETED


async def _issue(work: Work, signer: TokenSigner, user: User, environment: Environment, *, family_id: str) -> LogIn:
    refresh_token = f"rt_{secrets.token_urlsafe(32)}"
    await store.insert_refresh_token(
        work.tx,
        RefreshToken(
            token_hash=_hash(refresh_token),
            family_id=family_id,
            tenant_id=user.tenant_id,
            environment=environment,
            user_id=user.id,
            created_at=work.now,
            expires_at=work.now + REFRESH_LIFETIME,
        ),
    )
    access = _access(work, signer, user, environment)
    return LogIn(refresh_token=refresh_token, **msgspec.structs.asdict(access))


def _access(
    work: Work, signer: TokenSigner, user: User, environment: Environment, *, ends_at: datetime | None = None
) -> Access:
    lifetime = ACCESS_LIFETIME if ends_at is None else min(ACCESS_LIFETIME, ends_at - work.now)
    access_token = signer.sign(
        subject=user.id,
        tenant_id=user.tenant_id,
        environment=environment.value,
        role=user.role.value,
        scopes=scopes_of(user.role, permissions=user.permissions, platform_admin=user.platform_admin),
        now=work.now,
        lifetime=lifetime,
        token_id=work.new_id("jti"),
        platform_admin=user.platform_admin,
    )
    seconds = max(0, int(lifetime.total_seconds()))
    return Access(access_token=access_token, expires_in=seconds, environment=environment, user=user)


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
