"""Twilio Programmable Messaging: signed forms in, forms out.

https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/messaging/guides/webhook-request
"""

import re
from collections.abc import Mapping

from voisnap_domain.sessions import Channel
from voisnap_domain.texting import Consent, MessageFailure, MessageState

from voisnap_providers.accounts import Account
from voisnap_providers.errors import MessageUncertain, ProviderError
from voisnap_providers.ports.messaging import (
    AnswerDocument,
    BadWebhook,
    Correspondent,
    FetchedMedia,
    InboundMessage,
    MessageMedia,
    MessageProgress,
    MessageSender,
    MessageSent,
    MessagingEvent,
    MessagingWebhooks,
    OutgoingMessage,
    WebhookRequest,
)
from voisnap_providers.vendors.carrier_http import Rejected
from voisnap_providers.vendors.media_kinds import kind_of
from voisnap_providers.vendors.message_http import MessageHttp, sendable
from voisnap_providers.vendors.phone_numbers import e164
from voisnap_providers.vendors.short_messages import (
    MAX_MEDIA,
    MAX_TEXT,
    NoSigns,
    capabilities,
    count_of,
    price_of,
)

from .calls import BASE_URL, PROVIDER
from .webhooks import TwilioWebhooks, fields_of
from .webhooks import is_signed as is_signed

_MESSAGE = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}", re.ASCII)
_CODE = re.compile(r"[0-9]{1,6}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_MEDIA_HOSTS = (".twiliocdn.com", ".twilio.com")
_NONE = AnswerDocument(body=b"<?xml version='1.0' encoding='UTF-8'?><Response/>", content_type="text/xml")
_ARRIVED = frozenset({"received", "receiving"})
_STATES = {
    "accepted": MessageState.QUEUED,
    "scheduled": MessageState.QUEUED,
    "queued": MessageState.QUEUED,
    "sending": MessageState.QUEUED,
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "partially_delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "failed": MessageState.FAILED,
    "canceled": MessageState.FAILED,
    "undelivered": MessageState.UNDELIVERABLE,
}
_CONSENTS = {"STOP": Consent.STOP, "START": Consent.START, "HELP": Consent.HELP}
_FAILURES: Mapping[MessageFailure, tuple[str, ...]] = {
    MessageFailure.OPTED_OUT: ("21610",),
    MessageFailure.UNREACHABLE: (
        *("21211", "21214", "21217", "21265", "21612", "21614", "21635"),
        *("30003", "30004", "30005", "30006", "63003", "63024"),
    ),
    MessageFailure.SENDER: (
        *("21212", "21603", "21606", "21611", "21659", "21660", "21661", "21703", "21704"),
        *("30024", "30032", "30033", "30034", "30035", "30039", "30040", "63007"),
    ),
    MessageFailure.CONTENT: ("21602", "21605", "21617", "21619", "21620", "21623", "30011", "30012", "30019", "30021"),
    MessageFailure.FILTERED: ("30007", "30038", "63032", "63033"),
    MessageFailure.RATE_LIMITED: ("20429", "30001", "30022", "30023", "63018", "63038"),
    MessageFailure.ACCOUNT: ("21408", "20005", "30002", "30010", "30027", "90010"),
    MessageFailure.EXPIRED: ("30036",),
    MessageFailure.OUTSIDE_WINDOW: ("63016",),
}
"""Twilio's codes (https://www.twilio.com/docs/api/errors) by their meaning."""
_BY_CODE = {code: failure for failure, codes in _FAILURES.items() for code in codes}


class TwilioMessageWebhooks(MessagingWebhooks):
    """Webhooks of one account, signed as its calls' are (`TwilioWebhooks`)."""

    def __init__(self, *, auth_tokens: tuple[str, ...]) -> None:
        self._signatures = TwilioWebhooks(auth_tokens=auth_tokens)

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        """None: Twilio asks for nothing beforehand."""
        del request
        return None

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        self._signatures.verify(request, now=now)

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        """Of short messages alone: WhatsApp over Twilio is another network's."""
        fields = dict(fields_of(request))
        message = fields.get("MessageSid") or fields.get("SmsSid") or ""
        if not _MESSAGE.fullmatch(message):
            raise BadWebhook("no MessageSid")
        ours, theirs = fields.get("To", ""), fields.get("From", "")
        if ":" in ours or ":" in theirs:
            return ()
        status = fields.get("MessageStatus") or fields.get("SmsStatus")
        if status in _ARRIVED or (status is None and "Body" in fields):
            return (_inbound(message, fields),)
        state = _STATES.get(status or "")
        if state is None:
            raise BadWebhook("a MessageStatus that is not documented")
        return (_progress(message, state, fields),)

    def answer(self) -> AnswerDocument:
        return _NONE


class TwilioMessages(NoSigns, MessageSender):
    """Messages of one account, with its Auth Token or with an API key (`SK…` and its secret)."""

    capabilities = capabilities()

    def __init__(self, *, account_sid: str, user: str = "", secret: str, base_url: str = BASE_URL) -> None:
        self._path = f"/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._http = MessageHttp(
            PROVIDER, base_url=base_url, auth=(user or account_sid, secret), media_hosts=_MEDIA_HOSTS
        )

    async def send(self, message: OutgoingMessage) -> MessageSent:
        if message.template is not None:
            raise self._http.refused("Short messages have no templates.", MessageFailure.TEMPLATE)
        form = {"To": message.to, "From": message.sender}
        if message.text:
            form["Body"] = sendable(message.text)
        if message.media is not None:
            form["MediaUrl"] = message.media.url
        if message.status_url:
            form["StatusCallback"] = message.status_url
        try:
            answer = await self._http.sent(self._path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"sid": str(sid), "status": str(status)} if _MESSAGE.fullmatch(sid):
                return MessageSent(
                    message_id=sid,
                    state=_STATES.get(status, MessageState.QUEUED),
                    segments=count_of(answer.get("num_segments")),
                    price=price_of(answer.get("price"), answer.get("price_unit")),
                )
        raise MessageUncertain("Twilio took the message and did not name it.", provider=PROVIDER)

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """`reference` is the address in the webhook; Twilio sends on to its store."""
        if not media.reference:
            raise self._http.refused("There is nothing to fetch.", MessageFailure.CONTENT)
        return await self._http.fetched(media.reference, most=self.capabilities.max_fetch_bytes)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _fault(self, rejected: Rejected) -> ProviderError:
        code = rejected.body.get("code") if isinstance(rejected.body, dict) else None
        text = str(code) if isinstance(code, int) else ""
        return self._http.judged(_BY_CODE.get(text, MessageFailure.UNKNOWN), code=text or str(rejected.status))


def webhooks(account: Account) -> TwilioMessageWebhooks:
    """Who checks what is posted of this account."""
    return TwilioMessageWebhooks(auth_tokens=(account.secret("auth_token"),))


def sender(account: Account) -> TwilioMessages:
    """Who sends the account's messages: by its API key, where it has one."""
    user = account.option("api_key_sid")
    return TwilioMessages(
        account_sid=account.option("account_sid"),
        user=user,
        secret=account.secret("api_key_secret" if user else "auth_token"),
        base_url=account.option("base_url", BASE_URL),
    )


def _inbound(message: str, fields: Mapping[str, str]) -> InboundMessage:
    ours, theirs = e164(fields.get("To")) or fields.get("To", ""), fields.get("From", "")
    if not ours or not theirs:
        raise BadWebhook("a message without its numbers")
    number, country = e164(theirs), fields.get("FromCountry", "")
    count = fields.get("NumMedia", "0")
    media = int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0
    consent = _CONSENTS.get(fields.get("OptOutType", "").upper())
    return InboundMessage(
        network=Channel.SMS,
        message_id=message,
        sender=Correspondent(
            address=number or theirs[:40],
            phone_number=number,
            country=country if _COUNTRY.fullmatch(country) else None,
        ),
        recipient=ours[:40],
        text=fields.get("Body", "")[:MAX_TEXT],
        event_id=message,
        media=tuple(_media(fields, at) for at in range(min(media, MAX_MEDIA))),
        consent=consent,
        # It names the keyword only where its own answer to it is set up.
        is_answered=consent is not None,
        segments=count_of(fields.get("NumSegments")),
    )


def _media(fields: Mapping[str, str], at: int) -> MessageMedia:
    content_type = fields.get(f"MediaContentType{at}", "")
    return MessageMedia(
        kind=kind_of(content_type), reference=fields.get(f"MediaUrl{at}", "")[:2000], content_type=content_type[:100]
    )


def _progress(message: str, state: MessageState, fields: Mapping[str, str]) -> MessageProgress:
    code = fields.get("ErrorCode", "")
    code = code if _CODE.fullmatch(code) and code != "0" else ""
    is_failure = state in (MessageState.FAILED, MessageState.UNDELIVERABLE)
    return MessageProgress(
        network=Channel.SMS,
        message_id=message,
        state=state,
        event_id=f"{message}:{fields.get('MessageStatus') or fields.get('SmsStatus')}",
        failure=_BY_CODE.get(code, MessageFailure.UNKNOWN) if is_failure else None,
        code=code if is_failure else "",
        detail=f"error {code}" if is_failure and code else "",
    )
