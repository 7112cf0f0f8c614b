"""What words mean for turns, by table."""

import pytest
from voisnap_domain.turntaking import (
    ends_open,
    has_content,
    is_backchannel,
    is_hum,
    phrase_of,
    says_one_of,
    words_of,
)
from voisnap_domain.turntaking.words import is_farewell, stops

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Goodbye!", "goodbye"),
        ("well, GOODBYE then", "goodbye"),
        ("Good-bye.", "goodbye"),
        ("good bye", "Goodbye"),
        ("Thank you -- bye.", "thank you, bye"),
        ("don’t call", "don't call"),
        ("Thats all, thanks", "that's all"),
        ("that is all for today", "That's all"),
        ("I'm done here", "i am done"),
        ("Au revoir, à bientôt !", "a bientot"),
        ("adios AMIGO", "Adiós"),
        ("Tschüß", "tschüss"),
        ("Auf Wiedersehen", "auf wiedersehen!"),
        ("नमस्ते, धन्यवाद", "धन्यवाद"),
        ("No, I don't think so. Goodbye", "goodbye"),
        ("no i don't think so goodbye", "goodbye"),
        ("I do not have any more questions goodbye", "goodbye"),
        ("I hope you have a good day!", "have a good day"),
        ("I just wanted to say goodbye", "goodbye"),
        ("Goodbye, and thanks for your help", "goodbye"),
    ],
)
def test_a_phrase_is_said_whatever_its_spelling(text, phrase):
    assert says_one_of(text, (phrase_of(phrase),))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("goodbyes are hard", "goodbye"),
        ("thank you and bye", "thank you, bye"),
        ("", "bye"),
        ("Don't say goodbye yet", "goodbye"),
        ("please don't say goodbye", "goodbye"),
        ("I don't want to say goodbye", "goodbye"),
        ("How do you say goodbye in French?", "goodbye"),
        ("Before we say goodbye, what about parking?", "goodbye"),
        ("You said goodbye to me", "goodbye"),
        ("what does the word goodbye mean", "goodbye"),
        ("not goodbye yet", "goodbye"),
        ("do not hang up yet please", "hang up"),
        ("maybe", "bye"),
    ],
)
def test_a_phrase_that_is_denied_or_mentioned_is_not_said(text, phrase):
    assert not says_one_of(text, (phrase_of(phrase),))


def test_without_words_a_phrase_is_none():
    assert phrase_of("!") == ()
    assert words_of("It’s 5 o'clock, naïve!") == ("it's", "5", "o'clock", "naïve")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("uh-huh", "en"),
        ("Mm-hmm.", "en-US"),
        ("Okay", "en"),
        ("yeah, right", "en"),
        ("Yes.", "en"),
        ("okay okay", "en"),
        ("I see, got it", "en"),
        ("That makes sense", "en"),
        ("I see, I see, I see", "en"),
        ("Thank you.", "en"),
        ("sí, claro", "es-MX"),
        ("d'accord", "fr"),
        ("ja, genau", "de-DE"),
        ("na klar", "de"),
        ("haan ji", "hi"),
        ("ठीक है", "hi-IN"),
        ("okay", "hi"),
        ("va bene", "it"),
    ],
)
def test_backchannels(text, language):
    assert is_backchannel(text, language)
    assert not has_content(text, language)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "stop",
        "yes but not today",
        "okay what about sunday",
        "right now",
        "wait",
        "ja",
        "okay okay okay okay okay okay okay okay okay",
        "",
        "...",
    ],
)
def test_what_is_no_backchannel(text):
    assert not is_backchannel(text)
    assert has_content(text) is bool(words_of(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [("I", False), ("yeah I", False), ("that makes", False), ("I would", True), ("makes that", True), ("got", False)],
)
def test_an_unfinished_text_may_yet_be_a_backchannel(text, said):
    assert has_content(text, unfinished=True) is said


@pytest.mark.parametrize(
    ("text", "language", "farewell"),
    [
        ("Bye bye, thank you!", "en", True),
        ("you too, take care", "en", True),
        ("okay bye", "en", True),
        ("gracias, adiós", "es", True),
        ("danke, tschüss", "de", True),
        ("bye, one more thing", "en", False),
        ("", "en", False),
    ],
)
def test_farewells(text, language, farewell):
    assert is_farewell(text, language) is farewell


def test_a_hum_answers_nothing():
    assert is_hum("mm-hmm")
    assert is_hum("")
    assert not is_hum("yes")


@pytest.mark.parametrize(
    ("text", "language", "asked"),
    [
        ("wait a second", "en", True),
        ("No, that is wrong", "en", True),
        ("hold on", "en", True),
        ("espere", "es", True),
        ("Moment mal", "de", True),
        ("I would like to", "en", False),
        ("hold the line", "en", False),
    ],
)
def test_asking_the_agent_to_stop(text, language, asked):
    assert stops(text, language) is asked


@pytest.mark.parametrize(
    ("text", "language", "is_open"),
    [
        ("I want to cancel because", "en", True),
        ("my name is", "en", True),
        ("I need a table for the", "en", True),
        ("um", "en", True),
        ("quiero una mesa para", "es", True),
        ("what time do you close", "en", False),
        ("turn it on", "en", False),
        ("", "en", False),
    ],
)
def test_words_that_leave_a_sentence_open(text, language, is_open):
    assert ends_open(text, language) is is_open
