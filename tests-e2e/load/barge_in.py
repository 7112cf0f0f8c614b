"""How soon the agent falls silent when the caller speaks over it, over WebRTC on loopback with the embedded models.

    .venv/bin/python tests-e2e/load/barge_in.py [--times 8]

aiortc's own client is the caller: the time runs from the first audible sample of the caller's words leaving the client's microphone to the last
audible sample of the agent in the audio the client received and decoded (its 80 ms of jitter buffer included). The agent's voice is a tone
without pauses, so that every interruption meets sound. The floor beside it is the sound that the voice detector alone needs to hear a voice in
the same words, whichever way its windows lie.
"""

import argparse
import asyncio
import fractions
import gc
import json
import os
import sys
from pathlib import Path

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from turn_latency import percentiles, plan_of, spoken
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import RATE as VAD_RATE
from voisnap_media.vad import WINDOW, VadModel, VadState
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.vendors.scripted.llm import ScriptedLlm
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.pipeline.ear import VadTicker
from voisnap_runtime.pipeline.events import AgentState, AgentStateChanged, CallEvent
from voisnap_runtime.transports.pacing import Pacer
from voisnap_runtime.transports.webrtc import WebRtcTransport
from voisnap_testkit.fakes_speech import FakeTts

RATE = 48_000
AUDIBLE = 300
HEARD = 0.5
STORY = "otherwise -> " + " ".join(["There was once a baker who baked bread on every single day of his long life."] * 6)
WORDS = (
    "Wait a moment.",
    "Stop, please.",
    "No, that is not what I asked.",
    "Actually, I have another question.",
    "Can you hold on?",
)


class Microphone(MediaStreamTrack):
    """Silence, and now and then words; `sounded_at` is when their first audible sample left."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.sounded_at: float | None = None
        self._left = np.zeros(0, np.int16)
        self._frame = 0
        self._start: float | None = None

    def say(self, samples: np.ndarray) -> None:
        """Say this from the next frame on."""
        self._left, self.sounded_at = samples, None

    async def recv(self) -> AudioFrame:
        """The next 20 ms, in real time."""
        loop = asyncio.get_running_loop()
        self._start = self._start if self._start is not None else loop.time()
        due = self._start + self._frame * 0.02
        await asyncio.sleep(max(0.0, due - loop.time()))
        samples = np.zeros(960, np.int16)
        size = min(960, len(self._left))
        samples[:size], self._left = self._left[:size], self._left[size:]
        audible = np.flatnonzero(np.abs(samples) > AUDIBLE)
        if self.sounded_at is None and len(audible):
            # A frame leaves when its last sample was recorded: its first one is up to 20 ms older.
            self.sounded_at = loop.time() - (960 - int(audible[0])) / RATE
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frame * 960, fractions.Fraction(1, RATE)
        self._frame += 1
        return frame


class Loudspeaker:
    """Notes when the caller heard the agent."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def play(self, track: MediaStreamTrack) -> None:
        """Listen to this track."""
        self._task = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                frame = await track.recv()
                audible = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > AUDIBLE)  # type: ignore[union-attr]
                if len(audible):
                    self.heard_at = loop.time()
        except MediaStreamError:
            return


async def measure(models: Path, times: int) -> dict[str, object]:
    """Interrupt the agent so many times."""
    registry = Registry(ProviderSettings(models_dir=models))
    await registry.warm(("stt", "tts"))
    model = VadModel.load(models / "silero-vad" / "silero_vad.onnx")
    vad = VadTicker(model)
    gc.collect()
    gc.freeze()
    plan = plan_of(500)
    words = [
        resample(await spoken(registry.tts("local"), plan.agent.config.voice, text), RATE).samples for text in WORDS
    ]
    speaking, silent = asyncio.Event(), asyncio.Event()

    def note(event: CallEvent) -> None:
        if isinstance(event, AgentStateChanged):
            (speaking if event.state is AgentState.SPEAKING else silent).set()
            (silent if event.state is AgentState.SPEAKING else speaking).clear()

    call = Call(
        plan,
        stt=registry.stt("local"),
        tts=FakeTts(),
        llm=ScriptedLlm({plan.agent.config.llm.model: STORY}),
        vad=vad,
        recorder=None,
        notify=note,
    )
    transport = WebRtcTransport((), sink=call, on_state=lambda state: None, on_local_candidate=lambda candidate: None)
    pacer, microphone, loudspeaker = Pacer(), Microphone(), Loudspeaker()
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTrack(microphone)
    client.on("track", loudspeaker.play)
    await client.setLocalDescription(await client.createOffer())
    answer = await transport.answer(client.localDescription.sdp)
    await client.setRemoteDescription(RTCSessionDescription(*answer))
    run = asyncio.create_task(call.run())
    pacer.on_tick(vad.tick)
    pacer.add(call, transport)
    pacer.start()
    await asyncio.sleep(1.5)
    microphone.say(words[0])
    results: list[float] = []
    loop = asyncio.get_running_loop()
    for number in range(times):
        await asyncio.wait_for(speaking.wait(), 20)
        await asyncio.sleep(1.2 + 0.037 * number)
        microphone.say(words[number % len(words)])
        await asyncio.wait_for(silent.wait(), 20)
        await asyncio.sleep(0.3)
        began = microphone.sounded_at or loop.time()
        results.append((loudspeaker.heard_at - began) * 1000)
        print(f"  {WORDS[number % len(words)]:40} {results[-1]:6.0f} ms", file=sys.stderr)
    call.end(EndReason.USER_ENDED)
    await run
    pacer.stop()
    await transport.close()
    await client.close()
    await registry.aclose()
    floor = percentiles(
        [onset for word in words for onset in onsets(model, resample(Pcm(word, RATE), VAD_RATE).samples)]
    )
    return {
        "interruptions": times,
        "silent_after_ms": percentiles(results),
        "floor_ms": floor,
        "multiple_of_floor": round(percentiles(results)["p50"] / floor["p50"], 2),
    }


def onsets(model: VadModel, samples: np.ndarray) -> list[float]:
    """Milliseconds from the first audible sample to the end of the first window with voice, for windows that lie in eight ways."""
    found = []
    first = int(np.flatnonzero(np.abs(samples) > AUDIBLE)[0])
    for shift in range(0, WINDOW, WINDOW // 8):
        stream = np.concatenate([np.zeros(VAD_RATE + shift), samples, np.zeros(WINDOW)]).astype(
            np.float32
        ) / np.float32(32768)
        state = VadState()
        for start in range(0, len(stream) - WINDOW, WINDOW):
            if model.probabilities(stream[None, start : start + WINDOW], [state])[0] >= HEARD:
                found.append((start + WINDOW - VAD_RATE - shift - first) * 1000 / VAD_RATE)
                break
    return found


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=8)
    default = os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models"
    parser.add_argument("--models", type=Path, default=default)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(Path(arguments.models), arguments.times))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
