"""Telnyx's webhooks, judged by Telnyx's own library: what it verifies is verified, what it parses is read."""

import base64
import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from telnyx.types.call_answered_webhook_event import CallAnsweredWebhookEvent
from telnyx.types.call_hangup_webhook_event import CallHangupWebhookEvent
from telnyx.types.call_initiated_webhook_event import CallInitiatedWebhookEvent
from telnyx.types.call_machine_detection_ended_webhook_event import CallMachineDetectionEndedWebhookEvent
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_providers.ports.carrier import (
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierEvent,
    InboundCall,
    MachineDetected,
    MediaLost,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.telnyx.webhooks import TOLERANCE_SECONDS, TelnyxWebhooks
from voisnap_testkit.telnyx_carrier import CALL, PUBLIC_KEY, SIGNING_KEY, TelnyxDesk

pytestmark = pytest.mark.conformance

NOW = 1795286400
WEBHOOKS = TelnyxWebhooks(PUBLIC_KEY)
SIGNATURE, TIMESTAMP = "telnyx-signature-ed25519", "telnyx-timestamp"


@pytest.fixture(scope="module")
def telnyx_says() -> ModuleType:
    """Telnyx's own check, without the 3,600 modules that come with its package."""
    package = importlib.util.find_spec("telnyx")
    assert package is not None
    assert package.origin is not None
    spec = importlib.util.spec_from_file_location(
        "telnyx_webhook_verification", Path(package.origin).parent / "lib" / "webhook_verification.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def desk() -> TelnyxDesk:
    return TelnyxDesk(url="https://voice.example.com/carriers/telnyx")


def believed(request: WebhookRequest, now: float = NOW) -> bool:
    try:
        WEBHOOKS.verify(request, now=now)
    except BadSignature:
        return False
    return True


def read(request: WebhookRequest) -> CarrierEvent:
    (event,) = WEBHOOKS.read(request)
    return event


# The signature ------------------------------------------------------------------------------------------------------


def requests(desk: TelnyxDesk) -> list[WebhookRequest]:
    """A right one and what a forger might make of it."""
    right = desk.inbound(call_id=CALL, caller="+13122010094", callee="+13122123456", at=NOW)
    signature = right.headers[SIGNATURE]
    raw = base64.b64decode(signature)
    other = desk.posted(right.body, NOW + 1).headers[SIGNATURE]
    stranger = base64.b64encode(SigningKey(b"x" * 32).sign(f"{NOW}|".encode() + right.body).signature).decode()
    headers = [
        {},
        {SIGNATURE: signature},
        {TIMESTAMP: str(NOW)},
        *({TIMESTAMP: str(NOW), SIGNATURE: bad} for bad in ("", "AAAA", other, stranger, signature[:-4])),
        {TIMESTAMP: str(NOW), SIGNATURE: base64.b64encode(raw + b"\0").decode()},
        {TIMESTAMP: str(NOW), SIGNATURE: base64.b64encode(raw[::-1]).decode()},
        *({TIMESTAMP: bad, SIGNATURE: signature} for bad in (str(NOW + 1), f"{NOW}.0", "", "soon", "9" * 400)),
        {TIMESTAMP: str(NOW), SIGNATURE: signature},
    ]
    forged = [msgspec.structs.replace(right, headers=each) for each in headers]
    bodies = [right.body + b" ", right.body.replace(b"+13122010094", b"+13122010095"), b""]
    forged += [msgspec.structs.replace(right, body=body) for body in bodies]
    late = [desk.posted(right.body, NOW + offset) for offset in (-301, -300, -299, 299, 300, 301, -NOW)]
    return [right, *forged, *late]


def test_what_telnyx_own_library_believes_is_believed_and_nothing_else(
    desk: TelnyxDesk, telnyx_says: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telnyx_says, "time", SimpleNamespace(time=lambda: float(NOW)))
    verdicts = []
    for request in requests(desk):
        try:
            telnyx_says.verify_webhook_signature(request.body, request.headers, PUBLIC_KEY)
        except telnyx_says.WebhookVerificationError:
            verdicts.append(False)
        else:
            verdicts.append(True)
        assert believed(request) is verdicts[-1]
    assert (verdicts.count(True), verdicts[0]) == (6, True)


def test_a_request_is_believed_for_five_minutes(desk: TelnyxDesk) -> None:
    request = desk.inbound(call_id=CALL, caller="+13122010094", callee="+13122123456", at=NOW)
    assert TOLERANCE_SECONDS == 300
    assert believed(request, NOW + 300)
    assert not believed(request, NOW + 300.5)
    assert believed(request, NOW - 300)
    assert not believed(request, NOW - 300.5)


def test_why_a_request_is_not_believed_holds_nothing_that_would_help_a_forger(desk: TelnyxDesk) -> None:
    for request in requests(desk):
        try:
            WEBHOOKS.verify(request, now=NOW)
        except BadSignature as refused:
            text = str(refused)
            assert text
            assert len(text) < 100
            assert PUBLIC_KEY not in text
            assert "3122010094" not in text


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_every_body_is_believed_as_it_was_signed_and_in_no_other_way(body: bytes) -> None:
    request = TelnyxDesk(url="https://voice.example.com").posted(body, NOW)
    assert believed(request)
    assert not believed(msgspec.structs.replace(request, body=body + b"\n"))


def test_a_key_that_is_none_is_said_when_it_is_set() -> None:
    for key in (
        "",
        "AAAA",
        "ü",
        "not base64!",
        PUBLIC_KEY[:-1],
        PUBLIC_KEY + "AAAA",
        base64.b64encode(b"x" * 64).decode(),
    ):
        with pytest.raises(ValueError, match="public key") as raised:
            TelnyxWebhooks(key)
        assert not key or key not in str(raised.value)


# The events ---------------------------------------------------------------------------------------------------------


def test_the_events_of_our_emulator_are_telnyx_own(desk: TelnyxDesk) -> None:
    for request, model in (
        (desk.inbound(call_id=CALL, caller="+13122010094", callee="+13122123456", at=NOW), CallInitiatedWebhookEvent),
        (desk.progress(call_id=CALL, phase=CallPhase.ANSWERED, at=NOW), CallAnsweredWebhookEvent),
        (desk.progress(call_id=CALL, phase=CallPhase.BUSY, at=NOW), CallHangupWebhookEvent),
        (desk.machine(call_id=CALL, at=NOW), CallMachineDetectionEndedWebhookEvent),
    ):
        event = model.model_validate_json(request.body, strict=False).data
        assert event is not None
        assert event.payload is not None
        (ours,) = WEBHOOKS.read(request)
        assert (ours.event_id, ours.call_id) == (event.id, event.payload.call_control_id)


def test_a_call_of_ours_is_no_call_to_us(desk: TelnyxDesk) -> None:
    event = read(desk.event("call.initiated", NOW, direction="outgoing", state="bridging"))
    assert isinstance(event, CallProgress)
    assert event.phase is CallPhase.INITIATED


@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ("+13122010094", "+13122010094"),
        ("13122010094", "+13122010094"),
        ("sip:+4930901820@sip.telnyx.com;user=phone", "+4930901820"),
        ("sip:alice@example.com", None),
        ("anonymous", None),
        ("Anonymous", None),
        ("unavailable", None),
        ("restricted", None),
        ("+266696687", None),
        ("", None),
        (None, None),
    ],
)
def test_who_calls_is_a_number_or_nobody(desk: TelnyxDesk, said: str | None, caller: str | None) -> None:
    event = read(desk.event("call.initiated", NOW, direction="incoming", state="parked", **{"from": said}))
    assert isinstance(event, InboundCall)
    assert (event.caller, event.callee) == (caller, "+13122123456")


def test_a_call_to_a_sip_address_keeps_it(desk: TelnyxDesk) -> None:
    event = read(desk.event("call.initiated", NOW, direction="incoming", **{"to": "sip:agents@voisnap.sip.telnyx.com"}))
    assert isinstance(event, InboundCall)
    assert event.callee == "sip:agents@voisnap.sip.telnyx.com"


@pytest.mark.parametrize(
    ("cause", "sip", "phase"),
    [
        ("normal_clearing", "200", CallPhase.COMPLETED),
        ("normal_clearing", "unspecified", CallPhase.COMPLETED),
        ("time_limit", "unspecified", CallPhase.COMPLETED),
        ("originator_cancel", "487", CallPhase.CANCELED),
        ("timeout", "unspecified", CallPhase.NO_ANSWER),
        ("no_answer", "480", CallPhase.NO_ANSWER),
        ("user_busy", "486", CallPhase.BUSY),
        ("call_rejected", "603", CallPhase.BUSY),
        ("call_rejected", 403, CallPhase.FAILED),
        ("not_found", "404", CallPhase.FAILED),
        ("unspecified", "unspecified", CallPhase.FAILED),
        ("something_new", "500", CallPhase.FAILED),
        (None, None, CallPhase.FAILED),
    ],
)
def test_how_a_call_ended_is_read_from_its_cause(
    desk: TelnyxDesk, cause: str | None, sip: str | int | None, phase: CallPhase
) -> None:
    event = read(desk.event("call.hangup", NOW, hangup_cause=cause, sip_hangup_cause=sip, state="hangup"))
    assert isinstance(event, CallProgress)
    assert (event.call_id, event.phase, event.cause) == (CALL, phase, cause or "")


@pytest.mark.parametrize(
    ("kind", "result", "answered_by"),
    [
        ("detection", "human", AnsweredBy.HUMAN),
        ("detection", "machine", AnsweredBy.MACHINE),
        ("detection", "not_sure", AnsweredBy.UNKNOWN),
        ("premium.detection", "human_residence", AnsweredBy.HUMAN),
        ("premium.detection", "human_business", AnsweredBy.HUMAN),
        ("premium.detection", "machine", AnsweredBy.MACHINE),
        ("premium.detection", "fax_detected", AnsweredBy.FAX),
        ("premium.detection", "silence", AnsweredBy.UNKNOWN),
        ("premium.detection", "something_new", AnsweredBy.UNKNOWN),
        ("greeting", "beep_detected", AnsweredBy.MACHINE_BEEP),
        ("greeting", "ended", AnsweredBy.MACHINE_BEEP),
        ("greeting", "not_sure", AnsweredBy.UNKNOWN),
        ("premium.greeting", "beep_detected", AnsweredBy.MACHINE_BEEP),
        ("premium.greeting", "no_beep_detected", AnsweredBy.MACHINE_BEEP),
    ],
)
def test_who_answered_is_read_from_every_detector(
    desk: TelnyxDesk, kind: str, result: str, answered_by: AnsweredBy
) -> None:
    event = read(desk.event(f"call.machine.{kind}.ended", NOW, result=result))
    assert isinstance(event, MachineDetected)
    assert (event.call_id, event.answered_by) == (CALL, answered_by)


def test_the_end_of_a_call_screeners_prompt_is_no_machines(desk: TelnyxDesk) -> None:
    assert WEBHOOKS.read(desk.event("call.machine.premium.greeting.ended", NOW, result="prompt_ended")) == ()


def test_a_lost_stream_is_told_with_its_reason(desk: TelnyxDesk) -> None:
    failed = read(desk.event("streaming.failed", NOW, failure_reason="connection_failed", stream_id="s_1"))
    stopped = read(desk.event("streaming.stopped", NOW, stream_url="wss://voice.example.com/media"))
    assert isinstance(failed, MediaLost)
    assert isinstance(stopped, MediaLost)
    assert (failed.call_id, failed.cause) == (CALL, "connection_failed")
    assert (stopped.call_id, stopped.cause) == (CALL, "streaming.stopped")


def test_the_bill_says_how_long_a_call_was(desk: TelnyxDesk) -> None:
    (billed,) = WEBHOOKS.read(desk.event("call.cost", NOW, billed_duration_secs=120, total_cost="0.0110"))
    assert isinstance(billed, CallProgress)
    assert (billed.call_id, billed.phase, billed.seconds) == (CALL, CallPhase.COMPLETED, 120)
    assert WEBHOOKS.read(desk.event("call.cost", NOW, status="error")) == ()
    assert WEBHOOKS.read(desk.event("call.cost", NOW, billed_duration_secs=-1)) == ()


@pytest.mark.parametrize(
    "kind",
    ["call.dtmf.received", "call.bridged", "streaming.started", "call.recording.saved", "call.cost", "message.sent"],
)
def test_other_events_say_nothing_even_without_a_call(desk: TelnyxDesk, kind: str) -> None:
    assert WEBHOOKS.read(desk.event(kind, NOW, digit="5")) == ()
    assert WEBHOOKS.read(desk.posted(json.dumps({"data": {"event_type": kind}}).encode(), NOW)) == ()


@pytest.mark.parametrize(
    "data",
    [
        {"event_type": "call.hangup"},
        {"event_type": "call.hangup", "payload": None},
        {"event_type": "call.hangup", "payload": []},
        {"event_type": "call.hangup", "payload": {"call_control_id": ""}},
        {"event_type": "call.hangup", "payload": {"call_control_id": 5}},
        {"event_type": "call.initiated", "payload": {"call_control_id": CALL, "to": "+1312"}},
        {"event_type": "call.initiated", "payload": {"call_control_id": CALL, "direction": "incoming"}},
        {"event_type": 5},
        {},
    ],
)
def test_an_event_without_what_it_must_say_is_none(desk: TelnyxDesk, data: dict[str, Any]) -> None:
    with pytest.raises(BadWebhook):
        WEBHOOKS.read(desk.posted(json.dumps({"data": data}).encode(), NOW))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["call_control_id", "direction", "from", "to", "hangup_cause", "sip_hangup_cause", "result"]),
        st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2),
    ),
    st.sampled_from(["call.initiated", "call.hangup", "call.machine.detection.ended", "streaming.failed"]),
)
def test_whatever_an_event_holds_it_is_read_or_refused(payload: dict[str, Any], kind: str) -> None:
    body = json.dumps({"data": {"event_type": kind, "id": "e_1", "payload": payload}}).encode()
    try:
        events = WEBHOOKS.read(TelnyxDesk(url="https://voice.example.com").posted(body, NOW))
    except BadWebhook:
        return
    assert [event.event_id for event in events] == ["e_1"]


def test_answers_are_empty_since_telnyx_is_told_over_rest() -> None:
    target = StreamTarget(url="wss://voice.example.com/media", token="t0k3n")
    for document in (WEBHOOKS.connect(target), WEBHOOKS.refuse("Sorry.", "en")):
        assert (document.status, document.body) == (200, b"")


def test_the_emulators_key_is_the_one_that_the_webhooks_know() -> None:
    assert base64.b64decode(PUBLIC_KEY) == bytes(SIGNING_KEY.verify_key)
