"""WhatsApp's Cloud API: JSON under a token, one phone number id an account.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

import re
from typing import Any

from voisnap_domain.texting import LengthUnit, MediaKind, MessageFailure, TextLimit

from voisnap_providers.accounts import Account
from voisnap_providers.errors import MessageUncertain, ProviderAuthError, ProviderError
from voisnap_providers.ports.messaging import (
    FetchedMedia,
    InboundMessage,
    MessageMedia,
    MessageSender,
    MessageSent,
    MessagingCapabilities,
    OutgoingMessage,
    OwnAddress,
    Template,
    WebhookRegistrar,
    WebhookRegistration,
)
from voisnap_providers.vendors.carrier_http import Rejected
from voisnap_providers.vendors.message_http import KIND, MessageHttp, sendable

from .codes import AUTH, LATER, NO_HANDSHAKE, failure_of
from .webhooks import WhatsAppWebhooks
from .webhooks import is_signed as is_signed

BASE_URL = "https://graph.facebook.com"
VERSION = "v26.0"
PROVIDER = "whatsapp"
WINDOW_SECONDS = 24 * 3600.0
MAX_CAPTION = 1024
_ID = re.compile(r"[A-Za-z0-9._=+/:-]{1,256}", re.ASCII)
_NUMBER_ID = re.compile(r"[0-9]{1,32}", re.ASCII)
_MEDIA_HOSTS = (".fbsbx.com",)
_SENT_KINDS = {
    MediaKind.IMAGE: "image",
    MediaKind.AUDIO: "audio",
    MediaKind.VOICE: "audio",
    MediaKind.VIDEO: "video",
    MediaKind.DOCUMENT: "document",
}
_CAPTIONED = frozenset({"image", "video", "document"})


class WhatsAppMessages(MessageSender, WebhookRegistrar):
    """Messages of the business numbers that one token opens, the account's own above all. Raises ValueError for what is no phone number
    id. With the id of the business account its app is subscribed there, without which Meta posts nothing."""

    capabilities = MessagingCapabilities(
        text=TextLimit(most=4096, unit=LengthUnit.UTF16),
        window_seconds=WINDOW_SECONDS,
        typing_seconds=25.0,
        per_chat_seconds=1.0,
        reads=True,
        edits=True,
        templates=True,
        replies=True,
        media=frozenset(_SENT_KINDS),
        inbound_media=frozenset(
            {*_SENT_KINDS, MediaKind.STICKER, MediaKind.LOCATION, MediaKind.CONTACT, MediaKind.REACTION}
        ),
    )

    def __init__(
        self,
        *,
        access_token: str,
        phone_number_id: str,
        business_account_id: str = "",
        verify_token: str = "",
        base_url: str = BASE_URL,
    ) -> None:
        if not _NUMBER_ID.fullmatch(phone_number_id):
            raise ValueError("a phone number id is a number")
        if business_account_id and not _NUMBER_ID.fullmatch(business_account_id):
            raise ValueError("a business account id is a number")
        self._subscriptions = f"/{VERSION}/{business_account_id}/subscribed_apps" if business_account_id else ""
        self._number_id = phone_number_id
        self._verify_token = verify_token
        headers = {"Authorization": f"Bearer {access_token}"}
        self._http = MessageHttp(PROVIDER, base_url=base_url, headers=headers, trusted_hosts=_MEDIA_HOSTS)

    async def send(self, message: OutgoingMessage) -> MessageSent:
        """The id comes back with what becomes of it (`MessageProgress.reference`)."""
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "biz_opaque_callback_data": message.id,
            **self._content(message),
        }
        if message.to:
            body["to"] = message.to.removeprefix("+")
        elif message.user_id:
            body["recipient"] = message.user_id
        else:
            raise self._http.refused("The message goes to nobody.", MessageFailure.UNREACHABLE)
        if message.reply_to:
            body["context"] = {"message_id": message.reply_to}
        try:
            answer = await self._http.sent(f"{self._number(message.sender)}/messages", json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"messages": [{"id": str(sent)}, *_]} if _ID.fullmatch(sent):
                return MessageSent(message_id=sent)
        raise MessageUncertain("WhatsApp took the message and did not name it.", provider=PROVIDER)

    async def typing(self, message: InboundMessage) -> None:
        """Shown for 25 s, or until an answer comes; the message counts as read with it."""
        await self._noted(message, {"typing_indicator": {"type": "text"}})

    async def mark_read(self, message: InboundMessage) -> None:
        await self._noted(message, {})

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """`reference` is the media's id, whose address is good for five minutes."""
        if not _ID.fullmatch(media.reference) or "/" in media.reference:
            raise self._http.refused("There is nothing to fetch.", MessageFailure.CONTENT)
        most = self.capabilities.max_fetch_bytes
        found = await self._asked("GET", f"/{VERSION}/{media.reference}")
        match found:
            case {"url": str(url)}:
                size = found.get("file_size")
                if isinstance(size, int) and size > most:
                    raise self._http.refused(f"The media has more than {most} bytes.", MessageFailure.CONTENT)
                fetched = await self._http.fetched(url, most=most)
                told = found.get("mime_type")
                kind = str(told).partition(";")[0].strip().lower() if told else fetched.content_type
                return FetchedMedia(content=fetched.content, content_type=kind)
        raise self._http.fault("WhatsApp names no address of the media.", retryable=True)

    async def own_address(self) -> OwnAddress:
        said = await self._asked("GET", f"{self._number()}?fields=display_phone_number,verified_name")
        said = said if isinstance(said, dict) else {}
        return OwnAddress(
            address=self._number_id,
            name=str(said.get("verified_name") or "")[:200],
            handle=str(said.get("display_phone_number") or "")[:40],
        )

    async def register(self, url: str, *, address: str = "") -> WebhookRegistration:
        """Meta asks `url` for its handshake at once, and refuses one that doesn't answer it."""
        if self._subscriptions:
            await self._asked("POST", self._subscriptions, json={})
        configuration = {"override_callback_uri": url, "verify_token": self._verify_token}
        await self._asked("POST", self._number(address), json={"webhook_configuration": configuration})
        return await self.registered(address=address)

    async def registered(self, *, address: str = "") -> WebhookRegistration:
        """The number's own address, else the account's, else the app's; none where the app is not subscribed."""
        if self._subscriptions:
            kept = await self._asked("GET", self._subscriptions)
            if not (isinstance(kept, dict) and kept.get("data")):
                return WebhookRegistration(url="", last_error="No app is subscribed to the WhatsApp business account.")
        said = await self._asked("GET", f"{self._number(address)}?fields=webhook_configuration")
        kept = said.get("webhook_configuration") if isinstance(said, dict) else None
        kept = kept if isinstance(kept, dict) else {}
        urls = [str(kept.get(name) or "") for name in ("phone_number", "whatsapp_business_account", "application")]
        return WebhookRegistration(url=next(filter(None, urls), ""))

    async def unregister(self, *, address: str = "") -> None:
        """What the account and the app have configured goes on."""
        await self._asked("POST", self._number(address), json={"webhook_configuration": {"override_callback_uri": ""}})

    async def aclose(self) -> None:
        await self._http.aclose()

    def _content(self, message: OutgoingMessage) -> dict[str, Any]:
        if message.template is not None:
            return {"type": "template", "template": _template(message.template)}
        if message.media is None:
            return {"type": "text", "text": {"body": sendable(message.text), "preview_url": True}}
        kind = _SENT_KINDS.get(message.media.kind)
        if kind is None:
            raise self._http.refused("WhatsApp does not send this.", MessageFailure.CONTENT)
        part = {"link": message.media.url}
        if message.text and kind in _CAPTIONED:
            part["caption"] = sendable(message.text)[:MAX_CAPTION]
        if message.media.name and kind == "document":
            part["filename"] = message.media.name
        return {"type": kind, kind: part}

    def _number(self, address: str = "") -> str:
        """The path of a number of ours; the account's own where `address` is none."""
        return f"/{VERSION}/{address if _NUMBER_ID.fullmatch(address) else self._number_id}"

    async def _noted(self, message: InboundMessage, more: dict[str, Any]) -> None:
        noted = {"messaging_product": "whatsapp", "status": "read", "message_id": message.message_id}
        await self._asked("POST", f"{self._number(message.recipient)}/messages", json={**noted, **more})

    async def _asked(self, method: str, path: str, *, json: Any = None) -> Any:
        try:
            return await self._http.asked(method, path, json=json)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _fault(self, rejected: Rejected) -> ProviderError:
        """Meta's text may repeat a number or the text: its code says enough."""
        error = rejected.body.get("error") if isinstance(rejected.body, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(code, int):
            return self._http.judged(MessageFailure.UNKNOWN, code=str(rejected.status))
        if code == NO_HANDSHAKE:
            detail = f"whatsapp asked the address for its handshake, and got no right answer (error {code})."
            return self._http.fault(detail, retryable=False)
        if code in AUTH:
            return ProviderAuthError(f"whatsapp refused the token (error {code}).", provider=PROVIDER, kind=KIND)
        if code in LATER:
            return self._http.fault(f"whatsapp can't now (error {code}).", retryable=True)
        # Six seconds are what one pair of numbers waits between two messages (131056).
        return self._http.judged(failure_of(str(code)), code=str(code), wait=6.0 if code == 131056 else None)


def webhooks(account: Account) -> WhatsAppWebhooks:
    """Who checks what is posted of this account."""
    return WhatsAppWebhooks(
        app_secret=account.secret("app_secret"),
        verify_token=account.secret("verify_token"),
    )


def sender(account: Account) -> WhatsAppMessages:
    """Who sends the account's messages."""
    return WhatsAppMessages(
        access_token=account.secret("access_token"),
        phone_number_id=account.option("phone_number_id"),
        business_account_id=account.option("business_account_id"),
        verify_token=account.secret("verify_token"),
        base_url=account.option("base_url", BASE_URL),
    )


def _template(template: Template) -> dict[str, Any]:
    body = {"name": template.name, "language": {"code": template.language.replace("-", "_")}}
    if not template.values:
        return body
    values = [{"type": "text", "text": sendable(value)} for value in template.values]
    return {**body, "components": [{"type": "body", "parameters": values}]}
