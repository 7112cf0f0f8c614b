"""E-mail without a network: a sender that remembers, and a mail server on loopback that really speaks SMTP."""

import asyncio
import email
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default
from pathlib import Path

from aiosmtpd import smtp
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.email import Email

UNKNOWN_PERSON = "nobody@refused.example"
"""No mailbox here, now or later."""

BUSY_PERSON = "later@busy.example"
"""A mailbox that takes mail later."""

USERNAME, PASSWORD = "voisnap", "a mail password"


class MemorySender:
    """A sender that keeps what it was given; it treats the two people above like the server below. Once `is_away`, nothing is taken."""

    def __init__(self) -> None:
        self.sent: list[Email] = []
        self.is_away = False

    async def send(self, email: Email) -> None:
        if self.is_away:
            raise ProviderError("the mail server can't be reached", provider="memory", kind="email", retryable=True)
        address = email.to.address
        if address in (UNKNOWN_PERSON, BUSY_PERSON) or "@" not in address:
            retryable = address == BUSY_PERSON
            raise ProviderError("the recipient was refused", provider="memory", kind="email", retryable=retryable)
        self.sent.append(email)


class Mailboxes:
    """What a mail server has taken."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.recipients: list[str] = []

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: smtp.SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address == UNKNOWN_PERSON:
            return "550 no such mailbox"
        if address == BUSY_PERSON:
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: smtp.SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self.messages.append(
            email.message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=default)
        )
        self.recipients += envelope.rcpt_tos
        return "250 taken"


class MailServer:
    """A running mail server: its port, what it has taken, and the file of its certificate's authority."""

    def __init__(self, port: int, mailboxes: Mailboxes, ca_file: Path | None) -> None:
        self.port = port
        self.mailboxes = mailboxes
        self.ca_file = ca_file


@asynccontextmanager
async def mail_server(folder: Path, encryption: str = "none") -> AsyncGenerator[MailServer]:
    """An SMTP server on a loopback port of its own; `encryption` is none, starttls (with a log-in, both demanded) or tls."""
    mailboxes = Mailboxes()
    context, ca_file = (None, None) if encryption == "none" else _certificate(folder)
    demands = {}
    if encryption == "starttls":
        demands = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": _authenticate,
        }
    server = await asyncio.get_running_loop().create_server(
        lambda: smtp.SMTP(mailboxes, hostname="mail.example", **demands),
        "127.0.0.1",
        0,
        ssl=context if encryption == "tls" else None,
    )
    try:
        yield MailServer(server.sockets[0].getsockname()[1], mailboxes, ca_file)
    finally:
        server.close()
        await server.wait_closed()


def _authenticate(
    _server: smtp.SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and data == LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=is_right)


def _certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, ca_file = folder / "mail.key", folder / "mail.crt"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file
