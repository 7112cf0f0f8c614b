"""The Vonage Voice API: calls over REST, call control objects (NCCO), media sockets, events.

https://developer.vonage.com/en/api/voice, https://developer.vonage.com/en/voice/voice-api/ncco-reference,
https://developer.vonage.com/en/voice/voice-api/webhook-reference
"""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import Refused, empty_answer, json_answer, read_json
from voisnap_simulator.world import Application, OwnedNumber, World

from .calls import Announcement, Call, Nature, Picked, Room, Seat
from .exchange import Busy, Exchange, exchange_of, iso
from .hooks import Answered
from .listening import Heard, Listener, words_since
from .played import Unplayable, sound_of
from .tapes import Tape, shelf_of
from .twilio import faults_once
from .wires import VonageWire

if TYPE_CHECKING:
    from .media import Stream, StreamEnd

PROVIDER = "vonage"
ROOT = "/vonage/v1/calls"
FILES = "/vonage/v1/files"
MAX_HEADERS = 512
DETECTION = {Nature.HUMAN: 2.0, Nature.MACHINE: 3.0, Nature.FAX: 3.0, Nature.SCREENING: 3.0}
BEEP_SECONDS = 45.0
"""How long a beep is waited for where nothing else is asked."""
RATE_A_MINUTE = 0.0139
_RATES = frozenset({8000, 16000, 24000})
_CONTENT = re.compile(r"audio/l16\s*;\s*rate\s*=\s*(\d+)", re.ASCII)
_DIGITS = re.compile(r"[0-9]{7,15}", re.ASCII)
_ENDED = frozenset({"completed", "busy", "cancelled", "failed", "rejected", "timeout", "unanswered"})
_UNREACHED = frozenset({"timeout", "failed", "rejected", "unanswered", "busy"})
_CAUSES = {
    "hung_up": "completed",
    "completed": "completed",
    "busy": "busy",
    "rejected": "rejected",
    "failed": "failed",
    "timeout": "timeout",
    "cancelled": "cancelled",
}
_DETAILS = {"failed": "number_out_of_service", "rejected": "declined", "timeout": "timeout", "busy": ""}
_actions = msgspec.json.Decoder(list[dict[str, Any]]).decode


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The REST API for calls."""
    exchange = exchange_of(world)

    @post(ROOT, status_code=201)
    async def dial(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_token(world, request)
        line = VonageLine.dialled(exchange, await _body(request))
        call = line.call
        answer = {"uuid": call.id, "status": "started", "direction": "outbound", "conversation_uuid": line.conversation}
        return json_answer(answer, 201)

    @get(ROOT)
    async def calls(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_token(world, request)
        wanted = {"status": request.query_params.get("status"), "uuid": request.query_params.get("conversation_uuid")}
        lines = [one.more.get("line") for one in reversed(exchange.calls.values())]
        found = [
            line.document()
            for line in lines
            if isinstance(line, VonageLine)
            and wanted["status"] in (None, line.status)
            and wanted["uuid"] in (None, line.conversation)
        ]
        size = min(int(request.query_params.get("page_size", "10") or 10), 100)
        start = int(request.query_params.get("record_index", "0") or 0)
        return json_answer(
            {
                "count": len(found),
                "page_size": size,
                "record_index": start,
                "_links": {"self": {"href": "/calls"}},
                "_embedded": {"calls": found[start : start + size]},
            }
        )

    @get(f"{ROOT}/{{call_id:str}}")
    async def call(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        return json_answer(_line(exchange, call_id).document())

    @put(f"{ROOT}/{{call_id:str}}", status_code=204)
    async def change(request: Request[Any, Any, Any], call_id: str) -> Response[None]:
        check_token(world, request)
        _line(exchange, call_id).change(await _body(request))
        return empty_answer()

    @put(f"{ROOT}/{{call_id:str}}/dtmf", status_code=200)
    async def press(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        line = _live(exchange, call_id)
        digits = str((await _body(request)).get("digits", ""))
        if not re.fullmatch(r"[0-9*#p,]+", digits):
            raise fault(400, "Bad Request", "digits are 0-9, *, # and p")
        line.call.note("carrier_presses", digits=digits)
        line.call.telephone.hear_keys(digits.replace("p", "").replace(",", ""))
        return json_answer({"message": "DTMF sent", "uuid": call_id})

    @put(f"{ROOT}/{{call_id:str}}/talk", status_code=200)
    async def talk(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        line = _live(exchange, call_id)
        line.call.spawn(line.talks(str((await _body(request)).get("text", ""))))
        return json_answer({"message": "Talk started", "uuid": call_id})

    @put(f"{ROOT}/{{call_id:str}}/stream", status_code=200)
    async def stream(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        line = _live(exchange, call_id)
        match await _body(request):
            case {"stream_url": [str(url), *_], **more}:
                line.call.spawn(line.streams(url, int(more.get("loop", 1) or 0)))
            case _:
                raise fault(400, "Bad Request", "stream_url is a list of one address")
        return json_answer({"message": "Stream started", "uuid": call_id})

    @delete(f"{ROOT}/{{call_id:str}}/stream", status_code=200)
    async def streamless(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        _live(exchange, call_id).falls_silent()
        return json_answer({"message": "Stream stopped", "uuid": call_id})

    @get(f"{FILES}/{{file_id:str}}")
    async def file(request: Request[Any, Any, Any], file_id: str) -> Response[bytes]:
        check_token(world, request)
        tape = shelf_of(world).find(PROVIDER, file_id)
        if tape is None or not tape.over.is_set():
            raise fault(404, "Not Found", "The file does not exist, or you do not have access.", "not-found")
        content = await asyncio.to_thread(tape.encoded, tape.format)
        return Response(content, media_type="audio/mpeg" if tape.format == "mp3" else "audio/wav")

    @delete(f"{ROOT}/{{call_id:str}}/talk", status_code=200)
    async def quiet(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_token(world, request)
        _live(exchange, call_id).falls_silent()
        return json_answer({"message": "Talk stopped", "uuid": call_id})

    return dial, calls, call, change, press, talk, quiet, stream, streamless, file


def fault(status: int, title: str, detail: str, kind: str = "bad-request") -> Refused:
    """An error in Vonage's words."""
    body = {"type": f"https://developer.vonage.com/api-errors#{kind}", "title": title, "detail": detail}
    return Refused(status, {**body, "instance": uuid.uuid4().hex})


def check_token(world: World, request: Request[Any, Any, Any]) -> None:
    """Raises Refused unless the application's key signed the request's token (RS256, at most 24 hours)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    account = world.account(PROVIDER)
    try:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError
        claims = jwt.decode(token, _public_key(world), algorithms=["RS256"], options={"require": ["iat", "jti"]})
    except jwt.PyJWTError:
        claims = {}
    if claims.get("application_id") != account.option("application_id"):
        raise fault(401, "Unauthorized", "You did not provide correct credentials.", "unauthorized")


def _public_key(world: World) -> Any:
    # 8 MB with its library: not before the first request.
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    def made() -> _Key:
        key = load_pem_private_key(world.account(PROVIDER).secret("private_key").encode(), password=None)
        return _Key(key.public_key())

    return world.part(_Key, made).key


class _Key:
    def __init__(self, key: Any) -> None:
        self.key = key


def new_id(world: World) -> str:
    """Of a call."""
    del world
    return str(uuid.uuid4())


def ring(world: World, call: Call, number: OwnedNumber | None) -> "VonageLine":
    """Somebody rings one of our numbers: Vonage asks its application what to do."""
    application = _application(world, number)
    line = VonageLine(exchange_of(world), call, direction="inbound", event_url=application.event_url)
    line.event_method = application.event_method
    line.begin(line.asked(application))
    return line


class VonageLine:
    """One call as Vonage sees it."""

    def __init__(self, exchange: Exchange, call: Call, *, direction: str, event_url: str) -> None:
        self.exchange, self.world, self.call = exchange, exchange.world, call
        self.direction, self.event_url, self.event_method = direction, event_url, "POST"
        self.conversation = f"CON-{uuid.uuid4()}"
        self.status = "started"
        self._program: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._talking: Announcement | None = None
        self.answers: asyncio.Future[Answered] | None = None
        """What was answered to the event that nobody was reached, where that may be a document."""
        self._posting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(maxsize=100)
        call.more["line"] = self
        call.on_end = self._over
        call.spawn(self._post_events(), outlives=True)

    @classmethod
    def dialled(cls, exchange: Exchange, body: Mapping[str, Any]) -> "VonageLine":
        """`POST /v1/calls`. Raises Refused."""
        world = exchange.world
        match body:
            case {"to": [{"type": "phone", "number": str(number), **to}]} if _DIGITS.fullmatch(number):
                callee = f"+{number}"
            case {"to": [{"type": "sip", "uri": str(uri), **to}]}:
                callee = uri
            case _:
                raise fault(400, "Bad Request", "to is one endpoint with a number in E.164 without +, or a SIP address")
        match body:
            case {"from": {"type": "phone", "number": str(caller)}} if _DIGITS.fullmatch(caller):
                caller = f"+{caller}"
            case {"random_from_number": True}:
                owned = [one for (provider, _), one in world.numbers.items() if provider == PROVIDER]
                caller = owned[0].number if owned else ""
            case _:
                raise fault(400, "Bad Request", "from is a number of yours")
        if world.number(PROVIDER, caller) is None:
            raise fault(403, "Forbidden", "The from number is not one of this account.", "forbidden")
        if ("ncco" in body) is ("answer_url" in body):
            raise fault(400, "Bad Request", "either ncco or answer_url")
        ring_seconds = _within(body, "ringing_timer", 60, 1, 120)
        longest = _within(body, "length_timer", 7200, 1, 86400)
        try:
            call = exchange.call_to(PROVIDER, new_id(world), caller=caller, callee=callee)
        except Busy:
            raise fault(429, "Too Many Requests", "You have exceeded your concurrent calls.", "throttled") from None
        application = _application(world, world.number(PROVIDER, caller))
        urls = body.get("event_url")
        event_url = urls[0] if isinstance(urls, list) and urls else application.event_url
        line = cls(exchange, call, direction="outbound", event_url=event_url)
        line.event_method = body.get("event_method", "POST")
        call.spawn(line._place(body, to, ring_seconds, longest))
        return line

    def change(self, body: Mapping[str, Any]) -> None:
        """`PUT /v1/calls/{uuid}`. Raises Refused."""
        if self.status in _ENDED:
            raise fault(404, "Not Found", "The call is not in progress.", "not-found")
        match body:
            case {"action": "hangup"}:
                self.call.end("completed" if self.call.answered_at else "cancelled")
            case {"action": "transfer", "destination": {"type": "ncco", "ncco": list(ncco)}}:
                self._check_answered()
                self.begin(self._document(ncco))
            case {"action": "transfer", "destination": {"type": "ncco", "url": [str(url), *_]}}:
                self._check_answered()
                self.begin(self._from(url))
            case {"action": "mute" | "unmute" | "earmuff" | "unearmuff" as action}:
                self.call.note("carrier_does", action=action)
            case _:
                raise fault(400, "Bad Request", "no action that is known")

    def document(self) -> dict[str, Any]:
        """The call as the REST API shows it."""
        call = self.call
        over = self.status in _ENDED
        return {
            "uuid": call.id,
            "status": self.status,
            "direction": self.direction,
            "rate": f"{RATE_A_MINUTE:.8f}",
            "price": f"{call.seconds / 60 * RATE_A_MINUTE:.8f}" if over else None,
            "duration": str(round(call.seconds)) if over else None,
            "start_time": iso(call.answered_at) if call.answered_at else None,
            "end_time": iso(call.ended_at) if over else None,
            "conversation_uuid": self.conversation,
            "to": {"type": "phone", "number": call.callee.removeprefix("+")},
            "from": {"type": "phone", "number": call.caller.removeprefix("+")},
            "network": "US-FIXED",
            "_links": {"self": {"href": f"/v1/calls/{call.id}"}},
        }

    async def talks(self, text: str) -> None:
        """Says something into the leg, beside whatever it does."""
        self.call.note("carrier_says", text=text)
        self.falls_silent()
        self._talking = talking = Announcement(await self.exchange.voice.spoken(text))
        self.call.attach(talking)
        try:
            await talking.done.wait()
        finally:
            self.call.detach(talking)

    async def streams(self, url: str, loops: int = 1) -> None:
        """Plays a sound into the leg, beside whatever it does; `loops` of 0 goes on and on."""
        self.call.note("carrier_plays", url=url[:200])
        try:
            sound = await sound_of(self.exchange.hooks, url)
        except Unplayable as unplayable:
            self.call.note("fault", error=f"the stream can't be played: {unplayable}")
            return
        self.falls_silent()
        self._talking = playing = Announcement(sound, loops or 50)
        self.call.attach(playing)
        try:
            await playing.done.wait()
        finally:
            self.call.detach(playing)

    def falls_silent(self) -> None:
        """Stops saying it."""
        if self._talking is not None:
            self._talking.done.set()
            self.call.detach(self._talking)

    # Ringing ------------------------------------------------------------------------------------------------------

    async def asked(self, application: Application) -> None:
        """An inbound call: what its application answers."""
        call = self.call
        await call.telephone.prepare()
        self._is("ringing")
        fields = {
            "to": call.callee.removeprefix("+"),
            "from": call.caller.removeprefix("+"),
            "endpoint_type": "phone",
            "uuid": call.id,
            "conversation_uuid": self.conversation,
            "region_url": self.world.account(PROVIDER).option("base_url"),
        }
        hooks = self.exchange.hooks
        answered = await hooks.vonage(call, application.answer_url, fields, method=application.answer_method)
        if not answered.is_taken and application.fallback_url:
            original = {"url": application.answer_url, "type": "answer"}
            more = {"reason": f"HTTP {answered.status}", "original_request": original}
            answered = await hooks.vonage(call, application.fallback_url, {**fields, **more})
        ncco = _ncco(answered)
        if ncco is None:
            call.note("fault", error="the answer is no NCCO")
            call.end("failed")
            return
        await self._document(ncco)

    async def _place(self, body: Mapping[str, Any], to: Mapping[str, Any], ring_seconds: int, longest: int) -> None:
        self._is("started")
        telephone = self.call.telephone
        await telephone.prepare()
        self._is("ringing")
        try:
            async with asyncio.timeout(ring_seconds):
                picked = await telephone.ring()
        except TimeoutError:
            picked = Picked.NEVER
        outcomes = {
            Picked.BUSY: "busy", Picked.REJECTED: "rejected", Picked.NOT_FOUND: "failed", Picked.NEVER: "timeout",
        }  # fmt: skip
        if picked is not Picked.UP:
            self.call.end(outcomes[picked])
            return
        self._answered()
        self.call.spawn(self._limit(longest))
        if isinstance(digits := to.get("dtmfAnswer"), str):
            telephone.hear_keys(digits.replace("p", ""))
        advanced = body.get("advanced_machine_detection")
        if isinstance(advanced, dict):
            behavior, mode = advanced.get("behavior", "continue"), advanced.get("mode", "detect")
            beep = float(advanced.get("beep_timeout", BEEP_SECONDS))
            if mode == "default":
                self.call.spawn(self._detect(behavior, mode, beep))
            else:  # whoever answers waits until it is known
                await self._detect(behavior, mode, beep)
        elif isinstance(behavior := body.get("machine_detection"), str):
            self.call.spawn(self._detect(behavior, "detect", 0))
        if isinstance(ncco := body.get("ncco"), list):
            self.begin(self._document(ncco))
        else:
            url = body["answer_url"][0]
            self.begin(self._from(url, str(body.get("answer_method", "GET"))))

    async def _limit(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        self.call.end("completed")

    async def _detect(self, behavior: str, mode: str, beep_seconds: float) -> None:
        telephone = self.call.telephone
        await asyncio.sleep(DETECTION[telephone.nature])
        if telephone.nature is Nature.HUMAN:
            self._told("human", call_uuid=True)
            return
        self._told("machine", call_uuid=True)
        if behavior == "hangup":
            self.call.end("completed")
        elif mode in ("default", "detect_beep") and telephone.nature is Nature.MACHINE:
            try:
                async with asyncio.timeout(beep_seconds):
                    await telephone.greeted.wait()
                    if not telephone.beeps:
                        await asyncio.Event().wait()
                self._told("machine", call_uuid=True, sub_state="beep_start")
            except TimeoutError:
                self._told("machine", call_uuid=True, sub_state="beep_timeout")

    def _answered(self) -> None:
        if self.status in ("started", "ringing"):
            self.call.answer()
            self._is("answered")

    def _check_answered(self) -> None:
        if self.status != "answered":
            raise fault(400, "Bad Request", "The call is not answered.")

    # Events -------------------------------------------------------------------------------------------------------

    def _is(self, status: str) -> None:
        if self.status in _ENDED:
            return
        self.status = status
        self.call.note("status", status=status)
        more: dict[str, Any] = {}
        if detail := _DETAILS.get(status):
            more["detail"] = detail
        if status in ("started", "ringing", "answered"):
            more["start_time"] = None if status != "answered" else iso(self.call.answered_at)
        if status == "completed":
            seconds = self.call.seconds
            more |= {
                "start_time": iso(self.call.answered_at or self.call.began_at),
                "end_time": iso(self.call.ended_at),
                "duration": str(round(seconds)),
                "rate": f"{RATE_A_MINUTE:.8f}",
                "price": f"{seconds / 60 * RATE_A_MINUTE:.8f}",
                "network": "US-FIXED",
            }
        self._told(status, **more)

    def _told(self, status: str, *, call_uuid: bool = False, **more: Any) -> None:
        call = self.call
        event = {
            "from": call.caller.removeprefix("+"),
            "to": call.callee.removeprefix("+"),
            ("call_uuid" if call_uuid else "uuid"): call.id,
            "conversation_uuid": self.conversation,
            "status": status,
            "direction": self.direction,
            "timestamp": iso(self.world.clock()),
            **more,
        }
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(event)

    async def _post_events(self) -> None:
        while not (self.status in _ENDED and self._posting.empty()):
            event = await self._posting.get()
            if event is not None and self.event_url:
                answered = await self.exchange.hooks.vonage(self.call, self.event_url, event, method=self.event_method)
                if self.answers is not None and event.get("status") in _UNREACHED and not self.answers.done():
                    self.answers.set_result(answered)

    def _over(self, cause: str) -> None:
        if self._stream is not None:
            self._stream.stop()
        if self._program is not None:
            self._program.cancel()
        self._is(_CAUSES.get(cause, "completed" if self.call.answered_at else "failed"))
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(None)  # wakes who waits for one more

    # Documents ----------------------------------------------------------------------------------------------------

    def begin(self, work: Any) -> None:
        """Does `work` in place of what the call does now; its media socket's leg ends."""
        if self._program is not None:
            self._program.cancel()
        if self._stream is not None:
            self._stream.stop()
        for attachment in tuple(self.call.attachments):
            if isinstance(attachment, Seat):
                attachment.room.leave(attachment)
            else:
                self.call.detach(attachment)
        self._program = self.call.spawn(work)

    async def _from(self, url: str, method: str = "GET") -> None:
        fields = {
            "to": self.call.callee.removeprefix("+"),
            "from": self.call.caller.removeprefix("+"),
            "uuid": self.call.id,
            "conversation_uuid": self.conversation,
        }
        ncco = _ncco(await self.exchange.hooks.vonage(self.call, url, fields, method=method))
        if ncco is None:
            self.call.note("fault", error="the answer is no NCCO")
            self.call.end("completed")
            return
        await self._document(ncco)

    async def _document(self, ncco: list[dict[str, Any]]) -> None:
        following: list[dict[str, Any]] | None = ncco
        while following is not None:
            actions, following = following, None
            for action in actions:
                following = await self._action(action)
                if following is not None:
                    break
        self.call.end("completed")

    async def _action(self, action: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        self._answered()
        match action.get("action"):
            case "talk":
                text = str(action.get("text", ""))
                self.call.note("carrier_says", text=text)
                announcement = Announcement(
                    await self.exchange.voice.spoken(text), max(1, int(action.get("loop", 1) or 1))
                )
                self.call.attach(announcement)
                try:
                    await announcement.done.wait()
                finally:
                    self.call.detach(announcement)
            case "wait":
                await asyncio.sleep(min(max(float(action.get("timeout", 10)), 0.1), 7200.0))
            case "connect":
                return await self._connect(action)
            case "conversation":
                await self._converse(action)
            case "stream":
                match action.get("streamUrl"):
                    case [str(url), *_]:
                        await self.streams(url, int(action.get("loop", 1) or 0))
                    case _:
                        self._refuse(action)
            case "record":
                return await self._record(action)
            case "input":
                return await self._input(action)
            case "notify":
                asked = await self._ask(action, {"payload": action.get("payload"), **self._whose()})
                return _ncco(asked) if asked is not None else None
            case _:
                self._refuse(action)
        return None

    def _refuse(self, action: Mapping[str, Any]) -> None:
        """As Vonage answers a document that it does not understand: an event with the reason, and the call ends."""
        self.call.note("fault", error=f"{str(action.get('action'))[:40]} is no action that is known")
        event = {
            "reason": "Syntax error in NCCO. Invalid value type or action.",
            "conversation_uuid": self.conversation,
            "timestamp": iso(self.world.clock()),
        }
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(event)
        self.call.end("failed")

    def _whose(self) -> dict[str, Any]:
        return {"conversation_uuid": self.conversation, "timestamp": iso(self.world.clock())}

    async def _ask(self, action: Mapping[str, Any], event: Mapping[str, Any]) -> Answered | None:
        """Post what came of an action to its own address, else to the call's."""
        urls = action.get("eventUrl")
        url = urls[0] if isinstance(urls, list) and urls else self.event_url
        if not url:
            return None
        method = str(action.get("eventMethod", "POST"))
        return await self.exchange.hooks.vonage(self.call, url, event, method=method)

    # Recording and asking -----------------------------------------------------------------------------------------

    def _taped(self, action: Mapping[str, Any]) -> Tape:
        is_stereo = action.get("split") == "conversation" and int(action.get("channels", 1) or 1) > 1
        format = str(action.get("format", "mp3"))
        return shelf_of(self.world).begin(
            self.call, str(uuid.uuid4()), is_stereo=is_stereo, format=format if format in ("mp3", "wav") else "mp3"
        )

    async def _tell_recorded(self, action: Mapping[str, Any], tape: Tape) -> Answered | None:
        await tape.over.wait()
        if not tape.seconds:
            return None
        content = await asyncio.to_thread(tape.encoded, tape.format)
        base = self.world.account(PROVIDER).option("base_url").rstrip("/")
        event = {
            "start_time": iso(tape.began_at),
            "recording_url": f"{base}/v1/files/{tape.id}",
            "size": len(content),
            "recording_uuid": str(uuid.uuid4()),
            "end_time": iso(tape.ended_at),
            **self._whose(),
        }
        return await self._ask(action, event)

    async def _record(self, action: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """With an end of its own the document waits for it; without one it goes on, and all of the call is recorded."""
        tape = self._taped(action)
        if not {"endOnSilence", "endOnKey", "timeOut"} & action.keys():
            self.call.spawn(self._tell_recorded(action, tape), outlives=True)
            return None
        hush = float(action.get("endOnSilence", 3600) or 3600)
        key = str(action.get("endOnKey", ""))
        listener = Listener(
            keys=bool(key), speech=True, finish_on=key, wait=hush, hush=hush, longest=float(action.get("timeOut", 7200))
        )
        self.call.attach(listener)
        listener.arm()
        try:
            await listener.done.wait()
        finally:
            self.call.detach(listener)
            tape.stop()
        answered = await self._tell_recorded(action, tape)
        return _ncco(answered) if answered is not None else None

    async def _input(self, action: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Keys, speech, or whichever comes first."""
        kinds = action.get("type")
        dtmf, speech = action.get("dtmf") or {}, action.get("speech") or {}
        if not isinstance(kinds, list) or not kinds or not set(kinds) <= {"dtmf", "speech"}:
            self._refuse(action)
            return None
        waits = [float(dtmf.get("timeOut", 3))] if "dtmf" in kinds else []
        waits += [float(speech.get("startTimeout", 10))] if "speech" in kinds else []
        listener = Listener(
            keys="dtmf" in kinds,
            speech="speech" in kinds,
            most_keys=int(dtmf.get("maxDigits", 4)),
            finish_on="#" if dtmf.get("submitOnHash") else "",
            wait=max(waits),
            key_wait=float(dtmf.get("timeOut", 3)),
            hush=float(speech.get("endOnSilence", 2)),
            longest=float(speech.get("maxDuration", 60)) + max(waits),
        )
        began = len(self.call.events)
        self.call.attach(listener)
        listener.arm()
        try:
            await listener.done.wait()
        finally:
            self.call.detach(listener)
        said = words_since(self.call, began)
        event: dict[str, Any] = {
            "from": self.call.caller.removeprefix("+"),
            "to": self.call.callee.removeprefix("+"),
            "uuid": self.call.id,
            **self._whose(),
            "dtmf": {"digits": listener.digits, "timed_out": listener.why in (Heard.KEYS, Heard.NOTHING)},
        }
        if "speech" in kinds:
            spoke = listener.why is Heard.SPEECH and bool(said)
            reason = "end_on_silence_timeout" if spoke else "start_timeout"
            results = [{"confidence": "0.9234", "text": said}] if spoke else []
            event["speech"] = {"timeout_reason": reason, "results": results}
        self.call.note("gathered", digits=listener.digits, speech=said if "speech" in kinds else "")
        answered = await self._ask(action, event)
        return _ncco(answered) if answered is not None else None

    async def _connect(self, action: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        match action.get("endpoint"):
            case [{"type": "websocket", "uri": str(uri), **endpoint}]:
                return await self._to_socket(action, uri, endpoint)
            case [{"type": "phone", "number": str(number)}]:
                return await self._put_through(action, f"+{number}")
            case [{"type": "sip", "uri": str(uri)}]:
                return await self._put_through(action, uri)
            case _:
                self.call.note("fault", error="no endpoint to connect to")
                self.call.end("failed")
        return None

    async def _to_socket(
        self, action: Mapping[str, Any], uri: str, endpoint: Mapping[str, Any]
    ) -> list[dict[str, Any]] | None:
        from .media import Gone, Stream  # noqa: PLC0415 - sound, when it is wanted

        found = _CONTENT.match(str(endpoint.get("content-type", "audio/l16;rate=16000")))
        headers = endpoint.get("headers") or {}
        if found is None or int(found[1]) not in _RATES or len(msgspec.json.encode(headers)) > MAX_HEADERS:
            self.call.note("fault", error="a content-type or headers that Vonage does not take")
            self.call.end("failed")
            return None
        wire = VonageWire(rate=int(found[1]), headers=headers)
        upgrade: dict[str, str] = {}
        match endpoint.get("authorization"):
            case {"type": "custom", "value": str(value)}:
                upgrade["Authorization"] = value
        if self._stream is not None:
            self._stream.stop()
        stream = self._stream = Stream(wire, uri, headers=upgrade, faults=faults_once(self.call), note=self.call.note)
        leg = str(uuid.uuid4())
        urls = action.get("eventUrl")
        event_url = urls[0] if isinstance(urls, list) and urls else ""
        self.call.attach(stream)
        self.call.note("stream.opens", stream=leg)
        running = self.call.spawn(self._run(stream, leg), outlives=True)
        try:
            await asyncio.wait({running})
        finally:
            # By itself: a document that is replaced does not wait until its socket has been closed in order.
            self.call.detach(stream)
            stream.stop()
            if self._stream is stream:
                self._stream = None
        end = running.result()
        if end.how is Gone.STOPPED or not event_url:
            return None
        status = "failed" if end.how is Gone.UNREACHED else "disconnected"
        event = {
            "from": self.call.caller.removeprefix("+"),
            "to": uri,
            "uuid": leg,
            "conversation_uuid": self.conversation,
            "status": status,
            "direction": "outbound",
            "timestamp": iso(self.world.clock()),
            "headers": headers,
            "reason": {"code": str(end.code), "text": end.reason},
        }
        answered = await self.exchange.hooks.vonage(
            self.call, event_url, event, method=str(action.get("eventMethod", "POST"))
        )
        return _ncco(answered) if action.get("eventType") == "synchronous" else None

    async def _run(self, stream: "Stream", leg: str) -> "StreamEnd":
        end = await stream.run()
        self.call.note("stream.ended", stream=leg, how=end.how, code=end.code, reason=end.reason)
        return end

    async def _put_through(self, action: Mapping[str, Any], callee: str) -> list[dict[str, Any]] | None:
        """The other side's events go to the action's own address; where it is synchronous, the answer to one that says that nobody was
        reached may be a new document."""
        caller = f"+{action['from']}" if action.get("from") else self.call.caller
        try:
            other = self.exchange.call_to(PROVIDER, new_id(self.world), caller=caller, callee=callee)
        except Busy:
            return None
        urls = action.get("eventUrl")
        line = VonageLine(
            self.exchange,
            other,
            direction="outbound",
            event_url=urls[0] if isinstance(urls, list) and urls else self.event_url,
        )
        line.event_method = str(action.get("eventMethod", "POST"))
        following: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if action.get("eventType") == "synchronous":
            line.answers = following
        line.conversation = self.conversation
        self.call.note("dials", callee=callee, call=other.id)
        try:
            line._is("started")
            await other.telephone.prepare()
            line._is("ringing")
            try:
                async with asyncio.timeout(min(float(action.get("timeout", 60)), 7200.0)):
                    picked = await other.telephone.ring()
            except TimeoutError:
                picked = Picked.NEVER
            if picked is not Picked.UP:
                outcome = {Picked.NEVER: "timeout", Picked.NOT_FOUND: "failed", Picked.REJECTED: "rejected"}
                other.end(outcome.get(picked, "busy"))
                return _ncco(await following) if line.answers is not None else None
            line._answered()
            room = Room(uuid.uuid4().hex)
            seat, _ = room.join(self.call), room.join(other)
            self.call.note("joined", call=other.id)
            try:
                await other.ended.wait()
            finally:
                room.leave(seat)
        finally:
            other.end("completed" if other.answered_at else "cancelled")
        return None

    async def _converse(self, action: Mapping[str, Any]) -> None:
        name = str(action.get("name", ""))
        key = f"vonage:{name}"
        room = self.exchange.rooms.get(key)
        if room is None or room.ended.is_set():
            room = self.exchange.rooms[key] = Room(f"CON-{uuid.uuid4()}", name)
            room.is_started = False
        seat = room.join(self.call, is_muted=action.get("mute") is True)
        seat.ends_room = action.get("endOnExit") is True
        if action.get("record") is True and "is_recorded" not in room.more:
            room.more["is_recorded"] = True
            self.call.spawn(self._tell_recorded(action, self._taped(action)), outlives=True)
        room.is_started |= action.get("startOnEnter", True) is not False
        self.call.note("joined", room=name)
        try:
            await room.ended.wait()
        finally:
            room.leave(seat)
            if not room.seats:
                room.ended.set()
            if room.ended.is_set() and self.exchange.rooms.get(key) is room:
                del self.exchange.rooms[key]


def _application(world: World, number: OwnedNumber | None) -> Application:
    wanted = number.application if number and number.application else world.account(PROVIDER).option("application_id")
    found = world.applications.get((PROVIDER, wanted))
    return found or world.applications[PROVIDER, world.account(PROVIDER).option("application_id")]


def _ncco(answered: Answered) -> list[dict[str, Any]] | None:
    if not answered.is_taken or not answered.body.strip():
        return None
    try:
        return _actions(answered.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


async def _body(request: Request[Any, Any, Any]) -> dict[str, Any]:
    body = await read_json(request)
    if body is None:
        raise fault(400, "Bad Request", "The body is no JSON object.")
    return body


def _within(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    given = body.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise fault(400, "Bad Request", f"{name} is {least} to {most}")
    return given


def _line(exchange: Exchange, call_id: str) -> VonageLine:
    call = exchange.find(call_id)
    line = None if call is None else call.more.get("line")
    if not isinstance(line, VonageLine):
        raise fault(404, "Not Found", "Call does not exist, or you do not have access.", "not-found")
    return line


def _live(exchange: Exchange, call_id: str) -> VonageLine:
    line = _line(exchange, call_id)
    if line.status != "answered":
        raise fault(404, "Not Found", "The call is not in progress.", "not-found")
    return line
