"""Runs the turn machine of the domain in the event loop's time: feeds it, wakes it at its deadline, hands out its commands."""

import asyncio
from collections import deque
from collections.abc import Callable

from voisnap_domain.turntaking import (
    Floor,
    SpeechContinued,
    TimePassed,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    deadline,
    step,
)

EARLY_MS = 1.0
"""A timer may fire this much before its moment."""


class TurnDriver:
    """`now_ms` and `loop_time` translate between call audio and the loop's clock.

    `moved(before, after, happened)` is told first, then `command` gets each command. Both are synchronous; inputs they cause are taken
    afterwards, in order.
    """

    def __init__(
        self,
        rules: TurnRules,
        *,
        now_ms: Callable[[], float],
        loop_time: Callable[[float], float],
        moved: Callable[[TurnState, TurnState, TurnInput], None],
        command: Callable[[TurnCommand], None],
    ) -> None:
        self.rules = rules
        self.state = TurnState()
        self._now_ms = now_ms
        self._loop_time = loop_time
        self._moved = moved
        self._command = command
        self._waiting: deque[TurnInput] = deque()
        self._continued: SpeechContinued | None = None
        self._busy = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def happen(self, happened: TurnInput) -> None:
        """Take an input and do everything it leads to."""
        if self._stopped:
            return
        if type(happened) is SpeechContinued and not self._busy and self._changes_nothing():
            self._continued = happened
            return
        if self._continued is not None:
            self._waiting.append(self._continued)
            self._continued = None
        self._waiting.append(happened)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting and not self._stopped:
                self._take(self._waiting.popleft())
        finally:
            self._busy = False
        self._arm()

    def stop(self) -> None:
        """Take no more inputs and free the timer."""
        self._stopped = True
        self._waiting.clear()
        self._continued = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changes_nothing(self) -> bool:
        """Whether more of the caller's voice only makes his burst longer: he has the floor, and no draft is dropped for it. Then the last word
        of it is taken when something else happens."""
        state = self.state
        return state.caller_speaks and state.floor is Floor.LISTENING and not state.drafted

    def _take(self, happened: TurnInput) -> None:
        before = self.state
        done = step(self.rules, before, happened)
        self.state = done.state
        self._moved(before, done.state, happened)
        for command in done.commands:
            self._command(command)

    def _arm(self) -> None:
        if self._stopped:
            return
        due = deadline(self.rules, self.state)
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(self._loop_time(due), self._wake, due)

    def _wake(self, due: float) -> None:
        self._timer = None
        now = self._now_ms()
        if now < due - EARLY_MS:
            self._arm()
            return
        self.happen(TimePassed(max(now, due)))
