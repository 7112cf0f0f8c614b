"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment

from .scopes import Role


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person of a tenant."""

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


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """One refresh token, known by its hash. `spent_at` is set when it was exchanged, `revoked_at` when its family ended."""

    token_hash: bytes
    family_id: str
    tenant_id: TenantId
    environment: Environment
    user_id: UserId
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    revoked_at: datetime | None = None
