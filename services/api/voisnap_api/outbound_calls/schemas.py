"""Calls that are placed, on the wire, in the documented shape."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.outbound import (
    DAY_MINUTES,
    ENDED,
    MAX_RETRIES,
    MAX_RETRY_DELAY_MINUTES,
    MAX_RING_SECONDS,
    MAX_WINDOWS,
    MIN_RING_SECONDS,
    WAITING,
    CallingHours,
    CallingWindow,
    OutboundStatus,
    Weekday,
    is_zone,
)
from voisnap_domain.sessions import Direction
from voisnap_providers.numbering import is_country
from voisnap_providers.ports.carrier import MachineDetection

from voisnap_api.destinations import ANY_COUNTRY
from voisnap_api.wire import Body, View, instant

from .records import DEFAULT_CONCURRENT, DEFAULT_RING_SECONDS, CallSettings, OutboundCall

MOST_IN_BATCH = 1000
MOST_CONCURRENT = 1000
MOST_COUNTRIES = 250
DEFAULT_RETRY_DELAY_MINUTES = 15

Retries = Annotated[
    int, msgspec.Meta(ge=0, le=MAX_RETRIES, description="How often somebody who does not answer is called again")
]
RetryDelay = Annotated[int, msgspec.Meta(ge=1, le=MAX_RETRY_DELAY_MINUTES)]
Number = Annotated[str, msgspec.Meta(description="In E.164 form", examples=["+14155550100"])]

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)


class OutboundCallBody(Body, frozen=True, kw_only=True):
    """Whom an agent shall call. `fromNumber`: one of the agent's own numbers; without it, the one it has longest. `scheduledFor`: not before
    this moment (ISO 8601, UTC where it names no zone). `metadata` reach the session."""

    agent_id: str
    to_number: Number
    from_number: Number | None = None
    scheduled_for: datetime | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    max_retries: Retries = 0
    retry_delay_minutes: RetryDelay = DEFAULT_RETRY_DELAY_MINUTES


class BatchCall(Body, frozen=True, kw_only=True):
    """One call of a batch. Its `metadata` go over those of the batch, key by key."""

    to_number: Number
    scheduled_for: datetime | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class OutboundBatchBody(Body, frozen=True, kw_only=True):
    """Many calls of one agent, each to another number."""

    agent_id: str
    calls: Annotated[tuple[BatchCall, ...], msgspec.Meta(min_length=1, max_length=MOST_IN_BATCH)]
    from_number: Number | None = None
    scheduled_for: datetime | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    max_retries: Retries = 0
    retry_delay_minutes: RetryDelay = DEFAULT_RETRY_DELAY_MINUTES


class WaitsFor(StrEnum):
    """What a call waits for: its `scheduledFor`, the calling hours of whoever is called, its next attempt, or a free slot."""

    TIME = "time"
    CALLING_HOURS = "calling_hours"
    RETRY = "retry"
    SLOT = "slot"


class OutboundCallView(View, frozen=True, kw_only=True):
    """A call that is placed. `nextAttemptAt`: when one that waits is placed at the earliest, and `waitsFor` for what. `answeredBy`: as the
    carrier judges it."""

    id: str
    agent_id: str
    from_number: str
    to_number: str
    status: OutboundStatus
    direction: Direction
    scheduled_for: str | None
    initiated_at: str | None
    connected_at: str | None
    ended_at: str | None
    duration_seconds: int | None
    conversation_id: str | None
    metadata: dict[str, Any]
    end_reason: str | None
    retry_count: int
    max_retries: int
    retry_delay_minutes: int
    next_attempt_at: str | None
    waits_for: WaitsFor | None
    answered_by: AnsweredBy | None
    batch_id: str | None
    created_at: str

    @classmethod
    def of(cls, call: OutboundCall) -> "OutboundCallView":
        return cls(
            id=call.id,
            agent_id=call.agent_id,
            from_number=call.from_number,
            to_number=call.to_number,
            status=call.status,
            direction=Direction.OUTBOUND,
            scheduled_for=_instant(call.scheduled_for),
            initiated_at=_instant(call.initiated_at),
            connected_at=_instant(call.connected_at),
            ended_at=_instant(call.ended_at),
            duration_seconds=_seconds(call),
            conversation_id=call.conversation_id,
            metadata=call.metadata,
            end_reason=call.end_reason,
            retry_count=call.retry_count,
            max_retries=call.max_retries,
            retry_delay_minutes=call.retry_delay_minutes,
            next_attempt_at=instant(call.due_at) if call.status in WAITING else None,
            waits_for=_waits_for(call),
            answered_by=call.answered_by,
            batch_id=call.batch_id,
            created_at=instant(call.created_at),
        )


class BatchRefusal(View, frozen=True, kw_only=True):
    """Why a row of a batch became no call."""

    code: str
    detail: str


class BatchResult(View, frozen=True, kw_only=True):
    """What became of one row of a batch: a call, or why it is none."""

    index: int
    to_number: str
    id: str | None
    status: OutboundStatus | None
    error: BatchRefusal | None


class OutboundBatchView(View, frozen=True, kw_only=True):
    """What became of a batch, row by row in their order. Its calls are listed with `batchId`."""

    batch_id: str
    created: int
    refused: int
    results: tuple[BatchResult, ...]


class CallingDay(Body, frozen=True, kw_only=True):
    """A part of a day, by the clock of whoever is called: from `from` until before `to`, `00:00` to `24:00`."""

    day: Weekday
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")


class CallingHoursBody(Body, frozen=True, kw_only=True):
    """When people may be called, by the clocks of where their numbers are. `timezone` (IANA) stands for numbers that don't tell."""

    timezone: str
    days: Annotated[tuple[CallingDay, ...], msgspec.Meta(min_length=1, max_length=MAX_WINDOWS)]


class CallSettingsBody(Body, frozen=True, kw_only=True):
    """When and how calls are placed; what is left out gets its default. `statutoryHours`: beside `callingHours`, live calls keep to the hours
    that the law of the called country has for calls that sell something (United States and territories 08:00 to 21:00, Canada 09:00 to 21:30
    and on weekends 10:00 to 18:00); false where yours sell nothing, or you know better. `allowedCountries` (ISO 3166-1 alpha-2) may be called beside those of the tenant's own numbers; `*` stands for all with numbers of the tenant's own carrier accounts."""

    calling_hours: CallingHoursBody | None = None
    statutory_hours: bool = True
    max_concurrent: Annotated[int, msgspec.Meta(ge=1, le=MOST_CONCURRENT)] = DEFAULT_CONCURRENT
    default_ring_seconds: Annotated[int, msgspec.Meta(ge=MIN_RING_SECONDS, le=MAX_RING_SECONDS)] = DEFAULT_RING_SECONDS
    machine_detection: MachineDetection = MachineDetection.OFF
    allowed_countries: tuple[str, ...] = ()

    def settings(self) -> CallSettings:
        """As they are kept. Raises Invalid with every fault of the hours."""
        faults = tuple(
            FieldError(
                pointer=f"/allowedCountries/{index}",
                code="wrong-format",
                detail="must be a country by ISO 3166-1 alpha-2, such as US, or * for all",
            )
            for index, country in enumerate(self.allowed_countries)
            if country != ANY_COUNTRY and not (country.isupper() and len(country) == 2 and is_country(country))
        )
        if len(self.allowed_countries) > MOST_COUNTRIES:
            detail = f"must have at most {MOST_COUNTRIES} items"
            faults = (FieldError(pointer="/allowedCountries", code="too-many", detail=detail),)
        if faults:
            raise Invalid(faults)
        return CallSettings(
            allowed_countries=tuple(dict.fromkeys(self.allowed_countries)),
            calling_hours=None if self.calling_hours is None else _hours(self.calling_hours),
            statutory_hours=self.statutory_hours,
            max_concurrent=self.max_concurrent,
            default_ring_seconds=self.default_ring_seconds,
            machine_detection=self.machine_detection,
        )


class CallingDayView(View, frozen=True, kw_only=True):
    """A part of a day."""

    day: Weekday
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")


class CallingHoursView(View, frozen=True, kw_only=True):
    """When people may be called."""

    timezone: str
    days: tuple[CallingDayView, ...]


class CallSettingsView(View, frozen=True, kw_only=True):
    """When and how calls are placed."""

    calling_hours: CallingHoursView | None
    statutory_hours: bool
    max_concurrent: int
    default_ring_seconds: int
    machine_detection: MachineDetection
    allowed_countries: tuple[str, ...]

    @classmethod
    def of(cls, settings: CallSettings) -> "CallSettingsView":
        hours = settings.calling_hours
        return cls(
            calling_hours=None
            if hours is None
            else CallingHoursView(
                timezone=hours.timezone,
                days=tuple(
                    CallingDayView(day=window.day, since=_clock(window.since), until=_clock(window.until))
                    for window in hours.windows
                ),
            ),
            statutory_hours=settings.statutory_hours,
            max_concurrent=settings.max_concurrent,
            default_ring_seconds=settings.default_ring_seconds,
            machine_detection=settings.machine_detection,
            allowed_countries=settings.allowed_countries,
        )


def in_utc(moment: datetime | None) -> datetime | None:
    """A moment of the wire; one without a zone is in UTC."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _hours(given: CallingHoursBody) -> CallingHours:
    faults: list[FieldError] = []
    if not is_zone(given.timezone):
        detail = "must be a name of the IANA time zone database such as Europe/Berlin"
        faults.append(FieldError(pointer="/callingHours/timezone", code="bad-timezone", detail=detail))
    windows: list[CallingWindow] = []
    for index, day in enumerate(given.days):
        at = f"/callingHours/days/{index}"
        since, until = _minutes(day.since, f"{at}/from", faults), _minutes(day.until, f"{at}/to", faults)
        if since is not None and until is not None:
            if since >= until:
                faults.append(FieldError(pointer=f"{at}/to", code="out-of-range", detail="must be later than from"))
            windows.append(CallingWindow(day=day.day, since=since, until=until))
    if faults:
        raise Invalid(tuple(faults))
    return CallingHours(timezone=given.timezone, windows=tuple(windows))


def _minutes(text: str, pointer: str, faults: list[FieldError]) -> int | None:
    if _CLOCK.fullmatch(text) is None:
        detail = "must be a time of day such as 09:00; 24:00 is the end of the day"
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=detail))
        return None
    return int(text[:2]) * 60 + int(text[3:])


def _clock(minutes: int) -> str:
    return "24:00" if minutes == DAY_MINUTES else f"{minutes // 60:02d}:{minutes % 60:02d}"


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _waits_for(call: OutboundCall) -> WaitsFor | None:
    if call.status not in WAITING:
        return None
    if call.status is OutboundStatus.QUEUED:
        return WaitsFor.SLOT
    if call.not_before is not None:
        return WaitsFor.CALLING_HOURS
    return WaitsFor.RETRY if call.retry_count else WaitsFor.TIME


def _seconds(call: OutboundCall) -> int | None:
    """From `connectedAt` to `endedAt`, as they are shown."""
    if call.status not in ENDED or call.connected_at is None or call.ended_at is None:
        return None
    ended, connected = call.ended_at.replace(microsecond=0), call.connected_at.replace(microsecond=0)
    return max(0, int((ended - connected).total_seconds()))
