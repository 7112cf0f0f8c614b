"""What of the agent's sound is still on its way to the other side of a telephone call, from the marks of its stream. Pure.

Sound is paced in real time, so what lies between a frame's leaving and its being heard is the network and the carrier's own buffer. A mark
that comes back says how long that was. Those of a generation that a `clear` dropped say nothing any more: carriers send some of them back
as if they had been reached.
"""

from collections import deque
from statistics import median

FRAME_SECONDS = 0.02
FIRST_MARK_FRAMES = 10
"""An utterance's first mark: soon, since it may be cut soon."""
MARK_FRAMES = 25
"""Half a second."""
USUAL_SECONDS = 0.12
"""What is assumed before the first mark is back: a carrier's own buffer of some frames, and a short way."""
MOST_SECONDS = 3.0
"""No carrier takes longer, unless it has stopped to answer marks."""
REMEMBERED = 5
"""Marks whose median is the delay: one that is late by itself changes nothing."""


class Marks:
    """The marks of one stream. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._generation = 0
        self._count = 0
        self._unmarked = 0
        self._until_mark = FIRST_MARK_FRAMES
        self._awaited: deque[tuple[str, float]] = deque()
        self._delays: deque[float] = deque(maxlen=REMEMBERED)
        self._usual = USUAL_SECONDS

    @property
    def sounds(self) -> bool:
        """Whether sound has left that no mark covers yet."""
        return self._unmarked > 0

    @property
    def awaits(self) -> bool:
        """Whether a mark is still to come back."""
        return bool(self._awaited)

    def paced(self, now: float) -> str | None:
        """A frame of sound has left at `now`: the mark to send behind it, if it is time for one."""
        self._unmarked += 1
        if self._unmarked < self._until_mark:
            return None
        self._until_mark = MARK_FRAMES
        return self._mark(now + FRAME_SECONDS)

    def paused(self, now: float) -> str:
        """The sound is over for now: the mark to send behind it."""
        self._until_mark = FIRST_MARK_FRAMES
        return self._mark(now)

    def reached(self, name: str, now: float) -> float | None:
        """A mark is back at `now`: how long the sound before it took, None for one that nobody awaits."""
        if all(name != awaited for awaited, _ in self._awaited):
            return None
        while True:
            awaited, covers = self._awaited.popleft()
            if awaited == name:
                break
        delay = min(MOST_SECONDS, max(0.0, now - covers))
        self._delays.append(delay)
        self._usual = median(self._delays)
        return delay

    def cleared(self) -> None:
        """What was on its way is dropped."""
        self._generation += 1
        self._unmarked = 0
        self._until_mark = FIRST_MARK_FRAMES
        self._awaited.clear()

    def delay(self, now: float) -> float:
        """How long sound takes to be heard, as far as known at `now`: usually so long, or longer when a mark is overdue."""
        if not (self._awaited and self._delays):
            return self._usual
        return min(MOST_SECONDS, max(self._usual, now - self._awaited[0][1]))

    def _mark(self, covers: float) -> str:
        """The next mark, which covers all that is heard, without delay, until `covers`."""
        self._unmarked = 0
        self._count += 1
        name = f"g{self._generation}:{self._count}"
        self._awaited.append((name, covers))
        if len(self._awaited) > 64:  # half a minute of speech: the carrier answers no marks
            self._awaited.popleft()
        return name
