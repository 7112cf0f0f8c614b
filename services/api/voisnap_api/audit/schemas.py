"""The audit log on the wire."""

from typing import Any

from voisnap_api.wire import View, instant

from .records import ActorType, AuditEntry


class ActorView(View, frozen=True, kw_only=True):
    """Who did it; the platform itself has no id."""

    type: ActorType
    id: str | None


class TargetView(View, frozen=True, kw_only=True):
    """What it was done to."""

    type: str
    id: str


class AuditEntryView(View, frozen=True, kw_only=True):
    """One deed."""

    id: str
    at: str
    actor: ActorView
    action: str
    target: TargetView
    detail: dict[str, Any]
    request_id: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryView":
        return cls(
            id=entry.id,
            at=instant(entry.at),
            actor=ActorView(type=entry.actor_type, id=entry.actor_id),
            action=entry.action,
            target=TargetView(type=entry.target_type, id=entry.target_id),
            detail=entry.detail,
            request_id=entry.request_id,
        )
