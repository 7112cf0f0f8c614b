"""Numbers as people say them: "one hundred forty nine" → 149, "four five double seven" → 4577."""

import re

_EN_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_EN_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
UNITS: dict[str, int] = {
    **{word: value for value, word in enumerate(_EN_UNITS)},
    **{word: 10 * place for place, word in enumerate(_EN_TENS, start=2)},
    **{
        word: value
        for words in (
            ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce"),
            ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"),
            ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze"),
        )
        for value, word in enumerate(words)
    },
    "zwo": 2,
    "una": 1,
    "veinte": 20,
    "treinta": 30,
    "cuarenta": 40,
    "cincuenta": 50,
    "zwanzig": 20,
    "dreißig": 30,
    "vierzig": 40,
    "fünfzig": 50,
}
"""Words for numbers below a hundred; `once` is Spanish for eleven and left out of running text by `parse`."""

_SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "million": 1_000_000}
_AMBIGUOUS = frozenset({"once", "un", "una", "uno", "six", "null", "sept", "dix", "elf", "acht"}) - {"six"}
_DIGITS = {word: value for word, value in UNITS.items() if value < 10} | {"oh": 0, "o": 0}
_REPEATS = {"double": 2, "triple": 3, "doble": 2}
_DIGIT_WORD = "|".join(sorted(_DIGITS, key=len, reverse=True))
_DIGIT_RUN = re.compile(
    rf"\b(?:(?:{'|'.join(_REPEATS)})\s+)?(?:{_DIGIT_WORD}|\d)(?:[\s,-]+(?:(?:{'|'.join(_REPEATS)})\s+)?(?:{_DIGIT_WORD}|\d{{1,4}}))+\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+|\d[\d,]*(?:\.\d+)?")
NUMBER_WORDS = "|".join(
    sorted({*_EN_UNITS, *_EN_TENS, *_SCALES} - {"zero"} | {"zero", "a hundred", "a thousand"}, key=len, reverse=True)
)
SPOKEN_NUMBER = rf"(?:{NUMBER_WORDS})(?:[\s-]+(?:and[\s-]+)?(?:{NUMBER_WORDS})){{0,12}}"
"""A pattern of a number in English words."""


def joined_digits(text: str) -> str:
    """Digits said one by one as figures; everything else as it was."""

    def figures(match: re.Match[str]) -> str:
        out: list[str] = []
        times = 1
        for word in re.findall(r"[^\W\d_]+|\d+", match[0].lower()):
            if word in _REPEATS:
                times = _REPEATS[word]
                continue
            out.append((str(_DIGITS[word]) if word in _DIGITS else word) * times)
            times = 1
        return "".join(out) if len(out) > 2 else match[0]

    return _DIGIT_RUN.sub(figures, text)


def parse(text: str) -> float | None:
    """The first number of a text, in figures or words; None without one."""
    words = [word.lower() for word in _WORD.findall(text)]
    for start, word in enumerate(words):
        if word[0].isdigit():
            value = float(word.replace(",", ""))
            scale = _SCALES.get(words[start + 1]) if start + 1 < len(words) else None
            return value * scale if scale else value
        if word in _SCALES and start and words[start - 1] == "a":
            return _spoken(["one", *words[start:]])
        if word in UNITS and (word not in _AMBIGUOUS or len(words) <= 3):
            return _spoken(words[start:])
    return None


def _spoken(words: list[str]) -> float:
    total, current, last = 0, 0, 0
    for place, word in enumerate(words):
        if word in UNITS:
            unit = UNITS[word]
            if place and last and not (last >= 20 and last % 10 == 0 and unit < 10) and last != 100:
                break
            current += unit
            last = unit
        elif word == "hundred":
            current = max(current, 1) * 100
            last = 100
        elif word in _SCALES:
            total += max(current, 1) * _SCALES[word]
            current, last = 0, 100
        elif word == "and" and place + 1 < len(words) and words[place + 1] in UNITS and last >= 100:
            continue
        else:
            break
    return float(total + current)
