"""Twilio's voice: calls over REST, TwiML, Media Streams, status callbacks.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/twiml,
https://www.twilio.com/docs/voice/answering-machine-detection
"""

import asyncio
import base64
import hmac
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

from litestar import Request, Response, delete, get, post
from litestar.types import ControllerRouterHandler
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat

from voisnap_simulator.answers import Form, Refused, empty_answer, json_answer, read_form
from voisnap_simulator.world import OwnedNumber, World

from .calls import Announcement, Call, Nature, Picked, Room, Seat
from .exchange import Busy, Exchange, exchange_of, rfc2822
from .hooks import twilio_signature
from .listening import Heard, Listener, words_since
from .played import Unplayable, sound_of
from .tapes import Shelf, Tape, shelf_of
from .wires import TwilioWire

if TYPE_CHECKING:
    from .media import Stream, StreamEnd

PROVIDER = "twilio"
ROOT = "/twilio/2010-04-01/Accounts/{account:str}"
MAX_TWIML = 4000
MAX_REDIRECTS = 50
SPEECH_CONFIDENCE = "0.9234"
MAX_NESTED = 64 * 1024
QUEUE_SECONDS = 0.05
"""From `queued` to `initiated`."""
DETECTION = {Nature.HUMAN: 1.8, Nature.MACHINE: 3.5, Nature.FAX: 2.5, Nature.SCREENING: 3.5}
"""Seconds after the answer when answering machine detection knows."""
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_STATUSES = {
    "hung_up": "completed",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no-answer",
    "failed": "failed",
}
_ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The REST API for calls and conferences."""
    exchange = exchange_of(world)

    @post(f"{ROOT}/Calls.json", status_code=201)
    async def dial(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        check_account(world, request, account)
        line = TwilioLine.dialled(exchange, await read_form(request))
        return json_answer(line.document(), 201)

    @get(f"{ROOT}/Calls.json")
    async def calls(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        check_account(world, request, account)
        found = [
            line.document()
            for one in reversed(exchange.calls.values())
            if isinstance(line := one.more.get("line"), TwilioLine) and line.matches(request.query_params)
        ]
        size = min(int(request.query_params.get("PageSize", "50") or 50), 1000)
        return json_answer(
            {"calls": found[:size], "page": 0, "page_size": size, "next_page_uri": None, "uri": request.url.path}
        )

    @get(f"{ROOT}/Calls/{{name:str}}")
    async def call(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        return json_answer(_line(exchange, name).document())

    @post(f"{ROOT}/Calls/{{name:str}}", status_code=200)
    async def change(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        line = _line(exchange, name)
        line.change(await read_form(request))
        return json_answer(line.document())

    @post(f"{ROOT}/Calls/{{name:str}}/Recordings.json", status_code=201)
    async def record(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        line = _line(exchange, name)
        if line.status != "in-progress":
            raise error(400, 21220, "Requested resource is not eligible for recording")
        form = await read_form(request)
        _check_url(first(form, "RecordingStatusCallback"), "RecordingStatusCallback")
        tape = line.records(
            "StartCallRecordingAPI",
            callback=first(form, "RecordingStatusCallback") or "",
            method=first(form, "RecordingStatusCallbackMethod") or "POST",
            is_stereo=first(form, "RecordingChannels") == "dual",
        )
        return json_answer(_recording(world, tape), 201)

    @get(f"{ROOT}/Calls/{{name:str}}/Recordings.json")
    async def recordings_of(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        tapes = shelf_of(world).of(_line(exchange, name).call)
        return json_answer(_page([_recording(world, tape) for tape in tapes], "recordings"))

    @post(f"{ROOT}/Calls/{{name:str}}/Recordings/{{recording:str}}", status_code=200)
    async def change_recording(
        request: Request[Any, Any, Any], account: str, name: str, recording: str
    ) -> Response[bytes]:
        check_account(world, request, account)
        tape = _tape_of(shelf_of(world), _line(exchange, name).call, recording)
        form = await read_form(request)
        match first(form, "Status"):
            case "paused":
                tape.paused = first(form, "PauseBehavior") or "silence"
            case "in-progress":
                tape.paused = None
            case "stopped":
                tape.stop()
            case status:
                raise error(400, 21218, f"Status '{status}' is not valid")
        return json_answer(_recording(world, tape))

    @get(f"{ROOT}/Recordings.json")
    async def recordings(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        check_account(world, request, account)
        tapes = shelf_of(world).all(PROVIDER)
        wanted = request.query_params.get("CallSid")
        shown = [_recording(world, tape) for tape in tapes if wanted in (None, tape.call.id)]
        return json_answer(_page(shown, "recordings"))

    @get(f"{ROOT}/Recordings/{{recording:str}}")
    async def recording(request: Request[Any, Any, Any], account: str, recording: str) -> Response[bytes]:
        check_account(world, request, account)
        name, _, format = recording.partition(".")
        tape = shelf_of(world).find(PROVIDER, name)
        if tape is None or (format in ("mp3", "wav", "") and not tape.over.is_set()):
            raise error(404, 20404, f"The requested resource /Recordings/{recording} was not found")
        if format == "json":
            return json_answer(_recording(world, tape))
        content = await asyncio.to_thread(tape.encoded, format or "wav")
        return Response(content, media_type="audio/mpeg" if format == "mp3" else "audio/x-wav")

    @delete(f"{ROOT}/Recordings/{{recording:str}}", status_code=204)
    async def forget(request: Request[Any, Any, Any], account: str, recording: str) -> Response[None]:
        check_account(world, request, account)
        shelf = shelf_of(world)
        tape = shelf.find(PROVIDER, recording.removesuffix(".json"))
        if tape is None:
            raise error(404, 20404, f"The requested resource /Recordings/{recording} was not found")
        shelf.delete(tape)
        return empty_answer()

    @get(f"{ROOT}/Conferences.json")
    async def conferences(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        check_account(world, request, account)
        name = request.query_params.get("FriendlyName")
        found = [_conference(world, room) for room in _rooms(exchange) if name in (None, room.name)]
        return json_answer({"conferences": found, "page": 0, "page_size": 50, "next_page_uri": None})

    @post(f"{ROOT}/Conferences/{{name:str}}", status_code=200)
    async def change_conference(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        room = _room(exchange, name)
        if first(await read_form(request), "Status") == "completed":
            room.ended.set()
        return json_answer(_conference(world, room))

    @get(f"{ROOT}/Conferences/{{name:str}}/Participants.json")
    async def participants(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        room = _room(exchange, name)
        return json_answer({"participants": [_participant(room, seat) for seat in room.seats]})

    @post(f"{ROOT}/Conferences/{{name:str}}/Participants.json", status_code=201)
    async def add_participant(request: Request[Any, Any, Any], account: str, name: str) -> Response[bytes]:
        check_account(world, request, account)
        form = await read_form(request)
        there = next((room for room in _rooms(exchange) if name in (room.id, room.name)), None)
        document = _into_conference(there.name if there is not None else name, form)
        line = TwilioLine.dialled(exchange, {**form, "Twiml": [document]})
        return json_answer(
            {
                "call_sid": line.call.id,
                "conference_sid": there.id if there is not None else None,
                "account_sid": account,
                "label": first(form, "Label"),
                "muted": first(form, "Muted") == "true",
                "hold": False,
                "status": "queued",
                "end_conference_on_exit": first(form, "EndConferenceOnExit") == "true",
                "start_conference_on_enter": first(form, "StartConferenceOnEnter") != "false",
                "coaching": False,
            },
            201,
        )

    @delete(f"{ROOT}/Conferences/{{name:str}}/Participants/{{call_name:str}}", status_code=204)
    async def remove_participant(
        request: Request[Any, Any, Any], account: str, name: str, call_name: str
    ) -> Response[None]:
        check_account(world, request, account)
        call = _line(exchange, call_name).call
        if _room(exchange, name).seat_of(call) is None:
            raise error(404, 20404, "The requested resource was not found")
        call.end("completed")
        return empty_answer()

    @get(f"{ROOT}/Conferences/{{name:str}}/Participants/{{call_name:str}}")
    async def participant(request: Request[Any, Any, Any], account: str, name: str, call_name: str) -> Response[bytes]:
        check_account(world, request, account)
        room = _room(exchange, name)
        seat = room.seat_of(_line(exchange, call_name).call)
        if seat is None:
            raise error(404, 20404, "The requested resource was not found")
        return json_answer(_participant(room, seat))

    @post(f"{ROOT}/Conferences/{{name:str}}/Participants/{{call_name:str}}", status_code=200)
    async def change_participant(
        request: Request[Any, Any, Any], account: str, name: str, call_name: str
    ) -> Response[bytes]:
        check_account(world, request, account)
        room = _room(exchange, name)
        seat = room.seat_of(_line(exchange, call_name).call)
        if seat is None:
            raise error(404, 20404, "The requested resource was not found")
        form = await read_form(request)
        if (muted := first(form, "Muted")) is not None:
            seat.is_muted = muted.lower() == "true"
        if (held := first(form, "Hold")) is not None:
            seat.is_held = held.lower() == "true"
        return json_answer(_participant(room, seat))

    return (
        dial, calls, call, change, record, recordings_of, change_recording, recordings, recording, forget, conferences,
        change_conference, participants, add_participant, participant, change_participant, remove_participant,
    )  # fmt: skip


def error(status: int, code: int, message: str) -> Refused:
    """An error in Twilio's words."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Refused(status, body, {"www-authenticate": 'Basic realm="Twilio API"'} if status == 401 else None)


def check_account(world: World, request: Request[Any, Any, Any], account: str) -> None:
    """Raises Refused unless the request knows the account's secret, or its API key's."""
    ours = world.account(PROVIDER)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    pairs = {(ours.option("account_sid"), ours.secret("auth_token"))}
    if key := ours.option("api_key_sid"):
        pairs.add((key, ours.secrets.get("api_key_secret", "")))
    try:
        user, _, secret = base64.b64decode(given).decode().partition(":")
    except ValueError:
        user = secret = ""
    known = any(user == name and hmac.compare_digest(secret.encode(), password.encode()) for name, password in pairs)
    if scheme.lower() != "basic" or not known:
        raise error(401, 20003, "Authenticate")
    if account != ours.option("account_sid"):
        raise error(404, 20404, f"The requested resource /2010-04-01/Accounts/{account} was not found")


def first(form: Form, name: str) -> str | None:
    """The first value of a field."""
    values = form.get(name)
    return values[0] if values else None


def new_id(world: World) -> str:
    """Of a call."""
    return f"CA{world.new_hex()}"


def ring(world: World, call: Call, number: OwnedNumber | None) -> "TwilioLine":
    """Somebody rings one of our numbers: Twilio asks what to do with it."""
    line = TwilioLine(exchange_of(world), call, direction="inbound")
    line.status = "ringing"
    url = number.voice_url if number and number.voice_url else world.urls.voice(PROVIDER, "simulator")
    line.status_url = number.status_url if number else ""
    line.status_events = frozenset({"completed"})
    line.begin(
        line.from_webhook(url, number.voice_method if number else "POST", number.voice_fallback_url if number else "")
    )
    return line


class _HangUp(Exception):
    """`<Hangup>`, or the end of the document."""


class TwilioLine:
    """One call as Twilio sees it: its status, its document, its callbacks."""

    def __init__(self, exchange: Exchange, call: Call, *, direction: str, parent: str | None = None) -> None:
        self.exchange, self.world, self.call = exchange, exchange.world, call
        self.account = self.world.account(PROVIDER).option("account_sid")
        self.direction, self.parent = direction, parent
        self.status = "queued"
        self.answered_by: str | None = None
        self.status_url = ""
        self.status_method = "POST"
        self.status_events: frozenset[str] = frozenset({"completed"})
        self._sequence = 0
        self._program: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._forks: list[Stream] = []
        self._has_own_document = False
        self._posting: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue(maxsize=100)
        call.more["line"] = self
        call.on_end = self._over
        call.spawn(self._post_statuses(), outlives=True)

    # Making and changing ------------------------------------------------------------------------------------------

    @classmethod
    def dialled(cls, exchange: Exchange, form: Form) -> "TwilioLine":
        """`POST Calls.json`. Raises Refused."""
        world = exchange.world
        to, caller = first(form, "To") or "", first(form, "From") or ""
        if not to:
            raise error(400, 21201, "No 'To' number is specified")
        if not caller:
            raise error(400, 21213, "No 'From' number is specified")
        if not _NUMBER.fullmatch(to) and not to.lower().startswith(("sip:", "sips:")):
            raise error(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
        if world.number(PROVIDER, caller) is None:
            raise error(
                400, 21210, f"The source phone number provided, {caller}, is not yet verified for your account."
            )
        url, twiml = first(form, "Url"), first(form, "Twiml")
        if not url and not twiml and not first(form, "ApplicationSid"):
            raise error(400, 21205, "Url parameter is required.")
        if twiml is not None and len(twiml) > MAX_TWIML:
            raise error(400, 21609, "Twiml parameter is too long.")
        for name in ("Url", "StatusCallback", "AsyncAmdStatusCallback"):
            _check_url(first(form, name), name)
        ring_seconds = _number(form, "Timeout", 60, 1, 600)
        longest = _number(form, "TimeLimit", 14400, 1, 86400)
        try:
            call = exchange.call_to(PROVIDER, f"CA{world.new_hex()}", caller=caller, callee=to)
        except Busy as busy:
            raise error(429, 20429, f"Too many concurrent calls: {busy}") from None
        line = cls(exchange, call, direction="outbound-api")
        line.status_url = first(form, "StatusCallback") or ""
        line.status_method = first(form, "StatusCallbackMethod") or "POST"
        events = {word for value in form.get("StatusCallbackEvent", ["completed"]) for word in value.split()}
        line.status_events = frozenset(events)
        call.spawn(line._place(form, ring_seconds, longest))
        return line

    def change(self, form: Form) -> None:
        """`POST Calls/{sid}.json`. Raises Refused."""
        status, url, twiml = first(form, "Status"), first(form, "Url"), first(form, "Twiml")
        if status not in (None, "completed", "canceled"):
            raise error(400, 21218, f"Status '{status}' is not valid")
        if self.status in _ENDED:
            if status is not None or url or twiml:
                raise error(404, 20404, f"The requested resource /Calls/{self.call.id}.json was not found")
            return
        if status is not None:
            is_ringing = self.status in ("queued", "initiated", "ringing")
            if status == "canceled" and not is_ringing:
                raise error(400, 21220, "Call is not in a cancelable state")
            self.call.end("canceled" if is_ringing else "completed")
            return
        if url or twiml:
            if self.status != "in-progress":
                raise error(400, 21220, "Call is not in-progress. Cannot redirect.")
            if twiml is not None and len(twiml) > MAX_TWIML:
                raise error(400, 21609, "Twiml parameter is too long.")
            _check_url(url, "Url")
            if twiml is not None:
                self.begin(self._documents(twiml))
            else:
                assert url is not None  # noqa: S101 - one of both
                self.begin(self.from_webhook(url, first(form, "Method") or "POST", ""))

    def document(self) -> dict[str, Any]:
        """The call as the REST API shows it."""
        call = self.call
        over = self.status in _ENDED
        seconds = str(math.ceil(call.seconds)) if over else None
        path = f"/2010-04-01/Accounts/{self.account}/Calls/{call.id}"
        return {
            "sid": call.id,
            "account_sid": self.account,
            "parent_call_sid": self.parent,
            "status": self.status,
            "direction": self.direction,
            "from": call.caller,
            "from_formatted": call.caller,
            "to": call.callee,
            "to_formatted": call.callee,
            "phone_number_sid": None,
            "date_created": rfc2822(call.began_at),
            "date_updated": rfc2822(call.ended_at or call.began_at),
            "start_time": rfc2822(call.answered_at),
            "end_time": rfc2822(call.ended_at),
            "duration": seconds,
            "price": f"-{math.ceil(call.seconds / 60) * 0.014:.5f}" if over and call.answered_at else None,
            "price_unit": "USD",
            "answered_by": self.answered_by,
            "queue_time": "0",
            "trunk_sid": None,
            "caller_name": None,
            "forwarded_from": None,
            "group_sid": None,
            "annotation": None,
            "api_version": "2010-04-01",
            "uri": f"{path}.json",
            "subresource_uris": {"recordings": f"{path}/Recordings.json"},
        }

    def matches(self, query: Mapping[str, Any]) -> bool:
        """Whether a list's filters let it through."""
        wanted = {"Status": self.status, "To": self.call.callee, "From": self.call.caller}
        return all(query.get(name, value) == value for name, value in wanted.items())

    # Ringing ------------------------------------------------------------------------------------------------------

    async def _place(self, form: Form, ring_seconds: int, longest: int) -> None:
        await asyncio.sleep(QUEUE_SECONDS)
        self._is("initiated")
        await self.call.telephone.prepare()
        self._is("ringing")
        try:
            async with asyncio.timeout(ring_seconds):
                picked = await self.call.telephone.ring()
        except TimeoutError:
            picked = Picked.NEVER
        outcomes = {
            Picked.BUSY: "busy", Picked.REJECTED: "busy", Picked.NOT_FOUND: "failed", Picked.NEVER: "no-answer",
        }  # fmt: skip
        if picked is not Picked.UP:
            self.call.end(outcomes[picked])
            return
        self._answered()
        if (first(form, "Record") or "").lower() == "true":
            self.records(
                "OutboundAPI",
                callback=first(form, "RecordingStatusCallback") or "",
                method=first(form, "RecordingStatusCallbackMethod") or "POST",
                is_stereo=first(form, "RecordingChannels") == "dual",
            )
        self.call.spawn(self._limit(longest))
        if (digits := first(form, "SendDigits")) is not None:
            await asyncio.sleep(0.5 * digits.count("w"))
            self.call.telephone.hear_keys(digits.replace("w", "").replace("W", ""))
        detection = first(form, "MachineDetection")
        more: dict[str, str] = {}
        if detection in ("Enable", "DetectMessageEnd"):
            if (first(form, "AsyncAmd") or "").lower() == "true":
                self.call.spawn(self._detect_aside(form, detection))
            else:
                answerer, _ = await self._detected(detection)
                self.answered_by = more["AnsweredBy"] = answerer
        twiml = first(form, "Twiml")
        if twiml is not None:
            self.begin(self._documents(twiml))
        else:
            url = first(form, "Url") or ""
            self.begin(self.from_webhook(url, first(form, "Method") or "POST", first(form, "FallbackUrl") or "", more))

    async def _limit(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        self.call.end("completed")

    async def _detected(self, mode: str) -> tuple[str, int]:
        """Who answered, and after how many milliseconds that was known."""
        telephone = self.call.telephone
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(DETECTION[telephone.nature])
        if telephone.nature is Nature.HUMAN:
            answerer = "human"
        elif telephone.nature is Nature.FAX:
            answerer = "fax"
        elif mode == "Enable":
            answerer = "machine_start"
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(30):
                    await telephone.greeted.wait()
            answerer = "machine_end_beep" if telephone.beeps else "machine_end_silence"
            if not telephone.greeted.is_set():
                answerer = "unknown"
        return answerer, round((loop.time() - began) * 1000)

    async def _detect_aside(self, form: Form, mode: str) -> None:
        answerer, milliseconds = await self._detected(mode)
        self.answered_by = answerer
        self.call.note("amd", answered_by=answerer)
        if url := first(form, "AsyncAmdStatusCallback"):
            fields = {
                "CallSid": self.call.id,
                "AccountSid": self.account,
                "AnsweredBy": answerer,
                "MachineDetectionDuration": str(milliseconds),
            }
            method = first(form, "AsyncAmdStatusCallbackMethod") or "POST"
            await self.exchange.hooks.twilio(self.call, url, fields, method=method)

    def _answered(self) -> None:
        if self.status in ("queued", "initiated", "ringing"):
            self.call.answer()
            self._is("in-progress")

    # Status callbacks ---------------------------------------------------------------------------------------------

    def _is(self, status: str) -> None:
        if self.status in _ENDED:
            return
        self.status = status
        self.call.note("status", status=status)
        event = "answered" if status == "in-progress" else "completed" if status in _ENDED else status
        if self.status_url and event in self.status_events:
            fields = self.fields() | {
                "CallbackSource": "call-progress-events",
                "Timestamp": rfc2822(self.world.clock()) or "",
                "SequenceNumber": str(self._sequence),
            }
            if status in _ENDED:
                fields |= {
                    "CallDuration": str(round(self.call.seconds)),
                    "Duration": str(math.ceil(self.call.seconds / 60)),
                }
                if status in ("busy", "no-answer", "failed"):
                    fields["SipResponseCode"] = {"busy": "486", "no-answer": "487", "failed": "404"}[status]
                if self.answered_by:
                    fields["AnsweredBy"] = self.answered_by
            with suppress(asyncio.QueueFull):
                self._posting.put_nowait((self.status_url, fields))
        self._sequence += 1

    async def _post_statuses(self) -> None:
        """In order, one after the other, until the last one is taken or given up."""
        while not (self.status in _ENDED and self._posting.empty()):
            url, fields = await self._posting.get()
            if url:
                await self.exchange.hooks.twilio(self.call, url, fields, method=self.status_method)

    def _over(self, cause: str) -> None:
        if self._stream is not None:
            self._stream.stop()
        for fork in self._forks:
            fork.stop()
        if self._program is not None:
            self._program.cancel()
        status = _STATUSES.get(cause) or (
            "canceled" if cause == "canceled" else "completed" if self.call.answered_at else "failed"
        )
        self._is(status)
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(("", {}))  # wakes who waits for one more

    def fields(self) -> dict[str, str]:
        """What every request about this call says."""
        call = self.call
        number = self.world.number(PROVIDER, call.callee)
        return {
            "CallSid": call.id,
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "From": call.caller,
            "Caller": call.caller,
            "To": call.callee,
            "Called": call.callee,
            "CallStatus": self.status,
            "Direction": self.direction,
            "FromCountry": country_of(call.caller),
            "CallerCountry": country_of(call.caller),
            "ToCountry": number.country if number else country_of(call.callee),
            **({"ParentCallSid": self.parent} if self.parent else {}),
        }

    # Documents ----------------------------------------------------------------------------------------------------

    def begin(self, work: Any) -> None:
        """Does `work` in place of what the call does now; its stream ends."""
        if self._program is not None:
            self._program.cancel()
        if self._stream is not None:
            self._stream.stop()
        for attachment in tuple(self.call.attachments):
            if isinstance(attachment, Seat):
                attachment.room.leave(attachment)
            elif attachment not in self._forks:
                self.call.detach(attachment)
        self._program = self.call.spawn(work)

    async def from_webhook(self, url: str, method: str, fallback: str, more: Mapping[str, str] | None = None) -> None:
        """Ask an address for a document and do it."""
        if self.direction == "inbound":
            await self.call.telephone.prepare()
        document = await self._ask(url, method, more or {}, fallback)
        await self._documents(document, base=url)

    async def _ask(self, url: str, method: str, more: Mapping[str, str], fallback: str = "") -> str:
        answered = await self.exchange.hooks.twilio(self.call, url, {**self.fields(), **more}, method=method, tries=1)
        if not answered.is_taken and fallback:
            failed = {"ErrorCode": "11200", "ErrorUrl": url}
            answered = await self.exchange.hooks.twilio(self.call, fallback, self.fields() | failed, tries=1)
        if not answered.is_taken:
            self.call.note("fault", error="11200: HTTP retrieval failure")
            raise _HangUp
        kind = answered.content_type.partition(";")[0].strip()
        if answered.body and kind not in ("text/xml", "application/xml", "text/html"):
            self.call.note("fault", error=f"12300: Invalid Content-Type {kind}")
            raise _HangUp
        return answered.body.decode("utf-8", "replace")

    async def _documents(self, document: str, *, base: str = "") -> None:
        try:
            for _ in range(MAX_REDIRECTS):
                following = await self._document(document, base)
                if following is None:
                    break
                document, base = following
        except _HangUp:
            pass
        if self.status == "ringing" and self.direction == "inbound":
            self.call.end("failed" if self.call.answered_at is None else "completed")
        self.call.end("completed")

    async def _document(self, document: str, base: str) -> tuple[str, str] | None:
        """Do one document; the one that takes its place, if any."""
        root = _parsed(document)
        if root is None:
            self.call.note("fault", error="12100: Document parse failure")
            self._answered()
            raise _HangUp
        for verb in root:
            following = await self._verb(verb, base)
            if following is not None:
                return following
        return None

    async def _verb(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        if verb.tag not in ("Reject", "Redirect"):
            self._answered()
        match verb.tag:
            case "Connect":
                return await self._connect(verb, base)
            case "Start":
                self._start(verb)
            case "Say":
                text = "".join(verb.itertext()).strip()
                self.call.note("carrier_says", text=text)
                await self._play(await self.exchange.voice.spoken(text), int(verb.get("loop", "1") or 1))
            case "Play":
                await self._play_verb(verb)
            case "Gather":
                return await self._gather(verb, base)
            case "Record":
                return await self._record_verb(verb, base)
            case "Pause":
                await asyncio.sleep(min(float(verb.get("length", "1")), 600.0))
            case "Redirect":
                url = urljoin(base, (verb.text or "").strip())
                return await self._ask(url, verb.get("method", "POST"), {}), url
            case "Reject":
                self.call.end("busy" if verb.get("reason") == "busy" else "failed")
                raise _HangUp
            case "Hangup":
                raise _HangUp
            case "Dial":
                return await self._dial(verb, base)
            case _:
                self.call.note("fault", error=f"12200: <{verb.tag}> is not simulated")
        return None

    async def _play(self, sound: Any, loops: int = 1) -> None:
        announcement = Announcement(sound, max(1, min(loops, 50)))
        self.call.attach(announcement)
        try:
            await announcement.done.wait()
        finally:
            self.call.detach(announcement)

    async def _play_verb(self, verb: ElementTree.Element) -> None:
        if (digits := verb.get("digits")) is not None:
            for digit in digits:
                await asyncio.sleep(0.5 if digit in "wW" else 0.2)
                if digit not in "wW":
                    self.call.telephone.hear_keys(digit)
            return
        url = (verb.text or "").strip()
        self.call.note("carrier_plays", url=url[:200])
        try:
            sound = await sound_of(self.exchange.hooks, url)
        except Unplayable as unplayable:
            code = "11200: HTTP retrieval failure" if str(unplayable) == "fetch" else "12300: Invalid Content-Type"
            self.call.note("fault", error=code)
            return
        await self._play(sound, int(verb.get("loop", "1") or 1) or 50)

    # Recording ----------------------------------------------------------------------------------------------------

    def records(
        self, source: str, *, callback: str, method: str = "POST", is_stereo: bool = False, **more: str
    ) -> Tape:
        """Record the call from now on; who asked for it is told when the recording is there."""
        tape = shelf_of(self.world).begin(
            self.call, f"RE{self.world.new_hex()}", is_stereo=is_stereo, source=source, fields=more
        )
        if callback:
            self.call.spawn(self._tell_recorded(tape, callback, method), outlives=True)
        return tape

    async def _tell_recorded(self, tape: Tape, url: str, method: str) -> None:
        await tape.over.wait()
        fields = {
            "AccountSid": self.account,
            **({} if "ConferenceSid" in tape.more["fields"] else {"CallSid": self.call.id}),
            **tape.more["fields"],
            **self._recorded(tape),
            "RecordingStatus": "completed" if tape.seconds else "absent",
            "RecordingChannels": "2" if tape.is_stereo else "1",
            "RecordingSource": tape.more["source"],
            "RecordingTrack": "both",
            "RecordingStartTime": rfc2822(tape.began_at) or "",
            "ErrorCode": "0",
        }
        await self.exchange.hooks.twilio(self.call, url, fields, method=method)

    def _recorded(self, tape: Tape) -> dict[str, str]:
        base = self.world.account(PROVIDER).option("base_url").rstrip("/")
        return {
            "RecordingSid": tape.id,
            "RecordingUrl": f"{base}/2010-04-01/Accounts/{self.account}/Recordings/{tape.id}",
            "RecordingDuration": str(math.ceil(tape.seconds)),
        }

    async def _record_verb(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        """`<Record>`: what the person says, until silence, a key, the longest time or the hang-up."""
        from .sound import tone  # noqa: PLC0415 - sound, when it is wanted

        if verb.get("playBeep", "true") != "false":
            await self._play(tone((1000.0,), 0.4))
        tape = self.records(
            "RecordVerb",
            callback=verb.get("recordingStatusCallback", ""),
            method=verb.get("recordingStatusCallbackMethod", "POST"),
        )
        wait = float(verb.get("timeout", "5") or 5)
        listener = Listener(
            speech=True,
            most_keys=1,
            finish_on="",
            wait=wait,
            hush=wait,
            longest=min(float(verb.get("maxLength", "3600") or 3600), 14400.0),
        )
        finish_on = verb.get("finishOnKey", "1234567890*#")
        began = len(self.call.events)
        self.call.attach(listener)
        listener.arm()
        try:
            await listener.done.wait()
        finally:
            self.call.detach(listener)
            tape.stop()
        said = words_since(self.call, began)
        if listener.why is Heard.NOTHING and not said:
            return None  # silence is not recorded, and the document goes on
        url = urljoin(base, verb.get("action", "") or base)
        more = {**self._recorded(tape), "Digits": listener.digits if listener.digits in finish_on else ""}
        return await self._ask(url, verb.get("method", "POST"), more), url

    # Asking -------------------------------------------------------------------------------------------------------

    async def _gather(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        """`<Gather>`: keys and speech, also into what it says meanwhile."""
        kinds = verb.get("input", "dtmf").split()
        wait = float(verb.get("timeout", "5") or 5)
        hush = verb.get("speechTimeout", "auto")
        listener = Listener(
            keys="dtmf" in kinds,
            speech="speech" in kinds,
            most_keys=int(verb.get("numDigits", "0") or 0),
            finish_on=verb.get("finishOnKey", "#"),
            wait=wait,
            hush=1.0 if hush == "auto" else float(hush),
        )
        began = len(self.call.events)
        self.call.attach(listener)
        try:
            prompt = asyncio.ensure_future(self._prompt(verb, base))
            barges = asyncio.ensure_future(listener.began.wait())
            try:
                await asyncio.wait({prompt, barges}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                prompt.cancel()
                barges.cancel()
                await asyncio.wait({prompt, barges})
            listener.arm()
            await listener.done.wait()
        finally:
            self.call.detach(listener)
        more: dict[str, str] = {}
        if listener.digits:
            more["Digits"] = listener.digits
        elif listener.why is Heard.SPEECH:
            more["SpeechResult"] = words_since(self.call, began)
            more["Confidence"] = SPEECH_CONFIDENCE
            more["Language"] = verb.get("language", "en-US")
        elif listener.why is Heard.KEY:
            more["FinishedOnKey"] = verb.get("finishOnKey", "#")
        self.call.note("gathered", **{name.lower(): value for name, value in more.items()})
        if not more and verb.get("actionOnEmptyResult", "false") != "true":
            return None
        url = urljoin(base, verb.get("action", "") or base)
        return await self._ask(
            url, verb.get("method", "POST"), {"Digits": "", **more} if "dtmf" in kinds else more
        ), url

    async def _prompt(self, verb: ElementTree.Element, base: str) -> None:
        for nested in verb:
            if nested.tag in ("Say", "Play", "Pause"):
                await self._verb(nested, base)
            else:
                self.call.note("fault", error=f"12200: <{nested.tag}> is not one that <Gather> holds")

    # Streams ------------------------------------------------------------------------------------------------------

    async def _connect(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        given = verb.find("Stream")
        if given is None:
            self.call.note("fault", error="12200: <Connect> wants a <Stream>")
            return None
        if self._stream is not None:
            self._stream.stop()
        sid = f"MZ{self.world.new_hex()}"
        stream = self._stream = self._opened(given, sid)
        self.call.attach(stream)
        running = self.call.spawn(self._streamed(stream, given, sid), outlives=True)
        try:
            await asyncio.wait({running})
        finally:
            # By itself: a document that is replaced does not wait until its socket has been closed in order.
            self.call.detach(stream)
            stream.stop()
            if self._stream is stream:
                self._stream = None
        end = running.result()
        action = verb.get("action")
        if not action:
            return None
        url = urljoin(base, action)
        more = {"StreamSid": sid}
        if end.how in ("unreached", "lost"):
            more |= {"ErrorCode": "31920" if end.how == "unreached" else "31924", "StreamError": end.reason}
        return await self._ask(url, verb.get("method", "POST"), more), url

    def _start(self, verb: ElementTree.Element) -> None:
        """`<Start><Stream>`: a fork that is only listened to, while the document goes on."""
        given = verb.find("Stream")
        if given is None:
            return
        sid = f"MZ{self.world.new_hex()}"
        fork = self._opened(given, sid, plays=False)
        self._forks.append(fork)
        self.call.attach(fork)
        running = self.call.spawn(self._streamed(fork, given, sid), outlives=True)
        running.add_done_callback(lambda _: self.call.detach(fork))

    def _opened(self, given: ElementTree.Element, sid: str, *, plays: bool = True) -> "Stream":
        from .media import Stream  # noqa: PLC0415 - sound, when it is wanted

        url = given.get("url", "")
        rate = int(given.get("sampleRate", "8000") or 8000)
        codec = {"l16": AudioCodec.L16, "pcma": AudioCodec.PCMA}.get(
            given.get("audioFormat", "").lower().removeprefix("audio/").removeprefix("x-"), AudioCodec.PCMU
        )
        wire = TwilioWire(
            stream_sid=sid,
            account_sid=self.account,
            call_sid=self.call.id,
            parameters={
                one.get("name", ""): one.get("value", "") for one in given.iterfind("Parameter") if one.get("name")
            },
            form=AudioFormat(codec=codec, rate=rate if codec is AudioCodec.L16 else 8000),
        )
        bare = url.partition("?")[0]  # a query is not passed on
        token = self.world.account(PROVIDER).secret("auth_token")
        headers = {"X-Twilio-Signature": twilio_signature(token, bare, {})}
        return Stream(wire, bare, headers=headers, faults=self._faults(), note=self.call.note, plays=plays)

    def _faults(self) -> Any:
        """The line's faults; what breaks a socket breaks only the first one."""
        return faults_once(self.call)

    async def _streamed(self, stream: "Stream", given: ElementTree.Element, sid: str) -> "StreamEnd":
        self._stream_event(given, sid, "stream-started")
        self.call.note("stream.opens", stream=sid)
        end = await stream.run()
        self.call.note("stream.ended", stream=sid, how=end.how, code=end.code, reason=end.reason)
        if end.how in ("unreached", "lost"):
            self._stream_event(given, sid, "stream-error", end.reason or "31920")
        else:
            self._stream_event(given, sid, "stream-stopped")
        return end

    def _stream_event(self, given: ElementTree.Element, sid: str, event: str, fault: str = "") -> None:
        url = given.get("statusCallback")
        if not url:
            return
        fields = {
            "AccountSid": self.account,
            "CallSid": self.call.id,
            "StreamSid": sid,
            "StreamName": given.get("name") or sid,
            "StreamEvent": event,
            "Timestamp": rfc2822(self.world.clock()) or "",
            **({"StreamError": fault} if fault else {}),
        }
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait((url, fields))

    # Other calls --------------------------------------------------------------------------------------------------

    async def _dial(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        conference = verb.find("Conference")
        if conference is not None:
            await self._confer(conference)
            outcome, more = "completed", {}
        else:
            target = next((one for one in verb if one.tag in ("Number", "Sip")), None)
            callee = ((target.text if target is not None else verb.text) or "").strip()
            outcome, more = await self._put_through(verb, target, callee)
        action = verb.get("action")
        if not action:
            return None
        url = urljoin(base, action)
        return await self._ask(url, verb.get("method", "POST"), {"DialCallStatus": outcome, **more}), url

    async def _put_through(
        self, verb: ElementTree.Element, target: ElementTree.Element | None, callee: str
    ) -> tuple[str, dict[str, str]]:
        caller = verb.get("callerId") or self.call.caller
        try:
            other = self.exchange.call_to(PROVIDER, f"CA{self.world.new_hex()}", caller=caller, callee=callee)
        except Busy:
            return "failed", {}
        line = TwilioLine(self.exchange, other, direction="outbound-dial", parent=self.call.id)
        if target is not None:
            line.status_url = target.get("statusCallback", "")
            line.status_method = target.get("statusCallbackMethod", "POST")
            line.status_events = frozenset(target.get("statusCallbackEvent", "completed").split())
        self.call.note("dials", callee=callee, call=other.id)
        try:
            line._is("initiated")
            await other.telephone.prepare()
            line._is("ringing")
            try:
                async with asyncio.timeout(min(float(verb.get("timeout", "30")), 600.0)):
                    picked = await other.telephone.ring()
            except TimeoutError:
                picked = Picked.NEVER
            if picked is not Picked.UP:
                outcome = {Picked.NEVER: "no-answer", Picked.NOT_FOUND: "failed"}.get(picked, "busy")
                other.end(outcome)
                return outcome, {"DialCallSid": other.id}
            line._answered()
            room = Room(self.world.new_hex())
            seat, _ = room.join(self.call), room.join(other)
            self.call.note("joined", call=other.id)
            tape = self._tape_of(verb, "DialVerb") if verb.get("record", "").startswith("record-from") else None
            try:
                await other.ended.wait()
            finally:
                room.leave(seat)
                if tape is not None:
                    tape.stop()
            seconds = str(round(other.seconds))
            return "completed", {"DialCallSid": other.id, "DialCallDuration": seconds}
        finally:
            other.end("completed" if other.answered_at else "canceled")

    def _tape_of(self, verb: ElementTree.Element, source: str, **more: str) -> Tape:
        return self.records(
            source,
            callback=verb.get("recordingStatusCallback", ""),
            method=verb.get("recordingStatusCallbackMethod", "POST"),
            is_stereo=verb.get("record", "").endswith("dual"),
            **more,
        )

    async def _confer(self, verb: ElementTree.Element) -> None:
        name = (verb.text or "").strip()
        key = f"twilio:{name}"
        room = self.exchange.rooms.get(key)
        if room is None or room.ended.is_set():
            room = self.exchange.rooms[key] = Room(f"CF{self.world.new_hex()}", name)
            room.is_started = False
        most = int(verb.get("maxParticipants", "250") or 250)
        if len(room.seats) >= most:
            self.call.note("fault", error="13256: the conference is full")
            return
        seat = room.join(self.call, is_muted=verb.get("muted") == "true")
        seat.ends_room = verb.get("endConferenceOnExit") == "true"
        seat.label = verb.get("participantLabel", "")
        room.is_started |= verb.get("startConferenceOnEnter", "true") == "true"
        self.call.note("joined", room=name)
        tape = None
        if verb.get("record") == "record-from-start" and "is_recorded" not in room.more:
            room.more["is_recorded"] = True  # once, whoever else orders it
            tape = self._tape_of(verb, "Conference", ConferenceSid=room.id)
        try:
            await room.ended.wait()
        finally:
            room.leave(seat)
            if tape is not None:
                tape.stop()
            if not room.seats:
                room.ended.set()
            if room.ended.is_set() and self.exchange.rooms.get(key) is room:
                del self.exchange.rooms[key]


def faults_once(call: Call) -> Any:
    """The faults of a call's next media socket. One that broke on purpose does not break again."""
    from msgspec.structs import replace  # noqa: PLC0415 - only here

    faults = call.faults
    if call.more.get("has_streamed"):
        return replace(faults, drop_at=None, half_open_at=None)
    call.more["has_streamed"] = True
    return faults


def country_of(number: str) -> str:
    """The country of a number, by its first digits; empty where they are not known here."""
    codes = {"+1": "US", "+44": "GB", "+49": "DE", "+33": "FR", "+34": "ES", "+39": "IT", "+31": "NL", "+61": "AU"}
    return next((country for code, country in codes.items() if number.startswith(code)), "")


def _parsed(document: str) -> ElementTree.Element | None:
    if not document.strip():
        return ElementTree.Element("Response")
    if len(document) > MAX_NESTED or "<!DOCTYPE" in document or "<!ENTITY" in document:
        return None
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError:
        return None
    return root if root.tag == "Response" else None


def _check_url(url: str | None, name: str) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise error(400, 21205, f"{name} is not a valid URL: {url[:100]}")


def _number(form: Form, name: str, default: int, least: int, most: int) -> int:
    given = first(form, name)
    if given is None:
        return default
    if not given.isdecimal() or not least <= int(given) <= most:
        raise error(400, 21226 if name == "Timeout" else 21227, f"{name} is not between {least} and {most}")
    return int(given)


def _line(exchange: Exchange, name: str) -> TwilioLine:
    call = exchange.find(name.removesuffix(".json"))
    line = None if call is None else call.more.get("line")
    if not isinstance(line, TwilioLine):
        raise error(404, 20404, "The requested resource was not found")
    return line


def _rooms(exchange: Exchange) -> list[Room]:
    return [room for key, room in exchange.rooms.items() if key.startswith("twilio:")]


def _room(exchange: Exchange, name: str) -> Room:
    wanted = name.removesuffix(".json")
    for room in _rooms(exchange):
        if wanted in (room.id, room.name):
            return room
    raise error(404, 20404, "The requested resource was not found")


def _into_conference(name: str, form: Form) -> str:
    """The document of somebody who is called into a conference."""
    response = ElementTree.Element("Response")
    conference = ElementTree.SubElement(ElementTree.SubElement(response, "Dial"), "Conference")
    for field, attribute in (
        ("Muted", "muted"),
        ("StartConferenceOnEnter", "startConferenceOnEnter"),
        ("EndConferenceOnExit", "endConferenceOnExit"),
        ("Label", "participantLabel"),
    ):
        if (value := first(form, field)) is not None:
            conference.set(attribute, value.lower() if field != "Label" else value)
    conference.text = name
    return ElementTree.tostring(response, encoding="unicode")


def _tape_of(shelf: Shelf, call: Call, name: str) -> Tape:
    wanted = name.removesuffix(".json")
    for tape in shelf.of(call):
        if wanted == tape.id or (wanted == "Twilio.CURRENT" and not tape.over.is_set()):
            return tape
    raise error(404, 20404, f"The requested resource /Recordings/{name} was not found")


def _page(shown: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return {name: shown, "page": 0, "page_size": 50, "next_page_uri": None}


def _recording(world: World, tape: Tape) -> dict[str, Any]:
    account = world.account(PROVIDER).option("account_sid")
    is_over = tape.over.is_set()
    return {
        "sid": tape.id,
        "account_sid": account,
        "call_sid": tape.call.id,
        "conference_sid": tape.more["fields"].get("ConferenceSid"),
        "status": tape.status,
        "channels": 2 if tape.is_stereo else 1,
        "source": tape.more["source"],
        "duration": str(math.ceil(tape.seconds)) if is_over else None,
        "price": f"-{math.ceil(tape.seconds / 60) * 0.0025:.5f}" if is_over else None,
        "price_unit": "USD",
        "start_time": rfc2822(tape.began_at),
        "date_created": rfc2822(tape.began_at),
        "date_updated": rfc2822(tape.ended_at or tape.began_at),
        "error_code": None,
        "uri": f"/2010-04-01/Accounts/{account}/Recordings/{tape.id}.json",
    }


def _conference(world: World, room: Room) -> dict[str, Any]:
    status = "completed" if room.ended.is_set() else "in-progress" if room.is_started else "init"
    return {
        "sid": room.id,
        "account_sid": world.account(PROVIDER).option("account_sid"),
        "friendly_name": room.name,
        "status": status,
        "region": "us1",
        "reason_conference_ended": None,
    }


def _participant(room: Room, seat: Seat) -> dict[str, Any]:
    return {
        "call_sid": seat.call.id,
        "conference_sid": room.id,
        "label": seat.label or None,
        "muted": seat.is_muted,
        "hold": seat.is_held,
        "status": "connected",
        "end_conference_on_exit": seat.ends_room,
    }
