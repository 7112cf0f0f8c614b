"""Telephones with somebody at them: a person with a script, an answering machine, a fax, a call screening.

Time passes by `exchange`, 20 ms each; nothing here looks at a clock, so a whole call is played in virtual time as well.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np
from voisnap_media.pcm import Samples

from voisnap_simulator.voice.calls import Nature, Picked, Telephone
from voisnap_simulator.voice.sound import SILENCE, framed, tone

from .behaviour import Answer, Behaviour
from .ear import Ear
from .script import HangUp, Press, Say, Silence, Step, Wait
from .voice import Voice

A_SECOND = 50
"""Frames of 20 ms."""
KEY_FRAMES = 15
"""From one pressed key to the next."""
GREETING_FRAMES = 20
"""From picking up to the first word."""
MESSAGE_SECONDS = 90
"""How long an answering machine records."""
SCREENED_SECONDS = 4.0

MACHINE_GREETING = (
    "Hi, you have reached my voicemail. I can't take your call right now. Please leave a message after the tone."
)
SCREENING_GREETING = "Hi. If you record your name and reason for calling, I'll see if this person is available."
SCREENING_THANKS = "Thanks. Please stay on the line."

Note = Callable[..., None]


def telephone_of(behaviour: Behaviour, voice: Voice, note: Note) -> Telephone:
    """The telephone that behaves so; `note` is told what is said and heard."""
    match behaviour.answer:
        case Answer.VOICEMAIL:
            return Machine(behaviour, voice, note)
        case Answer.FAX:
            return Fax(behaviour, note)
        case Answer.SCREENING:
            return Screening(behaviour, voice, note)
    return Person(behaviour, voice, note)


class _Ringing(Telephone):
    """What all telephones do before somebody speaks."""

    nature = Nature.HUMAN
    beeps: bool = False

    def __init__(self, behaviour: Behaviour, note: Note) -> None:
        self._behaviour = behaviour
        self._note = note
        self._hung_up = False
        self.greeted = asyncio.Event()

    async def ring(self) -> Picked:
        outcomes = {
            Answer.BUSY: Picked.BUSY,
            Answer.REJECTED: Picked.REJECTED,
            Answer.FAILED: Picked.NOT_FOUND,
        }
        if self._behaviour.answer is Answer.NO_ANSWER:
            await asyncio.Event().wait()
        await asyncio.sleep(self._behaviour.ring_seconds)
        return outcomes.get(self._behaviour.answer, Picked.UP)

    async def prepare(self) -> None:
        return None

    def pressed_keys(self) -> str:
        return ""

    @property
    def has_hung_up(self) -> bool:
        return self._hung_up

    def hear_keys(self, digits: str) -> None:
        self._note("heard_keys", digits=digits)


class Person(_Ringing):
    """Follows a script: speaks when the other side has finished, or into its speech; hangs up at the end of the script."""

    def __init__(self, behaviour: Behaviour, voice: Voice, note: Note) -> None:
        super().__init__(behaviour, note)
        self._steps: deque[Step] = deque(behaviour.plan())
        self._voice = voice
        self._sounds: dict[str, list[Samples]] = {}
        self._ear = Ear()
        self._pause = round(behaviour.pause * A_SECOND)
        self._patience = round(behaviour.patience * A_SECOND)
        self._queue: deque[Samples] = deque()
        self._pressing: deque[str] = deque()
        self._pressed = ""
        self._key_wait = 0
        self._waited = 0
        self._step_began = 0
        self._at = 0
        self._heard_before = 0
        """Utterances of the other side that were answered already."""
        self._was_talking = False
        self._last_said_at = 0
        self._stays = behaviour.stays

    async def prepare(self) -> None:
        for step in tuple(self._steps):
            if isinstance(step, Say) and step.text not in self._sounds:
                self._sounds[step.text] = framed(await self._voice.spoken(step.text))

    async def add(self, steps: tuple[Step, ...]) -> None:
        """Goes on with more of a script."""
        for step in steps:
            if isinstance(step, Say) and step.text not in self._sounds:
                self._sounds[step.text] = framed(await self._voice.spoken(step.text))
        self._steps.extend(steps)

    def pressed_keys(self) -> str:
        pressed, self._pressed = self._pressed, ""
        return pressed

    def exchange(self, heard: Samples) -> Samples:
        self._at += 1
        ear = self._ear
        ear.hear(heard)
        if ear.is_talking != self._was_talking:
            self._was_talking = ear.is_talking
            self._note("agent_speaks" if ear.is_talking else "agent_quiet")
        if self._queue:
            frame = self._queue.popleft()
            if not self._queue:
                self._said()
            return frame
        if self._pressing:
            self._press()
            return SILENCE
        if self._hung_up or (self._stays and not self._steps):
            return SILENCE
        step = self._steps[0] if self._steps else None
        if not self._is_due(step):
            self._waited += 1
            return SILENCE
        if self._steps:
            self._steps.popleft()
        self._waited = 0
        return self._do(step)

    def _is_due(self, step: Step | None) -> bool:
        ear = self._ear
        match step:
            case Say(at_once=True):
                return self._waited >= GREETING_FRAMES or self._last_said_at > 0
            case Say(interrupt_after=float() as after):
                return (ear.is_talking and ear.talked_for >= after * A_SECOND) or self._waited >= self._patience
            case Silence(seconds=seconds):
                return self._waited >= seconds * A_SECOND
            case HangUp():
                return True
        has_spoken = ear.utterances > self._heard_before
        if ear.is_talking:
            return False
        if has_spoken:
            return ear.quiet_for >= self._pause
        return self._waited >= self._patience

    def _do(self, step: Step | None) -> Samples:
        match step:
            case Say(text=text):
                self._heard_before = self._ear.utterances
                self._note("said", text=text)
                self._queue.extend(self._sounds.get(text, ()))
                if not self._queue:
                    self._said()
                return self._queue.popleft() if self._queue else SILENCE
            case Press(digits=digits):
                self._heard_before = self._ear.utterances
                self._pressing.extend(digits)
            case Wait() | Silence():
                self._last_said_at = self._at
            case _:  # a hang-up, or the end of the script
                self._note("hangs_up")
                self._hung_up = True
        return SILENCE

    def _said(self) -> None:
        self._last_said_at = self._at
        # An answer that began while the last word was spoken counts.
        self._heard_before = self._ear.utterances - (1 if self._ear.is_talking else 0)

    def _press(self) -> None:
        if self._key_wait:
            self._key_wait -= 1
            return
        key = self._pressing.popleft()
        self._key_wait = KEY_FRAMES
        if key == "w":
            self._key_wait = A_SECOND // 2
            return
        self._pressed += key
        self._last_said_at = self._at


class Machine(_Ringing):
    """An answering machine: a greeting, a beep, and then it records until the caller hangs up."""

    nature = Nature.MACHINE

    def __init__(self, behaviour: Behaviour, voice: Voice, note: Note) -> None:
        super().__init__(behaviour, note)
        self.beeps = behaviour.beep
        self._greeting = behaviour.greeting or MACHINE_GREETING
        self._voice = voice
        self._queue: deque[Samples] = deque()
        self._recorded = 0
        self._ear = Ear()
        self._was_talking = False

    async def prepare(self) -> None:
        greeting = await self._voice.spoken(self._greeting)
        beep = tone((1000.0,), 0.45, 0.4) if self.beeps else np.zeros(0, np.int16)
        pause = np.zeros(8000, np.int16)
        self._queue.extend(framed(np.concatenate([pause, greeting, pause, beep])))

    def exchange(self, heard: Samples) -> Samples:
        if not self._recorded:
            self._note("greeting", text=self._greeting)
        self._recorded += 1
        if self._queue:
            return self._queue.popleft()
        if not self.greeted.is_set():
            self.greeted.set()
            self._note("beep" if self.beeps else "greeting_over")
        self._ear.hear(heard)
        if self._ear.is_talking != self._was_talking:
            self._was_talking = self._ear.is_talking
            self._note("message_begins" if self._was_talking else "message_pauses")
        if self._recorded >= MESSAGE_SECONDS * A_SECOND:
            self._hung_up = True
        return SILENCE


class Fax(_Ringing):
    """The answer tone of a fax (ITU-T T.30: 2100 Hz), again and again, and then it gives up."""

    nature = Nature.FAX

    def __init__(self, behaviour: Behaviour, note: Note) -> None:
        super().__init__(behaviour, note)
        whistle = np.concatenate([np.zeros(3200, np.int16), tone((2100.0,), 3.0), np.zeros(24000, np.int16)])
        self._queue: deque[Samples] = deque(framed(whistle) * 6)

    def exchange(self, heard: Samples) -> Samples:
        del heard
        if not self._queue:
            self._hung_up = True
            return SILENCE
        return self._queue.popleft()


class Screening(_Ringing):
    """A telephone's own call screening: asks who it is, listens, and then its owner picks up and goes on as a person."""

    nature = Nature.SCREENING

    def __init__(self, behaviour: Behaviour, voice: Voice, note: Note) -> None:
        super().__init__(behaviour, note)
        self._voice = voice
        self._person = Person(behaviour, voice, note)
        self._queue: deque[Samples] = deque()
        self._thanks: list[Samples] = []
        self._ear = Ear()
        self._stage = 0
        self._has_begun = False
        self._waited = 0

    @property
    def has_hung_up(self) -> bool:
        return self._person.has_hung_up

    async def prepare(self) -> None:
        self._queue.extend(framed(await self._voice.spoken(SCREENING_GREETING)))
        self._thanks = framed(await self._voice.spoken(SCREENING_THANKS))
        await self._person.prepare()

    def pressed_keys(self) -> str:
        return self._person.pressed_keys()

    def exchange(self, heard: Samples) -> Samples:
        self._ear.hear(heard)
        if not self._has_begun:
            self._has_begun = True
            self._note("screening", text=SCREENING_GREETING)
        if self._queue:
            return self._queue.popleft()
        match self._stage:
            case 0:
                self._waited += 1
                has_said = self._ear.utterances > 0 and not self._ear.is_talking and self._ear.quiet_for >= A_SECOND
                if has_said or self._waited >= 3 * SCREENED_SECONDS * A_SECOND:
                    self._stage = 1
                    self.greeted.set()
                    self._queue.extend(self._thanks)
                    self._note("screened")
                return SILENCE
            case 1:
                self._stage, self._waited = 2, 0
                return SILENCE
            case 2:
                self._waited += 1
                if self._waited >= SCREENED_SECONDS / 2 * A_SECOND:
                    self._stage = 3
                    self._note("picked_up")
                return SILENCE
        return self._person.exchange(heard)
