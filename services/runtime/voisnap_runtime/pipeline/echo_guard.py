"""Keeps the agent from taking its own voice for the caller's: a loudspeaker and a microphone in one room, without echo cancellation.

What the mouth played is the reference; what the ear hears as voice is compared with it (`voisnap_media.echo`). The guard costs a reference to
each frame while nobody interrupts. It looks closer only while voice is heard and the agent was audible a moment ago.

A line on which no echo was found yet gives every voice its way at once, so that interrupting is never slower; an echo that is found then is
taken back. From then on the line is known to echo, and a voice heard over the agent has to prove first that it is another one.
"""

import difflib
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from voisnap_domain.turntaking import words_of
from voisnap_media import echo
from voisnap_media.pcm import Pcm, Samples

FRAME_SECONDS = 0.02
FRAME = echo.RATE // 50
SLACK_MS = 40
"""By how much echo may seem to come before what it is an echo of: both sides count time a little differently."""
KEPT_FRAMES = (echo.PLAYED + SLACK_MS * echo.PER_MS) // FRAME + 2
AUDIBLE_SECONDS = (echo.LATEST_MS + 200) / 1000
"""How long after the agent's last sound its echo may still be heard."""
LEAST_VOICED_MS = 96
"""Voice that is needed to tell what it is."""
ENOUGH = 2
"""Looks in a row that settle it, one for each 32 ms of voice; one is enough at `SURELY`, which other voices never are."""
SURELY = 0.62
LIKE = 0.45
"""From this likeness on voice counts as echo on a line of which nothing is known; below `UNLIKE` it is somebody else's."""
UNLIKE = 0.30
SHARE_OF_USUAL = 0.72
"""On a line that is known to echo: of the likeness that its echoes have."""
LOUDER = 2.0
"""On such a line somebody else is heard when it is this much louder than echo alone would be."""
LONG_ENOUGH = 4
"""On such a line, looks in a row that settle that it is the caller: a hiss is shorter. A look counts twice when it is `MUCH_LOUDER`."""
MUCH_LOUDER = 5.0
STRANGE_LOOKS = 10
"""Looks in a row below `UNLIKE` after which it is the caller, however loud, and the line is not taken for an echoing one any more."""
LEARNING = 0.05
CLEARLY = 0.9
"""Of the usual likeness: what is more alike has nobody else's voice in it, and the line is learned from it."""
PATIENCE_MS = 416
"""A voice that was not found to be an echo by then is the caller's."""
REPEATED = 0.75
"""Share of words that are the agent's own, in its order, in what is heard of its echo."""
REPEATED_WORDS = 3
SAID_KEPT = 3
"""Utterances of the agent whose words are compared."""


class Verdict(Enum):
    """What voice over the agent's speech is."""

    OPEN = auto()
    ECHO = auto()
    CALLER = auto()


class _Burst:
    """A stretch of voice without a pause."""

    __slots__ = ("echoed_ms", "like", "strange", "unlike", "verdict")

    def __init__(self) -> None:
        self.verdict = Verdict.OPEN
        self.echoed_ms = 0
        self.like = self.unlike = self.strange = 0


class EchoGuard:
    """One call's guard. Times are the loop's clock, in seconds. `found` is called once, at the first echo."""

    def __init__(self, found: Callable[[], None] = lambda: None) -> None:
        self._found = found
        self.suspected = 0
        """Bursts of voice that were taken for the agent's own."""
        self._frames: deque[Pcm | None] = deque(maxlen=KEPT_FRAMES)
        self._reduced: deque[NDArray[np.float32] | None] = deque(maxlen=KEPT_FRAMES)
        self._silence = np.zeros(FRAME, np.float32)
        self._pulled_at = 0.0
        self._sounded_at: float | None = None
        self._usual: echo.Match | None = None
        self._said: deque[str] = deque(maxlen=SAID_KEPT)
        self._burst = _Burst()
        self._doubtful = False

    # --- the agent

    def played(self, frame: Pcm | None, at: float) -> None:
        """The mouth's frame of 20 ms at `at`; None is silence. Called for every frame."""
        self._pulled_at = at
        if frame is not None:
            self._sounded_at = at
        elif self._sounded_at is None:
            return
        elif at - self._sounded_at > AUDIBLE_SECONDS:
            self._sounded_at = None
            self._frames.clear()
            self._reduced.clear()
            return
        self._frames.append(frame)
        self._reduced.append(None)

    def says(self, text: str) -> None:
        """What the agent is saying, from the beginning of its utterance."""
        if self._said and text.startswith(self._said[-1]):
            self._said.pop()
        self._said.append(text)

    # --- the caller

    @property
    def is_audible(self) -> bool:
        """Whether the agent's sound may be what is heard now."""
        return self._sounded_at is not None

    @property
    def withholds(self) -> bool:
        """Whether voice that is heard now has to wait for a verdict."""
        return self._usual is not None and self.is_audible

    def begin(self) -> None:
        """A burst of voice begins."""
        self._burst = _Burst()
        self._doubtful = self._doubtful or self.is_audible

    @property
    def echoed_ms(self) -> int:
        """How much of the burst was echo for sure."""
        return self._burst.echoed_ms

    def judge(self, heard: Samples, rate: int, voiced_ms: int, until: float) -> Verdict:
        """What the burst is, given `voiced_ms` of it and the microphone's last 192 ms, which end at `until`.

        An echo may become the caller's voice, when he begins to speak over it; the caller's stays his.
        """
        burst = self._burst
        if burst.verdict is Verdict.CALLER or not self.is_audible:
            burst.verdict = Verdict.CALLER
        elif voiced_ms >= LEAST_VOICED_MS:
            self._look(burst, heard, rate, voiced_ms, until)
        return burst.verdict

    def end(self, heard: Samples, rate: int, voiced_ms: int, until: float) -> Verdict:
        """The burst is over: what it was. What was too short to tell is echo on a line that echoes."""
        burst = self._burst
        if burst.verdict is Verdict.OPEN and self.is_audible:
            self._look(burst, heard, rate, voiced_ms, until)
            if burst.verdict is Verdict.OPEN and self.withholds:
                burst.verdict = Verdict.ECHO
        if burst.verdict is Verdict.ECHO:
            self._suspect()
        self._burst = _Burst()
        return burst.verdict

    def _look(self, burst: _Burst, heard: Samples, rate: int, voiced_ms: int, until: float) -> None:
        usual = self._usual
        found = echo.match(
            echo.reduced(heard, rate), self._reference(until), usual_ms=None if usual is None else usual.delay_ms
        )
        burst.like = burst.like + 1 if found.likeness >= self._like else 0
        unlike = self._unlike(found)
        burst.unlike = burst.unlike + unlike if unlike else 0
        burst.strange = burst.strange + 1 if found.likeness < UNLIKE else 0
        if burst.strange >= STRANGE_LOOKS:
            burst.verdict, self._usual, self._doubtful = Verdict.CALLER, None, False
        elif burst.like >= ENOUGH or found.likeness >= SURELY:
            burst.verdict = Verdict.ECHO
            burst.echoed_ms = voiced_ms
            self._learn(found)
        elif burst.unlike >= (ENOUGH if usual is None else LONG_ENOUGH) or (
            usual is None and burst.verdict is Verdict.OPEN and voiced_ms >= PATIENCE_MS
        ):
            burst.verdict = Verdict.CALLER
            self._doubtful = self._doubtful and not burst.unlike

    def _unlike(self, found: echo.Match) -> int:
        """How much a look speaks for another voice."""
        usual = self._usual
        if usual is None:
            return int(found.likeness < UNLIKE)
        if found.likeness >= self._like or found.loudness <= LOUDER * usual.loudness:
            return 0
        return 2 if found.loudness > MUCH_LOUDER * usual.loudness else 1

    def repeats(self, text: str) -> bool:
        """Whether words that were heard over the agent's speech are what it said; to be asked with the final words of each turn."""
        doubtful, self._doubtful = self._doubtful, False
        words = words_of(text)
        if not doubtful or len(words) < REPEATED_WORDS:
            return False
        said = words_of(" ".join(self._said))
        matching = difflib.SequenceMatcher(a=said, b=words, autojunk=False).get_matching_blocks()
        repeated = sum(block.size for block in matching) >= REPEATED * len(words)
        if repeated:
            self._suspect()
        return repeated

    # --- inside

    def _suspect(self) -> None:
        self.suspected += 1
        if self.suspected == 1:
            self._found()

    @property
    def _like(self) -> float:
        return LIKE if self._usual is None else max(LIKE * SHARE_OF_USUAL, SHARE_OF_USUAL * self._usual.likeness)

    def _learn(self, found: echo.Match) -> None:
        """How this line echoes: likeness and delay on average, loudness at the most, of what is echo and nothing else."""
        usual = self._usual
        if usual is None:
            self._usual = found
            return
        if found.likeness < CLEARLY * usual.likeness:
            return
        likeness = usual.likeness + LEARNING * (found.likeness - usual.likeness)
        delay_ms = usual.delay_ms + LEARNING * (found.delay_ms - usual.delay_ms)
        loudness = max(found.loudness, usual.loudness + LEARNING * (found.loudness - usual.loudness) / 10)
        self._usual = echo.Match(likeness, delay_ms, loudness)

    def _reference(self, until: float) -> NDArray[np.float32]:
        """What was played until `until` and a little longer, reduced, silence where nothing is known."""
        for place, (frame, known) in enumerate(zip(self._frames, self._reduced, strict=True)):
            if known is None:
                self._reduced[place] = self._silence if frame is None else echo.reduced(frame.samples, frame.rate)
        played = np.concatenate([piece for piece in self._reduced if piece is not None] or [self._silence])
        ahead = round((self._pulled_at + FRAME_SECONDS - until - SLACK_MS / 1000) * echo.RATE)
        reference = np.zeros(echo.PLAYED, np.float32)
        end = echo.PLAYED + min(0, ahead)
        piece = played[: max(0, len(played) - max(0, ahead))][-end:] if end > 0 else played[:0]
        reference[end - len(piece) : end] = piece
        return reference
