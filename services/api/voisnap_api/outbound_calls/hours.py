"""When somebody may be called: within the tenant's hours and, in the live environment, those that the law of where his number is has for calls
that sell something. Nobody knows what a call is for but its tenant, who may say that the latter don't hold."""

from datetime import datetime
from functools import lru_cache

import msgspec
from voisnap_domain.outbound import STATUTES, CallingHours, OutboundStatus, next_allowed_by_all
from voisnap_domain.tenants import Environment
from voisnap_providers.numbering import country_of_charge

from .numbering import zones_of
from .records import CallSettings, OutboundCall


def first_allowed(settings: CallSettings, environment: Environment, number: str, at: datetime) -> datetime | None:
    """The first moment from `at` on at which a number may be called; None where there is none."""
    statute = None
    if settings.statutory_hours and environment is Environment.LIVE:
        statute = STATUTES.get(country_of_charge(number) or "")
    if statute is None and settings.calling_hours is None:
        return at
    where = zones_of(number)
    rules: list[tuple[CallingHours, tuple[str, ...]]] = []
    if statute is not None:
        rules.append((statute.hours, where or statute.zones))
    if settings.calling_hours is not None:
        rules.append((settings.calling_hours, where))
    return _first(tuple(rules), at)


@lru_cache(4096)
def _first(rules: tuple[tuple[CallingHours, tuple[str, ...]], ...], at: datetime) -> datetime | None:
    """Numbers without a place are in forty time zones at once, which takes 10 ms: those of a batch have one moment."""
    return next_allowed_by_all(rules, at)


def when_allowed(call: OutboundCall, settings: CallSettings, at: datetime) -> datetime | None:
    """The same for a call. Who tries an agent out calls people who wait for it, at any hour."""
    if call.tested_version is not None:
        return at
    return first_allowed(settings, call.environment, call.to_number, at)


def held_up(call: OutboundCall, until: datetime, now: datetime) -> OutboundCall:
    """The call, waiting for a moment at which it is allowed."""
    return msgspec.structs.replace(
        call,
        status=OutboundStatus.SCHEDULED,
        due_at=until,
        not_before=call.not_before or call.due_at,
        updated_at=now,
    )
