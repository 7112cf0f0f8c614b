"""Where a call of ours stands, whatever order its facts come in; who is called again; and when people may be called."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from voisnap_domain.calls import CallPhase
from voisnap_domain.outbound import (
    CANCELLABLE,
    ENDED,
    HANG_UP_PATIENCE,
    LONGEST_MARGIN,
    PLACED,
    PLAN_PATIENCE,
    RING_MARGIN,
    SESSION_PATIENCE,
    STATUTES,
    TRANSITIONS,
    UNHEARD_PATIENCE,
    WAITING,
    Attempt,
    CallingHours,
    CallingWindow,
    OutboundStatus,
    Weekday,
    has_retry,
    is_zone,
    may_move,
    next_allowed,
    next_allowed_by_all,
    next_look,
    verdict,
    with_phase,
    with_session_end,
    with_session_start,
)
from voisnap_domain.sessions import EndReason

pytestmark = pytest.mark.unit

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
_S = OutboundStatus
RINGING, ANSWERED, COMPLETED = CallPhase.RINGING, CallPhase.ANSWERED, CallPhase.COMPLETED


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def dialled(**facts) -> Attempt:
    return Attempt(planned_at=T0, asked_at=at(0.1), dialled_at=at(0.5), ring_seconds=30, longest_seconds=600, **facts)


# --- statuses


def test_every_status_is_of_one_kind_and_ends_stay():
    assert set(_S) == WAITING | PLACED | ENDED
    assert len(_S) == len(WAITING) + len(PLACED) + len(ENDED)
    assert set(TRANSITIONS) == set(_S)
    assert all(not TRANSITIONS[status] for status in ENDED)
    assert all(may_move(status, _S.CANCELLED) == (status in CANCELLABLE) for status in _S)
    assert not any(may_move(status, status) for status in _S)
    assert not may_move(_S.RINGING, _S.INITIATING)
    assert not may_move(_S.IN_PROGRESS, _S.RINGING)


@pytest.mark.parametrize(
    ("phase", "status", "reason"),
    [
        (CallPhase.BUSY, _S.BUSY, "busy"),
        (CallPhase.NO_ANSWER, _S.NO_ANSWER, "no_answer"),
        (CallPhase.FAILED, _S.FAILED, "carrier_failed"),
        (CallPhase.CANCELED, _S.FAILED, "carrier_cancelled"),
    ],
)
def test_what_the_carrier_could_not_connect_ends_as_it_says(phase, status, reason):
    found = verdict(with_phase(dialled(ringing_at=at(1)), phase, at(20)), now=at(20))
    assert (found.status, found.end_reason, found.ended_at) == (status, reason, at(20))


@pytest.mark.parametrize(
    ("reason", "leaves", "status"),
    [
        (EndReason.AGENT_ENDED, True, _S.COMPLETED),
        (EndReason.USER_ENDED, True, _S.COMPLETED),
        (EndReason.DISCONNECTED, True, _S.COMPLETED),
        (EndReason.TRANSFER_COMPLETE, True, _S.COMPLETED),
        (EndReason.MAX_DURATION, True, _S.COMPLETED),
        (EndReason.VOICEMAIL, True, _S.VOICEMAIL),
        (EndReason.VOICEMAIL, False, _S.NO_ANSWER),
        (EndReason.ERROR, True, _S.FAILED),
        (EndReason.NODE_LOST, True, _S.FAILED),
    ],
)
def test_a_conversation_tells_how_its_call_ended(reason, leaves, status):
    talked = with_session_end(
        dialled(answered_at=at(5)), reason, started_at=at(6), ended_at=at(66), leaves_messages=leaves
    )
    found = verdict(talked, now=at(66))
    assert (found.status, found.end_reason, found.ended_at) == (status, reason.value, at(66))
    assert talked.connected_at == at(5)


def test_facts_may_come_in_any_order_and_twice():
    def rings(attempt):
        return with_phase(attempt, RINGING, at(2))

    def answers(attempt):
        return with_phase(attempt, ANSWERED, at(5))

    def talks(attempt):
        return with_session_start(attempt, at(6))

    def hangs_up(attempt):
        return with_phase(attempt, COMPLETED, at(66))

    def says_goodbye(attempt):
        return with_session_end(attempt, EndReason.AGENT_ENDED, started_at=at(6), ended_at=at(65), leaves_messages=True)

    facts = (rings, answers, talks, hangs_up, says_goodbye)
    for order in itertools.permutations(facts):
        attempt, seen = dialled(), [_S.INITIATING]
        for fact in (*order, *order):
            attempt = fact(attempt)
            found = verdict(attempt, now=at(67)).status
            assert found is seen[-1] or may_move(seen[-1], found), (order, seen, found)
            seen.append(found)
        assert verdict(attempt, now=at(67)).status is _S.COMPLETED
        assert (attempt.connected_at, attempt.session_ended_at) == (at(5), at(65))


def test_what_was_told_first_stays():
    attempt = with_phase(with_phase(dialled(), CallPhase.BUSY, at(3)), CallPhase.COMPLETED, at(4))
    assert (attempt.carrier_end, attempt.carrier_ended_at) == (CallPhase.BUSY, at(3))
    ended = with_session_end(dialled(), EndReason.VOICEMAIL, started_at=at(1), ended_at=at(9), leaves_messages=True)
    again = with_session_end(ended, EndReason.ERROR, started_at=at(2), ended_at=at(10), leaves_messages=False)
    assert again == ended


# --- what never comes


@pytest.mark.parametrize(
    ("attempt", "patience", "status", "reason"),
    [
        (Attempt(planned_at=T0), PLAN_PATIENCE, _S.FAILED, "not_placed"),
        (Attempt(planned_at=T0, asked_at=T0), timedelta(seconds=30) + RING_MARGIN, _S.FAILED, "dial_uncertain"),
        (
            Attempt(planned_at=T0, asked_at=T0, dialled_at=T0),
            timedelta(seconds=30) + RING_MARGIN,
            _S.FAILED,
            "carrier_silent",
        ),
        (
            Attempt(planned_at=T0, asked_at=T0, ringing_at=T0),
            timedelta(seconds=30) + RING_MARGIN,
            _S.NO_ANSWER,
            "no_answer",
        ),
        (Attempt(planned_at=T0, asked_at=T0, answered_at=T0), RING_MARGIN, _S.FAILED, "not_connected"),
        (
            Attempt(planned_at=T0, asked_at=T0, answered_at=T0, carrier_end=COMPLETED, carrier_ended_at=T0),
            UNHEARD_PATIENCE,
            _S.FAILED,
            "not_connected",
        ),
        (
            Attempt(planned_at=T0, asked_at=T0, talking_at=T0, carrier_end=COMPLETED, carrier_ended_at=T0),
            SESSION_PATIENCE,
            _S.COMPLETED,
            "disconnected",
        ),
        (
            Attempt(planned_at=T0, asked_at=T0, talking_at=T0, longest_seconds=600),
            timedelta(seconds=600) + LONGEST_MARGIN,
            _S.FAILED,
            "node_lost",
        ),
    ],
)
def test_every_fact_that_is_missing_is_waited_for_and_no_longer(attempt, patience, status, reason):
    assert next_look(attempt) == T0 + patience
    before = verdict(attempt, now=T0 + patience)
    after = verdict(attempt, now=T0 + patience, late=True)
    assert (before.is_end, after.status, after.end_reason) == (False, status, reason)
    assert HANG_UP_PATIENCE < SESSION_PATIENCE


def test_a_session_that_nobody_reached_ends_its_call():
    nobody = with_session_end(
        dialled(ringing_at=at(1)), EndReason.TIMEOUT, started_at=None, ended_at=at(20), leaves_messages=True
    )
    assert verdict(nobody, now=at(20)).status is _S.NO_ANSWER


# --- calling again


@pytest.mark.parametrize("status", list(_S))
def test_only_who_did_not_answer_is_called_again(status):
    assert has_retry(status, retry_count=0, max_retries=1) is (status is _S.NO_ANSWER)


@pytest.mark.parametrize(
    ("count", "most", "again"), [(0, 0, False), (0, 1, True), (1, 1, False), (2, 3, True), (3, 3, False)]
)
def test_retries_are_counted(count, most, again):
    assert has_retry(_S.NO_ANSWER, retry_count=count, max_retries=most) is again


# --- calling hours


def hours(*windows: tuple[Weekday, int, int], timezone: str = "UTC") -> CallingHours:
    return CallingHours(
        timezone=timezone,
        windows=tuple(CallingWindow(day=day, since=since, until=until) for day, since, until in windows),
    )


WORKDAYS = tuple((day, 9 * 60, 18 * 60) for day in tuple(Weekday)[:5])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zones", "asked", "allowed"),
    [
        ((), "2026-03-02T08:59:59Z", "2026-03-02T09:00:00Z"),
        ((), "2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"),
        ((), "2026-03-02T17:59:59Z", "2026-03-02T17:59:59Z"),
        ((), "2026-03-02T18:00:00Z", "2026-03-03T09:00:00Z"),
        ((), "2026-03-06T18:00:00Z", "2026-03-09T09:00:00Z"),  # over a weekend
        (("America/Los_Angeles",), "2026-03-02T09:00:00Z", "2026-03-02T17:00:00Z"),
        (("Asia/Tokyo",), "2026-03-06T08:59:59Z", "2026-03-06T08:59:59Z"),
        (("Asia/Tokyo",), "2026-03-06T09:00:00Z", "2026-03-09T00:00:00Z"),
        # Two zones: only when it is day for both.
        (("America/New_York", "America/Los_Angeles"), "2026-03-02T14:00:00Z", "2026-03-02T17:00:00Z"),
        (("America/New_York", "America/Los_Angeles"), "2026-03-02T23:00:00Z", "2026-03-03T17:00:00Z"),
        # No moment is day for all: the tenant's own zone counts.
        (("Pacific/Guam", "America/New_York", "Europe/Berlin"), "2026-03-02T03:00:00Z", "2026-03-02T09:00:00Z"),
        (("No/Where",), "2026-03-02T03:00:00Z", "2026-03-02T09:00:00Z"),
        # Clocks of New York went forward on 8 March 2026: nine o'clock is an hour earlier in UTC from then on.
        (("America/New_York",), "2026-03-06T23:00:00Z", "2026-03-09T13:00:00Z"),
    ],
)
def test_people_are_called_in_the_hours_of_their_own_clocks(zones, asked, allowed):
    assert next_allowed(hours(*WORKDAYS), zones, moment(asked)) == moment(allowed)


def test_one_window_a_week_comes_again_after_a_week():
    rare = hours((Weekday.MONDAY, 12 * 60, 12 * 60 + 1))
    assert next_allowed(rare, (), T0) == T0
    assert next_allowed(rare, (), T0 + timedelta(minutes=1)) == T0 + timedelta(days=7)


def test_a_day_ends_at_midnight_and_two_windows_may_touch():
    whole = hours((Weekday.MONDAY, 0, 24 * 60), (Weekday.TUESDAY, 0, 60))
    assert next_allowed(whole, (), moment("2026-03-02T23:59:59Z")) == moment("2026-03-02T23:59:59Z")
    assert next_allowed(whole, (), moment("2026-03-03T00:00:00Z")) == moment("2026-03-03T00:00:00Z")
    assert next_allowed(whole, (), moment("2026-03-03T01:00:00Z")) == moment("2026-03-09T00:00:00Z")


def test_several_hours_hold_at_once_each_by_its_own_clocks():
    mornings, evenings = hours((Weekday.MONDAY, 9 * 60, 12 * 60)), hours((Weekday.MONDAY, 18 * 60, 20 * 60))
    assert next_allowed_by_all((), T0) == T0
    assert next_allowed_by_all(((mornings, ()), (evenings, ())), T0) is None
    tokyo = ("Asia/Tokyo",)  # whose evening is the morning
    assert next_allowed_by_all(((mornings, ()), (evenings, tokyo)), T0) == moment("2026-03-09T09:00:00Z")
    assert next_allowed_by_all(((hours(), ()), (mornings, ())), T0) is None


def test_the_law_of_canada_knows_weekends():
    canada = STATUTES["CA"]
    found = [
        next_allowed(canada.hours, ("America/Toronto",), moment(at))
        for at in ("2026-01-09T13:59:00Z", "2026-01-10T02:29:00Z", "2026-01-10T02:30:00Z", "2026-01-10T23:00:00Z")
    ]
    assert found == [
        moment(at)
        for at in ("2026-01-09T14:00:00Z", "2026-01-10T02:29:00Z", "2026-01-10T15:00:00Z", "2026-01-11T15:00:00Z")
    ]


def test_without_hours_any_moment_will_do_and_hours_without_windows_have_none():
    assert next_allowed(None, ("Asia/Tokyo",), T0) == T0
    assert next_allowed(hours(), (), T0) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Europe/Berlin", True),
        ("UTC", True),
        ("Europe", False),
        ("", False),
        ("../etc/passwd", False),
        ("Mars/Base", False),
    ],
)
def test_zones_are_those_of_the_time_zone_database(name, known):
    assert is_zone(name) is known
