"""The one clock of a process: every 20 ms each call's next frame is pulled and sent, without a task a call."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Protocol, runtime_checkable

import msgspec
from voisnap_kit import log
from voisnap_media.pacing import FRAME_SECONDS, PacingClock

from voisnap_runtime.transports.port import AudioSource, Transport

PHASES = 4
BEAT_SECONDS = FRAME_SECONDS / PHASES
"""The clock beats four times a frame: a quarter of the calls is served on each beat, which shortens the longest stall."""
HOOK_BEATS = 2
"""Hooks run on every second beat, every 10 ms; the first one on one beat, the next one on the other, and so on."""

TickHook = Callable[[float], None]
Fault = Callable[[Exception], None]

_KEPT = 4000
_RECENT = 400

_log = log.get(__name__)


class PacerStats(msgspec.Struct, frozen=True, kw_only=True):
    """How punctual the clock was over its last twenty seconds, in milliseconds late."""

    late_p50_ms: float = 0.0
    late_p95_ms: float = 0.0
    late_max_ms: float = 0.0
    skipped_frames: int = 0
    """Frames given up after stalls, since the start."""
    calls: int = 0


@runtime_checkable
class Eager(Protocol):
    """A source that says when it has something to play after silence."""

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Call `ready` at every such moment; a further listener replaces the one before."""
        ...


class _Pair:
    """A source and where its frames go. `is_ahead`: a frame was sent before its time, so one frame of silence is left out later."""

    __slots__ = ("is_ahead", "is_gone", "is_hurried", "on_fault", "source", "transport")

    def __init__(self, source: AudioSource, transport: Transport, on_fault: Fault | None) -> None:
        self.source = source
        self.transport = transport
        self.on_fault = on_fault
        self.is_ahead = self.is_hurried = self.is_gone = False


class Pacer:
    """Beats every 5 ms on the event loop's clock from `start` to `stop`; a timer, no task.

    The first frame after silence does not wait for its call's beat when the source is `Eager`: that saves every answer 10 ms on average.
    """

    def __init__(self, *, max_catch_up: int = 5) -> None:
        """After a stall at most `max_catch_up` frames a call are sent at once; the rest is given up."""
        self._max_catch_up = max_catch_up
        self._phases: tuple[list[_Pair], ...] = tuple([] for _ in range(PHASES))
        self._beats = 0
        self._clocks: tuple[PacingClock, ...] = ()
        self._hooks: list[TickHook] = []
        self._after_frames: Callable[[], None] = _nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_beat = 0.0
        self._late: deque[float] = deque(maxlen=_KEPT)

    def start(self) -> None:
        """Begin to beat. Needs a running event loop."""
        if self._timer is not None:
            return
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._clocks = tuple(
            PacingClock(now + phase * BEAT_SECONDS, max_catch_up=self._max_catch_up)
            for phase in range(len(self._phases))
        )
        self._next_beat = now
        self._timer = self._loop.call_at(now, self._beat)

    def stop(self) -> None:
        """Fall silent at once; calls stay paired."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, source: AudioSource, transport: Transport, *, on_fault: Fault | None = None) -> None:
        """Pull from `source` and send to `transport` on every frame, until `remove(source)`.

        An exception in either takes this call off the clock and is told to `on_fault`; other calls go on.
        """
        pair = _Pair(source, transport, on_fault)
        min(self._phases, key=len).append(pair)
        if isinstance(source, Eager):
            source.when_ready(partial(self._hurry, pair))

    def remove(self, source: AudioSource) -> None:
        """Stop pulling from `source`. May be called twice, and from within `pull` or `send`."""
        for phase in self._phases:
            for pair in tuple(phase):
                if pair.source is source:
                    pair.is_gone = True
                    phase.remove(pair)

    def on_tick(self, hook: TickHook) -> Callable[[], None]:
        """Call `hook` with the loop's time every 10 ms, before audio is pulled; returns how to take it off."""
        self._hooks.append(hook)

        def remove() -> None:
            if hook in self._hooks:
                self._hooks.remove(hook)

        return remove

    def after_frames(self, hook: Callable[[], None]) -> None:
        """Call `hook` whenever frames of audio were pulled and sent: for what all calls do together. It must not raise."""
        self._after_frames = hook

    def stats(self) -> PacerStats:
        """How punctual the clock is."""
        late = sorted(self._late) or [0.0]
        return PacerStats(
            late_p50_ms=late[len(late) // 2] * 1000,
            late_p95_ms=late[min(len(late) - 1, len(late) * 95 // 100)] * 1000,
            late_max_ms=late[-1] * 1000,
            skipped_frames=sum(clock.skipped for clock in self._clocks),
            calls=sum(map(len, self._phases)),
        )

    def lateness(self) -> float:
        """How late the clock was for every twentieth beat of the last two seconds, in seconds; 0 while it serves nobody.

        What callers hear suffers with it, whatever the reason: too many calls, a slow hook, others on the same machine.
        """
        if not any(self._phases) or not self._late:
            return 0.0
        count = min(_RECENT, len(self._late))
        recent = sorted(islice(reversed(self._late), count))
        return recent[min(count - 1, count * 95 // 100)]

    def _beat(self) -> None:
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        self._late.append(max(0.0, now - self._next_beat))
        missed = int((now - self._next_beat) / BEAT_SECONDS)
        self._next_beat += (missed + 1) * BEAT_SECONDS
        # Set the next timer first: whatever happens below, the clock goes on.
        self._timer = loop.call_at(self._next_beat, self._beat)
        self._beats += 1
        for hook in self._hooks[self._beats % HOOK_BEATS :: HOOK_BEATS]:
            self._run_hook(hook, now)
        for clock, pairs in zip(self._clocks, self._phases, strict=True):
            for _ in range(clock.due(now)):
                for pair in tuple(pairs):
                    self._serve(pair)
                self._after_frames()

    def _run_hook(self, hook: TickHook, now: float) -> None:
        try:
            hook(now)
        except Exception:
            _log.exception("pacer.hook_failed")

    def _hurry(self, pair: _Pair) -> None:
        """Whoever says that there is sound is in the middle of something: it is played when that is done."""
        if (
            self._loop is not None
            and self._timer is not None
            and not (pair.is_hurried or pair.is_ahead or pair.is_gone)
        ):
            pair.is_hurried = True
            self._loop.call_soon(self._serve_early, pair)

    def _serve_early(self, pair: _Pair) -> None:
        pair.is_hurried = False
        if self._timer is not None and not (pair.is_ahead or pair.is_gone):
            pair.is_ahead = True
            self._serve(pair)
            self._after_frames()

    def _serve(self, pair: _Pair) -> None:
        try:
            audio = pair.source.pull()
            if audio is None and pair.is_ahead:
                pair.is_ahead = False
                return
            pair.transport.send(audio)
        except Exception as error:
            # One broken call must not silence the others of the process.
            self.remove(pair.source)
            _log.exception("pacer.call_failed")
            if pair.on_fault is not None:
                pair.on_fault(error)


def _nothing() -> None: ...
