"""The audit log on the wire."""

from typing import Any

from voisnap_admin.wire import View, instant

from .records import AuditEntry


class Actor(View, frozen=True):
    """Who did it; the platform itself has no id."""

    id: str | None
    role: str


class AuditEntryView(View, frozen=True):
    """One change."""

    id: str
    at: str
    actor: Actor
    action: str
    target_id: str
    tenant_id: str
    changes: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryView":
        return cls(
            id=entry.id,
            at=instant(entry.at),
            actor=Actor(id=entry.actor_id, role=entry.actor_role),
            action=entry.action,
            target_id=entry.target_id,
            tenant_id=entry.tenant_id,
            changes=entry.changes,
        )
