"""A simulated caller on its own, in virtual time: when it speaks, what arrives at the session's ear, when it hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_runtime.pipeline.events import AgentState, AgentStateChanged, TurnFinished
from voisnap_runtime.transports.simulated import (
    MOST_SECONDS,
    OPENING_SECONDS,
    PATIENCE_SECONDS,
    PAUSE_SECONDS,
    SimulatedCaller,
    Spoken,
)
from voisnap_testkit.fakes_speech import FakeTts

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

VOICE = Voice(provider=VoiceProvider.LOCAL, voice_id="tone")


class Ear:
    """A session that notes what it hears, and beats as the pacer does."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.frames: list[tuple[float, Pcm]] = []
        self.reason: EndReason | None = None

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        self.frames.append((round(arrived_at, 2), audio))

    def dtmf(self, digit: str) -> None:
        raise AssertionError("it presses no keys")

    def end(self, reason: EndReason) -> None:
        self.reason = self.reason or reason

    @property
    def spells(self) -> list[tuple[float, float]]:
        """From when to when it heard something."""
        loud = [at for at, audio in self.frames if np.abs(audio.samples).max() > 500]
        found: list[tuple[float, float]] = []
        for at in loud:
            if found and at - found[-1][1] < 0.1:
                found[-1] = (found[-1][0], at)
            else:
                found.append((at, at))
        return found


class WordsOnly(FakeTts):
    """A voice that has nothing to say for signs alone, as real ones."""

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        if any(sign.isalnum() for sign in text):
            async for chunk in super().speak(text, voice):
                yield chunk


@pytest.fixture
def line():
    """`line(lines)`: a caller whose session beats every 20 ms."""
    made: list[tuple[SimulatedCaller, asyncio.Task[None]]] = []

    def connect(
        *lines: str, tts: Any = None, write: Callable[[str], None] | None = None
    ) -> tuple[SimulatedCaller, Ear]:
        ear = Ear()
        voice = None if write else Spoken(tts or FakeTts(delay_ms=40), VOICE)
        caller = SimulatedCaller(ear, lines, voice=voice, write=write)

        async def beat() -> None:
            while ear.reason is None:
                caller.send(None)
                await asyncio.sleep(0.02)

        made.append((caller, asyncio.create_task(beat())))
        caller.begin()
        return caller, ear

    return connect


def agent(caller: SimulatedCaller, state: AgentState) -> None:
    caller.told(AgentStateChanged(state=state))


async def test_it_speaks_first_when_nobody_else_does(line):
    caller, ear = line("Hello there.")
    await asyncio.sleep(OPENING_SECONDS + 2)
    assert [round(begun, 1) for begun, _ in ear.spells] == [OPENING_SECONDS]
    assert {audio.rate for _, audio in ear.frames} == {16000}
    assert {len(audio) for _, audio in ear.frames} == {320}
    await caller.close()


async def test_it_takes_its_turn_when_the_agent_has_finished_and_hangs_up_after_the_last_answer(line):
    caller, ear = line("First.", "Second.")
    for _ in range(2):
        agent(caller, AgentState.SPEAKING)
        await asyncio.sleep(5)
        agent(caller, AgentState.LISTENING)
        await asyncio.sleep(2)
        agent(caller, AgentState.THINKING)
        await asyncio.sleep(1)
    agent(caller, AgentState.SPEAKING)
    await asyncio.sleep(5)
    assert ear.reason is None
    agent(caller, AgentState.LISTENING)
    await asyncio.sleep(PAUSE_SECONDS + 0.1)
    assert ear.reason is EndReason.USER_ENDED
    assert [round(begun, 1) for begun, _ in ear.spells] == [5 + PAUSE_SECONDS, 8 + 5 + PAUSE_SECONDS]
    await caller.close()


async def test_it_does_not_talk_into_an_agent_that_goes_on(line):
    caller, ear = line("First.")
    agent(caller, AgentState.LISTENING)
    await asyncio.sleep(PAUSE_SECONDS - 0.1)
    agent(caller, AgentState.SPEAKING)
    filler = Turn(sequence=1, speaker=Speaker.AGENT, text="One moment.", start_time=0, end_time=1, confidence=1)
    caller.told(TurnFinished(turn=filler))
    await asyncio.sleep(60)
    assert ear.spells == []
    await caller.close()


async def test_it_goes_on_when_no_answer_comes(line):
    caller, ear = line("First.", "Second.")
    await asyncio.sleep(OPENING_SECONDS + 2 * (PATIENCE_SECONDS + 2))
    assert len(ear.spells) == 2
    assert ear.spells[1][0] - ear.spells[0][1] == pytest.approx(PATIENCE_SECONDS, abs=0.2)
    await asyncio.sleep(PATIENCE_SECONDS)
    assert ear.reason is EndReason.USER_ENDED
    await caller.close()


async def test_it_stays_no_longer_than_it_may(line):
    caller, ear = line("First.")
    agent(caller, AgentState.SPEAKING)
    await asyncio.sleep(MOST_SECONDS + 1)
    assert ear.reason is EndReason.USER_ENDED
    await caller.close()


async def test_a_caller_without_a_voice_ends_the_session(line):
    caller, ear = line("First.", tts=FakeTts(error=ProviderError("away", provider="test", kind="tts", retryable=False)))
    await asyncio.sleep(1)
    assert ear.reason is EndReason.ERROR
    await caller.close()


async def test_lines_that_can_not_be_spoken_are_passed_over(line):
    caller, ear = line("…", "Second.", tts=WordsOnly())
    await asyncio.sleep(OPENING_SECONDS + PATIENCE_SECONDS + 2)
    assert len(ear.spells) == 1
    await caller.close()


async def test_in_a_chat_it_writes(line):
    written: list[str] = []
    caller, ear = line("First.", "Second.", write=written.append)
    turn = Turn(sequence=1, speaker=Speaker.AGENT, text="Hi.", start_time=0, end_time=0, confidence=1)
    caller.told(TurnFinished(turn=turn))
    await asyncio.sleep(PAUSE_SECONDS + 0.1)
    assert written == ["First."]
    agent(caller, AgentState.THINKING)
    agent(caller, AgentState.LISTENING)
    await asyncio.sleep(PAUSE_SECONDS + 0.1)
    assert written == ["First.", "Second."]
    agent(caller, AgentState.LISTENING)
    await asyncio.sleep(PAUSE_SECONDS + 0.1)
    assert ear.reason is EndReason.USER_ENDED
    assert ear.spells == []
    await caller.close()


async def test_closing_leaves_nothing_behind(line):
    caller, ear = line("First.")
    await caller.close()
    heard = len(ear.frames)
    await asyncio.sleep(OPENING_SECONDS + PATIENCE_SECONDS)
    assert (caller.state.value, ear.reason, len(ear.frames)) == ("closed", None, heard)
