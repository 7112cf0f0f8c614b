"""How a telephone of the simulated network behaves: who answers it, and what they say."""

from enum import StrEnum

import msgspec

from .goal import goal_of
from .manner import PLAIN, Manner
from .script import Say, Step, WaitFor, steps_of


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


class Brain(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The language model that plays a person: of a provider that the platform has an account with."""

    provider: str
    model: str
    base_url: str | None = None


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one telephone. `script` (text) or `steps` is what its owner does; `greeting` is what he, his machine or his call screening says
    first. When the script is over he follows his `goal`, by `brain` or by rules. He waits for the other side's end of speech `pause` seconds, and for its first word at most `patience`."""

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
    goal: str = ""
    brain: Brain | None = None
    most_turns: int = 24
    most_seconds: float = 300.0
    """Of a person with a goal, who then gives up."""
    hears: bool = False
    """Writes down what it understands of the other side; whoever has a goal, or waits for words, does so anyway."""
    manner: Manner = PLAIN
    """How a goal is spoken; a script's lines have their own."""
    noise: float | None = None
    """The level of the place behind the person, dBFS."""

    def __post_init__(self) -> None:
        if not 0 <= self.ring_seconds <= 600 or not 0.1 <= self.pause <= 10 or not 0.5 <= self.patience <= 120:
            raise ValueError("ringSeconds is 0 to 600, pause 0.1 to 10, patience 0.5 to 120")
        if len(self.greeting) > 500:
            raise ValueError("a greeting has 500 characters at most")
        if not 1 <= self.most_turns <= 100 or not 5 <= self.most_seconds <= 3600:
            raise ValueError("mostTurns is 1 to 100, mostSeconds 5 to 3600")
        if self.noise is not None and not -80 <= self.noise <= -10:
            raise ValueError("noise is -80 to -10 dBFS")
        if self.goal:
            goal_of(self.goal)
        self.plan()

    @property
    def listens(self) -> bool:
        """Whether words have to be understood."""
        return self.hears or bool(self.goal) or any(isinstance(step, WaitFor) for step in self.plan())

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
