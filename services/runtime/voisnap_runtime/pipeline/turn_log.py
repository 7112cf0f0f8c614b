"""The turns of a call as they come to be on record, in order and without gaps.

A caller's turn stays open until the agent is heard replying to it, since the caller may go on; an agent's turn is written when its playout
ended or was cut.
"""

from collections.abc import Callable

import msgspec
from voisnap_domain.conversations import Speaker, ToolUse, Turn, TurnLatency, Word, in_turn

from .events import CallEvent, TranscriptionUpdated, TurnFinished
from .mouth import Heard


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Recognised words of the caller; times in seconds of the call."""

    text: str
    words: tuple[Word, ...]
    start: float
    end: float
    confidence: float


class TurnLog:
    """Numbers turns, tells them, and keeps them as history."""

    def __init__(self, notify: Callable[[CallEvent], None], *, history: tuple[Turn, ...] = ()) -> None:
        self.turns: list[Turn] = list(history)
        self._notify = notify
        self._next = history[-1].sequence + 1 if history else 1
        self._guessed: Said | None = None
        self._pending: list[Said] = []
        self._agent_speaks = False
        self._agent_start = 0.0
        self._shown = False
        self._tool_turns: list[Turn] = []

    @property
    def history(self) -> list[Turn]:
        """What is on record, and what tools answered since."""
        return [*self.turns, *self._tool_turns]

    @property
    def pending_text(self) -> str:
        """The caller's open turn so far."""
        return " ".join(said.text for said in self._pending)

    @property
    def next_sequence(self) -> int:
        """The first sequence that no turn on record has."""
        return self._next

    # --- a gap

    def open_user_turn(self) -> Turn | None:
        """The caller's open turn as far as it was recognised; `interrupted` while he is still speaking."""
        guessed = self._guessed
        if guessed is not None:
            return msgspec.structs.replace(self._turn_of([*self._pending, guessed]), interrupted=True)
        return self._turn_of(self._pending) if self._pending else None

    def open_agent_turn(self, heard: Heard) -> Turn | None:
        """What was heard of the agent's current words, as an interrupted turn."""
        if not (self._agent_speaks and heard.text):
            return None
        return msgspec.structs.replace(self._agent_turn(heard, None), interrupted=True)

    def restore(self, agent: Turn | None, user: Turn | None) -> None:
        """After a gap: put what was heard of the agent on record, and take up the caller's open turn."""
        if agent is not None:
            self._tell(self._next, Speaker.AGENT, agent.text, True, agent.confidence, agent.start_time, agent.end_time)
            self._record(agent)
        if user is not None:
            self.say(
                Said(
                    text=user.text,
                    words=user.words,
                    start=user.start_time,
                    end=user.end_time,
                    confidence=user.confidence,
                )
            )

    # --- the caller

    def guess(self, said: Said) -> None:
        """Interim words that follow what the open turn already has."""
        if not said.text:
            return
        self._shown = True
        self._guessed = said
        first = self._pending[0].start if self._pending else said.start
        self._tell_user(f"{self.pending_text} {said.text}".strip(), False, said.confidence, first, said.end)

    def say(self, said: Said) -> None:
        """Final words of the open turn."""
        self._guessed = None
        self._pending.append(said)
        turn = self._user_turn()
        self._shown = True
        self._tell_user(turn.text, True, turn.confidence, turn.start_time, turn.end_time)

    def take_back(self, at: float) -> None:
        """The words guessed last were none."""
        self._guessed = None
        if not self._shown:
            return
        if self._pending:
            turn = self._user_turn()
            self._tell_user(turn.text, True, turn.confidence, turn.start_time, turn.end_time)
        else:
            self._shown = False
            self._tell_user("", True, 0.0, at, at)

    def close_user(self) -> None:
        """Put the caller's open turn on record, if there is one."""
        self._guessed = None
        if not self._pending:
            return
        turn = self._user_turn()
        self._pending = []
        self._shown = False
        self._record(turn)

    # --- tools

    def tool_used(self, use: ToolUse, result: str, *, start: float, end: float) -> Turn:
        """What a tool answered: on record behind the caller's turn, or behind the agent's while he speaks."""
        turn = Turn(
            sequence=self._next,
            speaker=Speaker.TOOL,
            text=result,
            start_time=start,
            end_time=max(start, end),
            confidence=1.0,
            tool=use,
        )
        self._tool_turns.append(turn)
        return turn

    def close_tools(self) -> None:
        """Put on record what tools answered."""
        waiting, self._tool_turns = self._tool_turns, []
        for turn in waiting:
            self._record(turn)

    # --- the agent

    def agent_started(self, at: float) -> None:
        """The agent is heard: the caller's turn is over."""
        self.close_user()
        self.close_tools()
        self._agent_speaks = True
        self._agent_start = at

    def agent_says(self, text: str, at: float) -> None:
        """What the agent is saying now, its current piece included."""
        if self._agent_speaks:
            self._tell(self._next, Speaker.AGENT, text, False, 1.0, self._agent_start, at)

    def close_agent(self, heard: Heard, *, latency: TurnLatency | None) -> None:
        """Put on record what was heard of the agent's words; where it was not even one, there was no turn."""
        if not self._agent_speaks:
            return
        self._agent_speaks = False
        turn = self._agent_turn(heard, latency)
        if not turn.text:
            self._tell(self._next, Speaker.AGENT, "", True, 0.0, turn.start_time, turn.end_time)
        else:
            self._tell(self._next, Speaker.AGENT, turn.text, True, 1.0, turn.start_time, turn.end_time)
            self._record(turn)
        self.close_tools()

    # --- inside

    def _agent_turn(self, heard: Heard, latency: TurnLatency | None) -> Turn:
        words = tuple(
            Word(word=word.word, start_time=word.start, end_time=word.end, confidence=1.0) for word in heard.words
        )
        return Turn(
            sequence=self._next,
            speaker=Speaker.AGENT,
            text=heard.text,
            start_time=heard.start,
            end_time=max(heard.start, heard.end),
            confidence=1.0,
            words=words,
            interrupted=not heard.complete,
            latency=latency,
        )

    def _user_turn(self) -> Turn:
        return self._turn_of(self._pending)

    def _turn_of(self, pieces: list[Said]) -> Turn:
        return Turn(
            sequence=self._user_sequence(),
            speaker=Speaker.USER,
            text=" ".join(said.text for said in pieces),
            start_time=pieces[0].start,
            end_time=max(pieces[0].start, *(said.end for said in pieces)),
            confidence=sum(said.confidence for said in pieces) / len(pieces),
            words=tuple(word for said in pieces for word in said.words),
        )

    def _user_sequence(self) -> int:
        return self._next + 1 if self._agent_speaks else self._next

    def _record(self, turn: Turn) -> None:
        words = in_turn(turn.words, start=turn.start_time, end=turn.end_time)
        turn = msgspec.structs.replace(turn, sequence=self._next, words=words)
        self._next += 1
        self.turns.append(turn)
        self._notify(TurnFinished(turn=turn))

    def _tell_user(self, text: str, is_final: bool, confidence: float, start: float, end: float) -> None:
        self._tell(self._user_sequence(), Speaker.USER, text, is_final, confidence, start, end)

    def _tell(
        self, sequence: int, speaker: Speaker, text: str, is_final: bool, confidence: float, start: float, end: float
    ) -> None:
        self._notify(
            TranscriptionUpdated(
                sequence=sequence,
                speaker=speaker,
                text=text,
                is_final=is_final,
                confidence=confidence,
                start_time=start,
                end_time=max(start, end),
            )
        )
