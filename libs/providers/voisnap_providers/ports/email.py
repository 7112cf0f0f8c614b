"""E-mail: one message to one person."""

from typing import Protocol

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a mail is for; `name` may be empty."""

    address: str
    name: str = ""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """A plain-text mail. `message_id` is the same each time it is sent again, so that readers see it once (RFC 5322 §3.6.4)."""

    to: Address
    subject: str
    text: str
    message_id: str


class EmailSender(Protocol):
    """Hands mails to a mail server."""

    async def send(self, email: Email) -> None:
        """Return when the server has taken the mail. Raises ProviderError: retryable unless the server refuses this mail for good.

        The error's detail holds no part of the text.
        """
        ...
