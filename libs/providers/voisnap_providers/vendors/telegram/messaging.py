"""Telegram's Bot API: JSON in and out, the bot's token in the address.

https://core.telegram.org/bots/api. Texts go as they are, without a `parse_mode`: nothing in them has to be escaped.
"""

import re
from typing import Any

from voisnap_domain.texting import LengthUnit, MediaKind, MessageFailure, MessageState, TextLimit

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
    WebhookRegistrar,
    WebhookRegistration,
)
from voisnap_providers.vendors.carrier_http import Rejected
from voisnap_providers.vendors.message_http import KIND, MessageHttp, sendable

from .webhooks import TelegramWebhooks, message_id, secret_for
from .webhooks import is_signed as is_signed

BASE_URL = "https://api.telegram.org"
PROVIDER = "telegram"
MAX_CONNECTIONS = 40
MAX_CAPTION = 1024
MAX_DOWNLOAD = 20_000_000
_TOKEN = re.compile(r"([0-9]{1,20}):[A-Za-z0-9_-]{20,100}", re.ASCII)
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_BOT = re.compile(r"[0-9]{1,20}", re.ASCII)
_CHAT = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_MESSAGE = re.compile(r"(-?[0-9]{1,20}):([0-9]{1,15})", re.ASCII)
_PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9_./-]{1,300}", re.ASCII)
_UPDATES = ["message", "edited_message", "my_chat_member"]
_METHODS = {
    MediaKind.IMAGE: ("sendPhoto", "photo"),
    MediaKind.AUDIO: ("sendAudio", "audio"),
    MediaKind.VOICE: ("sendVoice", "voice"),
    MediaKind.VIDEO: ("sendVideo", "video"),
    MediaKind.DOCUMENT: ("sendDocument", "document"),
}
_MEANINGS = (
    ("blocked by the user", MessageFailure.OPTED_OUT),
    ("user is deactivated", MessageFailure.UNREACHABLE),
    ("chat not found", MessageFailure.UNREACHABLE),
    ("user not found", MessageFailure.UNREACHABLE),
    ("peer_id_invalid", MessageFailure.UNREACHABLE),
    ("can't initiate conversation", MessageFailure.UNREACHABLE),
    ("can't send messages to bots", MessageFailure.UNREACHABLE),
    ("message is too long", MessageFailure.CONTENT),
    ("message text is empty", MessageFailure.CONTENT),
    ("text must be non-empty", MessageFailure.CONTENT),
    ("wrong file identifier", MessageFailure.CONTENT),
    ("failed to get http url content", MessageFailure.CONTENT),
    ("wrong type of the web page content", MessageFailure.CONTENT),
    ("file is too big", MessageFailure.CONTENT),
    ("not enough rights", MessageFailure.SENDER),
)
"""What Telegram's descriptions mean; it has no codes."""


class TelegramMessages(MessageSender, WebhookRegistrar):
    """Messages of one bot; `address`, where one is given, is the bot's own. Raises ValueError, which never repeats it, for what is no token or no secret token."""

    capabilities = MessagingCapabilities(
        text=TextLimit(most=4096, unit=LengthUnit.UTF16),
        typing_seconds=5.0,
        per_chat_seconds=1.0,
        progress=False,
        edits=True,
        replies=True,
        media=frozenset(_METHODS),
        inbound_media=frozenset({*_METHODS, MediaKind.STICKER, MediaKind.LOCATION, MediaKind.CONTACT}),
        max_fetch_bytes=MAX_DOWNLOAD,
    )

    def __init__(self, *, bot_token: str, secret_token: str = "", base_url: str = BASE_URL) -> None:
        self._bot_id = bot_id_of(bot_token)
        if secret_token and not _SECRET.fullmatch(secret_token):
            raise ValueError("a secret token has 1 to 256 of A-Z, a-z, 0-9, _ and -")
        self._key = bot_token.partition(":")[2]
        self._secret_token = secret_token
        self._http = MessageHttp(PROVIDER, base_url=base_url, wait_of=_wait_of)

    async def send(self, message: OutgoingMessage) -> MessageSent:
        """What Telegram takes is there: it tells nothing afterwards."""
        if message.template is not None:
            raise self._http.refused("Telegram has no templates.", MessageFailure.TEMPLATE)
        chat = message.to or message.user_id or ""
        if not _CHAT.fullmatch(chat):
            raise self._http.refused("This is no chat of Telegram's.", MessageFailure.UNREACHABLE)
        method, body = self._content(message)
        body["chat_id"] = int(chat)
        if (replied := _MESSAGE.fullmatch(message.reply_to or "")) and replied[1] == chat:
            body["reply_parameters"] = {"message_id": int(replied[2]), "allow_sending_without_reply": True}
        try:
            answer = await self._http.sent(self._path(method, message.sender), json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"ok": True, "result": {"message_id": int(number)}}:
                return MessageSent(message_id=message_id(chat, number), state=MessageState.SENT)
        raise MessageUncertain("Telegram took the message and did not name it.", provider=PROVIDER)

    async def typing(self, message: InboundMessage) -> None:
        """Shown for five seconds, or until a message comes."""
        if _CHAT.fullmatch(message.sender.address):
            order = {"chat_id": int(message.sender.address), "action": "typing"}
            await self._asked("sendChatAction", order, message.recipient)

    async def mark_read(self, message: InboundMessage) -> None:
        """Nothing: a bot tells nobody that it reads."""
        del message

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """`reference` is the file's id; Telegram gives files of 20 MB at most."""
        most = self.capabilities.max_fetch_bytes
        if not media.reference:
            raise self._http.refused("There is nothing to fetch.", MessageFailure.CONTENT)
        if media.size is not None and media.size > most:
            raise self._http.refused(f"The media has more than {most} bytes.", MessageFailure.CONTENT)
        match await self._asked("getFile", {"file_id": media.reference}):
            case {"file_path": str(path)} if _PATH.fullmatch(path):
                fetched = await self._http.fetched(f"/file{self._path(path)}", most=most)
                return FetchedMedia(
                    content=fetched.content, content_type=media.content_type.lower() or fetched.content_type
                )
        raise self._http.fault("Telegram names no path of the file.", retryable=True)

    async def own_address(self) -> OwnAddress:
        said = await self._asked("getMe", {})
        said = said if isinstance(said, dict) else {}
        handle = str(said.get("username") or "")[:100]
        return OwnAddress(
            address=self._bot_id, name=str(said.get("first_name") or "")[:200], handle=f"@{handle}" if handle else ""
        )

    async def register(self, url: str, *, address: str = "") -> WebhookRegistration:
        """What waits there is posted too. Telegram wants https and one of the ports 443, 80, 88, 8443."""
        order = {
            "url": url,
            "secret_token": secret_for(self._secret_token, self._bot(address)) if self._secret_token else "",
            "max_connections": MAX_CONNECTIONS,
            "allowed_updates": _UPDATES,
        }
        await self._asked("setWebhook", order, address)
        return await self.registered(address=address)

    async def registered(self, *, address: str = "") -> WebhookRegistration:
        said = await self._asked("getWebhookInfo", {}, address)
        said = said if isinstance(said, dict) else {}
        at = said.get("last_error_date")
        pending = said.get("pending_update_count")
        return WebhookRegistration(
            url=str(said.get("url") or ""),
            pending=pending if isinstance(pending, int) else 0,
            last_error=str(said.get("last_error_message") or "")[:200],
            last_error_at=float(at) if isinstance(at, int) else None,
        )

    async def unregister(self, *, address: str = "") -> None:
        """Updates wait for 24 hours."""
        await self._asked("deleteWebhook", {}, address)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _content(self, message: OutgoingMessage) -> tuple[str, dict[str, Any]]:
        if message.media is None:
            return "sendMessage", {"text": sendable(message.text)}
        method = _METHODS.get(message.media.kind)
        if method is None:
            raise self._http.refused("Telegram does not send this.", MessageFailure.CONTENT)
        caption = {"caption": sendable(message.text)[:MAX_CAPTION]} if message.text else {}
        return method[0], {method[1]: message.media.url, **caption}

    async def _asked(self, method: str, body: dict[str, Any], bot: str = "") -> Any:
        try:
            answer = await self._http.asked("POST", self._path(method, bot), json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        return answer.get("result") if isinstance(answer, dict) else None

    def _path(self, what: str, bot: str = "") -> str:
        return f"/bot{self._bot(bot)}:{self._key}/{what}"

    def _bot(self, address: str) -> str:
        return address if _BOT.fullmatch(address) else self._bot_id

    def _fault(self, rejected: Rejected) -> ProviderError:
        """Its description is matched and not repeated."""
        said = rejected.body.get("description") if isinstance(rejected.body, dict) else None
        text = said.lower() if isinstance(said, str) else ""
        if rejected.status == 404 and text in ("", "not found"):
            return ProviderAuthError("telegram knows no such bot.", provider=PROVIDER, kind=KIND)
        if "bad webhook" in text:
            detail = "telegram posts to https addresses that it can reach, on port 443, 80, 88 or 8443."
            return self._http.fault(detail, retryable=False)
        failure = next((failure for words, failure in _MEANINGS if words in text), MessageFailure.UNKNOWN)
        return self._http.judged(failure, code=str(rejected.status))


def webhooks(account: Account) -> TelegramWebhooks:
    """Who checks what is posted of this account."""
    return TelegramWebhooks(secret_token=account.secret("secret_token"), bot_id=bot_id_of(account.secret("bot_token")))


def sender(account: Account) -> TelegramMessages:
    """Who sends the account's messages."""
    return TelegramMessages(
        bot_token=account.secret("bot_token"),
        secret_token=account.secret("secret_token"),
        base_url=account.option("base_url", BASE_URL),
    )


def bot_id_of(token: str) -> str:
    """The bot's id, which its token begins with. Raises ValueError, which never repeats it."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("a bot's token is its number, a colon and a key")
    return found[1]


def _wait_of(body: Any) -> float | None:
    """How long to wait (`parameters.retry_after`); an hour at most."""
    parameters = body.get("parameters") if isinstance(body, dict) else None
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return min(float(seconds), 3600.0) if isinstance(seconds, int) and seconds >= 0 else None
