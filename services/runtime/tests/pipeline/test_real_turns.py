"""Turn-taking with real speech, heard by the real voice detector, recogniser and turn detector, in virtual time."""

from pathlib import Path

import numpy as np
import pytest
from voisnap_domain.agents import (
    Endpointing,
    EndpointingProvider,
    Fillers,
    FirstMessageMode,
    SilenceDetection,
    Voice,
    VoiceProvider,
)
from voisnap_domain.conversations import Speaker
from voisnap_domain.resumption import Resumption
from voisnap_domain.sessions import EndReason
from voisnap_domain.turntaking import words_of
from voisnap_media import files, g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import VadModel
from voisnap_runtime.pipeline.events import AudioCleared
from voisnap_testkit.fakes_speech import FakeTts, ScriptedLlm

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

RECORDINGS = Path(__file__).parents[4] / "tests-e2e" / "fixtures" / "audio"
AGENT, USER = Speaker.AGENT, Speaker.USER
HEART = Voice(provider=VoiceProvider.LOCAL, voice_id="heart")
STORY = "Once upon a time there was a baker. He baked bread every single day of his life."
SCRIPT = f"when: story -> {STORY}\nwhen: hours -> We are open from nine to five.\notherwise -> I see what you mean."


@pytest.fixture
async def heard(lines, inline_registry):
    """`line, say = await heard(config)`: a line with real ears; `say(text)` makes speech, `sound(line, …)` is what the caller does."""
    model = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    voice = inline_registry.tts("local")

    async def say(text: str) -> Pcm:
        return resample(Pcm.concat([chunk.audio async for chunk in voice.speak(text, HEART)]), 16000)

    async def connect(config, **parts):
        parts = {"stt": inline_registry.stt("local"), "tts": FakeTts(), "llm": ScriptedLlm({"prompt": SCRIPT})} | parts
        return await lines(config, voice_model=model, **parts), say

    return connect


def semantic() -> Endpointing:
    return Endpointing(provider=EndpointingProvider.SEMANTIC, silence_duration_ms=700, utterance_end_ms=1500)


def spoken_until(audio: Pcm) -> float:
    """When the last sound of a recording ends, in seconds."""
    return float(np.flatnonzero(np.abs(audio.samples) > 300)[-1]) / audio.rate


async def test_what_sounds_over_is_answered_sooner_and_what_does_not_is_waited_for(heard, agent, inline_registry):
    line, say = await heard(agent(endpointing=semantic()), turn_end=inline_registry.turn_end())
    question = await say("What are your opening hours?")
    began = line.now
    line.sounds(question)
    waited = await line.until_state("thinking") - began - spoken_until(question)
    assert waited < 0.5
    await line.until_turns(2)
    assert line.turns[1].text == "We are open from nine to five."
    line.sounds(await say("I want to cancel because"))
    line.sounds(Pcm.silence(16000, 1000))
    line.sounds(await say("I am moving to another city."))
    await line.until_turns(4)
    assert "because" in line.turns[2].text.lower()
    assert "moving" in line.turns[2].text.lower()


async def test_a_phone_number_is_heard_to_its_end(heard, agent):
    config = agent(
        first_message="What is your phone number?", first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST
    )
    line, say = await heard(config)
    await line.until_turns(1)
    for group in ("Four one five.", "Five five five."):
        line.sounds(await say(group))
        line.sounds(Pcm.silence(16000, 1100))
    line.sounds(await say("Zero one two two."))
    await line.until_turns(3)
    assert sum(turn.speaker is USER for turn in line.turns) == 1


@pytest.mark.parametrize("sound", ["Okay.", "Yeah, right.", "Mm-hmm.", "I see.", "cough"])
async def test_signs_of_listening_and_noises_do_not_interrupt(heard, agent, sound):
    line, say = await heard(agent())
    rng = np.random.default_rng(3)
    cough = rng.normal(0, 6000, 5600) * np.exp(-np.arange(5600) / 1800)
    audio = Pcm(cough.astype(np.int16), 16000) if sound == "cough" else await say(sound)
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(audio)
    await line.until_turns(2)
    assert line.turns[1].text == STORY
    assert not line.of(AudioCleared)


async def test_a_word_that_means_stop_does(heard, agent):
    line, say = await heard(agent())
    stop = await say("Wait, stop.")
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    await line.wait(1.0)
    began = line.now
    line.sounds(stop)
    await line.until_turns(2)
    onset = float(np.flatnonzero(np.abs(stop.samples) > 300)[0]) / 16000
    silent_from = int((began + onset + 0.2) * 24000)
    assert not line.received[silent_from : silent_from + 12000].any()
    assert line.turns[1].interrupted
    await line.until_turns(3)
    assert "stop" in line.turns[2].text.lower()


def over_telephone(audio: Pcm) -> Pcm:
    """What a telephone leaves of a sound."""
    return resample(g711.mulaw_decode(g711.mulaw_encode(resample(audio, 8000))), 16000)


@pytest.mark.parametrize("telephone", [False, True])
async def test_a_persons_voice_interrupts_and_is_understood(heard, agent, telephone):
    line, say = await heard(agent(endpointing=semantic()))
    line.call.hear_through(narrow=telephone)
    person, request = files.read(RECORDINGS / "human-go-forward.wav", 16000), await say("Tell me a story.")
    if telephone:
        person, request = over_telephone(person), over_telephone(request)
    line.sounds(request)
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(person)
    await line.until_turns(3)
    assert line.turns[1].interrupted
    assert {"go", "forward", "ten", "meters"} <= set(words_of(line.turns[2].text))


async def test_a_spoken_farewell_ends_the_call(heard, agent):
    line, say = await heard(agent(end_call_phrases=("goodbye",)))
    line.sounds(await say("That is all, thank you. Goodbye!"))
    assert await line.ended() is EndReason.USER_ENDED


async def test_a_call_goes_on_where_it_was_cut(heard, agent):
    first, say = await heard(agent())
    first.sounds(await say("Tell me a story."))
    await first.until_state("speaking")
    await first.wait(3.0)
    snapshot, turns = first.call.snapshot(), tuple(first.turns)
    await first.close()
    resumption = Resumption(turns=turns, snapshot=snapshot, elapsed=snapshot.elapsed + 2)
    line, _ = await heard(agent(), resume=resumption)
    await line.until_turns(2)
    assert line.turns[1].text == "Sorry, we were cut off. He baked bread every single day of his life."
    line.sounds(await say("What are your opening hours?"))
    await line.until_turns(4)
    assert line.turns[3].text == "We are open from nine to five."


# --- what the agent says by itself, with its real voice, heard back from the line


@pytest.fixture
def understood(inline_registry):
    """`understood(line, turn)`: the words that another recogniser hears in what the caller received of a turn."""

    def listen(line, turn) -> set[str]:
        start, end = (round(moment * 24000) for moment in (turn.start_time - 0.1, turn.end_time + 0.1))
        sound = resample(Pcm(line.received[max(0, start) : end], 24000), 16000)
        return set(words_of(inline_registry.part("moonshine")(sound.samples.astype(np.float32) / 32768).text))

    return listen


def share_of(text: str, heard: set[str]) -> float:
    """Of a text's words, how many were heard."""
    words = set(words_of(text))
    return len(words & heard) / len(words)


async def test_disclosure_greeting_prompts_warning_and_goodbye_are_really_heard(
    heard, agent, inline_registry, understood
):
    config = agent(
        voice=HEART,
        ai_disclosure_message="You are speaking with an artificial assistant.",
        first_message="Hello {{name|there}}, how can I help you?",
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        silence_detection=SilenceDetection(timeout_seconds=4, message="Are you still there, {{name|my friend}}?"),
        max_idle_time_seconds=60,
        max_duration_seconds=30,
    )
    line, _ = await heard(config, tts=inline_registry.tts("local"))
    assert await line.ended() is EndReason.MAX_DURATION
    assert [turn.text for turn in line.turns] == [
        "You are speaking with an artificial assistant. Hello there, how can I help you?",
        "Are you still there, my friend?",
        "Are you still there, my friend?",
        "We have only a few seconds left.",
        "I'm sorry, we have reached the time limit of this call. Goodbye.",
    ]
    for turn in line.turns:
        assert share_of(turn.text, understood(line, turn)) > 0.7, turn.text


async def test_a_filler_and_the_reply_are_really_heard(heard, agent, inline_registry, understood):
    slow = ScriptedLlm({"prompt": "pace: first 4000ms, token 1ms\notherwise -> Parking is free behind the building."})
    config = agent(voice=HEART, fillers=Fillers(delay_ms=1000, phrases=("Let me look that up for you.",)))
    line, say = await heard(config, tts=inline_registry.tts("local"), llm=slow)
    line.sounds(await say("Is there any parking?"))
    await line.until_turns(2)
    assert line.turns[1].text == "Let me look that up for you. Parking is free behind the building."
    assert share_of(line.turns[1].text, understood(line, line.turns[1])) > 0.8


async def test_a_reply_begun_early_comes_with_the_end_of_the_silence(heard, agent):
    paced = ScriptedLlm({"prompt": f"pace: first 300ms, token 1ms\n{SCRIPT}"})
    line, say = await heard(agent(), llm=paced, tts=FakeTts(delay_ms=60))
    question = await say("What are your opening hours?")
    began = line.now
    line.sounds(question)
    speaking = await line.until_state("speaking")
    assert speaking - began - spoken_until(question) < 0.9
    await line.until_turns(2)
    assert line.turns[1].text == "We are open from nine to five."


async def test_words_that_stay_end_a_turn(heard, agent):
    endpointing = Endpointing(provider=EndpointingProvider.STT, utterance_end_ms=900)
    line, say = await heard(agent(endpointing=endpointing))
    question = await say("What are your opening hours?")
    began = line.now
    line.sounds(question)
    waited = await line.until_state("thinking") - began - spoken_until(question)
    assert 0.8 < waited < 1.3
    await line.until_turns(2)
    assert line.turns[1].text == "We are open from nine to five."


async def test_a_caller_on_the_telephone_is_heard_and_can_interrupt(heard, agent):
    line, say = await heard(agent())
    line.sounds(telephone(await say("Tell me a story.")))
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(telephone(await say("Okay.")))
    await line.wait(2.0)
    assert not line.of(AudioCleared)
    line.sounds(telephone(await say("Wait, what are your opening hours?")))
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert line.turns[3].text == "We are open from nine to five."


def telephone(audio: Pcm) -> Pcm:
    """As it comes over a telephone line: 8 kHz, mu-law, a little noise."""
    narrow = resample(audio, 8000)
    coded = g711.mulaw_decode(g711.mulaw_encode(narrow))
    noisy = coded.samples + np.random.default_rng(1).normal(0, 40, len(coded.samples))
    return resample(Pcm(noisy.astype(np.int16), 8000), 16000)
