"""Calls that we place: where one stands, when it may be placed and placed again, and what became of an attempt.

    scheduled ⇄ queued ─▶ initiating ─▶ ringing ─▶ in_progress ─▶ completed | voicemail | failed
        ▲                     │            │
        └──── nobody answers, and retries are left ────┘──▶ no_answer | busy | failed        cancelled: before anybody talks

An attempt is a set of facts, each written once, in whatever order they come and however often; where it stands is worked out of them. So
neither a webhook that comes twice nor one that comes late can undo what is known.

Pure: the time is an argument.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from .calls import CallPhase
from .sessions import EndReason

MAX_RETRIES = 3
MAX_RETRY_DELAY_MINUTES = 7 * 24 * 60
MIN_RING_SECONDS, MAX_RING_SECONDS = 5, 120
MAX_WINDOWS = 28
DAY_MINUTES = 24 * 60

PLAN_PATIENCE = timedelta(seconds=30)
"""A worker that has not asked the carrier within this time after it took a call never will: somebody else takes it."""
DIAL_PATIENCE = timedelta(seconds=10)
"""A worker that comes to its dial later than this after it said so doesn't dial any more."""
ANSWER_PATIENCE = timedelta(seconds=25)
"""How long a carrier may take to answer a dial; after it the worker that asked is lost."""
RING_MARGIN = timedelta(seconds=60)
"""How much longer than the telephone rings an attempt is waited for."""
SESSION_PATIENCE = timedelta(seconds=120)
"""How long after a call's end its conversation is waited for: that of a process which died ends later."""
UNHEARD_PATIENCE = timedelta(seconds=20)
"""The same for a conversation of which nobody has heard."""
HANG_UP_PATIENCE = timedelta(seconds=30)
"""How long the carrier is given to end a call whose conversation is over."""
LONGEST_MARGIN = timedelta(minutes=5)
"""How much longer than it may be a call is waited for."""


class OutboundStatus(StrEnum):
    """Where a call stands. Between two attempts it is `scheduled`: the last six are ends, and stay."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    INITIATING = "initiating"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    CANCELLED = "cancelled"
    VOICEMAIL = "voicemail"


_S = OutboundStatus
WAITING = frozenset({_S.SCHEDULED, _S.QUEUED})
"""To be placed when its time has come and a slot is free."""
PLACED = frozenset({_S.INITIATING, _S.RINGING, _S.IN_PROGRESS})
"""Holds one of the tenant's slots."""
ENDED = frozenset({_S.COMPLETED, _S.FAILED, _S.NO_ANSWER, _S.BUSY, _S.CANCELLED, _S.VOICEMAIL})
CANCELLABLE = frozenset({_S.SCHEDULED, _S.QUEUED, _S.INITIATING, _S.RINGING})
"""Nobody talks yet."""

TRANSITIONS: dict[OutboundStatus, frozenset[OutboundStatus]] = {
    _S.SCHEDULED: frozenset({_S.QUEUED, _S.INITIATING, _S.FAILED, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.SCHEDULED, _S.INITIATING, _S.FAILED, _S.CANCELLED}),
    _S.INITIATING: (WAITING | {_S.RINGING, _S.IN_PROGRESS} | ENDED),
    _S.RINGING: (WAITING | {_S.IN_PROGRESS} | ENDED),
    _S.IN_PROGRESS: (WAITING | ENDED) - {_S.CANCELLED},
    **dict.fromkeys(ENDED, frozenset()),
}


def may_move(before: OutboundStatus, to: OutboundStatus) -> bool:
    """Whether a call may go from one status to another; staying is no move."""
    return to in TRANSITIONS[before]


# Attempts -----------------------------------------------------------------------------------------------------------


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one attempt to reach somebody. Moments are those at which it happened, as far as whoever tells knows.

    `asked_at`: the carrier is about to be asked, and may have been from now on. `dialled_at`: the carrier has named the call. `given_up`: why
    we ended it ourselves. `has_message`: of a session that ended at an answering machine, whether a message was left.
    """

    planned_at: datetime
    ring_seconds: int = 30
    longest_seconds: int = 3600
    asked_at: datetime | None = None
    dialled_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    talking_at: datetime | None = None
    carrier_end: CallPhase | None = None
    carrier_ended_at: datetime | None = None
    session_end: EndReason | None = None
    session_ended_at: datetime | None = None
    has_message: bool = False
    given_up: str | None = None

    @property
    def connected_at(self) -> datetime | None:
        """When somebody picked up."""
        moments = [moment for moment in (self.answered_at, self.talking_at) if moment is not None]
        return min(moments, default=None)


A = TypeVar("A", bound=Attempt)
"""An attempt, with whatever its keeper knows besides."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Where an attempt stands; with its end, why and when it ended."""

    status: OutboundStatus
    end_reason: str | None = None
    ended_at: datetime | None = None

    @property
    def is_end(self) -> bool:
        return self.status in ENDED


_UNREACHED: dict[CallPhase, tuple[OutboundStatus, str]] = {
    CallPhase.BUSY: (_S.BUSY, "busy"),
    CallPhase.NO_ANSWER: (_S.NO_ANSWER, "no_answer"),
    CallPhase.FAILED: (_S.FAILED, "carrier_failed"),
    CallPhase.CANCELED: (_S.FAILED, "carrier_cancelled"),
}
_BROKEN = frozenset({EndReason.ERROR, EndReason.NODE_LOST})

CARRIER_ENDS = frozenset({*_UNREACHED, CallPhase.COMPLETED})


def with_phase(attempt: A, phase: CallPhase, at: datetime) -> A:
    """The attempt after the carrier told a phase. What is known already stays."""
    match phase:
        case CallPhase.INITIATED:
            return attempt
        case CallPhase.RINGING:
            return _once(attempt, ringing_at=at)
        case CallPhase.ANSWERED:
            return _once(attempt, answered_at=at)
        case _:
            return _once(attempt, carrier_end=phase, carrier_ended_at=at)


def with_session_start(attempt: A, at: datetime) -> A:
    """The attempt after its conversation began."""
    return _once(attempt, talking_at=at)


def with_session_end(
    attempt: A, reason: EndReason, *, started_at: datetime | None, ended_at: datetime, leaves_messages: bool
) -> A:
    """The attempt after its session ended; `started_at` is None where nobody ever came. `leaves_messages`: what the agent does about
    answering machines."""
    if started_at is not None:
        attempt = _once(attempt, talking_at=started_at)
    has_message = reason is EndReason.VOICEMAIL and leaves_messages
    return _once(attempt, session_end=reason, session_ended_at=ended_at, has_message=has_message or None)


def _once(attempt: A, **facts: Any) -> A:
    new = {name: value for name, value in facts.items() if value is not None and not getattr(attempt, name)}
    return msgspec.structs.replace(attempt, **new) if new else attempt


def verdict(attempt: Attempt, *, now: datetime, late: bool = False) -> Verdict:
    """Where an attempt stands. `late`: facts that are missing are not waited for any more (`next_look`); whoever handles a fact that has come
    may be late himself, and says no such thing."""
    if attempt.given_up is not None:
        return Verdict(status=_S.FAILED, end_reason=attempt.given_up, ended_at=now)
    if attempt.talking_at is not None:
        return _talked(attempt, now, late=late)
    unreached = None if attempt.carrier_end is None else _UNREACHED.get(attempt.carrier_end)
    if unreached is not None:
        status, reason = unreached
        return Verdict(status=status, end_reason=reason, ended_at=attempt.carrier_ended_at)
    if attempt.carrier_end is not None and late:
        return Verdict(status=_S.FAILED, end_reason="not_connected", ended_at=attempt.carrier_ended_at)
    if attempt.session_end is not None or late:
        return _unconnected(attempt, now)
    if attempt.answered_at is not None:
        return Verdict(status=_S.IN_PROGRESS)
    return Verdict(status=_S.INITIATING if attempt.ringing_at is None else _S.RINGING)


def _talked(attempt: Attempt, now: datetime, *, late: bool) -> Verdict:
    reason, ended_at = attempt.session_end, attempt.session_ended_at
    if reason is None and not late:
        return Verdict(status=_S.IN_PROGRESS)
    if reason is None:
        reason = EndReason.NODE_LOST if attempt.carrier_end is None else EndReason.DISCONNECTED
        ended_at = attempt.carrier_ended_at or now
    if reason is EndReason.VOICEMAIL:
        status = _S.VOICEMAIL if attempt.has_message else _S.NO_ANSWER
    else:
        status = _S.FAILED if reason in _BROKEN else _S.COMPLETED
    return Verdict(status=status, end_reason=reason.value, ended_at=ended_at)


def _unconnected(attempt: Attempt, now: datetime) -> Verdict:
    """The time is over, or nobody waits for the other side any more."""
    if attempt.answered_at is not None:
        return Verdict(status=_S.FAILED, end_reason="not_connected", ended_at=now)
    if attempt.ringing_at is not None:
        return Verdict(status=_S.NO_ANSWER, end_reason="no_answer", ended_at=now)
    if attempt.dialled_at is not None:
        return Verdict(status=_S.FAILED, end_reason="carrier_silent", ended_at=now)
    reason = "not_placed" if attempt.asked_at is None else "dial_uncertain"
    return Verdict(status=_S.FAILED, end_reason=reason, ended_at=now)


def next_look(attempt: Attempt) -> datetime:
    """When facts that are still missing are not waited for any more."""
    if attempt.carrier_ended_at is not None:
        unheard = attempt.talking_at is None
        return attempt.carrier_ended_at + (UNHEARD_PATIENCE if unheard else SESSION_PATIENCE)
    if attempt.talking_at is not None:
        return attempt.talking_at + timedelta(seconds=attempt.longest_seconds) + LONGEST_MARGIN
    if attempt.answered_at is not None:
        return attempt.answered_at + RING_MARGIN
    if attempt.asked_at is not None:
        return attempt.asked_at + timedelta(seconds=attempt.ring_seconds) + RING_MARGIN
    return attempt.planned_at + PLAN_PATIENCE


def has_retry(status: OutboundStatus, *, retry_count: int, max_retries: int) -> bool:
    """Whether somebody is called again: only who did not answer. Who is busy is there, and whoever wants may call again later."""
    return status is _S.NO_ANSWER and retry_count < max_retries


# Calling hours ------------------------------------------------------------------------------------------------------


class Weekday(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_WEEK = tuple(Weekday)


class CallingWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a day, in minutes since its midnight; `until` (at most 1440) is not in it any more."""

    day: Weekday
    since: int
    until: int


class CallingHours(msgspec.Struct, frozen=True, kw_only=True):
    """When people may be called, by their own clocks. `timezone` stands for those whose clocks are not known."""

    timezone: str
    windows: tuple[CallingWindow, ...]


def next_allowed(hours: CallingHours | None, zones: Sequence[str], at: datetime) -> datetime | None:
    """The first moment from `at` on at which somebody in one of these time zones may be called; it is within the hours of all of them.

    Without zones, and where they have no common moment (a number that is good for half the world), it is by `hours.timezone`. None where the
    hours have no moment at all.
    """
    if hours is None:
        return at
    wanted = [zone for zone in map(_zone, zones) if zone is not None]
    if wanted and (found := _first(hours, wanted, at)) is not None:
        return found
    return _first(hours, [_zone(hours.timezone) or UTC], at)


def next_allowed_by_all(rules: Sequence[tuple[CallingHours, Sequence[str]]], at: datetime) -> datetime | None:
    """The first moment from `at` on that every one of these hours allows, each by its own time zones. None where they have none in common."""
    moment, until = at, at + timedelta(days=8)
    while moment < until:
        before = moment
        for hours, zones in rules:
            found = next_allowed(hours, zones, moment)
            if found is None:
                return None
            moment = found
        if moment == before:
            return moment
    return None


class Statute(msgspec.Struct, frozen=True, kw_only=True):
    """When a country's law lets people be called to be sold something. `zones` are the first and the last of its clocks, for numbers that tell none."""

    hours: CallingHours
    zones: tuple[str, ...]


def _daily(days: Sequence[Weekday], since: int, until: int) -> tuple[CallingWindow, ...]:
    return tuple(CallingWindow(day=day, since=since, until=until) for day in days)


_UNITED_STATES = _daily(_WEEK, 8 * 60, 21 * 60)
STATUTES: dict[str, Statute] = {
    # 47 CFR 64.1200(c)(1); single states allow less
    **{
        country: Statute(hours=CallingHours(timezone=zones[0], windows=_UNITED_STATES), zones=zones)
        for country, zones in {
            "US": ("America/New_York", "Pacific/Honolulu"),
            "PR": ("America/Puerto_Rico",),
            "VI": ("America/St_Thomas",),
            "GU": ("Pacific/Guam",),
            "MP": ("Pacific/Saipan",),
            "AS": ("Pacific/Pago_Pago",),
        }.items()
    },
    # CRTC Unsolicited Telecommunications Rules, part III, sections 23 and 24
    "CA": Statute(
        hours=CallingHours(
            timezone="America/Toronto",
            windows=(*_daily(_WEEK[:5], 9 * 60, 21 * 60 + 30), *_daily(_WEEK[5:], 10 * 60, 18 * 60)),
        ),
        zones=("America/St_Johns", "America/Vancouver"),
    ),
}
"""By country (ISO 3166-1 alpha-2) of the number that is called."""


def is_zone(name: str) -> bool:
    """Whether there is such a time zone."""
    return _zone(name) is not None


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; a folder of the database
        return None


def _first(hours: CallingHours, zones: Sequence[ZoneInfo | Any], at: datetime) -> datetime | None:
    common = list(_spans(hours, zones[0], at))
    for zone in zones[1:]:
        common = list(_common(common, list(_spans(hours, zone, at))))
    moments = [max(since, at) for since, until in common if until > at]
    return min(moments, default=None)


def _spans(hours: CallingHours, zone: Any, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The windows of the week after `at` by a zone's clock, in UTC. Summer time makes a day longer or shorter."""
    today = at.astimezone(zone).date()
    for days in range(-1, 9):
        day = today + timedelta(days=days)
        for window in hours.windows:
            if _WEEK[day.weekday()] is window.day:
                since, until = (_moment(day, minutes, zone) for minutes in (window.since, window.until))
                if since < until:
                    yield since, until


def _moment(day: date, minutes: int, zone: Any) -> datetime:
    days, rest = divmod(minutes, DAY_MINUTES)
    local = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tzinfo=zone)
    return local.astimezone(UTC)


def _common(
    ones: list[tuple[datetime, datetime]], others: list[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    for since, until in ones:
        for other_since, other_until in others:
            if (start := max(since, other_since)) < (end := min(until, other_until)):
                yield start, end
