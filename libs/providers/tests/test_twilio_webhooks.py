"""Twilio's webhooks, judged by its own library: what it signs is believed, and our TwiML is what it would write."""

import hashlib
import json
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import HMAC_SHA256, RequestValidator
from twilio.twiml.voice_response import Connect, Stream, VoiceResponse
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_providers.ports.carrier import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    CallProgress,
    InboundCall,
    MachineDetected,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.twilio.webhooks import TwilioWebhooks

pytestmark = pytest.mark.unit

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}
CALL = "CA1234567890ABCDE"
KEY = "webhooks_sharedkey_01"
WEBHOOKS = TwilioWebhooks(auth_tokens=(TOKEN,), shared_keys={KEY: "shared-secret"})
BY_KEY = {"x-twilio-webhooks-signature-settings": f"key={KEY},algorithm=HMAC_SHA256"}


class MultiFields(dict[str, list[str]]):
    """Fields with several values, as web frameworks give them to the validator."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def posted(
    signature: str, *, url: str = URL, fields: Any = FIELDS, body: bytes | None = None, **headers: str
) -> WebhookRequest:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(
        method="POST",
        url=url,
        headers={"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature} | names,
        body=urlencode(fields, doseq=True).encode() if body is None else body,
    )


def refused(request: WebhookRequest, webhooks: TwilioWebhooks = WEBHOOKS) -> str:
    with pytest.raises(BadSignature) as error:
        webhooks.verify(request, now=0)
    return str(error.value)


def read(**fields: str) -> Any:
    return WEBHOOKS.read(posted("", fields={"CallSid": CALL} | fields))


# Signatures ---------------------------------------------------------------------------------------------------------


def test_the_documented_signatures_are_believed() -> None:
    WEBHOOKS.verify(posted("GvWf1cFY/Q7PnoempGyD5oXAezc="), now=0)
    sha256 = posted(
        "/Px0ZZziCxf9Zt7wehmYS+fbCh+oLQi2VrfCqcV1vPM=",
        **{"x-twilio-webhooks-signature-settings": "algorithm=HMAC_SHA256"},
    )
    WEBHOOKS.verify(sha256, now=0)
    refused(posted("/Px0ZZziCxf9Zt7wehmYS+fbCh+oLQi2VrfCqcV1vPM="))
    refused(posted("GvWf1cFY/Q7PnoempGyD5oXAezc=", **BY_KEY))


def test_a_shared_key_signs_for_itself_alone() -> None:
    by_key = RequestValidator("shared-secret").compute_signature(URL, FIELDS, HMAC_SHA256)
    WEBHOOKS.verify(posted(by_key, **BY_KEY), now=0)
    refused(posted(by_key))
    refused(posted(RequestValidator(TOKEN).compute_signature(URL, FIELDS, HMAC_SHA256), **BY_KEY))
    settings = {"x-twilio-webhooks-signature-settings": "key=another,algorithm=HMAC_SHA256"}
    assert "shared key" in refused(posted(by_key, **settings))
    settings = {"x-twilio-webhooks-signature-settings": f"key={KEY},algorithm=HMAC_MD5"}
    assert "algorithm" in refused(posted(by_key, **settings))


def test_both_tokens_are_believed_while_one_replaces_the_other() -> None:
    both = TwilioWebhooks(auth_tokens=("old", "new"))
    for token in ("old", "new"):
        both.verify(posted(RequestValidator(token).compute_signature(URL, FIELDS)), now=0)
    refused(posted(RequestValidator(TOKEN).compute_signature(URL, FIELDS)), both)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        TwilioWebhooks(auth_tokens=("",))
    with pytest.raises(ValueError, match="empty"):
        TwilioWebhooks(auth_tokens=(TOKEN,), shared_keys={KEY: ""})
    refused(posted(RequestValidator("").compute_signature(URL, FIELDS)), TwilioWebhooks(auth_tokens=()))


@pytest.mark.parametrize(
    ("told", "signed"),
    [
        ("https://h.example/p?q=1", "https://h.example:443/p?q=1"),
        ("https://h.example:443/p", "https://h.example/p"),
        ("https://h.example:8443/p", "https://h.example/p"),
        ("https://h.example:8443/p", "https://h.example:8443/p"),
        ("http://h.example/p", "http://h.example:80/p"),
        ("https://user:pass@h.example/p", "https://user:pass@h.example:443/p"),
        ("https://user:pass@h.example:443/p", "https://user:pass@h.example/p"),
        ("wss://h.example/media", "wss://h.example/media"),
        ("wss://h.example/media", "wss://h.example:443/media"),
        ("wss://h.example:443/media", "wss://h.example/media"),
        ("https://[::1]/p", "https://[::1]:443/p"),
        ("https://[::1]:443/p", "https://[::1]/p"),
    ],
)
def test_a_port_may_be_signed_or_not(told: str, signed: str) -> None:
    WEBHOOKS.verify(posted(RequestValidator(TOKEN).compute_signature(signed, FIELDS), url=told), now=0)
    other = signed.replace("h.example", "evil.example").replace("[::1]", "[::2]")
    refused(posted(RequestValidator(TOKEN).compute_signature(other, FIELDS), url=told))


def test_the_handshake_of_a_stream_is_signed_by_its_address() -> None:
    url = "wss://voice.example.com/media"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    handshake = WebhookRequest(method="GET", url=url, headers={"x-twilio-signature": signature}, body=b"")
    WEBHOOKS.verify(handshake, now=0)
    refused(WebhookRequest(method="GET", url=url + "s", headers={"x-twilio-signature": signature}, body=b""))


def test_another_body_than_a_form_is_signed_by_its_hash() -> None:
    body = json.dumps({"CallSid": CALL}).encode()
    url = f"https://h.example/p?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert RequestValidator(TOKEN).validate(url, body.decode(), signature)
    request = posted(signature, url=url, body=body, content_type="application/json")
    WEBHOOKS.verify(request, now=0)
    assert "bodySHA256" in refused(posted(signature, url=url, body=body + b" ", content_type="application/json"))
    # Nor does it help to call it a form, or nothing.
    refused(posted(signature, url=url, body=body + b" "))
    refused(posted(signature, url=url, body=b""))
    bare = RequestValidator(TOKEN).compute_signature("https://h.example/p", {})
    assert "no form" in refused(posted(bare, url="https://h.example/p", body=body, content_type="application/json"))


@settings(max_examples=80, deadline=None)
@given(
    fields=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=6),
        st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=3),
        max_size=6,
    )
)
def test_whatever_fields_twilio_signs_are_believed_and_no_others(fields: dict[str, list[str]]) -> None:
    signature = RequestValidator(TOKEN).compute_signature(URL, MultiFields(fields))
    WEBHOOKS.verify(posted(signature, fields=fields), now=0)
    refused(posted(signature, fields=fields | {"Extra": ["1"]}))


def test_a_body_that_is_no_form_is_refused_for_its_signature() -> None:
    for body in (b"a=%ff", b"a=\xff", b"&".join(b"a=%d" % number for number in range(300)), b"a=" + b"x" * 70000):
        refused(posted("GvWf1cFY/Q7PnoempGyD5oXAezc=", body=body))


# Events -------------------------------------------------------------------------------------------------------------


def test_a_call_that_comes_in_is_read() -> None:
    fields = {"CallStatus": "ringing", "Direction": "inbound", "From": "+14158675310", "To": "+18005551212"}
    assert read(**fields, FromCountry="US") == (
        InboundCall(
            call_id=CALL, caller="+14158675310", callee="+18005551212", country="US", event_id=f"{CALL}:ringing"
        ),
    )


@pytest.mark.parametrize(
    ("number", "caller"),
    [
        ("+266696687", None),
        ("266696687", None),
        ("+7378742833", None),
        ("+86282452253", None),
        ("+8656696", None),
        ("+2562533", None),
        ("anonymous", None),
        ("Restricted", None),
        ("unavailable", None),
        ("", None),
        ("client:alice", None),
        ("sip:alice@pbx.example", None),
        ("sip:+4930901820@pbx.example;user=phone", "+4930901820"),
        ("4930901820", "+4930901820"),
        ("+49 30 90-1820", "+4930901820"),
        ("+0123456789", None),
        ("+1234567890123456", None),
        ("+١٢٣٤٥٦٧٨", None),
    ],
)
def test_a_number_is_international_or_withheld(number: str, caller: str | None) -> None:
    (event,) = read(CallStatus="ringing", Direction="inbound", From=number, To="sip:desk@x.sip.twilio.com")
    assert event.caller == caller
    assert event.callee == "sip:desk@x.sip.twilio.com"
    assert event.country is None


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("queued", CallPhase.INITIATED),
        ("initiated", CallPhase.INITIATED),
        ("ringing", CallPhase.RINGING),
        ("in-progress", CallPhase.ANSWERED),
        ("completed", CallPhase.COMPLETED),
        ("busy", CallPhase.BUSY),
        ("no-answer", CallPhase.NO_ANSWER),
        ("failed", CallPhase.FAILED),
        ("canceled", CallPhase.CANCELED),
    ],
)
@pytest.mark.parametrize("direction", ["inbound", "outbound-api", "outbound-dial"])
def test_every_status_is_read(status: str, phase: CallPhase, direction: str) -> None:
    (event,) = read(CallStatus=status, Direction=direction, CallbackSource="call-progress-events")
    assert event == CallProgress(call_id=CALL, phase=phase, event_id=f"{CALL}:{status}")


def test_the_end_of_a_call_says_its_seconds_and_its_cause() -> None:
    (event,) = read(CallStatus="completed", CallDuration="42", Duration="1", AnsweredBy="human")
    assert (event.seconds, event.cause) == (42.0, "")
    (event,) = read(CallStatus="busy", CallDuration="0", SipResponseCode="486")
    assert (event.seconds, event.cause) == (0.0, "SIP 486")
    (event,) = read(CallStatus="failed", CallDuration="-1", SipResponseCode="<x>", ErrorCode="13224")
    assert (event.seconds, event.cause) == (None, "error 13224")


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ("human", AnsweredBy.HUMAN),
        ("machine_start", AnsweredBy.MACHINE),
        ("machine_end_beep", AnsweredBy.MACHINE_BEEP),
        ("machine_end_silence", AnsweredBy.MACHINE_BEEP),
        ("machine_end_other", AnsweredBy.MACHINE_BEEP),
        ("fax", AnsweredBy.FAX),
        ("unknown", AnsweredBy.UNKNOWN),
        ("parrot", AnsweredBy.UNKNOWN),
    ],
)
def test_who_answered_is_read_apart_and_with_the_answer(said: str, by: AnsweredBy) -> None:
    detected = MachineDetected(call_id=CALL, answered_by=by, event_id=f"{CALL}:answered-by:{by}")
    assert read(AnsweredBy=said, MachineDetectionDuration="3500") == (detected,)
    answered, with_it = read(AnsweredBy=said, CallStatus="in-progress", Direction="outbound-api")
    assert answered.phase is CallPhase.ANSWERED
    assert with_it == detected


def test_the_end_that_a_document_was_asked_for_does_not_pass_for_the_one_that_says_the_seconds() -> None:
    (asked,) = read(CallStatus="completed", Direction="inbound")
    (told,) = read(CallStatus="completed", Direction="inbound", CallDuration="42", SequenceNumber="3")
    assert asked.event_id != told.event_id


def test_an_event_has_the_same_id_whatever_is_not_signed() -> None:
    fields = {"CallSid": CALL, "CallStatus": "completed"}
    first = posted("", fields=fields, i_twilio_idempotency_token="one")
    again = posted("", fields=fields, i_twilio_idempotency_token="two")
    assert WEBHOOKS.read(first) == WEBHOOKS.read(again)


def test_fields_come_from_the_query_of_a_get_and_never_of_a_post() -> None:
    url = f"https://h.example/p?{urlencode({'CallSid': CALL, 'CallStatus': 'busy'})}"
    (event,) = WEBHOOKS.read(WebhookRequest(method="GET", url=url, headers={}, body=b""))
    assert (event.call_id, event.phase) == (CALL, CallPhase.BUSY)  # type: ignore[union-attr]
    with pytest.raises(BadWebhook):
        WEBHOOKS.read(posted("", url=url, fields={}))
    for query in ("&a=1" * 300, "&a=%ff"):
        with pytest.raises(BadWebhook):
            WEBHOOKS.read(WebhookRequest(method="GET", url=url + query, headers={}, body=b""))


@pytest.mark.parametrize(
    "fields",
    [
        {"CallSid": ""},
        {"CallSid": "CA 1"},
        {"CallSid": "C" * 65},
        {"CallStatus": "exploded"},
        {"Digits": "1"},
        {"CallStatus": "ringing", "Direction": "inbound", "From": "+14158675310"},
    ],
)
def test_what_is_not_documented_is_an_error(fields: dict[str, str]) -> None:
    with pytest.raises(BadWebhook):
        read(**fields)


def test_streams_and_recordings_and_rooms_say_nothing_of_the_call() -> None:
    assert read(StreamEvent="stream-error", StreamError="x") == ()
    assert read(RecordingStatus="completed", RecordingSid="RE1") == ()
    assert read(ConferenceSid="CF1", StatusCallbackEvent="participant-join", CallStatus="in-progress") == ()


# Answers ------------------------------------------------------------------------------------------------------------


def canonical(xml: bytes | str) -> str:
    return ElementTree.canonicalize(xml.decode() if isinstance(xml, bytes) else xml)


def twiml(document: AnswerDocument) -> ElementTree.Element:
    return ElementTree.fromstring(document.body)  # noqa: S314 - our own


def test_our_twiml_is_what_twilios_library_writes() -> None:
    connect = Connect(action="https://h.example/resume?a=1&b=<2>", method="POST")
    stream = Stream(url="wss://h.example/media")
    stream.parameter(name="agent", value='ä"<&>\n\t')
    stream.parameter(name="token", value="t")
    connect.append(stream)
    expected = VoiceResponse()
    expected.append(connect)
    target = StreamTarget(
        url="wss://h.example/media",
        token="t",
        parameters={"agent": 'ä"<&>\n\t'},
        resume_url="https://h.example/resume?a=1&b=<2>",
    )
    document = WEBHOOKS.connect(target)
    assert document.content_type == "text/xml"
    assert canonical(document.body) == canonical(str(expected))
    expected = VoiceResponse()
    expected.say("Good-bye <you> & me", language="de-DE")
    expected.hangup()
    assert canonical(WEBHOOKS.refuse("Good-bye <you> & me", "de").body) == canonical(str(expected))


def test_parameters_cannot_replace_the_token() -> None:
    document = WEBHOOKS.connect(StreamTarget(url="wss://h.example/m", token="right", parameters={"token": "wrong"}))
    values = [entry.get("value") for entry in twiml(document).iter("Parameter")]
    assert values == ["right"]


def test_what_twilio_would_drop_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="query"):
        WEBHOOKS.connect(StreamTarget(url="wss://h.example/m?t=1", token="t"))
    with pytest.raises(ValueError, match="500"):
        WEBHOOKS.connect(StreamTarget(url="wss://h.example/m", token="t", parameters={"a": "x" * 500}))


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "en-US"),
        ("en-GB", "en-GB"),
        ("en-NZ", "en-US"),
        ("PT_br", "pt-BR"),
        ("de", "de-DE"),
        ("tr", None),
        ("", None),
        ('"><Play>', None),
    ],
)
def test_a_reason_is_said_in_its_language_where_twilio_has_it(language: str, said: str | None) -> None:
    say = twiml(WEBHOOKS.refuse("Hello", language))[0]
    assert say.get("language") == said


def test_a_long_reason_is_cut_to_what_can_be_said() -> None:
    say = twiml(WEBHOOKS.refuse("x" * 9000, "en"))[0]
    assert say.text == "x" * 4096
