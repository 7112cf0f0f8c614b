"""Facts, orders and rules told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_providers.vendors.local.facts import Persona, briefing, passage_facts

pytestmark = pytest.mark.unit


def told(prompt: str) -> list[str]:
    return [fact.plain() for fact in briefing(prompt).facts]


@pytest.mark.parametrize(
    "order",
    [
        "Always be polite.",
        "Never mention competitors.",
        "You are a friendly assistant.",
        "Keep your answers short.",
        "Your goal is to book appointments.",
        "Do not give medical advice.",
        "Please speak slowly.",
        "Use a warm tone.",
        "You can help with bookings.",
        "Respond in one or two sentences.",
        "If you don't know the answer, say that you will check.",
        "# Style\n- Friendly\n- Brief and warm",
        "**Rules**\n1. Stay calm\n2. No jokes",
        "When the caller is angry, stay calm.",
    ],
)
def test_orders_are_never_facts(order: str):
    assert told(order) == []


@pytest.mark.parametrize(
    ("prompt", "facts"),
    [
        ("We open at nine. Call us at 555-0100.", ["We open at nine.", "Call us at 555-0100."]),
        ("# Prices\n- Cleaning: $120\n- Exam: $80", ["Cleaning: $120", "Exam: $80"]),
        ("Hours:\nMon-Fri: 9-5", ["Mon-Fri: 9-5"]),
        ("| Plan | Price |\n|---|---|\n| Team | $9 |", ["Team: $9"]),
        ("Q: Is parking free?\nA: Yes, it is.", ["Yes, it is."]),
        ("Is parking free?\nYes, behind the house.", ["Yes, behind the house."]),
        ("If a caller asks about parking, say that it is free for them.", ["It is free for you."]),
        ("If asked about Maria, say \"She is out on Fridays.\"", ["She is out on Fridays."]),
        ("Tell callers that we close early on Friday.", ["We close early on Friday."]),
        ("If someone wants a refund, apologize and ask for their order number.", ["I'm sorry about that. Sure. Could you tell me your order number, please?"]),
        ("You can park behind the building.", ["You can park behind the building."]),
        ("<facts>\nWe sell hats.\n</facts>", ["We sell hats."]),
    ],
)  # fmt: skip
def test_facts_are_found_in_every_way_people_write_them(prompt: str, facts: list[str]):
    assert told(prompt) == facts


def test_headings_and_questions_stay_with_their_facts():
    fact = briefing("# Parking\nIs it free?\nYes, for two hours.").facts[0]
    assert (fact.topic, fact.question) == ("Parking", "Is it free?")


@pytest.mark.parametrize(
    ("prompt", "persona"),
    [
        (
            "You are Aria, a friendly receptionist for Bright Smile Dental.",
            Persona(name="Aria", role="friendly receptionist", organisation="Bright Smile Dental"),
        ),
        ("You're Jenny from Shear Delight, a hair salon.", Persona(name="Jenny", organisation="Shear Delight")),
        ("Your name is Sam.", Persona(name="Sam")),
        ("Name: Max\nCompany: FiberNow, an internet provider.", Persona(name="Max", organisation="FiberNow")),
        ("Be nice.", Persona()),
    ],
)
def test_the_persona_is_understood(prompt: str, persona: Persona):
    assert briefing(prompt).persona == persona


def test_what_to_say_when_nothing_fits_and_what_never_to_say():
    brief = briefing("If you don't know, say that you will call them back. Never discuss politics.")
    assert brief.unknown == "I will call you back."
    assert brief.forbidden == ("politics",)


def test_everything_in_a_passage_may_be_told():
    assert [fact.text for fact in passage_facts("Always unplug the router first. You must wait a minute.")] == [
        "Always unplug the router first.",
        "You must wait a minute.",
    ]


@given(st.text(alphabet=st.sampled_from("aQA:|-#*?.<>/ \n1$_ You are If"), max_size=300))
def test_any_text_is_read_without_failing(text: str):
    briefing(text)
    passage_facts(text)
