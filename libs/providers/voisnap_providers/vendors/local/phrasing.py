"""Facts as spoken sentences."""

import re

from .facts import Fact, Shape
from .normalise import sentences
from .terms import terms

MAX_WORDS = 60
MAX_LIST = 8

_YES_NO = re.compile(
    r"^(?:(?:hi|hello|hey|okay|ok|so|and|um+|uh+|well|oh|sorry|excuse me|yes|great)[,.!]?\s+)*(?:do|does|did|are|is|can|could|will|would|have|has|am|may)\s+(?:you|you guys|i|we|it|there|the|your|they|that|this|a|an|my|someone|people|guests|kids|children)\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\b(?:no|not|never|none|cannot|can['’]t|don['’]t|doesn['’]t|isn['’]t|aren['’]t|won['’]t|unavailable|closed|except|unfortunately|without|only|unless)\b|\bnon-",
    re.IGNORECASE,
)
_STARTS_AS_ANSWER = re.compile(
    r"^(?:yes|no|sure|of course|unfortunately|sorry|absolutely|i['’]?m|we|you|our)\b", re.IGNORECASE
)
_VERB = re.compile(
    r"\b(?:is|are|was|has|have|can|will|may|must|should|costs?|opens?|closes?|starts?|ends?|takes?|includes?|offers?|accepts?|requires?|runs?|comes?|needs?|applies|apply|serves?|provides?|lasts?|do|does|get|pay|book|call|visit|go|use|click|send|bring|contact|ask)\b",
    re.IGNORECASE,
)
_NOT_OWNED = re.compile(
    r"^(?:the|a|an|our|your|we|all|every|each|no|for|in|on|monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tue|wed|thu|fri|sat|sun|weekends?|weekdays?|daily|dr\b)|\d",
    re.IGNORECASE,
)
_OWNED_KEYS = re.compile(
    r"\b(?:hours|address|location|phone|number|email|e-mail|website|policy|prices?|fees?|hotline|parking|manager|owner|contact|team|staff|payment|services|specials?|menu)\b",
    re.IGNORECASE,
)
_DAYS_KEY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun|week|daily|every ?day|holiday|public holiday)", re.IGNORECASE)
_PLURAL_KEY = re.compile(
    r"(?:hours|prices|fees|services|methods|options|times|days|rates|toppings|sizes|specials|cards|plans|drinks|desserts)$",
    re.IGNORECASE,
)


def spoken(fact: Fact) -> str:
    """One fact as a sentence or a few."""
    text = fact.text.strip()
    if fact.shape in {Shape.PAIR, Shape.ITEM, Shape.ROW} and fact.key:
        return _keyed(fact)
    if fact.shape is Shape.ITEM and not _VERB.search(text) and fact.topic:
        return finished(text)
    return finished(shortened(text))


def spoken_list(facts: tuple[Fact, ...]) -> str:
    """Neighbours of one list together: "Monday to Friday, 8 to 5. Saturday, 9 to 1.\""""
    keyed = [fact for fact in facts if fact.key]
    if len(keyed) == len(facts):
        if all(_DAYS_KEY.match(fact.key) for fact in facts):
            return " ".join(finished(f"{fact.key}, {fact.text}") for fact in facts[:MAX_LIST])
        return " ".join(_keyed(fact) for fact in facts[:MAX_LIST])
    items = [fact.text.strip().rstrip(".;,") for fact in facts[:MAX_LIST]]
    if all(len(item.split()) <= 8 for item in items) and not any(_VERB.search(item) for item in items):
        joined = ", ".join(items[:-1]) + (f" and {items[-1]}" if len(items) > 1 else items[-1])
        return finished(f"We have {_lower_first(joined)}")
    return " ".join(finished(item) for item in items)


def with_yes(answer: str, question: str, *, is_covered: bool) -> str:
    """ "Yes" in front where the question asks for it and the fact says nothing else."""
    if (
        not is_covered
        or not _YES_NO.match(question.strip())
        or _NEGATIVE.search(answer)
        or (_STARTS_AS_ANSWER.match(answer) and answer[:3].lower() in {"yes", "no,", "no."})
    ):
        return answer
    if re.match(r"^(?:unfortunately|sorry|sure|of course|absolutely|i can|i'm)\b", answer, re.IGNORECASE):
        return answer
    first = answer.split()[0].strip(",.") if answer.split() else ""
    keeps = first.isupper() or first[1:].lower() != first[1:] or not _lowerable(first)
    return f"Yes, {answer if keeps else _lower_first(answer)}"


def shortened(text: str) -> str:
    """The first sentences that fit a breath or two."""
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and len(" ".join([*kept, sentence]).split()) > MAX_WORDS:
            break
        kept.append(sentence)
    return " ".join(kept) or text


def finished(text: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = text.strip().rstrip(",;:")
    if not text:
        return ""
    if text[0].islower() and "@" not in text.split()[0] and "." not in text.split()[0].rstrip("."):
        text = text[0].upper() + text[1:]
    return text if text[-1] in '.!?…"”' else text + "."


def relevant(text: str, question: str) -> str:
    """Of a long answer, the sentences that matter: all when short, else those that share words with the question, in order."""
    parts = sentences(text)
    if len(text.split()) <= MAX_WORDS or len(parts) < 2:
        return text
    asked = set(terms(question))
    scores = [len(asked & set(terms(part))) for part in parts]
    best = scores.index(max(scores))
    return " ".join(parts[best : best + 2])


def _keyed(fact: Fact) -> str:
    key, value = fact.key.strip(), fact.text.strip()
    whole = len(value.split()) > 5 and value[0].isupper() and _VERB.search(value) is not None
    if whole or _STARTS_AS_ANSWER.match(value):
        own = set(terms(value))
        return (
            finished(shortened(value))
            if own & set(terms(key)) or len(key.split()) > 4 or _OWNED_KEYS.search(key)
            else f"{finished(key)[:-1]}: {finished(shortened(value))}"
        )
    if _DAYS_KEY.match(key):
        return (
            finished(f"{key}, {value}")
            if not re.match(r"(?:closed|open)\b", value, re.IGNORECASE)
            else finished(f"{_days(key)} we are {_lower_first(value)}")
        )
    verb = "are" if _PLURAL_KEY.search(key) else "is"
    if re.match(r"^(?:is|are|costs?|takes?|included|available|starts?|from|at|free)\b", value, re.IGNORECASE):
        joint = " " if re.match(r"^(?:is|are|costs?|takes?|starts?)\b", value, re.IGNORECASE) else f" {verb} "
        return finished(f"{key}{joint}{_lower_first(value)}")
    if re.fullmatch(r"(?:accepted )?payments?(?: methods?| options?)?", key, re.IGNORECASE):
        return finished(f"We accept {_lower_first(value)}")
    if fact.shape is not Shape.ROW and _OWNED_KEYS.search(key) and not _NOT_OWNED.match(key):
        return finished(f"Our {key.lower() if key[1:].islower() else key} {verb} {shortened(value)}")
    if fact.shape is Shape.ROW and not re.match(r"^[$£€\d]", value):
        return finished(f"{key}: {value}")
    if re.match(r"^[$£€\d]|^\w+ (?:dollars|minutes|hours|days)|^(?:yes|no|none|free)\b", value, re.IGNORECASE):
        return finished(f"{key} {verb} {value}")
    return finished(f"{key}: {shortened(value)}")


def _days(key: str) -> str:
    return f"On {key}" if not re.match(r"^(?:daily|every|week)", key, re.IGNORECASE) else key


def _lower_first(text: str) -> str:
    first = text.split()[0] if text.split() else ""
    if not first or first.isupper() or not _lowerable(first):
        return text
    return text[0].lower() + text[1:]


def _lowerable(word: str) -> bool:
    return word.lower().strip("'’,.") in _COMMON


_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "we",
        "our",
        "you",
        "your",
        "all",
        "it",
        "its",
        "they",
        "there",
        "this",
        "that",
        "these",
        "those",
        "both",
        "most",
        "each",
        "every",
        "parking",
        "breakfast",
        "delivery",
        "children",
        "kids",
        "pets",
        "dogs",
        "guests",
        "free",
        "closed",
        "open",
        "yes",
        "no",
        "on",
        "in",
        "for",
        "from",
        "at",
        "to",
        "with",
        "address",
        "phone",
        "hours",
        "opening",
        "price",
        "prices",
        "email",
        "website",
        "location",
        "check",
        "late",
        "early",
        "cleaning",
        "cancellation",
        "refunds",
        "payment",
        "shipping",
        "please",
        "appointments",
        "walk-ins",
        "new",
        "patients",
        "customers",
        "orders",
        "rooms",
        "included",
        "available",
        "some",
        "any",
        "if",
        "when",
        "wi-fi",
        "cash",
        "credit",
        "cards",
        "returns",
        "everything",
        "delivery's",
        "standard",
        "same",
        "smoking",
        "payments",
        "bookings",
        "reservations",
        "vegetarian",
        "vegan",
    ]
)
