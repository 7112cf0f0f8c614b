"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import TenantId, UserId


class MailKind(StrEnum):
    """What a mail is about."""

    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the kind of a mail
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the kind of a mail
    ACCOUNT_LOCKED = "account_locked"
    REGISTRATION = "registration"
    ALREADY_REGISTERED = "already_registered"
    MFA_CHANGED = "mfa_changed"


class MailStatus(StrEnum):
    """`kept`: no mail server is set up, and the mail can be read here."""

    KEPT = "kept"
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail. `body` is gone once it was sent or given up, because it may hold a link that opens an account."""

    id: str
    tenant_id: TenantId
    user_id: UserId | None
    to_address: str
    to_name: str
    kind: MailKind
    subject: str
    body: str | None
    created_at: datetime
    due_at: datetime
    attempts: int = 0
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None


class MailFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which mails; None means all."""

    kind: MailKind | None = None
    search: str | None = None
