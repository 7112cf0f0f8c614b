"""Keys that are heard in the audio: whole calls in virtual time."""

import numpy as np
import pytest
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.conversations import Speaker
from voisnap_media.dtmf import HIGH_HZ, KEYS, LOW_HZ
from voisnap_media.pcm import Pcm
from voisnap_media.vad import VadModel
from voisnap_runtime.pipeline.events import AudioCleared

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER


def keys(dialled: str, *, ms: int = 90, gap_ms: int = 110) -> Pcm:
    """Keys pressed one after the other."""
    times = np.arange(ms * 16) / 16000
    pieces = []
    for key in dialled:
        low, high = LOW_HZ[KEYS.index(key) // 4], HIGH_HZ[KEYS.index(key) % 4]
        tone = 4000 * (np.sin(2 * np.pi * low * times) + np.sin(2 * np.pi * high * times))
        pieces += [tone, np.zeros(gap_ms * 16)]
    return Pcm(np.concatenate(pieces).astype(np.int16), 16000)


@pytest.fixture(params=["loudness", "silero"])
def voice_model(request, inline_registry):
    """By loudness every tone is voice; the real one knows better."""
    if request.param == "loudness":
        return None
    return VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")


async def test_keys_in_the_audio_become_a_turn(lines, agent, voice_model):
    line = await lines(agent(), voice_model=voice_model)
    await line.wait(0.5)
    line.sounds(keys("40*2#"))
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "Pressed 4 0 * 2."), (AGENT, "I see what you mean.")]


async def test_a_key_that_comes_both_ways_counts_once(lines, agent, voice_model):
    line = await lines(agent(), voice_model=voice_model)
    await line.wait(0.5)
    for key in "557":
        line.sounds(keys(key))
        line.call.dtmf(key)
        await line.wait(0.2)
    line.call.dtmf("#")
    await line.until_turns(1)
    assert line.turns[0].text == "Pressed 5 5 7."


async def test_a_key_over_the_agents_speech_interrupts_once_and_is_not_transcribed(lines, agent, voice_model):
    speaks = FirstMessageMode.ASSISTANT_SPEAKS_FIRST
    story = "Once upon a time there was a baker who baked bread every single day."
    line = await lines(agent(first_message=story, first_message_mode=speaks), voice_model=voice_model)
    await line.wait(1.5)
    line.sounds(keys("1"))
    await line.until_turns(3)
    assert line.turns[0].interrupted
    assert [turn.text for turn in line.turns[1:]] == ["Pressed 1.", "I see what you mean."]
    assert len(line.of(AudioCleared)) == 1


async def test_an_agent_without_keys_hears_none(lines, agent, inline_registry):
    model = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    line = await lines(agent(dtmf_enabled=False), voice_model=model)
    await line.wait(0.5)
    line.sounds(keys("123#"))
    line.call.dtmf("4")
    await line.wait(4.0)
    assert line.turns == []
