"""People with a goal: what they make of its words, what they answer, and what they say came of it. No sound and no clock."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_domain.agents import LlmProvider
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LlmCapabilities, LlmRequest, TextDelta
from voisnap_simulator.persona.follower import GoalFollower
from voisnap_simulator.persona.goal import Kind, goal_of
from voisnap_simulator.persona.mind import Mind, Reached, Reply
from voisnap_simulator.persona.model_mind import ModelMind, settings_of
from voisnap_simulator.persona.words import holds, word_errors, words

pytestmark = pytest.mark.unit


def play(mind: Mind, *heard: str) -> tuple[list[Reply], Mind]:
    """What is answered to each, until the person hangs up."""

    async def talk() -> tuple[list[Reply], Mind]:
        replies, now = [], mind
        for text in heard:
            reply, now = await now.answer(text)
            replies.append(reply)
            if reply.ends:
                break
        return replies, now

    return asyncio.run(talk())


def follower(goal: str, **more: str) -> GoalFollower:
    return GoalFollower(goal_of(goal), **more)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("Find out what a check-up costs", ["Could you tell me what a check-up costs?"]),
        (
            "Ask what a cleaning costs and whether they are open on Saturdays",
            ["Could you tell me what a cleaning costs?", "Could you tell me whether you are open on Saturdays?"],
        ),
        ("The caller wants to know the opening hours", ["Could you tell me about the opening hours?"]),
        ("Book a table for two tomorrow at 7 pm", ["I'd like to book a table for two tomorrow at 7 pm."]),
        (
            "I want to reschedule my appointment from Monday to Thursday. My name is Tom Baker.",
            ["I'd like to reschedule my appointment from Monday to Thursday."],
        ),
        (
            "You want to cancel your order 47291 and get a refund. Be polite.",
            ["I'd like to cancel my order 47291.", "I'd like to get a refund."],
        ),
        (
            "You are Maria Gonzalez. You call because your internet is down. You are angry.",
            ["My internet is down."],
        ),
        ("Speak to a human", ["I'd like to speak to a human."]),
        ("ask for a refund", ["I'd like a refund."]),
        ("What time do you close on Sunday?", ["What time do you close on Sunday?"]),
        ("billing-inquiry", ["I'm calling about billing."]),
    ],
)
def test_a_goal_in_any_wording_is_said_as_a_person_says_it(goal: str, said: list[str]):
    assert [want.said for want in goal_of(goal).wants] == said


@pytest.mark.parametrize(
    ("goal", "kind", "text"),
    [
        ("Book a cleaning for Anna Schmidt on Tuesday", Kind.NAME, "Anna Schmidt"),
        ("reserve it under the name O'Brien", Kind.NAME, "O'Brien"),
        ("Book a cleaning, phone (415) 555-0134", Kind.PHONE, "(415) 555-0134"),
        ("change my e-mail to jo.b@example.org", Kind.EMAIL, "jo.b@example.org"),
        ("cancel my visit on the 3rd of May", Kind.DATE, "the 3rd of May"),
        ("come next Friday at 15:30", Kind.TIME, "15:30"),
        ("a table for four at noon", Kind.PEOPLE, "four"),
        ("where is order #88-213?", Kind.REFERENCE, "88-213"),
        ("My date of birth is May 4, 1980", Kind.BIRTH, "May 4, 1980"),
        ("Get a quote; zip code 94110", Kind.POSTCODE, "94110"),
        ("Get a quote; vehicle: Toyota Corolla", Kind.OTHER, "Toyota Corolla"),
    ],
)
def test_the_facts_of_a_goal_are_found(goal: str, kind: Kind, text: str):
    fact = goal_of(goal).fact(kind)
    assert fact is not None
    assert fact.text == text


def test_a_booking_is_carried_through_with_the_facts_of_the_goal():
    replies, mind = play(
        follower("Book a dental cleaning for Anna Schmidt on Tuesday at 3 pm, phone 415 555 0134"),
        "Hello, this is Maya. How can I help you?",
        "I can do that. What name should I put down?",
        "And what's the best number to reach you?",
        "What day and time would suit you?",
        "Would you prefer morning or afternoon?",
        "So that's Wednesday at 3 pm, is that right?",
        "Is that 415 555 0199?",
        "And Tuesday at 3 p.m., correct?",
        "Great. Your cleaning is booked for Tuesday at 3 p.m. Is there anything else I can help you with?",
    )
    assert [reply.text for reply in replies] == [
        "I'd like to book a dental cleaning for Anna Schmidt on Tuesday at 3 pm.",
        "My name is Anna Schmidt.",
        "My number is 415 555 0134.",
        "Tuesday at 3 pm.",
        "Afternoon.",
        "No, it's Tuesday.",
        "No, it's 415 555 0134.",
        "Yes, that's right.",
        "Great, thank you. That's all I needed. Goodbye.",
    ]
    assert replies[-1].ends
    verdict = mind.verdict()
    assert verdict.goal_reached is Reached.YES
    assert verdict.words == ("Your cleaning is booked for Tuesday at 3 pm.",)
    assert (verdict.improvised, verdict.missing) == ((), ())


def test_a_refusal_ends_the_attempt_and_is_told_with_its_words():
    refused = "I'm sorry, we can't cancel an order that has been shipped."
    replies, mind = play(follower("cancel my order 47291"), "Hello!", "What is your order number?", refused)
    assert replies[1].text == "It's 47291."
    assert replies[2].ends
    assert (mind.verdict().goal_reached, mind.verdict().words) == (Reached.NO, (refused,))


def test_what_is_only_noted_is_neither_reached_nor_refused():
    replies, mind = play(
        follower("Book a table for two tomorrow at 7", own_number="+14155550142"),
        "Hi, how can I help?",
        "Would you like me to take your number so that someone can call you back?",
        "And what name should I put down?",
        "Thank you, I have written that down. Someone will call you back. Is there anything else?",
    )
    assert replies[1].text == "You can reach me at +14155550142."
    assert replies[2].text == "My name is Alex Miller."
    assert replies[3].ends
    verdict = mind.verdict()
    assert (verdict.goal_reached, verdict.improvised) == (Reached.UNKNOWN, ("name",))


def test_each_question_is_asked_and_the_answers_are_the_proof():
    replies, mind = play(
        follower("Ask what a cleaning costs and whether they are open on Saturdays"),
        "Hi, thanks for calling. How can I help?",
        "A cleaning is 120 dollars. Anything else?",
        "Yes, we are open on Saturday from nine to one.",
    )
    assert replies[1].text == "Thank you. Could you tell me whether you are open on Saturdays?"
    assert replies[2].ends
    assert mind.verdict().words == ("A cleaning is 120 dollars.", "Yes, we are open on Saturday from nine to one.")


def test_an_agent_that_does_not_know_has_not_answered():
    replies, mind = play(
        follower("Find out what a cleaning costs"), "Hello!", "I'm sorry, I don't have that information."
    )
    assert replies[-1].ends
    assert mind.verdict().goal_reached is Reached.NO


def test_the_menu_entry_that_fits_is_pressed_and_waiting_is_waited_out():
    replies, mind = play(
        follower("Find out the opening hours"),
        "Welcome. For billing press 1, for opening hours press two.",
        "One moment please.",
        "We are open Monday to Friday from 8 to 5.",
    )
    assert (replies[0].keys, replies[0].text) == ("2", "")
    assert replies[1] == Reply()
    assert mind.verdict().goal_reached is Reached.YES


def test_nobody_goes_on_for_ever():
    replies, mind = play(follower("Book a table for two"), *["What is the name?"] * 40)
    assert replies[-1].ends
    assert len(replies) <= 25
    assert mind.verdict().goal_reached is Reached.NO

    async def alone() -> list[Reply]:
        found, now = [], follower("Book a table for two")
        while not found or not found[-1].ends:
            reply, now = await now.silence()
            found.append(reply)
        return found

    assert len(asyncio.run(alone())) == 4


def test_an_answer_that_was_overtaken_leaves_no_trace():
    mind = follower("Find out what a cleaning costs")
    _, dropped = play(mind, "Hello!")
    replies, after = play(mind, "Hello! How can I help?")
    assert replies[0].text == "Could you tell me what a cleaning costs?"
    assert dropped.verdict().turns == after.verdict().turns == 1


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=6))
def test_no_words_break_a_person(goal: str, heard: list[str]):
    try:
        mind = follower(goal)
    except ValueError:
        return
    _, mind = play(mind, *heard)
    assert mind.verdict().goal_reached in Reached


class Model:
    """A language model with answers of its own; an exception among them is raised."""

    provider = "openai"
    capabilities = LlmCapabilities()

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[LlmRequest] = []

    async def answer(self, request: LlmRequest) -> AsyncGenerator[TextDelta]:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield TextDelta(text=answer)

    async def warm(self) -> None: ...
    async def aclose(self) -> None: ...


def by_model(model: Model) -> ModelMind:
    goal = "Find out what a cleaning costs"
    settings = settings_of(LlmProvider.OPENAI, "small")
    return ModelMind(model, settings, goal, instead=follower(goal), own_number="+14155550142")


def test_a_language_model_plays_the_person_and_says_what_came_of_it():
    model = Model("*clears her throat* Hi! What does a *cleaning* cost?", "Thanks a lot, bye!\n[hang up: reached]")
    replies, mind = play(by_model(model), "Hello?", "A cleaning is 120 dollars.")
    assert replies == [
        Reply(text="Hi! What does a cleaning cost?"),
        Reply(text="Thanks a lot, bye!", ends=True),
    ]
    assert "Find out what a cleaning costs" in model.requests[0].messages[0].content
    assert [message.content for message in model.requests[1].messages[1:]] == [
        "Hello?",
        "*clears her throat* Hi! What does a *cleaning* cost?",
        "A cleaning is 120 dollars.",
    ]
    verdict = mind.verdict()
    assert (verdict.goal_reached, verdict.brain) == (Reached.YES, "openai/small")
    assert verdict.words[-1] == "A cleaning is 120 dollars."


def test_rules_go_on_when_the_language_model_fails():
    error = ProviderError("down", provider="openai", kind="llm", retryable=True)
    replies, mind = play(by_model(Model(error)), "Hello?", "A cleaning is 120 dollars.")
    assert replies[0].text == "Could you tell me what a cleaning costs?"
    assert replies[1].ends
    assert mind.verdict().goal_reached is Reached.YES
    assert "language model failed" in mind.verdict().reason


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("It's $85.", "it's eighty five dollars"),
        ("Call 415-555-0134", "call four one five, five five five, zero one three four"),
        ("at 8:30 a.m. on the 21st", "at eight thirty AM on the twenty-first"),
        ("A routine check-up", "a routine checkup"),
        ("two hundred and ninety euros", "€290"),
    ],
)
def test_numbers_are_one_however_they_are_written(said: str, heard: str):
    assert word_errors(said, heard)[0] == 0


def test_word_errors_are_counted():
    assert word_errors("we close at six on friday", "we closed at six friday") == (2, 6)
    assert word_errors("", "hello") == (1, 0)
    assert holds("We open at eight thirty AM.", "8:30")
    assert not holds("We open at eight.", "8:30")
    assert not holds("anything", "!?")
    assert words("") == ()


def test_an_offer_after_a_refusal_is_taken():
    replies, mind = play(
        follower("Book a table for two tomorrow"),
        "Hello!",
        "I don't have that information. Would you like me to pass it on?",
        "Great, I have passed it on.",
    )
    assert replies[1].text == "Yes, please."
    assert mind.verdict().goal_reached is Reached.UNKNOWN
    _, mind = play(follower("Book a table for two"), "Hello!", "I don't have that information. I can take a message.")
    assert mind.verdict().goal_reached is Reached.NO
