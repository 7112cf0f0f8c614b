"""The load generator's own WebRTC caller against the runtime's transport: both hear each other, and both see the end."""

import asyncio

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_runtime.transports.webrtc import WebRtcTransport
from voisnap_stack.load_audio import utterance
from voisnap_stack.load_callers import Caller, Habits, Measured
from voisnap_stack.load_socket import CallRefused
from voisnap_stack.load_webrtc import OpusSpeech, open_peer

pytestmark = pytest.mark.media

SECONDS = 0.4
TONE = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(round(16000 * SECONDS)) / 16000)).astype(np.int16)
AGENT = Pcm(np.rint(8000 * np.sin(2 * np.pi * 300 * np.arange(480) / 24000)).astype(np.int16), 24000)


class Heard:
    def __init__(self) -> None:
        self.loud = asyncio.Event()

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        if np.abs(audio.samples).max(initial=0) > 3000:
            self.loud.set()

    def dtmf(self, digit: str) -> None: ...


async def test_a_load_caller_is_heard_and_hears():
    speech = OpusSpeech((utterance(Pcm(TONE, 16000)),))
    sink, loud = Heard(), asyncio.Event()
    transport = WebRtcTransport(sink=sink)

    async def exchange(offer: str) -> str:
        return (await transport.answer(offer))[0]

    line = await open_peer(speech, exchange)
    measured = Measured()
    caller = line.caller = Caller((utterance(Pcm(TONE, 16000)),), Habits(), measured, is_loud=line.is_loud)
    caller.heard = lambda payload, now: loud.set() if line.is_loud(payload) else None
    async with asyncio.timeout(10):
        for number in range(len(speech.voices[0].speech)):
            line.send(number)
            transport.send(AGENT)
            await asyncio.sleep(0)
        await sink.loud.wait()
        await loud.wait()
    lost = asyncio.Event()
    caller.was_lost = lost.set
    await transport.close()
    async with asyncio.timeout(10):
        await lost.wait()
    await line.close()
    await line.close()


async def test_an_answer_that_cannot_be_used_is_a_refusal():
    async def exchange(offer: str) -> str:
        return "v=0\r\n"

    with pytest.raises(CallRefused, match="no ICE credentials"):
        await open_peer(OpusSpeech((utterance(Pcm(TONE, 16000)),)), exchange)
