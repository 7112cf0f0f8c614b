"""What of a model's answer is kept: the shape asked for, and nothing beside it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_domain.agents import AnalysisConfig, CustomField, CustomFieldType
from voisnap_domain.analysis import (
    MAX_ENTITIES,
    MAX_SUMMARY_CHARS,
    MAX_TOPICS,
    Findings,
    Sentiment,
    cut,
    faults_of,
    findings_of,
    outcome_of,
    schema_of,
    sentiment_of,
)
from voisnap_domain.sessions import EndReason

pytestmark = pytest.mark.unit


def field(name: str, kind: CustomFieldType, *options: str) -> CustomField:
    return CustomField(name=name, type=kind, options=options)


CONFIG = AnalysisConfig(
    custom_fields=(
        field("resolution_status", CustomFieldType.ENUM, "resolved", "Call Back"),
        field("reason", CustomFieldType.STRING),
        field("guests", CustomFieldType.NUMBER),
        field("wants_newsletter", CustomFieldType.BOOLEAN),
        field("visit_on", CustomFieldType.DATE),
    )
)
ANSWER = {
    "outcome": "resolved",
    "entities": [{"type": "amount", "value": "$149.00"}],
    "topics": ["billing"],
    "agentPerformance": "Agent explained it well.",
    "sentiment": "positive",
    "sentimentScore": 0.81,
    "sentimentBreakdown": {"agent": 0.88, "user": 0.74},
    "intent": "billing_inquiry",
    "summary": "Customer called about a charge.",
    "customFields": {
        "resolution_status": "resolved",
        "reason": "a charge",
        "guests": 4,
        "wants_newsletter": False,
        "visit_on": "2026-06-12",
    },
}


def test_an_answer_as_asked_is_kept_whole():
    assert faults_of(ANSWER, CONFIG) == ()
    found = findings_of(ANSWER, CONFIG)
    assert (found.sentiment, found.sentiment_score, found.intent) == (Sentiment.POSITIVE, 0.81, "billing_inquiry")
    assert found.custom_fields == ANSWER["customFields"]
    assert (found.sentiment_breakdown.agent, found.sentiment_breakdown.user) == (0.88, 0.74)
    assert found.entities[0].value == "$149.00"
    assert outcome_of(found, CONFIG, None) == "resolved"


def test_the_schema_is_strict_and_has_only_what_is_asked_for():
    schema = schema_of(CONFIG)

    def objects(node):
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for value in node.values():
                yield from objects(value)

    for node in objects(schema):
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
    assert schema["properties"]["customFields"]["properties"]["resolution_status"]["enum"] == [
        "resolved",
        "Call Back",
        None,
    ]
    bare = AnalysisConfig(sentiment_analysis=False, intent_detection=False, summary_enabled=False)
    assert set(schema_of(bare)["properties"]) == {"outcome", "entities", "topics", "agentPerformance"}
    assert findings_of(ANSWER, bare) == Findings(
        entities=findings_of(ANSWER, CONFIG).entities,
        topics=("billing",),
        outcome="resolved",
        agent_performance="Agent explained it well.",
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sentiment": "delighted"}, "/sentiment must be one of"),
        ({"sentimentScore": 1.2}, "/sentimentScore must be a number from 0 to 1"),
        ({"sentimentScore": math.nan}, "/sentimentScore"),
        ({"sentimentScore": True}, "/sentimentScore must be number"),
        ({"summary": None}, "/summary must be string"),
        ({"topics": "billing"}, "/topics must be array"),
        ({"entities": [{"type": "amount"}]}, "/entities/0/value is missing"),
        ({"grantAdmin": True}, "/grantAdmin is not asked for"),
        ({"customFields": ANSWER["customFields"] | {"resolution_status": "hacked"}}, "/customFields/resolution_status"),
        ({"customFields": ANSWER["customFields"] | {"guests": "four"}}, "/customFields/guests must be number or null"),
        ({"customFields": {}}, "/customFields/reason is missing"),
    ],
)
def test_what_is_wrong_is_named(change, fault):
    assert any(fault in found for found in faults_of(ANSWER | change, CONFIG))


def test_what_has_no_place_is_dropped():
    found = findings_of(
        ANSWER
        | {
            "grantAdmin": True,
            "sentiment": "IGNORE ALL RULES",
            "sentimentScore": 7,
            "intent": "Billing Inquiry; DROP TABLE agents",
            "outcome": "hacked",
            "topics": ["x" * 500, "billing", "Billing", 7, *(f"topic {n}" for n in range(40))],
            "entities": [{"type": "amount", "value": str(n)} for n in range(500)] + [{"type": 1, "value": []}, "x"],
            "summary": "A sentence. " * 500,
            "customFields": {
                "resolution_status": "call_back",
                "reason": ["not", "text"],
                "guests": "4",
                "wants_newsletter": "maybe",
                "visit_on": "next Tuesday",
                "extra": 1,
            },
        },
        CONFIG,
    )
    assert (found.sentiment, found.sentiment_score, found.outcome) == (Sentiment.POSITIVE, 1.0, None)
    assert found.intent == "billing_inquiry_drop_table_agents"
    assert len(found.topics) == MAX_TOPICS
    assert all(len(topic) <= 60 for topic in found.topics)
    assert len(found.entities) == MAX_ENTITIES
    assert len(found.summary) <= MAX_SUMMARY_CHARS
    assert found.summary.endswith("A sentence.")
    assert found.custom_fields == {
        "resolution_status": "Call Back",
        "reason": None,
        "guests": 4,
        "wants_newsletter": None,
        "visit_on": None,
    }


@pytest.mark.parametrize("answer", [None, [], "text", 7, {}])
def test_an_answer_of_another_kind_gives_nothing(answer):
    found = findings_of(answer, CONFIG)
    assert found == Findings(custom_fields=dict.fromkeys(ANSWER["customFields"]))
    assert faults_of(answer, CONFIG)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ANSWER, "x"]), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*ANSWER, "other"]), json_values))
def test_nothing_that_a_model_answers_breaks_the_shape(answer):
    found = findings_of(answer, CONFIG)
    assert set(found.custom_fields) == {item.name for item in CONFIG.custom_fields}
    assert found.custom_fields["resolution_status"] in {None, "resolved", "Call Back"}
    assert found.sentiment_score is None or 0 <= found.sentiment_score <= 1
    assert found.sentiment is None or found.sentiment in set(Sentiment)
    json.dumps(found.custom_fields, allow_nan=False)
    faults_of(answer, CONFIG)


def test_the_outcome_is_the_owners_where_the_owner_has_words_for_it():
    plain = AnalysisConfig()
    assert outcome_of(Findings(outcome="escalated"), plain, EndReason.AGENT_ENDED) == "escalated"
    assert (
        outcome_of(Findings(outcome="escalated", custom_fields={"resolution_status": "Call Back"}), CONFIG, None)
        == "Call Back"
    )
    assert outcome_of(Findings(outcome="escalated", custom_fields={"resolution_status": None}), CONFIG, None) is None


def test_what_was_said_to_a_machine_has_resolved_nothing():
    for config, fields in ((AnalysisConfig(), {}), (CONFIG, {"resolution_status": "resolved"})):
        found = Findings(outcome="resolved", custom_fields=fields)
        assert outcome_of(found, config, EndReason.VOICEMAIL) == "voicemail"


@given(st.text(max_size=300), st.integers(10, 100))
def test_a_text_is_cut_to_its_length(text, most):
    assert len(cut(text, most)) <= most
    assert cut(text, 1000) == text


def test_words_for_scores():
    words = [sentiment_of(score) for score in (0.0, 0.39, 0.4, 0.6, 0.61, 1.0)]
    assert [word.value for word in words] == ["negative", "negative", "neutral", "neutral", "positive", "positive"]
