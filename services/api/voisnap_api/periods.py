"""Times of a query: a whole day or a moment, in ISO 8601, and the period between two of them."""

import re
from datetime import UTC, date, datetime, timedelta

import msgspec
from voisnap_domain.errors import FieldError, Invalid

ACCEPTED = "Must be a day such as 2025-06-01 or a moment such as 2025-06-01T12:00:00Z or 2025-06-01T14:00:00+02:00."

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_LOST_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")
"""A plus that was not escaped in a query arrives as a blank."""

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """From `start` (inclusive) to `before` (exclusive); None is open."""

    start: datetime | None = None
    before: datetime | None = None


ALWAYS = Period()


def period(date_from: str | None, date_to: str | None) -> Period:
    """The period that `dateFrom` and `dateTo` of a query name; both are inclusive, and a moment without an offset is in UTC.

    A day contains all of its moments, and a moment without a fraction contains its second: times are shown in whole seconds, and the time
    that is shown must find what it belongs to. Raises Invalid with every fault.
    """
    faults: list[FieldError] = []
    start = _parsed("dateFrom", date_from, faults)
    end = _parsed("dateTo", date_to, faults)
    if faults:
        raise Invalid(tuple(faults))
    found = Period(start=start and start[0], before=end and end[1])
    if found.start and found.before and found.start >= found.before:
        raise Invalid((FieldError(pointer="?dateFrom", code="invalid", detail="dateFrom is later than dateTo."),))
    return found


def _parsed(name: str, text: str | None, faults: list[FieldError]) -> tuple[datetime, datetime] | None:
    """The first moment of what the text names and the first after it."""
    if text is None:
        return None
    text = _LOST_PLUS.sub("+", text)
    try:
        if _DAY.fullmatch(text):
            return _span(datetime.combine(date.fromisoformat(text), datetime.min.time(), tzinfo=UTC), timedelta(days=1))
        if _MOMENT.fullmatch(text):
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            return _span(moment, timedelta(microseconds=1) if "." in text else timedelta(seconds=1))
    except (ValueError, OverflowError):
        pass
    faults.append(FieldError(pointer=f"?{name}", code="invalid", detail=f"{name}: {ACCEPTED}"))
    return None


def _span(start: datetime, length: timedelta) -> tuple[datetime, datetime]:
    return start, start + length if start <= _END_OF_TIME - length else _END_OF_TIME
