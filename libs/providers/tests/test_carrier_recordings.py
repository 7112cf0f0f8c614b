"""Recordings that carriers make: ordered with what is handed over or by command, told when they are ready, fetched and deleted.

The carriers' own libraries judge what is ordered. A carrier joins with one line in CASES.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import canonicalize

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from telnyx.types.calls import action_bridge_params, action_start_recording_params, action_transfer_params
from twilio.twiml.voice_response import Dial, VoiceResponse
from voisnap_providers.errors import ProviderAuthError, ProviderError, RecordingUnavailable
from voisnap_providers.ports.carrier import (
    CallControl,
    HandOverCourse,
    RecordingFormat,
    RecordingOrder,
    RecordingSaved,
)
from voisnap_providers.vendors.telnyx.calls import TelnyxCalls
from voisnap_providers.vendors.telnyx.webhooks import TelnyxWebhooks
from voisnap_providers.vendors.twilio.calls import TwilioCalls
from voisnap_providers.vendors.twilio.webhooks import TwilioWebhooks
from voisnap_providers.vendors.vonage.calls import VonageCalls
from voisnap_providers.vendors.vonage.webhooks import VonageWebhooks
from voisnap_testkit import telnyx_carrier, twilio_carrier, vonage_carrier
from voisnap_testkit.carrier_end import DeskEnd
from voisnap_testkit.local_server import HttpRequest, answer, read_request, served
from vonage_voice.models import Record

pytestmark = pytest.mark.conformance

SOUND = bytes(range(256)) * 1000
ORDER = RecordingOrder(events_url="https://h.example/recording?session=s1&attempt=x1", format=RecordingFormat.MP3)
COURSE = HandOverCourse(attempt_id="x1", events_url="https://h.example/events", after_url="https://h.example/resume")
CALLEE, CALLER = "+4930901820", "+14155550100"
NOW = 1_795_284_000.0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    made: Callable[[str, str], CallControl]
    webhooks: Callable[[], Any]
    desk: Callable[[], DeskEnd]
    call_id: str
    recording_id: str
    media: str
    """Where the recording lies."""
    deletes: bool = True


URL = "https://h.example/recording"
CASES = (
    Case(
        name="twilio",
        made=lambda url, _: TwilioCalls(account_sid=twilio_carrier.ACCOUNT, secret="secret", base_url=url),
        webhooks=lambda: TwilioWebhooks(auth_tokens=(twilio_carrier.AUTH_TOKEN,)),
        desk=lambda: twilio_carrier.TwilioDesk(url=URL),
        call_id=twilio_carrier.CALL,
        recording_id="RE" + "1" * 32,
        media=f"/2010-04-01/Accounts/{twilio_carrier.ACCOUNT}/Recordings/RE{'1' * 32}.mp3",
    ),
    Case(
        name="vonage",
        made=lambda url, key: VonageCalls(application_id="app", private_key=key, base_url=url),
        webhooks=lambda: VonageWebhooks(signature_secrets=(vonage_carrier.SIGNATURE_SECRET,)),
        desk=lambda: vonage_carrier.VonageDesk(url=URL),
        call_id=vonage_carrier.CALL,
        recording_id="bbbbbbbb-aaaa-cccc-dddd-0123456789ab",
        media="/v1/files/bbbbbbbb-aaaa-cccc-dddd-0123456789ab",
        deletes=False,
    ),
    Case(
        name="telnyx",
        made=lambda url, _: TelnyxCalls(api_key="KEY1", connection_id="1684641123236054244", base_url=f"{url}/v2"),
        webhooks=lambda: TelnyxWebhooks(telnyx_carrier.PUBLIC_KEY),
        desk=lambda: telnyx_carrier.TelnyxDesk(url=URL),
        call_id=telnyx_carrier.CALL,
        recording_id="0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        media="/media/r.mp3",
    ),
)


class Api:
    """A carrier's REST API and where it keeps recordings; `status` is how the media are answered."""

    def __init__(self, case: Case) -> None:
        self.case, self.url = case, ""
        self.asked: list[HttpRequest] = []
        self.status, self.location = 200, ""
        self.sound = SOUND

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        self.asked.append(request)
        if request.path == self.case.media:
            headers = {"content-type": "audio/mpeg", **({"location": self.location} if self.location else {})}
            await answer(scope, send, self.status, self.sound, headers)
            return
        data = {"id": self.case.recording_id, "download_urls": {"mp3": f"{self.url}/media/r.mp3"}}
        body: dict[str, Any] = {"data": data, "sid": self.case.recording_id, "result": "ok"}
        await answer(scope, send, 200, json.dumps(body).encode(), {"content-type": "application/json"})

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.asked[-1].body.decode()).items()}


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
async def api(case: Case) -> AsyncIterator[Api]:
    running = Api(case)
    async with served(running) as port:
        running.url = f"http://127.0.0.1:{port}"
        yield running


@pytest.fixture
async def control(case: Case, api: Api, private_key: str) -> AsyncIterator[CallControl]:
    made = case.made(api.url, private_key)
    yield made
    await made.aclose()


async def fetched(control: CallControl, recording_id: str, most: int = 10_000_000) -> bytes:
    return b"".join([piece async for piece in control.fetch_recording(recording_id, RecordingFormat.MP3, most=most)])


def test_a_recording_that_is_ready_is_told_with_its_length_and_without_where_it_lies(case: Case) -> None:
    request = case.desk().recorded(case.recording_id, call_id=case.call_id, at=NOW)
    webhooks = case.webhooks()
    webhooks.verify(request, now=NOW)
    (event,) = webhooks.read(request)
    assert isinstance(event, RecordingSaved)
    assert (event.recording_id, event.seconds) == (case.recording_id, 12.0)
    assert event.call_id == ("" if case.name == "vonage" else case.call_id)
    assert event.event_id
    assert "elsewhere" not in repr(event)


async def test_a_recording_is_fetched_with_credentials_and_within_its_bound(
    case: Case, api: Api, control: CallControl
) -> None:
    assert await fetched(control, case.recording_id) == SOUND
    media = api.asked[-1]
    assert (media.method, media.path) == ("GET", case.media)
    assert media.headers["authorization"]
    with pytest.raises(ProviderError) as raised:
        await fetched(control, case.recording_id, most=len(SOUND) - 1)
    assert not raised.value.retryable
    assert await fetched(control, case.recording_id, most=len(SOUND)) == SOUND


async def test_a_recording_that_is_gone_is_final_and_a_carrier_that_fails_is_asked_again(
    case: Case, api: Api, control: CallControl
) -> None:
    for status, retryable in ((404, False), (410, False), (429, True), (502, True)):
        api.status = status
        with pytest.raises(ProviderError) as raised:
            await fetched(control, case.recording_id)
        assert raised.value.retryable is retryable, status
    api.status = 401
    with pytest.raises(ProviderAuthError):
        await fetched(control, case.recording_id)


async def test_nobody_is_followed_out_of_the_carrier(case: Case, api: Api, control: CallControl) -> None:
    async with served(api) as elsewhere:
        for location in (f"http://127.0.0.1:{elsewhere}/x", "https://127.0.0.1/x", "file:///etc/passwd", "", "//x/y"):
            api.status, api.location = 302, location
            with pytest.raises(ProviderError):
                await fetched(control, case.recording_id)
    assert {request.path for request in api.asked} <= {case.media, f"/v2/recordings/{case.recording_id}"}


async def test_ids_of_recordings_alone_get_into_a_path(api: Api, control: CallControl) -> None:
    for odd in ("", "..", "x/../y", "RE1?x=1", "http://x/v1/files/1", "evil.example/1", "a b", "leg:", "leg:../x"):
        with pytest.raises(ProviderError):
            await fetched(control, odd)
        if type(control) is not VonageCalls:
            with pytest.raises(ProviderError):
                await control.delete_recording(odd)
    assert api.asked == []


async def test_what_is_fetched_is_deleted_where_the_carrier_can(case: Case, api: Api, control: CallControl) -> None:
    await control.delete_recording(case.recording_id)
    assert [request.method for request in api.asked] == (["DELETE"] if case.deletes else [])
    if case.deletes:
        assert case.recording_id in api.asked[0].path


async def test_a_recording_is_begun_paused_and_ended_by_command(case: Case, api: Api, control: CallControl) -> None:
    commands = (
        lambda: control.start_recording(case.call_id, ORDER),
        lambda: control.pause_recording(case.call_id, case.recording_id),
        lambda: control.resume_recording(case.call_id, case.recording_id),
        lambda: control.stop_recording(case.call_id, case.recording_id),
    )
    if case.name == "vonage":
        for command in commands:
            with pytest.raises(RecordingUnavailable):
                await command()
        return
    assert await commands[0]() == (case.recording_id if case.name == "twilio" else "")
    if case.name == "twilio":
        assert api.form()["RecordingStatusCallback"] == ORDER.events_url
    else:
        assert json.loads(api.asked[-1].body).keys() <= set(
            action_start_recording_params.ActionStartRecordingParams.__annotations__
        )
    for command, said in zip(commands[1:], ("paused", "in-progress", "stopped"), strict=True):
        await command()
        if case.name == "twilio":
            assert api.form()["Status"] == said
        else:
            word = {"paused": "pause", "in-progress": "resume", "stopped": "stop"}[said]
            assert api.asked[-1].path.endswith(f"/actions/record_{word}")


async def test_what_is_handed_over_is_recorded_in_the_same_step(case: Case, api: Api, control: CallControl) -> None:
    await control.transfer(
        case.call_id,
        callee=CALLEE,
        caller=CALLER,
        course=COURSE,
        recording=msgspec.structs.replace(ORDER, is_stereo=True),
    )
    match case.name:
        case "twilio":
            told = VoiceResponse()
            dial = Dial(
                caller_id=CALLER,
                timeout=30,
                action=COURSE.after_url,
                method="POST",
                record="record-from-answer-dual",
                trim="do-not-trim",
                recording_status_callback=ORDER.events_url,
                recording_status_callback_method="POST",
                recording_status_callback_event="completed absent",
            )
            dial.number(
                CALLEE,
                status_callback=COURSE.events_url,
                status_callback_method="POST",
                status_callback_event="initiated ringing answered completed",
            )
            told.append(dial)
            told.hangup()
            assert canonicalize(api.form()["Twiml"]) == canonicalize(str(told))
        case "vonage":
            record, connect = json.loads(api.asked[-1].body)["destination"]["ncco"]
            assert Record(**record).model_dump(exclude_none=True) == record | {"action": record["action"]}
            assert (connect["eventType"], connect["eventUrl"]) == ("synchronous", [COURSE.after_url])
        case _:
            body = json.loads(next(one.body for one in api.asked if one.path.endswith("/transfer")))
            assert body.keys() <= set(action_transfer_params.ActionTransferParams.__annotations__) | {"from"}
            assert (body["record"], body["record_channels"], body["record_format"]) == (
                "record-from-answer", "dual", "mp3",
            )  # fmt: skip


async def test_two_calls_that_are_joined_are_recorded_once(case: Case, api: Api, control: CallControl) -> None:
    await control.bridge(case.call_id, case.call_id, name="xfer_1", recording=ORDER)
    match case.name:
        case "twilio":
            # Of a conference Twilio makes one recording, whoever orders it.
            assert 'record="record-from-start"' in api.form()["Twiml"]
        case "vonage":
            documents = [json.loads(one.body)["destination"]["ncco"] for one in api.asked]
            assert [[one["action"] for one in ncco] for ncco in documents] == [
                ["conversation"],
                ["record", "conversation"],
            ]
        case _:
            body = json.loads(next(one.body for one in api.asked if one.path.endswith("/bridge")))
            assert body.keys() <= set(action_bridge_params.ActionBridgeParams.__annotations__) | {"call_control_id"}
            assert body["record_channels"] == "single"


async def test_telnyx_finds_a_recording_by_the_leg_of_its_call(private_key: str) -> None:
    case = CASES[2]
    api = Api(case)
    webhooks = TelnyxWebhooks(telnyx_carrier.PUBLIC_KEY)
    desk = telnyx_carrier.TelnyxDesk(url=URL)
    saved = {"recording_urls": {"mp3": "https://elsewhere.example/r.mp3"}, "client_state": None}
    (event,) = webhooks.read(desk.event("call.recording.saved", NOW, **saved))
    assert isinstance(event, RecordingSaved)
    async with served(api) as port:
        api.url = f"http://127.0.0.1:{port}"
        control = case.made(api.url, private_key)
        assert await fetched(control, event.recording_id) == SOUND
        assert api.asked[0].raw_query == "filter[call_leg_id]=428c31b6-7af4-4bcb-b7f5-5013ef9657c1"
        await control.delete_recording(event.recording_id)
        assert api.asked[-1].path == f"/v2/recordings/{case.recording_id}"
        await control.aclose()


def test_a_recording_of_another_region_is_named_with_its_host() -> None:
    webhooks = VonageWebhooks(signature_secrets=("s",))
    desk = vonage_carrier.VonageDesk(url=URL)
    for host, named in (
        ("api-eu-3.vonage.com", "api-eu-3.vonage.com/1"),
        ("evil.example", "1"),
        ("api.nexmo.com", "1"),
    ):
        request = desk.posted({"recording_url": f"https://{host}/v1/files/1", "conversation_uuid": "CON-1"}, at=NOW)
        (event,) = webhooks.read(request)
        assert isinstance(event, RecordingSaved)
        assert event.recording_id == named


@pytest.mark.parametrize(
    ("host", "is_theirs"),
    [
        ("s3.amazonaws.com", True),
        ("s3.eu-central-1.amazonaws.com", True),
        ("telephony-recorder.s3.eu-west-1.amazonaws.com", True),
        ("ec2-10-0-0-1.eu-central-1.compute.amazonaws.com", False),
        ("s3.eu-central-1.amazonaws.com.evil.example", False),
        ("evils3.amazonaws.com", False),
    ],
)
async def test_telnyx_keeps_recordings_in_the_stores_of_several_regions(host: str, is_theirs: bool) -> None:
    asked: list[httpx.Request] = []

    async def body(content: bytes) -> AsyncIterator[bytes]:
        yield content

    def given(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = {"data": {"download_urls": {"mp3": f"https://{host}/r.mp3?X-Amz-Expires=600"}}}
        is_api = request.url.host == "api.telnyx.com"
        return httpx.Response(200, content=body(json.dumps(found).encode() if is_api else SOUND))

    control = TelnyxCalls(connection_id="1", api_key="KEY1")
    await control.aclose()
    network = httpx.MockTransport(given)
    control._http._client = httpx.AsyncClient(
        transport=network, base_url="https://api.telnyx.com/v2", headers={"Authorization": "Bearer KEY1"}
    )
    control._http._stranger = httpx.AsyncClient(transport=network)
    if is_theirs:
        assert await fetched(control, CASES[2].recording_id) == SOUND
        assert (asked[-1].url.host, "authorization" in asked[-1].headers) == (host, False)
    else:
        with pytest.raises(ProviderError, match="outside"):
            await fetched(control, CASES[2].recording_id)
        assert [one.url.host for one in asked] == ["api.telnyx.com"]
    await control.aclose()
