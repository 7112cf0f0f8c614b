"""What the world's numbering plans say of a telephone number (ITU-T E.164), from libphonenumber's tables."""

import phonenumbers
from phonenumbers import PhoneNumberType

_NANP = 1


def country_of(number: str) -> str | None:
    """The country of a number in E.164 as ISO 3166-1 alpha-2; None for one of no country, such as those of satellite networks."""
    try:
        found = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return found if found is not None and found.isalpha() else None


def calling_code(country: str) -> int:
    """The calling code of a country (ISO 3166-1 alpha-2); 0 for none."""
    return phonenumbers.country_code_for_region(country.upper())


def is_nanp(country: str) -> bool:
    """Whether a country's area codes are those of the North American Numbering Plan: three digits of ten."""
    return calling_code(country) == _NANP


def begins_with_area(number: str, country: str, area_code: str) -> bool:
    """Whether the national part of a number of this country begins with these digits. A zero before them is the trunk prefix, no part of it."""
    code = f"+{calling_code(country)}"
    return number.startswith(f"{code}{area_code.lstrip('0')}") or number.startswith(f"{code}{area_code}")


def is_toll_free(number: str) -> bool:
    """Whether calls to a number are free of charge for whoever calls."""
    try:
        return phonenumbers.number_type(phonenumbers.parse(number)) == PhoneNumberType.TOLL_FREE
    except phonenumbers.NumberParseException:
        return False


def is_country(code: str) -> bool:
    """Whether there are numbers of a country by this code."""
    return calling_code(code) != 0
