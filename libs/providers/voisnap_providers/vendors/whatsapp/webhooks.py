"""WhatsApp's webhooks: a handshake by GET, then JSON signed over its raw bytes.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

import hmac
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import MediaKind, MessageFailure, MessageState

from voisnap_providers.ports.messaging import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    Correspondent,
    CorrespondentMoved,
    InboundMessage,
    MessageMedia,
    MessageProgress,
    MessagingEvent,
    MessagingWebhooks,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164

from . import wire
from .codes import failure_of

SIGNATURE = "x-hub-signature-256"
MAX_BODY = 3 * 1024 * 1024
"""Meta's own bound of a batch."""
MAX_TEXT = 16_000
MAX_EVENTS = 1000
"""Events of one request: a batch of Meta's has fewer."""
_ID = re.compile(r"[A-Za-z0-9._=+/:-]{1,256}", re.ASCII)
_OURS = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_USER = re.compile(r"([A-Z]{2})\.[A-Za-z0-9.]{1,128}", re.ASCII)
_STATES = {
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "played": MessageState.READ,
    "failed": MessageState.FAILED,
}
_MEDIA = {
    "audio": MediaKind.AUDIO,
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "document": MediaKind.DOCUMENT,
    "sticker": MediaKind.STICKER,
}
_WORDLESS = {
    "location": MediaKind.LOCATION,
    "contacts": MediaKind.CONTACT,
    "reaction": MediaKind.REACTION,
    "order": MediaKind.OTHER,
    "unsupported": MediaKind.OTHER,
}
_MOVED = frozenset({"user_changed_number", "customer_changed_number", "user_changed_user_id"})
_CATEGORY = re.compile(r"[a-z_]{1,40}", re.ASCII)
FREE = "free"
_DONE = AnswerDocument(body=b"", content_type="text/plain")
_REFUSED = AnswerDocument(body=b"", content_type="text/plain", status=403)


class WhatsAppWebhooks(MessagingWebhooks):
    """Webhooks of one app, whose secret signs them; `verify_token` is what Meta repeats when it asks whether the address is ours. An app may
    have several numbers: each message says to which it was written."""

    def __init__(self, *, app_secret: str, verify_token: str) -> None:
        if not app_secret or not verify_token:
            raise ValueError("an empty secret signs nothing")
        self._secret = app_secret.encode()
        self._verify_token = verify_token.encode()

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        if request.method.upper() != "GET":
            return None
        try:
            asked = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True, max_num_fields=50))
        except ValueError:
            return _REFUSED
        token, challenge = asked.get("hub.verify_token", ""), asked.get("hub.challenge", "")
        is_ours = hmac.compare_digest(token.encode(errors="replace"), self._verify_token)
        # A challenge with markup in it would let somebody who knows the token write on our pages.
        if not is_ours or asked.get("hub.mode") != "subscribe" or not _ID.fullmatch(challenge):
            return _REFUSED
        return AnswerDocument(body=challenge.encode(), content_type="text/plain")

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """The scheme knows no time, so nothing is too old: repeats are told by the ids of what they say."""
        del now
        if len(request.body) > MAX_BODY:
            raise BadSignature(f"a body of more than {MAX_BODY} bytes")
        scheme, _, given = request.headers.get(SIGNATURE, "").partition("=")
        if scheme != "sha256" or not given:
            raise BadSignature("not signed")
        expected = hmac.digest(self._secret, request.body, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), given.lower().encode(errors="replace")):
            raise BadSignature("the signature is not the one of this request")

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        """Everything of a batch. One message that can't be read leaves the others what they are."""
        try:
            envelope = wire.ENVELOPES.decode(request.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook("no envelope of the Graph API") from None
        if envelope.object != "whatsapp_business_account":
            raise BadWebhook("of another product of Meta's")
        found: list[MessagingEvent] = []
        for change in (change for entry in envelope.entry for change in entry.changes):
            if change.field == "messages":
                found.extend(self._told(change.value))
        return tuple(found[:MAX_EVENTS])

    def answer(self) -> AnswerDocument:
        return _DONE

    def _told(self, raw: msgspec.Raw) -> Iterator[MessagingEvent]:
        try:
            value = wire.VALUES.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook("a change of messages that is none") from None
        ours = value.metadata.phone_number_id
        if not ours:
            return
        for at, message in enumerate(value.messages):
            if message.group_id is None and _ID.fullmatch(message.id):
                yield from _said(message, _writer(value, message, at), ours)
        for status in value.statuses:
            yield from _progress(status)


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a signature, or the token of Meta's handshake, right or wrong."""
    return bool(request.headers.get(SIGNATURE)) or (request.method.upper() == "GET" and "verify_token" in request.url)


def _said(message: wire.Message, writer: Correspondent | None, ours: str) -> Iterator[MessagingEvent]:
    if writer is None:
        return
    at = _seconds(message.timestamp)
    if message.type == "system":
        if message.system is not None and message.system.type in _MOVED:
            yield from _moved(message, message.system, writer, ours, at)
        return
    shown, is_edit, told = message, False, message.id
    if message.type == "edit" and message.edit is not None:
        try:
            shown = wire.MESSAGES.decode(message.edit.message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        is_edit, told = True, message.edit.original_message_id
        if not _ID.fullmatch(told):
            return
    elif message.type == "revoke":
        return
    text, media = _content(shown)
    if not text and not media:
        return
    context = shown.context.id if shown.context else None
    yield InboundMessage(
        network=Channel.WHATSAPP,
        message_id=told,
        sender=writer,
        recipient=ours,
        text=text[:MAX_TEXT],
        event_id=message.id,
        at=at,
        media=media,
        reply_to=context if context and _ID.fullmatch(context) else None,
        is_edit=is_edit,
    )


def _content(message: wire.Message) -> tuple[str, tuple[MessageMedia, ...]]:
    """The words of a message, those of a pressed button among them, and what came with it."""
    if message.text is not None:
        return message.text.body, ()
    if message.button is not None:
        return message.button.text, ()
    if message.interactive is not None:
        chosen = message.interactive.button_reply or message.interactive.list_reply
        return (chosen.title, ()) if chosen else ("", (MessageMedia(kind=MediaKind.OTHER),))
    for name, kind in _MEDIA.items():
        part: wire.Media | None = getattr(message, name)
        if part is not None and _ID.fullmatch(part.id):
            return part.caption or "", (
                MessageMedia(
                    kind=MediaKind.VOICE if part.voice else kind,
                    reference=part.id,
                    content_type=part.mime_type[:100],
                    name=(part.filename or "")[:200],
                ),
            )
    if message.type == "reaction":
        emoji = (message.reaction.emoji if message.reaction else None) or ""
        return "", (MessageMedia(kind=MediaKind.REACTION, name=emoji[:20]),)
    return "", (MessageMedia(kind=_WORDLESS.get(message.type, MediaKind.OTHER)),)


def _writer(value: wire.Value, message: wire.Message, at: int) -> Correspondent | None:
    """Who wrote: the contact of the same number or id, else the one in the same place; `from` alone where there is none."""
    theirs = {message.sender, message.sender_user_id} - {None, ""}
    contact = next((one for one in value.contacts if {one.wa_id, one.user_id} & theirs), None)
    if contact is None and at < len(value.contacts):
        contact = value.contacts[at]
    number = e164(contact.wa_id if contact and contact.wa_id else message.sender)
    user = (contact.user_id if contact else None) or message.sender_user_id
    scoped = _USER.fullmatch(user or "")
    if number is None and scoped is None:
        return None
    profile = contact.profile if contact else wire.Profile()
    return Correspondent(
        address=number or "",
        user_id=scoped[0] if scoped else None,
        name=(profile.name or "")[:200] or None,
        handle=(profile.username or "")[:100] or None,
        phone_number=number,
        country=scoped[1] if scoped else None,
    )


def _moved(
    message: wire.Message, system: wire.System, writer: Correspondent, ours: str, at: float | None
) -> Iterator[MessagingEvent]:
    before = e164(system.customer or message.sender) or ""
    after = e164(system.wa_id or system.new_wa_id) or before
    user = system.user_id if _USER.fullmatch(system.user_id or "") else None
    if not after and user is None:
        return
    yield CorrespondentMoved(
        network=Channel.WHATSAPP,
        before=Correspondent(address=before, user_id=writer.user_id, phone_number=before or None),
        after=Correspondent(address=after, user_id=user or writer.user_id, phone_number=after or None),
        recipient=ours,
        at=at or 0.0,
        event_id=message.id,
    )


def _progress(status: wire.Status) -> Iterator[MessagingEvent]:
    state = _STATES.get(status.status)
    if state is None or not _ID.fullmatch(status.id):
        return  # deleted, warning: nothing becomes of it
    code = str(status.errors[0].code) if state is MessageState.FAILED and status.errors else ""
    code = code if code.isascii() and code.isdecimal() else ""
    failure = failure_of(code) if state is MessageState.FAILED else None
    if failure is MessageFailure.UNREACHABLE:
        state = MessageState.UNDELIVERABLE
    reference = status.biz_opaque_callback_data or ""
    yield MessageProgress(
        network=Channel.WHATSAPP,
        message_id=status.id,
        state=state,
        event_id=f"{status.id}:{status.status}",
        reference=reference if _OURS.fullmatch(reference) else None,
        failure=failure,
        code=code,
        detail=f"error {code}" if code else "",
        tariff=_tariff(status.pricing),
        at=_seconds(status.timestamp),
    )


def _tariff(pricing: wire.Pricing | None) -> str | None:
    if pricing is None:
        return None
    if pricing.billable is False:
        return FREE
    category = pricing.category.lower().replace("-", "_")
    return category if _CATEGORY.fullmatch(category) else None


def _seconds(stamp: str | int) -> float | None:
    text = str(stamp)
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
