"""Words of a text as terms that can be compared: stems, number words as digits, days spelled out, small families of synonyms."""

import re
from functools import lru_cache

_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "i",
        "me",
        "my",
        "you",
        "your",
        "yours",
        "we",
        "us",
        "our",
        "they",
        "them",
        "their",
        "he",
        "she",
        "his",
        "her",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "is",
        "are",
        "am",
        "was",
        "were",
        "be",
        "been",
        "being",
        "do",
        "does",
        "did",
        "doing",
        "have",
        "has",
        "had",
        "having",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "to",
        "of",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "about",
        "as",
        "into",
        "than",
        "then",
        "so",
        "and",
        "or",
        "but",
        "if",
        "not",
        "no",
        "nor",
        "yes",
        "yeah",
        "okay",
        "ok",
        "please",
        "just",
        "also",
        "very",
        "really",
        "there",
        "here",
        "what",
        "which",
        "who",
        "whom",
        "whose",
        "how",
        "why",
        "any",
        "some",
        "all",
        "each",
        "more",
        "most",
        "much",
        "many",
        "get",
        "got",
        "give",
        "tell",
        "know",
        "want",
        "wanna",
        "need",
        "like",
        "let",
        "say",
        "want's",
        "i'm",
        "i'd",
        "i've",
        "you're",
        "we're",
        "it's",
        "that's",
        "what's",
        "there's",
        "don't",
        "can't",
        "um",
        "uh",
        "hi",
        "hello",
        "hey",
        "well",
        "now",
        "too",
        "up",
        "out",
        "over",
        "again",
        "ask",
        "question",
        "thing",
        "things",
        "something",
        "anything",
        "kind",
        "sort",
        "maybe",
        "actually",
        "gonna",
        "going",
        "go",
        "does",
    ]
)
_PHRASES = (
    (re.compile(r"\bcheck(?:ing)?[ -]?in\b"), "checkin"),
    (re.compile(r"\bcheck(?:ing)?[ -]?out\b"), "checkout"),
    (re.compile(r"\bwi[ -]?fi\b|\bwhy fi\b|\bwi fi\b|\bwireless\b"), "wifi"),
    (re.compile(r"\be[ -]mails?\b"), "email"),
    (re.compile(r"\bx[ -]rays?\b"), "xray"),
    (re.compile(r"\bwalk[ -]ins?\b"), "walkin"),
    (re.compile(r"\bpick(?:ing)?[ -]?(?:it )?up\b"), "pickup"),
    (re.compile(r"\b(?:log|sign)[ -]?in\b"), "login"),
    (re.compile(r"\bsign(?:ing)?[ -]?up\b"), "signup"),
    (re.compile(r"\btake[ -]?(?:out|away)\b|\bcarry[ -]?out\b"), "takeout"),
    (re.compile(r"\bgluten[ -]free\b"), "glutenfree"),
    (re.compile(r"\bhow (?:much|expensive)\b"), "price"),
    (re.compile(r"\bhow far\b"), "distance"),
    (re.compile(r"\bhow long\b"), "duration"),
    (re.compile(r"\bwhat time\b|\bwhen\b"), "time"),
    (re.compile(r"\bwhere\b"), "location"),
    (re.compile(r"\b(?:the|your|this) (?:shop|store|restaurant|hotel|clinic|office|company|business|place|salon|practice|building)\b(?=\s*(?:$|[?.!,]|located|open|closed?|address|is|are|at|in|and)\b|\s*$|\s*[?.!,])"), " "),
    (re.compile(r"\b(?:run|owned|founded|led) by\b|\bwho (?:runs|owns)\b"), "owner"),
    (re.compile(r"\b(?:send|bring|give|take) (?:it |them |the \w+ )?back\b"), "return"),
    (re.compile(r"\b(?:take|bring) (?:it |them )?home\b|\bcheck out (?=\w+ ?books?)"), "borrow"),
    (re.compile(r"\bwhat (?:hours?|ours?)\b"), "time open"),
    (re.compile(r"\bmoney back\b|\bget my money\b"), "refund"),
    (re.compile(r"\bweek[ -]?ends?\b"), "saturday sunday weekend"),
    (re.compile(r"\bweek[ -]?days?\b"), "monday tuesday wednesday thursday friday weekday"),
    (re.compile(r"\bevery ?day\b|\bdaily\b|\b7 days\b|\bseven days\b"), "monday tuesday wednesday thursday friday saturday sunday daily"),
    (re.compile(r"\b24/7\b|\btwenty[ -]four seven\b|\baround the clock\b|\bday and night\b|\b24 hours a day\b"), "24 hour day night monday tuesday wednesday thursday friday saturday sunday"),
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = r"(mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)[a-z]*"
_DAY_RANGE = re.compile(rf"\b{_DAY}\.?\s*(?:-|–|—|to|through|till|until|thru)\s*{_DAY}\b")
_SHORT_DAY = re.compile(r"\b(mon|tues?|wed|thurs?|thur|fri|sat|sun)\b\.?")
_TERM = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?(?:\.\d+)?")
NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    word: str(value * 10)
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
"""English words for numbers below twenty and for tens, with their digits."""

_FAMILIES = (
    "price cost fee charge fine penalty rate expensive cheap pay fare tariff pricing quote money dollar",
    "open hour close opening closing opened closed shut schedule time",
    "location address located find situated street place direction",
    "phone call telephone reach contact number line",
    "cancel cancellation terminate stop quit unsubscribe",
    "refund reimbursement reimburse return back",
    "delivery deliver ship shipping courier bring",
    "parking park car garage lot vehicle",
    "wifi internet network online",
    "pet dog cat animal puppy",
    "child kid children toddler baby son daughter teen infant family pediatric",
    "breakfast morning buffet",
    "pain hurt ache injury injured toothache emergency urgent swollen broken",
    "insurance insurer cover covered coverage insured",
    "book reserve reservation appointment schedule booking",
    "pay payment card visa cash mastercard amex credit debit",
    "vegan vegetarian plantbased meatless",
    "cleaning clean hygiene checkup",
    "upgrade downgrade change switch plan tier",
    "invoice bill billing receipt",
    "trial free demo",
    "discount deal special offer coupon promo promotion",
    "gym fitness workout exercise",
    "pool swim swimming",
    "late overdue delay",
    "password login signin account",
    "export download backup",
    "duration long take minute hour",
    "distance far near mile walk",
    "room suite bed accommodation",
    "size small medium large inch big",
    "allergy allergic allergen nut gluten glutenfree celiac dairy",
    "doctor dentist dr physician",
    "whitening whiten bleach white",
    "airport shuttle transfer taxi",
    "manager owner boss",
    "staff employee team",
    "secure security encrypt encrypted safe",
    "support help assistance",
    "restaurant dinner lunch food eat menu",
    "checkin arrive arrival",
    "checkout leave departure depart",
    "surgery operation operate surgeon operating",
    "sick ill illness disease",
    "return exchange",
    "voucher gift card giftcard",
    "lift elevator stair escalator",
    "colour color dye tint",
    "haircut cut trim",
    "move relocate relocation moving house apartment",
    "slow speed fast lag",
    "broken fault repair fix defect outage",
    "technician engineer installer",
    "vaccine vaccination shot",
    "job career hiring vacancy apply",
    "warranty guarantee",
    "license licence certificate",
    "borrow lend loan",
    "extend renew renewal prolong",
    "movie film dvd video",
    "wife husband partner spouse second additional",
    "seat person passenger",
    "tank fuel petrol gas diesel",
    "pause freeze suspend hold",
    "age old minimum young teen son daughter",
    "annual year",
    "nonprofit charity ngo",
    "dessert sweet cake tiramisu icecream brownie cheesecake",
    "group party wedding event conference",
    "tooth teeth dental",
)


_IRREGULAR = {
    "later": "late",
    "latest": "late",
    "earlier": "early",
    "earliest": "early",
    "cheaper": "cheap",
    "cheapest": "cheap",
    "bigger": "big",
    "biggest": "big",
    "larger": "large",
    "longer": "long",
    "cancelled": "cancel",
    "cancelling": "cancel",
    "canceled": "cancel",
    "canceling": "cancel",
    "paid": "pay",
    "bought": "buy",
    "brought": "bring",
    "sent": "send",
    "kept": "keep",
    "teeth": "tooth",
    "feet": "foot",
    "people": "person",
    "children": "child",
    "kids": "kid",
    "men": "man",
    "women": "woman",
    "yearly": "year",
    "annually": "annual",
    "monthly": "month",
    "weekly": "week",
    "nightly": "night",
    "vegetarians": "vegetarian",
    "payment": "pay",
    "payments": "pay",
    "non": "not",
}


def stem(word: str) -> str:
    """A word without its commonest endings."""
    word = word.replace("'s", "").replace("’s", "").replace("'", "").replace("’", "")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
        return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz" else word
    if len(word) > 4 and word.endswith("ed"):
        word = word[:-2]
        return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz" else word
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
        if word in _IRREGULAR:
            return _IRREGULAR[word]
    if len(word) > 5 and word.endswith("er"):
        return word[:-2]
    return word[:-1] if len(word) > 4 and word.endswith("e") and word[-2] not in "cg" else word


_FAMILY_OF: dict[str, tuple[str, ...]] = {}
for _number, _family in enumerate(_FAMILIES):
    for _word in _family.split():
        _FAMILY_OF[stem(_word)] = (*_FAMILY_OF.get(stem(_word), ()), f"~{_number}")


@lru_cache(maxsize=20_000)
def terms(text: str) -> tuple[str, ...]:
    """Content terms in order, stemmed."""
    text = text.lower().replace("’", "'")
    text = _DAY_RANGE.sub(_days_between, text)
    text = _SHORT_DAY.sub(lambda match: _full_day(match[1]), text)
    for pattern, replacement in _PHRASES:
        text = pattern.sub(f" {replacement} ", text)
    found = []
    for word in _TERM.findall(text):
        if word in _STOP:
            continue
        found.append(NUMBERS.get(word) or stem(word))
    return tuple(found)


def families(term: str) -> tuple[str, ...]:
    """The synonym families a term belongs to."""
    return _FAMILY_OF.get(term, ())


@lru_cache(maxsize=20_000)
def sound(term: str) -> str:
    """A rough key of how a word sounds: consonants of one kind as one sign, vowels dropped but the first."""
    if term[:1].isdigit():
        return term
    for written, heard in (
        ("ph", "f"),
        ("ck", "k"),
        ("wh", "w"),
        ("kn", "n"),
        ("wr", "r"),
        ("gh", ""),
        ("mb", "m"),
        ("qu", "k"),
        ("x", "ks"),
    ):
        term = term.replace(written, heard)
    term = re.sub(r"c(?=[eiy])", "s", term)
    term = term.translate(
        str.maketrans({"c": "k", "q": "k", "z": "s", "v": "f", "d": "t", "b": "p", "g": "k", "j": "k"})
    )
    key = "".join(
        sign
        for at, sign in enumerate(term)
        if (at == 0 or sign not in "aeiouyhw'") and (at == 0 or term[at - 1] != sign)
    )
    return ("a" + key[1:]) if key[:1] in "aeiou" else key


def _full_day(short: str) -> str:
    return next((day for day in _DAYS if day.startswith(short[:3])), short)


def _days_between(match: re.Match[str]) -> str:
    first, last = (_DAYS.index(_full_day(match[group])) for group in (1, 2))
    count = (last - first) % 7 + 1
    return " ".join(_DAYS[(first + step) % 7] for step in range(count))
