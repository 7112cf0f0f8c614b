"""Where a tenant's calls, texts and transfers may go."""

from collections.abc import Sequence

from voisnap_domain.agents import TransferTarget
from voisnap_domain.errors import FieldError
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.numbering import country_of

from voisnap_api.destinations import (
    ANY_COUNTRY,
    COUNTRY_NOT_ALLOWED,
    NOT_ALLOWED,
    NOT_ALLOWED_DETAIL,
    country_detail,
    is_refused,
    is_within,
)
from voisnap_api.phone_numbers.usecases import countries_of_lines

from . import store
from .records import CallSettings


async def allowed_countries(
    work: Work, *, account: str, ours: str, settings: CallSettings | None = None
) -> frozenset[str]:
    """Where calls, texts and transfers from our number `ours` of an account may go: to the countries of the tenant's numbers and those that
    its settings name. Whoever calls at the platform's expense can't name all."""
    if settings is None:
        found = await store.get_settings(work.tx, work.caller.tenant_id, work.caller.environment)
        settings = found or CallSettings()
    named = frozenset(settings.allowed_countries)
    if account == PLATFORM:
        named -= {ANY_COUNTRY}
    own = country_of(ours)
    return named | await countries_of_lines(work) | ({own} if own else set())


async def destination_fault(
    work: Work, number: str, *, account: str, ours: str, settings: CallSettings | None = None
) -> str | None:
    """The code for which nobody calls, writes to or hands a caller over to `number` from our number `ours`; None where they may."""
    environment = work.caller.environment
    if is_refused(environment, number):
        return NOT_ALLOWED
    if environment is not Environment.LIVE:
        return None
    countries = await allowed_countries(work, account=account, ours=ours, settings=settings)
    return None if is_within(environment, number, countries) else COUNTRY_NOT_ALLOWED


async def target_warnings(work: Work, targets: Sequence[TransferTarget]) -> tuple[FieldError, ...]:
    """To whom of an agent's targets its live calls are not handed over, as it stands: a session offers them to nobody. Without a number of the
    tenant's there are no calls to hand over."""
    environment = work.caller.environment
    if environment is not Environment.LIVE or not any(target.phone_number for target in targets):
        return ()
    own = await countries_of_lines(work)
    settings = await store.get_settings(work.tx, work.caller.tenant_id, environment) or CallSettings()
    warnings: list[FieldError] = []
    for index, target in enumerate(targets):
        number, pointer = target.phone_number, f"/transfer/targets/{index}/phoneNumber"
        if number and is_refused(environment, number):
            warnings.append(FieldError(pointer=pointer, code=NOT_ALLOWED, detail=f"{number} {NOT_ALLOWED_DETAIL}."))
        elif number and own and not is_within(environment, number, own | frozenset(settings.allowed_countries)):
            detail = f"{number} {country_detail(number)}."
            warnings.append(FieldError(pointer=pointer, code=COUNTRY_NOT_ALLOWED, detail=detail))
    return tuple(warnings)
