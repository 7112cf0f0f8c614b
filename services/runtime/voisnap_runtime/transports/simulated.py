"""A caller who is not there: says its lines in turn with the agent, in real time and into the same pipeline as anybody else, then hangs up.

It is a session's transport and its audience in one: what the agent does tells it when it is its turn, and every beat of the pacer carries
20 ms of its speech, or silence.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from voisnap_domain.agents import Voice
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import DomainError
from voisnap_domain.sessions import EndReason, Session, SessionPlan
from voisnap_kit import log
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.resample import resample
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.tts import TextToSpeech

from voisnap_runtime.pipeline import events
from voisnap_runtime.pipeline.events import AgentState, CallEvent

from .port import SINK_RATE, AudioSink, LinkQuality, TransportState

OPENING_SECONDS = 2.5
"""Silence after which it speaks first."""
PAUSE_SECONDS = 0.6
"""What it takes to answer an agent that has finished."""
PATIENCE_SECONDS = 12.0
"""How long it waits for an answer before it goes on."""
MOST_SECONDS = 240.0
"""How long it stays at most."""

FRAME = SINK_RATE // 50
_SILENCE = Pcm(np.zeros(FRAME, np.int16), SINK_RATE)

_log = log.get(__name__)


class Heard(AudioSink, Protocol):
    """The session it talks to."""

    def end(self, reason: EndReason, /) -> None:
        """Ask for the end."""
        ...


class Spoken:
    """A voice for a simulated caller: text as frames of 20 ms for a session's ear."""

    def __init__(self, tts: TextToSpeech, voice: Voice) -> None:
        self._tts = tts
        self._voice = voice

    async def frames(self, text: str) -> list[Pcm]:
        """The whole line. Raises ProviderError."""
        async with aclosing(self._tts.speak(text, self._voice)) as chunks:
            parts = [chunk.audio async for chunk in chunks]
        if not parts:
            return []
        samples = resample(Pcm.concat(parts), SINK_RATE).samples
        return [Pcm(_whole(samples[at : at + FRAME]), SINK_RATE) for at in range(0, len(samples), FRAME)]


class SimulatedCaller:
    """One simulated caller of one session, there from the start. Make it inside the running event loop.

    `voice` makes its lines audible; without one `write` sends them, as in a chat.
    """

    def __init__(
        self,
        session: Heard,
        lines: Sequence[str],
        *,
        voice: Spoken | None,
        write: Callable[[str], None] | None = None,
        opening: float = OPENING_SECONDS,
    ) -> None:
        self._session = session
        self._lines = tuple(lines)
        self._voice = voice
        self._write = write
        self._opening = opening
        self._loop = asyncio.get_running_loop()
        self._state = TransportState.CONNECTED
        self._next = 0
        self._agent_is_busy = False
        self._frames: list[Pcm] = []
        self._played = 0
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._made: dict[int, list[Pcm]] = {}
        self._is_due = False
        self._making: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The line is open: wait for the agent, or speak first."""
        self._limit = self._loop.call_later(MOST_SECONDS, self._hang_up, EndReason.USER_ENDED)
        self._wait(self._opening)
        if self._voice is not None:
            self._making = asyncio.create_task(self._make(self._voice), name="simulated caller")

    # The transport

    @property
    def state(self) -> TransportState:
        return self._state

    def quality(self) -> LinkQuality:
        """Nothing is lost on the way."""
        return LinkQuality(packets_received=self._sent)

    def send(self, audio: Pcm | None) -> None:
        """The agent's next 20 ms, which nobody hears; the caller's go the other way."""
        if self._state is not TransportState.CONNECTED:
            return
        self._sent += 1
        frame = _SILENCE
        if self._frames:
            frame = self._frames[self._played]
            self._played += 1
            if self._played == len(self._frames):
                self._finished_line()
        self._session.feed(frame, self._loop.time())

    async def close(self) -> None:
        """Hang up."""
        self._leave()
        making, self._making = self._making, None
        if making is not None:
            await asyncio.gather(making, return_exceptions=True)

    # The audience

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        """It knows already."""

    def told(self, event: CallEvent) -> None:
        """The agent is at it, or waits."""
        match event:
            case events.AgentStateChanged(state=AgentState.LISTENING):
                self._agent_is_busy = False
                self._answer()
            case events.AgentStateChanged():
                self._agent_is_busy = True
                self._stop_waiting()
            case events.TurnFinished(turn=turn) if turn.speaker is Speaker.AGENT:
                self._answer()
            case _:
                pass

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        """It needs no way to be reached."""

    def failed(self, code: str, message: str, *, recoverable: bool) -> None:
        """The session ends by itself."""

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        """The session is over."""
        self._leave()

    async def leave(self) -> None:
        """The session is over."""
        self._leave()

    async def come_back(self) -> None:
        """It lives and dies with its process."""
        self._leave()

    def give_way(self) -> None:
        """The session is somebody else's now."""
        self._leave()

    # Its part of the conversation

    def _answer(self) -> None:
        if not self._agent_is_busy and not self._frames:
            self._wait(PAUSE_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        if self._state is TransportState.CONNECTED:
            self._timer = self._loop.call_later(seconds, self._take_turn)

    def _stop_waiting(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_turn(self) -> None:
        self._stop_waiting()
        if self._next == len(self._lines):
            self._hang_up(EndReason.USER_ENDED)
        elif self._voice is None:
            self._write_line()
        elif self._next in self._made:
            self._frames, self._played = self._made.pop(self._next), 0
            if not self._frames:  # nothing of the line can be spoken
                self._finished_line()
        else:
            self._is_due = True

    def _write_line(self) -> None:
        line = self._lines[self._next]
        self._next += 1
        self._wait(PATIENCE_SECONDS)
        try:
            if self._write is not None:
                self._write(line)
        except DomainError as error:
            _log.info("rehearsal.line_refused", code=error.code)

    def _finished_line(self) -> None:
        self._frames = []
        self._next += 1
        if not self._agent_is_busy:
            self._wait(PATIENCE_SECONDS)

    def _hang_up(self, reason: EndReason) -> None:
        if self._state is TransportState.CONNECTED:
            self._session.end(reason)

    def _leave(self) -> None:
        self._state = TransportState.CLOSED
        self._stop_waiting()
        if self._limit is not None:
            self._limit.cancel()
        if self._making is not None:
            self._making.cancel()

    async def _make(self, voice: Spoken) -> None:
        """Have every line spoken, each while the one before is still being answered."""
        try:
            for index, line in enumerate(self._lines):
                self._made[index] = await voice.frames(line)
                if self._is_due and index == self._next:
                    self._take_turn()
        except ProviderError as error:
            _log.warning("rehearsal.caller_mute", error=repr(error))
            self._hang_up(EndReason.ERROR)


def _whole(samples: Samples) -> Samples:
    """A last frame as long as the others."""
    return samples if len(samples) == FRAME else np.pad(samples, (0, FRAME - len(samples)))
