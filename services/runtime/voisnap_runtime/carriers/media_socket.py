"""`/carriers/{provider}/media`: where carriers bring the audio of telephone calls.

A small ASGI application in front of everything else, like the hubs: frames go from uvicorn's protocol straight to the call, and back.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from voisnap_kit import log
from voisnap_kit.redis import RedisError
from voisnap_kit.websocket import STRAIGHT, Straight
from voisnap_providers.carriers import CARRIERS, media_wire
from voisnap_providers.ports.carrier import MalformedMedia, MediaStarted, MediaWire

from voisnap_runtime import metrics
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.store import Store
from voisnap_runtime.transfers.offering import Offered, Offers, Unwanted
from voisnap_runtime.transfers.transfer import OTHER_SIDE, ROLE
from voisnap_runtime.transports.port import TransportState

from .admission import POLICY, TRY_AGAIN, Admission, Refused
from .door import Door, PushedOut
from .exchange import Exchange
from .line import CarrierLine
from .rates import Rates

MAX_EARLY = 8
"""Frames before the start; carriers send one."""
CLOSE_SECONDS = 1.0
"""How long a carrier may take to answer our goodbye."""
NOTES_SECONDS = 1.0
LEFT_OPEN_SECONDS = 5.0
"""How long a socket whose call is over may stay open."""

HANG_UP_BY_CLOSING = frozenset({"vonage"})
"""Carriers whose sockets have no word for the end of a call: a goodbye is it."""
_GOODBYES = frozenset({1000, 1005})
"""Normal closures (RFC 6455 §7.4.1): others are said by machines that go away, or by nobody."""

_PATH = re.compile(rf"/carriers/({'|'.join(CARRIERS)})/media/?")

_log = log.get(__name__)


class MediaSockets:
    """The ASGI application. `rates` changes those of all calls together, where somebody beats its clock."""

    def __init__(
        self,
        admission: Admission,
        exchange: Exchange,
        store: Store,
        *,
        offers: Offers | None = None,
        rates: Rates | None = None,
    ) -> None:
        self._admission = admission
        self._exchange = exchange
        self._store = store
        self._offers = offers
        self._rates = rates
        self._door = Door()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = _PATH.fullmatch(scope["path"])
        if scope["type"] != "websocket":
            await _answer(send, 404 if found is None else 426)
            return
        straight: Straight | None = (scope.get("extensions") or {}).get(STRAIGHT)
        await receive()  # websocket.connect
        if found is None or straight is None or self._door.is_full:
            await send({"type": "websocket.close", "code": TRY_AGAIN})
            return
        provider = found[1]
        await send({"type": "websocket.accept"})
        socket = MediaSocket(provider, receive, send, straight)
        metrics.CARRIER_SOCKETS.labels(provider).inc()
        try:
            await self._serve(socket)
        except OSError:  # gone in the middle of our goodbye
            return
        finally:
            metrics.CARRIER_SOCKETS.labels(provider).dec()

    async def _serve(self, socket: "MediaSocket") -> None:
        wire = media_wire(socket.provider)
        try:
            async with self._door.place() as place:
                started = await socket.started(wire)
                place.spoken()
                if self._offers is not None and started.parameters.get(ROLE) == OTHER_SIDE:
                    caller = await self._offers.admit(socket.provider, started)
                else:
                    caller = await self._admission.admit(socket.provider, started)
        except Unwanted as unwanted:
            await socket.refuse(str(unwanted), POLICY)
            return
        except PushedOut as refusal:
            await socket.dismiss(str(refusal), refusal.code)
            return
        except Refused as refusal:
            await socket.refuse(str(refusal), refusal.code)
            return
        except TimeoutError:
            await socket.dismiss("no start in time", POLICY)
            return
        except MalformedMedia as fault:
            await socket.refuse(f"malformed: {fault}", POLICY)
            return
        if isinstance(caller, Offered):
            await self._serve_other_side(socket, wire, started, caller)
        else:
            await self._serve_caller(socket, wire, started, caller)

    async def _serve_other_side(
        self, socket: "MediaSocket", wire: MediaWire, started: MediaStarted, offered: Offered
    ) -> None:
        """Somebody who was called to take a call over."""
        line = CarrierLine(
            wire,
            started,
            socket,
            offered,
            provider=socket.provider,
            session_id=offered.offer.session_id,
            call_id=started.call_id,
            clock=asyncio.get_running_loop().time,
            hang_up=_nothing,  # his call is the transfer's
            hangs_up_by_closing=socket.provider in HANG_UP_BY_CLOSING,
            rates=self._rates,
        )
        socket.listen(line)
        asking = asyncio.create_task(_asked(offered, line), name="offer")
        try:
            await socket.serve(line)
        finally:
            line.gone(said_goodbye=socket.said_goodbye)
            await asyncio.gather(asking, return_exceptions=True)

    async def _serve_caller(
        self, socket: "MediaSocket", wire: MediaWire, started: MediaStarted, live: LiveSession
    ) -> None:
        line = self._line(socket, wire, started, live)
        socket.listen(line)
        _log.info(
            "carrier.media_started",
            session_id=live.plan.session_id,
            provider=socket.provider,
            heard=f"{started.heard.codec}/{started.heard.rate}",
            spoken=f"{started.spoken.codec}/{started.spoken.rate}",
        )
        try:
            await live.connect(line, over_hub=False)
            await self._note(live, line)
            await socket.serve(line)
        finally:
            line.gone(said_goodbye=socket.said_goodbye)

    def _line(self, socket: "MediaSocket", wire: MediaWire, started: MediaStarted, live: LiveSession) -> CarrierLine:
        leg = live.plan.leg
        call_id = started.call_id or (leg.call_id if leg is not None else "")
        return CarrierLine(
            wire,
            started,
            socket,
            live,
            provider=socket.provider,
            session_id=live.plan.session_id,
            call_id=call_id,
            clock=asyncio.get_running_loop().time,
            hang_up=partial(self._exchange.hang_up, live.plan, call_id),
            hangs_up_by_closing=socket.provider in HANG_UP_BY_CLOSING,
            rates=self._rates,
        )

    async def _note(self, live: LiveSession, line: CarrierLine) -> None:
        """Let other processes know the carrier's id of the call, and learn what was told of it before it was here."""
        session_id = live.plan.session_id
        try:
            async with asyncio.timeout(NOTES_SECONDS):
                await self._store.note_call(session_id, call_id=line.call_id)
                notes = await self._store.call_notes(session_id)
        except (RedisError, TimeoutError) as error:
            _log.warning("carrier.call_not_noted", session_id=session_id, error=repr(error))
            return
        if notes.answered_by is not None:
            live.note_answerer(notes.answered_by)


class MediaSocket:
    """One socket, below its line."""

    def __init__(self, provider: str, receive: Any, send: Any, straight: Straight) -> None:
        self.provider = provider
        self.said_goodbye = False
        """Whether the carrier closed it, and properly."""
        self._receive = receive
        self._send = send
        self._straight = straight
        self._limit: asyncio.Timeout | None = None
        self._closing: asyncio.Task[None] | None = None
        self._take: Callable[[str | bytes], None] | None = None

    async def started(self, wire: MediaWire) -> MediaStarted:
        """The stream's first word. Raises Refused, MalformedMedia."""
        for _ in range(MAX_EARLY):
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise Refused("gone before the start")
            for event in wire.read(_frame_of(message)):
                if isinstance(event, MediaStarted):
                    return event
        raise Refused("no start")

    def listen(self, line: CarrierLine) -> None:
        """From now on frames go straight to the line."""
        take = line.take

        def taken(data: bytes, is_text: bool) -> bool:
            take(data.decode() if is_text else data)
            return True

        self._straight.listen_to_both(taken)

    async def serve(self, line: CarrierLine) -> None:
        """Pass on what does not come straight, until the socket is gone."""
        try:
            async with asyncio.timeout(None) as self._limit:
                if self._closing is not None:
                    self._hurry()
                while (message := await self._receive())["type"] != "websocket.disconnect":
                    line.take(_frame_of(message))
                # uvicorn tells a reason only where the peer has closed.
                self.said_goodbye = "reason" in message and message["code"] in _GOODBYES and self._closing is None
        except TimeoutError:  # our own goodbye is not answered
            self._straight.abort()
        finally:
            self._limit = None

    async def refuse(self, why: str, code: int) -> None:
        """Say no; the log learns why, once."""
        metrics.CARRIER_REFUSED.labels(self.provider).inc()
        _log.info("carrier.media_refused", provider=self.provider, why=why)
        await self._send({"type": "websocket.close", "code": code})

    async def dismiss(self, why: str, code: int) -> None:
        """Say no to whoever says nothing, and wait for no answer: a flood of them would keep their sockets for as long as that may take."""
        await self.refuse(why, code)
        self._straight.abort()

    # What the line does (`line.Pipe`)

    def write(self, frame: str | bytes) -> bool:
        if isinstance(frame, str):
            return self._straight.write(frame.encode(), is_text=True)
        return self._straight.write(frame, is_text=False)

    def close(self, code: int) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._say_goodbye(code), name="carrier goodbye")
            self._hurry()

    def abort(self) -> None:
        self._straight.abort()

    async def _say_goodbye(self, code: int) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": code})
        except (OSError, TimeoutError):
            self._straight.abort()

    def _hurry(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + CLOSE_SECONDS)


async def _asked(offered: Offered, line: CarrierLine) -> None:
    """Whoever asks him lets the carrier end his call, which closes the socket; where it does not, we do."""
    try:
        await offered.run(line)
    except Exception:
        _log.exception("offer.crashed", session_id=offered.offer.session_id)
    if line.state is TransportState.CONNECTED:
        await asyncio.sleep(LEFT_OPEN_SECONDS)
        await line.close()


async def _nothing() -> None: ...


def _frame_of(message: Any) -> str | bytes:
    text = message.get("text")
    return message["bytes"] if text is None else text


async def _answer(send: Any, status: int) -> None:
    headers = [(b"content-length", b"0")] + ([(b"upgrade", b"websocket")] if status == 426 else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
