"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import TenantId, UserId

from voisnap_api.auth.scopes import Permissions, Role


class UserStatus(StrEnum):
    """Only an active person gets in. `unverified`: registered, and the address is not confirmed yet."""

    ACTIVE = "active"
    INVITED = "invited"
    UNVERIFIED = "unverified"
    DISABLED = "disabled"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person of a tenant. The password hash of somebody invited is empty: no password matches it."""

    id: UserId
    tenant_id: TenantId
    email: str
    password_hash: str
    first_name: str
    last_name: str
    role: Role
    status: str
    platform_admin: bool
    last_login_at: datetime | None
    created_at: datetime
    invited_by: UserId | None = None
    mfa_enabled: bool = False
    can_manage_api_keys: bool = False
    can_view_billing: bool = False
    can_delete_conversations: bool = False

    @property
    def permissions(self) -> Permissions:
        """The flags beyond the role."""
        return Permissions(
            can_manage_api_keys=self.can_manage_api_keys,
            can_view_billing=self.can_view_billing,
            can_delete_conversations=self.can_delete_conversations,
        )


class UserOrder(StrEnum):
    """What lists sort by, as the query names it."""

    CREATED_AT = "createdAt"
    EMAIL = "email"
    NAME = "name"
    LAST_LOGIN_AT = "lastLoginAt"


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which people; None means all. `search` is part of a name or an address."""

    role: Role | None = None
    status: UserStatus | None = None
    search: str | None = None
    order: UserOrder = UserOrder.CREATED_AT
    descending: bool = True
