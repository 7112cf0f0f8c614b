"""Scripts in YAML and JSON, and people who follow them with ears: every fault names its line."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_simulator.persona.behaviour import Behaviour
from voisnap_simulator.persona.follower import GoalFollower
from voisnap_simulator.persona.goal import goal_of
from voisnap_simulator.persona.hearing import Heard, Listening
from voisnap_simulator.persona.manner import Manner, in_manner
from voisnap_simulator.persona.person import Senses, telephone_of
from voisnap_simulator.persona.scenario import scenario_of
from voisnap_simulator.persona.script import BadScript, Drop, HangUp, Press, Say, Silence, Wait, WaitFor, steps_of
from voisnap_simulator.persona.voice import Tones
from voisnap_simulator.voice.media import loudness
from voisnap_simulator.voice.sound import SILENCE, framed, tone

pytestmark = pytest.mark.unit

TALK = framed(tone((500.0,), 4.0))
WHOLE = """
goal: Find out what a check-up costs
expect: [85 dollars, goodbye]
person: {speed: 1.1, pitch: -3, noise: -45, number: "+14155550142", pause: 0.7}
steps:
  - say: Hello
  - wait for: [dollars, euros]
    within: 20
    required: true
  - say: Stop!
    interrupt after: 800 ms
    mumble: 0.5
    pitch: 0
  - press: "1#"
  - silence: 2 s
  - wait
  - drop line
  - hang up
"""


def test_a_file_says_what_somebody_does_and_how():
    scenario = scenario_of(WHOLE)
    usual = Manner(speed=1.1, pitch=-3)
    assert scenario.steps == (
        Say(text="Hello", manner=usual),
        WaitFor(phrases=("dollars", "euros"), within=20.0, required=True),
        Say(text="Stop!", interrupt_after=0.8, manner=Manner(speed=1.1, mumble=0.5)),
        Press(digits="1#"),
        Silence(seconds=2.0),
        Wait(),
        Drop(),
        HangUp(),
    )
    assert (scenario.goal, scenario.expect) == ("Find out what a check-up costs", ("85 dollars", "goodbye"))
    assert (scenario.noise, scenario.number, scenario.pause) == (-45.0, "+14155550142", 0.7)


def test_json_is_read_by_the_same_rules():
    assert scenario_of('{"steps": [{"say": "Hi"}, "hang up"]}').steps == (Say(text="Hi"), HangUp())
    assert scenario_of('[{"press": "1"}]').steps == (Press(digits="1"),)


def test_steps_travel_to_the_carriers_as_they_are():
    steps = scenario_of(WHOLE).steps
    told = msgspec.json.encode(Behaviour(steps=steps))
    assert msgspec.json.decode(told, type=Behaviour).steps == steps


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "says nothing"),
        ("steps: []", "neither steps nor a goal"),
        ("steps:\n  - say: Hi\n  - shout: Hi", "line 3: a step has no 'shout'"),
        ("steps:\n  - say: Hi\n  - dance", "line 3: a step is say"),
        ("steps:\n  - press: abc", "line 2: keys are"),
        ("steps:\n  - say: Hi\n    speed: 9", "line 3: speed is 0.5 to 2"),
        ("steps:\n  - say: Hi\n    voice: nobody", "line 3: voice 'nobody' is not here; there is heart"),
        ("steps:\n  - say: Hi\n    interrupt after: soon", "line 3: interrupt after is a number"),
        ("steps:\n  - say: Hi\n    press: 1", "line 2: a step does one thing"),
        ("steps:\n  - press: 1\n    within: 3", "line 3: 'press' has no 'within'"),
        ("steps:\n  - say: Hi\n  - say: ''", "line 3: say is empty"),
        ("steps:\n  - say: Hi\nsteps:\n  - say: Hi", "line 3: 'steps' is given twice"),
        ("goal: [a]", "line 1: goal is a text"),
        ("- say: Hi\n  - say: Hi", "line 2: no YAML and no JSON"),
        ('{"steps": [{"say": "Hi"}', "no YAML and no JSON"),
        ("steps: &a\n  - say: Hi\nexpect: *a", "anchors"),
        ("steps:\n" + "  - say: Hi\n" * 201, "201 steps"),
    ],
)
def test_what_is_no_script_is_told_with_its_line(text: str, told: str):
    with pytest.raises(BadScript) as error:
        scenario_of(text)
    assert told in str(error.value)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str):
    try:
        scenario_of(text)
    except BadScript:
        return


def test_lines_of_text_wait_for_words_and_break_the_line_too():
    assert steps_of("[wait for dollars | euros]\n[drop line]") == (WaitFor(phrases=("dollars", "euros")), Drop())


def test_a_manner_changes_the_sound():
    sound = tone((200.0, 3000.0), 1.0)
    assert loudness(in_manner(sound, Manner(level=-20))) == pytest.approx(loudness(sound) / 10, rel=0.02)
    assert len(in_manner(sound, Manner(pitch=12 / 2))) == pytest.approx(len(sound) / 2**0.5, rel=0.01)
    mumbled = np.abs(np.fft.rfft(in_manner(sound, Manner(mumble=1.0)).astype(float)))
    plain = np.abs(np.fft.rfft(sound.astype(float)))
    assert mumbled[3000] < plain[3000] / 50
    assert mumbled[200] == pytest.approx(plain[200], rel=0.1)


class Ear(Listening):
    """Understands what a test says was said."""

    is_waiting = False

    def __init__(self) -> None:
        self.said: asyncio.Queue[Heard | None] = asyncio.Queue()

    def hear(self, frame: Any) -> None: ...

    async def texts(self) -> AsyncIterator[Heard]:
        while (one := await self.said.get()) is not None:
            yield one

    async def finish(self) -> None:
        self.said.put_nowait(None)


class Ears:
    def __init__(self) -> None:
        self.ear = Ear()

    async def open(self, *, pause: float) -> Listening:
        return self.ear


class Slow(Tones):
    """Speaks when it is let to."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def spoken(self, text: str, manner: Manner | None = None) -> Any:
        await self.may.wait()
        return await super().spoken(text, manner)


class Line:
    """Somebody at a telephone who hears, frame by frame."""

    def __init__(self, behaviour: Behaviour, voice: Tones | None = None) -> None:
        self.ears, self.ended, self.drops = Ears(), asyncio.Event(), 0
        self.notes: list[tuple[str, dict[str, Any]]] = []
        senses = Senses(
            voice=voice or Tones(), ears=self.ears, mind=lambda described: GoalFollower(goal_of(described.goal))
        )  # fmt: skip
        self.telephone: Any = telephone_of(behaviour, senses, self._note, self._dropped)

    def _note(self, kind: str, **detail: Any) -> None:
        self.notes.append((kind, detail))

    def _dropped(self) -> None:
        self.drops += 1

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [detail for one, detail in self.notes if one == kind]

    async def frames(self, frames: Any) -> None:
        for frame in frames:
            self.telephone.exchange(frame)
            await asyncio.sleep(0)

    async def says(self, text: str) -> None:
        """The other side says something, and waits a second."""
        await self.frames(TALK[:40])
        self.ears.ear.said.put_nowait(Heard(text=text, began=0.0, ended=0.8))
        await self.frames([SILENCE] * 50)

    async def until_quiet(self) -> None:
        """Until the person has finished."""
        for _ in range(2000):
            frame = self.telephone.exchange(SILENCE)
            await asyncio.sleep(0)
            if loudness(frame) < 0.001 and not self.telephone._queue:
                return


async def played(behaviour: Behaviour, *said: str) -> Line:
    line = Line(behaviour)
    await line.telephone.prepare()
    life = asyncio.create_task(line.telephone.live(line.ended))
    for text in said:
        await line.says(text)
        await line.until_quiet()
    line.ended.set()
    await life
    return line


async def test_a_person_with_a_goal_answers_what_he_hears_and_hangs_up():
    line = await played(
        Behaviour(goal="Find out what a check-up costs", is_caller=True, pause=0.5),
        "Hello, how can I help?",
        "A check-up is 85 dollars.",
    )
    assert [one["text"] for one in line.told("said")] == [
        "Could you tell me what a check-up costs?",
        "Great, thank you. That's all I needed. Goodbye.",
    ]
    assert line.telephone.has_hung_up
    assert line.told("goal")[0]["goalReached"] == "yes"
    assert [one["text"] for one in line.told("heard")][-1] == "A check-up is 85 dollars."
    assert line.notes[-1][0] == "settled"


async def test_an_answer_is_thrown_away_when_the_other_side_goes_on():
    voice = Slow()
    voice.may.set()
    line = Line(Behaviour(goal="Find out what a check-up costs", is_caller=True, pause=0.5), voice)
    await line.telephone.prepare()
    voice.may.clear()
    life = asyncio.create_task(line.telephone.live(line.ended))
    await line.frames(TALK[:40])
    line.ears.ear.said.put_nowait(Heard(text="Hello.", began=0.0, ended=0.8))
    await line.frames([SILENCE] * 38)
    await line.frames(TALK[:40])
    voice.may.set()
    line.ears.ear.said.put_nowait(Heard(text="For prices, press 2.", began=2.0, ended=2.8))
    await line.frames([SILENCE] * 60)
    line.ended.set()
    await life
    assert line.told("said") == []
    assert line.telephone.pressed_keys() == "2"


async def test_a_script_goes_on_when_the_words_came_and_gives_up_without_them():
    steps = (WaitFor(phrases=("85 dollars",), within=9.0, required=True), Say(text="Thanks."))
    line = await played(Behaviour(steps=steps, is_caller=True), "It costs eighty-five dollars.")
    assert line.told("awaited") == [{"phrases": ["85 dollars"], "came": True}]
    assert [one["text"] for one in line.told("said")] == ["Thanks."]
    line = await played(Behaviour(steps=steps, is_caller=True), *["I don't know."] * 8)
    assert line.told("awaited") == [{"phrases": ["85 dollars"], "came": False}]
    assert line.told("said") == []
    assert line.telephone.has_hung_up


async def test_the_line_breaks_where_the_script_says_so():
    line = await played(Behaviour(script="[drop line]", hears=True, is_caller=True, stays=True), "Hello?")
    assert line.drops == 1


async def test_nobody_is_held_up_by_ears_that_do_not_work():
    line = Line(Behaviour(script="Hello there.", hears=True, is_caller=True, patience=1))

    async def broken(*, pause: float) -> Listening:
        raise OSError("no model")

    line.ears.open = broken  # type: ignore[method-assign]
    await line.telephone.prepare()
    await line.frames([SILENCE] * 60)
    assert line.told("deaf")[0]["why"] == "OSError: no model"
    assert [one["text"] for one in line.told("said")] == ["Hello there."]


async def test_how_fast_answers_and_silences_come_is_noted():
    line = Line(Behaviour(script="One two.\n[interrupt 0.2] Stop.", is_caller=True, patience=1))
    await line.telephone.prepare()
    await line.frames([SILENCE] * 52)
    await line.until_quiet()
    await line.frames([SILENCE] * 25)
    await line.frames(TALK[:20])
    await line.frames([SILENCE] * 40)
    assert 500 <= line.told("agent_speaks")[0]["after_ms"] <= 560
    cut = line.told("agent_quiet")[-1]
    assert 0 < cut["yielded_ms"] <= 400
