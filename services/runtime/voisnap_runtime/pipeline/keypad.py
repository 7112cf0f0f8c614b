"""The keys of one caller, whichever ways they come: tones in the audio, and events of the network or the client.

Networks send a press both ways at times: as an event (RFC 4733) and, before they have muted it, as a tone. Such a press counts once. What
comes by one way only is never doubted: "5" twice within 100 ms is two presses.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

SAME_PRESS_SECONDS = 0.15
"""How far apart the two ways may tell of one press; measured from its end when the tone lasts."""
KEPT = 16


class Way(Enum):
    """How a press became known."""

    TONE = auto()
    EVENT = auto()


class _Press:
    __slots__ = ("key", "since", "until", "way")

    def __init__(self, key: str, way: Way, at: float) -> None:
        self.key = key
        self.way = way
        self.since = self.until = at


class Keypad:
    """`pressed` is called once for each press. Times are seconds of any one clock."""

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        self._alone: deque[_Press] = deque(maxlen=KEPT)
        self._tone: _Press | None = None

    def event(self, key: str, at: float) -> None:
        """The network or the client says that a key was pressed."""
        self._take(_Press(key, Way.EVENT, at))

    def heard(self, key: str, at: float) -> None:
        """The tone of a key was heard."""
        self._tone = _Press(key, Way.TONE, at)
        self._take(self._tone)

    def held(self, at: float) -> None:
        """The last tone goes on."""
        if self._tone is not None:
            self._tone.until = at

    def _take(self, press: _Press) -> None:
        """Count a press, unless the other way told of it: then that one is spent."""
        for other in self._alone:
            if (
                other.way is not press.way
                and other.key == press.key
                and press.since - other.until <= SAME_PRESS_SECONDS
                and other.since - press.since <= SAME_PRESS_SECONDS
            ):
                self._alone.remove(other)
                return
        self._alone.append(press)
        self._pressed(press.key)
