"""Calls of the simulated network: a telephone at one end, what the carrier does with it at the other, and the clock between them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from voisnap_simulator.faults import NONE, Faults

if TYPE_CHECKING:  # numpy: 10 MB that a simulator nobody uses does without
    from voisnap_media.pcm import Samples

FRAME_SECONDS = 0.02
MOST_BEHIND = 0.5
"""A clock that is later than that goes on from now: the machine was busy, and nobody hears half a second at once."""
MAX_EVENTS = 5000
MAX_KEPT = 30 * 60 * 50
"""Frames of a call's audio that are kept where that is asked for: half an hour."""
R = TypeVar("R")


class Nature(StrEnum):
    """Who is at the other end, in truth."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    SCREENING = "screening"


class Picked(StrEnum):
    """What becomes of a telephone that rings."""

    UP = "up"
    BUSY = "busy"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    NEVER = "never"


class Telephone(Protocol):
    """What is at the end of a line. All times are counted in frames of 20 ms, so that it works in virtual time as well."""

    nature: Nature
    beeps: bool
    greeted: asyncio.Event
    """Its greeting is over, and the beep where there is one."""

    async def ring(self) -> Picked:
        """Until something comes of it; for ever where nobody answers."""
        ...

    async def prepare(self) -> None:
        """Whatever takes time before the call."""
        ...

    def exchange(self, heard: "Samples") -> "Samples":
        """20 ms of what comes over the line; what is said meanwhile."""
        ...

    def pressed_keys(self) -> str:
        """Keys that were pressed since it was asked last."""
        ...

    @property
    def has_hung_up(self) -> bool: ...

    def hear_keys(self, digits: str) -> None:
        """Somebody pressed keys at the other end."""
        ...


class Attachment(Protocol):
    """What a call is connected to: a media socket, an announcement, a room."""

    def exchange(self, frame: "Samples") -> "Samples | None": ...

    def key(self, digit: str) -> None: ...


class Recording(Protocol):
    """A tape that runs with a call."""

    def take(self, said: "Samples", heard: "Samples") -> None: ...

    def stop(self) -> None: ...


class CallEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened in a call, `at` seconds after it began."""

    number: int
    at: float
    kind: str
    detail: dict[str, Any]


class Call:
    """One call between the carrier and a telephone. `direction` is `inbound` where the telephone rang the platform.

    The carrier's part decides what is done (`run` tasks, attachments) and is told of the end by `on_end`. Everything is one event loop.
    """

    def __init__(
        self,
        *,
        provider: str,
        id: str,
        caller: str,
        callee: str,
        direction: str,
        telephone: Telephone,
        faults: Faults = NONE,
        keeps_audio: bool = False,
    ) -> None:
        self.provider, self.id, self.direction = provider, id, direction
        self.caller, self.callee, self.telephone = caller, callee, telephone
        self.faults = faults
        self.began, self.began_at = time.monotonic(), time.time()
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.cause = ""
        self.attachments: list[Attachment] = []
        self.events: list[CallEvent] = []
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.on_end: Callable[[str], None] = lambda _: None
        self.audio: list[tuple[Samples, Samples]] | None = [] if keeps_audio else None
        self.more: dict[str, Any] = {}
        """What the carrier's part keeps of it."""
        self.tapes: set[Recording] = set()
        """What records it now."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._mortal: set[asyncio.Task[Any]] = set()

    @property
    def seconds(self) -> float:
        """How long it has been connected."""
        return 0.0 if self.answered_at is None else (self.ended_at or time.time()) - self.answered_at

    def note(self, kind: str, **detail: Any) -> None:
        """Add an event and wake those who wait for one."""
        if len(self.events) < MAX_EVENTS:
            at = round(time.monotonic() - self.began, 3)
            self.events.append(CallEvent(number=len(self.events) + 1, at=at, kind=kind, detail=detail))
        self.changed.set()
        self.changed = asyncio.Event()

    def answer(self) -> None:
        """The line is open: sound runs from now on. Once."""
        if self.answered_at is None and not self.ended.is_set():
            self.answered_at = time.time()
            self.note("answered")
            if not self.faults.hands_over:
                self.spawn(self._clock())

    def attach(self, attachment: Attachment) -> None:
        """Connect something to the line."""
        self.attachments.append(attachment)

    def detach(self, attachment: Attachment) -> None:
        """Disconnect it; fine when it is not connected."""
        if attachment in self.attachments:
            self.attachments.remove(attachment)

    def drop_line(self) -> None:
        """Break the media socket without a word, where there is one."""
        for attachment in tuple(self.attachments):
            if (drop := getattr(attachment, "drop", None)) is not None:
                drop()

    def end(self, cause: str) -> None:
        """The call is over. Only the first cause counts."""
        if self.ended.is_set():
            return
        self.ended_at, self.cause = time.time(), cause
        self.ended.set()
        self.note("ended", cause=cause, seconds=round(self.seconds, 3))
        for tape in tuple(self.tapes):
            tape.stop()
        self.on_end(cause)
        for task in tuple(self._mortal):
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, R], *, outlives: bool = False) -> "asyncio.Task[R]":
        """Do something for this call until it ends, or beyond (`outlives`), until `aclose`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if not outlives:
            self._mortal.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._mortal.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.note("fault", error=f"{type(error).__name__}: {error}"[:300])
            self.end("fault")

    async def aclose(self) -> None:
        """End it and all that is done for it."""
        self.end("shutdown")
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _clock(self) -> None:
        from .sound import SILENCE, mixed  # noqa: PLC0415 - see above

        loop = asyncio.get_running_loop()
        due = loop.time()
        heard = SILENCE
        while not self.ended.is_set():
            said = self.telephone.exchange(heard)
            came = mixed([attachment.exchange(said) for attachment in tuple(self.attachments)])
            heard = SILENCE if came is None else came
            if self.audio is not None and len(self.audio) < MAX_KEPT:
                self.audio.append((said, heard))
            for tape in tuple(self.tapes):
                tape.take(said, heard)
            for digit in self.telephone.pressed_keys():
                self.note("pressed", digit=digit)
                for attachment in tuple(self.attachments):
                    attachment.key(digit)
            if self.telephone.has_hung_up:
                self.end("hung_up")
                return
            due += FRAME_SECONDS
            late = loop.time() - due
            if late > MOST_BEHIND:
                self.note("clock.late", seconds=round(late, 3))
                due = loop.time()
            await asyncio.sleep(max(0.0, -late))


class Announcement:
    """Sound that the carrier plays by itself; `done` when it is over."""

    def __init__(self, sound: "Samples", loops: int = 1) -> None:
        from .sound import framed  # noqa: PLC0415 - see above

        self._frames = framed(sound) * loops
        self._at = 0
        self.done = asyncio.Event()
        if not self._frames:
            self.done.set()

    def exchange(self, frame: "Samples") -> "Samples | None":
        """The next 20 ms."""
        del frame
        if self._at >= len(self._frames):
            return None
        self._at += 1
        if self._at == len(self._frames):
            self.done.set()
        return self._frames[self._at - 1]

    def key(self, digit: str) -> None:
        """Keys don't matter to it."""


class Seat:
    """One call's place in a room: it hears the others."""

    def __init__(self, room: "Room", call: Call, *, is_muted: bool = False, hears: bool = True) -> None:
        self.room, self.call = room, call
        self.is_muted, self.is_held, self.hears = is_muted, False, hears
        self.coaches: Call | None = None
        """Only this one hears what is said here: a whisper."""
        self.ends_room = False
        self.label = ""
        self.latest: Samples | None = None
        self.at = 0.0

    def exchange(self, frame: "Samples") -> "Samples | None":
        """The next 20 ms of this one, against the others'."""
        self.latest, self.at = frame, time.monotonic()
        if not self.hears or self.is_held or not self.room.is_started:
            return None
        from .sound import mixed  # noqa: PLC0415 - see above

        horizon = self.at - 3 * FRAME_SECONDS
        return mixed(
            [
                seat.latest
                for seat in self.room.seats
                if seat is not self
                and not seat.is_muted
                and not seat.is_held
                and seat.at >= horizon
                and (seat.coaches is None or seat.coaches is self.call)
            ]
        )

    def key(self, digit: str) -> None:
        """Pressed keys are heard as tones in a room; nobody counts them."""


class Room:
    """Calls that hear each other: a conference, or two calls put together. `starts` it waits for where `is_started` is False."""

    def __init__(self, id: str, name: str = "") -> None:
        self.id, self.name = id, name
        self.seats: list[Seat] = []
        self.is_started = True
        self.ended = asyncio.Event()
        self.more: dict[str, Any] = {}

    def join(self, call: Call, **how: Any) -> Seat:
        """Sit down; the seat is attached to the call."""
        seat = Seat(self, call, **how)
        self.seats.append(seat)
        call.attach(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Stand up. A room that somebody leaves on whom it depends ends for all."""
        if seat not in self.seats:
            return
        self.seats.remove(seat)
        seat.call.detach(seat)
        if seat.ends_room:
            self.ended.set()

    def seat_of(self, call: Call) -> Seat | None:
        """Where a call sits."""
        return next((seat for seat in self.seats if seat.call is call), None)
