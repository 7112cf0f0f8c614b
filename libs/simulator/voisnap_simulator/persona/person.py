"""Telephones with somebody at them: a person with a script or a goal, an answering machine, a fax, a call screening.

Time passes by `exchange`, 20 ms each; nothing here looks at a clock, so a whole call is played in virtual time as well.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from voisnap_media.pcm import Samples

from voisnap_simulator.voice.calls import Nature, Picked, Telephone
from voisnap_simulator.voice.media import loudness
from voisnap_simulator.voice.sound import SILENCE, framed, tone

from .behaviour import Answer, Behaviour
from .ear import BEGINS, LOUD, Ear
from .hearing import Ears, Heard, Listening
from .manner import PLAIN, noise_of
from .mind import Mind, Reply
from .script import Drop, HangUp, Press, Say, Silence, Step, Wait, WaitFor
from .voice import Voice
from .words import holds

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


@dataclass(frozen=True, kw_only=True)
class Senses:
    """What people are given to take part. `mind` is made for those who have a goal; without `ears` nobody understands a word."""

    voice: Voice
    ears: Ears | None = None
    mind: Callable[[Behaviour], Mind] | None = None


def telephone_of(
    behaviour: Behaviour, senses: Senses | Voice, note: Note, drop: Callable[[], None] = lambda: None
) -> Telephone:
    """The telephone that behaves so; `note` is told what is said and heard, `drop` breaks the line."""
    senses = senses if isinstance(senses, Senses) else Senses(voice=senses)
    match behaviour.answer:
        case Answer.VOICEMAIL:
            return Machine(behaviour, senses, note)
        case Answer.FAX:
            return Fax(behaviour, note)
        case Answer.SCREENING:
            return Screening(behaviour, senses, note, drop)
    return Person(behaviour, senses, note, drop)


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


class _Understanding(_Ringing):
    """Somebody who writes down what the other side says, where that is wanted. Nobody is held up by it: whoever cannot hear notes that."""

    def __init__(self, behaviour: Behaviour, senses: Senses, note: Note) -> None:
        super().__init__(behaviour, note)
        self._voice = senses.voice
        self._ears = senses.ears if behaviour.listens else None
        self._hearing: Listening | None = None
        self._opening = asyncio.Lock()

    async def prepare(self) -> None:
        async with self._opening:  # the call's own life begins beside it
            ears, self._ears = self._ears, None
            if ears is None:
                return
            try:
                self._hearing = await ears.open(pause=self._behaviour.pause)
            except Exception as error:  # whatever a model may lack, the call goes on without it
                self._note("deaf", why=f"{type(error).__name__}: {error}"[:300])

    async def live(self, ended: asyncio.Event) -> None:
        """As long as the call, and until its last words are written down. Ends with the note `settled`."""
        await _Understanding.prepare(self)
        if self._hearing is not None:
            reading = asyncio.create_task(self._read(self._hearing))
            working = self._begin()
            try:
                await ended.wait()
                if working is not None:
                    working.cancel()
                await self._hearing.finish()
                await asyncio.wait({reading}, timeout=1.0)
            finally:
                reading.cancel()
                if working is not None:
                    working.cancel()
        else:
            await ended.wait()
        self._conclude()
        self._note("settled")

    def _begin(self) -> "asyncio.Task[None] | None":
        """Whatever else is done as long as the call lasts."""
        return None

    def _conclude(self) -> None:
        """The call is over, and everything heard."""

    def _understood(self, heard: Heard) -> None:
        self._note("heard", **msgspec.structs.asdict(heard))

    async def _read(self, hearing: Listening) -> None:
        async for heard in hearing.texts():
            self._understood(heard)


class Person(_Understanding):
    """Follows a script: speaks when the other side has finished, or into its speech. Then a goal, where there is one; hangs up at the end."""

    def __init__(self, behaviour: Behaviour, senses: Senses, note: Note, drop: Callable[[], None]) -> None:
        super().__init__(behaviour, senses, note)
        self._drop = drop
        self._steps: deque[Step] = deque(behaviour.plan())
        self._mind = senses.mind(behaviour) if behaviour.goal and senses.mind is not None else None
        self._sounds: dict[Say, list[Samples]] = {}
        self._ear = Ear()
        self._pause = round(behaviour.pause * A_SECOND)
        self._patience = round(behaviour.patience * A_SECOND)
        self._queue: deque[Samples] = deque()
        self._pressing: deque[str] = deque()
        self._pressed = ""
        self._key_wait = 0
        self._waited = 0
        self._at = 0
        self._heard_before = 0
        """Utterances of the other side that were answered already."""
        self._was_talking = False
        self._last_said_at = 0
        self._last_sound_at = 0
        """When the last word that was said was over; 0 when it has been answered."""
        self._tail = 0
        """Frames of silence at the end of the line that is being said."""
        self._cut_at = 0
        """When the person began to speak into the other side's speech; 0 when it has fallen silent."""
        self._stays = behaviour.stays
        self._since_said: list[str] = []
        """What was understood since the last line."""
        self._pending: list[str] = []
        """What was understood and not answered yet."""
        self._is_asked = asyncio.Event()
        self._is_thinking = self._leaves = False
        self._thought: tuple[Reply, Mind, list[Samples], int] | None = None
        self._noise = framed(noise_of(behaviour.noise)) if behaviour.noise is not None else []
        self._backgrounds: dict[float, list[Samples]] = {}
        self._background: list[Samples] = self._noise

    async def prepare(self) -> None:
        await super().prepare()
        await self._speak(tuple(self._steps))
        if self._mind is not None:
            await self._voice.spoken("Hello.")  # loads it: the first answer does not wait for that

    async def add(self, steps: tuple[Step, ...]) -> None:
        """Goes on with more of a script."""
        await self._speak(steps)
        self._steps.extend(steps)

    async def _speak(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Say) and step not in self._sounds:
                self._sounds[step] = framed(await self._voice.spoken(step.text, _manner(step)))

    def pressed_keys(self) -> str:
        pressed, self._pressed = self._pressed, ""
        return pressed

    def exchange(self, heard: Samples) -> Samples:
        self._at += 1
        ear = self._ear
        ear.hear(heard)
        if self._hearing is not None:
            self._hearing.hear(heard)
        if ear.is_talking != self._was_talking:
            self._was_talking = ear.is_talking
            self._turned()
        said = self._next()
        if self._background:
            return _mixed(said, self._background[self._at % len(self._background)])
        return said

    def _next(self) -> Samples:
        if self._queue:
            frame = self._queue.popleft()
            if not self._queue:
                self._said()
            return frame
        if self._pressing:
            self._press()
            return SILENCE
        if self._leaves and not self._hung_up:
            self._hang_up()
        if self._hung_up:
            return SILENCE
        if not self._steps and self._mind is not None:
            return self._converse()
        if self._stays and not self._steps:
            return SILENCE
        step = self._steps[0] if self._steps else None
        if not self._is_due(step):
            self._waited += 1
            return SILENCE
        if self._steps:
            self._steps.popleft()
        self._waited = 0
        return self._do(step)

    def _turned(self) -> None:
        """The other side begins to speak, or has finished."""
        ear = self._ear
        if not ear.is_talking:
            if self._cut_at:
                self._note("agent_quiet", yielded_ms=(self._at - ear.quiet_for - self._cut_at) * 20)
                self._cut_at = 0
            else:
                self._note("agent_quiet")
            return
        began = self._at - BEGINS
        if len(self._queue) > self._tail:
            self._note("agent_speaks", interrupts=True)
        elif self._queue:
            self._note("agent_speaks", after_ms=(began - (self._at + len(self._queue) - self._tail)) * 20)
            self._tail = -1
        elif self._last_sound_at:
            self._note("agent_speaks", after_ms=(began - self._last_sound_at) * 20)
        else:
            self._note("agent_speaks")
        self._last_sound_at = 0

    def _is_due(self, step: Step | None) -> bool:
        ear = self._ear
        match step:
            case Say(at_once=True):
                return self._waited >= GREETING_FRAMES or self._last_said_at > 0
            case Say(interrupt_after=float() as after):
                return (ear.is_talking and ear.talked_for >= after * A_SECOND) or self._waited >= self._patience
            case Silence(seconds=seconds):
                return self._waited >= seconds * A_SECOND
            case WaitFor(phrases=phrases, within=within):
                return self._came(phrases) or self._waited >= within * A_SECOND or self._hearing is None
            case HangUp() | Drop():
                return True
        has_spoken = ear.utterances > self._heard_before
        if ear.is_talking:
            return False
        if has_spoken:
            return ear.quiet_for >= self._pause
        return self._waited >= self._patience

    def _came(self, phrases: tuple[str, ...]) -> bool:
        heard = " ".join(self._since_said)
        return any(holds(heard, phrase) for phrase in phrases)

    def _do(self, step: Step | None) -> Samples:
        match step:
            case Say(text=text):
                return self._say(text, self._sounds.get(step, []), step.manner.noise)
            case Press(digits=digits):
                self._heard_before = self._ear.utterances
                self._pressing.extend(digits)
            case WaitFor(phrases=phrases, required=required):
                came = self._came(phrases)
                self._note("awaited", phrases=list(phrases), came=came)
                if not came and required:
                    self._hang_up()
                self._last_said_at = self._at
            case Drop():
                self._note("drops_line")
                self._drop()
            case Wait() | Silence():
                self._last_said_at = self._at
            case _:  # a hang-up, or the end of the script
                self._hang_up()
        return SILENCE

    def _say(self, text: str, sounds: list[Samples], noise: float | None = None) -> Samples:
        ear = self._ear
        self._heard_before = ear.utterances
        self._since_said.clear()
        self._background = (
            self._noise if noise is None else self._backgrounds.setdefault(noise, framed(noise_of(noise)))
        )
        if ear.is_talking:
            self._cut_at = self._at
            self._note("said", text=text, interrupts=True)
        else:
            self._note("said", text=text)
        self._queue.extend(sounds)
        if not self._queue:
            self._said()
            return SILENCE
        loud = [number for number, frame in enumerate(sounds) if loudness(frame) > LOUD]
        self._tail = len(sounds) - 1 - loud[-1] if loud else 0
        return self._queue.popleft()

    def _hang_up(self) -> None:
        self._note("hangs_up")
        self._hung_up = True

    def _said(self) -> None:
        self._last_said_at = self._at
        self._last_sound_at = self._at - self._tail if self._tail >= 0 else 0
        self._background = self._noise
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

    # With a goal ------------------------------------------------------------------------------------------------------

    def _converse(self) -> Samples:
        """Says what was thought out, when the other side has finished; or lets somebody think."""
        ear = self._ear
        if self._at >= self._behaviour.most_seconds * A_SECOND:
            self._note("gives_up", seconds=self._behaviour.most_seconds)
            self._hang_up()
            return SILENCE
        if self._thought is not None:
            reply, mind, sounds, answered = self._thought
            if ear.is_talking or len(self._pending) > answered:
                self._thought = None  # the other side goes on: it is answered as a whole
                return SILENCE
            self._thought, self._mind = None, mind
            del self._pending[:answered]
            return self._act(reply, sounds)
        if self._is_thinking:
            return SILENCE
        self._waited += 1
        is_waiting = self._hearing is not None and self._hearing.is_waiting
        if ear.is_talking or is_waiting:
            self._waited = 0
        elif self._pending and ear.quiet_for >= self._pause:
            self._is_thinking = True
            self._is_asked.set()
        elif self._waited >= self._patience:
            self._waited = 0
            self._is_thinking = True
            self._is_asked.set()
        return SILENCE

    def _act(self, reply: Reply, sounds: list[Samples]) -> Samples:
        self._waited = 0
        self._leaves = reply.ends
        self._pressing.extend(reply.keys)
        self._heard_before = self._ear.utterances
        return self._say(reply.text, sounds) if reply.text else SILENCE

    def _begin(self) -> "asyncio.Task[None] | None":
        return asyncio.create_task(self._think()) if self._mind is not None else None

    async def _think(self) -> None:
        while True:
            await self._is_asked.wait()
            self._is_asked.clear()
            mind, answered = self._mind, len(self._pending)
            if mind is None:
                return
            reply, after = await (mind.answer(" ".join(self._pending)) if answered else mind.silence())
            sounds: list[Samples] = []
            if reply.text:
                sounds = framed(await self._voice.spoken(reply.text, _plain(self._behaviour.manner)))
            self._thought = reply, after, sounds, answered
            self._is_thinking = False

    def _understood(self, heard: Heard) -> None:
        super()._understood(heard)
        self._since_said.append(heard.text)
        if self._mind is not None:
            self._pending.append(heard.text)

    def _conclude(self) -> None:
        if self._mind is None:
            return
        for text in self._pending:
            self._mind = self._mind.heard_last(text)
        verdict: dict[str, Any] = msgspec.to_builtins(self._mind.verdict())
        self._note("goal", **verdict)


def _manner(step: Say) -> Any:
    return _plain(step.manner)


def _plain(manner: Any) -> Any:
    """None for the usual manner of speaking, so that a line is kept once; noise is mixed in afterwards."""
    manner = msgspec.structs.replace(manner, noise=None)
    return None if manner == PLAIN else manner


def _mixed(said: Samples, noise: Samples) -> Samples:
    return np.clip(said.astype(np.int32) + noise, -32768, 32767).astype(np.int16)


class Machine(_Understanding):
    """An answering machine: a greeting, a beep, and then it records until the caller hangs up."""

    nature = Nature.MACHINE

    def __init__(self, behaviour: Behaviour, senses: Senses, note: Note) -> None:
        super().__init__(behaviour, senses, note)
        self.beeps = behaviour.beep
        self._greeting = behaviour.greeting or MACHINE_GREETING
        self._queue: deque[Samples] = deque()
        self._recorded = 0
        self._ear = Ear()
        self._was_talking = False

    async def prepare(self) -> None:
        await super().prepare()
        greeting = await self._voice.spoken(self._greeting)
        beep = tone((1000.0,), 0.45, 0.4) if self.beeps else np.zeros(0, np.int16)
        pause = np.zeros(8000, np.int16)
        self._queue.extend(framed(np.concatenate([pause, greeting, pause, beep])))

    def exchange(self, heard: Samples) -> Samples:
        if not self._recorded:
            self._note("greeting", text=self._greeting)
        self._recorded += 1
        if self._hearing is not None:
            self._hearing.hear(heard)
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

    def __init__(self, behaviour: Behaviour, senses: Senses, note: Note, drop: Callable[[], None]) -> None:
        super().__init__(behaviour, note)
        self._voice = senses.voice
        self._person = Person(behaviour, senses, note, drop)
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

    async def live(self, ended: asyncio.Event) -> None:
        """As its owner does."""
        await self._person.live(ended)

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
