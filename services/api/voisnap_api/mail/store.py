"""The SQL of `mail_outbox`."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import Mail, MailFilter, MailKind


async def insert(tx: Tx, mail: Mail) -> None:
    """Store a mail that waits."""
    await tx.exec(
        """
        INSERT INTO mail_outbox (id, tenant_id, user_id, to_address, to_name, kind, subject, body, created_at, due_at)
        VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(to_address)s, %(to_name)s, %(kind)s, %(subject)s, %(body)s,
                %(created_at)s, %(due_at)s)
        """,
        id=mail.id,
        tenant_id=mail.tenant_id,
        user_id=mail.user_id,
        to_address=mail.to_address,
        to_name=mail.to_name,
        kind=mail.kind,
        subject=mail.subject,
        body=mail.body,
        created_at=mail.created_at,
        due_at=mail.due_at,
    )


async def claim_due(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[Mail]:
    """Mails to send now, each lent to one sender until `until`; runs as the system."""
    return await tx.all(
        Mail,
        """
        UPDATE mail_outbox
           SET due_at = %(until)s, attempts = attempts + 1
         WHERE id IN (SELECT id
                        FROM mail_outbox
                       WHERE sent_at IS NULL AND failed_at IS NULL AND due_at <= %(now)s
                       ORDER BY due_at
                       LIMIT %(limit)s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, tenant_id, user_id, to_address, to_name, kind, subject, body, created_at, due_at, attempts, sent_at,
                  failed_at, failure
        """,
        now=now,
        until=until,
        limit=limit,
    )


async def mark_sent(tx: Tx, mail_id: str, *, at: datetime) -> None:
    """Note that a mail was taken by the mail server, and forget its text; runs as the system."""
    await tx.exec(
        "UPDATE mail_outbox SET sent_at = %(at)s, body = NULL, failure = NULL WHERE id = %(id)s", at=at, id=mail_id
    )


async def mark_delayed(tx: Tx, mail_id: str, *, due_at: datetime, failure: str) -> None:
    """Note when to try again, and why the last time failed; runs as the system."""
    await tx.exec(
        "UPDATE mail_outbox SET due_at = %(due_at)s, failure = %(failure)s WHERE id = %(id)s",
        due_at=due_at,
        failure=failure,
        id=mail_id,
    )


async def mark_failed(tx: Tx, mail_id: str, *, at: datetime, failure: str) -> None:
    """Give a mail up, and forget its text; runs as the system."""
    await tx.exec(
        "UPDATE mail_outbox SET failed_at = %(at)s, failure = %(failure)s, body = NULL WHERE id = %(id)s",
        at=at,
        failure=failure,
        id=mail_id,
    )


async def page(tx: Tx, tenant_id: TenantId, wanted: MailFilter, *, limit: int, offset: int) -> list[Mail]:
    """A page of a tenant's mails, newest first."""
    return await tx.all(
        Mail,
        """
        SELECT id, tenant_id, user_id, to_address, to_name, kind, subject, body, created_at, due_at, attempts, sent_at, failed_at,
               failure
          FROM mail_outbox
         WHERE tenant_id = %(tenant_id)s
           AND (%(kind)s::text IS NULL OR kind = %(kind)s)
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(to_address || ' ' || subject)) > 0)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        kind=wanted.kind,
        search=wanted.search,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, wanted: MailFilter) -> int:
    """How many mails there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM mail_outbox
         WHERE tenant_id = %(tenant_id)s
           AND (%(kind)s::text IS NULL OR kind = %(kind)s)
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(to_address || ' ' || subject)) > 0)
        """,
        tenant_id=tenant_id,
        kind=wanted.kind,
        search=wanted.search,
    )


async def page_of_all(tx: Tx, wanted: MailFilter, *, limit: int, offset: int) -> list[Mail]:
    """A page of all tenants' mails, newest first; runs as the system."""
    return await tx.all(
        Mail,
        """
        SELECT id, tenant_id, user_id, to_address, to_name, kind, subject, body, created_at, due_at, attempts, sent_at, failed_at,
               failure
          FROM mail_outbox
         WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(to_address || ' ' || subject)) > 0)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        kind=wanted.kind,
        search=wanted.search,
        limit=limit,
        offset=offset,
    )


async def count_of_all(tx: Tx, wanted: MailFilter) -> int:
    """How many mails all tenants have; runs as the system."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM mail_outbox
         WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(to_address || ' ' || subject)) > 0)
        """,
        kind=wanted.kind,
        search=wanted.search,
    )


async def newest_at(tx: Tx, tenant_id: TenantId, user_id: UserId, kind: MailKind) -> datetime | None:
    """When a person's newest mail of a kind was written; None when there is none."""
    return await tx.maybe(
        datetime,
        """
        SELECT created_at
          FROM mail_outbox
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND kind = %(kind)s
         ORDER BY created_at DESC
         LIMIT 1
        """,
        tenant_id=tenant_id,
        user_id=user_id,
        kind=kind,
    )


async def delete_older(tx: Tx, *, before: datetime) -> int:
    """Delete mails made before a moment; how many."""
    return await tx.exec("DELETE FROM mail_outbox WHERE created_at < %(before)s", before=before)
