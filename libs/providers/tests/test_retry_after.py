"""How long a vendor asks to be left alone."""

from datetime import UTC, datetime

import pytest
from voisnap_providers.vendors.retry_after import seconds_of

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("86400", 3600.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_seconds_and_dates_are_read_and_nonsense_is_not(said, seconds):
    assert seconds_of({"retry-after": said}, NOW) == seconds


def test_nothing_said_is_nothing_asked():
    assert seconds_of({}) is None
