"""Telnyx's Call Control: JSON in and out, under a key.

https://developers.telnyx.com/api-reference/call-commands/dial
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from voisnap_providers.errors import DialUncertain, ProviderError
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

from . import connecting, state
from .webhooks import LEG

BASE_URL = "https://api.telnyx.com/v2"
PROVIDER = "telnyx"
RING_SECONDS = (5, 600)
LONGEST_SECONDS = (30, 14400)
MAX_DIGITS = 64
_CALL = re.compile(r"[A-Za-z0-9:_=-]{1,200}", re.ASCII)
_RECORDING = re.compile(r"(?:leg:)?[0-9a-zA-Z][0-9a-zA-Z_-]{0,63}", re.ASCII)
_REGIONS = tuple(
    f"{region}."
    for region in (
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "me-central-1"),
        *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3"),
        *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    )
)
_STORES = tuple(f"s3.{region}amazonaws.com" for region in ("", *_REGIONS))
_HOSTS = (
    *(".telnyx.com", ".telnyxstorage.com", ".telnyxcloudstorage.com"),
    *_STORES,
    *(f".{store}" for store in _STORES),
)
"""Where Telnyx keeps recordings, those of European calls in Europe (`s3.eu-central-1.amazonaws.com`): the addresses that it gives are signed, and
good for ten minutes. Not all of Amazon, of whose names some are machines in whoever's own network."""
_DIGITS = re.compile(r"[0-9A-D*#w]+", re.ASCII)
_OVER = frozenset({"90018", "10005"})
"""Codes of a call that has ended, and of one that is not known any more."""
MAX_SPOKEN = 3000
_SPEAK_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Between the tries to speak to a call that is being answered: Telnyx tells a command before it is done."""
_LANGUAGES = (
    *(
        "en-US",
        "de-DE",
        "es-ES",
        "fr-FR",
        "pt-BR",
        "it-IT",
        "nl-NL",
        "pl-PL",
        "tr-TR",
        "ru-RU",
        "ja-JP",
        "ko-KR",
        "hi-IN",
    ),
    *("sv-SE", "da-DK", "nb-NO", "is-IS", "ro-RO", "cy-GB", "cmn-CN", "arb"),
    *("en-AU", "en-GB", "en-GB-WLS", "en-IN", "es-MX", "es-US", "fr-CA", "pt-PT"),
)
"""What Telnyx's plain voices speak; the first of a language stands for all of it."""
_OTHER_NAMES = {"zh": "cmn", "ar": "arb", "no": "nb", "nn": "nb"}
_DETECTIONS = {
    MachineDetection.OFF: "disabled",
    MachineDetection.ANSWER: "detect",
    MachineDetection.GREETING: "greeting_end",
}
"""The premium detector would tell the end of a greeting only where it hears a beep."""


class TelnyxCalls(CallControl):
    """Calls of one Call Control application (`connection_id`). Every command may be repeated: Telnyx does the same one once."""

    def __init__(self, *, api_key: str, connection_id: str, base_url: str = BASE_URL) -> None:
        self._connection_id = connection_id
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = CarrierHttp(PROVIDER, base_url=base_url, headers=headers)

    async def dial(self, order: Dial) -> str:
        """The attempt's id is the command's: Telnyx dials it once, however often it is told to."""
        command = {
            "connection_id": self._connection_id,
            "to": order.callee,
            "from": order.caller,
            "command_id": order.attempt_id,
            "webhook_url": order.events_url,
            "webhook_url_method": "POST",
            "timeout_secs": _within(order.ring_seconds, RING_SECONDS),
            "time_limit_secs": _within(order.longest_seconds, LONGEST_SECONDS),
            "answering_machine_detection": _DETECTIONS[order.detection],
            **connecting.dial_fields(order.target),
        }
        if order.digits:
            command["send_digits_on_answer"] = self._pressable(order.digits)
        try:
            answer = await self._http.asked("POST", "/calls", json=command, dialling=True)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        match answer:
            case {"data": {"call_control_id": str(call_id)}} if _CALL.fullmatch(call_id):
                return call_id
        raise DialUncertain("telnyx took the call and did not name it.", provider=PROVIDER)

    async def connect(self, call_id: str, target: StreamTarget) -> None:
        """Answers the call, and its stream begins with that; a call that Telnyx does not let us answer has been answered, and gets a new
        stream."""
        command_id = hashlib.sha256(target.token.encode()).hexdigest()[:32]
        try:
            await self._act(call_id, "answer", connecting.answer_command(target, command_id=f"answer-{command_id}"))
        except Rejected as rejected:
            if rejected.status != 422 or _is_over(rejected):
                raise self._fault(rejected) from None
            command = connecting.stream_command(target, command_id=f"stream-{command_id}")
            await self._told(call_id, "streaming_start", command)

    async def refuse(self, call_id: str, text: str, language: str) -> None:
        """Answers a call, where nobody has, and says why it goes no further, for `TelnyxWebhooks.refuse` cannot. `MediaLost` tells that it has
        been said: then the call is to be ended."""
        kept = state.written(state.CallState(is_refused=True))
        try:
            await self._act(call_id, "answer", {"command_id": "refuse", "client_state": kept})
        except Rejected as rejected:
            if rejected.status != 422 or _is_over(rejected):
                raise self._fault(rejected) from None
        speech = {
            "command_id": "refuse-text",
            "client_state": kept,
            "payload": text.encode("utf-8", "replace").decode()[:MAX_SPOKEN],
            "payload_type": "text",
            "voice": "female",
            "language": _spoken_language(language),
        }
        for seconds in _SPEAK_SECONDS:
            try:
                return await self._act(call_id, "speak", speech)
            except Rejected as rejected:
                if rejected.status != 422 or _is_over(rejected):
                    raise self._fault(rejected) from None
            await asyncio.sleep(seconds)
        return await self._told(call_id, "speak", speech)

    async def hang_up(self, call_id: str) -> None:
        try:
            await self._act(call_id, "hangup", {})
        except Rejected as rejected:
            if not _is_over(rejected):
                raise self._fault(rejected) from None

    async def send_digits(self, call_id: str, digits: str) -> None:
        await self._told(call_id, "send_dtmf", {"digits": self._pressable(digits)})

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
        """Telnyx rings the other side and joins both; the stream is ended then, for it would go on hearing them. Where nobody answers, the
        call waits, and `TelnyxWebhooks` tells `MediaLost` of it. The other side's events come where this call's do."""
        kept = state.CallState(transfer_of=call_id, attempt_id=course.attempt_id if course is not None else "")
        command = {
            "to": callee,
            "from": caller,
            "timeout_secs": _within(ring_seconds, RING_SECONDS),
            "target_leg_client_state": state.written(kept),
            **_recorded(recording),
        }
        await self._told(call_id, "transfer", command)
        await self._end_stream(call_id)

    async def bridge(
        self, call_id: str, other_call_id: str, *, name: str, recording: RecordingOrder | None = None
    ) -> None:
        """Telnyx joins the legs by itself; each one's stream is ended then, for it would go on hearing them."""
        if not _CALL.fullmatch(other_call_id):
            raise self._http.fault("This is no id of a Telnyx call.", retryable=False)
        command = {"call_control_id": other_call_id, "command_id": f"bridge-{name}", **_recorded(recording)}
        await self._told(call_id, "bridge", command)
        await asyncio.gather(self._end_stream(call_id), self._end_stream(other_call_id))

    async def start_recording(self, call_id: str, order: RecordingOrder) -> str:
        """Its event comes where the call's do."""
        await self._told(
            call_id,
            "record_start",
            {"format": order.format.value, "channels": "dual" if order.is_stereo else "single"},
        )
        return ""

    async def pause_recording(self, call_id: str, recording_id: str) -> None:
        """The rest is joined to what was recorded: Telnyx leaves no silence."""
        await self._told(call_id, "record_pause", _named(recording_id))

    async def resume_recording(self, call_id: str, recording_id: str) -> None:
        await self._told(call_id, "record_resume", _named(recording_id))

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        try:
            await self._act(call_id, "record_stop", _named(recording_id))
        except Rejected as rejected:
            if not _is_over(rejected):
                raise self._fault(rejected) from None

    async def fetch_recording(self, recording_id: str, format: RecordingFormat, *, most: int) -> AsyncIterator[bytes]:
        """Asks for an address, which is good for ten minutes, and fetches that."""
        found = await self._kept(recording_id) or {}
        urls = found.get("download_urls")
        url = urls.get(format.value) if isinstance(urls, dict) else None
        if not isinstance(url, str):
            raise self._http.fault("The recording is not there.", retryable=False)
        async for piece in self._http.streamed(url, most=most, hosts=_HOSTS):
            yield piece

    async def delete_recording(self, recording_id: str) -> None:
        name = recording_id
        if recording_id.startswith(LEG):
            name = str((await self._kept(recording_id) or {}).get("id") or "")
            if not name:
                return
        if not _RECORDING.fullmatch(name):
            raise self._http.fault("This is no id of a Telnyx recording.", retryable=False)
        try:
            await self._http.asked("DELETE", f"/recordings/{name}")
        except Rejected as rejected:
            if not _is_over(rejected):
                raise self._fault(rejected) from None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _kept(self, recording_id: str) -> dict[str, Any] | None:
        """What Telnyx says of a recording; None where it has none of that id."""
        if not _RECORDING.fullmatch(recording_id):
            raise self._http.fault("This is no id of a Telnyx recording.", retryable=False)
        leg = recording_id.removeprefix(LEG) if recording_id.startswith(LEG) else ""
        try:
            path = f"/recordings?filter[call_leg_id]={leg}" if leg else f"/recordings/{recording_id}"
            answer = await self._http.asked("GET", path)
        except Rejected as rejected:
            if _is_over(rejected):
                return None
            raise self._fault(rejected) from None
        found = answer.get("data") if isinstance(answer, dict) else None
        if isinstance(found, list):
            found = found[0] if found else None
        return found if isinstance(found, dict) else None

    async def _end_stream(self, call_id: str) -> None:
        with suppress(Rejected, ProviderError):  # the call is on its way; whoever closes the socket ends the stream too
            await self._act(call_id, "streaming_stop", {})

    async def _told(self, call_id: str, action: str, command: dict[str, Any]) -> None:
        try:
            await self._act(call_id, action, command)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    async def _act(self, call_id: str, action: str, command: dict[str, Any]) -> None:
        if not _CALL.fullmatch(call_id):
            raise self._http.fault("This is no id of a Telnyx call.", retryable=False)
        await self._http.asked("POST", f"/calls/{call_id}/actions/{action}", json=command)

    def _pressable(self, digits: str) -> str:
        if not _DIGITS.fullmatch(digits) or len(digits) > MAX_DIGITS:
            raise self._http.fault(f"Digits are 1 to {MAX_DIGITS} of 0-9, A-D, *, # and w.", retryable=False)
        return digits

    def _fault(self, rejected: Rejected) -> ProviderError:
        """Telnyx's texts may repeat a telephone number: its codes say enough."""
        if _is_over(rejected):
            return self._http.fault("The call is over.", retryable=False)
        codes = ", ".join(sorted(_codes(rejected))) or "none"
        return self._http.fault(f"telnyx answered {rejected.status} (error {codes}).", retryable=rejected.status == 409)


def _spoken_language(tag: str) -> str:
    """The nearest language to a BCP 47 tag that Telnyx speaks; English where it has none."""
    wanted = tag.lower()
    primary = wanted.partition("-")[0]
    primary = _OTHER_NAMES.get(primary, primary)
    same = [known for known in _LANGUAGES if known.lower() == wanted]
    near = [known for known in _LANGUAGES if known.partition("-")[0] == primary]
    return (same or near or list(_LANGUAGES))[0]


def _recorded(order: RecordingOrder | None) -> dict[str, Any]:
    """What a call that is joined to another is recorded by."""
    if order is None:
        return {}
    channels = "dual" if order.is_stereo else "single"
    return {"record": "record-from-answer", "record_format": order.format.value, "record_channels": channels}


def _named(recording_id: str) -> dict[str, Any]:
    return {"recording_id": recording_id} if recording_id and not recording_id.startswith(LEG) else {}


def _is_over(rejected: Rejected) -> bool:
    return rejected.status in (404, 410) or bool(_codes(rejected) & _OVER)


def _codes(rejected: Rejected) -> set[str]:
    errors = rejected.body.get("errors") if isinstance(rejected.body, dict) else None
    found = [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return {str(code)[:20] for code in found if isinstance(code, str | int)}


def _within(seconds: int, bounds: tuple[int, int]) -> int:
    return min(max(seconds, bounds[0]), bounds[1])
