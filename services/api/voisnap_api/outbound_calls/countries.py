"""Where a tenant's calls, texts and transfers may go."""

from voisnap_domain.tenants import Environment
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.numbering import country_of

from voisnap_api.destinations import ANY_COUNTRY, COUNTRY_NOT_ALLOWED, NOT_ALLOWED, is_refused, is_within
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
