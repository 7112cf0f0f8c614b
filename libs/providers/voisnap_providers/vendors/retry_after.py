"""How long a vendor asks to be left alone (RFC 9110 §10.2.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 3600.0


def seconds_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until the next try, at most an hour; None where nothing or nonsense is said. `headers` must not heed case."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            when = parsedate_to_datetime(said)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_SECONDS) if seconds == seconds else None
