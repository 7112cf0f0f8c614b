"""What a carrier hears of somebody who is to answer it: pressed keys, speech and silence. All times are of the line: 20 ms a frame."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from .calls import Call

if TYPE_CHECKING:  # numpy: 10 MB that a simulator nobody uses does without
    from voisnap_media.pcm import Samples

FRAMES_A_SECOND = 50


class Heard(StrEnum):
    """Why listening ended."""

    KEY = "key"
    """The one that ends it."""
    FULL = "full"
    SPEECH = "speech"
    """Somebody spoke, and has finished."""
    KEYS = "keys"
    """No further key came in time."""
    NOTHING = "nothing"
    LONGEST = "longest"


class Listener:
    """Attached to a call, it listens until `done`. Its patience begins with `arm`: a prompt that is played before may be interrupted all the
    same. Seconds: `wait` for the first sign of life, `key_wait` for a further key, `hush` of silence after speech, `longest` in all."""

    def __init__(
        self,
        *,
        keys: bool = True,
        speech: bool = False,
        most_keys: int = 0,
        finish_on: str = "",
        wait: float = 5.0,
        key_wait: float | None = None,
        hush: float = 1.0,
        longest: float = 3600.0,
    ) -> None:
        self._keys, self._speech, self._most, self._finish_on = keys, speech, most_keys, finish_on
        self._wait, self._key_wait = wait, wait if key_wait is None else key_wait
        self._hush, self._longest = hush, longest
        self.digits = ""
        self.why = Heard.NOTHING
        self.done = asyncio.Event()
        self.began = asyncio.Event()
        """A key was pressed, or somebody spoke: a prompt is to stop."""
        self._is_armed = False
        self._frames = self._silent = 0
        self._has_spoken = False
        self._ear: object | None = None

    def arm(self) -> None:
        """The prompt is over: now it is waited."""
        self._is_armed, self._silent = True, 0

    def exchange(self, frame: "Samples") -> "Samples | None":
        """The next 20 ms; nothing is said meanwhile."""
        from voisnap_simulator.persona.ear import Ear  # noqa: PLC0415 - sound, when it is wanted

        ear = self._ear
        if not isinstance(ear, Ear):
            ear = self._ear = Ear()
        ear.hear(frame)
        self._frames += 1
        self._silent += 1
        if ear.is_talking:
            self._silent = 0
            if self._speech:
                self._has_spoken = True
                self.began.set()
        silent = self._silent / FRAMES_A_SECOND
        if self._frames / FRAMES_A_SECOND >= self._longest:
            self._end(Heard.LONGEST)
        elif self._has_spoken and silent >= self._hush:
            self._end(Heard.SPEECH)
        elif self.digits and silent >= self._key_wait:
            self._end(Heard.KEYS)
        elif self._is_armed and not self.digits and not self._has_spoken and silent >= self._wait:
            self._end(Heard.NOTHING)
        return None

    def key(self, digit: str) -> None:
        """A key was pressed."""
        if not self._keys or self.done.is_set():
            return
        self.began.set()
        self._silent = 0
        if digit in self._finish_on:
            self._end(Heard.KEY)
            return
        self.digits += digit
        if self._most and len(self.digits) >= self._most:
            self._end(Heard.FULL)

    def _end(self, why: Heard) -> None:
        if not self.done.is_set():
            self.why = why
            self.done.set()


def words_since(call: Call, number: int) -> str:
    """What the person at the telephone has said since an event of the call."""
    said = [str(one.detail.get("text", "")) for one in call.events[number:] if one.kind == "said"]
    return " ".join(text for text in said if text).strip()
