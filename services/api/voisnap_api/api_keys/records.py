"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import ApiKeyId, TenantId
from voisnap_domain.tenants import Environment


class KeyStatus(StrEnum):
    """What a key is good for now."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. `replaced_by` is the key it was rotated to."""

    id: ApiKeyId
    tenant_id: TenantId
    environment: Environment
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: ApiKeyId | None = None

    def is_good(self, *, at: datetime) -> bool:
        """Whether the key opens anything."""
        return self.status(at=at) is KeyStatus.ACTIVE

    def status(self, *, at: datetime) -> KeyStatus:
        """What the key is good for at a moment."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        if self.expires_at is not None and at >= self.expires_at:
            return KeyStatus.EXPIRED
        return KeyStatus.ACTIVE


class KeyOrder(StrEnum):
    """What lists sort by, as the query names it."""

    CREATED_AT = "createdAt"
    NAME = "name"
    LAST_USED_AT = "lastUsedAt"
    EXPIRES_AT = "expiresAt"


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys; None means all. `search` is part of the name or the beginning of the key."""

    status: KeyStatus | None = None
    scope: str | None = None
    search: str | None = None
    order: KeyOrder = KeyOrder.CREATED_AT
    descending: bool = True
