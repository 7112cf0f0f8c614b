"""A television behind the caller: people's voices 15 dB below his, with real detector, recogniser and agent, in virtual time. And nobody behind him."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_domain.conversations import Speaker
from voisnap_domain.turntaking import has_content
from voisnap_media import files
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import RATE, WINDOW, WINDOW_MS, VadModel, VadState
from voisnap_runtime.pipeline.events import AudioCleared
from voisnap_runtime.pipeline.near_speech import POSSIBLE, NearSpeech
from voisnap_stack.load_audio import rooms
from voisnap_testkit.fakes_speech import ScriptedLlm

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
AUDIO = Path(__file__).parents[4] / "tests-e2e" / "fixtures" / "audio"
HEART = Voice(provider=VoiceProvider.LOCAL, voice_id="heart")
STORY = "Once upon a time there was a baker. He baked bread every single day of his life, and everybody knew his name."
SCRIPT = f"when: story -> {STORY}\nwhen: hours -> We are open from nine to five.\notherwise -> I see what you mean."


def level_of(audio: Pcm) -> float:
    """The level of what sounds in it, in dB of full scale."""
    frames = audio.samples[: len(audio) // 320 * 320].reshape(-1, 320).astype(float) / 32768
    power = np.square(frames).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() / 1000].mean()))


class Television:
    """Talks on and on beside the caller, from `on` to `off`."""

    def __init__(self, line: Any, *, level_db: float) -> None:
        names = ("human-had-leisure.flac", "human-more-amiable.flac", "human-three-cards.flac")
        talk = [files.read(AUDIO / name, 16000) for name in names]
        self._talk = np.concatenate([10 ** ((level_db - level_of(audio)) / 20) * audio.samples for audio in talk])
        self._place: int | None = None
        self._clean = line._next_packet
        line._next_packet = self._packet

    def on(self) -> None:
        self._place = 0

    def off(self) -> None:
        self._place = None

    def _packet(self) -> np.ndarray:
        packet = self._clean()
        if self._place is None:
            return packet
        talk = np.take(self._talk, np.arange(self._place, self._place + 320), mode="wrap")
        self._place += 320
        return np.clip(packet + talk, -32768, 32767).astype(np.int16)


@pytest.fixture
async def watching(lines, agent, inline_registry):
    """`line, say, television = await watching(below_db)`: a caller's line, what he says, and what is on behind him."""
    model = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    voice = inline_registry.tts("local")

    async def say(text: str) -> Pcm:
        return resample(Pcm.concat([chunk.audio async for chunk in voice.speak(text, HEART)]), 16000)

    async def connect(below_db: float) -> tuple[Any, Any, Television]:
        line = await lines(
            agent(voice=HEART),
            stt=inline_registry.stt("local"),
            tts=voice,
            llm=ScriptedLlm({"prompt": SCRIPT}),
            voice_model=model,
        )
        level = level_of(await say("Tell me a story.")) - below_db
        return line, say, Television(line, level_db=level)

    return connect


async def test_a_television_neither_interrupts_nor_becomes_a_turn_nor_keeps_one_open(watching):
    line, say, television = await watching(15.0)
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    television.on()
    await line.until_turns(2)
    await line.wait(2.5)
    assert [speaker for speaker, _ in line.spoken_turns] == [USER, AGENT]
    assert line.turns[1].text == STORY
    assert not line.of(AudioCleared)

    spoken = line.sounds(await say("What are your opening hours?"))
    asked = line.now
    await line.until(lambda: line.state == "speaking", within=6.0)
    assert line.now - asked < (spoken or 2.0) + 2.5
    await line.until_turns(4)
    assert "hours" in line.turns[2].text.lower()
    assert line.turns[3].text == "We are open from nine to five."


async def test_a_caller_who_turns_away_for_a_sentence_is_answered(watching):
    line, say, _ = await watching(15.0)
    line.sounds(await say("Tell me a story."))
    await line.until_turns(2)
    await line.wait(2.0)
    asked = await say("What are your opening hours?")
    line.sounds(Pcm((asked.samples * 10 ** (-16 / 20)).astype(np.int16), 16000))
    await line.until_turns(4)
    assert "hours" in line.turns[2].text.lower()
    assert line.turns[3].text == "We are open from nine to five."


async def test_somebody_behind_the_caller_who_takes_the_telephone_is_heard_after_a_while(watching):
    line, say, television = await watching(18.0)
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    television.on()
    await line.until_turns(2)
    began = line.now
    await line.wait(8.0)
    television.off()
    await line.until_turns(3)
    assert line.turns[2].speaker is USER
    assert line.turns[2].start_time - began > 4.0
    assert has_content(line.turns[2].text)


@pytest.mark.parametrize("room", [0, -1], ids=["quiet room", "noisy room"])
def test_a_caller_of_two_loudnesses_is_heard_to_the_end_of_every_sentence(inline_registry, room):
    """People whose sentences are 11 dB apart, as they turn their heads: every third one into the agent's words, others right after them."""
    vad = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    said = [
        files.read(AUDIO / name, RATE).samples[: 2 * RATE]
        for name in (
            "question-teeth-cleaning.wav",
            "human-go-forward.wav",
            "human-two-cards.flac",
            "human-go-forward.wav",
        )
    ]
    noise = rooms()[room]
    near, state, at_ms, voiced, hushed = NearSpeech(), VadState(), 0.0, 0, []
    for number in range(12):
        samples = noise.with_speech(np.concatenate([said[number % len(said)], np.zeros(RATE, np.int16)]))
        for start in range(0, len(samples) - WINDOW, WINDOW):
            window = samples[start : start + WINDOW] / np.float32(32768)
            at_ms += WINDOW_MS
            chance = float(vad.probabilities(window[None], [state])[0])
            if chance < POSSIBLE:
                continue
            voiced += 1
            into_agent = number % 3 == 2 or start < RATE // 4
            if near.judge(float(np.square(window).mean()), chance, at_ms=at_ms, agent_sounds=into_agent) != chance:
                hushed.append((number, start))
        assert near.understood()
        at_ms += 1000
    assert voiced > 400
    assert not hushed
