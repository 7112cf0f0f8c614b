"""What the three carriers' short messages have each for themselves: keywords, prices, parts, older signatures."""

import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator
from voisnap_domain.texting import Consent, MediaKind, MessageFailure, MessageState
from voisnap_providers.messengers import is_signed
from voisnap_providers.ports.messaging import BadSignature, BadWebhook, WebhookRequest
from voisnap_providers.vendors.telnyx.messaging import TelnyxMessageWebhooks
from voisnap_providers.vendors.twilio.messaging import TwilioMessageWebhooks
from voisnap_providers.vendors.vonage.messaging import VonageMessageWebhooks

pytestmark = pytest.mark.unit

URL = "https://h.example/api/v1/carriers/x/platform/messages"
SID = "SM" + "a" * 32
TWILIO = TwilioMessageWebhooks(auth_tokens=("12345",))
VONAGE = VonageMessageWebhooks(signature_secrets=("s" * 40,), api_key="abcd1234")
TELNYX = TelnyxMessageWebhooks("A" * 43 + "=")
NOW = 1_780_000_000.0


def form(**fields: str) -> WebhookRequest:
    return WebhookRequest(
        method="POST",
        url=URL,
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": RequestValidator("12345").compute_signature(URL, fields),
        },
        body=urlencode(fields).encode(),
    )


def posted(body: Any) -> WebhookRequest:
    return WebhookRequest(
        method="POST", url=URL, headers={"content-type": "application/json"}, body=json.dumps(body).encode()
    )


def twilio(**fields: str) -> tuple[Any, ...]:
    request = form(**{"MessageSid": SID, "From": "+14155550199", "To": "+14155550100", **fields})
    TWILIO.verify(request, now=NOW)
    return TWILIO.read(request)


def test_twilio_names_keywords_that_it_has_answered() -> None:
    (heard,) = twilio(Body="stop", SmsStatus="received", OptOutType="STOP", NumSegments="1", FromCountry="US")
    assert (heard.consent, heard.is_answered, heard.segments, heard.sender.country) == (Consent.STOP, True, 1, "US")
    (plain,) = twilio(Body="stop", SmsStatus="received")
    assert (plain.consent, plain.is_answered) == (None, False)


def test_twilio_has_media_in_numbered_fields_and_short_codes_for_numbers() -> None:
    fields = {"MediaUrl0": "https://api.twilio.com/m0", "MediaContentType0": "audio/amr", "NumMedia": "2"}
    more = {"MediaUrl1": "https://api.twilio.com/m1", "MediaContentType1": "text/vcard", "From": "262966"}
    (heard,) = twilio(Body="", SmsStatus="received", **{**fields, **more})
    assert [(one.kind, one.reference[-2:]) for one in heard.media] == [
        (MediaKind.VOICE, "m0"),
        (MediaKind.CONTACT, "m1"),
    ]
    assert (heard.sender.address, heard.sender.phone_number) == ("262966", None)
    assert len(twilio(Body="", SmsStatus="received", NumMedia="999")[0].media) == 10
    assert twilio(Body="Hi", SmsStatus="received", From="whatsapp:+14155550199", To="whatsapp:+14155550100") == ()


@pytest.mark.parametrize(
    ("status", "code", "state", "failure"),
    [
        ("undelivered", "30003", MessageState.UNDELIVERABLE, MessageFailure.UNREACHABLE),
        ("undelivered", "30007", MessageState.UNDELIVERABLE, MessageFailure.FILTERED),
        ("failed", "21610", MessageState.FAILED, MessageFailure.OPTED_OUT),
        ("failed", "30034", MessageState.FAILED, MessageFailure.SENDER),
        ("failed", "30001", MessageState.FAILED, MessageFailure.RATE_LIMITED),
        ("failed", "", MessageState.FAILED, MessageFailure.UNKNOWN),
        ("delivered", "0", MessageState.DELIVERED, None),
        ("accepted", "", MessageState.QUEUED, None),
    ],
)
def test_twilios_statuses_say_what_became_of_a_message(
    status: str, code: str, state: MessageState, failure: MessageFailure | None
) -> None:
    (told,) = twilio(MessageStatus=status, SmsStatus=status, ErrorCode=code)
    assert (told.state, told.failure, told.event_id) == (state, failure, f"{SID}:{status}")
    with pytest.raises(BadWebhook):
        twilio(MessageStatus="teleported")


def test_vonages_prices_codes_and_references_are_read() -> None:
    event = {
        "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        "to": "14155550199",
        "from": "14155550100",
        "timestamp": "2026-11-21T18:00:00.000Z",
        "status": "rejected",
        "error": {
            "type": "https://developer.vonage.com/api-errors/messages#1240",
            "title": 1240,
            "detail": "+14155550199",
        },
        "usage": {"currency": "EUR", "price": "0.0333"},
        "client_ref": "msg_1",
        "channel": "sms",
    }
    (told,) = VONAGE.read(posted(event))
    assert (told.state, told.failure, told.code, told.reference) == (
        MessageState.FAILED,
        MessageFailure.OPTED_OUT,
        "1240",
        "msg_1",
    )
    assert (told.price.amount, told.price.currency, told.at) == (Decimal("0.0333"), "EUR", 1795284000.0)
    assert "4155550199" not in told.detail
    assert VONAGE.read(posted({**event, "channel": "whatsapp"})) == ()


def older(query: dict[str, str], secret: str = "s" * 40, method: str = "sha256", kind: str = "GET") -> WebhookRequest:
    signed = "".join(f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in sorted(query.items()))
    fields = {**query, "sig": hmac.new(secret.encode(), signed.encode(), method).hexdigest()}
    if kind == "GET":
        return WebhookRequest(method="GET", url=f"{URL}?{urlencode(fields)}", headers={}, body=b"")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return WebhookRequest(method="POST", url=URL, headers=headers, body=urlencode(fields).encode())


def test_vonages_older_api_is_believed_when_its_hmac_is_right_and_fresh() -> None:
    query = {
        "msisdn": "14155550199",
        "to": "14155550100",
        "messageId": "0A0000000123ABCD1",
        "text": "a & b = c",
        "type": "text",
        "message-timestamp": "2026-05-28 20:26:40",
        "timestamp": str(int(NOW)),
        "nonce": "1",
    }
    for method in ("md5", "sha1", "sha256", "sha512"):
        for kind in ("GET", "POST"):
            request = older(query, method=method, kind=kind)
            assert is_signed("vonage", request)
            VONAGE.verify(request, now=NOW)
            (heard,) = VONAGE.read(request)
            assert (heard.text, heard.sender.address, heard.message_id) == (
                "a & b = c",
                "+14155550199",
                "0A0000000123ABCD1",
            )
    for forged, now in (
        (older(query, secret="x" * 40), NOW),
        (older(query), NOW + 400),
        (older(query), NOW - 100),
        (older({name: value for name, value in query.items() if name != "timestamp"}), NOW),
    ):
        with pytest.raises(BadSignature):
            VONAGE.verify(forged, now=now)
    receipt = {**{name: value for name, value in query.items() if name != "text"}, "status": "delivered"}
    assert VONAGE.read(older(receipt)) == ()


def telnyx(kind: str, **payload: Any) -> tuple[Any, ...]:
    whole = {
        "id": "7ee4241c-f127-47e5-9c34-3aac291f8058",
        "type": "SMS",
        "from": {"phone_number": "+14155550199"},
        "to": [{"phone_number": "+14155550100", "status": "webhook_delivered"}],
        "text": "Hi",
        "parts": 2,
        "cost": {"amount": "0.0051", "currency": "USD"},
        "received_at": "2026-11-21T18:00:00.000+00:00",
        **payload,
    }
    data = {"event_type": kind, "id": "bf6307bd", "occurred_at": "2026-11-21T18:00:00Z", "payload": whole}
    return TELNYX.read(posted({"data": data, "meta": {"attempt": 1}}))


def test_telnyx_names_keywords_prices_and_parts() -> None:
    (heard,) = telnyx("message.received", autoresponse_type="STOP")
    assert (heard.consent, heard.is_answered, heard.segments, heard.event_id) == (Consent.STOP, True, 2, "bf6307bd")
    assert (heard.price.amount, heard.at) == (Decimal("0.0051"), 1795284000.0)
    assert telnyx("message.received", type="RCS") == ()
    assert telnyx("call.initiated") == ()


@pytest.mark.parametrize(
    ("status", "code", "state", "failure"),
    [
        ("delivered", "", MessageState.DELIVERED, None),
        ("delivery_unconfirmed", "", MessageState.SENT, None),
        ("delivery_failed", "40008", MessageState.UNDELIVERABLE, MessageFailure.UNREACHABLE),
        ("sending_failed", "40300", MessageState.FAILED, MessageFailure.OPTED_OUT),
        ("sending_failed", "40003", MessageState.FAILED, MessageFailure.FILTERED),
        ("expired", "", MessageState.FAILED, MessageFailure.EXPIRED),
    ],
)
def test_telnyxs_statuses_say_what_became_of_a_message(
    status: str, code: str, state: MessageState, failure: MessageFailure | None
) -> None:
    to = [{"phone_number": "+14155550199", "status": status}]
    errors = [{"code": code, "title": "No", "detail": "+14155550199"}] if code else []
    (told,) = telnyx("message.finalized", to=to, errors=errors)
    assert (told.state, told.failure, told.code) == (state, failure, code)
    assert "4155550199" not in told.detail
