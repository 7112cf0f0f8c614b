"""Scripts of simulated people, and how they follow them: frame by frame, without a clock."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_simulator.persona.behaviour import Answer, Behaviour, behaviour_of
from voisnap_simulator.persona.person import telephone_of
from voisnap_simulator.persona.script import BadScript, HangUp, Press, Say, Silence, Wait, steps_of
from voisnap_simulator.persona.voice import Tones
from voisnap_simulator.voice.calls import Nature, Telephone
from voisnap_simulator.voice.sound import FRAME, SILENCE, framed, tone

pytestmark = pytest.mark.unit

TALK = framed(tone((500.0,), 0.02 * 400))
SECOND = 50


def test_a_script_says_what_to_do_line_by_line():
    text = """
    # somebody who is in a hurry
    Hello there.
    [press 1#w2]
    [silence 2.5]
    [interrupt 0.4] No, wait!
    [at once] Hello?
    [wait]
    [hang up]
    """
    assert steps_of(text) == (
        Say(text="Hello there."),
        Press(digits="1#w2"),
        Silence(seconds=2.5),
        Say(text="No, wait!", interrupt_after=0.4),
        Say(text="Hello?", at_once=True),
        Wait(),
        HangUp(),
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[press]", "line 1: \\[press\\]"),
        ("[press 1] and more", "line 1"),
        ("[silence long]", "line 1: seconds"),
        ("[silence 601]", "line 1: seconds"),
        ("[interrupt 1]", "line 1"),
        ("[dance]", "line 1: no directive"),
        ("x" * 501, "line 1: 501 characters"),
        ("a\n" * 201, "201 steps"),
    ],
)
def test_what_is_no_script_is_told_with_its_line(line: str, told: str):
    with pytest.raises(BadScript, match=told):
        steps_of(line)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_scripts(text: str):
    try:
        steps = steps_of(text)
    except BadScript:
        return
    assert all(not isinstance(step, Say) or step.text.strip() for step in steps)


class Line:
    """Somebody at a telephone, and what he did, in frames."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.notes: list[tuple[int, str, dict[str, Any]]] = []
        self.now = 0
        self.telephone: Telephone = telephone_of(behaviour, Tones(), self._note)
        asyncio.run(self.telephone.prepare())

    def _note(self, kind: str, **detail: Any) -> None:
        self.notes.append((self.now, kind, detail))

    def hear(self, frames: Any) -> int:
        """How many frames it was loud on its side meanwhile."""
        loud = 0
        for frame in frames:
            self.now += 1
            loud += bool(np.abs(self.telephone.exchange(frame)).max() > 500)
        return loud

    def quiet(self, seconds: float) -> int:
        return self.hear([SILENCE] * round(seconds * SECOND))

    def moments(self, kind: str) -> list[int]:
        return [at for at, one, _ in self.notes if one == kind]

    def said(self) -> list[str]:
        return [detail["text"] for _, kind, detail in self.notes if kind == "said"]


def caller(script: str, **more: Any) -> Line:
    return Line(Behaviour(script=script, is_caller=True, **more))


def test_a_person_waits_until_the_other_side_has_finished():
    line = caller("One two three.\nFour.", pause=0.6, patience=5)
    assert line.quiet(1) == 0
    assert line.hear(TALK[: 2 * SECOND]) == 0
    assert line.quiet(0.5) == 0
    assert line.quiet(1.2) > 0.8 * SECOND
    assert line.said() == ["One two three."]
    line.quiet(1)
    line.hear(TALK[:SECOND])
    line.quiet(1)
    assert line.said() == ["One two three.", "Four."]
    assert not line.telephone.has_hung_up
    line.quiet(1)
    line.hear(TALK[:SECOND])
    line.quiet(1)
    assert line.telephone.has_hung_up


def test_a_person_loses_patience_with_somebody_who_says_nothing():
    line = caller("Hello?", patience=2)
    line.quiet(1.9)
    assert line.said() == []
    line.quiet(0.2)
    assert line.said() == ["Hello?"]


def test_an_interruption_comes_into_the_other_sides_speech():
    line = caller("[interrupt 0.5] Stop.", patience=10)
    line.quiet(0.5)
    line.hear(TALK[: round(0.4 * SECOND)])
    assert line.said() == []
    line.hear(TALK[: round(0.3 * SECOND)])
    assert line.said() == ["Stop."]


def test_keys_are_pressed_one_after_the_other():
    line = caller("[press 1w2]", patience=1)
    pressed: list[tuple[int, str]] = []
    for _ in range(4 * SECOND):
        line.quiet(0.02)
        if keys := line.telephone.pressed_keys():
            pressed.append((line.now, keys))
    assert [keys for _, keys in pressed] == ["1", "2"]
    assert pressed[1][0] - pressed[0][0] >= SECOND // 2


def test_silence_and_hanging_up_ask_nobody():
    line = caller("[silence 1]\n[hang up]")
    line.hear(TALK[: SECOND - 1])
    assert not line.telephone.has_hung_up
    line.hear(TALK[:5])
    assert line.telephone.has_hung_up


def test_whoever_is_called_speaks_first():
    line = Line(Behaviour(greeting="Miller here."))
    line.quiet(1)
    assert line.said() == ["Miller here."]


def test_a_machine_greets_beeps_and_records():
    line = Line(Behaviour(answer=Answer.VOICEMAIL, greeting="Leave a message."))
    assert (line.telephone.nature, line.telephone.beeps) == (Nature.MACHINE, True)
    line.quiet(0.5)
    assert not line.telephone.greeted.is_set()
    line.quiet(3)
    assert line.telephone.greeted.is_set()
    line.hear(TALK[:SECOND])
    line.quiet(1)
    order = [kind for _, kind, _ in line.notes]
    assert order == ["greeting", "beep", "message_begins", "message_pauses"]


def test_a_screening_asks_listens_and_only_then_the_owner_speaks():
    line = Line(Behaviour(answer=Answer.SCREENING, script="Fine."))
    line.quiet(8)
    assert not line.telephone.greeted.is_set()
    assert line.said() == []
    line.hear(TALK[: 2 * SECOND])
    line.quiet(8)
    assert line.telephone.greeted.is_set()
    assert line.said()[0] == "Hello?"
    kinds = [kind for _, kind, _ in line.notes]
    assert kinds.index("screening") < kinds.index("screened") < kinds.index("picked_up") < kinds.index("said")


def test_a_fax_whistles_and_gives_up():
    line = Line(Behaviour(answer=Answer.FAX))
    assert line.quiet(4) > 2 * SECOND
    line.quiet(40)
    assert line.telephone.has_hung_up


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("+14155550100", Answer.HUMAN),
        ("+14155550101", Answer.BUSY),
        ("+14155550102", Answer.NO_ANSWER),
        ("+14155550103", Answer.VOICEMAIL),
        ("+14155550104", Answer.FAX),
        ("+14155550105", Answer.SCREENING),
        ("+14155550106", Answer.FAILED),
        ("+14155550107", Answer.REJECTED),
        ("+4930123456", Answer.HUMAN),
    ],
)
def test_numbers_behave_by_their_last_digits(number: str, answer: Answer):
    assert behaviour_of(number).answer is answer


def test_frames_are_20_ms():
    assert len(SILENCE) == FRAME == 320
