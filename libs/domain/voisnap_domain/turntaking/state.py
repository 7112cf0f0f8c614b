"""What the turn machine knows."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from voisnap_domain.sessions import EndReason

from .commands import TurnCommand
from .endings import TurnSoFar, silence_to_wait
from .rules import TurnRules
from .slot_words import Expected


class Floor(StrEnum):
    """What the agent is doing."""

    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    HELD = "held"
    ENDED = "ended"


class Saying(StrEnum):
    """What the agent's current or next words are."""

    OPENING = "opening"
    REPLY = "reply"
    PROMPT = "prompt"
    WARNING = "warning"
    GOODBYE = "goodbye"
    NOTICE = "notice"


class TurnState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the machine knows. A new one is `TurnState()`; it waits for `CallerConnected` or `CallResumed`.

    `before_hold` is the floor a `Resume` goes back to. `away_since_ms`: since when the caller's line is broken. `open_speech`: the recogniser
    holds speech that was not asked for yet. `voiced_before_ms` and `burst_ms`: voice of that speech in earlier bursts and in the current one.
    `words`: final words of the caller's open turn. `partial`: interim words since, last changed at `partial_ms`;
    `says_something`: they are more than a sign of listening or a guess at a noise. `likely_over` and
    `utterance_over`: evidence about the current silence. `waited_ms`: the silence that ended the last turn. `drafted`: the words to which a
    reply was begun early. `finals_due`: finals asked for and not yet come. `reply_due`: the agent has words to play or in the making.
    `cut_blindly`: the agent was cut without a word. `expected`: what the agent has asked for. `ending`: the reason for which the call ends
    once the agent's words were heard. `aside`: a backchannel said over the agent's words, and when. `notice`: what is to be said once nobody
    speaks. `waits`: the caller is being put through to somebody.
    """

    floor: Floor = Floor.LISTENING
    before_hold: Floor = Floor.LISTENING
    connected: bool = False
    now_ms: float = 0.0
    start_ms: float = 0.0
    away_since_ms: float | None = None
    caller_speaks: bool = False
    open_speech: bool = False
    voiced_before_ms: float = 0.0
    burst_ms: float = 0.0
    silent_since_ms: float = 0.0
    prepared: bool = False
    words: str = ""
    partial: str = ""
    partial_ms: float = 0.0
    says_something: bool = False
    likely_over: float | None = None
    utterance_over: bool = False
    waited_ms: float = 0.0
    drafted: str = ""
    drafts: int = 0
    finals_due: int = 0
    final_due_ms: float = 0.0
    saying: Saying = Saying.OPENING
    reply_due: bool = False
    reply_due_ms: float = 0.0
    cut_blindly: bool = False
    expected: Expected | None = None
    prompts: int = 0
    quiet_since_ms: float = 0.0
    prompted_ms: float | None = None
    keys: str = ""
    key_ms: float = 0.0
    aside: str = ""
    aside_ms: float = 0.0
    notice: str = ""
    waits: bool = False
    ending: EndReason | None = None
    warned: bool = False
    goodbye_said: bool = False

    @property
    def voiced_ms(self) -> float:
        """Voice since the recogniser was last asked."""
        return self.voiced_before_ms + self.burst_ms

    @property
    def agent_was_heard(self) -> bool:
        """Whether any of the words being said were played."""
        return self.floor is Floor.SPEAKING or (self.floor is Floor.HELD and self.before_hold is Floor.SPEAKING)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks and nothing is in the making."""
        busy = self.caller_speaks or self.open_speech or self.finals_due or self.reply_due or self.words or self.keys
        return self.connected and self.floor is Floor.LISTENING and not busy

    @property
    def text(self) -> str:
        """The caller's open turn, as far as it was recognised."""
        return f"{self.words} {self.partial}".strip()


class Step(msgspec.Struct, frozen=True):
    """What an input leads to."""

    state: TurnState
    commands: tuple[TurnCommand, ...] = ()


def changed(state: TurnState, **changes: Any) -> TurnState:
    """The state with these fields changed."""
    return msgspec.structs.replace(state, **changes)


def then(first: Step, action: Callable[[TurnState], Step]) -> Step:
    """One step after the other."""
    second = action(first.state)
    return Step(second.state, first.commands + second.commands)


def silence_ms(rules: TurnRules, state: TurnState) -> float:
    """How much silence ends the caller's open turn, as things stand."""
    turn = TurnSoFar(
        words=state.text,
        words_changed_ms=max(0.0, state.partial_ms - state.silent_since_ms) if state.partial else 0.0,
        utterance_over=state.utterance_over,
        likely_over=state.likely_over,
    )
    return silence_to_wait(rules.end_of_turn, turn, state.expected)


def turn_end_ms(rules: TurnRules, state: TurnState) -> float:
    """When the caller's open turn is over unless he goes on."""
    return state.silent_since_ms + silence_ms(rules, state)
