"""Rows of this slice."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from voisnap_domain.ids import TenantId, UserId


class Purpose(StrEnum):
    """What a link does."""

    INVITATION = "invitation"
    PASSWORD = "password"  # noqa: S105 - not a password, but the link to a new one
    UNLOCK = "unlock"
    REGISTRATION = "registration"


LIFETIMES: dict[Purpose, timedelta] = {
    Purpose.INVITATION: timedelta(days=7),
    Purpose.PASSWORD: timedelta(hours=1),
    Purpose.UNLOCK: timedelta(hours=1),
    Purpose.REGISTRATION: timedelta(hours=24),
}


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link, known by the hash of its token."""

    token_hash: bytes
    purpose: Purpose
    tenant_id: TenantId
    user_id: UserId
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
