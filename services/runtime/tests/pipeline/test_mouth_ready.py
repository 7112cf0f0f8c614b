"""The mouth says when there is sound after silence, so that nobody waits for the clock."""

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.pipeline.mouth import RATE, Mouth
from voisnap_runtime.transports.pacing import Eager

pytestmark = pytest.mark.unit


class Woken:
    def __init__(self) -> None:
        self.times = 0
        self.mouth = Mouth(
            clock=lambda: 0.0, started=lambda: None, begun=lambda text: None, finished=lambda heard: None
        )
        self.mouth.ready = self._count

    def _count(self) -> None:
        self.times += 1

    async def add(self, seconds: float = 0.1) -> None:
        await self.mouth.add(
            SpeechChunk(audio=Pcm(np.ones(round(seconds * RATE), np.int16), RATE), text="word", words=())
        )


async def test_the_first_chunk_wakes_and_those_that_follow_in_time_do_not():
    woken = Woken()
    woken.mouth.begin()
    await woken.add()
    assert woken.times == 1
    woken.mouth.pull()
    await woken.add()
    assert woken.times == 1
    for _ in range(20):
        woken.mouth.pull()
    await woken.add()
    assert woken.times == 2


async def test_a_paused_mouth_wakes_when_it_may_go_on():
    woken = Woken()
    woken.mouth.begin()
    woken.mouth.pause()
    await woken.add()
    assert woken.times == 0
    woken.mouth.resume()
    assert woken.times == 1
    woken.mouth.cut()
    woken.mouth.begin()
    woken.mouth.pause()
    woken.mouth.resume()
    assert woken.times == 1


def test_a_call_is_what_the_pacer_looks_for():
    assert issubclass(Call, Eager)
