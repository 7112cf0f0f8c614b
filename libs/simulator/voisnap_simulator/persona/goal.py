"""What a simulated person wants, read from a goal in words: what to ask for, one thing after the other, and the facts that it names. Pure.

Goals may be orders ("Book a table for two under the name Miller"), first person ("I want to cancel my order 4711"), second or third
("The caller wants to know the opening hours"), or a topic alone ("refund for order 4711"). English.
"""

import re
from enum import StrEnum

import msgspec
from voisnap_providers.vendors.local.normalise import sentences
from voisnap_providers.vendors.local.terms import families, terms

MAX_GOAL = 1000
MAX_WANTS = 6


class Kind(StrEnum):
    """What a fact is."""

    NAME = "name"
    PHONE = "phone number"
    EMAIL = "e-mail address"
    DATE = "date"
    TIME = "time"
    PEOPLE = "number of people"
    REFERENCE = "number"
    BIRTH = "date of birth"
    ADDRESS = "address"
    POSTCODE = "postcode"
    OTHER = "detail"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the goal names: `text` as it is said, `label` what the goal calls it ("order number")."""

    kind: Kind
    text: str
    label: str = ""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wanted: how it is said, what it is about, and whether an answer is enough (else something has to be done)."""

    said: str
    about: str
    is_question: bool


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A goal understood. `is_flexible`: another day or time than the named one is fine."""

    text: str
    wants: tuple[Want, ...]
    facts: tuple[Fact, ...]
    is_flexible: bool = False

    def fact(self, *kinds: Kind) -> Fact | None:
        """The first fact of one of these kinds."""
        return next((fact for fact in self.facts if fact.kind in kinds), None)


_DAYS = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTHS = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_CLOCK = r"(?:\d{1,2}(?::\d{2})?\s?(?:[ap]\.?m\.?(?!\w)|o'clock)|\d{1,2}:\d{2}|noon|midday|midnight)"
_PART = r"(?:in the )?(?:early |late )?(?:morning|afternoon|evening)|at lunch ?time"
_DATE = (
    rf"(?:(?:this|next|coming) )?{_DAYS}(?:,? (?:the )?(?:{_MONTHS} )?\d{{1,2}}(?:st|nd|rd|th)?(?: of {_MONTHS})?)?"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTHS}(?:,? \d{{4}})?|{_MONTHS} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?"
    r"|\d{4}-\d{2}-\d{2}|the \d{1,2}(?:st|nd|rd|th)|(?:the )?day after tomorrow|tomorrow|today|tonight|this weekend|(?:next|this) (?:week|month)"
)
_PROPER = r"[A-Z][\w'’.-]*(?:[ -](?:(?:de|van|von|der|la|al|bin|di|del) )*[A-Z][\w'’-]*){0,3}"
_PHONE = re.compile(r"(?<![\w#])\+?\(?\d[\d ().-]{6,18}\d(?!\w)")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_BIRTH = re.compile(
    rf"(?:(?:date of birth|birth ?(?:date|day)|dob)(?: is|:)?|born(?: on)?)\s+({_DATE}|[\d./-]{{6,10}})", re.I
)
_NAMES = (
    re.compile(rf"(?i:\b(?:my|your|the|his|her|caller'?s?|customer'?s?|patient'?s?)? ?name(?: is|'s|:| of)?) ({_PROPER})"),
    re.compile(rf"(?i:\b(?:I am|I'm|you are|you're|this is|caller is|customer is|patient is|called)) ({_PROPER})(?=[,.;!]|$| (?:and|from|who)\b)"),
    re.compile(rf"(?i:\b(?:under|in the name of|on behalf of|for)) (?!(?:{_DAYS}|{_MONTHS})\b)((?:Mr|Mrs|Ms|Dr)?\.? ?(?!(?i:{_DAYS}|{_MONTHS})\b){_PROPER})"),
)  # fmt: skip
_REFERENCE = re.compile(
    r"\b((?:order|booking|reservation|reference|confirmation|account|customer|policy|invoice|ticket|case|claim|member(?:ship)?|tracking|"
    r"patient|contract|serial|flight|room|parcel|licen[cs]e|passport|insurance|card|pin)(?: (?:number|no\.?|code|id|plate))?|pin|code)"
    r"(?: is|:)?\s*#?\s?((?=[\w-]*\d)[A-Za-z0-9][\w-]{1,24}(?: \d{2,})*)",
    re.I,
)
_PEOPLE = re.compile(
    r"\b(?:for|party of|group of) ((?:\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|twelve)(?: (?:people|persons|guests|adults|of us))?)(?![\w:/-]| ?(?:[ap]\.?m\b|o'clock|hours?|days?|nights?|weeks?|months?|years?|minutes?|dollars))",
    re.I,
)
_ADDRESS = re.compile(r"\b(?:address(?: is|:)?|live at|living at|deliver(?:ed|y)? to)\s+(\d+[^.;\n]{4,80}|[^.;\n]{4,80}\d+)", re.I)  # fmt: skip
_POSTCODE = re.compile(
    r"\b(?:zip(?: ?code)?|post(?:al)? ?code)(?: is|:)?\s+([A-Z0-9][A-Z0-9 -]{2,9}\d[A-Z]{0,2})", re.I
)
_LABELLED = re.compile(r"^\s*[-*]?\s*([A-Za-z][A-Za-z '-]{1,30}?)\s*[:=]\s*(\S.*)$")
_MINE = re.compile(
    r"\b(?:my|your|the caller's|the customer's|his|her) ([a-z][a-z ]{1,30}?) (?:is|are|was) ([^.;,]{1,80})"
)
_FLEXIBLE = re.compile(
    r"\b(?:any (?:other )?(?:day|time|date|slot)|flexible|whatever (?:day|time)|whenever|either (?:is|works)|(?:another|a different) (?:day|time) is (?:fine|okay|ok))\b",
    re.I,
)
_BEHAVES = re.compile(
    r"^(?:be |don'?t |do not |never |always |speak (?!to|with|about)|talk (?!to|with|about)|sound |act |answer |stay |remember |only |if |when |once |after that,? (?:hang|end)|then (?:hang|end|say)|hang up|end the call|say (?:good)?bye|thank )|"
    r"^(?:you are|you're|i am|i'm|the (?:caller|customer|person|user) is|he is|she is) (?:an? |very |in a |rather |quite |not |feeling )?(?!calling\b|looking\b|trying\b|interested\b)[a-z]+(?: [a-z]+){0,3}\.?$",
    re.I,
)
_WHO = r"(?:i|you|we|he|she|they|the (?:caller|customer|person|user|patient|guest|client)|somebody|someone|a (?:caller|customer|person|user|patient|guest))"
_WANTS = re.compile(
    rf"^(?:(?:goal|task|aim|scenario|purpose)(?: is)?\s*:?\s+)?(?:your (?:goal|task|aim|job) is |my (?:goal|task|aim) is )?"
    rf"(?:{_WHO}(?:'d|'m|'s|'re)?\s+)?"
    r"(?:(?:am|is|are|was)?\s*(?:calls?|calling|phoning|phones|ringing|writes?|writing)(?: (?:in|up))?(?: (?:to|because|in order to|and|for|about|regarding))?\s+)?"
    rf"(?:{_WHO}(?:'d|'m|'re)?\s+)?"
    r"(?:(?:really |urgently |just )?(?:wants?|would (?:like|love)|like|needs?|wish(?:es)?|tr(?:y|ies)|am trying|is trying|are trying|hopes?|plans?|intends?|has|have|am looking|is looking|are looking|are interested in|am interested in|is interested in)(?: to)?\s+)?"
    r"(?:to\s+)?(?:please\s+)?(?:call (?:and|to)\s+|try to\s+)?",
    re.I,
)
_ASK = re.compile(
    r"^(?:ask(?: (?:them|the agent|the receptionist|it|him|her))?|find out|learn|know|check|inquire|enquire|hear|clarify|figure out|understand|get (?:some )?(?:information|info|details)|get (?=(?:the |their |a )?(?:price|cost|hours|address|opening|quote))|request information|see|tell me|be told)\b\s*",
    re.I,
)
_VERBS = frozenset(
    [
        "accept",
        "activate",
        "add",
        "appeal",
        "apply",
        "arrange",
        "ask",
        "block",
        "book",
        "borrow",
        "bring",
        "buy",
        "call",
        "cancel",
        "change",
        "check",
        "claim",
        "close",
        "collect",
        "complain",
        "confirm",
        "connect",
        "correct",
        "create",
        "deactivate",
        "delete",
        "deliver",
        "dispute",
        "downgrade",
        "enquire",
        "enrol",
        "enroll",
        "exchange",
        "extend",
        "file",
        "find",
        "fix",
        "get",
        "give",
        "have",
        "hire",
        "increase",
        "inform",
        "inquire",
        "install",
        "invite",
        "join",
        "know",
        "learn",
        "leave",
        "let",
        "lock",
        "lodge",
        "lower",
        "make",
        "modify",
        "move",
        "negotiate",
        "notify",
        "open",
        "order",
        "pay",
        "pick",
        "place",
        "postpone",
        "put",
        "reactivate",
        "receive",
        "redeem",
        "refill",
        "register",
        "remove",
        "renew",
        "rent",
        "repair",
        "replace",
        "report",
        "request",
        "reschedule",
        "reserve",
        "reset",
        "resolve",
        "restart",
        "resubscribe",
        "return",
        "schedule",
        "see",
        "sell",
        "send",
        "set",
        "settle",
        "setup",
        "sign",
        "sort",
        "speak",
        "start",
        "stop",
        "subscribe",
        "swap",
        "switch",
        "talk",
        "tell",
        "track",
        "transfer",
        "try",
        "turn",
        "unblock",
        "unlock",
        "unsubscribe",
        "update",
        "upgrade",
        "use",
        "verify",
        "visit",
        "withdraw",
    ]
)
_QUESTION_WORDS = re.compile(r"^(?:what|when|where|how|who|which|why|whose|if|whether)\b", re.I)
_DIRECT = re.compile(r"\?\s*$")
_INFORMATION = re.compile(
    r"\b(?:hours|opening|prices?|costs?|fees?|address|location|directions|parking|availab\w+|status|information|policy|policies|menu|details|question|inquiry|enquiry|how much|balance)\b",
    re.I,
)
_NEXT = re.compile(
    rf"\s*(?:;|,?\s+(?:and|then|and then|as well as|and also)\s+(?=(?:then )?(?:to )?(?:(?:{'|'.join(sorted(_VERBS))})|find out)\b(?!\s+(?:is|are|was|time)\b))|,?\s+and\s+(?=(?:what|when|where|how|who|which|whether|if)\b))\s*",
    re.I,
)


def goal_of(text: str) -> Goal:
    """Read a goal. Raises ValueError for one that is empty or longer than `MAX_GOAL`."""
    text = " ".join(line.strip() for line in text.strip().splitlines() if line.strip())
    if not text:
        raise ValueError("a goal says in words what the person wants")
    if len(text) > MAX_GOAL:
        raise ValueError(f"a goal of {len(text)} characters, more than {MAX_GOAL}")
    facts = _facts(text)
    is_first_person = re.search(r"\b(?:I|I'm|I'd|my|me)\b", text) is not None
    wants: list[Want] = []
    for sentence in sentences(re.sub(r"\s*;\s*|(?<=[\w)])[.!]\s+", ".\n", text)):
        wants += _wants(sentence, is_first_person=is_first_person, facts=facts)
    if not wants:
        wants = [Want(said=_finished(f"I'm calling about {_topic(text)}"), about=text, is_question=True)]
    return Goal(text=text, wants=tuple(wants[:MAX_WANTS]), facts=facts, is_flexible=_FLEXIBLE.search(text) is not None)


def _topic(text: str) -> str:
    """`billing-inquiry` in words."""
    return re.sub(r"[_\s]+|(?<=[a-z])-(?=[a-z])", " ", text.rstrip(".!? ")).strip()


# What is wanted -------------------------------------------------------------------------------------------------------


def _wants(sentence: str, *, is_first_person: bool, facts: tuple[Fact, ...]) -> list[Want]:
    bare = sentence.strip().rstrip(".! ")
    if not bare or _is_only_fact(bare, facts):
        return []
    if _DIRECT.search(sentence):
        return [Want(said=sentence.strip(), about=sentence, is_question=True)]
    if _BEHAVES.match(bare):
        return []
    rest = _WANTS.sub("", bare, count=1).strip()
    if not rest:
        return []
    found: list[Want] = []
    was_question = False
    for clause in _NEXT.split(rest):
        want = _want(re.sub(r"^(?:then |to |also )+", "", clause.strip(" ,")), is_first_person, was_question)
        if want is not None:
            found.append(want)
            was_question = want.is_question
    return found


def _want(clause: str, is_first_person: bool, after_question: bool) -> Want | None:
    if not clause:
        return None
    spoken = _in_first_person(_without_asides(clause), is_first_person)
    asks = _ASK.match(spoken)
    if asks is not None:
        what = spoken[asks.end() :].strip()
        if not what:
            return None
        if re.match(r"(?:to|for) [a-z]", what) and not _INFORMATION.search(
            what
        ):  # "ask for a refund", "ask to speak to somebody"
            wanted = re.sub(r"^(?:to|for) ", "", what)
            verb = "I'd like to" if what.startswith("to ") else "I'd like"
            return Want(said=_finished(f"{verb} {wanted}"), about=wanted, is_question=False)
        return Want(said=_question(what), about=what, is_question=True)
    if _QUESTION_WORDS.match(spoken):
        return Want(said=_question(spoken), about=spoken, is_question=True)
    first = spoken.split()[0].lower()
    if first in _VERBS:
        return Want(said=_finished(f"I'd like to {spoken[0].lower()}{spoken[1:]}"), about=spoken, is_question=False)
    if re.match(r"(?:i|my|we|our|there|it|the \w+ (?:is|was|has|does|did))\b", spoken, re.I):
        return Want(said=_finished(spoken), about=spoken, is_question=False)
    is_information = after_question or _INFORMATION.search(spoken) is not None
    if re.match(r"(?:an?|the|some|my|two|three|\d+)\b", spoken, re.I) and not is_information:
        return Want(said=_finished(f"I'd like {_lowered(spoken)}"), about=spoken, is_question=False)
    topic = re.sub(r" (?:inquiry|enquiry|question|request)$", "", _lowered(_topic(spoken)))
    return Want(said=_finished(f"I'm calling about {topic}"), about=spoken, is_question=is_information)


def _question(what: str) -> str:
    what = re.sub(r"^about\s+(?=(?:what|when|where|how|who|which|whether|if)\b)", "", what)
    what = _to_the_agent(what)
    if _QUESTION_WORDS.match(what):
        return f"Could you tell me {what[0].lower()}{what[1:]}?"
    what = re.sub(r"^(?:about|for|of|on)\s+", "", what)
    return f"Could you tell me about {_lowered(what)}?"


def _to_the_agent(text: str) -> str:
    """They, in a question that is put to them."""
    for pattern, replacement in (
        (r"\bthey're\b", "you're"),
        (r"\b(?:they|the (?:company|business|shop|store|practice|restaurant|hotel|clinic|office))\b(?! \w+s\b)", "you"),
        (r"\btheir\b", "your"),
        (r"\bthem\b", "you"),
    ):
        text = re.sub(pattern, replacement, text, flags=re.I)
    return text


def _in_first_person(text: str, is_already: bool) -> str:
    changes = [(r"\b(?:his|her) (?=own|name|number|appointment|order|account|booking)", "my ")]
    if not is_already:
        changes = [
            (r"\byou are\b|\byou're\b", "I am"), (r"\byour\b", "my"), (r"\byourself\b", "myself"), (r"\byou have\b", "I have"),
            (r"\byou\b(?=[.,]|$)", "me"), (r"\byou\b", "I"), *changes,
        ]  # fmt: skip
    for pattern, replacement in changes:
        text = re.sub(pattern, replacement, text, flags=re.I)
    return text


_ASIDES = (
    re.compile(
        r",?\s*(?:and )?(?:(?:my|your|the caller's|his|her|the) )?(?:phone|telephone|mobile|cell|contact|callback)(?: number)?(?: is|:)?\s+\+?\(?\d[\d ().-]{6,18}\d",
        re.I,
    ),
    re.compile(r",?\s*(?:and )?(?:(?:my|your|his|her|the) )?e-?mail(?: address)?(?: is|:)?\s+[\w.+-]+@[\w.-]+\w", re.I),
    re.compile(rf",?\s*(?:and )?(?:(?i:my|your|his|her|the|under the|with the|in the) )?name(?: is|'s|:)? {_PROPER}"),
    re.compile(
        rf",?\s*(?:and )?(?:(?:my|your|his|her|the) )?(?:date of birth|birthday|dob)(?: is|:)?\s+(?:{_DATE}|[\d./-]{{6,10}})(?: \d{{4}})?",
        re.I,
    ),
    re.compile(r"[,;]\s*[A-Za-z][A-Za-z '-]{1,30}\s*[:=]\s*[^,;]+"),
    re.compile(r",?\s*(?:and )?(?:be|stay|sound) (?:polite|friendly|brief|calm|angry|rude|patient|quick)\b.*$", re.I),
    re.compile(
        r",?\s*(?:then |and then |and )?(?:hang up|say goodbye|end the call|thank (?:them|the agent))\b.*$", re.I
    ),
)


def _without_asides(clause: str) -> str:
    """What is told only when somebody asks for it."""
    kept = clause
    for pattern in _ASIDES:
        kept = pattern.sub("", kept)
    return kept.strip(" ,;") or clause


def _is_only_fact(sentence: str, facts: tuple[Fact, ...]) -> bool:
    """Whether a sentence says nothing but a fact: "My name is Anna", "Phone: 555 0134"."""
    bare = re.sub(
        r"^(?:(?:and|also|my|your|the|caller'?s?|customer'?s?|his|her|i|i'm|i am|you are|you|this is)\s+)*",
        "",
        sentence,
        flags=re.I,
    )
    for fact in facts:
        bare = bare.replace(fact.text, "")
        if fact.label:
            bare = re.sub(re.escape(fact.label), "", bare, flags=re.I)
    left = re.sub(
        r"\b(?:name|phone|telephone|mobile|cell|contact|number|callback|e-?mail|address|date|birth|birthday|dob|born|on|is|are|was|zip|post|code|"
        r"postcode|postal|live|at|of|and|can|be|reached|it|the|my|your|called|from|in)\b|[\s,.:;=#'-]+",
        "",
        bare,
        flags=re.I,
    )
    return not left or (not terms(left) and len(left) < 3)


def _lowered(text: str) -> str:
    """Without the capital of a beginning, but where it is a name's."""
    first = text.split(" ", 1)[0]
    keeps = len(text) > 1 and (text[1:2].isupper() or first in ("I", "I'm", "I'd") or "'" in first)
    return text if keeps else text[0].lower() + text[1:]


def _finished(text: str) -> str:
    text = text.strip().rstrip(",;: ")
    text = text[0].upper() + text[1:]
    return text if text[-1:] in ".!?" else f"{text}."


# Facts ----------------------------------------------------------------------------------------------------------------


def _facts(text: str) -> tuple[Fact, ...]:
    found: list[Fact] = []

    def add(kind: Kind, value: str, label: str = "") -> None:
        value = value.strip(" ,.;")
        if value and not any(fact.text == value and (fact.kind is kind or kind is Kind.OTHER) for fact in found):
            found.append(Fact(kind=kind, text=value, label=label))

    rest = text
    for match in _EMAIL.finditer(text):
        add(Kind.EMAIL, match[0])
    rest = _EMAIL.sub(" ", rest)
    for match in _BIRTH.finditer(rest):
        add(Kind.BIRTH, match[1], "date of birth")
    rest = _BIRTH.sub(" ", rest)
    for match in _POSTCODE.finditer(rest):
        add(Kind.POSTCODE, match[1], "zip code")
    rest = _POSTCODE.sub(" ", rest)
    for match in _REFERENCE.finditer(rest):
        add(Kind.REFERENCE, match[2], match[1].lower())
    rest = _REFERENCE.sub(" ", rest)
    for match in _ADDRESS.finditer(rest):
        add(Kind.ADDRESS, match[1], "address")
    for match in _PHONE.finditer(re.sub(r"\d{4}-\d{2}-\d{2}", " ", rest)):
        if sum(sign.isdigit() for sign in match[0]) >= 7:
            add(Kind.PHONE, match[0], "phone number")
    rest = _PHONE.sub(" ", rest)
    for pattern in _NAMES:
        if (match := pattern.search(rest)) is not None:
            add(Kind.NAME, match[1], "name")
            break
    for match in re.finditer(rf"\b(?:{_DATE})\b", rest, re.I):
        add(Kind.DATE, match[0])
    for match in re.finditer(rf"(?<![\w:])(?:{_CLOCK})|\b(?:{_PART})\b", rest, re.I):
        add(Kind.TIME, match[0])
    for match in _PEOPLE.finditer(rest):
        add(Kind.PEOPLE, match[1])
    for part in re.split(r"[;,\n]|(?<=\w)\.\s", text):
        if (match := _LABELLED.match(part)) is not None and match[1].lower() not in ("goal", "task", "aim", "scenario"):
            add(Kind.OTHER, match[2], match[1].lower())
    for match in _MINE.finditer(rest):
        add(Kind.OTHER, match[2], match[1].lower())
    return tuple(found)


def shared(one: str, other: str) -> int:
    """How many terms of one text, or words of the same meaning, the other has."""
    there = set(terms(other))
    meant = {family for term in there for family in families(term)}
    return sum(term in there or any(family in meant for family in families(term)) for term in set(terms(one)))
