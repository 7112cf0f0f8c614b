"""Written English as it is spoken, for the parts that the voice's own reader gets wrong.

Digits of numbers that name something (phone, order, code) are read one by one, e-mail addresses and links in words, markdown and emoji
vanish, pauses become commas. Plain numbers, money, times and dates are left as they are: the voice reads them well.
"""

import re
from collections.abc import Callable

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "tues": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "thur": "Thursday",
    "thurs": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_SPELLED_SIGNS = {".": "dot", "@": "at", "_": "underscore", "-": "dash", "/": "slash", "+": "plus", "~": "tilde"}
_PER = {"mo": "month", "month": "month", "yr": "year", "year": "year", "wk": "week", "week": "week", "day": "day"}
_PER |= {
    "hr": "hour",
    "h": "hour",
    "hour": "hour",
    "user": "user",
    "night": "night",
    "person": "person",
    "seat": "seat",
}

_DAY = "|".join(sorted(_DAYS, key=len, reverse=True))
_ID_WORDS = (
    r"order|number|code|pin|reference|ref|id|account|invoice|ticket|confirmation|booking|case|claim|policy|tracking|member|"
    r"serial|extension|ext|zip|postcode|passcode|password|suite|box|customer|reservation"
)
_TITLES = r"(?:Dr|Mr|Mrs|Ms|St|Prof|Jr|Sr|No|Inc|Ltd|Co|Corp|vs|approx|e\.g|i\.e|etc|a\.m|p\.m|U\.S|Ave|Rd|Blvd|ext)"

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)\]*_]*\s+(?=\S)|\s*\n+\s*")
_AFTER_ABBREVIATION = re.compile(rf"(?:^|[\s(])(?:{_TITLES}|[A-Z])\.$", re.IGNORECASE)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_URL = re.compile(
    r"\b(?:https?://|www\.)[^\s<>()\[\]\"']+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|dev|co|uk|de|eu|app|info|gov|edu)\b(?:/[^\s<>()\[\]\"']*)?",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.$£€-])(?:\+\d{1,3}[\s.-]?)?(?:\(\d{2,4}\)[\s.-]?|\d{1,4}[\s.-])?(?:\d{2,4}[\s.-]){1,3}\d{3,4}(?![\w-]|\.\d)"
)
_VANITY = re.compile(r"(?<!\w)(?:\+?1-)?(800|833|844|855|866|877|888)-(?=[A-Z0-9-]{3,})([A-Z0-9-]*[A-Z][A-Z0-9-]*)\b")
_HASH_ID = re.compile(r"(?<![\w&])#\s?([A-Za-z0-9][A-Za-z0-9-]*\d[A-Za-z0-9-]*|\d+)\b")
_NAMED_ID = re.compile(
    rf"\b((?:{_ID_WORDS})\b\.?(?:\s+(?:number|code|id|is|no\.?))*[\s:#]+)([A-Z0-9][A-Z0-9-]*)(?![\w-]|[.:]\d)",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"(?<![\w.,:$£€#-])(0\d+|\d{5,})(?![\w,-]|\.\d)")
_MIXED_ID = re.compile(
    r"(?<![\w$£€-])(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])([A-Z]{1,5}-?\d{3,}[A-Z0-9-]*|\d+[A-Z]{1,3}-?\d+[A-Z0-9-]*)(?![\w-])"
)
_DAY_RANGE = re.compile(rf"\b({_DAY})\b\.?\s*(?:-|–|—|to)\s*({_DAY})\b\.?", re.IGNORECASE)
_DAY_ALONE = re.compile(r"\b(Mon|Tues?|Wed|Thurs?|Fri)\b\.?(?=[\s,:;]|$)")
_TIME_RANGE = re.compile(r"(?<=\d|m)\s?[–—-]\s?(?=\d{1,2}(?::\d{2})?\s?[ap]\.?m\b)", re.IGNORECASE)
_CLOCK_RANGE = re.compile(r"\b(\d{1,2}:\d{2})\s?[–—-]\s?(\d{1,2}:\d{2})\b")
_MONEY_RANGE = re.compile(r"([$£€]\d[\d,.]*)\s?[–—-]\s?(?=[$£€]\d)")
_PER_UNIT = re.compile(rf"(?<=[\d.%])\s?/\s?({'|'.join(sorted(_PER, key=len, reverse=True))})\b", re.IGNORECASE)
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d\u20e3\U000e0020-\U000e007f]+")
_SPEAKABLE = re.compile(r"[^\W_]")


def sentences(text: str) -> tuple[str, ...]:
    """The text's sentences as written; what has no letter or digit is dropped."""
    found: list[str] = []
    begin = 0
    for end in _SENTENCE_END.finditer(text):
        before = text[begin : end.start()].rstrip('"”’)]*_ ')
        after = text[end.end() : end.end() + 1]
        if "\n" not in end[0] and (after.islower() or (before.endswith(".") and _AFTER_ABBREVIATION.search(before))):
            continue
        found.append(text[begin : end.end()])
        begin = end.end()
    found.append(text[begin:])
    return tuple(part.strip() for part in found if is_speakable(part))


def is_speakable(text: str) -> bool:
    """Whether there is anything to say."""
    return _SPEAKABLE.search(_EMOJI.sub("", text)) is not None


def without_emoji(text: str) -> str:
    """The text with a space in place of each run of emoji."""
    return _EMOJI.sub(" ", text)


def spoken_form(text: str) -> str:
    """The text in words that the voice reads right; "" when there is nothing to say."""
    text = _without_markup(text)
    for pattern, speak in _RULES:
        text = pattern.sub(speak, text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text).lstrip(",;:. ")
    return text if is_speakable(text) else ""


def digits_one_by_one(text: str) -> str:
    """`4-729A` → `four, seven two nine A`: letters one by one too, a pause where the writing has a gap."""
    groups = [group for group in re.split(r"[^A-Za-z0-9]+", text) if group]
    return ", ".join(_spelled_group(group) for group in groups)


def _spelled_group(group: str) -> str:
    if group in {"800", "900"}:
        return f"{_DIGITS[int(group[0])]} hundred"
    signs = [_DIGITS[int(sign)] if sign.isdigit() else sign.upper() for sign in group]
    if len(signs) > 4 and group.isdigit():  # long runs in threes, as people say them
        parts = [signs[at : at + 3] for at in range(0, len(signs), 3)]
        if len(parts[-1]) == 1:
            parts[-2:] = [parts[-2] + parts[-1]]
        return ", ".join(" ".join(part) for part in parts)
    return " ".join(signs)


def _without_markup(text: str) -> str:
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[a-zA-Z/][^>]{0,200}>", " ", text)
    text = re.sub(r"^\s{0,3}(?:#{1,6}\s+|>\s?|[-*+•]\s+)", "", text, flags=re.MULTILINE)
    text = re.sub(r"(\*{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<!\w)_{1,2}(?=\S)(.+?)(?<=\S)_{1,2}(?!\w)", r"\1", text)
    text = re.sub(r"[*`]", " ", text)
    return re.sub(r"\s*\|\s*", ", ", text.strip().strip("|"))


def _address(match: re.Match[str]) -> str:
    text = match[0]
    tail = ""
    while text and text[-1] in ".,;:!?":
        text, tail = text[:-1], text[-1] + tail
    text = re.sub(r"^https?://", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^www\.", "", text, flags=re.IGNORECASE).rstrip("/")
    words = re.sub(r"[.@_/+~-]", lambda sign: f" {_SPELLED_SIGNS[sign[0]]} ", text)
    words = re.sub(r"\d+", lambda run: f" {' '.join(_DIGITS[int(digit)] for digit in run[0])} ", words)
    words = re.sub(r"\b(?:com|org|net|dot|at)\b", lambda word: word[0].lower(), words)
    words = re.sub(r"\b(?:io|ai|uk|eu|de|co)\b$", lambda word: " ".join(word[0].upper()), words)
    return re.sub(r"[?=&%#]+", " ", re.sub(r"\s+", " ", words)).strip() + tail


def _phone(match: re.Match[str]) -> str:
    text = match[0]
    digits = re.sub(r"\D", "", text)
    is_date = re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}", text)
    if is_date or len(digits) < 7 or re.fullmatch(r"\d{4}\s?-\s?\d{4}", text):
        return text
    return ("plus " if text.startswith("+") else "") + digits_one_by_one(text)


def _vanity(match: re.Match[str]) -> str:
    prefix = "one, " if match[0].lstrip("+").startswith("1-") else ""
    area = f"{_DIGITS[8]} hundred" if match[1] == "800" else digits_one_by_one(match[1])
    rest = ", ".join(_spelled_group(part) if part.isdigit() else part.capitalize() for part in match[2].split("-"))
    return f"{prefix}{area}, {rest}"


def _named_id(match: re.Match[str]) -> str:
    name, value = match[1], match[2]
    if not any(sign.isdigit() for sign in value) or (value.isdigit() and len(value) < 4):
        return match[0]
    if value.isdigit() is False and value.upper() != value:
        return match[0]
    return name.replace("#", " ").rstrip(": ") + " " + digits_one_by_one(value)


def _day_range(match: re.Match[str]) -> str:
    return f"{_DAYS[match[1].lower()]} to {_DAYS[match[2].lower()]}"


_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_EMOJI, " "),
    (_EMAIL, _address),
    (_URL, _address),
    (re.compile(r"\.{2,}|…"), ", "),
    (re.compile(r"\b24\s?/\s?7\b"), "twenty-four seven"),
    (re.compile(r"\b(9)-?1-?1\b(?!\w)"), "nine one one"),
    (_MONEY_RANGE, r"\1 to "),
    (_CLOCK_RANGE, r"\1 to \2"),
    (_TIME_RANGE, " to "),
    (_VANITY, _vanity),
    (_HASH_ID, lambda match: "number " + digits_one_by_one(match[1])),
    (_NAMED_ID, _named_id),
    (_PHONE, _phone),
    (_MIXED_ID, lambda match: digits_one_by_one(match[1])),
    (_LONG_NUMBER, lambda match: digits_one_by_one(match[1])),
    (_DAY_RANGE, _day_range),
    (_DAY_ALONE, lambda match: _DAYS[match[1].lower()]),
    (_PER_UNIT, lambda match: f" per {_PER[match[1].lower()]}"),
    (re.compile(r"\bw/o\b"), "without"),
    (re.compile(r"\bw/(?=\s)"), "with"),
    (re.compile(r"\be\.g\.,?", re.IGNORECASE), "for example,"),
    (re.compile(r"\bi\.e\.,?", re.IGNORECASE), "that is,"),
    (re.compile(r"\betc\."), "and so on."),
    (re.compile(r"\s&\s"), " and "),
    (re.compile(r"\s?[—–]\s?|\s-\s"), ", "),
    (re.compile(r"[()\[\]{}]"), ", "),
    (re.compile(r"(?<=[A-Za-z])/(?=[A-Za-z])"), " or "),
    (re.compile(r"[<>^\\~=|#]"), " "),
)
