"""Telnyx's Call Control, against a server that takes what the parameters of Telnyx's own library know and nothing else."""

import ast
import importlib.util
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from voisnap_providers.errors import DialUncertain, ProviderError
from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    Dial,
    MachineDetection,
    MediaLost,
    MediaStarted,
    StreamTarget,
)
from voisnap_providers.vendors.telnyx import calls as telnyx_calls
from voisnap_providers.vendors.telnyx.calls import TelnyxCalls
from voisnap_providers.vendors.telnyx.media import TelnyxMedia
from voisnap_providers.vendors.telnyx.webhooks import TRANSFER_FAILED, TelnyxWebhooks
from voisnap_testkit.local_server import HttpRequest, answer, read_request, served
from voisnap_testkit.telnyx_carrier import CALL, PUBLIC_KEY, STREAM, TelnyxDesk

pytestmark = pytest.mark.conformance

KEY = "KEY0123456789_secret"
CONNECTION = "1494404757140276705"
TARGET = StreamTarget(url="wss://voice.example.com/media", token="t0k3n", parameters={"agent": "a<1> ünï"})
OTHER = "v3:other-leg"
ORDER = Dial(
    attempt_id="att_1",
    callee="+4930901820",
    caller="+14155550100",
    target=TARGET,
    events_url="https://voice.example.com/events?attempt=att_1",
)
PARAMS = {
    "": "call_dial_params",
    "answer": "calls/action_answer_params",
    "bridge": "calls/action_bridge_params",
    "speak": "calls/action_speak_params",
    "hangup": "calls/action_hangup_params",
    "send_dtmf": "calls/action_send_dtmf_params",
    "streaming_start": "calls/action_start_streaming_params",
    "streaming_stop": "calls/action_stop_streaming_params",
    "transfer": "calls/action_transfer_params",
}


@cache
def fields(action: str) -> dict[str, tuple[bool, tuple[str, ...]]]:
    """What a command takes, by Telnyx's own library: is it required, and its words where only some are allowed. Read and not imported,
    which would take 2,000 modules."""
    package = importlib.util.find_spec("telnyx")
    assert package is not None
    assert package.origin is not None
    source = (Path(package.origin).parent / "types" / f"{PARAMS[action]}.py").read_text()
    (params,) = (
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name.endswith("Params")
    )
    known = {}
    for entry in params.body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            text = ast.unparse(entry.annotation)
            words = ast.literal_eval(text.removeprefix("Literal")) if text.startswith("Literal[") else []
            spelt = re.search(r"alias='(\w+)'", text)
            name = spelt[1] if spelt else entry.target.id.removesuffix("_")
            known[name] = (text.startswith("Required["), tuple(words))
    return known


class CallControl:
    """Telnyx's API: remembers the commands it took, fails as it is told, and knows the phase of its one call."""

    def __init__(self) -> None:
        self.url = ""
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[tuple[int, Any]] = []
        self.is_answered = self.is_over = False
        self.unready = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, body = self._answer(await read_request(scope, receive))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await answer(scope, send, status, content, {"content-type": "application/json"})

    def _answer(self, request: HttpRequest) -> tuple[int, Any]:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return failed(401, "10009", "Authentication failed")
        head, _, action = request.path.partition("/actions/")
        if (
            request.method != "POST"
            or head not in ("/v2/calls", *(f"/v2/calls/{one}" for one in (CALL, OTHER)))
            or action not in PARAMS
        ):
            return failed(404, "10005", "Resource not found")
        command = json.loads(request.body)
        if fault := misspelt(action, command):
            return failed(422, "10015", fault)
        if self.faults:
            return self.faults.pop(0)
        if head == "/v2/calls":
            self.commands.append(("dial", command))
            ids = {"call_control_id": CALL, "call_leg_id": "l", "call_session_id": "s"}
            return 200, {"data": {**ids, "is_alive": False, "record_type": "call"}}
        if self.is_over:
            return failed(422, "90018", "Call has already ended")
        if action == "speak" and self.unready:
            self.unready -= 1
            return failed(422, "90000", "Call is not answered yet")
        if action == "answer" and self.is_answered:
            return failed(422, "90000", "Call is already answered")
        self.commands.append((action, command))
        self.is_answered |= action == "answer"
        self.is_over |= action == "hangup"
        return 200, {"data": {"result": "ok"}}


def failed(status: int, code: str, title: str) -> tuple[int, Any]:
    return status, {"errors": [{"code": code, "title": title, "detail": f"{title}: +4930901820."}]}


def misspelt(action: str, command: dict[str, Any]) -> str | None:
    known = fields(action)
    for name, value in command.items():
        if name not in known:
            return f"{name} is unknown"
        if known[name][1] and value not in known[name][1]:
            return f"{name} may not be {value}"
    return next((f"{name} is missing" for name, (needed, _) in known.items() if needed and name not in command), None)


@pytest.fixture
async def telnyx() -> AsyncIterator[CallControl]:
    api = CallControl()
    async with served(api) as port:
        api.url = f"http://127.0.0.1:{port}/v2"
        yield api


@pytest.fixture
async def calls(telnyx: CallControl) -> AsyncIterator[TelnyxCalls]:
    control = TelnyxCalls(api_key=KEY, connection_id=CONNECTION, base_url=telnyx.url)
    yield control
    await control.aclose()


def started(command: dict[str, Any]) -> MediaStarted:
    """How a stream begins that a command asked for."""
    wire = TelnyxMedia()
    connected = {"event": "connected", "x-telnyx-streaming-auth-token": command.get("stream_auth_token")}
    assert wire.read(json.dumps(connected)) == ()
    start = {
        "call_control_id": CALL,
        "client_state": command.get("client_state"),
        "custom_parameters": {entry["name"]: entry["value"] for entry in command.get("custom_parameters", [])},
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    }
    (event,) = wire.read(json.dumps({"event": "start", "stream_id": STREAM, "start": start}))
    assert isinstance(event, MediaStarted)
    return event


def test_telnyx_own_library_says_what_is_taken() -> None:
    assert fields("")["to"] == (True, ())
    assert "from" in fields("")
    assert fields("")["webhook_url_method"] == (False, ("POST", "GET"))
    assert misspelt("answer", {"stream_auth_token": "t"}) == "stream_auth_token is unknown"


async def test_a_call_is_dialled_once_by_its_attempt_and_connected_when_answered(
    telnyx: CallControl, calls: TelnyxCalls
) -> None:
    assert await calls.dial(ORDER) == CALL
    ((action, command),) = telnyx.commands
    assert action == "dial"
    assert command["command_id"] == "att_1"
    assert (command["connection_id"], command["to"], command["from"]) == (CONNECTION, "+4930901820", "+14155550100")
    assert command["webhook_url"] == ORDER.events_url
    assert (command["timeout_secs"], command["time_limit_secs"]) == (30, 3600)
    assert command["answering_machine_detection"] == "disabled"
    assert "send_digits_on_answer" not in command
    start = started(command)
    assert start.parameters == {TOKEN_PARAMETER: "t0k3n", "agent": "a<1> ünï"}
    assert (start.spoken.codec, start.spoken.rate) == ("pcmu", 8000)


@pytest.mark.parametrize(
    ("detection", "word"), [(MachineDetection.ANSWER, "detect"), (MachineDetection.GREETING, "greeting_end")]
)
async def test_what_an_order_wishes_is_asked_within_what_telnyx_allows(
    telnyx: CallControl, calls: TelnyxCalls, detection: MachineDetection, word: str
) -> None:
    wishes = {"detection": detection, "digits": "ww12#", "ring_seconds": 1, "longest_seconds": 10**6}
    await calls.dial(msgspec.structs.replace(ORDER, **wishes))
    command = telnyx.commands[0][1]
    assert command["answering_machine_detection"] == word
    assert command["send_digits_on_answer"] == "ww12#"
    assert (command["timeout_secs"], command["time_limit_secs"]) == (5, 14400)


async def test_a_ringing_call_is_answered_and_connected_in_one_step(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.connect(CALL, TARGET)
    ((action, command),) = telnyx.commands
    assert action == "answer"
    assert started(command).parameters == {TOKEN_PARAMETER: "t0k3n", "agent": "a<1> ünï"}
    assert "t0k3n" not in command["stream_url"]


async def test_an_answered_call_gets_a_new_stream(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.connect(CALL, TARGET)
    await calls.connect(CALL, msgspec.structs.replace(TARGET, token="an0th3r", url="wss://two.example.com/media"))
    action, command = telnyx.commands[-1]
    assert (action, command["stream_url"]) == ("streaming_start", "wss://two.example.com/media")
    assert started(command).parameters == {TOKEN_PARAMETER: "an0th3r", "agent": "a<1> ünï"}
    first, second = (each["command_id"] for _, each in telnyx.commands)
    assert first.partition("-")[2] != second.partition("-")[2]


async def test_what_is_asked_twice_for_one_target_is_one_command(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.connect(CALL, TARGET)
    telnyx.is_answered = False
    await calls.connect(CALL, TARGET)
    assert telnyx.commands[0] == telnyx.commands[1]


async def test_a_call_is_ended_and_one_that_is_over_is_fine(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.hang_up(CALL)
    assert telnyx.is_over
    await calls.hang_up(CALL)
    await calls.hang_up("v3:somebody-elses")
    for command in (
        calls.connect(CALL, TARGET),
        calls.send_digits(CALL, "1"),
        calls.transfer(CALL, callee="+1", caller="+2"),
    ):
        with pytest.raises(ProviderError, match="over") as raised:
            await command
        assert not raised.value.retryable


async def test_a_refused_call_hears_why_and_is_told_of_when_it_has(
    telnyx: CallControl, calls: TelnyxCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telnyx_calls, "_SPEAK_SECONDS", (0.0,) * 3)
    telnyx.unready = 3
    await calls.refuse(CALL, "Sorry <b>&\x00\ud800 nobody is here." + "x" * 5000, "de")
    (answered, _), (spoken, command) = telnyx.commands
    assert (answered, spoken, command["language"]) == ("answer", "speak", "de-DE")
    assert command["payload"].startswith("Sorry <b>&\x00? nobody is here.xxx")
    assert len(command["payload"]) == 3000
    desk, webhooks = TelnyxDesk(url="https://voice.example.com/carriers/telnyx"), TelnyxWebhooks(PUBLIC_KEY)
    (event,) = webhooks.read(desk.event("call.speak.ended", 0.0, client_state=command["client_state"]))
    assert isinstance(event, MediaLost)
    assert event.call_id == CALL
    assert webhooks.read(desk.event("call.speak.ended", 0.0, client_state=None)) == ()


async def test_a_call_that_never_becomes_ready_is_not_spoken_to_for_ever(
    telnyx: CallControl, calls: TelnyxCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telnyx_calls, "_SPEAK_SECONDS", (0.0,) * 3)
    telnyx.unready = 10
    with pytest.raises(ProviderError, match="422"):
        await calls.refuse(CALL, "Sorry.", "en")
    assert telnyx.unready == 6


@pytest.mark.parametrize(
    ("tag", "spoken"),
    [
        ("en", "en-US"),
        ("en-gb", "en-GB"),
        ("en-NZ", "en-US"),
        ("zh-CN", "cmn-CN"),
        ("ar", "arb"),
        ("no", "nb-NO"),
        ("uk", "en-US"),
        ("", "en-US"),
    ],
)
async def test_a_reason_is_said_in_the_nearest_language_that_telnyx_speaks(
    telnyx: CallControl, calls: TelnyxCalls, tag: str, spoken: str
) -> None:
    await calls.refuse(CALL, "Sorry.", tag)
    assert telnyx.commands[1][1]["language"] == spoken


async def test_keys_are_pressed_without_ending_the_stream(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.send_digits(CALL, "w0123456789*#ABCD")
    assert telnyx.commands == [("send_dtmf", {"digits": "w0123456789*#ABCD"})]
    for digits in ("", "12x", "1 2", "١", "1" * 65, "1\n"):
        with pytest.raises(ProviderError, match="Digits") as raised:
            await calls.send_digits(CALL, digits)
        assert not raised.value.retryable
    assert len(telnyx.commands) == 1


async def test_a_call_that_is_handed_over_loses_its_stream(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.transfer(CALL, callee="+4930901821", caller="+14155550100", ring_seconds=20)
    (action, command), stop = telnyx.commands
    assert action == "transfer"
    assert (command["to"], command["from"], command["timeout_secs"]) == ("+4930901821", "+14155550100", 20)
    assert stop == ("streaming_stop", {})


async def test_a_stream_that_does_not_end_does_not_undo_a_transfer(telnyx: CallControl, calls: TelnyxCalls) -> None:
    for fault in (failed(422, "90000", "No stream"), (500, {})):
        telnyx.faults = [(200, {"data": {"result": "ok"}}), fault]
        await calls.transfer(CALL, callee="+4930901821", caller="+14155550100")
        assert telnyx.faults == []


async def test_two_calls_that_are_joined_lose_their_streams(telnyx: CallControl, calls: TelnyxCalls) -> None:
    await calls.bridge(CALL, OTHER, name="xfer_1")
    assert telnyx.commands[0] == ("bridge", {"call_control_id": OTHER, "command_id": "bridge-xfer_1"})
    assert telnyx.commands[1:] == [("streaming_stop", {})] * 2


async def test_calls_that_are_not_joined_keep_their_streams(telnyx: CallControl, calls: TelnyxCalls) -> None:
    telnyx.faults = [failed(422, "90018", "Call has already ended")]
    with pytest.raises(ProviderError, match="over"):
        await calls.bridge(CALL, OTHER, name="xfer_1")
    with pytest.raises(ProviderError, match="no id"):
        await calls.bridge(CALL, "../x", name="xfer_1")
    assert telnyx.commands == []


@pytest.mark.parametrize(
    ("cause", "waits"),
    [
        ("timeout", True),
        ("user_busy", True),
        ("not_found", True),
        ("normal_clearing", False),
        ("originator_cancel", False),
    ],
)
async def test_a_call_whose_new_partner_does_not_answer_is_told_to_wait(
    telnyx: CallControl, calls: TelnyxCalls, cause: str, waits: bool
) -> None:
    await calls.transfer(CALL, callee="+4930901821", caller="+14155550100")
    kept = telnyx.commands[0][1]["target_leg_client_state"]
    desk = TelnyxDesk(url="https://voice.example.com/carriers/telnyx")
    request = desk.event("call.hangup", 0.0, call_id="v3:partner", client_state=kept, hangup_cause=cause)
    partner, *lost = TelnyxWebhooks(PUBLIC_KEY).read(request)
    assert partner.call_id == "v3:partner"
    assert [(event.call_id, event.event_id) for event in lost] == [(CALL, partner.event_id)] * waits
    assert all(isinstance(event, MediaLost) and event.cause.startswith(TRANSFER_FAILED) for event in lost)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(400, "10015", False), (403, "10010", False), (409, "10019", True), (422, "10016", False)],
)
async def test_a_refusal_is_told_by_its_code_and_never_by_its_text(
    telnyx: CallControl, calls: TelnyxCalls, status: int, code: str, retryable: bool
) -> None:
    telnyx.faults = [failed(status, code, "Invalid destination")] * 2
    for command in (calls.dial(ORDER), calls.send_digits(CALL, "1")):
        with pytest.raises(ProviderError) as raised:
            await command
        error = raised.value
        assert (error.kind, error.provider, error.retryable) == ("carrier", "telnyx", retryable)
        assert code in error.detail
        assert "4930901820" not in error.detail
        assert not isinstance(error, DialUncertain)


async def test_a_refusal_in_no_words_of_telnyx_is_one_all_the_same(telnyx: CallControl, calls: TelnyxCalls) -> None:
    for garbage in ({"errors": "x"}, {"errors": [5, {"code": None}]}, [], None, b""):
        telnyx.faults = [(422, garbage)]
        with pytest.raises(ProviderError, match="422"):
            await calls.send_digits(CALL, "1")


def test_a_state_of_somebody_elses_making_says_nothing_of_the_stream() -> None:
    for state in ("aGF2ZSBhIG5pY2UgZGF5ID1d", "not base64", "ü", b64encode(b'{"stream": 5}').decode(), ""):
        assert started({"client_state": state}).parameters == {}
