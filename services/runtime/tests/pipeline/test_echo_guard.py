"""A caller whose loudspeaker is heard by his microphone: real voices, detector and recogniser, in virtual time."""

from typing import Any

import numpy as np
import pytest
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_domain.conversations import Speaker
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import VadModel
from voisnap_runtime.pipeline.echo_guard import EchoGuard, Verdict
from voisnap_runtime.pipeline.events import AudioCleared, Warned
from voisnap_testkit.fakes_speech import ScriptedLlm

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
HEART = Voice(provider=VoiceProvider.LOCAL, voice_id="heart")
STORY = "Once upon a time there was a baker. He baked bread every single day of his life, and everybody knew his name."
SCRIPT = f"when: story -> {STORY}\nwhen: hours -> We are open from nine to five.\notherwise -> I see what you mean."


class Room:
    """What the microphone hears of the loudspeaker: late, fainter, through a room and maybe a telephone."""

    def __init__(
        self,
        line: Any,
        *,
        delay_ms: float,
        attenuation_db: float,
        seconds: float = 0.0,
        direct_db: float = 6.0,
        narrow: bool = False,
    ) -> None:
        self._line = line
        self._delay = round(delay_ms / 20)
        self._rest = np.zeros(0)
        rng = np.random.default_rng(5)
        answer = np.zeros(3200)
        if seconds:
            answer = rng.normal(0, 1, 3200) * 10 ** (-3 * np.arange(3200) / 16000 / seconds)
            answer[:48] = 0
            answer *= 10 ** (-direct_db / 20) / np.sqrt(np.square(answer).sum())
        answer[0] = 1.0
        self._answer = answer * 10 ** (-attenuation_db / 20)
        self._narrow = narrow
        self._clean = line._next_packet
        line._next_packet = self._packet

    def _packet(self) -> np.ndarray:
        place = len(self._line.frames) - self._delay
        frame = self._line.frames[place] if 0 <= place < len(self._line.frames) else None
        played = np.zeros(320) if frame is None else np.interp(np.arange(320) * 1.5, np.arange(480), frame.samples)
        heard = np.convolve(played, self._answer) if played.any() else np.zeros(320)
        if len(heard) < len(self._rest):
            heard = np.concatenate([heard, np.zeros(len(self._rest) - len(heard))])
        heard[: len(self._rest)] += self._rest
        packet, self._rest = heard[:320], heard[320:]
        if self._narrow:
            coded = g711.mulaw_encode(Pcm(packet.reshape(-1, 2).mean(axis=1).astype(np.int16), 8000))
            packet = np.repeat(g711.mulaw_decode(coded).samples, 2).astype(float)
        return np.clip(packet + self._clean(), -32768, 32767).astype(np.int16)


@pytest.fixture
async def real(lines, agent, inline_registry):
    """`line, say = await real()`: a line with real ears and a real agent's voice; `say(text)` makes another voice."""
    model = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    voice = inline_registry.tts("local")

    async def say(text: str) -> Pcm:
        """Lower and slower than the agent's."""
        audio = resample(Pcm.concat([chunk.audio async for chunk in voice.speak(text, HEART)]), 16000)
        places = np.arange(0, len(audio) - 1, 0.86)
        return Pcm(np.interp(places, np.arange(len(audio)), audio.samples).astype(np.int16), 16000)

    async def connect() -> tuple[Any, Any]:
        line = await lines(
            agent(voice=HEART),
            stt=inline_registry.stt("local"),
            tts=voice,
            llm=ScriptedLlm({"prompt": SCRIPT}),
            voice_model=model,
        )
        return line, say

    return connect


@pytest.mark.parametrize(
    "room",
    [
        {"delay_ms": 100, "attenuation_db": 6},
        {"delay_ms": 240, "attenuation_db": 12, "seconds": 0.3, "narrow": True},
        {"delay_ms": 400, "attenuation_db": 20, "seconds": 0.4, "direct_db": 3.0},
    ],
    ids=["near", "telephone", "far"],
)
async def test_the_agents_own_voice_neither_interrupts_nor_becomes_a_turn(real, room):
    line, say = await real()
    Room(line, **room)
    line.sounds(await say("Tell me a story."))
    await line.until_turns(2)
    await line.wait(1.5)
    assert [speaker for speaker, _ in line.spoken_turns] == [USER, AGENT]
    assert line.turns[1].text == STORY
    assert not line.turns[1].interrupted
    assert not line.of(AudioCleared)
    assert line.call.quality().echo_suspected >= 1
    assert len([event for event in line.of(Warned) if "echo" in event.text]) == 1


@pytest.mark.parametrize(
    "room",
    [{"delay_ms": 120, "attenuation_db": 12}, {"delay_ms": 240, "attenuation_db": 14, "seconds": 0.3, "narrow": True}],
    ids=["near", "telephone"],
)
async def test_a_caller_who_speaks_over_the_echo_interrupts(real, room):
    line, say = await real()
    Room(line, **room)
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    await line.wait(2.5)
    assert line.call.quality().echo_suspected >= 1
    began = line.now
    line.sounds(await say("Sorry, what are your opening hours?"))
    await line.until(lambda: bool(line.of(AudioCleared)), within=2.0)
    assert line.now - began < 1.6
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert "hours" in line.turns[2].text.lower()
    assert line.turns[3].text == "We are open from nine to five."


async def test_without_echo_nothing_is_suspected_and_interrupting_is_not_slower(real):
    line, say = await real()
    line.sounds(await say("Tell me a story."))
    await line.until_state("speaking")
    await line.wait(2.0)
    question = await say("Sorry, what are your opening hours?")
    began = line.now + float(np.flatnonzero(np.abs(question.samples) > 300)[0]) / 16000
    line.sounds(question)
    heard = len(line.frames)
    await line.until(lambda: line.frames[-1] is None, within=1.0)
    assert line.now - began < 0.2
    assert heard
    await line.until_turns(4)
    assert line.turns[3].text == "We are open from nine to five."
    assert line.call.quality().echo_suspected == 0
    assert not line.of(Warned)


# --- the guard alone


def frames_of(sound: np.ndarray) -> list[Pcm]:
    return [Pcm(piece.astype(np.int16), 24000) for piece in sound[: len(sound) // 480 * 480].reshape(-1, 480)]


def test_a_guard_that_heard_nothing_from_the_agent_lets_everybody_through():
    guard = EchoGuard()
    for number in range(200):
        guard.played(None, number * 0.02)
    guard.begin()
    assert not guard.withholds
    assert guard.judge(np.full(3072, 1000, np.int16), 16000, 320, 4.0) is Verdict.CALLER


def test_the_agent_is_forgotten_a_while_after_it_fell_silent():
    guard = EchoGuard()
    sound = np.random.default_rng(0).normal(0, 3000, 24000)
    for number, frame in enumerate(frames_of(sound)):
        guard.played(frame, number * 0.02)
    assert guard.is_audible
    for number in range(50, 100):
        guard.played(None, number * 0.02)
    assert not guard.is_audible


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("once upon a time there was", True),
        ("Once a pawn a time there was a baker", True),
        ("there was a baker he baked bread every", True),
        ("what are your opening hours", False),
        ("a baker", False),
        ("", False),
    ],
)
def test_words_that_the_agent_has_just_said_are_known_as_its_own(text: str, repeated: bool):
    guard = EchoGuard()
    guard.says("Once upon a time")
    guard.says("Once upon a time there was a baker. He baked bread every day.")
    guard.played(Pcm(np.full(480, 3000, np.int16), 24000), 1.0)
    guard.begin()
    assert guard.repeats(text) is repeated
    assert guard.suspected == int(repeated)


def test_a_caller_who_repeats_the_agents_words_after_it_spoke_is_heard():
    guard = EchoGuard()
    guard.says("Would you like Tuesday at ten thirty or Thursday?")
    guard.begin()
    assert not guard.repeats("Tuesday at ten thirty")


def burst_of(guard: EchoGuard, agent: np.ndarray, heard: np.ndarray, *, at: float, ms: int) -> Verdict:
    """The agent plays while a burst of voice is heard; the verdict at its end."""
    guard.begin()
    verdict = Verdict.OPEN
    played = frames_of(np.interp(np.arange(0, len(agent), 2 / 3), np.arange(len(agent)), agent))
    heard = np.concatenate([np.zeros(3072), heard]).astype(np.int16)
    for number in range(ms // 20):
        guard.played(played[number], at + number * 0.02)
        voiced, rest = divmod(number * 20, 32)
        if rest < 20 and voiced:
            end = 3072 + number * 320
            verdict = guard.judge(heard[end - 3072 : end], 16000, voiced * 32, at + number * 0.02)
    guard.end(np.zeros(3072, np.int16), 16000, ms, at + ms / 1000)
    return verdict


def test_a_line_wrongly_taken_for_an_echoing_one_is_believed_again():
    rng = np.random.default_rng(2)
    agent = rng.normal(0, 3000, 32000)
    guard = EchoGuard()
    assert burst_of(guard, agent, np.roll(agent, 1600), at=0.0, ms=600) is Verdict.ECHO
    assert guard.withholds
    quiet_caller = rng.normal(0, 100, 32000)
    assert burst_of(guard, agent, quiet_caller, at=1.0, ms=300) is not Verdict.CALLER
    assert burst_of(guard, agent, quiet_caller, at=2.0, ms=800) is Verdict.CALLER
    assert not guard.withholds


@pytest.mark.parametrize("until", [-100.0, 0.5, 1e6])
def test_clocks_that_are_far_apart_do_no_harm(until: float):
    guard = EchoGuard()
    sound = np.random.default_rng(0).normal(0, 3000, 24000)
    for number, frame in enumerate(frames_of(sound)):
        guard.played(frame, number * 0.02)
    guard.begin()
    verdicts = [guard.judge(np.full(3072, 1000, np.int16), 16000, voiced, until) for voiced in (32, 96, 128, 160)]
    assert Verdict.ECHO not in verdicts
