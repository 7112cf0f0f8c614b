"""A call on a simulated line: 20-ms packets in, 20-ms frames out, voice detection by loudness, everything in the loop's (virtual) time."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    FirstMessageMode,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.ids import AgentId, ConversationId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_media.pcm import Pcm
from voisnap_media.vad import VadState
from voisnap_providers.inference import Priority
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.pipeline.ear import VadTicker, VoiceModel
from voisnap_runtime.pipeline.events import AgentStateChanged, CallEvent, TurnFinished
from voisnap_testkit.fakes_speech import FakeStt, FakeTts, ScriptedLlm, spoken

MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models")
PROMPT = """
when: hours -> We are open from nine to five.
when: long story -> Once upon a time there was a baker. He baked bread every single day of his life.
when: address -> Our address is twelve Main Street.
when: leave -> Goodbye then! [end]
otherwise -> I see what you mean.
"""


class LoudnessVad:
    """A voice detector that takes every loud window for voice."""

    def probabilities(self, windows: np.ndarray, states: Sequence[VadState]) -> np.ndarray:
        """1 for a window louder than about -40 dBFS."""
        return (np.sqrt((windows**2).mean(axis=1)) > 0.01).astype(np.float32)


def plan_of(config: AgentConfig, **changes: Any) -> SessionPlan:
    """A session with an agent of this configuration."""
    plan = SessionPlan(
        session_id=SessionId("wrtc_1"),
        conversation_id=ConversationId("conv_1"),
        tenant_id=TenantId("ten_1"),
        environment=Environment.LIVE,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=config),
        created_at=datetime(2026, 11, 21, 5, 0, tzinfo=UTC),
    )
    return msgspec.structs.replace(plan, **changes)


def config_of(**changes: Any) -> AgentConfig:
    """An agent that waits for its caller and answers by script."""
    config = AgentConfig(
        name="Aria",
        persona=Persona(name="Aria"),
        voice=Voice(provider=VoiceProvider.LOCAL, voice_id="tone"),
        llm=Llm(provider=LlmProvider.SCRIPTED, model="prompt"),
        transcription=Transcription(provider=TranscriptionProvider.LOCAL),
        system_prompt_template=PROMPT,
        first_message="Hello, how can I help?",
        first_message_mode=FirstMessageMode.WAIT_FOR_USER,
    )
    return msgspec.structs.replace(config, **changes)


class InlinePool:
    """An inference pool that computes at once, which takes no virtual time: real models in conversations that last milliseconds."""

    is_busy = False

    def submit(self, work: Callable[[], Any], priority: Priority) -> "InlineJob":
        """Compute now; the result comes with the loop's next turn."""
        job = InlineJob()
        result = work()
        asyncio.get_running_loop().call_soon(job.settle, result)
        return job

    async def run(self, work: Callable[[], Any], priority: Priority) -> Any:
        """Compute now."""
        return await self.submit(work, priority).future

    async def aclose(self) -> None:
        """Nothing to free."""


class InlineJob:
    """A computation that is done."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, result: Any) -> None:
        """Tell the result, if anybody still wants it."""
        if not self.future.done():
            self.future.set_result(result)

    def cancel(self) -> None:
        """Forget the result."""
        self.future.cancel()


class Line:
    """A caller on the line. `frames` are what the caller received, one entry each 20 ms."""

    def __init__(self, make: Callable[[Callable[[CallEvent], None], VadTicker], Call], voice_model: VoiceModel) -> None:
        self.events: list[CallEvent] = []
        self.event_times: list[float] = []
        self.frames: list[Pcm | None] = []
        self.packets_come = True
        self.vad = VadTicker(voice_model)
        self.call = make(self._note, self.vad)
        self.reason: EndReason | None = None
        self._loop = asyncio.get_running_loop()
        self._to_say: list[np.ndarray] = []
        self._run: asyncio.Task[EndReason] | None = None
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None

    def _note(self, event: CallEvent) -> None:
        self.events.append(event)
        self.event_times.append(self.now)

    @property
    def now(self) -> float:
        """Seconds since the caller was connected."""
        return self._loop.time() - self._start

    _start = 0.0

    async def connect(self) -> None:
        """Begin the call."""
        self._start = self._loop.time()
        self._run = asyncio.create_task(self.call.run())
        self._timer = self._loop.call_at(self._start, self._beat)
        await asyncio.sleep(0)

    def says(self, text: str, *, ms_per_char: float = 60) -> float:
        """The caller says something from now on; returns how long it takes in seconds."""
        return self.sounds(spoken(text, ms_per_char=ms_per_char))

    def sounds(self, audio: Pcm) -> float:
        """The caller makes a sound from now on."""
        self._to_say.append(audio.samples)
        return audio.seconds

    async def wait(self, seconds: float) -> None:
        """Let time pass on the line."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], *, within: float = 60.0) -> float:
        """Let time pass until something is so; returns the moment. Fails after `within` seconds."""
        limit = self._loop.time() + within
        while not condition():
            assert self._loop.time() < limit, f"not so within {within} s: {self.events[-5:]}"
            await asyncio.sleep(0.005)
        return self.now

    async def until_turns(self, count: int) -> None:
        """Wait for so many turns on record."""
        await self.until(lambda: len(self.turns) >= count)

    async def until_state(self, state: str) -> float:
        """Wait until the agent is doing this."""
        return await self.until(lambda: self.state == state)

    async def ended(self, *, within: float = 700.0) -> EndReason:
        """Wait for the call's end."""
        assert self._run is not None
        async with asyncio.timeout(within):
            reason = await self._run
        self._stop()
        return reason

    async def hang_up(self) -> EndReason:
        """The caller hangs up."""
        self.call.end(EndReason.USER_ENDED)
        return await self.ended()

    async def close(self) -> None:
        """Tear down whatever is left."""
        self._stop()
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    @property
    def turns(self) -> list[Turn]:
        """Turns on record."""
        return [event.turn for event in self.events if isinstance(event, TurnFinished)]

    @property
    def spoken_turns(self) -> list[tuple[Speaker, str]]:
        """Who said what."""
        return [(turn.speaker, turn.text) for turn in self.turns]

    @property
    def state(self) -> str:
        """What the agent does now."""
        states = [event.state.value for event in self.events if isinstance(event, AgentStateChanged)]
        return states[-1] if states else "listening"

    def of(self, kind: type) -> list[Any]:
        """Events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def received(self) -> np.ndarray:
        """All the caller received, silence where nothing came."""
        silence = np.zeros(480, np.int16)
        return np.concatenate([silence if frame is None else frame.samples for frame in self.frames] or [silence])

    def _beat(self) -> None:
        now = self._loop.time()
        self._beats += 1
        self._timer = self._loop.call_at(self._start + self._beats * 0.01, self._beat)
        if self._beats % 2:
            if self.packets_come:
                self.call.feed(Pcm(self._next_packet(), 16000), now)
            self.frames.append(self.call.pull())
        self.vad.tick(now)

    def _next_packet(self) -> np.ndarray:
        packet = np.zeros(320, np.int16)
        filled = 0
        while filled < 320 and self._to_say:
            piece = self._to_say[0][: 320 - filled]
            packet[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._to_say[0] = self._to_say[0][len(piece) :]
            if not len(self._to_say[0]):
                self._to_say.pop(0)
        return packet

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


@pytest.fixture(scope="session")
def inline_registry() -> Registry:
    """The embedded models, loaded once, computing within virtual time."""
    registry = Registry(ProviderSettings(models_dir=MODELS, threads=1))
    registry.pool = InlinePool()  # type: ignore[assignment]
    return registry


@pytest.fixture
async def lines():
    """`await lines(config, stt=…, tts=…, llm=…)`: a connected line, unless `connected=False`; torn down afterwards."""
    made: list[Line] = []

    async def connect(config: AgentConfig | None = None, **parts: Any) -> Line:
        plan = parts.pop("plan", None) or plan_of(config or config_of())
        voice_model = parts.pop("voice_model", None) or LoudnessVad()
        connected = parts.pop("connected", True)
        parts = {
            "stt": FakeStt(delay_ms=30),
            "tts": FakeTts(delay_ms=40),
            "llm": ScriptedLlm(),
            "recorder": None,
        } | parts
        line = Line(lambda notify, vad: Call(plan, vad=vad, notify=notify, **parts), voice_model)
        made.append(line)
        if connected:
            await line.connect()
        return line

    yield connect
    for line in made:
        await line.close()


@pytest.fixture
def agent() -> Callable[..., AgentConfig]:
    """`agent(first_message=…)`: a configuration with these changes."""
    return config_of
