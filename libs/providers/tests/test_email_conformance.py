"""What every sender of e-mail must do, in memory and over SMTP in each of its encryptions; and what only SMTP can get wrong."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.email import Address, Email, EmailSender
from voisnap_providers.vendors.smtp import SmtpSender, smtp_from_url
from voisnap_testkit.fakes_email import (
    BUSY_PERSON,
    PASSWORD,
    UNKNOWN_PERSON,
    USERNAME,
    MailServer,
    MemorySender,
    mail_server,
)

pytestmark = pytest.mark.conformance

FROM = "Voisnap Télé <no-reply@voisnap.example>"
SECRET = "a-secret-in-a-link"


def url_of(server: MailServer, encryption: str) -> str:
    match encryption:
        case "starttls":
            login = f"{USERNAME}:{quote(PASSWORD)}@"
            return f"smtp://{login}127.0.0.1:{server.port}?caFile={quote(str(server.ca_file))}"
        case "tls":
            return f"smtps://127.0.0.1:{server.port}?caFile={quote(str(server.ca_file))}"
        case _:
            return f"smtp://127.0.0.1:{server.port}?encryption=none"


class Sending:
    """A sender, and the addresses that were reached with it."""

    def __init__(self, sender: EmailSender, server: MailServer | None = None) -> None:
        self.sender = sender
        self.server = server

    @property
    def reached(self) -> list[str]:
        if isinstance(self.sender, MemorySender):
            return [email.to.address for email in self.sender.sent]
        assert self.server is not None
        return self.server.mailboxes.recipients


@pytest.fixture(params=["memory", "none", "starttls", "tls"])
async def sending(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sending]:
    if request.param == "memory":
        yield Sending(MemorySender())
        return
    async with mail_server(tmp_path, request.param) as server:
        yield Sending(smtp_from_url(url_of(server, request.param), sender=FROM), server)


def mail(address: str = "ada@example.com", **changes: str) -> Email:
    values = {"subject": "Grüße", "text": f"Hello,\n\nhttps://x.example/#reset={SECRET}\n", "message_id": "mail_1"}
    return Email(to=Address(address=address, name="Ada, Countess"), **(values | changes))


async def test_a_mail_arrives(sending: Sending) -> None:
    await sending.sender.send(mail())
    assert sending.reached == ["ada@example.com"]


async def test_a_person_nobody_knows_is_refused_for_good(sending: Sending) -> None:
    with pytest.raises(ProviderError) as failed:
        await sending.sender.send(mail(UNKNOWN_PERSON))
    assert (failed.value.retryable, failed.value.kind) == (False, "email")
    assert sending.reached == []


async def test_a_full_mailbox_is_worth_another_try(sending: Sending) -> None:
    with pytest.raises(ProviderError) as failed:
        await sending.sender.send(mail(BUSY_PERSON))
    assert failed.value.retryable


async def test_an_address_no_mail_can_carry_is_refused_for_good(sending: Sending) -> None:
    with pytest.raises(ProviderError) as failed:
        await sending.sender.send(mail("no address at all"))
    assert not failed.value.retryable
    assert SECRET not in str(failed.value)


def impatient(sender: SmtpSender) -> SmtpSender:
    """The same sender, which waits a moment only."""
    return SmtpSender(msgspec.structs.replace(sender.settings, timeout=0.3))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailServer]:
    async with mail_server(tmp_path) as server:
        yield server


async def test_the_message_is_what_was_written(server: MailServer) -> None:
    sender = smtp_from_url(url_of(server, "none"), sender=FROM)
    await sender.send(mail())
    [message] = server.mailboxes.messages
    assert (message["Subject"], message["From"]) == ("Grüße", FROM)
    assert message["To"] == '"Ada, Countess" <ada@example.com>'
    assert message["Message-ID"] == "<mail_1@voisnap.example>"
    assert (message["Auto-Submitted"], message["Date"] is not None) == ("auto-generated", True)
    assert f"#reset={SECRET}" in message.get_content()


async def test_no_header_can_be_smuggled_in(server: MailServer) -> None:
    sender = smtp_from_url(url_of(server, "none"), sender=FROM)
    with pytest.raises(ProviderError) as failed:
        await sender.send(mail(subject="Hi\nBcc: everybody@example.com"))
    assert not failed.value.retryable
    assert server.mailboxes.messages == []


async def test_a_server_without_starttls_gets_nothing(server: MailServer) -> None:
    sender = smtp_from_url(f"smtp://127.0.0.1:{server.port}", sender=FROM)
    with pytest.raises(ProviderError):
        await sender.send(mail())
    assert server.mailboxes.messages == []


@pytest.mark.parametrize("login", [f"{USERNAME}:wrong@", ""])
async def test_a_wrong_or_missing_log_in_waits_for_somebody_to_correct_it(tmp_path: Path, login: str) -> None:
    async with mail_server(tmp_path, "starttls") as server:
        ca_file = quote(str(server.ca_file))
        sender = impatient(smtp_from_url(f"smtp://{login}127.0.0.1:{server.port}?caFile={ca_file}", sender=FROM))
        with pytest.raises(ProviderError) as failed:
            await sender.send(mail())
    assert failed.value.retryable is (login != "")
    assert "wrong" not in str(failed.value)


async def test_a_certificate_of_nobody_we_trust_ends_the_connection(tmp_path: Path) -> None:
    async with mail_server(tmp_path, "tls") as server:
        sender = smtp_from_url(f"smtps://127.0.0.1:{server.port}", sender=FROM)
        with pytest.raises(ProviderError) as failed:
            await sender.send(mail())
    assert failed.value.retryable
    assert server.mailboxes.messages == []


async def test_a_server_that_says_nothing_or_is_gone_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        quick = impatient(smtp_from_url(f"smtp://127.0.0.1:{silent.getsockname()[1]}?encryption=none", sender=FROM))
        with pytest.raises(ProviderTimeout):
            await quick.send(mail())
    with pytest.raises(ProviderError) as failed:
        await quick.send(mail())
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("url", "sender", "part"),
    [
        ("http://mail.example", FROM, "smtp://"),
        ("smtp://", FROM, "no host"),
        ("smtp://user:hidden@mail.example?encryption=none", FROM, "without encryption"),
        ("smtp://mail.example?encryption=rot13", FROM, "tls, starttls or none"),
        ("smtp://mail.example?timeout=3", FROM, "timeout"),
        ("smtp://mail.example", "nobody", "MAIL_FROM"),
    ],
)
def test_wrong_settings_are_named_without_their_secrets(url: str, sender: str, part: str) -> None:
    with pytest.raises(ValueError, match=part) as fault:
        smtp_from_url(url, sender=sender)
    assert "hidden" not in str(fault.value)


def test_ports_follow_the_scheme() -> None:
    for url, port in (("smtps://mail.example", 465), ("smtp://mail.example", 587), ("smtp://mail.example:25", 25)):
        assert smtp_from_url(url, sender=FROM).settings.port == port
    assert "secret" not in repr(smtp_from_url("smtps://u:secret@mail.example", sender=FROM).settings)
