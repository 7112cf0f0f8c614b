"""Mails on the wire."""

from voisnap_api.wire import View, instant

from .records import Mail, MailKind, MailStatus
from .usecases import status_of


class MailView(View, frozen=True, kw_only=True):
    """A mail. `text` is there only while no mail server is set up, and only for who may manage the person it is for."""

    id: str
    tenant_id: str
    to: str
    to_name: str
    kind: MailKind
    subject: str
    text: str | None
    status: MailStatus
    attempts: int
    failure: str | None
    created_at: str
    sent_at: str | None

    @classmethod
    def of(cls, mail: Mail, *, is_sending: bool, is_readable: bool) -> "MailView":
        return cls(
            id=mail.id,
            tenant_id=mail.tenant_id,
            to=mail.to_address,
            to_name=mail.to_name,
            kind=mail.kind,
            subject=mail.subject,
            text=mail.body if is_readable and not is_sending else None,
            status=status_of(mail, is_sending=is_sending),
            attempts=mail.attempts,
            failure=mail.failure,
            created_at=instant(mail.created_at),
            sent_at=instant(mail.sent_at) if mail.sent_at else None,
        )
