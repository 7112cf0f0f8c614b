"""Twilio's REST API for calls: forms in, JSON out, under Basic authentication.

https://www.twilio.com/docs/voice/api/call-resource
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from xml.etree import ElementTree

from voisnap_providers.errors import DialUncertain, DigitsUnsent, ProviderError
from voisnap_providers.ports.carrier import (
    CallControl,
    Dial,
    HandOverCourse,
    MachineDetection,
    RecordingFormat,
    RecordingOrder,
    StreamTarget,
)
from voisnap_providers.vendors.carrier_http import CarrierHttp, Rejected

from . import twiml

BASE_URL = "https://api.twilio.com"
PROVIDER = "twilio"
MAX_TWIML = 4000
MIN_RING_SECONDS, MAX_RING_SECONDS = 5, 600
MAX_CALL_SECONDS = 86400
_CALL = re.compile(r"CA[0-9a-fA-F]{32}", re.ASCII)
_RECORDING = re.compile(r"RE[0-9a-fA-F]{32}", re.ASCII)
_HOSTS = (".twilio.com", ".twiliocdn.com")
"""Where the API may send whoever fetches a recording; nobody there is shown the account's secret."""
_GONE = frozenset({20404, 21220})
"""Codes of a call that is not there any more, and of one that is not in progress."""
_DETECTIONS: Mapping[MachineDetection, Mapping[str, str]] = {
    MachineDetection.OFF: {},
    MachineDetection.ANSWER: {"MachineDetection": "Enable"},
    MachineDetection.GREETING: {"MachineDetection": "DetectMessageEnd"},
}


class TwilioCalls(CallControl):
    """Calls of one account, with its Auth Token or with an API key (`SK…` and its secret)."""

    def __init__(self, *, account_sid: str, user: str = "", secret: str, base_url: str = BASE_URL) -> None:
        self._account = f"/2010-04-01/Accounts/{account_sid}"
        self._path = f"{self._account}/Calls"
        self._http = CarrierHttp(PROVIDER, base_url=base_url, auth=(user or account_sid, secret))

    async def dial(self, order: Dial) -> str:
        """Answering machines are told of in a request of their own, so that nobody who answers has to wait for it."""
        detection = _DETECTIONS[order.detection]
        form = {
            "To": order.callee,
            "From": order.caller,
            "Twiml": _short(twiml.connect(order.target)),
            "StatusCallback": order.events_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "Timeout": str(_ringing(order.ring_seconds)),
            "TimeLimit": str(min(max(order.longest_seconds, 1), MAX_CALL_SECONDS)),
            **detection,
        }
        if detection:
            form |= {
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": order.events_url,
                "AsyncAmdStatusCallbackMethod": "POST",
            }
        if order.digits:
            form["SendDigits"] = order.digits
        try:
            answer = await self._http.asked("POST", f"{self._path}.json", form=form, dialling=True)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        call_id = answer.get("sid") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not _CALL.fullmatch(call_id):
            raise DialUncertain("Twilio took the call and did not name it.", provider=PROVIDER)
        return call_id

    async def connect(self, call_id: str, target: StreamTarget) -> None:
        await self._change(call_id, Twiml=_short(twiml.connect(target)))

    async def refuse(self, call_id: str, text: str, language: str) -> None:
        """Nothing: the answer to the webhook says it."""

    async def hang_up(self, call_id: str) -> None:
        try:
            # `completed` ends a call that is ringing or queued, too.
            await self._http.asked("POST", self._call(call_id), form={"Status": "completed"})
        except Rejected as rejected:
            if _code(rejected) not in _GONE:
                raise self._fault(rejected) from None

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Keys are pressed by TwiML alone, and new TwiML ends the stream."""
        del call_id, digits
        raise DigitsUnsent("Twilio presses no keys while a stream runs.", provider=PROVIDER)

    async def transfer(
        self,
        call_id: str,
        *,
        callee: str,
        caller: str,
        ring_seconds: int = 30,
        course: HandOverCourse | None = None,
        recording: RecordingOrder | None = None,
    ) -> None:
        """`<Dial>` in place of the stream."""
        document = twiml.dial(
            callee, caller=caller, ring_seconds=_ringing(ring_seconds), course=course, recording=recording
        )
        await self._change(call_id, Twiml=_short(document))

    async def bridge(
        self, call_id: str, other_call_id: str, *, name: str, recording: RecordingOrder | None = None
    ) -> None:
        """Both into one conference, the other one first: until it is there `call_id` keeps its stream. Recordings of conferences have one
        channel."""
        document = _short(twiml.join(name, recording=recording))
        paths = [self._call(one) for one in (other_call_id, call_id)]
        for path in paths:
            await self._changed(path, Twiml=document)

    async def start_recording(self, call_id: str, order: RecordingOrder) -> str:
        form = {
            "RecordingChannels": "dual" if order.is_stereo else "mono",
            "RecordingStatusCallback": order.events_url,
            "RecordingStatusCallbackMethod": "POST",
            "RecordingStatusCallbackEvent": "completed absent",
            "Trim": "do-not-trim",
        }
        path = self._call(call_id).replace(".json", "/Recordings.json")
        try:
            answer = await self._http.asked("POST", path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        recording_id = answer.get("sid") if isinstance(answer, dict) else None
        return recording_id if isinstance(recording_id, str) and _RECORDING.fullmatch(recording_id) else ""

    async def pause_recording(self, call_id: str, recording_id: str) -> None:
        await self._changed(self._recording(call_id, recording_id), Status="paused", PauseBehavior="silence")

    async def resume_recording(self, call_id: str, recording_id: str) -> None:
        await self._changed(self._recording(call_id, recording_id), Status="in-progress")

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        try:
            await self._http.asked("POST", self._recording(call_id, recording_id), form={"Status": "stopped"})
        except Rejected as rejected:
            if _code(rejected) not in _GONE:
                raise self._fault(rejected) from None

    def fetch_recording(self, recording_id: str, format: RecordingFormat, *, most: int) -> AsyncIterator[bytes]:
        """From the API itself: the address that a callback names is not used."""
        return self._http.streamed(f"{self._kept(recording_id)}.{format.value}", most=most, hosts=_HOSTS)

    async def delete_recording(self, recording_id: str) -> None:
        try:
            await self._http.asked("DELETE", f"{self._kept(recording_id)}.json")
        except Rejected as rejected:
            if rejected.status != 404:
                raise self._fault(rejected) from None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _change(self, call_id: str, **form: str) -> None:
        await self._changed(self._call(call_id), **form)

    async def _changed(self, path: str, **form: str) -> None:
        try:
            await self._http.asked("POST", path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _call(self, call_id: str) -> str:
        if not _CALL.fullmatch(call_id):
            raise self._http.fault("This is no id of a Twilio call.", retryable=False)
        return f"{self._path}/{call_id}.json"

    def _recording(self, call_id: str, recording_id: str) -> str:
        self._kept(recording_id)
        return self._call(call_id).replace(".json", f"/Recordings/{recording_id}.json")

    def _kept(self, recording_id: str) -> str:
        if not _RECORDING.fullmatch(recording_id):
            raise self._http.fault("This is no id of a Twilio recording.", retryable=False)
        return f"{self._account}/Recordings/{recording_id}"

    def _fault(self, rejected: Rejected) -> ProviderError:
        """Twilio's text may repeat a telephone number: its code says enough."""
        code = _code(rejected)
        if code in _GONE:
            return self._http.fault("The call is over, or not in progress yet.", retryable=False)
        return self._http.fault(f"twilio answered {rejected.status} (error {code}).", retryable=rejected.status == 409)


def _ringing(seconds: int) -> int:
    return min(max(seconds, MIN_RING_SECONDS), MAX_RING_SECONDS)


def _code(rejected: Rejected) -> int:
    code: Any = rejected.body.get("code") if isinstance(rejected.body, dict) else 0
    return code if isinstance(code, int) else 0


def _short(document: ElementTree.Element) -> str:
    text = twiml.text(document)
    if len(text) > MAX_TWIML:
        raise ValueError(f"TwiML of {len(text)} characters; a request takes {MAX_TWIML}")
    return text
