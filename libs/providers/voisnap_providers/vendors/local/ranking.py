"""Which fact answers a question: meaning (MiniLM) and words (idf-weighted cover, with synonyms, days and mishearings) together."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from .facts import Fact, Shape
from .terms import families, sound, stem, terms

Embed = Callable[[tuple[str, ...]], np.ndarray]

MEANING, COVER = 0.62, 0.38
FAMILY_WEIGHT = 0.6
MISHEARD_WEIGHT = 0.85
TOPIC_WEIGHT = 0.8
KIND_BONUS = 0.1
KIND_MALUS = 0.06
MEASURED_KINDS = frozenset({"price", "count"})
"""Kinds of question that only a fact with an amount answers."""
KEY_BONUS = 0.07
SUBJECT_BONUS = 0.04
RULE_BONUS = 0.05
SUBJECT_WORDS = 4
UNKNOWN_WEIGHT = 0.7

_KINDS: tuple[tuple[str, re.Pattern[str], re.Pattern[str], str], ...] = (
    ("price", re.compile(r"\b(?:how (?:much|expensive)|price|prices|pricing|cost|costs|fee|fees|charge|rate|rates|fine|penalty)\b"), re.compile(r"[$£€]\s?\d|\b\d+(?:\.\d+)?\s?(?:dollars|euros|pounds|usd|eur|cents|bucks)\b|\bfree\b|\bno (?:extra )?(?:charge|cost|fee)\b|\bcomplimentary\b|\bper (?:night|month|person|hour|user)\b"), "~0"),
    ("hours", re.compile(r"\b(?:what time|when|hours|ours|open|opening|close|closing|closed|until)\b"), re.compile(r"\b\d{1,2}(?::\d{2})?\s?(?:[ap]\.?m\b|o'clock)|\b\d{1,2}:\d{2}\b|\bnoon\b|\bmidnight\b|\b24/7\b|\b24 hours\b|\bclosed\b|\b(?:\w+day)s?\b"), "~1"),
    ("place", re.compile(r"\b(?:where|address|location|located|directions|find you)\b"), re.compile(r"\b\d+\s+(?:\w+\s+){1,3}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|square|way|plaza|place|highway)\b|\baddress\b|\blocated\b|\bfloor\b|\bnext to\b|\bacross from\b|\bbehind\b|\bcorner of\b"), "~2"),
    ("phone", re.compile(r"\b(?:phone|telephone|call|number|reach)\b"), re.compile(r"(?:\+?\d[\s().-]{0,2}){7,}|\b1-?8\d\d-"), "~3"),
    ("email", re.compile(r"\be-?mail\b"), re.compile(r"\b[\w.+-]+@[\w-]+\.\w+"), ""),
    (
        "count",
        re.compile(r"\bhow many\b|\b(?:limit|maximum)\b"),
        re.compile(r"\bup to \w+|\bat most\b|\bmaximum\b|\bat a time\b|\blimit\b|\bunlimited\b"),
        "",
    ),
    ("person", re.compile(r"\b(?:who|who's|whose|name of|doctor|dentist|manager|owner|chef)\b"), re.compile(r"\b(?:dr|mr|mrs|ms|doctor|chef|manager|owner|founder|ceo|run by|owned by|head)\b\.?"), ""),
    ("duration", re.compile(r"\bhow (?:long|soon|quick|quickly|fast)\b|\bduration\b"), re.compile(r"\b(?:\d+|one|two|three|four|five|six|seven|ten|thirty|forty|sixty)(?:\s?(?:-|to)\s?\d+)?\s?(?:minutes?|mins?|hours?|days?|weeks?|months?|years?|business days)\b"), "~35"),
)  # fmt: skip


QUESTION_TERMS = frozenset({"open", "price", "location", "time", "duration", "distance", "cost"})
"""Terms that say what kind of answer is wanted, not what about."""


class Hit(msgspec.Struct, frozen=True):
    """A fact and how well it fits: all between 0 and about 1."""

    fact: Fact
    score: float
    meaning: float
    cover: float
    place: int


class Index:
    """Facts made searchable; building embeds each once."""

    def __init__(self, facts: Iterable[Fact], embed: Embed) -> None:
        self.facts = tuple(facts)
        self._embed = embed
        self._described = [fact.described() for fact in self.facts]
        self._described = [
            fact.question if _is_conditional(fact) else described
            for fact, described in zip(self.facts, self._described, strict=True)
        ]
        plain = [fact.question if _is_conditional(fact) else fact.plain() for fact in self.facts]
        asked = [
            fact.question or _usual_question(fact) or described
            for fact, described in zip(self.facts, self._described, strict=True)
        ]
        texts = tuple(dict.fromkeys([*self._described, *plain, *asked]))
        vectors = embed(texts) if texts else np.zeros((0, 384), np.float32)
        row = {text: number for number, text in enumerate(texts)}
        self._views = tuple(vectors[[row[text] for text in group]] for group in (self._described, plain, asked))
        self._postings = self._index_terms()
        self._heads = [
            (frozenset(terms(fact.key)), frozenset(terms(" ".join(fact.text.split()[:SUBJECT_WORDS]))))
            for fact in self.facts
        ]
        self._by_sound: dict[str, list[str]] = {}
        for term in self._postings:
            if not term.startswith("~") and len(term) > 3:
                self._by_sound.setdefault(sound(term), []).append(term)
        lowered = [fact.plain().lower() for fact in self.facts]
        self._kinds = {
            kind: np.array([pattern.search(text) is not None for text in lowered], bool)
            for kind, _, pattern, _ in _KINDS
        }

    def rank(self, question: str, vector: np.ndarray, *, limit: int = 8) -> tuple[Hit, ...]:
        """The best facts for a question with its embedding."""
        if not self.facts:
            return ()
        meaning = np.max([view @ vector for view in self._views], axis=0)
        cover = self._cover(question)
        bonus = np.zeros(len(self.facts))
        malus = np.zeros(len(self.facts))
        for kind, asks, _, _ in _KINDS:
            if asks.search(question.lower()):
                bonus = np.maximum(bonus, self._kinds[kind] * KIND_BONUS)
                if kind in MEASURED_KINDS:
                    malus = np.where(self._kinds[kind], malus, KIND_MALUS)
        asked = {term for term in terms(question) if term not in QUESTION_TERMS}
        for at, (key, subject) in enumerate(self._heads):
            if asked & key:
                bonus[at] += KEY_BONUS
            elif asked & subject:
                bonus[at] += SUBJECT_BONUS
            if self.facts[at].shape is Shape.RULE:
                bonus[at] += RULE_BONUS
        score = MEANING * np.clip(meaning, 0, 1) + COVER * cover + bonus - malus
        best = np.argsort(-score, kind="stable")[:limit]
        return tuple(
            Hit(self.facts[at], float(score[at]), float(meaning[at]), float(cover[at]), int(at)) for at in best
        )

    def covers(self, question: str, place: int) -> bool:
        """Whether every content word of the question is in the fact itself."""
        own = set(terms(self.facts[place].plain() + " " + self.facts[place].topic + " " + self.facts[place].question))
        asked = [term for term in terms(question) if term not in QUESTION_TERMS]
        return bool(asked) and all(term in own or any(other in own for other in self._misheard(term)) for term in asked)

    def alone_has_word_of(self, question: str, place: int) -> bool:
        """Whether the fact has a content word of the question that no other fact has."""
        asked = {term for term in terms(question) if term not in QUESTION_TERMS}
        others = {term for at, fact in enumerate(self.facts) if at != place for term in terms(fact.plain())}
        return bool(asked & set(terms(self.facts[place].plain())) - others)

    def list_about(self, question: str) -> tuple[Fact, ...]:
        """The list whose heading has most of the question's words, when one has any."""
        asked = set(terms(question))
        groups: dict[int, list[Fact]] = {}
        for fact in self.facts:
            if fact.group >= 0:
                groups.setdefault(fact.group, []).append(fact)
        rated = [(len(asked & set(terms(group[0].topic))), group) for group in groups.values() if len(group) > 1]
        most, best = max(rated, key=lambda pair: pair[0], default=(0, []))
        return tuple(best) if most else ()

    def vocabulary_has(self, term: str) -> bool:
        """Whether any fact has this term."""
        return term in self._postings

    def _index_terms(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found: dict[str, dict[int, float]] = {}
        for at, fact in enumerate(self.facts):
            lowered = fact.plain().lower()
            own, around = [*terms(fact.plain()), *terms(fact.question)], terms(fact.topic)
            if _is_conditional(fact):
                own, around = [*terms(fact.question)], (*around, *terms(fact.plain()))
            for group, weight in ((own, 1.0), (around, TOPIC_WEIGHT)):
                for term in group:
                    found.setdefault(term, {}).setdefault(at, weight)
                    for family in families(term):
                        found.setdefault(family, {}).setdefault(at, FAMILY_WEIGHT)
            for _, _, pattern, family in _KINDS:
                if family and pattern.search(lowered):
                    found.setdefault(family, {}).setdefault(at, FAMILY_WEIGHT)
        return {term: (np.array(list(at), int), np.array(list(at.values()))) for term, at in found.items()}

    def _cover(self, question: str) -> np.ndarray:
        count = len(self.facts)
        total = 0.0
        cover = np.zeros(count)
        for term, times in Counter(self._joined(terms(question))).items():
            here = np.zeros(count)
            known = self._fill(here, term, 1.0)
            if not known:
                for other in self._misheard(term):
                    known = self._fill(here, other, MISHEARD_WEIGHT) or known
            related = False
            for family in families(term):
                related = self._fill(here, family, 1.0) or related
            frequency = float((here > 0).sum())
            weight = math.log(1 + (count + 1) / (frequency + 0.5)) * min(times, 2)
            if not known and not related:
                weight *= 1.0 if families(term) else UNKNOWN_WEIGHT
            total += weight
            cover += weight * here
        return cover / total if total else cover

    def _joined(self, asked: tuple[str, ...]) -> list[str]:
        """Two terms that the facts write as one ("met life") as one."""
        joined: list[str] = []
        for term in asked:
            if joined and len(term) > 1 and stem(joined[-1] + term) in self._postings:
                joined[-1] = stem(joined[-1] + term)
            else:
                joined.append(term)
        return joined

    def _fill(self, here: np.ndarray, term: str, factor: float) -> bool:
        entry = self._postings.get(term)
        if entry is None:
            return False
        where, weights = entry
        here[where] = np.maximum(here[where], weights * factor)
        return True

    def _misheard(self, term: str) -> tuple[str, ...]:
        """Terms of the facts that sound like one that is in none of them."""
        if term in self._postings or len(term) < 4 or term[0].isdigit():
            return ()
        key = sound(term)
        same = self._by_sound.get(key, []) if len(key) > 2 else []
        if same:
            return tuple(same)
        return tuple(
            other
            for other in self._postings
            if len(other) > 4 and abs(len(other) - len(term)) <= 1 and other[0] == term[0] and _one_apart(term, other)
        )


def _is_conditional(fact: Fact) -> bool:
    """Whether the fact is true only in the case that its question describes, so that only the case may find it."""
    return fact.shape is Shape.RULE and bool(fact.question)


_USUAL_QUESTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), question)
    for pattern, question in (
        (
            r"\b(?:address|location|located at|directions)\b|^we are (?:at|on|in)\b",
            "Where are you located? Where is it?",
        ),
        (r"\b(?:phone|telephone|hotline)\b", "What is your phone number?"),
        (r"\be-?mail\b", "What is your e-mail address?"),
        (r"\b(?:opening |business |office )?hours\b|^(?:we are )?open\b", "What are your hours? When are you open?"),
        (r"\bpayments?\b", "How can I pay? Which payment methods do you accept?"),
        (r"\b(?:website|web site)\b", "What is your website?"),
        (r"\bparking\b", "Where can I park my car?"),
        (r"\b(?:owner|founder)\b", "Who owns the business?"),
    )
)


def _usual_question(fact: Fact) -> str:
    """What people ask when they want this fact, for the few that every business has."""
    head = fact.key or " ".join(fact.text.split()[:5])
    return next((question for pattern, question in _USUAL_QUESTIONS if pattern.search(head)), "")


def _one_apart(first: str, second: str) -> bool:
    """Whether one letter more, less or other makes the words equal."""
    if len(first) > len(second):
        first, second = second, first
    for at, sign in enumerate(first):
        if sign != second[at]:
            return first[at:] == second[at + 1 :] or (len(first) == len(second) and first[at + 1 :] == second[at + 1 :])
    return True
