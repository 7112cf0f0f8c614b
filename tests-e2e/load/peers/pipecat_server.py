# pyright: reportMissingImports=false
"""Pipecat 1.14 with the equivalent pipeline, in its own environment: `python pipecat_server.py PORT SILENCE_SECONDS
[vad|smart-turn]`.

Its FastAPI WebSocket transport with its own protobuf frames at `/ws` and its Twilio serializer at `/twilio`, and SmallWebRTC at `/offer`; Silero; with `vad` a turn ends after silence
alone (0.2 s of its voice detector and the rest as its speech timeout), with `smart-turn` as its own default strategies say; speech to text, language model and speech take no time. Everything else is
as it comes.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

VAD_STOP_SECONDS = 0.2
RATE_OUT = 24000
HEARD = "What about a cleaning next week?"
REPLY = "Thank you, I have written that down for you now."
CHAR_SECONDS = 0.06
PHONE_RATE = 8000


def tone(rate: int) -> bytes:
    """The reply as sound."""
    moments = np.arange(round(len(REPLY) * CHAR_SECONDS * rate)) / rate
    return np.rint(6000 * np.sin(2 * np.pi * 220 * moments)).astype("<i2").tobytes()


TONES = {rate: tone(rate) for rate in (RATE_OUT, PHONE_RATE)}


class InstantStt(FrameProcessor):
    """The final result as soon as the voice detector hears silence."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(
                TranscriptionFrame(HEARD, "caller", datetime.now(UTC).isoformat(), finalized=True),
                FrameDirection.DOWNSTREAM,
            )


class InstantLlm(FrameProcessor):
    """The whole reply at once."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self.push_frame(LLMFullResponseStartFrame())
            await self.push_frame(LLMTextFrame(REPLY))
            await self.push_frame(LLMFullResponseEndFrame())
        else:
            await self.push_frame(frame, direction)


class InstantTts(FrameProcessor):
    """The whole sound at once."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate = rate

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, LLMTextFrame):
            await self.push_frame(TTSStartedFrame())
            await self.push_frame(TTSAudioRawFrame(TONES[self._rate], self._rate, 1))
            await self.push_frame(TTSStoppedFrame())


async def talk(transport, silence: float, how: str, *, rate_in: int = 16000, rate_out: int = RATE_OUT) -> None:
    """One call."""
    after_silence = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=max(0.0, silence - VAD_STOP_SECONDS))
    strategies = UserTurnStrategies(stop=None if how == "smart-turn" else [after_silence])
    aggregators = LLMContextAggregatorPair(
        LLMContext([{"role": "system", "content": "You are a receptionist."}]),
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=strategies,
            vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=VAD_STOP_SECONDS)),
        ),
    )
    pipeline = Pipeline(
        [
            transport.input(),
            InstantStt(),
            aggregators.user(),
            InstantLlm(),
            InstantTts(rate_out),
            transport.output(),
            aggregators.assistant(),
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=rate_in, audio_out_sample_rate=rate_out),
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(_transport, _client) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await runner.run()


def application(silence: float, how: str) -> FastAPI:
    """Both transports."""
    app = FastAPI()
    calls: set[asyncio.Task[None]] = set()

    @app.get("/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            add_wav_header=False,
            serializer=ProtobufFrameSerializer(),
        )
        await talk(FastAPIWebsocketTransport(socket, params), silence, how)

    @app.websocket("/twilio")
    async def twilio(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()  # connected
        start = json.loads(await socket.receive_text())
        serializer = TwilioFrameSerializer(
            stream_sid=start["streamSid"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
        )
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            add_wav_header=False,
            serializer=serializer,
        )
        transport = FastAPIWebsocketTransport(socket, params)
        await talk(transport, silence, how, rate_in=PHONE_RATE, rate_out=PHONE_RATE)

    @app.post("/offer")
    async def offer(body: dict) -> dict:
        connection = SmallWebRTCConnection()
        await connection.initialize(sdp=body["sdp"], type=body["type"])
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_out_10ms_chunks=2)
        call = asyncio.create_task(talk(SmallWebRTCTransport(connection, params), silence, how))
        calls.add(call)
        call.add_done_callback(calls.discard)
        return connection.get_answer()

    return app


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    how = sys.argv[3] if len(sys.argv) > 3 else "vad"
    uvicorn.run(application(float(sys.argv[2]), how), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
