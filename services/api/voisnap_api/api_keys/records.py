"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import ApiKeyId, TenantId
from voisnap_domain.tenants import Environment


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret."""

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

    def is_good(self, *, at: datetime) -> bool:
        """Whether the key opens anything."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)
