"""Words as they are compared: what was said against what was heard. English numbers are one, however they are written. Pure."""

import re
from collections.abc import Sequence

from voisnap_providers.vendors.local.terms import NUMBERS

_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16, "seventeenth": 17,
    "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_VALUES = {word: int(digits) for word, digits in NUMBERS.items()}
_MONEY = re.compile(r"([$£€])\s?(\d[\d,]*(?:\.\d+)?)")
_CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}\b)")
_SPELLED = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
_ORDINAL_DIGITS = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
_SAME: dict[str, str] = {"ok": "okay", "percent": "%", "mister": "mr", "doctor": "dr", "oh": "o"}


def words(text: str) -> tuple[str, ...]:
    """Lower case, no punctuation; numbers as digits, digits that were spoken one by one as one number, money as number and currency."""
    text = text.replace("’", "'").replace("%", " percent ")
    text = _SPELLED.sub(lambda found: found[0].replace(".", ""), text.replace("-", " "))
    text = _MONEY.sub(lambda found: f"{found[2]} {_CURRENCY[found[1]]}", _GROUPED.sub("", text))
    text = _ORDINAL_DIGITS.sub(r"\1", text.lower())
    return _together(_numbered([_SAME.get(found[0], found[0]) for found in _WORD.finditer(text)]))


def _numbered(found: Sequence[str]) -> list[tuple[str, bool]]:
    """Each word, and whether it is a digit or a group of them that may belong to a longer number: times and prices stay apart."""
    out: list[tuple[str, bool]] = []
    at = 0
    while at < len(found):
        word = found[at]
        value = _VALUES.get(word)
        if value is None:
            if word in _ORDINALS:
                out.append((str(_ORDINALS[word]), False))
            else:
                out.append((word, word.isdigit() and len(word) != 2))
            at += 1
            continue
        at += 1
        if value >= 20 and at < len(found):
            follows = _VALUES.get(found[at], _ORDINALS.get(found[at], 0))
            if 0 < follows < 10:
                value += follows
                at += 1
        if at < len(found) and found[at] == "hundred" and 0 < value < 100:
            value *= 100
            at += 1
            rest = at + 1 if at < len(found) and found[at] == "and" else at
            if rest < len(found) and found[rest] in _VALUES:
                value += _VALUES[found[rest]]
                at = rest + 1
                if value % 100 >= 20 and at < len(found) and 0 < _VALUES.get(found[at], 0) < 10:
                    value += _VALUES[found[at]]
                    at += 1
        out.append((str(value), value < 10))
    return out


def _together(found: Sequence[tuple[str, bool]]) -> tuple[str, ...]:
    out: list[str] = []
    joins = False
    for word, is_digits in found:
        if is_digits and joins:
            out[-1] += word
        else:
            out.append(word)
        joins = is_digits
    return tuple(out)


def holds(text: str, wanted: str) -> bool:
    """Whether these words come in the text, one after the other."""
    there, asked = words(text), words(wanted)
    return any(there[at : at + len(asked)] == asked for at in range(len(there) - len(asked) + 1)) if asked else False


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Words that were heard wrongly, left out or added; and how many were said (the word error rate is their quotient)."""
    right, given = words(said), words(heard)
    right, given = _joined(right, frozenset(given)), _joined(given, frozenset(right))
    row = list(range(len(given) + 1))
    for number, word in enumerate(right, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(given, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1], len(right)


def _joined(found: tuple[str, ...], others: frozenset[str]) -> tuple[str, ...]:
    """`check up` as `checkup` where the other side wrote it so."""
    out: list[str] = []
    for word in found:
        if out and out[-1] + word in others and out[-1] not in others:
            out[-1] += word
        else:
            out.append(word)
    return tuple(out)
