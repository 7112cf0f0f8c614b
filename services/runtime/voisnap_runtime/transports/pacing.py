"""The one clock of a process: every 20 ms each call's next frame is pulled and sent, without a task a call."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
from voisnap_kit import log
from voisnap_media.pacing import FRAME_SECONDS, PacingClock

from voisnap_runtime.transports.port import AudioSource, Transport

BEAT_SECONDS = FRAME_SECONDS / 2
"""The clock beats twice a frame: half of the calls are served on each beat, which halves the longest stall."""

TickHook = Callable[[float], None]
Fault = Callable[[Exception], None]

_KEPT = 2000

_log = log.get(__name__)


class PacerStats(msgspec.Struct, frozen=True, kw_only=True):
    """How punctual the clock was over its last twenty seconds, in milliseconds late."""

    late_p50_ms: float = 0.0
    late_p95_ms: float = 0.0
    late_max_ms: float = 0.0
    skipped_frames: int = 0
    """Frames given up after stalls, since the start."""
    calls: int = 0


class _Pair(msgspec.Struct, frozen=True, eq=False):
    source: AudioSource
    transport: Transport
    on_fault: Fault | None


class Pacer:
    """Beats every 10 ms on the event loop's clock from `start` to `stop`; a timer, no task."""

    def __init__(self, *, max_catch_up: int = 5) -> None:
        """After a stall at most `max_catch_up` frames a call are sent at once; the rest is given up."""
        self._max_catch_up = max_catch_up
        self._phases: tuple[list[_Pair], list[_Pair]] = ([], [])
        self._clocks: tuple[PacingClock, ...] = ()
        self._hooks: list[TickHook] = []
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
        min(self._phases, key=len).append(_Pair(source, transport, on_fault))

    def remove(self, source: AudioSource) -> None:
        """Stop pulling from `source`. May be called twice, and from within `pull` or `send`."""
        for phase in self._phases:
            phase[:] = [pair for pair in phase if pair.source is not source]

    def on_tick(self, hook: TickHook) -> Callable[[], None]:
        """Call `hook` with the loop's time on every beat, before audio is pulled; returns how to take it off."""
        self._hooks.append(hook)

        def remove() -> None:
            if hook in self._hooks:
                self._hooks.remove(hook)

        return remove

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
        for hook in tuple(self._hooks):
            self._run_hook(hook, now)
        for clock, pairs in zip(self._clocks, self._phases, strict=True):
            for _ in range(clock.due(now)):
                for pair in tuple(pairs):
                    self._serve(pair)

    def _run_hook(self, hook: TickHook, now: float) -> None:
        try:
            hook(now)
        except Exception:
            _log.exception("pacer.hook_failed")

    def _serve(self, pair: _Pair) -> None:
        try:
            pair.transport.send(pair.source.pull())
        except Exception as error:
            # One broken call must not silence the others of the process.
            self.remove(pair.source)
            _log.exception("pacer.call_failed")
            if pair.on_fault is not None:
                pair.on_fault(error)
