"""Tells the caller from voices behind him, a television or somebody else in the room, by how loud each of them is.

The voice detector hears a voice, whoever's it is. What tells them apart on a telephone is loudness: the caller's mouth is near. So each call learns
how loud its caller is from the turns whose words were understood, and a voice that stays far below that is not heard: it neither interrupts the
agent nor begins a turn nor keeps one open. Until a level is known, every voice is the caller's, so a quiet caller is as good as a loud one.

A line on which nobody was heard behind the caller gives every voice its way at once, so that interrupting is never slower. A voice that turns out
to be far is hushed then and its words do not count; from that moment on, and for a minute after it was heard last, a voice has to be near first.

Nobody is deafened for long. The level follows the caller, and a lone voice far below it that goes on for some seconds while nobody else speaks,
the agent included, is the caller from then on: he has laid the telephone down, or given it to somebody. A voice that is known to be behind the
caller, because he spoke again after it, has to go on for longer.

Levels are those of windows of 32 ms, in dB of full scale, and compared as means of power. Pure: times are milliseconds of call audio.
"""

import math
from collections import deque

import msgspec
from voisnap_media.vad import WINDOW_MS

POSSIBLE = 0.3
"""Windows with less chance of voice are of no interest."""
MEMORY_MS = 320
"""Voice by whose power it is judged: two syllables, so that a soft one does not count as somebody else's."""
ONSET_DB, BEGIN_DB, GO_ON_DB = 7.0, 9.0, 12.0
"""How far below the caller's level a voice may be that begins, by less than half of `MEMORY_MS` of it, by more, and one that is heard already.

Of read and spontaneous sentences a hundredth is more than 12 dB softer than the whole, over `MEMORY_MS`; of a voice that is 15 dB below, less than
a hundredth is above 9."""
FAR_DB = 10.0
"""A voice that is so far below the caller's from its beginning is found to be behind him."""
FOUND_MS, FADED_MS = 320, 640
"""Voice that shows it: from its beginning, and in the wake of the caller's own, of `GO_ON_DB`."""
WATCHED_MS = 60_000
"""How long after it was heard last voices are asked for their nearness."""
LEAST_MS = 480
"""Voice that is needed to know a level; a turn of less says little."""
LOUDER, SOFTER = 0.6, 0.35
"""How quickly the level follows a turn that is louder, and one that is softer."""
PATIENCE_MS, KNOWN_PATIENCE_MS = 4_000, 15_000
"""Voice far below the caller, without his own, after which it is the caller; and of one that is known to be behind him."""
RETURN_MS = 320
"""Voice of the caller that shows that he is still there."""
BEHIND_MS = 960
"""Voice far below him, before that, which counts as one behind him."""
SAME_DB = 6.0
"""Levels of one voice differ by less."""
DOUBTFUL_DB, SURE = 7.0, 0.6
"""Words from a voice so far below the caller's level need that confidence."""


class _Power(msgspec.Struct):
    """A mean of power."""

    total: float = 0.0
    count: int = 0

    def add(self, level: float) -> None:
        self.total += 10 ** (level / 10)
        self.count += 1

    @property
    def level(self) -> float:
        return 10 * math.log10(self.total / self.count) if self.total else -math.inf

    @property
    def ms(self) -> int:
        return self.count * WINDOW_MS


class NearSpeech:
    """One call's judge of nearness."""

    def __init__(self) -> None:
        self.caller: float | None = None
        """The caller's level; None while it is not known."""
        self._recent: deque[tuple[float, float]] = deque(maxlen=MEMORY_MS // WINDOW_MS)
        self._turn = _Power()
        self._far = _Power()
        self._behind: float | None = None
        self._near_ms = self._faded_ms = 0
        self._is_open = False
        self._stretch = _Power()
        self._watches_until = -math.inf

    def judge(self, level: float, chance: float, *, at_ms: float, agent_sounds: bool) -> float:
        """The chance that the window that ends at `at_ms` holds the caller's voice, given the chance that it holds any."""
        self._remember(level, at_ms)
        if self.caller is None:
            self._turn.add(level)
            return chance
        self._watch(self.caller, at_ms)
        if self._is_near(self.caller, at_ms):
            self._came_near()
            self._turn.add(level)
            return chance
        return self._far_voice(level, chance, agent_sounds=agent_sounds)

    def understood(self, confidence: float) -> bool:
        """Whether words of that confidence are the caller's: those of a voice far below him have to be clear. 0 is a recogniser that does not tell.

        To be asked with the final words of each turn, when there are any; the level is learned from it.
        """
        turn, self._turn = self._turn, _Power()
        if self.doubts(confidence, turn):
            return False
        if turn.ms >= LEAST_MS:
            self._learn(turn.level)
        return True

    def not_understood(self) -> None:
        """What was heard had no words."""
        self._turn = _Power()

    def doubts(self, confidence: float, turn: _Power | None = None) -> bool:
        """Whether words of that confidence may be somebody else's, by what was heard of the turn so far."""
        heard = turn or self._turn
        if self.caller is None or not heard.count:
            return False
        below = self.caller - heard.level
        return (below > FAR_DB and self._was_found) or (below > DOUBTFUL_DB and 0 < confidence < SURE)

    @property
    def _was_found(self) -> bool:
        """Whether somebody was heard behind the caller lately."""
        return bool(self._recent) and self._recent[-1][0] < self._watches_until

    def _remember(self, level: float, at_ms: float) -> None:
        recent = self._recent
        while recent and recent[0][0] <= at_ms - MEMORY_MS:
            recent.popleft()
        if not recent:
            self._is_open = False
            self._stretch = _Power()
            self._faded_ms = 0
        recent.append((at_ms, level))
        self._stretch.add(level)

    def _lately(self) -> float:
        power = _Power()
        for _, level in self._recent:
            power.add(level)
        return power.level

    def _watch(self, caller: float, at_ms: float) -> None:
        """Find a voice that is behind the caller, and note that it goes on."""
        self._faded_ms = self._faded_ms + WINDOW_MS if self._lately() < caller - GO_ON_DB else 0
        is_far = self._stretch.ms >= FOUND_MS and self._stretch.level < caller - FAR_DB
        if is_far or self._faded_ms >= FADED_MS:
            if not self._was_found:
                self._is_open = False
            self._watches_until = at_ms + WATCHED_MS

    def _is_near(self, caller: float, at_ms: float) -> bool:
        if at_ms >= self._watches_until:
            self._is_open = True
            return True
        begin = ONSET_DB if 2 * len(self._recent) * WINDOW_MS < MEMORY_MS else BEGIN_DB
        self._is_open = self._lately() >= caller - (GO_ON_DB if self._is_open else begin)
        return self._is_open

    def _came_near(self) -> None:
        self._near_ms += WINDOW_MS
        if not self._far.count or self._near_ms < RETURN_MS:
            return
        if self._far.ms >= BEHIND_MS:
            self._behind = self._far.level
        self._far = _Power()

    def _far_voice(self, level: float, chance: float, *, agent_sounds: bool) -> float:
        self._near_ms = 0
        if agent_sounds:  # the caller listens: that he says nothing tells nothing
            return 0.0
        self._far.add(level)
        is_known = self._behind is not None and abs(self._far.level - self._behind) < SAME_DB
        if self._far.ms < (KNOWN_PATIENCE_MS if is_known else PATIENCE_MS):
            return 0.0
        self.caller, self._watches_until = None, -math.inf
        self._far, self._turn = _Power(), _Power()
        return chance

    def _learn(self, level: float) -> None:
        if self.caller is None:
            self.caller = level
        else:
            self.caller += (LOUDER if level > self.caller else SOFTER) * (level - self.caller)


def level_of(power: float) -> float:
    """The level of a mean power of samples at 1.0 full scale, in dB."""
    return 10 * math.log10(power + 1e-12)
