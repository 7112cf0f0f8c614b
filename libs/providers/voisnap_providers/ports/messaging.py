"""Messaging networks: one contract for what somebody writes to us, what becomes of what we write, and how it is sent.

Two faces as a carrier's: `MessagingWebhooks` reads and checks what a network posts (pure: no I/O, no clock), `MessageSender` asks its API.
A third, `WebhookRegistrar`, where the network itself keeps the address of our webhook.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import (
    Consent,
    LengthUnit,
    MediaKind,
    MessageFailure,
    MessageState,
    TextLimit,
)

from .carrier import AnswerDocument, BadSignature, BadWebhook, WebhookRequest

__all__ = [
    "AnswerDocument",
    "BadSignature",
    "BadWebhook",
    "Consent",
    "ConsentChanged",
    "Correspondent",
    "CorrespondentMoved",
    "FetchedMedia",
    "InboundMessage",
    "MediaKind",
    "MessageFailure",
    "MessageMedia",
    "MessageProgress",
    "MessageSender",
    "MessageSent",
    "MessageState",
    "MessagingCapabilities",
    "MessagingEvent",
    "MessagingWebhooks",
    "OutgoingMedia",
    "OutgoingMessage",
    "OwnAddress",
    "Price",
    "Template",
    "WebhookRegistrar",
    "WebhookRegistration",
    "WebhookRequest",
]

# What is posted to us ---------------------------------------------------------------------------------------------


class Correspondent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on the other side. `address` is where an answer goes: a number in E.164 with `+` (SMS, WhatsApp) or a chat's id (Telegram);
    empty where WhatsApp tells no number, then `user_id` is where it goes. `user_id` is the network's own: a business-scoped user id
    (`CC.…`, WhatsApp) or a user's (Telegram). `phone_number` is known where the address is one, or somebody shared it."""

    address: str
    user_id: str | None = None
    name: str | None = None
    handle: str | None = None
    phone_number: str | None = None
    country: str | None = None
    language: str | None = None


class MessageMedia(msgspec.Struct, frozen=True, kw_only=True):
    """What came with a message. `reference` is what `MessageSender.fetch` wants, never an address to be asked without it; empty for what
    has no content (a location, a contact). `size` in bytes, as far as told."""

    kind: MediaKind
    reference: str = ""
    content_type: str = ""
    size: int | None = None
    seconds: float | None = None
    name: str = ""


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wrote to one of our addresses (`recipient`: a number in E.164, WhatsApp's phone number id, Telegram's id of the bot).

    The same `message_id` may come again: networks repeat themselves, then with the same `event_id`, and an edit has the id of what it
    changes (`is_edit`). `text` may be empty beside media. `consent` is what the network itself read in it; with `is_answered` it has told
    the sender already. `at` is Unix time in seconds, `segments` and `price` what receiving it costs: each where it is told.
    """

    network: Channel
    message_id: str
    sender: Correspondent
    recipient: str
    text: str
    event_id: str
    at: float | None = None
    media: tuple[MessageMedia, ...] = ()
    reply_to: str | None = None
    is_edit: bool = False
    consent: Consent | None = None
    is_answered: bool = False
    segments: int | None = None
    price: "Price | None" = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a network charges for a message; positive. `currency` in ISO 4217."""

    amount: Decimal
    currency: str


class MessageProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message of ours. It may come twice (`event_id` repeats) and out of order (`voisnap_domain.texting.is_later`).
    `reference` is the `OutgoingMessage.id` where the network hands it back. `detail` is its own word for a failure, without the text and
    without the address. `tariff` is the class that the network prices it by (`[a-z_]`), `free` where it charges nothing."""

    network: Channel
    message_id: str
    state: MessageState
    event_id: str
    reference: str | None = None
    failure: MessageFailure | None = None
    code: str = ""
    detail: str = ""
    segments: int | None = None
    price: Price | None = None
    tariff: str | None = None
    at: float | None = None


class ConsentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody blocked us, or lets us write again, without writing a word."""

    network: Channel
    sender: Correspondent
    recipient: str
    consent: Consent
    at: float
    event_id: str


class CorrespondentMoved(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has another number now, or another id: what was known of `before` is true of `after`."""

    network: Channel
    before: Correspondent
    after: Correspondent
    recipient: str
    at: float
    event_id: str


MessagingEvent = InboundMessage | MessageProgress | ConsentChanged | CorrespondentMoved


class MessagingWebhooks(Protocol):
    """What a network posts of one account. Raises nothing but BadSignature and BadWebhook, whatever is posted."""

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        """The answer to a network that asks whether the address is ours (WhatsApp: with the challenge, or 403); None for everything else,
        which is then verified and read."""
        ...

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """Raises BadSignature unless the network made it. `now` is Unix time in seconds."""
        ...

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        """All that a verified request says, in its order; nothing for what does not matter here. Raises BadWebhook."""
        ...

    def answer(self) -> AnswerDocument:
        """What a request is answered with when it has been taken down; the network repeats it without."""
        ...


# What we send -----------------------------------------------------------------------------------------------------


class MessagingCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a network can do. `text` is the longest text of one message (`voisnap_domain.texting.pieces` cuts for it). A free text may be
    sent within `window_seconds` of the other side's last message, later only a template; None for no such window. `is_repeatable`: a send
    with the same `OutgoingMessage.id` is done once, so that an uncertain one may be repeated. `typing_seconds` is how long one
    `typing` shows; 0 where there is none. `per_chat_seconds` is what should lie between two messages to one address."""

    text: TextLimit
    window_seconds: float | None = None
    typing_seconds: float = 0.0
    per_chat_seconds: float = 0.0
    reads: bool = False
    """Tells when a message was read, and can tell that we read one."""
    progress: bool = True
    """Tells what became of a message after it was sent."""
    edits: bool = False
    templates: bool = False
    replies: bool = False
    is_repeatable: bool = False
    media: frozenset[MediaKind] = frozenset()
    """Kinds that may be sent."""
    inbound_media: frozenset[MediaKind] = frozenset()
    max_fetch_bytes: int = 16_000_000


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A text that the network has approved beforehand, and its values in order."""

    name: str
    language: str
    values: tuple[str, ...] = ()


class OutgoingMedia(msgspec.Struct, frozen=True, kw_only=True):
    """Something to send with a message, which the network fetches from a public `https` address."""

    kind: MediaKind
    url: str
    name: str = ""


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `id` is ours: the same one is the same message (at most 64 of `[A-Za-z0-9_-]`). It goes from our address `sender` to
    `to`, or to `user_id` where no address is known. A text, a template or media; a text beside one media is its caption. What becomes of
    it is posted to `status_url` where the network takes one a message."""

    id: str
    sender: str
    to: str
    user_id: str | None = None
    text: str = ""
    reply_to: str | None = None
    template: Template | None = None
    media: OutgoingMedia | None = None
    status_url: str | None = None


class MessageSent(msgspec.Struct, frozen=True, kw_only=True):
    """The network has it, under its own id."""

    message_id: str
    state: MessageState = MessageState.QUEUED
    segments: int | None = None
    price: Price | None = None


class FetchedMedia(msgspec.Struct, frozen=True, kw_only=True):
    """The content of what came with a message."""

    content: bytes
    content_type: str


class MessageSender(Protocol):
    """What a network is asked, for one account. Raises ProviderError of the kind `messaging`: `MessageRefused` says why it will never be
    sent as it is, `MessageUncertain` that nobody knows whether it is, a retryable one that it is not and may be in a moment
    (`retry_after`)."""

    capabilities: MessagingCapabilities

    async def send(self, message: OutgoingMessage) -> MessageSent:
        """Sends it once. Raises MessageUncertain where the network may have it: nobody repeats that unless `is_repeatable`."""
        ...

    async def typing(self, message: InboundMessage) -> None:
        """Shows the writer of a message that an answer is being written, and on WhatsApp that it was read; nothing where that can't be."""
        ...

    async def mark_read(self, message: InboundMessage) -> None:
        """Tells the writer that it was read; nothing where that can't be told."""
        ...

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """The content of something received: at most `max_fetch_bytes`, from the network's own hosts only, in bounded time. Raises
        MessageRefused for what has no content, is too large or is not there any more."""
        ...

    async def aclose(self) -> None: ...


class OwnAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are on a network: `address` is what `InboundMessage.recipient` names, `handle` what people look for (`@name`, a number)."""

    address: str
    name: str = ""
    handle: str = ""


class WebhookRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """What the network keeps: where it posts (`url`, empty for nowhere), what waits there, and what went wrong last."""

    url: str
    pending: int = 0
    last_error: str = ""
    last_error_at: float | None = None
    facts: Mapping[str, str] = msgspec.field(default_factory=dict)


class WebhookRegistrar(Protocol):
    """Where messages of an account are posted, at networks that keep one address an account (WhatsApp, Telegram). A carrier's numbers have
    theirs each (`ports/numbers.py`). `address` is which of ours is meant, where it is not the account's own: one key may open several, as it
    does in the sandbox."""

    async def own_address(self) -> OwnAddress:
        """Who the account is. Raises ProviderAuthError for a key that does not work: the check of new credentials."""
        ...

    async def register(self, url: str, *, address: str = "") -> WebhookRegistration:
        """Lets everything be posted to `url` from now on, and tells what the network kept. Asking again changes nothing."""
        ...

    async def registered(self, *, address: str = "") -> WebhookRegistration: ...

    async def unregister(self, *, address: str = "") -> None:
        """Lets nothing be posted any more."""
        ...


MOST_ID = 64
"""Characters of an `OutgoingMessage.id`."""

SMS_LIMIT = TextLimit(most=10, unit=LengthUnit.SEGMENTS)
"""What every carrier takes as one short message."""
