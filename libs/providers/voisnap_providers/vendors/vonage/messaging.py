"""Messages over the Vonage Messages API (v1), and what comes in by the older SMS API.

https://developer.vonage.com/en/api/messages, https://developer.vonage.com/en/messages/concepts/messages-status-callbacks,
https://developer.vonage.com/en/messaging/sms/guides/signing-messages
"""

import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import MediaKind, MessageFailure, MessageState

from voisnap_providers.accounts import Account
from voisnap_providers.errors import MessageUncertain, ProviderError
from voisnap_providers.ports.messaging import (
    AnswerDocument,
    BadSignature,
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
    MAX_TEXT,
    NoSigns,
    capabilities,
    count_of,
    price_of,
    unix_of,
)

from .calls import BASE_URL, PROVIDER, ApplicationToken
from .webhooks import AHEAD_SECONDS, MAX_BODY, STALE_SECONDS, VonageWebhooks
from .webhooks import is_signed as has_token

_MESSAGE = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,63}", re.ASCII)
_OURS = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MEDIA_HOSTS = (".nexmo.com", ".vonage.com")
_DONE = AnswerDocument(body=b"", content_type="text/plain")
_FORM = "application/x-www-form-urlencoded"
_HASHES = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""HMACs of the SMS API by the digits of their result. Its unkeyed MD5 is not believed: an account sets another method."""
_STATES = {
    "submitted": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "rejected": MessageState.FAILED,
    "undeliverable": MessageState.UNDELIVERABLE,
}
_SENT_KINDS = {MediaKind.IMAGE: "image", MediaKind.AUDIO: "audio", MediaKind.VIDEO: "video"}
_FAILURES: Mapping[MessageFailure, tuple[str, ...]] = {
    MessageFailure.OPTED_OUT: ("1240",),
    MessageFailure.UNREACHABLE: (
        *("1050", "1160", "1170", "1180", "1190", "1200", "1220", "1250", "1260", "1280", "1300", "1370", "1430"),
    ),
    MessageFailure.SENDER: ("1120", "1420"),
    MessageFailure.CONTENT: ("1010", "1020", "1021", "1040", "1090", "1140", "1150", "1400", "1410"),
    MessageFailure.FILTERED: ("1210", "1270", "1470"),
    MessageFailure.RATE_LIMITED: ("1000", "1241", "1460"),
    MessageFailure.ACCOUNT: ("1060", "1070", "1080", "1290"),
    MessageFailure.EXPIRED: ("1360",),
    MessageFailure.OUTSIDE_WINDOW: ("1340",),
    MessageFailure.TEMPLATE: ("1022", "1450"),
}
"""Vonage's codes (https://developer.vonage.com/en/api-errors/messages) by their meaning."""
_BY_CODE = {code: failure for failure, codes in _FAILURES.items() for code in codes}
_ERROR_CODE = re.compile(r"#?([0-9]{3,5})\s*$", re.ASCII)
_fields = msgspec.json.Decoder(dict[str, Any]).decode


class VonageMessageWebhooks(MessagingWebhooks):
    """Webhooks of one account: a signed token for those of the Messages API, `sig` for those of the SMS API."""

    def __init__(self, *, signature_secrets: tuple[str, ...], api_key: str | None = None) -> None:
        # Whose application it is, is not asked: a message to a number without one is signed for the account alone.
        self._tokens = VonageWebhooks(signature_secrets=signature_secrets, api_key=api_key)
        self._secrets = tuple(secret.encode() for secret in signature_secrets)

    def handshake(self, request: WebhookRequest) -> AnswerDocument | None:
        """None: Vonage asks for nothing beforehand."""
        del request
        return None

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        if "authorization" in request.headers:
            return self._tokens.verify(request, now=now)
        try:
            fields = _fields_of(request)
        except BadWebhook as error:
            raise BadSignature(str(error)) from error
        return self._check_sig({name: str(value) for name, value in fields.items()}, now)

    def read(self, request: WebhookRequest) -> tuple[MessagingEvent, ...]:
        fields = _fields_of(request)
        if "msisdn" in fields:
            return _older(fields)
        message = _text(fields, "message_uuid")
        if not _MESSAGE.fullmatch(message):
            raise BadWebhook("no message_uuid")
        if _text(fields, "channel") not in ("", "sms", "mms"):
            return ()
        if status := _text(fields, "status"):
            return _progress(message, status, fields)
        if kind := _text(fields, "message_type"):
            return (_inbound(message, kind, fields),)
        raise BadWebhook("neither a message nor what became of one")

    def answer(self) -> AnswerDocument:
        return _DONE

    def _check_sig(self, fields: Mapping[str, str], now: float) -> None:
        given = fields.get("sig", "").lower()
        made = _HASHES.get(len(given))
        if made is None:
            raise BadSignature("neither a signed token nor a sig of a known method")
        signed = "".join(
            f"&{name}={value.replace('&', '_').replace('=', '_')}"
            for name, value in sorted(fields.items())
            if name != "sig"
        ).encode(errors="surrogatepass")
        if not any(
            hmac.compare_digest(hmac.digest(secret, signed, made).hex().encode(), given.encode(errors="replace"))
            for secret in self._secrets
        ):
            raise BadSignature("the sig is not the one of this request")
        stamp = fields.get("timestamp", "")
        at = float(stamp) if stamp.isascii() and stamp.isdecimal() and len(stamp) < 12 else unix_of(stamp)
        if at is None or not now - STALE_SECONDS <= at <= now + AHEAD_SECONDS:
            raise BadSignature("signed too long ago, or without a time")


class VonageMessages(NoSigns, MessageSender):
    """Messages of one application, whose tokens its private key signs. Raises ValueError for what is no RSA key."""

    capabilities = capabilities(media=frozenset(_SENT_KINDS))

    def __init__(
        self,
        *,
        application_id: str,
        private_key: str,
        base_url: str = BASE_URL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        auth = ApplicationToken(application_id, private_key, clock)
        self._http = MessageHttp(PROVIDER, base_url=base_url, auth=auth, trusted_hosts=_MEDIA_HOSTS)

    async def send(self, message: OutgoingMessage) -> MessageSent:
        """The id comes back with what becomes of it (`MessageProgress.reference`)."""
        if message.template is not None:
            raise self._http.refused("Short messages have no templates.", MessageFailure.TEMPLATE)
        body: dict[str, object] = {
            "to": message.to.removeprefix("+"),
            "from": message.sender.removeprefix("+"),
            "client_ref": message.id,
        }
        if message.status_url:
            body |= {"webhook_url": message.status_url, "webhook_version": "v1"}
        if message.media is None:
            body |= {
                "channel": "sms",
                "message_type": "text",
                "text": sendable(message.text),
                "sms": {"encoding_type": "auto"},
            }
        else:
            kind = _SENT_KINDS.get(message.media.kind)
            if kind is None:
                raise self._http.refused("Vonage sends pictures, sound and films alone.", MessageFailure.CONTENT)
            caption = {"caption": sendable(message.text)} if message.text else {}
            body |= {"channel": "mms", "message_type": kind, kind: {"url": message.media.url, **caption}}
        try:
            answer = await self._http.sent("/v1/messages", json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"message_uuid": str(sent)} if _MESSAGE.fullmatch(sent):
                return MessageSent(message_id=sent)
        raise MessageUncertain("Vonage took the message and did not name it.", provider=PROVIDER)

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        """`reference` is the address in the webhook."""
        if not media.reference:
            raise self._http.refused("There is nothing to fetch.", MessageFailure.CONTENT)
        return await self._http.fetched(media.reference, most=self.capabilities.max_fetch_bytes)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _fault(self, rejected: Rejected) -> ProviderError:
        code = _code_of(rejected.body)
        failure = _BY_CODE.get(code)
        if failure is None:
            failure = {402: MessageFailure.ACCOUNT, 403: MessageFailure.ACCOUNT, 422: MessageFailure.CONTENT}.get(
                rejected.status, MessageFailure.UNKNOWN
            )
        return self._http.judged(failure, code=code or str(rejected.status))


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a token, or the `sig` of the SMS API, right or wrong."""
    return has_token(request) or b"sig" in request.body or "sig=" in request.url


def webhooks(account: Account) -> VonageMessageWebhooks:
    """Who checks what is posted of this account."""
    return VonageMessageWebhooks(
        signature_secrets=(account.secret("signature_secret"),), api_key=account.option("api_key") or None
    )


def sender(account: Account) -> VonageMessages:
    """Who sends the account's messages."""
    return VonageMessages(
        application_id=account.option("application_id"),
        private_key=account.secret("private_key"),
        base_url=account.option("base_url", BASE_URL),
    )


def _fields_of(request: WebhookRequest) -> Mapping[str, Any]:
    """Of the query for a GET, of a form or a JSON object otherwise. A query of ours is no field of Vonage's."""
    if len(request.body) > MAX_BODY:
        raise BadWebhook(f"a body of {len(request.body)} bytes")
    try:
        if request.method.upper() == "GET":
            return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True, max_num_fields=200))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            return dict(parse_qsl(request.body.decode("ascii"), keep_blank_values=True, max_num_fields=200))
        return _fields(request.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadWebhook("the body is neither a form nor a JSON object") from None


def _inbound(message: str, kind: str, fields: Mapping[str, Any]) -> InboundMessage:
    ours, theirs = _text(fields, "to"), _text(fields, "from")
    if not ours or not theirs:
        raise BadWebhook("a message without its numbers")
    part = fields.get(kind)
    is_text = kind == "text"
    media = () if is_text else (_media(kind, part if isinstance(part, dict) else {}),)
    sms, usage = _object(fields, "sms"), _object(fields, "usage")
    number = e164(theirs)
    text = _text(fields, "text") if is_text else _text(part if isinstance(part, dict) else {}, "caption")
    return InboundMessage(
        network=Channel.SMS,
        message_id=message,
        sender=Correspondent(address=number or theirs[:40], phone_number=number),
        recipient=e164(ours) or ours[:40],
        text=text[:MAX_TEXT],
        event_id=message,
        at=unix_of(fields.get("timestamp")),
        media=media,
        segments=count_of(_text(sms, "num_messages") or _text(sms, "count_total")),
        price=price_of(usage.get("price"), usage.get("currency")),
    )


def _older(fields: Mapping[str, Any]) -> tuple[MessagingEvent, ...]:
    """A message by the SMS API, each part of a long one for itself; its receipts tell of messages that it sent, of which we send none."""
    message, ours, theirs = (_text(fields, name) for name in ("messageId", "to", "msisdn"))
    if not _MESSAGE.fullmatch(message) or not ours or not theirs:
        raise BadWebhook("a message without its id or its numbers")
    if "status" in fields or "text" not in fields:
        return ()
    number = e164(theirs)
    return (
        InboundMessage(
            network=Channel.SMS,
            message_id=message,
            sender=Correspondent(address=number or theirs[:40], phone_number=number),
            recipient=e164(ours) or ours[:40],
            text=_text(fields, "text")[:MAX_TEXT],
            event_id=message,
            at=unix_of(fields.get("message-timestamp")),
        ),
    )


def _progress(message: str, status: str, fields: Mapping[str, Any]) -> tuple[MessagingEvent, ...]:
    state = _STATES.get(status)
    if state is None:
        raise BadWebhook("a status that is not documented")
    usage, sms = _object(fields, "usage"), _object(fields, "sms")
    is_failure = state in (MessageState.FAILED, MessageState.UNDELIVERABLE)
    code = _code_of(fields.get("error")) if is_failure else ""
    reference = _text(fields, "client_ref")
    return (
        MessageProgress(
            network=Channel.SMS,
            message_id=message,
            state=state,
            event_id=f"{message}:{status}",
            reference=reference if _OURS.fullmatch(reference) else None,
            failure=_BY_CODE.get(code, MessageFailure.UNKNOWN) if is_failure else None,
            code=code,
            detail=f"error {code}" if code else "",
            segments=count_of(_text(sms, "count_total")),
            price=price_of(usage.get("price"), usage.get("currency")),
            at=unix_of(fields.get("timestamp")),
        ),
    )


def _media(kind: str, part: Mapping[str, Any]) -> MessageMedia:
    known = {"image": "image/*", "audio": "audio/*", "video": "video/*", "vcard": "text/vcard"}.get(kind, "")
    return MessageMedia(
        kind=kind_of(known or ("application/octet-stream" if kind == "file" else "")),
        reference=_text(part, "url")[:2000],
        name=_text(part, "name")[:200],
    )


def _code_of(error: object) -> str:
    """Its number stands at the end of `type`, and is the `title` of callbacks."""
    if not isinstance(error, dict):
        return ""
    for name in ("type", "title"):
        found = _ERROR_CODE.search(_text(error, name)[-40:])
        if found:
            return found[1]
    return ""


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _text(fields: Mapping[str, Any], name: str) -> str:
    """A field as text; numbers too are accepted. Empty when it is missing or neither."""
    value = fields.get(name)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
