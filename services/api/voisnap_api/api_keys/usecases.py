"""What can be done with API keys."""

from datetime import datetime, timedelta

import msgspec
from voisnap_domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from voisnap_domain.ids import ApiKeyId, TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.auth import revocations
from voisnap_api.auth.scopes import GRANTABLE, scopes_of_key

from . import secrets, store
from .records import ApiKey, KeyFilter

LONGEST_DAYS = 365_250
"""A thousand years. A life that ends beyond the calendar's could be stored, and never be read again or rotated."""


async def create_key(
    work: Work, *, name: str, scopes: tuple[str, ...], expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key of the caller's environment, and its text, which is never seen again. It may do no more than its maker.

    Raises Invalid, Forbidden `scope-exceeded`.
    """
    _check(work, name, scopes, expires_at)
    _check_within(work, scopes)
    caller = work.caller
    key, text = await _stored(
        work,
        caller.tenant_id,
        caller.environment,
        name=name.strip(),
        scopes=scopes,
        expires_at=expires_at,
        created_by=caller.user_id,
    )
    await _note(work, "api_key.created", key, {"name": key.name, "scopes": list(key.scopes)})
    return key, text


async def get_key(work: Work, key_id: ApiKeyId) -> ApiKey:
    """One key of the caller's environment. Raises NotFound."""
    key = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, key_id)
    if key is None:
        raise NotFound("API key", key_id)
    return key


async def rename_key(work: Work, key_id: ApiKeyId, name: str) -> ApiKey:
    """Give a key another name; what it may do never changes. Raises NotFound, Invalid."""
    key = await _for_change(work, key_id)
    if errors := _name_faults(name):
        raise Invalid(errors)
    key = msgspec.structs.replace(key, name=name.strip())
    await store.rename(work.tx, key.tenant_id, key.environment, key.id, key.name)
    await _note(work, "api_key.renamed", key, {"name": key.name})
    return key


async def rotate_key(work: Work, key_id: ApiKeyId, *, overlap: timedelta) -> tuple[ApiKey, str]:
    """A new key with the same name, scopes and span of life, and its text; the old one is good for the overlap.

    Raises NotFound, Conflict `api-key-ended` for a key that is no good any more or was rotated before, Forbidden `scope-exceeded`.
    """
    old = await _for_change(work, key_id)
    if not old.is_good(at=work.now) or old.replaced_by is not None:
        raise Conflict("Only a key that is good and was not rotated yet can be rotated.", code="api-key-ended")
    _check_within(work, old.scopes)
    expires_at = None if old.expires_at is None else work.now + (old.expires_at - old.created_at)
    new, text = await _stored(
        work,
        old.tenant_id,
        old.environment,
        name=old.name,
        scopes=old.scopes,
        expires_at=expires_at,
        created_by=work.caller.user_id,
    )
    await store.replace(
        work.tx, old.tenant_id, old.environment, old.id, replaced_by=new.id, expires_at=work.now + overlap
    )
    await _note(work, "api_key.rotated", old, {"replacedBy": new.id, "overlapSeconds": int(overlap.total_seconds())})
    return new, text


async def issue_key(
    work: Work, tenant_id: TenantId, environment: Environment, *, name: str, created_by: UserId | None
) -> tuple[ApiKey, str]:
    """A key that may do everything in one environment; the platform itself makes such keys."""
    return await _stored(
        work, tenant_id, environment, name=name, scopes=tuple(sorted(GRANTABLE)), expires_at=None, created_by=created_by
    )


async def list_keys(work: Work, wanted: KeyFilter, *, limit: int, offset: int) -> tuple[list[ApiKey], int]:
    """One page of the keys of the caller's environment, and how many there are."""
    caller = work.caller
    keys = await store.page(
        work.tx, caller.tenant_id, caller.environment, wanted, now=work.now, limit=limit, offset=offset
    )
    return keys, await store.count(work.tx, caller.tenant_id, caller.environment, wanted, now=work.now)


async def revoke_key(work: Work, key_id: ApiKeyId) -> None:
    """End a key, and the tokens made with it. Takes effect within the seconds a verified key is remembered. Raises NotFound."""
    key = await _for_change(work, key_id)
    if key.revoked_at is not None:
        return
    await store.revoke(work.tx, key.tenant_id, key.environment, key_id, at=work.now)
    await revocations.end_tokens_of_key(work, key.tenant_id, key_id)
    await _note(work, "api_key.revoked", key, {"name": key.name})


async def find_key(tx: Tx, key_hash: bytes) -> ApiKey | None:
    """The key with this hash, in any tenant; `tx` runs as the system."""
    return await store.by_hash(tx, key_hash)


async def note_uses(tx: Tx, uses: dict[str, datetime]) -> None:
    """Note when keys were last used; `tx` runs as the system."""
    await store.note_uses(tx, tuple(uses), tuple(uses.values()))


async def _stored(
    work: Work,
    tenant_id: TenantId,
    environment: Environment,
    *,
    name: str,
    scopes: tuple[str, ...],
    expires_at: datetime | None,
    created_by: UserId | None,
) -> tuple[ApiKey, str]:
    text = secrets.generate(environment)
    key = ApiKey(
        id=ApiKeyId(work.new_id("key")),
        tenant_id=tenant_id,
        environment=environment,
        name=name,
        prefix=secrets.shown(text),
        scopes=tuple(sorted(set(scopes))),
        created_by=created_by,
        created_at=work.now,
        expires_at=expires_at,
    )
    await store.insert(work.tx, key, key_hash=secrets.hash_of(text))
    return key, text


async def _for_change(work: Work, key_id: ApiKeyId) -> ApiKey:
    key = await store.get_for_change(work.tx, work.caller.tenant_id, work.caller.environment, key_id)
    if key is None:
        raise NotFound("API key", key_id)
    return key


def _check_within(work: Work, scopes: tuple[str, ...]) -> None:
    """A key does no more than who makes it or sees its text."""
    beyond = sorted(scopes_of_key(frozenset(scopes)) - work.caller.scopes)
    if beyond:
        raise Forbidden(f"You can't give what you don't have: {', '.join(beyond)}.", code="scope-exceeded")


async def _note(work: Work, action: str, key: ApiKey, detail: dict[str, object]) -> None:
    await audit.note(work, action=action, target=Target(type="api_key", id=key.id), detail=detail)


def _name_faults(name: str) -> tuple[FieldError, ...]:
    if 1 <= len(name.strip()) <= 100 and name.isprintable():
        return ()
    return (FieldError(pointer="/name", code="bad-length", detail="must have 1 to 100 printable characters"),)


def _check(work: Work, name: str, scopes: tuple[str, ...], expires_at: datetime | None) -> None:
    errors = list(_name_faults(name))
    if not scopes:
        errors.append(FieldError(pointer="/scopes", code="required", detail="names at least one scope"))
    for index, scope in enumerate(scopes):
        if scope not in GRANTABLE:
            errors.append(
                FieldError(pointer=f"/scopes/{index}", code="unknown-scope", detail=f"there is no scope {scope!r}")
            )
    if expires_at is not None and (
        expires_at.tzinfo is None or not work.now < expires_at <= work.now + timedelta(days=LONGEST_DAYS)
    ):
        detail = f"must be a moment in the future, with its time zone, and at most {LONGEST_DAYS} days ahead"
        errors.append(FieldError(pointer="/expiresAt", code="invalid", detail=detail))
    if errors:
        raise Invalid(tuple(errors))
