"""Writing and reading the audit log."""

from typing import Any

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_kit.work import Work

from . import store
from .records import AuditEntry, AuditFilter


async def record_change(
    work: Work,
    action: str,
    *,
    target_id: str,
    tenant_id: TenantId,
    before: msgspec.Struct | None,
    after: msgspec.Struct,
) -> None:
    """Note who did what in this work, with the fields that changed."""
    await store.append(
        work.tx,
        AuditEntry(
            id=work.new_id("aud"),
            at=work.now,
            actor_id=work.caller.user_id,
            actor_role=work.caller.role,
            action=action,
            target_id=target_id,
            tenant_id=tenant_id,
            changes=changed_fields(before, after),
        ),
    )


async def list_entries(work: Work, wanted: AuditFilter, *, limit: int, offset: int) -> tuple[list[AuditEntry], int]:
    """A page of entries, newest first, and how many there are on all pages."""
    work.caller.require_platform_admin()
    work.caller.require("admin:read")
    return await store.find(work.tx, wanted, limit=limit, offset=offset), await store.count(work.tx, wanted)


def changed_fields(before: msgspec.Struct | None, after: msgspec.Struct) -> dict[str, Any]:
    """`{field: {"old": …, "new": …}}` of what differs; everything of a new thing. `updated_at` always differs and is left out."""
    new = msgspec.to_builtins(after)
    old = msgspec.to_builtins(before) if before is not None else dict.fromkeys(new)
    return {
        name: {"old": old.get(name), "new": value}
        for name, value in new.items()
        if name != "updated_at" and old.get(name) != value
    }
