"""The turn machine on seeded random walks: whatever callers, recognisers, models and voices do, it neither hangs nor spins nor loses words."""

import random

import pytest
from voisnap_domain.sessions import EndReason
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    Answer,
    ApologiseUnheard,
    CallerAway,
    CallerBack,
    CallerConnected,
    Cut,
    Draft,
    DropDraft,
    End,
    EndOfTurnLikely,
    FinishTurn,
    FixedSilence,
    Floor,
    GoOn,
    KeyPressed,
    Pause,
    RecogniserSays,
    Resume,
    SayGoodbye,
    SayOpening,
    SayResumption,
    SaySilencePrompt,
    SayTimeWarning,
    SoundsOver,
    SpeechContinued,
    SpeechEnded,
    SpeechStarted,
    SpeechWasEcho,
    TimePassed,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    VoicemailReached,
    WordsFailed,
    WordsHeard,
    deadline,
    phrase_of,
    step,
    words_of,
)

pytestmark = pytest.mark.unit

SAYINGS = (SayOpening, SayResumption, SaySilencePrompt, SayTimeWarning, SayGoodbye, ApologiseUnheard, GoOn, Answer)
TEXTS = (
    "",
    "uh-huh",
    "yes",
    "wait",
    "goodbye then",
    "I need a",
    "my number is four one five",
    "what does a cleaning cost",
)
SAID = ("It is open.", "What is your phone number?", "Can you spell your name?", "Goodbye, have a nice day.", "")
WALKS = 50
STEPS = 400
IDLE_MS = 12_000.0
LONGEST_MS = 300_000.0
ANSWERED_WITHIN_MS = 60_000.0
"""Nobody waits longer than this once the caller is silent: providers' limits (5 s and 20 s), a prompt's grace, the idle time."""


def rules_of(random_: random.Random) -> TurnRules:
    return TurnRules(
        end_of_turn=random_.choice((FixedSilence(400.0), RecogniserSays(900.0), SoundsOver(600.0, 1500.0))),
        interruptible=random_.random() < 0.8,
        prompt_after_ms=random_.choice((None, 4000.0)),
        idle_after_ms=IDLE_MS,
        max_duration_ms=LONGEST_MS,
        end_phrases=(phrase_of("goodbye"),),
        speaks_first=random_.random() < 0.7,
        trusts_partials=random_.random() < 0.7,
        drafts=random_.random() < 0.5,
    )


class Walk:
    """One conversation. Mirrors what a driver knows: the mouth, the recogniser's debts, the draft."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a walk to be repeated, no secret
        self.rules = rules_of(self.random)
        self.state = TurnState()
        self.now = 0.0
        self.speaks = False
        self.voiced = 0.0
        self.busy = self.played = self.paused = self.drafted = False
        self.finals = 0
        self.unheard = 0.0
        self.ended: EndReason | None = None
        self.trail: list[TurnInput | TurnCommand] = []

    def happen(self, happened: TurnInput) -> None:
        self.trail.append(happened)
        done = step(self.rules, self.state, happened)
        self.state = done.state
        follow: list[TurnInput] = []
        for command in done.commands:
            self.trail.append(command)
            follow += self.do(command)
        for one in follow:
            self.happen(one)
        if self.ended is None:
            self.check()

    def do(self, command: TurnCommand) -> list[TurnInput]:
        match command:
            case Pause():
                assert self.busy, "silenced who says nothing"
                self.paused = True
            case Resume():
                assert self.paused, "let go on who was not silent"
                self.paused = False
            case Cut():
                assert self.busy, "cut who says nothing"
                assert command.heard == self.played
                was_heard, self.busy, self.paused, self.played = self.played, False, False, False
                return [AgentInterrupted(self.now, self.random.choice(SAID))] if was_heard else []
            case FinishTurn():
                self.finals += 1
            case Draft():
                assert words_of(command.text)
                assert not self.drafted, "two drafts at once"
                self.drafted = True
            case DropDraft():
                assert self.drafted, "dropped a draft that was none"
                self.drafted = False
            case End():
                self.ended = command.reason
            case _ if isinstance(command, SAYINGS):
                assert not self.busy, "two utterances at once"
                if isinstance(command, Answer):
                    assert words_of(command.text), "answered nothing"
                    self.drafted = False
                self.busy, self.played = True, False
            case _:
                pass
        return []

    def check(self) -> None:
        assert self.paused == (self.state.floor is Floor.HELD)
        assert self.busy == self.state.reply_due
        assert self.played == (self.busy and self.state.agent_was_heard)
        if self.state.connected:
            due = deadline(self.rules, self.state)
            assert due is not None, "nothing would ever happen again"
            assert due <= LONGEST_MS

    # --- time

    def pass_time(self, milliseconds: float) -> None:
        """Let time pass, waking the machine whenever it wants to be woken."""
        until = self.now + milliseconds
        wakes = 0
        while self.ended is None and (due := deadline(self.rules, self.state)) is not None and due <= until:
            self.now = max(self.now, due)
            self.happen(TimePassed(self.now))
            wakes += 1
            assert wakes < 20 + milliseconds / 50, "the machine spins"
        self.now = until

    # --- what may happen

    def voice(self) -> None:
        self.voiced += 32.0
        if self.speaks:
            self.happen(SpeechContinued(self.now, self.voiced))
        else:
            self.speaks, self.voiced = True, 32.0
            self.happen(SpeechStarted(self.now, 32.0))

    def fall_silent(self) -> None:
        if self.speaks:
            self.speaks = False
            self.happen(SpeechEnded(self.now, max(0.0, self.now - 96.0)))

    def final(self) -> None:
        if self.finals:
            self.finals -= 1
            self.happen(WordsHeard(self.now, self.random.choice(TEXTS), True, self.random.choice((0.0, 0.4, 0.6, 0.9))))

    def agent_goes_on(self) -> None:
        if not self.busy or self.paused:
            return
        if not self.played:
            self.played = True
            self.happen(AgentStarted(self.now))
        elif self.random.random() < 0.3:
            self.agent_finishes()

    def agent_finishes(self) -> None:
        self.busy = self.played = False
        self.happen(AgentFinished(self.now, self.random.choice(SAID), self.random.random() < 0.05))

    def guess(self) -> None:
        self.happen(
            WordsHeard(
                self.now,
                self.random.choice(TEXTS),
                False,
                self.random.choice((0.0, 0.4, 0.9)),
                is_prepared=self.random.random() < 0.4,
                utterance_over=self.random.random() < 0.1,
            )
        )

    def anything(self) -> None:
        rolled = self.random.random()
        if rolled < 0.30:
            for _ in range(self.random.randrange(1, 12)):
                self.pass_time(32.0)
                if self.ended is None:
                    self.voice()
        elif rolled < 0.50:
            self.fall_silent()
        elif rolled < 0.65:
            self.final()
        elif rolled < 0.85:
            self.agent_goes_on()
        elif rolled < 0.93:
            self.guess()
        elif rolled < 0.95:
            self.happen(KeyPressed(self.now, self.random.choice("0123456789#*")))
        elif rolled < 0.96:
            self.finals = 0
            self.happen(WordsFailed(self.now))
        elif rolled < 0.97:
            self.speaks = False
            self.happen(SpeechWasEcho(self.now))
        elif rolled < 0.98:
            self.happen(EndOfTurnLikely(self.now, self.random.random(), self.state.silent_since_ms))
        elif rolled < 0.99:
            self.happen(CallerAway(self.now) if self.state.away_since_ms is None else CallerBack(self.now))
        elif rolled < 0.992:
            self.happen(VoicemailReached(self.now))

    # --- how it ends

    def wander(self) -> None:
        self.happen(CallerConnected(0.0))
        for _ in range(STEPS):
            if self.ended is not None:
                return
            self.anything()
            self.pass_time(self.random.choice((0.0, 20.0, 60.0, 250.0, 700.0)))

    def settle(self) -> None:
        """The caller says no more and the agent is heard; the recogniser answers, or is dead for good."""
        answers = self.random.random() < 0.7
        self.fall_silent()
        if self.state.away_since_ms is not None:
            self.happen(CallerBack(self.now))
        began = self.now
        while self.ended is None:
            self.pass_time(100.0)
            if answers:
                self.final()
            if self.busy and not self.paused and self.ended is None:
                self.agent_goes_on() if not self.played else self.agent_finishes()
            assert self.now - began < ANSWERED_WITHIN_MS, f"stuck in {self.state}"


@pytest.mark.parametrize("batch", range(4))
def test_every_walk_keeps_the_driver_and_the_machine_of_one_mind_and_ends_soon_once_nobody_speaks(batch: int) -> None:
    reasons = set[EndReason]()
    for seed in range(batch * WALKS, (batch + 1) * WALKS):
        walk = Walk(seed)
        try:
            walk.wander()
            walk.settle()
        except AssertionError as error:
            told = "\n".join(map(str, walk.trail[-25:]))
            raise AssertionError(f"seed {seed}: {error}\n{told}\n{walk.state}") from error
        assert walk.ended is not None
        reasons.add(walk.ended)
        assert step(walk.rules, walk.state, KeyPressed(walk.now, "1")).commands == ()
        assert deadline(walk.rules, walk.state) is None
    assert {EndReason.IDLE_TIMEOUT, EndReason.AGENT_ENDED, EndReason.VOICEMAIL} <= reasons


@pytest.mark.parametrize("batch", range(2))
def test_a_walk_on_which_nobody_ever_answers_again_ends_at_the_maximum_duration_at_the_latest(batch: int) -> None:
    for seed in range(batch * WALKS, (batch + 1) * WALKS):
        walk = Walk(10_000 + seed)
        for _ in range(3):
            walk.happen(CallerConnected(walk.now))
            for _ in range(walk.random.randrange(30)):
                if walk.ended is None:
                    walk.anything()
        walk.pass_time(LONGEST_MS)
        assert walk.ended is not None, f"seed {seed}: {walk.state}"
