"""Writing mails into the outbox, sending them, and reading them where no mail server is set up."""

from datetime import timedelta

from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Clock, Work
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.email import Address, Email, EmailSender

from voisnap_api.users.records import User

from . import store
from .records import Mail, MailFilter, MailKind, MailStatus
from .texts import Text

_log = log.get(__name__)

LEASE = timedelta(minutes=2)
"""How long one sender has a mail to itself; longer than the mail server may take."""

MOST_ATTEMPTS = 8
_FIRST_PAUSE = timedelta(seconds=10)
_BATCH = 20
KEPT_FOR = timedelta(days=7)


async def post_mail(work: Work, user: User, text: Text) -> None:
    """Have a mail sent to a person once this work is committed."""
    await store.insert(
        work.tx,
        Mail(
            id=work.new_id("mail"),
            tenant_id=user.tenant_id,
            user_id=user.id,
            to_address=user.email,
            to_name=f"{user.first_name} {user.last_name}".strip(),
            kind=text.kind,
            subject=text.subject,
            body=text.body,
            created_at=work.now,
            due_at=work.now,
        ),
    )


async def was_posted_within(work: Work, user: User, kind: MailKind, age: timedelta) -> bool:
    """Whether a person was written to about this lately, so that nobody's mailbox is flooded."""
    newest = await store.newest_at(work.tx, user.tenant_id, user.id, kind)
    return newest is not None and newest > work.now - age


async def send_due(database: Database, sender: EmailSender, clock: Clock) -> int:
    """Send what is due; how many mails the mail server took. A mail may leave twice when a sender dies in between, never not at all."""
    now = clock()
    async with database.transaction_as_system() as tx:
        claimed = await store.claim_due(tx, now=now, until=now + LEASE, limit=_BATCH)
    sent = 0
    for mail in claimed:
        sent += await _send(database, sender, mail, clock)
    return sent


async def list_mails(work: Work, wanted: MailFilter, *, limit: int, offset: int) -> tuple[list[Mail], int]:
    """A page of the tenant's mails, newest first, and how many there are."""
    tenant_id = work.caller.tenant_id
    found = await store.page(work.tx, tenant_id, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, tenant_id, wanted)


async def list_all_mails(work: Work, wanted: MailFilter, *, limit: int, offset: int) -> tuple[list[Mail], int]:
    """The same over all tenants, for operators of the platform; the work runs as the system. Raises Forbidden."""
    work.caller.require_platform_admin()
    work.caller.require("admin:read")
    found = await store.page_of_all(work.tx, wanted, limit=limit, offset=offset)
    return found, await store.count_of_all(work.tx, wanted)


async def forget_old_mails(work: Work) -> int:
    """Delete mails after a week; how many."""
    return await store.delete_older(work.tx, before=work.now - KEPT_FOR)


def status_of(mail: Mail, *, is_sending: bool) -> MailStatus:
    """Where a mail is; `is_sending` when a mail server is set up."""
    if mail.sent_at is not None:
        return MailStatus.SENT
    if mail.failed_at is not None:
        return MailStatus.FAILED
    return MailStatus.WAITING if is_sending else MailStatus.KEPT


async def _send(database: Database, sender: EmailSender, mail: Mail, clock: Clock) -> int:
    email = Email(
        to=Address(address=mail.to_address, name=mail.to_name),
        subject=mail.subject,
        text=mail.body or "",
        message_id=mail.id,
    )
    try:
        await sender.send(email)
    except ProviderError as error:
        await _put_off(database, mail, error, clock)
        return 0
    async with database.transaction_as_system() as tx:
        await store.mark_sent(tx, mail.id, at=clock())
    _log.info("mail.sent", mail_id=mail.id, kind=mail.kind.value, attempts=mail.attempts)
    return 1


async def _put_off(database: Database, mail: Mail, error: ProviderError, clock: Clock) -> None:
    """Try again later, with growing pauses; give up what the server refuses for good."""
    is_over = not error.retryable or mail.attempts >= MOST_ATTEMPTS
    now = clock()
    async with database.transaction_as_system() as tx:
        if is_over:
            await store.mark_failed(tx, mail.id, at=now, failure=error.detail)
        else:
            pause = _FIRST_PAUSE * 3 ** (mail.attempts - 1)
            await store.mark_delayed(tx, mail.id, due_at=now + pause, failure=error.detail)
    _log.warning(
        "mail.send_failed",
        mail_id=mail.id,
        kind=mail.kind.value,
        attempts=mail.attempts,
        given_up=is_over,
        error=error.detail,
    )
