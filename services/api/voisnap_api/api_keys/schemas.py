"""API keys on the wire."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from voisnap_domain.tenants import Environment

from voisnap_api.wire import Body, View, instant

from .records import ApiKey, KeyStatus


class ApiKeyBody(Body, frozen=True, kw_only=True):
    """A new key: its name, what it may do, and until when."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None


class ApiKeyPatch(Body, frozen=True, kw_only=True):
    """A key's new name. Scopes never change: make another key."""

    name: str


class RotationBody(Body, frozen=True, kw_only=True):
    """How long the old key stays good beside the new one: up to thirty days."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 86_400


class ApiKeyView(View, frozen=True, kw_only=True):
    """A key as it is listed: without its secret."""

    id: str
    name: str
    prefix: str
    environment: Environment
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    status: KeyStatus
    created_by: str | None
    replaced_by: str | None

    @classmethod
    def of(cls, key: ApiKey, *, at: datetime) -> "ApiKeyView":
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            environment=key.environment,
            scopes=key.scopes,
            created_at=instant(key.created_at),
            expires_at=_instant(key.expires_at),
            last_used_at=_instant(key.last_used_at),
            revoked_at=_instant(key.revoked_at),
            status=key.status(at=at),
            created_by=key.created_by,
            replaced_by=key.replaced_by,
        )


class NewApiKeyView(ApiKeyView, frozen=True, kw_only=True, rename="camel"):
    """A key that was just made; `key` is shown this once."""

    key: str


def _instant(moment: datetime | None) -> str | None:
    return instant(moment) if moment else None
