"""The local analysis on short dialogues with labels: those it was tuned on, and others that it was not."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import AnalysisConfig, CustomField, CustomFieldType
from voisnap_domain.analysis import Dialogue, Findings, Said
from voisnap_domain.conversations import ConversationStatus, Speaker
from voisnap_domain.sessions import Channel, Direction, EndReason
from voisnap_providers.vendors.local.analysis.analyst import LocalReader
from voisnap_providers.vendors.local.embeddings import MiniLm

pytestmark = pytest.mark.media

FOLDER = Path(__file__).with_name("dialogues")
ON = datetime(2026, 11, 20, 10, tzinfo=UTC)
"""A Friday."""


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """A dialogue, and what may be found in it. `-` as an intent stands for none."""

    name: str
    language: str
    said: tuple[Said, ...]
    sentiments: tuple[str, ...]
    intents: tuple[str, ...]
    outcomes: tuple[str, ...]
    entities: tuple[tuple[str, str], ...]


def labelled(file: str) -> list[Labelled]:
    found = []
    for block in (FOLDER / file).read_text(encoding="utf-8").strip().split("\n\n"):
        head, *lines = block.strip().splitlines()
        name, language, sentiments, intents, outcomes, entities = (part.strip() for part in head[1:].split("·"))
        found.append(
            Labelled(
                name=name,
                language=language,
                said=said(*lines),
                sentiments=tuple(sentiments.split(", ")),
                intents=tuple(intents.split(", ")),
                outcomes=tuple(outcomes.split(", ")),
                entities=tuple(tuple(one.strip().split("=")) for one in entities.split(";") if "=" in one),
            )
        )
    return found


def said(*lines: str) -> tuple[Said, ...]:
    return tuple(
        Said(speaker=Speaker.AGENT if line.startswith("A:") else Speaker.USER, text=line[2:].strip()) for line in lines
    )


def dialogue(*lines: str, fields: tuple[CustomField, ...] = (), **changes: Any) -> Dialogue:
    values: dict[str, Any] = {
        "said": said(*lines),
        "config": AnalysisConfig(custom_fields=fields),
        "language": "en-US",
        "channel": Channel.PHONE,
        "direction": Direction.INBOUND,
        "status": ConversationStatus.COMPLETED,
        "end_reason": EndReason.USER_ENDED,
        "started_at": ON,
    }
    return Dialogue(**(values | changes))


def marks(one: Labelled, found: Findings) -> dict[str, bool]:
    named = [(entity.type, entity.value) for entity in found.entities]
    return {
        "sentiment": found.sentiment in one.sentiments,
        "intent": (found.intent or "-") in one.intents,
        "outcome": found.outcome in one.outcomes,
        **{
            f"entity {kind}={value}": any(kind == k and value in v for k, v in named)
            for kind, value in one.entities
            if value
        },
    }


@pytest.fixture(scope="module")
def reader(models_dir: Path) -> LocalReader:
    return LocalReader(MiniLm(models_dir / "minilm"))


@pytest.fixture(scope="module", params=["with meaning", "by words alone"])
def either(request: pytest.FixtureRequest) -> LocalReader:
    return request.getfixturevalue("reader") if request.param == "with meaning" else LocalReader(None)


def accuracy(reader: LocalReader, file: str) -> dict[str, float]:
    """The share of right findings by kind; what is wrong is printed."""
    right: dict[str, list[bool]] = {}
    for one in labelled(file):
        found = reader(dialogue(language=one.language, said=one.said))
        for what, is_right in marks(one, found).items():
            right.setdefault(what.split(" ")[0], []).append(is_right)
            if not is_right:
                print(f"{one.name}: {what}", found.sentiment_score, found.intent, found.outcome)  # noqa: T201
    shares = {what: sum(marked) / len(marked) for what, marked in right.items()}
    print(file, {what: f"{share:.2f}" for what, share in shares.items()})  # noqa: T201
    return shares


FLOORS = {
    "tuned.txt": {"sentiment": 0.95, "intent": 0.93, "outcome": 0.93, "entity": 0.95},
    "held_out.txt": {"sentiment": 0.85, "intent": 0.75, "outcome": 0.85, "entity": 0.95},
}
WITHOUT_MEANING = {"sentiment": 0.85, "intent": 0.6, "outcome": 0.85, "entity": 0.95}


@pytest.mark.parametrize("file", sorted(FLOORS))
def test_what_is_found_is_mostly_right(reader, file):
    for what, share in accuracy(reader, file).items():
        assert share >= FLOORS[file][what], what


def test_words_alone_go_a_long_way(models_dir):
    for what, share in accuracy(LocalReader(None), "held_out.txt").items():
        assert share >= WITHOUT_MEANING[what], what


def test_the_labelled_dialogues_are_many_and_of_several_languages():
    everything = [*labelled("tuned.txt"), *labelled("held_out.txt")]
    assert len(everything) >= 60
    assert {one.language for one in everything} >= {"en", "es", "de", "fr", "it"}


def test_every_summary_is_a_few_sentences_in_the_third_person(reader):
    for one in (*labelled("tuned.txt"), *labelled("held_out.txt")):
        found = reader(dialogue(language=one.language, said=one.said))
        assert 20 <= len(found.summary) <= 700, one.name
        assert found.summary[0].isupper()
        assert found.summary[-1] in '.”"»', found.summary
        if one.language == "en":
            told = re.sub(r'"[^"]*"', "", found.summary)
            assert not re.search(r"\b(?:I|I'm|my|me|we|our)\b", told), found.summary
        assert len(found.topics) <= 5


def test_a_machine_that_answered_is_the_outcome(reader):
    lines = ("U: You have reached Anna, leave a message.", "A: Your appointment is confirmed. Goodbye.")
    found = reader(dialogue(*lines, end_reason=EndReason.VOICEMAIL))
    assert found.outcome == "voicemail"
    assert "answered by a voicemail" in found.summary


def test_who_asks_nothing_gets_no_invention(reader):
    nothing = reader(dialogue("A: Hello, how can I help you today?", "U: Hm."))
    assert (nothing.intent, nothing.sentiment, nothing.entities) == (None, "neutral", ())
    other = reader(dialogue("A: Merhaba, nasıl yardımcı olabilirim?", "U: Siparişim nerede acaba?", language="tr-TR"))
    assert other.sentiment == "neutral", "a language that is not known says nothing either way"


BOOKING = (
    "A: Harbor Dental, how can I help you today?",
    "U: Hi, my name is Ana Torres. I need an appointment next Tuesday, it's quite urgent, I'm in severe pain.",
    "A: Are you an existing patient?",
    "U: No, I'm new.",
    "A: How many people should I book?",
    "U: Two, me and my son.",
    "A: How would you prefer to be contacted?",
    "U: By email, ana.torres@example.com.",
    "A: You're booked for Tuesday at 9:30 am. The visit is $120.",
    "U: Great, thank you so much. You have been very helpful.",
)


def field(name: str, kind: CustomFieldType, *options: str) -> CustomField:
    return CustomField(name=name, type=kind, options=options)


ENUM, TEXT, NUMBER, TRUTH, DAY = (
    CustomFieldType.ENUM,
    CustomFieldType.STRING,
    CustomFieldType.NUMBER,
    CustomFieldType.BOOLEAN,
    CustomFieldType.DATE,
)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (field("resolution_status", ENUM, "resolved", "escalated", "unresolved"), "resolved"),
        (field("callOutcome", ENUM, "Success", "Failed", "Transferred to human"), "Success"),
        (field("priority", ENUM, "P3 low", "P2 medium", "P1 high"), "P1 high"),
        (field("urgency", ENUM, "low", "high"), "high"),
        (field("reason", ENUM, "billing", "appointment", "complaint", "other"), "appointment"),
        (field("satisfaction", ENUM, "happy", "neutral", "unhappy"), "happy"),
        (field("language", ENUM, "English", "Spanish"), "English"),
        (field("contact_method", ENUM, "phone", "email", "sms"), "email"),
        (field("existing_patient", TRUTH), False),
        (field("appointment_booked", TRUTH), True),
        (field("escalated", TRUTH), False),
        (field("vip_discount_granted", TRUTH), None),
        (field("number_of_people", NUMBER), 2),
        (field("price", NUMBER), 120),
        (field("shoe_size", NUMBER), None),
        (field("appointment_date", DAY), "2026-11-24"),
        (field("patient_name", TEXT), "Ana Torres"),
        (field("email", TEXT), "ana.torres@example.com"),
        (field("invoice_number", TEXT), None),
        (field("issue_category", TEXT), "appointments"),
    ],
    ids=lambda value: value.name if isinstance(value, CustomField) else None,
)
def test_custom_fields(either, asked, answer):
    found = either(dialogue(*BOOKING, fields=(asked,)))
    assert found.custom_fields == {asked.name: answer}


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("My order number is four five double seven one.", ("order_id", "45771")),
        ("It's about invoice INV-2025-0612.", ("invoice_id", "INV-2025-0612")),
        ("My account number is 0049 and the total was one hundred forty nine dollars.", ("amount", "$149.00")),
        ("You charged me twelve dollars and fifty cents.", ("amount", "$12.50")),
        ("Das kostet 49,90 €.", ("amount", "€49.90")),
        ("Son 1.250 euros.", ("amount", "€1,250.00")),
        ("Write to mary dot jane at big dash shop dot co.", ("email", "mary.jane@big-shop.co")),
        ("Call me at +1 (415) 555-0199.", ("phone_number", "+1 (415) 555-0199")),
        ("My number is five five five, zero one four two.", ("phone_number", "5550142")),
        ("Can I come on June 12th at half past three?", ("date", "June 12th")),
        ("Can I come on June 12th at half past three?", ("time", "half past three")),
        ("It is on the 3rd of March 2027.", ("date", "3rd of March 2027")),
        ("My name is Anne-Marie O'Neill.", ("person", "Anne-Marie O'Neill")),
        ("Me llamo Lucía Fernández y tengo una pregunta.", ("person", "Lucía Fernández")),
        ("I want twenty percent off.", ("percentage", "20%")),
    ],
)
def test_entities(text, entity):
    found = LocalReader(None)(dialogue("A: Hello?", f"U: {text}"))
    assert entity in {(one.type, one.value) for one in found.entities}


@pytest.mark.parametrize(
    "text", ["I'm fine.", "I'm calling about a bill.", "This is really annoying.", "I have three kids.", "It's not me."]
)
def test_what_is_no_entity(text):
    found = LocalReader(None)(dialogue("A: How can I help you today?", f"U: {text}"))
    assert found.entities == ()


def test_a_long_conversation_is_read_too(reader):
    lines = [
        f"{'A' if number % 2 else 'U'}: This is remark number {number} about the delivery." for number in range(1000)
    ]
    found = reader(dialogue(*lines))
    assert found.summary
    assert len(found.entities) <= 50


HOSTILE = ("a-", "a.", "a", "a'", "one ", "one hundred ", "a dot ", "dot", "1.", "-")
"""What patterns that search in squares of the length, or worse, are slow on."""


def test_text_without_sense_takes_no_longer_than_other_text():
    lines = [f"U: {text * (2000 // len(text))}" for text in HOSTILE]
    ends = [f"U: {'ada at x' + ' ' * spaces + 'dotab' * 300}1" for spaces in (0, 1)]
    began = time.process_time()
    LocalReader(None)(dialogue("A: Hello?", *lines, *ends))
    assert time.process_time() - began < 2.0
