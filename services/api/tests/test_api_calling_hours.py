"""When numbers may be called, many at once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from voisnap_api.outbound_calls import hours
from voisnap_api.outbound_calls.records import CallSettings
from voisnap_domain.tenants import Environment

pytestmark = pytest.mark.unit


def test_the_time_zones_of_numbers_without_a_place_are_gone_through_once_for_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[datetime] = []
    by_all = hours.next_allowed_by_all

    def look(rules: Any, at: datetime) -> datetime | None:
        looks.append(at)
        return by_all(rules, at)

    monkeypatch.setattr(hours, "next_allowed_by_all", look)
    at = datetime(2027, 3, 3, 6, 0, tzinfo=UTC)
    batch = [f"+1800555{line:04d}" for line in range(50)]
    found = {hours.first_allowed(CallSettings(), Environment.LIVE, number, at) for number in batch}
    assert found == {datetime(2027, 3, 3, 22, 0, tzinfo=UTC)}, "eight in Guam, five in the afternoon in New York"
    assert len(looks) == 1
