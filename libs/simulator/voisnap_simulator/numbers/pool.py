"""Numbers for rent: made up as a country's numbering plan has them, always the same ones for the same question until somebody rents them."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from voisnap_simulator.world import World

LOCAL, MOBILE, NATIONAL, TOLL_FREE = "local", "mobile", "national", "toll-free"
MONTHLY_USD = {LOCAL: 1.15, MOBILE: 3.0, NATIONAL: 1.5, TOLL_FREE: 2.15}
_TRIES = 600
_PLACES = {
    "202": ("DC", "Washington"),
    "206": ("WA", "Seattle"),
    "212": ("NY", "New York"),
    "213": ("CA", "Los Angeles"),
    "305": ("FL", "Miami"),
    "312": ("IL", "Chicago"),
    "404": ("GA", "Atlanta"),
    "415": ("CA", "San Francisco"),
    "416": ("ON", "Toronto"),
    "512": ("TX", "Austin"),
    "514": ("QC", "Montreal"),
    "604": ("BC", "Vancouver"),
    "617": ("MA", "Boston"),
    "702": ("NV", "Las Vegas"),
}
_AREAS = {
    "US": ("415", "212", "312", "617", "512", "206", "305", "404", "213", "702", "202"),
    "CA": ("416", "514", "604"),
}
_TOLL_FREE_AREAS = ("800", "888", "877")
_NANP = ("US", "CA")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A number for rent: E.164 with `+`. `features` are of voice, sms and mms."""

    number: str
    country: str
    kind: str
    region: str | None
    locality: str | None
    features: tuple[str, ...]
    monthly_usd: float


def has(country: str, kind: str) -> bool:
    """Whether a country has numbers of a kind for rent."""
    numbers = _library()
    if country not in numbers.SUPPORTED_REGIONS or (kind in (MOBILE, NATIONAL) and country in _NANP):
        return False
    return numbers.example_number_for_type(country, _kinds()[kind]) is not None


def offers(
    world: World,
    provider: str,
    *,
    country: str,
    kind: str,
    area: str = "",
    contains: str = "",
    features: frozenset[str] = frozenset(),
    count: int = 10,
) -> tuple[Offer, ...]:
    """So many numbers for rent, fewer where the plan has no more of them."""
    able = features_of(country, kind)
    if not has(country, kind) or not features <= set(able):
        return ()
    found: dict[str, Offer] = {}
    for number in _made(provider, country, kind, area, contains):
        if len(found) >= count:
            break
        if number not in found and world.number(provider, number) is None:
            region, locality = _PLACES.get(number[2:5], (None, None)) if country in _NANP else (None, None)
            found[number] = Offer(
                number=number,
                country=country,
                kind=kind,
                region=region if kind == LOCAL else None,
                locality=locality if kind == LOCAL else None,
                features=able,
                monthly_usd=MONTHLY_USD[kind],
            )
    return tuple(found.values())


def for_sale(world: World, provider: str, number: str) -> Offer | None:
    """What a number is, if it can be rented: any that its country's plan allows and nobody has."""
    numbers = _library()
    try:
        parsed = numbers.parse(number)
    except numbers.NumberParseException:
        return None
    country = numbers.region_code_for_number(parsed)
    if country is None or not numbers.is_valid_number(parsed) or world.number(provider, number) is not None:
        return None
    kind = _kind_of(parsed)
    if kind is None:
        return None
    region, locality = _PLACES.get(number[2:5], (None, None)) if country in _NANP and kind == LOCAL else (None, None)
    return Offer(
        number=number,
        country=country,
        kind=kind,
        region=region,
        locality=locality,
        features=features_of(country, kind),
        monthly_usd=MONTHLY_USD[kind],
    )


def features_of(country: str, kind: str) -> tuple[str, ...]:
    """What numbers of a kind can do: texts to landlines are a thing of North America."""
    if country in _NANP:
        return ("voice", "sms", "mms") if kind == LOCAL else ("voice", "sms")
    return ("voice", "sms") if kind == MOBILE else ("voice",)


def _made(provider: str, country: str, kind: str, area: str, contains: str) -> Iterator[str]:
    """Valid numbers that hold what was asked for, from the hash of the question."""
    numbers = _library()
    example = numbers.example_number_for_type(country, _kinds()[kind])
    national = str(example.national_number)
    code = example.country_code
    for turn in range(_TRIES):
        seed = int(hashlib.sha256(f"{provider} {country} {kind} {area} {contains} {turn}".encode()).hexdigest(), 16)
        head = area or _area_of(country, kind, national, seed)
        digits = f"{seed % 10**15:015d}"
        # Of North America the numbers that are kept for examples: 555-0100 to 555-0199.
        tail = f"55501{digits[:2]}" if country in _NANP and not contains else digits
        made = (head + tail)[: len(national)]
        if contains:
            made = (made[: max(0, len(national) - len(contains))] + contains)[-len(national) :]
        number = f"+{code}{made}"
        if contains in number and made.startswith(area) and _fits(number, country, kind):
            yield number


def _area_of(country: str, kind: str, example: str, seed: int) -> str:
    areas = _TOLL_FREE_AREAS if country in _NANP and kind == TOLL_FREE else _AREAS.get(country, ())
    return areas[seed % len(areas)] if areas else example[: max(2, len(example) // 3)]


def _fits(number: str, country: str, kind: str) -> bool:
    numbers = _library()
    try:
        parsed = numbers.parse(number)
    except numbers.NumberParseException:
        return False
    return numbers.is_valid_number_for_region(parsed, country) and _kind_of(parsed) == kind


def _kind_of(parsed: Any) -> str | None:
    """What sort of number it is; None for one that nobody rents out: of a pager, of a person, of a premium service."""
    numbers = _library()
    types = numbers.PhoneNumberType
    return {
        types.FIXED_LINE: LOCAL,
        types.FIXED_LINE_OR_MOBILE: LOCAL,
        types.VOIP: LOCAL,
        types.MOBILE: MOBILE,
        types.UAN: NATIONAL,
        types.SHARED_COST: NATIONAL,
        types.TOLL_FREE: TOLL_FREE,
    }.get(numbers.number_type(parsed))


def _kinds() -> dict[str, int]:
    types = _library().PhoneNumberType
    return {LOCAL: types.FIXED_LINE, MOBILE: types.MOBILE, NATIONAL: types.UAN, TOLL_FREE: types.TOLL_FREE}


def _library() -> Any:
    import phonenumbers  # noqa: PLC0415 - 7 MB that a simulator nobody rents numbers of does without

    return phonenumbers
