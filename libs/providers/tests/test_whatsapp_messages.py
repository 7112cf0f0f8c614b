"""WhatsApp's own: its handshake, batches, people without a number, edits, windows, and where its webhooks go."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from voisnap_domain.texting import MediaKind, MessageFailure, MessageState
from voisnap_providers.ports.messaging import (
    BadSignature,
    BadWebhook,
    CorrespondentMoved,
    InboundMessage,
    MessageProgress,
    WebhookRequest,
)
from voisnap_providers.vendors.whatsapp.webhooks import WhatsAppWebhooks

pytestmark = pytest.mark.unit

OURS, SECRET = "106540352242922", "41678a4f"
WEBHOOKS = WhatsAppWebhooks(app_secret=SECRET, verify_token="t0k3n")
CONTACT = {"profile": {"name": "Zoë", "username": "zoe"}, "wa_id": "491701234567", "user_id": "DE.13491208655302741918"}


def posted(*values: dict[str, Any], **headers: str) -> WebhookRequest:
    changes = [
        {
            "field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": {"phone_number_id": OURS}, **value},
        }
        for value in values
    ]
    envelope = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [one]} for one in changes]}
    body = json.dumps(envelope).replace("/", "\\/").encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return WebhookRequest(
        method="POST",
        url="https://h.example/messages",
        headers={"x-hub-signature-256": f"sha256={signature}", **headers},
        body=body,
    )


def message(text: str = "Hi", **more: Any) -> dict[str, Any]:
    head = {"from": "491701234567", "id": "wamid.A", "timestamp": "1780000000"}
    return {**head, **({"type": "text", "text": {"body": text}} if text else {}), **more}


def read(*values: dict[str, Any]) -> tuple[Any, ...]:
    request = posted(*values)
    WEBHOOKS.verify(request, now=0)
    return WEBHOOKS.read(request)


def asked(**query: str) -> WebhookRequest:
    text = "&".join(f"hub.{name}={value}" for name, value in query.items())
    return WebhookRequest(method="GET", url=f"https://h.example/messages?{text}", headers={}, body=b"")


def test_who_knows_the_verify_token_gets_his_challenge_back_and_nobody_else() -> None:
    answer = WEBHOOKS.handshake(asked(mode="subscribe", verify_token="t0k3n", challenge="1158201444"))
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"1158201444")
    for wrong in (
        asked(mode="subscribe", verify_token="other", challenge="1"),
        asked(mode="unsubscribe", verify_token="t0k3n", challenge="1"),
        asked(mode="subscribe", verify_token="t0k3n"),
        asked(mode="subscribe", verify_token="t0k3n", challenge="<script>"),
        asked(),
    ):
        refusal = WEBHOOKS.handshake(wrong)
        assert refusal is not None
        assert (refusal.status, refusal.body) == (403, b"")
    assert WEBHOOKS.handshake(posted()) is None


def test_the_signature_is_over_the_raw_bytes() -> None:
    request = posted({"contacts": [CONTACT], "messages": [message("Grüße / ✓")]})
    WEBHOOKS.verify(request, now=0)
    same = json.dumps(json.loads(request.body)).encode()
    assert same != request.body
    for body, signature in (
        (same, request.headers["x-hub-signature-256"]),
        (request.body, ""),
        (request.body, request.headers["x-hub-signature-256"].removeprefix("sha256=")),
        (request.body, "sha1=" + "0" * 40),
    ):
        forged = WebhookRequest(method="POST", url=request.url, headers={"x-hub-signature-256": signature}, body=body)
        with pytest.raises(BadSignature):
            WEBHOOKS.verify(forged, now=0)


def test_a_batch_is_read_whole_and_in_order() -> None:
    other = {**CONTACT, "wa_id": "14155550123", "user_id": "US.1", "profile": {"name": "Sam"}}
    first = {
        "contacts": [CONTACT, other],
        "messages": [message("one"), message("two", **{"from": "14155550123", "id": "wamid.B"})],
    }
    second = {"statuses": [{"id": "wamid.C", "status": "read", "timestamp": "1780000001"}]}
    third = {"contacts": [CONTACT], "messages": [message("three", id="wamid.D")]}
    found = read(first, second, third)
    assert [type(one) for one in found] == [InboundMessage, InboundMessage, MessageProgress, InboundMessage]
    assert [(one.text, one.sender.address) for one in found if isinstance(one, InboundMessage)] == [
        ("one", "+491701234567"),
        ("two", "+14155550123"),
        ("three", "+491701234567"),
    ]
    assert found[0].sender.country == "DE"


def test_somebody_without_a_number_is_answered_by_his_id() -> None:
    hidden = {"profile": {"name": "Zoë", "username": "zoe"}, "user_id": "DE.13491208655302741918"}
    said = {**message(), "from_user_id": "DE.13491208655302741918"}
    del said["from"]
    (heard,) = read({"contacts": [hidden], "messages": [said]})
    assert (heard.sender.address, heard.sender.user_id, heard.sender.handle, heard.sender.phone_number) == (
        "",
        "DE.13491208655302741918",
        "zoe",
        None,
    )
    (alone,) = read({"contacts": [hidden], "messages": [{**said, "from_user_id": None}]})
    assert alone.sender.user_id == "DE.13491208655302741918"


def test_what_is_not_written_still_says_what_it_is() -> None:
    kinds = {
        "button": ({"text": "Yes", "payload": "Y"}, "Yes", None),
        "interactive": ({"type": "list_reply", "list_reply": {"id": "1", "title": "Morning"}}, "Morning", None),
        "image": ({"id": "1", "mime_type": "image/jpeg", "caption": "Look"}, "Look", MediaKind.IMAGE),
        "audio": ({"id": "2", "mime_type": "audio/ogg; codecs=opus", "voice": True}, "", MediaKind.VOICE),
        "document": ({"id": "3", "mime_type": "application/pdf", "filename": "a.pdf"}, "", MediaKind.DOCUMENT),
        "location": ({"latitude": 1, "longitude": 2}, "", MediaKind.LOCATION),
        "contacts": ([{"name": {}}], "", MediaKind.CONTACT),
        "reaction": ({"message_id": "wamid.A", "emoji": "👍"}, "", MediaKind.REACTION),
        "hologram": ({"depth": 3}, "", MediaKind.OTHER),
    }
    for kind, (part, text, media) in kinds.items():
        (heard,) = read({"contacts": [CONTACT], "messages": [message("", type=kind, **{kind: part})]})
        assert (heard.text, [one.kind for one in heard.media]) == (text, [media] if media else [])


def test_an_edit_names_what_it_changes_and_a_reply_what_it_answers() -> None:
    edit = {"original_message_id": "wamid.A", "message": {"type": "text", "text": {"body": "Hello"}}}
    (changed,) = read({"contacts": [CONTACT], "messages": [message("", id="wamid.E", type="edit", edit=edit)]})
    assert (changed.message_id, changed.event_id, changed.text, changed.is_edit) == (
        "wamid.A",
        "wamid.E",
        "Hello",
        True,
    )
    (reply,) = read({"contacts": [CONTACT], "messages": [message(context={"id": "wamid.Z", "from": "1"})]})
    assert reply.reply_to == "wamid.Z"
    gone = message("", type="revoke", revoke={"original_message_id": "wamid.A"})
    assert read({"contacts": [CONTACT], "messages": [gone]}) == ()


def test_a_new_number_is_told_with_the_one_before() -> None:
    system = {"type": "user_changed_number", "wa_id": "4917099", "body": "x", "user_id": CONTACT["user_id"]}
    (moved,) = read({"contacts": [CONTACT], "messages": [message("", type="system", system=system)]})
    assert isinstance(moved, CorrespondentMoved)
    assert (moved.before.address, moved.after.address) == ("+491701234567", "+4917099")
    assert moved.after.user_id == CONTACT["user_id"]


@pytest.mark.parametrize(
    ("code", "failure", "state"),
    [
        (131047, MessageFailure.OUTSIDE_WINDOW, MessageState.FAILED),
        (131026, MessageFailure.UNREACHABLE, MessageState.UNDELIVERABLE),
        (131049, MessageFailure.FILTERED, MessageState.FAILED),
        (132001, MessageFailure.TEMPLATE, MessageState.FAILED),
        (130429, MessageFailure.RATE_LIMITED, MessageState.FAILED),
        (131031, MessageFailure.ACCOUNT, MessageState.FAILED),
        (299, MessageFailure.ACCOUNT, MessageState.FAILED),
        (999999, MessageFailure.UNKNOWN, MessageState.FAILED),
    ],
)
def test_a_failed_status_says_why(code: int, failure: MessageFailure, state: MessageState) -> None:
    status = {
        "id": "wamid.C",
        "status": "failed",
        "timestamp": "1",
        "errors": [{"code": code, "title": "Zoë's number"}],
    }
    (told,) = read({"statuses": [status]})
    assert (told.failure, told.state, told.code) == (failure, state, str(code))
    assert "Zoë" not in told.detail


@pytest.mark.parametrize(
    ("pricing", "tariff"),
    [
        ({"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}, "marketing"),
        ({"billable": True, "category": "AUTHENTICATION-INTERNATIONAL"}, "authentication_international"),
        ({"billable": False, "type": "free_customer_service", "category": "service"}, "free"),
        ({"category": "utility"}, "utility"),
        ({"billable": True, "category": "Drop table; --"}, None),
        (None, None),
    ],
)
def test_a_status_says_what_the_message_is_priced_by(pricing: dict[str, Any] | None, tariff: str | None) -> None:
    status = {"id": "wamid.1", "status": "delivered", "timestamp": "1"} | ({"pricing": pricing} if pricing else {})
    (told,) = read({"statuses": [status]})
    assert told.tariff == tariff


def test_numberless_groups_and_other_products_are_left_out() -> None:
    elsewhere = {"metadata": {}, "contacts": [CONTACT], "messages": [message()]}
    grouped = {"contacts": [CONTACT], "messages": [message(group_id="G1")]}
    assert read(elsewhere, grouped, {"statuses": [{"id": "wamid.C", "status": "deleted"}]}) == ()
    body = json.dumps({"object": "page", "entry": []}).encode()
    with pytest.raises(BadWebhook):
        WEBHOOKS.read(WebhookRequest(method="POST", url="https://h.example", headers={}, body=body))
