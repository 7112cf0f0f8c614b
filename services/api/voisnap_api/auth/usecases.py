"""Logging in, staying logged in, logging out."""

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec
from voisnap_domain.errors import Forbidden, NotFound, Unauthenticated
from voisnap_domain.ids import UserId
from voisnap_domain.tenants import Environment, TenantStatus
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, Work

from voisnap_api.tenants.usecases import find_tenant

from . import passwords, store
from .records import RefreshToken, User
from .scopes import HUB, scopes_of

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
HUB_TOKEN_SECONDS = (60, 3600)
"""Shortest and longest life of a hub token."""

_HUB_TOKEN_SCOPES = frozenset({"webrtc:write", "conversations:read"})
_AGENT_TOKEN_SCOPES = frozenset({"webrtc:write"})
"""A token bound to an agent may be given to a stranger's browser: it reads nothing. One bound to a session has the hub alone."""


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gets who logged in or stayed logged in."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User


async def find_user(work: Work, email: str) -> User | None:
    """The person with this address; None when nobody has it."""
    return await store.user_by_email(work.tx, email)


async def check_password(user: User | None, password: str) -> User:
    """The person, if the password is right. Raises Unauthenticated, in the same time and words for an unknown person."""
    right = await passwords.matches(user.password_hash if user else None, password)
    if user is None or not right or user.status != "active":
        raise Unauthenticated("The email address or the password is wrong.", code="invalid-credentials")
    return user


async def log_in(work: Work, signer: TokenSigner, user: User, environment: Environment) -> LogIn:
    """Begin a family of refresh tokens for a person whose password was checked."""
    if await _tenant_is_deleted(work, user):
        raise Unauthenticated("The email address or the password is wrong.", code="invalid-credentials")
    await store.note_login(work.tx, user.tenant_id, user.id, at=work.now)
    user = msgspec.structs.replace(user, last_login_at=work.now)
    return await _issue(work, signer, user, environment, family_id=work.new_id("fam"))


async def stay_logged_in(work: Work, signer: TokenSigner, refresh_token: str) -> LogIn | None:
    """Exchange a refresh token for a new pair. None when it is no good: the caller must answer after the work is committed,
    because the use of a spent token has ended its whole family."""
    token = await store.refresh_token_for_change(work.tx, _hash(refresh_token))
    if token is None or token.revoked_at is not None or token.expires_at <= work.now:
        return None
    if token.spent_at is not None:
        await store.revoke_family(work.tx, token.family_id, at=work.now)
        return None
    user = await store.user_by_id(work.tx, token.tenant_id, token.user_id)
    if user is None or user.status != "active" or await _tenant_is_deleted(work, user):
        return None
    await store.spend(work.tx, token.token_hash, at=work.now)
    return await _issue(work, signer, user, token.environment, family_id=token.family_id)


async def log_out(work: Work, refresh_token: str) -> None:
    """End the log-in a refresh token belongs to; an unknown token is no error."""
    token = await store.refresh_token_for_change(work.tx, _hash(refresh_token))
    if token is not None:
        await store.revoke_family(work.tx, token.family_id, at=work.now)


async def current_user(work: Work) -> User:
    """The person who asks. Raises Forbidden for an API key."""
    if work.caller.user_id is None:
        raise Forbidden("An API key has no user.", code="user-required")
    user = await store.user_by_id(work.tx, work.caller.tenant_id, work.caller.user_id)
    if user is None:
        raise NotFound("user", work.caller.user_id)
    return user


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


async def forget_expired_tokens(work: Work) -> int:
    """Delete refresh tokens that ran out; how many."""
    return await store.delete_expired(work.tx, before=work.now)


async def register_user(work: Work, user: User) -> None:
    """Store a new person."""
    await store.insert_user(work.tx, user)


async def change_password(work: Work, user: User, password_hash: str) -> None:
    """Replace a person's password."""
    await store.set_password(work.tx, user.tenant_id, UserId(user.id), password_hash)


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
    access_token = signer.sign(
        subject=user.id,
        tenant_id=user.tenant_id,
        environment=environment.value,
        role=user.role.value,
        scopes=scopes_of(user.role, platform_admin=user.platform_admin),
        now=work.now,
        lifetime=ACCESS_LIFETIME,
        token_id=work.new_id("jti"),
        platform_admin=user.platform_admin,
    )
    seconds = int(ACCESS_LIFETIME.total_seconds())
    return LogIn(access_token=access_token, refresh_token=refresh_token, expires_in=seconds, user=user)


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
