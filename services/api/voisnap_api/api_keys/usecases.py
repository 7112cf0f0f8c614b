"""What can be done with API keys."""

from datetime import datetime

from voisnap_domain.errors import FieldError, Forbidden, Invalid, NotFound
from voisnap_domain.ids import ApiKeyId, TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx
from voisnap_kit.work import Work

from voisnap_api.auth.scopes import GRANTABLE

from . import secrets, store
from .records import ApiKey


async def create_key(
    work: Work, *, name: str, scopes: tuple[str, ...], expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key of the caller's environment, and its text, which is never seen again. It may do no more than its maker."""
    _check(work, name, scopes, expires_at)
    caller = work.caller
    beyond = sorted(set(scopes) - caller.scopes)
    if beyond:
        raise Forbidden(f"You can't give what you don't have: {', '.join(beyond)}.", code="scope-exceeded")
    return await _stored(
        work,
        caller.tenant_id,
        caller.environment,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        created_by=caller.user_id,
    )


async def issue_key(
    work: Work, tenant_id: TenantId, environment: Environment, *, name: str, created_by: UserId | None
) -> tuple[ApiKey, str]:
    """A key that may do everything in one environment; the platform itself makes such keys."""
    return await _stored(
        work, tenant_id, environment, name=name, scopes=tuple(sorted(GRANTABLE)), expires_at=None, created_by=created_by
    )


async def list_keys(work: Work, *, limit: int, offset: int) -> tuple[list[ApiKey], int]:
    """One page of the keys of the caller's environment, and how many there are."""
    caller = work.caller
    keys = await store.page(work.tx, caller.tenant_id, caller.environment, limit=limit, offset=offset)
    return keys, await store.count(work.tx, caller.tenant_id, caller.environment)


async def revoke_key(work: Work, key_id: ApiKeyId) -> None:
    """End a key. Takes effect within the seconds a verified key is remembered."""
    if not await store.revoke(work.tx, work.caller.tenant_id, work.caller.environment, key_id, at=work.now):
        raise NotFound("API key", key_id)


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


def _check(work: Work, name: str, scopes: tuple[str, ...], expires_at: datetime | None) -> None:
    errors = []
    if not 1 <= len(name.strip()) <= 100:
        errors.append(FieldError(pointer="/name", code="bad-length", detail="must have 1 to 100 characters"))
    if not scopes:
        errors.append(FieldError(pointer="/scopes", code="required", detail="names at least one scope"))
    for index, scope in enumerate(scopes):
        if scope not in GRANTABLE:
            errors.append(
                FieldError(pointer=f"/scopes/{index}", code="unknown-scope", detail=f"there is no scope {scope!r}")
            )
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= work.now):
        errors.append(
            FieldError(
                pointer="/expiresAt", code="invalid", detail="must be a moment in the future, with its time zone"
            )
        )
    if errors:
        raise Invalid(tuple(errors))
