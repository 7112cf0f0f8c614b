"""Vonage's webhooks: only what it signed, just now and over this very payload, is believed; its events in our words; its documents from ours."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from urllib.parse import urlencode

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_providers.ports.carrier import (
    BadSignature,
    BadWebhook,
    CallProgress,
    InboundCall,
    MachineDetected,
    MediaLost,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.vonage.ncco import spoken_language
from voisnap_providers.vendors.vonage.webhooks import VonageWebhooks
from voisnap_testkit.vonage_carrier import (
    API_KEY,
    APPLICATION,
    CALL,
    CONVERSATION,
    SIGNATURE_SECRET,
    VonageDesk,
    signed,
    stamp,
)
from vonage_jwt import verify_signature

pytestmark = pytest.mark.unit

NOW = 1_795_000_000.0
URL = "https://voice.example.com/webhooks/vonage"
DESK = VonageDesk(url=URL)
EVENT = DESK.event(CALL, "ringing", NOW)


@pytest.fixture
def webhooks() -> VonageWebhooks:
    return VonageWebhooks(signature_secrets=(SIGNATURE_SECRET,), api_key=API_KEY, application_id=APPLICATION)


def with_token(request: WebhookRequest, authorization: str | None) -> WebhookRequest:
    headers = {**request.headers, "authorization": authorization} if authorization is not None else {}
    return WebhookRequest(method=request.method, url=request.url, headers=headers, body=request.body)


def fetched(fields: dict[str, str], *, hashed: dict[str, str] | None = None) -> WebhookRequest:
    """A webhook by GET, whose hash is of the query as a JSON object."""
    payload = json.dumps(fields if hashed is None else hashed, separators=(",", ":"), ensure_ascii=False).encode()
    return WebhookRequest(
        method="GET",
        url=f"{URL}?{urlencode(fields)}",
        headers={"authorization": f"Bearer {signed(payload, at=NOW)}"},
        body=b"",
    )


@pytest.mark.parametrize("late", [0, 1, 299, -59])
def test_what_vonage_signed_is_believed_and_its_own_library_agrees(webhooks: VonageWebhooks, late: float):
    request = DESK.posted(EVENT, at=NOW)
    assert verify_signature(request.headers["authorization"].removeprefix("Bearer "), SIGNATURE_SECRET)
    webhooks.verify(request, now=NOW + late)


@pytest.mark.parametrize(
    ("claims", "late"),
    [
        ({"iss": "Somebody"}, 0),
        ({"iss": None}, 0),
        ({"api_key": "other"}, 0),
        ({"application_id": None}, 0),
        ({"payload_hash": None}, 0),
        ({"payload_hash": hashlib.sha256(b"").hexdigest()}, 0),
        ({"payload_hash": "é"}, 0),
        ({"payload_hash": 5}, 0),
        ({"iat": None}, 0),
        ({"iat": "now"}, 0),
        ({"iat": True}, 0),
        ({"exp": int(NOW) - 1}, 0),
        ({"exp": "never"}, 0),
        ({}, 301),
        ({}, -61),
        ({}, 86400 * 365),
    ],
)
def test_a_token_that_is_not_for_this_payload_and_moment_is_refused(
    webhooks: VonageWebhooks, claims: dict[str, object], late: float
):
    with pytest.raises(BadSignature) as refused:
        webhooks.verify(DESK.posted(EVENT, at=NOW, **claims), now=NOW + late)
    assert SIGNATURE_SECRET not in str(refused.value)


def forged(algorithm: str, key: str) -> str:
    return jwt.encode(
        {"iss": "Vonage", "iat": int(NOW), "payload_hash": hashlib.sha256(b"{}").hexdigest()}, key, algorithm=algorithm
    )


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer a.b.c",
        "Bearer " + "." * 9,
        "Bearer é.é.é",
        "Bearer " + base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
        "Bearer " + forged("none", ""),
        "Bearer " + forged("HS256", "another secret that is long enough to use"),
        "Bearer " + forged("HS512", SIGNATURE_SECRET * 2),
        "Bearer " + forged("HS384", SIGNATURE_SECRET),
    ],
)
def test_unsigned_and_forged_requests_are_refused(webhooks: VonageWebhooks, authorization: str | None):
    with pytest.raises(BadSignature):
        webhooks.verify(with_token(DESK.posted({}, at=NOW), authorization), now=NOW)


def test_a_token_whose_claims_are_no_object_is_refused(webhooks: VonageWebhooks):
    token = jwt.PyJWS().encode(b"[1]", SIGNATURE_SECRET, algorithm="HS256")
    with pytest.raises(BadSignature):
        webhooks.verify(with_token(DESK.posted({}, at=NOW), f"Bearer {token}"), now=NOW)


def test_one_changed_byte_of_the_body_is_noticed(webhooks: VonageWebhooks):
    request = DESK.posted(EVENT, at=NOW)
    tampered = WebhookRequest(
        method="POST", url=request.url, headers=request.headers, body=request.body.replace(b"ringing", b"rejected")
    )
    with pytest.raises(BadSignature, match="another payload"):
        webhooks.verify(tampered, now=NOW)


def test_a_short_secret_of_an_old_account_signs_as_well():
    def part(content: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    claims = {"iss": "Vonage", "iat": int(NOW), "payload_hash": hashlib.sha256(b"{}").hexdigest()}
    text = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.digest(b"sixteen letters.", text, "sha256")).rstrip(b"=")
    request = WebhookRequest(
        method="POST", url=URL, headers={"authorization": f"bearer {(text + b'.' + signature).decode()}"}, body=b"{}"
    )
    VonageWebhooks(signature_secrets=("sixteen letters.",)).verify(request, now=NOW)
    VonageWebhooks(signature_secrets=("its successor is long enough, too", "sixteen letters.")).verify(request, now=NOW)
    with pytest.raises(BadSignature):
        VonageWebhooks(signature_secrets=("sixteen letters!",)).verify(request, now=NOW)


def test_the_librarys_own_token_is_taken_for_signed_and_for_somebody_elses():
    token = (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJPbmxpbmUgSldUIEJ1aWxkZXIiLCJpYXQiOjE2OTc2MzQ2ODAsImV4cCI6MzMyNTQ1NDA4MjgsI"
        "mF1ZCI6IiIsInN1YiI6IiJ9.88vJc3I2HhuqEDixHXVhc9R30tA6U_HQHZTC29y6CGM"
    )
    request = with_token(DESK.posted({}, at=NOW), f"Bearer {token}")
    with pytest.raises(BadSignature, match="issued by somebody else"):
        VonageWebhooks(signature_secrets=("qwertyuiopasdfghjklzxcvbnm123456",)).verify(request, now=NOW)
    with pytest.raises(BadSignature, match="not signed"):
        VonageWebhooks(signature_secrets=("asdf",)).verify(request, now=NOW)


def test_a_request_by_get_is_signed_over_its_query(webhooks: VonageWebhooks):
    fields = {"to": "442079460000", "from": "447700900000", "uuid": CALL, "SipHeader_X-Name": "Zoë +1 & more"}
    webhooks.verify(fetched(fields), now=NOW)
    assert webhooks.read(fetched(fields)) == (
        InboundCall(call_id=CALL, caller="+447700900000", callee="+442079460000", event_id=f"{CALL}:answer"),
    )
    for other in ({**fields, "to": "442079460001"}, {}):
        with pytest.raises(BadSignature):
            webhooks.verify(fetched(fields, hashed=other), now=NOW)


@pytest.mark.parametrize(
    ("caller", "read"),
    [
        ("447700900000", "+447700900000"),
        ("+447700900000", "+447700900000"),
        ("anonymous", None),
        ("Restricted", None),
        ("unavailable", None),
        ("unknown", None),
        ("266696687", None),
        ("", None),
        (None, None),
    ],
)
def test_an_inbound_call_says_who_rings_or_that_it_is_withheld(
    webhooks: VonageWebhooks, caller: str | None, read: str | None
):
    fields = {"to": "442079460000", "from": caller, "uuid": CALL, "conversation_uuid": CONVERSATION}
    (call,) = webhooks.read(DESK.posted(fields, at=NOW))
    assert call == InboundCall(call_id=CALL, caller=read, callee="+442079460000", event_id=f"{CALL}:answer")


def test_the_answer_url_and_its_fallback_tell_of_one_call(webhooks: VonageWebhooks):
    fields = {"to": "442079460000", "from": "447700900000", "uuid": CALL, "conversation_uuid": CONVERSATION}
    again = fields | {"reason": "Connection closed.", "original_request": {"url": URL, "type": "answer"}}
    assert webhooks.read(DESK.posted(fields, at=NOW)) == webhooks.read(DESK.posted(again, at=NOW + 2))


@pytest.mark.parametrize(
    ("status", "phase", "cause"),
    [
        ("started", CallPhase.INITIATED, ""),
        ("ringing", CallPhase.RINGING, ""),
        ("answered", CallPhase.ANSWERED, ""),
        ("completed", CallPhase.COMPLETED, ""),
        ("busy", CallPhase.BUSY, ""),
        ("unanswered", CallPhase.NO_ANSWER, ""),
        ("timeout", CallPhase.NO_ANSWER, "timeout"),
        ("cancelled", CallPhase.CANCELED, ""),
        ("failed", CallPhase.FAILED, ""),
        ("rejected", CallPhase.FAILED, "rejected"),
    ],
)
def test_every_status_has_its_phase(webhooks: VonageWebhooks, status: str, phase: CallPhase, cause: str):
    read = webhooks.read(DESK.posted(DESK.event(CALL, status, NOW), at=NOW))
    assert read == (CallProgress(call_id=CALL, phase=phase, event_id=f"{CALL}:{status}:{stamp(NOW)}", cause=cause),)


def test_an_ended_call_says_how_long_and_a_failed_one_why(webhooks: VonageWebhooks):
    ended = webhooks.read(DESK.posted(DESK.event(CALL, "completed", NOW) | {"duration": "42", "price": "0.1"}, at=NOW))
    failed = webhooks.read(DESK.posted(DESK.event(CALL, "failed", NOW) | {"detail": "number_out_of_service"}, at=NOW))
    assert [(event.seconds, event.cause) for event in (*ended, *failed) if isinstance(event, CallProgress)] == [
        (42.0, ""),
        (None, "number_out_of_service"),
    ]


@pytest.mark.parametrize("duration", ["-1", "nan", "inf", "soon", "", None, True, [], {}])
def test_a_duration_that_is_none_is_not_told(webhooks: VonageWebhooks, duration: object):
    (event,) = webhooks.read(DESK.posted(DESK.event(CALL, "completed", NOW) | {"duration": duration}, at=NOW))
    assert isinstance(event, CallProgress)
    assert event.seconds is None


def test_an_event_that_is_repeated_has_the_id_it_had(webhooks: VonageWebhooks):
    first, again = (webhooks.read(DESK.posted(EVENT, at=at)) for at in (NOW, NOW + 30))
    assert first == again
    later = webhooks.read(DESK.posted(DESK.event(CALL, "ringing", NOW + 1), at=NOW))
    assert later != first


@pytest.mark.parametrize(
    ("status", "sub_state", "answered_by"),
    [
        ("human", None, AnsweredBy.HUMAN),
        ("machine", None, AnsweredBy.MACHINE),
        ("machine", "beep_start", AnsweredBy.MACHINE_BEEP),
        ("machine", "beep_timeout", AnsweredBy.MACHINE),
    ],
)
def test_machine_detection(webhooks: VonageWebhooks, status: str, sub_state: str | None, answered_by: AnsweredBy):
    fields: dict[str, object] = {"call_uuid": CALL, "status": status, "timestamp": stamp(NOW)}
    (event,) = webhooks.read(DESK.posted(fields | ({"sub_state": sub_state} if sub_state else {}), at=NOW))
    assert isinstance(event, MachineDetected)
    assert (event.call_id, event.answered_by) == (CALL, answered_by)
    assert event.event_id


def media_event(status: str, **fields: object) -> dict[str, object]:
    """An event of the leg between Vonage and our media socket."""
    leg = {"to": "wss://media.example.com/vonage", "uuid": "leg-of-the-socket"}
    return DESK.event(CALL, status, NOW) | leg | fields


@pytest.mark.parametrize("status", ["disconnected", "failed", "unanswered", "timeout"])
def test_a_media_socket_that_is_lost_is_told_for_its_call(webhooks: VonageWebhooks, status: str):
    (event,) = webhooks.read(DESK.posted(media_event(status, headers={"call_id": CALL, "token": "spent"}), at=NOW))
    assert event == MediaLost(call_id=CALL, event_id=f"leg-of-the-socket:{status}:{stamp(NOW)}", cause=status)


@pytest.mark.parametrize("status", ["started", "ringing", "answered", "completed", "cancelled"])
def test_the_rest_of_a_media_sockets_life_is_no_call(webhooks: VonageWebhooks, status: str):
    assert webhooks.read(DESK.posted(media_event(status, headers={"call_id": CALL}), at=NOW)) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"recording_url": "https://api.nexmo.com/elsewhere", "recording_uuid": "1", "conversation_uuid": CONVERSATION},
        {"from": "447700900000", "to": "442079460000", "uuid": CALL, "dtmf": {"digits": "42", "timed_out": True}},
        {"from": "447700900000", "to": "442079460000", "uuid": CALL, "speech": {"results": []}},
        {"conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2", "uuid": CALL},
        {"reason": "Syntax error in NCCO. Invalid value type or action.", "conversation_uuid": CONVERSATION},
    ],
)
def test_events_that_matter_to_nobody_here_say_nothing(webhooks: VonageWebhooks, fields: dict[str, object]):
    assert webhooks.read(DESK.posted(fields, at=NOW)) == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff", b"[" * 60000, b"{}", b'{"to":"app","uuid":"1"}', b'{"to":"442079460000"}', b'{"status":"ringing"}',
     b'{"status":"singing","uuid":"1"}', b'{"uuid":"1"}', b" " * 70000, b'{"status":{},"uuid":[]}'],
)  # fmt: skip
def test_signed_nonsense_is_called_that(webhooks: VonageWebhooks, body: bytes):
    with pytest.raises(BadWebhook):
        webhooks.read(WebhookRequest(method="POST", url=URL, headers={}, body=body))


@given(
    method=st.sampled_from(["GET", "POST", "put"]),
    query=st.text(max_size=60),
    token=st.text(max_size=60),
    body=st.one_of(
        st.binary(max_size=60),
        st.dictionaries(
            st.sampled_from(
                ["to", "from", "uuid", "status", "call_uuid", "sub_state", "headers", "duration", "timestamp", "detail"]
            ),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=8)
            | st.sampled_from(["completed", "machine", "disconnected", "442079460000", "wss://x"])
            | st.dictionaries(st.just("call_id"), st.text(max_size=3) | st.integers()),
        ).map(lambda fields: json.dumps(fields).encode()),
    ),
)
@settings(max_examples=200, deadline=None)
def test_nothing_else_ever_escapes(method: str, query: str, token: str, body: bytes):
    webhooks = VonageWebhooks(signature_secrets=(SIGNATURE_SECRET,))
    request = WebhookRequest(
        method=method, url=f"{URL}?{query}", headers={"authorization": f"Bearer {token}"}, body=body
    )
    with pytest.raises(BadSignature):
        webhooks.verify(request, now=NOW)
    try:
        webhooks.read(request)
    except BadWebhook:
        return


HOSTILE = (
    '<speak>"O\'Hara" & <break time=\'9s\'/>\x00\x1b[2J\u202e\ud800 we\'re\r\nclosed</SPEAK>]}, {"action": "record"}'
)


def test_a_reason_is_said_in_the_callers_language_and_carries_nothing_else(webhooks: VonageWebhooks):
    said = DESK.said_of(webhooks.refuse(HOSTILE, "pt-br"))
    assert said == 'speak>"O\'Hara" & <break time=\'9s\'/>[2J we\'re  closed/SPEAK>]}, {"action": "record"}'
    (talk,) = json.loads(webhooks.refuse(HOSTILE, "pt-br").body)
    assert talk["language"] == "pt-BR"
    assert len(DESK.said_of(webhooks.refuse("long " * 1000, "en"))) <= 1500


@pytest.mark.parametrize(
    ("tag", "spoken"),
    [("en", "en-US"), ("en-GB", "en-GB"), ("de_AT", "de-DE"), ("zh-TW", "cmn-TW"), ("zh", "cmn-CN"), ("fr-CA", "fr-CA"), ("nn", "nb-NO"),
     ("ar-EG", "ar"), ("ES-mx", "es-MX"), ("sw", "en-US"), ("", "en-US"), ("😀", "en-US")],
)  # fmt: skip
def test_the_nearest_language_is_spoken(tag: str, spoken: str):
    assert spoken_language(tag) == spoken


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("resume_url", [None, "https://voice.example.com/webhooks/vonage/resume?call=1&a=b"])
def test_a_call_is_connected_to_its_stream(rate: int, resume_url: str | None):
    target = StreamTarget(
        url="wss://media.example.com/vonage",
        token='t0k"en',
        parameters={"agent": "Zoë & <Söhne>\n", "line": "\x00\\"},
        resume_url=resume_url,
        call_id=CALL,
    )
    document = VonageWebhooks(signature_secrets=(SIGNATURE_SECRET,), rate=rate).connect(target)
    assert DESK.stream_of(document) == target
    (action,) = json.loads(document.body)
    assert action["endpoint"][0]["content-type"] == f"audio/l16;rate={rate}"


@pytest.mark.parametrize(
    "parameters",
    [{"text": "x" * 500}, {"text": "é" * 250}, {"event": "x"}, {"content-type": "x"}, {"call_id": "x"}, {"token": "x"}],
)
def test_parameters_that_the_socket_could_not_give_back_are_refused_here(
    webhooks: VonageWebhooks, parameters: dict[str, str]
):
    with pytest.raises(ValueError, match="parameter"):
        webhooks.connect(StreamTarget(url="wss://media.example.com/vonage", token="t", parameters=parameters))


@pytest.mark.parametrize(
    "made",
    [
        lambda: VonageWebhooks(signature_secrets=("", "s")),
        lambda: VonageWebhooks(signature_secrets=()),
        lambda: VonageWebhooks(signature_secrets=("s",), rate=44100),
    ],
)
def test_settings_that_cannot_work_are_refused(made: Callable[[], VonageWebhooks]):
    with pytest.raises(ValueError, match=r"secret|Vonage"):
        made()
