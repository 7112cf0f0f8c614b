"""Days and times of day as people say them."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

_MONTHS = {
    name: number
    for names in (
        ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"),
        ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
        ("januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "dezember"),
        ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    )
    for number, name in enumerate(names, start=1)
}  # fmt: skip
_WEEKDAYS = {
    name: number
    for names in (
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
        ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"),
        ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    )
    for number, name in enumerate(names)
}
_ORDINALS = {
    word: number
    for number, word in enumerate(
        (
            *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
            *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
            *("eighteenth", "nineteenth", "twentieth", "twenty first", "twenty second", "twenty third"),
            *("twenty fourth", "twenty fifth", "twenty sixth", "twenty seventh", "twenty eighth", "twenty ninth"),
            *("thirtieth", "thirty first"),
        ),
        start=1,
    )
}
_RELATIVE = {
    "the day after tomorrow": 2, "day after tomorrow": 2, "tomorrow": 1, "today": 0, "tonight": 0, "yesterday": -1,
    "pasado mañana": 2, "hoy": 0, "ayer": -1, "übermorgen": 2, "heute": 0, "gestern": -1, "après-demain": 2, "demain": 1,
    "aujourd'hui": 0, "hier soir": -1,
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_WEEKDAY = "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
_ORDINAL = "|".join(sorted((word.replace(" ", r"[\s-]") for word in _ORDINALS), key=len, reverse=True))
_NUMBERED = rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.|º)?|{_ORDINAL})"
_DAY = re.compile(
    rf"""
      (?P<iso>\b(?:19|20)\d\d-\d\d-\d\d\b)
    | \b(?P<month>{_MONTH})\.?\s+(?:the\s+)?(?P<day>{_NUMBERED})(?!\s*(?:am|pm|o'clock|:|%|percent|dollars|euros|people))\b(?:,?\s+(?P<year>(?:19|20)\d\d))?
    | \b(?P<day2>{_NUMBERED})\s+(?:of\s+|de\s+)?(?P<month2>{_MONTH})\b(?:\s+(?:de\s+)?(?P<year2>(?:19|20)\d\d))?
    | \b(?P<numeric>\d{{1,2}}[/.]\d{{1,2}}[/.](?:20)?\d\d)\b
    | \b(?:(?P<which>next|this|coming|last|próximo|el\s+próximo|nächsten|kommenden|am)\s+)?(?P<weekday>{_WEEKDAY})\b
    | \b(?P<relative>{"|".join(sorted(_RELATIVE, key=len, reverse=True))})\b
    | \bin\s+(?P<count>\d{{1,3}}|a|one|two|three|four|five|six|seven|ten)\s+(?P<unit>days?|weeks?)\b
    | \b(?P<whole>next\s+(?:week|month|year)|this\s+(?:week|weekend)|la\s+próxima\s+semana|nächste\s+woche)\b
    | \bon\s+the\s+(?P<nth>\d{{1,2}}(?:st|nd|rd|th)|{_ORDINAL})\b(?!\s+(?:of\s+)?(?:{_MONTH})\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TIME = re.compile(
    r"""
      \b(?:[01]?\d|2[0-3])[:.h][0-5]\d(?:\s?(?:[ap]\.?m\b\.?|uhr))?(?!\d)
    | \b\d{1,2}\s?(?:[ap]\.m\.|[ap]m\b|o'?\s?clock\b|uhr\b|heures?\b)
    | \b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?:\s(?:fifteen|thirty|forty[\s-]five))?\s(?:[ap]\.?\s?m\b\.?|o'?\s?clock)
    | \b(?:half\spast|quarter\s(?:past|to))\s(?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b
    | \ba\slas\s\w+(?:\sy\smedia)?
    | \bum\s\w+\suhr\b
    | \b(?:noon|midnight|mediodía|mittags)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BY_THE_WAY = re.compile(
    r"\b(?:help|assist|serve|support|do for|calling|call) (?:you |us )?(?:with )?today\b", re.IGNORECASE
)
"""Phrases whose "today" is no date."""

_COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}


def days(text: str) -> Iterator[str]:
    """The days that a text names, as it names them."""
    for match in _DAY.finditer(_BY_THE_WAY.sub(" ", text)):
        if match["month"] and match["month"].lower() == "may" and not match["month"][0].isupper():
            continue
        yield re.sub(r"^am\s+", "", match[0].strip(), flags=re.IGNORECASE)


def times(text: str) -> Iterator[str]:
    """The times of day that a text names, as it names them."""
    for match in _TIME.finditer(text):
        yield match[0].strip()


def resolved(text: str, *, on: date) -> date | None:
    """The first day that a text names, seen from the day it was said; None for none and for whole weeks or months."""
    for match in _DAY.finditer(_BY_THE_WAY.sub(" ", text)):
        found = _resolved(match, on)
        if found is not None:
            return found
    return None


def _resolved(match: re.Match[str], on: date) -> date | None:
    try:
        if match["iso"]:
            return date.fromisoformat(match["iso"])
        if match["month"] or match["month2"]:
            month = _MONTHS[(match["month"] or match["month2"]).lower()]
            day = _nth(match["day"] or match["day2"])
            year = match["year"] or match["year2"]
            return date(int(year), month, day) if year else _coming(on, month, day)
        if match["numeric"]:
            return _numeric(match["numeric"], on)
        if match["weekday"]:
            ahead = (_WEEKDAYS[match["weekday"].lower()] - on.weekday()) % 7
            if match["which"] and match["which"].lower() == "last":
                return on - timedelta(days=7 - ahead if ahead else 7)
            return on + timedelta(days=ahead or 7)
        if match["relative"]:
            return on + timedelta(days=_RELATIVE[match["relative"].lower()])
        if match["count"]:
            count = _COUNTS.get(match["count"].lower()) or int(match["count"])
            return on + timedelta(days=count * (7 if match["unit"].lower().startswith("week") else 1))
        if match["nth"]:
            day = _nth(match["nth"])
            month = on.month if day >= on.day else on.month % 12 + 1
            return date(on.year + (month < on.month), month, day)
    except ValueError:
        return None
    return None


def _nth(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else _ORDINALS[re.sub(r"[\s-]+", " ", text.lower())]


def _coming(on: date, month: int, day: int) -> date:
    """The day in this year, or in the next when it lies more than half a year back."""
    found = date(on.year, month, day)
    if found < on - timedelta(days=183):
        return date(on.year + 1, month, day)
    return found


def _numeric(text: str, on: date) -> date | None:
    first, second, year = (int(part) for part in re.split(r"[/.]", text))
    year = year if year > 99 else 2000 + year
    day_first = "." in text or first > 12
    return date(year, second, first) if day_first else date(year, first, second)
