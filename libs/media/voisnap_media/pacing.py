"""When the next 20 ms are due: the arithmetic of a clock that never drifts. The ticking itself lives in the runtime."""

FRAME_MS = 20
FRAME_SECONDS = FRAME_MS / 1000


class PacingClock:
    """Counts frames against the clock it is asked with; late askers catch up, but only so far.

    After a stall longer than `max_catch_up` frames the rest is given up rather than sent in a burst: the timeline
    moves on, and `skipped` says by how much.
    """

    def __init__(self, start: float, *, frame_seconds: float = FRAME_SECONDS, max_catch_up: int = 5) -> None:
        if max_catch_up < 1 or frame_seconds <= 0:
            raise ValueError("a pacing clock needs a positive frame and at least one frame to catch up")
        self._start = start
        self._frame_seconds = frame_seconds
        self._max_catch_up = max_catch_up
        self._passed = 0
        self.skipped = 0
        """Frames given up after stalls."""

    @property
    def next_at(self) -> float:
        """When the next frame is due."""
        return self._start + self._passed * self._frame_seconds

    def due(self, now: float) -> int:
        """How many frames are to be sent now; asking again at the same time answers 0."""
        # A timer may fire a hair early; half a millisecond does not make a frame late.
        behind = int((now - self._start + 0.0005) / self._frame_seconds) + 1 - self._passed
        if behind <= 0:
            return 0
        self._passed += behind
        granted = min(behind, self._max_catch_up)
        self.skipped += behind - granted
        return granted
