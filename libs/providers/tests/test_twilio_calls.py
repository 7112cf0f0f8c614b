"""Twilio's REST API, against a server that takes what its documentation knows and nothing else."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
from twilio.twiml.voice_response import VoiceResponse
from voisnap_providers.errors import DigitsUnsent, ProviderError
from voisnap_providers.ports.carrier import Dial, MachineDetection, StreamTarget
from voisnap_providers.vendors.twilio.calls import TwilioCalls
from voisnap_testkit.local_server import answer, read_request, served

pytestmark = pytest.mark.conformance

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
CALL = "CA0123456789abcdef0123456789abcdef"
OTHER = "CA" + "9" * 32
SECRET = "very-secret"
TARGET = StreamTarget(url="wss://h.example/media", token="t0k3n", parameters={"agent": "a<1>"})
ORDER = Dial(
    attempt_id="att_1",
    callee="+4930901820",
    caller="+14155550100",
    target=TARGET,
    events_url="https://h.example/events?attempt=att_1",
)
DIALLED = frozenset(
    [
        "To",
        "From",
        "Twiml",
        "StatusCallback",
        "StatusCallbackMethod",
        "StatusCallbackEvent",
        "Timeout",
        "TimeLimit",
        "SendDigits",
        "MachineDetection",
        "AsyncAmd",
        "AsyncAmdStatusCallback",
        "AsyncAmdStatusCallbackMethod",
    ]
)


class Rest:
    """Twilio's API for one account: remembers the forms it took, and fails as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self.faults: list[tuple[int, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        status, body = self._answer(request)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await answer(scope, send, status, content, {"content-type": "application/json"})

    def _answer(self, request: Any) -> tuple[int, Any]:
        user = base64.b64encode(f"{ACCOUNT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {user}":
            return 401, {"code": 20003, "message": "Authenticate", "more_info": "", "status": 401}
        calls = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
        if request.method != "POST" or request.headers["content-type"] != "application/x-www-form-urlencoded":
            return 405, {"code": 20004, "message": "Method not allowed", "status": 405}
        form = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        dialling = request.path == f"{calls}.json"
        if not dialling and request.path not in (f"{calls}/{CALL}.json", f"{calls}/{OTHER}.json"):
            return 404, {"code": 20404, "message": "not found", "status": 404}
        if not set(form) <= (DIALLED if dialling else {"Twiml", "Status"}):
            return 400, {"code": 20001, "message": "Unknown parameter", "status": 400}
        self.forms.append((request.path, form))
        if self.faults:
            return self.faults.pop(0)
        return (201, {"sid": CALL, "status": "queued"}) if dialling else (200, {"sid": CALL, "status": "completed"})

    @property
    def form(self) -> dict[str, list[str]]:
        """The last one."""
        return self.forms[-1][1]

    def twiml(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.form["Twiml"][0])  # noqa: S314 - our own


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    server = Rest()
    async with served(server) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


@pytest.fixture
async def calls(rest: Rest) -> AsyncIterator[TwilioCalls]:
    made = TwilioCalls(account_sid=ACCOUNT, secret=SECRET, base_url=rest.url)
    yield made
    await made.aclose()


async def test_a_call_is_dialled_and_connected_to_its_stream(rest: Rest, calls: TwilioCalls) -> None:
    assert await calls.dial(ORDER) == CALL
    form = {name: values for name, values in rest.form.items() if name != "Twiml"}
    assert form == {
        "To": ["+4930901820"],
        "From": ["+14155550100"],
        "StatusCallback": ["https://h.example/events?attempt=att_1"],
        "StatusCallbackMethod": ["POST"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        "Timeout": ["30"],
        "TimeLimit": ["3600"],
    }
    stream = rest.twiml()[0][0]
    assert stream.get("url") == TARGET.url
    assert {entry.get("name"): entry.get("value") for entry in stream} == {"agent": "a<1>", "token": "t0k3n"}


async def test_machines_are_asked_for_beside_the_call_and_keys_are_pressed(rest: Rest, calls: TwilioCalls) -> None:
    asked = {MachineDetection.ANSWER: "Enable", MachineDetection.GREETING: "DetectMessageEnd"}
    for detection, said in asked.items():
        await calls.dial(
            Dial(
                attempt_id="att_2",
                callee="sip:desk@pbx.example",
                caller="+14155550100",
                target=TARGET,
                events_url="https://h.example/events",
                ring_seconds=5000,
                detection=detection,
                digits="ww12#",
            )
        )
        assert rest.form["MachineDetection"] == [said]
        assert rest.form["AsyncAmd"] == ["true"]
        assert rest.form["AsyncAmdStatusCallback"] == ["https://h.example/events"]
        assert rest.form["SendDigits"] == ["ww12#"]
        assert rest.form["Timeout"] == ["600"]


async def test_a_number_that_cannot_be_dialled_is_final_and_is_not_repeated_in_the_error(
    rest: Rest, calls: TwilioCalls
) -> None:
    message = "The phone number you are attempting to call, +4930901820, is not valid."
    rest.faults = [(400, {"code": 21217, "message": message, "status": 400})]
    with pytest.raises(ProviderError) as refused:
        await calls.dial(ORDER)
    assert (refused.value.kind, refused.value.retryable) == ("carrier", False)
    assert "21217" in refused.value.detail
    assert "+49" not in refused.value.detail


async def test_hanging_up_ends_a_call_and_one_that_is_over_is_fine(rest: Rest, calls: TwilioCalls) -> None:
    await calls.hang_up(CALL)
    assert rest.form == {"Status": ["completed"]}
    await calls.hang_up("CA" + "f" * 32)
    rest.faults = [(400, {"code": 21220, "message": "Call is not in-progress", "status": 400})]
    await calls.hang_up(CALL)
    # Another server's 404 says nothing of the call.
    rest.faults = [(400, {"code": 20001, "status": 400}), (404, b"<html>"), (502, b"")]
    for retryable in (False, False, True):
        with pytest.raises(ProviderError) as failed:
            await calls.hang_up(CALL)
        assert failed.value.retryable is retryable


async def test_a_call_is_handed_over_to_a_number_or_a_sip_address(rest: Rest, calls: TwilioCalls) -> None:
    await calls.transfer(CALL, callee="+4930901821", caller="+14155550100", ring_seconds=25)
    dial, hangup = rest.twiml()
    assert (dial.tag, dial.attrib, hangup.tag) == ("Dial", {"callerId": "+14155550100", "timeout": "25"}, "Hangup")
    assert [(entry.tag, entry.text) for entry in dial] == [("Number", "+4930901821")]
    await calls.transfer(CALL, callee="sip:desk@pbx.example?x=<1>&y", caller="+14155550100")
    assert [(entry.tag, entry.text) for entry in rest.twiml()[0]] == [("Sip", "sip:desk@pbx.example?x=<1>&y")]


async def test_two_calls_are_joined_in_a_conference_that_ends_with_either_the_other_one_first(
    rest: Rest, calls: TwilioCalls
) -> None:
    await calls.bridge(CALL, OTHER, name="xfer_1")
    assert [path.rpartition("/")[2] for path, _ in rest.forms] == [f"{OTHER}.json", f"{CALL}.json"]
    assert rest.forms[0][1] == rest.forms[1][1]
    official = VoiceResponse()
    dial = official.dial()
    dial.conference(
        "xfer_1",
        beep="false",
        start_conference_on_enter=True,
        end_conference_on_exit=True,
        wait_url="",
        max_participants=2,
    )
    official.hangup()
    assert ElementTree.canonicalize(rest.form["Twiml"][0]) == ElementTree.canonicalize(str(official))


async def test_a_call_whose_partner_is_gone_keeps_its_stream(rest: Rest, calls: TwilioCalls) -> None:
    rest.faults = [(400, {"code": 21220, "status": 400})]
    with pytest.raises(ProviderError, match="over"):
        await calls.bridge(CALL, OTHER, name="xfer_1")
    assert [path.rpartition("/")[2] for path, _ in rest.forms] == [f"{OTHER}.json"]


async def test_a_running_call_is_connected_anew_and_one_that_is_over_is_not(rest: Rest, calls: TwilioCalls) -> None:
    await calls.connect(CALL, TARGET)
    assert rest.twiml()[0][0].get("url") == TARGET.url
    rest.faults = [(400, {"code": 21220, "status": 400})]
    with pytest.raises(ProviderError, match="over") as over:
        await calls.connect(CALL, TARGET)
    assert over.value.retryable is False
    with pytest.raises(ProviderError, match="over"):
        await calls.transfer("CA" + "f" * 32, callee="+4930901821", caller="+14155550100")
    parameters = {str(number): "x" * 490 for number in range(9)}
    with pytest.raises(ValueError, match="4000"):
        await calls.connect(CALL, StreamTarget(url=TARGET.url, token="t", parameters=parameters))


async def test_keys_are_left_to_whoever_speaks(rest: Rest, calls: TwilioCalls) -> None:
    with pytest.raises(DigitsUnsent):
        await calls.send_digits(CALL, "1")
    assert rest.forms == []


async def test_an_answer_of_no_sane_size_is_not_kept(rest: Rest, calls: TwilioCalls) -> None:
    rest.faults = [(200, b"[" + b"1," * 700_000 + b"1]")]
    with pytest.raises(ProviderError):
        await calls.hang_up(CALL)
