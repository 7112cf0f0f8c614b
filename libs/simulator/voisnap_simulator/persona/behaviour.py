"""How a telephone of the simulated network behaves: who answers it, and what they say."""

from enum import StrEnum

import msgspec

from .script import Say, Step, steps_of


class Answer(StrEnum):
    """What becomes of a call to a telephone."""

    HUMAN = "human"
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    REJECTED = "rejected"
    FAILED = "failed"
    VOICEMAIL = "voicemail"
    FAX = "fax"
    SCREENING = "screening"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one telephone. `script` (text) or `steps` is what its owner does; `greeting` is what he, his machine or his call screening says
    first. He waits for the other side's end of speech `pause` seconds, and for its first word at most `patience`."""

    answer: Answer = Answer.HUMAN
    ring_seconds: float = 1.0
    greeting: str = ""
    script: str = ""
    steps: tuple[Step, ...] = ()
    beep: bool = True
    pause: float = 0.9
    patience: float = 12.0
    stays: bool = False
    """Does not hang up when the script is over: more of it may come."""
    is_caller: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.ring_seconds <= 600 or not 0.1 <= self.pause <= 10 or not 0.5 <= self.patience <= 120:
            raise ValueError("ringSeconds is 0 to 600, pause 0.1 to 10, patience 0.5 to 120")
        if len(self.greeting) > 500:
            raise ValueError("a greeting has 500 characters at most")
        self.plan()

    def plan(self) -> tuple[Step, ...]:
        """What the owner does. Raises BadScript."""
        steps = self.steps or steps_of(self.script)
        if self.is_caller or self.answer not in (Answer.HUMAN, Answer.SCREENING):
            return steps
        return (Say(text=self.greeting or "Hello?", at_once=True), *steps)


_BY_SUFFIX = {
    "0101": Answer.BUSY,
    "0102": Answer.NO_ANSWER,
    "0103": Answer.VOICEMAIL,
    "0104": Answer.FAX,
    "0105": Answer.SCREENING,
    "0106": Answer.FAILED,
    "0107": Answer.REJECTED,
}
"""Numbers behave by their last digits where nothing else was said: fictional numbers end in 0100 to 0199 (NANPA)."""

CHATTY = ("Oh, hi. What is it about?", "I see. Thank you, that is all.")


def behaviour_of(number: str) -> Behaviour:
    """Of a telephone that nobody described."""
    answer = _BY_SUFFIX.get(number[-4:], Answer.HUMAN)
    steps = tuple(Say(text=text) for text in CHATTY) if answer in (Answer.HUMAN, Answer.SCREENING) else ()
    return Behaviour(answer=answer, steps=steps)
