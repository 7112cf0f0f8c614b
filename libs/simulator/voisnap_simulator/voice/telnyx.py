"""Telnyx's Call Control (API version 2): calls over REST, events, media streaming.

https://developers.telnyx.com/api-reference/call-commands/dial,
https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks
"""

import asyncio
import hmac
import re
import secrets
import uuid
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, delete, get, post
from litestar.types import ControllerRouterHandler
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat

from voisnap_simulator.answers import Refused, json_answer, read_json
from voisnap_simulator.world import OwnedNumber, World

from .calls import Announcement, Call, Nature, Picked, Room, Seat
from .exchange import Busy, Exchange, exchange_of, iso
from .listening import Heard, Listener
from .played import Unplayable, sound_of
from .tapes import Tape, shelf_of
from .twilio import faults_once
from .wires import TelnyxWire

if TYPE_CHECKING:
    from voisnap_media.pcm import Samples

    from .media import Stream

PROVIDER = "telnyx"
ROOT = "/telnyx/v2"
USER = "3e6f995f-85f7-4705-9741-53b116d28237"
RING_SECONDS = 60.0
"""How long somebody who calls us lets it ring."""
DETECTION = {Nature.HUMAN: 1.5, Nature.MACHINE: 3.0, Nature.FAX: 2.5, Nature.SCREENING: 3.0}
RATE_A_MINUTE = 0.007
_RATES = frozenset({8000, 16000, 22050, 24000, 48000})
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_DIGITS = re.compile(r"[0-9A-D*#wW]{1,64}", re.ASCII)
_CAUSES = {
    "hung_up": ("normal_clearing", "200"),
    "completed": ("normal_clearing", "200"),
    "time_limit": ("time_limit", "200"),
    "busy": ("user_busy", "486"),
    "rejected": ("call_rejected", "603"),
    "no-answer": ("timeout", "487"),
    "canceled": ("originator_cancel", "487"),
    "failed": ("not_found", "404"),
}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Dialling and the commands of a call."""
    exchange = exchange_of(world)

    @post(f"{ROOT}/calls", status_code=200)
    async def dial(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_key(world, request)
        body = await _body(request)
        command = body.get("command_id")
        known = exchange.remembered(f"telnyx:dial:{command}") if command else None
        if known is None:
            line = TelnyxLine.dialled(exchange, body)
            known = line.short()
            if command:
                exchange.remembered(f"telnyx:dial:{command}", known)
        return json_answer({"data": known})

    @get(f"{ROOT}/calls/{{call_id:str}}")
    async def call(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        check_key(world, request)
        return json_answer({"data": _line(exchange, call_id).short()})

    @post(f"{ROOT}/calls/{{call_id:str}}/actions/{{action:str}}", status_code=200)
    async def act(request: Request[Any, Any, Any], call_id: str, action: str) -> Response[bytes]:
        check_key(world, request)
        body = await _body(request)
        line = _line(exchange, call_id)
        command = body.get("command_id")
        if not command or not line.has_done(f"{action}:{command}"):
            line.act(action, body)
            if command:
                line.done.add(f"{action}:{command}")
        return json_answer({"data": {"result": "ok"}})

    @get(f"{ROOT}/recordings")
    async def recordings(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_key(world, request)
        leg = request.query_params.get("filter[call_leg_id]")
        found = [tape for tape in shelf_of(world).all(PROVIDER) if tape.over.is_set()]
        shown = [_recording(world, tape) for tape in found if leg in (None, tape.more["leg"])]
        return json_answer({"data": shown, "meta": {"total_results": len(shown), "page_number": 1}})

    @get(f"{ROOT}/recordings/{{name:str}}")
    async def recording(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
        """A recording, or with the signature of its address its sound."""
        id, _, format = name.partition(".")
        tape = shelf_of(world).find(PROVIDER, id)
        if format:  # whoever has the address has the sound, for ten minutes
            if tape is None or request.query_params.get("signature") != tape.more["signature"]:
                raise error(403, "10010", "Forbidden")
            content = await asyncio.to_thread(tape.encoded, format)
            return Response(content, media_type="audio/mpeg" if format == "mp3" else "audio/wav")
        check_key(world, request)
        if tape is None or not tape.over.is_set():
            raise error(404, "10005", "Resource not found")
        return json_answer({"data": _recording(world, tape)})

    @delete(f"{ROOT}/recordings/{{name:str}}", status_code=200)
    async def forget(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
        check_key(world, request)
        tape = shelf_of(world).find(PROVIDER, name)
        if tape is None:
            raise error(404, "10005", "Resource not found")
        shelf_of(world).delete(tape)
        return json_answer({"data": _recording(world, tape)})

    @post(f"{ROOT}/conferences", status_code=200)
    async def confer(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_key(world, request)
        body = await _body(request)
        line = _line(exchange, str(body.get("call_control_id", "")))
        line.check_answered()
        room = Room(str(uuid.uuid4()), str(body.get("name", "")))
        room.is_started = body.get("start_conference_on_create", True) is not False
        exchange.rooms[f"telnyx:{room.id}"] = room
        room.join(line.call)
        line.tell("conference.created", conference_id=room.id)
        return json_answer(
            {"data": {"record_type": "conference", "id": room.id, "name": room.name, "status": "in_progress"}}
        )

    @post(f"{ROOT}/conferences/{{room_id:str}}/actions/{{action:str}}", status_code=200)
    async def act_in_room(request: Request[Any, Any, Any], room_id: str, action: str) -> Response[bytes]:
        check_key(world, request)
        _act_in_room(exchange, room_id, action, await _body(request))
        return json_answer({"data": {"result": "ok"}})

    return dial, call, act, recordings, recording, forget, confer, act_in_room


def error(status: int, code: str, title: str, detail: str = "") -> Refused:
    """An error in Telnyx's words."""
    url = f"https://developers.telnyx.com/docs/overview/errors/{code}"
    return Refused(
        status, {"errors": [{"code": code, "title": title, "detail": detail or title, "meta": {"url": url}}]}
    )


def check_key(world: World, request: Request[Any, Any, Any]) -> None:
    """Raises Refused unless the request holds the account's key."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.strip().encode(), world.account(PROVIDER).secret("api_key").encode()
    ):
        raise error(401, "10009", "Authentication failed", "Could not find any usable credentials in the request.")


def new_id(world: World) -> str:
    """Of a call."""
    del world
    return f"v3:{secrets.token_urlsafe(40)}"


def ring(world: World, call: Call, number: OwnedNumber | None) -> "TelnyxLine":
    """Somebody rings one of our numbers: Telnyx says so, and waits for commands."""
    wanted = number.application if number else ""
    line = TelnyxLine(exchange_of(world), call, direction="incoming", connection=wanted)
    call.spawn(line.rings())
    return line


class TelnyxLine:
    """One call as Telnyx sees it."""

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        *,
        direction: str,
        connection: str = "",
        webhook_url: str = "",
        session: str = "",
    ) -> None:
        self.exchange, self.world, self.call = exchange, exchange.world, call
        self.direction = direction
        self.connection = connection or self.world.account(PROVIDER).option("connection_id")
        self.webhook_url = webhook_url
        self.leg, self.session = str(uuid.uuid4()), session or str(uuid.uuid4())
        self.client_state: str | None = None
        self.partner: TelnyxLine | None = None
        self.done: set[str] = set()
        self.more: Mapping[str, Any] = {}
        """What is asked of a call that takes another one over."""
        self._stream: Stream | None = None
        self._speaking: Announcement | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._gather_ends = "cancelled"
        self._posting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(maxsize=200)
        call.more["line"] = self
        call.on_end = self._over
        call.spawn(self._post_events(), outlives=True)

    @classmethod
    def dialled(cls, exchange: Exchange, body: Mapping[str, Any]) -> "TelnyxLine":
        """`POST /calls`. Raises Refused."""
        world = exchange.world
        to, caller = body.get("to"), body.get("from")
        if not isinstance(to, str) or not (_NUMBER.fullmatch(to) or to.lower().startswith(("sip:", "sips:"))):
            raise error(422, "10016", "Phone number must be in +E164 format", "The 'to' number is no telephone number.")
        if not isinstance(caller, str) or not _NUMBER.fullmatch(caller):
            raise error(
                422, "10016", "Phone number must be in +E164 format", "The 'from' number is no telephone number."
            )
        connection = str(body.get("connection_id", ""))
        if (PROVIDER, connection) not in world.applications:
            raise error(422, "10015", "Invalid value for connection_id (Call Control App ID)")
        if world.number(PROVIDER, caller) is None:
            raise error(403, "D51", "Unverified origination number", "The 'from' number is not one of this account.")
        ring_seconds = _within(body, "timeout_secs", 30, 5, 600)
        longest = _within(body, "time_limit_secs", 14400, 30, 14400)
        _stream_formats(body)
        try:
            call = exchange.call_to(PROVIDER, new_id(world), caller=caller, callee=to)
        except Busy:
            raise error(429, "90041", "Concurrent calls limit reached") from None
        line = cls(
            exchange, call, direction="outgoing", connection=connection, webhook_url=str(body.get("webhook_url") or "")
        )
        line.client_state = body.get("client_state")
        call.spawn(line._place(body, ring_seconds, longest))
        return line

    def short(self) -> dict[str, Any]:
        """The call as the REST API shows it."""
        return {
            "record_type": "call",
            "call_control_id": self.call.id,
            "call_leg_id": self.leg,
            "call_session_id": self.session,
            "client_state": self.client_state,
            "is_alive": self.call.answered_at is not None and not self.call.ended.is_set(),
            "call_duration": round(self.call.seconds),
            "start_time": iso(self.call.began_at),
        }

    def has_done(self, command: str) -> bool:
        """Whether a command was done before."""
        return command in self.done

    # Commands -----------------------------------------------------------------------------------------------------

    def act(self, action: str, body: Mapping[str, Any]) -> None:
        """Do a command. Raises Refused."""
        call = self.call
        if call.ended.is_set():
            raise error(
                422, "90018", "Call has already ended", "This call is no longer active and can't receive commands."
            )
        before = self.client_state
        if isinstance(state := body.get("client_state"), str) and action != "transfer":
            self.client_state = _base64(state)
        call.note("command", action=action)
        try:
            self._do(action, body)
        except Refused:
            self.client_state = before  # of a command that was not done nothing stays
            raise

    def _do(self, action: str, body: Mapping[str, Any]) -> None:
        call = self.call
        match action:
            case "answer":
                if self.direction != "incoming" or call.answered_at is not None:
                    raise error(422, "90020", "Call has already been answered")
                _stream_formats(body)
                self._answered()
                self._stream_of(body)
            case "hangup":
                call.end("completed" if call.answered_at or self.direction == "incoming" else "canceled")
            case "reject":
                if self.direction != "incoming" or call.answered_at is not None:
                    raise error(422, "90020", "Call has already been answered")
                call.end("busy" if body.get("cause") == "USER_BUSY" else "rejected")
            case "streaming_start":
                self.check_answered()
                if not body.get("stream_url"):
                    raise error(422, "10015", "Invalid value for stream_url")
                _stream_formats(body)
                self._stream_of(body)
            case "streaming_stop":
                self._stop_stream()
            case "speak":
                self.check_answered()
                call.spawn(self._speak(str(body.get("payload", ""))))
            case "playback_start":
                self.check_answered()
                url = body.get("audio_url")
                if not isinstance(url, str) or not url:
                    raise error(422, "10015", "Invalid value for audio_url")
                call.spawn(self._playback(url, body.get("loop", 1)))
            case "playback_stop":
                self._fall_silent()
            case "gather" | "gather_using_speak" | "gather_using_audio":
                self.check_answered()
                self._stop_gathering("cancelled")
                self._gathering = call.spawn(self._gather(action, body))
            case "gather_stop":
                self.check_answered()
                self._stop_gathering("cancelled")
            case "record_start":
                self.check_answered()
                if body.get("format") not in ("mp3", "wav") or body.get("channels") not in ("single", "dual"):
                    raise error(422, "10015", "Invalid value for format or channels")
                self.records(str(body["format"]), str(body["channels"]))
            case "record_stop" | "record_pause" | "record_resume":
                self.check_answered()
                for tape in self._tapes(body):
                    if action == "record_stop":
                        tape.stop()
                    else:
                        tape.paused = "skip" if action == "record_pause" else None
            case "send_dtmf":
                self.check_answered()
                digits = str(body.get("digits", ""))
                if not _DIGITS.fullmatch(digits):
                    raise error(422, "10015", "Invalid value for digits")
                call.telephone.hear_keys(digits.replace("w", "").replace("W", ""))
            case "transfer":
                self.check_answered()
                self._transfer(body)
            case "bridge":
                self.check_answered()
                other = _line(self.exchange, str(body.get("call_control_id", "")))
                other.check_answered()
                self.join(other)
                self._record_as_asked(body)
            case "client_state_update" | "suppression_start" | "suppression_stop" | "refer":
                self.check_answered()
            case _:
                raise error(404, "10005", "Resource not found", "This command is not simulated.")

    def check_answered(self) -> None:
        """Raises Refused unless the call is connected."""
        if self.call.ended.is_set():
            raise error(
                422, "90018", "Call has already ended", "This call is no longer active and can't receive commands."
            )
        if self.call.answered_at is None:
            raise error(422, "90034", "Call not answered yet")

    # Ringing ------------------------------------------------------------------------------------------------------

    async def rings(self) -> None:
        """Somebody calls us."""
        await self.call.telephone.prepare()
        self.tell("call.initiated", direction="incoming", state="parked", start_time=iso(self.call.began_at, 6))
        await asyncio.sleep(RING_SECONDS)
        if self.call.answered_at is None:
            self.call.end("canceled")

    async def _place(self, body: Mapping[str, Any], ring_seconds: int, longest: int) -> None:
        telephone = self.call.telephone
        self.tell("call.initiated", direction="outgoing", state="bridging", start_time=iso(self.call.began_at, 6))
        await telephone.prepare()
        self.call.note("status", status="ringing")
        try:
            async with asyncio.timeout(ring_seconds):
                picked = await telephone.ring()
        except TimeoutError:
            picked = Picked.NEVER
        outcomes = {
            Picked.BUSY: "busy", Picked.REJECTED: "rejected", Picked.NOT_FOUND: "failed", Picked.NEVER: "no-answer",
        }  # fmt: skip
        if picked is not Picked.UP:
            self.call.end(outcomes[picked])
            return
        self._answered()
        self.call.spawn(self._limit(longest))
        if isinstance(digits := body.get("send_digits_on_answer"), str):
            telephone.hear_keys(digits.replace("w", ""))
        mode = body.get("answering_machine_detection", "disabled")
        if mode != "disabled":
            self.call.spawn(self._detect(str(mode)))
        self._stream_of(body)

    async def _limit(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        self.call.end("time_limit")

    async def _detect(self, mode: str) -> None:
        telephone = self.call.telephone
        await asyncio.sleep(DETECTION[telephone.nature])
        is_premium = mode.startswith("premium")
        kind = "call.machine.premium" if is_premium else "call.machine"
        if telephone.nature is Nature.HUMAN:
            result = "human_residence" if is_premium else "human"
        elif telephone.nature is Nature.FAX:
            result = "fax_detected" if is_premium else "machine"
        else:
            result = "machine"
        self.tell(f"{kind}.detection.ended", result=result)
        if mode == "premium_ios_call_screening_detection" and telephone.nature is Nature.SCREENING:
            self.tell("call.machine.premium.call_screening.detected")
        if mode in ("greeting_end", "detect_beep", "premium") and telephone.nature in (
            Nature.MACHINE,
            Nature.SCREENING,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(60):
                    await telephone.greeted.wait()
            if telephone.nature is Nature.SCREENING:
                ended = "prompt_ended" if is_premium else "ended"
            elif is_premium:
                ended = "beep_detected" if telephone.beeps else "no_beep_detected"
            else:
                ended = "beep_detected" if telephone.beeps and mode != "greeting_end" else "ended"
            self.tell(f"{kind}.greeting.ended", result=ended)

    def _answered(self) -> None:
        self.call.attach(Keys(self))
        self.call.answer()
        self.tell("call.answered", state="answered", start_time=iso(self.call.began_at, 6))

    # Media --------------------------------------------------------------------------------------------------------

    def _stream_of(self, body: Mapping[str, Any]) -> None:
        url = body.get("stream_url")
        if not isinstance(url, str) or not url:
            return
        from .media import Gone, Stream  # noqa: PLC0415 - sound, when it is wanted

        self._stop_stream()
        heard, spoken = _stream_formats(body)
        if self.call.faults.codec:  # what the telephone network had, whatever we wished for
            heard = AudioFormat(codec=AudioCodec(self.call.faults.codec), rate=8000)
        stream_id = str(uuid.uuid4()).upper()
        token = body.get("stream_auth_token")
        parameters = {
            str(one.get("name")): one.get("value")
            for one in body.get("custom_parameters") or ()
            if isinstance(one, dict)
        }
        plays = body.get("stream_bidirectional_mode") == "rtp"  # else MP3 files are taken, and nothing else is heard
        wire = TelnyxWire(
            stream_id=stream_id,
            call_control_id=self.call.id,
            call_session_id=self.session,
            caller=self.call.caller,
            callee=self.call.callee,
            heard=heard,
            spoken=spoken,
            token=token if isinstance(token, str) else None,
            parameters=parameters,
            client_state=self.client_state,
            user_id=USER,
        )
        headers = {"x-telnyx-streaming-auth-token": token} if isinstance(token, str) else {}
        stream = self._stream = Stream(
            wire, url, headers=headers, faults=faults_once(self.call), note=self.call.note, plays=plays
        )
        self.call.attach(stream)
        self.call.note("stream.opens", stream=stream_id)
        params = {"stream_url": url, "track": str(body.get("stream_track", "inbound_track"))}

        async def carry() -> None:
            running = asyncio.create_task(stream.run())
            try:
                await asyncio.sleep(0)
                self.tell("streaming.started", stream_id=stream_id, stream_url=url)
                end = await asyncio.shield(running)
            finally:
                stream.stop()
                self.call.detach(stream)
                if self._stream is stream:
                    self._stream = None
            self.call.note("stream.ended", stream=stream_id, how=end.how, code=end.code, reason=end.reason)
            if end.how in (Gone.UNREACHED, Gone.LOST):
                why = "connection_failed" if end.how is Gone.UNREACHED else "connection_lost"
                self.tell("streaming.failed", stream_id=stream_id, stream_params=params, failure_reason=why)
            else:
                self.tell("streaming.stopped", stream_id=stream_id, stream_url=url)

        self.call.spawn(carry(), outlives=True)

    def _stop_stream(self) -> None:
        if self._stream is not None:
            self._stream.stop()

    async def _speak(self, text: str) -> None:
        self.call.note("carrier_says", text=text)
        self._fall_silent()
        self._speaking = speaking = Announcement(await self.exchange.voice.spoken(text))
        self.tell("call.speak.started")
        self.call.attach(speaking)
        try:
            await speaking.done.wait()
        finally:
            self.call.detach(speaking)
        self.tell("call.speak.ended", status="completed")

    def _fall_silent(self) -> None:
        if self._speaking is not None:
            self._speaking.done.set()

    async def _playback(self, url: str, loop: object) -> None:
        self.call.note("carrier_plays", url=url[:200])
        try:
            sound = await sound_of(self.exchange.hooks, url)
        except Unplayable:
            self.tell("call.playback.ended", media_url=url, status="file_not_found", status_detail="file-not-found")
            return
        self._fall_silent()
        loops = 50 if loop == "infinity" else max(1, loop) if isinstance(loop, int) else 1
        self._speaking = playing = Announcement(sound, loops)
        self.tell("call.playback.started", media_url=url)
        self.call.attach(playing)
        try:
            await playing.done.wait()
        finally:
            self.call.detach(playing)
        self.tell("call.playback.ended", media_url=url, status="completed", status_detail="")

    # Recording and asking -----------------------------------------------------------------------------------------

    def records(self, format: str, channels: str) -> None:
        """Record the call from now on; it is told when that is there."""
        shelf = shelf_of(self.world)
        tape = shelf.begin(
            self.call,
            str(uuid.uuid4()),
            is_stereo=channels == "dual",
            format=format,
            leg=self.leg,
            session=self.session,
            signature=secrets.token_hex(16),
        )
        self.call.spawn(self._tell_recorded(tape, channels), outlives=True)

    def _record_as_asked(self, body: Mapping[str, Any]) -> None:
        if body.get("record") == "record-from-answer":
            self.records(str(body.get("record_format", "mp3")), str(body.get("record_channels", "dual")))

    async def _tell_recorded(self, tape: Tape, channels: str) -> None:
        await tape.over.wait()
        if not tape.seconds:
            return
        saved = self.event(
            "call.recording.saved",
            channels=channels,
            format=tape.format,
            recording_id=tape.id,
            recording_started_at=iso(tape.began_at, 6),
            recording_ended_at=iso(tape.ended_at, 6),
            recording_urls=_addresses(self.world, tape),
            public_recording_urls={},
        )
        if url := self._url():
            await self.exchange.hooks.telnyx(self.call, url, saved)

    def _tapes(self, body: Mapping[str, Any]) -> list[Tape]:
        wanted = body.get("recording_id")
        running = [tape for tape in shelf_of(self.world).of(self.call) if not tape.over.is_set()]
        return [tape for tape in running if wanted in (None, tape.id)]

    async def _gather(self, action: str, body: Mapping[str, Any]) -> None:
        """Keys, also into what is said or played meanwhile."""
        listener = Listener(
            most_keys=_within(body, "maximum_digits", 128, 1, 128),
            finish_on=str(body.get("terminating_digit", "#")),
            wait=_within(body, "timeout_millis", 60000, 1, 600000) / 1000,
            key_wait=_within(body, "inter_digit_timeout_millis", 5000, 1, 600000) / 1000,
        )
        least = _within(body, "minimum_digits", 1, 1, 128)
        valid = str(body.get("valid_digits", "0123456789#*"))
        self.call.attach(listener)
        status = "cancelled"
        try:
            prompt: asyncio.Future[None] | None = None
            if action == "gather_using_speak":
                prompt = asyncio.ensure_future(self._speak(str(body.get("payload", ""))))
            elif action == "gather_using_audio":
                prompt = asyncio.ensure_future(self._playback(str(body.get("audio_url", "")), 1))
            if prompt is not None:
                barges = asyncio.ensure_future(listener.began.wait())
                try:
                    await asyncio.wait({prompt, barges}, return_when=asyncio.FIRST_COMPLETED)
                    self._fall_silent()
                    await prompt
                finally:
                    prompt.cancel()
                    barges.cancel()
            listener.arm()
            await listener.done.wait()
            is_valid = len(listener.digits) >= least and set(listener.digits) <= set(valid)
            status = "valid" if is_valid else "invalid" if listener.digits or listener.why is Heard.KEY else "timeout"
        except asyncio.CancelledError:
            status = "call_hangup" if self.call.ended.is_set() else self._gather_ends
            raise
        finally:
            self.call.detach(listener)
            self._gathering = None
            self.tell("call.gather.ended", digits=listener.digits, status=status)

    def _stop_gathering(self, status: str) -> None:
        if self._gathering is not None:
            self._gather_ends = status
            self._gathering.cancel()
            self._gathering = None

    # Other calls --------------------------------------------------------------------------------------------------

    def join(self, other: "TelnyxLine") -> None:
        """Put two calls together; when one hangs up the other ends too."""
        for line in (self, other):
            for attachment in tuple(line.call.attachments):
                if isinstance(attachment, Seat):
                    attachment.room.leave(attachment)
        room = Room(str(uuid.uuid4()))
        room.join(self.call)
        room.join(other.call)
        self.partner, other.partner = other, self
        self.call.note("joined", call=other.call.id)
        other.call.note("joined", call=self.call.id)
        self.tell("call.bridged")
        other.tell("call.bridged")

    def _transfer(self, body: Mapping[str, Any]) -> None:
        to, caller = body.get("to"), body.get("from") or self.call.callee
        if not isinstance(to, str) or not (_NUMBER.fullmatch(to) or to.lower().startswith(("sip:", "sips:"))):
            raise error(422, "10016", "Phone number must be in +E164 format", "The 'to' number is no telephone number.")
        try:
            other = self.exchange.call_to(PROVIDER, new_id(self.world), caller=str(caller), callee=to)
        except Busy:
            raise error(429, "90041", "Concurrent calls limit reached") from None
        line = TelnyxLine(
            self.exchange,
            other,
            direction="outgoing",
            connection=self.connection,
            webhook_url=str(body.get("webhook_url") or self.webhook_url),
            session=self.session,
        )
        line.client_state = body.get("target_leg_client_state")
        line.more = {"record": body.get("record"), **{n: v for n, v in body.items() if n.startswith("record_")}}
        self.call.note("dials", callee=to, call=other.id)
        other.spawn(line._hand_over(self, _within(body, "timeout_secs", 30, 5, 600)))

    async def _hand_over(self, first: "TelnyxLine", ring_seconds: int) -> None:
        self.tell("call.initiated", direction="outgoing", state="bridging", start_time=iso(self.call.began_at, 6))
        await self.call.telephone.prepare()
        try:
            async with asyncio.timeout(ring_seconds):
                picked = await self.call.telephone.ring()
        except TimeoutError:
            picked = Picked.NEVER
        if picked is not Picked.UP:
            outcome = {Picked.NEVER: "no-answer", Picked.NOT_FOUND: "failed", Picked.REJECTED: "rejected"}
            self.call.end(outcome.get(picked, "busy"))
            return
        self._answered()
        if first.call.ended.is_set():
            self.call.end("completed")
        else:
            first.join(self)
            first._record_as_asked(self.more)

    # Events -------------------------------------------------------------------------------------------------------

    def tell(self, kind: str, **payload: Any) -> None:
        """Post an event of this call."""
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(self.event(kind, **payload))

    def event(self, kind: str, **payload: Any) -> dict[str, Any]:
        """An event of this call."""
        call = self.call
        call.note("event", event=kind)
        return {
            "record_type": "event",
            "event_type": kind,
            "id": str(uuid.uuid4()),
            "occurred_at": iso(self.world.clock(), 6),
            "payload": {
                "call_control_id": call.id,
                "call_leg_id": self.leg,
                "call_session_id": self.session,
                "connection_id": self.connection,
                "client_state": self.client_state,
                "from": call.caller,
                "to": call.callee,
                **payload,
            },
        }

    async def _post_events(self) -> None:
        """In order here; Telnyx itself promises none, which faults of the line bring (`webhook_delay`, `webhook_copies`)."""
        while not (self.call.ended.is_set() and self._posting.empty()):
            event = await self._posting.get()
            if event is not None and (url := self._url()):
                await self.exchange.hooks.telnyx(self.call, url, event)

    def _url(self) -> str:
        if self.webhook_url:
            return self.webhook_url
        application = self.world.applications.get((PROVIDER, self.connection))
        return (
            application.event_url
            if application and application.event_url
            else self.world.urls.voice(PROVIDER, "simulator")
        )

    def _over(self, cause: str) -> None:
        self._stop_stream()
        for attachment in tuple(self.call.attachments):
            if isinstance(attachment, Seat):
                attachment.room.leave(attachment)
        hangup, sip = _CAUSES.get(cause, ("normal_clearing" if self.call.answered_at else "unspecified", "unspecified"))
        self.tell(
            "call.hangup",
            state="hangup",
            hangup_cause=hangup,
            hangup_source="caller" if cause == "hung_up" and self.direction == "incoming" else "callee",
            sip_hangup_cause=sip,
            start_time=iso(self.call.began_at, 6),
            end_time=iso(self.call.ended_at, 6),
            call_quality_stats={"inbound": {"mos": "4.50"}, "outbound": {"mos": "4.50"}},
        )
        application = self.world.applications.get((PROVIDER, self.connection))
        if application is not None and application.more.get("call_cost_in_webhooks") and self.call.answered_at:
            seconds = -(-round(self.call.seconds) // 60) * 60
            cost = f"{seconds / 60 * RATE_A_MINUTE:.4f}"
            part = {"call_part": "sip-trunking", "cost": cost, "currency": "USD", "rate": f"{RATE_A_MINUTE:.4f}"}
            self.tell(
                "call.cost",
                total_cost=cost,
                billed_duration_secs=seconds,
                cost_parts=[{**part, "billed_duration_secs": seconds}],
                status="success",
            )
        if self.partner is not None:
            partner, self.partner = self.partner, None
            partner.partner = None
            partner.call.end("completed")
        with suppress(asyncio.QueueFull):
            self._posting.put_nowait(None)  # wakes who waits for one more


def _recording(world: World, tape: Tape) -> dict[str, Any]:
    return {
        "record_type": "recording",
        "id": tape.id,
        "call_control_id": tape.call.id,
        "call_leg_id": tape.more["leg"],
        "call_session_id": tape.more["session"],
        "channels": "dual" if tape.is_stereo else "single",
        "duration_millis": round(tape.seconds * 1000),
        "recording_started_at": iso(tape.began_at, 6),
        "recording_ended_at": iso(tape.ended_at, 6),
        "created_at": iso(tape.began_at, 6),
        "source": "call",
        "status": "completed",
        "download_urls": _addresses(world, tape),
    }


def _addresses(world: World, tape: Tape) -> dict[str, str]:
    """Where the sound is to be had, by whoever knows."""
    base = world.account(PROVIDER).option("base_url").rstrip("/")
    return {tape.format: f"{base}/recordings/{tape.id}.{tape.format}?signature={tape.more['signature']}"}


class Keys:
    """Attached to every call: Telnyx tells each key that is pressed."""

    def __init__(self, line: TelnyxLine) -> None:
        self._line = line

    def exchange(self, frame: "Samples") -> "Samples | None":
        """Nothing is said."""
        del frame
        return None

    def key(self, digit: str) -> None:
        """A key was pressed."""
        self._line.tell("call.dtmf.received", digit=digit)


def _act_in_room(exchange: Exchange, room_id: str, action: str, body: Mapping[str, Any]) -> None:
    room = exchange.rooms.get(f"telnyx:{room_id}")
    if room is None or room.ended.is_set():
        raise error(404, "10005", "Resource not found")
    line = _line(exchange, str(body.get("call_control_id", "")))
    line.check_answered()
    seat = room.seat_of(line.call)
    match action:
        case "join":
            if seat is None:
                seat = room.join(line.call)
            seat.ends_room = body.get("end_conference_on_exit") is True
            seat.is_muted, seat.is_held = body.get("mute") is True, body.get("hold") is True
            room.is_started |= body.get("start_conference_on_enter", True) is not False
            line.tell("conference.participant.joined", conference_id=room.id)
        case "leave" if seat is not None:
            room.leave(seat)
            line.tell("conference.participant.left", conference_id=room.id)
        case "mute" | "unmute" if seat is not None:
            seat.is_muted = action == "mute"
        case "hold" | "unhold" if seat is not None:
            seat.is_held = action == "hold"
        case _:
            raise error(422, "90033", "The call is not in this conference, or the command is not simulated")
    if room.ended.is_set():
        for one in tuple(room.seats):
            room.leave(one)


def _stream_formats(body: Mapping[str, Any]) -> tuple[AudioFormat, AudioFormat]:
    """What is heard and what is spoken. Raises Refused for what Telnyx does not have."""
    codec = body.get("stream_codec") or "PCMU"
    heard = {"PCMA": AudioCodec.PCMA, "L16": AudioCodec.L16}.get(str(codec).upper(), AudioCodec.PCMU)
    asked = str(body.get("stream_bidirectional_codec") or "PCMU").upper()
    known = {"PCMU": AudioCodec.PCMU, "PCMA": AudioCodec.PCMA, "L16": AudioCodec.L16}
    if asked not in known:
        raise error(422, "10015", "Invalid value for stream_bidirectional_codec", "This codec is not simulated.")
    rate = body.get("stream_bidirectional_sampling_rate") or 8000
    if rate not in _RATES:
        raise error(422, "10015", "Invalid value for stream_bidirectional_sampling_rate")
    spoken = known[asked]
    return (
        AudioFormat(codec=heard, rate=16000 if heard is AudioCodec.L16 else 8000),
        AudioFormat(codec=spoken, rate=rate if spoken is AudioCodec.L16 else 8000),
    )


def _base64(state: str) -> str:
    try:
        b64decode(state, validate=True)
    except ValueError:
        raise error(422, "10015", "Invalid value for client_state", "client_state is base64.") from None
    return state


def _within(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    given = body.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise error(422, "10015", f"Invalid value for {name}", f"{name} is {least} to {most}.")
    return given


async def _body(request: Request[Any, Any, Any]) -> dict[str, Any]:
    body = await read_json(request)
    if body is None:
        raise error(400, "10019", "Malformed request", "The request body was not JSON.")
    return body


def _line(exchange: Exchange, call_id: str) -> TelnyxLine:
    call = exchange.find(call_id)
    line = None if call is None else call.more.get("line")
    if not isinstance(line, TelnyxLine):
        raise error(404, "10005", "Resource not found", "The requested call is not known.")
    return line
