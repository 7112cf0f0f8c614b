"""Making and following links. The token is in the mail and nowhere else; only its hash is kept."""

import hashlib
import secrets
from datetime import timedelta

from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.work import Work

from . import store
from .records import LIFETIMES, Link, Purpose

_REMEMBERED = timedelta(days=7)
"""How long after its end a link is still known, so that its owner reads `link-expired` and not `link-unknown`."""


async def new_link(work: Work, tenant_id: TenantId, user_id: UserId, purpose: Purpose) -> str:
    """The token of a new link; earlier ones of the same person and purpose are no good any more."""
    token = secrets.token_urlsafe(32)
    await store.delete_of_user(work.tx, tenant_id, user_id, purpose)
    await store.insert(
        work.tx,
        Link(
            token_hash=_hash(token),
            purpose=purpose,
            tenant_id=tenant_id,
            user_id=user_id,
            created_at=work.now,
            expires_at=work.now + LIFETIMES[purpose],
        ),
    )
    return token


async def follow(work: Work, token: str, purpose: Purpose) -> Link:
    """Use a link up, if this work commits. Raises NotFound `link-unknown`, or Conflict `link-used`, `link-expired`."""
    link = await peek(work, token, purpose)
    await store.mark_used(work.tx, link.token_hash, at=work.now)
    return link


async def peek(work: Work, token: str, purpose: Purpose) -> Link:
    """A link that could be followed now, without using it up. Raises like `follow`."""
    link = await store.get_for_change(work.tx, _hash(token))
    if link is None or link.purpose is not purpose:
        raise NotFound(
            "link",
            "",
            detail="This link is not known here: it is incomplete, or a newer one was sent since.",
            code="link-unknown",
        )
    if link.used_at is not None:
        raise Conflict("This link was used already.", code="link-used")
    if link.expires_at <= work.now:
        raise Conflict("This link is too old. Ask for a new one.", code="link-expired")
    return link


async def was_sent_within(work: Work, tenant_id: TenantId, user_id: UserId, purpose: Purpose, age: timedelta) -> bool:
    """Whether a link of this kind was made lately, so that nobody's mailbox is flooded."""
    link = await store.newest_of_user(work.tx, tenant_id, user_id, purpose)
    return link is not None and link.created_at > work.now - age


async def withdraw(work: Work, tenant_id: TenantId, user_id: UserId, purpose: Purpose) -> None:
    """Make a person's links of one kind useless."""
    await store.delete_of_user(work.tx, tenant_id, user_id, purpose)


async def forget_old_links(work: Work) -> int:
    """Delete links that ended long ago; how many."""
    return await store.delete_expired(work.tx, before=work.now - _REMEMBERED)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
