"""People on the wire."""

from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, UnsetType

from voisnap_api.auth.scopes import Permissions, Role, permissions_in, scopes_of
from voisnap_api.wire import Body, View, instant

from .records import User, UserStatus
from .usecases import NewUser, UserChange

T = TypeVar("T")
D = TypeVar("D")

Email = Annotated[
    str,
    Meta(
        min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f,;<>()\[\]\\\"]+@[^@\s\x00-\x1f\x7f,;<>()\[\]\\\"]+$"
    ),
]
PersonName = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PermissionsBody(Body, frozen=True, kw_only=True):
    """What a person may do beyond the role. Left out: as it is; for somebody new: no."""

    can_manage_api_keys: bool | UnsetType = UNSET
    can_view_billing: bool | UnsetType = UNSET
    can_delete_conversations: bool | UnsetType = UNSET

    def over(self, permissions: Permissions) -> Permissions:
        """These permissions, the rest as before."""
        return Permissions(
            can_manage_api_keys=_or(self.can_manage_api_keys, permissions.can_manage_api_keys),
            can_view_billing=_or(self.can_view_billing, permissions.can_view_billing),
            can_delete_conversations=_or(self.can_delete_conversations, permissions.can_delete_conversations),
        )


class InviteBody(Body, frozen=True, kw_only=True):
    """Whom to invite, and as what."""

    email: Email
    role: Role = Role.TENANT_USER
    first_name: PersonName = ""
    last_name: PersonName = ""
    permissions: PermissionsBody = PermissionsBody()

    def to_new_user(self) -> NewUser:
        return NewUser(
            email=self.email,
            role=self.role,
            first_name=self.first_name,
            last_name=self.last_name,
            permissions=self.permissions.over(Permissions()),
        )


class UserPatch(Body, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396): what is left out stays."""

    first_name: PersonName | UnsetType = UNSET
    last_name: PersonName | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    permissions: PermissionsBody | UnsetType = UNSET

    def to_change(self, permissions: Permissions) -> UserChange:
        return UserChange(
            first_name=_or(self.first_name, None),
            last_name=_or(self.last_name, None),
            role=_or(self.role, None),
            permissions=None if isinstance(self.permissions, UnsetType) else self.permissions.over(permissions),
        )


class ProfilePatch(Body, frozen=True, kw_only=True):
    """What people change about themselves; what is left out stays."""

    first_name: PersonName | UnsetType = UNSET
    last_name: PersonName | UnsetType = UNSET

    def to_change(self) -> UserChange:
        return UserChange(first_name=_or(self.first_name, None), last_name=_or(self.last_name, None))


class PermissionsView(View, frozen=True, kw_only=True):
    """What a person may do, whether by role or beyond it."""

    can_manage_api_keys: bool
    can_view_billing: bool
    can_delete_conversations: bool


class UserView(View, frozen=True, kw_only=True):
    """A person."""

    id: str
    tenant_id: str
    email: str
    first_name: str
    last_name: str
    role: Role
    status: UserStatus
    mfa_enabled: bool
    last_login_at: str | None
    created_at: str
    invited_by: str | None
    permissions: PermissionsView
    platform_admin: bool

    @classmethod
    def of(cls, user: User) -> "UserView":
        has = permissions_in(scopes_of(user.role, permissions=user.permissions))
        return cls(
            id=user.id,
            tenant_id=user.tenant_id,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role=user.role,
            status=UserStatus(user.status),
            mfa_enabled=user.mfa_enabled,
            last_login_at=instant(user.last_login_at) if user.last_login_at else None,
            created_at=instant(user.created_at),
            invited_by=user.invited_by,
            permissions=PermissionsView(
                can_manage_api_keys=has.can_manage_api_keys,
                can_view_billing=has.can_view_billing,
                can_delete_conversations=has.can_delete_conversations,
            ),
            platform_admin=user.platform_admin,
        )


def _or(value: T | UnsetType, default: D) -> T | D:
    return default if isinstance(value, UnsetType) else value
