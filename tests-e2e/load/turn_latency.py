"""Answer latency of one call with the embedded speech models, in real time, without network.

    .venv/bin/python tests-e2e/load/turn_latency.py [--turns 12] [--silence-ms 700] [--json]

A caller (the embedded voice, resampled to 16 kHz) asks one question after the other; the time from the true end of each question to the first
sound of the answer is measured in the audio itself, beside what the platform says of it. Prints percentiles, the platform's own share, the
longest stall of the event loop, and the whole as a multiple of its floor: the silence that has to pass before anybody may answer.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    Endpointing,
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
from voisnap_media.resample import resample
from voisnap_media.vad import VadModel
from voisnap_providers.ports.tts import TextToSpeech
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.pipeline.ear import VadTicker
from voisnap_runtime.pipeline.events import CallEvent, TurnFinished
from voisnap_runtime.transports.pacing import Pacer
from voisnap_runtime.transports.port import TransportState

PROMPT = """You are Aria, the friendly assistant of Bright Smile Dental.
We are open Monday to Friday from 8 am to 6 pm and on Saturday from 9 am to 1 pm.
Our address is 12 Main Street, Springfield.
A regular check-up costs 80 dollars and takes 30 minutes.
Parking is free behind the building.
We accept most insurance plans, including Delta Dental and Cigna.
Cancellations are free until 24 hours before the appointment.
"""

QUESTIONS = (
    "What are your opening hours?",
    "Where are you located?",
    "How much does a check-up cost?",
    "Is there parking at your office?",
    "Which insurance plans do you accept?",
    "Can I cancel my appointment?",
)


class Received:
    """A transport that only notes when the agent was heard."""

    state = TransportState.CONNECTED

    def __init__(self) -> None:
        self.sounded: list[float] = []

    def send(self, audio: Pcm | None) -> None:
        """Note the moment of a frame that is not silent."""
        if audio is not None and np.abs(audio.samples).max() > 200:
            self.sounded.append(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Nothing to close."""


class Microphone:
    """Feeds a call 20 ms at a time; `speech_ended` is when the last loud sample of what was said had arrived."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._left = np.zeros(0, np.int16)
        self._fed = 0
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self.speech_ended = 0.0
        self._loud_until = 0

    def say(self, audio: Pcm) -> None:
        """Say this from the next frame on."""
        self._left = audio.samples
        self._loud_until = int(np.flatnonzero(np.abs(audio.samples) > 300)[-1])

    def tick(self, now: float) -> None:
        """Feed what is due by the clock."""
        while self._fed * 0.02 <= now - self._start:
            frame = np.zeros(320, np.int16)
            size = min(320, len(self._left))
            frame[:size], self._left = self._left[:size], self._left[size:]
            if size and self._loud_until >= 0:
                if self._loud_until < size:
                    self.speech_ended = now - (320 - self._loud_until) / 16000
                self._loud_until -= size
            self._call.feed(Pcm(frame, 16000), now)
            self._fed += 1


async def measure(models: Path, turns: int, silence_ms: int) -> dict[str, object]:
    """Run the call and gather the figures."""
    registry = Registry(ProviderSettings(models_dir=models))
    await registry.warm(("stt", "tts", "llm"))
    gc.collect()
    gc.freeze()  # as the runtime does
    vad = VadTicker(VadModel.load(models / "silero-vad" / "silero_vad.onnx"))
    plan = plan_of(silence_ms)
    questions = [await spoken(registry.tts("local"), plan.agent.config.voice, text) for text in QUESTIONS]
    finished: asyncio.Queue[Turn] = asyncio.Queue()

    def note(event: CallEvent) -> None:
        if isinstance(event, TurnFinished):
            finished.put_nowait(event.turn)

    call = Call(
        plan,
        stt=registry.stt("local"),
        tts=registry.tts("local"),
        llm=registry.llm("local"),
        vad=vad,
        recorder=None,
        notify=note,
    )
    pacer, received = Pacer(), Received()
    stalls = LoopStalls()
    run = asyncio.create_task(call.run())
    await asyncio.sleep(0)
    microphone = Microphone(call)
    pacer.on_tick(microphone.tick)
    pacer.on_tick(vad.tick)
    pacer.add(call, received)
    pacer.start()
    await asyncio.sleep(1.0)
    stalls.start()
    results: list[tuple[float, Turn]] = []
    for number in range(turns):
        microphone.say(questions[number % len(questions)])
        while True:
            turn = await asyncio.wait_for(finished.get(), 60)
            print(f"  {turn.speaker.value:5} {turn.text}", file=sys.stderr)
            if turn.speaker is Speaker.AGENT:
                break
        first_sound = min((at for at in received.sounded if at > microphone.speech_ended), default=float("nan"))
        results.append(((first_sound - microphone.speech_ended) * 1000, turn))
        await asyncio.sleep(0.7)
    stalls.stop()
    call.end(EndReason.USER_ENDED)
    await run
    pacer.stop()
    await registry.aclose()
    return figures(results, silence_ms, stalls.longest_ms)


def figures(results: list[tuple[float, Turn]], silence_ms: int, stall_ms: float) -> dict[str, object]:
    """Percentiles of what was measured."""
    latencies = [turn.latency for _, turn in results if turn.latency is not None]
    return {
        "turns": len(results),
        "silence_ms": silence_ms,
        "answer_as_multiple_of_silence": round(
            percentiles([measured for measured, _ in results])["p50"] / silence_ms, 3
        ),
        "answer_minus_silence_ms": percentiles([measured - silence_ms for measured, _ in results]),
        "platform_ms": percentiles([latency.platform_ms for latency in latencies]),
        "stt_ms": percentiles([latency.stt_ms for latency in latencies]),
        "llm_ms": percentiles([latency.llm_ms for latency in latencies]),
        "tts_ms": percentiles([latency.tts_ms for latency in latencies]),
        "told_minus_measured_ms": percentiles(
            [turn.latency.total_ms - measured for measured, turn in results if turn.latency is not None]
        ),
        "loop_stall_max_ms": round(stall_ms, 1),
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and the largest."""
    ordered = sorted(values) or [float("nan")]
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
        "max": round(ordered[-1], 1),
    }


class LoopStalls:
    """The longest time the event loop was late for a 5-ms timer."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._wake(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self.longest_ms = max(self.longest_ms, (loop.time() - due) * 1000)
        due = loop.time() + 0.005
        self._timer = loop.call_at(due, self._wake, due)


async def spoken(tts: TextToSpeech, voice: Voice, text: str) -> Pcm:
    """A question as the caller says it, at 16 kHz, with the silence of a microphone around it."""
    chunks = [chunk.audio async for chunk in tts.speak(text, voice)]
    return Pcm.concat([resample(Pcm.concat(chunks), 16000), Pcm.silence(16000, 200)])


def plan_of(silence_ms: int) -> SessionPlan:
    """A session with the demo dentist."""
    config = AgentConfig(
        name="Aria",
        persona=Persona(name="Aria"),
        voice=Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
        llm=Llm(provider=LlmProvider.LOCAL, model="local"),
        transcription=Transcription(provider=TranscriptionProvider.LOCAL),
        system_prompt_template=PROMPT,
        first_message_mode=FirstMessageMode.WAIT_FOR_USER,
        endpointing=Endpointing(silence_duration_ms=silence_ms),
    )
    return SessionPlan(
        session_id=SessionId("wrtc_load"),
        conversation_id=ConversationId("conv_load"),
        tenant_id=TenantId("ten_load"),
        environment=Environment.SANDBOX,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_load"), version=1, config=config),
        created_at=datetime.now(UTC),
    )


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--silence-ms", type=int, default=700)
    parser.add_argument("--json", action="store_true")
    default = os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models"
    parser.add_argument("--models", type=Path, default=default)
    arguments = parser.parse_args()
    result = asyncio.run(measure(Path(arguments.models), arguments.turns, arguments.silence_ms))
    print(json.dumps(result) if arguments.json else msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
