"""What was asked for, and how far the answer is, in the languages of `slot_words`."""

from collections.abc import Sequence

from .slot_words import SLOT_WORDS, Expected, Slot, SlotWords, folded, pattern, spoken_digits
from .words import words_of

_ADDRESS_NOUNS = r"\b(direccion|adresse|adres|indirizzo|endereco|\w+adresse|\w+adres)\b"
_WHOLE_ADDRESS = r"[^\s@]{1,64}@[^\s@]{1,200}\.[a-z]{2,}"
_SPELLED = r"\b[a-z](-[a-z])+\b"
MOST_WORDS_OF_AN_ADDRESS = 8
GOES_ON_WORDS = 3
"""So many words after a number are another sentence."""


def expected_answer_in(language: str, sentences: Sequence[str]) -> Expected | None:
    """The answer in pieces that the last of these sentences ask for, if they do."""
    table = SLOT_WORDS[language]
    for sentence in reversed(sentences):
        text = folded(sentence)
        if pattern(table.request).search(text) and (found := _asked_in(text, table, language)):
            return found
        if "?" in text:
            return None
    return None


def _asked_in(text: str, table: SlotWords, language: str) -> Expected | None:
    if pattern(table.email).search(text):
        sends = pattern(table.sends).search(text) and not pattern(_ADDRESS_NOUNS).search(text)
        return None if sends else Expected(slot=Slot.EMAIL, language=language)
    if pattern(table.spelling).search(text):
        return Expected(slot=Slot.SPELLING, language=language)
    if pattern(table.date).search(text):
        return Expected(slot=Slot.DATE, year=bool(pattern(table.birth).search(text)), language=language)
    if counts := _counts(text, table):
        return Expected(slot=Slot.DIGITS, counts=counts, language=language)
    number, phone = pattern(table.number), pattern(table.phone[0])
    if pattern(table.not_a_number).search(text) or not (number.search(text) or phone.search(text)):
        return None
    return Expected(slot=Slot.DIGITS, counts=table.phone[1] if phone.search(text) else (), language=language)


def _counts(text: str, table: SlotWords) -> tuple[int, ...]:
    numerals = "|".join(table.units[2:])
    if found := pattern(rf"\b(\d{{1,2}}|{numerals})[\s-]*(?:\w+\s+){{0,2}}{table.digit}\b").search(text):
        return (int(found[1]) if found[1].isdecimal() else table.units.index(found[1]),)
    return next((counts for source, counts in table.counted if pattern(source).search(text)), ())


def is_unfinished_in(expected: Expected, said: str) -> bool:
    """Whether the caller is in the middle of giving what was asked for, as far as `said` tells."""
    table, text = SLOT_WORDS[expected.language], folded(said)
    words = words_of(text)
    if all(word in table.leading for word in words):
        return True
    match expected.slot:
        case Slot.DIGITS:
            return _misses_digits(expected, words)
        case Slot.DATE:
            return _misses_date(expected, table, words)
        case Slot.EMAIL:
            return _misses_email(table, text, words)
        case Slot.SPELLING:
            single = any(len(word) == 1 and word.isalpha() and word not in table.letters for word in words[-2:])
            return single or bool(pattern(_SPELLED).search(text))


def _misses_digits(expected: Expected, words: tuple[str, ...]) -> bool:
    digits = spoken_digits(words, expected.language)
    if not digits:
        return False
    if not expected.counts or "plus" in words or words[0].startswith("00"):
        last = max(index for index, word in enumerate(words) if spoken_digits((word,), expected.language))
        return len(words) - 1 - last < GOES_ON_WORDS
    return digits < max(expected.counts) and digits not in expected.counts


def _misses_date(expected: Expected, table: SlotWords, words: tuple[str, ...]) -> bool:
    if any(word in table.relative for word in words) and not any(word in table.months for word in words):
        return False
    month = any(word in table.months for word in words)
    ordinal = any(word in table.ordinals for word in words)
    digits = spoken_digits(words, expected.language)
    if not (month or ordinal or digits):
        return False
    if expected.year:
        return digits < (4 if ordinal else 5)
    return not ordinal and digits < (1 if month else 4)


def _misses_email(table: SlotWords, text: str, words: tuple[str, ...]) -> bool:
    spoken_at = list(pattern(table.at).finditer(text))
    start = spoken_at[0].end() if spoken_at else text.find("@") + 1
    if pattern(_WHOLE_ADDRESS).search(text):
        return False
    if start > 0:
        return not pattern(rf"({table.dot}|\.)\s*[a-z]{{2,}}\b").search(text, start)
    return not any(word in table.declining for word in words) and len(words) <= MOST_WORDS_OF_AN_ADDRESS
