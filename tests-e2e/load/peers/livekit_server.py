# pyright: reportMissingImports=false
"""LiveKit Agents 1.8 with the equivalent pipeline, in its own environment: `python livekit_server.py PORT SILENCE_SECONDS`.

Its `AgentSession` alone, without LiveKit's server and rooms: audio comes and goes as raw 16-bit frames over a WebSocket at `/ws`, 16 kHz in and
24 kHz out, and the text "clear" when playing is to stop. Its own voice detector (Silero); a turn ends after silence alone; 0.2 s of voice
interrupt (it comes with 0.5); speech to text, language model and speech take no time. Everything else is as it comes.
"""

import asyncio
import logging
import sys
import time
from collections import deque
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, Agent, AgentSession, inference, llm, stt, tts
from livekit.agents.voice import io

RATE_IN, RATE_OUT = 16000, 24000
FRAME_IN, FRAME_OUT = RATE_IN // 20, RATE_OUT // 50
INTERRUPT_SECONDS = 0.2
HEARD = "What about a cleaning next week?"
REPLY = "Thank you, I have written that down for you now."
CHAR_SECONDS = 0.06
TONE = np.rint(
    6000 * np.sin(2 * np.pi * 220 * np.arange(round(len(REPLY) * CHAR_SECONDS * RATE_OUT)) / RATE_OUT)
).astype("<i2")


class InstantStt(stt.STT):
    """The final result as soon as the voice detector hears silence: the session flushes then."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False, manual_flush=True))

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        return _heard()

    def stream(self, *, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> "InstantSttStream":
        return InstantSttStream(stt=self, conn_options=conn_options)


class InstantSttStream(stt.RecognizeStream):
    async def _run(self) -> None:
        async for data in self._input_ch:
            if isinstance(data, self._FlushSentinel):
                self._event_ch.send_nowait(_heard())


def _heard() -> stt.SpeechEvent:
    return stt.SpeechEvent(
        type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[stt.SpeechData(language="en", text=HEARD)]
    )


class InstantLlm(llm.LLM):
    """The whole reply at once."""

    def chat(self, *, chat_ctx, tools=None, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> "InstantLlmStream":
        return InstantLlmStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class InstantLlmStream(llm.LLMStream):
    async def _run(self) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id="reply", delta=llm.ChoiceDelta(role="assistant", content=REPLY)))


class InstantTts(tts.TTS):
    """The whole sound at once."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=True), sample_rate=RATE_OUT, num_channels=1)

    def synthesize(self, text: str, **_: Any) -> tts.ChunkedStream:
        raise ValueError("the session streams")

    def stream(self, *, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> "InstantTtsStream":
        return InstantTtsStream(tts=self, conn_options=conn_options)


class InstantTtsStream(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="reply", sample_rate=RATE_OUT, num_channels=1, mime_type="audio/pcm", stream=True
        )
        text = ""
        async for piece in self._input_ch:
            if isinstance(piece, str):
                text += piece
        if text.strip():
            self._mark_started()
            output_emitter.start_segment(segment_id="reply")
            output_emitter.push(TONE.tobytes())
            output_emitter.end_segment()


class Microphone(io.AudioInput):
    """The caller's frames in pieces of 50 ms, as LiveKit's own room input hands them on."""

    def __init__(self) -> None:
        super().__init__(label="socket")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()
        self._rest = b""

    def take(self, data: bytes) -> None:
        data = self._rest + data
        if len(data) >= 2 * FRAME_IN:
            self._frames.put_nowait(rtc.AudioFrame(data[: 2 * FRAME_IN], RATE_IN, 1, FRAME_IN))
            data = data[2 * FRAME_IN :]
        self._rest = data

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Loudspeaker(io.AudioOutput):
    """Sends 20 ms every 20 ms by a timer, and says what was played."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(label="socket", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=RATE_OUT)
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._rest = b""
        self._played = 0
        self._ends = self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._sends: asyncio.Queue[bytes | str] = asyncio.Queue()

    async def send(self) -> None:
        """Write what is due, one after the other."""
        while True:
            item = await self._sends.get()
            if isinstance(item, str):
                await self._socket.send_text(item)
            else:
                await self._socket.send_bytes(item)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        data, size = self._rest + bytes(frame.data), 2 * FRAME_OUT
        whole = len(data) - len(data) % size
        self._waiting.extend(data[start : start + size] for start in range(0, whole, size))
        self._rest = data[whole:]
        self._ends = False
        self._start()

    def flush(self) -> None:
        super().flush()
        if self._rest:
            self._waiting.append(self._rest.ljust(2 * FRAME_OUT, b"\0"))
            self._rest = b""
        self._ends = True
        if not self._waiting and self._timer is None:
            self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._sends.put_nowait("clear")
        self._waiting.clear()
        self._rest = b""
        if self._pending_playback_count:
            self._finish(interrupted=True)

    def pause(self) -> None:
        super().pause()
        self._paused = True
        self._stop()

    def resume(self) -> None:
        super().resume()
        self._paused = False
        self._start()

    def _start(self) -> None:
        if self._timer is None and self._waiting and not self._paused:
            self._due = self._loop.time()
            if not self._played:
                self.on_playback_started(created_at=time.time())
            self._play()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _play(self) -> None:
        self._timer = None
        if not self._waiting:
            if self._ends:
                self._finish(interrupted=False)
            return
        self._sends.put_nowait(self._waiting.popleft())
        self._played += 1
        self._due += 0.02
        self._timer = self._loop.call_at(self._due, self._play)

    def _finish(self, *, interrupted: bool) -> None:
        self._stop()
        played, self._played, self._ends = self._played * 0.02, 0, False
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


async def talk(socket: WebSocket, vad: inference.VAD, silence: float) -> None:
    """One call."""
    session: AgentSession = AgentSession(
        stt=InstantStt(),
        vad=vad,
        llm=InstantLlm(),
        tts=InstantTts(),
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"min_delay": silence, "max_delay": silence},
            "interruption": {"mode": "vad", "min_duration": INTERRUPT_SECONDS},
        },
        aec_warmup_duration=None,
        user_away_timeout=None,
    )
    microphone, loudspeaker = Microphone(), Loudspeaker(socket)
    session.input.audio, session.output.audio = microphone, loudspeaker
    await session.start(Agent(instructions="You are a receptionist."))
    sending = asyncio.create_task(loudspeaker.send())
    try:
        while True:
            microphone.take(await socket.receive_bytes())
    except (WebSocketDisconnect, KeyError):
        pass
    finally:
        sending.cancel()
        await session.aclose()


def application(silence: float) -> FastAPI:
    """The WebSocket."""
    app = FastAPI()
    vad = inference.VAD(model="silero")

    @app.get("/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        await talk(socket, vad, silence)

    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    uvicorn.run(application(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
