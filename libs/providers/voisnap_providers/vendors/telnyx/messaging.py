"""Messages over Telnyx: JSON events signed with Ed25519 in, JSON under a key out.

https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks, https://developers.telnyx.com/api-reference/messages/send-a-message
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
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
    Price,
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
    unix_of,
)

from .calls import BASE_URL, PROVIDER
from .webhooks import TelnyxWebhooks
from .webhooks import is_signed as is_signed

_MESSAGE = re.compile(r"[0-9a-zA-Z-]{1,64}", re.ASCII)
_CODE = re.compile(r"[0-9]{1,6}", re.ASCII)
_MEDIA_HOSTS = (".telnyx.com", ".telnyxstorage.com", ".telnyxcloudstorage.com")
_DONE = AnswerDocument(body=b"", content_type="text/plain")
_STATES = {
    "queued": MessageState.QUEUED,
    "sending": MessageState.QUEUED,
    "sent": MessageState.SENT,
    # The network doesn't tell whether it arrived: no failure.
    "delivery_unconfirmed": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "expired": MessageState.FAILED,
    "sending_failed": MessageState.FAILED,
    "delivery_failed": MessageState.UNDELIVERABLE,
}
_CONSENTS = {
    "STOP": Consent.STOP,
    "OPT_OUT": Consent.STOP,
    "START": Consent.START,
    "OPT_IN": Consent.START,
    "HELP": Consent.HELP,
}
_FAILURES: Mapping[MessageFailure, tuple[str, ...]] = {
    MessageFailure.OPTED_OUT: ("40300",),
    MessageFailure.UNREACHABLE: ("40001", "40004", "40006", "40008", "40013", "40310", "40319"),
    MessageFailure.SENDER: (
        *("40010", "40100", "40150", "40151", "40305", "40306", "40308", "40311", "40312", "40313", "40320", "40321"),
    ),
    MessageFailure.CONTENT: ("40009", "40301", "40302", "40304", "40316", "40317", "40328"),
    MessageFailure.FILTERED: ("40002", "40003", "40015", "40016", "40017", "40322"),
    MessageFailure.RATE_LIMITED: ("40011", "40012", "40318", "10011"),
    MessageFailure.ACCOUNT: ("20100", "20012", "20014", "40309", "40331", "40333", "10010"),
    MessageFailure.EXPIRED: ("40005", "40014"),
}
"""Telnyx's codes (https://developers.telnyx.com/api-reference/errors) by their meaning."""
_BY_CODE = {code: failure for failure, codes in _FAILURES.items() for code in codes}


class _Party(msgspec.Struct):
    phone_number: str = ""
    status: str = ""


class _Media(msgspec.Struct):
    url: str | None = None
    content_type: str | None = None
    size: int | None = None


class _Cost(msgspec.Struct):
    amount: str | float | None = None
    currency: str | None = None


class _Fault(msgspec.Struct):
    code: str | int = ""


class _Payload(msgspec.Struct):
    id: str
    sender: _Party = msgspec.field(name="from", default_factory=_Party)
    to: list[_Party] = []
    text: str | None = None
    media: list[_Media] | None = None
    parts: int | None = None
    cost: _Cost | None = None
    errors: list[_Fault] | None = None
    received_at: str | None = None
    completed_at: str | None = None
    sent_at: str | None = None
    autoresponse_type: str | None = None
    type: str | None = None


class _Data(msgspec.Struct):
    event_type: str
    id: str = ""
    occurred_at: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Event(msgspec.Struct):
    data: _Data


_EVENTS = msgspec.json.Decoder(_Event)
_PAYLOADS = msgspec.json.Decoder(_Payload)
_MATTER = frozenset({"message.received", "message.sent", "message.finalized"})
_SHORT = frozenset({None, "SMS", "MMS"})


class TelnyxMessageWebhooks(MessagingWebhooks):
    """What a messaging profile posts, signed as calls' events are (`TelnyxWebhooks`)."""

    def __init__(self, public_key: str) -> None:
        self._signatures = TelnyxWebhooks(public_key)

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        """None: Telnyx asks for nothing beforehand."""
        del request
        return None

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        self._signatures.verify(request, now=now)

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        try:
            event = _EVENTS.decode(request.body).data
            if event.event_type not in _MATTER:
                return ()
            payload = _PAYLOADS.decode(event.payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook("no event of Telnyx's messages") from None
        if not _MESSAGE.fullmatch(payload.id) or not payload.to:
            raise BadWebhook("a message without its id or its numbers")
        if payload.type not in _SHORT:
            return ()
        if event.event_type == "message.received":
            return (_inbound(event, payload),)
        return _progress(event, payload)

    def answer(self) -> AnswerDocument:
        return _DONE


class TelnyxMessages(NoSigns, MessageSender):
    """Messages of one account. The same message is sent once: its id is Telnyx's idempotency key."""

    capabilities = capabilities(is_repeatable=True)

    def __init__(self, *, api_key: str, messaging_profile_id: str = "", base_url: str = BASE_URL) -> None:
        self._profile = messaging_profile_id
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = MessageHttp(PROVIDER, base_url=base_url, headers=headers, media_hosts=_MEDIA_HOSTS)

    async def send(self, message: OutgoingMessage) -> MessageSent:
        if message.template is not None:
            raise self._http.refused("Short messages have no templates.", MessageFailure.TEMPLATE)
        body: dict[str, object] = {"from": message.sender, "to": message.to}
        if message.text:
            body["text"] = sendable(message.text)
        if message.media is not None:
            body |= {"media_urls": [message.media.url], "type": "MMS"}
        if self._profile:
            body["messaging_profile_id"] = self._profile
        if message.status_url:
            body |= {"webhook_url": message.status_url, "use_profile_webhooks": False}
        try:
            answer = await self._http.sent("/messages", json=body, headers={"Idempotency-Key": message.id})
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"data": {"id": str(sent)} as data} if _MESSAGE.fullmatch(sent):
                return MessageSent(
                    message_id=sent, segments=count_of(data.get("parts")), price=_price(data.get("cost"))
                )
        raise MessageUncertain("Telnyx took the message and did not name it.", provider=PROVIDER)

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """`reference` is the address in the webhook."""
        if not media.reference:
            raise self._http.refused("There is nothing to fetch.", MessageFailure.CONTENT)
        return await self._http.fetched(media.reference, most=self.capabilities.max_fetch_bytes)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _fault(self, rejected: Rejected) -> ProviderError:
        errors = rejected.body.get("errors") if isinstance(rejected.body, dict) else None
        codes = (
            [str(one.get("code", "")) for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
        )
        code = next((code for code in codes if code in _BY_CODE), next(filter(_CODE.fullmatch, codes), ""))
        return self._http.judged(_BY_CODE.get(code, MessageFailure.UNKNOWN), code=code or str(rejected.status))


def webhooks(account: Account) -> TelnyxMessageWebhooks:
    """Who checks what is posted of this account."""
    return TelnyxMessageWebhooks(account.option("public_key"))


def sender(account: Account) -> TelnyxMessages:
    """Who sends the account's messages."""
    return TelnyxMessages(
        api_key=account.secret(),
        messaging_profile_id=account.option("messaging_profile_id"),
        base_url=account.option("base_url", BASE_URL),
    )


def _inbound(event: _Data, said: _Payload) -> InboundMessage:
    theirs, ours = said.sender.phone_number, said.to[0].phone_number
    if not theirs or not ours:
        raise BadWebhook("a message without its numbers")
    number = e164(theirs)
    consent = _CONSENTS.get((said.autoresponse_type or "").upper())
    return InboundMessage(
        network=Channel.SMS,
        message_id=said.id,
        sender=Correspondent(address=number or theirs[:40], phone_number=number),
        recipient=e164(ours) or ours[:40],
        text=(said.text or "")[:MAX_TEXT],
        event_id=event.id or said.id,
        at=unix_of(said.received_at or event.occurred_at),
        media=tuple(
            MessageMedia(
                kind=kind_of(one.content_type or ""),
                reference=(one.url or "")[:2000],
                content_type=(one.content_type or "")[:100],
                size=one.size,
            )
            for one in (said.media or ())[:MAX_MEDIA]
        ),
        consent=consent,
        is_answered=consent is not None,
        segments=count_of(said.parts),
        price=None if said.cost is None else price_of(said.cost.amount, said.cost.currency),
    )


def _progress(event: _Data, said: _Payload) -> tuple[MessagingEvent, ...]:
    status = said.to[0].status
    state = _STATES.get(status)
    if state is None:
        raise BadWebhook("a status that is not documented")
    is_failure = state in (MessageState.FAILED, MessageState.UNDELIVERABLE)
    code = str(said.errors[0].code) if is_failure and said.errors else ""
    code = code if _CODE.fullmatch(code) else ""
    failure = MessageFailure.EXPIRED if status == "expired" else _BY_CODE.get(code, MessageFailure.UNKNOWN)
    return (
        MessageProgress(
            network=Channel.SMS,
            message_id=said.id,
            state=state,
            event_id=event.id or f"{said.id}:{status}",
            failure=failure if is_failure else None,
            code=code,
            detail=f"error {code}" if code else "",
            segments=count_of(said.parts),
            price=None if said.cost is None else price_of(said.cost.amount, said.cost.currency),
            at=unix_of(said.completed_at or said.sent_at or event.occurred_at),
        ),
    )


def _price(cost: Any) -> Price | None:
    return price_of(cost.get("amount"), cost.get("currency")) if isinstance(cost, dict) else None
