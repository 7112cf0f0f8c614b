"""Tells the caller from voices behind him, a television or somebody else in the room, by how loud each of them is.

The voice detector hears a voice, whoever's it is. What tells them apart on a telephone is loudness: the caller's mouth is near. But people
also speak softer for a sentence, turn their heads and trail off, and what they say must never be cut off. So softness alone proves nothing.
Whoever talks on through the agent's words, far below the caller, does not talk to it: that is the only evidence of somebody behind him.

* Voice far below the caller does not interrupt the agent. It is given its way at its beginning, so that interrupting is never slower; what
  turns out to be far is hushed then, and its words do not count.
* When it goes on for `FOUND_MS`, somebody is known to be behind the caller, for a minute after he was heard last. Only then voice far below
  the caller opens no turn, and keeps none open once the caller's own voice is `TRAIL_MS` past.
* Otherwise every voice is the caller's: while nobody was found, turns begin and end as they do without this judge.

How loud the caller is, each call learns from the turns whose words were understood, by the softer part of his syllables. Until then every
voice is his, so a quiet caller is as good as a loud one. Nobody is deafened for long: a lone voice far below the level that goes on for some
seconds while nobody else speaks, the agent included, is the caller from then on. He has laid the telephone down, or given it to somebody. A
voice that he spoke again after has to go on for longer.

Powers are means of windows of 32 ms, 1.0 full scale. Pure: times are milliseconds of call audio.
"""

import math
from collections import deque

from voisnap_media.vad import WINDOW_MS

POSSIBLE = 0.3
"""Windows with less chance of voice are of no interest."""
MEMORY_MS = 320
"""Voice by whose power it is judged: two syllables, so that a soft one does not count as somebody else's."""
SOFTER_PART = 1 / 3
"""Of a turn's powers over `MEMORY_MS`, that share is softer than its level: some 2 dB below the mean of read and spontaneous sentences."""
ONSET_DB, BEGIN_DB, FAR_DB = 3.0, 6.0, 10.5
"""How far below the caller's level a voice may be that begins to be his, by less than half of `MEMORY_MS` of it, and by more; and below which it
is far, or his no more.

Of a voice whose mean is 15 dB below his mean, less than a hundredth of its powers over `MEMORY_MS` is above the second."""
HUSHED_MS, FOUND_MS = 320, 1_500
"""Far voice over the agent's words that is hushed from then on, and that shows that somebody is behind the caller."""
BREATH_MS = 1_000
"""A voice that pauses for longer is listened to anew."""
TRAIL_MS = 1_500
"""Voice so soon after the caller's own is his, however soft: he trails off, or turns away for a word."""
WATCHED_MS = 60_000
"""How long after he was heard last somebody counts as behind the caller."""
LEAST_MS = 480
"""Voice that is needed to know a level; a turn of less says little."""
TURN_MS = 20_000
"""Of a turn, the end that its level is learned from."""
LOUDER, SOFTER = 0.5, 0.35
"""How quickly the level follows a turn that is louder, and one that is softer."""
PATIENCE_MS, KNOWN_PATIENCE_MS = 4_000, 15_000
"""Voice far below the caller, without his own, after which it is the caller; and of one that is known to be behind him."""
RETURN_MS = 320
"""Voice of the caller that shows that he is still there."""
BEHIND_MS = 960
"""Voice far below him, before that, which counts as one behind him."""
SAME_DB = 6.0
"""Levels of one voice differ by less."""


class _Voice:
    """Stretches of one voice, and their mean power."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, power: float) -> None:
        self.total += power
        self.count += 1

    def clear(self) -> None:
        self.total, self.count = 0.0, 0

    def is_below(self, power: float) -> bool:
        return self.total < power * self.count

    @property
    def power(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def ms(self) -> int:
        return self.count * WINDOW_MS


class NearSpeech:
    """One call's judge of nearness."""

    def __init__(self) -> None:
        self.caller: float | None = None
        """The caller's level, in dB of full scale; None while it is not known."""
        self._onset = self._begin = self._far = 0.0
        self._recent: deque[tuple[float, float]] = deque()
        self._recent_total = 0.0
        self._is_near = self._has_near = False
        self._near_at = self._heard_at = -math.inf
        self._over_agent = _Voice()
        self._is_hushed = False
        self._found_until = -math.inf
        self._turn = _Voice()
        self._turn_powers: deque[float] = deque(maxlen=TURN_MS // WINDOW_MS)
        self._turn_hushed = False
        self._lone = _Voice()
        self._behind: float | None = None
        self._returned_ms = 0

    def judge(self, power: float, chance: float, *, at_ms: float, agent_sounds: bool) -> float:
        """The chance that the window that ends at `at_ms` holds the caller's voice, given the chance that it holds any."""
        lately = self._remember(power, at_ms)
        if self.caller is not None and not self._is_his(power, lately, at_ms, agent_sounds=agent_sounds):
            self._turn_hushed = True
            return 0.0
        self._turn.add(power)
        if self._is_near or not self._was_found(at_ms):
            self._turn_powers.append(lately)
        return chance

    def understood(self) -> bool:
        """Whether words are the caller's. To be asked with the final words of each turn, when there are any: the level is learned from it."""
        if self.doubts():
            self.not_understood()
            return False
        powers = sorted(self._turn_powers)
        self.not_understood()
        if len(powers) * WINDOW_MS >= LEAST_MS:
            self._learn(level_of(powers[int(len(powers) * SOFTER_PART)]))
        return True

    def not_understood(self) -> None:
        """What was heard had no words."""
        self._turn.clear()
        self._turn_powers.clear()
        self._turn_hushed = False

    def doubts(self) -> bool:
        """Whether words are somebody else's, by what was heard of the turn so far: it was hushed, and what was not is far as well."""
        return self.caller is not None and self._turn_hushed and self._turn.is_below(self._far)

    # --- one window

    def _remember(self, power: float, at_ms: float) -> float:
        """The mean power of the last windows with voice, this one included."""
        recent = self._recent
        while recent and recent[0][0] <= at_ms - MEMORY_MS:
            self._recent_total -= recent.popleft()[1]
        if not recent:
            self._recent_total = 0.0
            self._is_near = self._has_near = False
        if at_ms - self._heard_at > BREATH_MS:
            self._over_agent.clear()
            self._is_hushed = False
        self._heard_at = at_ms
        recent.append((at_ms, power))
        self._recent_total += power
        return self._recent_total / len(recent)

    def _is_his(self, power: float, lately: float, at_ms: float, *, agent_sounds: bool) -> bool:
        begin = self._onset if 2 * len(self._recent) * WINDOW_MS < MEMORY_MS else self._begin
        self._is_near = lately >= (self._far if self._is_near else begin)
        if self._is_near:
            self._came_near(at_ms)
            return True
        self._returned_ms = 0
        # Over the agent only what hangs together with his voice: he was silent before it began, and so he trails off no more.
        if at_ms - self._near_at <= TRAIL_MS and (self._has_near or not agent_sounds):
            return True
        if agent_sounds:
            return not self._talks_over(power, at_ms)
        self._over_agent.clear()
        self._is_hushed = False
        if self._was_found(at_ms):
            return self._has_waited(power, at_ms)
        self._turn_hushed = False  # it goes on when the agent is done: it is the caller's after all
        return True

    def _came_near(self, at_ms: float) -> None:
        self._has_near = True
        self._near_at = at_ms
        self._over_agent.clear()
        self._is_hushed = False
        self._returned_ms += WINDOW_MS
        if not self._lone.count or self._returned_ms < RETURN_MS:
            return
        if self._lone.ms >= BEHIND_MS:
            self._behind = level_of(self._lone.power)
        self._lone.clear()

    def _talks_over(self, power: float, at_ms: float) -> bool:
        """Whether somebody behind the caller talks while the agent does."""
        voice = self._over_agent
        voice.add(power)
        is_far = voice.is_below(self._far)
        if is_far and voice.ms >= HUSHED_MS:
            self._is_hushed = True
        if is_far and voice.ms >= FOUND_MS:
            self._found_until = at_ms + WATCHED_MS
        return self._is_hushed or self._was_found(at_ms)

    def _was_found(self, at_ms: float) -> bool:
        return at_ms < self._found_until

    def _has_waited(self, power: float, at_ms: float) -> bool:
        """Whether the voice behind the caller went on alone for so long that it is the caller's."""
        self._found_until = at_ms + WATCHED_MS
        voice = self._lone
        voice.add(power)
        is_known = self._behind is not None and abs(level_of(voice.power) - self._behind) < SAME_DB
        if voice.ms < (KNOWN_PATIENCE_MS if is_known else PATIENCE_MS):
            return False
        self.caller, self._found_until = None, -math.inf
        self._lone.clear()
        self.not_understood()
        return True

    def _learn(self, level: float) -> None:
        if self.caller is None:
            self.caller = level
        else:
            self.caller += (LOUDER if level > self.caller else SOFTER) * (level - self.caller)
        self._onset, self._begin, self._far = (
            10 ** ((self.caller - below) / 10) for below in (ONSET_DB, BEGIN_DB, FAR_DB)
        )


def level_of(power: float) -> float:
    """The level of a mean power, in dB of full scale."""
    return 10 * math.log10(power + 1e-12)
