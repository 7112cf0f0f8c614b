"""Lines up both sides of a call for the recorder, 20 ms at a time.

The recording runs a little behind the call, so that audio that comes late still finds its place. Its length follows the clock: a frame that
never came is silence. What the agent says stands where it is heard, and not at all when it was dropped on its way.
"""

from collections import deque

from voisnap_media.pcm import Pcm
from voisnap_media.recorder import CALLER_RATE, Recorder

from .ear import Ear
from .mouth import Immediate, Playout

BEHIND = 4
"""Frames the recording runs behind the call: 80 ms."""
FRAME_SECONDS = 0.02
CALLER_FRAME = CALLER_RATE // 50


class BothSides:
    """Feeds a recorder from an ear and from the frames that left the mouth. The way of the agent's sound to the caller, too (`mouth.Playout`):
    `playout`, as it is, with what is under way on it."""

    def __init__(self, recorder: Recorder, ear: Ear) -> None:
        self._recorder = recorder
        self._ear = ear
        self._agent: deque[Pcm | None] = deque()
        self._begun: float | None = None
        self._frames = 0
        self._place = 0
        self._sounds = False
        self.playout: Playout = Immediate()

    def delay(self) -> float:
        """That of the way."""
        return self.playout.delay()

    def clear(self) -> None:
        """What was under way is heard by nobody."""
        self.playout.clear()
        while self._agent and self._frames + len(self._agent) > self._place + 1:
            self._agent.pop()

    def pulled(self, frame: Pcm | None, now: float) -> None:
        """The mouth's frame at `now` seconds of the call; write what is due."""
        if self._begun is None:
            self._begun = now
        self._place = round((now - self._begun) / FRAME_SECONDS)
        if frame is not None and not self._sounds and (later := round(self.playout.delay() / FRAME_SECONDS)):
            self._agent.extend([None] * (self._place + later - self._frames - len(self._agent)))
        self._sounds = frame is not None
        if frame is not None or len(self._agent) < BEHIND:
            self._agent.append(frame)
        self._write_until(now)

    def end(self, now: float) -> None:
        """The call is over: write what is still behind."""
        if self._begun is not None:
            self._write_until(now + BEHIND * FRAME_SECONDS)

    def _write_until(self, now: float) -> None:
        due = int((now - (self._begun or 0.0)) / FRAME_SECONDS + 1e-6) + 1 - BEHIND
        while self._frames < due:
            moment = (self._begun or 0.0) + (self._frames + 1) * FRAME_SECONDS
            late = len(self._agent) + self._frames < due
            agent = None if late or not self._agent else self._agent.popleft()
            self._recorder.write(self._ear.copy(CALLER_FRAME, until_ms=moment * 1000), agent)
            self._frames += 1
