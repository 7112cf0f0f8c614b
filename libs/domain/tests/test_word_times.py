"""Times of words within their turn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_domain.conversations import Word, in_turn

pytestmark = pytest.mark.unit

TIMES = st.floats(min_value=-5, max_value=40) | st.sampled_from([math.nan, math.inf, -math.inf])
WORDS = st.lists(
    st.builds(Word, word=st.text(min_size=1), start_time=TIMES, end_time=TIMES, confidence=st.floats(0, 1)), max_size=12
)


@given(words=WORDS, start=st.floats(0, 20), length=st.floats(0, 20))
def test_words_follow_each_other_inside_their_turn(words, start, length):
    end = start + length
    placed = in_turn(tuple(words), start=start, end=end)
    assert [(word.word, word.confidence) for word in placed] == [(word.word, word.confidence) for word in words]
    moments = [start, *(moment for word in placed for moment in (word.start_time, word.end_time)), end]
    assert moments == sorted(moments)


@given(st.lists(st.floats(0, 60), min_size=2, max_size=24))
def test_good_times_stay_as_they_are(edges):
    edges = sorted(edges)
    words = tuple(
        Word(word="w", start_time=edges[n], end_time=edges[n + 1], confidence=1.0) for n in range(0, len(edges) - 1, 2)
    )
    assert in_turn(words, start=edges[0], end=edges[-1]) == words


def test_one_end_beyond_all_measure_does_not_push_the_others_away():
    times = ((0.0, 90.0), (1.0, 1.5), (2.0, 2.5))
    words = tuple(Word(word="w", start_time=begin, end_time=end, confidence=1.0) for begin, end in times)
    placed = [(word.start_time, word.end_time) for word in in_turn(words, start=0.0, end=3.0)]
    assert placed == [(0.0, 1.0), (1.0, 1.5), (2.0, 2.5)]
