"""What the world's numbering plans say of a telephone number (ITU-T E.164), from libphonenumber's tables.

They are loaded when they are first asked: 7 MB and 60 ms that a process nobody calls does without.
"""

from typing import Any

_NANP = 1
_COSTLY_TYPES = ("PREMIUM_RATE", "SHARED_COST", "PERSONAL_NUMBER", "PAGER", "UAN")
_COSTLY_CODES = frozenset({870, 878, 881, 882, 883, 888, 979})
"""Calling codes of satellite and other international networks, of universal personal and of premium-rate numbers (ITU-T E.164, list of codes)."""


def country_of(number: str) -> str | None:
    """The country of a number in E.164 as ISO 3166-1 alpha-2; None for one of no country, such as those of satellite networks."""
    parsed = _parsed(number)
    found = None if parsed is None else _tables().region_code_for_number(parsed)
    return found if found is not None and found.isalpha() else None


def calling_code(country: str) -> int:
    """The calling code of a country (ISO 3166-1 alpha-2); 0 for none."""
    return _tables().country_code_for_region(country.upper())


def is_nanp(country: str) -> bool:
    """Whether a country's area codes are those of the North American Numbering Plan: three digits of ten."""
    return calling_code(country) == _NANP


def begins_with_area(number: str, country: str, area_code: str) -> bool:
    """Whether the national part of a number of this country begins with these digits. A zero before them is the trunk prefix, no part of it."""
    code = f"+{calling_code(country)}"
    return number.startswith(f"{code}{area_code.lstrip('0')}") or number.startswith(f"{code}{area_code}")


def is_toll_free(number: str) -> bool:
    """Whether calls to a number are free of charge for whoever calls."""
    parsed = _parsed(number)
    return parsed is not None and _tables().number_type(parsed) == _tables().PhoneNumberType.TOLL_FREE


def is_costly(number: str) -> bool:
    """Whether whoever calls or writes to a number pays more than for a person's: premium-rate and shared-cost numbers, pagers, personal and
    universal access numbers, those of satellites. Fraud earns with these."""
    parsed = _parsed(number)
    if parsed is None:
        return False
    tables = _tables()
    types = {getattr(tables.PhoneNumberType, name) for name in _COSTLY_TYPES}
    return parsed.country_code in _COSTLY_CODES or tables.number_type(parsed) in types


def country_of_charge(number: str) -> str | None:
    """As `country_of`; a number that its country's plan does not know (yet) counts for the main country of its calling code."""
    found = country_of(number)
    if found is not None or (parsed := _parsed(number)) is None:
        return found
    main = _tables().region_code_for_country_code(parsed.country_code)
    return main if main.isalpha() and main != "ZZ" else None


def is_country(code: str) -> bool:
    """Whether there are numbers of a country by this code."""
    return calling_code(code) != 0


def _parsed(number: str) -> Any:
    """None for what is no number."""
    tables = _tables()
    try:
        return tables.parse(number)
    except tables.NumberParseException:
        return None


def _tables() -> Any:
    import phonenumbers  # noqa: PLC0415 - said above

    return phonenumbers
