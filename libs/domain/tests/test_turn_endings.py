"""How much silence ends a turn: by policy, and by what the agent has asked for."""

import time

import pytest
from voisnap_domain.agents import Endpointing, EndpointingProvider
from voisnap_domain.turntaking import (
    LIKELY_SILENCE_MS,
    SLOT_SILENCE_MS,
    Expected,
    FixedSilence,
    Slot,
    TurnSoFar,
    digits_in,
    end_of_turn_policy,
    expected_answer,
    is_unfinished,
    silence_to_wait,
)

pytestmark = pytest.mark.unit


def policy(provider: EndpointingProvider):
    return end_of_turn_policy(Endpointing(provider=provider, silence_duration_ms=700, utterance_end_ms=1400))


def test_vad_waits_for_the_configured_silence():
    assert policy(EndpointingProvider.VAD).silence_ms(TurnSoFar(words="and", likely_over=0.1)) == 700


def test_stt_waits_for_words_that_do_not_change_or_for_the_recogniser_to_say_so():
    waits = policy(EndpointingProvider.STT)
    assert waits.silence_ms(TurnSoFar(words="hello")) == 1400
    assert waits.silence_ms(TurnSoFar(words="hello", words_changed_ms=300)) == 1700
    assert waits.silence_ms(TurnSoFar(words="hello", utterance_over=True)) == 0


@pytest.mark.parametrize(
    ("turn", "silence"),
    [
        (TurnSoFar(words="what time do you close", likely_over=0.99), LIKELY_SILENCE_MS),
        (TurnSoFar(words="what time do you close", likely_over=0.2), 1400),
        (TurnSoFar(words="what time do you close"), 700),
        (TurnSoFar(words="I want to cancel because", likely_over=0.95), 1400),
        (TurnSoFar(words="", likely_over=0.95), LIKELY_SILENCE_MS),
    ],
)
def test_semantic_waits_by_the_sound_and_the_last_word(turn, silence):
    assert policy(EndpointingProvider.SEMANTIC).silence_ms(turn) == silence


def test_what_is_configured_bounds_what_semantic_waits():
    hasty = end_of_turn_policy(
        Endpointing(provider=EndpointingProvider.SEMANTIC, silence_duration_ms=150, utterance_end_ms=300)
    )
    assert hasty.silence_ms(TurnSoFar(words="yes", likely_over=0.9)) == 150
    assert hasty.silence_ms(TurnSoFar(words="yes", likely_over=0.1)) == 300


PHONE, CARD, CODE = (Expected(slot=Slot.DIGITS, counts=counts) for counts in ((10,), (15, 16), (6,)))
NUMBER, EMAIL, SPELLING = Expected(slot=Slot.DIGITS), Expected(slot=Slot.EMAIL), Expected(slot=Slot.SPELLING)
BIRTH, DAY = Expected(slot=Slot.DATE, year=True), Expected(slot=Slot.DATE)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Sure. What is your phone number?", PHONE),
        ("Can I have a callback number?", PHONE),
        ("What's the best number to reach you?", PHONE),
        ("Please give me your mobile number.", PHONE),
        ("And your phone number?", PHONE),
        ("Could you read me the card number?", CARD),
        ("Please tell me the six digit code.", CODE),
        ("Please enter the 6-digit code we sent you.", CODE),
        ("What are the last four digits of your card?", Expected(slot=Slot.DIGITS, counts=(4,))),
        ("May I have your order number, please?", NUMBER),
        ("Could you give me the booking reference number?", NUMBER),
        ("Do you know your account number?", NUMBER),
        ("What is your zip code?", Expected(slot=Slot.DIGITS, counts=(5, 9))),
        ("I need your account number to look that up.", NUMBER),
        ("What is your e-mail address?", EMAIL),
        ("Which email should I use?", EMAIL),
        ("How do you spell your last name?", SPELLING),
        ("Could you spell that for me, please?", SPELLING),
        ("What is your date of birth?", BIRTH),
        ("When were you born?", BIRTH),
        ("What date would you like to come?", DAY),
        ("Great, thanks for that. What is your phone number? Take your time.", PHONE),
        ("How can I help you today?", None),
        ("Your phone number is on the invoice.", None),
        ("We will send you an e-mail.", None),
        ("Is there anything else I can do for you?", None),
        ("How many people will come?", None),
        ("What is your phone number? Never mind. How can I help you?", None),
        ("", None),
    ],
)
def test_what_the_agent_has_asked_for(said, expected):
    assert expected_answer(said) == expected


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("four one five", 3),
        ("555-0100", 7),
        ("415 555 0100", 10),
        ("double five oh one", 4),
        ("triple nine", 3),
        ("twenty-three", 2),
        ("nineteen eighty", 4),
        ("four hundred", 3),
        ("no thank you", 0),
    ],
)
def test_digits_are_counted_however_they_are_said(said, digits):
    assert digits_in(said) == digits


@pytest.mark.parametrize(
    ("expected", "said", "unfinished"),
    [
        (PHONE, "", True),
        (PHONE, "sure it's", True),
        (PHONE, "four one five", True),
        (PHONE, "four one five five five five", True),
        (PHONE, "four one five five five five oh one double two", False),
        (PHONE, "415-555-0100", False),
        (PHONE, "1 415 555 010", True),
        (PHONE, "one four one five five five five oh one oh oh", False),
        (PHONE, "it's 07700 900 12", True),
        (PHONE, "oh double seven hundred nine hundred one two three", False),
        (PHONE, "plus four nine one seven", True),
        (PHONE, "why do you need that", False),
        (PHONE, "I don't have a phone", False),
        (CARD, "4111 1111 1111", True),
        (CARD, "4111 1111 1111 1111", False),
        (CODE, "one two three", True),
        (CODE, "123456", False),
        (NUMBER, "A one two", True),
        (NUMBER, "it's 4711 and I want to return it", False),
        (EMAIL, "john dot smith", True),
        (EMAIL, "john at", True),
        (EMAIL, "john at example dot", True),
        (EMAIL, "john at example dot com", False),
        (EMAIL, "john@example.com", False),
        (EMAIL, "I don't have one", False),
        (SPELLING, "J O H", True),
        (SPELLING, "J-O-H-N", True),
        (SPELLING, "Smith like the blacksmith", False),
        (BIRTH, "May twelfth", True),
        (BIRTH, "May twelfth nineteen eighty", False),
        (BIRTH, "5 12 1980", False),
        (DAY, "May", True),
        (DAY, "May twelfth", False),
        (DAY, "tomorrow", False),
        (DAY, "the fifth", False),
    ],
)
def test_whether_the_caller_is_still_giving_it(expected, said, unfinished):
    assert is_unfinished(expected, said) is unfinished


def test_long_answers_are_looked_at_quickly():
    began = time.perf_counter()
    for said in ("a" * 20_000, "at " * 5_000, "." * 20_000, "one " * 5_000):
        for expected in (EMAIL, PHONE, NUMBER, SPELLING, BIRTH):
            is_unfinished(expected, said)
        expected_answer(said)
    assert time.perf_counter() - began < 5


def test_pauses_within_a_number_are_waited_out_and_the_end_is_not():
    silence = FixedSilence(700.0)
    assert silence_to_wait(silence, TurnSoFar(words="four one five"), PHONE) == SLOT_SILENCE_MS
    assert silence_to_wait(silence, TurnSoFar(words="415 555 0100"), PHONE) == 700
    assert silence_to_wait(silence, TurnSoFar(words="four one five"), None) == 700
    assert silence_to_wait(FixedSilence(3000.0), TurnSoFar(words="four"), PHONE) == 3000
