"""How good a call was, from 1.0 to 5.0, out of what was measured; and the same in words.

    score = 5 - sum of deductions, at least 1, rounded to a tenth

A deduction grows linearly from nothing at `good` to `most` at `bad` and stays there; what was not measured deducts nothing. So the
score never rises when a measure gets worse.

    measure                                      good     bad    most
    answer time, median                         800 ms   3500 ms  1.5
    answer time, 95th percentile               1800 ms   6000 ms  0.5
    interruptions of the agent a minute            1        6     0.7
    share of dead air                            0.35     0.85    0.8
    longest silence                               8 s     30 s    0.5
    confidence of the recogniser, mean           0.85     0.35    1.0
    packets lost                                  1 %     12 %    1.5
    times that an echo was suspected               1        8     0.5
    warnings                                       0        4     0.8
    ended by a fault of ours                       0        1     1.5

A second below which a conversation is too short to speak of dead air or interruptions a minute: 20.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from .conversations import CallQuality, Speaker
from .sessions import WRITTEN_CHANNELS, Channel, EndReason

SHORTEST_SECONDS = 20.0
FAULTS = frozenset({EndReason.ERROR, EndReason.NODE_LOST})
EXPECTED_ANSWER_MS = 1500.0

_SCALE: dict[str, tuple[float, float, float]] = {
    "answer_p50_ms": (800, 3500, 1.5),
    "answer_p95_ms": (1800, 6000, 0.5),
    "interruptions_a_minute": (1, 6, 0.7),
    "dead_air": (0.35, 0.85, 0.8),
    "longest_silence_seconds": (8, 30, 0.5),
    "confidence": (0.85, 0.35, 1.0),
    "packet_loss": (0.01, 0.12, 1.5),
    "echoes": (1, 8, 0.5),
    "warnings": (0, 4, 0.8),
    "faults": (0, 1, 1.5),
}
"""Measure → where it is good, where it is bad, and what it deducts then."""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a call; None where nothing was. Shares run from 0 to 1."""

    answer_p50_ms: float | None = None
    answer_p95_ms: float | None = None
    interruptions_a_minute: float | None = None
    dead_air: float | None = None
    longest_silence_seconds: float | None = None
    confidence: float | None = None
    packet_loss: float | None = None
    echoes: float | None = None
    warnings: float | None = None
    faults: float | None = None


class TimedTurn(Protocol):
    """What of a turn counts here."""

    @property
    def speaker(self) -> Speaker: ...
    @property
    def start_time(self) -> float: ...
    @property
    def end_time(self) -> float: ...
    @property
    def confidence(self) -> float: ...


def measures_of(
    quality: CallQuality | None,
    turns: Sequence[TimedTurn],
    *,
    channel: Channel,
    duration_seconds: float,
    end_reason: EndReason | None,
    warnings: int,
) -> Measures:
    """The measures of one conversation. Written channels have neither silence nor sound, so only their answer times count."""
    quality = quality or CallQuality()
    common = {
        "answer_p50_ms": quality.latency_p50_ms,
        "answer_p95_ms": quality.latency_p95_ms,
        "warnings": float(warnings),
        "faults": float(end_reason in FAULTS),
    }
    if channel in WRITTEN_CHANNELS:
        return Measures(**common)
    heard = [turn for turn in turns if turn.speaker is Speaker.USER]
    is_long = duration_seconds >= SHORTEST_SECONDS
    packets = quality.packets_received + quality.packets_lost
    return Measures(
        **common,
        interruptions_a_minute=quality.interruptions * 60 / duration_seconds if is_long else None,
        dead_air=max(0.0, 1 - _spoken_seconds(turns) / duration_seconds) if is_long and turns else None,
        longest_silence_seconds=quality.longest_silence_seconds if turns else None,
        confidence=sum(turn.confidence for turn in heard) / len(heard) if heard else None,
        packet_loss=quality.packets_lost / packets if packets > 0 else None,
        echoes=float(quality.echo_suspected),
    )


def score_of(measures: Measures) -> float:
    """The score, from 1.0 to 5.0."""
    deducted = sum(_deduction(name, getattr(measures, name)) for name in _SCALE)
    return round(max(1.0, 5.0 - deducted), 1)


def notes_of(measures: Measures, *, service: str | None = None) -> str:
    """The same in words: how the customer was served, if somebody judged that, then what was measured, worst first."""
    said = [service] if service else []
    said.append(_on_answers(measures))
    troubles = sorted(
        ((_deduction(name, getattr(measures, name)), name) for name in _TROUBLES),
        key=lambda trouble: (-trouble[0], trouble[1]),
    )
    said += [
        _TROUBLES[name].format(value=_shown(name, getattr(measures, name))) for lost, name in troubles if lost >= 0.1
    ]
    return " ".join(sentence for sentence in said if sentence)


_TROUBLES = {
    "interruptions_a_minute": "The customer spoke over the agent {value} times a minute.",
    "dead_air": "{value} of the call was silence.",
    "longest_silence_seconds": "The longest silence lasted {value} seconds.",
    "confidence": "The customer was hard to understand for the recogniser ({value} confidence).",
    "packet_loss": "The line lost {value} of its packets.",
    "echoes": "The agent's own voice came back over the customer's microphone {value} times.",
    "warnings": "The call gave {value} warnings.",
    "faults": "The call was cut off by a technical fault.",
}


def _on_answers(measures: Measures) -> str:
    median = measures.answer_p50_ms
    if median is None:
        return "Response time was not measured."
    if median <= EXPECTED_ANSWER_MS:
        return f"Response time was within expected range ({median / 1000:.1f} s in the median)."
    return f"Response time was slower than expected ({median / 1000:.1f} s in the median)."


def _deduction(name: str, value: float | None) -> float:
    if value is None:
        return 0.0
    good, bad, most = _SCALE[name]
    return most * min(1.0, max(0.0, (value - good) / (bad - good)))


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name in {"dead_air", "confidence", "packet_loss"}:
        return f"{value:.0%}"
    return f"{value:.0f}" if value >= 10 or float(value).is_integer() else f"{value:.1f}"


def _spoken_seconds(turns: Sequence[TimedTurn]) -> float:
    """Seconds in which somebody spoke; overlaps count once."""
    total, until = 0.0, 0.0
    for start, end in sorted((turn.start_time, turn.end_time) for turn in turns):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
