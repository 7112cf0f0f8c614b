"""Telegram's updates, posted with a secret that we gave it.

https://core.telegram.org/bots/api#update. Private chats alone: in groups an agent would answer everybody.
"""

import hmac
from typing import Any

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import Consent, MediaKind

from voisnap_providers.ports.messaging import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    ConsentChanged,
    Correspondent,
    InboundMessage,
    MessageMedia,
    MessagingEvent,
    MessagingWebhooks,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164

SECRET = "x-telegram-bot-api-secret-token"  # noqa: S105 - a name
MAX_BODY = 1024 * 1024
MAX_SECRET = 256
MAX_TEXT = 16_000
_DONE = AnswerDocument(body=b"", content_type="text/plain")


class _User(msgspec.Struct):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language_code: str = ""


class _Chat(msgspec.Struct):
    id: int
    type: str = ""


class _File(msgspec.Struct):
    file_id: str = ""
    mime_type: str = ""
    file_size: int | None = None
    duration: float | None = None
    file_name: str = ""


class _Contact(msgspec.Struct):
    phone_number: str = ""
    user_id: int | None = None


class _Replied(msgspec.Struct):
    message_id: int = 0


class _Message(msgspec.Struct):
    message_id: int
    chat: _Chat
    date: int = 0
    edit_date: int | None = None
    sender: _User | None = msgspec.field(name="from", default=None)
    text: str | None = None
    caption: str | None = None
    reply_to_message: _Replied | None = None
    voice: _File | None = None
    audio: _File | None = None
    photo: list[_File] = []
    video: _File | None = None
    video_note: _File | None = None
    animation: _File | None = None
    document: _File | None = None
    sticker: _File | None = None
    contact: _Contact | None = None
    location: Any = None
    venue: Any = None
    poll: Any = None
    dice: Any = None


class _Member(msgspec.Struct):
    status: str = ""


class _Membership(msgspec.Struct):
    chat: _Chat
    sender: _User = msgspec.field(name="from")
    new_chat_member: _Member
    date: int = 0


class _Update(msgspec.Struct):
    update_id: int
    message: _Message | None = None
    edited_message: _Message | None = None
    my_chat_member: _Membership | None = None


_UPDATES = msgspec.json.Decoder(_Update)
_FILES = (
    ("voice", MediaKind.VOICE),
    ("audio", MediaKind.AUDIO),
    ("video", MediaKind.VIDEO),
    ("video_note", MediaKind.VIDEO),
    ("animation", MediaKind.VIDEO),
    ("document", MediaKind.DOCUMENT),
    ("sticker", MediaKind.STICKER),
)
_FACTS = (
    ("location", MediaKind.LOCATION),
    ("venue", MediaKind.LOCATION),
    ("poll", MediaKind.OTHER),
    ("dice", MediaKind.OTHER),
)


class TelegramWebhooks(MessagingWebhooks):
    """Updates of one bot; `bot_id` is the number before the colon of its token. Messages are named by their chat and their number in it.

    An update does not say to whom it was written; the secret that we give Telegram does (`secret_for`)."""

    def __init__(self, *, secret_token: str, bot_id: str) -> None:
        if not secret_token:
            raise ValueError("an empty secret token proves nothing")
        self._secret = secret_token.encode()
        self._bot_id = bot_id

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        """None: Telegram asks for nothing beforehand."""
        del request
        return None

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """The secret signs no time and no body, so nothing is too old: repeats are told by their `update_id`."""
        del now
        if self._addressee(request) is None:
            raise BadSignature("no secret token, or another one")

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        if len(request.body) > MAX_BODY:
            raise BadWebhook(f"a body of {len(request.body)} bytes")
        try:
            update = _UPDATES.decode(request.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook("no update of Telegram") from None
        ours = self._addressee(request) or self._bot_id
        message = update.message or update.edited_message
        if message is not None:
            return _said(update, message, ours)
        if (member := update.my_chat_member) is not None and member.chat.type == "private":
            consent = {"kicked": Consent.STOP, "member": Consent.START}.get(member.new_chat_member.status)
            if consent is not None:
                return (
                    ConsentChanged(
                        network=Channel.TELEGRAM,
                        sender=_writer(member.chat, member.sender),
                        recipient=ours,
                        consent=consent,
                        at=float(member.date),
                        event_id=str(update.update_id),
                    ),
                )
        return ()

    def answer(self) -> AnswerDocument:
        return _DONE

    def _addressee(self, request: WebhookRequest) -> str | None:
        """Which bot the secret of a request names; None for a secret that is not ours."""
        given = request.headers.get(SECRET, "").encode(errors="replace")
        if hmac.compare_digest(given, self._secret):
            return self._bot_id
        proof, _, bot = given.rpartition(b"-")
        if hmac.compare_digest(proof, self._secret) and bot.isdigit() and len(bot) <= 20:
            return bot.decode()
        return None


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a secret, right or wrong."""
    return bool(request.headers.get(SECRET))


def secret_for(secret_token: str, bot_id: str) -> str:
    """What Telegram shall send with every update of a bot: the account's secret and whose it is. One that is too long for it is sent as it
    is, of the account's own bot alone."""
    named = f"{secret_token}-{bot_id}"
    return named if len(named) <= MAX_SECRET else secret_token


def _said(update: _Update, message: _Message, ours: str) -> tuple[MessagingEvent, ...]:
    writer = message.sender
    if message.chat.type != "private" or writer is None or writer.is_bot:
        return ()
    text, media = message.text or message.caption or "", _media(message)
    if not text and not media:
        return ()  # of the chat's own course: a pinned message, a new photograph
    replied = message.reply_to_message
    return (
        InboundMessage(
            network=Channel.TELEGRAM,
            message_id=message_id(message.chat.id, message.message_id),
            sender=_writer(message.chat, writer, message.contact),
            recipient=ours,
            text=text[:MAX_TEXT],
            event_id=str(update.update_id),
            at=float(message.edit_date or message.date),
            media=media,
            reply_to=message_id(message.chat.id, replied.message_id) if replied and replied.message_id else None,
            is_edit=update.message is None,
        ),
    )


def message_id(chat: int | str, number: int) -> str:
    """A message's name; its number alone is another one in every chat."""
    return f"{chat}:{number}"


def _media(message: _Message) -> tuple[MessageMedia, ...]:
    for name, kind in _FILES:
        file: _File | None = getattr(message, name)
        if file is not None:
            return (_file(file, kind),)
    if message.photo:
        return (_file(message.photo[-1], MediaKind.IMAGE),)  # the largest
    if message.contact is not None:
        return (MessageMedia(kind=MediaKind.CONTACT),)
    return tuple(MessageMedia(kind=kind) for name, kind in _FACTS if getattr(message, name) is not None)[:1]


def _file(file: _File, kind: MediaKind) -> MessageMedia:
    return MessageMedia(
        kind=kind,
        reference=file.file_id[:300],
        content_type=file.mime_type[:100],
        size=file.file_size,
        seconds=file.duration,
        name=file.file_name[:200],
    )


def _writer(chat: _Chat, user: _User, contact: _Contact | None = None) -> Correspondent:
    """Who wrote. The number is known of those who share their own contact."""
    shared = contact.phone_number if contact is not None and contact.user_id == user.id else None
    return Correspondent(
        address=str(chat.id),
        user_id=str(user.id),
        name=f"{user.first_name} {user.last_name}".strip()[:200] or None,
        handle=user.username[:100] or None,
        phone_number=e164(shared),
        language=user.language_code[:20] or None,
    )
