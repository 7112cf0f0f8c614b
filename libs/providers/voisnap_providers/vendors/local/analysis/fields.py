"""The agent owner's own questions about a conversation, answered by rules: by what a field is called, by the answers the user gave to the
agent's questions, and, for enums, by the option whose name is nearest to what was said. Null where nothing tells."""

import re
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from voisnap_domain.agents import CustomField, CustomFieldType
from voisnap_domain.analysis import Entity, Outcome, Sentiment, field_value
from voisnap_domain.conversations import Speaker

from . import dates, numbers, outcomes
from .purposes import GENERAL, Purpose
from .reading import Embed, Reading, stem, words
from .words import STOP_WORDS

_LEAST_ANSWER = 0.5
_OUTCOME_WORDS: dict[Outcome, frozenset[str]] = {
    Outcome.RESOLVED: frozenset(["resolved", "solved", "closed", "complete", "completed", "fixed", "success", "successful", "done", "answered", "satisfied", "handled", "resuelto", "gelöst", "résolu"]),
    Outcome.ESCALATED: frozenset(["escalated", "escalation", "transferred", "transfer", "handover", "handoff", "human", "forwarded", "escalado", "weitergeleitet"]),
    Outcome.CALLBACK_SCHEDULED: frozenset(["callback", "scheduled", "followup", "follow", "pending", "rückruf", "rappel"]),
    Outcome.UNRESOLVED: frozenset(["unresolved", "unsolved", "open", "failed", "failure", "unsuccessful", "unsatisfied", "incomplete", "pendiente", "offen"]),
    Outcome.ABANDONED: frozenset(["abandoned", "dropped", "disconnected", "hangup", "hung", "abandonado", "abgebrochen"]),
    Outcome.VOICEMAIL: frozenset(["voicemail", "machine", "mailbox", "unreached", "answerphone", "anrufbeantworter", "buzón"]),
}  # fmt: skip
_INSTEAD: dict[Outcome, tuple[Outcome, ...]] = {
    Outcome.RESOLVED: (),
    Outcome.ESCALATED: (Outcome.UNRESOLVED, Outcome.CALLBACK_SCHEDULED),
    Outcome.CALLBACK_SCHEDULED: (Outcome.UNRESOLVED, Outcome.ESCALATED),
    Outcome.UNRESOLVED: (Outcome.CALLBACK_SCHEDULED, Outcome.ABANDONED),
    Outcome.ABANDONED: (Outcome.UNRESOLVED,),
    Outcome.VOICEMAIL: (Outcome.ABANDONED, Outcome.UNRESOLVED),
}
_OUTCOME_FIELD = re.compile(r"\b(?:resolution|resolved|outcome|status|result|disposition|ergebnis|resultado)\b")
_MOOD_WORDS: dict[Sentiment, frozenset[str]] = {
    Sentiment.POSITIVE: frozenset(["positive", "happy", "satisfied", "good", "great", "pleased", "content", "calm", "friendly", "promoter", "high", "excited", "delighted"]),
    Sentiment.NEUTRAL: frozenset(["neutral", "mixed", "ok", "okay", "average", "passive", "medium", "indifferent"]),
    Sentiment.NEGATIVE: frozenset(["negative", "unhappy", "dissatisfied", "bad", "angry", "frustrated", "upset", "poor", "detractor", "low", "annoyed", "furious", "disappointed"]),
}  # fmt: skip
_MOOD_FIELD = re.compile(r"\b(?:sentiment|mood|satisfaction|emotion|tone|attitude|feeling|happiness|csat)\b")
_URGENCY_FIELD = re.compile(r"\b(?:urgency|priority|severity|urgent|importance)\b")
_URGENT = re.compile(
    r"\b(?:urgent\w*|asap|as soon as possible|emergenc\w+|immediately|right (?:now|away)|critical|flood\w*|burst|gas|bleeding|severe|unbearable|dringend|sofort|notfall|urgente|emergencia|cuanto antes)\b",
    re.IGNORECASE,
)
_RELAXED = re.compile(
    r"\b(?:no (?:rush|hurry)|whenever|when you (?:can|have time)|just (?:wondering|curious|checking)|not urgent|someday|at some point)\b",
    re.IGNORECASE,
)
_LEVELS = (frozenset(["low", "minor", "normal", "p4", "p3", "none", "niedrig", "baja"]), frozenset(["medium", "moderate", "standard", "mid", "p2", "mittel", "media"]), frozenset(["high", "urgent", "critical", "severe", "major", "emergency", "p1", "hoch", "alta"]))  # fmt: skip
_OTHER = frozenset(
    [
        "other",
        "others",
        "general",
        "misc",
        "miscellaneous",
        "unknown",
        "none",
        "unspecified",
        "unclear",
        "na",
        "n/a",
        "otro",
        "otros",
        "andere",
        "sonstiges",
        "autre",
    ]
)
_LANGUAGES = {"en": "english", "es": "spanish", "de": "german", "fr": "french", "it": "italian", "pt": "portuguese"}
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|sure|correct|right|of course|absolutely|definitely|exactly|i (?:do|am|have|did|would|will)|that'?s (?:right|correct|fine)|please|okay|ok|fine|go ahead|sí|si|claro|correcto|ja|genau|gerne|natürlich|oui|d'accord|sì|sim|uh[- ]?huh|mm[- ]?hm+)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^\W*(?:no|nope|nah|not|never|i (?:don'?t|haven'?t|didn'?t|wouldn'?t|can'?t)|nein|nicht|non|não|nunca)\b",
    re.IGNORECASE,
)
_PARTS: dict[str, tuple[str, ...]] = {
    "email": ("email",), "mail": ("email",), "phone": ("phone_number",), "mobile": ("phone_number",), "telephone": ("phone_number",), "callback_number": ("phone_number",),
    "invoice": ("invoice_id",), "order": ("order_id",), "account": ("account_number",), "ticket": ("ticket_id",), "case": ("case_id",), "claim": ("claim_id",),
    "policy": ("policy_number",), "tracking": ("tracking_number",), "booking": ("booking_reference", "confirmation_number"), "reservation": ("booking_reference", "confirmation_number"),
    "confirmation": ("confirmation_number", "booking_reference"), "reference": ("reference_number",), "customer_id": ("customer_id",), "customer_number": ("customer_id",), "member": ("member_id",),
    "serial": ("serial_number",), "address": ("address",), "name": ("person",), "caller": ("person",), "contact": ("person", "phone_number", "email"),
}  # fmt: skip
_IS_ID = re.compile(r"\b(?:id|number|no|nr|reference|code|num)\b")
_MONEY_FIELD = re.compile(
    r"\b(?:amount|price|cost|budget|total|value|refund|payment|fee|balance|charge|income|revenue|betrag|importe|montant|usd|eur|dollars?)\b"
)
_CATEGORY_FIELD = re.compile(
    r"\b(?:category|type|topic|issue|reason|subject|department|purpose|intent|area|kind|inquiry|request)\b"
)
_TEXT_FIELD = re.compile(
    r"\b(?:summary|notes?|description|details?|comments?|feedback|explanation|message|problem|request|question|complaint|need|needs)\b"
)
_TIME_FIELD = re.compile(r"\b(?:time|hour|slot|when)\b")
_DATE_FIELD = re.compile(r"\b(?:date|day|when|on|due|deadline)\b")
_BOOLEANS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\b(?:resolved|solved|fixed|handled|successful|success|completed)\b", "resolved"),
        (r"\b(?:escalat\w+|transfer\w*|handover|handoff)\b", "escalated"),
        (r"\b(?:call ?back|callback|follow ?up|followup)\b", "callback"),
        (r"\b(?:human|agent requested|representative|live agent|person)\b", "person"),
        (r"\b(?:satisfied|happy|positive)\b", "positive"),
        (r"\b(?:complain\w*|unhappy|angry|frustrated|dissatisfied|upset|negative)\b", "negative"),
        (r"\b(?:urgent|emergency)\b", "urgent"),
        (r"\b(?:interested|interest|qualified|lead)\b", "interested"),
        (r"\b(?:booked|scheduled|appointment|reservation|booking|reserved|confirmed)\b", "booked"),
        (r"\b(?:voicemail|machine)\b", "voicemail"),
        (r"\b(?:refund\w*)\b", "refund"),
        (r"\b(?:cancel\w*|churn\w*)\b", "cancel"),
    )
)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the other parts found out."""

    outcome: Outcome
    sentiment: Sentiment
    purpose: Purpose | None
    entities: tuple[Entity, ...]
    summary: str | None
    started_at: datetime


class FieldReader:
    """Answers custom fields; meaning is compared where there is a model for it."""

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed

    def read(self, fields: tuple[CustomField, ...], reading: Reading, known: Known) -> dict[str, Any]:
        """A value of the right type for every field, or null."""
        return {field.name: field_value(field, self._value(field, reading, known)) for field in fields}

    def _value(self, field: CustomField, reading: Reading, known: Known) -> Any:
        name = spaced(field.name)
        match field.type:
            case CustomFieldType.ENUM:
                return self._option(name, field.options, reading, known)
            case CustomFieldType.BOOLEAN:
                return self._truth(name, reading, known)
            case CustomFieldType.NUMBER:
                return self._number(name, reading, known)
            case CustomFieldType.DATE:
                return self._date(name, reading, known)
            case CustomFieldType.STRING:
                return self._string(name, reading, known)

    # -- enum

    def _option(self, name: str, options: tuple[str, ...], reading: Reading, known: Known) -> str | None:
        by_words = {option: frozenset(spaced(option).split()) for option in options}
        if (chosen := _outcome_option(name, by_words, known.outcome)) is not None:
            return chosen
        if (chosen := _mood_option(name, by_words, known.sentiment)) is not None:
            return chosen
        if (chosen := _level_option(name, by_words, reading, known)) is not None:
            return chosen
        if (chosen := _language_option(name, by_words, reading)) is not None:
            return chosen
        if {spaced(option) for option in options} <= {"yes", "no", "true", "false", "unknown", "maybe", "n a"}:
            truth = self._truth(name, reading, known)
            wanted = {"unknown", "n a"} if truth is None else {"yes", "true"} if truth else {"no", "false"}
            return next((option for option in options if spaced(option) in wanted), None)
        return self._nearest(name, options, reading, known)

    def _nearest(self, name: str, options: tuple[str, ...], reading: Reading, known: Known) -> str | None:
        others = [option for option in options if spaced(option) in _OTHER or spaced(option).split()[:1] == ["other"]]
        real = [option for option in options if option not in others]
        spare = others[0] if others else None
        sentences = [sentence for sentence in reading.said(Speaker.USER) if len(words(sentence)) >= 2] or list(
            reading.said(Speaker.USER)
        )
        if not real or not sentences:
            return spare
        scores = {option: _mentions(option, reading) for option in real}
        answer = self._answer_to(name, reading)
        for option in real:
            scores[option] += 1.2 * bool(answer and _stems(spaced(option)) & _stems(answer))
            scores[option] += _by_purpose(option, known.purpose)
        if self._embed is not None and reading.language == "en":
            near = _nearness(self._embed, name, real, sentences[:40], known)
            for option, value in zip(real, near, strict=True):
                scores[option] += value
        ranked = sorted(real, key=lambda option: -scores[option])
        best = scores[ranked[0]]
        lead = best - (scores[ranked[1]] if len(ranked) > 1 else 0.0)
        if best >= 0.9 or (best >= 0.42 and lead >= 0.1) or (spare is None and best >= 0.3 and lead >= 0.05):
            return ranked[0]
        return spare

    # -- the other types

    def _truth(self, name: str, reading: Reading, known: Known) -> bool | None:
        if (said := self._reply_to(name, reading)) is not None:
            if _YES.match(said):
                return True
            if _NO.match(said):
                return False
        text = " ".join(reading.said(Speaker.USER))
        label = known.purpose.label if known.purpose else ""
        for pattern, kind in _BOOLEANS:
            if pattern.search(name):
                return _named_truth(kind, text, label, reading, known)
        wanted = _stems(name) - _stems("is has was did does customer user caller wants requested mentioned the")
        if wanted and wanted <= _stems(text):
            around = next((sentence for sentence in reading.said(Speaker.USER) if wanted & _stems(sentence)), "")
            return (
                re.search(r"\b(?:no|not|don'?t|never|without|haven'?t|isn'?t|didn'?t)\b", around, re.IGNORECASE) is None
            )
        return None

    def _number(self, name: str, reading: Reading, known: Known) -> float | None:
        if _MONEY_FIELD.search(name):
            amounts = [entity.value for entity in known.entities if entity.type == "amount"]
            if amounts:
                found = re.search(r"\d[\d,]*(?:\.\d+)?", amounts[0])
                return float(found[0].replace(",", "")) if found else None
        if (said := self._reply_to(name, reading)) is not None and (value := numbers.parse(said)) is not None:
            return value
        wanted = _stems(name) - _stems("number of count total the how many")
        for sentence in (*reading.said(Speaker.USER), *reading.said(Speaker.AGENT)):
            spoken = words(sentence)
            for place, word in enumerate(spoken):
                if stem(word) in wanted:
                    around = " ".join(spoken[max(0, place - 3) : place + 4])
                    if (value := numbers.parse(around)) is not None:
                        return value
        if re.search(r"\b(?:guests?|people|persons?|party|seats?|size|attendees)\b", name):
            found = re.search(
                r"\b(?:for|of|we(?:'re| are)|para|für|pour)\s+(\w+)(?:\s+(?:people|persons?|guests?|of us|personas|personen|personnes))?\b",
                " ".join(reading.said(Speaker.USER)),
                re.IGNORECASE,
            )
            return numbers.parse(found[1]) if found else None
        if re.search(r"\b(?:rating|score|nps|stars?)\b", name):
            found = re.search(
                r"\b(\w+)\s+(?:out of|stars?|of ten)\b", " ".join(reading.said(Speaker.USER)), re.IGNORECASE
            )
            return numbers.parse(found[1]) if found else None
        return None

    def _date(self, name: str, reading: Reading, known: Known) -> str | None:
        on = known.started_at.date()
        said = self._reply_to(name, reading)
        if said and (day := dates.resolved(said, on=on)):
            return day.isoformat()
        confirmed = [sentence for sentence in outcomes.doings(reading) if dates.resolved(sentence, on=on)]
        for sentence in (*confirmed[-1:], *reading.said(Speaker.USER), *reading.said(Speaker.AGENT)):
            if day := dates.resolved(sentence, on=on):
                return day.isoformat()
        return None

    def _string(self, name: str, reading: Reading, known: Known) -> str | None:
        for word, kinds in _PARTS.items():
            if word.replace("_", " ") in name and not (
                word in {"order", "account", "booking", "claim", "case", "policy"} and not _IS_ID.search(name)
            ):
                found = next((entity.value for kind in kinds for entity in known.entities if entity.type == kind), None)
                if found is not None:
                    return found
                if word in {"email", "phone", "name", "address"}:
                    return self._reply_to(name, reading) if word in {"name", "address"} else None
        if _MONEY_FIELD.search(name) and (
            found := next((entity.value for entity in known.entities if entity.type == "amount"), None)
        ):
            return found
        if (said := self._reply_to(name, reading)) is not None:
            return _bare_answer(said)
        if _CATEGORY_FIELD.search(name) and known.purpose is not None and known.purpose.label != GENERAL:
            return (
                known.purpose.label.replace("_", " ")
                if re.search(r"\b(?:reason|intent|purpose|request)\b", name)
                else known.purpose.category
            )
        if "language" in name:
            return _LANGUAGES.get(reading.language, reading.language).capitalize()
        if _TEXT_FIELD.search(name):
            return known.summary
        for pattern, kind in ((_DATE_FIELD, "date"), (_TIME_FIELD, "time")):
            if pattern.search(name) and (
                found := next((entity.value for entity in known.entities if entity.type == kind), None)
            ):
                return found
        return None

    # -- questions and answers

    def _answer_to(self, name: str, reading: Reading) -> str | None:
        said = self._reply_to(name, reading)
        return said.lower() if said else None

    def _reply_to(self, name: str, reading: Reading) -> str | None:
        """What the user answered to the question of the agent that is about this; None when none was."""
        wanted = _content(name)
        if not wanted:
            return None
        asked: list[tuple[str, str]] = []
        for before, line in reading.replies():
            questions = [sentence for sentence in re.split(r"(?<=[.!?])\s+", before) if sentence.endswith("?")]
            if questions:
                asked.append((questions[-1], line.text))
        for question, answer in asked:
            shared = wanted & _stems(question)
            if len(shared) * 2 > len(wanted) or (len(wanted) <= 2 and shared):
                return answer
        if self._embed is None or reading.language != "en" or not asked:
            return None
        near = self._embed(tuple(question for question, _ in asked)) @ self._embed((f"What is the {name}?",))[0]
        best = int(near.argmax())
        return asked[best][1] if near[best] >= _LEAST_ANSWER else None


def spaced(name: str) -> str:
    """`issueCategory` and `issue_category` as "issue category"."""
    return " ".join(re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).lower().split())


def _stems(text: str) -> set[str]:
    return {stem(word) for word in words(text)}


def _content(name: str) -> set[str]:
    return {
        stem(word)
        for word in words(name)
        if word not in STOP_WORDS["en"] and word not in {"customer", "caller", "user", "preferred", "requested", "id"}
    }


def _outcome_option(name: str, by_words: dict[str, frozenset[str]], outcome: Outcome) -> str | None:
    meant: dict[Outcome, str] = {}
    for option, parts in by_words.items():
        negated = bool(parts & {"not", "un", "no"})
        for kind, known in _OUTCOME_WORDS.items():
            if parts & known:
                kind = Outcome.UNRESOLVED if negated and kind is Outcome.RESOLVED else kind
                meant.setdefault(kind, option)
    if len(meant) < 2 and not (meant and _OUTCOME_FIELD.search(name)):
        return None
    if Outcome.RESOLVED not in meant and Outcome.UNRESOLVED not in meant and not _OUTCOME_FIELD.search(name):
        return None
    for kind in (outcome, *_INSTEAD[outcome]):
        if kind in meant:
            return meant[kind]
    return None


def _mood_option(name: str, by_words: dict[str, frozenset[str]], sentiment: Sentiment) -> str | None:
    meant: dict[Sentiment, str] = {}
    for option, parts in by_words.items():
        for kind, known in _MOOD_WORDS.items():
            if parts & known:
                meant.setdefault(Sentiment.NEGATIVE if parts & {"not", "un"} else kind, option)
    clear = {Sentiment.POSITIVE, Sentiment.NEGATIVE} <= set(meant)
    if not clear or not (_MOOD_FIELD.search(name) or not any(parts & {"low", "high"} for parts in by_words.values())):
        return None
    return meant.get(sentiment)


def _level_option(name: str, by_words: dict[str, frozenset[str]], reading: Reading, known: Known) -> str | None:
    if not _URGENCY_FIELD.search(name):
        return None
    text = " ".join(reading.said(Speaker.USER))
    level = 1
    if _URGENT.search(text) or (known.purpose and known.purpose.label in {"emergency", "report_fraud"}):
        level = 2
    elif _RELAXED.search(text) or (
        known.sentiment is not Sentiment.NEGATIVE
        and known.purpose
        and known.purpose.category in {"information", "feedback", "sales", "other"}
    ):
        level = 0
    elif known.sentiment is Sentiment.NEGATIVE and not outcomes.is_declined(reading):
        level = 2
    for wanted in (level, 1, 0, 2):
        found = next((option for option, parts in by_words.items() if parts & _LEVELS[wanted]), None)
        if found is not None:
            return found
    return None


def _language_option(name: str, by_words: dict[str, frozenset[str]], reading: Reading) -> str | None:
    if "language" not in name:
        return None
    wanted = {reading.language, _LANGUAGES.get(reading.language, reading.language)}
    return next((option for option, parts in by_words.items() if parts & wanted), None)


def _mentions(option: str, reading: Reading) -> float:
    """How clearly the option's own words were said; most by the user, late more than early."""
    wanted = {stem(word) for word in words(spaced(option)) if len(word) > 1 and word not in {"and", "or", "the", "of"}}
    if not wanted:
        return 0.0
    score = 0.0
    for line in reading.lines:
        shared = len(wanted & _stems(line.text)) / len(wanted)
        if shared < 0.5:
            continue
        weight = 0.5 if line.speaker is Speaker.USER else 0.12
        score += shared * weight * (0.8 + 0.4 * line.place / max(1, len(reading.lines)))
    return min(score, 1.2)


def _by_purpose(option: str, purpose: Purpose | None) -> float:
    if purpose is None or purpose.label == GENERAL:
        return 0.0
    parts = _stems(spaced(option))
    if parts & _stems(spaced(purpose.label)) and parts <= _stems(
        f"{spaced(purpose.label)} {purpose.category} support issue request inquiry problem question"
    ):
        return 0.8
    if stem(purpose.category) in parts or parts & _stems(purpose.about):
        return 0.55
    return 0.0


def _named_truth(kind: str, text: str, label: str, reading: Reading, known: Known) -> bool | None:
    match kind:
        case "resolved":
            return known.outcome is Outcome.RESOLVED
        case "escalated":
            return known.outcome is Outcome.ESCALATED
        case "callback":
            return (
                known.outcome is Outcome.CALLBACK_SCHEDULED
                or label == "callback_request"
                or outcomes.promised_call(reading)
            )
        case "person":
            return outcomes.wants_person(reading)
        case "positive":
            return known.sentiment is Sentiment.POSITIVE
        case "negative":
            return known.sentiment is Sentiment.NEGATIVE or label == "complaint"
        case "urgent":
            return _URGENT.search(text) is not None or label == "emergency"
        case "interested":
            if outcomes.is_declined(reading):
                return False
            return (
                True
                if label
                in {
                    "sales_inquiry",
                    "pricing_inquiry",
                    "product_inquiry",
                    "place_order",
                    "plan_change",
                    "book_appointment",
                }
                else None
            )
        case "booked":
            made = known.outcome is Outcome.RESOLVED and label in {
                "book_appointment",
                "make_reservation",
                "reschedule_appointment",
                "confirm_appointment",
            }
            return made or bool(
                re.search(
                    r"\b(?:booked|scheduled|reserved|appointment is|see you (?:on|at|then))\b",
                    " ".join(outcomes.doings(reading)),
                    re.IGNORECASE,
                )
            )
        case "voicemail":
            return label == "voicemail"
        case "refund":
            return label == "refund_request" or re.search(r"\b(?:refund|money back)\b", text, re.IGNORECASE) is not None
        case "cancel":
            return (
                label in {"cancel_subscription", "cancel_appointment"}
                or re.search(r"\bcancel\b", text, re.IGNORECASE) is not None
            )
        case _:
            return None


def _bare_answer(text: str) -> str | None:
    """An answer without what leads to it: "It's for my mother." → "for my mother"."""
    bare = (
        re.sub(
            r"^(?:(?:yes|yeah|no|sure|okay|ok|well|um|it's|it is|that's|that is|that would be|it would be|i think|i'd say|probably|the|my \w+ is)\b[\s,.]*)+",
            "",
            text,
            flags=re.IGNORECASE,
        )
        .strip()
        .rstrip(".!?,")
    )
    return bare if len(bare) > 0 and len(bare.split()) <= 25 else (text if len(text.split()) <= 40 else None)


def _nearness(embed: Embed, name: str, options: list[str], sentences: list[str], known: Known) -> list[float]:
    asked = tuple(
        f"{spaced(option)} {name}" if len(spaced(option).split()) < 2 else spaced(option) for option in options
    )
    about = f"The customer asked {known.purpose.about}." if known.purpose and known.purpose.about else ""
    texts = (*sentences, about) if about else tuple(sentences)
    near = embed(asked) @ embed(texts).T
    best = np.sort(near, axis=1)[:, -2:].mean(axis=1)
    return [float(max(0.0, value - 0.12) * 1.3) for value in best]
