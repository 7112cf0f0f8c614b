"""Ending log-ins before their time: refresh tokens in the database, access tokens by a note that the gate looks up."""

from datetime import datetime, timedelta

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx
from voisnap_kit.work import Work

from . import store

LONGEST_TOKEN = timedelta(hours=1)
"""The longest life of any access token: a hub token's. A revocation is kept for longer than that."""


async def renew_tokens_of(work: Work, tenant_id: TenantId, user_id: UserId) -> None:
    """Make a person's access tokens useless, within the seconds the gate remembers; their log-ins go on with fresh ones.

    For a change of role or permissions: the next refresh brings the new ones.
    """
    await store.put_revocation(work.tx, tenant_id, user_id, at=work.now)


async def end_log_ins_of(work: Work, tenant_id: TenantId, user_id: UserId) -> None:
    """Log a person out everywhere."""
    await store.revoke_families_of(work.tx, tenant_id, user_id, at=work.now)
    await store.put_revocation(work.tx, tenant_id, user_id, at=work.now)


async def end_tokens_of_key(work: Work, tenant_id: TenantId, key_id: str) -> None:
    """Make the tokens useless that were made with an API key."""
    await store.put_revocation(work.tx, tenant_id, key_id, at=work.now)


async def revoked_until(tx: Tx, tenant_id: TenantId, subject: str) -> datetime | None:
    """Tokens of a person or key that were made until this moment are no good; None when all are."""
    return await store.revoked_until(tx, tenant_id, subject)


async def forget_old_revocations(work: Work) -> int:
    """Delete revocations whose tokens have run out by themselves; how many."""
    return await store.delete_revocations(work.tx, before=work.now - 2 * LONGEST_TOKEN)
