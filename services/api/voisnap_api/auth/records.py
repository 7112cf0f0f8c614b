"""Rows of this slice."""

from datetime import datetime

import msgspec
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment


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


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong passwords and codes in a row for one address."""

    failures: int
    last_at: datetime
    locked_until: datetime | None
