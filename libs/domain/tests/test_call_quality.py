"""The score of a call: documented, between 1 and 5, and never better for a worse measure."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_domain.call_quality import Measures, measures_of, notes_of, score_of
from voisnap_domain.conversations import CallQuality, Speaker, Turn
from voisnap_domain.sessions import Channel, EndReason

pytestmark = pytest.mark.unit

RANGES: dict[str, tuple[float, float, bool]] = {
    "answer_p50_ms": (0, 20_000, True),
    "answer_p95_ms": (0, 40_000, True),
    "interruptions_a_minute": (0, 30, True),
    "dead_air": (0, 1, True),
    "longest_silence_seconds": (0, 300, True),
    "confidence": (0, 1, False),
    "packet_loss": (0, 1, True),
    "echoes": (0, 50, True),
    "warnings": (0, 20, True),
    "faults": (0, 1, True),
}
"""Measure → its range, and whether more of it is worse."""

values = {name: st.none() | st.floats(low, high) for name, (low, high, _) in RANGES.items()}


def test_every_measure_is_tested():
    assert set(RANGES) == set(Measures.__struct_fields__)


@given(st.fixed_dictionaries(values), st.sampled_from(sorted(RANGES)), st.data())
def test_a_worse_measure_never_raises_the_score(given_values, name, data):
    low, high, more_is_worse = RANGES[name]
    first, second = sorted((data.draw(st.floats(low, high)), data.draw(st.floats(low, high))))
    better, worse = (first, second) if more_is_worse else (second, first)
    measures = Measures(**given_values)
    good = score_of(msgspec.structs.replace(measures, **{name: better}))
    bad = score_of(msgspec.structs.replace(measures, **{name: worse}))
    assert 1.0 <= bad <= good <= 5.0
    assert score_of(msgspec.structs.replace(measures, **{name: None})) >= bad


@pytest.mark.parametrize("name", sorted(RANGES))
def test_each_measure_at_its_worst_costs_something(name):
    low, high, more_is_worse = RANGES[name]
    worst = Measures(**{name: high if more_is_worse else low})
    assert score_of(worst) <= 4.5
    assert score_of(Measures()) == 5.0


def test_the_documented_example_points_of_the_formula():
    assert score_of(Measures(answer_p50_ms=800)) == 5.0
    assert score_of(Measures(answer_p50_ms=2150)) == 4.2, "half of 1.5 at the middle of 800 and 3500"
    assert score_of(Measures(packet_loss=0.12)) == 3.5
    everything = Measures(**{name: high if worse else low for name, (low, high, worse) in RANGES.items()})
    assert score_of(everything) == 1.0


def turn(sequence: int, speaker: Speaker, start: float, end: float, confidence: float = 1.0) -> Turn:
    return Turn(sequence=sequence, speaker=speaker, text="x", start_time=start, end_time=end, confidence=confidence)


def measured(channel: Channel = Channel.PHONE, duration: float = 60.0, **quality: object) -> Measures:
    turns = [
        turn(1, Speaker.AGENT, 0, 20),
        turn(2, Speaker.USER, 15, 30, 0.8),
        turn(3, Speaker.USER, 40, 46, 0.6),
    ]
    return measures_of(
        CallQuality(**quality),
        turns,
        channel=channel,
        duration_seconds=duration,
        end_reason=EndReason.ERROR,
        warnings=2,
    )


def test_measures_come_from_turns_and_packets():
    found = measured(packets_received=95, packets_lost=5, interruptions=3, echo_suspected=2, latency_p50_ms=900.0)
    assert found.packet_loss == 0.05
    assert found.interruptions_a_minute == 3
    assert found.dead_air == pytest.approx(1 - 36 / 60), "an overlap counts once"
    assert found.confidence == pytest.approx(0.7)
    assert (found.echoes, found.warnings, found.faults, found.answer_p50_ms) == (2, 2, 1, 900)


def test_what_was_not_measured_counts_for_nothing():
    silent = measures_of(None, [], channel=Channel.PHONE, duration_seconds=0, end_reason=None, warnings=0)
    assert silent == Measures(echoes=0, warnings=0, faults=0)
    written = measured(Channel.WEBCHAT, packets_lost=50, packets_received=50, longest_silence_seconds=90)
    assert (written.packet_loss, written.dead_air, written.longest_silence_seconds, written.confidence) == (None,) * 4
    assert measured(duration=5.0).dead_air is None, "too short to speak of dead air"


def test_notes_tell_the_same_in_words():
    assert "within expected range" in notes_of(Measures(answer_p50_ms=700))
    notes = notes_of(
        Measures(answer_p50_ms=4000, packet_loss=0.1, echoes=0, interruptions_a_minute=0.5), service="Agent was kind."
    )
    assert notes.startswith("Agent was kind. Response time was slower than expected (4.0 s in the median).")
    assert "lost 10% of its packets" in notes
    assert "spoke over" not in notes, "what is as it should be is not worth a word"
