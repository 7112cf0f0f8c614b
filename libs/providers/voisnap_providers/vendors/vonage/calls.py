"""The REST side of the Vonage Voice API: JSON under a token that the application's private key signs.

https://developer.vonage.com/en/api/voice
"""

import re
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from typing import Any, NoReturn
from uuid import uuid4

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voisnap_providers.errors import DialUncertain, DigitsUnsent, ProviderError, RecordingUnavailable
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
from voisnap_providers.vendors.vonage import RATES, ncco

BASE_URL = "https://api.nexmo.com"
PROVIDER = "vonage"
MAX_RING_SECONDS = 120
MAX_CALL_SECONDS = 86400
TOKEN_SECONDS = 900
"""How long a token of ours is good; it is renewed a minute before."""
_CALL = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,63}", re.ASCII)
REGIONS = (".nexmo.com", ".vonage.com")
"""Recordings lie in the region where the call ran."""
_HOST = re.compile(r"[a-z0-9.-]{1,100}", re.ASCII)
_RECORDING = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,63}", re.ASCII)
_DIGITS = re.compile(r"[0-9*#w]*", re.ASCII)
_OVER = frozenset(("completed", "busy", "cancelled", "failed", "rejected", "timeout", "unanswered"))


class VonageCalls(CallControl):
    """Calls of one Vonage application.

    `private_key` is its key in PEM, `rate` what media sockets are asked for, in Hz, `clock` tells Unix time. A call is commanded in the region
    where it runs (a webhook's `region_url`), and elsewhere is not known: an application that is bound to a region wants that one's host as
    `base_url`. Raises ValueError, which never repeats it, for what is no RSA key.
    """

    def __init__(
        self,
        *,
        application_id: str,
        private_key: str,
        rate: int = 16000,
        base_url: str = BASE_URL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if rate not in RATES:
            raise ValueError(f"Vonage has audio at {RATES} Hz, not {rate}")
        self._rate = rate
        self._http = CarrierHttp(PROVIDER, base_url=base_url, auth=ApplicationToken(application_id, private_key, clock))

    async def dial(self, order: Dial) -> str:
        """Machines are listened for while the call runs, so that nobody who answers has to wait for it; a beep is told, too."""
        try:
            endpoint: dict[str, str] = ncco.endpoint_of(order.callee)
            caller = ncco.digits_of(order.caller)
        except ValueError as error:
            raise self._http.fault(f"Not dialled: {error}.", retryable=False) from None
        if order.digits:
            if endpoint["type"] != "phone":
                raise DigitsUnsent("Vonage presses no keys when a SIP address answers.", provider=PROVIDER)
            endpoint["dtmfAnswer"] = _pressed(order.digits)
        body = {
            "to": [endpoint],
            "from": {"type": "phone", "number": caller},
            "ncco": [ncco.to_stream(order.target, self._rate)],
            "event_url": [order.events_url],
            "event_method": "POST",
            "ringing_timer": max(1, min(order.ring_seconds, MAX_RING_SECONDS)),
            "length_timer": max(1, min(order.longest_seconds, MAX_CALL_SECONDS)),
        }
        if order.detection is not MachineDetection.OFF:
            # The only mode that answers at once: the others keep whoever answers in silence for four seconds.
            body["advanced_machine_detection"] = {"behavior": "continue", "mode": "default"}
        try:
            answer = await self._http.asked("POST", "/v1/calls", json=body, dialling=True)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        call_id = answer.get("uuid") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not _CALL.fullmatch(call_id):
            raise DialUncertain("Vonage took the call and did not name it.", provider=PROVIDER)
        return call_id

    async def connect(self, call_id: str, target: StreamTarget) -> None:
        await self._continue(call_id, ncco.to_stream(target, self._rate))

    async def refuse(self, call_id: str, text: str, language: str) -> None:
        """Nothing: the answer to the webhook says it."""

    async def hang_up(self, call_id: str) -> None:
        path = self._path(call_id)
        try:
            await self._http.asked("PUT", path, json={"action": "hangup"})
        except Rejected as rejected:
            if rejected.status != 404 and not await self._is_over(path):
                raise self._fault(rejected) from None

    async def send_digits(self, call_id: str, digits: str) -> None:
        pressed, path = _pressed(digits), f"{self._path(call_id)}/dtmf"
        if pressed:
            await self._changed(path, {"digits": pressed})

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
        """The call leaves its media socket, whose leg ends with it."""
        ring_seconds = max(1, min(ring_seconds, MAX_RING_SECONDS))
        try:
            action = ncco.to_somebody(callee, caller=caller, ring_seconds=ring_seconds, course=course)
        except ValueError as error:
            raise self._http.fault(f"Not transferred: {error}.", retryable=False) from None
        await self._continue(call_id, *_recorded(recording), action)

    async def bridge(
        self, call_id: str, other_call_id: str, *, name: str, recording: RecordingOrder | None = None
    ) -> None:
        """Both into one named conversation, the other one first: until it is there `call_id` keeps its media socket. The caller's leg is
        recorded, which hears both."""
        action = ncco.to_conversation(name)
        self._path(call_id)
        await self._continue(other_call_id, action)
        await self._continue(call_id, *_recorded(recording), action)

    async def start_recording(self, call_id: str, order: RecordingOrder) -> str:
        """Vonage records by a document, and a new one would end the stream."""
        del call_id, order
        self._unavailable()

    async def pause_recording(self, call_id: str, recording_id: str) -> None:
        del call_id, recording_id
        self._unavailable()

    async def resume_recording(self, call_id: str, recording_id: str) -> None:
        del call_id, recording_id
        self._unavailable()

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        del call_id, recording_id
        self._unavailable()

    def fetch_recording(self, recording_id: str, format: RecordingFormat, *, most: int) -> AsyncIterator[bytes]:
        """In the format that was ordered. `recording_id` begins with the region's host where the call did not run in the default one."""
        del format
        host, slash, name = recording_id.rpartition("/")
        if not _RECORDING.fullmatch(name) or (slash and not _HOST.fullmatch(host)):
            raise self._http.fault("This is no id of a Vonage recording.", retryable=False)
        path = f"/v1/files/{name}"
        address = f"https://{host}{path}" if host else path
        return self._http.streamed(address, most=most, hosts=REGIONS, trusted=True)

    async def delete_recording(self, recording_id: str) -> None:
        """Nothing: Vonage has no command for it, and deletes recordings after 30 days."""
        del recording_id

    async def aclose(self) -> None:
        await self._http.aclose()

    def _unavailable(self) -> NoReturn:
        raise RecordingUnavailable("Vonage records by documents alone.", provider=PROVIDER)

    async def _continue(self, call_id: str, *actions: ncco.Action) -> None:
        """Gives a call another document, in place of the one it has."""
        destination = {"type": "ncco", "ncco": list(actions)}
        await self._changed(self._path(call_id), {"action": "transfer", "destination": destination})

    async def _changed(self, path: str, body: Mapping[str, object]) -> None:
        try:
            await self._http.asked("PUT", path, json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    async def _is_over(self, path: str) -> bool:
        """Vonage documents no one answer for a command to a call that is over; what it says of the call itself counts."""
        try:
            call = await self._http.asked("GET", path)
        except Rejected as rejected:
            return rejected.status == 404
        return isinstance(call, dict) and call.get("status") in _OVER

    def _path(self, call_id: str) -> str:
        if not _CALL.fullmatch(call_id):
            raise self._http.fault("This is no id of a Vonage call.", retryable=False)
        return f"/v1/calls/{call_id}"

    def _fault(self, rejected: Rejected) -> ProviderError:
        """Vonage's text may repeat a telephone number: the status says enough."""
        if rejected.status == 404:
            return self._http.fault("The call is over.", retryable=False)
        return self._http.fault(f"vonage answered {rejected.status}.", retryable=rejected.status == 409)


class ApplicationToken(httpx.Auth):
    """Signs requests for an application (https://developer.vonage.com/en/getting-started/concepts/authentication): RS256, 15 minutes."""

    def __init__(self, application_id: str, private_key: str, clock: Callable[[], float]) -> None:
        try:
            key = load_pem_private_key(private_key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("the private key is no RSA key in PEM") from None
        self._application_id = application_id
        self._key = key
        self._clock = clock
        self._token = ""
        self._renewed_at = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, Any, None]:
        now = self._clock()
        if not self._renewed_at <= now < self._renewed_at + TOKEN_SECONDS - 60:
            issued = int(now)
            claims = {
                "application_id": self._application_id,
                "iat": issued,
                "jti": str(uuid4()),
                "exp": issued + TOKEN_SECONDS,
            }
            self._token, self._renewed_at = jwt.encode(claims, self._key, algorithm="RS256"), now
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _recorded(order: RecordingOrder | None) -> tuple[ncco.Action, ...]:
    return () if order is None else (ncco.record(order),)


def _pressed(digits: str) -> str:
    """Keys as Vonage writes them: `p` waits half a second. Raises DigitsUnsent for keys it has not."""
    if not _DIGITS.fullmatch(digits):
        raise DigitsUnsent("Vonage presses 0 to 9, * and # alone.", provider=PROVIDER)
    return digits.replace("w", "p")
