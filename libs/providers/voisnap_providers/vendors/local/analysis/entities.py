"""Named things in a conversation: numbers of invoices and orders, money, days, times, addresses, people."""

import re
from collections.abc import Iterator

from voisnap_domain.analysis import MAX_ENTITIES, Entity
from voisnap_domain.conversations import Speaker

from . import dates, numbers
from .reading import Line

_ID_NOUNS: dict[str, str] = {
    "invoice": "invoice_id", "bill": "invoice_id", "factura": "invoice_id", "rechnung": "invoice_id", "facture": "invoice_id",
    "order": "order_id", "pedido": "order_id", "bestellung": "order_id", "commande": "order_id", "purchase order": "order_id",
    "account": "account_number", "cuenta": "account_number", "konto": "account_number", "compte": "account_number",
    "ticket": "ticket_id", "case": "case_id", "incident": "case_id", "claim": "claim_id", "policy": "policy_number",
    "booking": "booking_reference", "reservation": "booking_reference", "reserva": "booking_reference", "buchung": "booking_reference",
    "confirmation": "confirmation_number", "tracking": "tracking_number", "shipment": "tracking_number",
    "reference": "reference_number", "customer": "customer_id", "cliente": "customer_id", "kunden": "customer_id",
    "member": "member_id", "membership": "member_id", "serial": "serial_number", "flight": "flight_number",
    "prescription": "prescription_number", "contract": "contract_number", "contrato": "contract_number", "vertrag": "contract_number",
    "rma": "return_number", "return": "return_number", "room": "room_number", "card": "card_number", "patient": "patient_id",
}  # fmt: skip
_ID_NOUN = "|".join(sorted(_ID_NOUNS, key=len, reverse=True))
_NAMED_ID = re.compile(
    rf"\b(?:número\s+de\s+|numéro\s+de\s+)?(?P<noun>{_ID_NOUN})s?(?:s?nummer)?\b[\s,:#.-]*"
    r"(?:(?:number|no\.?|num|id|code|reference|ref|nummer|número|numero|numéro|n°|is|it's|would\sbe|was|es|ist|lautet|est|of|"
    r"the|and|that's|uh|um|#)[\s,:#.-]+){0,4}"
    r"#?(?P<value>(?=[A-Za-z-]*\d)[A-Za-z]{0,5}-?(?:\d[\dA-Za-z]*)(?:-[\dA-Za-z]+)*)\b(?!\s*(?:dollars|euros|pounds|percent|%|am\b|pm\b|days?|weeks?|months?|minutes?|hours?|people|times|o'clock|[:.,]\d|€|uhr))",
    re.IGNORECASE,
)
_PREFIXED_ID = re.compile(
    r"\b(?P<prefix>INV|ORD|PO|TKT|CASE|CLM|POL|BK|TRK|REF|RMA|SO|ACC)-?(?P<rest>[A-Z]{0,2}\d[\dA-Z]*(?:-[\dA-Z]+)*)\b"
)
_PREFIXES = {
    "INV": "invoice_id", "ORD": "order_id", "PO": "order_id", "SO": "order_id", "TKT": "ticket_id", "CASE": "case_id",
    "CLM": "claim_id", "POL": "policy_number", "BK": "booking_reference", "TRK": "tracking_number", "REF": "reference_number",
    "RMA": "return_number", "ACC": "account_number",
}  # fmt: skip
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+\b")
"""The local part has at most 64 characters (RFC 5321 §4.5.3.1.1), which also bounds the search."""

_SPOKEN_EMAIL = re.compile(
    r"(?<![\w+-])(?P<user>\w[\w+-]*(?:(?:\s(?:dot|punto|punkt|point|underscore|dash)\s|\s?\.\s?)[\w+-]+){0,8})\s(?:at|arroba|ät)\s"
    r"(?P<host>[\w-]+(?:\sdash\s\w+){0,8}(?:(?:\s(?:dot|punto|punkt|point)\s|\s?\.\s?)[a-z]{2,}){1,8})\b",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<![\w.,$€£-])\+?\(?\d(?:[\d\s().-]{5,18})\d(?![\w-]|[.,]\d)")
_SYMBOL_AMOUNT = re.compile(
    r"(?P<sign>[$€£¥])\s?(?P<number>\d[\d,]*(?:\.\d+)?)(?P<scale>\s?(?:k|m|thousand|million)\b)?", re.IGNORECASE
)
_TRAILING_SIGN = re.compile(
    r"(?<![\w.,])(?P<number>\d{1,3}(?:[.\s]\d{3})+(?:,\d{1,2})?|\d+(?:[.,]\d{1,2})?)\s?(?P<sign>[€£])"
)
_NAMED_AMOUNT = re.compile(
    rf"(?<![\w.,$€£])(?P<number>\d[\d,]*(?:\.\d+)?(?:\s(?:thousand|hundred|million))?|\b{numbers.SPOKEN_NUMBER})\s"
    rf"(?P<unit>dollars?|bucks|euros?|pounds?|quid|usd|eur|gbp|dólares?|pesos?|franken)\b"
    rf"(?:\s(?:and\s)?(?P<cents>\d{{1,2}}|{numbers.SPOKEN_NUMBER})(?:\s(?:cents?|pence|céntimos))?(?!\s(?:dollars?|days?|times|percent|euros?)))?",
    re.IGNORECASE,
)
_SIGNS = {"d": "$", "b": "$", "u": "$", "e": "€", "p": "£", "q": "£", "g": "£"}
_PERCENT = re.compile(
    rf"(?<![\w.])(?P<number>\d+(?:[.,]\d+)?|\b{numbers.SPOKEN_NUMBER})\s?(?:%|percent\b|per\scent\b|por\sciento\b|prozent\b)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b\d{1,5}\s(?:[A-Z][\w'.-]*\s){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Terrace)\b\.?"
    r"|\b(?:Calle|Avenida|Rue)\s(?:[A-Z][\w'.áéíóúñ-]*\s?){1,4},?\s\d{1,4}\b|\b[A-ZÄÖÜ][\wäöüß-]*(?:straße|strasse|weg|platz|allee)\s\d{1,4}\w?\b"
)
_INTRODUCED = re.compile(
    r"\b(?i:my\s(?:full\s)?name(?:'s|\sis)|the\sname(?:'s|\sis)|name\sis|it's\sunder|under\sthe\sname(?:\sof)?|mi\snombre\ses|me\sllamo|mein\sname\sist|ich\sheiße|je\sm'appelle|"
    r"mon\snom\sest|mi\schiamo|il\smio\snome\sè|o\smeu\snome\sé|hier\sspricht|soy)\s+(?P<name>[^\W\d_][\w'’-]*(?:\s+(?:[A-ZÁÉÍÓÚÄÖÜÑ][\w'’-]+|de|la|van|von|der|del|le))*)"
)  # fmt: skip
_THIS_IS = re.compile(
    r"(?:^|[.!?,]\s+)(?i:(?:hi|hello|hey|yes|yeah|good\smorning|good\safternoon)[,.!]?\s+)?(?i:this\sis|i'm|i\sam|it's)\s+"
    r"(?P<name>[A-ZÁÉÍÓÚÄÖÜÑ][a-záéíóúäöüñß'’-]+(?:\s+[A-ZÁÉÍÓÚÄÖÜÑ][\w'’-]+){0,2})(?=[.,!?]|\s(?i:calling|from|here|speaking|and|with)|$)"
)
_NO_NAME = frozenset(
    [
        "not",
        "a",
        "an",
        "the",
        "calling",
        "here",
        "just",
        "so",
        "very",
        "really",
        "sorry",
        "looking",
        "trying",
        "going",
        "still",
        "wondering",
        "fine",
        "good",
        "sure",
        "interested",
        "happy",
        "sick",
        "about",
        "from",
        "with",
        "for",
        "in",
        "on",
        "it",
        "that",
        "this",
        "what",
        "who",
        "how",
        "why",
        "also",
        "i",
        "you",
        "we",
        "they",
        "he",
        "she",
        "my",
        "your",
        "is",
        "was",
        "and",
        "or",
        "but",
        "okay",
        "ok",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "english",
        "spanish",
        "german",
        "french",
    ]
)
_PARTICLES = frozenset({"de", "la", "van", "von", "der", "del", "le"})


def entities_of(lines: tuple[Line, ...]) -> tuple[Entity, ...]:
    """What both sides named, in the order it came up, each thing once."""
    found: dict[tuple[str, str], Entity] = {}
    for line in lines:
        for entity in _of_text(line.text, by_user=line.speaker is Speaker.USER):
            found.setdefault((entity.type, _key(entity)), entity)
    return tuple(found.values())[:MAX_ENTITIES]


def _key(entity: Entity) -> str:
    if entity.type in {"phone_number", "amount"}:
        return re.sub(r"\D", "", entity.value)
    return entity.value.casefold()


def _of_text(text: str, *, by_user: bool) -> Iterator[Entity]:
    plain = numbers.joined_digits(text)
    taken: list[tuple[int, int]] = []
    for match in _EMAIL.finditer(plain):
        taken.append(match.span())
        yield Entity(type="email", value=match[0].rstrip(".").lower())
    for match in _SPOKEN_EMAIL.finditer(plain):
        if email := _spoken_email(match):
            taken.append(match.span())
            yield Entity(type="email", value=email)
    for match in _NAMED_ID.finditer(plain):
        if _is_free(match.span("value"), taken) and _is_number_of(match):
            taken.append(match.span("value"))
            yield Entity(type=_ID_NOUNS[match["noun"].lower()], value=_id(match["value"]))
    for match in _PREFIXED_ID.finditer(plain):
        if _is_free(match.span(), taken):
            taken.append(match.span())
            yield Entity(type=_PREFIXES[match["prefix"]], value=match[0])
    yield from _amounts(plain, taken)
    for match in _PERCENT.finditer(plain):
        number = numbers.parse(match["number"].replace(",", "."))
        if number is not None and _is_free(match.span(), taken):
            taken.append(match.span())
            yield Entity(type="percentage", value=f"{number:g}%")
    for match in _ADDRESS.finditer(plain):
        taken.append(match.span())
        yield Entity(type="address", value=match[0])
    days = list(dates.days(plain))
    for day in days:
        yield Entity(type="date", value=day)
    for time in dates.times(plain):
        yield Entity(type="time", value=time)
    for match in _PHONE.finditer(plain):
        digits = re.sub(r"\D", "", match[0])
        is_day = any(day in match[0] for day in days)
        if 7 <= len(digits) <= 15 and not is_day and _is_free(match.span(), taken):
            yield Entity(type="phone_number", value=match[0].strip())
    if by_user:
        for name in names(text):
            yield Entity(type="person", value=name)


def names(text: str) -> Iterator[str]:
    """Names under which somebody introduces themselves."""
    for match in _INTRODUCED.finditer(text):
        if name := _name(match["name"], is_certain=True):
            yield name
    for match in _THIS_IS.finditer(text):
        if name := _name(match["name"], is_certain=False):
            yield name


def _name(text: str, *, is_certain: bool) -> str | None:
    words: list[str] = []
    for word in text.split()[:4]:
        if word.lower().strip("'’") in _NO_NAME and not (words and word in _PARTICLES):
            break
        words.append(word)
    while words and words[-1] in _PARTICLES:
        words.pop()
    if not words or (not is_certain and len(words[0]) < 3):
        return None
    return " ".join(word.capitalize() if word.islower() and word not in _PARTICLES else word for word in words)


def _amounts(text: str, taken: list[tuple[int, int]]) -> Iterator[Entity]:
    for match in _SYMBOL_AMOUNT.finditer(text):
        scale = (match["scale"] or "").strip().lower()[:1]
        value = float(match["number"].replace(",", "").rstrip(".")) * {"k": 1e3, "t": 1e3, "m": 1e6}.get(scale, 1)
        taken.append(match.span())
        yield Entity(type="amount", value=money(match["sign"], value))
    for match in _TRAILING_SIGN.finditer(text):
        if _is_free(match.span(), taken):
            taken.append(match.span())
            number = re.sub(r"[.\s](?=\d{3})", "", match["number"]).replace(",", ".")
            yield Entity(type="amount", value=money(match["sign"], float(number)))
    for match in _NAMED_AMOUNT.finditer(text):
        thousands = match["unit"].lower().startswith(("euro", "eur", "peso", "franken"))
        value = numbers.parse(re.sub(r"\.(?=\d{3}$)", "", match["number"]) if thousands else match["number"])
        if value is None or not _is_free(match.span(), taken):
            continue
        cents = numbers.parse(match["cents"]) if match["cents"] else 0
        taken.append(match.span())
        unit = match["unit"].lower()
        total = value + (cents or 0) / 100
        if unit.startswith(("peso", "franken")):
            yield Entity(type="amount", value=f"{total:,.2f} {unit}")
        else:
            yield Entity(type="amount", value=money(_SIGNS[unit[0]], total))


def money(sign: str, value: float) -> str:
    """`$1,490.00`."""
    return f"{sign}{value:,.2f}"


def _spoken_email(match: re.Match[str]) -> str | None:
    user, host = (
        re.sub(r"\s?(?:\bdot\b|\bpunto\b|\bpunkt\b|\bpoint\b|\.)\s?", ".", match[part], flags=re.IGNORECASE)
        for part in ("user", "host")
    )
    user = re.sub(r"\s?\bunderscore\b\s?", "_", user, flags=re.IGNORECASE)
    user = re.sub(r"\s?\bdash\b\s?", "-", user, flags=re.IGNORECASE)
    host = re.sub(r"\s?\bdash\b\s?", "-", host, flags=re.IGNORECASE).replace(" ", "")
    if "." not in host or not re.search(r"\.[a-z]{2,6}$", host, re.IGNORECASE):
        return None
    return f"{user.replace(' ', '')}@{host}".lower()


def _is_number_of(match: re.Match[str]) -> bool:
    """Whether it reads as a number of something: with figures and long enough, or said to be its number."""
    value = match["value"]
    digits = sum(character.isdigit() for character in value)
    says_number = re.search(
        r"(?:number|no\b|id\b|#|nummer|n[úu]mero|numéro|code|reference|ref\b)", match[0], re.IGNORECASE
    )
    return digits >= 3 or (digits >= 1 and says_number is not None and len(value) >= 2)


def _id(value: str) -> str:
    return value.upper() if re.search(r"[A-Za-z]", value) else value


def _is_free(span: tuple[int, int], taken: list[tuple[int, int]]) -> bool:
    return all(span[1] <= start or span[0] >= end for start, end in taken)
