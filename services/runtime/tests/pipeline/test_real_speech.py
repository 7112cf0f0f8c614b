"""The whole pipeline with the embedded models, in real time: about ten seconds."""

import os
from pathlib import Path

import numpy as np
import pytest
from voisnap_domain.agents import Llm, LlmProvider, Voice, VoiceProvider
from voisnap_domain.conversations import Speaker
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import VadModel
from voisnap_providers.registry import ProviderSettings, Registry

MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models")

pytestmark = pytest.mark.media

HEART = Voice(provider=VoiceProvider.LOCAL, voice_id="heart")
PROMPT = """You are Aria, the assistant of Bright Smile Dental.
We are open Monday to Friday from eight in the morning to six in the evening, and on Saturday from nine to one.
Parking is free behind the building.
"""


@pytest.fixture
async def registry():
    providers = Registry(ProviderSettings(models_dir=MODELS))
    await providers.warm(("stt", "tts", "llm"))
    yield providers
    await providers.aclose()


async def voice(registry: Registry, text: str) -> Pcm:
    chunks = [chunk.audio async for chunk in registry.tts("local").speak(text, HEART)]
    return resample(Pcm.concat(chunks), 16000)


async def test_a_spoken_question_is_answered_and_the_answer_can_be_interrupted(lines, agent, registry):
    question = await voice(registry, "What are your opening hours?")
    second = await voice(registry, "Wait, is there any parking?")
    line = await lines(
        agent(system_prompt_template=PROMPT, llm=Llm(provider=LlmProvider.LOCAL, model="local"), voice=HEART),
        stt=registry.stt("local"),
        tts=registry.tts("local"),
        llm=registry.llm("local"),
        voice_model=VadModel.load(MODELS / "silero-vad" / "silero_vad.onnx"),
    )
    await line.wait(0.3)
    line.sounds(question)
    await line.until_state("speaking")
    await line.wait(1.2)
    interrupted_at = line.now
    line.sounds(second)
    await line.until_turns(4)
    asked, answer, parking, last = line.turns
    assert asked.speaker is Speaker.USER
    assert "opening hours" in asked.text.lower()
    assert answer.interrupted
    assert answer.text.startswith("We are open")
    assert "one" not in answer.text.split()
    assert "parking" in parking.text.lower()
    assert "free" in last.text.lower()
    assert last.latency is not None
    assert last.latency.total_ms < 2500
    onset = np.flatnonzero(np.abs(second.samples) > 300)[0] / 16000
    silent_from = int((interrupted_at + onset + 0.2) * 24000)
    assert np.abs(line.received[silent_from : silent_from + 9600]).max() < 200
    assert abs(asked.words[0].start_time - 0.3) < 0.5
