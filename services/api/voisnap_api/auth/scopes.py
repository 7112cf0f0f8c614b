"""What each role may do. An API key holds the scopes it was given; a person holds those of the role."""

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """The seven roles of a tenant and its agency, and the platform's own."""

    ADMIN = "Admin"
    AGENCY_MANAGER = "AgencyManager"
    AGENCY_TECHNICAL_MANAGER = "AgencyTechnicalManager"
    AGENCY_ACCOUNT_MANAGER = "AgencyAccountManager"
    TENANT_OWNER = "TenantOwner"
    TENANT_USER = "TenantUser"
    READ_ONLY = "ReadOnly"
    PLATFORM_ADMIN = "PlatformAdmin"


HUB = "hub"
"""Lets a token open hubs."""

DELETE_CONVERSATIONS = "conversations:delete"
"""Lets a person delete conversations. API keys hold it with `conversations:write`, as the documentation says of that scope."""

READ = frozenset(
    {
        "agents:read",
        "conversations:read",
        "telephony:read",
        "webhooks:read",
        "analytics:read",
        "billing:read",
        "knowledge:read",
        "calls:read",
        "users:read",
        "keys:read",
        "provider-credentials:read",
    }
)

WRITE = frozenset(
    {
        "agents:write",
        "conversations:write",
        "telephony:write",
        "webhooks:write",
        "billing:write",
        "knowledge:write",
        "calls:write",
        "users:write",
        "keys:write",
        "provider-credentials:write",
        "webrtc:write",
    }
)

GRANTABLE = READ | WRITE | {"audit:read"}
"""Scopes an API key may hold."""

_EVERYDAY = frozenset(
    {"agents:read", "agents:write", "conversations:read", "conversations:write", "analytics:read"}
) | {
    "knowledge:read",
    "knowledge:write",
    "calls:read",
    "calls:write",
    "telephony:read",
    "webhooks:read",
    "webrtc:write",
}

_OF_ROLE: dict[Role, frozenset[str]] = {
    Role.ADMIN: GRANTABLE,
    Role.TENANT_OWNER: GRANTABLE,
    Role.PLATFORM_ADMIN: GRANTABLE,
    Role.AGENCY_MANAGER: GRANTABLE,
    Role.AGENCY_TECHNICAL_MANAGER: GRANTABLE - {"billing:read", "billing:write", "users:write"},
    Role.AGENCY_ACCOUNT_MANAGER: READ | {"users:write"},
    Role.TENANT_USER: _EVERYDAY,
    Role.READ_ONLY: READ,
}


_MAY_DELETE_CONVERSATIONS = frozenset({Role.ADMIN, Role.TENANT_OWNER, Role.PLATFORM_ADMIN, Role.AGENCY_MANAGER})


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may do beyond the role."""

    can_manage_api_keys: bool = False
    can_view_billing: bool = False
    can_delete_conversations: bool = False


NO_PERMISSIONS = Permissions()


def scopes_of(role: Role, *, permissions: Permissions = NO_PERMISSIONS, platform_admin: bool = False) -> frozenset[str]:
    """The scopes a person's token carries: the role's, those of the permissions, `hub`, and `admin:*` for who operates the platform."""
    scopes = set(_OF_ROLE[role]) | {HUB}
    if permissions.can_manage_api_keys:
        scopes |= {"keys:read", "keys:write"}
    if permissions.can_view_billing:
        scopes.add("billing:read")
    if permissions.can_delete_conversations or role in _MAY_DELETE_CONVERSATIONS:
        scopes |= {DELETE_CONVERSATIONS, "conversations:write"}
    if platform_admin:
        scopes.add("admin:*")
    return frozenset(scopes)


def scopes_of_key(scopes: frozenset[str]) -> frozenset[str]:
    """What a key may do that was given these scopes."""
    return scopes | {DELETE_CONVERSATIONS} if "conversations:write" in scopes else scopes


def permissions_in(scopes: frozenset[str]) -> Permissions:
    """What scopes allow, in the words of the permissions, whether by role or beyond it."""
    return Permissions(
        can_manage_api_keys="keys:write" in scopes,
        can_view_billing="billing:read" in scopes,
        can_delete_conversations=DELETE_CONVERSATIONS in scopes,
    )
