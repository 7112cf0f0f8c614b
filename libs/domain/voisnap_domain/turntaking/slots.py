"""What the agent has just asked for, and whether the caller is still giving it.

Whoever reads out a phone number, an e-mail address or the letters of a name pauses between the groups, longer than at the end of a sentence.
While such an answer is not whole, more silence is waited for; an answer of another kind ("why do you need that?") is treated as ever.
English here; other languages by their tables (`slot_words`, `tabled_slots`).
"""

import re

from .slot_words import SLOT_WORDS, Expected, Slot
from .tabled_slots import expected_answer_in, is_unfinished_in
from .words import base_language, word_set, words_of

PHONE_DIGITS = 10
"""Of a number in North America; others differ and end by silence."""


# --- what was asked for

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_REQUEST = re.compile(
    r"""\b(what|which|whats)\b
      | \b(may|can|could|might)\s+(i|we)\s+(please\s+|just\s+|also\s+)?(have|get|take|grab|ask)
      | \b(can|could|would|will)\s+you\s+(please\s+|just\s+|also\s+|kindly\s+)?
        (give|tell|say|read|spell|provide|share|confirm|enter|type|repeat|key|mind|let)
      | \bplease\s+(give|tell|say|read|spell|provide|share|confirm|enter|type|repeat|key|state|dial|leave)
      | \b(give|tell|read|spell|enter|type|repeat|say|key\s+in|state|provide|confirm)\b
      | \b(i|we)('ll|\s+will|\s+would|'d)?\s+(also\s+|just\s+)?(need|require|like)\b
      | \blet\s+me\s+(have|get|take)
      | \bdo\s+you\s+(have|know|remember)\b
      | \b(how|when)\b
      | ^\s*(and\s+|then\s+|now\s+|great,?\s+|okay,?\s+|thanks?,?\s+)*(the|your)\b[^.]*\?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER_WORDS: dict[str, int] = {
    word: value
    for value, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
    )
}
_N_DIGITS = re.compile(
    r"\b(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)[\s-]+(?:digit|number)s?\b", re.IGNORECASE
)

_EMAIL = re.compile(r"\be-?mails?\b", re.IGNORECASE)
_SPELLING = re.compile(r"\b(spell|spelling|spelled|spelt|letter\s+by\s+letter)\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b(date|birthday|dob|born|expir(y|ation|es?))\b|\bwhen\s+(were\s+you|is\s+your\s+birth|did\s+you\s+(buy|order|purchase))",
    re.IGNORECASE,
)
_WITH_YEAR = re.compile(r"\b(birth|birthday|dob|born)\b", re.IGNORECASE)
_COUNTED: tuple[tuple[re.Pattern[str], tuple[int, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), counts)
    for pattern, counts in (
        (r"\b(cvv|cvc|security\s+code)\b", (3, 4)),
        (r"\b(zip|zip\s*code)\b", (5, 9)),
        (r"\bsocial\s+security\b|\bssn\b", (9,)),
        (r"\brouting\b", (9,)),
        (r"\b(credit|debit|bank|payment|gift)?\s*card\b.{0,20}\bnumbers?\b|\bnumbers?\b.{0,20}\bcard\b", (15, 16)),
        (
            r"\b(tele)?phone\b|\b(mobile|cell|cellphone|contact|callback|call-back|fax)\b|\breach\s+you\b|\bcall\s+you\s+(back|at|on)\b",
            (10,),
        ),
        (r"\bpin\b", (4,)),
    )
)
_UNCOUNTED = re.compile(
    r"\b(order|account|policy|reference|tracking|confirmation|booking|reservation|customer|client|member(ship)?|patient|invoice|ticket|case"
    r"|claim|serial|licen[cs]e|passport|id|identification|model|part|iban|postal|post|verification|pass|access|one-time|loyalty|employee|vin)"
    r"(\s+|-)?(number|numbers|code|codes|id|digits?|no)\b|\bpost\s?code\b|\bnumber\b|\bdigits\b|\bpasscode\b|\biban\b|\bcode\b",
    re.IGNORECASE,
)
_NOT_A_NUMBER = re.compile(r"\bnumber\s+of\b|\bhow\s+many\b", re.IGNORECASE)


def expected_answer(said: str, language: str = "en") -> Expected | None:
    """The answer in pieces that the agent's last words ask for, if they do; `language` is a BCP 47 tag."""
    base = base_language(language)
    if base in SLOT_WORDS:
        return expected_answer_in(base, _SENTENCE.split(said.strip())[-2:])
    for sentence in reversed(_SENTENCE.split(said.strip())[-2:]):
        if _REQUEST.search(sentence) and (found := _asked_in(sentence)):
            return found
        if "?" in sentence:
            return None
    return None


def _asked_in(sentence: str) -> Expected | None:
    if _EMAIL.search(sentence):
        return (
            None
            if re.search(r"\b(send|reach|contact)\b", sentence, re.IGNORECASE) and "address" not in sentence.lower()
            else _email()
        )
    if _SPELLING.search(sentence):
        return Expected(slot=Slot.SPELLING)
    if _DATE.search(sentence):
        return Expected(slot=Slot.DATE, year=bool(_WITH_YEAR.search(sentence)))
    if counted := _N_DIGITS.search(sentence):
        number = counted[1].lower()
        return Expected(slot=Slot.DIGITS, counts=(_NUMBER_WORDS.get(number) or int(number),))
    for pattern, counts in _COUNTED:
        if pattern.search(sentence):
            return Expected(slot=Slot.DIGITS, counts=counts)
    if _UNCOUNTED.search(sentence) and not _NOT_A_NUMBER.search(sentence):
        return Expected(slot=Slot.DIGITS)
    return None


def _email() -> Expected:
    return Expected(slot=Slot.EMAIL)


# --- how far the answer is

_ONES = word_set("zero oh o nought one two three four five six seven eight nine")
_TEENS = word_set("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
_TENS = word_set("twenty thirty forty fifty sixty seventy eighty ninety")
_MULTIPLES = {"double": 1, "triple": 2}
_MONTHS = word_set(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec"
)
_ORDINAL = re.compile(r"\d{1,2}(st|nd|rd|th)")
_ORDINALS = word_set(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth thirtieth"
)
_RELATIVE_DAYS = word_set(
    "today tomorrow yesterday tonight now monday tuesday wednesday thursday friday saturday sunday week month year ago"
)
_LEADING_IN = word_set(
    "it it's its is the my number a an yes yeah yep sure okay ok of course um uh er erm hmm well so let me see find get check one moment "
    "hold on second sec just please here go that that's would be address email e mail name code date order account phone card i have "
    "and then also ok alright right"
)
_DECLINING = word_set("don't dont not no why can't cant won't never sorry what who how rather later")
_ADDRESS = re.compile(
    r"[^\s@]{1,64}@[^\s@]{1,200}\.[a-z]{2,}|(\bat\b|@).{0,120}(\bdot\b|\.)\s*[a-z]{2,}\b", re.IGNORECASE
)
_SPELLED = re.compile(r"[a-z](-[a-z])+", re.IGNORECASE)


def is_unfinished(expected: Expected, said: str) -> bool:
    """Whether the caller is in the middle of giving what was asked for, as far as `said` tells."""
    if expected.language in SLOT_WORDS:
        return is_unfinished_in(expected, said)
    words = words_of(said)
    if all(word in _LEADING_IN for word in words):
        return True
    match expected.slot:
        case Slot.DIGITS:
            return _misses_digits(expected, words)
        case Slot.DATE:
            return _misses_date(expected, words)
        case Slot.EMAIL:
            return _misses_email(said, words)
        case Slot.SPELLING:
            return bool(_SPELLED.search(said)) or any(
                len(word) == 1 and word.isalpha() and word not in "ai" for word in words[-2:]
            )


def digits_in(said: str) -> int:
    """How many digits a text spells: "four one five", "double five", "twenty-three" (two), "555-0100" (seven)."""
    return _digits(words_of(said))


def _digits(words: tuple[str, ...]) -> int:
    count = repeats = 0
    tens = False
    for word in words:
        if word in _MULTIPLES:
            repeats = _MULTIPLES[word]
            continue
        if word.isdecimal():
            size = len(word)
        elif word in _ONES:
            size = 0 if tens and word not in {"zero", "oh", "o", "nought"} else 1
        elif word in _TEENS or word in _TENS or word == "hundred":
            size = 2
        elif word == "thousand":
            size = 3
        else:
            size = 0
        count += size + (repeats if size else 0)
        repeats = 0
        tens = word in _TENS
    return count


def _misses_digits(expected: Expected, words: tuple[str, ...]) -> bool:
    digits = _digits(words)
    if not digits:
        return False
    if not expected.counts:
        return not _goes_on_in_words(words)
    if expected.counts == (PHONE_DIGITS,) and _has_more_digits(words):
        return digits <= PHONE_DIGITS
    return digits < max(expected.counts) and digits not in expected.counts


def _has_more_digits(words: tuple[str, ...]) -> bool:
    """Whether a phone number begins with a country code or a zero, as in "1 415 …", "+49 …" and "07700 …"."""
    first = next(word for word in words if word == "plus" or _digits((word,)))
    if first in {"1", "one", "plus", "zero", "oh", "o"} or first.startswith("0"):
        return True
    return first.startswith("1") and len(first) in {4, PHONE_DIGITS + 1}


def _goes_on_in_words(words: tuple[str, ...]) -> bool:
    """Whether a number is followed by a sentence: the caller has gone on to something else."""
    last = max(index for index, word in enumerate(words) if _digits((word,)))
    return len(words) - 1 - last >= 3


def _misses_date(expected: Expected, words: tuple[str, ...]) -> bool:
    if any(word in _RELATIVE_DAYS for word in words):
        return False
    month = any(word in _MONTHS for word in words)
    ordinal = any(word in _ORDINALS or _ORDINAL.fullmatch(word) for word in words)
    digits = _digits(tuple(word for word in words if not _ORDINAL.fullmatch(word)))
    if not (month or ordinal or digits):
        return False
    if expected.year:
        return digits < (4 if ordinal else 5)
    return not ordinal and digits < (1 if month else 4)


def _misses_email(said: str, words: tuple[str, ...]) -> bool:
    if _ADDRESS.search(said):
        return False
    if "at" in words or "@" in said:
        return True
    return not any(word in _DECLINING for word in words) and len(words) <= 8
