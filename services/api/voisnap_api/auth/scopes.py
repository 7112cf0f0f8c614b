"""What each role may do. An API key holds the scopes it was given; a person holds those of the role."""

from enum import StrEnum


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


def scopes_of(role: Role, *, platform_admin: bool = False) -> frozenset[str]:
    """The scopes a person's token carries: the role's, `hub`, and `admin:*` for who operates the platform."""
    admin = frozenset({"admin:*"}) if platform_admin else frozenset()
    return _OF_ROLE[role] | {HUB} | admin
