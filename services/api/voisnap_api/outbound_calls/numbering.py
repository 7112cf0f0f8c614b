"""What a telephone number tells of where it is, from libphonenumber's tables: they are loaded when somebody asks, for a worker that calls
nobody needs none of them."""

from typing import Any

_UNKNOWN = "Etc/Unknown"


def zones_of(number: str) -> tuple[str, ...]:
    """The time zones in which a number in E.164 may be; a mobile or toll-free one may be in many. Nothing where it is not known."""
    from phonenumbers import timezone  # noqa: PLC0415 - 120 ms and 20 MB

    parsed = _parsed(number)
    return () if parsed is None else tuple(zone for zone in timezone.time_zones_for_number(parsed) if zone != _UNKNOWN)


def _parsed(number: str) -> Any:
    import phonenumbers  # noqa: PLC0415 - as above

    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
