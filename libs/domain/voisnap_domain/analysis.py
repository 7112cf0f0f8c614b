"""What is found out about a conversation after it ended, and the shape a model must answer in.

`Findings` come from words, either a model's or our own; `schema_of` and `findings_of` are the two ends of what a model is asked: the
JSON Schema of its answer, and what of its answer is kept. A transcript is somebody else's text and may try to give orders, so nothing
is kept that the agent's `AnalysisConfig` has no place for.
"""

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import msgspec

from .agents import AnalysisConfig, CustomField, CustomFieldType
from .conversations import ConversationStatus, Speaker
from .sessions import Channel, Direction, EndReason

MAX_INTENT_CHARS = 60
MAX_SUMMARY_CHARS = 1200
MAX_ENTITIES = 50
MAX_ENTITY_CHARS = 200
MAX_TOPICS = 8
MAX_TOPIC_CHARS = 60
MAX_FIELD_CHARS = 500
MAX_NOTES_CHARS = 500
RESOLUTION_FIELD = "resolution_status"
"""The custom field whose value becomes the conversation's outcome (decisions, "outcome")."""

NEUTRAL_BAND = (0.4, 0.6)
"""A sentiment score below is negative, above positive."""


class Sentiment(StrEnum):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Outcome(StrEnum):
    """How a conversation turned out, where its agent has no words of its own for that (seed, agent stats). `voicemail`: a machine answered,
    whatever was said to it."""

    RESOLVED = "resolved"
    ESCALATED = "escalated"
    CALLBACK_SCHEDULED = "callback_scheduled"
    UNRESOLVED = "unresolved"
    ABANDONED = "abandoned"
    VOICEMAIL = "voicemail"


class AnalysisMethod(StrEnum):
    """Who read the conversation: a language model, or the rules and small models of this platform."""

    LLM = "llm"
    LOCAL = "local"


class WhyNoAnalysis(StrEnum):
    """Why a conversation has no analysis to read."""

    DISABLED = "disabled"
    PROCESSING = "processing"
    HIPAA = "hipaa"
    NOTHING_SAID = "nothing_said"
    FAILED = "failed"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One turn's words."""

    speaker: Speaker
    text: str


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """A finished conversation as it is read: its words, what is asked about them, and what they need to be understood.

    `started_at` gives "tomorrow" its date. `language` is the BCP 47 tag that the agent was set to.
    """

    said: tuple[Said, ...]
    config: AnalysisConfig
    language: str
    channel: Channel
    direction: Direction
    status: ConversationStatus
    end_reason: EndReason | None
    started_at: datetime
    agent_name: str = ""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    value: str


class SentimentBreakdown(msgspec.Struct, frozen=True, kw_only=True):
    """Scores from 0 (negative) to 1 (positive) by side; None for a side that said nothing."""

    agent: float | None
    user: float | None


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation's words tell. None and () where it was not asked for or is not known."""

    sentiment: Sentiment | None = None
    sentiment_score: float | None = None
    sentiment_breakdown: SentimentBreakdown | None = None
    intent: str | None = None
    entities: tuple[Entity, ...] = ()
    topics: tuple[str, ...] = ()
    summary: str | None = None
    custom_fields: dict[str, Any] = msgspec.field(default_factory=dict)
    outcome: str | None = None
    agent_performance: str | None = None


def sentiment_of(score: float) -> Sentiment:
    """The word for a score."""
    low, high = NEUTRAL_BAND
    if score < low:
        return Sentiment.NEGATIVE
    return Sentiment.POSITIVE if score > high else Sentiment.NEUTRAL


def outcome_of(findings: Findings, config: AnalysisConfig, end_reason: EndReason | None) -> str | None:
    """The conversation's outcome: `voicemail` where a machine answered, for then nobody was talked to; else the agent's own
    `resolution_status` where it has that field, else one of `Outcome`."""
    if end_reason is EndReason.VOICEMAIL:
        return Outcome.VOICEMAIL.value
    if any(field.name == RESOLUTION_FIELD for field in config.custom_fields):
        value = findings.custom_fields.get(RESOLUTION_FIELD)
        return value if isinstance(value, str) and value.strip() else None
    return findings.outcome


# -- the answer of a model


def schema_of(config: AnalysisConfig) -> dict[str, Any]:
    """The JSON Schema of a model's answer: only what the config asks for, every member required and nullable, nothing beside them."""
    members: dict[str, Any] = {
        "outcome": _nullable(
            {"type": "string", "enum": [outcome.value for outcome in Outcome]},
            "How the conversation turned out for the customer.",
        ),
        "entities": {
            "type": "array",
            "description": "Named things: invoice_id, order_id, amount, date, time, phone_number, email, person and the like.",
            "items": _object({"type": {"type": "string"}, "value": {"type": "string"}}),
        },
        "topics": {
            "type": "array",
            "description": "Two to five short key phrases in lower case.",
            "items": {"type": "string"},
        },
        "agentPerformance": _nullable(
            {"type": "string"}, "One sentence on how well the agent served the customer; starts with 'Agent'."
        ),
    }
    if config.sentiment_analysis:
        score = {"type": "number", "minimum": 0, "maximum": 1}
        members["sentiment"] = {"type": "string", "enum": [sentiment.value for sentiment in Sentiment]}
        members["sentimentScore"] = score | {"description": "0 is very negative, 0.5 neutral, 1 very positive."}
        members["sentimentBreakdown"] = _object({"agent": _nullable(score, None), "user": _nullable(score, None)})
    if config.intent_detection:
        members["intent"] = _nullable(
            {"type": "string"}, "What the customer wanted, in snake_case, such as billing_inquiry."
        )
    if config.summary_enabled:
        members["summary"] = {"type": "string", "description": "Two or three sentences in the third person."}
    if config.custom_fields:
        members["customFields"] = _object({field.name: _field_schema(field) for field in config.custom_fields})
    return _object(members)


def faults_of(answer: Any, config: AnalysisConfig) -> tuple[str, ...]:
    """What is wrong with a model's answer, in sentences that the model can act on; empty when it is as asked."""
    if not isinstance(answer, Mapping):
        return ("The answer must be one JSON object.",)
    return tuple(_faults(answer, schema_of(config), ""))


def findings_of(answer: Any, config: AnalysisConfig) -> Findings:
    """What of a model's answer is kept: known members of the right kind, cut to size. Everything else is dropped."""
    given: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    sentiment, score, breakdown = _sentiment(given) if config.sentiment_analysis else (None, None, None)
    fields = given.get("customFields")
    return Findings(
        sentiment=sentiment,
        sentiment_score=score,
        sentiment_breakdown=breakdown,
        intent=_label(given.get("intent"), MAX_INTENT_CHARS) if config.intent_detection else None,
        entities=_entities(given.get("entities")),
        topics=_topics(given.get("topics")),
        summary=_text(given.get("summary"), MAX_SUMMARY_CHARS) if config.summary_enabled else None,
        custom_fields=custom_fields_of(fields if isinstance(fields, Mapping) else {}, config),
        outcome=_option(given.get("outcome"), tuple(outcome.value for outcome in Outcome)),
        agent_performance=_text(given.get("agentPerformance"), MAX_NOTES_CHARS),
    )


def custom_fields_of(given: Mapping[str, Any], config: AnalysisConfig) -> dict[str, Any]:
    """Every custom field of the config with its value of the right type; null where there is none."""
    return {field.name: field_value(field, given.get(field.name)) for field in config.custom_fields}


def field_value(field: CustomField, value: Any) -> Any:
    """`value` as a field of its type may hold it; None for what it may not."""
    match field.type:
        case CustomFieldType.ENUM:
            return _option(value, field.options)
        case CustomFieldType.STRING:
            if isinstance(value, int | float) and not isinstance(value, bool):
                value = f"{value:g}"
            return _text(value, MAX_FIELD_CHARS)
        case CustomFieldType.NUMBER:
            return _number(value)
        case CustomFieldType.BOOLEAN:
            return _boolean(value)
        case CustomFieldType.DATE:
            return _day(value)


def cut(text: str, most: int) -> str:
    """The text in at most `most` characters, ending at a sentence or a word."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    end = max(head.rfind(mark) for mark in (". ", "! ", "? ", "。"))
    if end >= most // 2:
        return head[: end + 1]
    space = head.rfind(" ")
    return (head[:space] if space >= most // 2 else head).rstrip(" ,;:-") + "…"


# -- schema


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def _nullable(schema: dict[str, Any], description: str | None) -> dict[str, Any]:
    made = schema | {"type": [schema["type"], "null"]}
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made | {"description": description} if description else made


def _field_schema(field: CustomField) -> dict[str, Any]:
    match field.type:
        case CustomFieldType.ENUM:
            return _nullable({"type": "string", "enum": list(dict.fromkeys(field.options))}, None)
        case CustomFieldType.DATE:
            return _nullable({"type": "string"}, "A day as YYYY-MM-DD.")
        case CustomFieldType.STRING:
            return _nullable({"type": "string"}, None)
        case _:
            return _nullable({"type": field.type.value}, None)


_KINDS: dict[str, tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list, tuple),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def _faults(value: Any, schema: dict[str, Any], pointer: str) -> list[str]:
    """What of `value` is not as the schema says; only the keywords that `schema_of` uses."""
    where = pointer or "/"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    is_kind = any(
        isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds
    )
    if not is_kind:
        return [f"{where} must be {' or '.join(kinds)}."]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} must be one of {', '.join(map(repr, schema['enum']))}."]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or value < schema.get("minimum", value) or value > schema.get("maximum", value):
            return [f"{where} must be a number from {schema.get('minimum')} to {schema.get('maximum')}."]
        return []
    if isinstance(value, Mapping):
        known = schema.get("properties", {})
        missing = [f"{pointer}/{name} is missing." for name in schema.get("required", ()) if name not in value]
        unknown = [f"{pointer}/{name} is not asked for." for name in value if name not in known]
        inner = [
            fault for name in known if name in value for fault in _faults(value[name], known[name], f"{pointer}/{name}")
        ]
        return [*missing, *unknown, *inner]
    if isinstance(value, list | tuple):
        return [
            fault for index, item in enumerate(value) for fault in _faults(item, schema["items"], f"{pointer}/{index}")
        ]
    return []


# -- what is kept


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_YES = frozenset({"true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})


def _text(value: Any, most: int) -> str | None:
    if not isinstance(value, str):
        return None
    clean = " ".join(_CONTROL.sub("", value).split())
    return cut(clean, most) if clean else None


def _label(value: Any, most: int) -> str | None:
    """A name in snake_case."""
    if not isinstance(value, str):
        return None
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value)
    label = re.sub(r"\W+", "_", spaced.strip().lower()).strip("_")
    return label[:most].strip("_") or None


def _sentiment(given: Mapping[str, Any]) -> tuple[Sentiment | None, float | None, SentimentBreakdown | None]:
    named = _option(given.get("sentiment"), tuple(sentiment.value for sentiment in Sentiment))
    score = _share(given.get("sentimentScore"))
    if named is None and score is None:
        return None, None, None
    sentiment = Sentiment(named) if named is not None else sentiment_of(score if score is not None else 0.5)
    if score is None:
        score = {Sentiment.POSITIVE: 0.8, Sentiment.NEUTRAL: 0.5, Sentiment.NEGATIVE: 0.2}[sentiment]
    sides = given.get("sentimentBreakdown")
    sides = sides if isinstance(sides, Mapping) else {}
    breakdown = SentimentBreakdown(agent=_share(sides.get("agent")), user=_share(sides.get("user")))
    return sentiment, score, breakdown


def _entities(value: Any) -> tuple[Entity, ...]:
    found: dict[tuple[str, str], Entity] = {}
    for item in value if isinstance(value, list | tuple) else ():
        if not isinstance(item, Mapping):
            continue
        kind, text = _label(item.get("type"), 50), _text(item.get("value"), MAX_ENTITY_CHARS)
        if kind and text:
            found.setdefault((kind, text.casefold()), Entity(type=kind, value=text))
    return tuple(found.values())[:MAX_ENTITIES]


def _topics(value: Any) -> tuple[str, ...]:
    texts = (_text(item, MAX_TOPIC_CHARS) for item in (value if isinstance(value, list | tuple) else ()))
    return tuple({text.casefold(): text for text in texts if text}.values())[:MAX_TOPICS]


def _option(value: Any, options: tuple[str, ...]) -> str | None:
    """The option that `value` is, spelt as its owner spelt it."""
    if not isinstance(value, str):
        return None
    if value in options:
        return value
    plain = _plain(value)
    return next((option for option in options if _plain(option) == plain), None)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()


def _share(value: Any) -> float | None:
    number = _number(value)
    return round(min(1.0, max(0.0, float(number))), 2) if number is not None else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip().replace(",", "")) if len(value) <= 40 else None
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        return None
    return int(value) if float(value).is_integer() else float(value)


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _YES | _NO:
        return value.strip().lower() in _YES
    return None


def _day(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value.strip()[:10]).isoformat()
    except ValueError:
        return None
