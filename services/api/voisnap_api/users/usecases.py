"""What can be done with people: inviting, changing, disabling and deleting them. Who may manage whom is one table."""

import hashlib
from datetime import timedelta

import msgspec
from voisnap_domain.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import UniqueViolated
from voisnap_kit.work import Caller, Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.auth import lockout, revocations
from voisnap_api.auth.scopes import Permissions, Role, permissions_in
from voisnap_api.links import usecases as links
from voisnap_api.links.records import Link, Purpose
from voisnap_api.mail import texts
from voisnap_api.mail.texts import Pages
from voisnap_api.mail.usecases import post_mail
from voisnap_api.tenants.usecases import find_tenant

from . import store
from .records import User, UserFilter, UserStatus

_EVERYDAY = frozenset({Role.TENANT_USER, Role.READ_ONLY})
_OF_TENANT = _EVERYDAY | {Role.ADMIN, Role.TENANT_OWNER}
_OF_AGENCY = frozenset({Role.AGENCY_MANAGER, Role.AGENCY_TECHNICAL_MANAGER, Role.AGENCY_ACCOUNT_MANAGER})

_MANAGES: dict[str, frozenset[Role]] = {
    Role.TENANT_OWNER: _OF_TENANT,
    Role.ADMIN: _OF_TENANT - {Role.TENANT_OWNER},
    Role.AGENCY_MANAGER: _OF_TENANT | _OF_AGENCY,
    Role.AGENCY_ACCOUNT_MANAGER: _EVERYDAY,
    "ApiKey": _EVERYDAY,
}
"""Whose people each role may invite, change and delete, and which roles it may give. Nobody raises anybody above themselves."""

UNVERIFIED_FOR = timedelta(hours=48)


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is invited."""

    email: str
    role: Role
    first_name: str = ""
    last_name: str = ""
    permissions: Permissions = Permissions()


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changes about a person; None means that it stays."""

    first_name: str | None = None
    last_name: str | None = None
    role: Role | None = None
    permissions: Permissions | None = None


def acting_as(user: User, environment: Environment = Environment.LIVE) -> Caller:
    """The person as a caller without rights: for work that begins before a token is there."""
    return Caller(tenant_id=user.tenant_id, environment=environment, user_id=user.id, role=user.role.value)


async def list_users(work: Work, wanted: UserFilter, *, limit: int, offset: int) -> tuple[list[User], int]:
    """A page of the tenant's people, and how many there are on all pages."""
    tenant_id = work.caller.tenant_id
    found = await store.find(work.tx, tenant_id, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, tenant_id, wanted)


async def get_user(work: Work, user_id: UserId) -> User:
    """One person of the caller's tenant. Raises NotFound."""
    user = await store.get(work.tx, work.caller.tenant_id, user_id)
    if user is None:
        raise NotFound("user", user_id)
    return user


async def find_by_email(work: Work, email: str) -> User | None:
    """The person with this address in any tenant; the work runs as the system."""
    return await store.by_email(work.tx, email)


async def find_user(work: Work, tenant_id: TenantId, user_id: UserId) -> User | None:
    """One person of any tenant; the work runs as the system."""
    return await store.get(work.tx, tenant_id, user_id)


async def current_user(work: Work) -> User:
    """The person who asks. Raises Forbidden for an API key."""
    if work.caller.user_id is None:
        raise Forbidden("An API key has no user.", code="user-required")
    return await get_user(work, work.caller.user_id)


async def add_user(work: Work, user: User) -> None:
    """Store a new person. Raises Conflict `email-taken`."""
    try:
        async with work.tx.savepoint():
            await store.insert(work.tx, user)
    except UniqueViolated as error:
        raise Conflict("Somebody has this e-mail address already.", code="email-taken") from error


async def invite_user(work: Work, pages: Pages, new: NewUser) -> User:
    """Add somebody who gets in with the link in a mail. Raises Forbidden, Conflict `email-taken`."""
    _check_reach(work.caller, new.role)
    _check_permissions(work.caller, new.permissions)
    user = User(
        id=UserId(work.new_id("usr")),
        tenant_id=work.caller.tenant_id,
        email=new.email.strip(),
        password_hash="",
        first_name=new.first_name.strip(),
        last_name=new.last_name.strip(),
        role=new.role,
        status=UserStatus.INVITED.value,
        platform_admin=False,
        last_login_at=None,
        created_at=work.now,
        invited_by=work.caller.user_id,
        **msgspec.structs.asdict(new.permissions),
    )
    await add_user(work, user)
    await _send_invitation(work, pages, user)
    await _note(work, "user.invited", user, {"email": user.email, "role": user.role.value})
    return user


async def resend_invitation(work: Work, pages: Pages, user_id: UserId) -> User:
    """Send the mail again, with a new link; the earlier one is no good any more. Raises NotFound, Conflict `not-invited`."""
    user = await _managed(work, user_id)
    if user.status != UserStatus.INVITED:
        raise Conflict("This person is not waiting for an invitation.", code="not-invited")
    await _send_invitation(work, pages, user)
    await _note(work, "user.invitation_sent", user)
    return user


async def revoke_invitation(work: Work, user_id: UserId) -> None:
    """Take an invitation back: link and person are gone. Raises NotFound, Conflict `not-invited`."""
    user = await _managed(work, user_id)
    if user.status != UserStatus.INVITED:
        raise Conflict("This person is not waiting for an invitation.", code="not-invited")
    await store.delete(work.tx, user.tenant_id, user.id)
    await _note(work, "user.invitation_revoked", user, {"email": user.email})


async def invited_by_link(work: Work, token: str) -> tuple[Link, User]:
    """The invitation behind a link, which stays good; the work runs as the system. Raises like `links.peek`."""
    link = await links.peek(work, token, Purpose.INVITATION)
    user = await store.get(work.tx, link.tenant_id, link.user_id)
    if user is None or user.status != UserStatus.INVITED:
        raise Conflict("This invitation was used already.", code="link-used")
    return link, user


async def accept_invitation(
    work: Work, token: str, *, password_hash: str, first_name: str | None, last_name: str | None
) -> User:
    """Make somebody who was invited an active person with a password; the work runs as the system. Raises like `links.follow`."""
    _, user = await invited_by_link(work, token)
    await links.follow(work, token, Purpose.INVITATION)
    user = msgspec.structs.replace(
        user,
        status=UserStatus.ACTIVE.value,
        password_hash=password_hash,
        first_name=user.first_name if first_name is None else first_name.strip(),
        last_name=user.last_name if last_name is None else last_name.strip(),
    )
    await store.save(work.tx, user)
    await _note(work, "user.invitation_accepted", user, by=acting_as(user))
    return user


async def change_user(work: Work, user_id: UserId, change: UserChange, *, version: str | None = None) -> User:
    """Change a person's names, role or permissions. A new role is in force within seconds. Raises NotFound, Forbidden,
    Conflict `last-owner`."""
    is_self = user_id == work.caller.user_id
    before = await _for_change(work, user_id) if is_self else await _managed(work, user_id)
    if version is not None and version.strip() not in ("*", etag_of(before)):
        raise PreconditionFailed("This person changed since you read them; read them again and repeat the change.")
    after = _changed(before, change)
    has_other_rights = (after.role, after.permissions) != (before.role, before.permissions)
    if has_other_rights:
        if is_self:
            raise Forbidden("Nobody changes their own role or permissions; ask somebody else.", code="own-role")
        _check_reach(work.caller, after.role)
        _check_permissions(work.caller, _added(before.permissions, after.permissions))
        if after.role is not Role.TENANT_OWNER:
            await _check_not_last_owner(work, before)
    if after == before:
        return before
    await store.save(work.tx, after)
    if has_other_rights:
        await revocations.renew_tokens_of(work, after.tenant_id, after.id)
    await _note(work, "user.updated", after, _difference(before, after))
    return after


async def rename(work: Work, change: UserChange) -> User:
    """Change the names of the person who asks."""
    before = await current_user(work)
    after = _changed(before, UserChange(first_name=change.first_name, last_name=change.last_name))
    if after != before:
        await store.save(work.tx, after)
        await _note(work, "user.updated", after, _difference(before, after))
    return after


async def disable_user(work: Work, user_id: UserId) -> User:
    """Let a person in no more: log-ins end at once, access tokens within seconds. Raises NotFound, Forbidden, Conflict."""
    user = await _managed(work, user_id)
    if user.status == UserStatus.DISABLED:
        return user
    if user.status != UserStatus.ACTIVE:
        raise Conflict("This person was never active; revoke the invitation instead.", code="not-active")
    await _check_not_last_owner(work, user)
    user = msgspec.structs.replace(user, status=UserStatus.DISABLED.value)
    await store.save(work.tx, user)
    await revocations.end_log_ins_of(work, user.tenant_id, user.id)
    for purpose in Purpose:
        await links.withdraw(work, user.tenant_id, user.id, purpose)
    await _note(work, "user.disabled", user)
    return user


async def enable_user(work: Work, user_id: UserId) -> User:
    """Let a disabled person in again, with the password of before. Raises NotFound, Forbidden, Conflict `not-disabled`."""
    user = await _managed(work, user_id)
    if user.status == UserStatus.ACTIVE:
        return user
    if user.status != UserStatus.DISABLED:
        raise Conflict("This person is not disabled.", code="not-disabled")
    user = msgspec.structs.replace(user, status=UserStatus.ACTIVE.value)
    await store.save(work.tx, user)
    await _note(work, "user.enabled", user)
    return user


async def delete_user(work: Work, user_id: UserId) -> None:
    """Forget a person: log-ins, factors and links go; what they made stays. Raises NotFound, Forbidden, Conflict `last-owner`."""
    user = await _managed(work, user_id)
    await _check_not_last_owner(work, user)
    await revocations.end_log_ins_of(work, user.tenant_id, user.id)
    await store.delete(work.tx, user.tenant_id, user.id)
    await _note(work, "user.deleted", user, {"email": user.email})


async def managed_user(work: Work, user_id: UserId) -> User:
    """A person whom the caller may manage, locked; not the caller. Raises NotFound, Forbidden."""
    return await _managed(work, user_id)


def manages(caller: Caller, user: User) -> bool:
    """Whether the caller may manage this person."""
    if user.tenant_id != caller.tenant_id and not caller.platform_admin:
        return False
    return user.role in _reach(caller) and (caller.platform_admin or not user.platform_admin)


async def set_password(work: Work, user: User, password_hash: str) -> None:
    """Replace a person's password and end all log-ins. The work runs as the system or in the person's tenant."""
    await store.save(work.tx, msgspec.structs.replace(user, password_hash=password_hash))
    await revocations.end_log_ins_of(work, user.tenant_id, user.id)


async def activate(work: Work, user: User) -> User:
    """Let in somebody who confirmed their address."""
    user = msgspec.structs.replace(user, status=UserStatus.ACTIVE.value)
    await store.save(work.tx, user)
    return user


async def forget(work: Work, user: User) -> None:
    """Delete somebody who never confirmed the address."""
    await store.delete(work.tx, user.tenant_id, user.id)


async def forget_unverified(work: Work) -> int:
    """Delete those who never confirmed their address; how many. Their addresses are free again."""
    return await store.delete_unverified(work.tx, before=work.now - UNVERIFIED_FOR)


async def note_login(work: Work, user: User) -> User:
    """Note that a person logged in now."""
    await store.note_login(work.tx, user.tenant_id, user.id, at=work.now)
    return msgspec.structs.replace(user, last_login_at=work.now)


async def note_mfa(work: Work, user: User, *, enabled: bool) -> None:
    """Note whether a person's log-in asks for a second factor."""
    await store.set_mfa(work.tx, user.tenant_id, user.id, enabled=enabled)


async def unlock_user(work: Work, user: User) -> None:
    """End the lock of wrong passwords; an administrator vouches. The work runs as the system."""
    await lockout.forgive(work, user.email)


def etag_of(user: User) -> str:
    """The entity tag of what can be changed about a person (RFC 9110 §8.8.3)."""
    content = (user.first_name, user.last_name, user.role.value, user.status, user.permissions)
    return f'"{hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:20]}"'


async def _send_invitation(work: Work, pages: Pages, user: User) -> None:
    token = await links.new_link(work, user.tenant_id, user.id, Purpose.INVITATION)
    tenant = await find_tenant(work.tx, user.tenant_id)
    inviter = await store.get(work.tx, work.caller.tenant_id, work.caller.user_id) if work.caller.user_id else None
    name = f"{inviter.first_name} {inviter.last_name}".strip() or inviter.email if inviter else "An administrator"
    text = texts.invitation(inviter=name, tenant=tenant.name if tenant else "a team", link=pages.invitation(token))
    await post_mail(work, user, text)


async def _for_change(work: Work, user_id: UserId) -> User:
    user = await store.get_for_change(work.tx, work.caller.tenant_id, user_id)
    if user is None:
        raise NotFound("user", user_id)
    return user


async def _managed(work: Work, user_id: UserId) -> User:
    user = await _for_change(work, user_id)
    if user_id == work.caller.user_id:
        raise Forbidden("Nobody does this to their own account; ask somebody else.", code="own-account")
    if not manages(work.caller, user):
        raise Forbidden(f"You can't manage people with the role {user.role.value}.", code="role-out-of-reach")
    return user


async def _check_not_last_owner(work: Work, user: User) -> None:
    if user.role is Role.TENANT_OWNER and user.status == UserStatus.ACTIVE:
        await store.wait_for_owners(work.tx, user.tenant_id)
        if await store.owners(work.tx, user.tenant_id) == [user.id]:
            raise Conflict("This is the only owner. Make somebody else an owner first.", code="last-owner")


def _reach(caller: Caller) -> frozenset[Role]:
    if caller.platform_admin:
        return _OF_TENANT | _OF_AGENCY
    if caller.user_id is None and caller.environment is not Environment.LIVE:
        return frozenset()
    return _MANAGES.get(caller.role, frozenset())


def _check_reach(caller: Caller, role: Role) -> None:
    if role not in _reach(caller):
        raise Forbidden(f"You can't give the role {role.value}.", code="role-out-of-reach")


def _check_permissions(caller: Caller, wanted: Permissions) -> None:
    has = permissions_in(caller.scopes)
    for name in wanted.__struct_fields__:
        if getattr(wanted, name) and not getattr(has, name):
            raise Forbidden("You can't give a permission that you don't have.", code="permission-exceeded")


def _added(before: Permissions, after: Permissions) -> Permissions:
    return Permissions(**{name: getattr(after, name) and not getattr(before, name) for name in after.__struct_fields__})


def _changed(user: User, change: UserChange) -> User:
    permissions = user.permissions if change.permissions is None else change.permissions
    return msgspec.structs.replace(
        user,
        first_name=user.first_name if change.first_name is None else change.first_name.strip(),
        last_name=user.last_name if change.last_name is None else change.last_name.strip(),
        role=change.role or user.role,
        **msgspec.structs.asdict(permissions),
    )


def _difference(before: User, after: User) -> dict[str, object]:
    names = ("first_name", "last_name", "role", "can_manage_api_keys", "can_view_billing", "can_delete_conversations")
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}


async def _note(
    work: Work, action: str, user: User, detail: dict[str, object] | None = None, *, by: Caller | None = None
) -> None:
    await audit.note(work, action=action, target=Target(type="user", id=user.id), detail=detail, by=by)
