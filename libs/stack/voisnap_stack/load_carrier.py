"""Callers over carriers: the simulated carriers signal each call (webhooks, documents, commands, status callbacks), and its media socket is
carried here, lean enough for hundreds. What is said on it is the simulated carriers' own (`voisnap_simulator.voice.wires`)."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.resample import Resampler
from voisnap_providers.ports.carrier import AudioFormat
from voisnap_simulator.accounts import Launch
from voisnap_simulator.voice.sound import decoded, encoded
from voisnap_simulator.voice.wires import Audio, Clear, Mark, Wire, wire_of

from .load_audio import SILENT_ROOM, Room, Utterance, Voice
from .load_callers import Caller, Habits, Measured
from .load_socket import BINARY, TEXT, CallRefused, frame, open_line
from .load_steps import Join

LINES = ("twilio", "vonage", "telnyx")
AUDIBLE = 300
CONNECT_SECONDS = 15.0
NUMBER_SECONDS = 30.0


class CarrierFrames:
    """What callers say on one kind of stream: payloads of 20 ms, which each caller's wire makes frames of."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room], form: AudioFormat) -> None:
        self.voices = tuple(Voice.of(utterances, room, coder(form)) for room in rooms)

    def on(self, wire: Wire) -> "CarrierDialect":
        """For one call."""
        return CarrierDialect(self.voices, wire)


class CarrierDialect:
    """One call's side of a media socket, as `load_socket.Dialect` wants it."""

    def __init__(self, voices: tuple[Voice, ...], wire: Wire) -> None:
        self.voices, self._wire = voices, wire

    def session(self, caller: Caller) -> "CarrierCall":
        """What reads this call's messages."""
        return CarrierCall(caller, self._wire)

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard."""
        asked = self._wire.take(data if _is_audio(self._wire, data) else data.decode())
        if not isinstance(asked, Audio):
            return False
        sound = decoded(asked.data, self._wire.spoken)
        return bool(len(sound)) and int(sound.samples.max()) > AUDIBLE


class CarrierCall:
    """One caller's stream. Marks come back at once: what was sent before them comes in real time."""

    def __init__(self, caller: Caller, wire: Wire) -> None:
        self._caller, self._wire = caller, wire
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write: Callable[[bytes], None] = lambda data: None
        """Sends a whole frame; set by the line."""
        self.greeting = tuple(whole(one) for one in wire.opening())

    @property
    def farewell(self) -> tuple[bytes, ...]:
        """The carrier's last words."""
        return tuple(whole(one) for one in self._wire.closing())

    def wrap(self, payload: bytes) -> bytes:
        """20 ms of the caller as the carrier sends them."""
        return whole(self._wire.media(payload))

    def opened(self) -> None:
        """A carrier does not wait for a word of ours."""
        self.ready.set_result(None)

    def message(self, data: bytes, now: float) -> None:
        if _is_audio(self._wire, data) or b'"media"' in data[:60]:
            self._caller.heard(data, now)
            return
        match self._wire.take(data.decode()):
            case Mark(label=label):
                self.write(whole(self._wire.reached(label)))
            case Clear():
                self._caller.told_to_stop(now)
                for words in self._wire.cleared(()):
                    self.write(whole(words))
            case _:
                pass

    def was_lost(self) -> None:
        self._caller.was_lost()


def _is_audio(wire: Wire, data: bytes) -> bool:
    """Whether a message is bare sound: frames of Vonage are, and its texts are objects."""
    return wire.heard.codec.value == "l16" and data[:1] != b"{" and not data.startswith(b" {")


def whole(words: str | bytes) -> bytes:
    """A carrier's words as a WebSocket frame."""
    return frame(words, BINARY) if isinstance(words, bytes) else frame(words.encode(), TEXT)


def coder(form: AudioFormat) -> Callable[[Samples], bytes]:
    """Frames of 20 ms at 16 kHz as a stream's payload; the edges of frames at 8 kHz are not filtered into each other, which nobody hears."""
    if form.rate == 16_000:
        return lambda samples: encoded(Pcm(samples, form.rate), form)
    if form.rate == 8_000:
        return lambda samples: encoded(
            Pcm((samples.astype(np.int32).reshape(-1, 2).sum(axis=1) // 2).astype(np.int16), 8_000), form
        )

    def coded(samples: Samples) -> bytes:
        count = form.rate // 50
        made = Resampler(16_000, form.rate).process(Pcm(np.concatenate([samples, samples[::-1]]), 16_000)).samples
        return encoded(Pcm(np.resize(made, count), form.rate), form)

    return coded


# Calls ------------------------------------------------------------------------------------------------------------------


class CarrierLines:
    """Calls to one number over one simulated carrier, whose media are carried here. `aclose` hangs up whatever is left."""

    def __init__(self, simulator: httpx.AsyncClient, carrier: str, number: str) -> None:
        self._simulator, self._carrier, self._number = simulator, carrier, number
        self._live: set[str] = set()
        self._frames: dict[tuple[str, int], CarrierFrames] = {}
        self._callers = itertools.count(1)

    def join(
        self, said: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,), habits: Habits | None = None
    ) -> Join:
        """Makes callers who all say the same."""
        habits = habits or Habits()

        async def join(number: int, measured: Measured) -> Caller:
            call_id, url, headers, wire = await self._rung()
            try:
                form = wire.heard
                frames = self._frames.get((form.codec.value, form.rate))
                if frames is None:
                    frames = self._frames[form.codec.value, form.rate] = CarrierFrames(said, rooms, form)
                dialect = frames.on(wire)
                # The golden ratio spreads any number of callers evenly over the length of a turn.
                pause = (number * 0.618 % 1) * 6
                caller = Caller(said, habits, measured, is_loud=dialect.is_loud, first_pause=pause, begin_with=number)
                line = await open_line(url, dialect, caller, number=number, headers=headers)
            except BaseException:
                await asyncio.shield(self._hang_up(call_id))
                raise
            caller.line = _CarriedLine(line, lambda: self._hang_up(call_id))
            return caller

        return join

    async def aclose(self) -> None:
        """Hang up all calls that are left."""
        left = tuple(self._live)
        for start in range(0, len(left), 20):
            await asyncio.gather(*(self._hang_up(one) for one in left[start : start + 20]), return_exceptions=True)

    async def _rung(self) -> tuple[str, str, Mapping[str, str], Wire]:
        """A call that the platform has answered with its media socket. Raises CallRefused with what it said instead."""
        body = {
            "provider": self._carrier,
            "to": self._number,
            "caller": f"+1628555{next(self._callers) % 10_000:04d}",
            "behaviour": {"stays": True},
            "faults": {"handsOver": True},
        }
        call_id = _answered(await self._simulator.post("/calls", json=body), "the simulated carrier took no call")[
            "callId"
        ]
        self._live.add(call_id)
        try:
            return call_id, *await self._handed(call_id)
        except BaseException:
            await asyncio.shield(self._hang_up(call_id))
            raise

    async def _handed(self, call_id: str) -> tuple[str, Mapping[str, str], Wire]:
        seen = 0
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                while True:
                    asked = {"after": seen, "wait": 5}
                    call = _answered(await self._simulator.get(f"/calls/{call_id}", params=asked), "the call was lost")
                    for event in call["events"]:
                        seen = event["number"]
                        detail = event["detail"]
                        match event["kind"]:
                            case "stream.handed":
                                return detail["url"], detail["headers"], wire_of(detail["wire"])
                            case "carrier_says":
                                raise CallRefused(f"the platform refused the call: “{detail['text']}”")
                            case "fault":
                                raise CallRefused(f"the call failed: {detail['error']}")
                            case _:
                                pass
                    if call["isOver"]:
                        raise CallRefused(f"the call was not answered ({call['cause']})")
        except TimeoutError:
            raise CallRefused(f"the platform answered no call within {CONNECT_SECONDS:g} s") from None

    async def _hang_up(self, call_id: str) -> None:
        if call_id in self._live:
            self._live.discard(call_id)
            with contextlib.suppress(httpx.HTTPError):
                await self._simulator.post(f"/calls/{call_id}/hang-up")


class _CarriedLine:
    """A media socket that also hangs up."""

    def __init__(self, line: Any, hang_up: Callable[[], Any]) -> None:
        self.send = line.send
        self._line, self._hang_up = line, hang_up

    async def close(self) -> None:
        """Hang up. May be called twice."""
        await self._line.close()
        await self._hang_up()


@asynccontextmanager
async def carrier_lines(
    http: httpx.AsyncClient, base_url: str, known: Launch, carrier: str, agent_id: str
) -> AsyncGenerator[CarrierLines]:
    """Lines to an agent of the sandbox over a simulated carrier. A number that it has not is got for as long as the block lasts.

    Raises CallRefused, httpx.HTTPError.
    """
    async with contextlib.AsyncExitStack() as stack:
        number = await stack.enter_async_context(_number_of(http, base_url, carrier, agent_id))
        simulator = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"{known.url}/simulator",
                headers={"Authorization": f"Bearer {known.bearer}"},
                timeout=CONNECT_SECONDS + 5,
                trust_env=False,
            )
        )
        lines = CarrierLines(simulator, carrier, number)
        stack.push_async_callback(lines.aclose)
        yield lines


@asynccontextmanager
async def _number_of(http: httpx.AsyncClient, base_url: str, carrier: str, agent_id: str) -> AsyncGenerator[str]:
    numbers = f"{base_url}/api/v1/telephony/numbers"
    wanted: dict[str, str | int] = {"agentId": agent_id, "provider": carrier, "pageSize": 100}
    known = _answered(await http.get(numbers, params=wanted), "the numbers of the sandbox cannot be read")["data"]
    if there := next((one for one in known if one["status"] == "active" and "voice" in one["capabilities"]), None):
        yield there["phoneNumber"]
        return
    search: dict[str, str | int] = {"country": "US", "provider": carrier, "capabilities": "voice", "limit": 1}
    offers = _answered(await http.get(f"{numbers}/search", params=search), "no number was found")["numbers"]
    if not offers:
        raise CallRefused(f"the simulated {carrier} has no number to offer")
    body = {"phoneNumber": offers[0]["phoneNumber"], "provider": carrier, "agentId": agent_id}
    line = _answered(await http.post(numbers, json=body), "no number was got")
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NUMBER_SECONDS):
                while line["status"] == "provisioning":
                    await asyncio.sleep(0.2)
                    line = _answered(await http.get(f"{numbers}/{line['id']}"), "the number was lost")
        if line["status"] != "active":
            raise CallRefused(f"the number {line['phoneNumber']} is {line['status']}: {line['statusDetail'] or ''}")
        yield line["phoneNumber"]
    finally:
        with contextlib.suppress(httpx.HTTPError):
            await http.delete(f"{numbers}/{line['id']}")


def _answered(answer: httpx.Response, complaint: str) -> dict[str, Any]:
    """The body of a success. Raises CallRefused with what is said of a failure."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success and isinstance(body, dict):
        return body
    said = (body.get("detail") or body.get("error") or body.get("title")) if isinstance(body, dict) else None
    raise CallRefused(f"{complaint}: {said or f'status {answer.status_code}'}")
