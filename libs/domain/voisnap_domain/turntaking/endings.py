"""How much silence ends a caller's turn: one policy an endpointing provider.

A policy sets a delay and never vetoes: whatever it thinks, silence ends the turn some time.
"""

from typing import ClassVar, Protocol

import msgspec

from voisnap_domain.agents import Endpointing, EndpointingProvider

from .slot_words import Expected
from .slots import is_unfinished
from .words import ends_open

LIKELY = 0.5
"""From this chance on a turn counts as likely over."""
LIKELY_SILENCE_MS = 250.0
"""Silence after a turn that is likely over; the chance is worked out within it."""
SLOT_SILENCE_MS = 1800.0
"""Silence within a number, an address or a spelling that is not whole yet: the pauses between groups take a second or so."""


class TurnSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a caller's turn while he is silent.

    `words`: as far as recognised. `words_changed_ms`: how long after the end of the voice they last changed. `utterance_over`: the
    recogniser itself says that the caller is done. `likely_over`: the chance that he is, 0..1, by how it sounded.
    """

    words: str = ""
    words_changed_ms: float = 0.0
    utterance_over: bool = False
    likely_over: float | None = None


class EndOfTurnPolicy(Protocol):
    """How much silence ends a caller's turn."""

    wants_judgement: ClassVar[bool]
    """Whether it wants to know the chance that a turn is over."""

    def silence_ms(self, turn: TurnSoFar) -> float:
        """Silence to wait for since the end of the voice."""
        ...


class FixedSilence(msgspec.Struct, frozen=True):
    """`vad`: the same silence after every turn."""

    milliseconds: float
    wants_judgement: ClassVar[bool] = False

    def silence_ms(self, turn: TurnSoFar) -> float:
        """Always the same."""
        return self.milliseconds


class RecogniserSays(msgspec.Struct, frozen=True):
    """`stt`: the recogniser's own end of utterance; without one, words that have not changed for `milliseconds`."""

    milliseconds: float
    wants_judgement: ClassVar[bool] = False

    def silence_ms(self, turn: TurnSoFar) -> float:
        """None at all once the recogniser said so."""
        return 0.0 if turn.utterance_over else self.milliseconds + max(0.0, turn.words_changed_ms)


class SoundsOver(msgspec.Struct, frozen=True):
    """`semantic`: short after what sounds over, long after what does not or ends in an open word, `usual_ms` when nobody knows."""

    usual_ms: float
    longest_ms: float
    language: str = "en"
    wants_judgement: ClassVar[bool] = True

    def silence_ms(self, turn: TurnSoFar) -> float:
        """Between a quarter of a second and `longest_ms`."""
        longest = max(self.usual_ms, self.longest_ms)
        if ends_open(turn.words, self.language):
            return longest
        if turn.likely_over is None:
            return self.usual_ms
        return min(LIKELY_SILENCE_MS, self.usual_ms) if turn.likely_over > LIKELY else longest


def end_of_turn_policy(endpointing: Endpointing, *, language: str = "en") -> EndOfTurnPolicy:
    """The policy an agent configured."""
    silence, longest = float(endpointing.silence_duration_ms), float(endpointing.utterance_end_ms)
    match endpointing.provider:
        case EndpointingProvider.VAD:
            return FixedSilence(silence)
        case EndpointingProvider.STT:
            return RecogniserSays(longest)
        case EndpointingProvider.SEMANTIC:
            return SoundsOver(silence, longest, language)


def silence_to_wait(policy: EndOfTurnPolicy, turn: TurnSoFar, expected: Expected | None) -> float:
    """The policy's silence, or more while the caller is in the middle of what he was asked for."""
    silence = policy.silence_ms(turn)
    if expected is not None and is_unfinished(expected, turn.words):
        return max(silence, SLOT_SILENCE_MS)
    return silence
