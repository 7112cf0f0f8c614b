"""The e-mail port over SMTP (RFC 5321): TLS from the first byte (RFC 8314) or STARTTLS (RFC 3207), and a log-in where one is given."""

import asyncio
import ssl
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import localtime, parseaddr
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import msgspec
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.email import Email

TIMEOUT_SECONDS = 20.0
"""For each step of a delivery; all of it may take three times as long."""

_PROVIDER = "smtp"
_KIND = "email"


class Encryption(StrEnum):
    """How the connection is protected. `NONE` is for a mail server on the same machine or network."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server and who we are to it. `ca_file` names authorities other than the system's."""

    host: str
    port: int
    encryption: Encryption
    sender: str
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    timeout: float = TIMEOUT_SECONDS

    def __repr__(self) -> str:
        return f"SmtpSettings({self.host}:{self.port}, {self.encryption})"


def smtp_from_url(url: str, *, sender: str) -> "SmtpSender":
    """A sender by address: `smtps://user:password@host:465`, `smtp://user:password@host:587` (STARTTLS is demanded), or
    `smtp://host:25?encryption=none` for a relay on the same network. `?caFile=` names a file of other authorities.

    `sender` is `Name <address>` or an address. Raises ValueError, whose text holds no password.
    """
    parts = urlsplit(url)
    try:
        default_port, encryption = {"smtps": (465, Encryption.TLS), "smtp": (587, Encryption.STARTTLS)}[parts.scheme]
    except KeyError:
        raise ValueError("SMTP_URL must begin with smtp:// or smtps://") from None
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := set(options) - {"encryption", "caFile"}:
        raise ValueError(f"SMTP_URL has the unknown option {min(unknown)}")
    if "encryption" in options:
        try:
            encryption = Encryption(options["encryption"])
        except ValueError:
            raise ValueError("SMTP_URL: encryption is tls, starttls or none") from None
    if not parts.hostname:
        raise ValueError("SMTP_URL names no host")
    if "@" not in parseaddr(sender)[1]:
        raise ValueError("MAIL_FROM must be an address, such as Voisnap <no-reply@example.com>")
    if parts.username and encryption is Encryption.NONE:
        raise ValueError("SMTP_URL: a password is not sent without encryption")
    return SmtpSender(
        SmtpSettings(
            host=parts.hostname,
            port=parts.port or default_port,
            encryption=encryption,
            sender=sender,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            ca_file=options.get("caFile"),
        )
    )


class SmtpSender:
    """Sends each mail over a connection of its own."""

    def __init__(self, settings: SmtpSettings) -> None:
        self.settings = settings
        self._context: ssl.SSLContext | None = None
        if settings.encryption is not Encryption.NONE:
            self._context = ssl.create_default_context(cafile=settings.ca_file)

    async def send(self, email: Email) -> None:
        """Return when the server has taken the mail. Raises ProviderError, ProviderTimeout."""
        settings = self.settings
        try:
            message = _message(email, sender=settings.sender)
        except ValueError as error:  # an address that no header can hold
            raise _failed(f"the mail can't be written: {type(error).__name__}", retryable=False) from None
        try:
            async with asyncio.timeout(3 * settings.timeout):
                await aiosmtplib.send(
                    message,
                    hostname=settings.host,
                    port=settings.port,
                    username=settings.username,
                    password=settings.password,
                    use_tls=settings.encryption is Encryption.TLS,
                    start_tls=settings.encryption is Encryption.STARTTLS,
                    tls_context=self._context,
                    timeout=settings.timeout,
                )
        except (TimeoutError, SMTPTimeoutError):
            raise ProviderTimeout("the mail server did not answer in time", provider=_PROVIDER, kind=_KIND) from None
        except SMTPAuthenticationError as error:
            # Somebody has to correct the password; meanwhile the mails wait.
            raise _failed(f"the mail server refused our log-in ({error.code})", retryable=True) from None
        except SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            raise _failed(
                f"the mail server refused the recipient ({codes[0]})", retryable=all(code < 500 for code in codes)
            ) from None
        except SMTPNotSupported:
            raise _failed("the mail server offers no STARTTLS or no log-in", retryable=True) from None
        except SMTPResponseException as error:
            raise _failed(f"the mail server answered {error.code}", retryable=error.code < 500) from None
        except (SMTPException, OSError, ValueError) as error:
            raise _failed(f"the mail server can't be reached ({type(error).__name__})", retryable=True) from None


def _message(email: Email, *, sender: str) -> EmailMessage:
    name, address = parseaddr(sender)
    message = EmailMessage()
    message["From"] = HeaderAddress(display_name=name, addr_spec=address)
    message["To"] = HeaderAddress(display_name=email.to.name, addr_spec=email.to.address)
    message["Subject"] = email.subject
    message["Date"] = localtime()
    message["Message-ID"] = f"<{email.message_id}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers
    message.set_content(email.text)
    return message


def _failed(detail: str, *, retryable: bool) -> ProviderError:
    return ProviderError(detail, provider=_PROVIDER, kind=_KIND, retryable=retryable)
