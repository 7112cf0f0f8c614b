"""Listening in on a conversation while it goes on, from whatever process the listener is connected to.

A listener asks all processes for a conversation, and goes on asking every second: whoever holds the conversation answers and tells what
happens on the listener's own subject, for as long as the asking goes on. So nothing has to be undone when a process dies or hands the
conversation over: the next one answers. Sound is told in blocks of 100 ms, and only while somebody listens.

    live.listen          every process hears: ListenIn
    live.heard.<id>      one listener hears: Here | Sound | Event | Over
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from voisnap_domain.ids import ConversationId, SessionId, TenantId
from voisnap_domain.sessions import EndReason
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.bus import BusError, Subscription
from voisnap_media.pcm import Pcm
from voisnap_media.resample import Resampler

from voisnap_runtime.pipeline.events import CallEvent

_log = log.get(__name__)

LISTEN_SUBJECT = "live.listen"
ASK_SECONDS = 1.0
"""How often a listener asks."""
LEASE_SECONDS = 5.0
"""A listener who has not asked for so long is gone."""
MAX_LISTENERS = 8
"""Listeners of one conversation."""

MAX_ADVICE = 20
"""Times that the agent of one conversation is told something."""
MAX_ADVICE_CHARS = 500

RATE = 24000
CALLER_RATE = 16000
BEATS = 5
"""20-ms frames in a block."""
BLOCK = RATE // 50 * BEATS
_MOST_WAITING = 20
"""Blocks and events that wait to be told; what is older is dropped."""
_CALLER_AHEAD = BLOCK // 2
"""Samples of the caller that may wait beyond one block, for uneven networks."""


class Sides(StrEnum):
    """What a listener wants to hear."""

    MIXED = "mixed"
    USER = "user"
    AGENT = "agent"
    BOTH = "both"
    """Each side for itself."""


class ListenIn(msgspec.Struct, frozen=True, kw_only=True):
    """Let this listener hear the conversation, or (`leaves`) no more."""

    listener: str
    conversation_id: ConversationId
    tenant_id: TenantId
    environment: Environment
    sides: Sides = Sides.MIXED
    leaves: bool = False
    whispers: str = ""
    """What the listener tells the agent."""


class Here(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The conversation lives here. `refusal` says why it can't be listened to."""

    session_id: SessionId
    agent_id: str
    agent_name: str
    channel: str
    refusal: str = ""


class Sound(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """100 ms of little-endian samples at 24 kHz; a side that was not asked for is empty."""

    mixed: bytes = b""
    user: bytes = b""
    agent: bytes = b""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the caller's hub was told too: a target and its arguments, as JSON."""

    target: str
    arguments: bytes = b"[]"


class Over(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The conversation has ended."""

    reason: EndReason


Heard = Here | Sound | Event | Over

ToEvent = Callable[[CallEvent], tuple[str, tuple[Any, ...]] | None]
"""How an event of the call is told to hubs: target and arguments, or None."""


def heard_at(listener: str) -> str:
    """The subject of one listener."""
    return f"live.heard.{listener}"


class Telling(Protocol):
    """The part of the bus that listening needs."""

    async def tell(self, subject: str, payload: bytes) -> None: ...
    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> Subscription: ...


class Overheard(Protocol):
    """A live session, as listening needs it."""

    @property
    def plan(self) -> Any: ...
    def advise(self, advice: str) -> bool: ...
    def overhear(self, tap: "Tap") -> None: ...
    def leave_alone(self, tap: "Tap") -> None: ...


@runtime_checkable
class Advisable(Protocol):
    """A conversation whose agent can be told something."""

    def advise(self, advice: str) -> None: ...


class Tap:
    """One listener's ear on one conversation. Called from the audio path: nothing here waits."""

    def __init__(self, sides: Sides, to_event: ToEvent) -> None:
        self.sides = sides
        self.is_over = False
        self._to_event = to_event
        self._up = Resampler(CALLER_RATE, RATE) if sides is not Sides.AGENT else None
        self._caller = np.zeros(0, np.int16)
        self._agent: list[Pcm | None] = []
        self._waiting: deque[Heard] = deque(maxlen=_MOST_WAITING)
        self._news = asyncio.Event()

    def caller(self, audio: Pcm) -> None:
        """The caller's next sound."""
        if self._up is not None:
            ahead = np.concatenate([self._caller, self._up.process(audio).samples])
            self._caller = ahead[-(BLOCK + _CALLER_AHEAD) :]

    def agent(self, audio: Pcm | None) -> None:
        """The agent's next 20 ms; the beat by which blocks are cut."""
        self._agent.append(audio)
        if len(self._agent) == BEATS:
            self._put(self._block())

    def told(self, event: CallEvent) -> None:
        """Something happened in the call."""
        call = self._to_event(event)
        if call is not None:
            target, arguments = call
            self._put(Event(target=target, arguments=msgspec.json.encode(arguments)))

    def here(self, here: Here) -> None:
        """Answer the listener that asks."""
        self._put(here)

    def ended(self, reason: EndReason | None) -> None:
        """The conversation is over; None when it only left this process."""
        self.is_over = True
        if reason is not None:
            self._put(Over(reason=reason))
        self._news.set()

    async def news(self) -> list[Heard]:
        """Wait for something to tell; all of it, nothing when it is over."""
        while not self._waiting and not self.is_over:
            self._news.clear()
            await self._news.wait()
        told = list(self._waiting)
        self._waiting.clear()
        return told

    def _put(self, heard: Heard) -> None:
        self._waiting.append(heard)
        self._news.set()

    def _block(self) -> Sound:
        silence = np.zeros(BLOCK // BEATS, np.int16)
        agent = np.concatenate([silence if frame is None else frame.samples for frame in self._agent])
        self._agent.clear()
        taken, self._caller = self._caller[:BLOCK], self._caller[BLOCK:]
        user = np.concatenate([taken, np.zeros(BLOCK - len(taken), np.int16)])
        match self.sides:
            case Sides.MIXED:
                both = agent.astype(np.int32) + user
                return Sound(mixed=np.clip(both, -32768, 32767).astype("<i2").tobytes())
            case Sides.BOTH:
                return Sound(user=user.astype("<i2").tobytes(), agent=agent.astype("<i2").tobytes())
            case Sides.USER:
                return Sound(user=user.astype("<i2").tobytes())
            case Sides.AGENT:
                return Sound(agent=agent.astype("<i2").tobytes())


class _Seat(msgspec.Struct, kw_only=True):
    tap: Tap
    live: Overheard
    until: float
    task: "asyncio.Task[None] | None" = None


class Gallery:
    """Lets listeners hear the conversations of this process. `find` gives the one that goes on here under an id."""

    def __init__(self, bus: Telling, find: Callable[[ConversationId], Overheard | None], *, to_event: ToEvent) -> None:
        self._bus = bus
        self._find = find
        self._to_event = to_event
        self._seats: dict[str, _Seat] = {}
        self._subscription: Subscription | None = None

    def __len__(self) -> int:
        return len(self._seats)

    async def listen(self) -> None:
        """Answer listeners until `close`."""
        self._subscription = await self._bus.hear(LISTEN_SUBJECT, self._asked)

    async def close(self) -> None:
        """Send every listener away."""
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None
        tasks = [seat.task for seat in self._seats.values() if seat.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _asked(self, payload: bytes) -> None:
        try:
            request = msgspec.msgpack.decode(payload, type=ListenIn)
        except msgspec.MsgspecError:
            _log.warning("listening.request_unreadable")
            return
        seat = self._seats.get(request.listener)
        if request.leaves:
            if seat is not None and seat.task is not None:
                seat.task.cancel()
            return
        live = self._find(request.conversation_id)
        if live is None or (live.plan.tenant_id, live.plan.environment) != (request.tenant_id, request.environment):
            return
        loop_time = asyncio.get_running_loop().time()
        if seat is None:
            self._seats[request.listener] = seat = self._new_seat(request, live, loop_time)
        seat.until = loop_time + LEASE_SECONDS
        if request.whispers and not self._refusal(live):
            live.advise(request.whispers[:MAX_ADVICE_CHARS])
            return
        seat.tap.here(_here(live, refusal=self._refusal(live)))

    def _new_seat(self, request: ListenIn, live: Overheard, now: float) -> _Seat:
        seat = _Seat(tap=Tap(request.sides, self._to_event), live=live, until=now + LEASE_SECONDS)
        seat.task = asyncio.create_task(self._serve(request.listener, seat), name=f"listener {request.listener}")
        return seat

    def _refusal(self, live: Overheard) -> str:
        if live.plan.agent.config.hipaa_compliant:
            return "A conversation in HIPAA mode can't be listened to."
        others = sum(seat.live is live for seat in self._seats.values())
        return "Too many people listen to this conversation." if others > MAX_LISTENERS else ""

    async def _serve(self, listener: str, seat: _Seat) -> None:
        """Tell one listener everything until he is gone or the conversation is."""
        loop = asyncio.get_running_loop()
        subject = heard_at(listener)
        listens = not self._refusal(seat.live)
        if listens:
            seat.live.overhear(seat.tap)
        try:
            while loop.time() < seat.until:
                try:
                    async with asyncio.timeout(max(0.0, seat.until - loop.time())):
                        news = await seat.tap.news()
                except TimeoutError:
                    continue  # he may have asked again meanwhile
                for heard in news:
                    await self._bus.tell(subject, msgspec.msgpack.encode(heard))
                if seat.tap.is_over or not listens:
                    return
        except BusError as error:
            _log.info("listening.bus_away", error=repr(error))
        finally:
            seat.live.leave_alone(seat.tap)
            self._seats.pop(listener, None)


def _here(live: Overheard, *, refusal: str) -> Here:
    plan = live.plan
    return Here(
        session_id=plan.session_id,
        agent_id=plan.agent.agent_id,
        agent_name=plan.agent.config.name,
        channel=plan.channel.value,
        refusal=refusal,
    )
