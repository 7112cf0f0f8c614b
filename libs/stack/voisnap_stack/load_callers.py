"""Callers of a load measurement, in real time: each speaks, waits for the answer, hears it out or speaks into it, and notes the times.

One clock sends for all of them, one task serves none: what is measured is the platform, and the generator has to cost little. A caller knows
nothing of the channel: a `Line` carries frames by their number, and tells what it hears.
"""

import asyncio
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from .load_audio import FRAME_MS, Utterance

FRAME_SECONDS = FRAME_MS / 1000
clock = time.monotonic
"""All moments of callers are on this clock: an event loop's own may be coarse and stand still during a turn of the loop."""
SLICES = 4
"""Callers begin their frames at different moments of the 20 ms, as they would on a network."""
MAX_CATCH_UP = 10
SPURT_SECONDS = 0.1
"""Frames further apart than this belong to different stretches of speech."""


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How callers behave; times in seconds."""

    silence: float = 0.5
    """The agent's configured end-of-turn silence, which no answer can come before."""
    pause: float = 0.7
    """From the end of an answer to the caller's next words."""
    quiet: float = 0.4
    """After so long without sound the agent has finished."""
    patience: float = 8.0
    """An answer that takes longer is none."""
    interrupt_every: int = 4
    """Every so many answers are spoken into; 0 for none."""
    interrupt_after: float = 0.8


class Line(Protocol):
    """One caller's connection. Neither call blocks nor raises."""

    def send(self, number: int | None) -> None:
        """Send a frame of speech by its number, or what is heard while nobody speaks."""
        ...

    async def close(self) -> None:
        """Hang up. May be called twice."""
        ...


class Measured:
    """What all callers saw together; times in milliseconds."""

    def __init__(self) -> None:
        self.overhead = array("d")
        """End of speech to the first sound of the answer, without the configured silence."""
        self.barge_in = array("d")
        """First sound of an interruption to the last sound of the agent."""
        self.cleared = array("d")
        """First sound of an interruption to the word that playing is to stop, on channels that have one."""
        self.jitter = array("d")
        """How far the time between two frames was off 20 ms."""
        self.unanswered = 0
        self.cut_off = 0
        """Answers that began while the caller still spoke."""
        self.lost = 0
        """Lines that broke."""

    def clear(self) -> None:
        """Forget everything: what follows is measured anew."""
        self.__init__()


class _Phase(StrEnum):
    PAUSING = "pausing"
    SPEAKING = "speaking"
    WAITING = "waiting"
    HEARING = "hearing"


class Caller:
    """One caller. The clock calls `tick`, the line tells `heard`, `told_to_stop` and `was_lost`."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        habits: Habits,
        measured: Measured,
        *,
        is_loud: Callable[[bytes], bool],
        first_pause: float = 0.0,
        begin_with: int = 0,
    ) -> None:
        """`utterances` are numbered through: the first frame of the second follows the last of the first. `is_loud` judges what is heard."""
        self._habits = habits
        self._measured = measured
        self._is_loud = is_loud
        self._first_pause = first_pause
        starts = [0]
        for one in utterances:
            starts.append(starts[-1] + len(one.audio) * 1000 // (one.audio.rate * FRAME_MS))
        self._spans = tuple(itertools.pairwise(starts))
        self._leads = tuple(one.lead_ms / 1000 for one in utterances)
        self._turn = begin_with
        self._answers = begin_with
        self.line: Line | None = None
        self.is_lost = False
        self._phase = _Phase.PAUSING
        self._since: float | None = None
        self._next = self._end = 0
        self._said_at = 0.0
        self._interrupts = False
        self._interrupting_at: float | None = None
        self._last_heard = self._last_loud = float("-inf")

    # What the clock calls

    def tick(self, now: float) -> None:
        """20 ms of the caller's own sound."""
        line = self.line
        if line is None or self.is_lost:
            return
        if self._since is None:
            self._since = now + self._first_pause
        if self._phase is _Phase.SPEAKING:
            line.send(self._next)
            self._next += 1
            if self._next == self._end:
                self._finished(now)
            return
        line.send(None)
        self._consider(now)

    def _consider(self, now: float) -> None:
        habits, since = self._habits, self._since or now
        if self._phase is _Phase.PAUSING:
            if now - since >= habits.pause and now - self._last_loud >= habits.quiet:
                self._speak(now)
        elif self._phase is _Phase.WAITING:
            if now - since > habits.patience:
                self._measured.unanswered += 1
                self._phase, self._since = _Phase.PAUSING, now
        elif now - self._last_loud >= habits.quiet:
            self._phase, self._since = _Phase.PAUSING, now
        elif self._interrupts and now - since >= habits.interrupt_after:
            # The next frame is recorded from now on.
            self._interrupting_at = now + self._leads[self._turn % len(self._leads)]
            self._speak(now)

    def _speak(self, now: float) -> None:
        self._next, self._end = self._spans[self._turn % len(self._spans)]
        self._turn += 1
        self._phase, self._since = _Phase.SPEAKING, now

    def _finished(self, now: float) -> None:
        self._settle_interruption()
        self._said_at = now
        self._phase, self._since = _Phase.WAITING, now

    def _settle_interruption(self) -> None:
        began, self._interrupting_at = self._interrupting_at, None
        if began is not None and self._last_loud > began:
            self._measured.barge_in.append((self._last_loud + FRAME_SECONDS - began) * 1000)

    # What the line tells

    def heard(self, data: bytes, now: float) -> None:
        """A frame of the agent's."""
        gap = now - self._last_heard
        self._last_heard = now
        if gap < SPURT_SECONDS:
            self._measured.jitter.append(abs(gap - FRAME_SECONDS) * 1000)
        if not self._is_loud(data):
            return
        self._last_loud = now
        if self._phase is _Phase.WAITING:
            self._answered(now)
        elif self._phase is _Phase.SPEAKING and self._interrupting_at is None:
            self._measured.cut_off += 1
            self._interrupting_at = float("inf")  # told once, and no interruption

    def told_to_stop(self, now: float) -> None:
        """The platform said that playing is to stop."""
        began = self._interrupting_at
        if began is not None and began < now:
            self._measured.cleared.append((now - began) * 1000)

    def was_lost(self) -> None:
        """The line broke by itself."""
        if not self.is_lost:
            self.is_lost = True
            self._measured.lost += 1

    def _answered(self, now: float) -> None:
        self._measured.overhead.append((now - self._said_at - self._habits.silence) * 1000)
        self._answers += 1
        every = self._habits.interrupt_every
        self._interrupts = bool(every) and self._answers % every == 0
        self._phase, self._since = _Phase.HEARING, now


class CallerClock:
    """Sends for all callers every 20 ms, a quarter of them each 5 ms; a timer, no task. Frames missed in a stall are sent at once."""

    def __init__(self) -> None:
        self._slices: tuple[list[Caller], ...] = tuple([] for _ in range(SLICES))
        self._beats = 0
        self._start = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.late: deque[float] = deque(maxlen=2000)
        """How late the last beats were, in milliseconds: a generator that is late measures itself."""

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._start = clock()
        self._beat()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()

    def add(self, caller: Caller) -> None:
        """Send for this caller too."""
        min(self._slices, key=len).append(caller)

    def remove(self, caller: Caller) -> None:
        """Send for it no more; an unknown one is no error."""
        for one in self._slices:
            if caller in one:
                one.remove(caller)

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        step = FRAME_SECONDS / SLICES
        now = clock()
        self.late.append(max(0.0, now - self._start - self._beats * step) * 1000)
        due = int((now - self._start) / step + 1e-6) + 1
        if due - self._beats > MAX_CATCH_UP * SLICES:
            self._beats = due - MAX_CATCH_UP * SLICES
        while self._beats < due:
            for caller in tuple(self._slices[self._beats % SLICES]):
                caller.tick(now)
            self._beats += 1
        self._timer = loop.call_later(max(0.0, self._start + self._beats * step - clock()), self._beat)
