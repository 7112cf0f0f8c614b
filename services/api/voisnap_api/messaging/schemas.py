"""Messages on the wire."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from voisnap_domain.messaging import MAX_TEXT
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.texting import MediaKind
from voisnap_providers.ports.messaging import MessageMedia, Template

from voisnap_api.wire import Body, View, instant

from .records import KeptMedia, ListedMessage, MediaState, Source, State

Link = Callable[[str], tuple[str, datetime]]
"""A link to what lies under a key, and when it ends."""

Id = Annotated[str, Meta(min_length=1, max_length=100)]


class MessagingChannel(StrEnum):
    """Channels that go over messaging networks."""

    SMS = "sms"
    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"


class MessageTemplateBody(Body, frozen=True, kw_only=True):
    """A template that WhatsApp has approved, and its values in order."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Annotated[str, Meta(min_length=2, max_length=15)]
    values: Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=20)] = ()

    @property
    def record(self) -> Template:
        return Template(name=self.name, language=self.language, values=self.values)


class MessageBody(Body, frozen=True, kw_only=True):
    """A message that an agent sends on its own: to a number in E.164 (Telegram: a chat's id) or to a contact, a text or a template. What the
    person answers goes to the agent."""

    channel: MessagingChannel
    agent_id: Id
    to: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    contact_id: Id | None = None
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)] | None = None
    template: MessageTemplateBody | None = None


class MediaStatus(StrEnum):
    """Whether what came with a message can be had here."""

    WAITING = "waiting"
    KEPT = "kept"
    REFUSED = "refused"
    NOT_KEPT = "not_kept"


class MessageMediaView(View, frozen=True, kw_only=True):
    """What came with a message. It is kept with its conversation as a recording is: `status` is `waiting` until it is fetched from the network,
    then `kept`, with a link that is good for an hour, or `refused` with the reason in `failure`. `not_kept`: the agent keeps no recordings,
    nothing was answered, it has no content, or its retention is over."""

    kind: MediaKind
    content_type: str | None
    size_bytes: int | None
    seconds: float | None
    status: MediaStatus
    url: str | None
    url_expires_at: str | None
    failure: str | None

    @classmethod
    def of(cls, media: MessageMedia, kept: KeptMedia | None, link: Link) -> "MessageMediaView":
        url, expires_at = link(kept.key) if kept is not None and kept.state is MediaState.KEPT else (None, None)
        return cls(
            kind=media.kind,
            content_type=(kept.content_type if kept else None) or media.content_type or None,
            size_bytes=(kept.size_bytes if kept else None) or media.size,
            seconds=media.seconds,
            status=MediaStatus.NOT_KEPT if kept is None else MediaStatus(kept.state.value),
            url=url,
            url_expires_at=instant(expires_at) if expires_at else None,
            failure=kept.failure if kept else None,
        )


class MessageTemplateView(View, frozen=True, kw_only=True):
    """A template that was sent."""

    name: str
    language: str
    values: tuple[str, ...]


class MessagePriceView(View, frozen=True, kw_only=True):
    """What the network says it charges."""

    amount: Decimal
    currency: str


class SentMessageView(View, frozen=True, kw_only=True):
    """A message. Of what came in `status` is `received`, `answered`, `ignored` or `failed`; of what goes out `queued`, `held` (until the person
    writes again), `sending`, `unconfirmed` (nobody knows), `sent`, `delivered`, `read`, `failed` or `undeliverable`. `failure` says why."""

    id: str
    thread_id: str
    contact_id: str
    agent_id: str
    conversation_id: str | None
    channel: Channel
    provider: str
    direction: Direction
    our_address: str
    their_address: str
    source: Source
    text: str
    transcript: str | None
    media: tuple[MessageMediaView, ...]
    template: MessageTemplateView | None
    is_edit: bool
    status: State
    failure: str | None
    failure_code: str | None
    failure_detail: str | None
    segments: int | None
    price: MessagePriceView | None
    created_at: str
    sent_at: str | None
    delivered_at: str | None
    read_at: str | None

    @classmethod
    def of(cls, message: ListedMessage, kept: Sequence[KeptMedia], link: Link) -> "SentMessageView":
        """`kept` is what is kept of any messages; `link` makes links to it."""
        template, price = message.template, message.price
        of_this = {one.place: one for one in kept if one.message_id == message.id}
        return cls(
            id=message.id,
            thread_id=message.thread_id,
            contact_id=message.contact_id,
            agent_id=message.agent_id,
            conversation_id=message.conversation_id,
            channel=message.channel,
            provider=message.provider,
            direction=message.direction,
            our_address=message.our_address,
            their_address=message.their_address or message.their_user_id or "",
            source=message.source,
            text=message.text,
            transcript=message.transcript,
            media=tuple(MessageMediaView.of(one, of_this.get(place), link) for place, one in enumerate(message.media)),
            template=None
            if template is None
            else MessageTemplateView(name=template.name, language=template.language, values=template.values),
            is_edit=message.is_edit,
            status=message.state,
            failure=message.failure,
            failure_code=message.code or None,
            failure_detail=message.detail or None,
            segments=message.segments,
            price=None if price is None else MessagePriceView(amount=price.amount, currency=price.currency),
            created_at=instant(message.created_at),
            sent_at=instant(message.sent_at) if message.sent_at else None,
            delivered_at=instant(message.delivered_at) if message.delivered_at else None,
            read_at=instant(message.read_at) if message.read_at else None,
        )


class SentView(View, frozen=True, kw_only=True):
    """What was put into the outbox: a long text in as many messages as its network needs."""

    messages: tuple[SentMessageView, ...]
