"""Screens who answered an outbound call before the conversation begins, and leaves the message on an answering machine.

Carries out what `voisnap_domain.voicemail` decides. While it listens, the turn machine has not begun: nobody's greeting is answered.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, assert_never

import numpy as np
import structlog
from numpy.typing import NDArray
from voisnap_domain.agents import VoicemailDetection
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.turntaking import SpeechContinued, SpeechEnded, SpeechStarted, TimePassed, TurnInput, WordsHeard
from voisnap_domain.voicemail import (
    Answerer,
    AskWords,
    CallAnswered,
    CarrierSays,
    Converse,
    FallSilent,
    HangUp,
    Introduce,
    LeaveMessage,
    LineSignal,
    Overheard,
    Phase,
    PressKey,
    ScreenCommand,
    ScreenInput,
    ScreenState,
    SignalHeard,
    deadline,
    step,
)
from voisnap_media.tones import LineTones, ToneDetector
from voisnap_providers.ports.stt import Transcript

EARLY_MS = 1.0
"""A timer may fire this much before its moment."""

log = structlog.get_logger()


class Answering(Protocol):
    """What the screen has done by the call."""

    def ask_words(self) -> None:
        """Ask the recogniser for its words."""
        ...

    def converse(self, text: str) -> None:
        """Hold the conversation with somebody who has said `text`: from its beginning, or behind a call screening."""
        ...

    def introduce(self, text: str, *, again: bool) -> None:
        """Say who calls, for whom and why, to a call screening that said `text`, and wait for whoever comes."""
        ...

    def overhear(self, text: str) -> None:
        """Put on record what a call screening said beside."""
        ...

    def press(self, key: str, text: str) -> None:
        """Press a key of the telephone, for whoever said `text`, and wait for whoever comes."""
        ...

    def fall_silent(self) -> None:
        """Stop speaking."""
        ...

    def leave_message(self, text: str) -> None:
        """Speak the message to the machine that said `text`, and hang up."""
        ...

    def hang_up(self, text: str, *, machine: bool) -> None:
        """Hang up on whoever said `text`."""
        ...


class VoicemailScreen:
    """One outbound call's screen. `now_ms` and `loop_time` translate between call audio and the loop's clock."""

    def __init__(
        self,
        settings: VoicemailDetection,
        call: Answering,
        *,
        now_ms: Callable[[], float],
        loop_time: Callable[[float], float],
    ) -> None:
        self._settings = settings
        self._call = call
        self._now_ms = now_ms
        self._loop_time = loop_time
        self._state = ScreenState()
        self._tones = ToneDetector()
        self._line = LineTones()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds_back(self) -> bool:
        """Whether the conversation must not hear what is said: it has not begun, or talks to a machine."""
        return self._state.phase in {Phase.LISTENING, Phase.SCREENED, Phase.WAITING}

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to find out."""
        return self._state.phase is Phase.OVER

    def begin(self) -> None:
        """The line is open."""
        self._take(CallAnswered(self._now_ms()))

    def voice(self, happened: TurnInput) -> bool:
        """Take a voice event; whether it is nobody else's business."""
        mine = self.holds_back
        if mine and isinstance(happened, SpeechStarted | SpeechContinued | SpeechEnded):
            self._take(happened)
        return mine

    def words(self, transcript: Transcript) -> bool:
        """Take recognised words; whether they are nobody else's business."""
        mine = self.holds_back
        if not self.is_over:
            self._take(WordsHeard(self._now_ms(), transcript.text, transcript.is_final, transcript.confidence))
        return mine or self.holds_back

    def told(self, answered_by: AnsweredBy) -> None:
        """The carrier says who answered."""
        if not self.is_over:
            self._take(CarrierSays(self._now_ms(), answered_by))

    def window(self, samples: NDArray[np.float32], end_ms: float) -> None:
        """Listen for tones in the next 32 ms of the line."""
        if tone := self._tones.take(samples, end_ms):
            self._line.take(tone)
        if not self._tones.sounds and (signal := self._line.now(end_ms)):
            self._take(SignalHeard(max(end_ms, self._state.now_ms), LineSignal(signal.value)))

    def stop(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, happened: ScreenInput) -> None:
        before = self._state.phase
        done = step(self._settings, self._state, happened)
        self._state = done.state
        if done.state.phase is not before:
            log.info("answerer.screened", phase=done.state.phase.value)
        for command in done.commands:
            self._do(command)
        self._arm()

    def _do(self, command: ScreenCommand) -> None:
        match command:
            case AskWords():
                self._call.ask_words()
            case Converse():
                log.info("answerer.found", answerer=command.answerer.value)
                self._call.converse(command.text)
            case Introduce():
                log.info("answerer.found", answerer=Answerer.SCREENING.value)
                self._call.introduce(command.text, again=command.again)
            case Overheard():
                self._call.overhear(command.text)
            case PressKey():
                log.info("answerer.wants_key", key=command.key)
                self._call.press(command.key, command.text)
            case FallSilent():
                self._call.fall_silent()
            case LeaveMessage():
                log.info("answerer.found", answerer=Answerer.MACHINE.value)
                self._call.leave_message(command.text)
            case HangUp():
                log.info("answerer.found", answerer=command.answerer.value)
                self._call.hang_up(command.text, machine=command.answerer is Answerer.MACHINE)
            case _:
                assert_never(command)

    def _arm(self) -> None:
        self.stop()
        due = deadline(self._state)
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(self._loop_time(due), self._wake, due)

    def _wake(self, due: float) -> None:
        self._timer = None
        now = self._now_ms()
        if now < due - EARLY_MS:
            self._arm()
        else:
            self._take(TimePassed(max(now, due)))
