"""Does smart-turn, behind its port, tell finished sentences from broken off ones, in time and without holding up the loop?"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.registry import ProviderSettings, Registry

pytestmark = pytest.mark.media

FINISHED = (
    "What time do you close?",
    "How much does a cleaning cost?",
    "Thank you very much.",
    "Is there parking near your office?",
)
BROKEN_OFF = ("I want to cancel because", "Could you tell me whether", "I would like to, um,")


async def chance(registry: Registry, audio: Pcm) -> float:
    for _ in range(20):  # a busy machine may answer late; the question stays the same
        answer = await registry.turn_end().chance(audio)
        if answer is not None:
            return answer
    pytest.fail("no answer in twenty attempts")


async def test_finished_sentences_sound_finished_and_broken_off_ones_do_not(
    registry: Registry, say: Callable[..., Pcm]
):
    await registry.turn_end().warm()
    finished = [await chance(registry, say(text)) for text in FINISHED]
    broken_off = [await chance(registry, say(text)) for text in BROKEN_OFF]
    assert min(finished) > 0.8, finished
    assert finished[0] > 0.95
    assert broken_off[0] < 0.1
    assert sum(one < 0.5 for one in broken_off) >= 2, broken_off


async def test_twenty_callers_at_once_are_answered_and_the_loop_goes_on(registry: Registry, say: Callable[..., Pcm]):
    await registry.turn_end().warm()
    audio = say(FINISHED[0])
    stalls: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            stalls.append(time.perf_counter() - before - 0.005)

    watching = asyncio.create_task(watch())
    told: list[float] = []
    for _ in range(20):  # on a busy machine a whole round may come too late to be of use
        answers = await asyncio.gather(*(registry.turn_end().chance(audio) for _ in range(20)))
        told = [answer for answer in answers if answer is not None]
        if told:
            break
    watching.cancel()
    assert told
    assert all(answer > 0.9 for answer in told)
    assert float(np.median(stalls)) < 0.1


async def test_another_rate_is_refused(registry: Registry):
    with pytest.raises(ValueError, match="16000 Hz"):
        await registry.turn_end().chance(Pcm.silence(8000, 500))


async def test_a_missing_model_names_its_file_and_the_command_and_may_come_later(tmp_path: Path, models_dir: Path):
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1))
    with pytest.raises(ProviderError, match=r"smart-turn-v3\.2-cpu\.onnx is missing.*voisnap models fetch"):
        await registry.turn_end().chance(Pcm.silence(16000, 500))
    path = tmp_path / "smart-turn" / "smart-turn-v3.2-cpu.onnx"
    path.parent.mkdir()
    path.write_bytes(b"not weights")
    with pytest.raises(ProviderError, match=r"smart-turn-v3\.2-cpu\.onnx is broken"):
        await registry.turn_end().warm()
    path.write_bytes((models_dir / "smart-turn" / path.name).read_bytes())
    await registry.turn_end().warm()
    await registry.aclose()
