"""Every turn on record has words that follow each other inside the turn, whatever was paused, cut or timed badly by a vendor."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.conversations import Speaker, Turn, Word
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord
from voisnap_runtime.pipeline.events import TurnFinished
from voisnap_runtime.pipeline.mouth import RATE, Heard, Mouth
from voisnap_runtime.pipeline.turn_log import Said, TurnLog

pytestmark = pytest.mark.unit

TEXTS = st.sampled_from(
    (
        "Hello! Thanks for calling.",
        "That's $149.00, due 06/12/2025 at 5:30 p.m.",
        "Ihre Rechnung über 1.234,56 € ist da, Straße 12a.",
        "¿Cuánto cuesta? 3 €.",
        "你好 世界",
        "नमस्ते आप कैसे हैं",
        "مرحبا بكم",
    )
)
MOMENTS = st.floats(-1, 6) | st.just(math.nan)


@st.composite
def chunks(draw) -> SpeechChunk:
    """A second or so of speech whose words are timed evenly, or anyhow."""
    text = draw(TEXTS)
    seconds = draw(st.floats(0.05, 2.0))
    written = text.split()
    share = seconds / len(written)
    even = draw(st.booleans())
    words = tuple(
        SpokenWord(word=word, start=share * place, end=share * (place + 1))
        if even
        else SpokenWord(word=word, start=draw(st.floats(-1, 6)), end=draw(st.floats(-1, 6)))
        for place, word in enumerate(written)
    )
    return SpeechChunk(audio=Pcm(np.ones(round(seconds * RATE), np.int16), RATE), text=text, words=words)


STEPS = st.lists(st.sampled_from(("pull", "pull", "pull", "pause", "resume", "hold", "release", "wait")), max_size=60)


def play(spoken: list[SpeechChunk], steps: list[str], *, cut: bool) -> Heard:
    """What was heard of some speech under pauses and waits, to its end or cut."""
    now = 7.0
    finished: list[Heard] = []
    mouth = Mouth(clock=lambda: now, started=lambda: None, begun=lambda _: None, finished=finished.append)
    mouth.begin()
    for chunk in spoken:
        mouth.put(chunk)
    mouth.close()
    for step in steps:
        if step == "wait":
            now += 1.3
        elif step == "pull":
            for _ in range(3):
                mouth.pull()
                now += 0.02
        else:
            getattr(mouth, step)()
    if cut and not finished:
        return mouth.cut()
    mouth.resume()
    mouth.release()
    while not finished:
        mouth.pull()
        now += 0.02
    return finished[0]


def recorded(events: list[object]) -> list[Turn]:
    return [event.turn for event in events if isinstance(event, TurnFinished)]


def check(turn: Turn) -> None:
    moments = [moment for word in turn.words for moment in (word.start_time, word.end_time)]
    assert [turn.start_time, *moments, turn.end_time] == sorted([turn.start_time, *moments, turn.end_time])


@settings(max_examples=60, deadline=None)
@given(spoken=st.lists(chunks(), min_size=1, max_size=4), steps=STEPS, cut=st.booleans())
def test_the_agents_words_are_inside_their_turn(spoken, steps, cut):
    events: list[object] = []
    log = TurnLog(events.append)
    log.agent_started(7.0)
    heard = play(spoken, steps, cut=cut)
    log.close_agent(heard, latency=None)
    for turn in recorded(events):
        check(turn)
        assert turn.interrupted is not heard.complete
        assert [word.word for word in turn.words] == [word.word for word in heard.words]
        if not turn.interrupted:
            assert " ".join(word.word for word in turn.words) == turn.text


SAID = st.builds(
    Said,
    text=TEXTS,
    words=st.lists(
        st.builds(Word, word=st.just("w"), start_time=MOMENTS, end_time=MOMENTS, confidence=st.just(0.9)), max_size=5
    ).map(tuple),
    start=st.floats(0, 5),
    end=st.floats(0, 5),
    confidence=st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(SAID, min_size=1, max_size=4), restored=st.booleans())
def test_the_callers_words_are_inside_their_turn(pieces, restored):
    events: list[object] = []
    log = TurnLog(events.append)
    for piece in pieces:
        log.say(piece)
    if restored:
        open_turn = log.open_user_turn()
        log = TurnLog(events.append)
        log.restore(None, open_turn)
    log.close_user()
    (turn,) = recorded(events)
    assert turn.speaker is Speaker.USER
    assert len(turn.words) == sum(len(piece.words) for piece in pieces)
    check(turn)


async def test_a_word_before_a_pause_does_not_last_through_it():
    words = (SpokenWord(word="one", start=0.0, end=0.02), SpokenWord(word="two", start=0.02, end=0.04))
    speech = SpeechChunk(audio=Pcm(np.ones(RATE // 25, np.int16), RATE), text="one two", words=words)
    heard = play([speech], ["pause", "wait"], cut=False)
    assert heard.words[0].end - heard.words[0].start == pytest.approx(0.02)
    now = 0.0
    finished: list[Heard] = []
    mouth = Mouth(clock=lambda: now, started=lambda: None, begun=lambda _: None, finished=finished.append)
    mouth.begin()
    mouth.put(speech)
    mouth.close()
    mouth.pull()
    mouth.pause()
    now = 5.0
    mouth.resume()
    for _ in range(5):
        mouth.pull()
    one, two = finished[0].words
    assert (one.start, one.end) == (0.0, pytest.approx(0.02))
    assert (two.start, two.end) == (5.0, pytest.approx(5.02))
