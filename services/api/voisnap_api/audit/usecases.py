"""Writing and reading the audit log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from voisnap_kit import log
from voisnap_kit.work import Caller, Work

from . import store
from .records import ActorType, AuditEntry, AuditFilter, Target


async def note(
    work: Work, *, action: str, target: Target, detail: Mapping[str, Any] | None = None, by: Caller | None = None
) -> None:
    """Note in this work what its caller did: `action` is `noun.verb_past`, `detail` plain JSON without secrets.

    `by` names another caller than the work's, for work that runs as the system before it knows who asks (log-in).
    """
    await note_all(work, action=action, targets=(target,), detail=detail, by=by)


async def note_all(
    work: Work,
    *,
    action: str,
    targets: Sequence[Target],
    detail: Mapping[str, Any] | None = None,
    by: Caller | None = None,
) -> None:
    """Note the same deed on many things, an entry each."""
    caller = by or work.caller
    actor_type, actor_id = _actor(caller)
    entries = tuple(
        AuditEntry(
            id=work.new_id("aud"),
            tenant_id=caller.tenant_id,
            environment=caller.environment,
            at=work.now,
            actor_type=actor_type,
            actor_id=actor_id,
            action=action,
            target_type=target.type,
            target_id=target.id,
            detail=dict(detail or {}),
            request_id=log.request_id(),
        )
        for target in targets
    )
    await store.append(work.tx, entries)


async def list_entries(work: Work, wanted: AuditFilter, *, limit: int, offset: int) -> tuple[list[AuditEntry], int]:
    """One page of entries, newest first, and how many match."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def list_entries_after(
    work: Work, wanted: AuditFilter, *, after: tuple[datetime, str], limit: int
) -> tuple[list[AuditEntry], int]:
    """The entries that follow one, newest first, and how many match in all."""
    caller = work.caller
    found = await store.page_after(work.tx, caller.tenant_id, caller.environment, wanted, after=after, limit=limit)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


def _actor(caller: Caller) -> tuple[ActorType, str | None]:
    if caller.user_id is not None:
        return ActorType.USER, caller.user_id
    if caller.key_id is not None:
        return ActorType.API_KEY, caller.key_id
    return ActorType.SYSTEM, None
